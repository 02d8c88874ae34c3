#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shelter build and the store: every input, the same bytes everywhere, bad input, kills, a full disk,
# save and load. No VM is started; base files are made up.
. tests/e2e/lib.sh
LIMIT=60
true=$(type -P true)
umask 022
chmod 755 "$T"
made_up_base
json() { python3 -c "
import json, sys
d = json.load(sys.stdin)
print(json.dumps($1))"; }
# listing IMAGE: what fsck.erofs unpacks of it needs root; the kernel's own view is checked in a VM.
image_dir() { echo "$SHELTER_STORE/images/$1"; }
root_size() { python3 -c "
import struct, sys
m = open(sys.argv[1], 'rb').read()
at = 16
while at < len(m):
    tag, _, size = struct.unpack_from('<HHI', m, at)
    if tag == 2: print(struct.unpack_from('<Q', m, at + 8)[0])
    at += 8 + size" "$1/manifest"; }
root_hash() { python3 -c "
import sys
print(open(sys.argv[1], 'rb').read()[24:56].hex())" "$1/manifest"; }
nothing_left() { # NAME: tmp/ is empty and there are as many images as before
    same "$1" "$(ls "$SHELTER_STORE/tmp" | wc -l) $(ls "$SHELTER_STORE/images" | wc -l)" "0 $images"
}

# --- from programs ---
status "build from a dynamic program" 0 "$SHELTER" build -t prog:1 -f "$(command -v md5sum)"
id=$(cat "$T/out")
same "the id is 96 digits, alone on stdout" "$(echo "$id" | grep -cE '^[0-9a-f]{96}$')" 1
same "nothing on stderr in a pipe" "$(wc -c <"$T/err")" 0
same "the id is the manifest's SHA-384" "$id" "$(sha384sum "$(image_dir "$id")/manifest" | cut -d' ' -f1)"
check "fsck.erofs likes it" fsck.erofs "$(image_dir "$id")/root.img"
size=$(root_size "$(image_dir "$id")")
PATH=$PATH:/sbin:/usr/sbin
if command -v veritysetup >/dev/null; then
    head -c "$size" "$(image_dir "$id")/root.img" >"$T/data"
    tail -c "+$((size + 1))" "$(image_dir "$id")/root.img" >"$T/tree"
    veritysetup format --no-superblock --salt - --format 1 --hash sha256 --data-block-size 4096 \
        --hash-block-size 4096 "$T/data" "$T/tree2" 2>/dev/null >"$T/verity"
    same "veritysetup finds the same root hash" "$(sed -n 's/^Root hash:[[:space:]]*//p' "$T/verity")" "$(root_hash "$(image_dir "$id")")"
    check "and the same tree" cmp "$T/tree" "$T/tree2"
else
    skip "veritysetup is missing"
fi
same "base files are kept" "$(cat "$(image_dir "$id")"/base/{vmlinux,bzImage,initramfs} | wc -l)" 3
same "reference.json has their digests" "$(json 'd["base"]["bzImage"]' <"$(image_dir "$id")/reference.json")" "\"$(sha384sum "$T/base/bzImage" | cut -d' ' -f1)\""
# Firmware is an input with a name: without one there is no reference, with one for every count of vCPUs.
same "reference.json: without firmware it says so" \
    "$(json '[m["tee"] for m in d["missing"] if m["tee"] == "snp" and "firmware" in m["reason"]]' <"$(image_dir "$id")/reference.json")" '["snp"]'
python3 tests/make_ovmf.py "$T/ovmf.fd"
status "build --firmware snp=FILE" 0 "$SHELTER" build -q -t firmware -e OF=firmware -f "$(command -v md5sum)" --firmware "snp=$T/ovmf.fd"
ref=$(image_dir "$(cat "$T/out")")/reference.json
for model in EPYC-v4 EPYC-Milan EPYC-Genoa; do
    for cpus in 1 3 64; do
        same "snp: $model with $cpus vCPUs is among the references" \
            "$(json "[r['measurement']['launch_digest'][$cpus - 1] for r in d['references'] if r.get('cpu_model') == '$model'][0]" <"$ref" | tr -d '"')" \
            "$("$SHELTER" measure firmware --tee snp --firmware "$T/ovmf.fd" --cpu-model $model --cpus $cpus | awk '{ print $2 }')"
    done
done
status "a firmware that cannot measure is refused" 125 "$SHELTER" build -q -t x -f "$(command -v md5sum)" --firmware snp=/etc/passwd
one_line "a firmware that cannot measure: told" "kernel hashes"
status "a firmware for what has none" 125 "$SHELTER" build -q -t x -f "$(command -v md5sum)" --firmware sgx="$T/ovmf.fd"
"$SHELTER" rmi -f firmware >/dev/null 2>&1
"$SHELTER" images --json >"$T/images"
same "images: tag" "$(json 'd[0]["tags"]' <"$T/images")" '["prog:1"]'
same "images: default command is the first file" "$(json 'd[0]["command"]' <"$T/images")" '["/bin/md5sum"]'
check "images: table" sh -c "'$SHELTER' images | grep -q '^prog:1 .*/bin/md5sum'"
"$SHELTER" inspect --json prog:1 >"$T/inspect" 2>/dev/null
same "inspect: id, root hash, command, policy" "$(json '[d["id"], d["root_hash"], d["command"], d["policy"]]' <"$T/inspect")" \
    "[\"$id\", \"$(root_hash "$(image_dir "$id")")\", [\"/bin/md5sum\"], []]"

# --- libraries come along ---
if [ "$(id -u)" = 0 ] && grep -qw erofs /proc/filesystems && command -v gcc >/dev/null; then
    mkdir -p "$T/app/bin" "$T/app/lib" "$T/mnt"
    echo 'int one(void); int two(void) { return one() + 1; }' >"$T/two.c"
    echo 'int one(void) { return 1; }' >"$T/one.c"
    echo '#include <stdio.h>
int two(void); int main(void) { printf("%d\n", two()); return 0; }' >"$T/app.c"
    # A chain: the program finds libtwo by $ORIGIN, libtwo its libone beside itself.
    gcc -shared -fPIC -o "$T/app/lib/libone.so" "$T/one.c" &&
        gcc -shared -fPIC -o "$T/app/lib/libtwo.so" "$T/two.c" -L"$T/app/lib" -lone -Wl,-rpath,'$ORIGIN' &&
        gcc -o "$T/app/bin/app" "$T/app.c" -L"$T/app/lib" -ltwo -Wl,-rpath,'$ORIGIN/../lib' -Wl,-rpath-link,"$T/app/lib"
    status "a program with libraries of its own" 0 "$SHELTER" build -t app -f "$T/app/bin/app" -f "$(command -v bash)"
    if mount -t erofs -o loop,ro "$(image_dir "$(cat "$T/out")")/root.img" "$T/mnt" 2>/dev/null; then
        cleanup_hooks+=("umount '$T/mnt' 2>/dev/null")
        same "runs from the image" "$(timeout 10 chroot "$T/mnt" /bin/app 2>&1)" 2
        same "so does another" "$(timeout 10 chroot "$T/mnt" /bin/bash -c 'echo $((6 * 7))' 2>&1)" 42
        same "no path of the build machine is inside" "$(cd "$T/mnt" && find . -path "*${T##*/}*" | wc -l)" 0
        umount "$T/mnt"
    else
        skip "libraries: no erofs mounts here (a guest checks it)"
    fi
    "$SHELTER" rmi app >/dev/null
else
    skip "libraries: not root here, or no gcc (a guest checks it)"
fi

# --- the same bytes ---
mkdir -p "$T/elsewhere/deep"
cp "$(command -v md5sum)" "$T/elsewhere/deep/md5sum"
touch -d '2001-01-01' "$T/elsewhere/deep/md5sum"
again() { # NAME COMMAND…: the image is bit for bit the first one
    local name=$1
    shift
    rm -rf "$T/again"
    mkdir -m 777 "$T/again"
    "$@" >"$T/again.out" 2>"$T/again.err"
    same "$name: id" "$(tail -n 1 "$T/again.out")" "$id"
    check "$name: root image, manifest, reference values" diff -r "$(image_dir "$id")" "$T/again/store/images/$id"
}
again "another folder and time stamp" env -C "$T/elsewhere" SHELTER_STORE="$T/again/store" "$SHELTER" build -f deep/md5sum
again "another environment" env -i PATH=/bin TZ=Asia/Tokyo LC_ALL=C.UTF-8 HOME=/ SHELTER_STORE="$T/again/store" SHELTER_BASE="$T/base" "$SHELTER" build -f "$(command -v md5sum)"
if [ "$(id -u)" = 0 ] && cp "$SHELTER" "$T/shelter" && setpriv --reuid 65534 --regid 65534 --clear-groups "$T/shelter" version >/dev/null 2>&1; then
    again "another user, no root" env SHELTER_STORE="$T/again/store" setpriv --reuid 65534 --regid 65534 --clear-groups "$T/shelter" build -f "$(command -v md5sum)"
else
    skip "another user: not root here"
fi
if command -v gcc >/dev/null; then
    cat >"$T/later.c" <<'E'
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t c, struct timespec *t) { int r = (int)syscall(SYS_clock_gettime, c, t); t->tv_sec += 500000000; return r; }
time_t time(time_t *p) { struct timespec t; clock_gettime(CLOCK_REALTIME, &t); if (p) *p = t.tv_sec; return t.tv_sec; }
int gettimeofday(struct timeval *v, void *z) { struct timespec t; clock_gettime(CLOCK_REALTIME, &t); v->tv_sec = t.tv_sec; v->tv_usec = 0; return 0; }
E
    gcc -shared -fPIC -o "$T/later.so" "$T/later.c"
    again "another day" env SHELTER_STORE="$T/again/store" LD_PRELOAD="$T/later.so" "$SHELTER" build -f "$(command -v md5sum)"
else
    skip "another day: gcc is missing"
fi

# --- settings ---
status "all settings" 0 "$SHELTER" build -q -t set -f "$true:/opt/t" -f "$(command -v md5sum)" -c '/opt/t "a b"' \
    --entrypoint '/bin/md5sum' -e A=1 -e A=2 -w /tmp -u 5:6 --hostname h --allow exec,signal --allow debug --no-input \
    -m 64M --cpus 2 -p 80 -p 53/udp --network none --tmpfs /x:size=1M,mode=700 --ulimit nofile=10:20 --stop-signal INT
"$SHELTER" inspect --json set >"$T/inspect" 2>/dev/null
same "as they were given" "$(json '[d["entrypoint"], d["command"], d["env"], d["workdir"], d["user"], d["hostname"], d["policy"], d["memory"], d["cpus"], d["ports"], d["network"], d["stop_signal"]]' <"$T/inspect")" \
    '[["/bin/md5sum"], ["/opt/t", "a b"], ["A=2"], "/tmp", "5:6", "h", ["exec", "signal", "debug", "no-input"], 67108864, 2, ["80/tcp", "53/udp"], "none", 2]'
# --- folders of the host ---
mkdir -p "$T/full"
echo x >"$T/full/file"

# --- a folder as an input ---
mkdir -p "$T/conf/sub/empty" && echo one >"$T/conf/one" && echo two >"$T/conf/sub/two" && cp "$true" "$T/conf/sub/prog"
chmod 600 "$T/conf/one"
ln -s sub/two "$T/conf/link" && ln -s /nowhere "$T/conf/dangling"
status "a folder" 0 "$SHELTER" build -q -t folder -f "$T/conf" -f "$true" -f "$T/conf:/etc/app"
cp "$T/out" "$T/id"
same "a folder: the first program is the command" "$("$SHELTER" inspect --json folder 2>/dev/null | json 'd["command"]')" '["/bin/true"]'
if command -v fsck.erofs >/dev/null; then
    rm -rf "$T/unpacked"
    fsck.erofs --extract="$T/unpacked" "$SHELTER_STORE/images/$(cat "$T/id")/root.img" >/dev/null 2>&1
    for place in conf etc/app; do
        same "a folder: all of it is in /$place" "$(cd "$T/unpacked/$place" && find . -printf '%P %y %m %l\n' | sort | tr '\n' ',')" \
            " d 755 ,dangling l 777 /nowhere,link l 777 sub/two,one f 644 ,sub d 755 ,sub/empty d 755 ,sub/prog f 755 ,sub/two f 644 ,"
    done
fi
same "a folder: the same again" "$("$SHELTER" build -q -f "$T/conf:/c" -c /bin/x)" "$(LC_ALL=C "$SHELTER" build -q -f "$T/conf:/c" -c /bin/x)"
status "a folder without a name" 125 env -C "$T/conf" "$SHELTER" build -q -f .
one_line "a folder without a name: told" 'say where'
mkfifo "$T/conf/fifo"
status "a folder with a pipe in it" 125 "$SHELTER" build -q -f "$T/conf"
one_line "a folder with a pipe in it: told" 'fifo is neither'
deep=$T/deep
for ((i = 0; i < 70; i++)); do deep=$deep/d; done
mkdir -p "$deep"
status "a folder that is too deep" 125 "$SHELTER" build -q -f "$T/deep"
one_line "a folder that is too deep: told" 'folders deep'
status "places for folders of the host" 0 "$SHELTER" build -q -t places -f "$true" -f "$T/full/file:/etc/app/file" --mount /data --mount /srv/new/place --mount /etc/app:cover
same "places: are measured" "$("$SHELTER" inspect --json places 2>/dev/null | json 'd["host_mounts"]')" \
    '[{"path": "/data", "cover": false}, {"path": "/srv/new/place", "cover": false}, {"path": "/etc/app", "cover": true}]'
status "a place that hides files" 125 "$SHELTER" build -q -f "$true" -f "$T/full/file:/etc/app/file" --mount /etc/app
one_line "a place that hides files: told" "mount /etc/app:cover"
status "a place below a file" 125 "$SHELTER" build -q -f "$true" -f "$T/full/file:/etc/app" --mount /etc/app/x
for bad in relative / /a/../b /a//b /proc /dev/shm /run/secrets/x /run /a: /a:hide; do
    status "--mount $bad" 125 "$SHELTER" build -q -f "$true" --mount "$bad"
    one_line "--mount $bad: told" "^shelter: --mount"
done
status "--mount twice" 125 "$SHELTER" build -q -f "$true" --mount /a --mount /a:cover
status "--allow mount" 125 "$SHELTER" build -q -f "$true" --allow mount
one_line "--allow mount: told" "[-]-mount PATH"
openssl genpkey -algorithm ED25519 2>/dev/null | openssl pkey -pubout >"$T/key.pem" 2>/dev/null
status "secrets" 0 "$SHELTER" build -q -t sec -f "$true" --broker https://b --broker-key "$T/key.pem" --secret k=kbs:///a/b/c
for other in "--allow exec" "--mount /data"; do
    status "secrets with $other" 125 "$SHELTER" build -q -f "$true" --broker https://b --broker-key "$T/key.pem" --secret k=kbs:///a/b/c $other
    one_line "secrets with $other: told" "secrets and lets the host"
done
same "imply lock" "$("$SHELTER" inspect --json sec 2>/dev/null | json '[d["policy"], d["secrets"], len(d["broker_key"])]')" '[["lock"], ["k=kbs:///a/b/c"], 88]'
images=$(ls "$SHELTER_STORE/images" | wc -l)
for bad in 1a=kbs:///a/b/c:env a.b=kbs:///a/b/c:env k=kbs:///a/../c k=kbs:///a/./c "$(printf %065d 0)=kbs:///a/b/c"; do
    status "no secret: ${bad:0:20}" 125 "$SHELTER" build -f "$true" --broker-key "$T/key.pem" --secret "$bad"
done
status "a secret twice" 125 "$SHELTER" build -f "$true" --broker-key "$T/key.pem" --secret k=kbs:///a/b/c --secret k=kbs:///a/b/d
one_line "told" "two secrets 'k'"
status "secrets and an http broker" 125 "$SHELTER" build -f "$true" --broker http://b --broker-key "$T/key.pem" --secret k=kbs:///a/b/c
one_line "told" "cannot show the key"
status "secrets without the broker's key" 125 "$SHELTER" build -f "$true" --secret k=kbs:///a/b/c
one_line "are refused" 'broker-key'
status "an agent of one's own" 0 "$SHELTER" build -q -t ag -f "$true" -a "$(command -v md5sum)"
same "stands in the manifest" "$("$SHELTER" inspect --json ag 2>/dev/null | json 'd["agent"]')" '"/usr/local/bin/attestation-agent"'
images=$((images + 1))
status "an agent that is not there" 125 "$SHELTER" build -f "$true" -a "$T/no-agent"
one_line "names ours" '/usr/local/bin/attestation-agent'
mkdir "$T/bf"
cp "$(command -v md5sum)" "$T/bf/prog"
cat >"$T/bf/shelter.toml" <<'E'
tag = "built:toml"
files = ["prog"]            # relative to this file
command = ["/bin/prog", "a b"]
env = ["X=y"]
policy = ["exec"]
[resources]
memory = "128M"
cpus = 2
E
status "a build file" 0 env -C / "$SHELTER" build -C "$T/bf/shelter.toml" --cpus 4
same "with an option over it" "$("$SHELTER" inspect --json built:toml 2>/dev/null | json '[d["command"], d["env"], d["policy"], d["memory"], d["cpus"]]')" \
    '[["/bin/prog", "a b"], ["X=y"], ["exec"], 134217728, 4]'
images=$((images + 1))
echo 'nonsense = 1' >>"$T/bf/shelter.toml"
status "a build file with an unknown key" 125 "$SHELTER" build -C "$T/bf/shelter.toml"
one_line "says which and where" "shelter.toml, line 9: .*nonsense"

# --- root file systems ---
python3 - "$T/base.tar" <<'E'
import sys, tarfile
with tarfile.open(sys.argv[1], "w") as t:
    for n in ("./", "./bin", "./etc"):
        m = tarfile.TarInfo(n)
        m.type, m.mode = tarfile.DIRTYPE, 0o755
        t.addfile(m)
E
python3 tests/odd_tar.py "$T/base.tar" "$T/odd.tar" 3000
status "a root file system of odd things" 0 "$SHELTER" build -t odd -r "$T/odd.tar"
odd=$(cat "$T/out")
check "fsck.erofs likes that, too" fsck.erofs "$(image_dir "$odd")/root.img"
gzip -k "$T/odd.tar"
xz -k -0 "$T/odd.tar"
command -v zstd >/dev/null && zstd -q -k "$T/odd.tar"
for f in "$T"/odd.tar.*; do
    status "packed: ${f##*.}" 0 "$SHELTER" build -r "$f"
    same "packed: the same image: ${f##*.}" "$(cat "$T/out")" "$odd"
done
# Of what is packed, each byte counts: the checksum, and that nothing stands behind it.
cp "$T/odd.tar.gz" "$T/behind.tgz" && echo garbage >>"$T/behind.tgz"
status "packed: something stands behind it" 125 "$SHELTER" build -t bad -r "$T/behind.tgz"
one_line "is told" 'is damaged: something stands behind its gzip data'
python3 -c 'import sys; d = bytearray(open(sys.argv[1], "rb").read()); d[-6] ^= 1; open(sys.argv[2], "wb").write(d)' \
    "$T/odd.tar.gz" "$T/sum.tgz"
status "packed: its checksum is another" 125 "$SHELTER" build -t bad -r "$T/sum.tgz"
one_line "is told" 'is damaged: incorrect data check'
status "from standard input" 0 sh -c "'$SHELTER' build -r - <'$T/odd.tar.gz'"
same "from standard input: the same" "$(cat "$T/out")" "$odd"
if [ "$(id -u)" = 0 ] && grep -qw erofs /proc/filesystems && mkdir -p "$T/mnt" && mount -t erofs -o loop,ro "$(image_dir "$odd")/root.img" "$T/mnt" 2>/dev/null; then
    cleanup_hooks+=("umount '$T/mnt' 2>/dev/null")
    cp tests/listing.py "$T/listing.py"
    # As listing.py does inside, from outside: names lose the mount point.
    python3 - "$T/mnt" /bin /etc /odd >"$T/inside" <<'E'
import os, sys
source = open("tests/listing.py").read().split('if sys.argv[1] == "/"')[0]
space = {}
exec(source, space)
os.chroot(sys.argv[1])
space["from_root"](sys.argv[2:])
E
    umount "$T/mnt"
    python3 tests/listing.py "$T/odd.tar" >"$T/outside"
    check "the kernel sees what the tar has" cmp <(sort "$T/inside") <(sort "$T/outside")
else
    skip "the kernel's view: no erofs mounts here (a guest checks it)"
fi
images=$((images + 1))
mkdir "$T/bad"
python3 tests/bad_tar.py "$T/bad"
for f in "$T"/bad/*.tar; do
    n=$(basename "$f" .tar)
    status "bad tar: $n" 125 "$SHELTER" build -t bad -r "$f"
    one_line "bad tar: $n: one line" "$n"
done
same "bad tars: nothing got out" "$(find "$T" -name '*outside*' ! -path "$T/outside" | wc -l)" 0
nothing_left "bad tars: nothing stays"
status "a tar that is not there" 125 "$SHELTER" build -r "$T/none.tar"
one_line "says so" 'none.tar: No such file'

# --- OCI ---
oci() { rm -rf "$T/oci"; python3 tests/oci.py "$1" "$T/oci" "${2:-}"; }
oci oci
status "an OCI layout" 0 "$SHELTER" build -t oci "oci:$T/oci"
layout=$(cat "$T/out")
same "its configuration" "$("$SHELTER" inspect --json oci 2>/dev/null | json '[d["entrypoint"], d["command"], d["env"], d["workdir"], d["user"], d["ports"], d["stop_signal"]]')" \
    '[["/bin/tool", "--flag"], ["a b", "c"], ["PATH=/bin", "X=1=2", "EMPTY="], "/etc", "1000:1001", ["80/tcp", "53/udp"], 3]'
images=$((images + 1))
status "a container that QUIT stops" 125 "$SHELTER" build -t stops --container "a=oci:$T/oci"
one_line "... is refused with what to do" "build with --stop-signal 3 or --allow signal"
check "... and built so" "$SHELTER" build -t stops --container "a=oci:$T/oci" --stop-signal QUIT
check "... is not kept" "$SHELTER" rmi stops
for kind in oci-archive docker-archive; do
    oci $kind
    status "$kind" 0 "$SHELTER" build "$kind:$T/oci"
    same "$kind: the same image" "$(cat "$T/out")" "$layout"
done
for kind in oci-archive docker-archive; do
    oci $kind
    status "$kind given to -r" 125 "$SHELTER" build -t bad -r "$T/oci"
    one_line "is told what to write" "not a root file system but an image .*write $kind:"
done
status "docker-archive with a tag" 0 "$SHELTER" build "docker-archive:$T/oci:reg.example/tool:1.0"
status "docker-archive with another tag" 125 "$SHELTER" build "docker-archive:$T/oci:2.0"
one_line "is not found" 'no image'
oci multi
status "of several machines ours" 0 "$SHELTER" build "oci:$T/oci"
same "the same image" "$(cat "$T/out")" "$layout"
oci tags
status "several tags" 125 "$SHELTER" build "oci:$T/oci"
one_line "are listed" 'one, two'
status "one of them" 0 "$SHELTER" build "oci:$T/oci:one"
same "is found" "$(cat "$T/out")" "$layout"
for flaw in layer-digest layer-cut config-digest diff-id size missing machine encrypted escape; do
    oci oci $flaw
    status "bad OCI: $flaw" 125 "$SHELTER" build -t bad "oci:$T/oci"
    one_line "bad OCI: $flaw: one line" 'oci'
done
for flaw in layer-digest config-digest diff-id machine escape; do
    oci docker-archive $flaw
    status "bad docker archive: $flaw" 125 "$SHELTER" build -t bad "docker-archive:$T/oci"
    one_line "bad docker archive: $flaw: one line" 'oci'
done
nothing_left "bad images: nothing stays"

# --- other bad input ---
bad() { # NAME PATTERN ARG…
    local name=$1 pattern=$2
    shift 2
    status "bad: $name" 125 "$SHELTER" build "$@"
    one_line "bad: $name: one line" "$pattern"
}
bad "nothing" 'nothing to build'
bad "a script" 'not a Linux program' -f tests/run
bad "no such file" 'No such file' -f "$T/none"
head -c 20000 "$true" >"$T/cut"
bad "a cut program" 'truncated' -f "$T/cut"
bad "a tag" 'not a good tag' -t 'A B' -f "$true"
bad "a policy" 'not a policy' --allow all -f "$true"
bad "an open quote" 'not closed' -c "a 'b" -f "$true"
bad "an environment" 'NAME=VALUE' -e X -f "$true"
bad "a memory size" 'memory size' -m lots -f "$true"
bad "an option" 'no option' --nonsense
bad "two inputs" 'not both' -r "$T/odd.tar" "oci:$T/oci"
bad "a relative folder" 'begin with' -w here -f "$true"
bad "too much environment" 'bytes; a manifest' -f "$true" -e "A=$(head -c 60000 /dev/zero | tr '\0' a)" -e "B=$(head -c 60000 /dev/zero | tr '\0' a)"
bad "no base files" 'base file' --base "$T/bad" -f "$true"
nothing_left "bad input: nothing stays"

# --- kills, many at once, a full disk ---
head -c 60000000 /dev/urandom >"$T/random"
tar -C "$T" -cf "$T/large.tar" random
rm "$T/random"
for delay in 0.02 0.05 0.1 0.2; do
    "$SHELTER" build -t large -r "$T/large.tar" >/dev/null 2>&1 &
    sleep $delay
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
done
[ -d "$SHELTER_STORE/images" ] && before=$(ls "$SHELTER_STORE/images" | wc -l)
status "after kills a build works" 0 "$SHELTER" build -r "$T/odd.tar"
same "and cleans up" "$(ls "$SHELTER_STORE/tmp" | wc -l)" 0
pids=()
for i in 1 2 3 4; do
    "$SHELTER" build -q -t "par:$i" -f "$true" -c "/bin/true $((i % 2))" >"$T/par.$i" 2>&1 &
    pids+=($!)
done
bad_exit=0
for p in "${pids[@]}"; do wait "$p" || bad_exit=1; done
same "four builds at once" "$bad_exit $(cat "$T"/par.? | sort -u | wc -l) $("$SHELTER" images | grep -c '^par:')" "0 2 4"
images=$(ls "$SHELTER_STORE/images" | wc -l)
status "a file size limit" 125 bash -c "ulimit -f 20000; trap '' XFSZ; '$SHELTER' build -r '$T/large.tar'"
one_line "in one line" 'File too large'
nothing_left "leaves nothing"
if [ "$(id -u)" = 0 ] && mkdir "$T/small" && mount -t tmpfs -o size=30M none "$T/small" 2>/dev/null; then
    cleanup_hooks+=("umount '$T/small' 2>/dev/null")
    status "a full disk" 125 env SHELTER_STORE="$T/small/store" "$SHELTER" build -r "$T/large.tar"
    one_line "in one line" 'No space left|needs .* has .* free'
    same "leaves nothing" "$(find "$T/small/store" -type f ! -name lock | wc -l)" 0
    # Full behind the first base file, which images share.
    mkdir "$T/wide"
    for f in vmlinux bzImage initramfs; do { echo $f && head -c 22000000 /dev/zero; } >"$T/wide/$f"; done
    status "a full disk behind the first base file" 125 env SHELTER_STORE="$T/small/store" "$SHELTER" build --base "$T/wide" -f "$true"
    one_line "in one line" 'base file.*No space left'
    same "leaves nothing" "$(find "$T/small/store" -type f ! -name lock | wc -l)" 0
    rm -r "$T/wide"
    umount "$T/small"
else
    skip "a full disk: no mounts here"
fi

# --- tags, removing ---
status "tag" 0 "$SHELTER" tag prog:1 other/name:x
status "rmi of one tag" 0 "$SHELTER" rmi prog:1
same "the image stays under the other" "$("$SHELTER" inspect --json other/name:x 2>/dev/null | json 'd["id"]')" "\"$id\""
status "rmi of the last" 0 "$SHELTER" rmi other/name:x
status "then there is none" 125 "$SHELTER" rmi other/name:x
one_line "and it is named" "no image 'other/name:x'"
status "by a piece of its id" 0 "$SHELTER" rmi -f "${odd:0:8}"
same "no base files stay without an image" "$("$SHELTER" images -q | xargs "$SHELTER" rmi -f >/dev/null; find "$SHELTER_STORE" -type f ! -name lock | wc -l)" 0

# --- save and load ---
"$SHELTER" build -q -t carry:1 -r "$T/odd.tar" >/dev/null
"$SHELTER" tag carry:1 carry:2
status "save" 0 "$SHELTER" save -o "$T/saved" carry:1
check "save to a pipe gives the same" sh -c "'$SHELTER' save carry:2 | cmp - '$T/saved'"
status "load where it is" 0 "$SHELTER" load -i "$T/saved"
export SHELTER_STORE=$T/store2
status "load in another store" 0 sh -c "gzip <'$T/saved' | '$SHELTER' load"
same "with id and tags" "$(cat "$T/out" | tr '\n' ' ')" "$odd carry:1 carry:2 "
check "all the same" diff -r "$T/store/images/$odd" "$T/store2/images/$odd"
"$SHELTER" rmi -f "$odd" >/dev/null
images=0
python3 - "$T/saved" "$T" <<'E'
import io, sys, tarfile
data = {}
with tarfile.open(sys.argv[1]) as t:
    for m in t:
        data[m.name] = t.extractfile(m).read()

def write(name, members):
    with tarfile.open(f"{sys.argv[2]}/load-{name}", "w") as t:
        for n, d in members:
            m = tarfile.TarInfo(n)
            m.size = len(d)
            t.addfile(m, io.BytesIO(d))

items = list(data.items())
def changed(name, at):
    d = bytearray(data[name])
    d[at] ^= 1
    return [(n, bytes(d) if n == name else x) for n, x in items]
write("root", changed("root.img", 70000))
write("tree", changed("root.img", len(data["root.img"]) - 8000))
write("manifest", changed("manifest", 30))
write("base", changed("base/vmlinux", 3))
write("escape", items[:3] + [("../../evil", b"x")] + items[3:])
write("more", items + [("evil", b"x")])
write("order", items[1:] + items[:1])
write("tags", [("shelter.json", data["shelter.json"].replace(b"carry:1", b"../x:1"))] + items[1:])
write("id", [("shelter.json", data["shelter.json"].replace(b'"id":\t"', b'"id":\t"00'))] + items[1:])
write("missing", [i for i in items if i[0] != "base/bzImage"])
with open(sys.argv[1], "rb") as f:
    whole = f.read()
for n in (100, 5000, len(whole) // 2, len(whole) - 100000):
    with open(f"{sys.argv[2]}/load-cut{n}", "wb") as f:
        f.write(whole[:n])
E
for f in "$T"/load-*; do
    status "load refuses: $(basename "$f" | tr -d 0-9)" 125 "$SHELTER" load -i "$f"
    one_line "load refuses in one line: $(basename "$f" | tr -d 0-9)" 'load-'
done
nothing_left "nothing of them stays"
status "save of nothing" 125 "$SHELTER" save -o "$T/none" nothing
same "leaves no file" "$(ls "$T"/none* 2>/dev/null | wc -l)" 0
