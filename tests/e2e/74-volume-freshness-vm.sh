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
gcc -O2 -w -D_GNU_SOURCE -static -o "$T/storage" tests/enclave/storage.c || exit 1
export SHELTER SHELTER_BROKER=$T/broker
"$SHELTER" attest --simulated-root -o "$T/root.pem"
"$SHELTER" broker init
"$SHELTER" broker key >"$T/key.pem"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=https://127.0.0.1:$port
serve() {
    rm -f "$T/url"
    "$SHELTER" broker serve --listen "127.0.0.1:$port" --allow-simulated "$T/root.pem" --url-file "$T/url" >>"$T/broker.log" 2>&1 &
    broker=$!
    until_true 20 test -s "$T/url"
}
stop_broker() {
    kill -9 $broker
    wait $broker 2>/dev/null
}
cleanup_hooks+=('kill -9 $broker 2>/dev/null')
serve
image() { # TAG KEY WORDS COMMAND
    "$SHELTER" build -q -t "$1" --broker-key "$T/key.pem" --volume "data:/data:key=kbs:///volumes/key/$2:size=64M$3" \
        -f "$(command -v busybox)" -f "$T/storage" -c "$4" >/dev/null && "$SHELTER" broker add-reference "$1"
}
for m in strict session; do
    for v in $m $m-away $m-pause; do
        head -c 32 /dev/urandom | "$SHELTER" broker add-resource "volumes/key/$v" --image any
    done
    check "image: $m" image $m $m ":freshness=$m" "/bin/storage count /data"
    check "image: $m, some" image $m-some $m ":freshness=$m" "/bin/storage append /data 20"
    check "image: $m, append" image $m-append $m ":freshness=$m" "/bin/storage append /data 1000000"
done
for m in away pause; do
    words=:freshness=session:away=3
    [ $m = away ] || words=:freshness=strict:away=3,pause
    check "image: $m" image $m session-$m $words "/bin/storage count /data"
    check "image: $m, append" image $m-append session-$m $words "/bin/storage append /data 1000000"
done
vm=tdx-sim enclave=sgx-sim
with() { echo "$SHELTER" run --rm --tee "$1" -m 256M -i "$url" -v "data:$2"; } # TEE FILE
told() { check "... told: $1" grep -qi -- "$1" "$T/err"; }
lines() { [ "$(wc -l <"$1" 2>/dev/null || echo 0)" -gt "$2" ]; }
acks() { grep -cE "^[0-9]{7}$" "$1"; }
said() { grep -q -- "$2" "$1.err"; }
uses() { # FILE: what holds its lock
    for p in $(pgrep -f 'qemu-system|sgx-loader'); do
        ls -l "/proc/$p/fd" 2>/dev/null | grep -q -- "$1$" && { echo "$p"; return; }
    done
}
kill_user() { local p; p=$(uses "$1"); [ -z "$p" ] || kill -9 "$p"; }
append() { # TEE IMAGE FILE OUT: in the background; its pid in $writer
    $(with "$1" "$3") "$2" >"$4" 2>"$4.err" &
    writer=$!
}

for m in strict session; do
    D=$T/$m.disk
    status "$m: new, by a VM" 0 $(with $vm "$D") $m-some
    cp --sparse=always "$D" "$T/$m.old"
    status "$m: again, by an enclave" 0 $(with $enclave "$D") $m-some
    status "$m: again, by a VM" 0 $(with $vm "$D") $m-some
    same "$m: the enclave reads all" "$($(with $enclave "$D") $m 2>"$T/err")" 60
    same "$m: ... and a VM" "$($(with $vm "$D") $m 2>"$T/err")" 60
    cp --sparse=always "$D" "$T/$m.new"
    cp --sparse=always "$T/$m.old" "$D"
    status "$m: VM: an earlier file is refused" 123 $(with $vm "$D") $m
    told "an earlier state of its file was put back"
    told "its key: volumes/key/$m"
    check "$m: ... and left as it was" cmp -s "$D" "$T/$m.old"
    rm "$D"
    status "$m: VM: an empty file is refused" 123 $(with $vm "$D") $m
    told "its file is empty, but the broker knows the volume"
    cp --sparse=always "$T/$m.new" "$D"
    same "$m: the newest is opened" "$($(with $vm "$D") $m 2>"$T/err")" 60
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

# --- a broker that is away ---
for m in away pause; do
    append $vm $m-append "$T/$m.disk" "$T/$m.out"
    until_true 60 lines "$T/$m.out" 5
    stop_broker
    check "$m: told that the broker is away" until_true 30 said "$T/$m.out" "changes go on for 3 s"
    check "$m: ... and then that the limit is over" until_true 30 said "$T/$m.out" "without the broker for more than 3 s"
    if [ $m = away ]; then
        wait $writer
        check "away: they fail" test $? -ne 0
        serve
    else
        stopped=$(wc -l <"$T/$m.out")
        sleep 2
        same "pause: they wait" "$(wc -l <"$T/$m.out")" "$stopped"
        serve
        check "pause: and go on" until_true 30 lines "$T/$m.out" $((stopped + 5))
        check "pause: told" said "$T/$m.out" "the broker has its newest state again"
        kill_user "$T/$m.disk"
        wait $writer
    fi
    check "$m: what was acknowledged is there" test "$($(with $enclave "$T/$m.disk") $m 2>"$T/err")" -ge "$(acks "$T/$m.out")"
done
