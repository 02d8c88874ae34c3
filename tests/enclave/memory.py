# SPDX-License-Identifier: Apache-2.0
"""How often texts stand in the memory of an enclave's process: memory.py TEXT... < list of pids

Only pages that are there are read: the enclave's addresses are far more than the machine has memory. One that the
simulator has at two addresses counts once; root is told which these are."""
import re
import struct
import sys

TEXTS = [t.encode() for t in sys.argv[1:]]


def pages_of(pid):
    seen = set()
    with open(f'/proc/{pid}/smaps') as maps, open(f'/proc/{pid}/pagemap', 'rb', 0) as pagemap:
        for line in maps:
            m = re.match(r'([0-9a-f]+)-([0-9a-f]+) ', line)
            if m:
                at, end = int(m[1], 16), int(m[2], 16)
            elif line.startswith('Rss:') and at < 1 << 47:
                left = int(line.split()[1]) // 4
                while at < end and left:
                    count = min((end - at) >> 12, 65536)
                    pagemap.seek(at >> 9)
                    for i, word in enumerate(struct.unpack(f'<{count}Q', pagemap.read(8 * count))):
                        frame = word & (1 << 55) - 1
                        if word >> 63:
                            left -= 1
                        if word >> 63 and (not frame or frame not in seen):
                            seen.add(frame)
                            yield at + (i << 12)
                    at += count << 12


counts = [0] * len(TEXTS)
for pid in sys.stdin.read().split():
    with open(f'/proc/{pid}/mem', 'rb', 0) as mem:
        for at in list(pages_of(pid)):
            try:
                mem.seek(at)
                page = mem.read(4096)
            except OSError:  # a guard
                continue
            for i, text in enumerate(TEXTS):
                counts[i] += page.count(text)
print(*counts)
