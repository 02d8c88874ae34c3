#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A reference.json that somebody else wrote: what the image's files give counts, at load, at add-reference
# and at verify --image.
. tests/e2e/lib.sh
[ -f build/base/vmlinux ] && [ -f build/base/enclave ] || { skip "reference: no build/base (make tools)"; exit 0; }
export SHELTER_BROKER=$T/broker
"$SHELTER" broker init
id=$("$SHELTER" build -q -t mine -f tests/md5)
other=$("$SHELTER" build -q -t theirs -f tests/md5 -e OTHER=1)
dir=$SHELTER_STORE/images
"$SHELTER" save -q -o "$T/mine.tar" mine
forge() { # HOW FROM TO: edits a saved image's reference.json
    python3 - "$@" "$dir/$other/reference.json" <<'PY'
import io, json, sys, tarfile
how, source, target, other = sys.argv[1:]
theirs = {r["tee"]: r["measurement"] for r in json.load(open(other))["references"]}
with tarfile.open(source) as a, tarfile.open(target, "w") as b:
    for m in a:
        data = a.extractfile(m).read()
        if m.name == "reference.json":
            r = json.loads(data)
            for e in r["references"]:
                if how in ("sgx", "sgx-sim", "tdx-sim") and e["tee"] == how:
                    e["measurement"] = theirs[how]
            if how == "firmware":
                r["references"].append({"tee": "snp", "firmware": {"name": "OVMF", "sha384": "0" * 96}, "cpu_model": "EPYC-v4",
                                        "cpus": [1, 64], "measurement": {"launch_digest": ["1" * 96] * 64}})
            if how == "manifest":
                r["manifest"] = "00"
            data = json.dumps(r).encode()
            m.size = len(data)
        if how == "signature" and m.name == "base/enclave.sig":
            data = open(other.replace("reference.json", m.name), "rb").read()
        b.addfile(m, io.BytesIO(data))
PY
}
cp "$dir/$id/reference.json" "$T/true.json"
"$SHELTER" rmi mine >/dev/null
for tee in sgx sgx-sim tdx-sim; do
    forge $tee "$T/mine.tar" "$T/forged.tar"
    status "load: another image's measurement for $tee" 125 "$SHELTER" load -q -i "$T/forged.tar"
    one_line "is told" "refused.*reference.json was changed.*$tee"
    check "and nothing is in the store" test ! -e "$dir/$id"
done
forge signature "$T/mine.tar" "$T/forged.tar"
status "load: another enclave's SIGSTRUCT, by the same key" 125 "$SHELTER" load -q -i "$T/forged.tar"
one_line "is told" "refused.*signature is of another enclave"
forge firmware "$T/mine.tar" "$T/forged.tar"
status "load: a value for firmware that is not here" 0 "$SHELTER" load -q -i "$T/forged.tar"
check "is left out" cmp "$dir/$id/reference.json" "$T/true.json"
check "and told" grep -q 'note: 1 of its reference values.*--firmware' "$T/err"
"$SHELTER" rmi mine >/dev/null
forge manifest "$T/mine.tar" "$T/forged.tar"
status "load: what else it says is not taken" 0 "$SHELTER" load -q -i "$T/forged.tar"
check "but computed" cmp "$dir/$id/reference.json" "$T/true.json"
# Whoever writes the file does not decide what a name means here.
"$SHELTER" save -q -o "$T/mine2.tar" mine
"$SHELTER" tag theirs mine
status "load: a tag that means another image here" 0 "$SHELTER" load -q -i "$T/mine2.tar"
check "stays where it is" test "$(sed -n 1p "$SHELTER_STORE/tags/mine:latest")" = "$other"
check "which is said" grep -q -- '--tag mine:latest moves it' "$T/err"
status "load --tag" 0 "$SHELTER" load -q -i "$T/mine2.tar" --tag mine
check "moves it" test "$(sed -n 1p "$SHELTER_STORE/tags/mine:latest")" = "$id"
# A file of a name's spelling is never taken for the image.
cd "$T" || exit 1
cp "$dir/$other/reference.json" mine
status "add-reference with a file of that name beside it" 0 "$SHELTER" broker add-reference mine --name by-name
same "takes the image" "$(cat "$T/out")" "$id"
"$SHELTER" broker remove-reference by-name
rm mine
cd "$ROOT" || exit 1
# The same in the store, behind our back.
python3 - "$dir/$id/reference.json" "$dir/$other/reference.json" <<'PY'
import json, sys
mine, theirs = json.load(open(sys.argv[1])), json.load(open(sys.argv[2]))
mine["references"] = theirs["references"]
json.dump(mine, open(sys.argv[1], "w"))
PY
status "add-reference of a changed image" 125 "$SHELTER" broker add-reference mine
one_line "is refused" 'reference.json was changed'
status "of its folder too" 125 "$SHELTER" broker add-reference "$dir/$id"
one_line "is refused" 'reference.json was changed'
head -c 1000 /dev/urandom >"$T/evidence"
status "verify --image of a changed image cannot judge" 2 "$SHELTER" verify --evidence "$T/evidence" --type snp --image mine
one_line "is told" 'reference.json was changed'
# Without a reference.json there is nothing to believe: the files are enough.
rm "$dir/$id/reference.json"
status "add-reference needs no reference.json" 0 "$SHELTER" broker add-reference mine
status "whose values are in the broker" 0 "$SHELTER" broker list
check "by its identity" grep -q "reference  mine  image ${id:0:12}" "$T/out"

# --- CoRIM, out and in ---
check "CoRIM: written" "$SHELTER" inspect --corim mine
"$SHELTER" inspect --corim mine >"$T/mine.corim"
status "CoRIM: a reference of the broker" 0 "$SHELTER" broker add-reference "$T/mine.corim" --name by-corim --identity "$id"
entries() { "$SHELTER" broker proposal show "$1" | python3 -c "
import json, sys
r = json.load(sys.stdin)['reference']
print(r['image'], len(r['manifest']) > 100, sorted({e['tee'] for e in r['references']}))"; }
"$SHELTER" broker add-reference "$T/mine.corim" --name one --identity "$id" --propose >/dev/null 2>&1
"$SHELTER" broker add-reference mine --name two --propose >/dev/null 2>&1
same "CoRIM: says what the image says" "$(entries one)" "$(entries two)"
head -c 100 "$T/mine.corim" >"$T/torn.corim"
status "CoRIM: torn" 125 "$SHELTER" broker add-reference "$T/torn.corim" --name torn
one_line "is told" "is cut"
status "CoRIM: of two images" 125 "$SHELTER" inspect --corim mine theirs
