#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ra/ra.sh: the relying party for the images of a store, from another folder, twice, and stopped again.
. tests/e2e/lib.sh
export SHELTER_BROKER=$T/broker
cleanup_hooks+=('sh "$ROOT/ra/ra.sh" --stop >/dev/null 2>&1')
mkdir -p "$SHELTER_STORE/tags" "$SHELTER_STORE/images/0123" "$T/elsewhere"
echo 0123 >"$SHELTER_STORE/tags/team%app:latest"
printf '{"references":[{"tee":"tdx","measurement":{"mrtd":"%096d"}}]}' 0 >"$SHELTER_STORE/images/0123/reference.json"
cd "$T/elsewhere" || exit 1
status "it starts" 0 sh "$ROOT/ra/ra.sh" -l 127.0.0.1:0
address=$(sed -n 's/^attestation address: -i //p' "$T/out")
check "it prints what -i takes" grep -qE '^https://127\.0\.0\.1:[0-9]+$' <<<"$address"
check "the images of the store are known" grep -qx 'image team/app:latest' "$T/out"
check "the broker answers there" curl -skf -m 10 "$address/healthz"
cd "$ROOT/ra" || exit 1
status "again: the same broker" 0 sh ra.sh
same "again: the same address" "$(sed -n 's/^attestation address: -i //p' "$T/out")" "$address"
same "its references" "$("$SHELTER" broker list --json | python3 -c 'import json,sys
print([(r["name"], r["launch"]) for r in json.load(sys.stdin)["references"]])')" \
    "[('team/app:latest', {}), ('team/app:latest (any launch)', {'insecure_any': True})]"
timeout 20 sh ra.sh -f >"$T/follow" 2>&1 &
follower=$!
until_true 10 grep -q attestation "$T/follow"
sleep 0.3
echo secret | "$SHELTER" broker add-resource a/b/c
until_true 10 grep -q 'a/b/c' "$T/follow" && ok "-f shows what happens" || not_ok "-f shows nothing"
kill $follower 2>/dev/null
wait $follower 2>/dev/null
status "it stops" 0 sh ra.sh --stop
check "and is gone" until_true 10 sh -c "! curl -sk -m 2 $address/healthz"
status "stopping twice is an error" 125 sh ra.sh --stop
status "an unknown option" 125 sh ra.sh --dance
