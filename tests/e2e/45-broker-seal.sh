#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Resources at rest under a passphrase: not in any file of the broker, given to who attests, of no use without it.
. tests/e2e/lib.sh
export SHELTER_BROKER=$T/broker
echo 'correct horse battery staple' >"$T/pass"
echo 'another' >"$T/other"
status "init" 0 "$SHELTER" broker init --passphrase-file "$T/pass"
secret=the-secret-that-nobody-reads
printf %s $secret >"$T/secret"
status "add without the passphrase" 125 "$SHELTER" broker add-resource a/b/c --image any <"$T/secret"
one_line "says what to do" 'SHELTER_BROKER_PASSPHRASE_FILE'
status "add with another" 125 env SHELTER_BROKER_PASSPHRASE_FILE="$T/other" "$SHELTER" broker add-resource a/b/c --image any <"$T/secret"
one_line "says so" "passphrase in .* is not this broker's"
status "serve without" 125 "$SHELTER" broker serve --listen 127.0.0.1:0
export SHELTER_BROKER_PASSPHRASE_FILE=$T/pass
status "add" 0 "$SHELTER" broker add-resource a/b/c --image any <"$T/secret"
status "add: it is there already" 125 "$SHELTER" broker add-resource a/b/c --image any <"$T/secret"
status "replace" 0 "$SHELTER" broker add-resource a/b/c --image any --replace <"$T/secret"
same "no file of the broker has it" "$(grep -rlF "$secret" "$T/broker")" ""
# The row of another path, behind the broker's back: MACs catch a disk's faults, the seal whoever made them anew.
status "list needs no passphrase" 0 env -u SHELTER_BROKER_PASSPHRASE_FILE "$SHELTER" broker list
check "list has it" grep -q a/b/c "$T/out"
# Another passphrase: what was there is under it, and only under it.
echo 'a new one' >"$T/new"
status "passphrase" 0 "$SHELTER" broker passphrase "$T/new"
status "the one of before is none any more" 125 "$SHELTER" broker add-resource a/b/d --image any <"$T/secret"
export SHELTER_BROKER_PASSPHRASE_FILE=$T/new
status "the new one is" 0 "$SHELTER" broker add-resource a/b/d --image any <"$T/secret"
status "passphrase: an empty one" 125 "$SHELTER" broker passphrase /dev/null
: >"$T/empty"
status "init: an empty passphrase" 125 env SHELTER_BROKER="$T/second" "$SHELTER" broker init --passphrase-file "$T/empty"
status "init without one" 0 env -u SHELTER_BROKER_PASSPHRASE_FILE SHELTER_BROKER="$T/third" "$SHELTER" broker init
status "add there" 0 env -u SHELTER_BROKER_PASSPHRASE_FILE SHELTER_BROKER="$T/third" "$SHELTER" broker add-resource a/b/c --image any <"$T/secret"
check "there it is readable, as ever" grep -rqF "$secret" "$T/third"
status "a passphrase later on" 0 env -u SHELTER_BROKER_PASSPHRASE_FILE SHELTER_BROKER="$T/third" "$SHELTER" broker passphrase "$T/new"
same "then no file of that broker has it" "$(grep -rlF "$secret" "$T/third")" ""
status "then it needs the passphrase" 125 env -u SHELTER_BROKER_PASSPHRASE_FILE SHELTER_BROKER="$T/third" "$SHELTER" broker passphrase "$T/pass"
# To a program that attests.
enclave_base seal
check "the simulated root" "$SHELTER" attest --simulated-root -o "$T/root.pem"
"$SHELTER" broker key >"$T/key.pem"
timeout 100 "$SHELTER" broker serve --listen 127.0.0.1:0 --allow-simulated "$T/root.pem" --url-file "$T/url" >"$T/broker.log" 2>&1 &
cleanup_hooks+=("kill $! 2>/dev/null")
check "the broker" until_true 20 test -s "$T/url"
check "an image" "$SHELTER" build -q -t mine --broker-key "$T/key.pem" --secret one=kbs:///a/b/c -f "$(command -v busybox)" -c "/bin/busybox cat /run/secrets/one"
"$SHELTER" broker add-reference mine >/dev/null
status "it gets the secret" 0 "$SHELTER" run --rm --tee sgx-sim -i "$(cat "$T/url")" mine
same "... as it was" "$(cat "$T/out")" "$secret"
