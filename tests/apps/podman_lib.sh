# SPDX-License-Identifier: Apache-2.0
# For the tests of podman: sources lib.sh, goes into namespaces of its own, sets up $tees, p, $T/podman and an image "test".
. tests/e2e/lib.sh
LIMIT=90
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "podman: not built (make)"; exit 0; }
command -v podman >/dev/null || { skip "podman: not installed (tools/install-deps --apps)"; exit 0; }
[ "$(id -u)" -eq 0 ] || { skip "podman: needs root here"; exit 0; }
# In network and mount namespaces of its own: bridges, rules and mounts that podman leaves go with them.
if [ "${1:-}" != inside ]; then
    unshare -n -m bash "$0" inside
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
for x in sh cat id echo sleep httpd hostname ls chmod stty touch wget; do ln -s busybox "$T/root/bin/$x"; done
echo 'a page' >"$T/root/www/index.html"
gcc -O2 -static -o "$T/root/bin/net" tests/enclave/net.c
tar -C "$T/root" -c . | p import - test >"$T/import" 2>&1 || { skip "podman: does not work here: $(tail -n 1 "$T/import")"; exit 0; }
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
get() { python3 -c "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:$port/', timeout=5).read().decode(), end='')" 2>/dev/null; }
nothing_left() {
    same "nothing runs" "$(pgrep -f "$T/" | grep -v $$ | wc -l)" 0
    check "no instance is left" sh -c "[ -z \"\$(ls '$T/store/instances')\" ]"
}
