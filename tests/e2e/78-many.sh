#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What idles: fifty enclaves at once, and what each of them, a guest and a pod's sandbox take of memory (PSS: each page's part).
. tests/e2e/lib.sh
LIMIT=120
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "what idles: not built (make)"; exit 0; }
check "build" "$SHELTER" build -q -t idle -f "$(command -v busybox)" -c '/bin/busybox sleep 10000'
cleanup_hooks+=('timeout 60 "$SHELTER" rm -f $(timeout 20 "$SHELTER" ps -aq 2>/dev/null) >/dev/null 2>&1')
check "one enclave" "$SHELTER" run -d --rm --tee sgx-sim --name e0 idle
pss() { "$SHELTER" metrics | sed -n "s/^shelter_instance_memory_bytes{instance=\"$1\",.*} //p" | awk '{s += $1; n++} END {print int(s / n / 1024)}'; }
alone=$(pss e0)
check "one enclave that idles: under 10 MB ($alone KiB)" test "$alone" -lt 9765
for i in $(seq 49); do "$SHELTER" run -d --rm --tee sgx-sim --name "e$i" idle >/dev/null 2>>"$T/words" || echo "$i" >>"$T/failed"; done
check "fifty enclaves" test ! -e "$T/failed"
same "... all run" "$("$SHELTER" metrics | grep -c '^shelter_instance_info{')" 50
many=$(pss 'e[0-9]*')
check "... each under 10 MB ($many KiB)" test "$many" -lt 9765
"$SHELTER" rm -f $("$SHELTER" ps -aq) >/dev/null
if [ -f build/base/vmlinux ] && [ -f build/base/initramfs ] && command -v qemu-system-x86_64 >/dev/null; then
    check "one machine" "$SHELTER" run -d --rm --tee tdx-sim --name vm idle
    qemu=$(pgrep -f "guest=vm .*$SHELTER_STORE" | head -n 1)
    # The guest's own memory (512 MiB at most); QEMU's, with an emulator's code, is not the guest's.
    guest() { awk '/^[0-9a-f]+-[0-9a-f]+ /{size = 0} /^Size:/{size = $2} /^Pss:/ && size == 524288 {s += $2} END {print s + 0}' "/proc/$1/smaps"; }
    sleep 3
    check "a guest that idles: under 64 MB ($(guest "$qemu") KiB)" test "$(guest "$qemu")" -lt 62500 -a "$(guest "$qemu")" -gt 1000
    "$SHELTER" rm -f vm >/dev/null
else skip "a guest that idles: no guest kernel or no QEMU"; fi
