#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Images of a registry by skopeo, of a container file by buildah: digests, tags, signatures, encrypted layers, a registry
# that lies, and none at all.
. tests/e2e/lib.sh
for x in skopeo docker-registry busybox; do command -v $x >/dev/null || { skip "registry: $x is not installed (tools/install-deps --apps)"; exit 0; }; done
enclave_base registry
mkdir -p "$T/home/.config/containers" "$T/root/bin"
export HOME=$T/home XDG_RUNTIME_DIR=$T/home GNUPGHOME=$T/home/.gnupg
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
at=127.0.0.1:$port
cat >"$T/registry.yml" <<END
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $T/registry}}
http: {addr: $at}
END
printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$at" >"$T/home/.config/containers/registries.conf"
policy() { echo "$1" >"$T/home/.config/containers/policy.json"; }
policy '{"default": [{"type": "insecureAcceptAnything"}]}'
docker-registry serve "$T/registry.yml" >"$T/registry.log" 2>&1 &
cleanup_hooks+=("kill $! 2>/dev/null; wait $! 2>/dev/null")
python3 tests/oci.py oci "$T/layout"
check "a registry with an image" until_true 20 skopeo copy -q "oci:$T/layout" "docker://$at/tool:1"
digest=$(skopeo inspect --format '{{.Digest}}' "docker://$at/tool:1")
build=("$SHELTER" build -q)
status "by digest" 0 "${build[@]}" -t registry "docker://$at/tool@$digest"
id=$(cat "$T/out")
same "... is what the layout gives" "$("${build[@]}" "oci:$T/layout")" "$id"
same "... and nothing of the layout stays" "$(find "$SHELTER_STORE" -name 'fetched*' | wc -l)" 0
status "by tag" 125 "${build[@]}" "docker://$at/tool:1"
one_line "... says that a tag may change" "name the image by its digest"
status "a digest that is not there" 125 "${build[@]}" "docker://$at/tool@sha256:$(printf '%064d' 1)"
one_line "... says so" "skopeo: .*manifest unknown"
status "no registry" 125 "${build[@]}" "docker://127.0.0.1:1/tool@$digest"
one_line "... says so" "skopeo: .*connection refused"

# --- policy.json is honoured ---
policy '{"default": [{"type": "reject"}]}'
status "policy.json: reject" 125 "${build[@]}" "docker://$at/tool@$digest"
one_line "... says so" "skopeo: .*rejected by policy"
if command -v gpg >/dev/null; then
    mkdir -m 700 "$GNUPGHOME" && gpg -q --batch --pinentry-mode loopback --passphrase '' --quick-gen-key owner@example 2>"$T/err"
    gpg --export owner@example >"$T/owner.gpg"
    mkdir "$T/signatures" "$T/home/.config/containers/registries.d"
    printf 'default-docker:\n  sigstore: file://%s\n  sigstore-staging: file://%s\n' "$T/signatures" "$T/signatures" >"$T/home/.config/containers/registries.d/default.yaml"
    policy "{\"default\": [{\"type\": \"signedBy\", \"keyType\": \"GPGKeys\", \"keyPath\": \"$T/owner.gpg\", \"signedIdentity\": {\"type\": \"matchRepository\"}}]}"
    status "policy.json: signedBy, and it is not" 125 "${build[@]}" "docker://$at/tool@$digest"
    one_line "... says so" "skopeo: .*signature"
    policy '{"default": [{"type": "insecureAcceptAnything"}]}'
    check "signed" skopeo copy -q --sign-by owner@example "oci:$T/layout" "docker://$at/signed:1"
    policy "{\"default\": [{\"type\": \"signedBy\", \"keyType\": \"GPGKeys\", \"keyPath\": \"$T/owner.gpg\", \"signedIdentity\": {\"type\": \"matchRepository\"}}]}"
    status "policy.json: signedBy, and it is" 0 "${build[@]}" "docker://$at/signed@$digest"
    same "... the same image" "$(cat "$T/out")" "$id"
    gpgconf --kill all 2>/dev/null
else skip "policy.json: signedBy: no gpg"; fi
policy '{"default": [{"type": "insecureAcceptAnything"}]}'

# --- encrypted layers (ocicrypt) ---
openssl genrsa -out "$T/private.pem" 2048 2>/dev/null
openssl rsa -in "$T/private.pem" -pubout -out "$T/public.pem" 2>/dev/null
check "an encrypted image" skopeo copy -q --encryption-key "jwe:$T/public.pem" "oci:$T/layout" "docker://$at/secret:1"
secret=$(skopeo inspect --format '{{.Digest}}' "docker://$at/secret:1" 2>/dev/null || skopeo inspect --raw "docker://$at/secret:1" | sha256sum | sed 's/ .*//; s/^/sha256:/')
status "--decryption-key" 0 "${build[@]}" --decryption-key "$T/private.pem" "docker://$at/secret@$secret"
same "... is what was encrypted" "$(cat "$T/out")" "$id"
status "without the key" 125 "${build[@]}" "docker://$at/secret@$secret"
one_line "... says why" "encrypted|decrypt"
status "--decryption-key without docker://" 125 "${build[@]}" --decryption-key "$T/private.pem" "oci:$T/layout"

# --- a registry that lies about digests ---
blobs=$T/registry/docker/registry/v2/blobs/sha256
layer=$(skopeo inspect --format '{{index .Layers 1}}' "docker://$at/tool@$digest")
blob=$blobs/${layer:7:2}/${layer:7}/data
cp "$blob" "$T/blob"
printf x | dd of="$blob" bs=1 seek=600 conv=notrunc 2>/dev/null
status "a blob that was changed" 125 "${build[@]}" "docker://$at/tool@$digest"
one_line "... is refused" "skopeo: "
cp "$T/blob" "$blob"
manifest=$blobs/${digest:7:2}/${digest:7}/data
cp "$manifest" "$T/manifest"
echo >>"$manifest"
status "a manifest that was changed" 125 "${build[@]}" "docker://$at/tool@$digest"
one_line "... is refused" "skopeo: "
cp "$T/manifest" "$manifest"
status "as it was" 0 "${build[@]}" "docker://$at/tool@$digest"

# --- container files ---
if command -v buildah >/dev/null && [ "$(id -u)" -eq 0 ]; then
    mkdir -p "$T/context/bin"
    cp "$(command -v busybox)" "$T/context/bin/"
    ln -s busybox "$T/context/bin/echo"
    printf 'FROM scratch\nCOPY bin /bin\nENV A=b\nENTRYPOINT ["/bin/echo"]\nCMD ["from", "a", "file"]\n' >"$T/context/Containerfile"
    export STORAGE_DRIVER=vfs CONTAINERS_STORAGE_CONF=$T/storage.conf BUILDAH_ISOLATION=chroot
    printf '[storage]\ndriver = "vfs"\nrunroot = "%s"\ngraphroot = "%s"\n' "$T/run" "$T/graph" >"$T/storage.conf"
    status "a folder with a Containerfile" 0 "${build[@]}" -t file "$T/context"
    id=$(cat "$T/out")
    [ -x build/sgx-loader ] && same "... its command" "$(timeout 60 "$SHELTER" run --rm --tee sgx-sim file 2>/dev/null)" "from a file"
    cp "$T/context/Containerfile" "$T/other"
    status "-f" 0 sh -c "cd '$T/context' && '$SHELTER' build -q -f '$T/other' ."
    same "... the same image, at another time" "$(cat "$T/out")" "$id"
    same "... buildah keeps nothing" "$(buildah images -q | wc -l)" 0
    echo 'RUN no-such-program' >>"$T/context/Containerfile"
    status "a container file that fails" 125 "${build[@]}" "$T/context"
    one_line "... says why" "buildah: "
    status "two of them" 125 "${build[@]}" -f "$T/other" -f "$T/other" "$T/context"
    status "--rootfs and a folder" 125 "${build[@]}" -r "$T/root" "$T/context"
else skip "container files: no buildah, or not root"; fi
mkdir "$T/none"
status "no skopeo" 125 env PATH="$T/none" "$SHELTER" build -q "docker://$at/tool@$digest"
one_line "... says how to have it" "needs skopeo"
