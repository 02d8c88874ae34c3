# SPDX-License-Identifier: Apache-2.0
"""GPUs beside a TEE, as CoCo's client sends them: what they sign is the hash over nonce and key alone."""
import base64
import hashlib
import json
import os

from rcar import jcs, openssl, unb64u


class Gpu:
    """A device with a chain of two, under a root of its own: below the root stands what product it is."""

    def __init__(self, folder, root="/CN=Test Device CA"):
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        with open(f"{folder}/leaf.cnf", "w") as f:
            f.write("basicConstraints=CA:FALSE\n")
        for name in ("root", "leaf"):
            openssl("ecparam", "-genkey", "-noout", "-name", "secp384r1", "-out", f"{folder}/{name}.key")
        openssl("req", "-x509", "-new", "-key", f"{folder}/root.key", "-subj", root, "-days", "9", "-sha384", "-out", f"{folder}/root.pem")
        openssl("req", "-new", "-key", f"{folder}/leaf.key", "-subj", "/CN=NVIDIA GH100 Identity", "-out", f"{folder}/leaf.csr")
        openssl("x509", "-req", "-in", f"{folder}/leaf.csr", "-CA", f"{folder}/root.pem", "-CAkey", f"{folder}/root.key", "-CAcreateserial", "-days", "9",
                "-sha384", "-extfile", f"{folder}/leaf.cnf", "-out", f"{folder}/leaf.pem")
        self.chain = open(f"{folder}/leaf.pem", "rb").read() + open(f"{folder}/root.pem", "rb").read()

    def report(self, nonce):
        block = bytes([1, 1]) + (51).to_bytes(2, "little") + b"\1" + (48).to_bytes(2, "little") + bytes(48)
        opaque = b"\3\0\6\0" + b"545.00" + b"\6\0\x08\0" + bytes.fromhex("005e009601000000")
        text = b"\x11\xe0\1\xff" + nonce + b"\0" + b"\x11\x60\0\0\1" + len(block).to_bytes(3, "little") + block + bytes(32) + \
            len(opaque).to_bytes(2, "little") + opaque
        der = openssl("dgst", "-sha384", "-sign", f"{self.folder}/leaf.key", data=text)
        numbers, at = b"", 2
        for _ in range(2):
            size = der[at + 1]
            numbers += int.from_bytes(der[at + 2:at + 2 + size], "big").to_bytes(48, "big")
            at += 2 + size
        return text + numbers

    def evidence(self, nonce):
        text = lambda data: base64.b64encode(data).decode()
        return json.dumps({"nvidia": {"device_evidence_list": [{"arch": "HOPPER", "evidence": text(self.report(nonce)), "certificate": text(self.chain)}]}})


def cases(Server, roots, root_file, new, same, refused, T, init):
    gpu, combined, policy = Gpu(f"{T}/gpu"), f"{T}/gpu-roots.pem", f"{T}/gpu-policy.json"
    simulated = Gpu(f"{T}/gpu-sim", "/CN=Test Device CA/OU=Shelter simulated TEE")
    with open(combined, "w") as f:
        f.write(open(root_file).read() + open(f"{T}/gpu/root.pem").read())
    json.dump({"nvidia": {"require_rim": False}}, open(policy, "w"))
    roots = [combined if r == root_file else r for r in roots]

    def attest(server, change=lambda evidence: evidence, asked=None, gpu=gpu):
        c = new(server)
        c.auth()
        digest = asked or hashlib.sha384(jcs({"nonce": c.nonce, "tee-pubkey": c.key.jwk}).encode()).digest()
        return c, c.attest(c.attestation(init=init, additional=change(gpu.evidence(digest[:32]))))

    with Server(*roots, "--collateral", f"nvidia={T}/gpu", "--policy", policy) as server:
        c, answer = attest(server)
        same("GPU: accepted", answer[0], 200)
        claims = json.loads(unb64u(c.token.split(".")[1]))["claims"]["nvidia"]
        same("GPU: what the token says", [(d["verdict"], d["nonce"], d["driver"], d["measurements"]) for d in claims],
             [("holds", "as expected", "545.00", "not judged")])
        refused("GPU: of another session", attest(server, asked=bytes(32))[1], 401, "gpu-nonce")
        refused("GPU: none, where the policy demands one", attest(server, change=lambda _: "")[1], 401, "gpu-policy")
        refused("GPU: only of a kind that is not judged", attest(server, change=lambda e: e.replace("HOPPER", "BLACKWELL"))[1], 401, "gpu-policy")
    with Server(*roots, "--policy", policy, "--allow-simulated", f"{T}/gpu-sim/root.pem") as server:
        c, answer = attest(server, gpu=simulated)
        same("GPU: simulated, beside a TEE that is not: the TEE is judged with its collateral", answer[0], 200)
        token = json.loads(unb64u(c.token.split(".")[1])) if c.token else {}
        same("GPU: ... by its references, and the token says that something is simulated", (token.get("reference"), token.get("simulated")), ("good", True))
    with Server(*roots) as server:
        refused("GPU: simulated, where nothing may be", attest(server, gpu=simulated)[1], 401, "simulated")
        same("GPU: none, and none is demanded", attest(server, change=lambda _: "")[1][0], 200)
        refused("GPU: refused where it is wrong, whatever the policy", attest(server, asked=bytes(32))[1], 401, "gpu-nonce")
