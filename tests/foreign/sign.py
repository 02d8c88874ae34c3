#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# sign.py IMAGE KEY: measures and signs the flat image as the SDM says (38.4, 35.13), with nothing of Shelter's, and
# prints it as C. The key is made anew if it is not there.
import hashlib, os, re, struct, subprocess, sys

image, key = sys.argv[1:]
if not os.path.exists(key):
    subprocess.run(["openssl", "genrsa", "-3", "-out", key, "3072"], check=True, stderr=subprocess.DEVNULL)
text = subprocess.run(["openssl", "rsa", "-in", key, "-noout", "-text"], check=True, capture_output=True, text=True).stdout
number = lambda name: int(re.sub(r"[\s:]", "", re.search(name + r":((?:\s+[0-9a-f:]+\n)+)", text).group(1)), 16)
n, d = number("modulus"), number("privateExponent")
data = open(image, "rb").read()
SIZE, REG, TCS, R, W, X = 0x10000, 0x200, 0x100, 1, 2, 4
kinds = [TCS, TCS] + [REG | R | W] * 4 + [REG | R | X, REG | R | W]
assert len(data) == 4096 * len(kinds)
h = hashlib.sha256(struct.pack("<8sIQ44x", b"ECREATE", 1, SIZE))
for i, flags in enumerate(kinds):
    h.update(struct.pack("<8sQQ40x", b"EADD", i * 4096, flags))
    for at in range(i * 4096, i * 4096 + 4096, 256):
        h.update(struct.pack("<8sQ48x", b"EEXTEND", at) + data[at:at + 256])
head = bytes.fromhex("06000000e10000000000010000000000") + struct.pack("<II", 0, 0x20260101) + \
    bytes.fromhex("01010000600000006000000001000000") + bytes(88)
body = struct.pack("<II4x16xQQQQ32s16x16xHH", 0, 0, 4, 3, 2 ** 64 - 3, 3, h.digest(), 1, 1)
digest = hashlib.sha256(head + body).digest()
padded = int.from_bytes(b"\0\1" + b"\xff" * 330 + b"\0" + bytes.fromhex("3031300d060960864801650304020105000420") + digest, "big")
s = pow(padded, d, n)
q1 = s * s // n
q2 = (s ** 3 - q1 * s * n) // n
le = lambda v: v.to_bytes(384, "little")
css = head + le(n) + struct.pack("<I", 3) + le(s) + body + bytes(12) + le(q1) + le(q2)
assert len(css) == 1808, len(css)
array = lambda name, b: print(f"static const unsigned char {name}[] __attribute__((aligned(4096))) = {{{','.join(map(str, b))}}};")
array("image", data)
array("sigstruct", css)
print("static const unsigned short kinds[] = {%s};" % ",".join(map(str, kinds)))
print('#define MRENCLAVE "%s"' % h.hexdigest())
