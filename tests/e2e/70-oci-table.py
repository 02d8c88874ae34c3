# SPDX-License-Identifier: Apache-2.0
"""The same broken bundles for a runtime and for runc: 70-oci-table.py FOLDER ROOTFS RUNTIME [ARGUMENT...]

Prints "CASE: runc N, shelter N" for each; a line with "differs" where runc refuses it and we do not, or not in one line.
Without runc its column is '-', and all of them must be refused."""
import json
import os
import shutil
import subprocess
import sys

folder, rootfs, runtime = sys.argv[1], sys.argv[2], sys.argv[3:]
runc = shutil.which("runc") or ("/usr/sbin/runc" if os.path.exists("/usr/sbin/runc") else None)
engines = {"shelter": runtime}
if runc:
    engines["runc"] = [runc, "--root", folder + "/runc"]
    subprocess.run([runc, "spec"], cwd=folder, check=True)
else:
    subprocess.run(runtime + ["spec", "--bundle", folder], check=True)
good = json.load(open(folder + "/config.json"))
good["process"].update(terminal=False, args=["/bin/sh", "-c", "sleep 60"])
good["root"] = {"path": rootfs}


def member(path, *value):
    """Sets a member, or takes it away."""
    def change(c):
        *way, last = path.split(".")
        for k in way:
            c = c.setdefault(k, {})
        if value:
            c[last] = value[0]
        else:
            c.pop(last, None)
    return change


CASES = {
    "no ociVersion": member("ociVersion"), "ociVersion of tomorrow": member("ociVersion", "3.0.0"), "ociVersion no text": member("ociVersion", 1),
    "no root": member("root"), "no rootfs": member("root.path", "nowhere"), "rootfs is no text": member("root.path", 1), "rootfs is a file": member("root.path", "config.json"),
    "no process": member("process"), "process is a list": member("process", []), "no args": member("process.args"), "args empty": member("process.args", []),
    "args is a text": member("process.args", "sh"), "an argument is a number": member("process.args", [1]), "an argument is null": member("process.args", [None, None]),
    "env is a text": member("process.env", "A=b"), "a variable is a number": member("process.env", [1]),
    "cwd relative": member("process.cwd", "tmp"), "cwd empty": member("process.cwd", ""), "cwd is a number": member("process.cwd", 1),
    "user is a text": member("process.user", "root"), "uid negative": member("process.user.uid", -1), "uid too large": member("process.user.uid", 1 << 40),
    "uid is a text": member("process.user.uid", "0"), "gid half": member("process.user.gid", 0.5), "terminal is a text": member("process.terminal", "yes"),
    "a terminal and no socket": member("process.terminal", True), "no such program": member("process.args", ["/nowhere"]), "a folder as program": member("process.args", ["/bin"]),
    "hostname is a number": member("hostname", 1), "mounts is an object": member("mounts", {}), "a mount without a place": member("mounts", [{"type": "tmpfs"}]),
    "a mount of nothing": member("mounts", [{"destination": "/x", "source": "/nowhere/x", "type": "bind", "options": ["bind"]}]),
    "namespaces is a text": member("linux.namespaces", "x"), "a namespace that is not there": member("linux.namespaces", [{"type": "network", "path": "/nowhere"}]),
    "a namespace that is a file": member("linux.namespaces", [{"type": "network", "path": "/etc/passwd"}]),
    "annotations is a list": member("annotations", [1]), "an annotation is a number": member("annotations", {"a": 1}), "hooks is a text": member("hooks", "x"),
    "a hook that fails": member("hooks", {"createRuntime": [{"path": "/bin/false"}]}), "a hook that is not there": member("hooks", {"createRuntime": [{"path": "/nowhere"}]}),
    "rlimits is an object": member("process.rlimits", {}), "a limit of no kind": member("process.rlimits", [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]),
    "a limit without a type": member("process.rlimits", [{"soft": 1, "hard": 1}]), "a soft limit above the hard": member("process.rlimits", [{"type": "RLIMIT_NOFILE", "soft": 9, "hard": 8}]),
    "memory is a text": member("linux.resources", {"memory": {"limit": "1g"}}),
}
TEXTS = {"no JSON": b"{", "empty": b"", "a list": b"[]", "a text": b'"x"', "null": b"null", "a NUL": b"\0", "more behind it": None, "very deep": b"[" * 200000, "17 MB": b" " * (17 << 20)}


def attempt(engine, name, *arguments):
    with open(folder + "/words", "wb") as words:
        status = subprocess.run(engines[engine] + ["create", *arguments, name], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=words, timeout=60).returncode
    lines = [line for line in open(folder + "/words", errors="replace").read().split("\n") if line and "simulated" not in line]
    subprocess.run(engines[engine] + ["delete", "--force", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    return status, lines


def judge(case, *arguments, name=None):
    got = {e: attempt(e, name or f"table-{os.getpid()}", *arguments) for e in engines}
    status, lines = got["shelter"]
    theirs = str(got["runc"][0]) if runc else "-"
    bad = theirs != "0" and (status != 1 or len(lines) != 1)
    print(f"{case}: runc {theirs}, shelter {status}{', differs: ' + repr(lines[:2]) if bad else ''}")


for case, change in CASES.items():
    config = json.loads(json.dumps(good))
    change(config)
    json.dump(config, open(folder + "/config.json", "w"))
    judge(case)
for case, text in TEXTS.items():
    with open(folder + "/config.json", "wb") as f:
        f.write(text if text is not None else json.dumps(good).encode() + b"x")
    judge(case)
os.remove(folder + "/config.json")
judge("no config.json")
json.dump(good, open(folder + "/config.json", "w"))
judge("no bundle", "--bundle", folder + "/nowhere")
for name in ("../x", "a/b", "a b", ".", ".."):
    judge(f"the id {name!r}", name=name)
