#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# doctor: says of every TEE what lacks and what to do, and its exit status tells whether anything runs.
. tests/e2e/lib.sh
export XDG_CACHE_HOME=$T/cache
status "doctor" 0 "$SHELTER" doctor
for tee in sgx tdx snp csv tdx-sim sgx-sim; do
    check "tells of $tee" grep -qE "^$tee: (not )?usable" "$T/out"
done
check "warns of simulation" grep -q '^tdx-sim: usable (simulated: protects nothing)' "$T/out"
"$SHELTER" doctor --json >"$T/json"
ask() { python3 -c "
import json
d = json.load(open('$T/json'))
t = {x['tee']: x for x in d['tees']}
print($1)"; }
same "json: usable" "$(ask 'd["usable"]')" True
same "json: all TEEs" "$(ask 'sorted(t)')" "['csv', 'sgx', 'sgx-sim', 'snp', 'tdx', 'tdx-sim']"
same "json: simulated" "$(ask '[x["tee"] for x in d["tees"] if x["simulated"]]')" "['tdx-sim', 'sgx-sim']"
same "json: what is not usable says why" \
    "$(ask 'all(x["usable"] or any(not c["ok"] for c in x["checks"]) for x in d["tees"])')" True
same "json: host" "$(ask 'sorted(c["what"] for c in d["host"])')" \
    "['Landlock', 'QEMU', 'QEMU version', 'base files', 'cgroup', 'disk space', 'kernel', 'network', 'shadow stacks', 'store', 'wall', 'wall', 'wall', 'wall', 'wall', 'wall']"
# Nothing usable: another exit status, and the reason.
SHELTER_SGX_LOADER=$T/none SHELTER_QEMU=$T/none status "without QEMU and loader" 1 "$SHELTER" doctor
check "without QEMU: says what to do" grep -q 'install qemu-system-x86' "$T/out"
if [ "$(id -u)" = 0 ] && mkdir -p "$T/readonly" && mount -t tmpfs -o size=1M none "$T/readonly" 2>/dev/null; then
    cleanup_hooks+=("umount '$T/readonly' 2>/dev/null")
    SHELTER_STORE=$T/readonly/store "$SHELTER" images >/dev/null
    mount -o remount,ro "$T/readonly"
    SHELTER_STORE=$T/readonly/store status "a store that cannot be written" 0 "$SHELTER" doctor
    check "is told" grep -q -- '-- store .*is not writable.*Read-only file system' "$T/out"
    umount "$T/readonly"
else
    skip "a read-only store: no mounts here"
fi
SHELTER_STORE=/proc/nothing status "store that cannot be" 0 "$SHELTER" doctor
check "store that cannot be: says so" grep -qE -- '-- store +.*/proc/nothing' "$T/out"
# A relative store below a folder that is gone: an error with a reason and a way out.
mkdir "$T/gone"
SHELTER_STORE=store status "a relative store in a deleted folder" 125 \
    sh -c 'cd "$1" && rmdir "$1" && exec "$2" images' sh "$T/gone" "$SHELTER"
one_line "a relative store in a deleted folder: why, and what to do" '^shelter: SHELTER_STORE=store .*absolute path: .+'
# Root's store is the system's, and who points elsewhere is told so, once.
as_root='mount -t tmpfs none /var/lib && unset SHELTER_STORE && exec "$@"'
if unshare -rm sh -c "$as_root" sh true 2>/dev/null; then
    XDG_DATA_HOME=$T/data status "XDG_DATA_HOME as root" 0 unshare -rm sh -c "$as_root" sh "$SHELTER" images
    one_line "XDG_DATA_HOME as root: told" '^shelter: note: .*/var/lib/shelter.*XDG_DATA_HOME.*SHELTER_STORE'
    XDG_DATA_HOME=$T/data status "XDG_DATA_HOME as root: the broker" 125 unshare -rm sh -c "$as_root" sh "$SHELTER" broker list
    check "XDG_DATA_HOME as root: the broker tells" grep -q '^shelter: note: .*/var/lib/shelter-broker.*SHELTER_BROKER' "$T/err"
    check "XDG_DATA_HOME as root: nothing is made there" [ ! -e "$T/data" ]
    XDG_DATA_HOME=$T/data SHELTER_STORE=$T/mine status "SHELTER_STORE as root" 0 unshare -r "$SHELTER" images
    same "SHELTER_STORE as root: no word" "$(cat "$T/err")" ""
else
    skip "XDG_DATA_HOME as root: no user namespaces here"
fi
# A QEMU that is none must neither hang nor crash it.
printf '#!/bin/sh\necho nonsense\n' >"$T/qemu" && chmod +x "$T/qemu"
SHELTER_QEMU=$T/qemu status "a QEMU that is none" 0 "$SHELTER" doctor
check "a QEMU that is none: says so" grep -q 'does not report its version' "$T/out"
status "wrong option" 125 "$SHELTER" doctor --frob
one_line "wrong option: in one line" "frob"
# /dev/kvm may open where no guest boots: the answer of a real boot is remembered.
if [ -w /dev/kvm ]; then
    same "KVM's answer is remembered" "$(cat "$T"/cache/shelter/kvm-* | sort -u | grep -cE '^(yes|no)$')" 1
else
    skip "KVM's answer is remembered: no /dev/kvm here"
fi
