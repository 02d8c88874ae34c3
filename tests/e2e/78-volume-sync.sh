#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each call that makes a change durable, by itself, in both TEEs: when it has returned, the host's file is copied with the
# shelter stopped, as a kill would leave it, and the change is looked for in the copy. The last one is killed indeed.
. tests/e2e/lib.sh
LIMIT=120
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "enclave: not built (make)"; exit 0; }
tees=sgx-sim
if [ -f build/base/vmlinux ] && command -v qemu-system-x86_64 >/dev/null; then tees="sgx-sim tdx-sim"; fi
gcc -O2 -w -D_GNU_SOURCE -static -o "$T/storage" tests/enclave/storage.c || exit 1
export SHELTER_BROKER=$T/broker
"$SHELTER" attest --simulated-root -o "$T/root.pem"
"$SHELTER" broker init
"$SHELTER" broker key >"$T/key.pem"
"$SHELTER" broker serve --listen 127.0.0.1:0 --allow-simulated "$T/root.pem" --url-file "$T/url" >"$T/broker.log" 2>&1 &
cleanup_hooks+=("kill $! 2>/dev/null")
check "the broker" until_true 20 test -s "$T/url"
head -c 32 /dev/urandom | "$SHELTER" broker add-resource volumes/key/data --image any
"$SHELTER" build -q -t box --broker-key "$T/key.pem" --volume data:/data:key=kbs:///volumes/key/data:freshness=insecure-none:size=64M \
    -f "$(command -v busybox)" -f "$T/storage" -c "/bin/busybox sh" >/dev/null
check "image" "$SHELTER" broker add-reference box
shell() { # TEE FILE: what stdin says
    timeout -k 5 200 "$SHELTER" run --rm --tee "$1" -m 256M -i "$(cat "$T/url")" -v "data:$2" box
}
for tee in $tees; do
    D=$T/$tee.disk
    mkfifo "$T/in"
    shell "$tee" "$D" <"$T/in" >"$T/out" 2>"$T/err" &
    pid=$!
    exec 7>"$T/in"
    echo "/bin/busybox mkdir /data/d && echo ready" >&7
    check "$tee: it starts" until_true 100 grep -qx ready "$T/out"
    holder=$(who_has "$D")
    [ -n "$holder" ] || { not_ok "$tee: nobody has the file"; break; }
    for kind in fsync fdatasync dir dsync osync rwf msync sync syncfs; do
        echo "/bin/storage sync /data $kind" >&7
        until_true 60 grep -qx "$kind" "$T/out" || not_ok "$tee: $kind does not return: $(tail -n 1 "$T/out")"
        kill -STOP "$holder"
        if [ $kind = syncfs ]; then break; fi
        cp --sparse=always "$D" "$T/$kind.disk"
        kill -CONT "$holder"
    done
    kill -9 "$holder"
    exec 7>&-
    wait $pid
    mv "$D" "$T/syncfs.disk"
    for kind in fsync fdatasync dir dsync osync rwf msync sync syncfs; do
        same "$tee: $kind" "$(echo "/bin/storage synced /data $kind && echo there" | shell sgx-sim "$T/$kind.disk" 2>"$T/err" | tail -n 1)" there
        rm -f "$T/$kind.disk"
    done
    rm -f "$T/in"
done
