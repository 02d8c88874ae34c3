# SPDX-License-Identifier: Apache-2.0
# AES key wrap (RFC 3394) by openssl's AES alone: newer openssl commands refuse to wrap.
import subprocess


def ecb(key, block, *direction):
    return subprocess.run(["openssl", "enc", *direction, "-aes-256-ecb", "-nopad", "-K", key.hex()],
                          input=block, capture_output=True, check=True, timeout=20).stdout


def mixed(a, t):
    return (int.from_bytes(a, "big") ^ t).to_bytes(8, "big")


def wrap(kek, data):
    a, r = b"\xa6" * 8, [data[i:i + 8] for i in range(0, len(data), 8)]
    for t in range(6 * len(r)):
        b = ecb(kek, a + r[t % len(r)], "-e")
        a, r[t % len(r)] = mixed(b[:8], t + 1), b[8:]
    return a + b"".join(r)


def unwrap(kek, data):
    a, r = data[:8], [data[i:i + 8] for i in range(8, len(data), 8)]
    for t in reversed(range(6 * len(r))):
        b = ecb(kek, mixed(a, t + 1) + r[t % len(r)], "-d")
        a, r[t % len(r)] = b[:8], b[8:]
    if a != b"\xa6" * 8:
        raise ValueError("the wrapped key is not whole")
    return b"".join(r)
