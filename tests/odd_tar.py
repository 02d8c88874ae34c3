# SPDX-License-Identifier: Apache-2.0
"""Appends what is hard to a root file system tar: odd_tar.py BASE.tar OUT.tar COUNT

COUNT small files, capabilities and user attributes, hard links, a file that is replaced later, sparse
and empty files, devices, a fifo, odd names, deep folders, a name without "./" beside one with it,
every mode bit, large uids, old and new times.
"""
import io
import shutil
import struct
import sys
import tarfile

base, out, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
shutil.copy(base, out)
with tarfile.open(out, "a", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:

    def add(name, data=b"", **fields):
        m = tarfile.TarInfo(name)
        m.mtime = 1_000_000_000
        m.mode = 0o644
        m.size = len(data)
        for key, value in fields.items():
            setattr(m, key, value)
        tar.addfile(m, io.BytesIO(data))

    def folder(name, **fields):
        add(name, type=tarfile.DIRTYPE, **{"mode": 0o755, **fields})

    folder("./odd")
    add("./odd/plain", b"one\n")
    add("odd/without-dot", b"two\n")
    add("./odd/replaced", b"first")
    add("./odd/replaced", b"second, longer than the first\n")
    add("./odd/empty")
    add("./odd/link-to-plain", type=tarfile.LNKTYPE, linkname="./odd/plain")
    add("odd/link2", type=tarfile.LNKTYPE, linkname="odd/plain")
    add("./odd/symlink", type=tarfile.SYMTYPE, linkname="../etc/passwd")
    add("./odd/dangling", type=tarfile.SYMTYPE, linkname="x" * 300)
    add("./odd/char", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
    add("./odd/block", type=tarfile.BLKTYPE, devmajor=259, devminor=70000, mode=0o600)
    add("./odd/fifo", type=tarfile.FIFOTYPE, mode=0o640)
    for name in ("new\nline", "tab\tand space ", "-dash", "quote'\"", "back\\slash", "\udcff\udcfe", "é", "n" * 255):
        add("./odd/" + name, name.encode("utf-8", "surrogateescape"))
    add("./odd/setuid", b"x", mode=0o4755, uid=65534, gid=65533)
    add("./odd/nothing", b"x", mode=0)
    folder("./odd/sticky", mode=0o1777)
    add("./odd/big-ids", b"x", uid=4_000_000_000, gid=3_000_000_000)
    add("./odd/old", b"x", mtime=0)
    add("./odd/new", b"x", mtime=4_102_444_800)
    for size in (1, 4095, 4096, 4097, 8191, 8192, 100_000):
        add(f"./odd/size-{size}", bytes(i * 7 & 255 for i in range(size)))
    # security.capability, version 2: cap_net_bind_service=ep
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    add("./odd/capable", b"x", mode=0o755,
        pax_headers={"SCHILY.xattr.security.capability": capability.decode("utf-8", "surrogateescape")})
    add("./odd/attributes", b"x", pax_headers={"SCHILY.xattr.user.note": "hello", "SCHILY.xattr.user.empty": ""})
    path = "./odd/deep"
    for level in range(40):
        folder(path)
        path += f"/level{level:02d}"
    add(path, b"bottom")
    folder("./odd/many")
    for i in range(count):
        if i % 1000 == 0:
            folder(f"./odd/many/{i // 1000:03d}")
        add(f"./odd/many/{i // 1000:03d}/file-{i:06d}", b"%d\n" % i)
