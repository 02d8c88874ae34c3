#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SoftHSM, keys that nobody takes out: its token made and used by pkcs11-tool inside, what it signs checked outside.
. tests/apps/lib.sh
need softhsm2-util pkcs11-tool busybox openssl python3
module=$(ls /usr/lib/softhsm/libsofthsm2.so /usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so 2>/dev/null | head -n 1)
[ -n "$module" ] || { skip "apps: SoftHSM is not installed (tools/install-deps --apps)"; exit 0; }
add "$(command -v softhsm2-util)"
add "$(command -v pkcs11-tool)"
add "$module"
add "$module" /usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so # where softhsm2-util looks
add "$(command -v busybox)" /bin/busybox
for a in sh cat nc base64 rm head sleep kill wc; do ln -sf busybox "$R/bin/$a"; done
mkdir -p "$R/data/tokens"
printf 'directories.tokendir = /data/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' >"$R/etc/softhsm2.conf"
# A signer: each connection sends what is to be signed, and gets the signature.
cat >"$R/bin/sign" <<END
#!/bin/sh
f=/tmp/in.\$\$
cat >\$f
pkcs11-tool --module $module -l -p 1234 --sign -m SHA256-RSA-PKCS --id 01 -i \$f -o \$f.sig >/dev/null 2>\$f.err && cat \$f.sig || cat \$f.err
rm -f \$f*
END
cat >"$R/bin/server" <<END
#!/bin/sh
set -e
softhsm2-util --init-token --free --label t --so-pin 5678 --pin 1234 >/dev/null
pkcs11-tool --module $module -l -p 1234 --keypairgen --key-type rsa:2048 --id 01 --label k >/dev/null 2>&1
pkcs11-tool --module $module -l -p 1234 --keypairgen --key-type EC:secp256r1 --id 02 --label e >/dev/null 2>&1
pkcs11-tool --module $module --read-object --type pubkey --id 01 -o /tmp/public.der >/dev/null
echo "slots \$(pkcs11-tool --module $module -L | busybox grep -c 'token label')"
echo "objects \$(pkcs11-tool --module $module -l -p 1234 -O | busybox grep -c 'Key Object')"
echo "private \$(pkcs11-tool --module $module -l -p 1234 -O --type privkey | busybox grep -c 'never extractable')"
echo "wrong pin \$(pkcs11-tool --module $module -l -p 9999 -O 2>&1 | busybox grep -c PIN_INCORRECT)"
echo "test \$(pkcs11-tool --module $module -l -p 1234 --test 2>/dev/null | busybox grep -c 'RSA-PKCS: OK')"
echo "key \$(base64 -w 0 /tmp/public.der)"
trap 'kill \$server; exit 0' TERM
busybox nc -ll -p 7777 -e /bin/sign & server=\$!
echo ready
wait \$server
END
chmod 755 "$R/bin/sign" "$R/bin/server"
image softhsm
RUN_OPTIONS="-e PATH=/bin:/usr/bin -e SOFTHSM2_CONF=/etc/softhsm2.conf" start softhsm 7777 /bin/server
logs() { "$SHELTER" logs softhsm 2>/dev/null; }
check "softhsm: token and keys are made" until_true 90 sh -c '"$SHELTER" logs softhsm 2>/dev/null | grep -q ready'
same "softhsm: slots, objects" "$(logs | grep -E '^(slots|objects)' | xargs)" "slots 1 objects 4"
same "softhsm: private keys stay" "$(logs | sed -n 's/^private //p')" 2
same "softhsm: a wrong PIN" "$(logs | sed -n 's/^wrong pin //p')" 1
same "softhsm: pkcs11-tool's own test of decryption" "$(logs | sed -n 's/^test //p')" 1
logs | sed -n 's/^key //p' | base64 -d >"$T/public.der"
for i in 1 2 3; do
    echo "message $i" >"$T/m"
    timeout 20 python3 - "$port" "$T/m" >"$T/sig" <<'P'
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(open(sys.argv[2], "rb").read())
s.shutdown(socket.SHUT_WR)
while b := s.recv(4096):
    sys.stdout.buffer.write(b)
P
    check "softhsm: signature $i, checked outside" openssl dgst -sha256 -verify "$T/public.der" -keyform DER -signature "$T/sig" "$T/m"
done
idle softhsm
finish_app softhsm 0
