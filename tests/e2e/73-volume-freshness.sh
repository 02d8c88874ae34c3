#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A host that turns time back: an earlier copy of a volume's file, an empty one, a second instance, a broker that is
# away, killed, put back itself, or no broker at all. The program says what fsync acknowledged.
. tests/e2e/lib.sh
LIMIT=60
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "enclave: not built (make)"; exit 0; }
mkdir -p "$T/base"
for f in vmlinux bzImage initramfs; do echo "base file $f" >"$T/base/$f"; done
cp build/base/enclave "$T/base/"
gcc -O2 -D_GNU_SOURCE -static -o "$T/storage" tests/enclave/storage.c || exit 1
export SHELTER_BASE=$T/base SHELTER SHELTER_BROKER=$T/broker
B=$(command -v busybox)
run=("$SHELTER" run --tee sgx-sim --rm)
"$SHELTER" attest --simulated-root -o "$T/root.pem"
"$SHELTER" broker init
"$SHELTER" broker key >"$T/key.pem"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=https://127.0.0.1:$port
serve() { # [FOLDER]
    rm -f "$T/url"
    SHELTER_BROKER=${1:-$T/broker} "$SHELTER" broker serve --listen "127.0.0.1:$port" --allow-simulated "$T/root.pem" \
        --url-file "$T/url" >>"$T/broker.log" 2>&1 &
    broker=$!
    until_true 20 test -s "$T/url"
}
cleanup_hooks+=('kill -9 $broker 2>/dev/null')
serve
for v in strict session away pause; do
    head -c 32 /dev/urandom >"$T/$v.key"
    "$SHELTER" broker add-resource "volumes/key/$v" "$T/$v.key" --image any
done
image() { # TAG VOLUME KEY WORDS ARGUMENT…
    "$SHELTER" build -q -t "$1" --broker-key "$T/key.pem" --volume "data:/data:key=kbs:///volumes/key/$2:size=64M$3" \
        -f "$B" -f "$T/storage" "${@:4}" >/dev/null && "$SHELTER" broker add-reference "$1"
}
for m in strict session; do
    check "image: $m" image "$m" $m ":freshness=$m" -c "/bin/storage count /data"
    check "image: $m, append" image "$m-append" $m ":freshness=$m" -c "/bin/storage append /data 1000000"
    check "image: $m, some" image "$m-some" $m ":freshness=$m" -c "/bin/storage append /data 20"
done
check "inspect: session is the default" grep -q '"freshness":[[:space:]]*"session"' <("$SHELTER" inspect --json session)
with() { echo "${run[@]}" -i "$url" -v "data:$1"; } # FILE
uses() { pgrep -f "volume=$1" | head -n 1; }
told() { check "... told: $1" grep -qi -- "$1" "$T/err"; }

for m in strict session; do
    D=$T/$m.disk
    status "$m: new" 0 $(with "$D") $m-some
    cp --sparse=always "$D" "$T/$m.old"
    status "$m: again" 0 $(with "$D") $m-some
    same "$m: all is there" "$($(with "$D") $m 2>"$T/err")" 40
    cp --sparse=always "$D" "$T/$m.new"
    # The file of before, whole: genuine in every byte.
    cp --sparse=always "$T/$m.old" "$D"
    status "$m: an earlier file is refused" 123 $(with "$D") $m
    told "an earlier state of its file was put back"
    told "shelter broker volume reset"
    check "$m: ... and left as it was" cmp -s "$D" "$T/$m.old"
    rm "$D"
    status "$m: an empty file is refused" 123 $(with "$D") $m
    told "its file is empty, but the broker knows the volume"
    cp --sparse=always "$T/$m.new" "$D"
    same "$m: the newest is opened" "$($(with "$D") $m 2>"$T/err")" 40
    # The operator accepts the loss.
    cp --sparse=always "$T/$m.old" "$D"
    status "$m: reset" 0 "$SHELTER" broker volume reset volumes/key/$m
    same "$m: after a reset the earlier one counts" "$($(with "$D") $m 2>"$T/err")" 20
    cp --sparse=always "$T/$m.new" "$D"
    status "$m: and the other no more" 123 $(with "$D") $m
    rm -f "$D"
    "$SHELTER" broker volume reset volumes/key/$m
    status "$m: a reset is not for an empty file" 123 $(with "$D") $m
    told "reset --new"
    status "$m: forgotten" 0 "$SHELTER" broker volume reset --new volumes/key/$m
    status "$m: a new one" 0 $(with "$D") $m-some
done
