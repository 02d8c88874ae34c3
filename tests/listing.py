# SPDX-License-Identifier: Apache-2.0
"""A listing with digests, of a tar file (outside) or of the running root (inside), in one form.

  listing.py TAR           one line a member: path, type, mode, uid, gid, mtime, size, digest or target
  listing.py / PATH...     the same of what stands at these paths
Extended attributes of security.* and user.* follow; hard links show as the file they are, with its
link count where it is more than one.
"""
import hashlib
import os
import stat
import sys
import tarfile


def line(path, kind, mode, uid, gid, mtime, extra):
    print(" ".join([ascii(path), kind, "%o" % mode, str(uid), str(gid), str(int(mtime)), extra]))


def from_tar(name):
    members, links = {}, {}
    with tarfile.open(name, errors="surrogateescape") as tar:
        for m in tar:
            path = os.path.normpath("/" + m.name)
            members[path] = m
        for path, m in members.items():
            target = m
            while target.islnk():
                target = members[os.path.normpath("/" + target.linkname)]
            links.setdefault(id(target), []).append(path)
        for path, m in sorted(members.items(), key=lambda i: os.fsencode(i[0])):
            if path == "/":
                continue
            target = m
            while target.islnk():
                target = members[os.path.normpath("/" + target.linkname)]
            extra = ""
            if target.isreg():
                kind = "f"
                digest = hashlib.sha256()
                with tar.extractfile(target) as f:
                    for chunk in iter(lambda: f.read(1 << 20), b""):
                        digest.update(chunk)
                extra = f"{target.size} {len(links[id(target)])} {digest.hexdigest()}"
            elif target.isdir():
                kind = "d"
            elif target.issym():
                kind, extra = "l", ascii(target.linkname)
            elif target.ischr() or target.isblk():
                kind, extra = "c" if target.ischr() else "b", f"{target.devmajor},{target.devminor}"
            else:
                kind = "p"
            for key, value in sorted(target.pax_headers.items()):
                if key.startswith("SCHILY.xattr."):
                    extra += f" {key[13:]}={value.encode('utf-8', 'surrogateescape').hex()}"
            mode = 0o777 if kind == "l" else target.mode & 0o7777
            line(path, kind, mode, target.uid, target.gid, target.mtime, extra)


def from_root(tops):
    seen = []
    for top in tops:
        seen.append(top)
        if os.path.islink(top):
            continue
        for folder, folders, files in os.walk(top, onerror=lambda e: sys.exit(str(e))):
            seen += [os.path.join(folder, n) for n in folders + files]
    for path in sorted(seen, key=os.fsencode):
        s = os.lstat(path)
        extra = ""
        if stat.S_ISREG(s.st_mode):
            kind, digest = "f", hashlib.sha256()
            with open(path, "rb") as f:
                for chunk in iter(lambda: f.read(1 << 20), b""):
                    digest.update(chunk)
            extra = f"{s.st_size} {s.st_nlink} {digest.hexdigest()}"
        elif stat.S_ISDIR(s.st_mode):
            kind = "d"
        elif stat.S_ISLNK(s.st_mode):
            kind, extra = "l", ascii(os.readlink(path))
        elif stat.S_ISCHR(s.st_mode) or stat.S_ISBLK(s.st_mode):
            kind = "c" if stat.S_ISCHR(s.st_mode) else "b"
            extra = f"{os.major(s.st_rdev)},{os.minor(s.st_rdev)}"
        else:
            kind = "p"
        for key in sorted(os.listxattr(path, follow_symlinks=False)):
            extra += f" {key}={os.getxattr(path, key, follow_symlinks=False).hex()}"
        line(path, kind, stat.S_IMODE(s.st_mode), s.st_uid, s.st_gid, s.st_mtime, extra)


if sys.argv[1] == "/":
    from_root(sys.argv[2:])
else:
    from_tar(sys.argv[1])
