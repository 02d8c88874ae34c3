# SPDX-License-Identifier: Apache-2.0
"""Tokens of other attestation services at the broker, made here by openssl in the shapes of Trustee and Intel Trust Authority. Prints TAP.

broker_tokens.py SHELTER QUOTER FOLDER
"""
import json
import hashlib
import hmac
import os
import signal
import subprocess
import sys
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]
from rcar import Client, Key, Platform, b64u, launch, manifest, openssl, unb64u  # noqa: E402
from tap import refused, same  # noqa: E402

SHELTER, QUOTER, T = sys.argv[1:4]
SECRET = b"given for a token"
EAR, SIMPLE, ITA = "CoCo-Attestation-Service", "simple.example", "https://trust.example"


def shelter(*args, data=None):
    return subprocess.run([SHELTER, "broker", args[0], "--dir", f"{T}/broker", *args[1:]], input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)


class Signer:
    """A service's key. sign() makes a JWT of any header and claims."""
    CURVES = {"ES256": ("prime256v1", "P-256", 32), "ES384": ("secp384r1", "P-384", 48), "ES512": ("secp521r1", "P-521", 66)}

    def __init__(self, alg, kid, named=True):
        self.alg, self.kid = alg, kid
        self.file = f"{T}/{kid}.pem"
        if alg in self.CURVES:
            name, crv, size = self.CURVES[alg]
            openssl("ecparam", "-genkey", "-noout", "-name", name, "-out", self.file)
            point = openssl("ec", "-in", self.file, "-pubout", "-outform", "DER")[-2 * size:]
            self.jwk = {"kty": "EC", "crv": crv, "x": b64u(point[:size]), "y": b64u(point[size:])}
        else:
            openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.file)
            n = openssl("rsa", "-in", self.file, "-noout", "-modulus").decode().strip().split("=")[1]
            self.jwk = {"kty": "RSA", "n": b64u(bytes.fromhex(n)), "e": "AQAB"}
        self.jwk["kid"] = kid
        if named:
            self.jwk["alg"] = alg

    def raw(self, alg, data):
        sha = "-sha" + alg[2:]
        if alg[:2] == "PS":
            return openssl("dgst", sha, "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest", "-sign", self.file, data=data)
        sig = openssl("dgst", sha, "-sign", self.file, data=data)
        if alg[:2] == "RS":
            return sig
        size, at, out = self.CURVES[self.alg][2], 2 + (sig[1] > 127), b""
        for _ in range(2):
            out += sig[at + 2:at + 2 + sig[at + 1]].lstrip(b"\0").rjust(size, b"\0")
            at += 2 + sig[at + 1]
        return out

    def sign(self, claims, alg=None, text=None, **header):
        alg = alg or self.alg
        head = {"alg": alg, "typ": "JWT", "kid": self.kid, **header}
        head = {k: v for k, v in head.items() if v is not None}
        data = b64u(json.dumps(head).encode()) + "." + b64u(text or json.dumps(claims).encode())
        return data + "." + b64u(self.raw(alg, data.encode()))


key = Key()


def times(life=300, start=0):
    now = int(time.time())
    return {"iat": now + start, "nbf": now + start, "exp": now + start + life}


def ear(status="affirming", svn=3, tee="tdx", **more):
    """As Trustee's attestation service makes it."""
    cpu = {"ear.status": status, "ear.appraisal-policy-id": "default", "ear.trustworthiness-vector": {"hardware": 2, "executables": 3},
           "ear.veraison.annotated-evidence": {"tee": tee, "claims": {"svn": svn}, "runtime_data_claims": {"nonce": "x", "tee-pubkey": key.jwk}}}
    return {"eat_profile": "tag:github.com,2024:confidential-containers/Trustee", "iss": EAR, **times(), "submods": {"cpu0": cpu}, **more}


def simple(**more):
    return {"iss": SIMPLE, **times(), "tee": "snp", "customized_claims": {"runtime_data": {"tee-pubkey": key.jwk}}, **more}


def ita(kind="TDX", **more):
    """As Intel Trust Authority makes it."""
    return {"ver": "2.0.0", "iss": ITA, **times(), "jti": "c1f2", "tdx": {"attester_type": kind, "attester_tcb_status": "UpToDate",
            "tdx_mrtd": "11" * 48, "attester_runtime_data": {"tee-pubkey": key.jwk}}, **more}


ES, RS, PS, STRANGER = Signer("ES256", "es"), Signer("RS384", "rs"), Signer("PS384", "ps"), Signer("ES256", "stranger")
NAMELESS = Signer("ES384", "nameless", named=False)
ISSUERS = [{"name": "trustee", "iss": EAR, "keys": {"keys": [ES.jwk]}},
           {"name": "simple", "iss": SIMPLE, "keys": {"keys": [RS.jwk, {"kty": "oct", "use": "enc", "k": "AAAA"}]}},
           {"name": "ita", "iss": ITA, "keys": {"keys": [PS.jwk]}},
           {"name": "own", "iss": "own.example", "aud": "this-broker", "tee-pubkey": "/deep/0/a~1b", "keys": {"keys": [NAMELESS.jwk]}}]


def write(issuers):
    with open(f"{T}/issuers.new", "w") as f:
        f.write(issuers if isinstance(issuers, str) else json.dumps({"issuers": issuers}))
    os.rename(f"{T}/issuers.new", f"{T}/issuers.json")


def serve(*options):
    url_file = f"{T}/url"
    if os.path.exists(url_file):
        os.remove(url_file)
    p = subprocess.Popen([SHELTER, "broker", "serve", "--dir", f"{T}/broker", "--listen", "127.0.0.1:0", "--url-file", url_file,
                          "--trusted-tokens", f"{T}/issuers.json", "--rate", "0", *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    for _ in range(400):
        if os.path.exists(url_file) or p.poll() is not None:
            break
        time.sleep(0.05)
    return p, open(url_file).read().strip() if os.path.exists(url_file) else None


def policy(path, value):
    done = shelter("policy", path, "-", data=json.dumps(value).encode())
    assert done.returncode == 0, done.stderr


def files():
    for name, text, what in (
            ("no JSON", "{", b"issuers.json"), ("another member", '{"issuers": [], "x": 1}', b"issuers"),
            ("a member twice", '{"issuers": [], "issuers": []}', b"issuers.json"),
            ("no keys", [{"name": "a", "iss": "b", "keys": {"keys": []}}], b"no key to sign"),
            ("an unknown member", [dict(ISSUERS[0], insecure_key=True)], b"an issuer has"),
            ("a key of no kind", [dict(ISSUERS[0], keys={"keys": [{"kty": "oct", "k": "AAAA"}]})], b"is none"),
            ("an unknown alg", [dict(ISSUERS[0], keys={"keys": [dict(ES.jwk, alg="HS256")]})], b"is none"),
            ("a short RSA key", [dict(ISSUERS[0], keys={"keys": [{"kty": "RSA", "n": "u" * 86, "e": "AQAB"}]})], b"is none"),
            ("a name twice", [ISSUERS[0], ISSUERS[0]], b"two issuers"), ("a bad pointer", [dict(ISSUERS[0], **{"tee-pubkey": "x"})], b"JSON pointer"),
            ("a bad name", [dict(ISSUERS[0], name="a b")], b"an issuer has")):
        write(text)
        p, _ = serve()
        err = p.stderr.read()
        same(f"issuers: {name}", (p.wait(20), what in err, err.count(b"\n")), (125, True, 1))


def shapes(c):
    """Each service's tokens, with keys of each kind."""
    policy("app/key/one", {"tokens": ["trustee", "simple", "ita", "own"], "launch": "any"})

    def show(token, path="app/key/one"):
        c.token = token
        return c.get(path, bearer=True)

    def secret(token):
        status, data, _ = show(token)
        return c.key.decrypt(data) if status == 200 else (status, data.get("detail"))
    same("EAR of Trustee, ES256", secret(ES.sign(ear())), SECRET)
    same("EAR: a key in the header is not looked at", secret(ES.sign(ear(), jwk=STRANGER.jwk)), SECRET)
    same("EAR: a header without kid", secret(ES.sign(ear(), kid=None)), SECRET)
    same("simple token, RS384", secret(RS.sign(simple())), SECRET)
    same("Intel Trust Authority, PS384", secret(PS.sign(ita())), SECRET)
    mine = {"iss": "own.example", **times(), "aud": ["x", "this-broker"], "deep": [{"a/b": key.jwk}]}
    same("own pointer and audience, ES384", secret(NAMELESS.sign(mine)), SECRET)
    refused("another audience", show(NAMELESS.sign(dict(mine, aud="that-broker"))), 401, "unauthenticated")
    refused("no audience", show(NAMELESS.sign({k: v for k, v in mine.items() if k != "aud"})), 401, "unauthenticated")
    # Signatures
    good = ES.sign(ear())
    head, body, sig = good.split(".")
    public = openssl("ec", "-in", ES.file, "-pubout")
    forged = b64u(json.dumps({"alg": "HS256", "kid": "es"}).encode()) + "." + body
    for name, token in (
            ("a stranger's key", STRANGER.sign(ear())), ("a stranger's key under our kid", STRANGER.sign(ear(), kid="es")),
            ("a stranger's key, in its header", STRANGER.sign(ear(), kid=None, jwk=STRANGER.jwk)),
            ("none", b64u(b'{"alg":"none"}') + "." + body + "."), ("none, with a signature", b64u(b'{"alg":"none"}') + "." + body + "." + sig),
            ("HMAC by the public key", forged + "." + b64u(hmac.new(public, forged.encode(), "sha256").digest())),
            ("another body", head + "." + b64u(json.dumps(ear(svn=9)).encode()) + "." + sig),
            ("half a signature", head + "." + body + "." + sig[:43]), ("no signature", head + "." + body + "."), ("four parts", good + ".AAAA"),
            ("a zero signature", head + "." + body + "." + b64u(bytes(64))), ("crit", ES.sign(ear(), crit=["exp"])),
            ("another issuer's key", RS.sign(ear(), kid="es")), ("our key, another issuer's word", ES.sign(dict(ear(), iss=ITA))),
            ("an issuer that is unknown", ES.sign(dict(ear(), iss="x"))), ("no issuer", ES.sign({k: v for k, v in ear().items() if k != "iss"})),
            ("PSS key by PKCS #1", PS.sign(ita(), alg="RS384")), ("a shorter hash than the set says", PS.sign(ita(), alg="PS256")),
            ("another kid", ES.sign(ear(), kid="rs")), ("the body no JSON", ES.sign(None, text=b"x")),
            ("a name twice in the body", ES.sign(None, text=json.dumps(ear())[:-1].encode() + b',"iss":"' + EAR.encode() + b'"}'))):
        refused(f"signature: {name}", show(token), 401, "unauthenticated")
    # What it says
    for name, claims in (
            ("expired", ear(exp=int(time.time()) - 1)), ("no end", {k: v for k, v in ear().items() if k != "exp"}), ("an end in words", ear(exp="2099")),
            ("not yet", ear(**times(300, 600))), ("no key", ear(submods={"cpu0": {"ear.status": "affirming"}})),
            ("a key that is none", simple(iss=EAR, customized_claims={"runtime_data": {"tee-pubkey": dict(key.jwk, y=key.jwk["x"])}}))):
        refused(f"token: {name}", show(ES.sign(claims)), 401, "unauthenticated")
    # Who may have what
    for name, value in (("names images only", {"images": "any", "launch": "any"}), ("names another issuer", {"tokens": ["ita"], "launch": "any"}),
                        ("names nobody", {"launch": "any"}), ("wants the launch config judged", {"tokens": ["trustee"]}),
                        ("lists TEEs", {"tokens": ["trustee"], "launch": "any", "tee": ["tdx"]}),
                        ("lists TCBs", {"tokens": ["trustee"], "launch": "any", "tcb_status": ["UpToDate"]}),
                        ("refuses simulated ones", {"tokens": ["trustee"], "launch": "any", "simulated": False}),
                        ("demands claims of the verifier", {"tokens": ["trustee"], "launch": "any", "claims": {"mrtd": "11" * 48}}),
                        ("demands fresh volumes", {"tokens": ["trustee"], "launch": "any", "freshness": ["strict"]})):
        policy("app/key/two", value)
        refused(f"policy {name}", show(good, "app/key/two"), 403, "policy")
    policy("app/key/two", {"tokens": ["trustee"], "launch": "any"})
    same("policy names it", show(good, "app/key/two")[0], 200)
    policy("*", {"images": "any"})
    refused("the policy for all names images only", show(good, "app/key/two"), 403, "policy")
    policy("*", {"where": {"/submods/*/ear.status": ["affirming"]}})
    same("the policy for all has a condition, which holds", show(good, "app/key/two")[0], 200)
    refused("... and does not", show(ES.sign(ear("warning")), "app/key/two"), 403, "policy")
    assert shelter("policy", "*", "--remove").returncode == 0
    same("its version too", c.ask("GET", "/kbs/v0/version/app/key/two", headers={"Authorization": "Bearer " + good}, cookie=False)[0], 200)
    for what, method, path, body in (("an identity", "POST", "/kbs/v0/identity", {"id": "spiffe://example.org/a", "request": "AAAA"}),
                                     ("a volume", "POST", "/kbs/v0/volume/open/app/key/one", {"read-only": True})):
        refused(f"a token of others is good for no {what[2:].strip()}", c.ask(method, path, body, headers={"Authorization": "Bearer " + good}, cookie=False),
                401, "unauthenticated")
    log = [json.loads(l) for l in shelter("log", "--json").stdout.splitlines()]
    last = [e for e in log if e.get("resource") == "app/key/two" and e["outcome"] == "granted"][-1]
    same("log: whose token, and which", (last["image"], last["evidence"]), ("token:trustee", hashlib.sha384(good.encode()).hexdigest()))
    return good


# Trustee's example policies (kbs/sample_policies, its engine's tests, the one for Intel Trust Authority) in this broker's words.
WORDS = {
    "allow_all": {"tokens": ["trustee", "ita"], "launch": "any"},
    "deny_all": {"allow": False},
    "affirming": {"tokens": ["trustee"], "launch": "any", "where": {"/submods/*/ear.status": ["affirming"]}},
    "ita": {"tokens": ["ita"], "launch": "any", "where": {"/tdx/attester_type": {"not": ["sample"]}}},
    "svn": {"tokens": ["trustee"], "launch": "any", "where": {"/submods/cpu0/ear.veraison.annotated-evidence/tee": ["sample"],
                                                              "/submods/cpu0/ear.veraison.annotated-evidence/claims/svn": {"min": 2}}},
}


def translated(c):
    gpu = dict(ear()["submods"]["cpu0"])
    both, mixed = ear(), ear()
    both["submods"]["gpu0"], mixed["submods"]["gpu0"] = gpu, dict(gpu, **{"ear.status": "contraindicated"})
    cases = [("allow_all", ES.sign(ear("none")), 200), ("allow_all", PS.sign(ita()), 200), ("deny_all", ES.sign(ear()), 403),
             ("affirming", ES.sign(ear()), 200), ("affirming", ES.sign(both), 200), ("affirming", ES.sign(mixed), 403),
             ("affirming", ES.sign(ear("none")), 403), ("affirming", ES.sign(dict(simple(iss=EAR), submods={})), 403),
             ("affirming", ES.sign(simple(iss=EAR)), 403), ("affirming", PS.sign(ita()), 403),
             ("ita", PS.sign(ita()), 200), ("ita", PS.sign(ita("sample")), 403), ("ita", PS.sign(dict(ita(), tdx={}, **{"tee-pubkey": key.jwk})), 403),
             ("svn", ES.sign(ear(tee="sample", svn=2)), 200), ("svn", ES.sign(ear(tee="sample", svn=1)), 403),
             ("svn", ES.sign(ear(tee="tdx", svn=5)), 403), ("svn", ES.sign(ear(tee="sample", svn="5")), 403)]
    for name, words in WORDS.items():
        policy(f"policy/of/{name}", words)
    for n, (name, token, want) in enumerate(cases):
        c.token = token
        same(f"Trustee's {name}, {n}", c.get(f"policy/of/{name}", bearer=True)[0], want)


def own(platform, url):
    """Conditions on what this broker's own token says."""
    for name, where, want in (("holds", {"/submods/*/ear.status": ["affirming"], "/claims/mrtd": ["11" * 48], "/tcb-status": {"not": ["Revoked"]}}, 200),
                              ("does not", {"/claims/mrtd": ["22" * 48]}, 403), ("is of what is not there", {"/claims/none": {"not": ["x"]}}, 403)):
        policy("app/key/three", {"images": "any", "where": where})
        c = Client(url, platform)
        assert c.handshake(init=launch(memory="134217728"))[0] == 200
        same(f"a condition on an own token {name}", c.get("app/key/three")[0], want)
    policy("app/key/three", {"tokens": ["trustee"]})
    refused("a policy for tokens of others is for no image", c.get("app/key/three"), 403, "policy")


def words():
    for name, where in (("no pointer", {"submods": ["x"]}), ("two stars", {"/a/*/b/*": ["x"]}), ("no condition", {"/a": "x"}), ("an empty one", {"/a": {}}),
                        ("an unknown one", {"/a": {"like": "x"}}), ("a list of objects", {"/a": [{}]}), ("a bad escape", {"/a~2": ["x"]}), ("nothing", {}),
                        ("min of words", {"/a": {"min": "1"}})):
        same(f"where: {name}", shelter("policy", "x/y/z", "-", data=json.dumps({"where": where}).encode()).returncode, 125)
    same("tokens: no list", shelter("policy", "x/y/z", "-", data=b'{"tokens": "any"}').returncode, 125)


def main():
    assert shelter("init").returncode == 0
    files()
    words()
    write(ISSUERS)
    for path in ["app/key/one", "app/key/two", "app/key/three"] + [f"policy/of/{n}" for n in WORDS]:
        assert shelter("add-resource", path, data=SECRET).returncode == 0
    image = manifest((17, b"/bin/app"))
    json.dump({"image": hashlib.sha384(image).hexdigest(), "manifest": image.hex(),
               "references": [{"tee": "tdx", "measurement": {"mrtd": "11" * 48, "rtmr1": "00" * 48, "rtmr2": "00" * 48}}]}, open(f"{T}/good.json", "w"))
    assert shelter("add-reference", f"{T}/good.json", "--name", "good").returncode == 0
    platform = Platform(QUOTER, f"{T}/platform")
    p, url = serve("--collateral", f"tdx={T}/platform/tdx/collateral.json", "--ca", f"{T}/platform/tdx/root.pem")
    try:
        c = Client(url, key=key)
        good = shapes(c)
        translated(c)
        own(platform, url)
        write(ISSUERS[1:])
        p.send_signal(signal.SIGHUP)
        c.token = good
        for _ in range(100):
            answer = c.get("app/key/one", bearer=True)
            if answer[0] == 401:
                break
            time.sleep(0.1)
        refused("reload: an issuer that is trusted no more", answer, 401, "unauthenticated")
        write("{")
        p.send_signal(signal.SIGHUP)
        time.sleep(1)
        c.token = PS.sign(ita())
        same("reload: a bad file changes nothing", c.get("app/key/one", bearer=True)[0], 200)
    finally:
        p.terminate()
        p.wait(20)
        platform.close()


main()
