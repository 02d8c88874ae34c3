# SPDX-License-Identifier: Apache-2.0
"""Root file system tars that must be refused: bad_tar.py OUT, one file a flaw in the folder OUT."""
import io
import os
import sys
import tarfile

out = sys.argv[1]
SYM, LNK, DIR = {"type": tarfile.SYMTYPE}, {"type": tarfile.LNKTYPE}, {"type": tarfile.DIRTYPE, "mode": 0o755}
flaws = {
    "dotdot": [("../outside", b"x", {})],
    "dotdot-inside": [("a/b/../../../outside", b"x", {})],
    "absolute": [("/outside", b"x", {})],
    "symlink-absolute": [("link", b"", {**SYM, "linkname": out}), ("link/outside", b"x", {})],
    "symlink-up": [("a", b"", DIR), ("a/link", b"", {**SYM, "linkname": "../../.."}), ("a/link/outside", b"x", {})],
    "symlink-loop": [("a", b"", {**SYM, "linkname": "b"}), ("b", b"", {**SYM, "linkname": "a"}), ("a/x", b"x", {})],
    "hardlink-out": [("link", b"", {**LNK, "linkname": "../../etc/passwd"})],
    "hardlink-absolute": [("link", b"", {**LNK, "linkname": "/etc/passwd"})],
    "hardlink-nothing": [("link", b"", {**LNK, "linkname": "nothing"})],
    "file-as-folder": [("a", b"x", {}), ("a/b", b"x", {})],
    "name-too-long": [("n" * 256, b"x", {})],
}
for name, members in flaws.items():
    with tarfile.open(f"{out}/{name}.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for path, data, fields in members:
            m = tarfile.TarInfo(path)
            m.size = len(data)
            for key, value in fields.items():
                setattr(m, key, value)
            tar.addfile(m, io.BytesIO(data))

with tarfile.open(f"{out}/good", "w") as tar:
    for i in range(20):
        m = tarfile.TarInfo(f"file{i}")
        m.size = 3000
        tar.addfile(m, io.BytesIO(os.urandom(3000)))
with open(f"{out}/good", "rb") as f:
    good = f.read()
end = len(good.rstrip(b"\0"))
cuts = {"in-data": 5000, "in-header": 4096 + 100, "at-entry": 3 * (512 + 3072), "no-end": (end + 511) // 512 * 512}
for name, size in cuts.items():
    with open(f"{out}/cut-{name}.tar", "wb") as f:
        f.write(good[:size])
for name, data in {"empty": b"", "text": b"this is not an archive\n" * 99, "zip": b"PK\3\4" + bytes(600),
                   "noise": os.urandom(5000), "gzip-cut": __import__("gzip").compress(good)[:900]}.items():
    with open(f"{out}/{name}.tar", "wb") as f:
        f.write(data)
with open(f"{out}/checksum.tar", "wb") as f:
    f.write(good[:3] + b"!" + good[4:])
os.rename(f"{out}/good", f"{out}/good.ok")
