#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_ovmf.py FILE: a made-up firmware for SEV: 64 KiB, with the table of GUIDs that OVMF has at its end
(hashes, metadata, reset vector), as far as launch measurement looks at it."""
import struct
import sys
import uuid

SIZE = 65536
image = bytearray(bytes(range(256)) * (SIZE // 256))
at = SIZE - 32


def entry(guid, data):
    global at
    raw = data + struct.pack("<H", len(data) + 18) + uuid.UUID(guid).bytes_le
    at -= len(raw)
    image[at:at + len(raw)] = raw
    return len(raw)


at -= 18  # the footer, written last
total = 18
total += entry("00f771de-1a7e-4fcb-890e-68c77e2fb44e", struct.pack("<I", 0x80b004))  # reset vector of APs
total += entry("7255371f-3a3b-4b04-927b-1da6efa8d454", struct.pack("<II", 0x810c00, 0x400))  # kernel hashes
total += entry("dc886566-984a-4798-a75e-5585a7bf67cc", struct.pack("<I", 0x8000))  # metadata, from the end
image[SIZE - 50:SIZE - 32] = struct.pack("<H", total) + uuid.UUID("96b582de-1fb2-45f7-baea-a366c55a082d").bytes_le
sections = [(0x800000, 0x9000, 1), (0x80d000, 0x1000, 2), (0x80e000, 0x1000, 3), (0x810000, 0x1000, 0x10)]
head = b"ASEV" + struct.pack("<III", 16 + 12 * len(sections), 1, len(sections))
image[SIZE - 0x8000:SIZE - 0x8000 + len(head) + 12 * len(sections)] = head + b"".join(struct.pack("<III", *s) for s in sections)
open(sys.argv[1], "wb").write(image)
