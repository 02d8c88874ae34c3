# SPDX-License-Identifier: Apache-2.0
"""The console as a browser shows it, by chromedriver (W3C WebDriver). Prints TAP.

console.py SHELTER QUOTER FOLDER
"""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e")]
from rcar import Client, Platform, manifest  # noqa: E402

SHELTER, QUOTER, T = sys.argv[1:4]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # as the standard names it


def same(name, got, want):
    print(f"ok {name}" if got == want else f"not ok {name}: got {got!r}, want {want!r}", flush=True)


def broker(*args, data=None):
    done = subprocess.run([SHELTER, "broker", *args, "--dir", f"{T}/broker"], input=data, stdout=subprocess.PIPE, check=True, timeout=60)
    return done.stdout.decode().strip()


def until(what, seconds=60):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.1)
    return what()


class Browser:
    def __init__(self, log):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=open(log, "w"), stderr=subprocess.STDOUT)
        port = until(lambda: re.search(r"successfully on port (\d+)", open(log).read()))[1]
        self.at = f"http://127.0.0.1:{port}/session"
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", f"--user-data-dir={T}/profile"],
                   "binary": shutil.which("chromium")}
        value = self.ask("POST", "", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": True, "goog:chromeOptions": options,
                                                                       "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.at += "/" + value["sessionId"]

    def ask(self, method, path, body=None):
        request = urllib.request.Request(self.at + path, None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=90) as reply:
            return json.loads(reply.read())["value"]

    def go(self, url):
        self.ask("POST", "/url", {"url": url})

    def find(self, css):
        return [e[ELEMENT] for e in self.ask("POST", "/elements", {"using": "css selector", "value": css})]

    def text(self, css):
        return [self.ask("GET", f"/element/{e}/text") for e in self.find(css)]

    def click(self, css):
        self.ask("POST", f"/element/{self.find(css)[0]}/click", {})

    def type(self, css, text):
        self.ask("POST", f"/element/{self.find(css)[0]}/value", {"text": text})

    def script(self, code):
        return self.ask("POST", "/execute/sync", {"script": code, "args": []})

    def url(self):
        return self.ask("GET", "/url")

    def close(self):
        try:
            self.ask("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(20)


def make_reference(name, mrtd, tag):
    image = manifest((17, tag))
    json.dump({"image": hashlib.sha384(image).hexdigest(), "manifest": image.hex(),
               "references": [{"tee": "tdx", "measurement": {"mrtd": mrtd * 48, "rtmr1": "00" * 48, "rtmr2": "00" * 48}}]},
              open(f"{T}/{name}.json", "w"))


EVIL = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
platform = Platform(QUOTER, f"{T}/platform")
make_reference("app", "11", b"/bin/app")
make_reference("other", "22", b"/bin/other")
broker("init")
broker("add-reference", f"{T}/app.json", "--name", "app")
broker("add-reference", f"{T}/other.json", "--name", EVIL, "--propose")
broker("add-resource", "app/key/one", "--image", "app", data=b"what no page shows")
credentials = {n: broker("operator", "add", n, "--role", r) for n, r in (("rita", "reader"), ("anna", "approver"))}
log = open(f"{T}/serve.log", "w")
server = subprocess.Popen([SHELTER, "broker", "serve", "--dir", f"{T}/broker", "--listen", "127.0.0.1:0", "--url-file", f"{T}/url", "--admin", "127.0.0.1:0",
                           "--console", "--admin-url-file", f"{T}/admin-url", "--ca", f"{T}/platform/tdx/root.pem",
                           "--collateral", f"tdx={T}/platform/tdx/collateral.json", "--rate", "0"], stdout=log, stderr=log)
browser = None
try:
    assert until(lambda: os.path.exists(f"{T}/url"))
    url, console = open(f"{T}/url").read().strip(), open(f"{T}/admin-url").read().strip() + "/console/"
    c = Client(url, platform)
    c.handshake()
    same("a client has its secret", c.secret("app/key/one"), b"what no page shows")
    Client(url, platform).handshake(debug=True)
    browser = Browser(f"{T}/driver.log")

    def log_in(who):
        browser.go(console)
        same(f"{who} is asked to log in", browser.url(), console + "login")
        browser.type("#credential", credentials[who])
        browser.click("#login")
        same(f"{who} is in", (browser.url(), browser.text("#who")[0].split()[0]), (console, who))

    browser.go(console)
    browser.type("#credential", "sba_" + "x" * 43)
    browser.click("#login")
    same("a wrong credential", browser.text("#refused"), ["This is not an operator's credential."])
    log_in("rita")
    same("attested now", browser.text("#attested tbody tr td:nth-child(-n+3)"), ["app", "tdx", "UpToDate"])
    same("the style sheet counts", browser.script("return getComputedStyle(document.querySelector('table')).borderCollapse"), "collapse")
    titles = []
    for link in range(6):
        browser.ask("POST", f"/element/{browser.find('header a')[link]}/click", {})
        titles += browser.text("h1")
    same("every page by its link", titles, ["Attested now", "Refusals", "References", "Resources", "Volumes", "Audit log"])
    browser.go(console + "refusals")
    same("a refusal with its reason", [t for t in browser.text("#log tbody tr td:last-child") if t.startswith("debug")] != [], True)
    browser.go(console + "resources")
    row = browser.text("#resources tbody tr td")
    same("a resource with its last reader", (row[0], row[2], row[5].startswith("app at 127.0.0.1")), ("app/key/one", "1", True))
    browser.go(console + "log")
    browser.type("#q", "reference-proposed")
    browser.click("main button")
    same("the log, searched", (browser.url().endswith("log?q=reference-proposed"), len(browser.find("#log tbody tr"))), (True, 1))
    browser.go(console + "references")
    same("a proposal waits; its markup is text", (browser.text("#proposals tbody td")[0], len(browser.find("main img, main script"))), (EVIL, 0))
    browser.click("#proposals a")
    browser.click("#approve")
    same("a reader approves nothing", browser.text("#refused"), ["your role may not do 'reference-approve'"])
    browser.click("header button")
    log_in("anna")
    browser.go(console + "references")
    browser.click("#proposals a")
    same("the confirmation shows all of it", ["22" * 48 in browser.text("pre")[0], len(browser.text("#sha384")[0])], [True, 96])
    browser.click("#approve")
    same("approved", (browser.url(), len(browser.find("#proposals tbody tr")), len(browser.find("#references tbody tr"))), (console + "references", 0, 2))
    same("... and by whom", "anna" in " ".join(browser.text("#references tbody td")), True)
    same("no script of the page ran", browser.script("return document.title").startswith("References"), True)
    same("an inline script would not run", browser.script(
        "const s = document.createElement('script'); s.textContent = 'document.title = 3'; document.body.append(s); return document.title"), "References - Shelter broker")
    same("nothing of another origin is asked for", browser.script("return performance.getEntriesByType('resource').filter(e => !e.name.startsWith(location.origin)).length"), 0)
    errors = [e["message"] for e in browser.ask("POST", "/se/log", {"type": "browser"}) if console in e["message"] and "favicon" not in e["message"]
              and not re.search(r"Content Security Policy|status of 40[13]", e["message"])]
    same("the browser complains of nothing", errors, [])
    broker("operator", "remove", "anna")
    browser.go(console + "references")
    same("an operator who is removed is out", browser.url(), console + "login")
finally:
    if browser:
        browser.close()
    server.terminate()
    server.wait(30)
    platform.close()
