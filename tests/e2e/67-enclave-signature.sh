#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The enclave's signature: kept with the image, predicted, and what EINIT refuses when a byte changed.
. tests/e2e/lib.sh
LIMIT=60
enclave_base enclave
json() { python3 -c "
import json, sys
d = json.load(sys.stdin)
print(json.dumps($1))"; }
gcc -O2 -static -o "$T/life" tests/enclave/life.c
build=("$SHELTER" build -q --allow debug -f "$T/life")
id=$("${build[@]}" -t one)
image=$SHELTER_STORE/images/$id
run=("$SHELTER" run --tee sgx-sim --rm)

# --- kept with the image, outside its identity ---
same "a SIGSTRUCT, and one for debugging" "$(stat -c %s "$image/base/enclave.sig" "$image/base/enclave-debug.sig" | tr '\n' ' ')" "1808 1808 "
cp "$image/base/enclave.sig" "$T/first.sig"
"${build[@]}" -t one >/dev/null
check "signing again gives the same bytes" cmp "$T/first.sig" "$image/base/enclave.sig"
same "the key is secret" "$(stat -c %a "$SHELTER_STORE/enclave-key.pem")" 600
status "it runs" 5 "${run[@]}" one /bin/life < <(echo 'bye 5')
mv "$SHELTER_STORE/enclave-key.pem" "$T/key.pem"
status "it runs without the key" 5 "${run[@]}" one /bin/life < <(echo 'bye 5')
mv "$T/key.pem" "$SHELTER_STORE/enclave-key.pem"

measure=$("$SHELTER" measure --tee sgx --json one | json 'd["measurement"]')
same "measure: every field" "$(json 'sorted(d)' <<<"$measure")" '["isv_prod_id", "isv_svn", "mrenclave", "mrsigner"]'
for tee in sgx sgx-sim; do
    same "reference.json: the same for $tee" \
        "$(json "[r for r in d['references'] if r['tee'] == '$tee'][0]['measurement']" <"$image/reference.json")" "$measure"
done
field() { od -An -tx1 -v -j "$2" -N "$3" "$1" | tr -d ' \n'; }
same "MRENCLAVE is what was signed" "$(json 'd["mrenclave"]' <<<"$measure")" "\"$(field "$image/base/enclave.sig" 960 32)\""
same "MRSIGNER is the hash of the key" "$(json 'd["mrsigner"]' <<<"$measure")" \
    "\"$(dd if="$image/base/enclave.sig" bs=1 skip=128 count=384 2>/dev/null | sha256sum | cut -d' ' -f1)\""
# DEBUG, PROVISIONKEY, EINITTOKENKEY and KSS are pinned; debug differs in DEBUG alone.
python3 - "$image/base/enclave.sig" "$image/base/enclave-debug.sig" >"$T/out" <<'PY'
import sys, struct
a, b = (open(f, 'rb').read() for f in sys.argv[1:])
flags, mask = (struct.unpack_from('<Q', a, o)[0] for o in (928, 944))
pinned = 0x2 | 0x10 | 0x20 | 0x80
print(mask & pinned == pinned, flags & 0xb2 == 0x80, struct.unpack_from('<Q', b, 928)[0] == flags | 2, a[20:24].hex())  # BCD, little endian: 2026-01-01
PY
same "attributes and date" "$(cat "$T/out")" "True True True 01012620"
for debug in "" --debug; do
    check "an instance, ${debug:-as it is}" "$SHELTER" run --tee sgx-sim -d $debug -e STAY=1 --name look one /bin/life
    same "inspect and measure agree, ${debug:-as it is}" \
        "$("$SHELTER" inspect --json look | json '(d[0] if isinstance(d, list) else d)["measurement"]')" "$measure"
    "$SHELTER" rm -f look >/dev/null
done

# --- a key of one's own ---
openssl genrsa -3 -out "$T/own.pem" 3072 2>/dev/null
openssl genrsa -out "$T/bad.pem" 3072 2>/dev/null
own=$("${build[@]}" -t own --enclave-key "$T/own.pem")
same "another key: the same identity" "$own" "$id"
other=$("$SHELTER" measure --tee sgx --json own | json 'd["measurement"]')
check "another key: another MRSIGNER" [ "$(json 'd["mrsigner"]' <<<"$other")" != "$(json 'd["mrsigner"]' <<<"$measure")" ]
same "another key: the same MRENCLAVE" "$(json 'd["mrenclave"]' <<<"$other")" "$(json 'd["mrenclave"]' <<<"$measure")"
status "a key of another kind is refused" 125 "${build[@]}" --enclave-key "$T/bad.pem"
one_line "a key of another kind: told" "exponent"
status "no such key" 125 "${build[@]}" --enclave-key "$T/none.pem"
one_line "no such key: told" "cannot read the enclave key"
check "no such key: none is made" [ ! -e "$T/none.pem" ]
"${build[@]}" -t one >/dev/null

# --- elsewhere ---
status "save" 0 "$SHELTER" save -o "$T/saved" one
here=$SHELTER_STORE
export SHELTER_STORE=$T/elsewhere
status "load elsewhere" 0 "$SHELTER" load -q -i "$T/saved"
status "it runs elsewhere" 5 "${run[@]}" one /bin/life < <(echo 'bye 5')
same "elsewhere: the same measurement" "$("$SHELTER" measure --tee sgx --json one | json 'd["measurement"]')" "$measure"
check "elsewhere: no key was needed" [ ! -e "$SHELTER_STORE/enclave-key.pem" ]
rm -rf "$T/elsewhere"
python3 - "$T/saved" "$T/changed" <<'PY'
import sys
data = bytearray(open(sys.argv[1], 'rb').read())
at = data.index(b'base/enclave.sig')
data[at + 512 + 600] ^= 1
open(sys.argv[2], 'wb').write(data)
PY
status "a changed signature is not loaded" 125 "$SHELTER" load -q -i "$T/changed"
one_line "a changed signature: told" "signature"
export SHELTER_STORE=$here

# --- a byte changed: refused at EINIT, or at read ---
flip() { # FILE OFFSET: in place
    chmod u+w "$1"
    python3 - "$1" "$2" <<'PY'
import sys
with open(sys.argv[1], 'r+b') as f:
    f.seek(int(sys.argv[2]))
    b = f.read(1)
    f.seek(int(sys.argv[2]))
    f.write(bytes([b[0] ^ 1]))
PY
}
cp "$image/base/enclave" "$T/enclave"
text=$(readelf -lW "$T/enclave" | awk '$1 == "LOAD" && /R E/ { print $2; exit }')
for at in $((text + 64)) $((text + 5000)); do
    cp --remove-destination "$T/enclave" "$image/base/enclave" && flip "$image/base/enclave" "$at"
    status "LibOS changed at $at" 125 "${run[@]}" one /bin/life
    one_line "LibOS changed: told" "refused the enclave.*not the one that was signed"
done
cp --remove-destination "$T/enclave" "$image/base/enclave"
cp "$image/base/enclave.sig" "$T/sig"
told=0
offsets="0 20 130 512 900 928 960 1020 1028 1041 1500"
for at in $offsets; do
    cp --remove-destination "$T/sig" "$image/base/enclave.sig" && flip "$image/base/enclave.sig" "$at"
    "${run[@]}" one /bin/life </dev/null >"$T/out" 2>"$T/err"
    [ $? -eq 125 ] && [ ! -s "$T/out" ] && grep -q 'refused the enclave' "$T/err" && told=$((told + 1)) ||
        sed "s/^/#  $at: /" "$T/err"
done
same "SIGSTRUCT changed, each field" "$told" "$(wc -w <<<"$offsets")"
head -c 1000 "$T/sig" >"$image/base/enclave.sig"
status "SIGSTRUCT cut" 125 "${run[@]}" one /bin/life
one_line "SIGSTRUCT cut: told" "signature is damaged"
rm "$image/base/enclave.sig"
status "no SIGSTRUCT" 125 "${run[@]}" one /bin/life
one_line "no SIGSTRUCT: told" "not signed; build it again"
cp "$image/base/enclave-debug.sig" "$image/base/enclave.sig"
status "the debug SIGSTRUCT does not do" 125 "${run[@]}" one /bin/life
one_line "the debug SIGSTRUCT: told" "debug or not"
cp --remove-destination "$T/sig" "$image/base/enclave.sig"
load=(timeout -k 5 60 build/sgx-loader --signature "$image/base/enclave.sig" "$image/base/enclave")
cp "$image/manifest" "$T/manifest" && flip "$T/manifest" 30
status "manifest changed (in the identity page)" 125 "${load[@]}" "$image/root.img" "$T/manifest"
one_line "manifest changed: told" "refused the enclave.*manifest is not the one"
flip "$image/root.img" 1025
status "root image changed: refused when it is read" 125 "${run[@]}" one /bin/life
one_line "root image changed: told" "root image"
flip "$image/root.img" 1025
status "as it was" 5 "${run[@]}" one /bin/life < <(echo 'bye 5')

# --- before the guest kernel is built, an image is for enclaves only ---
export SHELTER_STORE=$T/early SHELTER_BASE=$T/early-base
mkdir "$SHELTER_BASE" && cp "$T/base/enclave" "$SHELTER_BASE/"
status "build without a guest kernel" 0 "$SHELTER" build -t early --allow debug -f "$T/life"
one_line "build without a guest kernel: told" "note: .*enclaves only.*make tools"
same "its identity is the same" "$(cat "$T/out")" "$id"
status "it runs, by itself in an enclave" 5 "$SHELTER" run --rm early /bin/life < <(echo 'bye 5')
status "no machine for it" 125 "$SHELTER" run --tee tdx-sim --rm early /bin/life
one_line "no machine: told" "without a guest kernel.*make tools"
status "save it" 0 "$SHELTER" save -o "$T/early.saved" early
SHELTER_STORE=$T/early2 status "load it" 0 "$SHELTER" load -q -i "$T/early.saved"
SHELTER_STORE=$T/early2 status "it runs there" 5 "$SHELTER" run --rm early /bin/life < <(echo 'bye 5')
status "images lists it" 0 "$SHELTER" images
status "built again with a kernel" 0 "$SHELTER" build -q -t early --allow debug --base "$T/base" -f "$T/life"
same "the same identity, now with a kernel" "$(cat "$T/out") $(ls "$SHELTER_STORE/images/$id/base" | tr '\n' ' ')" \
    "$id bzImage enclave enclave-debug.sig enclave.sig initramfs vmlinux "
same "the same measurement" "$("$SHELTER" measure --tee sgx --json early | json 'd["measurement"]["mrenclave"]')" "$(json 'd["mrenclave"]' <<<"$measure")"
