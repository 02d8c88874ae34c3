#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Evidence and tokens before other people's code, fetched from their registries: dcap-qvl, sev and ear (Rust), go-tdx-guest
# and go-sev-guest (Go). Ours are judged by them, the samples that they ship by us.
# May take 600 s: compilers, where nothing is built yet.
. tests/apps/lib.sh
need openssl python3
LIMIT=120
for p in make_evidence quoter agent_evidence; do
    [ -x "build/tests/$p" ] || { skip "interop: build/tests/$p is not built (make build/tests/$p)"; exit 0; }
done
# made KIND: evidence under roots of this test, in the vendors' profiles.
made() { mkdir -p "$T/$1" && build/tests/make_evidence "$1" "$T/$1"; }
# flipped FILE AT: a copy with one bit of that byte changed, as FILE.bad.
flipped() {
    python3 -c 'import sys; d = bytearray(open(sys.argv[1], "rb").read()); d[int(sys.argv[2])] ^= 1; open(sys.argv[1] + ".bad", "wb").write(d)' "$1" "$2"
}
# ours NAME TYPE EVIDENCE… : how `shelter verify` judges, in $verdict and $tcb.
ours() {
    timeout 60 "$SHELTER" verify "$@" --json >"$T/v.json" 2>"$T/err"
    IFS='|' read -r verdict tcb reason < <(python3 -c "import json,sys; d=json.load(open(sys.argv[1])); print(d['signatures'],d['tcb_status'],d['reason_code'],sep='|')" "$T/v.json")
}
made sgx3; made tdx4; made tdx5; made tdx15; made tdx15ex; made snp-rsa
for c in signer:vcek ask:ask ark:ark; do
    f=$T/snp-rsa/${c%:*}
    if [ -e "$f.der" ]; then cp "$f.der" "$T/snp-rsa/${c#*:}.crt"; else openssl x509 -in "$f.pem" -outform DER -out "$T/snp-rsa/${c#*:}.crt"; fi
done
# What the agent makes of that report: a configfs-tsm entry with the certificate table of the platform.
python3 - "$T/snp-rsa" <<'PY'
import sys, uuid
folder = sys.argv[1]
names = {"vcek": "63da758d-e664-4564-adc5-f4b93be8accd", "ask": "4ab7b379-bbac-4fe4-a02f-05aef327c782", "ark": "c0b406a4-a803-4952-9743-3fb6014cd0ae"}
certs = {n: open(f"{folder}/{n}.crt", "rb").read() for n in names}
at, table, data = 24 * (len(names) + 1), b"", b""
for n, guid in names.items():
    table += uuid.UUID(guid).bytes + (at + len(data)).to_bytes(4, "little") + len(certs[n]).to_bytes(4, "little")
    data += certs[n]
open(f"{folder}/auxblob", "wb").write(table + bytes(24) + data)
open(f"{folder}/outblob", "wb").write(open(f"{folder}/report.bin", "rb").read())
open(f"{folder}/inblob", "wb").close()
open(f"{folder}/generation", "w").write("1\n")
PY
check "agent: evidence of the SNP report" sh -c 'build/tests/agent_evidence snp "$1" >"$1/evidence.json"' sh "$T/snp-rsa"
measurement="$(printf '66%.0s' $(seq 48)) $(printf '00%.0s' $(seq 64))"

# A quote of the simulated platform, as `shelter attest` gives it.
add /bin/busybox
image sim
start sim 80 /bin/busybox sleep 1000
check "sgx-sim: attest" "$SHELTER" attest --nonce 0011 -o "$T/sim.json" sim
check "sgx-sim: collateral" "$SHELTER" attest --collateral "$T/sim" --tee sgx-sim
"$SHELTER" attest --simulated-root -o "$T/sim/root.pem" 2>/dev/null
"$SHELTER" kill sim >/dev/null 2>&1
python3 - "$T" <<'PY'
import base64, json, sys
t = sys.argv[1]
open(f"{t}/sim/quote.bin", "wb").write(base64.b64decode(json.load(open(f"{t}/sim.json"))["quote"]))
text = lambda name: open(f"{t}/sim/{name}").read()
raw = lambda name: open(f"{t}/sim/{name}", "rb").read().hex()
def signed(name, member):
    body = text(name)
    begin = body.index(":", body.index(f'"{member}"')) + 1
    value, end = json.JSONDecoder().raw_decode(body, begin)
    return body[begin:end], json.loads(body)["signature"]
info, info_sig = signed("tcb_info.json", "tcbInfo")
qe, qe_sig = signed("qe_identity.json", "enclaveIdentity")
chain = text("tcb_signing_chain.pem")
json.dump({"pck_crl_issuer_chain": text("pck_crl_issuer_chain.pem"), "root_ca_crl": raw("root_ca_crl.der"), "pck_crl": raw("pck_crl.der"),
           "tcb_info_issuer_chain": chain, "tcb_info": info, "tcb_info_signature": info_sig,
           "qe_identity_issuer_chain": chain, "qe_identity": qe, "qe_identity_signature": qe_sig}, open(f"{t}/sim/collateral.json", "w"))
PY

# All builds have this many seconds together, and what they built stays for the next run.
BUILD_END=$((SECONDS + ${INTEROP_BUILD_S:-450}))
kept=$ROOT/build/interop
mkdir -p "$kept"
# built WHAT COMMAND…: in the time that is left; otherwise the test of it is skipped, and says why.
built() {
    local what=$1 left=$((BUILD_END - SECONDS)) rc
    shift
    timeout "$((left > 0 ? left : 1))" "$@" >"$T/err" 2>&1
    rc=$?
    [ $rc -eq 0 ] && return 0
    if [ $rc -eq 124 ]; then
        skip "interop: $what is not built yet; run this again (or with a larger INTEROP_BUILD_S), it goes on from here"
    else
        skip "interop: $what cannot be had: $(tail -n 1 "$T/err" | cut -c1-100)"
    fi
    return 1
}
# crate FOLDER PROGRAM: builds it; the program is $judge then.
crate() {
    cp -r "tests/apps/interop/$1" "$T/$1"
    built "$1, with its crates," env OPENSSL_NO_VENDOR=1 "CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$kept/$1}" \
        cargo build -q --release --manifest-path "$T/$1/Cargo.toml" || return 1
    judge=${CARGO_TARGET_DIR:-$kept/$1}/release/$2
}
rust() {
    local samples f kind d at
    crate rust judge || return
    for kind in sgx3 tdx4 tdx5 tdx15 tdx15ex sim; do
        d=$T/$kind
        openssl x509 -in "$d/root.pem" -outform DER -out "$d/root.der"
        same "dcap-qvl: our $kind" "$("$judge" dcap "$d/quote.bin" "$d/collateral.json" "$d/root.der" 2>&1)" UpToDate
        flipped "$d/quote.bin" 200
        status "dcap-qvl: our $kind, one bit changed" 1 "$judge" dcap "$d/quote.bin.bad" "$d/collateral.json" "$d/root.der"
        status "dcap-qvl: our $kind, Intel's root" 1 "$judge" dcap "$d/quote.bin" "$d/collateral.json" intel
    done
    same "sev: our agent's SNP evidence" "$("$judge" snp "$T/snp-rsa/evidence.json" 2>&1)" "$measurement"
    python3 - "$T/snp-rsa" <<'PY'
import json, sys
d = json.load(open(f"{sys.argv[1]}/evidence.json"))
d["attestation_report"]["policy"] = d["attestation_report"]["policy"] ^ 1 if isinstance(d["attestation_report"]["policy"], int) else 0
json.dump(d, open(f"{sys.argv[1]}/bad.json", "w"))
PY
    status "sev: our agent's SNP evidence, another policy" 1 "$judge" snp "$T/snp-rsa/bad.json"
    # Theirs: the samples in the crates, at the time at which their own tests judge them.
    samples=$(cd "$T/rust" && cargo metadata --format-version 1 --offline --filter-platform x86_64-unknown-linux-gnu 2>/dev/null | python3 -c '
import json, os, sys
d = {p["name"]: os.path.dirname(p["manifest_path"]) for p in json.load(sys.stdin)["packages"]}
print(d["dcap-qvl"], d["sev"])')
    for f in sgx_quote:sgx tdx_quote:tdx tdx_quote_td15ex:tdx; do
        d=${samples% *}/sample/${f%:*}
        at=$(python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); print(json.loads(d["tcb_info"])["issueDate"])' "${d}_collateral.json")
        ours --type "${f#*:}" --evidence "$d" --collateral "${d}_collateral.json" --time "$(($(date -d "$at" +%s) + 86400))"
        same "theirs: dcap-qvl's ${f%:*}: signatures" "$verdict" valid
    done
    python3 -c 'import sys; open(sys.argv[2],"wb").write(bytes.fromhex(open(sys.argv[1]).read().strip()))' "${samples#* }/tests/certs_data/report_milan.hex" "$T/milan.bin"
    ours --type snp --evidence "$T/milan.bin" --signer "${samples#* }/tests/certs_data/vcek_milan.der"
    same "theirs: sev's Milan report: signatures" "$verdict" valid
}

ear() {
    crate ear judge-ear || return
    check "ear: a token of our broker" python3 tests/apps/interop/token.py "$SHELTER" build/tests/quoter "$T"
    check "ear: affirms" sh -c '"$1" "$2/token" "$2/jwks.json" | grep -q "^Affirming "' sh "$judge" "$T"
    sed 's/\(....\)$/AAAA/' "$T/token" >"$T/token.bad"
    status "ear: another signature" 1 "$judge" "$T/token.bad" "$T/jwks.json"
}

go_() {
    local d kind tdx sev
    cp -r tests/apps/interop/go "$T/go"
    built "go, with go-tdx-guest and go-sev-guest," go build -C "$T/go" -o judge . || return 0
    judge=$T/go/judge
    d=$T/tdx4
    same "go-tdx-guest: our TDX quote with its collateral" "$("$judge" tdx "$d/quote.bin" "$d" "$d/root.pem" 2>&1)" accepted
    flipped "$d/quote.bin" 200
    status "go-tdx-guest: one bit changed" 1 "$judge" tdx "$d/quote.bin.bad" "$d" "$d/root.pem"
    status "go-tdx-guest: another root" 1 "$judge" tdx "$d/quote.bin" "$d" "$T/tdx5/root.pem"
    d=$T/snp-rsa
    same "go-sev-guest: our SNP report" "$("$judge" snp "$d/report.bin" "$d/vcek.crt" "$d/ask.crt" "$d/ark.crt" Milan 2>&1)" "$measurement"
    flipped "$d/report.bin" 100
    status "go-sev-guest: one bit changed" 1 "$judge" snp "$d/report.bin.bad" "$d/vcek.crt" "$d/ask.crt" "$d/ark.crt" Milan
    tdx=$(cd "$T/go" && go list -m -f '{{.Dir}}' github.com/google/go-tdx-guest)/testing/testdata
    sev=$(cd "$T/go" && go list -m -f '{{.Dir}}' github.com/google/go-sev-guest)/verify/testdata
    ours --type tdx --evidence "$tdx/tdx_prod_quote_SPR_E4.dat"
    same "theirs: go-tdx-guest's sample quote, no collateral" "$verdict" "valid"
    ours --type snp --evidence "$sev/attestation.bin" --signer "$sev/vcek.testcer"
    same "theirs: go-sev-guest's attestation: signatures" "$verdict" valid
}

if command -v cargo >/dev/null; then rust; ear; else skip "interop: cargo is not installed (tools/install-deps --apps)"; fi
if command -v go >/dev/null; then go_; else skip "interop: go is not installed (tools/install-deps --apps)"; fi
