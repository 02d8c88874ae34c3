#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Several processes of a broker behind one address: sessions and challenges are everybody's; one that is killed is not missed.
. tests/e2e/lib.sh
quoter=$ROOT/build/tests/quoter
[ -x "$quoter" ] || { skip "broker: build/tests/quoter is not built"; exit 0; }
timeout -k 10 200 python3 tests/e2e/broker_processes.py "$SHELTER" "$quoter" "$T" || not_ok "broker: the cases end with status $?"
status "as many as there may be" 125 "$SHELTER" broker serve --processes 17
