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
status "list needs no passphrase" 0 env -u SHELTER_BROKER_PASSPHRASE_FILE "$SHELTER" broker list
check "list has it" grep -q a/b/c "$T/out"
# Another passphrase: what was there is under it, and only under it.
echo 'a new one' >"$T/new"
status "passphrase" 0 "$SHELTER" broker passphrase "$T/new"
status "the one of before is none any more" 125 "$SHELTER" broker add-resource a/b/d --image any <"$T/secret"
export SHELTER_BROKER_PASSPHRASE_FILE=$T/new
status "the new one is" 0 "$SHELTER" broker add-resource a/b/d --image any <"$T/secret"
# The row of another path, behind the broker's back: MACs catch a disk's faults, the seal whoever made them anew.
moved() { # FOLDER PATH: the value of a/b/c becomes that of PATH, with a MAC by the broker's own key
    cp -r "$T/broker" "$1"
    python3 - "$1/broker.db" "$2" <<'END'
import hashlib, hmac, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
key = db.execute("SELECT value FROM meta WHERE name = 'key'").fetchone()[0]
key = hmac.digest(key, b"shelter-broker-rows-v1", "sha256")
value, = db.execute("SELECT value FROM resource WHERE path = ?", (sys.argv[2],)).fetchone()
changed, = db.execute("SELECT changed FROM resource WHERE path = 'a/b/c'").fetchone()
parts = b"resource", b"a/b/c", str(changed).encode(), value
mac = hmac.digest(key, b"".join(len(p).to_bytes(8, "little") + p for p in parts), "sha256")
db.execute("UPDATE resource SET value = ?, mac = ? WHERE path = 'a/b/c'", (value, mac))
db.commit()
END
}
check "a row made anew as it was" moved "$T/same" a/b/c
status "... is one" 0 env SHELTER_BROKER="$T/same" "$SHELTER" broker passphrase "$T/pass"
check "another row's value" moved "$T/moved" a/b/d
status "... has a MAC that holds" 0 env SHELTER_BROKER="$T/moved" "$SHELTER" broker list
status "... and is not opened under this path" 125 env SHELTER_BROKER="$T/moved" "$SHELTER" broker passphrase "$T/pass"
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
