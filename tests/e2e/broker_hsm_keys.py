# SPDX-License-Identifier: Apache-2.0
"""Keys of a token at the broker: made by pkcs11-tool and openssl, used by attested clients, judged by openssl. Prints TAP.

broker_hsm_keys.py SHELTER QUOTER FOLDER MODULE
"""
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]
import aeskw  # noqa: E402
from rcar import Client, Platform, b64u, manifest, openssl, unb64u  # noqa: E402
from tap import refused, same  # noqa: E402

SHELTER, QUOTER, T, MODULE = sys.argv[1:5]
TEXT = b"release 4.2 of something"
# A stand-in for a token that has RSA-OAEP-256 (tests/tools/oaep_module.c), on top of the same one.
OAEP_MODULE = os.path.abspath("build/tests/oaep_module.so")
os.environ["OAEP_BELOW"] = MODULE


def shelter(*args, data=None):
    words = 2 if args[0] == "operator" else 1
    return subprocess.run([SHELTER, "broker", *args[:words], "--dir", f"{T}/broker", *args[words:]], input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)


def run(*args, data=None):
    done = shelter(*args, data=data)
    assert done.returncode == 0, (args, done.stderr)
    return done.stdout.decode()


def put(file, label, number, *options):
    subprocess.run(["softhsm2-util", "--import", file, "--token", "keys", "--label", label, "--id", number, "--pin", "1234", *options],
                   stdout=subprocess.PIPE, check=True, timeout=60)


def pair(label, number, *how):
    """A key of openssl's in the token; the file of its public half."""
    openssl("genpkey", *how, "-out", f"{T}/{label}.pem")
    put(f"{T}/{label}.pem", label, number)
    openssl("pkey", "-in", f"{T}/{label}.pem", "-pubout", "-out", f"{T}/{label}.pub")
    os.remove(f"{T}/{label}.pem")
    return f"{T}/{label}.pub"


def uri(label, token="keys", module=MODULE):
    return f"pkcs11:token={token};object={label}?module-path={module}&pin-source={T}/pin"


def entry(path, label, *algorithms, **more):
    return {"path": path, "key": uri(label, **more), "algorithms": list(algorithms)}


def write(keys):
    with open(f"{T}/keys.new", "w") as f:
        f.write(keys if isinstance(keys, str) else json.dumps({"keys": keys}))
    os.rename(f"{T}/keys.new", f"{T}/keys.json")


def serve(*options):
    if os.path.exists(f"{T}/url"):
        os.remove(f"{T}/url")
    p = subprocess.Popen([SHELTER, "broker", "serve", "--dir", f"{T}/broker", "--listen", "127.0.0.1:0", "--url-file", f"{T}/url",
                          "--hsm-keys", f"{T}/keys.json", "--rate", "0", *options], stdout=subprocess.DEVNULL, stderr=open(f"{T}/serve.err", "w"))
    for _ in range(400):
        if os.path.exists(f"{T}/url") or p.poll() is not None:
            break
        time.sleep(0.05)
    return p, open(f"{T}/url").read().strip() if os.path.exists(f"{T}/url") else None


def files():
    good = entry("app/sign/ec", "ec", "ES256")
    for name, text in (("no JSON", "{"), ("no list", '{"keys": {}}'), ("another member", '{"keys": [], "x": 1}'),
                       ("a member twice", '{"keys": [], "keys": []}'), ("an unknown member", [dict(good, pin="1234")]),
                       ("no algorithm", [dict(good, algorithms=[])]), ("an unknown algorithm", [dict(good, algorithms=["none"])]),
                       ("a bad path", [dict(good, path="../x/y")]), ("a path twice", [good, good]), ("a URI without a PIN", [dict(good, key=good["key"].split("&")[0])]),
                       ("a relative module", [dict(good, key=uri("ec", module="x.so"))]), ("65 keys", [dict(good, path=f"app/sign/k{i}") for i in range(65)])):
        write(text)
        p, _ = serve()
        same(f"file: {name}", (p.wait(20), open(f"{T}/serve.err").read().count("\n")), (125, 1))


def digest(name="sha256", text=TEXT):
    return hashlib.new(name, text).digest()


def der_of(raw):
    """r and s as openssl wants them."""
    half, out = len(raw) // 2, b""
    for part in (raw[:half], raw[half:]):
        part = part.lstrip(b"\0") or b"\0"
        part = b"\0" + part if part[0] > 127 else part
        out += b"\2" + bytes([len(part)]) + part
    return b"\x30" + bytes([len(out)]) + out


def verifies(public, signature, sha, *options):
    with open(f"{T}/signature", "wb") as f:
        f.write(signature)
    return b"Verified OK" in subprocess.run(["openssl", "dgst", f"-{sha}", *options, "-verify", public, "-signature", f"{T}/signature"], input=TEXT,
                                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30).stdout


def sign(c, path, algorithm, data, **more):
    return c.ask("POST", f"/kbs/v0/hsm/sign/{path}", {"algorithm": algorithm, "digest": b64u(data)}, **more)


def unwrap(c, path, algorithm, data):
    status, answer, head = c.ask("POST", f"/kbs/v0/hsm/unwrap/{path}", {"algorithm": algorithm, "wrapped": b64u(data)})
    return c.key.decrypt(answer) if status == 200 else (status, answer, head)


def signatures(c, ec, ec384, rsa):
    for algorithm, path, sha, public, options in (("ES256", "app/sign/ec", "sha256", ec, ()), ("ES384", "app/sign/ec384", "sha384", ec384, ()),
                                                  ("RS256", "app/sign/rsa", "sha256", rsa, ()),
                                                  ("PS256", "app/sign/rsa", "sha256", rsa, ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"))):
        status, data, _ = sign(c, path, algorithm, digest(sha))
        raw = unb64u(data["signature"]) if status == 200 else b""
        same(f"{algorithm}: openssl takes it", (status, verifies(public, der_of(raw) if algorithm[:2] == "ES" else raw, sha, *options)), (200, True))
    refused("a digest of another size", sign(c, "app/sign/ec", "ES256", digest("sha384")), 400, "malformed")
    refused("no digest", c.ask("POST", "/kbs/v0/hsm/sign/app/sign/ec", {"algorithm": "ES256"}), 400, "malformed")
    refused("an algorithm that is not listed", sign(c, "app/sign/ec", "ES384", digest("sha384")), 403, "algorithm")
    refused("a key to unwrap does not sign", sign(c, "app/wrap/rsa", "RSA-OAEP", digest()), 403, "algorithm")
    refused("a key of another kind than its algorithm", sign(c, "app/sign/wrong", "ES384", digest("sha384")), 503, "token")
    refused("a path that is none", sign(c, "app/sign", "ES256", digest()), 400, "malformed")
    refused("no JSON", c.ask("POST", "/kbs/v0/hsm/sign/app/sign/ec", b"{"), 400, "malformed")
    refused("by GET", c.ask("GET", "/kbs/v0/hsm/sign/app/sign/ec"), 405, "method")
    refused("a large body", c.ask("POST", "/kbs/v0/hsm/sign/app/sign/ec", b'{"algorithm": "' + b"x" * 5000 + b'"}'), 413, "too-large")


def wrapped(c, rsa, kek):
    secret = os.urandom(32)
    oaep = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", rsa, "-pkeyopt", "rsa_padding_mode:oaep", data=secret)
    same("RSA-OAEP: what openssl wrapped", unwrap(c, "app/wrap/rsa", "RSA-OAEP", oaep), secret)
    broken = bytes([oaep[0] ^ 1]) + oaep[1:]
    refused("RSA-OAEP: one bit", unwrap(c, "app/wrap/rsa", "RSA-OAEP", broken), 400, "wrapped")
    refused("RSA-OAEP: too short", unwrap(c, "app/wrap/rsa", "RSA-OAEP", oaep[1:]), 400, "wrapped")
    same("the two look the same", unwrap(c, "app/wrap/rsa", "RSA-OAEP", broken)[1]["detail"], unwrap(c, "app/wrap/rsa", "RSA-OAEP", oaep[1:])[1]["detail"])
    text = aeskw.wrap(kek, secret)
    same("A256KW: what was wrapped by its key", unwrap(c, "app/wrap/aes", "A256KW", text), secret)
    refused("A256KW: one bit", unwrap(c, "app/wrap/aes", "A256KW", bytes([text[0] ^ 1]) + text[1:]), 400, "wrapped")
    refused("nothing to unwrap", unwrap(c, "app/wrap/rsa", "RSA-OAEP", b""), 400, "malformed")
    refused("more than there may be", unwrap(c, "app/wrap/rsa", "RSA-OAEP", bytes(1025)), 400, "malformed")
    oaep = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", rsa, "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256", data=secret)
    if not os.path.exists(OAEP_MODULE):
        print("skip RSA-OAEP-256: build/tests/oaep_module.so is not built")
    else:
        same("RSA-OAEP-256, a token that has it: what openssl wrapped", unwrap(c, "app/wrap/has256", "RSA-OAEP-256", oaep), secret)
        refused("RSA-OAEP-256: one bit", unwrap(c, "app/wrap/has256", "RSA-OAEP-256", bytes([oaep[0] ^ 1]) + oaep[1:]), 400, "wrapped")
        refused("RSA-OAEP-256: wrapped with SHA-1", unwrap(c, "app/wrap/has256", "RSA-OAEP-256",
                openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", rsa, "-pkeyopt", "rsa_padding_mode:oaep", data=secret)), 400, "wrapped")
    # SoftHSM 2.6 does not know it; nothing that the client sends could be right.
    refused("RSA-OAEP-256: the token does not know it", unwrap(c, "app/wrap/rsa256", "RSA-OAEP-256", oaep), 503, "token")
    refused("a key to sign does not unwrap", unwrap(c, "app/sign/ec", "ES256", oaep), 403, "algorithm")


def rights(platform, url, c):
    stranger = Client(url)
    refused("a stranger", sign(stranger, "app/sign/ec", "ES256", digest()), 401, "unauthenticated")
    refused("no policy names an image", sign(c, "app/sign/none", "ES256", digest()), 403, "policy")
    refused("no such key", sign(c, "app/sign/absent", "ES256", digest()), 404, "no-such-key")
    same("it is no resource", c.get("app/sign/ec")[0], 404)
    other = Client(url, platform, kind="sgx")
    same("another image attests", other.handshake()[0], 200)
    refused("an image that the policy does not name", sign(other, "app/sign/ec", "ES256", digest()), 403, "policy")
    run("policy", "app/sign/ec384", "-", data=b'{"images": "any", "once": true}')
    refused("once is for no key", sign(c, "app/sign/ec384", "ES384", digest("sha384")), 403, "policy")
    run("policy", "*", "-", data=b'{"allow": false}')
    refused("the policy of all holds too", sign(c, "app/sign/ec", "ES256", digest()), 403, "policy")
    run("policy", "--remove", "*")
    for name, words in (("app", b"gives it to this image"), ("other", b"does not list this image")):
        same(f"explain: {name}", words in shelter("policy", "explain", name, "app/sign/ec").stdout, True)
    listed = ("--hsm-keys", f"{T}/keys.json")
    for name, path, more, status, words in (("known", "app/sign/ec", listed, 0, b"app/sign/ec is a key in a token, for ES256\n"),
                                            ("unknown", "app/sign/ec", (), 1, b"and no such key in --hsm-keys"),
                                            ("once", "app/sign/ec384", listed, 1, b'says "once", which holds for no key'),
                                            ("nobody's", "app/sign/none", listed, 1, b"no policy names an image")):
        done = shelter("policy", "explain", "app", path, *more)
        same(f"explain: a key that is {name}", (done.returncode, words in done.stdout), (status, True))
    elsewhere = [SHELTER, "broker", "policy", "explain", "app", "app/sign/ec", "--url", open(f"{T}/admin-url").read().strip(), "--credential",
                 f"{T}/rita", "--broker-key", f"{T}/broker.pem"]
    done = subprocess.run(elsewhere, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    same("explain: the broker knows its own keys", (done.returncode, b"is a key in a token, for ES256\n" in done.stdout), (0, True))
    done = subprocess.run([*elsewhere, *listed], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    same("explain: and is not told of others", (done.returncode, b"leave out --hsm-keys" in done.stderr), (125, True))
    same("explain: --hsm-keys is for explain", shelter("policy", "app/sign/ec", *listed).returncode, 125)


def log():
    return [json.loads(line) for line in run("log", "--json").splitlines()]


def audited():
    entries = log()
    hit = [e for e in entries if e["event"] == "sign" and e["outcome"] == "granted"]
    same("log: who, which key, what", (hit[0]["resource"], hit[0]["detail"], len(hit[0]["image"])), ("app/sign/ec", "ES256 " + digest().hex(), 96))
    opened = [e["detail"].split()[0] for e in entries if e["event"] == "unwrap" and e["outcome"] == "granted"]
    same("log: what was unwrapped", opened, ["RSA-OAEP", "A256KW"] + ["RSA-OAEP-256"] * os.path.exists(OAEP_MODULE))
    told = False
    for _ in range(100):  # refusals are written once a second
        told = told or any(e["event"] == "sign" and e["code"] == "token" and "another kind" in e["detail"] for e in log())
        if told:
            break
        time.sleep(0.1)
    same("log: refusals say why", told, True)
    same("log: the chain holds", shelter("log", "--check").returncode, 0)


def crowd(platform, url):
    """Twelve sessions at once: each is served, or told to come again."""
    clients, answers = [Client(url, platform) for _ in range(12)], []
    for c in clients:
        c.handshake()

    def work(c):
        for _ in range(20):
            status, data, _ = sign(c, "app/sign/ec", "ES256", digest())
            answers.append(status if status != 200 or len(unb64u(data["signature"])) == 64 else 0)
    threads = [threading.Thread(target=work, args=(c,)) for c in clients]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    same("at once: nothing but answers and 503", (len(answers), set(answers) - {503}), (240, {200}))
    status, data, _ = sign(clients[0], "app/sign/ec", "ES256", digest())
    same("and then as before", status, 200)


def main():
    files()
    assert shelter("init").returncode == 0
    ec = pair("ec", "01", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    ec384 = pair("ec384", "02", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384")
    rsa, kek = pair("rsa", "03", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"), bytes(1 + b % 255 | 16 for b in os.urandom(32))  # softhsm2-util cuts a key at NUL and at newline
    with open(f"{T}/kek", "wb") as f:
        f.write(kek)
    put(f"{T}/kek", "kek", "04", "--aes")
    keys = [entry("app/sign/ec", "ec", "ES256"), entry("app/sign/ec384", "ec384", "ES384"), entry("app/sign/rsa", "rsa", "RS256", "PS256"),
            entry("app/sign/wrong", "ec", "ES384"), entry("app/sign/none", "ec", "ES256"), entry("app/wrap/rsa", "rsa", "RSA-OAEP"),
            entry("app/wrap/rsa256", "rsa", "RSA-OAEP-256"), *([entry("app/wrap/has256", "rsa", "RSA-OAEP-256", module=OAEP_MODULE)]
                                                                  if os.path.exists(OAEP_MODULE) else []), entry("app/wrap/aes", "kek", "A256KW")]
    image = manifest((17, b"/bin/app"))
    for name, tee, measurement in (("app", "tdx", {"mrtd": "11" * 48, "rtmr1": "00" * 48, "rtmr2": "00" * 48}), ("other", "sgx", {"mrenclave": "33" * 32})):
        whole = image if name == "app" else manifest((17, b"/bin/other"))
        json.dump({"image": hashlib.sha384(whole).hexdigest(), "manifest": whole.hex(), "references": [{"tee": tee, "measurement": measurement}]},
                  open(f"{T}/{name}.json", "w"))
        run("add-reference", f"{T}/{name}.json", "--name", name)
    for path in [k["path"] for k in keys if k["path"] != "app/sign/none"] + ["app/sign/absent"]:
        run("policy", path, "-", data=b'{"images": ["app"]}')
    with open(f"{T}/rita", "w") as f:
        f.write(run("operator", "add", "rita", "--role", "reader"))
    with open(f"{T}/broker.pem", "w") as f:
        f.write(run("key"))
    platform = Platform(QUOTER, f"{T}/platform")
    write(keys + [entry("app/sign/away", "ec", "ES256", token="away")])
    p, url = serve(*[x for tee in ("tdx", "sgx") for x in ("--collateral", f"{tee}={T}/platform/{tee}/collateral.json")], "--ca", f"{T}/platform/tdx/root.pem",
                   "--admin", "127.0.0.1:0", "--admin-url-file", f"{T}/admin-url")
    try:
        same("an algorithm that the token does not know is a warning",
             "app/wrap/rsa256 cannot be used now: PKCS #11 token 'keys': cannot unwrap by this algorithm" in open(f"{T}/serve.err").read(), True)
        same("a token that is away is a warning", "app/sign/away cannot be used now: no PKCS #11 token 'away'" in open(f"{T}/serve.err").read(), True)
        c = Client(url, platform)
        same("attested", c.handshake()[0], 200)
        signatures(c, ec, ec384, rsa)
        wrapped(c, rsa, kek)
        audited()
        rights(platform, url, c)
        crowd(platform, url)
        write([entry("app/sign/ec", "ec", "ES384")])
        p.send_signal(signal.SIGHUP)
        for _ in range(100):
            answer = sign(c, "app/sign/ec", "ES256", digest())
            if answer[0] != 200:
                break
            time.sleep(0.1)
        refused("reload: the algorithm is listed no more", answer, 403, "algorithm")
        write("{")
        p.send_signal(signal.SIGHUP)
        time.sleep(1)
        refused("reload: a bad file changes nothing", sign(c, "app/sign/ec", "ES256", digest()), 403, "algorithm")
    finally:
        p.terminate()
        same("it ends in order", p.wait(20), 0)
        platform.close()


main()
