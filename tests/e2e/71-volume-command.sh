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
check "create: ... says so" grep -q "is not 32 bytes long" "$T/err"
status "create: without a key" 0 "${v[@]}" create "$T/empty" 16M
status "an empty file is no volume yet" 125 "${v[@]}" check "$T/empty" --key "$T/key"
status "inspect needs no key" 0 "${v[@]}" inspect "$T/disk"
sum=$(sha256sum <"$T/disk")
status "check" 0 "${v[@]}" check "$T/disk" --key "$T/key"
same "check: writes nothing" "$(sha256sum <"$T/disk")" "$sum"
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

# New keys for everything: the same files in another volume. What is in it comes from the VM's server, natively.
gcc -O1 -I. -Iinclude -o "$T/volume-mount" tests/volume_mount.c && gcc -O1 -o "$T/file-judge" tests/file_judge.c || exit 1
gcc -O1 -w -D_GNU_SOURCE -o "$T/storage" tests/enclave/storage.c || exit 1
"${v[@]}" create "$T/full" 64M --key "$T/key" --name "with files" && mkdir "$T/mnt" "$T/ref"
mounted() { timeout 100 "$T/volume-mount" build/guest/volume "$1" "$2" "$T/mnt" "${@:3}"; }
hash_tree() { # all that a program sees of it, but for directories' sizes and numbers of inodes
    cat >"$T/hash.sh" <<'EOF'
find . -printf '%p %y %m %n %U %G %T@ %l ' \( -type d -printf '\n' -o -printf '%s\n' \) | sort
find . -type f | sort | xargs -d '\n' md5sum
find . | sort | xargs -d '\n' getfattr -h -d -m user 2>/dev/null
EOF
    mounted "$1" "$2" sh "$T/hash.sh"
}
if [ -w /dev/fuse ] && mounted "$T/full" "$T/key" true 2>/dev/null; then
    status "random calls on a tree, as tmpfs answers them" 0 env JUDGE_SYNC_BEFORE_SEEK=1 \
        timeout 100 "$T/volume-mount" build/guest/volume "$T/full" "$T/key" "$T/mnt" "$T/file-judge" tree . "$T/ref" 11 1500 3
    status "random calls on a file" 0 env JUDGE_SYNC_BEFORE_SEEK=1 \
        timeout 100 "$T/volume-mount" build/guest/volume "$T/full" "$T/key" "$T/mnt" "$T/file-judge" file . 12 700
    status "the end of a file that another process makes larger can be read and mapped" 0 \
        timeout 100 "$T/volume-mount" build/guest/volume "$T/full" "$T/key" "$T/mnt" "$T/storage" grow . 2000
    hash_tree "$T/full" "$T/key" >"$T/before"
    status "rekey with rewriting" 0 "${v[@]}" rekey "$T/full" --key "$T/key" --new-key "$T/new" --rewrite
    status "... the new key opens it" 0 "${v[@]}" check "$T/full" --key "$T/new"
    status "... the old one does not" 125 "${v[@]}" check "$T/full" --key "$T/key"
    hash_tree "$T/full" "$T/new" >"$T/after"
    check "... there are files ($(wc -l <"$T/before") lines)" test "$(wc -l <"$T/before")" -gt 100
    check "... and all are the same" cmp "$T/before" "$T/after"
else
    skip "this machine does not let us mount FUSE"
fi

# Copies put back.
status "restore" 0 "${v[@]}" restore "$T/copy" "$T/back"
check "restore: the same bytes" cmp "$T/copy" "$T/back"
status "restore: not over a file" 125 "${v[@]}" restore "$T/copy" "$T/back"
check "restore: ... says what to do" grep -q -- "-f replaces it" "$T/err"
status "restore: unless told" 0 "${v[@]}" restore -f "$T/copy" "$T/back" --key "$T/key"
status "restore: a copy that its key does not open" 125 "${v[@]}" restore -f "$T/hurt" "$T/back" --key "$T/key"
check "restore: ... leaves what was there" cmp "$T/copy" "$T/back"
(flock 9 && sleep 100) 9<"$T/back" &
holder=$!
until_true 10 sh -c "! flock -n '$T/back' true"
status "restore: not over one in use" 125 "${v[@]}" restore -f "$T/copy" "$T/back"
status "rm: not one in use" 125 "${v[@]}" rm "$T/back"
kill $holder
pkill -P $holder 2>/dev/null
wait $holder 2>/dev/null
status "rm" 0 "${v[@]}" rm "$T/back"
check "rm: gone" test ! -e "$T/back"
status "rm: one that is not there" 125 "${v[@]}" rm "$T/back"
status "rm: -f" 0 "${v[@]}" rm -f "$T/back"

# Which instances have it.
status "ls" 0 "${v[@]}" ls
same "ls: its heading" "$(head -n 1 "$T/out" | awk '{print $1, $NF}')" "VOLUME FILE"
same "ls: --json of none" "$("${v[@]}" ls --json | tr -d ' \n')" "[]"
