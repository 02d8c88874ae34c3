# SPDX-License-Identifier: Apache-2.0
# For the tests of containerd, which have sourced tests/e2e/lib.sh and are in network and mount namespaces of their own:
# containerd with the runtimes runc and shelter (sgx-sim), at CONTAINERD_ADDRESS, and an image localhost/test:latest.
#   . tests/apps/cri_lib.sh RUNTIME [PLUGIN]   RUNTIME is the default; PLUGIN: another one behind CNI's bridge
ip link set lo up
mkdir -p /run/containerd && mount -t tmpfs none /run/containerd # sockets of shims
printf '#!/bin/bash\nexport SHELTER_STORE=%s SHELTER_BASE=%s\nexec -a shelter-runtime-sgx-sim %s "$@"\n' "$T/store" "$ROOT/build/base" "$SHELTER" >"$T/runtime"
chmod +x "$T/runtime"
mkdir -p "$T/cni" "$T/logs"
cat >"$T/cni/10-test.conflist" <<END
{"cniVersion": "0.4.0", "name": "test", "plugins": [{"type": "bridge", "bridge": "br0", "isGateway": true,
 "ipam": {"type": "host-local", "dataDir": "$T/ipam", "ranges": [[{"subnet": "10.211.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}${2:+, $2}]}
END
containerd='[plugins."io.containerd.grpc.v1.cri".containerd'
cat >"$T/config.toml" <<END
version = 2
root = "$T/ctd/root"
state = "$T/ctd/state"
[grpc]
  address = "$T/sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/test:latest"
  restrict_oom_score_adj = true
  $containerd]
    default_runtime_name = "$1"
  $containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  $containerd.runtimes.shelter]
    runtime_type = "io.containerd.runc.v2"
    pod_annotations = ["io.shelter.*"]
    container_annotations = ["io.shelter.*"]
  $containerd.runtimes.shelter.options]
    BinaryName = "$T/runtime"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$T/cni"
END
containerd -c "$T/config.toml" >"$T/ctd.log" 2>&1 &
daemon=$!
cleanup_hooks+=('for s in $(pgrep -f "containerd-shim.*$T/"); do kill -KILL $s; done' 'kill $daemon; wait $daemon 2>/dev/null'
    'grep -o " $T/[^ ]*" /proc/mounts | sort -r | xargs -r umount -l')
export CONTAINERD_ADDRESS=$T/sock
check "containerd: up" until_true 30 ctr version
# An image as docker save writes it, by hand: one layer, a configuration, a manifest.
mkdir -p "$T/image" "$T/root/bin" "$T/root/www"
cp "$(command -v busybox)" "$T/root/bin/"
for x in sh cat echo sleep httpd hostname wget true id; do ln -s busybox "$T/root/bin/$x"; done
echo 'a page' >"$T/root/www/index.html"
tar -C "$T/root" --owner=0 --group=0 -cf "$T/image/layer.tar" .
python3 - "$T/image" <<'END'
import hashlib, json, sys
d = sys.argv[1]
layer = 'sha256:' + hashlib.sha256(open(d + '/layer.tar', 'rb').read()).hexdigest()
json.dump({'architecture': 'amd64', 'os': 'linux', 'config': {'Cmd': ['sleep', '1000'], 'Env': ['PATH=/bin']}, 'rootfs': {'type': 'layers', 'diff_ids': [layer]}}, open(d + '/config.json', 'w'))
json.dump([{'Config': 'config.json', 'RepoTags': ['localhost/test:latest'], 'Layers': ['layer.tar']}], open(d + '/manifest.json', 'w'))
END
tar -C "$T/image" -cf "$T/image.tar" manifest.json config.json layer.tar
status "containerd: import" 0 ctr -n k8s.io images import "$T/image.tar"
