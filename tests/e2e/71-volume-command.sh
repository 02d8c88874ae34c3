#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shelter volume: files of volumes made, looked at, checked, grown, copied, opened by another key.
. tests/e2e/lib.sh
v=("$SHELTER" volume)
head -c 32 /dev/urandom >"$T/key"
head -c 32 /dev/urandom >"$T/new"
printf short >"$T/short"
field() { "${v[@]}" inspect "$T/disk" --key "$1" | sed -nE "s/.*\"$2\":[[:space:]]*\"?([^\",]*).*/\1/p"; }

status "create" 0 "${v[@]}" create "$T/disk" 64M --key "$T/key" --name "the first"
same "create: its name" "$(field "$T/key" name)" "the first"
same "create: its size" "$(field "$T/key" volume_size)" 67108864
check "create: sparse, but for its log" test "$(du -k "$T/disk" | cut -f 1)" -lt 2048
status "create: not over another file" 125 "${v[@]}" create "$T/disk" 64M
status "create: not too small" 125 "${v[@]}" create "$T/small" 8M
status "create: a key of 32 bytes" 125 "${v[@]}" create "$T/bad" 64M --key "$T/short"
check "create: ... says so" grep -q "has not 32 bytes" "$T/err"
status "create: without a key" 0 "${v[@]}" create "$T/empty" 16M
status "an empty file is no volume yet" 125 "${v[@]}" check "$T/empty" --key "$T/key"
status "inspect needs no key" 0 "${v[@]}" inspect "$T/disk"
status "check" 0 "${v[@]}" check "$T/disk" --key "$T/key"
status "check needs one" 125 "${v[@]}" check "$T/disk"
status "another key does not open it" 125 "${v[@]}" check "$T/disk" --key "$T/new"

status "backup" 0 "${v[@]}" backup "$T/disk" "$T/copy"
check "backup: the same bytes" cmp "$T/disk" "$T/copy"
check "backup: sparse too" test "$(du -k "$T/copy" | cut -f 1)" -lt 2048
status "backup: not over another file" 125 "${v[@]}" backup "$T/disk" "$T/copy"

status "rekey" 0 "${v[@]}" rekey "$T/disk" --key "$T/key" --new-key "$T/new"
status "rekey: the old key opens it no more" 125 "${v[@]}" check "$T/disk" --key "$T/key"
status "rekey: the new one does" 0 "${v[@]}" check "$T/disk" --key "$T/new"
same "rekey: it is the same volume" "$(field "$T/new" name)" "the first"
status "rekey: the copy has the old key" 0 "${v[@]}" check "$T/copy" --key "$T/key"

status "grow" 0 "${v[@]}" grow "$T/disk" 128M
status "grow: never smaller" 125 "${v[@]}" grow "$T/disk" 32M
same "grow: the file" "$(stat -c %s "$T/disk")" 134217728

# In use: refused, as by a shelter that runs with it.
(flock 9 && sleep 100) 9<"$T/disk" &
holder=$!
until_true 10 sh -c "! flock -n '$T/disk' true"
status "in use: check" 125 "${v[@]}" check "$T/disk" --key "$T/new"
check "in use: ... says so" grep -q "is in use" "$T/err"
status "in use: backup" 125 "${v[@]}" backup "$T/disk" "$T/copy2"
kill $holder
pkill -P $holder 2>/dev/null
wait $holder 2>/dev/null

# Root records stand in two places each: one may be hurt, not all.
cp --sparse=always "$T/disk" "$T/hurt"
printf x | dd of="$T/hurt" bs=1 seek=1000 conv=notrunc status=none
status "one root record hurt" 0 "${v[@]}" check "$T/hurt" --key "$T/new"
cp --sparse=always "$T/disk" "$T/hurt"
for at in 1000 5096 33768 37864; do printf xyz | dd of="$T/hurt" bs=1 seek=$at conv=notrunc status=none; done
status "all hurt" 125 "${v[@]}" check "$T/hurt" --key "$T/new"
truncate -s 32M "$T/hurt"
cp --sparse=always "$T/disk" "$T/hurt"
truncate -s 32M "$T/hurt"
status "a file that is shorter than the volume" 125 "${v[@]}" check "$T/hurt" --key "$T/new"
check "... says so" grep -q "shorter than it was" "$T/err"
