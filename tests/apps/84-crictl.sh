#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# crictl with containerd: the same steps for a pod by runc and by shelter-runtime, side by side. Where critest is there
# too, CRITEST=all runs its suite for both, and prints what differs.
. tests/e2e/lib.sh
LIMIT=120
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "crictl: not built (make)"; exit 0; }
for x in containerd ctr crictl runc ip busybox; do command -v $x >/dev/null || { skip "crictl: $x is not installed"; exit 0; }; done
[ "$(id -u)" -eq 0 ] && [ -x /usr/lib/cni/bridge ] || { skip "crictl: needs root and the CNI plugins"; exit 0; }
if [ "${1:-}" != inside ]; then
    unshare -n -m bash "$0" inside
    exit
fi
. tests/apps/cri_lib.sh runc ${CRITEST:+'{"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}'}
printf 'runtime-endpoint: unix://%s\nimage-endpoint: unix://%s\ntimeout: 60\n' "$T/sock" "$T/sock" >"$T/crictl.yaml"
c() { timeout -k 5 90 crictl --config "$T/crictl.yaml" "$@"; }
step() { # NAME PATTERN COMMAND…: does what it prints have a line like this?
    local name=$1 pattern=$2
    shift 2
    if "$@" >"$T/out" 2>&1 && grep -qE -- "$pattern" "$T/out"; then echo "yes $name"; else
        echo "no $name"
        tail -n 2 "$T/out" | cut -c1-300 | sed 's/^/#   /' >&2
    fi
}
container() { # NAME ARGS…: its file
    local name=$1
    shift
    python3 - "$name" "$@" >"$T/$name.json" <<'END2'
import json, sys
name, *args = sys.argv[1:]
json.dump({'metadata': {'name': name}, 'image': {'image': 'localhost/test:latest'}, 'command': args, 'log_path': name + '.log',
           'linux': {'resources': {'memory_limit_in_bytes': 256 << 20}, 'security_context': {'run_as_user': {'value': 7}} if name == 'user' else {}}}, sys.stdout)
END2
    echo "$T/$name.json"
}
steps() { # HANDLER
    local pod a
    mkdir -p "$T/logs/$1"
    printf '{"metadata": {"name": "pod-%s", "namespace": "default", "uid": "u-%s", "attempt": 1}, "hostname": "host-%s", "log_directory": "%s", "linux": {}}' "$1" "$1" "$1" "$T/logs/$1" >"$T/pod.json"
    pod=$(c runp --runtime "$1" "$T/pod.json")
    step "runp, pods" Ready c pods
    step "inspectp: an address" '"ip": "10\.211' c inspectp "$pod"
    a=$(c create "$pod" "$(container web sh -c 'echo started; echo bad >&2; hostname; exec httpd -f -p 80 -h /www')" "$T/pod.json")
    step "create, ps -a" Created c ps -a
    step "start" . c start "$a"
    step "ps" Running c ps
    sleep 3
    step "logs" started c logs "$a"
    step "logs: stderr" bad c logs "$a"
    step "logs --tail" "^host-$1" c logs --tail 1 "$a"
    step "inspect: running" CONTAINER_RUNNING c inspect "$a"
    step "exec -s" inside c exec -s "$a" echo inside
    step "exec" inside c exec "$a" echo inside
    step "exec: its exit status" 'exited with 3' sh -c "timeout 60 crictl --config '$T/crictl.yaml' exec -s $a sh -c 'exit 3' 2>&1 || true"
    step "stats" "^$(printf %.13s "$a")" c stats "$a"
    step "statsp" "pod-$1" c statsp
    step "update" . c update --memory $((128 << 20)) "$a"
    timeout 30 crictl --config "$T/crictl.yaml" port-forward "$pod" 18080:80 >"$T/pf" 2>&1 &
    local forward=$!
    sleep 2
    step "port-forward" 'a page' sh -c 'timeout 20 busybox wget -q -O - http://127.0.0.1:18080/'
    kill $forward
    wait $forward 2>/dev/null
    a=$(c create "$pod" "$(container user id)" "$T/pod.json") && c start "$a" >"$T/out" 2>&1
    sleep 2
    step "run_as_user" 'uid=7' c logs "$a"
    step "an end of its own" Exited c ps -a
    step "rm" . c rm "$a"
    a=$(c create "$pod" "$(container stop sh -c 'trap "exit 9" TERM; while :; do sleep 0.2; done')" "$T/pod.json") && c start "$a" >"$T/out" 2>&1
    sleep 3
    step "stop" . c stop --timeout 10 "$a"
    step "stop: the program's own status" '"exitCode": 9' c inspect "$a"
    step "stopp" . c stopp "$pod"
    step "rmp -f" . c rmp -f "$pod"
    step "nothing is left" '^0$' sh -c "crictl --config '$T/crictl.yaml' ps -aq | wc -l"
}
for h in runc shelter; do steps $h >"$T/$h.steps" 2>"$T/$h.why"; done
can() { grep -qxF "yes $2" "$T/$1.steps"; }
while read -r name; do
    if can shelter "$name"; then ok "$name"; elif can runc "$name"; then not_ok "$name: runc can, shelter-runtime cannot"; else skip "$name: not with runc either"; fi
done < <(sed 's/^[a-z]* //' "$T/runc.steps")
grep "^#" "$T/shelter.why"
check "no instance is left" sh -c "[ -z \"\$(ls '$T/store/instances')\" ]"
# critest with images of this test's own under the names that it asks for: what pulls images, and AppArmor, NRI and user
# namespaces, are not of a runtime, or not of this machine.
if [ "${CRITEST:-}" = all ] && command -v critest >/dev/null; then
    for x in $(busybox --list); do [ -e "$T/root/bin/$x" ] || ln -s busybox "$T/root/bin/$x"; done
    mkdir -p "$T/root/etc" "$T/root/tmp" "$T/root/usr/bin" "$T/root/dev" "$T/root/proc"
    printf 'root:x:0:0:root:/:/bin/sh\nwww-data:x:33:33::/:/bin/sh\ndefault-user:x:1000:1000::/:/bin/sh\n' >"$T/root/etc/passwd"
    printf 'root:x:0:\nwww-data:x:33:\ndefault-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n' >"$T/root/etc/group"
    printf '#!/bin/sh\nexec httpd -f -p ${PORT:-80} -h /www\n' >"$T/root/bin/serve" && chmod +x "$T/root/bin/serve"
    tar -C "$T/root" --owner=0 --group=0 -cf "$T/image/layer.tar" .
    python3 - "$T/image" <<'END2'
import hashlib, json, sys
d = sys.argv[1]
layer = 'sha256:' + hashlib.sha256(open(d + '/layer.tar', 'rb').read()).hexdigest()
own, e2e, serve = 'gcr.io/k8s-staging-cri-tools/', 'registry.k8s.io/e2e-test-images/', {'Cmd': ['/bin/serve']}
images = {e2e + 'busybox:1.29-2': {'Cmd': ['sh']}, e2e + 'nginx:1.14-2': serve, e2e + 'httpd:2.4.39-4': serve, own + 'hostnet-nginx-amd64:latest': serve | {'Env': ['PATH=/bin', 'PORT=12003']},
          own + 'test-image-predefined-group:latest': {'User': '1000'}}
images |= {f'{own}test-image-user-{n}:latest': {'User': u} for n, u in
           [('uid', '1002'), ('username', 'www-data'), ('uid-group', '1003:users'), ('username-group', 'www-data:100')]}
names = []
for i, (name, config) in enumerate(images.items()):
    json.dump({'architecture': 'amd64', 'os': 'linux', 'config': {'Env': ['PATH=/bin']} | config, 'rootfs': {'type': 'layers', 'diff_ids': [layer]}}, open(f'{d}/c{i}.json', 'w'))
    names.append({'Config': f'c{i}.json', 'RepoTags': [name], 'Layers': ['layer.tar']})
json.dump(names, open(d + '/manifest.json', 'w'))
END2
    (cd "$T/image" && tar -cf "$T/critest.tar" manifest.json c?.json layer.tar)
    status "critest: its images" 0 ctr -a "$T/sock" -n k8s.io images import "$T/critest.tar"
    mkdir -p "$T/out-critest"
    for h in runc shelter; do
        timeout -k 5 "${CRITEST_SECONDS:-600}" critest --runtime-endpoint "unix://$T/sock" --image-endpoint "unix://$T/sock" --runtime-handler $h \
            --ginkgo.skip 'Image (Manager|Consistency|Identifier|Volume)|NRI|AppArmor|UserNamespaces|RemoveImage' --ginkgo.no-color \
            --ginkgo.json-report "$T/critest.$h.json" --ginkgo.focus "${CRITEST_FOCUS:-.}" >"$T/critest.$h" 2>&1
        echo "# critest, $h: $(grep -E '^Ran |^(FAIL|SUCCESS)!' "$T/critest.$h" | tr '\n' ' ')"
    done
    [ -z "${CRITEST_KEEP:-}" ] || cp "$T"/critest.* "$T/ctd.log" "$CRITEST_KEEP"
    python3 - "$T/critest.runc.json" "$T/critest.shelter.json" <<'END2'
import json, sys
def read(path):
    return {' '.join([*(r['ContainerHierarchyTexts'] or []), r['LeafNodeText']]).replace('[k8s.io] ', '').replace('[Conformance]', ''): r
            for r in json.load(open(path))[0]['SpecReports'] if r['LeafNodeType'] == 'It'}
runc, ours = map(read, sys.argv[1:])
for name, r in runc.items():
    o = ours.get(name, {'State': 'not run'})
    if (r['State'], o['State']) not in [('passed', 'passed'), ('skipped', 'skipped')]:
        print(f"# {r['State']} {o['State']}: {name}", o.get('Failure', {}).get('Message', '').replace('\n', ' ')[:300])
END2
fi
