#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shelter generate: an instance as a pod, and as a unit of systemd; read by others where they are here.
. tests/e2e/lib.sh
LIMIT=60
enclave_base generate
check "an image" "$SHELTER" build -q -t made -f "$(command -v busybox)"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
check "an instance" timeout 60 "$SHELTER" run -d --tee sgx-sim --name My_one -m 128M -p "127.0.0.1:$port:80" made /bin/busybox sleep '7 "and" more'
status "generate kube" 0 "$SHELTER" generate kube My_one
if python3 -c 'import yaml' 2>/dev/null; then
    check "... is a pod" python3 - "$T/out" "$port" <<'END'
import sys, yaml
p = yaml.safe_load(open(sys.argv[1]))
c = p['spec']['containers'][0]
assert (p['apiVersion'], p['kind'], p['metadata']['name'], p['spec']['runtimeClassName']) == ('v1', 'Pod', 'my-one', 'shelter')
assert p['metadata']['annotations'] == {'io.shelter.image': 'made', 'io.shelter.tee': 'sgx-sim'}
assert c['command'] == ['/bin/busybox', 'sleep', '7 "and" more'] and c['ports'] == [{'containerPort': 80, 'hostPort': int(sys.argv[2]), 'protocol': 'TCP'}]
assert c['resources']['limits']['memory'] == str(128 << 20)
END
else skip "... is a pod: no python3-yaml"; fi
status "generate quadlet" 0 "$SHELTER" generate quadlet My_one
for line in '[Container]' 'ContainerName=My_one' 'Annotation=io.shelter.image=made' 'Annotation=io.shelter.tee=sgx-sim' \
    "PublishPort=127.0.0.1:$port:80" 'Exec="/bin/busybox" "sleep" "7 \"and\" more"' 'GlobalArgs=--runtime shelter'; do
    check "... has $line" grep -qxF -- "$line" "$T/out"
done
generator=$(find /usr/lib/systemd/system-generators /usr/libexec/podman -name 'podman-system-generator' -o -name quadlet 2>/dev/null | head -n 1)
if [ -n "$generator" ]; then
    mkdir -p "$T/units" && cp "$T/out" "$T/units/one.container"
    check "... podman's generator reads it" env QUADLET_UNIT_DIRS="$T/units" "$generator" -dryrun
else skip "... podman's generator: not installed (podman 4.4)"; fi
status "generate of neither" 125 "$SHELTER" generate helm My_one
status "generate of nothing" 125 "$SHELTER" generate kube none
