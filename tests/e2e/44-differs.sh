#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# measure --diff and verify name the first event, page or field that differs, and what probably changed.
. tests/e2e/lib.sh
[ -f build/base/vmlinux ] && [ -f build/base/enclave ] || { skip "differs: no build/base (make tools)"; exit 0; }
a=$("$SHELTER" build -q -t a -f tests/md5)
"$SHELTER" build -q -t b -f tests/md5 -e OTHER=1 >/dev/null
differs() { # NAME STATUS WORDS ARG...
    local name=$1 want=$2 words=$3
    shift 3
    status "$name" "$want" "$SHELTER" measure "$@"
    check "$name: says '$words'" grep -q -- "$words" "$T/out"
}
for tee in sgx sgx-sim; do
    differs "$tee: another image" 1 "^mrenclave, step [0-9]* (identity, page 0x[0-9a-f]*); probably another image$" --tee $tee --diff a b
    differs "$tee: the same" 0 "^nothing differs$" --tee $tee --diff a a
done
differs "tdx-sim: another image" 1 "^rtmr2, event 1 (command line); probably another image" --tee tdx-sim --diff a b
differs "tdx-sim: the same" 0 "^nothing differs$" --tee tdx-sim --diff a a
"$SHELTER" measure --tee tdx-sim --json --events -m 1G --boot bzimage a >"$T/a.json" 2>/dev/null
differs "a file of --json --events" 0 "^nothing differs$" --tee tdx-sim -m 1G --boot bzimage --diff "$T/a.json" a
differs "memory" 1 "^rtmr0, event 1 (boot, memory and CPUs); probably another size of memory" --tee tdx-sim -m 3G --boot bzimage --diff "$T/a.json" a
differs "debug" 1 "^rtmr2, event 1 (command line)" --tee tdx-sim -m 1G --boot bzimage --debug --diff "$T/a.json" a
differs "reference.json" 1 "^rtmr2, event 1 (command line)" --tee tdx-sim --diff "$SHELTER_STORE/images/$a/reference.json" b
differs "reference.json of its own" 0 "^nothing differs$" --tee tdx-sim --diff "$SHELTER_STORE/images/$a/reference.json" a
differs "as JSON" 1 '"what":.*"command line"' --tee tdx-sim --json --diff a b
status "a file that is none" 125 "$SHELTER" measure --tee tdx-sim --diff tests/md5 a
status "no such file" 125 "$SHELTER" measure --tee tdx-sim --diff ./none a
echo '{"references":[]}' >"$T/empty.json"
status "no reference for this TEE" 125 "$SHELTER" measure --tee tdx-sim --diff "$T/empty.json" a
one_line "says so" "has no reference value for tdx-sim"
# The parts of a prediction are the prediction: the registers of --events come out as `measure` says.
"$SHELTER" measure --tee tdx-sim --json --events a 2>/dev/null | python3 -c '
import hashlib, json, sys
d = json.load(sys.stdin)
for i in range(3):
    r = bytes(48)
    for e in d["events"]:
        if e["field"] == "rtmr%d" % i:
            r = hashlib.sha384(r + bytes.fromhex(e["digest"])).digest()
    print(r.hex() == d["measurement"]["rtmr"][i])' >"$T/out"
same "events replay to the registers" "$(sort -u "$T/out")" "True"
