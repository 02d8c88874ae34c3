# SPDX-License-Identifier: Apache-2.0
"""The broker's memory of volumes: who holds one, its last state, and what survives. Prints TAP.

broker_volumes.py SHELTER QUOTER FOLDER
"""
import concurrent.futures
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]
from rcar import Client, Platform, launch, manifest, unb64u  # noqa: E402
from tap import run, same  # noqa: E402

SHELTER, QUOTER, T = sys.argv[1:4]
MRTD = {"mrtd": "11" * 48, "rtmr1": "00" * 48, "rtmr2": "00" * 48}
PLAIN = launch(network="dhcp", memory="134217728", cpus="2")
KEY = bytes(range(32))
LEASE_S = 6
VOLUME = "volumes/key/one"


def shelter(*args, data=None):
    return subprocess.run([SHELTER, "broker", args[0], "--dir", f"{T}/vbroker", *args[1:]], input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)


class Server:
    all = []

    def __init__(self):
        url_file = f"{T}/vurl"
        if os.path.exists(url_file):
            os.remove(url_file)
        self.process = subprocess.Popen(
            [SHELTER, "broker", "serve", "--dir", f"{T}/vbroker", "--listen", "127.0.0.1:0", "--url-file", url_file, "--rate", "0",
             "--collateral", f"tdx={T}/vplatform/tdx/collateral.json", "--ca", f"{T}/vplatform/tdx/root.pem"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        Server.all.append(self.process)
        for _ in range(400):
            if os.path.exists(url_file) or self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.url = open(url_file).read().strip()

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(20)


platform = Platform(QUOTER, f"{T}/vplatform")


def state(sequence, log=0, root=None):
    return f"{sequence}-{log}-{root or hashlib.sha256(f'{sequence}.{log}'.encode()).hexdigest()[:32]}"


class Holder:
    """One instance: attests, opens, moves on."""

    def __init__(self, server, volume=VOLUME):
        self.client, self.volume = Client(server.url, platform), volume
        same_status = self.client.handshake(init=PLAIN)[0]
        assert same_status == 200, same_status
        self.lease, self.state, self.writer = "", "", f"{random.getrandbits(64):016x}"

    def post(self, verb, body, volume=None):
        return self.client.ask("POST", f"/kbs/v0/volume/{verb}/{volume or self.volume}", body)

    def open(self, read_only=False):
        status, data, _ = self.post("open", {"read-only": read_only})
        if status != 200:
            return status, code_of(data), data
        opened = json.loads(self.client.key.decrypt(data))
        self.lease, self.state = opened["lease"], opened["state"]
        return status, opened["memory"], opened

    def advance(self, to, begin=False, close=False, **other):
        body = {"lease": self.lease, "from": self.state, "to": to}
        if begin:
            body["next"] = self.writer
        if close:
            body["close"] = True
        body.update(other)
        status, data, _ = self.post("advance", body)
        if status == 200:
            self.state = to
        return status if status == 200 else (status, code_of(data))


def code_of(data):
    return data.get("type", "").removeprefix("urn:shelter:broker:") if isinstance(data, dict) else ""


def row():
    return json.loads(shelter("volume", "show", VOLUME, "--json").stdout)


def life(server):
    a = Holder(server)
    status, memory, opened = a.open()
    same("first open: never seen, with the key and a lease", (status, memory, unb64u(opened["key"]), len(a.lease), a.state),
         (200, "never", KEY, 32, ""))
    same("a state before it was begun", a.advance(state(1)), (400, "malformed"))
    same("begin", a.advance(state(1), begin=True), 200)
    same("advance", a.advance(state(1, 2)), 200)
    same("to be heard", a.advance(state(1, 2)), 200)
    same("sent again, as if the answer was lost", a.advance(state(1, 2), **{"from": state(1)}), 200)
    same("from another state", a.advance(state(9), **{"from": state(2)}), (409, "moved"))
    same("back", a.advance(state(1, 1)), (400, "malformed"))
    same("back to an earlier record", a.advance(state(0)), (400, "malformed"))
    same("the row", (row()["state"], row()["memory"], row()["held"]), (state(1, 2), "open", True))
    b = Holder(server)
    same("a second one is refused", b.open()[:2], (409, "held"))
    same("who only reads is not", b.open(read_only=True)[:2], (200, "open"))
    same("... and gets no lease", (b.lease, b.state), ("", state(1, 2)))
    same("without a lease nothing moves", b.advance(state(5), lease="0" * 32), (409, "fenced"))
    same("release", a.advance(state(2), close=True), 200)
    same("after it, nothing moves", a.advance(state(3)), (409, "fenced"))
    status, memory, opened = b.open()
    same("the next one finds it released", (status, memory, b.state, opened["next"]), (200, "released", state(2), a.writer))
    same("... and begins", b.advance(state(2), begin=True), 200)
    same("... and goes on", b.advance(state(3)), 200)
    return b


def leases(server, b):
    c = Holder(server)
    start = time.monotonic()
    while time.monotonic() < start + LEASE_S + 2:
        b.advance(b.state)
        last = c.open()[:2]
        time.sleep(1)
    same("one that is heard keeps its lease", last, (409, "held"))
    same("... told how long one lives", c.open()[2].get("lease-ms"), LEASE_S * 1000)
    time.sleep(LEASE_S + 0.5)
    same("one that is not heard loses it", c.open()[:2], (200, "open"))
    same("... and is fenced", b.advance(state(4)), (409, "fenced"))
    same("... for ever", b.advance(b.state), (409, "fenced"))
    same("the new one goes on", (c.advance(c.state, begin=True), c.advance(state(4))), (200, 200))
    same("policy: the second wins", shelter("volume", "set", VOLUME, "--second", "fence").returncode, 0)
    d = Holder(server)
    same("... at once", d.open()[:2], (200, "open"))
    same("... and the first is fenced", c.advance(state(5)), (409, "fenced"))
    same("... begins", d.advance(d.state, begin=True), 200)
    shelter("volume", "set", VOLUME, "--second", "refuse")
    return d


def strangers(server, d):
    c = Client(server.url, platform)
    same("without a session", c.ask("POST", f"/kbs/v0/volume/open/{VOLUME}", {})[0], 401)
    same("... nor to move", c.ask("POST", f"/kbs/v0/volume/advance/{VOLUME}", {"lease": d.lease, "from": d.state, "to": state(99)})[0], 401)
    e = Holder(server)
    same("a volume that nobody gave the image", e.post("open", {}, "volumes/key/closed")[0], 403)
    same("... nor its state", e.post("advance", {"lease": d.lease, "from": d.state, "to": state(99)}, "volumes/key/closed")[0], 403)
    same("there is none, which nobody is told", e.post("open", {}, "volumes/key/none")[0], 403)
    same("there is none any more", e.post("open", {}, "volumes/key/gone")[0], 404)
    same("a key that is none", code_of(e.post("open", {}, "volumes/key/short")[1]), "no-key")
    same("no path", e.post("open", {}, "volumes/key")[0], 400)
    same("another method", e.client.ask("GET", f"/kbs/v0/volume/open/{VOLUME}")[0], 405)
    good = {"lease": d.lease, "from": d.state, "to": state(50), "next": "0" * 16}
    bad = [("lease", v) for v in ("", "0" * 31, "G" * 32, d.lease.upper() + "x", 5, None, [])]
    bad += [("to", v) for v in ("", "1", "1-2", "-1-0-" + "0" * 32, "0-0-" + "0" * 32, "1-4294967296-" + "0" * 32, f"{1 << 60}-0-" + "0" * 32,
                                "1-0-" + "0" * 31, "1-0-" + "g" * 32, "1-0-" + "0" * 33, "1-0-0-" + "0" * 30, " 1-0-" + "0" * 32, 7, {})]
    bad += [("from", v) for v in ("x", "1-0-", "9" * 80)] + [("next", v) for v in ("0", "0" * 17, "z" * 16)]
    wrong = [(k, v, a) for k, v in bad for a in [e.post("advance", dict(good, **{k: v}))[0]] if a not in (400, 409)]
    same("malformed members are refused", wrong, [])
    text = json.dumps(good).encode()
    answers = set()
    for i in range(len(text)):
        changed = bytearray(text)
        changed[i] ^= 1 << random.randrange(8)
        answers.add(e.client.ask("POST", f"/kbs/v0/volume/advance/{VOLUME}", bytes(changed))[0])
    # A byte that only makes another valid state moves it: everything else is refused, nothing breaks the broker.
    same("each byte of a request changed: answered, never broken", answers <= {200, 400, 409}, True)
    same("too large", e.client.ask("POST", f"/kbs/v0/volume/open/{VOLUME}", b" " * 5000)[0], 413)


def killed():
    """kill -9 in a storm of advances: what was acknowledged is there, and nothing that nobody sent."""
    lost, alien, rounds, total = 0, 0, 5, 0
    server = Server()
    shelter("volume", "reset", VOLUME)
    sequence = 1000
    for n in range(rounds):
        h = Holder(server)
        h.open()
        h.advance(state(sequence), begin=True)
        acked, sent = state(sequence), {state(sequence)}

        def storm():
            nonlocal acked, sequence, total
            try:
                while True:
                    sequence += 1
                    sent.add(state(sequence))
                    if h.advance(state(sequence)) != 200:
                        return
                    acked = state(sequence)
                    total += 1
            except Exception:  # torn
                return

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            job = pool.submit(storm)
            enough, end = total + random.randrange(4, 12), time.monotonic() + 20
            while total < enough and time.monotonic() < end:
                time.sleep(0.01 * random.random())
            server.stop(signal.SIGKILL)
            job.result()
        server = Server()
        now = row()["state"]
        lost += int(now.split("-")[0]) < int(acked.split("-")[0])
        alien += now not in sent
        # The lease lives on: the second is refused, the holder goes on from what it knows.
        second = Holder(server)
        if n == 0:
            same("kill -9: the holder keeps its lease", second.open()[:2], (409, "held"))
        h.client.url = second.client.url
        h.client.handshake(init=PLAIN)
        if n == 0:
            same("kill -9: ... and goes on, the unanswered one included", h.advance(state(int(now.split("-")[0])), **{"from": acked}), 200)
        h.state = now
        same(f"kill -9: round {n}: released", h.advance(now, close=True), 200)
    same(f"kill -9: acknowledged and lost, of {total}", lost, 0)
    same("kill -9: states that nobody sent", alien, 0)
    same("kill -9: there was a storm", total > 20, True)
    server.stop()


def put_back():
    """The broker's own store put back: it says what it has, so that who knows more can tell."""
    server = Server()
    h = Holder(server)
    h.open()
    h.advance(h.state, begin=True)
    server.stop()
    shutil.copytree(f"{T}/vbroker", f"{T}/vbackup")
    server = Server()
    h.client.url = Client(server.url).url
    h.client.handshake(init=PLAIN)
    later = state(5000)
    same("put back: later", h.advance(later), 200)
    server.stop(signal.SIGKILL)
    shutil.rmtree(f"{T}/vbroker")
    shutil.move(f"{T}/vbackup", f"{T}/vbroker")
    server = Server()
    h.client.url = Client(server.url).url
    h.client.handshake(init=PLAIN)
    status, data, _ = h.post("advance", {"lease": h.lease, "from": later, "to": state(5001)})
    same("put back: refused, with the earlier state", (status, code_of(data), int(data["state"].split("-")[0]) < 5000), (409, "moved", True))
    server.stop()


def operator():
    log = [json.loads(line) for line in shelter("log", "--json").stdout.splitlines()]
    seen = {(e["event"], e["outcome"], e["code"]) for e in log if e.get("resource") == VOLUME}
    for want in (("volume", "granted", "ok"), ("volume", "refused", "held"), ("volume", "refused", "fenced"), ("volume", "refused", "moved"),
                 ("admin", "changed", "volume-second-fences"), ("admin", "changed", "volume-reset")):
        same(f"the log has {' '.join(want)}", want in seen, True)
    same("... and holds", shelter("log", "--check").returncode, 0)
    same("ls", VOLUME in shelter("volume", "ls").stdout.decode(), True)
    same("ls --json", [v["path"] for v in json.loads(shelter("volume", "ls", "--json").stdout)], [VOLUME])
    same("show", all(w in shelter("volume", "show", VOLUME).stdout.decode() for w in ("memory", "state", "second", "held")), True)
    same("the lease is shown to nobody", "lease" in shelter("volume", "show", VOLUME, "--json").stdout.decode(), False)
    same("show: none", shelter("volume", "show", "a/b/c").returncode, 125)
    same("reset: none", shelter("volume", "reset", "a/b/c").returncode, 125)
    for wrong in (["ls", VOLUME], ["show"], ["reset", "a/b"], ["set", VOLUME], ["set", VOLUME, "--second", "both"], ["show", VOLUME, "--new"], ["more"]):
        same(f"usage: {' '.join(wrong)}", shelter("volume", *wrong).returncode, 125)
    same("reset --new", shelter("volume", "reset", VOLUME, "--new").returncode, 0)
    same("... forgets it", json.loads(shelter("volume", "ls", "--json").stdout), [])


def damage():
    server = Server()
    h = Holder(server)
    h.open()
    h.advance(state(7), begin=True)
    server.stop()
    import sqlite3
    for column, value in (("state", f"'{state(6)}'"), ("memory", "'never'"), ("next", "'0'"), ("lease", "''"), ("second", "'fence'"), ("beats", "0")):
        shutil.rmtree(f"{T}/vhurt", ignore_errors=True)
        shutil.copytree(f"{T}/vbroker", f"{T}/vhurt")
        db = sqlite3.connect(f"{T}/vhurt/broker.db")
        db.execute(f"UPDATE volume SET {column} = {value}")
        db.commit()
        db.close()
        done = subprocess.run([SHELTER, "broker", "volume", "--dir", f"{T}/vhurt", "ls"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        same(f"a row whose {column} was changed: the store is damaged", (done.returncode, b"was changed" in done.stderr), (125, True))


def main():
    shelter("init")
    image = manifest((17, b"/bin/app"))
    json.dump({"image": hashlib.sha384(image).hexdigest(), "manifest": image.hex(), "references": [{"tee": "tdx", "measurement": MRTD}]},
              open(f"{T}/vgood.json", "w"))
    same("a reference", shelter("add-reference", f"{T}/vgood.json", "--name", "good").returncode, 0)
    same("keys", [shelter("add-resource", p, "--image", "any", data=d).returncode for p, d in ((VOLUME, KEY), ("volumes/key/short", b"x"))], [0, 0])
    shelter("add-resource", "volumes/key/closed", data=KEY)
    shelter("add-resource", "volumes/key/gone", "--image", "any", data=KEY)
    shelter("remove-resource", "volumes/key/gone")
    server = Server()
    d = leases(server, life(server))
    strangers(server, d)
    server.stop()
    killed()
    put_back()
    operator()
    damage()


run(main, Server.all, platform)
