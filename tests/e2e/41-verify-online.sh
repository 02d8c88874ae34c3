#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Collateral over the network, from a service on loopback that lies in every way it can.
. tests/e2e/lib.sh
make_evidence=$ROOT/build/tests/make_evidence
[ -x "$make_evidence" ] || { skip "verify-online: build/tests/make_evidence is not built"; exit 0; }
mkdir "$T/tdx" "$T/snp"
"$make_evidence" tdx4 "$T/tdx"
"$make_evidence" snp "$T/snp"
cat "$T/snp/ask.pem" "$T/snp/ark.pem" >"$T/snp/chain.pem"
cp "$T/snp/signer.der" "$T/snp/chain.pem" "$T/tdx"

python3 tests/e2e/lying_pcs.py "$T/tdx" "$T/port" >"$T/pcs.log" 2>&1 &
server=$!
cleanup_hooks+=('kill $server 2>/dev/null') # whichever runs at the end
until_true 10 test -s "$T/port" || { not_ok "the service starts"; exit 1; }
base=http://127.0.0.1:$(cat "$T/port")

code() { python3 -c "import json; print(json.load(open('$T/out'))['reason_code'])" 2>/dev/null; }
# online NAME WANTED-STATUS MODE [ARGUMENT…]
online() {
    local name=$1 want=$2 mode=$3
    shift 3
    status "$name" "$want" "$SHELTER" verify --evidence "$T/tdx/quote.bin" --ca "$T/tdx/root.pem" \
        --pccs "$base/$mode" --timeout 2 --json "$@"
}
online "good" 0 good
for mode in slow drip huge hugeheader notfound error redirect short empty badchain; do
    start=$SECONDS
    online "$mode: cannot be judged" 2 $mode
    one_line "$mode: says why" "collateral"
    [ $((SECONDS - start)) -le 12 ] && ok "$mode: in time" || not_ok "$mode: took $((SECONDS - start)) s"
done
online "garbage instead of JSON" 1 garbage
same "garbage: reason" "$(code)" crl-parse
online "no signing chain" 1 nochain
online "edited JSON" 1 edited
same "edited JSON: reason" "$(code)" tcb-info-signature
online "another CRL" 1 swapped
same "another CRL: reason" "$(code)" pck-crl-signature
status "plain http is for loopback only" 2 "$SHELTER" verify --evidence "$T/tdx/quote.bin" \
    --pccs "http://127.0.0.1.example.org:1/good" --timeout 2
status "a file is not a service" 2 "$SHELTER" verify --evidence "$T/tdx/quote.bin" --pccs "file://$T/tdx"

# The cache: asked once, then served from it; a changed entry is judged like anything else.
before=$(curl -s "$base/hits/good")
online "with a cache" 0 good --cache "$T/cache"
online "from the cache" 0 good --cache "$T/cache"
same "asked once" "$(($(curl -s "$base/hits/good") - before))" 4
kill $server
wait $server 2>/dev/null
online "from the cache, service gone" 0 good --cache "$T/cache"
grep -l tcbInfo "$T"/cache/* | xargs sed -i 's/"tcbEvaluationDataNumber":17/"tcbEvaluationDataNumber":18/'
online "a changed cache entry is refused" 1 good --cache "$T/cache"
same "a changed cache entry: reason" "$(code)" tcb-info-signature
for f in "$T"/cache/*; do sed -i '2s/.*/1000000000/' "$f"; done
online "an expired cache entry is not used" 2 good --cache "$T/cache"

# AMD's service.
python3 tests/e2e/lying_pcs.py "$T/snp" "$T/port2" >"$T/pcs2.log" 2>&1 &
server=$!
until_true 10 test -s "$T/port2" || { not_ok "the second service starts"; exit 1; }
base=http://127.0.0.1:$(cat "$T/port2")
status "VCEK and chain from the service" 0 "$SHELTER" verify --evidence "$T/snp/report.bin" \
    --ca "$T/snp/ark.pem" --kds "$base/good" --timeout 2
status "garbage instead of certificates" 2 "$SHELTER" verify --evidence "$T/snp/report.bin" \
    --ca "$T/snp/ark.pem" --kds "$base/garbage" --timeout 2
status "the service's own root is not trusted" 1 "$SHELTER" verify --evidence "$T/snp/report.bin" \
    --kds "$base/good" --timeout 2 --json
same "the service's own root: reason" "$(code)" untrusted-root

# Hygon's service.
kill $server
wait $server 2>/dev/null
mkdir "$T/csv"
"$make_evidence" csv1 "$T/csv"
python3 tests/e2e/lying_pcs.py "$T/csv" "$T/port3" >"$T/pcs3.log" 2>&1 &
server=$!
until_true 10 test -s "$T/port3" || { not_ok "the third service starts"; exit 1; }
base=http://127.0.0.1:$(cat "$T/port3")
status "HSK and CEK from the service" 0 "$SHELTER" verify --evidence "$T/csv/report.bin" --type csv \
    --ca "$T/csv/hrk.cert" --kds "$base/good" --timeout 2
status "garbage instead of HSK and CEK" 1 "$SHELTER" verify --evidence "$T/csv/report.bin" --type csv \
    --ca "$T/csv/hrk.cert" --kds "$base/garbage" --timeout 2 --json
same "garbage instead of HSK and CEK: reason" "$(code)" csv-chain

# Simulated evidence, by its flag and its named root only.
mkdir "$T/sim"
"$make_evidence" sim "$T/sim"
sim() {
    local name=$1 want=$2
    shift 2
    status "$name" "$want" "$SHELTER" verify --evidence "$T/sim/quote.bin" --collateral "$T/sim" --json "$@"
}
sim "simulated evidence is refused" 1
same "simulated: reason" "$(code)" simulated
sim "simulated, root named" 1 --ca "$T/sim/root.pem"
same "simulated, root named: reason" "$(code)" simulated
sim "simulated, flag without root" 1 --allow-simulated
sim "simulated, flag and root" 0 --ca "$T/sim/root.pem" --allow-simulated
grep -q simulated "$T/err" && ok "and it says that it protects nothing" || not_ok "no warning"
