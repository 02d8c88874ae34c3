#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Volumes in the VM, and the same volume in enclave and VM by turns: what one wrote the other reads.
. tests/e2e/lib.sh
LIMIT=120
for f in build/base/vmlinux build/base/initramfs build/base/enclave build/sgx-loader; do
    [ -f $f ] || { skip "volumes in the VM: $f is not built (make)"; exit 0; }
done
command -v qemu-system-x86_64 >/dev/null || { skip "volumes in the VM: no QEMU"; exit 0; }
for p in storage:tests/enclave/storage.c file-judge:tests/file_judge.c file-stress:tests/file_stress.c; do
    gcc -O2 -w -D_GNU_SOURCE -static -o "$T/${p%%:*}" "${p#*:}" || exit 1
done
export SHELTER_BROKER=$T/broker
B=$(command -v busybox)

simulated_broker 900
head -c 32 /dev/urandom >"$T/data.key"
"$SHELTER" broker add-resource volumes/key/data "$T/data.key" --image any
head -c 32 /dev/urandom | "$SHELTER" broker add-resource volumes/key/other --image any

key=key=kbs:///volumes/key
image() { # TAG VOLUME ARGUMENT…
    local tag=$1 volume=$2
    shift 2
    "$SHELTER" build -q -t "$tag" --broker-key "$T/key.pem" --volume "$volume" -r "$T/root.tar" "$@" >/dev/null &&
        "$SHELTER" broker add-reference "$tag"
}
SQLITE=$(command -v sqlite3)
mkdir -p "$T/root/bin" "$T/root/tmp"
cp "$B" "$T/root/bin/busybox"
cp "$T/storage" "$T/file-judge" "$T/file-stress" "$T/root/bin"
for f in $SQLITE ${SQLITE:+$(ldd "$SQLITE" | grep -oE '/[^ ]+')}; do
    mkdir -p "$T/root${f%/*}"
    cp -L "$f" "$T/root$f"
done
tar -C "$T/root" --owner=0 --group=0 -cf "$T/root.tar" .
check "image" image box "data:/data:$key/data:freshness=insecure-none:size=64M" -c "/bin/busybox sh"
check "image: read-only" image reader "data:/data:$key/data:freshness=insecure-none:ro" -c "/bin/storage look /data"
check "image: one that stays" image sleeper "data:/data:$key/data:freshness=insecure-none" -c "/bin/busybox sleep 300"
check "image: another key" image other "data:/data:$key/other:freshness=insecure-none" -c "/bin/storage look /data"
# on TEE IMAGE COMMAND…: an image with a volume is locked, so its shell reads what to do.
cat >"$T/on" <<END
#!/bin/sh
tee=\$1 image=\$2
shift 2
printf '%s\n' "\$*" | exec "$SHELTER" run --rm --tee "\$tee" -m 256M -i "$url" -v "data:$T/disk" "\$image"
END
cat >"$T/sql" <<END
#!/bin/sh
exec "$T/on" "\$1" box "$SQLITE -cmd 'pragma synchronous=full' -cmd 'pragma journal_mode=\$2' /data/db '\$3'"
END
chmod 755 "$T/on" "$T/sql"
vm=tdx-sim enclave=sgx-sim

# --- one volume, both TEEs ---
status "the VM makes it" 0 "$T/on" $vm box /bin/storage make /data
status "the VM again" 0 "$T/on" $vm box /bin/storage look /data
check "nothing of it can be read" sh -c "! grep -qaE 'by write|user.kind|mapped' '$T/disk'"
status "its owner checks it" 0 "$SHELTER" volume check "$T/disk" --key "$T/data.key"
status "the enclave reads what the VM wrote" 0 "$T/on" $enclave box /bin/storage look /data
status "the enclave fills it" 0 "$T/on" $enclave box /bin/storage full /data
status "the VM reads on" 0 "$T/on" $vm box /bin/storage look /data
status "the VM fills it" 0 "$T/on" $vm box /bin/storage full /data
status "the enclave reads on" 0 "$T/on" $enclave box /bin/storage look /data

# --- as Linux does, in the VM with its own kernel: the page cache writes back, SEEK_DATA and syncfs reach the volume ---
status "VM: random calls on a file" 0 "$T/on" $vm box /bin/file-judge file /data 5 400
status "VM: random calls on a tree, as tmpfs" 0 "$T/on" $vm box /bin/file-judge tree /data /tmp 6 700 2
status "VM: random calls of many processes on one tree" 0 "$T/on" $vm box "/bin/file-stress /data/stress 7 1000 4 && /bin/busybox rm -rf /data/stress"
status "VM: likewise on its root" 0 "$T/on" $vm box "/bin/file-stress /tmp/stress 7 300 4"
status "VM: a synced file system is on the disk when the machine goes" 0 "$T/on" $vm box "echo synced >/data/synced; /bin/busybox sync"

if [ -n "$SQLITE" ]; then
    status "SQLite in the enclave" 0 "$T/sql" $enclave wal 'create table t (n integer primary key, x); insert into t select value, hex(randomblob(300)) from generate_series(1, 500);'
    status "SQLite in the VM: what the enclave wrote" 0 "$T/sql" $vm delete 'pragma integrity_check; select count(*) from t; insert into t select n + 500, x from t;'
    same "... integrity, rows" "$(grep -vE 'delete|wal' "$T/out" | xargs)" "ok 500"
    status "SQLite in the enclave again" 0 "$T/sql" $enclave wal 'pragma integrity_check; select count(*), max(n) from t;'
    same "... integrity, rows" "$(grep -vE 'delete|wal' "$T/out" | xargs)" "ok 1000|1000"
fi

# --- killed: QEMU, the supervisor, the loader ---
lost=0
uses_disk() { who_has "$T/disk"; }
before=0
for round in $vm:child $vm:supervisor $enclave:child $vm:child; do
    tee=${round%:*}
    "$T/on" "$tee" box /bin/storage append /data 100000 >"$T/acked" 2>"$T/err" &
    pid=$!
    until_true 90 sh -c "test \$(wc -l <'$T/acked') -gt 15"
    child=$(uses_disk)
    [ "${round#*:}" = child ] || child=$(ps -o ppid= -p "${child:-1}" | tr -d ' ')
    [ "${child:-1}" -le 1 ] || kill -9 "$child"
    wait $pid
    until_true 30 sh -c "flock -n '$T/disk' true"
    acked=$(($(wc -l <"$T/acked") + before))
    found=$("$T/on" "$([ "$tee" = $vm ] && echo $enclave || echo $vm)" box /bin/storage count /data 2>"$T/err2")
    [ "${found:-0}" -ge "$acked" ] || lost=$((lost + acked - ${found:-0}))
    check "kill -9 ($round): ${found:-none} of $acked acknowledged, read by the other" test "${found:-0}" -ge "$acked"
    before=${found:-0}
done
same "kill -9: lines lost" "$lost" 0
status "it fits together" 0 "$SHELTER" volume check "$T/disk" --key "$T/data.key"

# --- who may not ---
status "another key does not open it" 123 "$T/on" $vm other
check "... told" grep -q "its key does not open it" "$T/err"
"$T/on" $vm box /bin/busybox sleep 60 >/dev/null 2>&1 &
pid=$!
until_true 60 sh -c "! flock -n '$T/disk' true"
status "a second one is refused" 125 "$T/on" $vm box /bin/busybox true
check "... told" grep -q "in use by another instance" "$T/err"
status "... an enclave too" 125 "$T/on" $enclave box /bin/busybox true
child=$(uses_disk)
[ -z "$child" ] || kill -9 "$child"
wait $pid
status "closed in order" 0 "$T/on" $vm box /bin/busybox true
"$T/on" $vm reader >"$T/o1" 2>&1 &
one=$!
"$T/on" $enclave reader >"$T/o2" 2>&1 &
two=$!
wait $one
same "read-only: a VM" $? 0
wait $two
same "... and an enclave, at once" $? 0
check "ls: of the killed ones' volume, none is in use" sh -c "! '$SHELTER' volume ls | grep '$T/disk' | grep -q 'in use'"

# --- a host whose disk lies or fails ---
cp --sparse=always "$T/disk" "$T/good"
size=$(stat -c %s "$T/disk")
truncate -s 32M "$T/disk"
status "VM: a disk that is shorter" 123 "$T/on" $vm box /bin/busybox true
check "... told" grep -q "its file is shorter than it was" "$T/err"
cp --sparse=always "$T/good" "$T/disk"
for at in 1000 5096 33768 37864; do printf xyz | dd of="$T/disk" bs=1 seek=$at conv=notrunc status=none; done
status "VM: root records changed" 123 "$T/on" $vm box /bin/busybox true
cp --sparse=always "$T/good" "$T/disk"
truncate -s $((size * 2)) "$T/disk"
status "VM: a larger one is used to its end" 0 "$T/on" $vm box 'test $(/bin/busybox df -m /data | /bin/busybox awk "END { print \$2 }") -gt 100'
"$SHELTER" run -d --name keeps --tee $vm -m 256M -i "$url" -v "data:$T/disk" sleeper >/dev/null 2>"$T/err"
check "volume ls: in use" until_true 60 sh -c "'$SHELTER' volume ls | grep 'in use' | grep -q keeps"
status "volume rm: not one in use" 125 "$SHELTER" volume rm "$T/disk"
rm "$T/disk"
status "the file deleted under it: it goes on" 0 "$SHELTER" ps
"$SHELTER" kill keeps >/dev/null 2>&1
"$SHELTER" rm -f keeps >/dev/null 2>&1
