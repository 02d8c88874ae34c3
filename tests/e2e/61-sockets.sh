#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Some 5,000 facts about sockets (tests/diff/sockets.c): on Linux and in an enclave the same.
. tests/e2e/lib.sh
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "sockets: not built (make)"; exit 0; }
mkdir -p "$T/base" "$T/bin"
for f in vmlinux bzImage initramfs; do echo "base file $f" >"$T/base/$f"; done
cp build/base/enclave "$T/base/"
export SHELTER_BASE=$T/base
check "build the table" gcc -O1 -w -static -pthread -I tests/diff -o "$T/bin/sockets" tests/diff/sockets.c
status "image" 0 "$SHELTER" build -q -t sockets -f "$T/bin/sockets"
status "natively" 0 "$T/bin/sockets"
mv "$T/out" "$T/native"
status "in an enclave" 0 "$SHELTER" run --rm --tee sgx-sim sockets /bin/sockets
mv "$T/out" "$T/inside"
check "thousands of facts" [ "$(wc -l <"$T/native")" -gt 5000 ]
if cmp -s "$T/native" "$T/inside"; then ok "sockets: all $(wc -l <"$T/native") facts are equal"; else
    not_ok "sockets: $(diff "$T/native" "$T/inside" | grep -c '^<') facts differ"
    diff "$T/native" "$T/inside" | head -n 20 | sed 's/^/#   /'
fi
