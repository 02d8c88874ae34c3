#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A hundred containers, ten at once, in both TEEs; supervisor, loader or QEMU, the engine's command and the stdio's process
# are killed at any moment. Nothing is left: no process, mount, network namespace, socket, group or folder.
. tests/e2e/lib.sh
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "cycles: not built (make)"; exit 0; }
[ "$(id -u)" -eq 0 ] || { skip "cycles: needs root (network namespaces, cgroups)"; exit 0; }
tees=sgx-sim
[ -f build/base/vmlinux ] && command -v qemu-system-x86_64 tc >/dev/null && tees="sgx-sim tdx-sim"
export SHELTER_BASE=$ROOT/build/base
ln -s "$SHELTER" "$T/shelter-runtime"
RT=("$T/shelter-runtime" --root "$T/run")
B=$T/bundle N=c-$$
mkdir -p "$B/rootfs/bin"
cp "$(command -v busybox)" "$B/rootfs/bin/busybox"
for p in sh sleep; do ln -s busybox "$B/rootfs/bin/$p"; done
"${RT[@]}" spec --bundle "$B"
for t in $tees; do
    mkdir -p "$T/$t" && python3 - "$B" "$T/$t/config.json" "$t" <<'END'
import json, sys
c = json.load(open(sys.argv[1] + '/config.json'))
c['root']['path'] = sys.argv[1] + '/rootfs'
c['process']['args'] = ['sh', '-c', 'sleep 300']
c['annotations'] = {'io.shelter.tee': sys.argv[3], 'io.shelter.memory': '96M'}
json.dump(c, open(sys.argv[2], 'w'))
END
done
facts() { # what a machine has of us
    pgrep -f "$T/run" | grep -v "^$$\$" | wc -l
    pgrep -f "$T/store" | grep -v "^$$\$" | wc -l
    wc -l </proc/mounts
    find /var/run/netns -mindepth 1 2>/dev/null | wc -l
    grep -c "$T" /proc/net/unix
    find /sys/fs/cgroup -type d -path "*/shelter/$N-*" 2>/dev/null | wc -l
    find "$T/run" "$T/store/instances" "$T/store/oci" -mindepth 1 ! -path '*/oci/[0-9a-f]*' 2>/dev/null | wc -l
    ip -o link | wc -l
}
cleanup_hooks+=('for c in $(ls "$T/run" 2>/dev/null); do timeout 20 "${RT[@]}" delete --force "$c"; done'
    'rmdir /sys/fs/cgroup/*/shelter 2>/dev/null; rmdir /sys/fs/cgroup/shelter 2>/dev/null')
below() { # PID: its children and theirs
    local p
    for p in $(pgrep -P "$1"); do echo "$p"; below "$p"; done
}
cycle() { # NUMBER TEE
    local id=$N-$1 pid victims
    sleep "0.0$((RANDOM % 10))"
    if [ $(($1 % 6)) = 5 ]; then # the command itself, while it makes the container
        timeout -s KILL "0.$((RANDOM % 40 + 1))" "${RT[@]}" create --bundle "$T/$2" --pid-file "$T/$id.pid" "$id" </dev/null >"$T/$id.out" 2>&1
    else
        timeout 100 "${RT[@]}" create --bundle "$T/$2" --pid-file "$T/$id.pid" "$id" </dev/null >"$T/$id.out" 2>&1 || echo "$id: create" >>"$T/failed"
        [ $(($1 % 6)) = 4 ] || timeout 60 "${RT[@]}" start "$id" >>"$T/$id.out" 2>&1 || echo "$id: start" >>"$T/failed"
        pid=$(cat "$T/$id.pid")
        case $(($1 % 6)) in
        0) sleep "0.$((RANDOM % 10))" && timeout 60 "${RT[@]}" kill "$id" KILL 2>>"$T/$id.out" || echo "$id: kill: $(tail -n 1 "$T/$id.out")" >>"$T/failed" ;;
        1 | 4) kill -KILL "$pid" ;;
        2 | 3) # one of those below it: the loader or QEMU, its helper, who carries stdio
            victims=($(below "$pid"))
            [ ${#victims[@]} = 0 ] || kill -KILL "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null ;;
        esac
    fi
    timeout 100 "${RT[@]}" delete --force "$id" >>"$T/$id.out" 2>&1 || echo "$id: delete" >>"$T/failed"
}
for t in $tees; do
    timeout 100 "${RT[@]}" create --bundle "$T/$t" "$N-first" </dev/null >/dev/null 2>&1 # converted, and folders made
    "${RT[@]}" delete --force "$N-first"
    before=$(facts) count=$([ $t = sgx-sim ] && echo "${SHELTER_CYCLES:-100}" || echo "${SHELTER_CYCLES_VM:-20}")
    : >"$T/failed"
    for ((i = 0; i < count; i++)); do
        cycle "$i" $t &
        [ $((i % 10)) -ne 9 ] || wait
    done 2>/dev/null
    wait
    same "$t: $count cycles, ten at once: each create, start, kill and delete worked" "$(cat "$T/failed")" ""
    as_before() { [ "$(facts)" = "$before" ]; }
    check "$t: nothing is left" until_true 30 as_before
    as_before || { echo "$before" | tr '\n' ' '; facts | tr '\n' ' '; pgrep -af "$T/run"; find "$T/run" "$T/store/instances" -mindepth 1; } | sed 's/^/#   /'
done
