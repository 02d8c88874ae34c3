#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The agent's program under sanitizers against a key broker written from the protocol's document:
# both versions, every departure from them, its local API, its certificates.
. tests/e2e/lib.sh
[ -x build/tests/agent ] || { skip "agent: build/tests/agent is not built"; exit 0; }
timeout -k 10 400 python3 tests/e2e/agent_cases.py build/tests/agent "$T" || not_ok "agent: the cases end with status $?"
