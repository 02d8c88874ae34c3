#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A secret that is rotated while the workload runs, in both simulated TEEs: the file changes, inotify and a signal say so.
. tests/e2e/lib.sh
LIMIT=90
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "renew: not built (make)"; exit 0; }
tees=sgx-sim
if [ -f build/base/vmlinux ] && [ -f build/base/initramfs ]; then tees="sgx-sim tdx-sim"; else
    made_up_base
    cp build/base/enclave "$T/base/"
    skip "renew: no guest kernel (make tools): not in the VM"
fi
export SHELTER SHELTER_BROKER=$T/broker
check "the example compiles" gcc -O1 -Wall -Werror -static -o "$T/watch" examples/renew/watch.c
simulated_broker 900 --rate 0 --session-seconds 8
secret() { printf %s "$1" | "$SHELTER" broker add-resource app/db/password --replace >/dev/null; }
secret first
echo '{"images": "any"}' | "$SHELTER" broker policy app/db/password - >/dev/null
printf %s fixed | "$SHELTER" broker add-resource app/db/fixed --image any >/dev/null
build=("$SHELTER" build -q -f "$T/watch:/watch" --broker-key "$T/key.pem" -c /watch)
check "build" "${build[@]}" -t watch --secret password=kbs:///app/db/password:renew:HUP --secret fixed=kbs:///app/db/fixed
for bad in :renew:TERM :renew: :renew:HUP:HUP :env:renew :again; do
    status "build: no such word: $bad" 125 "${build[@]}" -t bad --secret "password=kbs:///app/db/password$bad"
done
check "inspect: says so" sh -c '"$1" inspect --json watch | grep -q "password:renew:HUP"' sh "$SHELTER"
"$SHELTER" broker add-reference watch >/dev/null
log() { "$SHELTER" logs "$tee" 2>/dev/null | tr -d '\r'; }
says() { log | grep -qx "$1"; }
for tee in $tees; do
    secret "first $tee"
    check "$tee: run" "$SHELTER" run -d --name "$tee" --tee "$tee" -i "$url" watch
    if until_true 60 says "start: first $tee"; then ok "$tee: has the first"; else
        not_ok "$tee: has no secret"
        log | tail -n 3
        continue
    fi
    secret "second $tee"
    check "$tee: the file is another one" until_true 40 says "looked: second $tee"
    check "$tee: a signal told so" until_true 5 says "signal: second $tee"
    check "$tee: and inotify" until_true 5 says "inotify: second $tee"
    # Longer than a session: it attests again. Twice within one look counts once.
    sleep 9
    secret "third $tee"
    secret "fourth $tee"
    check "$tee: after the session has ended" until_true 40 says "looked: fourth $tee"
    "$SHELTER" broker policy app/db/password - >/dev/null <<<'{"allow": false}'
    secret "fifth $tee"
    sleep 12
    check "$tee: refused: the old one stays" sh -c '! "$1" logs "$2" | grep -q fifth' sh "$SHELTER" "$tee"
    "$SHELTER" broker policy app/db/password - >/dev/null <<<'{"images": "any"}'
    check "$tee: allowed again" until_true 40 says "looked: fifth $tee"
    same "$tee: what did not change was not given again" "$(log | grep -c 'inotify:')" 3
    "$SHELTER" kill "$tee" >/dev/null 2>&1
done
head -c 70000 /dev/zero | "$SHELTER" broker add-resource app/db/password --replace >/dev/null
status "one that is too large for it" 123 "$SHELTER" run --rm --tee sgx-sim -i "$url" watch
check "told why" grep -q "65000 bytes" "$T/err"
