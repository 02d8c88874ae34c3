# SPDX-License-Identifier: Apache-2.0
"""Broken bundles, made at random from good ones, for a runtime: 70-oci-hostile.py BUNDLE ROUNDS SEED RUNTIME [ARGUMENT...]

Each round changes a few members of config.json (another type, another value, gone, doubled, very long, with NUL or a
path that leads out), or bytes of its text. `create` must end by itself, with status 0 or 1, and say one line when it is
1; what was made is deleted. Prints what went wrong, then a line with the counts."""
import copy
import json
import os
import random
import subprocess
import sys

bundle, rounds, seed, runtime = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
rng = random.Random(seed)
path = os.path.join(bundle, "config.json")
good = json.load(open(path))
good.setdefault("hooks", {})
good.setdefault("mounts", [{"destination": "/proc", "type": "proc", "source": "proc"}])
good["linux"].setdefault("resources", {"memory": {"limit": 1 << 28}, "cpu": {"quota": 100000, "period": 100000}})
VALUES = [None, True, False, 0, -1, 1, 1e308, -1e308, 2**63, 2**64, 0.5, "", "x", "/", "..", "../../../etc", "/../..", "a" * 5000, "\x00", "a\x00b",
          "\n", "\u202e", "/proc/self/exe", "/dev/zero", "/nowhere", [], {}, [[]], [None], [0], [""], ["x" * 70000], {"": ""}, [{}] * 300]


def places(o, at=()):
    items = o.items() if isinstance(o, dict) else enumerate(o) if isinstance(o, list) else ()
    for k, v in list(items):
        yield at + (k,)
        yield from places(v, at + (k,))


def change(config):
    where = rng.choice(list(places(config)))
    o = config
    for k in where[:-1]:
        o = o[k]
    how = rng.randrange(4)
    if how == 0:
        del o[where[-1]]
    elif how == 1 and isinstance(o, list):
        o.extend(copy.deepcopy(o))
    else:
        o[where[-1]] = copy.deepcopy(rng.choice(VALUES))


bad = made = 0
for i in range(rounds):
    config = copy.deepcopy(good)
    for _ in range(rng.randrange(1, 4)):
        if config:
            change(config)
    text = bytearray(json.dumps(config).encode())
    if rng.randrange(5) == 0:
        for _ in range(rng.randrange(1, 4)):
            text[rng.randrange(len(text))] = rng.randrange(256)
    with open(path, "wb") as f:
        f.write(text)
    name = f"fuzz-{os.getpid()}-{i}"
    try:
        # A file: the container keeps what it got as stderr.
        with open(bundle + "/words", "wb") as words:
            p = subprocess.run(runtime + ["create", "--bundle", bundle, name], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=words, timeout=60)
        lines = [line for line in open(bundle + "/words", errors="replace").read().split("\n") if line and "simulated" not in line]
        fault = p.returncode not in (0, 1) or (p.returncode == 1 and (len(lines) != 1 or len(lines[0]) > 4096))
        what = f"status {p.returncode}, {lines[:2]}"
        made += p.returncode == 0
    except subprocess.TimeoutExpired:
        fault, what = True, "does not end"
    if fault:
        bad += 1
        print(f"round {i} of seed {seed}: {what}: {bytes(text)[:300]!r}")
    d = subprocess.run(runtime + ["delete", "--force", name], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)
    if d.returncode:
        bad += 1
        print(f"round {i} of seed {seed}: delete: {d.stderr!r}")
with open(path, "w") as f:
    json.dump(good, f)
print(f"rounds {rounds} made {made} wrong {bad}")
