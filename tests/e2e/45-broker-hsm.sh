#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Resources at rest under a key of a PKCS #11 token (SoftHSM): as under a passphrase, and of no use without the token.
. tests/e2e/lib.sh
module=$(ls /usr/lib/softhsm/libsofthsm2.so /usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so 2>/dev/null | head -n 1)
if [ -z "$module" ] || ! command -v softhsm2-util pkcs11-tool >/dev/null; then
    skip "hsm: softhsm2 or opensc is not installed"
    exit 0
fi
export SOFTHSM2_CONF=$T/softhsm.conf SHELTER_BROKER=$T/broker
mkdir "$T/tokens"
echo "directories.tokendir = $T/tokens" >"$SOFTHSM2_CONF"
for label in 'the broker' other; do softhsm2-util --init-token --free --label "$label" --pin 1234 --so-pin 5678 >/dev/null; done
make_key() { # token, label
    pkcs11-tool --module "$module" --login --pin 1234 --token-label "$1" --keygen --key-type GENERIC:32 --label "$2" --id "$3" --sensitive --usage-sign >/dev/null 2>&1
}
make_key 'the broker' seal 01
make_key 'the broker' another 02
make_key 'the broker' twice 03
make_key 'the broker' twice 04
echo 1234 >"$T/pin"
echo 4321 >"$T/wrong-pin"
uri() { echo "pkcs11:token=$1;object=$2?module-path=${4:-$module}&pin-source=${3:-$T/pin}"; }
good=$(uri the%20broker seal)
printf 'the-secret-that-nobody-reads' >"$T/secret"
status "init" 0 "$SHELTER" broker init --passphrase-file "$good"
export SHELTER_BROKER_PASSPHRASE_FILE=$good
status "add" 0 "$SHELTER" broker add-resource a/b/c --image any <"$T/secret"
same "no file of the broker has it" "$(grep -rlF the-secret "$T/broker")" ""
refuse() { # name, URI, what is said
    status "$1" 125 env SHELTER_BROKER_PASSPHRASE_FILE="$2" "$SHELTER" broker add-resource a/b/d --image any <"$T/secret"
    one_line "$1: says so" "$3"
}
refuse "another key of the token" "$(uri the%20broker another)" "is not this broker's"
refuse "a wrong PIN" "$(uri the%20broker seal "$T/wrong-pin")" 'log in with the PIN'
refuse "no file of the PIN" "$(uri the%20broker seal "$T/none")" none
refuse "no such token" "$(uri broker seal)" "no PKCS #11 token 'broker'"
refuse "no such key" "$(uri the%20broker none)" "has no secret key 'none'"
refuse "a token without it" "$(uri other seal)" "has no secret key 'seal'"
refuse "two keys of one label" "$(uri the%20broker twice)" 'more than one'
refuse "a module that is not there" "$(uri the%20broker seal "$T/pin" /none.so)" 'no PKCS #11 module'
refuse "a library that is no module" "$(uri the%20broker seal "$T/pin" "$(ldconfig -p | sed -n 's/.*libz\.so\.1 .*=> //p' | head -n 1)")" 'no PKCS #11 module'
refuse "a module by a relative path" "$(uri the%20broker seal "$T/pin" x.so)" 'does not name a key'
refuse "an attribute that is unknown" "$good&pin-value=1234" 'does not name a key'
refuse "one twice" "$good&pin-source=x" 'does not name a key'
refuse "one that lacks" "pkcs11:token=a;object=b" 'does not name a key'
refuse "a bad escape" "$(uri the%2 seal)" 'does not name a key'
echo passphrase >"$T/pass"
status "to a passphrase" 0 "$SHELTER" broker passphrase "$T/pass"
refuse "then the token is of no use" "$good" "is not this broker's"
export SHELTER_BROKER_PASSPHRASE_FILE=$T/pass
status "and back to a key of the token" 0 "$SHELTER" broker passphrase "$(uri the%20broker another)"
export SHELTER_BROKER_PASSPHRASE_FILE
SHELTER_BROKER_PASSPHRASE_FILE=$(uri the%20broker another)
timeout 60 "$SHELTER" broker serve --listen 127.0.0.1:0 --url-file "$T/url" --processes 2 >"$T/broker.log" 2>&1 &
cleanup_hooks+=("kill $! 2>/dev/null")
check "serve, by two processes" until_true 20 test -s "$T/url"
mv "$T/tokens" "$T/gone"
mkdir "$T/tokens"
refuse "a token that is gone" "$SHELTER_BROKER_PASSPHRASE_FILE" "no PKCS #11 token"
check "those that serve have what they need" curl -skf -m 10 "$(cat "$T/url")/readyz"
