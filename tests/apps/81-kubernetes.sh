#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# PostgreSQL in an enclave from the StatefulSet of packaging/kubernetes, through containerd's CRI as a kubelet calls it
# (tests/apps/kubelet): its volume is a claim's folder, its password comes from the broker. Killed, it starts on another
# node (another containerd, store and network namespace) with its data.
. tests/e2e/lib.sh
tee=${SHELTER_TEST_TEE:-sgx-sim} # 82-kubernetes-vm.sh: tdx-sim, which an emulator may run
LIMIT=180 patience=90
[ "$tee" = sgx-sim ] || { LIMIT=400 patience=300; export KUBELET_SECONDS=390; }
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "kubernetes: not built (make)"; exit 0; }
for x in containerd ctr go ip busybox psql; do command -v $x >/dev/null || { skip "kubernetes: $x is not installed (tools/install-deps --apps)"; exit 0; }; done
[ "$(id -u)" -eq 0 ] && [ -x /usr/lib/cni/bridge ] || { skip "kubernetes: needs root and the CNI plugins"; exit 0; }
BIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$BIN" ] && [ -x "$BIN/postgres" ] || { skip "kubernetes: PostgreSQL is not installed (tools/install-deps --apps)"; exit 0; }
# In network and mount namespaces of its own: bridges, wires and what containerd mounts go with them.
if [ "${1:-}" != inside ]; then
    export GOFLAGS=-mod=mod
    mkdir -p "$T/go" && cp tests/apps/kubelet/main.go "$T/go/" && printf 'module kubelet\ngo 1.21\n' >"$T/go/go.mod"
    (cd "$T/go" && timeout 200 go get k8s.io/cri-api@v0.28.0 k8s.io/api@v0.28.0 k8s.io/apimachinery@v0.28.0 google.golang.org/grpc@v1.58.3 sigs.k8s.io/yaml@v1.3.0 &&
        timeout 60 go mod tidy && timeout 500 go build -p 1 -o kubelet .) >"$T/go.log" 2>&1 ||
        { skip "kubernetes: its client cannot be built: $(tail -n 1 "$T/go.log")"; exit 0; }
    KUBELET=$T/go/kubelet unshare -n -m bash "$0" inside
    exit
fi
M=packaging/kubernetes
status "manifests: Kubernetes' types read them" 0 "$KUBELET" check $M/pod.yaml $M/runtimeclass.yaml $M/database/database.yaml $M/broker/broker.yaml
same "... all of them" "$(sort "$T/out" | cut -d' ' -f1 | tr '\n' ' ')" \
    "Deployment/shelter-broker PersistentVolumeClaim/shelter-broker Pod/vault RuntimeClass/shelter Service/db Service/shelter-broker StatefulSet/db "

if command -v kubectl >/dev/null; then
    for d in "" /database /broker; do status "kubectl kustomize kubernetes$d" 0 kubectl kustomize $M$d && cat "$T/out" >>"$T/kustomized"; done
    same "... makes them" "$(grep -c '^kind:' "$T/kustomized")" 7
else skip "kubectl kustomize: not installed"; fi

# --- the owner: a broker, the image ---
mount -t tmpfs none /run/netns 2>/dev/null || { mkdir -p /run/netns && mount -t tmpfs none /run/netns; }
mkdir -p /run/containerd && mount -t tmpfs none /run/containerd # sockets of shims, and the runtime's state
ip link set lo up
ip netns add b
ip link add wire type veth peer name wire netns b
ip addr add 10.210.0.1/24 dev wire
ip link set wire up
ip -n b addr add 10.210.0.2/24 dev wire
ip -n b link set wire up
ip -n b link set lo up
ip route add 10.212.0.0/24 via 10.210.0.2
ip netns exec b sysctl -qw net.ipv4.ip_forward=1
export SHELTER_BROKER=$T/broker SHELTER_BASE=$ROOT/build/base
export SHELTER_STORE=$T/a/store
mkdir -p "$T/a" "$T/b"
for n in a b; do SHELTER_STORE=$T/$n/store "$SHELTER" attest --simulated-root -o "$T/$n.pem"; done # each node is a machine
cat "$T/a.pem" "$T/b.pem" >"$T/root.pem"
"$SHELTER" broker init
"$SHELTER" broker key >"$T/key.pem"
timeout 900 "$SHELTER" broker serve --listen 10.210.0.1:8443 --allow-simulated "$T/root.pem" --url-file "$T/url" >"$T/broker.log" 2>&1 &
cleanup_hooks+=("kill $! 2>/dev/null")
check "the broker" until_true 20 test -s "$T/url"
R=$T/root
mkdir -p "$R"/{bin,etc,tmp,data,run,proc,dev}
chmod 1777 "$R/tmp"
printf 'root:x:0:0:root:/:/bin/sh\npostgres:x:100:100::/data:/bin/sh\n' >"$R/etc/passwd"
printf 'root:x:0:\npostgres:x:100:\n' >"$R/etc/group"
add() { # FILE [AS]: with the libraries it needs
    local to=$R${2:-$1} l
    mkdir -p "$(dirname "$to")"
    cp -L "$1" "$to"
    { ldd "$1" 2>/dev/null | grep -oE '/[^ ]+'; } | while read -r l; do
        [ -e "$R$l" ] || { mkdir -p "$R$(dirname "$l")" && cp -L "$l" "$R$l"; }
    done
}
VERSION=$(basename "$(dirname "$BIN")")
for p in postgres initdb; do add "$BIN/$p"; done
for d in /usr/lib/postgresql/$VERSION/lib /usr/share/postgresql/$VERSION; do mkdir -p "$R$d" && cp -rL "$d/." "$R$d/"; done
find "/usr/lib/postgresql/$VERSION/lib" -name '*.so*' -type f | while read -r f; do add "$f"; done
add "$(command -v busybox)" /bin/busybox
for a in sh cat ls locale kill true chown su cp chmod; do ln -sf busybox "$R/bin/$a"; done
cat >"$R/bin/start" <<END
#!/bin/sh
set -e
chown postgres /data
cp /run/secrets/password /tmp/password
chown postgres /tmp/password
exec su postgres -c /bin/server
END
cat >"$R/bin/server" <<END
#!/bin/sh
set -e
if [ ! -s /data/ready ]; then
    $BIN/initdb -D /data/d -A scram-sha-256 -U postgres --pwfile=/tmp/password
    echo 'host all all all scram-sha-256' >>/data/d/pg_hba.conf
    echo done >/data/ready
fi
exec $BIN/postgres -D /data/d -k /tmp -c listen_addresses='*'
END
chmod 755 "$R/bin/start" "$R/bin/server"
tar -C "$R" --owner=0 --group=0 -cf "$T/root.tar" .
PASSWORD=$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')
printf %s "$PASSWORD" >"$T/password"
head -c 32 /dev/urandom >"$T/volume.key"
check "the image" "$SHELTER" build -q -t db -r "$T/root.tar" -c /bin/start --broker-key "$T/key.pem" \
    --secret password=kbs:///db/password/1 --volume data:/data:key=kbs:///volumes/key/db:size=1G
check "its reference" "$SHELTER" broker add-reference db
check "its volume's key" "$SHELTER" broker add-resource volumes/key/db "$T/volume.key" --image db
check "its password" "$SHELTER" broker add-resource db/password/1 "$T/password" --image db
check "on the other node: save" "$SHELTER" save -o "$T/db.shelter" db
check "... load" env SHELTER_STORE="$T/b/store" "$SHELTER" load -i "$T/db.shelter"

# --- two nodes ---
mkdir -p "$T/image" "$T/claims/data"
mkdir -p "$T/pause/bin" && cp "$(command -v busybox)" "$T/pause/bin/pause"
tar -C "$T/pause" --owner=0 --group=0 -cf "$T/image/layer.tar" .
python3 - "$T/image" <<'END'
import hashlib, json, sys
d = sys.argv[1]
layer = 'sha256:' + hashlib.sha256(open(d + '/layer.tar', 'rb').read()).hexdigest()
json.dump({'architecture': 'amd64', 'os': 'linux', 'config': {'Cmd': ['/bin/pause'], 'Env': ['PATH=/bin']}, 'rootfs': {'type': 'layers', 'diff_ids': [layer]}}, open(d + '/config.json', 'w'))
json.dump([{'Config': 'config.json', 'RepoTags': ['localhost/db:latest'], 'Layers': ['layer.tar']}], open(d + '/manifest.json', 'w'))
END
tar -C "$T/image" -cf "$T/image.tar" manifest.json config.json layer.tar
node() { # NAME SUBNET RUN…: a containerd with our runtime class
    local d=$T/$1 net=$2
    mkdir -p "$d/cni" "$d/logs"
    printf '#!/bin/bash\nexport SHELTER_STORE=%s SHELTER_BASE=%s\nexec -a shelter-runtime %s "$@"\n' "$d/store" "$SHELTER_BASE" "$SHELTER" >"$d/runtime"
    chmod +x "$d/runtime"
    cat >"$d/cni/10-test.conflist" <<END
{"cniVersion": "0.4.0", "name": "test", "plugins": [{"type": "bridge", "bridge": "br0", "isGateway": true,
 "ipam": {"type": "host-local", "dataDir": "$d/ipam", "ranges": [[{"subnet": "$net.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
END
    sed -e '/^version/d' -e "s|@RUNTIME@|$d/runtime|" packaging/containerd.toml >"$d/runtimes.toml"
    cat - "$d/runtimes.toml" >"$d/config.toml" <<END
version = 2
root = "$d/root"
state = "$d/state"
[grpc]
  address = "$d/sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/db:latest"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$d/cni"
END
    shift 2
    "$@" containerd -c "$d/config.toml" >"$d/log" 2>&1 &
    cleanup_hooks+=("kill $!; wait $! 2>/dev/null")
    check "node ${d##*/}: containerd" until_true 30 ctr -a "$d/sock" version
    status "... its image" 0 ctr -a "$d/sock" -n k8s.io images import "$T/image.tar"
}
node a 10.211.0
node b 10.212.0 ip netns exec b
cleanup_hooks+=('for s in $(pgrep -f "containerd-shim.*$T/|shelter-runtime.*$T/"); do kill -KILL $s; done'
    'sleep 0.5; grep -o " $T/[^ ]*" /proc/mounts | sort -r | xargs -r umount -l'
    'find /sys/fs/cgroup -depth -type d -path "*kubepods-test*" -exec rmdir {} + 2>/dev/null')
sed -e 's|registry.example/db@.*|localhost/db:latest|' -e "s|io.shelter.tee: sgx|io.shelter.tee: $tee|" -e "s|memory: 4Gi|memory: 1Gi|" -e "s|io.shelter.broker: .*|io.shelter.broker: $(cat "$T/url")|" \
    $M/database/database.yaml >"$T/database.yaml"
begin() { # NODE: the pod; $pod, $address
    status "node $1: the StatefulSet's pod is ready" 0 ${at[@]+"${at[@]}"} "$KUBELET" start "$T/$1/sock" "$T/database.yaml,$M/runtimeclass.yaml" db "$T/claims" "$T/$1/logs"
    pod=$(sed -n 's/^pod: //p' "$T/out") address=$(sed -n 's/^address: //p' "$T/out")
    [ -n "$address" ] || { { grep "^error" "$T/out"; grep level=error "$T/$1/log"; tail -n 5 "$T/$1/logs/postgres.log"; } | tail -n 12 | sed "s|^|#   |"; exit; }
}
sql() { PGPASSWORD=$PASSWORD PGCONNECT_TIMEOUT=5 timeout 60 "${at[@]}" psql -h "$address" -U postgres -XAtqc "$1" 2>&1; }
answers() { [ "$(sql 'select 1')" = 1 ]; }
at=()
begin a
check "node a: PostgreSQL answers with the broker's password" until_true $patience answers || tail -n 20 "$T/a/logs/postgres.log" | sed 's/^/#   /'
PGPASSWORD=wrong PGCONNECT_TIMEOUT=5 timeout 60 psql -h "$address" -U postgres -XAtqc 'select 1' >"$T/out" 2>&1
check "... and with no other" grep -q 'password authentication failed' "$T/out"
same "... a table" "$(sql 'create table t (n int); insert into t select generate_series(1, 1000); select count(*) from t')" 1000
check "the claim holds the volume" [ -s "$T/claims/data/data.volume" ]
same "... and nothing that can be read" "$(grep -c -a -e "$PASSWORD" -e pg_hba "$T/claims/data/data.volume")" 0
for i in $(seq 20); do sql "insert into t values ($((1000 + i)))" >/dev/null; done
loader=$(who_has "$T/claims/data/*")
[ -z "$loader" ] || kill -KILL "$loader"
check "killed" until_true 20 sh -c "! [ -d /proc/${loader:-self} ]"
status "node a: the pod is removed" 0 "$KUBELET" stop "$T/a/sock" "$pod" 5
check "... no instance is left" sh -c "[ -z \"\$(ls '$T/a/store/instances')\" ]"
at=(ip netns exec b)
begin b
# The broker gives the volume to nobody else while it may think that its holder lives: the first ones end, and say so.
check "node b: PostgreSQL answers ($(grep -c '^exited' "$T/out") starts too early for the broker)" until_true $patience answers
same "... refused for that reason alone" "$(grep 'another instance holds the volume' "$T/b/logs/postgres.log" | wc -l)" "$(grep -c '^exited: postgres 123' "$T/out")"
same "... with its data" "$(sql 'select count(*), max(n) from t')" "1020|1020"
status "node b: stop" 0 "$KUBELET" stop "$T/b/sock" "$pod" 30
same "... PostgreSQL's own exit status" "$(grep '^exit' "$T/out")" "exit: postgres 0"
check "... no instance is left" sh -c "[ -z \"\$(ls '$T/b/store/instances')\" ]"

# --- the same claim as a block device ---
if [ "$tee" != sgx-sim ]; then : # a start less where a machine may be emulated
elif loop=$(losetup -f --show "$T/claims/data/data.volume" 2>/dev/null); then
    cleanup_hooks+=("losetup -d $loop 2>/dev/null")
    cp "$T/database.yaml" "$T/plain.yaml"
    sed -i -e 's/volumeMounts:/volumeDevices:/' -e 's/mountPath:/devicePath:/' -e 's/accessModes:/volumeMode: Block\n        &/' "$T/database.yaml"
    mkdir "$T/devices" && ln -s "$loop" "$T/devices/data"
    mv "$T/claims" "$T/gone" && mv "$T/devices" "$T/claims"
    at=()
    begin a
    check "node a, a block device: PostgreSQL answers" until_true $patience answers
    same "... with its data" "$(sql 'select count(*), max(n) from t')" "1020|1020"
    status "node a: stop" 0 "$KUBELET" stop "$T/a/sock" "$pod" 30
    losetup -d "$loop"
    mv "$T/claims" "$T/devices" && mv "$T/gone" "$T/claims" && mv "$T/plain.yaml" "$T/database.yaml"
else skip "a block device: no loop devices here"; fi

# --- what is locked stays so ---
refused() { # NAME SED PATTERN
    sed "$2" "$T/database.yaml" >"$T/other.yaml"
    timeout 60 "$KUBELET" start "$T/a/sock" "$T/other.yaml,$M/runtimeclass.yaml" db "$T/claims" "$T/a/logs" >"$T/out" 2>&1
    check "$1 is refused, and kubectl would say why" grep -q "error:.*$3" "$T/out"
    timeout 60 "$KUBELET" stop "$T/a/sock" "$(sed -n 's/^pod: //p' "$T/out")" 1 >/dev/null
}
refused "another command" 's|/bin/start|/bin/sh|' 'the image is locked: command'
refused "no volume" '/volumeMounts:/,/mountPath:/d' 'the image has a volume data: mount a folder'
status "the volume fits together" 0 "$SHELTER" volume check "$T/claims/data/data.volume" --key "$T/volume.key"
