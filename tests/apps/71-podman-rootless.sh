#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# podman of an ordinary user with shelter-runtime: containers in that user's own namespace, files and state in its folders.
. tests/e2e/lib.sh
LIMIT=90
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "rootless: not built (make)"; exit 0; }
for x in podman newuidmap setpriv busybox; do command -v $x >/dev/null || { skip "rootless: $x is not installed (tools/install-deps --apps)"; exit 0; }; done
[ "$(id -u)" -eq 0 ] || { skip "rootless: needs root here, to make a user"; exit 0; }
# The user is known in a mount namespace of the test's alone.
if [ "${1:-}" != inside ]; then
    unshare -n -m bash "$0" inside
    exit
fi
ip link set lo up
chmod 755 "$T"
U=4242
for f in passwd group subuid subgid; do
    cp "/etc/$f" "$T/$f" 2>/dev/null || : >"$T/$f"
    chmod 644 "$T/$f"
done
echo "tester:x:$U:$U::$T/home:/bin/sh" >>"$T/passwd"
echo "tester:x:$U:" >>"$T/group"
for f in subuid subgid; do echo "tester:$((1 << 24)):65536" >>"$T/$f"; done
for f in passwd group subuid subgid; do
    [ -e /etc/$f ] && mount --bind "$T/$f" /etc/$f || { skip "rootless: cannot make a user here"; exit 0; }
done
mkdir -p "$T/home" "$T/run" "$T/bin" "$T/ours" "$T/root/bin"
cp -r "$SHELTER" build/sgx-loader build/base "$T/ours/"
chmod -R a+rX "$T/ours"
chown $U:$U "$T/home" "$T/run"
chmod 700 "$T/run"
tees=sgx-sim
[ -f build/base/vmlinux ] && command -v qemu-system-x86_64 >/dev/null && tees="sgx-sim tdx-sim"
for t in $tees; do
    printf '#!/bin/bash\nexport SHELTER_BASE=%s/ours/base SHELTER_SGX_LOADER=%s/ours/sgx-loader\nexec -a shelter-runtime-%s %s/ours/shelter "$@"\n' "$T" "$T" "$t" "$T" >"$T/bin/$t"
    chmod 755 "$T/bin/$t"
done
cat >"$T/containers.conf" <<END
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
END
cp "$(command -v busybox)" "$T/root/bin/"
for x in sh id echo sleep; do ln -s busybox "$T/root/bin/$x"; done
tar -C "$T/root" -cf "$T/image.tar" .
chmod 644 "$T/image.tar" "$T/containers.conf"
printf '#!/bin/bash\ncd %q && HOME=%q XDG_RUNTIME_DIR=%q CONTAINERS_CONF=%q exec setpriv --reuid %s --regid %s --clear-groups podman --storage-driver vfs --runtime %q/$TEE "$@"\n' \
    "$T/home" "$T/home" "$T/run" "$T/containers.conf" $U $U "$T/bin" >"$T/podman"
chmod 755 "$T/podman"
export TEE=sgx-sim
p() { timeout -k 5 $LIMIT "$T/podman" "$@"; }
p import "$T/image.tar" test >"$T/import" 2>&1 || { skip "rootless: podman does not work so here: $(tail -n 1 "$T/import")"; exit 0; }
cleanup_hooks+=('p rm -fa -t 0 >/dev/null 2>&1; p system migrate >/dev/null 2>&1; for s in $(pgrep -U $U); do kill -KILL $s; done')
for TEE in $tees; do
    status "$TEE: run" 7 "$T/podman" run --rm --network none test sh -c 'id -u; exit 7'
    same "... as root of its own" "$(cat "$T/out")" 0
    check "$TEE: run -d" p run -d --network none --name c test sh -c 'echo up; trap "exit 4" TERM; while :; do sleep 0.2; done'
    check "... logs" until_true 40 sh -c "timeout 20 '$T/podman' logs c 2>/dev/null | grep -qx up"
    same "... its processes are the user's" "$(pgrep -c -U 0 -f "$T/ours/shelter")" 0
    status "$TEE: exec" 3 "$T/podman" exec c sh -c 'echo inside; exit 3'
    same "... its output" "$(cat "$T/out")" inside
    status "$TEE: stop" 0 "$T/podman" stop -t 10 c
    same "... the program's own status" "$(p wait c)" 4
    status "$TEE: rm" 0 "$T/podman" rm c
done
check "its images and state are the user's" [ -d "$T/home/.local/share/shelter/images" ]
check "no instance is left" sh -c "[ -z \"\$(ls '$T/home/.local/share/shelter/instances')\" ]"
