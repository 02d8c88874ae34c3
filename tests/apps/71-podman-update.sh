#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# podman with shelter-runtime and a registry: by digest, and what an update brings: another image under the same name.
. tests/apps/podman_lib.sh
command -v docker-registry >/dev/null || { skip "podman and a registry: docker-registry is not installed"; exit 0; }
TEE=sgx-sim
at=127.0.0.1:5000
printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "%s"}\n' "$T/registry" "$at" >"$T/registry.yml"
docker-registry serve "$T/registry.yml" >"$T/registry.log" 2>&1 &
registry=$!
cleanup_hooks+=('kill $registry 2>/dev/null')
check "the registry" until_true 20 curl -sf "http://$at/v2/"
push() { # WORD: an image whose page says so, as app:1; its digest in $digest
    echo "$1" >"$T/root/www/index.html"
    tar -C "$T/root" -c . | p import - "$at/app:1" >"$T/out" 2>&1 && p push -q --tls-verify=false "$at/app:1" >"$T/out" 2>&1
    digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$at/app:1")
}
says() { p run --rm --network none "$@" cat /www/index.html 2>/dev/null; }
images() { "$SHELTER" images | grep -c shelter-oci; }
push one
first=$digest
p rmi -f "$at/app:1" >/dev/null 2>&1
check "pull by digest" p pull -q --tls-verify=false "$at/app@$first"
same "run by digest" "$(says "$at/app@$first")" one
check "pull" p pull -q --tls-verify=false "$at/app:1"
same "run by name" "$(says "$at/app:1")" one
before=$(images)
check "a container with the label of updates" p run -d --name u --network none --label io.containers.autoupdate=registry "$at/app:1" sh -c 'cat /www/index.html; exec sleep 1000'
push two
p untag "$at/app:1" >/dev/null 2>&1
check "pull again" p pull -q --tls-verify=false "$at/app:1"
# What auto-update does for a unit of systemd: the container is made anew from what the name means now.
status "the container anew" 0 "$T/podman" run -d --replace -t=false --name u --network none --label io.containers.autoupdate=registry "$at/app:1" sh -c 'cat /www/index.html; exec sleep 1000'
check "... is the new image" until_true 30 sh -c "timeout 20 '$T/podman' logs u 2>/dev/null | grep -qx two"
same "by the old digest it is the old one" "$(says "$at/app@$first")" one
same "... and converted is the new one alone" "$(images)" $((before + 1))
p rm -f -t 0 u >/dev/null 2>&1
# auto-update itself: it asks systemd to start the unit anew, here a script that does what such a unit does.
mkdir -p /run/systemd && mount -t tmpfs none /run/systemd
cat >"$T/unit" <<END
#!/bin/bash
exec timeout -k 5 60 "$T/podman" run -d --replace --name u --network none --label io.containers.autoupdate=registry --label PODMAN_SYSTEMD_UNIT="\$1" "$at/app:1" sh -c 'cat /www/index.html; exec sleep 1000'
END
chmod +x "$T/unit"
python3 tests/apps/systemd.py /run/systemd/private "$T/unit" >"$T/units" 2>&1 &
units=$!
cleanup_hooks+=('kill $units 2>/dev/null')
printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$at" >"$T/registries.conf"
export CONTAINERS_REGISTRIES_CONF=$T/registries.conf
check "auto-update: a unit" "$T/unit" u.service
status "auto-update --dry-run: nothing new" 0 "$T/podman" auto-update --dry-run --format '{{.Unit}} {{.Updated}}'
same "... it says so" "$(cat "$T/out")" "u.service false"
push three
p tag "$(p inspect -f '{{.Image}}' u)" "$at/app:1" # what is there is the older one
status "auto-update --dry-run: an image of another digest" 0 "$T/podman" auto-update --dry-run --format '{{.Unit}} {{.Updated}}'
same "... it says so" "$(cat "$T/out")" "u.service pending"
status "auto-update" 0 "$T/podman" auto-update --format '{{.Unit}} {{.Updated}}'
same "... it was done" "$(cat "$T/out")" "u.service true"
check "... by the unit, once" grep -qx 'restart u.service 0' "$T/units"
check "... the new image runs" until_true 30 sh -c "timeout 20 '$T/podman' logs u 2>/dev/null | grep -qx three"
same "... and converted is the new one alone" "$(images)" $((before + 2))
p rm -f -t 0 u >/dev/null 2>&1
# A registry that gives other bytes than the digest says.
blob=$(python3 -c "
import json, urllib.request
m = json.load(urllib.request.urlopen(urllib.request.Request('http://$at/v2/app/manifests/$digest', headers={'Accept': 'application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'})))
print(m['layers'][-1]['digest'].split(':')[1])")
p rmi -fa >/dev/null 2>&1
printf X | dd of="$T/registry/docker/registry/v2/blobs/sha256/${blob:0:2}/$blob/data" bs=1 seek=200 conv=notrunc 2>/dev/null
status "a registry that lies" 125 "$T/podman" run --rm --network none --tls-verify=false "$at/app:1" true
kill $registry $units
wait $registry $units 2>/dev/null
nothing_left
