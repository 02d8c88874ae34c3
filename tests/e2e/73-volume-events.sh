#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who measures an event while it holds a volume attests anew, and keeps the volume: its lease does not hang on the session.
. tests/e2e/lib.sh
LIMIT=60
enclave_base enclave
export SHELTER_BROKER=$T/broker
B=/bin/busybox
simulated_broker 500
cat >"$T/events" <<'END'
for i in 1 2 3; do
    echo "before $i" >>/data/log && sync || exit 2
    wget -q -O - --post-data "{\"domain\":\"app\",\"operation\":\"step\",\"content\":\"$i\"}" http://127.0.0.1:8006/aa/aael >/dev/null || exit 3
    usleep 1200000 # session: a state goes to the broker once a second, and an event is attested on that way
    echo "after $i" >>/data/log && sync || exit 4
    usleep 300000
done
wc -l </data/log
END
for m in strict session; do
    head -c 32 /dev/urandom >"$T/$m.key"
    "$SHELTER" broker add-resource "volumes/key/$m" "$T/$m.key" --image any
    check "$m: build" "$SHELTER" build -q -t $m --broker-key "$T/key.pem" --volume "data:/data:key=kbs:///volumes/key/$m:size=64M:freshness=$m" \
        -f "$B" -f "$T/events:/events" -c "$B sh /events"
    "$SHELTER" broker add-reference $m >/dev/null
    for n in 1 2; do
        status "$m: events between writes, run $n" 0 "$SHELTER" run --tee sgx-sim --rm -i "$(cat "$T/url")" -v "data:$T/$m.disk" $m
        same "$m: all is there" "$(tail -n 1 "$T/out")" $((6 * n))
    done
    check "$m: released in order" sh -c '"$1" broker volume show "volumes/key/$2" | grep -q "^memory *released"' sh "$SHELTER" $m
    check "$m: each event was attested" test "$("$SHELTER" broker log --json | grep '"attest"' | grep -c "\"reference\":\"$m")" -ge 8
done
