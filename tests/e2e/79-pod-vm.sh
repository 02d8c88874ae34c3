#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A pod whose containers share one VM (io.shelter.pod), as an engine makes it by shelter-runtime: the containers that the
# image names, each with its own life; one network; what the host may not choose.
. tests/e2e/lib.sh
LIMIT=60
[ -f build/base/vmlinux ] && command -v qemu-system-x86_64 >/dev/null || { skip "pod-vm: no guest kernel or no QEMU"; exit 0; }
[ "$(id -u)" -eq 0 ] || { skip "pod-vm: needs root (network namespaces, cgroups)"; exit 0; }
export SHELTER_BASE=$ROOT/build/base
for t in tdx-sim sgx-sim; do ln -s "$SHELTER" "$T/shelter-runtime-$t"; done
RT=("$T/shelter-runtime-tdx-sim" --root "$T/run")
cleanup_hooks+=('for c in $(ls "$T/run" 2>/dev/null); do timeout 20 "${RT[@]}" delete --force "$c"; done'
    'rmdir /sys/fs/cgroup/*/shelter 2>/dev/null; rmdir /sys/fs/cgroup/shelter 2>/dev/null')
N=t-$$
mkdir -p "$T/root/bin" "$T/root/etc" "$T/image"
cp "$(command -v busybox)" "$T/root/bin/"
for p in touch sh cat echo id sleep httpd wget ls ps stty env head tr; do ln -s busybox "$T/root/bin/$p"; done
printf 'root:x:0:0::/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n' >"$T/root/etc/passwd"
web='echo ready; echo w >/tmp/new; trap "echo term; exit 5" TERM; httpd -f -p 127.0.0.1:8080 -h /etc & wait'
app='ls /tmp; until wget -q -O - http://127.0.0.1:8080/passwd >/tmp/got; do sleep 0.1; done; cat /tmp/got; id -u; cat; exit 7'
build() { "$SHELTER" build -t "$1" --allow exec,stats --tmpfs /containers/web/cache --tmpfs /scratch --container "web=$T/root sh -c '$web'" --container "app=$T/root sh -c '$app'" "${@:2}"; }
check "build --container" build pod
check "inspect names them" sh -c "'$SHELTER' inspect --json pod | python3 -c 'import json, sys; d = json.load(sys.stdin); assert [c[\"name\"] for c in d[\"containers\"]] == [\"web\", \"app\"], d'"
same "the same inputs are the same image" "$(build again -q)" "$(build pod -q)"
refused() { # TEXT OPTION…
    status "refused: ${*:2}" 125 "$SHELTER" build "${@:2}"
    one_line "... with the reason" "$1"
}
refused "write NAME=INPUT" --container web
refused "write NAME=INPUT" --container "a/b=$T/root sh"
refused "two containers" --container "a=$T/root sh" --container "a=$T/root ls"
refused "names no command" --container "a=$T/root"
printf 'containers = ["one=root sh -c \\"exit 0\\"", "two=root ls"]\n' >"$T/pod.toml"
check "a build file names them" sh -c "'$SHELTER' build -q -C '$T/pod.toml' -t filed && '$SHELTER' inspect --json filed | grep -q '\"exit 0\"'"

# config ID KIND CONTAINER EXPRESSION: a bundle; its command is the image's (b is the object).
config() {
    mkdir -p "$T/$1/rootfs"
    "$SHELTER" inspect --json pod | python3 -c '
import json, sys
path, kind, name, sandbox, change = sys.argv[1:]
own = [c for c in json.load(sys.stdin)["containers"] if c["name"] == name]
a = {"io.kubernetes.cri.container-type": kind}
if own: a.update({"io.kubernetes.cri.sandbox-id": sandbox, "io.kubernetes.cri.container-name": name, "io.shelter.pod": "pod"})
b = {"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "annotations": a, "hostname": "pod", "linux": {"namespaces": [] if own else [{"type": "network"}]},
     "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin", "KUBERNETES_SERVICE_HOST=10.0.0.1"], "args": own[0]["command"] if own else ["pause"]}}
exec(change)
json.dump(b, open(path + "/config.json", "w"))' "$T/$1" "$2" "$3" "$N-sb" "${4:-}"
}
is() { timeout 20 "${RT[@]}" state "$1" 2>/dev/null | grep -q "\"status\":.*\"$2\""; }
begin() { timeout 60 "${RT[@]}" create --bundle "$T/$1" "$N-$1" <"${2:-/dev/null}" >"$T/$1.out" 2>&1 && timeout 60 "${RT[@]}" start "$N-$1"; }
said() { until_true 30 grep -qx "$2" "$T/$1.out"; }
gone() { until_true 20 is "$N-$1" stopped; }
no_machine() { [ "$(machines)" = 0 ]; }
machines() { pgrep -fc "qemu-system.*$T/"; }
config sb sandbox ''
config web container web
config app container app
echo input >"$T/in"
check "a sandbox" begin sb
same "... needs no machine" "$(machines)" 0
check "the first container" begin web
check "... runs" said web ready
check "the second" begin app "$T/in"
check "they talk over localhost" said app 'web:x:1000:1000::/home/web:/bin/sh'
check "its input, and its own end" gone app
same "... all it said" "$(grep -v : "$T/app.out" | tr '\n' ' ')" "0 input "
same "they share one machine" "$(machines)" 1
check "the other runs on" is "$N-web" running
status "exec" 3 "${RT[@]}" exec "$N-web" sh -c 'cat /tmp/new /proc/1/comm; echo there >/dev/shm/x; echo c >/cache/c; exit 3'
same "... beside the container" "$(tr '\n' ' ' <"$T/out")" "w sh "
status "exec: as another user" 0 "${RT[@]}" exec --user 1000 "$N-web" sh -c 'id -u; echo $HOME'
same "... of its own files" "$(tr '\n' ' ' <"$T/out")" "1000 /home/web "
for verb in pause "update --resources $T/in"; do
    echo '{}' >"$T/in"
    status "$verb of one container" 1 "${RT[@]}" ${verb%% *} $(set -- $verb; shift; echo "$@") "$N-web"
    one_line "... is refused with the reason" "machine that its pod shares"
done
status "a signal that does not reach it" 1 "${RT[@]}" kill "$N-web" 34
for s in HUP USR1; do
    status "a signal that the image does not allow: $s" 1 "${RT[@]}" kill "$N-web" $s
    one_line "... is refused with the reason" "build it with --allow signal"
done
check "... and the container runs on" is "$N-web" running
status "delete of a stopped one" 0 "${RT[@]}" delete "$N-app"
check "kill" "${RT[@]}" kill "$N-web" TERM
check "... took it" said web term
check "... and ended" gone web
check "delete" "${RT[@]}" delete "$N-web"
check "it starts again" begin web
check "... with a root as built" said web ready
status "... its memory file systems are the pod's" 0 "${RT[@]}" exec "$N-web" cat /cache/c /dev/shm/x
check "kill -KILL" "${RT[@]}" kill "$N-web" KILL
check "... and at once a new one" sh -c "timeout 20 ${RT[*]} delete --force $N-web"
check "... which waits until the old one is gone" begin web
check "... runs" said web ready

# What the host may not choose.
no() { # NAME EXPRESSION TEXT
    config bad container app "$2"
    status "$1" 1 timeout 60 "${RT[@]}" create --bundle "$T/bad" "$N-bad"
    one_line "... is refused with the reason" "$3"
}
no "memory where the image has none" 'b["mounts"] = [{"destination": "/cache", "type": "tmpfs", "source": "tmpfs"}]' "with --tmpfs /containers/app/cache, or with --tmpfs /cache for all"
no "another command" 'b["process"]["args"] = ["ls"]' "which command runs"
no "an environment" 'b["process"]["env"] += ["LD_PRELOAD=/x"]' "LD_PRELOAD=/x"
no "a user" 'b["process"]["user"]["uid"] = 7' "its user"
no "a directory" 'b["process"]["cwd"] = "/tmp"' "its directory"
no "a folder of the host" 'b["mounts"] = [{"destination": "/mnt", "type": "bind", "source": "/etc", "options": ["bind"]}]' "takes none"
no "a container that the image has not" 'b["annotations"]["io.kubernetes.cri.container-name"] = "other"' "no container other"
no "two images" 'b["annotations"]["io.shelter.image"] = "pod"' "name two images"
no "no pod" 'del b["annotations"]["io.kubernetes.cri.sandbox-id"]' "in none"
"$SHELTER" build -q -t pair --container "app=$T/root sh -c '$app'" >"$T/pair"
no "another image than the machine's" 'b["annotations"]["io.shelter.pod"] = "pair"' "a pod has one image"
check "the pod's end" "${RT[@]}" kill "$N-sb" TERM
check "... ends its containers" gone web
check "... and the machine" until_true 20 no_machine
for c in web sb; do check "delete $c" timeout 20 "${RT[@]}" delete "$N-$c"; done

# Nothing is left of a pod whose supervisor was killed.
check "a pod again" begin sb
# One that may not write beside one that may; an emptyDir where the image has memory, one's own or all containers'.
memory='{"destination": "/%s", "type": "bind", "source": "/x/volumes/kubernetes.io~empty-dir/%s", "options": ["rbind"]}'
# shellcheck disable=SC2059
config web container web "b['root']['readonly'] = True; b['mounts'] = [$(printf "$memory, $memory" cache cache scratch scratch)]
b['linux']['resources'] = {'memory': {'limit': 64 << 20}, 'pids': {'limit': 50}}"
check "... with a container" begin web
check "... that runs" said web ready
status "... whose root is read-only" 1 "${RT[@]}" exec "$N-web" touch /x
check "... with the reason" grep -q 'Read-only file system' "$T/err"
status "... and its memory is not" 0 "${RT[@]}" exec "$N-web" touch /cache/x /scratch/of-web
# shellcheck disable=SC2059
config app container app "b['mounts'] = [$(printf "$memory" scratch scratch)]"
mkfifo "$T/held"
sleep 300 >"$T/held" &
cleanup_hooks+=("kill $! 2>/dev/null")
check "... one that writes beside it" begin app "$T/held"
check "... runs" said app 0
status "... does, and sees what is all containers'" 0 "${RT[@]}" exec "$N-app" sh -c 'touch /x; ls /scratch'
same "... of the other" "$(cat "$T/out")" of-web
count() { timeout 30 "${RT[@]}" events --stats "$N-$1" | python3 -c '
import json, sys
d = json.load(sys.stdin)["data"]
print(d["memory"]["usage"].get("limit"), 1 << 14 < d["memory"]["usage"]["usage"] < 64 << 20, d["cpu"]["usage"]["total"] > 0, d["pids"]["current"] > 0)'; }
same "events --stats: each container's own" "$(count web), $(count app)" "67108864 True True True, None True True True"
"${RT[@]}" exec "$N-web" sh -c 'x=$(head -c 90000000 /dev/zero | tr "\0" x); echo survived' >"$T/out" 2>&1
check "a container over its memory limit ends" gone web
check "... the other runs on" is "$N-app" running
timeout 20 "${RT[@]}" delete --force "$N-web"
check "... and it starts again" begin web
check "... runs" said web ready
pid=$(timeout 20 "${RT[@]}" state "$N-sb" | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
kill -KILL "$pid"
check "a killed supervisor takes its containers along" gone web
check "... all of them" gone app
check "... and the machine" until_true 20 no_machine
for c in web app sb; do check "delete --force $c" timeout 20 "${RT[@]}" delete --force "$N-$c"; done
same "nothing is left" "$(ls "$T/run" "$SHELTER_STORE/instances" | grep -v '^$\|:'; pgrep -f "shelter-runtime.*$T/run")" ""
# An image with a base that knew no bounds of a container (an older guest, which says so by its HELLO).
mkdir "$T/old"
cp tests/fake_guest.py "$T/old/qemu"
printf exec >"$T/old/what"
chmod 755 "$T" "$T/old" "$T/old/qemu"
older() { SHELTER_QEMU=$T/old/qemu begin "$1"; }
config web container web "b['linux']['resources'] = {'memory': {'limit': 64 << 20}}"
check "a sandbox, and an older guest in it" older sb
older web
check "... a container with a limit ends" gone web
check "... with the reason" grep -q 'build the image again' "$T/web.out"
timeout 20 "${RT[@]}" delete --force "$N-web"
config web container web
check "... one without" older web
check "... runs" said web 'argv web .*'
for c in web sb; do check "delete --force $c" timeout 20 "${RT[@]}" delete --force "$N-$c"; done
status "an enclave" 125 "$SHELTER" run --rm --tee sgx-sim pod
check "... has no such containers" grep -q 'share a VM' "$T/err"
