# SPDX-License-Identifier: Apache-2.0
"""A key broker that follows RCAR (0.4.0 and 0.2.0) to the letter, or departs from it in one way.

Python's standard library and openssl commands; nothing of Shelter's. Broker(...).url is where it
listens; what it saw is in .asked (request lines) and .problems (what a client did wrong).
"""
import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

import aeskw

COOKIE = "kbs-session-id"


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def jcs(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=True, timeout=30).stdout


class Identity:
    """A TLS key and certificate; .spki is what an image pins."""

    def __init__(self, folder, name, expired=False):
        self.key, self.cert = f"{folder}/{name}.key", f"{folder}/{name}.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.cert)
        if expired:  # its second UTCTime; its signature, which nobody needs, does not hold any more
            der = openssl("x509", "-in", self.cert, "-outform", "DER")
            at = der.index(b"\x17\x0d", der.index(b"\x17\x0d") + 1) + 2
            with open(self.cert, "w") as f:
                f.write(ssl.DER_cert_to_PEM_cert(der[:at] + b"200101000000Z" + der[at + 13:]))
        self.spki = openssl("pkey", "-in", self.key, "-pubout", "-outform", "DER")


# --- JWE, sealed by openssl commands ---

def _block(key, data):
    return openssl("enc", "-aes-256-ecb", "-K", key.hex(), "-nopad", data=data)


def gcm_seal(key, iv, aad, text):
    """AES-256-GCM (SP 800-38D) out of openssl's ECB and CTR."""
    sealed = openssl("enc", "-aes-256-ctr", "-K", key.hex(), "-iv", (iv + b"\0\0\0\2").hex(), data=text) if text else b""
    v, powers, tables = int.from_bytes(_block(key, bytes(16)), "big"), [], []
    for _ in range(128):  # H times x^k, then what each value of each byte contributes
        powers.append(v)
        v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
    for at in range(16):
        table = [0] * 256
        for bit in range(8):
            for low in range(1 << bit):
                table[1 << bit | low] = table[low] ^ powers[8 * at + 7 - bit]
        tables.append(table)
    pad = lambda d: d + bytes(-len(d) % 16)
    y, whole = 0, pad(aad) + pad(sealed) + struct.pack(">QQ", 8 * len(aad), 8 * len(sealed))
    for at in range(0, len(whole), 16):
        x, y = y ^ int.from_bytes(whole[at:at + 16], "big"), 0
        for table, byte in zip(tables, x.to_bytes(16, "big")):
            y ^= table[byte]
    return sealed, (y ^ int.from_bytes(_block(key, iv + b"\0\0\0\1"), "big")).to_bytes(16, "big")


def _spki(jwk, folder):
    """A file with the JWK's public key."""
    path = f"{folder}/{hashlib.sha256(jcs(jwk)).hexdigest()[:16]}.der"
    if jwk["kty"] == "RSA":
        n, e = int.from_bytes(unb64u(jwk["n"]), "big"), int.from_bytes(unb64u(jwk["e"]), "big")
        text = f"asn1=SEQUENCE:s\n[s]\na=SEQUENCE:a\nb=BITWRAP,SEQUENCE:k\n[a]\no=OID:rsaEncryption\nn=NULL\n" \
               f"[k]\nn=INTEGER:{n}\ne=INTEGER:{e}\n"
        with open(path + ".conf", "w") as f:
            f.write(text)
        openssl("asn1parse", "-genconf", path + ".conf", "-noout", "-out", path)
    else:
        with open(path, "wb") as f:
            f.write(bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + b"\4" +
                    unb64u(jwk["x"]) + unb64u(jwk["y"]))
    return path


def seal(jwk, secret, folder, how=""):
    """A flattened JWE for this key; `how` names what is wrong with it."""
    cek, iv = os.urandom(32), os.urandom(12)
    header = {"alg": jwk["alg"], "enc": "A256GCM"}
    if how == "jwe-alg":
        header["alg"] = "dir"
    if how == "jwe-enc":
        header["enc"] = "A128GCM"
    if how == "jwe-zip":
        header["zip"] = "DEF"
    peer = _spki(jwk, folder)
    if jwk["kty"] == "RSA":
        wrapped = openssl("pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", peer, "-pkeyopt",
                          "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt",
                          "rsa_mgf1_md:sha256", data=cek)
    else:
        curve, size, name = ("secp384r1", 48, "P-384") if how == "jwe-curve" else ("prime256v1", 32, "P-256")
        own = f"{folder}/epk.pem"
        openssl("ecparam", "-genkey", "-noout", "-name", curve, "-out", own)
        point = openssl("ec", "-in", own, "-pubout", "-outform", "DER")[-2 * size:]
        if how == "jwe-off-curve":
            point = point[:-1] + bytes([point[-1] ^ 1])
        header["epk"] = {"crv": name, "kty": "EC", "x": b64u(point[:size]), "y": b64u(point[size:])}
        if how == "jwe-curve":
            wrapped = bytes(40)
        else:
            if how == "jwe-other-key":
                peer = f"{folder}/other.der"
                openssl("ecparam", "-genkey", "-noout", "-name", curve, "-out", f"{folder}/other.pem")
                openssl("ec", "-in", f"{folder}/other.pem", "-pubout", "-outform", "DER", "-out", peer)
            z = openssl("pkeyutl", "-derive", "-inkey", own, "-peerkey", peer, "-peerform", "DER")
            alg = jwk["alg"].encode()
            info = struct.pack(">I", len(alg)) + alg + bytes(8) + struct.pack(">I", 256)
            kek = hashlib.sha256(struct.pack(">I", 1) + z + info).digest()
            wrapped = aeskw.wrap(kek, cek)
    protected = b64u(json.dumps(header, separators=(",", ":")).encode())
    text, tag = gcm_seal(cek, iv, protected.encode(), secret)
    if how == "jwe-tag":
        tag = bytes([tag[0] ^ 1]) + tag[1:]
    if how == "jwe-protected":
        protected = b64u(json.dumps(header, separators=(", ", ":")).encode())
    jwe = {"protected": protected, "encrypted_key": b64u(wrapped), "iv": b64u(iv), "ciphertext": b64u(text),
           "tag": b64u(tag)}
    if how == "jwe-no-tag":
        del jwe["tag"]
    if how == "jwe-short-tag":
        jwe["tag"] = b64u(tag[:12])
    if how == "jwe-aad":
        jwe["aad"] = "YQ"
    if how == "jwe-padding":
        jwe["iv"] += "="
    return jwe


class Refusal(Exception):
    pass


class Broker:
    """how: what it does wrong ("" nothing); when: in which request ("auth", "attest", "resource")."""

    def __init__(self, identity, resources, how="", when="", tls=True, old=False, times=10 ** 9):
        self.identity, self.resources, self.how, self.when = identity, resources, how, when
        self.tls, self.old, self.times = tls, old, times
        self.sessions, self.asked, self.problems, self.proofs = {}, [], [], []
        self.segments = 0  # with data, that came in the connection of the last request
        self.folder = tempfile.TemporaryDirectory()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.alert = b""  # that the client sent ("no-hello")
        self.closed = False
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    def close(self):
        """Its thread has ended before the descriptor is free: else it would accept for the broker that gets the number next."""
        self.closed = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.accepting.join(10)
        assert not self.accepting.is_alive(), "the scripted broker still accepts"
        self.listener.close()
        self.folder.cleanup()

    def _accept(self):
        while not self.closed:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            s.settimeout(20)
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _now(self, how, when=None):
        """Does this departure happen now? Counts it."""
        if self.how != how or (when and self.when and when != self.when) or self.times <= 0:
            return False
        self.times -= 1
        return True

    def _serve(self, s):
        try:
            if self._now("cut-tcp"):
                return
            if self.how == "no-hello":
                s.recv(65536)
                s.sendall(bytes.fromhex("16030300040e000000"))  # ServerHelloDone, which comes later
                self.alert = s.recv(7, socket.MSG_WAITALL)
                return
            if self.tls and self.how != "no-tls":
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.identity.cert, self.identity.key)
                if self.how == "tls-1.3-only":
                    context.minimum_version = ssl.TLSVersion.TLSv1_3
                s = context.wrap_socket(s, server_side=True)
            while self._one(s):
                pass
        except (OSError, ValueError):
            pass
        finally:
            try:
                s.close()
            except OSError:
                pass

    def _one(self, s):
        data = b""
        while b"\r\n\r\n" not in data:
            more = s.recv(65536)
            if not more:
                return False
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        lines = head.decode("ascii").split("\r\n")
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        length = int(headers.get("content-length", "0"))
        while len(body) < length:
            more = s.recv(65536)
            if not more:
                return False
            body += more
        if len(body) != length or "host" not in headers or "transfer-encoding" in headers:
            self.problems.append("framing")
        info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
        self.segments = struct.unpack_from("=I", info, 152)[0]  # tcpi_data_segs_in
        method, path, version = lines[0].split(" ")
        self.asked.append(f"{method} {path}")
        if version != "HTTP/1.1":
            self.problems.append(version)
        when = path.split("/")[3] if path.startswith("/kbs/v0/") else "?"
        try:
            status, answer, extra = self._answer(method, path, headers, body)
        except Refusal as e:
            self.problems.append(str(e))
            status, answer, extra = 401, {"type": "urn:test", "detail": str(e)}, []
        return self._send(s, when, status, answer, extra)

    def _send(self, s, when, status, answer, extra):
        body = json.dumps(answer).encode()
        if self._now("truncated", when):
            body = body[:-2]
        if self._now("duplicate", when):
            body = body[:-1] + b"," + body[1:]
        if self._now("extra-fields", when):
            body = body[:-1] + b',"more":{"of":["this",1.5e3,null]},"x":"\\u00e9"}'
        if self._now("not-json", when):
            body = b"<html>hello</html>"
        if self._now("huge", when):
            body += b" " * (9 << 20)
        if self._now("status-302", when):
            status, extra = 302, extra + ["Location: /elsewhere"]
        for code in (204, 500, 503, 429, 403, 404):
            if self._now(f"status-{code}", when):
                status, body = code, b'{"type":"x","detail":"because of \\u0007 it"}' if code != 204 else b""
        framing = f"Content-Length: {len(body)}"
        if self._now("chunked", when):
            framing = "Transfer-Encoding: chunked"
            body = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 7]), body[i:i + 7]) for i in range(0, len(body), 7))
            body += b"0\r\n\r\n"
        if self._now("both-framings", when):
            framing += "\r\nTransfer-Encoding: chunked"
        if self._now("endless-head", when):
            framing += "".join(f"\r\nX-{i}: {'a' * 90}" for i in range(400))
        if self._now("until-close", when):
            framing = "Connection: close"
        head = "\r\n".join([f"HTTP/1.1 {status} X", framing, "Content-Type: application/json"] + extra) + "\r\n\r\n"
        data = head.encode() + body
        if self._now("cut-before", when):
            return False
        if self._now("cut-head", when):
            s.sendall(data[:20])
            return False
        if self._now("cut-body", when):
            s.sendall(data[:-5])
            return False
        if self._now("drip", when):
            for byte in data:
                s.sendall(bytes([byte]))
                time.sleep(0.1)
        if self._now("slow", when):
            time.sleep(0.5)
        if self._now("mute", when):
            time.sleep(4)
            return False
        if self._now("junk", when):
            data = os.urandom(3000)
        if self._now("more", when):
            data += b"HTTP/1.1 200 OK\r\n\r\n"
        s.sendall(data)
        return "Connection: close" not in head

    def _answer(self, method, path, headers, body):
        if (method, path) == ("POST", "/kbs/v0/auth"):
            return self._auth(json.loads(body))
        session = self.sessions.get(headers.get("cookie"))
        if (method, path) == ("POST", "/kbs/v0/attest"):
            if not session:
                raise Refusal("no session")
            return self._attest(session, json.loads(body))
        if method == "GET" and path.startswith("/kbs/v0/resource/"):
            if not session or headers.get("authorization") != "Bearer " + session.get("token", ""):
                raise Refusal("no token")
            if self._now("expired"):
                return 401, {"detail": "the session has expired"}, []
            secret = self.resources.get(path[len("/kbs/v0/resource/"):])
            if secret is None:
                return 404, {"detail": "no such resource"}, []
            return 200, seal(session["jwk"], secret, self.folder.name, self.how), []
        return 404, {}, []

    def _auth(self, o):
        if set(o) != {"version", "tee", "extra-params"} or o["tee"] not in ("tdx", "sgx", "snp"):
            raise Refusal("malformed request")
        if o["version"] != ("0.2.0" if self.old else "0.4.0"):
            return 401, {"type": "x/ProtocolVersion", "detail": "protocol version not supported"}, []
        if o["extra-params"] != {"supported-hash-algorithms": ["sha384"]}:
            raise Refusal("extra-params")
        nonce = base64.b64encode(os.urandom(32)).decode()
        id = f"{COOKIE}={os.urandom(16).hex()}"
        self.sessions[id] = {"nonce": nonce}
        answer = {"nonce": nonce, "extra-params": {"selected-hash-algorithm": "sha384"}}
        if self._now("nonce-missing"):
            del answer["nonce"]
        if self._now("nonce-number"):
            answer["nonce"] = 5
        if self._now("nonce-long"):
            answer["nonce"] = "A" * 5000
        if self._now("nonce-binary"):
            answer["nonce"] = 'abcdefgh","tee-pubkey":{"x\u0001'
        if self._now("nonce-empty"):
            answer["nonce"] = ""
        if self._now("other-hash"):
            answer["extra-params"] = {"selected-hash-algorithm": "sha512"}
        cookies = [f"Set-Cookie: {id}; Path=/kbs; HttpOnly"]
        if self._now("cookie-other"):
            cookies = ["Set-Cookie: session=1"]
        if self._now("cookie-long"):
            cookies = [f"Set-Cookie: {COOKIE}=" + "a" * 4000]
        if self._now("cookie-wrong"):
            cookies = [f"Set-Cookie: {COOKIE}=" + "0" * 32]
        return 200, answer, ["Set-Cookie: other=1; Path=/"] + cookies

    def _attest(self, session, o):
        nonce, evidence = session.pop("nonce", None), None
        if nonce is None:
            return 409, {"detail": "the nonce was used"}, []
        if self.old:
            jwk, evidence, bound = o["tee-pubkey"], o["tee-evidence"], {}
        else:
            jwk, evidence = o["runtime-data"]["tee-pubkey"], o["tee-evidence"]["primary_evidence"]
            bound = {"additional-evidence": o["tee-evidence"]["additional_evidence"]}
            if o["runtime-data"]["nonce"] != nonce:
                raise Refusal("another nonce")
        if self.how == "rsa-only" and jwk["kty"] != "RSA":
            return 400, {"detail": "only RSA keys are supported"}, []
        want = hashlib.sha384(jcs(dict(bound, nonce=nonce, **{"tee-pubkey": jwk}))).digest().ljust(64, b"\0")
        quote = base64.b64decode(evidence["quote"])
        if quote[568:632] != want:
            raise Refusal("report data is another")
        init = o.get("init-data")
        if init and (init["format"] != "toml" or not init["body"].startswith("version")):
            raise Refusal("init-data")
        self.proofs.append((quote, init and init["body"]))
        token = ".".join(b64u(jcs(part)) for part in ({"alg": "ES256"}, {"exp": 1, "tee-pubkey": jwk}, {"sig": 1}))
        session.update(token=token, jwk=jwk)
        answer = {"token": token}
        if self._now("token-missing"):
            answer = {"tokens": []}
        if self._now("token-shape"):
            answer["token"] = "abc"
        if self._now("token-header"):
            answer["token"] = "a.b.c\r\nX-Evil: 1"
        if self._now("token-long"):
            answer["token"] = "a.b." + "c" * 200000
        return 200, answer, []
