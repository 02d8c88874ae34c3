# SPDX-License-Identifier: Apache-2.0
"""The broker against clients that follow the protocol, and against those that do not. Prints TAP.

broker_cases.py SHELTER QUOTER FOLDER
"""
import concurrent.futures
import hashlib
import json
import os
import signal
import sqlite3
import ssl
import subprocess
import sys
import time
import unicodedata
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "adversary")]
import broker_attacks as strangers  # noqa: E402
import broker_gpu  # noqa: E402
from rcar import Client, Key, Platform, jcs, launch, manifest, openssl, unb64u  # noqa: E402
from tap import run, same  # noqa: E402

SHELTER, QUOTER, T = sys.argv[1:4]
SECRET = b"the secret of this test\n\0\xff"


def refused(name, answer, status, code):
    problem = answer[1] if isinstance(answer[1], dict) else {}
    good = problem.get("status") == answer[0] and problem.get("detail") and problem.get("title") \
        and answer[2].get("Content-Type") == "application/problem+json"
    same(name, (answer[0], problem.get("type", "").removeprefix("urn:shelter:broker:"), bool(good)), (status, code, True))


def shelter(*args, data=None, folder="broker", **env):
    return subprocess.run([SHELTER, "broker", args[0], "--dir", f"{T}/{folder}", *args[1:]], input=data,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, env={**os.environ, **env})


class Server:
    all = []

    def __init__(self, *options, folder="broker"):
        self.url_file = f"{T}/url"
        if os.path.exists(self.url_file):
            os.remove(self.url_file)
        self.process = subprocess.Popen([SHELTER, "broker", "serve", "--dir", f"{T}/{folder}", "--listen", "127.0.0.1:0",
                                         "--url-file", self.url_file, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        Server.all.append(self.process)
        for _ in range(300):
            if os.path.exists(self.url_file) or self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.url = open(self.url_file).read().strip() if os.path.exists(self.url_file) else None

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()


def reference(name, tee, measurement, *rules, folder="broker"):
    path = f"{T}/{name}.json"
    image = manifest((17, b"/bin/app"), (31, (POLICY_DEBUG).to_bytes(8, "little")))
    json.dump({"image": hashlib.sha384(image).hexdigest(), "manifest": image.hex(),
               "references": [{"tee": tee, "measurement": measurement}]}, open(path, "w"))
    done = shelter("add-reference", path, "--name", name, "--replace", *rules, folder=folder)
    assert done.returncode == 0, done.stderr


platform = Platform(QUOTER, f"{T}/platform")
ROOTS = ["--collateral", f"tdx={T}/platform/tdx/collateral.json", "--collateral", f"sgx={T}/platform/sgx/collateral.json",
         "--ca", f"{T}/platform/tdx/root.pem", "--rate", "0"]
POLICY_DEBUG = 1 << 5
MRTD, MRENCLAVE = {"mrtd": "11" * 48, "rtmr1": "00" * 48, "rtmr2": "00" * 48}, {"mrenclave": "33" * 32}
PLAIN = launch(network="dhcp", memory="134217728", cpus="2")


def walk_by_hand(server):
    """Nothing but curl, with the broker's key pinned."""
    pin = shelter("key").stdout
    der = openssl("pkey", "-pubin", "-outform", "DER", data=pin)
    import base64
    import hashlib
    pin = "sha256//" + base64.b64encode(hashlib.sha256(der).digest()).decode()
    jar = f"{T}/cookies"

    def curl(path, body=None, use=pin):
        args = ["curl", "-sk", "--pinnedpubkey", use, "-b", jar, "-c", jar, "-m", "30", server.url + path]
        if body is not None:
            args += ["-H", "Content-Type: application/json", "--data-binary", "@-"]
        return subprocess.run(args, input=(body or "").encode(), stdout=subprocess.PIPE, timeout=60)

    client = Client(server.url, platform)
    client.nonce = json.loads(curl("/kbs/v0/auth", '{"version":"0.4.0","tee":"tdx","extra-params":{}}').stdout)["nonce"]
    token = json.loads(curl("/kbs/v0/attest", json.dumps(client.attestation(init=PLAIN))).stdout)["token"]
    same("curl: RCAR 0.4.0 by hand, decrypted by openssl", client.key.decrypt(json.loads(curl("/kbs/v0/resource/app/key/one").stdout)), SECRET)
    same("curl: another broker's key is noticed", curl("/healthz", use="sha256//" + "A" * 43 + "=").returncode, 90)
    for version, want in (("1.1", 35), ("1.2", 0), ("1.3", 0)):
        done = subprocess.run(["curl", "-sk", "--tls-max", version, "-m", "30", server.url + "/healthz"], stdout=subprocess.PIPE, timeout=60)
        same(f"TLS {version}", done.returncode, want)
    # The token, by openssl and the published JWKS.
    jwk = json.loads(curl("/.well-known/jwks.json").stdout)["keys"][0]
    same("JWKS is the key that `broker key --jwks` prints", json.loads(shelter("key", "--jwks").stdout), {"keys": [jwk]})
    same("JWKS: not the key of TLS", unb64u(jwk["x"]) + unb64u(jwk["y"]) == der[-64:], False)
    der = der[:-64] + unb64u(jwk["x"]) + unb64u(jwk["y"])
    head, body, sig = token.split(".")
    raw = unb64u(sig)
    ints = [raw[:32].lstrip(b"\0"), raw[32:].lstrip(b"\0")]
    ints = [b"\0" + i if i[0] & 0x80 else i for i in ints]
    seq = b"".join(bytes([2, len(i)]) + i for i in ints)
    for name, data in (("pub.der", der), ("sig.der", bytes([0x30, len(seq)]) + seq)):
        open(f"{T}/{name}", "wb").write(data)
    check = openssl("dgst", "-sha256", "-verify", f"{T}/pub.der", "-keyform", "DER", "-signature", f"{T}/sig.der", data=f"{head}.{body}".encode())
    same("token: openssl verifies its signature", check, b"Verified OK\n")
    claims = json.loads(unb64u(body))
    same("token: says which key, image and TEE", (claims["tee-pubkey"], claims["reference"], claims["tee"], claims["simulated"], claims["claims"]["mrtd"]),
         (client.key.jwk, "good", "tdx", False, MRTD["mrtd"]))
    same("token: is an EAR", (claims["eat_profile"], claims["submods"]["cpu0"]["ear.status"], set(claims["ear.verifier-id"])),
         ("tag:github.com,2023:veraison/ear", "affirming", {"developer", "build"}))
    same("token: lives five minutes where nothing else is said", claims["exp"] - claims["iat"], 300)
    entries = [json.loads(line) for line in shelter("log", "--json").stdout.splitlines()]
    named = [(e["event"], e["session"]) for e in entries if e["outcome"] == "granted"]
    same("log: names the token, not the client's cookie", (named, open(jar).read().split()[-1] in json.dumps(entries)),
         ([("attest", claims["jti"]), ("resource", claims["jti"])], False))
    same("token: kid is the thumbprint", json.loads(unb64u(head)), {"alg": "ES256", "typ": "JWT", "kid": jwk["kid"]})


def own_certificate():
    """A certificate of the operator's: clients that trust its authority need no pin, tokens keep their key."""
    def made(name, *options):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{T}/{name}.key", "-out", f"{T}/{name}.crt", *options)
        return ["--tls-cert", f"{T}/{name}.crt", "--tls-key", f"{T}/{name}.key"]
    mine, other = made("mine"), made("other")

    def asked(server, ca):
        return subprocess.run(["curl", "-s", "--cacert", f"{T}/{ca}.crt", "-m", "30", server.url + "/healthz"], stdout=subprocess.PIPE, timeout=60).returncode
    shown = []
    for _ in range(2):
        with Server(*ROOTS) as server:
            shown.append(ssl.get_server_certificate(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))))
    same("one's own: the same at each start", shown[0] == shown[1] and "BEGIN CERTIFICATE" in shown[0], True)
    with Server(*ROOTS, *mine) as server:
        same("--tls-cert: served, as any client checks it", (asked(server, "mine"), asked(server, "other")), (0, 60))
        made("mine")
        server.process.send_signal(signal.SIGHUP)
        time.sleep(1)
        same("--tls-cert: read at the start only", asked(server, "mine"), 60)
        client = Client(server.url, platform)
        same("--tls-cert: an attested client", (client.handshake(init=PLAIN)[0], client.secret("app/key/one")), (200, SECRET))
        keys = subprocess.run(["curl", "-sk", "-m", "30", server.url + "/.well-known/jwks.json"], stdout=subprocess.PIPE, timeout=60)
        same("--tls-cert: tokens keep their key", json.loads(keys.stdout), json.loads(shelter("key", "--jwks").stdout))
    for name, options, want in (("another's key", mine[:2] + other[2:], b"no certificate and its private key"), ("no such file", ["--tls-cert", f"{T}/none", *mine[2:]], b"none"),
                                ("a key alone", mine[2:], b"go together"), ("no certificate", ["--tls-cert", mine[3], *mine[2:]], b"no certificate and its private key")):
        done = shelter("serve", "--listen", "127.0.0.1:0", *ROOTS, *options)
        same(f"--tls-cert: {name}", (done.returncode, done.stderr.count(b"\n") <= 2, want in done.stderr), (125, True, True))


def protocol(server):
    for version in ("0.4.0", "0.2.0"):
        for key in ("P-256", "P-384", "P-521", "RSA"):
            c = Client(server.url, platform, version=version, key=Key(key))
            same(f"{version} {key}: attested", c.handshake(init=PLAIN)[0], 200)
            same(f"{version} {key}: secret by cookie", c.secret("app/key/one"), SECRET)
            same(f"{version} {key}: secret by token", c.secret("app/key/one", bearer=True), SECRET)
    # Real releases of 0.1.x expect RSA1_5 and another JWE: nothing that we give could be read there.
    refused("0.1.1 is not spoken", c.ask("POST", "/kbs/v0/auth", {"version": "0.1.1", "tee": "tdx", "extra-params": ""}), 401, "version")
    c = Client(server.url, platform, version="0.2.0")
    c.auth()
    refused("evidence as a string", c.attest(c.attestation(init=PLAIN, as_text=True)), 400, "malformed")
    c = Client(server.url, platform, kind="sgx")
    same("sgx: attested, init-data in CONFIGID", c.handshake(init=PLAIN)[0], 200)
    same("sgx: secret", c.secret("app/key/one"), SECRET)
    c = Client(server.url, platform)
    same("additional evidence is bound", c.handshake(init=PLAIN, additional='{"x": "y"}')[0], 200)
    status, challenge, head = c.ask("POST", "/kbs/v0/auth", {"version": "0.4.0", "tee": "tdx", "extra-params": {"supported-hash-algorithms": ["sha384"]}})
    same("challenge: names the hash when asked", challenge["extra-params"], {"selected-hash-algorithm": "sha384", "measured-log": "shelter-aael"})
    for offered, selected in ((["sha256"], "sha256"), (["sha256", "sha512"], "sha512"), (["md5", "sha256", "sha384"], "sha384")):
        c = Client(server.url, platform)
        status, challenge, _ = c.ask("POST", "/kbs/v0/auth", {"version": "0.4.0", "tee": "tdx", "extra-params": {"supported-hash-algorithms": offered}})
        c.nonce = challenge["nonce"]
        same(f"challenge: of {offered}", challenge["extra-params"], {"selected-hash-algorithm": selected, "measured-log": "shelter-aael"})
        same(f"attested by {selected}", (c.attest(init=PLAIN, hash_name=selected)[0], c.secret("app/key/one")), (200, SECRET))
    c = Client(server.url, platform)
    c.nonce = c.ask("POST", "/kbs/v0/auth", {"version": "0.4.0", "tee": "tdx", "extra-params": {"supported-hash-algorithms": ["sha256"]}})[1]["nonce"]
    refused("another hash than was selected", c.attest(init=PLAIN), 401, "report-data")
    refused("no hash that is known", c.ask("POST", "/kbs/v0/auth", {"version": "0.4.0", "tee": "tdx", "extra-params": {"supported-hash-algorithms": ["md5"]}}), 401, "hash")
    status, challenge, head = c.ask("POST", "/kbs/v0/auth", {"version": "0.4.0", "tee": "tdx", "extra-params": {"supported-hash-algorithms": ["sha384"]}})
    same("challenge: 32 random bytes", len(unb64u(challenge["nonce"])), 32)
    same("cookie: not for scripts, not in the clear", all(x in head["Set-Cookie"] for x in ("HttpOnly", "Secure", "SameSite=Strict")), True)
    refused("unknown version", c.ask("POST", "/kbs/v0/auth", {"version": "0.9.0", "tee": "tdx"}), 401, "version")
    refused("unknown TEE", c.ask("POST", "/kbs/v0/auth", {"version": "0.4.0", "tee": "sample"}), 401, "tee")


def attacks(server):
    new = lambda **o: Client(server.url, platform, **o)
    c = new()
    c.auth()
    body = c.attestation(init=PLAIN)
    same("replay: the first is good", c.attest(body)[0], 200)
    refused("replay: the same again", c.attest(body), 409, "replayed")
    same("replay: and the session goes on", c.secret("app/key/one"), SECRET)
    c.auth()
    refused("replay: old nonce in a new session", c.attest(body), 401, "nonce")
    refused("replay: that session is over", c.attest(init=PLAIN), 409, "replayed")
    c.auth()
    body["runtime-data"]["nonce"] = c.nonce
    refused("replay: old evidence under the new nonce", c.attest(body), 401, "report-data")
    old = new(version="0.2.0")
    old.auth()
    body = old.attestation(init=PLAIN)
    old.attest(body)
    old.auth()
    refused("replay: 0.2.0", old.attest(body), 401, "report-data")
    c = new()
    refused("evidence of one key with another", c.handshake(init=PLAIN, bound_key=Key()), 401, "report-data")
    mixed = new()
    mixed.auth()
    mixed.version = "0.2.0"
    body = mixed.attestation(init=PLAIN)
    mixed.version = "0.4.0"
    sent = mixed.attestation(init=PLAIN)
    sent["tee-evidence"]["primary_evidence"] = body["tee-evidence"]
    refused("the other version's binding", mixed.attest(sent), 401, "report-data")
    c.auth()
    body = c.attestation(init=PLAIN, additional='{"x": "y"}')
    body["tee-evidence"]["additional_evidence"] = '{"x":"y"}'
    refused("additional evidence changed", c.attest(body), 401, "report-data")
    c.auth()
    body = c.attestation(init=PLAIN)
    quote = body["tee-evidence"]["primary_evidence"]
    quote["quote"] = quote["quote"][:400] + ("A" if quote["quote"][400] != "A" else "B") + quote["quote"][401:]
    same("one letter of the quote changed", c.attest(body)[0], 401)
    refused("debug", c.handshake(init=PLAIN, debug=True), 401, "debug")
    refused("simulated", new(kind="sim").handshake(init=PLAIN), 401, "simulated")
    sgx = new(kind="sgx")
    sgx.auth()
    sgx.kind = "tdx"
    refused("another TEE than announced", sgx.attest(init=PLAIN), 401, "type-mismatch")
    # Launch config
    refused("init-data changed", c.handshake(init=PLAIN, sent_init=PLAIN.replace("cpus 2", "cpus 4")), 401, "init-data")
    same("init-data: memory and CPUs are free", c.handshake(init=launch(memory="1073741824", cpus="64"))[0], 200)
    c.auth()
    body = c.attestation(init=PLAIN)
    del body["init-data"]
    refused("init-data left out", c.attest(body), 401, "init-data")
    refused("no init-data though nothing is bound", c.handshake(init=None), 401, "init-data")
    for field, value in {"arg": ["/bin/sh", "-c", "id"], "env": "LD_PRELOAD=/host/x.so", "workdir": "/tmp", "user": "0", "hostname": "x",
                         "stdin": "1", "mount": "share0 rw /data", "file": "0644 /etc/x 61", "debug": "1"}.items():
        refused(f"the host chose {field}", c.handshake(init=launch(**{field: value})), 401, "launch-config")
    refused("init-data in another form", c.handshake(init=PLAIN.replace("cpus", " cpus")), 401, "launch-config")
    # Order
    c = new()
    refused("resource before any session", c.get("app/key/one"), 401, "unauthenticated")
    refused("attestation before any challenge", c.ask("POST", "/kbs/v0/attest", {}), 401, "no-session")
    c.auth()
    refused("resource before attestation", c.get("app/key/one"), 401, "unauthenticated")
    c.cookie = "kbs-session-id=" + "0" * 64
    refused("a session that never was", c.ask("POST", "/kbs/v0/attest", {}), 401, "no-session")
    c.handshake(init=PLAIN)
    refused("no such resource, and no policy: not even that is said", c.get("app/key/none"), 403, "policy")
    shelter("policy", "app/key/none", "-", data=b'{"images": "any"}')
    refused("no such resource", c.get("app/key/none"), 404, "no-such-resource")
    for path in ("app/key", "app/key/one/two", "../key/one", "app//one", "app/key/%2e%2e", "app/key/" + "x" * 200, "app/key/one%00"):
        same(f"path {path[:20]}", c.get(path)[0], 400)
    head, payload, sig = c.token.split(".")
    for name, token in (("payload", ".".join((head, payload[:-4] + "AAAA", sig))), ("signature", ".".join((head, payload, "A" * 86))),
                        ("alg none", "eyJhbGciOiJub25lIn0." + payload + "."), ("empty", ""), ("dots", "..")):
        c.token = token
        refused(f"token with another {name}", c.get("app/key/one", bearer=True), 401, "unauthenticated")
    # Keys
    weak = new()
    for name, jwk in (("point not on the curve", dict(weak.key.jwk, y=weak.key.jwk["x"])), ("unknown curve", dict(weak.key.jwk, crv="P-192")),
                      ("another alg", dict(weak.key.jwk, alg="dir")), ("PKCS #1 v1.5", {"kty": "RSA", "alg": "RSA1_5", "n": "u" * 342, "e": "AQAB"}),
                      ("RSA of 512 bits", {"kty": "RSA", "alg": "RSA-OAEP-256", "n": "u" * 86, "e": "AQAB"}), ("symmetric", {"kty": "oct", "k": "AAAA"})):
        weak.key.jwk, kept = jwk, weak.key.jwk
        refused(f"tee-pubkey: {name}", weak.handshake(init=PLAIN), 400, "tee-pubkey")
        weak.key.jwk = kept


def relays(server):
    """Two instances of the same image, and a host between them and the broker."""
    mine, theirs = Client(server.url, platform), Client(server.url, platform)
    mine.auth()
    theirs.nonce = mine.nonce  # the challenge, passed on
    body = theirs.attestation(init=PLAIN)
    stolen = json.loads(json.dumps(body))
    stolen["runtime-data"]["tee-pubkey"] = mine.key.jwk
    refused("relay: the other instance's evidence with a key of the host's", mine.attest(stolen), 401, "report-data")
    mine.auth()
    theirs.nonce = mine.nonce
    same("relay: passed on whole it is the other instance that is attested", mine.attest(theirs.attestation(init=PLAIN))[0], 200)
    jwe = mine.get("app/key/one")[1]
    same("relay: which alone can open the secret", theirs.key.decrypt(jwe), SECRET)
    try:
        got = mine.key.decrypt(jwe)
    except (subprocess.CalledProcessError, ValueError):
        got = None
    same("relay: the host cannot", got, None)
    a, b = Client(server.url, platform, kind="sgx"), Client(server.url, platform)
    b.auth()
    a.nonce = b.nonce
    body = a.attestation(init=PLAIN)
    body["runtime-data"]["tee-pubkey"] = b.key.jwk
    refused("evidence of one image with the key of another", b.attest(body), 401, "type-mismatch")
    b.auth()
    body = b.attestation(init=PLAIN)
    body["init-data"] = {"format": "toml", "body": launch(arg=["/bin/sh"], memory="134217728")}
    refused("launch config swapped for another well-formed one", b.attest(body), 401, "init-data")


def clocks_and_keys():
    old = Platform(QUOTER, f"{T}/old", 7200)  # its TCB info and identity were good for an hour
    roots = ["--collateral", f"tdx={T}/old/tdx/collateral.json", "--ca", f"{T}/old/tdx/root.pem", "--rate", "0"]
    shelter("init", folder="clock")
    reference("good", "tdx", MRTD, folder="clock")
    with Server(*roots, folder="clock") as server:
        refused("expired collateral", Client(server.url, old).handshake(init=PLAIN), 401, "tcb-info-expired")
    old.close()
    roots = ["--collateral", f"tdx={T}/platform/tdx/collateral.json", "--ca", f"{T}/platform/tdx/root.pem", "--rate", "0"]
    with Server(*roots, folder="clock") as server:
        c = Client(server.url, platform)
        same("collateral in date", c.handshake(init=PLAIN)[0], 200)
        pin = shelter("key", folder="clock").stdout
    # The audit log knows a later time than the clock: as after a clock was set back.
    db = sqlite3.connect(f"{T}/clock/broker.db")
    db.execute("UPDATE log SET time_ms = time_ms + 3 * 3600 * 1000 WHERE id = (SELECT max(id) FROM log)")
    db.commit()
    db.close()
    with Server(*roots, folder="clock") as server:
        refused("a clock set back does not make it valid again", Client(server.url, platform).handshake(init=PLAIN), 401, "tcb-info-expired")
        c.url = Client(server.url).url
        refused("nor a token", c.get("app/key/one", bearer=True), 401, "unauthenticated")
    # Another broker in its place: another database, so another key.
    shelter("init", folder="changed")
    reference("good", "tdx", MRTD, folder="changed")
    shelter("add-resource", "app/key/one", "--image", "any", folder="changed", data=b"not the owner's")
    with Server(*roots, folder="changed") as server:
        import base64
        import hashlib
        der = openssl("pkey", "-pubin", "-outform", "DER", data=pin)
        pinned = "sha256//" + base64.b64encode(hashlib.sha256(der).digest()).decode()
        done = subprocess.run(["curl", "-sk", "--pinnedpubkey", pinned, "-m", "30", server.url + "/healthz"], stdout=subprocess.PIPE, timeout=60)
        same("broker's certificate changed: a client that pins its key does not talk", done.returncode, 90)
        c = Client(server.url, platform)
        c.handshake(init=PLAIN)
        kid = json.loads(unb64u(c.token.split(".")[0]))["kid"]
        with Server(*ROOTS) as own:
            jwks = Client(own.url).ask("GET", "/.well-known/jwks.json")[1]["keys"]
            same("broker's certificate changed: its token is not the broker's", kid in [k["kid"] for k in jwks], False)
            c.url = Client(own.url).url
            refused("broker's certificate changed: nor taken by it", c.get("app/key/one", bearer=True), 401, "unauthenticated")


def abuse(server):
    c = Client(server.url, platform)
    for name, body in (("garbage", b"\xff\xfe"), ("not JSON", b"{"), ("an array", b"[]"), ("empty", b""), ("something behind", b"{} {}"),
                       ("NUL behind", b"{}\0{}"), ("deep", b'{"a":' * 500 + b"1" + b"}" * 500), ("a name twice", b'{"tee": "tdx", "version": "0.4.0", "version": "0.2.0"}'),
                       ("a name twice, deep", b'{"version": "0.4.0", "tee": "tdx", "extra-params": {"a": 1, "a": 2}}'), ("many values", b"[" + b"0," * 1500 + b"0]")):
        refused(f"auth: {name}", c.ask("POST", "/kbs/v0/auth", body), 400, "malformed")
    c.auth()
    for name, body in (("garbage", b"\xff"), ("torn", json.dumps(c.attestation(init=PLAIN)).encode()[:-1])):
        refused(f"attest: {name}", c.ask("POST", "/kbs/v0/attest", body), 400, "malformed")
    same("attest: torn bytes do not use up the nonce", c.attest(init=PLAIN)[0], 200)
    good = lambda: c.auth() and c.attestation(init=PLAIN)
    for name, change in (("no runtime-data", lambda b: b.pop("runtime-data")), ("no evidence", lambda b: b.pop("tee-evidence")),
                         ("evidence a number", lambda b: b["tee-evidence"].update(primary_evidence=7)),
                         ("key a string", lambda b: b["runtime-data"].update({"tee-pubkey": "x"})),
                         ("nonce a number", lambda b: b["runtime-data"].update(nonce=1)),
                         ("init-data a string", lambda b: b.update({"init-data": "x"})),
                         ("additional evidence an object", lambda b: b["tee-evidence"].update(additional_evidence={}))):
        body = good()
        change(body)
        refused(f"attest: {name}", c.attest(body), 400, "malformed")
    for method, path, status in (("GET", "/kbs/v0/auth", 405), ("PUT", "/kbs/v0/attest", 405), ("POST", "/kbs/v0/resource/a/b/c", 405),
                                 ("DELETE", "/kbs/v0/resource/app/key/one", 405), ("GET", "/", 404), ("GET", "/kbs/v0/resource", 404), ("GET", "/kbs/v1/auth", 404)):
        same(f"{method} {path}", c.ask(method, path)[0], status)
    big = b"x" * (3 << 20)
    same("oversize: refused by its length", c.raw(b"POST /kbs/v0/attest HTTP/1.1\r\nHost: x\r\nContent-Length: 3145728\r\n\r\n"), 413)
    same("oversize: chunked", c.raw(b"POST /kbs/v0/auth HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n300000\r\n" + big + b"\r\n0\r\n\r\n"), 413)
    same("oversize: headers", c.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200000 + b"\r\n\r\n") in (0, 400, 413, 431), True)
    c.auth()
    body = json.dumps(c.attestation(init=PLAIN)).encode()
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = [f.result()[0] for f in [pool.submit(c.ask, "POST", "/kbs/v0/attest", body) for _ in range(12)]]
    same("twelve at once with one nonce: one is accepted", (answers.count(200), answers.count(409)), (1, 11))
    refused("oversize: a challenge needs no 4 KiB", c.ask("POST", "/kbs/v0/auth", b" " * 5000 + b"{}"), 413, "too-large")
    for name, head, body in (("a length and chunks", b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
                             ("two lengths", b"Content-Length: 2\r\nContent-Length: 0", b"{}"),
                             ("two codings", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"0\r\n\r\n"),
                             ("an unknown coding", b"Transfer-Encoding: xchunked", b"0\r\n\r\n"),
                             ("a length with a sign", b"Content-Length: +2", b"{}"), ("a name with a space", b"Content-Length : 2", b"{}"),
                             ("two hosts", b"Host: y\r\nContent-Length: 2", b"{}")):
        with strangers.connect(c.url, "127.0.0.1") as s:
            s.sendall(b"POST /kbs/v0/auth HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n" + body + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            same(f"smuggled behind {name}: refused, and nothing behind is read", [a[0] for a in strangers.answers(s, 2)], [400])
    refused("a body where none is wanted", c.ask("GET", "/healthz", b"x"), 413, "too-large")


def policies():
    with Server(*ROOTS, folder="broker") as server:
        c = Client(server.url, platform)
        same("policy: attested", c.handshake(init=PLAIN)[0], 200)
        image = json.loads(unb64u(c.token.split(".")[1]))["image"]
        for name, policy, want in (("another image", {"images": ["good-sgx"]}, 403), ("this image by name", {"images": ["good-sgx", "good"]}, 200),
                                   ("this image by identity", {"images": [image]}, 200), ("any image", {"images": "any"}, 200),
                                   ("no image named", {}, 403), ("conditions that name no image", {"tee": ["tdx"]}, 403),
                                   ("another TEE", {"images": "any", "tee": ["snp"]}, 403),
                                   ("this TEE", {"images": "any", "tee": ["tdx"]}, 200), ("TCB status", {"images": "any", "tcb_status": ["OutOfDate"]}, 403),
                                   ("TCB status holds", {"images": "any", "tcb_status": ["UpToDate"]}, 200),
                                   ("claim", {"images": "any", "claims": {"mrtd": "22" * 48}}, 403),
                                   ("claim holds", {"images": "any", "claims": {"mrtd": "11" * 48}}, 200), ("nobody", {"images": "any", "allow": False}, 403),
                                   ("this image by the first digits", {"images": [image[:12]]}, 200)):
            done = shelter("policy", "app/key/one", "-", data=json.dumps(policy).encode())
            same(f"policy: {name}", (done.returncode, c.get("app/key/one")[0]), (0, want))
        done = shelter("policy", "app/key/one", "-", data=b'{"image": ["x"]}')
        same("policy: a misspelt member is an error, in one line", (done.returncode, done.stderr.count(b"\n"), b'"image"' in done.stderr), (125, 1, True))
        for name, text in (("trailing text", b'{"images": ["good"]} x'), ("a second object", b'{"images": ["good"]}{}'), ("a NUL and more", b'{"images": ["good"]}\0{"allow": false}'),
                           ("a name twice, deep", b'{"claims": {"n": {"min": 9, "min": 1}}}'), ("a name twice, escaped", b'{"allow": false, "\\u0061llow": true}'),
                           ("a NUL in a string", b'{"images": ["good\\u0000x"]}'), ("an unknown image", b'{"images": ["nobody"]}')):
            done = shelter("policy", "app/key/one", "-", data=text)
            same(f"policy: {name} is an error, in one line", (done.returncode, done.stderr.count(b"\n")), (125, 1))
        same("policy: and nothing of it was kept", json.loads(shelter("policy", "app/key/one").stdout), {"images": [image]})
        # Names are looked up when the policy is kept; whoever gets the name later gets nothing.
        done = shelter("policy", "app/key/one", "-", data=b'{"images": ["good"]}')
        same("policy: says which identity a name is", done.stderr, f"'good' is image {image}\n".encode())
        same("reference: its name is not changed silently", shelter("add-reference", f"{T}/good-sgx.json", "--name", "good").returncode, 125)
        same("reference: the same again is no change", shelter("add-reference", f"{T}/good.json", "--name", "good").returncode, 0)
        same("reference: a file has no name of its own", shelter("add-reference", f"{T}/good.json").returncode, 125)
        for name in ("0123456789ab", image, "any", "a\nb", ""):
            same(f"reference: '{name[:12]!r}' is no name", shelter("add-reference", f"{T}/good.json", "--name", name).returncode, 125)
        moved = shelter("add-reference", f"{T}/good-sgx.json", "--name", "good", "--replace")
        shelter("remove-reference", "good-sgx")
        sgx = Client(server.url, platform, kind="sgx")
        same("policy: another image under the name attests", (moved.returncode, sgx.handshake(init=PLAIN)[0]), (0, 200))
        refused("policy: and gets nothing", sgx.get("app/key/one"), 403, "policy")
        reference("good", "tdx", MRTD)
        reference("good-sgx", "sgx", MRENCLAVE)
        claimed = json.load(open(f"{T}/good-sgx.json"))
        claimed["image"] = image
        del claimed["manifest"]
        json.dump(claimed, open(f"{T}/claims.json", "w"))
        shelter("add-reference", f"{T}/claims.json", "--name", "claims", "--insecure-any-launch")
        listed = {r["name"]: r["image"] for r in json.loads(shelter("list", "--json").stdout)["references"]}
        same("reference: a file's word for its identity does not count", listed["claims"] == image, False)
        shelter("remove-reference", "claims")
        # '*' is a floor, whatever the resource's own policy says
        same("policy: of all", shelter("policy", "*", "-", data=b'{"allow": false}').returncode, 0)
        refused("policy: holds beside the resource's own", c.get("app/key/one"), 403, "policy")
        explained = shelter("policy", "explain", "good", "app/key/one")
        same("explain: refused", (explained.returncode, explained.stdout.splitlines()[-1]), (1, b"answer: refused"))
        shelter("policy", "*", "-", data=b'{"tee": ["tdx"]}')
        same("policy: both hold", c.get("app/key/one")[0], 200)
        explained = shelter("policy", "explain", "good", "app/key/one")
        same("explain: given, and what is demanded", (explained.returncode, b'demands tee: ["tdx"]' in explained.stdout, explained.stdout.splitlines()[-1]),
             (0, True, b"answer: given, where all demands are met"))
        explained = shelter("policy", "explain", "good-sgx", "app/key/one")
        same("explain: another image", (explained.returncode, b"does not list this image" in explained.stdout), (1, True))
        shelter("policy", "app/key/one", "--remove")
        refused("policy: none that names an image", c.get("app/key/one"), 403, "policy")
        same("explain: says so", b"no policy names an image" in shelter("policy", "explain", "good", "app/key/one").stdout, True)
        shelter("policy", "*", "--remove")
        refused("policy: none at all", c.get("app/key/one"), 403, "policy")
        shelter("policy", "app/key/one", "-", data=b'{"images": ["good"]}')
        same("add-resource: nothing is changed silently", shelter("add-resource", "app/key/one", data=b"x").returncode, 125)
        same("add-resource: nor its policy", (shelter("remove-resource", "app/key/one").returncode, shelter("add-resource", "app/key/one", "--image", "any", data=b"x").returncode), (0, 125))
        same("add-resource: back", shelter("add-resource", "app/key/one", data=SECRET).returncode, 0)
        # Rules of the launch config
        shelter("policy", "app/key/one", "-", data=b'{"images": "any"}')
        reference("good", "tdx", MRTD, "--allow", "arg=/bin/app --serve", "--allow", "env=A=1", "--allow", "env=B=2", "--allow", "workdir")
        for name, config, want in (("this command", launch(arg=["/bin/app", "--serve"]), 200), ("another command", launch(arg=["/bin/app", "--dump"]), 401),
                                   ("a longer command", launch(arg=["/bin/app", "--serve", "x"]), 401), ("these variables", launch(env=["B=2", "A=1"]), 200),
                                   ("another value", launch(env=["A=1", "B=3"]), 401), ("any workdir", launch(workdir="/x"), 200), ("stdin still not", launch(stdin="1"), 401)):
            same(f"--allow: {name}", c.handshake(init=config)[0], want)
        reference("good", "tdx", MRTD, "--insecure-any-launch")
        same("--insecure-any-launch: attested", c.handshake(init=launch(arg=["/bin/sh"], stdin="1"))[0], 200)
        refused("--insecure-any-launch: no secret for that", c.get("app/key/one"), 403, "policy")
        shelter("policy", "app/key/one", "-", data=b'{"images": "any", "launch": "any"}')
        same("--insecure-any-launch: unless the resource says so", c.get("app/key/one")[0], 200)
        same("--insecure-any-launch: also a guest that shows no init-data", c.handshake(init=None)[0], 200)
        refused("--insecure-any-launch: never debug", c.handshake(init=launch(debug="1")), 401, "launch-config")
        shelter("policy", "app/key/one", "-", data=b'{"images": "any"}')
        # A guest that is not ours, with init-data of its own kind: it is bound, and nothing in it is judged.
        theirs = 'algorithm = "sha384"\nversion = "0.1.0"\n\n[data]\n"aa.toml" = \'\'\'\n[token_configs]\n\'\'\'\n'
        json.dump({"references": [{"tee": "tdx", "measurement": MRTD}]}, open(f"{T}/foreign.json", "w"))
        shelter("remove-reference", "good")
        shelter("add-reference", f"{T}/foreign.json", "--name", "foreign", "--insecure-any-launch")
        same("CoCo's init-data: attested", c.handshake(init=theirs)[0], 200)
        refused("CoCo's init-data: bound", c.handshake(init=theirs, sent_init=theirs.replace("token", "other")), 401, "init-data")
        same("CoCo's init-data: ours is still judged", c.handshake(init=launch(debug="1"))[0], 401)
        same("CoCo's init-data: only where the reference says that it may be any",
             shelter("add-reference", f"{T}/foreign.json", "--name", "foreign", "--replace").returncode, 125)
        shelter("remove-reference", "foreign")
        reference("good", "tdx", MRTD)
        c.handshake(init=PLAIN)
        reference("good", "tdx", MRTD, "--allow", "env=A=1")
        refused("reference: changed since", c.get("app/key/one"), 403, "reference-withdrawn")
        reference("good", "tdx", MRTD)
        same("reference: as it was", c.get("app/key/one")[0], 200)
        # References come and go while it serves
        c.handshake(init=PLAIN)
        same("reference: removed", shelter("remove-reference", "good").returncode, 0)
        refused("reference: its token is good for nothing now", c.get("app/key/one"), 403, "reference-withdrawn")
        refused("reference: unknown measurement", c.handshake(init=PLAIN), 401, "reference-mismatch")
        reference("other", "tdx", {**MRTD, "mrtd": "12" * 48})
        refused("reference: of another image", c.handshake(init=PLAIN), 401, "reference-mismatch")
        reference("simulated", "tdx-sim", MRTD)
        refused("reference: only for simulated ones", c.handshake(init=PLAIN), 401, "reference-mismatch")
        reference("another kernel", "tdx", {**MRTD, "rtmr1": "01" * 48})
        reference("another command line", "tdx", {**MRTD, "rtmr2": "01" * 48})
        refused("reference: the firmware alone is no image", c.handshake(init=PLAIN), 401, "reference-mismatch")
        for name, measurement in (("nothing", {}), ("MRTD alone", {"mrtd": "11" * 48}), ("no RTMR2", {"mrtd": "11" * 48, "rtmr1": "00" * 48}),
                                  ("no RTMR2 in a list", {"mrtd": "11" * 48, "rtmr": [None, "00" * 48, None]})):
            json.dump({"references": [{"tee": "tdx", "measurement": measurement}]}, open(f"{T}/lacks.json", "w"))
            done = shelter("add-reference", f"{T}/lacks.json", "--name", "lacks", "--insecure-any-launch")
            same(f"reference: {name} is none", (done.returncode, b"RTMR1 and RTMR2" in done.stderr), (125, True))
        reference("good", "tdx", MRTD)
        same("reference: back again", c.handshake(init=PLAIN)[0], 200)
        shelter("add-resource", "app/key/two", "--image", "other", data=b"x")
        refused("add-resource --image", c.get("app/key/two"), 403, "policy")


def limits_and_simulation():
    with Server(*ROOTS, "--nonce-seconds", "1") as server:
        c = Client(server.url, platform)
        c.auth()
        body = c.attestation(init=PLAIN)
        time.sleep(1.3)
        refused("an expired nonce", c.attest(body), 401, "no-session")
    with Server(*ROOTS, "--session-seconds", "1") as server:
        c = Client(server.url, platform)
        same("a short session", c.handshake(init=PLAIN)[0], 200)
        time.sleep(2.1)
        refused("an expired session", c.get("app/key/one"), 401, "unauthenticated")
        refused("an expired token", c.get("app/key/one", bearer=True), 401, "unauthenticated")
    with Server(*ROOTS[:-2], "--rate", "5") as server:
        c = Client(server.url, platform)
        with strangers.connect(c.url, "127.0.0.1") as s:
            s.sendall(strangers.request("POST", "/kbs/v0/auth", strangers.AUTH) * 40)
            answers = [status for status, _, _ in strangers.answers(s, 40)]
        same("rate limit: ten at once, then 429", (answers[:10], 429 in answers), ([200] * 10, True))
        time.sleep(1.1)
        same("rate limit: recovers", c.auth()[0], 200)
    other = Platform(QUOTER, f"{T}/other")
    # Two platforms, each with collateral of its own, in any order.
    for first, second in ((T + "/other", T + "/platform"), (T + "/platform", T + "/other")):
        roots = open(f"{T}/platform/tdx/root.pem").read() + open(f"{T}/other/tdx/root.pem").read()
        open(f"{T}/roots.pem", "w").write(roots)
        with Server("--collateral", f"tdx={first}/tdx/collateral.json", "--collateral", f"tdx={second}/tdx/collateral.json",
                    "--ca", f"{T}/roots.pem", "--rate", "0") as server:
            same("collateral of two platforms", [Client(server.url, p).handshake(init=PLAIN)[0] for p in (platform, other)], [200, 200])
    with Server(*ROOTS, "--allow-simulated", f"{T}/platform/sim/root.pem") as server:
        c = Client(server.url, platform, kind="sim")
        same("--allow-simulated: the named root", c.handshake(init=PLAIN)[0], 200)
        same("--allow-simulated: gets the secret", c.secret("app/key/one"), SECRET)
        refused("--allow-simulated: another simulated root", Client(server.url, other, kind="sim").handshake(init=PLAIN), 401, "simulated")
        refused("--allow-simulated: another real root", Client(server.url, other).handshake(init=PLAIN), 401, "untrusted-root")
        same("--allow-simulated: real ones still by their collateral", Client(server.url, platform).handshake(init=PLAIN)[0], 200)
        shelter("policy", "app/key/one", "-", data=b'{"images": "any", "simulated": false}')
        refused("policy: not for simulated ones", c.get("app/key/one"), 403, "policy")
        shelter("policy", "app/key/one", "-", data=b'{"images": "any"}')
    other.close()
    for name, options, word in (("a real root as simulated", ["--allow-simulated", f"{T}/platform/tdx/root.pem"], "not a simulated root"),
                                ("a simulated root as real", ["--ca", f"{T}/platform/sim/root.pem"], "--allow-simulated"),
                                ("plain HTTP for everybody", ["--insecure-http", "--listen", "0.0.0.0:0"], "loopback"),
                                ("a listen address that is none", ["--listen", "nowhere"], "ADDR:PORT")):
        done = shelter("serve", *options)
        same(f"serve: {name}", (done.returncode, done.stderr.count(b"\n"), word in done.stderr.decode()), (125, 1, True))
    with Server(*ROOTS, "--insecure-http") as server:
        c = Client(server.url, platform)
        same("--insecure-http: on loopback", (server.url[:5], c.handshake(init=PLAIN)[0], c.secret("app/key/one")), ("http:", 200, SECRET))


def durability():
    """kill -9 in the middle of work: what was acknowledged is there."""
    acknowledged, stored = 0, []
    server = Server(*ROOTS)
    before = len(shelter("log", "--json").stdout.splitlines())
    for round_number in range(4):
        c = Client(server.url, platform)
        c.handshake(init=PLAIN)
        acknowledged += 1
        end = time.monotonic() + 0.7

        def work(n):
            count = 0
            try:
                while time.monotonic() < end + 1:
                    if c.get("app/key/one")[0] == 200:
                        count += 1
            except (OSError, ValueError, AssertionError):
                pass
            except Exception:  # torn HTTP
                pass
            return count

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(work, n) for n in range(4)]
            while time.monotonic() < end:
                path = f"kill/round{round_number}/n{len(stored)}"
                if shelter("add-resource", path, "--image", "any", data=path.encode()).returncode == 0:
                    stored.append(path)
            server.stop(signal.SIGKILL)
            acknowledged += sum(j.result() for j in jobs)
        server = Server(*ROOTS)
    c.url = Client(server.url).url
    entries = [json.loads(line) for line in shelter("log", "--json").stdout.splitlines()][before:]
    entries = [e for e in entries if "id" in e]
    released = [e for e in entries if e["outcome"] == "granted"]
    # An entry may be there whose answer was killed on its way; none may be missing.
    same(f"kill -9: every release that was answered is in the log ({acknowledged} of {len(released)})", len(released) >= acknowledged, True)
    same("kill -9: there were some", acknowledged > 4, True)
    listed = {r["path"] for r in json.loads(shelter("list", "--json").stdout)["resources"]}
    same("kill -9: every acknowledged resource is there", [p for p in stored if p not in listed], [])
    same("kill -9: and some were", len(stored) >= 4, True)
    same("kill -9: ids without a gap", sorted(e["id"] for e in entries), list(range(min(e["id"] for e in entries), min(e["id"] for e in entries) + len(entries))))
    same("kill -9: the token of before is still good", c.secret("app/key/one", bearer=True), SECRET)
    refused("kill -9: the session of before is not", c.get("app/key/one"), 401, "unauthenticated")
    c.handshake(init=PLAIN)
    same("kill -9: a stored value is what it was", c.secret(stored[-1]), stored[-1].encode())
    server.stop()


def log_and_store():
    entries = [json.loads(line) for line in shelter("log", "--json").stdout.splitlines()]
    last = [e for e in entries if e["event"] == "resource" and e["outcome"] == "granted"][-1]
    same("log: who got what, on which evidence", (last["peer"], last["tee"], last["reference"], last["measurement"], len(last["evidence"]), last["resource"][:5]),
         ("127.0.0.1", "tdx", "good", MRTD["mrtd"], 96, "kill/"))
    same("log: refusals with their reason", {"report-data", "reference-mismatch", "launch-config", "debug", "simulated", "policy", "reference-withdrawn"} <=
         {e["code"] for e in entries if e["outcome"] == "refused"}, True)
    same("log: changes by the operator", {"reference-set", "reference-removed", "policy-set", "policy-removed", "resource-set"} <=
         {e["code"] for e in entries if e["event"] == "admin"}, True)
    same("log: no secret in it", SECRET[:10].decode() in json.dumps(entries), False)
    same("log: -n", len(shelter("log", "-n", "3").stdout.splitlines()), 3)
    follow = subprocess.Popen([SHELTER, "broker", "log", "--dir", f"{T}/broker", "-f", "-n", "0", "--json"], stdout=subprocess.PIPE)
    time.sleep(0.5)
    shelter("add-resource", "a/b/followed", data=b"x")
    same("log: -f", json.loads(follow.stdout.readline())["resource"], "a/b/followed")
    follow.terminate()
    follow.wait(10)
    for mode in ("broker", "broker/broker.db"):
        same(f"store: {mode} is its owner's", oct(os.stat(f"{T}/{mode}").st_mode & 0o077), "0o0")
    done = shelter("list", folder="nothing")
    same("store: none there", (done.returncode, done.stderr.count(b"\n"), os.path.exists(f"{T}/nothing")), (125, 1, False))
    shelter("init", folder="newer")
    db = sqlite3.connect(f"{T}/newer/broker.db")
    db.execute("PRAGMA user_version = 99")
    db.commit()
    db.close()
    done = shelter("list", folder="newer")
    same("store: of a newer version", (done.returncode, b"layout 99" in done.stderr), (125, True))
    os.makedirs(f"{T}/torn", mode=0o700)
    whole = open(f"{T}/newer/broker.db", "rb").read()
    bad = 0
    for size in (1, 50, 100, 4096, 5000, len(whole) // 2, len(whole) - 4096):
        open(f"{T}/torn/broker.db", "wb").write(whole[:size])
        done = shelter("list", folder="torn")
        bad += done.returncode != 125 or done.stderr.count(b"\n") != 1
    same("store: torn files are errors of one line", bad, 0)
    for name, args in (("no verb", []), ("unknown verb", ["dance"]), ("bad path", ["add-resource", "a/b"]), ("bad number", ["serve", "--rate", "x"]),
                       ("bad rule", ["add-reference", f"{T}/good.json", "--allow", "colour"]), ("debug rule", ["add-reference", f"{T}/good.json", "--allow", "debug"])):
        done = subprocess.run([SHELTER, "broker", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, SHELTER_BROKER=f"{T}/none"), timeout=60)
        same(f"usage: {name}", (done.returncode, done.stderr.count(b"\n")), (125, 1))


def hostile_words(server):
    """What strangers send cannot move the cursor of who reads the log, nor pass for a line of ours."""
    def refusals():
        return sum(e.get("count", 1) for e in map(json.loads, shelter("log", "--json").stdout.splitlines()) if e["outcome"] == "refused")

    before = refusals()
    url, source = urllib.parse.urlsplit(server.url), "127.0.0.9"
    words = [b"\x1b]0;x\x07", b"%1b[2J", b"\x9b31m", b"%9b31m", b"\xc2\x9b31m", b"%c2%9b1m", b"%0a2026-01-01T00:00:00.000Z  admin", b"\xe2\x80\xae", b"%e2%80%ae", b"\xff\xfe"]
    for word in words:
        for path in (b"/kbs/v0/resource/a/b/" + word, b"/kbs/v0/" + word):
            s = strangers.connect(url, source)
            s.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + word + b"\r\nConnection: close\r\n\r\n")
            strangers.answers(s, 1)
            s.close()
        s = strangers.connect(url, source)
        body = b'{"version":"0.4.0","tee":"' + word + b'","extra-params":{}}'
        s.sendall(strangers.request("POST", "/kbs/v0/auth", body))
        strangers.answers(s, 1)
        s.close()
        Client(server.url, platform).handshake(init=PLAIN[:-4] + "hostname " + word.decode("utf-8", "replace") + "\n'''\n")
    end = time.monotonic() + 10  # refusals of a second come together
    while refusals() - before < len(words) and time.monotonic() < end:
        time.sleep(0.2)
    text, lines = shelter("log").stdout, shelter("log", "--json").stdout.splitlines()
    same("log: it has what strangers tried", refusals() - before >= len(words), True)
    same("log: which cannot move a cursor", [c for c in text.decode("utf-8", "replace") if unicodedata.category(c) in ("Cc", "Cf") and c != "\n" or c == "\ufffd"], [])
    same("log: nor begin a line", [line for line in text.splitlines() if not line.startswith(b"20") or b"Z  " not in line[:40]], [])
    same("log: nor break JSON's", [line for line in lines if "event" not in json.loads(line)], [])


def who_was_root():
    def peer(sudo):
        shelter("add-resource", "a/b/sudo", "--replace", data=b"x", SUDO_UID=sudo)
        return json.loads(shelter("log", "-n", "1", "--json").stdout)["peer"]

    root = os.getuid() == 0
    same("log: who was root by sudo", peer("1234"), "uid 0 (sudo uid 1234)" if root else f"uid {os.getuid()}")
    for word in ("", "x", "12 34", "-1", "4294967296", "1)\n2026", "\x1b[2J"):
        same(f"log: no number: {word!r}", peer(word), f"uid {os.getuid()}")


def edited(folder, change):
    """A copy of the broker's file, changed: what `list` and `serve` say."""
    os.makedirs(f"{T}/{folder}", mode=0o700, exist_ok=True)
    for left in os.listdir(f"{T}/{folder}"):
        os.remove(f"{T}/{folder}/{left}")
    change(f"{T}/{folder}/broker.db")
    done = shelter("list", folder=folder)
    server = subprocess.run([SHELTER, "broker", "serve", "--dir", f"{T}/{folder}", "--listen", "127.0.0.1:0"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60) if done.returncode else None
    return done, server


def edited_file(data):
    """The database of folder `chain`, and nothing beside it."""
    os.makedirs(f"{T}/chain", mode=0o700, exist_ok=True)
    for left in os.listdir(f"{T}/chain"):
        os.remove(f"{T}/chain/{left}")
    open(f"{T}/chain/broker.db", "wb").write(data)


FORGED = "INSERT INTO refusal VALUES (1, 0, 5, 5, 1, 'attest', 'refused', 'debug', '', 'p', '', '', '', '', '', '', '', zeroblob(32))"


def chain_cases(sql_of):
    """The chain shows what was changed, taken out, cut off or put back."""
    for n in range(4):
        shelter("add-resource", f"d/a/more{n}", folder="sound", data=b"x")
    early = shelter("log", "--check", folder="sound").stdout.decode().strip()
    shelter("add-resource", "d/a/late", folder="sound", data=b"x")
    whole = shelter("log", "--check", folder="sound")
    same("chain: as it was written", (whole.returncode, whole.stdout.startswith(b"9:"), early.startswith("8:")), (0, True, True))
    same("chain: goes on from an earlier one", shelter("log", "--check=" + early, folder="sound").returncode, 0)
    same("chain: not from one that never was", shelter("log", "--check=8:" + "0" * 64, folder="sound").returncode, 125)
    db = sqlite3.connect(f"{T}/sound/broker.db")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    now = open(f"{T}/sound/broker.db", "rb").read()
    for name, sql in (("a changed entry", "UPDATE log SET peer = 'nobody' WHERE id = 3"), ("one taken out", "DELETE FROM log WHERE id = 3"),
                      ("the first ones", "DELETE FROM log WHERE id < 3"), ("the last ones", "DELETE FROM log WHERE id > 6"),
                      ("another MAC", "UPDATE log SET mac = zeroblob(32) WHERE id = 3"), ("no MAC", "UPDATE log SET mac = NULL WHERE id = 3"),
                      ("a refusal that nobody wrote", FORGED), ("all of them", "DELETE FROM log"), ("the note of the last one", "DELETE FROM head"),
                      ("the last ones, and the note set back", "DELETE FROM log WHERE id > 6; UPDATE head SET id = 6, chain = (SELECT chain FROM log WHERE id = 6)")):
        edited_file(now)
        db = sqlite3.connect(f"{T}/chain/broker.db")
        db.executescript(sql)
        db.commit()
        db.close()
        done = shelter("log", "--check", folder="chain")
        same(f"chain: {name}: seen", (done.returncode, done.stderr.count(b"\n")), (125, 1))
    # Whatever byte of an entry is another: what `log` leaves out, --check refuses, and both say which.
    db = sqlite3.connect(f"{T}/sound/broker.db")
    mac, chain, ms, *texts = db.execute("SELECT mac, chain, time_ms, event, outcome, code, detail, peer FROM log WHERE id = 3").fetchone()
    db.close()
    weak, seen = [], 0
    for field, value in (("mac", mac), ("chain", chain), ("texts", ms.to_bytes(6, "big") + "".join(texts).encode())):
        same(f"chain: {field} of entry 3 is in the file", value in now, True)
        for n in range(0, len(value), 5):
            edited_file(now.replace(value, value[:n] + bytes([value[n] ^ 1]) + value[n + 1:]))
            shown, checked = shelter("log", "--json", folder="chain"), shelter("log", "--check", folder="chain")
            if shown.returncode:
                seen += 1
                if (len(shown.stdout.splitlines()), b"entry 3 of the audit log" in shown.stderr) != (8, True):
                    weak.append((field, n, shown.stderr))
            if not checked.returncode or (field != "chain" and b"entry 3" not in checked.stderr):
                weak.append((field, n, checked.stderr))
    same("chain: --check refuses any byte that log refuses, and each names the entry", (weak, seen > 8), ([], True))
    for left in os.listdir(f"{T}/chain"):
        os.remove(f"{T}/chain/{left}")
    sql_of("")(f"{T}/chain/broker.db")
    same("chain: a whole database of before, put back", (shelter("log", "--check", folder="chain").returncode, shelter("log", "--check=" + early, folder="chain").returncode),
         (0, 125))


def damage():
    shelter("init", folder="sound")
    shelter("add-resource", "d/a/one", folder="sound", data=b"the first secret of all")
    shelter("add-resource", "d/a/two", folder="sound", data=b"the second one")
    reference("sound", "tdx", MRTD, folder="sound")
    db = sqlite3.connect(f"{T}/sound/broker.db")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    whole = open(f"{T}/sound/broker.db", "rb").read()

    def refused_store(name, words, change):
        done, server = edited("hurt", change)
        same(f"damage: {name}", (done.returncode, done.stderr.count(b"\n"), words in done.stderr.decode(), server and server.returncode),
             (125, 1, True, 125))

    def bytes_of(data):
        return lambda path: open(path, "wb").write(data)

    def sql_of(sql):
        def change(path):
            open(path, "wb").write(whole)
            one = sqlite3.connect(path)
            one.executescript(sql)
            one.commit()
            one.close()
        return change

    refused_store("an empty file is no broker", "broker init", bytes_of(b""))
    same("damage: and stays as it is", os.path.getsize(f"{T}/hurt/broker.db"), 0)
    done = shelter("init", folder="hurt")
    same("damage: init writes over nothing", (done.returncode, b"is there already" in done.stderr, os.path.getsize(f"{T}/hurt/broker.db")),
         (125, True, 0))
    os.remove(f"{T}/hurt/broker.db")
    open(f"{T}/hurt/broker.db-wal", "wb").write(b"x")
    done = shelter("init", folder="hurt")
    same("damage: nor over the log of one", (done.returncode, b"broker.db-wal is there" in done.stderr), (125, True))
    at = whole.index(b"the first secret")
    refused_store("a flipped bit in a secret", "resource d/a/one was changed", bytes_of(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:]))
    refused_store("one secret under another's name", "was changed",
                  sql_of("UPDATE resource SET value = (SELECT value FROM resource WHERE path = 'd/a/two') WHERE path = 'd/a/one'"))
    refused_store("a row without its MAC", "was changed", sql_of("UPDATE resource SET mac = NULL WHERE path = 'd/a/two'"))
    refused_store("a reference that allows more", "reference sound was changed",
                  sql_of("UPDATE reference SET launch = '{\"insecure_any\":true}'"))
    refused_store("no key", "key cannot be read", sql_of("DELETE FROM meta"))
    bad = []
    for page in range(1, len(whole) // 4096):  # each that holds a tree
        if whole[page * 4096] in (2, 5, 10, 13):
            done, _ = edited("hurt", bytes_of(whole[:page * 4096] + b"\xff" * 8 + whole[page * 4096 + 8:]))
            if done.returncode != 125 or done.stderr.count(b"\n") != 1:
                bad.append(page)
    same("damage: any page", bad, [])
    bad = [pages for pages in range(1, len(whole) // 4096) if edited("hurt", bytes_of(whole[:pages * 4096]))[0].returncode != 125]
    same("damage: a file cut at any page", bad, [])
    key = bytearray(whole)
    at = whole.index(b"\x02\x01\x01\x04\x20") + 10  # inside the private number
    key[at] ^= 1
    refused_store("a flipped bit in the key", "key cannot be read", bytes_of(bytes(key)))
    # Layout 1 had no MACs: it gets them once, and then they count.
    old = "".join(f"ALTER TABLE {t} DROP COLUMN mac;" for t in ("resource", "reference", "policy", "log")) + "ALTER TABLE log DROP COLUMN chain; DROP TABLE head; DROP TABLE refusal; DROP TABLE volume; " \
        "DROP TABLE session; DROP TABLE certificate; DROP TABLE admin; DROP TABLE proposal; DROP TABLE approval; " \
        "DROP TABLE version; DELETE FROM meta WHERE name IN ('token-key', 'ca-key'); PRAGMA user_version = 1;"
    done, _ = edited("layout1", sql_of(old))
    db = sqlite3.connect(f"{T}/layout1/broker.db")
    same("layout 1 is taken over", (done.returncode, db.execute("PRAGMA user_version").fetchone()[0],
                                    db.execute("SELECT count(*) FROM resource WHERE length(mac) = 32").fetchone()[0]), (0, 7, 2))
    same("and its log becomes a chain", shelter("log", "--check", folder="layout1").returncode, 0)
    db.execute("UPDATE resource SET value = x'00' WHERE path = 'd/a/one'")
    db.commit()
    db.execute("UPDATE log SET code = 'nothing'")
    db.commit()
    db.close()
    same("and is checked from then on", shelter("list", folder="layout1").returncode, 125)
    chain_cases(sql_of)
    log = sql_of("UPDATE log SET code = 'nothing'")
    edited("changedlog", log)
    done = shelter("log", folder="changedlog")
    same("damage: a changed entry of the log is no entry", (done.returncode, b"nothing" in done.stdout), (125, False))


def main():
    same("serve makes no broker", (shelter("serve").returncode, b"broker init" in shelter("key").stderr), (125, True))
    same("init", shelter("init").returncode, 0)
    reference("good", "tdx", MRTD)
    reference("good-sgx", "sgx", MRENCLAVE)
    reference("good-sim", "tdx-sim", MRTD)
    same("add-resource", shelter("add-resource", "app/key/one", "--image", "any", data=SECRET).returncode, 0)
    with Server(*ROOTS) as server:
        if not server.url:
            print("not ok the broker starts:", server.process.stderr.read().decode())
            return
        walk_by_hand(server)
        protocol(server)
        attacks(server)
        relays(server)
        abuse(server)
        hostile_words(server)
    own_certificate()
    broker_gpu.cases(Server, ROOTS, f"{T}/platform/tdx/root.pem", lambda server: Client(server.url, platform), same, refused, T, PLAIN)
    who_was_root()
    policies()
    limits_and_simulation()
    clocks_and_keys()
    durability()
    log_and_store()
    damage()


run(main, Server.all, platform)
