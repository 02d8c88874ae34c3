# SPDX-License-Identifier: Apache-2.0
"""The agent's program, under sanitizers, against the scripted broker: right, and wrong in each way.

PID 1 is played here: descriptors as in <shelter/agent.h>; the simulated TD module answers with a
quote that holds nothing but its report data. Prints TAP. Arguments: program, folder.
"""
import contextlib
import http.client
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.abspath(__file__)) + "/.."]
from guest_host import P_AGENT_HEADER, P_LOCK, P_NO_EVIDENCE, config_disk, launch, manifest  # noqa: E402
from scripted_broker import Broker, Identity  # noqa: E402

AGENT, FOLDER = sys.argv[1:3]
LOG, FILE, ENV, VOLUME, DONE, ERROR, EVIDENCE, START, ATTEST = range(1, 10)
GOOD = {"repo/key/one": b"the first secret\n", "repo/key/two": b"two", "repo/key/nul": b"a\0b",
        "repo/key/large": bytes(range(256)) * 4096, "repo/key/larger": bytes((1 << 20) + 1), "repo/key/empty": b""}


def ok(condition, name, more=""):
    print(f"{'ok' if condition else 'not ok'} {name}", flush=True)
    if not condition:
        for line in str(more).splitlines()[:30]:
            print("#   " + line[:400])


class Agent:
    """One run of the program. .records is what it reported, .error its last word or None."""

    def __init__(self, url, secrets=(), key=None, tee="tdx-sim", serve=False, td=None, policy=0):
        # An image with secrets is locked, or refused.
        fields = dict(secret=list(secrets), broker_key=key, policy=P_LOCK | policy)
        man = manifest(bytes(32), 4096, **{k: v for k, v in fields.items() if v})
        self.launch = launch(**({"broker": url} if url else {}))
        self.config = tempfile.TemporaryFile()
        self.config.write(config_disk(man, self.launch)[:16 + len(man) + len(self.launch)])
        self.config.seek(0)
        self.td, td_far = socket.socketpair()
        self.report, report_far = socket.socketpair()
        self.asked = []
        threading.Thread(target=td or self.module, daemon=True, args=(self.td,)).start()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        letters = "dcs"
        places = {5: td_far.fileno(), 7: self.config.fileno(), 8: report_far.fileno()}
        environment = {"SHELTER_TEE": tee, "SHELTER_FDS": letters, "ASAN_OPTIONS": "detect_leaks=1"}
        if serve:
            places[3] = self.listener.fileno()
            environment["LISTEN_FDS"] = "1"

        def place():
            high = {at: os.dup2(fd, 800 + at) for at, fd in places.items()}
            for at, fd in high.items():
                os.dup2(fd, at)

        self.process = subprocess.Popen([AGENT], env=environment, preexec_fn=place, close_fds=False,
                                        stderr=subprocess.PIPE, text=True)
        td_far.close()
        report_far.close()
        self.report.sendall(struct.pack("<BBHI", START, 0, 0, 0))
        self.report.settimeout(60)
        self.records = list(self._records())
        self.error = None
        last = self.records[-1] if self.records else (0, "", b"")
        if last[0] == ERROR:
            self.error = last[2].decode()
        elif last[0] != DONE:
            self.error = "no last word: " + self.process.stderr.read()
        self.secrets = {name: data for kind, name, data in self.records if kind in (FILE, ENV)}
        self.log = [data.decode() for kind, _, data in self.records if kind == LOG]

    def _take(self, size):
        data = b""
        while len(data) < size:
            more = self.report.recv(size - len(data))
            if not more:
                return None
            data += more
        return data

    def _records(self):
        while True:
            head = self._take(8)
            if head is None:
                return
            kind, _, name, size = struct.unpack("<BBHI", head)
            record = (kind, self._take(name).decode(), self._take(size))
            yield record
            if kind in (DONE, ERROR):
                return

    def module(self, s):
        """The simulated TD module."""
        with contextlib.suppress(OSError):
            while True:
                request = s.recv(72, socket.MSG_WAITALL)
                if len(request) < 72:
                    return
                magic, kind = struct.unpack("<II", request[:8])
                self.asked.append(request[8:])
                quote = bytes(568) + request[8:] + bytes(368)
                s.sendall(struct.pack("<III", magic, 0, len(quote)) + quote)

    def get(self, path, method="GET", body=None, **headers):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        c.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        r = c.getresponse()
        return r.status, r.read()

    def close(self):
        self.report.shutdown(socket.SHUT_RDWR)  # PID 1 is gone: so it ends, and tells its leaks
        self.process.wait(10)
        noise = self.process.stderr.read()
        ok("Sanitizer" not in noise and "runtime error" not in noise, "no sanitizer speaks", noise) \
            if "Sanitizer" in noise or "runtime error" in noise else None
        self.process.stderr.close()
        for s in (self.td, self.report, self.listener, self.config):
            s.close()


def run(broker, secrets=("one=kbs:///repo/key/one",), key=True, url=None, **options):
    agent = Agent(url or broker.url, secrets, broker.identity.spki if key is True else key, **options)
    agent.close()
    return agent


def succeeds(name, broker, **options):
    a = run(broker, **options)
    ok(a.error is None and a.secrets == {"one": GOOD["repo/key/one"]} and not broker.problems, name,
       f"{a.error} {a.secrets} {broker.problems} {broker.asked}")
    broker.close()
    return a


def fails(name, pattern, broker, **options):
    a = run(broker, **options)
    ok(a.error is not None and re.search(pattern, a.error) and not a.secrets, name,
       f"{a.error} {a.secrets} {broker.problems} {broker.asked}")
    broker.close()
    return a


def main():
    mine, other = Identity(FOLDER, "mine"), Identity(FOLDER, "other")

    def broker(how="", when="", identity=mine, **options):
        return Broker(identity, GOOD, how, when, **options)

    # --- right ---
    b = broker()
    a = succeeds("0.4.0: attested, a secret as a file", b)
    ok(a.log == [f"attested to {b.url}, protocol 0.4.0"], "it says to whom and how", a.log)
    ok(b.proofs and b.proofs[0][1] == a.launch.decode(), "init-data is the launch config, byte by byte")
    ok(b.asked == ["POST /kbs/v0/auth", "POST /kbs/v0/attest", "GET /kbs/v0/resource/repo/key/one"],
       "three requests", b.asked)
    ok(b.segments == 5, "each flight of the handshake is one segment: hello, keys; then the requests", b.segments)
    b = broker(old=True)
    a = succeeds("0.2.0, when the broker knows no other", b)
    ok(a.log and a.log[0].endswith("protocol 0.2.0"), "and says so", a.log)
    succeeds("an RSA key, where the broker wants one", broker("rsa-only", old=True))
    b = broker()
    a = run(b, secrets=("one=kbs:///repo/key/one:file", "TWO=kbs:///repo/key/two:env",
                        "large=kbs:///repo/key/large", "empty=kbs:///repo/key/empty"))
    ok([r[:2] for r in a.records if r[0] in (FILE, ENV)] ==
       [(FILE, "one"), (ENV, "TWO"), (FILE, "large"), (FILE, "empty")] and
       a.secrets["large"] == GOOD["repo/key/large"] and a.secrets["empty"] == b"", "files and environment, up to 1 MiB",
       f"{a.error} {[r[:2] for r in a.records]}")
    b.close()
    b = broker()
    a = run(b, secrets=(), key=None)
    ok(a.error is None and len(b.asked) == 2, "without secrets it attests all the same", a.error)
    b.close()
    a = Agent(None)
    a.close()
    ok(a.error is None and not a.asked, "without a broker nothing is fetched", a.error)
    b = broker(tls=False)
    a = run(b, secrets=(), key=None)
    ok(a.error is None, "http://, when said so and nothing is pinned", a.error)
    b.close()
    for how in ("extra-fields", "chunked", "until-close"):
        succeeds(f"allowed: {how}", broker(how))
    for how in ("cut-tcp", "status-503", "status-429", "mute"):
        succeeds(f"once, then mended: {how}", broker(how, times=1))
    for when in ("auth", "attest", "resource"):
        for how in ("cut-before", "cut-head", "cut-body"):
            succeeds(f"once, then mended: {how} of {when}", broker(how, when, times=1))
    succeeds("an expired session is renewed, once", broker("expired", times=1))

    old = Identity(FOLDER, "old", expired=True)
    succeeds("dates in the certificate say nothing: its key is the pinned one", broker(identity=old))

    # --- wrong ---
    fails("another key in the certificate", "does not have the public key", broker(identity=other), key=mine.spki)
    fails("no TLS where TLS is asked for", "no TLS with|cut the connection|did not finish the TLS handshake", broker("no-tls"))
    b = broker("no-hello")
    fails("a handshake out of order", "no TLS with", b)
    for _ in range(100):
        if b.alert:
            break
        time.sleep(0.05)
    ok(b.alert[:1] == b"\x15" and b.alert[5:6] == b"\2", "the broker hears why: a fatal alert", b.alert)
    fails("no http where a key is pinned", "http:// cannot show one", broker(tls=False))
    fails("no secrets without a pinned key", "not its broker's key", broker(), key=None)
    a = Agent(None, ["one=kbs:///repo/key/one"], mine.spki)
    a.close()
    ok("no key broker was named" in (a.error or ""), "no secrets without a broker", a.error)
    a = Agent("https://127.0.0.1:1", ["one=kbs:///repo/key/one"], mine.spki)
    a.close()
    ok(re.search("no connection .*127.0.0.1:1: connection refused", a.error or ""), "nobody listens", a.error)
    a = Agent("https://no.such.name.invalid", (), None)
    a.close()
    ok("no connection" in (a.error or ""), "a name that is none", a.error)
    a = Agent("ftp://127.0.0.1", (), None)
    a.close()
    ok("is not http" in (a.error or ""), "an address that is none", a.error)
    for how in ("nonce-missing", "nonce-number", "nonce-long", "nonce-binary", "nonce-empty"):
        a = fails(how, "no usable nonce", broker(how))
        ok(not a.asked, f"{how}: no evidence is made")
    fails("another hash", "another hash", broker("other-hash"))
    fails("no session cookie", "opened no session", broker("cookie-other"))
    fails("a cookie of 4,000 bytes", "speaks no HTTP", broker("cookie-long"))
    fails("a cookie of no session", r"refuses .*no session", broker("cookie-wrong"))
    for how in ("token-missing", "token-shape", "token-header", "token-long"):
        fails(how, "gave no token", broker(how))
    for when in ("auth", "attest", "resource"):
        fails(f"truncated JSON of {when}", "answered no JSON", broker("truncated", when))
        fails(f"a name twice in {when}", "answered no JSON", broker("duplicate", when))
        fails(f"no JSON in {when}", "answered no JSON", broker("not-json", when))
        fails(f"a body of 9 MiB in {when}", "answered too much", broker("huge", when))
        fails(f"an endless head in {when}", "answered too much", broker("endless-head", when))
        fails(f"two framings of {when}", "speaks no HTTP", broker("both-framings", when))
        fails(f"junk for {when}", "speaks no HTTP|answered too much", broker("junk", when))
        fails(f"more than was asked for, {when}", "speaks no HTTP", broker("more", when))
        fails(f"a redirect of {when}", "redirects are not followed", broker("status-302", when))
        fails(f"status 500 of {when}", r"\(status 500\): because of \? it", broker("status-500", when))
        fails(f"status 204 of {when}", r"\(status 204\)", broker("status-204", when))
        fails(f"cut before {when}, always", "cut the connection", broker("cut-before", when))
        fails(f"cut in the body of {when}, always", "cut the connection", broker("cut-body", when))
    fails("cut before TLS, always", "cut the connection in the TLS handshake", broker("cut-tcp"))
    fails("a byte each 100 ms", "did not answer in time", broker("drip", "auth"))
    many = tuple(f"s{i}=kbs:///repo/key/one" for i in range(60))
    b = broker("slow", "resource")
    start = time.monotonic()
    a = run(b, secrets=many)
    took = time.monotonic() - start
    ok("did not answer in time" in (a.error or "") and took < 30, "each secret in time, but not all of them", f"{took} {a.error}")
    b.close()
    fails("busy for ever", "is busy", broker("status-503", "auth"))
    fails("a resource that is refused", r"secret 'one': .*refuses repo/key/one \(status 403\)", broker("status-403", "resource"))
    fails("a resource that is not there", r"secret 'no': .*\(status 404\)", broker(), secrets=("no=kbs:///repo/key/no",))
    fails("a session that always expires", r"status 401", broker("expired"))
    fails("a zero byte for the environment", "zero byte", broker(), secrets=("N=kbs:///repo/key/nul:env",))
    fails("a secret beyond 1 MiB", "larger than 1 MiB", broker(), secrets=("l=kbs:///repo/key/larger",))
    for how, why in {"jwe-alg": "another alg", "jwe-enc": "not plain A256GCM", "jwe-zip": "not plain A256GCM",
                     "jwe-aad": "not plain A256GCM", "jwe-curve": "not made for this TEE's key",
                     "jwe-off-curve": "not made for this TEE's key", "jwe-other-key": "not made for this TEE's key",
                     "jwe-tag": "does not authenticate", "jwe-no-tag": "does not authenticate",
                     "jwe-short-tag": "does not authenticate", "jwe-protected": "does not authenticate|not a flattened",
                     "jwe-padding": "does not authenticate"}.items():
        fails(how, why, broker(how))

    # --- the platform lies ---
    def mute(s):
        with contextlib.suppress(OSError):
            s.recv(72)
            s.close()
    fails("no quote from the platform", "gave no evidence", broker(), td=mute)

    # --- the local API afterwards ---
    b = broker()
    a = Agent(b.url, ["one=kbs:///repo/key/one"], mine.spki, serve=True)
    ok(a.error is None, "attested, and it serves", a.error)
    status, body = a.get("/cdh/resource/repo/key/two")
    ok((status, body) == (200, b"two"), "/cdh/resource", (status, body))
    ok(a.get("/cdh/resource/repo/key/none")[0] == 404, "/cdh/resource of what is not there")
    ok(a.get("/cdh/resource/../key/none")[0] == 400, "/cdh/resource with another path")
    status, body = a.get("/aa/token?token_type=kbs")
    o = json.loads(body)
    ok(status == 200 and o["token"].count(".") == 2 and "BEGIN PRIVATE KEY" in o["tee_keypair"], "/aa/token", body)
    status, body = a.get("/aa/evidence?runtime_data=%01abc")
    ok(status == 200 and a.asked[-1] == b"\1abc".ljust(64, b"\0") and "quote" in json.loads(body), "/aa/evidence", body)
    ok(a.get("/aa/aael", "POST", b'{"domain":"x"}')[0] == 400, "/aa/aael: half an event is none")
    ok(sum("auth" in r for r in b.asked) == 1, "the session is kept", b.asked)
    ra_tls(a)
    who_may_ask(a)
    a.close()
    a = Agent(b.url, (), mine.spki, serve=True, policy=P_AGENT_HEADER | P_NO_EVIDENCE)
    status, body = a.get("/cdh/resource/repo/key/two")
    ok(status == 403 and b"Shelter-Request" in body, "--agent-header: nothing without it", body)
    ok(a.get("/cdh/resource/repo/key/two", Shelter_Request="1")[0] == 200, "--agent-header: with it")
    for path in ("/aa/evidence?runtime_data=x", "/aa/token?token_type=kbs"):
        status, body = a.get(path, Shelter_Request="1")
        ok(status == 403 and b"no-evidence" in body, f"--no-evidence: no {path[:10]}", body)
    ok(a.get("/aa/ra-tls", Shelter_Request="1")[0] == 200, "--no-evidence: certificates remain")
    a.close()
    b.close()
    b = broker()
    a = Agent(b.url, (), None, serve=True)
    status, body = a.get("/cdh/resource/repo/key/two")
    ok(status == 403 and b"--broker-key" in body, "no resource without a pinned key", body)
    a.close()
    b.close()


def who_may_ask(a):
    """A request that somebody made a program in here send is refused; CoCo's clients are not."""
    evidence = "/aa/evidence?runtime_data=x"
    before = len(a.asked)
    for name, headers in (("no Host", {"Host": None}), ("Host of DNS", {"Host": "rebound.example:8006"}),
                          ("Host of another address", {"Host": "10.0.2.15:8006"}), ("a longer Host", {"Host": "localhost.evil:8006"}),
                          ("Origin", {"Origin": "null"}), ("X-Forwarded-For", {"X-Forwarded-For": "10.0.0.1"}),
                          ("Via", {"via": "1.1 proxy"}), ("a browser", {"Sec-Fetch-Site": "cross-site"})):
        status, body = raw_get(a, evidence, headers)
        ok(status == 403 and b"error" in body, f"refused: {name}", (status, body))
    ok(raw_get(a, evidence, {}, ["Host: localhost", "Host: localhost"])[0] == 403, "refused: two Hosts")
    ok(a.get("/aa/ra-tls")[0] == 403 and a.get("/aa/ra-tls", Shelter_Request="0")[0] == 403, "refused: ra-tls without its header")
    ok(len(a.asked) == before, "refused: before any evidence is made")
    for name, headers in (("curl", {"User-Agent": "curl/8.5.0", "Accept": "*/*"}), ("reqwest", {"accept": "*/*"}),
                          ("Node's fetch", {"sec-fetch-mode": "cors", "accept-encoding": "gzip, deflate"}),
                          ("Go", {"User-Agent": "Go-http-client/1.1", "Host": "localhost:8006"}),
                          ("a client by IPv6", {"Host": "[::1]:8006"})):
        ok(raw_get(a, evidence, headers)[0] == 200, f"answered: {name}")


def raw_get(a, path, headers, lines=()):
    """GET with just these headers; Host is right unless given (None: left out)."""
    headers = {"Host": f"127.0.0.1:{a.port}", **headers} if not lines else headers
    text = [f"GET {path} HTTP/1.1", *lines, *(f"{k}: {v}" for k, v in headers.items() if v is not None)]
    with socket.create_connection(("127.0.0.1", a.port), timeout=30) as s:
        s.sendall("\r\n".join(text).encode() + b"\r\n\r\n")
        answer = b"".join(iter(lambda: s.recv(65536), b""))
    return int(answer[9:12]), answer.partition(b"\r\n\r\n")[2]


def ra_tls(a):
    """The certificate: openssl reads it, its key is its own, the evidence binds it (docs/attestation.md)."""
    import base64
    import hashlib
    nonce = b"nonce-of-1"
    for query, want in (("", None), ("?nonce=nonce-of-1", nonce)):
        status, pem = a.get("/aa/ra-tls" + query, Shelter_Request="1")
        path = f"{FOLDER}/ra.pem"
        with open(path, "wb") as f:
            f.write(pem)
        tool = lambda *args: subprocess.run(["openssl", *args], capture_output=True, timeout=30)
        verify = tool("verify", "-CAfile", path, path)
        ok(status == 200 and verify.returncode == 0, "ra-tls: the signature is its own key's", verify.stderr)
        spki = tool("pkey", "-in", path, "-pubout", "-outform", "DER").stdout
        pub = tool("x509", "-in", path, "-noout", "-pubkey").stdout
        ok(base64.b64decode(b"".join(pub.splitlines()[1:-1])) == spki, "ra-tls: key and certificate are a pair")
        der = tool("x509", "-in", path, "-outform", "DER").stdout
        oid = bytes.fromhex("06066781050504 09".replace(" ", ""))
        at = der.index(oid)
        claims = (b"\xa2" if want else b"\xa1") + b"\x6bpubkey-hash" + b"\x58\x24\x82\x01\x58\x20" + hashlib.sha256(spki).digest()
        if want:
            claims += b"\x65nonce" + bytes([0x40 + len(want)]) + want
        report_data = hashlib.sha256(claims).digest().ljust(64, b"\0")
        quote = bytes(568) + report_data + bytes(368)
        value = b"\xd9\xea\x60\x82" + b"\x59" + struct.pack(">H", len(quote)) + quote + b"\x58" + bytes([len(claims)]) + claims
        ok(der[at + len(oid):].startswith(b"\x04\x82" + struct.pack(">H", len(value)) + value),
           f"ra-tls: the extension{' with a nonce' if want else ''}, byte by byte", der[at:at + 40].hex())


main()
