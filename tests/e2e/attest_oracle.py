# SPDX-License-Identifier: Apache-2.0
"""A host that tries to make other evidence out of `shelter attest`: for a key broker, for RA-TLS. Prints TAP.

attest_oracle.py SHELTER INSTANCE TEE BROKER_URL ROOT.pem FOLDER
"""
import hashlib
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from rcar import Client, jcs, openssl  # noqa: E402

SHELTER, INSTANCE, TEE, URL, ROOT, T = sys.argv[1:7]


def same(name, got, want):
    print(f"ok {TEE}: {name}" if got == want else f"not ok {TEE}: {name}: got {got!r}, want {want!r}", flush=True)


def attest(nonce):
    done = subprocess.run([SHELTER, "attest", "--nonce", nonce.hex(), INSTANCE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=90)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["quote"]


class Oracle:
    """Stands where a platform would: asks the instance for evidence over whatever the host likes."""
    form = None

    def quote(self, kind, report_data, config=None, debug=False):
        return attest(self.form(report_data))


domain = b"shelter-attest-v1"
forms = {"the binding": lambda d: d, "the binding, padded": lambda d: d.ljust(64, b"\0"),
         "the domain before it": lambda d: (domain + d)[:64], "its digest": lambda d: hashlib.sha512(d).digest()}
for name, form in forms.items():
    for version in ("0.4.0", "0.2.0"):
        c = Client(URL, Oracle(), kind="sgx" if TEE == "sgx-sim" else "sim", version=version)
        c.platform.form = form
        status, problem, _ = c.handshake()
        same(f"as evidence for a broker, {version}: {name}", (status, problem.get("type")), (401, "urn:shelter:broker:report-data"))


def head(major, n):
    return bytes([major << 5 | n]) if n < 24 else bytes([major << 5 | 24, n]) if n < 256 else bytes([major << 5 | 25]) + n.to_bytes(2, "big")


def string(major, data):
    return head(major, len(data)) + data


import base64  # noqa: E402

key = f"{T}/oracle.key"
openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
spki = openssl("pkey", "-in", key, "-pubout", "-outform", "DER")
entry = head(4, 2) + head(0, 1) + string(2, hashlib.sha256(spki).digest())
claims = head(5, 1) + string(3, b"pubkey-hash") + string(2, entry)
digest = hashlib.sha256(claims).digest()
for name, nonce in (("the claims' digest", digest), ("padded", digest.ljust(64, b"\0")), ("the claims", claims[:64])):
    evidence = base64.b64decode(attest(nonce))
    ext = b"\xd9\xea\x60" + head(4, 2) + string(2, evidence) + string(2, claims)
    openssl("req", "-x509", "-new", "-key", key, "-subj", "/CN=shelter", "-days", "2", "-out", f"{T}/oracle.pem",
            "-addext", "2.23.133.5.4.9=DER:" + ext.hex())
    done = subprocess.run([SHELTER, "verify", "--certificate", f"{T}/oracle.pem", "--ca", ROOT, "--allow-simulated", "--json"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    same(f"as evidence in a certificate: {name}", (done.returncode, json.loads(done.stdout)["reason_code"]), (1, "report-data"))
