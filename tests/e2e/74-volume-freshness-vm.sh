#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Freshness in the VM, and one volume whose states the broker remembers by turns in VM and enclave: an earlier file, an
# empty one, a second instance, kill -9 of QEMU and of the broker, a broker that is away.
. tests/e2e/lib.sh
LIMIT=120
for f in build/base/vmlinux build/base/initramfs build/base/enclave build/sgx-loader; do
    [ -f $f ] || { skip "freshness in the VM: $f is not built (make)"; exit 0; }
done
command -v qemu-system-x86_64 >/dev/null || { skip "freshness in the VM: no QEMU"; exit 0; }
. tests/e2e/freshness.sh

for m in strict session; do
    D=$T/$m.disk
    status "$m: new, by a VM" 0 $(with $vm "$D") $m-some
    cp --sparse=always "$D" "$T/$m.old"
    status "$m: again, by an enclave" 0 $(with $enclave "$D") $m-some
    status "$m: again, by a VM" 0 $(with $vm "$D") $m-some
    same "$m: the enclave reads all" "$($(with $enclave "$D") $m 2>"$T/err")" 60
    same "$m: ... and a VM" "$($(with $vm "$D") $m 2>"$T/err")" 60
    cp --sparse=always "$D" "$T/$m.new"
    put_back "$m: VM" $vm $m "its key: volumes/key/$m" 60
done

# --- a second instance ---
D=$T/session.disk
append $vm session-append "$D" "$T/one"
check "the VM writes" until_true 60 lines "$T/one" 5
cp --sparse=always "$D" "$T/copy"
status "an enclave with a copy is refused" 123 $(with $enclave "$T/copy") session
told "another instance holds the volume"
"$SHELTER" broker volume set volumes/key/session --second fence
same "policy: the second wins, at the newest state or not at all" "$($(with $enclave "$T/copy") session >"$T/two" 2>"$T/err"; case $? in 0 | 123) echo ok ;; esac)" ok
wait $writer
check "... and the VM ends" test $? -ne 0
check "... told why" said "$T/one" "does not hold the volume any more"
"$SHELTER" broker volume set volumes/key/session --second refuse
"$SHELTER" broker volume reset volumes/key/session
check "the operator's word counts" test "$($(with $vm "$D") session 2>"$T/err")" -ge 60

# --- kill -9 of QEMU and of the broker ---
for m in strict session; do
    D=$T/$m.disk acked=$($(with $enclave "$D") $m 2>"$T/err")
    append $vm $m-append "$D" "$T/storm"
    until_true 60 lines "$T/storm" 8
    stop_broker
    sleep 0.3
    serve
    until_true 60 lines "$T/storm" 20
    kill_user "$D"
    wait $writer
    acked=$((acked + $(acks "$T/storm")))
    found=$($(with $enclave "$D") $m 2>"$T/err")
    check "$m: kill -9 of broker and QEMU: the enclave finds ${found:-none} of $acked acknowledged" test "${found:-0}" -ge "$acked"
    cp --sparse=always "$T/$m.new" "$D.old"
    status "$m: and the file of before is still refused" 123 $(with $vm "$D.old") $m
done

# --- a broker that takes the connection and says nothing: only who needs it waits ---
stay_silent $vm

# --- a broker that is away ---
stay_away $vm $enclave
