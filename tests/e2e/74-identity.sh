#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An image's identity, in both simulated TEEs: a key made inside, the broker's certificate, renewed, and what is revoked.
. tests/e2e/lib.sh
LIMIT=90
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "identity: not built (make)"; exit 0; }
tees=sgx-sim
if [ -f build/base/vmlinux ] && [ -f build/base/initramfs ]; then tees="sgx-sim tdx-sim"; else
    made_up_base
    cp build/base/enclave "$T/base/"
    skip "identity: no guest kernel (make tools): not in the VM"
fi
export SHELTER SHELTER_BROKER=$T/broker
B=/bin/busybox
broker() { "$SHELTER" broker "$@"; }
simulated_broker 900 --rate 0
id=spiffe://example.org/web
cat >"$T/show" <<'END'
trap 'echo told; cat /run/identity/crl.pem' HUP
ls -l /run/identity | awk 'NR > 1 {print $1, $3, $9}'
cat /run/identity/certificate.pem /run/identity/ca.pem /run/identity/crl.pem
echo ready
while :; do sleep 1; done
END
check "build" "$SHELTER" build -q -t web -f "$B" -f "$T/show:/show" --broker-key "$T/key.pem" --identity "$id:HUP" \
    -c "$B sh /show"
for bad in "spiffe://example.org/web:TERM" "spiffe://example.org" "http://x/y" "spiffe://example.org/web:HUP:HUP"; do
    status "build: no identity: $bad" 125 "$SHELTER" build -q -t bad -f "$B" --broker-key "$T/key.pem" --identity "$bad"
done
status "build: without the broker's key" 125 "$SHELTER" build -q -t bad -f "$B" --identity "$id"
status "build: two" 125 "$SHELTER" build -q -t bad -f "$B" --broker-key "$T/key.pem" --identity "$id" --identity "$id"
check "inspect: says which" sh -c '"$1" inspect --json web | grep -q "identity=$2:HUP"' sh "$SHELTER" "$id"
broker add-reference web:latest >/dev/null 2>&1
status "an image that the broker gives none" 123 "$SHELTER" run --rm --tee sgx-sim -i "$url" web
check "told why" grep -q "identity" "$T/err"
check "identity" broker add-identity $id --image web:latest --dns web.example.org --seconds 60
for tee in $tees; do
    check "$tee: run" "$SHELTER" run -d --name "$tee" --tee "$tee" -i "$url" web
    ready() { "$SHELTER" logs "$tee" | grep -q ready; }
    if until_true 60 ready; then ok "$tee: ready"; else
        not_ok "$tee: is not ready"
        "$SHELTER" logs "$tee" | tail -n 3
        continue
    fi
    "$SHELTER" logs "$tee" | tr -d '\r' >"$T/log"
    same "$tee: files" "$(grep '^-' "$T/log" | grep -v BEGIN | grep -v END | sort -k 3 | tr '\n' ' ')" \
        "-r-------- root ca.pem -r-------- root certificate.pem -r-------- root crl.pem -r-------- root key.pem "
    csplit -sz -f "$T/$tee." "$T/log" '/-----BEGIN/' '{*}'
    same "$tee: certificate" "$(openssl x509 -in "$T/$tee.01" -noout -ext subjectAltName | tail -n 1 | xargs)" "URI:$id, DNS:web.example.org"
    status "$tee: of the authority" 0 openssl verify -x509_strict -CAfile "$T/$tee.02" "$T/$tee.01"
    serial=$(openssl x509 -in "$T/$tee.01" -noout -serial | cut -d= -f2 | tr A-F a-f)
    check "$tee: ls" sh -c '"$1" broker identity ls | grep "$2" | grep -q "$3"' sh "$SHELTER" "$serial" "$id"
    # Half of its life later there is another one, and the workload hears of it.
    check "$tee: renewed, and told" until_true 50 sh -c '"$1" logs "$2" | grep -q told' sh "$SHELTER" "$tee"
    check "$tee: two certificates" until_true 20 sh -c '[ "$("$1" broker identity ls | grep -c "$2")" -ge 2 ]' sh "$SHELTER" "$id"
    # Revoked: the list inside has it within half a minute.
    check "$tee: revoke" broker identity revoke "$serial"
    inside() { # the newest list that the workload showed
        "$SHELTER" logs "$tee" | tr -d '\r' | tac | sed -n '/-----END X509 CRL/,/-----BEGIN X509 CRL/p' | awk '{print} /BEGIN/ {exit}' | tac |
            openssl crl -noout -text 2>/dev/null | grep -i -q "Serial Number: *$serial"
    }
    check "$tee: the list inside has it" until_true 45 inside
    "$SHELTER" kill "$tee" >/dev/null 2>&1
done
