#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# containerd with shelter-runtime: what a kubelet asks of it for a pod of two containers (tests/apps/cri).
. tests/e2e/lib.sh
LIMIT=200
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "cri: not built (make)"; exit 0; }
for x in containerd ctr go ip; do command -v $x >/dev/null || { skip "cri: $x is not installed (tools/install-deps --apps)"; exit 0; }; done
[ "$(id -u)" -eq 0 ] && [ -x /usr/lib/cni/bridge ] || { skip "cri: needs root and the CNI plugins"; exit 0; }
# In network and mount namespaces of its own: bridges, taps and what containerd mounts go with them.
if [ "${1:-}" != inside ]; then
    export GOFLAGS=-mod=mod
    mkdir -p "$T/cri" && cp tests/apps/cri/main.go "$T/cri/" && printf 'module cri\ngo 1.21\n' >"$T/cri/go.mod"
    (cd "$T/cri" && timeout 200 go get k8s.io/cri-api@v0.28.0 k8s.io/client-go@v0.28.0 google.golang.org/grpc@v1.58.3 && timeout 60 go mod tidy && timeout 500 go build -p 1 -o client .) >"$T/go.log" 2>&1 ||
        { skip "cri: its client cannot be built: $(tail -n 1 "$T/go.log")"; exit 0; }
    CRI_CLIENT=$T/cri/client unshare -n -m bash tests/apps/71-cri.sh inside
    exit
fi
. tests/apps/cri_lib.sh shelter
status "ctr run: the exit status" 3 ctr -n k8s.io run --rm --runc-binary "$T/runtime" --runtime io.containerd.runc.v2 localhost/test:latest one sh -c 'echo hi; exit 3'
same "ctr run: the output" "$(cat "$T/out")" hi
pod() { # TEE MODE LINE…: what the client says of a pod there
    local tee=$1 mode=$2
    shift 2
    mkdir -p "$T/logs/$tee"
    status "$tee: a pod" 0 "$CRI_CLIENT" "$T/sock" localhost/test:latest "$T/logs/$tee" "$tee" "$mode"
    sed 's/^/# /' "$T/out"
    for line in 'sandbox: SANDBOX_READY' 'page: a page' 'job: CONTAINER_EXITED 3' 'log: stdout line' 'log: stderr err' 'log: stdout pod' 'attach: got word' \
        'talker: 5' 'exec: inside 4' 'port-forward: a page' 'web: CONTAINER_EXITED' 'left: 0 0' "$@"; do
        check "$tee: $line" grep -qxF "$line" "$T/out"
    done
}
counted='memory counted: true cpu counted: true'
pod sgx-sim beside 'log: stdout a page' "$counted"
if [ -f build/base/vmlinux ] && command -v qemu-system-x86_64 tc >/dev/null; then
    pod tdx-sim machine "$counted"
    # The same in one machine: each container's command is in the image, and what the engine asks for is compared with it.
    own=(--container "web=docker-archive:$T/image.tar httpd -f -p 80 -h /www" --container "talker=docker-archive:$T/image.tar sh -c 'read x; echo got \$x; exit 5'"
        --container "job=docker-archive:$T/image.tar sh -c 'wget -q -O - http://localhost/; echo line; echo err >&2; hostname; exit 3'")
    check "an image of the pod" "$SHELTER" build -q -t pod --hostname pod --allow exec "${own[@]}"
    pod tdx-sim shared 'log: stdout a page'
else skip "tdx-sim: no guest kernel, no QEMU or no tc"; fi
check "no instance is left" sh -c "[ -z \"\$(ls '$T/store/instances')\" ]"
