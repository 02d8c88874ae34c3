#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ra/ra.sh: the relying party for the images of a store, from another folder, twice, and stopped again.
. tests/e2e/lib.sh
export SHELTER_BROKER=$T/broker
cleanup_hooks+=('sh "$ROOT/ra/ra.sh" --stop >/dev/null 2>&1')
mkdir -p "$T/elsewhere"
status "an image" 0 "$SHELTER" build -q -t team/app -f tests/md5
cd "$T/elsewhere" || exit 1
status "no image by its name in another folder" 125 sh "$ROOT/ra/ra.sh" -l 127.0.0.1:0 nothing
status "it starts" 0 sh "$ROOT/ra/ra.sh" -l 127.0.0.1:0 team/app
address=$(sed -n 's/^attestation address: -i //p' "$T/out")
check "it prints what -i takes" grep -qE '^https://127\.0\.0\.1:[0-9]+$' <<<"$address"
check "the named image is known" grep -qx 'image team/app:latest' "$T/out"
check "the broker answers there" curl -skf -m 10 "$address/healthz"
cd "$ROOT/ra" || exit 1
status "another image" 0 "$SHELTER" build -q -t other -f "$ROOT/tests/md5" -e OTHER=1
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
check "simulated TEEs need a switch" sh -c '! grep -q allow-simulated "/proc/$(cat "$0/ra/pid")/cmdline"' "$SHELTER_BROKER"
status "a tag that moved" 0 "$SHELTER" tag other team/app
status "is not registered silently" 125 sh ra.sh team/app
check "which is said" grep -q "already has a [a-z]* 'team/app:latest'; --replace" "$T/err"
status "but with --replace" 0 sh ra.sh --replace team/app
until_true 10 grep -q 'a/b/c' "$T/follow" && ok "-f shows what happens" || not_ok "-f shows nothing"
kill $follower 2>/dev/null
wait $follower 2>/dev/null
status "it stops" 0 sh ra.sh --stop
check "and is gone" until_true 10 sh -c "! curl -sk -m 2 $address/healthz"
status "stopping twice is an error" 125 sh ra.sh --stop
status "an unknown option" 125 sh ra.sh --dance
# A file that somebody left beside is no image, whatever it calls itself.
(cd "$T/elsewhere" && cp "$SHELTER_STORE/images/$("$SHELTER" images -q --no-trunc | head -n 1)/reference.json" planted:latest)
for planted in ./planted "$T/elsewhere/planted" planted; do
    (cd "$T/elsewhere" && sh "$ROOT/ra/ra.sh" -l 127.0.0.1:0 "$planted" >"$T/out" 2>"$T/err")
    same "a file in place of an image: $planted" "$?" 125
done
same "none of them is known" "$("$SHELTER" broker list | grep -c planted)" 0

# --- the original's two command lines with -i, from another folder, and -f beside them ---
[ -f "$ROOT/build/base/vmlinux" ] && [ -f "$ROOT/build/base/initramfs" ] || { skip "ra: no build/base (make tools)"; exit 0; }
rm -rf "$SHELTER_STORE" "$SHELTER_BROKER"
cd "$ROOT" || exit 1
mkdir -p "$T/rootfs/usr/local/bin" "$T/rootfs/app"
printf '#include <stdio.h>\nint main(int c, char **v) { return printf("trained by %%s\\n", c > 1 ? v[1] : "?") < 0; }\n' >"$T/python.c"
gcc -O1 -static -o "$T/rootfs/usr/local/bin/python" "$T/python.c"
echo 'print("x")' >"$T/rootfs/app/ml_test.py"
tar -C "$T/rootfs" -cf "$T/rootfs.tar" .
check "build, as the original" "$SHELTER" build -t md5 -f tests/md5
check "build a root file system, as the original" "$SHELTER" build -t ml -r "$T/rootfs.tar"
cd ra || exit 1
status "ra.sh" 0 sh ra.sh -l 127.0.0.1:0 --simulated md5 ml
check "it says that simulated TEEs are accepted" grep -q 'protect nothing' "$T/err"
address=$(sed -n 's/^attestation address: -i //p' "$T/out")
timeout 200 sh ra.sh -f >"$T/follow" 2>&1 &
follower=$!
until_true 10 grep -q 'attestation address' "$T/follow"
cd "$T/elsewhere" || exit 1
host=${address#https://}
for tee in tdx-sim sgx-sim; do
    status "$tee: run -t md5 -c /bin/md5 -i ADDRESS -m 2G" 0 sh -c \
        'echo hello | "$1" run --tee "$2" -t md5 -c /bin/md5 -i "$3" -m 2G' sh "$SHELTER" $tee "$host"
    same "$tee: its output" "$(cut -d' ' -f1 "$T/out")" "$(echo hello | md5sum | cut -d' ' -f1)"
    status "$tee: run -t ml -c \"/usr/local/bin/python /app/ml_test.py\" -m 4G -i ADDRESS" 0 \
        "$SHELTER" run --tee $tee -t ml -c "/usr/local/bin/python /app/ml_test.py" -m 4G -i "$address"
    same "$tee: its output" "$(cat "$T/out")" "trained by /app/ml_test.py"
done
check "-f showed each attestation as it came" until_true 10 sh -c '[ "$(grep -c "attest  *granted" "$1")" = 4 ]' sh "$T/follow"
check "each by its image" sh -c 'grep "attest  *granted" "$1" | grep -q md5:latest && grep "attest  *granted" "$1" | grep -q ml:latest' sh "$T/follow"
kill $follower 2>/dev/null
wait $follower 2>/dev/null
sh "$ROOT/ra/ra.sh" --stop
# Without simulated ones: refused, and the workload does not start.
status "ra.sh without a switch" 0 sh "$ROOT/ra/ra.sh" -l 127.0.0.1:0
address=$(sed -n 's/^attestation address: -i //p' "$T/out")
status "then a simulated TEE is not attested" 123 "$SHELTER" run --tee tdx-sim -t md5 -c /bin/md5 -i "$address"
check "and says why" grep -q "refuses the attestation.*simulated" "$T/err"
sh "$ROOT/ra/ra.sh" --stop
