#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The broker's memory of volumes: leases, compare and swap, kill -9, its own store put back, hostile requests.
. tests/e2e/lib.sh
quoter=$ROOT/build/tests/quoter
[ -x "$quoter" ] || { skip "broker: build/tests/quoter is not built"; exit 0; }
timeout -k 10 400 python3 tests/e2e/broker_volumes.py "$SHELTER" "$quoter" "$T" || not_ok "broker: the cases end with status $?"
