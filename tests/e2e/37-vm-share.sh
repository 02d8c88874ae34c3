#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Folders of the host in a VM (-v): plain files on both sides, read-only where the host said so whatever
# the guest does, and no way out of the folder.
. tests/e2e/lib.sh
busybox=$(command -v busybox) || { skip "shares: no busybox here"; exit 0; }
check "build" "$SHELTER" build -t m --mount /data --mount /more -f "$busybox"
check "build without the policy" "$SHELTER" build -t locked -f "$busybox"
src="$T/a,b c"
mkdir "$src" "$T/outside"
echo hello >"$src/file"
echo secret >"$T/outside/secret"
ln -s "$T/outside/secret" "$src/link"
[ "$(id -u)" != 0 ] || chown -Rh 54321:54321 "$src" "$T/outside"
run() { # STATUS NAME SCRIPT [OPTION…]: the script in the guest
    local want=$1 name=$2 script=$3
    shift 3
    status "$name" "$want" "$SHELTER" run --rm "$@" m /bin/busybox sh -c "$script"
}
run 0 "reads" '/bin/busybox cat /data/file' -v "$src:/data"
same "reads: what is there" "$(cat "$T/out")" hello
run 0 "writes" 'echo new >/data/n && /bin/busybox chmod 640 /data/n && /bin/busybox mkdir /data/d' -v "$src:/data"
same "writes: a plain file here" "$(cat "$src/n"; stat -c %a "$src/n")" "$(printf 'new\n640')"
run 1 "a link out of the folder" '/bin/busybox cat /data/link' -v "$src:/data"
if grep -q secret "$T/out"; then not_ok "a link out of the folder shows nothing"; else ok "a link out of the folder shows nothing"; fi
run 1 "a path out of the folder" '/bin/busybox cat /data/../../outside/secret' -v "$src:/data"
run 1 "read-only" 'echo x >/data/x' -v "$src:/data:ro"
# QEMU refuses too: the host's word does not hang on the guest's mount options.
run 1 "read-only, remounted by the guest" \
    '/bin/busybox mount -o remount,rw /data; echo x >/data/x' -v "$src:/data:ro"
check "read-only: nothing was written" test ! -e "$src/x"
run 0 "two folders" '/bin/busybox cat /data/file /more/secret' -v "$src:/data" -v "$T/outside:/more:ro"
same "two folders: both are there" "$(tr '\n' ' ' <"$T/out")" "hello secret "
status "policy without mount" 125 "$SHELTER" run --rm -v "$src:/data" locked /bin/busybox true
one_line "policy without mount: in one line" "[-]-mount PATH"
status "a place that the image does not name" 125 "$SHELTER" run --rm -v "$src:/bin" m /bin/busybox true
one_line "a place that the image does not name: in one line" "[-]-mount PATH"
cp "$busybox" "$src/program"
run 126 "nothing in it can be executed" 'exec /data/program true' -v "$src:/data"
status "a folder that is not there" 125 "$SHELTER" run --rm -v "$T/none:/data" m /bin/busybox true
one_line "a folder that is not there: in one line" "none"

# A guest that wants rights on this machine, by what whoever finds the folder later would execute or open.
run 0 "the attack" 'cd /data && cp() { /bin/busybox cp "$@"; }
    cp /bin/busybox shell; for c in \
        "chmod 4755 shell" "chmod 2755 shell" "mkdir -m 2777 group" "mknod disk b 8 0" "mknod memory c 1 1" \
        "chown 0:0 shell" "ln /data/link hard" "cat /data/link" "cat /data/../../outside/secret"; do
        if /bin/busybox $c >/dev/null 2>&1; then echo "did $c"; else echo "not $c"; fi
    done; cp -p /data/shell /tmp/s; /bin/busybox chmod 4755 /tmp/s; cp -p /tmp/s /data/second; :' -v "$src:/data"
same "the attack: what it did" "$(grep ^did "$T/out")" "did ln /data/link hard"
same "the attack: nothing sets an id, nothing is a device" \
    "$(find "$src" \( -perm /6000 -o -type b -o -type c \) -printf '%P %m\n')" ""
same "the attack: nothing is root's" "$([ "$(id -u)" != 0 ] || find "$src" -uid 0 ! -name program)" ""
# Root's own folder: what everybody may do there.
if [ "$(id -u)" = 0 ]; then
    mkdir -m 755 "$T/root"
    echo root >"$T/root/file"
    run 1 "root's folder: cannot be written" 'echo x >/data/new || echo x >/data/file' -v "$T/root:/data"
    check "root's folder: told" grep -q "warning: $T/root belongs to root" "$T/err"
    same "root's folder: as it was" "$(cat "$T/root"/*)" root
    run 0 "root's folder: can be read" '/bin/busybox cat /data/file' -v "$T/root:/data:ro"
    same "root's folder: what is there" "$(cat "$T/out")" root
fi
