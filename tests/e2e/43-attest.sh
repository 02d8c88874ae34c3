#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Evidence of running instances, in both simulated TEEs: got, judged, bound to its nonce, of no use for anything else.
. tests/e2e/lib.sh
[ -x build/sgx-loader ] && [ -f build/base/enclave ] && [ -f build/base/vmlinux ] && [ -f build/base/initramfs ] ||
    { skip "attest: not built (make tools all)"; exit 0; }
[ -x /bin/busybox ] || { skip "attest: no busybox"; exit 0; }
LIMIT=90
export SHELTER_BROKER=$T/broker
B=/bin/busybox
"$SHELTER" build -q -t box -f $B -c "$B sleep 1000" >/dev/null 2>&1
"$SHELTER" build -q -t other -f $B -f tests/md5 -c "$B sleep 1000" >/dev/null 2>&1
status "the simulated root" 0 "$SHELTER" attest --simulated-root -o "$T/root.pem"
check "names itself" sh -c 'openssl x509 -in "$1" -noout -subject | grep -q "Shelter simulated TEE"' sh "$T/root.pem"
same "its keys are their owner's" "$(stat -c %a "$SHELTER_STORE"/sim-tee/quoting.pem "$SHELTER_STORE"/sim-tee/authority.pem | tr '\n' ' ')" "600 600 "
status "and stays" 0 sh -c '"$1" attest --simulated-root | cmp - "$2"' sh "$SHELTER" "$T/root.pem"
field() { python3 -c "import json,sys; d=json.load(open(sys.argv[1])); print($2)" "$1"; }
"$SHELTER" broker init
"$SHELTER" broker serve --listen 127.0.0.1:0 --url-file "$T/url" --allow-simulated "$T/root.pem" --rate 0 >/dev/null 2>&1 &
broker=$!
cleanup_hooks+=("kill $broker 2>/dev/null")
until_true 10 test -s "$T/url"
"$SHELTER" broker add-reference box:latest --insecure-any-launch >/dev/null
for tee in sgx-sim tdx-sim; do
    case $tee in sgx-sim) type=sgx other=tdx-sim ;; *) type=tdx other=sgx-sim ;; esac
    e=$T/$tee.json
    verify() { status "$tee: $1" "$2" "$SHELTER" verify --evidence "$e" --ca "$T/root.pem" --allow-simulated --json "${@:3}"; }
    reason() { same "$tee: $1" "$(field "$T/out" "d['reason_code']")" "$2"; }
    check "$tee: run" "$SHELTER" run -d --tee $tee --name $tee box
    check "$tee: it runs" until_true 30 sh -c '"$1" ps | grep -q "$2.*running"' sh "$SHELTER" $tee
    status "$tee: attest" 0 "$SHELTER" attest --nonce 00ff10 -o "$e" $tee
    verify "accepted" 0 --nonce 00ff10 --image box --type $type
    same "$tee: what the verdict says" \
        "$(field "$T/out" "(d['signatures'], d['verdict'], d['simulated'], d['debug'], d['tcb_status'])")" "('valid', 'accept', True, False, 'Simulated')"
    verify "another nonce" 1 --nonce 00ff11 --image box
    reason "another nonce: told" report-data
    verify "another image" 1 --nonce 00ff10 --image other
    reason "another image: told" reference-mismatch
    status "$tee: not allowed" 1 "$SHELTER" verify --evidence "$e" --ca "$T/root.pem" --json
    reason "not allowed: told" simulated
    status "$tee: not named" 1 "$SHELTER" verify --evidence "$e" --allow-simulated --json
    reason "not named: told" simulated
    status "$tee: its collateral" 0 "$SHELTER" attest --collateral "$T/$tee.col" --tee $tee
    verify "accepted by its collateral" 0 --collateral "$T/$tee.col"
    # Intel's profile: what others' verifiers look at.
    for crl in pck_crl root_ca_crl; do
        openssl crl -inform DER -in "$T/$tee.col/$crl.der" -noout -text >"$T/crl"
        check "$tee: $crl: number and issuer's key" sh -c 'grep -q "CRL Number" "$1" && grep -q "Authority Key Identifier" "$1"' sh "$T/crl"
    done
    python3 - "$e" >"$T/pck.pem" <<'PY'
import base64, json, sys
quote = base64.b64decode(json.load(open(sys.argv[1]))["quote"])
begin = quote.index(b"-----BEGIN CERTIFICATE-----")
sys.stdout.write(quote[begin:quote.index(b"-----END CERTIFICATE-----")].decode() + "-----END CERTIFICATE-----\n")
PY
    openssl x509 -in "$T/pck.pem" -noout -text >"$T/pck"
    for part in "Subject Key Identifier" "Authority Key Identifier" "CRL Distribution Points" "1.2.840.113741.1.13.1"; do
        check "$tee: PCK certificate: $part" grep -q "$part" "$T/pck"
    done
    openssl x509 -in "$T/pck.pem" -outform DER | openssl asn1parse -inform DER -strparse "$(openssl asn1parse -in "$T/pck.pem" |
        sed -n '/1.2.840.113741.1.13.1$/{n;s/^ *\([0-9]*\):.*OCTET.*/\1/p}' | head -n 1)" >"$T/sgx"
    for arc in 1 2 3 4 5 6 7; do
        check "$tee: PCK certificate: SGX extension $arc" grep -q "113741.1.13.1.$arc$" "$T/sgx"
    done
    same "$tee: TCB status" "$(field "$T/out" "d['tcb_status']")" UpToDate
    verify "collateral that has expired" 1 --collateral "$T/$tee.col" --time "$(($(date +%s) + 40 * 86400))"
    reason "collateral that has expired: told" crl-expired
    verify "a clock before it" 1 --collateral "$T/$tee.col" --time "$(($(date +%s) - 3600))"
    reason "a clock before it: told" crl-not-yet-valid
    status "$tee: the other's collateral" 0 "$SHELTER" attest --collateral "$T/$tee.wrong" --tee $other
    verify "the other's collateral: refused" 1 --collateral "$T/$tee.wrong"
    reason "the other's collateral: told" tcb-info-mismatch
    for at in 60 200 500 900 2000; do # any byte of it
        python3 - "$e" "$T/bad.json" $at <<'EOF'
import base64, json, sys
d = json.load(open(sys.argv[1]))
q = bytearray(base64.b64decode(d["quote"]))
q[int(sys.argv[3])] ^= 1
json.dump({"quote": base64.b64encode(q).decode()}, open(sys.argv[2], "w"))
EOF
        status "$tee: byte $at changed" 1 "$SHELTER" verify --evidence "$T/bad.json" --ca "$T/root.pem" --allow-simulated
    done
    # The launch config is bound: what the instance says of itself is what the host chose.
    case $tee in sgx-sim) claim=configid ;; *) claim=mrconfigid ;; esac
    want=$(sha384sum <"$SHELTER_STORE/instances/$("$SHELTER" inspect --json $tee | python3 -c 'import json,sys; d=json.load(sys.stdin); print((d[0] if isinstance(d, list) else d)["id"])')/launch" | cut -c1-96)
    same "$tee: the launch config's digest" "$("$SHELTER" verify --evidence "$e" --ca "$T/root.pem" --allow-simulated --json 2>/dev/null |
        python3 -c "import json,sys; print(json.load(sys.stdin)['claims']['$claim'][:96])")" "$want"
    status "$tee: a random nonce, told" 0 "$SHELTER" attest --json $tee
    cp "$T/out" "$e"
    nonce=$(field "$e" "d['nonce']")
    check "$tee: it is on stderr" grep -qx "nonce $nonce" "$T/err"
    verify "--json is evidence too" 0 --nonce "$nonce" --image box
    timeout 300 python3 tests/e2e/attest_oracle.py "$SHELTER" $tee $tee "$(cat "$T/url")" "$T/root.pem" "$T" || not_ok "$tee: the oracle's cases end with status $?"
    for bad in '' 0 zz "$(printf '00%.0s' $(seq 65))"; do
        status "$tee: nonce '${bad:0:8}'" 125 "$SHELTER" attest --nonce "$bad" $tee
    done
    "$SHELTER" rm -f $tee >/dev/null 2>&1
    status "$tee: not there" 125 "$SHELTER" attest $tee
done

# --- RA-TLS out of the TEE ---
check "ra-tls: run" "$SHELTER" run --rm --tee tdx-sim box $B sh -c "$B wget -q --header 'Shelter-Request: 1' -O - 'http://127.0.0.1:8006/aa/ra-tls?nonce=abc'; true"
"$SHELTER" run --rm --tee tdx-sim box $B sh -c "$B wget -q --header 'Shelter-Request: 1' -O - 'http://127.0.0.1:8006/aa/ra-tls?nonce=abc'" >"$T/cert.pem" 2>/dev/null
ra() { status "ra-tls: $1" "$2" "$SHELTER" verify --certificate "$T/cert.pem" --ca "$T/root.pem" --json "${@:3}"; }
ra "accepted" 0 --allow-simulated --image box --nonce 616263
ra "another nonce" 1 --allow-simulated --image box --nonce 616264
ra "another image" 1 --allow-simulated --image other --nonce 616263
ra "simulated" 1 --image box

# --- a TLS server inside, checked from outside ---
if command -v openssl >/dev/null; then
    "$SHELTER" build -q -t server -f "$(command -v openssl)" -f $B >/dev/null 2>&1
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    check "tls: run" "$SHELTER" run -d --tee tdx-sim --name server -p "127.0.0.1:$port:4433" server $B sh -c \
        "$B wget -q --header 'Shelter-Request: 1' -O /tmp/c.pem http://127.0.0.1:8006/aa/ra-tls && exec /bin/openssl s_server -accept 4433 -cert /tmp/c.pem -key /tmp/c.pem -www"
    tls() { status "tls: $1" "$2" "$SHELTER" attest --tls "127.0.0.1:$port" --ca "$T/root.pem" --json "${@:3}"; }
    until_true 30 "$SHELTER" attest --tls "127.0.0.1:$port" --ca "$T/root.pem" --allow-simulated
    tls "the server of this image" 0 --allow-simulated --image server
    tls "another image" 1 --allow-simulated --image box
    tls "simulated, and not allowed" 1 --image server
    check "tls: talks TLS to anybody" sh -c 'echo | openssl s_client -connect "127.0.0.1:$1" 2>/dev/null | grep -q "CN *= *shelter"' sh "$port"
    "$SHELTER" rm -f server >/dev/null 2>&1
fi
