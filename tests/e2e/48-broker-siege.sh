#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs alone: honest clients have a second each.
# Strangers against the broker (tests/adversary/broker_attacks.py): none of them stops it, fills its disk or
# its memory, or makes it ask others, alone and all together beside honest clients.
. tests/e2e/lib.sh
quoter=$ROOT/build/tests/quoter
[ -x "$quoter" ] || { skip "siege: build/tests/quoter is not built"; exit 0; }
ulimit -n 4096
# A mount namespace of its own, where there can be one, for a disk that is full.
own=(unshare -m)
"${own[@]}" true 2>/dev/null || own=()
timeout -k 10 400 "${own[@]}" python3 tests/e2e/broker_siege.py "$SHELTER" "$quoter" "$T" || not_ok "siege: the cases end with status $?"
