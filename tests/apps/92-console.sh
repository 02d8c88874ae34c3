#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The broker's console in a browser (Chromium without a screen): logging in, every page, a proposal approved by a click and a
# confirmation, markup that stays text, no script that runs.
. tests/apps/lib.sh
need chromedriver chromium python3 openssl
quoter=$ROOT/build/tests/quoter
[ -x "$quoter" ] || { skip "console: build/tests/quoter is not built"; exit 0; }
timeout -k 10 240 python3 tests/apps/console.py "$SHELTER" "$quoter" "$T" || not_ok "console: the cases end with status $?"
