#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mkimage.sh FOLDER OUT: OUT.img (erofs and verity tree) and OUT.manifest of a folder, without
# `shelter build`, so that the LibOS can be tested by itself.
set -eu
folder=$1 out=$2
rm -f "$out.img" "$out.manifest"
mkfs.erofs -T 0 -U 00000000-0000-0000-0000-000000000000 -E force-inode-extended,noinline_data "$out.img" "$folder" >/dev/null
size=$(stat -c %s "$out.img")
size=$(((size + 4095) / 4096 * 4096))
truncate -s "$size" "$out.img"
hash=$(veritysetup format --no-superblock --salt - --data-blocks $((size / 4096)) \
    --hash-offset "$size" "$out.img" "$out.img" | awk '/Root hash/ { print $3 }')
le() { # VALUE BYTES
    local v=$1 i
    for ((i = 0; i < $2; i++)); do
        printf '%b' "\\x$(printf %02x $((v & 255)))"
        v=$((v >> 8))
    done
}
{
    printf SHLTRMAN
    le 1 4
    le 72 4
    le 1 2; le 0 2; le 32 4
    printf '%b' "$(sed 's/../\\x&/g' <<<"$hash")"
    le 2 2; le 0 2; le 8 4
    le "$size" 8
} >"$out.manifest"
