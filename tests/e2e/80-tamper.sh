#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One byte changed in kernel, initramfs, command line, manifest or root image: either the measurement
# differs or the guest refuses to start, and a bad root block is never returned as data.
. tests/e2e/lib.sh
json() { python3 -c "
import json, sys
d = json.load(sys.stdin)
d = d[0] if isinstance(d, list) else d
print(json.dumps(d$1))"; }
check "build" "$SHELTER" build -q -t victim --allow exec -f tests/md5 -f "$(command -v busybox)"
id=$("$SHELTER" inspect --json victim | json '["id"]' | tr -d '"')
image=$SHELTER_STORE/images/$id
good=$("$SHELTER" measure --json -m 256M victim | json '["measurement"]')

# flip FILE OFFSET: changes a bit in place of a copy, since base files may be hard links.
flip() {
    cp "$1" "$T/copy" && python3 - "$T/copy" "$2" <<'P'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2]))
    b = f.read(1)
    f.seek(int(sys.argv[2]))
    f.write(bytes([b[0] ^ 1]))
P
    mv "$1" "$1.good" && mv "$T/copy" "$1"
}
restore() { mv -f "$1.good" "$1"; }
run_measure() { # runs, whatever happens, and prints what the launcher measured
    "$SHELTER" rm -f tampered >/dev/null 2>&1
    timeout 60 "$SHELTER" run --name tampered -m 256M victim /bin/md5 /bin/md5 >"$T/out" 2>"$T/err" </dev/null
    echo $? >"$T/status"
    "$SHELTER" inspect --json tampered 2>/dev/null | json '["measurement"]' 2>/dev/null
}
same "untouched: as predicted" "$(run_measure)" "$good"
same "untouched: it runs" "$(cat "$T/status")" 0

# A changed file of the base: another measurement is predicted, and if it starts at all, measured.
changed() { # NAME FILE OFFSET
    flip "$2" "$3"
    local predicted measured
    predicted=$("$SHELTER" measure --json victim -m 256M | json '["measurement"]')
    measured=$(run_measure)
    if [ -n "$predicted" ] && [ "$predicted" != "$good" ]; then ok "$1: another measurement is predicted"; else
        not_ok "$1: another measurement is predicted"
    fi
    if [ "$(cat "$T/status")" = 125 ] && [ -z "$measured" ]; then ok "$1: the guest did not start"; else
        same "$1: it is the one measured" "$measured" "$predicted"
    fi
    restore "$2"
}
size=$(stat -c %s "$image/base/vmlinux")
changed "kernel, a byte of code" "$image/base/vmlinux" $((size / 3))
changed "kernel, its last byte" "$image/base/vmlinux" $((size - 1))
size=$(stat -c %s "$image/base/initramfs")
changed "initramfs, a byte of PID 1" "$image/base/initramfs" $((size / 2))
changed "initramfs, its last byte" "$image/base/initramfs" $((size - 1))
"$SHELTER" build -q -t debuggable --allow exec,debug -f tests/md5 -f "$(command -v busybox)" >/dev/null
same "command line: another manifest is another measurement" \
    "$([ "$("$SHELTER" measure --json debuggable -m 256M | json '["measurement"]')" != "$good" ] && echo differs)" differs

flip "$image/manifest" 40
run_measure >/dev/null
if [ "$(cat "$T/status")" = 125 ]; then ok "manifest: refused before the start"; else not_ok "manifest: refused before the start"; fi
one_line "manifest: in one line" 'manifest|damaged|digest'
restore "$image/manifest"

# A block of one program: another program still runs, reading the first one fails.
offset=$(python3 - "$image/root.img" tests/md5 <<'P'
import sys
image, program = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read()
block = program[4096 * 10:4096 * 11]
print(image.index(block) + 5)
P
)
flip "$image/root.img" "$offset"
status "root image: the read fails inside" 1 "$SHELTER" run --rm -m 256M victim /bin/busybox cat /bin/md5
check "root image: the workload is told EIO" grep -qi 'input/output error\|I/O error' "$T/err"
got=$(stat -c %s "$T/out")
if [ "$got" -le 40960 ] && cmp -s -n "$got" "$T/out" tests/md5; then ok "root image: nothing wrong was returned"; else
    not_ok "root image: nothing wrong was returned: $got bytes"
fi
restore "$image/root.img"
"$SHELTER" rm -f tampered >/dev/null 2>&1
same "untouched again: as predicted" "$(run_measure)" "$good"
