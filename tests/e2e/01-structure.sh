#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The tree is cut by trust: who may include whom; what an attacker must break can be counted.
. tests/e2e/lib.sh
check "arrows run one way" tools/check-includes

# The check itself must see each kind of break.
mkdir -p "$T/tree"/{lib,include/shelter,trusted/guest,trusted/agent,trusted/libos/{agent,net},verifier/quote,host/launch}
touch "$T/tree/lib/a.h" "$T/tree/host/launch/launch.h" "$T/tree/verifier/quote/q.h" "$T/tree/trusted/guest/g.h" \
    "$T/tree/trusted/agent/a.h" "$T/tree/trusted/libos/agent/l.h"
try() { # NAME FILE INCLUDE WANT
    printf '#include "%s"\n' "$3" >"$T/tree/$2"
    tools/check-includes "$T/tree" >"$T/out" 2>&1
    same "$1" $? "$4"
    rm "$T/tree/$2"
}
try "trusted/ may include lib/" trusted/guest/x.c lib/a.h 0
try "trusted/ may include its own folder" trusted/guest/x.c trusted/guest/g.h 0
try "verifier/ may include itself" verifier/quote/x.c verifier/quote/q.h 0
try "host/ may include all" host/launch/x.c trusted/guest/g.h 0
try "trusted/ must not include host/" trusted/guest/x.c host/launch/launch.h 1
try "trusted/ must not include verifier/" trusted/agent/x.c verifier/quote/q.h 1
try "one trusted part must not include another" trusted/agent/x.c trusted/guest/g.h 1
try "the enclave's OS runs the agent" trusted/libos/agent/x.c trusted/agent/a.h 0
try "... and only there" trusted/libos/net/x.c trusted/agent/a.h 1
try "the agent knows no enclave's OS" trusted/agent/x.c trusted/libos/agent/l.h 1
try "verifier/ must not include trusted/" verifier/quote/x.c trusted/guest/g.h 1
try "verifier/ must not include host/" verifier/quote/x.c host/launch/launch.h 1
try "lib/ must not include host/" lib/x.c host/launch/launch.h 1
try "lib/ must not include trusted/" lib/x.c trusted/guest/g.h 1
try "include/ must not include lib/" include/shelter/x.h lib/a.h 1
printf '  #  include   <host/launch/launch.h> // x\n' >"$T/tree/trusted/guest/x.c"
tools/check-includes "$T/tree" >"$T/out" 2>&1
same "blanks and angle brackets hide nothing" $? 1

# The count.
tools/tcb --json >"$T/tcb.json"
ask() { python3 -c "
import json
p = json.load(open('$T/tcb.json'))['parts']
print($1)"; }
same "tcb: trusted/guest counted for each VM" \
    "$(ask '[x["tees"] for x in p if x["part"] == "trusted/guest"]')" "[['tdx', 'snp', 'csv', 'tdx-sim']]"
same "tcb: every line of trusted/guest" "$(ask '[x["lines"] for x in p if x["part"] == "trusted/guest"]')" \
    "[$(cat trusted/guest/*.[ch] | wc -l)]"
if [ -f build/base/initramfs ]; then
    status "shelter tcb" 0 "$SHELTER" tcb
    check "shelter tcb: a table a TEE" grep -qx tdx-sim "$T/out"
    status "shelter tcb --json" 0 "$SHELTER" tcb --json
    check "shelter tcb --json: is JSON" python3 -m json.tool "$T/out"
else
    skip "shelter tcb: no base files"
fi

same "what attacks lives in tests/adversary" "$(grep -rliE 'hostile|attack' host/sgx/loader)" ""

# Each source file opens with its licence and says what it is for.
missing=$(git ls-files '*.c' '*.h' '*.S' '*.sh' '*.mk' 2>/dev/null | while read -r f; do
    [ -f "$f" ] || continue
    head -n 2 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$f"
done)
same "licence on each file" "$missing" ""
