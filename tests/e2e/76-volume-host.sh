#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What happens to a volume when the host's own disk is full and when its file is deleted while it is used: an error or a
# refusal that says why, and nothing lost.
. tests/e2e/lib.sh
LIMIT=120
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "enclave: not built (make)"; exit 0; }
tees=sgx-sim
if [ -f build/base/vmlinux ] && command -v qemu-system-x86_64 >/dev/null; then tees="sgx-sim tdx-sim"; fi
gcc -O2 -w -D_GNU_SOURCE -static -o "$T/storage" tests/enclave/storage.c || exit 1
export SHELTER_BROKER=$T/broker
B=$(command -v busybox)
simulated_broker 900
head -c 32 /dev/urandom >"$T/data.key"
for k in none-sgx-sim none-tdx-sim gone; do "$SHELTER" broker add-resource volumes/key/$k "$T/data.key" --image any; done
image() { # TAG KEY WORDS
    "$SHELTER" build -q -t "$1" --broker-key "$T/key.pem" --volume "data:/data:key=kbs:///volumes/key/$2:size=64M$3" \
        -f "$B" -f "$T/storage" -c "/bin/busybox sh" >/dev/null && "$SHELTER" broker add-reference "$1"
}
for tee in $tees; do check "image for $tee" image "box-$tee" "none-$tee" ""; done
check "image: gone" image gone gone ""
# on TEE IMAGE FILE COMMAND…: an image with a volume is locked, so its shell reads what to do.
cat >"$T/on" <<S
#!/bin/sh
tee=\$1 image=\$2 file=\$3
shift 3
printf '%s\n' "\$*" | exec timeout 100 "$SHELTER" run --rm --tee "\$tee" -m 256M -i "$(cat "$T/url")" -v "data:\$file" "\$image"
S
chmod 755 "$T/on"

# --- the host's own disk is full ---
if [ "$(id -u)" = 0 ] && mkdir "$T/small" && mount -t tmpfs -o size=24m none "$T/small" 2>/dev/null; then
    cleanup_hooks+=("umount $T/small 2>/dev/null")
    for tee in $tees; do
        umount "$T/small" && mount -t tmpfs -o size=24m none "$T/small"
        D=$T/small/disk
        rm -f "$D"
        "$T/on" $tee "box-$tee" "$D" '/bin/storage append /data 30; /bin/busybox dd if=/dev/zero bs=64k count=700 of=/data/big conv=fsync;
echo "dd: $?"; echo x >/data/more && /bin/busybox sync /data/more; echo "more: $?"; /bin/storage count /data' >"$T/out" 2>"$T/err"
        check "$tee: a full host disk is an error inside" grep -qE "[Nn]o space left|Input/output error" "$T/err"
        check "$tee: ... of dd" grep -qx "dd: 1" "$T/out"
        check "$tee: ... and of what is written then" grep -qx "more: 1" "$T/out"
        mount -o remount,size=100m none "$T/small"
        same "$tee: with room again, all that was acknowledged is there" "$("$T/on" $tee "box-$tee" "$D" "/bin/storage count /data" 2>"$T/err")" 30
        "$T/on" $tee "box-$tee" "$D" '/bin/storage append /data 5; /bin/busybox dd if=/dev/zero bs=64k count=300 of=/data/big conv=fsync 2>/dev/null; echo "dd: $?"' >"$T/out" 2>"$T/err"
        check "$tee: and it goes on" grep -qx "dd: 0" "$T/out"
        status "$tee: it fits together" 0 "$SHELTER" volume check "$D" --key "$T/data.key"
    done
else
    skip "a full host disk: no tmpfs can be mounted here"
fi

# --- its file is deleted while it is used ---
for tee in $tees; do
    D=$T/gone.disk
    "$SHELTER" broker volume reset --new volumes/key/gone >/dev/null 2>&1
    mkfifo "$T/in"
    timeout 100 "$SHELTER" run --rm --tee $tee -m 256M -i "$(cat "$T/url")" -v "data:$D" gone <"$T/in" >"$T/out" 2>"$T/err" &
    pid=$!
    exec 7>"$T/in"
    echo '/bin/storage append /data 20' >&7
    check "$tee: it writes" until_true 60 sh -c "test \$(wc -l <'$T/out') -ge 20"
    rm "$D"
    echo '/bin/storage append /data 20; /bin/storage count /data; exit 7' >&7
    exec 7>&-
    wait $pid
    same "$tee: deleted under it: it goes on to its end" $? 7
    same "$tee: ... with all that it wrote" "$(tail -n 1 "$T/out")" 40
    status "$tee: then the file is missed, not made anew" 123 "$T/on" $tee gone "$D" true
    check "$tee: ... told" grep -q "its file is empty, but the broker knows the volume" "$T/err"
    rm -f "$T/in" "$D"
done

# --- what is given back inside goes back to the host's disk ---
"$SHELTER" broker add-resource volumes/key/back "$T/data.key" --image any
check "image: back" image back back ":freshness=insecure-none"
for tee in $tees; do
    D=$T/back.$tee
    taken() { du -k "$D" | cut -f 1; }
    status "$tee: 24 MiB" 0 "$T/on" $tee back "$D" '/bin/busybox dd if=/dev/zero bs=64k count=384 of=/data/big conv=fsync 2>/dev/null'
    full=$(taken)
    check "$tee: ... are in the file ($full KiB)" test "$full" -ge 24576
    status "$tee: a hole of 16 MiB" 0 "$T/on" $tee back "$D" /bin/storage punch /data
    hole=$(taken)
    check "$tee: ... is one of the file, too ($hole KiB)" test "$hole" -le $((full - 15000))
    status "$tee: the rest is removed" 0 "$T/on" $tee back "$D" /bin/busybox rm /data/big
    check "$tee: ... and gone from the file ($(taken) KiB)" test "$(taken)" -le $((hole - 7500))
    status "$tee: it fits together" 0 "$SHELTER" volume check "$D" --key "$T/data.key"
done

# --- several volumes in one image ---
for k in one two; do head -c 32 /dev/urandom | "$SHELTER" broker add-resource volumes/key/$k --image any; done
check "image: two volumes" "$SHELTER" build -q -t pair --broker-key "$T/key.pem" -f "$B" -f "$T/storage" -c "/bin/busybox sh" \
    --volume "one:/one:key=kbs:///volumes/key/one:freshness=insecure-none:size=64M" \
    --volume "two:/srv/two:key=kbs:///volumes/key/two:freshness=insecure-none:size=64M"
"$SHELTER" broker add-reference pair
cat >"$T/pair" <<S # TEE FILE FILE COMMAND
#!/bin/sh
printf '%s\n' "\$4" | exec timeout 100 "$SHELTER" run --rm --tee "\$1" -m 256M -i "$(cat "$T/url")" -v "one:\$2" -v "two:\$3" pair
S
chmod 755 "$T/pair"
for tee in $tees; do
    status "$tee: both are written" 0 "$T/pair" $tee "$T/one" "$T/two" \
        '/bin/busybox rm -rf /one/* && /bin/storage make /one && /bin/storage append /srv/two 7 && ! /bin/busybox ln /one/file /srv/two/file 2>/dev/null'
    status "$tee: both are there" 0 "$T/pair" $tee "$T/one" "$T/two" '/bin/storage look /one && /bin/storage count /srv/two'
    check "$tee: ... each with its own ($(cat "$T/out"))" grep -qxE "7|14" "$T/out"
    status "$tee: df and the table of mounts know them" 0 "$T/pair" $tee "$T/one" "$T/two" \
        '/bin/busybox df -m /one /srv/two; /bin/busybox grep -cE " /one | /srv/two " /proc/self/mounts'
    same "$tee: ... where they are, and how large" "$(awk '$2 > 50 && $2 <= 64 { print $NF }' "$T/out" | xargs) $(tail -n 1 "$T/out")" "/one /srv/two 2"
    status "$tee: the host crosses them" 123 "$T/pair" $tee "$T/two" "$T/one" true
    check "$tee: ... told" grep -q "its key does not open it" "$T/err"
done
