#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A certification service on loopback that lies: lying_pcs.py FOLDER PORTFILE
# The first part of each path says how: /good/…, /slow/…, /huge/…, …
import http.server, os, socketserver, sys, time, urllib.parse

folder, portfile = sys.argv[1], sys.argv[2]
hits = {}

def read(name):
    with open(os.path.join(folder, name), "rb") as f:
        return f.read()

ROUTES = {
    "tcb": ("tcb_info.json", "TCB-Info-Issuer-Chain", "tcb_signing_chain.pem"),
    "qe/identity": ("qe_identity.json", "SGX-Enclave-Identity-Issuer-Chain", "tcb_signing_chain.pem"),
    "pckcrl": ("pck_crl.der", "SGX-PCK-CRL-Issuer-Chain", "pck_crl_issuer_chain.pem"),
    "rootcacrl": ("root_ca_crl.der", None, None),
}

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, body, headers=(), status=200, length=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        mode, _, rest = url.path.lstrip("/").partition("/")
        hits[mode] = hits.get(mode, 0) + 1
        if mode == "hits":
            return self.reply(str(hits.get(rest, 0)).encode())
        if rest.startswith("vcek/v1/Milan/"):
            name = {"cert_chain": "chain.pem", "crl": "amd_crl.der"}.get(rest.split("/")[-1], "signer.der")
            return self.reply(read(name) if mode != "garbage" else b"no certificate")
        if rest == "hsk_cek":
            ok = mode != "garbage" and url.query == "snumber=TEST0001"
            return self.reply(read("hsk_cek.cert") if ok else b"x" * 2916)
        key = rest.split("/v4/", 1)[-1]
        if key not in ROUTES:
            return self.reply(b"", status=404)
        name, header, chain = ROUTES[key]
        body = read(name)
        headers = [(header, urllib.parse.quote(read(chain)))] if header else []
        if mode == "slow":
            time.sleep(6)
        if mode == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            for _ in range(60):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.1)
            return
        if mode == "huge":
            body = b" " * (3 << 20)
        if mode == "hugeheader":
            headers = [("X-%d" % i, "y" * 4000) for i in range(20)]
        if mode == "notfound":
            return self.reply(b"no", status=404)
        if mode == "error":
            return self.reply(b"no", status=503)
        if mode == "redirect":
            return self.reply(b"", [("Location", "http://127.0.0.1:%d/good/%s?%s" % (port, rest, url.query))], 302)
        if mode == "short":
            self.close_connection = True
            return self.reply(body[:100], headers, length=len(body))
        if mode == "empty":
            body = b""
        if mode == "garbage":
            body = b"<html>captive portal</html>"
        if mode == "nochain":
            headers = []
        if mode == "badchain":
            headers = [(header, "%zz")] if header else []
        if mode == "edited" and name.endswith(".json"):
            body = body.replace(b'"tcbEvaluationDataNumber":17', b'"tcbEvaluationDataNumber":18')
        if mode == "swapped" and key == "pckcrl":
            body = read("root_ca_crl.der")
        self.reply(body, headers)

class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients that hang up are the point

server = Server(("127.0.0.1", 0), Handler)
port = server.server_address[1]
with open(portfile + ".tmp", "w") as f:
    f.write(str(port))
os.rename(portfile + ".tmp", portfile)
# Ends with the test that started it, however that ends.
parent = os.getppid()
server.timeout = 0.5
while os.getppid() == parent:
    server.handle_request()
