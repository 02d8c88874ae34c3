# SPDX-License-Identifier: Apache-2.0
"""token.py SHELTER QUOTER FOLDER: FOLDER/token and FOLDER/jwks.json of a broker, for a guest on a made-up TDX platform."""
import hashlib
import json
import os
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "e2e")]
from rcar import Client, Platform, manifest  # noqa: E402

shelter, quoter, folder = sys.argv[1:4]


def broker(*args):
    subprocess.run([shelter, "broker", args[0], "--dir", f"{folder}/broker", *args[1:]], check=True, timeout=60, stdout=subprocess.DEVNULL)


platform = Platform(quoter, f"{folder}/platform")
image = manifest((17, b"/bin/app"))
json.dump({"image": hashlib.sha384(image).hexdigest(), "manifest": image.hex(),
           "references": [{"tee": "tdx", "measurement": {"mrtd": "11" * 48, "rtmr1": "00" * 48, "rtmr2": "00" * 48}}]},
          open(f"{folder}/reference.json", "w"))
broker("init")
broker("add-reference", f"{folder}/reference.json", "--name", "app")
server = subprocess.Popen([shelter, "broker", "serve", "--dir", f"{folder}/broker", "--listen", "127.0.0.1:0", "--url-file", f"{folder}/url",
                           "--ca", f"{folder}/platform/tdx/root.pem", "--collateral", f"tdx={folder}/platform/tdx/collateral.json"])
try:
    for _ in range(200):
        if os.path.exists(f"{folder}/url"):
            break
        time.sleep(0.05)
    client = Client(open(f"{folder}/url").read().strip(), platform)
    status, answer, _ = client.handshake()
    assert status == 200, answer
    with open(f"{folder}/token", "w") as f:
        f.write(client.token)
    with open(f"{folder}/jwks.json", "w") as f:
        json.dump(client.ask("GET", "/.well-known/jwks.json")[1], f)
finally:
    server.terminate()
    server.wait(20)
    platform.close()
