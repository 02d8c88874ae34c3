#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The bill of materials: SPDX that hangs together, digests that are those of the files, and of an image's
# own base files or none; the kernel's source is a known one or named.
. tests/e2e/lib.sh
[ -f build/base/vmlinux ] && [ -f build/base/enclave ] || { skip "sbom: no build/base (make tools)"; exit 0; }
cat >"$T/check.py" <<'P'
import hashlib, json, sys
d = json.load(open(sys.argv[1]))
assert d["spdxVersion"] == "SPDX-2.3" and d["dataLicense"] == "CC0-1.0" and d["SPDXID"] == "SPDXRef-DOCUMENT"
assert d["documentNamespace"].startswith("https://") and d["creationInfo"]["created"].endswith("Z")
ids = [x["SPDXID"] for x in d["packages"] + d["files"]]
assert len(ids) == len(set(ids)), "an id twice"
for r in d["relationships"]:
    for end in (r["spdxElementId"], r["relatedSpdxElement"]):
        assert end in ids or end == d["SPDXID"], end
linked = {r[k] for r in d["relationships"] for k in ("spdxElementId", "relatedSpdxElement")}
assert set(ids) <= linked, "nothing is said of " + str(set(ids) - linked)
for p in d["packages"]:
    assert p["name"] and p["downloadLocation"] and p["versionInfo"] != "NOASSERTION", p
for f in d["files"]:
    name = f["fileName"][2:]
    data = open("build/" + name if name != "shelter" else name, "rb").read()
    for c in f["checksums"]:
        assert hashlib.new(c["algorithm"].lower(), data).hexdigest() == c["checksumValue"], name
    assert {c["algorithm"] for c in f["checksums"]} >= {"SHA1", "SHA384"}
print(*sorted(f["fileName"] for f in d["files"]))
P
for what in base all; do
    check "$what: is made" sh -c "tools/sbom $what >'$T/$what.json'"
    check "$what: hangs together, and its digests are right" python3 "$T/check.py" "$T/$what.json"
done
same "base: what is in it" "$(python3 "$T/check.py" "$T/base.json")" "./base/bzImage ./base/enclave ./base/initramfs ./base/vmlinux"
check "twice the same" sh -c "tools/sbom base | cmp - '$T/base.json'"
mkdir "$T/base"
cp build/base/* "$T/base/"
cp "$T/base.json" "$T/base/sbom.spdx.json"
export SHELTER_BASE=$T/base
printf '\177ELF' >"$T/prog"
status "build" 0 "$SHELTER" build -q -t one -f "$(command -v busybox || echo /bin/true)"
status "inspect --sbom" 0 "$SHELTER" inspect --sbom one
check "is the base's" cmp "$T/out" "$T/base.json"
sed -i 's/[0-9a-f]\{96\}/0/' "$T/base/sbom.spdx.json" # of other files
status "build beside a bill of other files" 0 "$SHELTER" build -q -t two -f "$(command -v busybox || echo /bin/true)" -e A=b
status "is not shown" 125 "$SHELTER" inspect --sbom two; one_line "told" "two has no bill of materials"
same "nor changes it the image" "$("$SHELTER" build -q -f "$(command -v busybox || echo /bin/true)")" \
    "$("$SHELTER" images --json | python3 -c 'import json,sys; print([i["id"] for i in json.load(sys.stdin) if "one:latest" in str(i)][0])')"

# The kernel's source.
echo source >"$T/linux.tar"
sum=$(sha256sum <"$T/linux.tar" | cut -c 1-64)
pin=(env SHELTER_KERNEL_SOURCE="$T/linux.tar")
status "an unknown source is told" 0 "${pin[@]}" kernel/pin; one_line "by its digest" "note: .*$sum"
status "unless it is the one that was named" 0 "${pin[@]}" SHELTER_KERNEL_SHA256="$sum" kernel/pin; same "without a word" "$(cat "$T/err")" ""
status "another than was named" 125 "${pin[@]}" SHELTER_KERNEL_SHA256="${sum//[0-9]/0}" kernel/pin; one_line "told" "$sum"
status "none of the list" 125 "${pin[@]}" SHELTER_KERNEL_SHA256=listed kernel/pin; one_line "told" "one of kernel/sources"
