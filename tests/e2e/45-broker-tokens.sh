#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tokens of other attestation services: good where the operator trusts their keys and a policy names them, and otherwise not.
. tests/e2e/lib.sh
quoter=$ROOT/build/tests/quoter
[ -x "$quoter" ] || { skip "tokens: build/tests/quoter is not built"; exit 0; }
timeout -k 10 300 python3 tests/e2e/broker_tokens.py "$SHELTER" "$quoter" "$T" || not_ok "tokens: the cases end with status $?"
