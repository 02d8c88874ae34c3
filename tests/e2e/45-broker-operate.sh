#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A broker in service: /healthz, /readyz, /metrics; SIGHUP reads policy, roots and collateral anew.
. tests/e2e/lib.sh
export SHELTER_BROKER=$T/broker
"$SHELTER" broker init
check "the simulated root" "$SHELTER" attest --simulated-root -o "$T/root.pem"
echo '{"claims":{"isvsvn":{"min":0}}}' >"$T/policy.json"
timeout 200 "$SHELTER" broker serve --listen 127.0.0.1:0 --allow-simulated "$T/root.pem" --policy "$T/policy.json" \
    --url-file "$T/url" >"$T/log" 2>"$T/errors" &
shell=$!
cleanup_hooks+=("kill $shell 2>/dev/null")
check "the broker" until_true 20 test -s "$T/url"
broker=$(pgrep -P $shell | head -n 1)
url=$(cat "$T/url")
get() { curl -sk -o "$T/out" -w '%{http_code}' "$url$1"; }
same "/healthz" "$(get /healthz)" 200
same "/readyz" "$(get /readyz)" 200
same "no such endpoint" "$(get /nope)" 404
curl -sk -o /dev/null -X POST -d '{"version":"9"}' "$url/kbs/v0/auth"
same "/metrics" "$(get /metrics)" 200
metric() { sed -n "s|^shelter_broker_$1 ||p" "$T/out"; }
same "what was answered is counted" "$(metric 'answers_total{endpoint="/healthz",status="2xx"}')$(metric 'answers_total{endpoint="/kbs/v0/auth",status="401"}')$(metric 'answers_total{endpoint="none",status="4xx"}')" 111
same "each line is a comment or a number" "$(grep -vcE '^(# (HELP|TYPE) shelter_broker_[a-z_]+ .+|shelter_broker_[a-z_]+(\{[^{}]*\})? [0-9]+)$' "$T/out")" 0
if ip=$(ip -4 -o addr show scope global 2>/dev/null | awk '{sub("/.*", "", $4); print $4; exit}') && [ -n "$ip" ]; then
    timeout 100 "$SHELTER" broker serve --listen 0.0.0.0:0 --url-file "$T/url2" >/dev/null 2>&1 &
    cleanup_hooks+=("kill $! 2>/dev/null")
    check "a second one" until_true 20 test -s "$T/url2"
    same "/metrics is not for others" "$(curl -sk -o /dev/null -w '%{http_code}' "https://$ip:$(sed 's/.*://' "$T/url2")/metrics")" 404
fi
reloads() { get /metrics >/dev/null && [ "$(metric reloads_total)/$(metric failed_reloads_total)" = "$1" ]; }
kill -HUP "$broker"
check "SIGHUP: read anew" until_true 10 reloads 1/0
echo '{"claimz":{}}' >"$T/policy.json"
kill -HUP "$broker"
check "a bad policy: the old one stays" until_true 10 reloads 1/1
check "... and it is said" grep -q 'not reloaded.*claimz' "$T/errors"
rm "$T/policy.json"
kill -HUP "$broker"
check "no policy file: the old one stays" until_true 10 reloads 1/2
echo '{"claims":{"isvsvn":{"min":9}}}' >"$T/policy.json"
kill -HUP "$broker"
check "a good one again" until_true 10 reloads 2/2
same "it still serves" "$(get /healthz)" 200
enclave_base reload
# What was accepted before is judged by the new policy now.
"$SHELTER" build -q -t plain -f "$(command -v busybox)" >/dev/null
"$SHELTER" broker add-reference plain --allow arg --allow stdin >/dev/null
try=("$SHELTER" run --rm --tee sgx-sim -i "$url" plain /bin/busybox echo ran)
status "refused by the new policy" 123 "${try[@]}"
echo '{"claims":{"isvsvn":{"min":0}}}' >"$T/policy.json"
kill -HUP "$broker"
check "read anew" until_true 10 reloads 3/2
status "accepted by the next" 0 "${try[@]}"
