#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# podman with shelter-runtime, in enclaves and in machines: what a user of podman does every day.
. tests/e2e/lib.sh
LIMIT=90
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "podman: not built (make)"; exit 0; }
command -v podman >/dev/null || { skip "podman: not installed (tools/install-deps --apps)"; exit 0; }
[ "$(id -u)" -eq 0 ] || { skip "podman: needs root here"; exit 0; }
# In network and mount namespaces of its own: bridges, rules and mounts that podman leaves go with them.
if [ "${1:-}" != inside ]; then
    unshare -n -m bash tests/apps/70-podman.sh inside
    exit
fi
ip link set lo up
tees=sgx-sim
[ -f build/base/vmlinux ] && command -v qemu-system-x86_64 tc >/dev/null && tees="sgx-sim tdx-sim"
cat >"$T/containers.conf" <<END
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=9000:9000"]
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
END
# podman gives its runtime no environment: the program's place says where base files are, a script where the store is.
mkdir -p "$T/bin"
for t in $tees; do
    printf '#!/bin/sh\nexport SHELTER_STORE=%s SHELTER_BASE=%s\nexec -a shelter-runtime-%s %s "$@"\n' "$T/store" "$ROOT/build/base" "$t" "$SHELTER" |
        sed '1s/.*/#!\/bin\/bash/' >"$T/bin/$t"
    chmod +x "$T/bin/$t"
done
export CONTAINERS_CONF=$T/containers.conf
printf '#!/bin/bash\nexec podman --root %q --runroot %q --tmpdir %q --runtime %q/$TEE "$@"\n' "$T/pod" "$T/run" "$T/tmp" "$T/bin" >"$T/podman"
chmod +x "$T/podman"
p() { timeout -k 5 "$LIMIT" "$T/podman" "$@"; }
export TEE=sgx-sim
cleanup_hooks+=('p rm -fa >/dev/null 2>&1; p system reset -f >/dev/null 2>&1; umount "$T/pod/overlay" 2>/dev/null'
    'find /sys/fs/cgroup -maxdepth 3 -depth -type d -path "*/libpod_parent*" -exec rmdir {} + 2>/dev/null')
mkdir -p "$T/root/bin" "$T/root/www" "$T/root/etc"
cp "$(command -v busybox)" "$T/root/bin/"
for x in sh cat id echo sleep httpd hostname ls; do ln -s busybox "$T/root/bin/$x"; done
echo 'a page' >"$T/root/www/index.html"
tar -C "$T/root" -c . | p import - test >"$T/import" 2>&1 || { skip "podman: does not work here: $(tail -n 1 "$T/import")"; exit 0; }
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
get() { python3 -c "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:$port/', timeout=5).read().decode(), end='')" 2>/dev/null; }
for TEE in $tees; do
    status "$TEE: run: the exit status" 7 "$T/podman" run --rm --network none test sh -c 'echo out; exit 7'
    same "$TEE: run: the output" "$(cat "$T/out")" out
    same "$TEE: run -i" "$(echo hello | p run --rm -i --network none test cat 2>/dev/null)" hello
    status "$TEE: --user, --workdir, --hostname, -e" 0 "$T/podman" run --rm --network none --user 12:34 -w /www --hostname abc -e A=b test sh -c 'echo $(id -u) $(id -g) $(pwd) $(hostname) $A'
    same "... are what the program has" "$(cat "$T/out")" "12 34 /www abc b"
    status "$TEE: --memory, --cpus" 0 "$T/podman" run --rm --network none --memory 128m --cpus 2 test sh -c 'while read -r k v u; do [ "$k" = MemTotal: ] && echo $((v / 1024)); done </proc/meminfo; true'
    check "... are what the program has" sh -c "[ \$(cat '$T/out') -le 128 ]"
    status "$TEE: --entrypoint" 0 "$T/podman" run --rm --network none --entrypoint /bin/echo test entry
    same "... runs it" "$(cat "$T/out")" entry
    # What engines bring as files: copied in.
    echo 'of the host' >"$T/file"
    mkdir -p "$T/folder/..data" && echo key >"$T/folder/..data/key" && ln -sf ..data/key "$T/folder/key"
    status "$TEE: -v FILE, -v FOLDER:ro" 0 "$T/podman" run --rm --network none -v "$T/file:/etc/file" -v "$T/folder:/etc/config:ro" test sh -c 'cat /etc/file /etc/config/key'
    same "... are there" "$(tr '\n' ' ' <"$T/out")" "of the host key "
    printf s3cret | p secret create "s$TEE" - >"$T/out"
    status "$TEE: --secret" 0 "$T/podman" run --rm --network none --secret "s$TEE" --user 12:34 test cat "/run/secrets/s$TEE"
    same "... is there" "$(cat "$T/out")" s3cret
    status "$TEE: --add-host" 0 "$T/podman" run --rm --network none --hostname abc --add-host far:10.9.8.7 test cat /etc/hosts
    check "... is in /etc/hosts" grep -q '^10.9.8.7.*far' "$T/out"
    status "$TEE: --tmpfs" 0 "$T/podman" run --rm --network none --tmpfs /scratch:size=1m,mode=0700 test sh -c 'echo x >/scratch/y && ls -ld /scratch'
    check "... is there" grep -q '^drwx------' "$T/out"
    if [ -x /usr/libexec/podman/catatonit ]; then
        status "$TEE: --init" 5 "$T/podman" run --rm --network none --init test sh -c 'exit 5'
    else skip "$TEE: --init: no catatonit"; fi
    status "$TEE: a program that is not there" 127 "$T/podman" run --rm --network none test nosuch
    status "$TEE: a program that is none" 126 "$T/podman" run --rm --network none test /www/index.html
    if status "$TEE: run -d -p" 0 "$T/podman" run -d --name w -p "127.0.0.1:$port:80" test sh -c 'echo started; exec httpd -f -p 80 -h /www' | grep '^ok'; then
        check "... answers" until_true 30 get
        same "... with the page" "$(get)" "a page"
        check "$TEE: logs" sh -c "timeout 30 $T/podman logs w 2>/dev/null | grep -qx started"
        check "$TEE: ps" sh -c "timeout 30 $T/podman ps --format '{{.Names}} {{.Status}}' | grep -q '^w Up'"
        check "$TEE: stats" sh -c "timeout 30 $T/podman stats --no-stream --format '{{.MemUsage}}' w | grep -qE '[0-9]+(\.[0-9]+)?MB'"
        if p exec w true 2>&1 | grep -q 'cannot run further programs'; then skip "$TEE: exec: not in enclaves yet"; else
            status "$TEE: exec" 3 "$T/podman" exec w sh -c 'echo inside; exit 3'
            same "... its output" "$(cat "$T/out")" inside
        fi
        if status "$TEE: pause" 0 "$T/podman" pause w | grep '^ok'; then
            status "$TEE: unpause" 0 "$T/podman" unpause w
            same "... answers again" "$(get)" "a page"
        fi
        status "$TEE: kill" 0 "$T/podman" kill w
        same "$TEE: wait" "$(p wait w)" 137
        status "$TEE: start again" 0 "$T/podman" start w
        check "... answers" until_true 30 get
        status "$TEE: rm -f" 0 "$T/podman" rm -f -t 0 w
    fi
done
same "nothing runs" "$(pgrep -f "$T/" | grep -v $$ | wc -l)" 0
check "no instance is left" sh -c "[ -z \"\$(ls '$T/store/instances')\" ]"
