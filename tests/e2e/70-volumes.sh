#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Volumes in the enclave: what a program wrote is there in the next run, after kill -9 too, and only
# for the image that the broker gives the key.
. tests/e2e/lib.sh
LIMIT=60
enclave_base enclave
mkdir -p "$T/native"
gcc -O2 -D_GNU_SOURCE -static -o "$T/storage" tests/enclave/storage.c || exit 1
export SHELTER_BROKER=$T/broker
B=$(command -v busybox)
run=("$SHELTER" run --tee sgx-sim --rm)

# The program itself, natively: as an ordinary file system has it.
status "natively: make" 0 "$T/storage" make "$T/native"
status "natively: look" 0 "$T/storage" look "$T/native"

simulated_broker 500
head -c 32 /dev/urandom >"$T/data.key"
"$SHELTER" broker add-resource volumes/key/data "$T/data.key" --image any
head -c 32 /dev/urandom | "$SHELTER" broker add-resource volumes/key/other --image any
printf short | "$SHELTER" broker add-resource volumes/key/short --image any

key=key=kbs:///volumes/key
image() { # TAG VOLUME ARGUMENT…
    local tag=$1 volume=$2
    shift 2
    "$SHELTER" build -q -t "$tag" --broker-key "$T/key.pem" --volume "$volume" -f "$B" -f "$T/storage" "$@" >/dev/null &&
        "$SHELTER" broker add-reference "$tag"
}
for c in make look full count "append:1000000"; do
    read -r verb more <<<"${c/:/ }"
    check "image: $verb" image "$verb" "data:/data:$key/data:freshness=insecure-none:size=64M" \
        -c "/bin/storage $verb /data $more"
done
on=("${run[@]}" -i "$url" -v "data:$T/disk") # with the volume
acked_of() { test "$(wc -l <"$T/acked.$1")" -gt "$2"; } # ROUND, more than so many lines
uses_disk_now() { test -n "$(uses_disk)"; }
uses_disk() { who_has "$T/disk"; }
status "make" 0 "${on[@]}" make
same "the file is as large as the image says" "$(stat -c %s "$T/disk")" 67108864
check "... and sparse" test "$(du -k "$T/disk" | cut -f 1)" -lt 8192
check "nothing of it can be read" sh -c "! grep -qaE 'by write|user.kind|mapped' '$T/disk'"
status "look, in another run" 0 "${on[@]}" look
status "full" 0 "${on[@]}" full
status "look, after it was full" 0 "${on[@]}" look

# kill -9 at any moment: what was acknowledged is there.
lost=0 rounds=6 lines=0
for i in $(seq $rounds); do
    "${on[@]}" append >"$T/acked.$i" 2>"$T/err" &
    pid=$!
    until_true 20 acked_of "$i" $((i * 7))
    loader=$(uses_disk)
    [ -z "$loader" ] || kill -9 "$loader"
    wait $pid
    acked=$(cat "$T"/acked.* | wc -l)
    found=$("${on[@]}" count 2>>"$T/err")
    lines=$found
    [ "${found:-0}" -ge "$acked" ] || lost=$((lost + acked - ${found:-0}))
done
same "kill -9: lines lost" "$lost" 0
check "kill -9: lines there" test "${lines:-0}" -gt 40
status "look, after it all" 0 "${on[@]}" look
status "its owner checks it" 0 "$SHELTER" volume check "$T/disk" --key "$T/data.key"
status "... makes it larger" 0 "$SHELTER" volume grow "$T/disk" 300M
status "look, in the larger one" 0 "${on[@]}" look
check "the volume has grown" grep -q '"volume_size":[[:space:]]*314572800' <("$SHELTER" volume inspect "$T/disk" --key "$T/data.key")
status "... and fits together" 0 "$SHELTER" volume check "$T/disk" --key "$T/data.key"

# --- who may not ---
check "image: another key" image other "data:/data:$key/other:freshness=insecure-none" -c "/bin/storage look /data"
status "another key does not open it" 123 "${on[@]}" other
check "... told" grep -q "its key does not open it" "$T/err"
check "image: a key that is none" image short "data:/data:$key/short:freshness=insecure-none" -c "/bin/storage look /data"
status "a key of another size is none" 123 "${on[@]}" short
check "... told" grep -q "has 5 bytes, not 32" "$T/err"
status "no file" 125 "${run[@]}" -i "$url" look
check "... told" grep -q -- "-v data:FILE" "$T/err"
status "a volume that the image has not" 125 "${run[@]}" -i "$url" -v "data:$T/disk" -v "more:$T/more" look
"${on[@]}" append >/dev/null 2>&1 &
pid=$!
until_true 20 uses_disk_now
status "... the second is refused" 125 "${on[@]}" look
check "... told" grep -q "in use by another instance" "$T/err"
loader=$(uses_disk)
kill -9 "$loader"
wait $pid
sum=$(sha256sum <"$T/disk")
status "killed: its owner checks it" 0 "$SHELTER" volume check "$T/disk" --key "$T/data.key"
same "... which writes nothing" "$(sha256sum <"$T/disk")" "$sum"
truncate -s 32M "$T/disk"
status "a disk that is shorter" 123 "${on[@]}" look
check "... told" grep -q "its file is shorter than it was" "$T/err"

# --- what cannot be built ---
for v in "data:/data" "data:/data:$key/data:freshness=none" "data:/data:$key/data:freshness=insecure-none:away=3" "data:/data:$key/data:away=0" "data:/data:$key/data:away=3,more" "data:/data:$key/data:freshness=strict:freshness=session" \
    "data:/proc/x:$key/data:freshness=insecure-none" \
    "a b:/data:$key/data:freshness=insecure-none" \
    "data:/data:$key/data:freshness=insecure-none:size=x" "data:data:$key/data:freshness=insecure-none"; do
    status "not built: $v" 125 "$SHELTER" build -q -t bad --broker-key "$T/key.pem" --volume "$v" -f "$B"
done
status "no broker's key" 125 "$SHELTER" build -q -t bad --volume "data:/data:$key/data:freshness=insecure-none" -f "$B"
"$SHELTER" inspect look >"$T/text"
check "inspect, as text: name, place, freshness" sh -c "grep -A 12 volumes '$T/text' | grep -q data && grep -q /data '$T/text' && grep -q insecure-none '$T/text'"
check "inspect" grep -q '"freshness":[[:space:]]*"insecure-none"' <("$SHELTER" inspect --json look)
