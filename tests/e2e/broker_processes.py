# SPDX-License-Identifier: Apache-2.0
"""Three processes of a broker behind one address, and kill -9. Prints TAP.

broker_processes.py SHELTER QUOTER FOLDER
"""
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]
from rcar import Client, Key, Platform, manifest  # noqa: E402
from tap import same  # noqa: E402
import hashlib  # noqa: E402

SHELTER, QUOTER, T = sys.argv[1:4]
SECRET = b"known to three"
SECONDS, CLIENTS, KILLS = 12, 12, 3


def shelter(*args, data=None):
    return subprocess.run([SHELTER, "broker", args[0], "--dir", f"{T}/broker", *args[1:]], input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(p) for p in f.read().split()]


def until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.05)
    return what()


platform = Platform(QUOTER, f"{T}/platform")
image = manifest((17, b"/bin/app"))
json.dump({"image": hashlib.sha384(image).hexdigest(), "manifest": image.hex(),
           "references": [{"tee": "tdx", "measurement": {"mrtd": "11" * 48, "rtmr1": "00" * 48, "rtmr2": "00" * 48}}]},
          open(f"{T}/reference.json", "w"))
for done in (shelter("init"), shelter("add-reference", f"{T}/reference.json", "--name", "app"),
             shelter("add-resource", "app/key/one", "--image", "app", data=SECRET)):
    assert done.returncode == 0, done.stderr
for n in range(3):
    done = shelter("add-resource", f"app/once/n{n}", "--image", "app", "--once", data=b"only one has me")
    assert done.returncode == 0, done.stderr
same("--once without an image", shelter("add-resource", "app/once/x", "--once", data=b"x").returncode, 125)
log = open(f"{T}/serve.log", "w")
parent = subprocess.Popen([SHELTER, "broker", "serve", "--dir", f"{T}/broker", "--listen", "127.0.0.1:0", "--url-file", f"{T}/url",
                           "--processes", "3", "--ca", f"{T}/platform/tdx/root.pem", "--rate", "0",
                           "--collateral", f"tdx={T}/platform/tdx/collateral.json", "--log-format", "json"],
                          stdout=open(f"{T}/serve.json", "w"), stderr=log)
try:
    assert until(lambda: os.path.exists(f"{T}/url"))
    url = open(f"{T}/url").read().strip()
    same("three processes serve", len(children(parent.pid)), 3)

    # What one process knows, the others know: each request comes over a new connection.
    key, quoting = Key(), threading.Lock()
    c = Client(url, platform, key=key)
    same("a handshake over any of them", c.handshake()[0], 200)
    same("a session of all of them: twenty times by cookie", [c.secret("app/key/one") for _ in range(20)], [SECRET] * 20)
    again = []
    for _ in range(12):  # the same challenge and evidence to each of them, at the same time
        c = Client(url, platform, key=key)
        c.auth()
        body = c.attestation()
        results = []
        threads = [threading.Thread(target=lambda: results.append(Client.ask(c, "POST", "/kbs/v0/attest", body)[0])) for _ in range(4)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        again.append(sorted(results))
    same("a challenge is good once, whichever process is asked", again, [[200, 409, 409, 409]] * 12)

    # A secret for one: eight ask at the same time, of any process.
    for n in range(3):
        results = []

        def ask_once():
            mine = Client(url, platform, key=key)
            with quoting:
                good = mine.handshake()[0]
            got = mine.get(f"app/once/n{n}")
            results.append((got[0], key.decrypt(got[1]) if got[0] == 200 else b"") if good == 200 else good)

        threads = [threading.Thread(target=ask_once) for _ in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        same(f"once {n}: one of eight has it", sorted(results), [(200, b"only one has me")] + [(404, b"")] * 7)
    same("once: nothing of it is left", any(b"only one has me" in open(f"{T}/broker/{f}", "rb").read() for f in os.listdir(f"{T}/broker")
                                            if os.path.isfile(f"{T}/broker/{f}")), False)

    # Handshakes without a pause beside kill -9.
    stop, counts, lock, acknowledged, failures = threading.Event(), [0], threading.Lock(), [], []

    def attempt(client):
        status, data, _ = client.auth()
        if status != 200:
            return f"auth {status} {data}"
        with quoting:
            body = client.attestation()
        status, data, _ = client.attest(body)
        if status != 200:
            return f"attest {status} {data}"
        claims = client.token.split(".")[1]
        import base64
        with lock:
            acknowledged.append(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["jti"])
        status, data, _ = client.get("app/key/one")
        return None if status == 200 else f"resource {status} {data}"

    def work():
        in_a_row = 0
        while not stop.is_set():
            try:
                why = attempt(Client(url, platform, key=key))
            except OSError as e:
                why = repr(e)
            except Exception as e:  # a connection that was cut in the middle
                why = repr(e)
            in_a_row = in_a_row + 1 if why else 0
            with lock:
                counts[0] += not why
                if why:
                    failures.append((in_a_row, why))

    workers = [threading.Thread(target=work) for _ in range(CLIENTS)]
    begun = time.monotonic()
    [w.start() for w in workers]
    killed = []
    for i in range(KILLS):
        time.sleep(SECONDS / (KILLS + 1))
        victim = children(parent.pid)[0]
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)
        same(f"kill -9 {i + 1}: another takes its place",
             until(lambda: len(children(parent.pid)) == 3 and victim not in children(parent.pid)), True)
    time.sleep(SECONDS / (KILLS + 1))
    stop.set()
    [w.join() for w in workers]
    rate = counts[0] / (time.monotonic() - begun)
    print(f"# {counts[0]} handshakes with a resource each, {rate:.0f} a second, {len(failures)} failed beside {KILLS} kills")
    for in_a_row, why in failures[:5]:
        print(f"#   {in_a_row}: {why}")
    same("no client failed twice in a row", [f for f in failures if f[0] > 1], [])
    same("handshakes went on", counts[0] > 10, True)
    done = shelter("log", "--json")
    known = {json.loads(line)["session"] for line in done.stdout.decode().splitlines() if line.strip()}
    same("nothing that was acknowledged is lost from the log", [j for j in acknowledged if j not in known], [])
    same("the log's chain holds", shelter("log", "--check").returncode, 0)
    parent.send_signal(signal.SIGHUP)
    same("SIGHUP reaches all", until(lambda: open(f"{T}/serve.log").read().count("were read again") == 3), True)
    refusal = Client(url, platform, key=key)
    refusal.auth()
    refusal.attest(refusal.attestation(debug=True))
    lines = lambda: [json.loads(line) for line in open(f"{T}/serve.json")]
    same("JSON: refusals of a second are told too", until(lambda: any(e["event"] == "attest" and e["outcome"] == "refused" and e["code"] == "debug" for e in lines())), True)
    told = lines()
    same("JSON: where it serves, and that it read its files anew", ([e["url"] for e in told if e["event"] == "serving"], [e["event"] for e in told].count("reload")), ([url], 3))
    same("JSON: each attestation", sorted({j for j in acknowledged} - {e.get("session") for e in told if e["event"] == "attest" and e["outcome"] == "granted"}), [])
    pids = children(parent.pid)
    parent.send_signal(signal.SIGTERM)
    same("SIGTERM ends all", (parent.wait(30), [p for p in pids if os.path.exists(f"/proc/{p}")]), (0, []))
finally:
    if parent.poll() is None:
        parent.terminate()
        parent.wait(30)
    platform.close()
