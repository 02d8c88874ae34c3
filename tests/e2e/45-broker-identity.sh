#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The broker's certificates for workloads: who gets which, what is in them, and what is revoked.
. tests/e2e/lib.sh
quoter=$ROOT/build/tests/quoter
[ -x "$quoter" ] || { skip "broker: build/tests/quoter is not built"; exit 0; }
timeout -k 10 200 python3 tests/e2e/broker_identity.py "$SHELTER" "$quoter" "$T" || not_ok "broker: the cases end with status $?"
