#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Real evidence with real collateral: every case gets its expected verdict, for the expected reason.
# Prints a table. The vectors are not part of this tree: without them it says what it skips.
. tests/e2e/lib.sh
V=${SHELTER_VECTORS:-$ROOT/../shared/vectors}
if [ ! -d "$V/dcap" ]; then
    skip "vectors: no folder $V (set SHELTER_VECTORS); generated ones are in test_verify_*"
    exit 0
fi

json() { # FILE EXPRESSION over d
    python3 -c "import json,sys; d=json.load(open(sys.argv[1])); print($2)" "$1"
}
row() { printf '# %-62s %-8s %-36s %-34s %s\n' "$@"; }
row case signatures 'TCB status' 'reason' verdict

# run CASE ARGUMENT…: judges, leaves the verdict in $T/v.json and its parts in variables.
run() {
    local name=$1
    shift
    timeout 60 "$SHELTER" verify "$@" --json >"$T/v.json" 2>"$T/err"
    rc=$?
    IFS='|' read -r signatures status verdict code codes < <(json "$T/v.json" \
        "'|'.join([d['signatures'], str(d['tcb_status']), d['verdict'], d['reason_code'],
                   ' '.join(r['code'] for r in d.get('refusals', []))])")
    row "$name" "$signatures" "$status" "$code" "$verdict ($rc)"
}

# Intel: the status of the table; accepted when the default policy takes it and it is not debug.
for dir in "$V"/dcap/*/; do
    name=$(basename "$dir")
    e=$dir/expected.json
    when=$(json "$e" "d['verify_time']")
    want=$(json "$e" "d['expected']['converged_status']")
    debug=$(json "$e" "d['expected'].get('debug_attribute_set', False)")
    advisories=$(json "$e" "' '.join(sorted(d['expected'].get('advisory_ids') or []))")
    accept=reject
    case $want$debug in UpToDateFalse | SWHardeningNeededFalse) accept=accept ;; esac
    for collateral in collateral.json collateral; do
        run "$name" --evidence "$dir/quote.bin" --collateral "$dir/$collateral" --time "$when"
        same "$name $collateral" "$signatures $status $verdict" "valid $want $accept"
        case $accept in accept) same "$name $collateral: exit status" $rc 0 ;; *) same "$name $collateral: exit status" $rc 1 ;; esac
        [ "$debug" = True ] && same "$name $collateral: debug" "$(grep -ow debug <<<"$codes" | head -n 1)" debug
    done
    same "$name: advisories" "$(json "$T/v.json" "' '.join(sorted(d['advisories']))")" "$advisories"
done

# Tampered: refused for the stated reason.
for dir in "$V"/dcap-tampered/*/; do
    name=$(basename "$dir")
    e=$dir/expected.json
    case $name in
    *--attest-key) want='qe-report-data' ;;
    *--body-reportdata | *--header-userdata | *--mr | *--quote-sig) want='quote-signature' ;;
    *--expired) want='crl-expired|tcb-info-expired|qe-identity-expired' ;;
    *--too-early) want='certificate-not-yet-valid|crl-not-yet-valid|tcb-info-not-yet-valid' ;;
    *--pck-leaf) want='pck-chain|certificate-parse' ;;
    *--pck_crl-badsig) want='pck-crl-signature' ;;
    *--root_ca_crl-badsig) want='root-crl-signature' ;;
    *--qe-authdata) want='qe-report-data' ;;
    *--qe-report | *--qe-sig) want='qe-report-signature' ;;
    *--qe_identity-edited) want='qe-identity-signature' ;;
    *--tcb_info-edited) want='tcb-info-signature' ;;
    *--siglen-huge) want='signature-length' ;;
    *--trunc*) want='truncated' ;;
    *) want="no expectation for $name" ;;
    esac
    run "$name" --evidence "$dir/quote.bin" --type tdx --time "$(json "$e" "d['verify_time']")" \
        --collateral "$dir/$(json "$e" "d['collateral']")"
    if [ $rc -eq 1 ] && grep -qE "^($want)$" <<<"$code"; then ok "$name: $code"; else
        not_ok "$name: status $rc, reason $code, want $want"
    fi
done

# AMD: signature, chain, TCB against the certificate; a report from VMPL 1 is judged, and refused.
for dir in "$V"/snp/snp-*/; do
    name=$(basename "$dir")
    e=$dir/expected.json
    when=$(json "$e" "d['expected']['valid_at'].replace(' ', 'T')")
    vmpl=$(json "$e" "d['fields']['vmpl']")
    want="accept "
    [ "$vmpl" = 0 ] || want="reject snp-vmpl"
    run "$name" --evidence "$dir/report.bin" --signer "$(ls "$dir"/v?ek.der)" \
        --collateral "$V/snp/roots" --time "$when"
    same "$name" "$signatures $status $verdict $codes" "valid CertificateMatch $want"
    # AMD-SB-7033: microcode below 0xdb on Milan B1. AMD-SB-3015: SNP SVN below 23 on Milan.
    case $name in
    *-milan-VCEK-a20e02 | *-milan-VLEK-*) want_advisory=AMD-SB-7033 ;;
    snp-v2-milan-*) want_advisory=AMD-SB-3015 ;;
    snp-*-VCEK-2cf09f | *-genoa-*) want_advisory= ;;
    *) want_advisory="no expectation for $name" ;;
    esac
    same "$name: advisories" "$(json "$T/v.json" "' '.join(d['advisories'])")" "$want_advisory"
    # The intermediates' keys are pinned: the signer alone is enough.
    run "$name, no chain" --evidence "$dir/report.bin" --signer "$(ls "$dir"/v?ek.der)" --time "$when"
    same "$name without the intermediate" "$signatures $status $verdict $codes" "valid CertificateMatch $want"
    for at in 0 80 144 192 384 416 480 600; do
        cp "$dir/report.bin" "$T/r.bin"
        printf '\x5a' | dd of="$T/r.bin" bs=1 seek=$at conv=notrunc 2>/dev/null
        timeout 60 "$SHELTER" verify --evidence "$T/r.bin" --signer "$(ls "$dir"/v?ek.der)" \
            --collateral "$V/snp/roots" --time "$when" >/dev/null 2>&1
        same "$name with byte $at changed" $? 1
    done
done

# Azure's wrapping of SNP, configfs-tsm's JSON.
A=$V/az-evidence
if [ -d "$A" ]; then
    run az/snp-hcl-report.bin --evidence "$A/snp-hcl-report.bin" --signer "$A/snp-vcek.pem"
    same "az/snp-hcl-report.bin" "$signatures $verdict" "valid accept"
    run az/snp-evidence-v1.json --evidence "$A/snp-evidence-v1.json" --collateral "$V/snp/roots"
    same "az/snp-evidence-v1.json" "$signatures $verdict" "valid accept"
    cp "$A/snp-hcl-report.bin" "$T/hcl.bin"
    printf '\x5a' | dd of="$T/hcl.bin" bs=1 seek=1300 conv=notrunc 2>/dev/null
    run "az/snp-hcl-report.bin, runtime data changed" --evidence "$T/hcl.bin" --signer "$A/snp-vcek.pem"
    same "az: runtime data is bound" "$code" report-data
    # The vTPM's quote: its registers are claims, what it was asked to bind is the report data.
    extra=$(json "$A/snp-evidence-v1.json" "d['tpm_quote']['message'][88:88+2*int(d['tpm_quote']['message'][84:88], 16)]")
    run az/snp-evidence-v1.json --evidence "$A/snp-evidence-v1.json" --collateral "$V/snp/roots" --report-data "$extra"
    same "az: the vTPM's quote binds" "$signatures $verdict" "valid accept"
    same "az: its registers" "$(json "$T/v.json" "d['claims']['tpm_pcr7']")" "$(json "$A/snp-evidence-v1.json" "d['tpm_quote']['pcrs'][7]")"
    run az/snp-evidence-v1.json --evidence "$A/snp-evidence-v1.json" --collateral "$V/snp/roots" --report-data "00$extra"
    same "az: other data" "$code" report-data
    tpm() { # NAME, PYTHON over e, CODE
        python3 -c "import json,sys; e=json.load(open(sys.argv[1])); q=e['tpm_quote']; $2; json.dump(e,open(sys.argv[2],'w'))" "$A/snp-evidence-v1.json" "$T/az.json"
        run "az/tpm, $1" --evidence "$T/az.json" --collateral "$V/snp/roots"
        same "az: the vTPM's quote, $1" "$code" "$3"
    }
    tpm "a register changed" "q['pcrs'][7]='00'*32" quote-signature
    tpm "a register too few" "q['pcrs'].pop()" evidence-json
    tpm "its message changed" "q['message']=q['message'][:92]+'00'+q['message'][94:]" quote-signature
    tpm "its signature changed" "q['signature']='00'+q['signature'][2:]" quote-signature
    tpm "no signature" "q['signature']=''" evidence-json
    tpm "torn" "q['message']=q['message'][:100]" quote-signature
    tpm "another machine's" "q.update(json.load(open('$A/snp-tpm-quote-v1.json')))" quote-signature
    tpm "as numbers" "q['message']=list(bytes.fromhex(q['message']))" ok
fi
run snp/extra/configfs-tsm --evidence "$V/snp/extra/configfs-tsm-sevsnp-report.json"
same "configfs-tsm report with its certificates" "$signatures $verdict" "valid accept"

# CSV: the report's own signature holds; HSK and CEK are not among the vectors, so it stays unjudged.
run csv/csv_evidence.json --evidence "$V/csv/csv_evidence.json" --type csv
same "csv_evidence.json: cannot be judged without HSK and CEK" "$rc $code $signatures" "2 no-signer valid"
python3 - "$V/csv/csv_evidence.json" "$T/csv.json" <<'EOF'
import json, sys
e = json.load(open(sys.argv[1]))
e["attestation_report"]["data"][150] ^= 1
json.dump(e, open(sys.argv[2], "w"))
EOF
run "csv_evidence.json, measure changed" --evidence "$T/csv.json" --type csv
same "csv_evidence.json changed" "$rc $code" "1 csv-signature"

# NitroTPM: a genuine document under AWS's root; only where the policy takes the operator's word.
N=$V/nitro/nitrotpm-20260203
if [ -d "$N" ]; then
    echo '{"nitro":{"allow":true,"max_age":60}}' >"$T/nitro.json"
    t=$(json "$N/expected.json" "d['verify_time']")
    nonce=$(json "$N/expected.json" "d['nonce']")
    nitro() { # DOCUMENT, further arguments
        run "NitroTPM ${*:2}" --evidence "$1" --policy "$T/nitro.json" "${@:2}"
    }
    nitro "$N/document.cbor" --time "$t" --nonce "$nonce"
    same "NitroTPM: accepted, under the pinned root" "$signatures $verdict $(json "$T/v.json" "d['root']")" "valid accept pinned"
    same "NitroTPM: its registers" "$(json "$T/v.json" "[d['claims']['tpm_pcr%d' % i] for i in range(24)]")" \
        "$(json "$N/expected.json" "[d['pcrs'][str(i)] for i in range(24)]")"
    same "NitroTPM: its key" "$(json "$T/v.json" "d['claims']['public_key']")" "$(json "$N/expected.json" "d['public_key']")"
    nitro "$N/document.cbor" --time "$t" --nonce "00$nonce"
    same "NitroTPM: another nonce" "$codes" report-data
    nitro "$N/document.cbor" --time 2026-02-03T13:12:30Z
    same "NitroTPM: three hours later" "$codes" "certificate-expired nitro-policy"
    run "NitroTPM, default policy" --evidence "$N/document.cbor" --time "$t"
    same "NitroTPM: not by default" "$signatures $codes" "valid nitro-policy"
    for at in 40 200 700 1500 4900; do
        python3 -c "import sys; d=bytearray(open(sys.argv[1],'rb').read()); d[$at]^=1; open(sys.argv[2],'wb').write(d)" \
            "$N/document.cbor" "$T/nitro.cbor"
        nitro "$T/nitro.cbor" --time "$t"
        same "NitroTPM: byte $at changed" "$rc $signatures" "1 invalid"
    done
fi

# RTMRs recomputed from an event log.
M=$V/tdx-measure
q=tdx4-00806f050000-00b252-20250228-UpToDate
t=$(json "$V/dcap/$q/expected.json" "d['verify_time']")
run "event log of $q" --evidence "$V/dcap/$q/quote.bin" --collateral "$V/dcap/$q/collateral" \
    --time "$t" --event-log "$M/gce-cos113-ccel.bin"
same "event log replays to the quote" "$verdict $(json "$T/v.json" "d['claims'].get('event_log_verified')")" "accept True"
run "event log of another machine" --evidence "$V/dcap/$q/quote.bin" --collateral "$V/dcap/$q/collateral" \
    --time "$t" --event-log "$M/CCEL_data_ovmf"
same "another machine's event log" "$rc $code" "1 event-log-mismatch"
# A separator's data changed, its digest left: a verifier that copies digests would not see it.
python3 - "$M/gce-cos113-ccel.bin" "$T/ccel.bin" <<'EOF'
import hashlib, sys
log = bytearray(open(sys.argv[1], "rb").read())
d = hashlib.sha384(bytes(4)).digest()
at = log.index(d) + len(d)
assert log[at:at + 4] == b"\4\0\0\0"
log[at + 4] ^= 1
open(sys.argv[2], "wb").write(log)
EOF
run "event log, data changed" --evidence "$V/dcap/$q/quote.bin" --collateral "$V/dcap/$q/collateral" \
    --time "$t" --event-log "$T/ccel.bin"
same "event log whose digest is not its event's" "$rc $code" "1 event-log-digest"

# dstack: the quote with its own log in JSON, which extends RTMR3 at run time.
D=$V/dcap/tdx4-90c06f000000-cbdb5b-20260127-UpToDate
td=$(json "$D/expected.json" "d['verify_time']")
dstack() { # FILE
    run "dstack's evidence" --evidence "$1" --collateral "$D/collateral" --time "$td"
}
dstack "$M/dstack-quote-report.json"
same "dstack's evidence replays, RTMR3 too" \
    "$verdict $(json "$T/v.json" "'%s %s' % (d['claims'].get('event_log_verified'), d['claims'].get('rtmr3_event_log'))")" \
    "accept True replayed"
sed 's/compose-hash/compose-hush/' "$M/dstack-quote-report.json" >"$T/dstack.json"
dstack "$T/dstack.json"
same "dstack's evidence with another event's name" "$rc $code" "1 event-log-digest"
python3 - "$M/dstack-quote-report.json" "$T/dstack.json" <<'EOF'
import json, sys
e = json.load(open(sys.argv[1]))
log = json.loads(e["event_log"])
e["event_log"] = [x for x in log if x["imr"] != 3]
json.dump(e, open(sys.argv[2], "w"))
EOF
dstack "$T/dstack.json"
same "dstack's evidence without its run-time events: accepted, and said" \
    "$verdict $(json "$T/v.json" "'%s %s' % (d['claims'].get('event_log_verified'), d['claims'].get('rtmr3_event_log'))")" \
    "accept False not covered"

# Wrong kind, wrong nonce, wrong reference, unreadable files.
run "asked for snp" --evidence "$V/dcap/$q/quote.bin" --type snp
same "a TDX quote is no SNP report" "$rc $code" "1 type-mismatch"
run "no collateral" --evidence "$V/dcap/$q/quote.bin"
same "no collateral" "$rc $code" "2 no-collateral"
run "wrong nonce" --evidence "$V/dcap/$q/quote.bin" --collateral "$V/dcap/$q/collateral" --time "$t" --nonce 00
same "wrong nonce" "$rc $code" "1 report-data"
mrtd=$(json "$T/v.json" "d['claims']['mrtd']")
rtmr1=$(json "$T/v.json" "d['claims']['rtmr'][1]")
rtmr2=$(json "$T/v.json" "d['claims']['rtmr'][2]")
echo "{\"references\":[{\"tee\":\"tdx\",\"measurement\":{\"mrtd\":\"$mrtd\",\"rtmr\":[null,\"$rtmr1\"]}}]}" >"$T/firmware.json"
run "the firmware alone" --evidence "$V/dcap/$q/quote.bin" --collateral "$V/dcap/$q/collateral" --time "$t" --reference "$T/firmware.json"
same "a reference without RTMR2 is none" "$rc $code" "1 reference-mismatch"
echo "{\"references\":[{\"tee\":\"tdx\",\"measurement\":{\"mrtd\":\"$mrtd\",\"rtmr\":[null,\"$rtmr1\",\"$rtmr2\"]}}]}" >"$T/ref.json"
run "own reference" --evidence "$V/dcap/$q/quote.bin" --collateral "$V/dcap/$q/collateral" --time "$t" --reference "$T/ref.json"
same "its own reference" "$rc" 0
sed -i 's/"tdx"/"tdx-sim"/' "$T/ref.json"
run "simulated reference" --evidence "$V/dcap/$q/quote.bin" --collateral "$V/dcap/$q/collateral" --time "$t" --reference "$T/ref.json"
same "a simulated TEE's reference is not for hardware" "$rc $code" "1 reference-mismatch"
status "a missing file cannot be judged" 2 "$SHELTER" verify --evidence "$T/none"
one_line "and says why" "none"

# Launch measurement of SNP, SEV and SEV-ES.
i=0
while IFS=$'\t' read -r id want args; do
    i=$((i + 1))
    eval "set -- $args"
    if [ "${want#ERROR}" != "$want" ]; then
        status "measure $id must fail" 125 "$SHELTER" measure "$@"
    else
        same "measure $id" "$(timeout 60 "$SHELTER" measure "$@" 2>&1)" "$want"
    fi
done < <(
    "$SHELTER" measure --help >/dev/null 2>&1 &&
        python3 - "$V/sev-measure" <<'EOF'
import json, shlex, sys
v = sys.argv[1]
for c in json.load(open(v + "/cases.json"))["cases"]:
    a = c["args"]
    args = ["--tee", a["mode"], "--firmware", v + "/" + a["ovmf"], "--vcpus", str(a["vcpus"])]
    for key, option in (("vcpu_type", "--vcpu-type"), ("vmm", "--vmm"), ("snp_ovmf_hash", "--ovmf-hash")):
        if a.get(key):
            args += [option, a[key]]
    if "guest_features" in a:
        args += ["--guest-features", "%x" % a["guest_features"]]
    if a.get("kernel"):
        args += ["--kernel", v + "/" + a["kernel"]]
        if a.get("initrd"):
            args += ["--initrd", v + "/" + a["initrd"]]
        args += ["--append", a.get("append") or ""]
    print(c["id"], c["launch_digest"], " ".join(map(shlex.quote, args)), sep="\t")
EOF
)
[ $i -gt 0 ] || skip "measure: the verb is not in this build"
