#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Folders of the host in either TEE (-v): plain files on both sides, what one side changes the other sees, read-only where
# the host said so whatever the inside does, and no way out of the folder.
. tests/e2e/lib.sh
busybox=$(command -v busybox) || { skip "shares: no busybox here"; exit 0; }
check "build" "$SHELTER" build -t m --mount /data --mount /more -f "$busybox"
check "build without the policy" "$SHELTER" build -t locked -f "$busybox"
run() { # STATUS NAME SCRIPT [OPTION…]: the script inside
    local want=$1 name=$2 script=$3
    shift 3
    status "$tee: $name" "$want" "$SHELTER" run --tee $tee --rm "$@" m /bin/busybox sh -c "$script"
}
in_both() {
    src="$T/$tee/a,b c" out="$T/$tee/outside"
    mkdir -p "$src" "$out"
    echo hello >"$src/file"
    echo secret >"$out/secret"
    ln -s "$out/secret" "$src/link"
    [ "$(id -u)" != 0 ] || chown -Rh 54321:54321 "$src" "$out"
    run 0 "reads" '/bin/busybox cat /data/file' -v "$src:/data"
    same "$tee: reads: what is there" "$(cat "$T/out")" hello
    run 0 "writes" 'echo new >/data/n && /bin/busybox chmod 640 /data/n && /bin/busybox mkdir /data/d' -v "$src:/data"
    same "$tee: writes: a plain file here" "$(cat "$src/n"; stat -c %a "$src/n")" "$(printf 'new\n640')"
    run 0 "names, appending, times, a large file" 'set -e; b=/bin/busybox; cd /data; $b mv n d/m; echo more >>d/m
        $b ln -s d/m l; $b cat l; $b touch -d @1000000000 d/m; $b dd if=/dev/zero of=big bs=1000 count=500 2>/dev/null; $b truncate -s 400000 big
        $b sha256sum big; $b stat -c %Y d/m; $b mkdir e; $b rmdir e; $b ls -a' -v "$src:/data"
    same "$tee: names, appending, times, a large file: inside" "$(cat "$T/out")" "$(printf 'new\nmore\n%s  big\n1000000000\n.\n..\nbig\nd\nfile\nl\nlink' \
        "$(head -c 400000 /dev/zero | sha256sum | cut -d' ' -f1)")"
    same "$tee: names, appending, times, a large file: outside" "$(cat "$src/d/m"; stat -c '%Y' "$src/d/m"; stat -c %s "$src/big"; readlink "$src/l")" \
        "$(printf 'new\nmore\n1000000000\n400000\nd/m')"
    run 0 "what stands there" '/bin/busybox df /data | /bin/busybox tail -n 1 | /bin/busybox awk "{ print \$NF }"
        while read -r tag at type options rest; do [ "$at" != /data ] || echo "$tag $type ${options%%,*}"; done </proc/mounts
        /bin/busybox grep -c " /data .* - 9p share0 " /proc/self/mountinfo' -v "$src:/data:ro"
    same "$tee: what stands there: told" "$(cat "$T/out")" "$(printf '/data\nshare0 9p ro\n1')"
    # What the host changes while it runs: a file that grows, one that comes, one that is replaced, one that goes.
    echo one >"$src/log"
    echo old >"$src/conf"
    [ "$(id -u)" != 0 ] || chown 54321:54321 "$src/log" "$src/conf"
    check "$tee: live" "$SHELTER" run --tee $tee -d --name live -v "$src:/data" m /bin/busybox sh -c 'exec 3</data/log; exec 4</data/conf
        /bin/busybox cat <&3; echo >/data/ready; until [ -e /data/go ]; do /bin/busybox sleep 0.05; done
        /bin/busybox cat <&3; /bin/busybox cat <&4; /bin/busybox cat /data/conf; [ ! -e /data/file ] && echo gone; echo end >>/data/log'
    check "$tee: live: it is ready" until_true 60 test -e "$src/ready"
    echo two >>"$src/log"
    echo new >"$src/conf.new"
    chmod 644 "$src/conf.new"
    mv "$src/conf.new" "$src/conf"
    mv "$src/file" "$src/moved"
    touch "$src/go"
    status "$tee: live: ends" 0 timeout 100 "$SHELTER" wait live
    same "$tee: live: what it saw" "$("$SHELTER" logs live | tr '\n' ' ')" "one two old new gone "
    same "$tee: live: what it wrote" "$(tr '\n' ' ' <"$src/log")" "one two end "
    "$SHELTER" rm live >/dev/null
    mv "$src/moved" "$src/file"
    run 1 "a link out of the folder" '/bin/busybox cat /data/link' -v "$src:/data"
    if grep -q secret "$T/out"; then not_ok "$tee: a link out of the folder shows nothing"; else ok "$tee: a link out of the folder shows nothing"; fi
    run 1 "a path out of the folder" '/bin/busybox cat /data/../../outside/secret' -v "$src:/data"
    run 1 "read-only" 'echo x >/data/x' -v "$src:/data:ro"
    run 0 "read-only: nothing changes" 'cd /data; for c in "rm file" "mv file g" "touch file" "chmod 777 file" "mkdir g" "ln -s a b"; do
        /bin/busybox $c 2>/dev/null && echo "did $c"; done; :' -v "$src:/data:ro"
    same "$tee: read-only: nothing changes: told" "$(cat "$T/out")" ""
    # Who serves it refuses too: the host's word does not hang on the inside's mount options.
    run 1 "read-only, remounted by the inside" \
        '/bin/busybox mount -o remount,rw /data; echo x >/data/x' -v "$src:/data:ro"
    check "$tee: read-only: nothing was written" test ! -e "$src/x"
    run 0 "two folders" '/bin/busybox cat /data/file /more/secret' -v "$src:/data" -v "$out:/more:ro"
    same "$tee: two folders: both are there" "$(tr '\n' ' ' <"$T/out")" "hello secret "
    status "$tee: policy without mount" 125 "$SHELTER" run --tee $tee --rm -v "$src:/data" locked /bin/busybox true
    one_line "$tee: policy without mount: in one line" "[-]-mount PATH"
    status "$tee: a place that the image does not name" 125 "$SHELTER" run --tee $tee --rm -v "$src:/bin" m /bin/busybox true
    one_line "$tee: a place that the image does not name: in one line" "[-]-mount PATH"
    cp "$busybox" "$src/program"
    run 126 "nothing in it can be executed" 'exec /data/program true' -v "$src:/data"
    status "$tee: a folder that is not there" 125 "$SHELTER" run --tee $tee --rm -v "$T/none:/data" m /bin/busybox true
    one_line "$tee: a folder that is not there: in one line" "none"

    # Somebody inside who wants rights on this machine, by what whoever finds the folder later would execute or open.
    run 0 "the attack" 'cd /data && cp() { /bin/busybox cp "$@"; }
        cp /bin/busybox shell; for c in \
            "chmod 4755 shell" "chmod 2755 shell" "mkdir -m 2777 group" "mknod disk b 8 0" "mknod memory c 1 1" \
            "chown 0:0 shell" "ln /data/link hard" "cat /data/link" "cat /data/../../outside/secret"; do
            if /bin/busybox $c >/dev/null 2>&1; then echo "did $c"; else echo "not $c"; fi
        done; cp -p /data/shell /tmp/s; /bin/busybox chmod 4755 /tmp/s; cp -p /tmp/s /data/second; :' -v "$src:/data"
    same "$tee: the attack: what it did" "$(grep ^did "$T/out")" "$([ $tee = sgx-sim ] || echo "did ln /data/link hard")"
    same "$tee: the attack: nothing sets an id, nothing is a device" \
        "$(find "$src" \( -perm /6000 -o -type b -o -type c \) -printf '%P %m\n')" ""
    same "$tee: the attack: nothing is root's" "$([ "$(id -u)" != 0 ] || find "$src" -uid 0 ! -name program ! -name conf ! -name go)" ""
    # Root's own folder: what everybody may do there.
    if [ "$(id -u)" = 0 ]; then
        mkdir -m 755 "$T/$tee/root"
        echo root >"$T/$tee/root/file"
        run 1 "root's folder: cannot be written" 'echo x >/data/new || echo x >/data/file' -v "$T/$tee/root:/data"
        check "$tee: root's folder: told" grep -q "warning: $T/$tee/root belongs to root" "$T/err"
        same "$tee: root's folder: as it was" "$(cat "$T/$tee/root"/*)" root
        run 0 "root's folder: can be read" '/bin/busybox cat /data/file' -v "$T/$tee/root:/data:ro"
        same "$tee: root's folder: what is there" "$(cat "$T/out")" root
    fi
}
for tee in sgx-sim tdx-sim; do
    # Only where the image has what it needs.
    if "$SHELTER" run --tee $tee --rm m /bin/busybox true >/dev/null 2>"$T/err"; then in_both; else skip "shares in $tee: $(head -n 1 "$T/err")"; fi
done
