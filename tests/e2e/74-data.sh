#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Data of an image in files of their own (build --data): what is there, that nobody changes it, that images and
# instances share one copy, that a wrong byte is an error, in each TEE that this machine can run.
. tests/e2e/lib.sh
LIMIT=120
image_dir() { echo "$SHELTER_STORE/images/$1"; }
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "data: the enclave is not built (make)"; exit 0; }
B=$(command -v busybox)
tees=sgx-sim
if [ -f build/base/vmlinux ] && command -v qemu-system-x86_64 >/dev/null; then tees="sgx-sim tdx-sim"; fi

mkdir -p "$T/model/deep/er" "$T/certs"
head -c 3000000 /dev/urandom >"$T/model/weights"
echo small >"$T/model/deep/er/small"
ln -s ../weights "$T/model/deep/link"
: >"$T/model/empty"
echo cert >"$T/certs/ca.pem"
chmod 600 "$T/certs/ca.pem"
sum=$(sha256sum <"$T/model/weights" | cut -d' ' -f1)
build() { "$SHELTER" build -q --allow signal -f "$B" "$@"; }
sh=(-c "/bin/busybox sh")
id=$(build -t data --data "$T/model:/srv/model" --data "$T/certs:/etc/tls:name=certs" "${sh[@]}")
check "image" test -n "$id"
image=$(image_dir "$id")
check "inspect: name, place, size, root" python3 - <("$SHELTER" inspect --json data) <<'P'
import json, sys
d = json.load(open(sys.argv[1]))
d = d["data"]
assert [(x["name"], x["path"]) for x in d] == [("model", "/srv/model"), ("certs", "/etc/tls")], d
assert d[0]["size"] >= 3000000 and len(d[0]["root_hash"]) == 64
P
if command -v veritysetup >/dev/null; then
    size=$("$SHELTER" inspect --json data | python3 -c 'import json,sys; d=json.load(sys.stdin)["data"][0]; print(d["size"], d["root_hash"])')
    read -r size root <<<"$size"
    check "veritysetup agrees with the root" veritysetup verify --no-superblock --salt=- --hash=sha256 --data-blocks=$((size / 4096)) \
        --hash-offset="$size" "$image/data-model.img" "$image/data-model.img" "$root"
fi
check "fsck.erofs likes it" sh -c "! command -v fsck.erofs >/dev/null || fsck.erofs '$image/data-model.img'"

# The same folder again: the same bytes, kept once.
again=$(build -t again --data "$T/model:/other/place:name=model" "${sh[@]}")
check "two images share one copy" test "$(stat -c %i "$image/data-model.img")" = "$(stat -c %i "$(image_dir "$again")/data-model.img")"
check "another place is another image" test "$id" != "$again"

cat >"$T/look" <<'S'
b=/bin/busybox
$b sha256sum </srv/model/weights
$b cat /srv/model/deep/er/small /etc/tls/ca.pem
$b readlink /srv/model/deep/link
$b ls /srv/model
$b stat -c %a /etc/tls/ca.pem
for how in "echo x >/srv/model/new" "echo x >>/srv/model/weights" "$b rm /srv/model/empty" "$b mkdir /srv/model/d" \
    "$b mv /srv/model/empty /srv/model/full" "$b chmod 777 /srv/model/weights" "$b touch /srv/model/empty" "$b ln -s x /srv/model/l" \
    "$b truncate -s 0 /srv/model/weights" "$b chown 5 /srv/model/empty"; do
    ($b sh -c "$how") 2>&1 | $b grep -q 'Read-only file system' || echo "not refused: $how"
done
$b sha256sum </srv/model/weights
S
for tee in $tees; do
    status "$tee: runs" 0 sh -c "'$SHELTER' run --rm --tee $tee -m 256M data <'$T/look'"
    same "$tee: contents; nothing can be changed" "$(cat "$T/out")" "$sum  -
small
cert
../weights
deep
empty
weights
600
$sum  -"
    # Two at once, and another image, of one copy.
    for i in 1 2; do
        echo "/bin/busybox sha256sum </srv/model/weights" | "$SHELTER" run --rm --tee "$tee" -m 256M data >"$T/o$i" 2>/dev/null &
        eval "p$i=$!"
    done
    echo "/bin/busybox sha256sum </other/place/weights" | "$SHELTER" run --rm --tee "$tee" -m 256M again >"$T/o3" 2>/dev/null
    wait $p1 $p2
    same "$tee: instances share it" "$(cat "$T/o1" "$T/o2" "$T/o3" | sort -u)" "$sum  -"
done

# --- a host that changes it ---
cp "$image/data-model.img" "$T/good"
inode() { # gives the image a copy of its own with a byte changed
    rm "$image/data-model.img"
    cp "$T/good" "$image/data-model.img"
    python3 - "$image/data-model.img" "$1" <<'P'
import sys
f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2])); b = f.read(1); f.seek(-1, 1); f.write(bytes([b[0] ^ 1]))
P
}
at=$(python3 - "$T/good" "$T/model/weights" <<'P'
import sys
print(open(sys.argv[1], "rb").read().find(open(sys.argv[2], "rb").read()[:64]) + 1000000)
P
)
for tee in $tees; do
    inode "$at"
    echo '/bin/busybox sha256sum </srv/model/weights; /bin/busybox head -c 10000 /srv/model/weights | /bin/busybox sha256sum; /bin/busybox cat /etc/tls/ca.pem' |
        "$SHELTER" run --rm --tee "$tee" -m 256M data >"$T/out" 2>"$T/err"
    same "$tee: a wrong byte is an error, what else there is can be read" "$(grep -vi 'error' "$T/out")" "$(head -c 10000 "$T/model/weights" | sha256sum)
cert"
    check "$tee: ... as I/O error" grep -qi "i/o error\|input/output" "$T/err" "$T/out"
    inode 1030
    status "$tee: a wrong superblock: it does not start" 125 sh -c "echo true | '$SHELTER' run --rm --tee $tee -m 256M data"
    check "$tee: ... told" grep -q "data model" "$T/err"
    rm "$image/data-model.img"
    head -c 8192 "$T/good" >"$image/data-model.img"
    status "$tee: cut short: it does not start" 125 sh -c "echo true | '$SHELTER' run --rm --tee $tee -m 256M data"
    rm "$image/data-model.img"
    status "$tee: without the file it does not start" 125 sh -c "echo true | '$SHELTER' run --rm --tee $tee -m 256M data"
done
cp "$T/good" "$image/data-model.img"

# --- a copy that lies elsewhere: run -v NAME:FILE ---
mv "$image/data-model.img" "$T/elsewhere.img"
chmod 755 "$T"
chmod 644 "$T/elsewhere.img"
hash='/bin/busybox sha256sum </srv/model/weights; /bin/busybox cat /etc/tls/ca.pem'
for tee in $tees; do
    status "$tee: data from another place" 0 sh -c "echo '$hash' | '$SHELTER' run --rm --tee $tee -m 256M -v 'model:$T/elsewhere.img' data"
    same "$tee: ... is that of the image" "$(cat "$T/out")" "$sum  -
cert"
    cp "$T/elsewhere.img" "$T/wrong.img"
    printf '\377\377' | dd of="$T/wrong.img" bs=1 seek=1030 conv=notrunc status=none
    status "$tee: other data in that place: it does not start" 125 sh -c "echo true | '$SHELTER' run --rm --tee $tee -m 256M -v 'model:$T/wrong.img' data"
    check "$tee: ... told" grep -q "data model" "$T/err"
    status "$tee: the other set's file" 125 sh -c "echo true | '$SHELTER' run --rm --tee $tee -m 256M -v 'model:$image/data-certs.img' data"
done
status "a detached one keeps it over a restart" 0 sh -c "'$SHELTER' run -d --name kept --tee sgx-sim -m 256M -v 'model:$T/elsewhere.img' data /bin/busybox sleep 100 && '$SHELTER' ps --json"
check "... inspect shows where it lies" sh -c "'$SHELTER' inspect --json kept | grep -q 'model=$T/elsewhere.img'"
"$SHELTER" rm -f kept >/dev/null 2>&1
status "no such file" 125 "$SHELTER" run --rm --tee sgx-sim -v "model:$T/none.img" data
one_line "... told" "the file $T/none.img of the data model cannot be opened"
status "no set of this name" 125 "$SHELTER" run --rm --tee sgx-sim -v "models:$T/elsewhere.img" data
one_line "... told" "models: the image has neither a volume nor data of this name"
status "twice" 125 "$SHELTER" run --rm --tee sgx-sim -v "model:$T/elsewhere.img" -v "model:$T/good" data
mv "$T/elsewhere.img" "$image/data-model.img"

# --- save and load, shelter.toml, what is refused ---
status "save" 0 "$SHELTER" save -o "$T/saved.tar" data
status "rmi" 0 "$SHELTER" rmi -f data
status "load" 0 "$SHELTER" load -q -i "$T/saved.tar"
status "a loaded one runs" 0 sh -c "echo '/bin/busybox sha256sum </srv/model/weights' | '$SHELTER' run --rm --tee sgx-sim -m 256M data"
same "... with its data" "$(cat "$T/out")" "$sum  -"
"$SHELTER" rmi -f data >/dev/null
cp "$T/saved.tar" "$T/bad.tar"
python3 - "$T/bad.tar" "$T/model/weights" <<'P'
import sys
d = open(sys.argv[2], "rb").read()[:64]
f = open(sys.argv[1], "r+b"); at = f.read().find(d); f.seek(at); f.write(b"\0"); f.close()
P
status "load: changed data" 125 "$SHELTER" load -q -i "$T/bad.tar"
check "... told" grep -q "data-model.img does not have the digest" "$T/err"
mkdir "$T/project"
cp -r "$T/certs" "$T/project/"
printf 'tag = "toml"\nfiles = ["%s"]\ncommand = ["/bin/busybox", "cat", "/etc/tls/ca.pem"]\ndata = ["certs:/etc/tls"]\n' "$B" >"$T/project/shelter.toml"
status "shelter.toml: data" 0 sh -c "'$SHELTER' build -q -C '$T/project/shelter.toml'"
status "... runs" 0 "$SHELTER" run --rm --tee sgx-sim toml
same "... with a neighbour's folder" "$(cat "$T/out")" cert
refused() { # TEXT ARGUMENT…
    status "refused: ${*:2}" 125 "$SHELTER" build -q -f "$B" "${@:2}"
    check "... told: $1" grep -q -- "$1" "$T/err"
}
refused "write FOLDER:/PATH" --data "$T/model"
refused "write FOLDER:/PATH" --data "$T/model:relative"
refused "write FOLDER:/PATH" --data "$T/model:/proc/x"
refused "write FOLDER:/PATH" --data "$T/model:/a/../b"
refused "write FOLDER:/PATH" --data "$T/model:/a:name=b/c"
refused "two sets of data" --data "$T/model:/a/x" --data "$T/certs:/b/x"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 2>/dev/null | openssl pkey -pubout -out "$T/key.pem"
refused "run -v could mean both" --data "$T/certs:/a:name=same" --broker-key "$T/key.pem" --volume same:/b:key=kbs:///a/b/c
refused "none" --data "$T/none:/a"
many=()
for i in 1 2 3 4 5 6 7 8 9; do many+=(--data "$T/certs:/d$i"); done
refused "at most 8" "${many[@]}"
unset 'many[16]' 'many[17]'
status "eight are taken" 0 "$SHELTER" build -q -t eight -f "$B" "${many[@]}" -c "/bin/busybox cat /d1/ca.pem /d8/ca.pem"
status "... and run" 0 "$SHELTER" run --rm --tee sgx-sim eight
same "... with all" "$(cat "$T/out")" "cert
cert"
