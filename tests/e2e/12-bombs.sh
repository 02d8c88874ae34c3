#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Small inputs that become large: each is refused before it fills the disk, in one line that names the
# entry, and nothing is left. What is large and meant gets through.
. tests/e2e/lib.sh
command -v zstd >/dev/null || { skip "bombs: no zstd"; exit 0; }
LIMIT=60
mkdir -p "$SHELTER_STORE"
made_up_base
cat >"$T/make.py" <<'P'
# make.py layer FILE SIZE NAME…: a tar of GNU sparse files that are holes; archive FILE LAYER…: docker's
import hashlib, io, json, struct, sys, tarfile

def holes(name, size):
    h = bytearray(512)
    big = lambda n: b"\x80" + n.to_bytes(11, "big")
    h[0:len(name)] = name.encode()
    h[100:108], h[108:116], h[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    h[124:136], h[136:148] = b"00000000000\0", b"00000000000\0"
    h[148:156], h[156:157], h[257:265] = b" " * 8, b"S", b"ustar  \0"
    h[386:398], h[398:410], h[483:495] = big(size), big(0), big(size)
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h)

if sys.argv[1] == "layer":
    with open(sys.argv[2], "wb") as f:
        for name in sys.argv[4:]:
            f.write(holes(name, int(sys.argv[3])))
        f.write(bytes(1024))
else:
    layers = sys.argv[3:]
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"]}, "rootfs": {
        "type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(open(l, "rb").read()).hexdigest() for l in layers]}}).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    with tarfile.open(sys.argv[2], "w:gz") as t:
        def add(name, data):
            i = tarfile.TarInfo(name)
            i.size = len(data)
            t.addfile(i, io.BytesIO(data))
        add("manifest.json", json.dumps([{"Config": name, "RepoTags": None,
                                          "Layers": ["%d.tar" % i for i in range(len(layers))]}]).encode())
        add(name, config)
        for i, layer in enumerate(layers):
            add("%d.tar" % i, open(layer, "rb").read())
P
make() { python3 "$T/make.py" "$@"; }
refused() { # NAME PATTERN COMMAND…
    local name=$1 pattern=$2
    shift 2
    status "$name" 125 "$@"
    one_line "$name: told, by name" "$pattern"
    same "$name: nothing is left" "$(du -sk "$SHELTER_STORE" | awk '{ print ($1 < 1000 ? "nothing" : $1) }')" nothing
}

# 400 MB of zeros in a few KB, compressed twice.
truncate -s 400M "$T/zero"
tar -C "$T" -cf - zero | zstd -q >"$T/zero.zst"
make archive "$T/bomb.tar.gz" "$T/zero.zst"
check "a small archive" [ "$(stat -c %s "$T/bomb.tar.gz")" -lt 200000 ]
refused "a compressed layer of zeros" "layer 0.tar: 'zero' is refused: .* became [0-9.]+ MB or more.*--max-size" \
    "$SHELTER" build -t b "docker-archive:$T/bomb.tar.gz"
refused "the same as a root file system" "zero.zst: 'zero' is refused: .*--max-size" "$SHELTER" build -t b -r "$T/zero.zst"
# Behind the end of the tar, where no entry is.
{ printf 'x' >"$T/x"; tar -C "$T" -cf - x; head -c 100M /dev/zero; } | zstd -q >"$T/tail.zst"
make archive "$T/tail.tar.gz" "$T/tail.zst"
refused "zeros behind the end" "layer 0.tar is refused: .* became .*--max-size" \
    "$SHELTER" build -t b "docker-archive:$T/tail.tar.gz"

# Claims.
make layer "$T/claim.tar" $((16 << 40)) huge
check "a small tar" [ "$(stat -c %s "$T/claim.tar")" -lt 10241 ]
refused "a hole of 16 TiB" "claim.tar: 'huge' is refused: with it the files are larger than 6[0-9.]* GB together; --max-size" \
    "$SHELTER" build -t b -r "$T/claim.tar"
refused "a hole of 16 TiB, where that is allowed, needs no more than there is" "No space left|larger|too large|needs" \
    "$SHELTER" build -t b --max-size 17000G -r "$T/claim.tar"
make layer "$T/one.tar" $((300 << 20)) first
make layer "$T/two.tar" $((300 << 20)) second
make archive "$T/layers.tar" "$T/one.tar" "$T/two.tar"
refused "layers together" "layer 1.tar: 'second' is refused: with it the files are larger than 5[0-9.]* MB together" \
    "$SHELTER" build -t b --max-size 500M "docker-archive:$T/layers.tar"

# What is meant gets through, and may be saved and loaded.
make layer "$T/meant.tar" $((100 << 20)) large
refused "large holes, not said to be meant" "'large' is refused: .*--max-size" "$SHELTER" build -t b -r "$T/meant.tar"
status "large holes that are meant" 0 "$SHELTER" build -q -t meant --max-size 150M -r "$T/meant.tar" -c /x
check "save" sh -c "'$SHELTER' save meant | zstd -q >'$T/saved.zst'"
check "a small file" [ "$(stat -c %s "$T/saved.zst")" -lt 300000 ]
"$SHELTER" rmi meant >/dev/null
refused "a saved image of zeros" "saved.zst: root.img is refused: .* became .*--max-size" "$SHELTER" load -q -i "$T/saved.zst"
refused "a saved image that is too large" "saved.zst: root.img is refused: with it" \
    "$SHELTER" load -q --max-size 60M -i "$T/saved.zst"
status "a saved image that is meant" 0 "$SHELTER" load -q --max-size 150M -i "$T/saved.zst"
"$SHELTER" rmi meant >/dev/null 2>&1
status "a size that is none" 125 "$SHELTER" build --max-size x -r "$T/meant.tar"
one_line "told" "max-size x"

# A full disk is seen before it is full.
if [ "$(id -u)" = 0 ] && mkdir "$T/small" && mount -t tmpfs -o size=40m none "$T/small" 2>/dev/null; then
    cleanup_hooks+=("umount '$T/small'")
    head -c 50M /dev/urandom >"$T/noise"
    tar -C "$T" -cf "$T/noise.tar" noise
    SHELTER_STORE=$T/small/store status "no space" 125 "$SHELTER" build -t b -r "$T/noise.tar"
    one_line "no space: told before" "noise.tar: 'noise' needs 5[0-9.]* MB, and the store's file system has [34][0-9.]* MB free"
    head -c 25M /dev/urandom >"$T/noise"
    tar -C "$T" -cf "$T/noise.tar" noise
    SHELTER_STORE=$T/small/store status "no space for the root image" 125 "$SHELTER" build -t b -r "$T/noise.tar"
    one_line "no space for the root image: told before" "the root image needs 2[0-9.]* MB, and the store's file system has 1[0-9.]* MB free"
else
    skip "bombs: a full disk needs root and tmpfs"
fi
