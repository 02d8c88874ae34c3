# SPDX-License-Identifier: Apache-2.0
"""RCAR by hand: Python's standard library, curl and openssl commands; nothing of Shelter's own.

A Client walks the protocol against a broker; a Platform quotes through build/tests/quoter.
"""
import base64
import hashlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import tempfile
import urllib.parse

import aeskw


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def jcs(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=True, timeout=30).stdout


def launch(**values):
    """A launch config (include/shelter/launch.h)."""
    order = "arg env workdir user hostname tty stdin mount file network port broker memory cpus debug".split()
    text = 'version = "0.1.0"\nalgorithm = "sha384"\n\n[data]\n"shelter.launch" = \'\'\'\n'
    for key in order:
        value = values.get(key, [])
        for item in [value] if isinstance(value, str) else value:
            text += f"{key} {item}\n"
    return text + "'''\n"


NOTHING_CHOSEN = launch()  # as of a host that gives no options


def manifest(*records):
    """An image's manifest (include/shelter/manifest.h) with these (tag, bytes), in order."""
    root = [(1, b"\1" * 32), (2, (4096).to_bytes(8, "little"))]
    body = b"".join(tag.to_bytes(2, "little") + b"\0\0" + len(data).to_bytes(4, "little") + data for tag, data in root + list(records))
    return b"SHLTRMAN" + (1).to_bytes(4, "little") + (16 + len(body)).to_bytes(4, "little") + body


class Key:
    """A TEE's key; everything secret is done by openssl commands."""
    CURVES = {"P-256": ("prime256v1", 32), "P-384": ("secp384r1", 48), "P-521": ("secp521r1", 66)}

    def __init__(self, kind="P-256"):
        self.kind = kind
        self.file = tempfile.NamedTemporaryFile(suffix=".pem")
        if kind == "RSA":
            openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.file.name)
            n = openssl("rsa", "-in", self.file.name, "-noout", "-modulus").decode().strip().split("=")[1]
            self.jwk = {"kty": "RSA", "alg": "RSA-OAEP-256", "n": b64u(bytes.fromhex(n)), "e": "AQAB"}
            return
        name, size = self.CURVES[kind]
        openssl("ecparam", "-genkey", "-noout", "-name", name, "-out", self.file.name)
        point = openssl("ec", "-in", self.file.name, "-pubout", "-outform", "DER")[-2 * size:]
        self.jwk = {"kty": "EC", "crv": kind, "alg": "ECDH-ES+A256KW", "x": b64u(point[:size]), "y": b64u(point[size:])}

    def _content_key(self, header, wrapped):
        if self.kind == "RSA":
            return openssl("pkeyutl", "-decrypt", "-inkey", self.file.name, "-pkeyopt", "rsa_padding_mode:oaep",
                           "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256", data=wrapped)
        # The peer's key as SubjectPublicKeyInfo: ours with another point.
        size = self.CURVES[self.kind][1]
        own = openssl("ec", "-in", self.file.name, "-pubout", "-outform", "DER")
        with tempfile.NamedTemporaryFile() as peer:
            peer.write(own[:-2 * size] + unb64u(header["epk"]["x"]) + unb64u(header["epk"]["y"]))
            peer.flush()
            z = openssl("pkeyutl", "-derive", "-inkey", self.file.name, "-peerkey", peer.name, "-peerform", "DER")
        alg = header["alg"].encode()
        info = len(alg).to_bytes(4, "big") + alg + bytes(8) + (256).to_bytes(4, "big")
        kek = hashlib.sha256((1).to_bytes(4, "big") + z + info).digest()
        return aeskw.unwrap(kek, wrapped)

    def decrypt(self, jwe):
        header = json.loads(unb64u(jwe["protected"]))
        assert header["alg"] == self.jwk["alg"] and header["enc"] == "A256GCM" and "aad" not in jwe
        cek = self._content_key(header, unb64u(jwe["encrypted_key"]))
        return gcm_open(cek, unb64u(jwe["iv"]), jwe["protected"].encode(), unb64u(jwe["ciphertext"]), unb64u(jwe["tag"]))


def _block(key, data):
    return openssl("enc", "-aes-256-ecb", "-K", key.hex(), "-nopad", data=data)


def gcm_open(key, iv, aad, text, tag):
    """AES-256-GCM (SP 800-38D) out of openssl's ECB and CTR."""
    h = int.from_bytes(_block(key, bytes(16)), "big")
    padded = lambda d: d + bytes(-len(d) % 16)
    y = 0
    for at in range(0, len(whole := padded(aad) + padded(text) + (8 * len(aad)).to_bytes(8, "big") +
                           (8 * len(text)).to_bytes(8, "big")), 16):
        x, v, z = y ^ int.from_bytes(whole[at:at + 16], "big"), h, 0
        for bit in range(127, -1, -1):
            if x >> bit & 1:
                z ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
        y = z
    first = _block(key, iv + b"\0\0\0\1")
    if (y ^ int.from_bytes(first, "big")).to_bytes(16, "big") != tag:
        raise ValueError("the tag does not hold")
    return openssl("enc", "-aes-256-ctr", "-K", key.hex(), "-iv", (iv + b"\0\0\0\2").hex(), data=text) if text else b""


class Platform:
    def __init__(self, program, folder, seconds_ago=0):
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        self.process = subprocess.Popen([program, folder, str(seconds_ago)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def quote(self, kind, report_data, config=None, debug=False):
        config = hashlib.sha384(config.encode()).digest() if config else bytes(48)
        self.process.stdin.write(f"{kind} {report_data.ljust(64, bytes(1)).hex()} "
                                 f"{config.ljust(64, bytes(1)).hex()}{' debug' if debug else ''}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


class Client:
    """One client: keeps its cookie. Answers are (status, JSON or text, headers)."""

    def __init__(self, url, platform=None, kind="tdx", version="0.4.0", key=None):
        self.url = urllib.parse.urlsplit(url)
        self.platform, self.kind, self.version = platform, kind, version
        self.key = key or Key()
        self.cookie = self.nonce = self.token = None

    def connect(self):
        if self.url.scheme == "http":
            return http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=30)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # pinning is tested with curl
        return http.client.HTTPSConnection(self.url.hostname, self.url.port, timeout=30, context=context)

    def ask(self, method, path, body=None, headers=None, cookie=True):
        connection = self.connect()
        headers = dict(headers or {})
        if cookie and self.cookie:
            headers["Cookie"] = self.cookie
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            data, head = reply.read(), dict(reply.getheaders())
        finally:
            connection.close()
        if "Set-Cookie" in head:
            self.cookie = head["Set-Cookie"].split(";")[0]
        if "json" in head.get("Content-Type", ""):
            data = json.loads(data)
        return reply.status, data, head

    def tee(self):
        return "sgx" if self.kind == "sgx" else "tdx"

    def auth(self):
        status, data, head = self.ask("POST", "/kbs/v0/auth", {"version": self.version, "tee": self.tee(), "extra-params": {}}, cookie=False)
        if status == 200:
            self.nonce = data["nonce"]
        return status, data, head

    def attestation(self, init=NOTHING_CHOSEN, sent_init=None, nonce=None, bound_key=None, debug=False, additional="", as_text=False,
                    hash_name="sha384"):
        """The body of /attest; what is bound may differ from what is sent."""
        nonce = nonce or self.nonce
        key = (bound_key or self.key).jwk
        bound = {"nonce": nonce, "tee-pubkey": key}
        if self.version == "0.4.0":
            bound["additional-evidence"] = additional
        digest = hashlib.new(hash_name, jcs(bound).encode()).digest()
        evidence = {"quote": self.platform.quote(self.kind, digest, init, debug)}
        sent_init = init if sent_init is None else sent_init
        body = {"init-data": {"format": "toml", "body": sent_init}} if sent_init else {}
        if self.version == "0.4.0":
            body["runtime-data"] = {"nonce": nonce, "tee-pubkey": self.key.jwk}
            body["tee-evidence"] = {"primary_evidence": evidence, "additional_evidence": additional}
        else:
            body["tee-pubkey"] = self.key.jwk
            body["tee-evidence"] = json.dumps(evidence) if as_text else evidence
        return body

    def attest(self, body=None, **options):
        status, data, head = self.ask("POST", "/kbs/v0/attest", body or self.attestation(**options))
        if status == 200:
            self.token = data["token"]
        return status, data, head

    def handshake(self, **options):
        answer = self.auth()
        return self.attest(**options) if answer[0] == 200 else answer

    def get(self, path, bearer=False):
        headers = {"Authorization": "Bearer " + self.token} if bearer else None
        return self.ask("GET", "/kbs/v0/resource/" + path, headers=headers, cookie=not bearer)

    def secret(self, path, bearer=False):
        status, data, _ = self.get(path, bearer)
        return self.key.decrypt(data) if status == 200 else status

    def raw(self, data):
        """Sends bytes as they are over TLS or TCP; returns the status line's number or 0."""
        s = socket.create_connection((self.url.hostname, self.url.port), timeout=30)
        if self.url.scheme == "https":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            s = context.wrap_socket(s)
        with s:
            try:
                for at in range(0, len(data), 65536):
                    s.sendall(data[at:at + 65536])
            except OSError:
                pass
            try:
                reply = s.recv(4096)
            except OSError:
                return 0
        return int(reply.split()[1]) if reply.startswith(b"HTTP/") else 0
