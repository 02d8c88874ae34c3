# SPDX-License-Identifier: Apache-2.0
"""The admin API, its roles, the console and versions of resources. Prints TAP.

broker_admin.py SHELTER QUOTER FOLDER
"""
import hashlib
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
import unicodedata
import urllib.parse

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]
from rcar import Client, Key, Platform, manifest  # noqa: E402
from tap import same  # noqa: E402

SHELTER, QUOTER, T = sys.argv[1:4]
SECRET = b"the first of its name"


def here(*args, data=None):
    return subprocess.run([SHELTER, "broker", *args, "--dir", f"{T}/broker"], input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)


def elsewhere(who, *args, data=None, key=True, url=None):
    command = [SHELTER, "broker", *args, "--url", url or admin_url, "--credential", f"{T}/{who}.credential"]
    return subprocess.run(command + (["--broker-key", f"{T}/broker.pem"] if key else []), input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)


def said(done):
    return done.returncode, done.stderr.decode().strip()


def refused(name, done, pattern):
    good = done.returncode == 125 and done.stderr.count(b"\n") == 1 and re.search(pattern, done.stderr.decode())
    print(f"ok {name}" if good else f"not ok {name}: {done.returncode} {done.stderr!r}", flush=True)


def ask(method, path, body=None, headers=None, url=None):
    """Status, headers and body, without following anything."""
    parts = urllib.parse.urlsplit(url or admin_url)
    c = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=40, context=ssl._create_unverified_context())
    try:
        c.request(method, path, body, headers or {})
        answer = c.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        c.close()


def api(who, operation, body=b"{}"):
    credential = open(f"{T}/{who}.credential").read().strip()
    status, _, text = ask("POST", f"/admin/v0/{operation}", body if isinstance(body, bytes) else json.dumps(body).encode(),
                          {"Authorization": f"Bearer {credential}"})
    answer = json.loads(text)
    return status, answer.get("type", "").removeprefix("urn:shelter:broker:") if status != 200 else answer


def until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.05)
    return what()


def make_reference(name, mrtd, tag=b"/bin/app"):
    image = manifest((17, tag))
    json.dump({"image": hashlib.sha384(image).hexdigest(), "manifest": image.hex(),
               "references": [{"tee": "tdx", "measurement": {"mrtd": mrtd * 48, "rtmr1": "00" * 48, "rtmr2": "00" * 48}}]},
              open(f"{T}/{name}.json", "w"))


def add_operator(name, role, *more):
    done = here("operator", "add", name, "--role", role, *more)
    assert done.returncode == 0, done.stderr
    open(f"{T}/{name}.credential", "wb").write(done.stdout)
    return done.stdout.decode().strip()


platform = Platform(QUOTER, f"{T}/platform")
make_reference("app", "11")
make_reference("other", "22", b"/bin/other")
assert here("init").returncode == 0
open(f"{T}/broker.pem", "wb").write(here("key").stdout)
credentials = [add_operator(n, r) for n, r in (("rita", "reader"), ("oscar", "operator"), ("anna", "approver"), ("root.one", "admin"))]
same("operator: each credential is another one", len(set(credentials)), 4)
same("operator: ls", here("operator", "ls").stdout, b"anna  approver\noscar  operator\nrita  reader\nroot.one  admin\n")
refused("operator: a name that is there", here("operator", "add", "rita", "--role", "admin"), "there is an operator")
refused("operator: no role", here("operator", "add", "zoe"), "takes --role")
refused("operator: a role that is none", here("operator", "add", "zoe", "--role", "king"), "a role is")
refused("operator: a name like an identity", here("operator", "add", "a b", "--role", "reader"), "name is made of")
same("operator: no credential lies in the store", [c for c in credentials for f in os.listdir(f"{T}/broker")
                                                   if c.encode() in open(f"{T}/broker/{f}", "rb").read()], [])
log = open(f"{T}/serve.log", "w")
server = subprocess.Popen([SHELTER, "broker", "serve", "--dir", f"{T}/broker", "--listen", "127.0.0.1:0", "--url-file", f"{T}/url", "--admin",
                           "127.0.0.1:0", "--console", "--admin-url-file", f"{T}/admin-url", "--ca", f"{T}/platform/tdx/root.pem", "--rate", "0",
                           "--collateral", f"tdx={T}/platform/tdx/collateral.json", *sys.argv[4:]], stdout=log, stderr=log)
try:
    assert until(lambda: os.path.exists(f"{T}/url"))
    url, admin_url = open(f"{T}/url").read().strip(), open(f"{T}/admin-url").read().strip()

    # Who comes in.
    with open(f"{T}/nobody.credential", "w") as f:
        f.write("sba_" + "A" * 43)
    refused("a stranger's credential", elsewhere("nobody", "list"), "credential is needed")
    refused("without the broker's key its certificate is of nobody", elsewhere("rita", "list", key=False), "not from a known authority")
    subprocess.run(["openssl", "ecparam", "-genkey", "-noout", "-name", "prime256v1", "-out", f"{T}/k"], check=True)
    os.rename(f"{T}/broker.pem", f"{T}/right.pem")
    subprocess.run(["openssl", "ec", "-in", f"{T}/k", "-pubout", "-out", f"{T}/broker.pem"], check=True, stderr=subprocess.DEVNULL)
    refused("another key than the broker's", elsewhere("rita", "list"), "not that broker")
    os.rename(f"{T}/right.pem", f"{T}/broker.pem")
    same("the clients' address has no such endpoints", [ask(m, p, url=url)[0] for m, p in (("POST", "/admin/v0/list"), ("GET", "/console/"))], [404, 404])
    same("no clients' endpoints at the operators'", [ask(m, p)[0] for m, p in (("POST", "/kbs/v0/auth"), ("GET", "/metrics"))], [404, 404])
    same("a large body without a credential is not taken", ask("POST", "/admin/v0/list", b"", {"Content-Length": "3000000"})[0], 401)
    same("a body over the bound", ask("POST", "/admin/v0/list", b"", {"Content-Length": str(7 << 20), "Authorization": f"Bearer {credentials[0]}"})[0], 413)
    same("garbage", [api("root.one", "list", b)[0] for b in (b"[]", b"{", b"\0", b'{"a":1,"a":2}', b"{}{}")], [400] * 5)
    same("a member that nobody knows", api("root.one", "list", {"more": 1}), (400, "malformed"))
    same("... also where it begins one", api("root.one", "resource-remove", {"pat": "a/b/c"}), (400, "malformed"))
    same("an operation that is none", api("root.one", "dance"), (404, "no-such-operation"))
    same("whoami", api("oscar", "whoami"), (200, {"name": "oscar", "may": ["read", "change"]}))

    # Roles.
    same("an operator keeps a secret", said(elsewhere("oscar", "add-resource", "app/key/one", data=SECRET))[0], 0)
    refused("a second time needs --replace", elsewhere("oscar", "add-resource", "app/key/one", data=b"x"), "already has .*; --replace")
    changing = ["resource-set", "resource-remove", "policy-set", "policy-remove", "identity-set", "identity-revoke", "volume-set", "volume-reset",
                "reference-set", "reference-remove", "reference-approve", "reference-reject", "operators", "operator-add", "operator-remove"]
    same("a reader changes nothing", [api("rita", o) for o in changing], [(403, "role")] * len(changing))
    same("an approver changes nothing else", [o for o in changing if api("anna", o) != (403, "role")],
         ["reference-remove", "reference-approve", "reference-reject"])
    same("an operator approves nothing and has no operators", [api("oscar", o) for o in ("reference-approve", "operators", "operator-add", "operator-remove")],
         [(403, "role")] * 4)
    refused("... said in one line", elsewhere("rita", "remove-resource", "app/key/one"), "your role may not")
    same("no secret is in any list", [o for o in ("list", "log", "attested", "volumes", "certificates") if SECRET in json.dumps(api("root.one", o)).encode()], [])

    # References: proposed by one, approved by another.
    done = elsewhere("oscar", "add-reference", f"{T}/app.json", "--name", "app")
    same("an operator's reference is a proposal", (done.returncode, b"is proposed" in done.stderr), (0, True))
    shown = json.loads(elsewhere("anna", "proposal", "show", "app").stdout)
    same("proposal: by whom", (shown["proposer"], shown["reference"]["references"][0]["measurement"]["mrtd"]), ("oscar", "11" * 48))
    key = Key()
    c = Client(url, platform, key=key)
    same("it lets nobody in yet", c.handshake()[0], 401)
    refused("another digest than what was seen", elsewhere("anna", "proposal", "approve", "app", "00" * 48), "not the one of this digest")
    elsewhere("root.one", "add-reference", f"{T}/other.json", "--name", "mine", "--propose")
    mine = json.loads(elsewhere("root.one", "proposal", "show", "mine").stdout)["sha384"]
    refused("nobody approves their own", elsewhere("root.one", "proposal", "approve", "mine", mine), "who proposed")
    same("reject", said(elsewhere("anna", "proposal", "reject", "mine")), (0, ""))
    refused("... and it is gone", elsewhere("anna", "proposal", "show", "mine"), "no proposal")
    make_reference("app", "33")
    elsewhere("oscar", "add-reference", f"{T}/app.json", "--name", "app", "--replace")
    refused("one that was changed meanwhile", elsewhere("anna", "proposal", "approve", "app", shown["sha384"]), "not the one of this digest")
    make_reference("app", "11")
    elsewhere("oscar", "add-reference", f"{T}/app.json", "--name", "app", "--replace")
    same("approve", said(elsewhere("anna", "proposal", "approve", "app", shown["sha384"])), (0, ""))
    same("list: who proposed, who approved", [(r["name"], r["proposer"], r["approver"]) for r in json.loads(elsewhere("rita", "list", "--json").stdout)["references"]],
         [("app", "oscar", "anna")])
    c = Client(url, platform, key=key)
    same("it lets in at once, in the process that was asked", c.handshake()[0], 200)

    # Policies by the network, then a resource and its versions.
    refused("policy: a reader", elsewhere("rita", "policy", "app/key/one", "-", data=b'{"images":["app"]}'), "role")
    done = elsewhere("oscar", "policy", "app/key/one", "-", data=b'{"images":["app"]}')
    same("policy: a name becomes an identity", (done.returncode, done.stderr.startswith(b"'app' is image ")), (0, True))
    same("policy explain", elsewhere("rita", "policy", "explain", "app", "app/key/one").returncode, 0)
    status, _, headers = c.ask("GET", "/kbs/v0/resource/app/key/one")
    same("a resource tells its version", (status, headers.get("Shelter-Resource-Version")), (200, "1"))
    version = lambda after="": c.ask("GET", f"/kbs/v0/version/app/key/one{after}")
    read = lambda answer: answer[:2]
    same("its number alone", read(version())[0], 200)
    same("... at once where it is another", read(version("?after=0")), (200, {"version": 1}))
    same("... of one who may not", Client(url, platform, key=key).ask("GET", "/kbs/v0/version/app/key/one")[0], 401)
    same("... malformed", version("?after=x")[0], 400)
    results = []
    begun = time.monotonic()
    waiters = [threading.Thread(target=lambda: results.append((read(version("?after=1")), time.monotonic() - begun))) for _ in range(20)]
    [w.start() for w in waiters]
    until(lambda: len(results) >= 4)
    time.sleep(1)
    same("20 wait for the next version: 16 of them, the rest is answered at once", [r[0] for r in results], [(200, {"version": 1})] * 4)
    same("others are answered meanwhile", ask("GET", "/healthz", url=url)[0], 200)
    same("a new version", elsewhere("oscar", "add-resource", "app/key/one", "--replace", data=b"the second").returncode, 0)
    [w.join() for w in waiters]
    same("all who waited hear of it", (sorted(r[0][1]["version"] for r in results), max(r[1] for r in results) < 24), ([1] * 4 + [2] * 16, True))
    same("... and get it", c.secret("app/key/one"), b"the second")
    here("add-resource", "app/key/one", "--replace", data=b"the third")
    same("one of another process too", (read(version("?after=2")), c.secret("app/key/one")), ((200, {"version": 3}), b"the third"))
    here("remove-resource", "app/key/one")
    here("add-resource", "app/key/one", data=b"the fourth")
    same("no number comes again", read(version()), (200, {"version": 4}))

    # What the rest of the command line does elsewhere.
    same("attested now", [(a["reference"], a["tee"]) for a in api("rita", "attested")[1]["attested"]], [("app", "tdx")])
    lines = elsewhere("rita", "log", "-n", "500").stdout.decode()
    same("log: whom it names", all(w in lines for w in ("oscar (operator) at 127.0.0.1", "anna (approver) at 127.0.0.1", "reference-approved")), True)
    same("log: as it is here", sorted(lines.splitlines())[-30:], sorted(here("log").stdout.decode().splitlines())[-30:])
    same("log: --check", elsewhere("rita", "log", "--check").stdout, here("log", "--check").stdout)
    # A name that is refused stands in the log with what the operator wrote: it moves no cursor there, and begins no line.
    evil = "\x1b[2J\n2026-01-01T00:00:00.000Z  admin\x7f\x9b31m\\\u202e\u2066\u2067\u200f\u061c\u2028\u2029"
    same("log: a name that is refused", api("oscar", "reference-set", {"name": evil, "image": "0" * 96, "reference": "{}"}), (400, "malformed"))
    same("log: ... is kept", until(lambda: any(evil in e["detail"] for e in api("rita", "log", {"count": 20})[1]["entries"])), True)
    for name, text in (("here", here("log", "-n", "500").stdout), ("elsewhere", elsewhere("rita", "log", "-n", "500").stdout)):
        text = text.decode()
        same(f"log: ... and shown, {name}", "\\x1b[2J\\x0a2026-01-01T00:00:00.000Z  admin\\x7f\\u009b31m\\x5c\\u202e\\u2066\\u2067\\u200f\\u061c\\u2028\\u2029" in text, True)
        same(f"log: ... without any control character, {name}", [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\n"], [])
        same(f"log: ... as no line of its own, {name}", [line for line in text.splitlines() if line.startswith("2026-01-01T00:00:00")], [])
    same("log: search", {e["code"] for e in api("rita", "log", {"search": "reference-APPROVED"})[1]["entries"]}, {"reference-approved"})
    same("log: 10,000 at most", api("rita", "log", {"count": 10001})[0], 400)
    same("an identity", elsewhere("oscar", "add-identity", "spiffe://example.org/web", "--image", "app").returncode, 0)
    same("its authority", elsewhere("rita", "identity", "ca").stdout, here("identity", "ca").stdout)
    same("volumes", [said(elsewhere("oscar", "volume", *a))[0] for a in (("set", "app/key/one", "--second", "fence"), ("show", "app/key/one"), ("reset", "app/key/one"))], [0, 0, 0])
    same("volumes: ls", elsewhere("rita", "volume", "ls").stdout, here("volume", "ls").stdout)
    same("an operator made over the network", (fresh := elsewhere("root.one", "operator", "add", "kim", "--role", "reader", "--days", "1")).returncode, 0)
    open(f"{T}/kim.credential", "wb").write(fresh.stdout)
    same("... comes in", elsewhere("kim", "list").returncode, 0)
    same("... until removed", said(here("operator", "remove", "kim")), (0, ""))
    refused("... then not", elsewhere("kim", "list"), "credential is needed")
    same("a reference is taken back by an approver", elsewhere("anna", "remove-reference", "app").returncode, 0)
    same("... for sessions too", c.get("app/key/one")[0], 403)

    # The console.
    def page(path, cookie=None, method="GET", **form):
        status, headers, text = ask(method, f"/console/{path}", urllib.parse.urlencode(form) if method == "POST" else None,
                                    ({"Cookie": cookie} if cookie else {}) | ({"Content-Type": "application/x-www-form-urlencoded"} if form else {}))
        return status, headers, text.decode()

    same("console: who has not logged in is sent to do so", (page("")[0], page("references")[1]["Location"]), (303, "/console/login"))
    same("console: a wrong credential", page("login", method="POST", credential="sba_" + "B" * 43)[0], 401)
    cookies = {}
    for who in ("rita", "oscar", "anna"):
        status, headers, _ = page("login", method="POST", credential=open(f"{T}/{who}.credential").read().strip())
        cookies[who] = headers["Set-Cookie"].split(";")[0]
        same(f"console: {who} logs in", (status, headers["Location"], [w in headers["Set-Cookie"] for w in ("HttpOnly", "SameSite=Strict", "Secure", "Path=/console")]),
             (303, "/console/", [True] * 4))
    status, headers, text = page("", cookies["rita"])
    same("console: a strict policy", (status, headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'"), "script" in text), (200, True, False))
    pages = ("", "refusals", "references", "resources", "volumes", "log", "log?q=oscar")
    same("console: every page", [page(p, cookies["rita"])[0] for p in pages], [200] * len(pages))
    same("console: none of others", (page("nothing", cookies["rita"])[0], page("proposal?q=nothing", cookies["rita"])[0]), (404, 404))
    same("console: what it shows", ["app/key/one" in page("resources", cookies["rita"])[2], "app/key/one" in page("volumes", cookies["rita"])[2],
                                    "reference-mismatch" in page("refusals", cookies["rita"])[2], "kim" in page("log?q=operator-added", cookies["rita"])[2]], [True] * 4)
    for bad in (cookies["rita"][:-1] + ("0" if cookies["rita"][-1] != "0" else "1"), cookies["rita"].replace("rita", "anna"),
                re.sub(r"\.(\d+)\.", lambda m: f".{int(m[1]) + 1000}.", cookies["rita"]), "shelter-console=", "shelter-console=a.b.c", "shelter-console=" + "." * 300):
        same("console: a cookie that is none", page("", bad)[0], 303)
    evil = "<script>alert(1)</script>\"'&"
    elsewhere("oscar", "add-reference", f"{T}/other.json", "--name", evil)
    text = page("references", cookies["anna"])[2]
    same("console: markup in a name stays text", ("<script>" in text, "&lt;script&gt;alert(1)" in text), (False, True))
    link = re.search(r'/console/(proposal\?q=[^"]*)"', text)[1]
    text = page(link, cookies["anna"])[2]
    same("console: the proposal in whole", ["22" * 48 in text, "<script>" in text, 'id="approve"' in text], [True, False, True])
    field = lambda name, of=None: re.search(rf'name="{name}" value="([^"]*)"', of or text)[1]
    form = {"name": evil, "sha384": field("sha384")}
    same("console: a form without its value", page("approve", cookies["anna"], "POST", **form)[0], 403)
    same("console: with another one's", page("approve", cookies["anna"], "POST", form=field("form", page("", cookies["rita"])[2]), **form)[0], 403)
    same("console: a reader", page("approve", cookies["rita"], "POST", form=field("form", page("", cookies["rita"])[2]), **form)[0], 403)
    same("console: without a cookie", page("approve", None, "POST", form=field("form"), **form)[0], 303)
    same("console: GET approves nothing", page("approve", cookies["anna"])[0], 404)
    same("console: approved", (page("approve", cookies["anna"], "POST", form=field("form"), **form)[0], page(link, cookies["anna"])[0]), (303, 404))
    same("console: ... by whom", [(r["proposer"], r["approver"]) for r in json.loads(elsewhere("rita", "list", "--json").stdout)["references"] if r["name"] == evil], [("oscar", "anna")])
    here("operator", "remove", "anna")
    same("console: an operator who is removed is out", page("", cookies["anna"])[0], 303)
    same("console: log out", (page("logout", cookies["rita"], "POST", form=field("form", page("", cookies["rita"])[2]))[1]["Set-Cookie"].count("Max-Age=0")), 1)
    same("the log's chain holds", here("log", "--check").returncode, 0)
    same("refusals at the admin's address stand in the log", {e["code"] for e in map(json.loads, here("log", "--json").stdout.splitlines()) if e["event"] == "admin" and e["outcome"] == "refused"}
         >= {"unauthenticated", "role", "own-proposal"}, True)
    held = threading.Thread(target=lambda: results.append(read(version("?after=4"))))
    same("SIGTERM ends it, whoever waits", (held.start(), time.sleep(0.5), server.terminate(), server.wait(20))[3], 0)
    held.join(30)
finally:
    if server.poll() is None:
        server.kill()
        server.wait()
    platform.close()
