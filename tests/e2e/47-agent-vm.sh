#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Proof before secrets, in the VM: our broker gives a known image its secrets as file and
# environment; to another image, by another broker or with nobody there the workload does not start.
. tests/e2e/lib.sh
for need in build/base/vmlinux /bin/busybox; do
    [ -e "$need" ] || { skip "agent in the VM: $need is missing"; exit 0; }
done
export SHELTER_BROKER=$T/broker
B=/bin/busybox
brokers=()
cleanup_hooks+=('[ ${#brokers[@]} -eq 0 ] || kill "${brokers[@]}" 2>/dev/null')
# serve FOLDER: a broker of its own there; its port in $port.
serve() {
    SHELTER_BROKER=$1 "$SHELTER" broker serve --listen 127.0.0.1:0 --url-file "$1.url" --allow-simulated "$T/root.pem" \
        >"$1.log" 2>&1 &
    brokers+=($!)
    until_true 10 test -s "$1.url"
    port=$(sed 's/.*://' "$1.url")
}
secret() { printf %s "$2" | "$SHELTER" broker add-resource "$1" --image any --replace >/dev/null; }
build() { # TAG SCRIPT OPTION…
    local tag=$1
    mkdir -p "$T/$tag/bin"
    cp /bin/busybox "$T/$tag/bin"
    printf '#!/bin/busybox sh\n%s\n' "$2" >"$T/$tag/bin/w"
    chmod 755 "$T/$tag/bin/w"
    tar -C "$T/$tag" -cf "$T/$tag.tar" .
    shift 2
    "$SHELTER" build -q -t "$tag" -r "$T/$tag.tar" -c /bin/w "$@"
}
run=("$SHELTER" run --rm -m 256M --tee tdx-sim)

check "the simulated root" "$SHELTER" attest --simulated-root -o "$T/root.pem"
"$SHELTER" broker init
"$SHELTER" broker key >"$T/key.pem"
secret app/db/password hunter2
secret app/api/token tok-123
secrets=(--broker-key "$T/key.pem" --secret db=kbs:///app/db/password --secret TOKEN=kbs:///app/api/token:env)
check "build with secrets" build known "
$B echo \"\$($B cat /run/secrets/db) \$TOKEN \$($B stat -c '%a %u %g' /run/secrets/db)\"
$B wget -qO- http://127.0.0.1:8006/cdh/resource/app/db/password; $B echo
$B wget --header 'Shelter-Request: 1' -qO- 'http://127.0.0.1:8006/aa/ra-tls?nonce=n1' >/tmp/ra.pem && $B grep -c -- '-----BEGIN' /tmp/ra.pem
$B cat /tmp/ra.pem" -u 1000:1000 "${secrets[@]}"
check "the same with another program" build changed "$B echo changed; $B cat /run/secrets/db" -u 1000:1000 "${secrets[@]}"
id=$(sed -n 1p "$SHELTER_STORE/tags/known:latest")
"$SHELTER" inspect known >"$T/inspect"
check "secrets lock the image" grep -q lock "$T/inspect"
check "the broker knows one of them" "$SHELTER" broker add-reference "$SHELTER_STORE/images/$id" --name known
serve "$T/broker"
good=$port

status "a known image starts" 0 "${run[@]}" -i "127.0.0.1:$good" known
same "with its secrets: file, environment, owner" "$(sed -n 1p "$T/out")" "hunter2 tok-123 400 1000 1000"
same "and more by the local API" "$(sed -n 2p "$T/out")" hunter2
same "and a certificate with its key" "$(sed -n 3p "$T/out")" 2
sed -n '4,$p' "$T/out" >"$T/ra.pem"
check "whose signature holds" openssl verify -CAfile "$T/ra.pem" "$T/ra.pem"
judge=(--ca "$T/root.pem" --allow-simulated)
# What happens at run time: RTMR3 of the simulated module, the log beside the quote, a policy on it.
check "build: one that tells an event" build tells "$B wget -qO- --post-data '{\"domain\":\"app\",\"operation\":\"load\",\"content\":\"model v1\"}' \
    http://127.0.0.1:8006/aa/aael && $B sleep 300"
check "it runs" "$SHELTER" run -d --name tells -m 256M --tee tdx-sim tells
logged() { "$SHELTER" attest --nonce 0011 -o "$T/events" tells && grep -q cc_eventlog "$T/events"; }
check "events: its evidence has a log" until_true 60 logged
"$SHELTER" rm -f tells >/dev/null
noted=("$SHELTER" verify --image tells --nonce 0011 --ca "$T/root.pem" --allow-simulated --json)
status "events: verified" 0 "${noted[@]}" --evidence "$T/events"
same "events: by RTMR3" "$(python3 -c "
import json
c = json.load(open('$T/out'))['claims']
print(c['runtime_events_by'], *(e['domain'] + '/' + e['operation'] for e in c['runtime_events']), c['rtmr3_event_log'])")" \
    "RTMR3 shelter/image shelter/launch app/load replayed"
echo '{"events":{"require":[{"domain":"app","operation":"load","content":"model v1"}]}}' >"$T/events.json"
status "events: a policy on them" 0 "${noted[@]}" --evidence "$T/events" --policy "$T/events.json"
sed -i 's/model v1/model v2/' "$T/events.json"
status "events: another policy" 1 "${noted[@]}" --evidence "$T/events" --policy "$T/events.json"
python3 - "$T/events" "$T" <<'PY'
import base64, json, sys
e = json.load(open(sys.argv[1]))
log = base64.b64decode(e["cc_eventlog"])
for name, data in (("cut", log[:log.rindex(b"LEAA") - 66]), ("changed", log.replace(b"model v1", b"model v2")), ("none", b"")):
    f = dict(e, cc_eventlog=base64.b64encode(data).decode())
    json.dump({k: v for k, v in f.items() if v}, open(f"{sys.argv[2]}/events.{name}", "w"))
PY
sed -i 's/model v2/model v1/' "$T/events.json"
for lie in cut changed none; do
    status "events: a host that has the log $lie" 1 "${noted[@]}" --evidence "$T/events.$lie" --policy "$T/events.json"
done
status "whose evidence is this image's" 0 "$SHELTER" verify --certificate "$T/ra.pem" --image known --nonce 6e31 "${judge[@]}"
status "and not another image's" 1 "$SHELTER" verify --certificate "$T/ra.pem" --image changed --nonce 6e31 "${judge[@]}"
status "nor made for another nonce" 1 "$SHELTER" verify --certificate "$T/ra.pem" --image known --nonce 6e32 "${judge[@]}"
status "nor good where simulation is not" 1 "$SHELTER" verify --certificate "$T/ra.pem" --image known --nonce 6e31
openssl s_server -quiet -accept 127.0.0.1:0 -cert "$T/ra.pem" -key "$T/ra.pem" >"$T/s_server" 2>&1 &
brokers+=($!)
until_true 10 sh -c 'ss -ltnpH | grep -q "pid=$0,"' $!
tls=$(ss -ltnpH | sed -n "s/.*127.0.0.1:\([0-9]*\) .*pid=$!,.*/\1/p")
status "a server with it is judged from outside" 0 "$SHELTER" attest --tls "127.0.0.1:$tls" --image known "${judge[@]}"
"$SHELTER" broker log >"$T/log"
check "the log says who got what" grep -qE 'resource granted .* known .* app/db/password' "$T/log"

refused() { # NAME PATTERN RUN-ARGUMENT…: not started, 123, one line why
    local name=$1 why=$2
    shift 2
    status "$name: not started" 123 "${run[@]}" "$@"
    one_line "$name: told" "$why"
    check "$name: nothing ran" test ! -s "$T/out"
}
refused "an image that the broker does not know" "refuses the attestation \(status 401\): the measurement is none" \
    -i "127.0.0.1:$good" changed
refused "secrets without -i" "no key broker was named" known
refused "http:// where a key is pinned" "http:// cannot show one" -i "http://127.0.0.1:$good" known
refused "nobody at the address" "no connection to the key broker" -i 127.0.0.1:9 known
mkdir "$T/other"
SHELTER_BROKER=$T/other "$SHELTER" broker init
SHELTER_BROKER=$T/other "$SHELTER" broker add-reference "$SHELTER_STORE/images/$id" --name known
for r in app/db/password app/api/token; do
    printf evil | SHELTER_BROKER=$T/other "$SHELTER" broker add-resource $r --image any >/dev/null
done
serve "$T/other"
refused "another broker, which knows the image: its key is not the pinned one" "does not have the public key" \
    -i "127.0.0.1:$port" known
check "a resource is removed" "$SHELTER" broker remove-resource app/api/token
refused "a secret that is not there" "secret 'TOKEN': .*\(status 404\)" -i "127.0.0.1:$good" known

# Without secrets: the relying party is to see it before it starts.
check "an image without secrets" build plain "$B echo started"
refused "attestation alone is refused too" "refuses the attestation" -i "127.0.0.1:$good" plain
id=$(sed -n 1p "$SHELTER_STORE/tags/plain:latest")
"$SHELTER" broker add-reference "$SHELTER_STORE/images/$id" --name plain --allow stdin
status "known now: it starts" 0 "${run[@]}" -i "127.0.0.1:$good" plain
status "without -i nothing is asked" 0 "${run[@]}" plain
same "both times attested, or not: the log" "$("$SHELTER" broker log | grep -cE 'attest +granted .* plain ')" 1

# A broker that says nothing: whoever waits for it can be stopped.
python3 -c 'import socket, time
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
c = s.accept()
print("asked", flush=True)
time.sleep(100)' >"$T/mute" &
brokers+=($!)
until_true 10 test -s "$T/mute"
timeout 60 "$SHELTER" run --name waits -m 256M --tee tdx-sim -i "127.0.0.1:$(sed -n 1p "$T/mute")" plain >"$T/o" 2>"$T/e" &
waits=$!
check "it asks the broker" until_true 30 grep -q asked "$T/mute"
LIMIT=15 status "stop" 0 "$SHELTER" stop -t 10 waits
wait $waits
same "the machine is ended, as while it boots" "$?" 137
check "nothing ran" test ! -s "$T/o"

# The image's own API server replaces ours; what is fetched before the workload stays ours.
printf '#!/bin/busybox sh\nwhile :; do echo theirs | /bin/busybox nc -l -p 8006; done\n' >"$T/server"
chmod 755 "$T/server"
secret app/api/token tok-123
check "build with an API server of its own" build own "$B cat /run/secrets/db; $B echo; $B sleep 1
$B echo x | $B nc 127.0.0.1 8006" -a "$T/server" "${secrets[@]}"
id=$(sed -n 1p "$SHELTER_STORE/tags/own:latest")
"$SHELTER" broker add-reference "$SHELTER_STORE/images/$id" --name own
status "it starts" 0 "${run[@]}" -i "127.0.0.1:$good" own
same "with our secrets and its server" "$(tr '\n' ' ' <"$T/out")" "hunter2 theirs "
