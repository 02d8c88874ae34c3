# SPDX-License-Identifier: Apache-2.0
"""Certificates for workloads, from the broker: RCAR by hand, requests and judgement by openssl. Prints TAP.

broker_identity.py SHELTER QUOTER FOLDER
"""
import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]
from rcar import Client, Platform, b64u, launch, manifest, openssl  # noqa: E402
from tap import refused, same  # noqa: E402

SHELTER, QUOTER, T = sys.argv[1:4]
NGINX, OTHER = "spiffe://example.org/web/nginx", "spiffe://example.org/other"


def shelter(*args, data=None):
    return subprocess.run([SHELTER, "broker", args[0], "--dir", f"{T}/broker", *args[1:]], input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)


def run(*args):
    done = shelter(*args)
    assert done.returncode == 0, (args, done.stderr)
    return done.stdout.decode()


def request(curve="P-256", name=f"{T}/key.pem"):
    """A PKCS #10 request as base64url; the key stands in the file."""
    openssl("ecparam", "-genkey", "-noout", "-name", {"P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1"}[curve], "-out", name)
    return openssl("req", "-new", "-key", name, "-subj", "/CN=ignored", "-addext", "subjectAltName=DNS:evil.example", "-outform", "DER")


def reference(name, mrtd):
    image = manifest((17, b"/bin/" + name.encode()))
    identity = hashlib.sha384(image).hexdigest()
    json.dump({"image": identity, "manifest": image.hex(),
               "references": [{"tee": "tdx", "measurement": {"mrtd": mrtd, "rtmr1": "00" * 48, "rtmr2": "00" * 48}}]},
              open(f"{T}/{name}.json", "w"))
    run("add-reference", f"{T}/{name}.json", "--name", name)
    return hashlib.sha384(open(f"{T}/{name}.json", "rb").read()).hexdigest()  # of a file without a word of the operator


platform = Platform(QUOTER, f"{T}/platform")
run("init")
image = reference("app", "11" * 48)
same("no identities: ca", (shelter("identity", "ca").returncode != 0, b"add-identity" in shelter("identity", "ca").stderr), (True, True))
run("add-identity", NGINX, "--image", "app", "--dns", "nginx.example.org", "--dns", "localhost", "--seconds", "600")
run("add-identity", OTHER)
run("add-resource", "app/key/one", "/dev/null", "--image", "app")
same("an identity that is there", shelter("add-identity", NGINX, "--image", "app").returncode, 125)
same("another trust domain", b"another trust domain" in shelter("add-identity", "spiffe://example.com/a").stderr, True)
for bad in ("spiffe://example.org", "spiffe://example.org/", "spiffe://Example.org/a", "spiffe://example.org/a//b", "spiffe://example.org/../b",
            "spiffe://example.org/a%2fb", "http://example.org/a", "spiffe://a:b@example.org/x", "spiffe:///a", "spiffe://example.org/" + "a" * 300):
    same(f"no identity: {bad[:40]}", shelter("add-identity", bad).returncode, 125)
for bad in ("Upper.example", "a..b", "-a", "a b", "*.example.org", "a-"):
    same(f"no DNS name: {bad}", shelter("add-identity", "spiffe://example.org/x", "--dns", bad).returncode, 125)
same("explain: the image may", shelter("policy", "explain", "app", NGINX).returncode, 0)
same("explain: nobody may", shelter("policy", "explain", "app", OTHER).returncode, 1)

server = subprocess.Popen([SHELTER, "broker", "serve", "--dir", f"{T}/broker", "--listen", "127.0.0.1:0", "--url-file", f"{T}/url", "--rate", "0",
                           "--ca", f"{T}/platform/tdx/root.pem", "--collateral", f"tdx={T}/platform/tdx/collateral.json"], stdout=subprocess.DEVNULL)
try:
    for _ in range(200):
        if os.path.exists(f"{T}/url"):
            break
        time.sleep(0.05)
    c = Client(open(f"{T}/url").read().strip(), platform)

    def ask(identity, der, **more):
        return c.ask("POST", "/kbs/v0/identity", {"id": identity, "request": b64u(der) if isinstance(der, bytes) else der, **more})

    der = request()
    refused("before it attests", ask(NGINX, der), 401, "unauthenticated")
    same("attested", c.handshake()[0], 200)
    status, answer, _ = ask(NGINX, der)
    same("a certificate", (status, sorted(answer)), (200, ["ca", "certificate", "crl", "seconds"]))
    for name in ("certificate", "ca", "crl"):
        open(f"{T}/{name}.pem", "w").write(answer[name])
    text = openssl("x509", "-in", f"{T}/certificate.pem", "-noout", "-text").decode()
    for part in (f"URI:{NGINX}", "DNS:nginx.example.org", "DNS:localhost", "CA:FALSE", "TLS Web Server Authentication, TLS Web Client Authentication",
                 "Digital Signature", "Subject: CN = nginx.example.org"):
        same(f"certificate: {part[:44]}", part in text, True)
    same("certificate: nothing of the request's names", "evil" in text or "ignored" in text, False)
    same("certificate: of the key that asked", openssl("x509", "-in", f"{T}/certificate.pem", "-noout", "-pubkey"),
         openssl("pkey", "-in", f"{T}/key.pem", "-pubout"))
    ends = time.mktime(time.strptime(openssl("x509", "-in", f"{T}/certificate.pem", "-noout", "-enddate").decode().strip()[9:-4], "%b %d %H:%M:%S %Y")) - time.timezone
    same("certificate: lives as long as was said", (abs(ends - time.time() - 600) < 30, answer["seconds"]), (True, 600))

    def verify(crl=True):
        args = ["openssl", "verify", "-CAfile", f"{T}/ca.pem", "-x509_strict", "-purpose", "sslclient"]
        if crl:
            args += ["-crl_check", "-CRLfile", f"{T}/crl.pem"]
        done = subprocess.run(args + [f"{T}/certificate.pem"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return done.returncode, b"revoked" in done.stdout

    same("openssl: chain and list of what is revoked", verify(), (0, False))
    ca = openssl("x509", "-in", f"{T}/ca.pem", "-noout", "-text").decode()
    same("authority: of the trust domain, for nothing but this", [p in ca for p in ("URI:spiffe://example.org", "CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign")], [True] * 3)
    same("P-384", ask(NGINX, request("P-384", f"{T}/k384.pem"))[0], 200)
    refused("P-521", ask(NGINX, request("P-521", f"{T}/k521.pem")), 400, "request")
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", f"{T}/rsa.pem")
    refused("RSA", ask(NGINX, openssl("req", "-new", "-key", f"{T}/rsa.pem", "-subj", "/CN=x", "-outform", "DER")), 400, "request")
    broken = bytearray(der)
    broken[-1] ^= 1
    refused("a request that its key did not sign", ask(NGINX, bytes(broken)), 400, "request")
    refused("something behind the request", ask(NGINX, der + b"\0"), 400, "request")
    refused("half a request", ask(NGINX, der[:60]), 400, "request")
    refused("no request", ask(NGINX, b""), 400, "request")
    refused("no base64url", ask(NGINX, "!!"), 400, "request")
    refused("a long one", ask(NGINX, bytes(5000)), 400, "request")
    refused("longer than the endpoint takes", ask(NGINX, bytes(9000)), 413, "too-large")
    refused("no identity of this image", ask(OTHER, der), 403, "policy")
    refused("one that there is not", ask("spiffe://example.org/none", der), 403, "policy")
    refused("no SPIFFE ID", ask("app/key/one", der), 400, "malformed")
    refused("an identity is no resource", c.get(NGINX), 400, "malformed")
    for what, want in (("ca", "ca"), ("crl", "crl")):
        status, body, head = Client(c.url.geturl()).ask("GET", f"/kbs/v0/identity/{what}")
        same(f"anyone: {what}", (status, head.get("Content-Type"), body.decode().startswith("-----BEGIN")), (200, "application/x-pem-file", True))

    rows = json.loads(run("identity", "ls", "--json"))
    mine = [r for r in rows if r["serial"] in openssl("x509", "-in", f"{T}/certificate.pem", "-noout", "-serial").decode().lower()]
    same("ls: who has it", [(r["id"], r["image"], r["reference"], r["revoked"]) for r in mine], [(NGINX, image, "app", 0)])
    same("revoke: by serial number", run("identity", "revoke", mine[0]["serial"]), "1 revoked\n")
    same("revoke: once", shelter("identity", "revoke", mine[0]["serial"]).returncode, 125)
    time.sleep(1.1)  # the list is signed once a second
    open(f"{T}/crl.pem", "wb").write(Client(c.url.geturl()).ask("GET", "/kbs/v0/identity/crl")[1])
    same("openssl: it is revoked", verify(), (2, True))
    same("revoke: the whole identity", run("identity", "revoke", NGINX), "1 revoked\n")
    same("a new one: its policy still holds", ask(NGINX, der)[0], 200)
    run("remove-resource", NGINX)
    same("removed: nothing is valid any more", [r["revoked"] > 0 for r in json.loads(run("identity", "ls", "--json"))], [True] * 3)
    same("removed: no new one", ask(NGINX, der)[0] in (403, 404), True)
    log = [json.loads(line) for line in run("log", "--json").splitlines()]
    same("log: each is in the chain", [(e["event"], e["resource"]) for e in log if e["event"] == "identity" and e["outcome"] == "granted"], [("identity", NGINX)] * 3)
    same("log: its chain holds", shelter("log", "--check").returncode, 0)
    server.send_signal(signal.SIGTERM)
    server.wait(20)
finally:
    if server.poll() is None:
        server.terminate()
        server.wait(20)
    platform.close()
