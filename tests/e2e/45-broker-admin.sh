#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The admin API over HTTPS with roles, the console, versions of resources.
. tests/e2e/lib.sh
quoter=$ROOT/build/tests/quoter
[ -x "$quoter" ] || { skip "broker: build/tests/quoter is not built"; exit 0; }
timeout -k 10 150 python3 tests/e2e/broker_admin.py "$SHELTER" "$quoter" "$T" || not_ok "broker: the cases end with status $?"
status "a console's file without its address" 125 "$SHELTER" broker serve --admin-url-file "$T/x"
one_line "one line" "admin-url-file needs --admin"
status "here and elsewhere" 125 "$SHELTER" broker list --dir "$T/broker" --url https://127.0.0.1:1
one_line "one line" "give one"
status "plain HTTP elsewhere" 125 env SHELTER_BROKER_URL=http://192.0.2.1:80 "$SHELTER" broker list
one_line "one line" "is not of the form https://"
status "an admin address with plain HTTP that is not loopback" 125 "$SHELTER" broker serve --dir "$T/broker" --insecure-http --admin 0.0.0.0:0
one_line "one line" "loopback only"
