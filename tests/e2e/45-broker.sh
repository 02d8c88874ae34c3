#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The key broker: RCAR by hand in both versions, and every way not to walk it.
. tests/e2e/lib.sh
quoter=$ROOT/build/tests/quoter
[ -x "$quoter" ] || { skip "broker: build/tests/quoter is not built"; exit 0; }
timeout -k 10 540 python3 tests/e2e/broker_cases.py "$SHELTER" "$quoter" "$T" || not_ok "broker: the cases end with status $?"
