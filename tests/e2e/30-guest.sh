#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# PID 1 of the confidential VM under TCG: honest hosts, and hosts that lie (tests/guest_cases.py).
. tests/e2e/lib.sh
export GUEST_KERNEL=$ROOT/build/base/vmlinux GUEST_INITRAMFS=$ROOT/build/base/initramfs
BUSYBOX=$(command -v busybox)
export BUSYBOX
for need in "$GUEST_KERNEL" "$GUEST_INITRAMFS" "$BUSYBOX"; do
    if [ ! -e "$need" ]; then
        skip "guest: ${need:-busybox} is missing; run make tools"
        exit 0
    fi
done

# The same bytes on every day, for every user, in whatever folder.
size=$(stat -c %s build/base/initramfs)
# mbedTLS 3.6, which Debian 13 has, is 300 KB larger than 2.28.
check "initramfs is under 1.2 MB ($size)" test "$size" -lt 1200000
size=$(stat -c %s build/guest/init)
check "PID 1 is under 120 KB ($size)" test "$size" -lt 120000
lines=$(cat trusted/guest/*.[ch] | wc -l)
check "PID 1 has under 4,250 lines ($lines)" test "$lines" -lt 4250
mkdir "$T/again"
cp build/guest/{init,agent,copy,volume,start,container} "$T/again"
(umask 077 && build/tools/mkcpio "$T/again/out" dev/ proc/ sys/ lower/ upper/ root/ empty/ \
    init="$T/again/init" agent="$T/again/agent" copy="$T/again/copy" volume="$T/again/volume" start="$T/again/start" container="$T/again/container")
check "initramfs depends on nothing but its files" cmp "$T/again/out" build/base/initramfs
same "no folder of the build is named in it" "$(grep -ac "$ROOT" build/base/initramfs)" 0
same "static, position-independent" "$(readelf -hlW build/guest/{init,agent,copy,volume,start,container} |
    grep -cE 'Type: +DYN|INTERP')" 6

timeout 570 python3 tests/guest_cases.py "$T" "$@"
