#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Keys of a PKCS #11 token (SoftHSM) that attested workloads have sign and unwrap: judged by openssl, refused as resources are.
. tests/e2e/lib.sh
module=$(ls /usr/lib/softhsm/libsofthsm2.so /usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so 2>/dev/null | head -n 1)
quoter=$ROOT/build/tests/quoter
if [ -z "$module" ] || ! command -v softhsm2-util pkcs11-tool >/dev/null; then
    skip "hsm keys: softhsm2 or opensc is not installed"
    exit 0
fi
[ -x "$quoter" ] || { skip "hsm keys: build/tests/quoter is not built"; exit 0; }
export SOFTHSM2_CONF=$T/softhsm.conf
mkdir "$T/tokens"
echo "directories.tokendir = $T/tokens" >"$SOFTHSM2_CONF"
softhsm2-util --init-token --free --label keys --pin 1234 --so-pin 5678 >/dev/null
echo 1234 >"$T/pin"
timeout -k 10 300 python3 tests/e2e/broker_hsm_keys.py "$SHELTER" "$quoter" "$T" "$module" || not_ok "hsm keys: the cases end with status $?"

# --- a workload asks through its agent, in each TEE ---
B=$(command -v busybox)
if [ -z "$B" ] || [ ! -f build/base/enclave ]; then
    skip "hsm keys: no busybox or no build/base/enclave"
    exit 0
fi
export SHELTER_BROKER=$T/own
printf %s "wrapped by openssl" >"$T/plain"
digest=$(printf %s "something to sign" | openssl dgst -sha256 -binary | basenc --base64url -w0 | tr -d =)
wrapped=$(openssl pkeyutl -encrypt -pubin -inkey "$T/rsa.pub" -pkeyopt rsa_padding_mode:oaep -in "$T/plain" | basenc --base64url -w0 | tr -d =)
mkdir -p "$T/root/bin"
cp "$B" "$T/root/bin/busybox"
cat >"$T/root/bin/w" <<END
#!/bin/busybox sh
ask() { echo "\$(/bin/busybox wget -qO- --header 'Shelter-Request: 1' --post-data "\$2" "http://127.0.0.1:8006/cdh/hsm/\$1" 2>&1)"; }
ask sign/app/sign/ec '{"algorithm": "ES256", "digest": "$digest"}'
ask unwrap/app/wrap/rsa '{"algorithm": "RSA-OAEP", "wrapped": "$wrapped"}'
ask sign/app/sign/ec '{"algorithm": "ES256", "digest": "AAAA"}'
ask sign/app/sign/other '{"algorithm": "ES256", "digest": "$digest"}'
ask derive/app/sign/ec '{}'
/bin/busybox wget -qO- --post-data '{}' http://127.0.0.1:8006/cdh/hsm/sign/app/sign/ec 2>&1
/bin/busybox wget -qO- --header 'Shelter-Request: 1' http://127.0.0.1:8006/cdh/hsm/sign/app/sign/ec 2>&1
END
chmod 755 "$T/root/bin/w"
tar -C "$T/root" -cf "$T/root.tar" .
"$SHELTER" broker init
"$SHELTER" broker key >"$T/key.pem"
check "an image that uses the keys" "$SHELTER" build -q -t signer -r "$T/root.tar" -c /bin/w --lock --broker-key "$T/key.pem"
check "its reference" "$SHELTER" broker add-reference signer
check "the simulated root" "$SHELTER" attest --simulated-root -o "$T/root.pem"
for path in app/sign/ec app/wrap/rsa; do echo '{"images": ["signer"]}' | "$SHELTER" broker policy $path - >/dev/null; done
uri() { echo "pkcs11:token=keys;object=$1?module-path=$module&pin-source=$T/pin"; }
echo "{\"keys\": [{\"path\": \"app/sign/ec\", \"key\": \"$(uri ec)\", \"algorithms\": [\"ES256\"]},
 {\"path\": \"app/wrap/rsa\", \"key\": \"$(uri rsa)\", \"algorithms\": [\"RSA-OAEP\"]}]}" >"$T/own.json"
"$SHELTER" broker serve --listen 127.0.0.1:0 --url-file "$T/own.url" --allow-simulated "$T/root.pem" --hsm-keys "$T/own.json" >"$T/own.log" 2>&1 &
cleanup_hooks+=("kill $! 2>/dev/null")
check "a broker with them" until_true 20 test -s "$T/own.url"
for tee in sgx-sim tdx-sim; do
    [ $tee = sgx-sim ] || [ -f build/base/vmlinux ] || { skip "hsm keys: no build/base/vmlinux"; continue; }
    LIMIT=60 status "$tee: it runs" 1 "$SHELTER" run --rm -m 256M --tee $tee -i "$(cat "$T/own.url")" signer
    same "$tee: openssl takes its signature" "$(sed -n 1p "$T/out" | python3 -c '
import base64, json, sys
def der(n):
    b = int.from_bytes(n, "big").to_bytes(33, "big").lstrip(b"\0")
    b = b"\0" + b if b[0] > 127 else b
    return b"\2" + bytes([len(b)]) + b
s = json.load(sys.stdin)["signature"]
s = base64.urlsafe_b64decode(s + "=" * (-len(s) % 4))
open(sys.argv[1], "wb").write(b"\x30" + bytes([len(der(s[:32]) + der(s[32:]))]) + der(s[:32]) + der(s[32:]))' "$T/s"
        printf %s "something to sign" | openssl dgst -sha256 -verify "$T/ec.pub" -signature "$T/s")" "Verified OK"
    same "$tee: it has what was wrapped" "$(sed -n 2p "$T/out")" "wrapped by openssl"
    for n in 3:400 4:403 5:404; do
        check "$tee: line ${n%:*} is refused by ${n#*:}" grep -q " ${n#*:}" <(sed -n "${n%:*}p" "$T/out")
    done
    check "$tee: without the header" grep -q ' 403' <(sed -n 6p "$T/out")
    check "$tee: by GET" grep -q ' 405' <(sed -n 7p "$T/out")
    check "$tee: the log has it" grep -q '"resource":"app/wrap/rsa"' <("$SHELTER" broker log --json | tail -n 20)
done
