#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# /dev/attestation/keys: the same key for the same image and launch, another for any other.
. tests/e2e/lib.sh
LIMIT=60
enclave_base enclave
B=$(command -v busybox)
run=("$SHELTER" run --tee sgx-sim --rm)
show='exec /bin/busybox od -An -tx1 -v /dev/attestation/keys/_sgx_mrenclave'
check "build" "$SHELTER" build -q -t one -f "$B"
check "build another" "$SHELTER" build -q -t two -f "$B" -e OTHER=1
check "build a locked one" "$SHELTER" build -q -t locked --lock -f "$B" -c "/bin/busybox od -An -tx1 -v /dev/attestation/keys/_sgx_mrenclave"
key() { "${run[@]}" "$@" 2>"$T/err" | tr -d ' \n'; }
first=$(key one /bin/busybox sh -c "$show")
same "a key of 16 bytes" "${#first}" 32
same "the same again" "$(key one /bin/busybox sh -c "$show")" "$first"
other=$(key one /bin/busybox sh -c "$show; true")
[ -n "$other" ] && [ "$other" != "$first" ] && ok "another command of the host's: another key" || not_ok "another command of the host's: another key: $other"
other=$(key two /bin/busybox sh -c "$show")
[ -n "$other" ] && [ "$other" != "$first" ] && ok "another image: another key" || not_ok "another image: another key: $other"
first=$(key locked)
same "locked: a key" "${#first}" 32
same "locked: the same with more memory" "$(key -m 768M locked)" "$first"
status "only root reads it" 1 "${run[@]}" -u 1000 one /bin/busybox cat /dev/attestation/keys/_sgx_mrenclave
status "nobody writes it" 1 "${run[@]}" one /bin/busybox sh -c 'echo x >/dev/attestation/keys/_sgx_mrenclave'
status "the folder" 0 "${run[@]}" one /bin/busybox ls /dev/attestation/keys
same "the folder has it" "$(cat "$T/out")" "_sgx_mrenclave"
status "no key by signer" 1 "${run[@]}" one /bin/busybox cat /dev/attestation/keys/_sgx_mrsigner
