#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What happens at run time is measured: POST /aa/aael in the enclave, evidence that binds the log, a broker
# whose policy sees it, hosts that leave it out.
. tests/e2e/lib.sh
LIMIT=60
enclave_base events
export SHELTER_BROKER=$T/broker
gcc -O2 -pthread -static -o "$T/local" tests/enclave/local.c
B=$(command -v busybox)
run=("$SHELTER" run --tee sgx-sim --rm)
post() { # DOMAIN OPERATION CONTENT: a shell command of the workload
    echo "/bin/busybox wget -q -O - --post-data '{\"domain\":\"$1\",\"operation\":\"$2\",\"content\":\"$3\"}' http://127.0.0.1:8006/aa/aael"
}
check "build" "$SHELTER" build -q -t plain -f "$B" -f "$T/local"
check "the simulated root" "$SHELTER" attest --simulated-root -o "$T/root.pem"
verify=("$SHELTER" verify --ca "$T/root.pem" --allow-simulated --image plain --nonce 0011)
status "an event" 0 "${run[@]}" plain /bin/busybox sh -c "$(post app load 'model v1')"
same "an event: CoCo's answer" "$(cat "$T/out")" '{"success":"true"}'
status "an event in our name" 1 "${run[@]}" plain /bin/busybox sh -c "$(post shelter image x)"
status "half an event" 1 "${run[@]}" plain /bin/busybox wget -q -O - --post-data '{"domain":"a"}' http://127.0.0.1:8006/aa/aael

# --- evidence for who asks through the host ---
check "a running instance" "${run[@]}" -d --name one plain /bin/busybox sh -c "$(post app load 'model v1'); /bin/busybox sleep 1000"
measured() { "$SHELTER" attest --nonce 0011 -o "$T/evidence" one && grep -q measured_log "$T/evidence"; }
check "attest: it has the log" until_true 20 measured
status "verify: accepted" 0 "${verify[@]}" --evidence "$T/evidence" --json
same "verify: the events" "$(python3 -c "
import json
print(' '.join(e['domain'] + '/' + e['operation'] for e in json.load(open('$T/out'))['claims']['runtime_events']))")" \
    "shelter/image shelter/launch app/load"
same "the first is the image" "$(python3 -c "
import json
print(json.load(open('$T/out'))['claims']['runtime_events'][0]['content'])")" "$("$SHELTER" inspect --json plain | python3 -c 'import json,sys; print(json.load(sys.stdin)["id"])')"
# A second implementation: the log replays to what the report data binds.
same "report data: SHA-512(domain, register, nonce)" "$(python3 - "$T/evidence" <<'PY'
import base64, hashlib, json, struct, sys
e = json.load(open(sys.argv[1]))
log, quote = base64.b64decode(e["measured_log"]), base64.b64decode(e["quote"])
at, mr = 32 + struct.unpack_from("<I", log, 28)[0], bytes(48)
while at < len(log):
    register, kind, count, alg = struct.unpack_from("<IIIH", log, at)
    digest = log[at + 14:at + 62]
    size, = struct.unpack_from("<I", log, at + 62)
    data = log[at + 66:at + 66 + size]
    assert (register, kind, count, alg, digest) == (4, 6, 1, 12, hashlib.sha384(data).digest()) and data[:4] == b"LEAA"
    mr = hashlib.sha384(mr + digest).digest()
    at += 66 + size
print(quote[368:432] == hashlib.sha512(b"shelter-attest-log-v1" + mr + bytes.fromhex("0011")).digest())
PY
)" True
policy() { # JSON of "events"
    echo "{\"events\":$1}" >"$T/policy.json"
}
ours='{"domain":"shelter","operation":"image"},{"domain":"shelter","operation":"launch"}'
policy '{"require":[{"domain":"app","operation":"load","content":"model v1"}]}'
status "policy: required and there" 0 "${verify[@]}" --evidence "$T/evidence" --policy "$T/policy.json"
policy '{"require":[{"domain":"app","operation":"load","content":"model v2"}]}'
status "policy: required and not there" 1 "${verify[@]}" --evidence "$T/evidence" --policy "$T/policy.json"
check "... and says so" grep -q "runtime-event.*no event app load" "$T/out"
policy "{\"allow\":[$ours]}"
status "policy: not allowed" 1 "${verify[@]}" --evidence "$T/evidence" --policy "$T/policy.json"
sed 's/,"measured_log":"[^"]*"//' "$T/evidence" >"$T/stripped"
status "the host leaves the log out" 1 "${verify[@]}" --evidence "$T/stripped"
check "... and is found" grep -q report-data "$T/out"
"$SHELTER" kill one

# --- the broker ---
"$SHELTER" broker init
"$SHELTER" broker key >"$T/key.pem"
policy "{\"allow\":[$ours,{\"domain\":\"app\",\"operation\":\"ready\"}]}"
timeout 500 "$SHELTER" broker serve --listen 127.0.0.1:0 --allow-simulated "$T/root.pem" --policy "$T/policy.json" \
    --url-file "$T/url" >"$T/broker.log" 2>&1 &
cleanup_hooks+=("kill $! 2>/dev/null")
check "the broker" until_true 20 test -s "$T/url"
printf 'the secret' | "$SHELTER" broker add-resource default/key/one --image any
check "an image of this broker" "$SHELTER" build -q -t mine --broker-key "$T/key.pem" -f "$B" -f "$T/local"
"$SHELTER" broker add-reference mine --allow arg --allow stdin >/dev/null
get="/bin/local get 4 /cdh/resource/default/key/one"
status "a resource before and after an allowed event" 0 "${run[@]}" -i "$(cat "$T/url")" mine /bin/busybox sh -c \
    "$get && $(post app ready '') && $get"
same "... twice" "$(grep -c 'the secret' "$T/out")" 2
status "none after another event" 1 "${run[@]}" -i "$(cat "$T/url")" mine /bin/busybox sh -c \
    "$get && $(post app shell root) && $get"
same "... once" "$(grep -c 'the secret' "$T/out")" 1
said() { "$SHELTER" broker log | grep -q "event app shell is not allowed"; }
check "the log says why" until_true 10 said
