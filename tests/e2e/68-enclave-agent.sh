#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The agent in the enclave: secrets before the workload, /dev/attestation, the local API, evidence for
# who asks through the host; against our own broker and hosts that cheat.
. tests/e2e/lib.sh
LIMIT=60
enclave_base enclave
gcc -O2 -pthread -static -o "$T/local" tests/enclave/local.c
gcc -nostdlib -static -o "$T/clean" tests/enclave/clean.S
export SHELTER_BROKER=$T/broker
B=$(command -v busybox)
run=("$SHELTER" run --tee sgx-sim --rm)

# --- without -i nothing of it is there ---
check "build" "$SHELTER" build -q -t plain --allow stats -f "$B" -f "$T/local" -f "$T/clean"
status "no -i: runs" 0 "${run[@]}" --stats "$T/stats" plain /bin/busybox echo hello
same "no -i: no code of the agent is loaded, no quote asked for" \
    "$(grep -oE '"(lazy|quote|qe_target|socket|resolve)"' "$T/stats")" ""
status "no -i: a program starts clean" 0 "${run[@]}" plain /bin/clean

# --- /dev/attestation ---
att() { "${run[@]}" plain /bin/busybox sh -c "$1" 2>"$T/err"; }
same "attestation_type" "$(att 'read x </dev/attestation/attestation_type; echo $x')" dcap
att 'printf %s 0123456789abcdef >/dev/attestation/user_report_data; exec cat /dev/attestation/report' >"$T/report"
same "report: size and data" "$(python3 -c "
r = open('$T/report', 'rb').read()
print(len(r), r[320:384].rstrip(b'\0').decode())")" "432 0123456789abcdef"
att 'printf %s 0123456789abcdef >/dev/attestation/user_report_data; exec cat /dev/attestation/quote' >"$T/quote"
same "quote: over the same data and enclave" "$(python3 -c "
r, q = open('$T/report', 'rb').read(), open('$T/quote', 'rb').read()
print(q[112:144] == r[64:96], q[368:432] == r[320:384], len(q) > 1000)")" "True True True"
same "my_target_info: this enclave's MRENCLAVE" "$(python3 -c "
import sys
r, t = open('$T/report', 'rb').read(), sys.stdin.buffer.read()
print(len(t), t[:32] == r[64:96])" < <(att 'exec cat /dev/attestation/my_target_info'))" "512 True"
check "the simulated root" "$SHELTER" attest --simulated-root -o "$T/root.pem"
check "its collateral" "$SHELTER" attest --collateral "$T/collateral" --tee sgx-sim
verify=("$SHELTER" verify --ca "$T/root.pem" --allow-simulated --collateral "$T/collateral")
data=$(printf 0123456789abcdef | od -An -tx1 | tr -d ' \n')
status "quote: verifies, as this image" 0 "${verify[@]}" --evidence "$T/quote" --report-data "$data$(printf '%096d' 0)" --image plain
status "data of 65 bytes is refused" 1 "${run[@]}" plain /bin/busybox sh -c 'printf %065d 0 >/dev/attestation/user_report_data'

# --- the local API ---
status "evidence from 127.0.0.1:8006" 0 "${run[@]}" plain /bin/local get 4 "/aa/evidence?runtime_data=abc"
tail -n +2 "$T/out" >"$T/evidence"
status "evidence: verifies" 0 "${verify[@]}" --evidence "$T/evidence" --report-data "616263$(printf '%0122d' 0)" --image plain
status "evidence from [::1]:8006" 0 "${run[@]}" plain /bin/local get 6 "/aa/evidence?runtime_data=abc"
status "a path that is not there" 1 "${run[@]}" plain /bin/local get 4 "/nope"
same "a path that is not there: 404" "$(head -n 1 "$T/out")" 404
status "no broker, no resource" 1 "${run[@]}" plain /bin/local get 4 "/cdh/resource/default/key/one"
same "no broker: 501" "$(head -n 1 "$T/out")" 501
status "an RA-TLS certificate" 0 "${run[@]}" plain /bin/local get 4 "/aa/ra-tls" "Host: localhost:8006|Shelter-Request: 1|"
tail -n +2 "$T/out" >"$T/ra.pem"
same "an RA-TLS certificate: for its key" "$(openssl x509 -in "$T/ra.pem" -noout -pubkey 2>&1)" "$(openssl pkey -in "$T/ra.pem" -pubout 2>&1)"
check "an RA-TLS certificate: signed by it" openssl verify -no_check_time -CAfile "$T/ra.pem" "$T/ra.pem"
for headers in "" "Host: evil.example:8006|" "Host: localhost|Origin: http://evil|" "Host: localhost|X-Forwarded-For: 1.2.3.4|"; do
    status "asked by another ($headers)" 1 "${run[@]}" plain /bin/local get 4 "/aa/evidence?runtime_data=abc" "$headers"
    same "asked by another ($headers): 403" "$(head -n 1 "$T/out")" 403
done
status "no certificate without the header" 1 "${run[@]}" plain /bin/local get 4 "/aa/ra-tls"
same "no certificate without the header: 403" "$(head -n 1 "$T/out")" 403
check "an image that gives no raw evidence" "$SHELTER" build -q -t closed --agent-header --no-evidence -f "$T/local"
for line in "|403" "Shelter-Request: 1||403"; do # the header, and what /aa/evidence says
    status "closed: no evidence" 1 "${run[@]}" closed /bin/local get 4 "/aa/evidence?runtime_data=abc" "Host: localhost|${line%|*}"
    same "closed: no evidence: 403" "$(head -n 1 "$T/out")" "${line##*|}"
done
status "closed: a certificate" 0 "${run[@]}" closed /bin/local get 4 "/aa/ra-tls" "Host: localhost|Shelter-Request: 1|"
check "closed: inspect says so" grep -q '"agent-header"' <("$SHELTER" inspect --json closed)
status "no HTTP" 0 "${run[@]}" plain /bin/local raw "nonsense|||"
same "no HTTP: 400" "$(cat "$T/out")" "HTTP/1.1 400"
status "a request without an end" 0 "${run[@]}" plain /bin/local raw "GET / HTTP/1.1|A: $(printf '%08200d' 0)"
same "a request without an end: 413" "$(cat "$T/out")" "HTTP/1.1 413"
status "eight at once, beside a silent one" 0 "${run[@]}" plain /bin/local many "/aa/evidence?runtime_data=x" 8
status "the program's own server comes first" 0 "${run[@]}" plain /bin/local own
same "own server: it answered" "$(cat "$T/out")" mine
status "the program takes the port over" 0 "${run[@]}" plain /bin/local take
same "taken over: it answered" "$(cat "$T/out")" mine
check "an image with a server of its own" "$SHELTER" build -q -t replaced -a "$T/local" -f "$T/local"
printf '#!/bin/busybox sh\nwhile :; do echo "theirs $SHELTER_TEE $X $Z" | /bin/busybox nc -l -p 8006; done\n' >"$T/server"
chmod 755 "$T/server"
check "an image whose own server answers" "$SHELTER" build -q -t theirs -a "$T/server" -f "$B" -e X=image -c "/bin/busybox sh -c 'sleep 1; /bin/busybox nc 127.0.0.1 8006; /bin/busybox ps'"
status "... in the enclave" 0 "${run[@]}" -e Z=host theirs
same "... with the image's environment, none of the host's" "$(sed -n 1p "$T/out")" "theirs sgx image "
check "... beside the workload, as a process" grep -q 'root .*/usr/local/bin/attestation-agent' "$T/out"
status "... has none of ours" 1 "${run[@]}" replaced /bin/local get 4 "/aa/evidence?runtime_data=abc"

# --- evidence for who asks through the host ---
check "a running instance" "${run[@]}" -d --name asked plain /bin/busybox sleep 1000
status "attest" 0 "$SHELTER" attest --nonce 00112233 -o "$T/asked" asked
status "attest: verifies with the nonce" 0 "${verify[@]}" --evidence "$T/asked" --nonce 00112233 --image plain
status "attest: not with another" 1 "${verify[@]}" --evidence "$T/asked" --nonce 00112234 --image plain
status "attest: never as plain report data" 1 "${verify[@]}" --evidence "$T/asked" --report-data "00112233$(printf '%0120d' 0)"
check "stop it" "$SHELTER" kill asked

# --- secrets from the broker ---
simulated_broker 500
printf 'the first' | "$SHELTER" broker add-resource default/key/one --image any
printf 'second' | "$SHELTER" broker add-resource default/key/two --image any
secret=(--broker-key "$T/key.pem" --secret one=kbs:///default/key/one)
image() { # TAG COMMAND ARGUMENT…: built; its identity becomes a reference
    local tag=$1 command=$2
    shift 2
    "$SHELTER" build -q -t "$tag" "${secret[@]}" -c "$command" -f "$B" -f "$T/local" -f "$T/clean" "$@" >/dev/null &&
        "$SHELTER" broker add-reference "$tag"
}
check "image: a file" image file "/bin/busybox cat /run/secrets/one"
check "image: its owner" image owner "/bin/busybox ls -ln /run/secrets/one" -u 1000:1001
check "image: environment" image env "/bin/busybox env" -u 1000:1001 --secret TWO=kbs:///default/key/two:env
check "image: registers" image clean /bin/clean
check "image: API" image api "/bin/local get 4 /cdh/resource/default/key/two"
status "a secret as a file" 0 "${run[@]}" -i "$url" file
same "a secret as a file: its bytes" "$(cat "$T/out")" "the first"
"$SHELTER" pool --tee sgx-sim -i "$url" file >"$T/pool" 2>/dev/null &
pool=$!
check "a pool of such enclaves" until_true 30 grep -q waiting "$T/pool"
status "a secret in one of them" 0 "${run[@]}" -i "$url" file
same "... which is attested when it is taken" "$(cat "$T/out")" "the first"
check "... and came from there" until_true 10 grep -q taken "$T/pool"
kill $pool
wait $pool 2>/dev/null
status "its owner" 0 "${run[@]}" -i "$url" owner
check "its owner: 0400, the workload's user" grep -qE '^-r-------- +1 1000 +1001 +9 ' "$T/out"
status "a secret in the environment" 0 "${run[@]}" -i "$url" env
check "a secret in the environment: there" grep -qx TWO=second "$T/out"
status "the crypto leaves nothing in the registers" 0 "${run[@]}" -i "$url" clean
status "a resource by the local API" 0 "${run[@]}" -i "$url" api
same "a resource by the local API: its bytes" "$(tail -n 1 "$T/out")" second
# The program has its secrets; nothing else in the enclave still does.
printf 'kq7-in-a-file' | "$SHELTER" broker add-resource default/key/held --image any
printf 'kq7-in-the-environment' | "$SHELTER" broker add-resource default/key/env --image any
check "image: held" image held "/bin/busybox sh -c 'echo up; exec /bin/busybox sleep 1000'" --secret HELD=kbs:///default/key/held --secret ENV=kbs:///default/key/env:env
check "secrets that are held" "${run[@]}" -d --name held -i "$url" held
loaders() { pgrep -P "$("$SHELTER" inspect --json held | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')"; }
check "secrets that are held: the program runs" until_true 20 bash -c 'grep -q up < <("$SHELTER" logs held)'
same "secrets that are held: once each, where the program has them" \
    "$(loaders | python3 tests/enclave/memory.py kq7-in-a-file kq7-in-the-environment)" "1 1"
check "stop it" "$SHELTER" rm -f held
"$SHELTER" broker add-reference plain --allow arg --allow stdin
status "-i without a secret attests" 0 "${run[@]}" -i "$url" plain /bin/busybox echo ran
check "... and the log says so" bash -c '"$SHELTER" broker log | grep -q "granted.* plain "'

refused() { # NAME PATTERN RUN-ARGUMENT…: 123, one line that says why, and no byte of the workload
    status "$1: not started" 123 "${run[@]}" "${@:3}"
    one_line "$1: told" "$2"
    same "$1: no output" "$(cat "$T/out")" ""
}
refused "no broker named" "with -i HOST" file
refused "nobody there" "refused" -i https://127.0.0.1:1 file
refused "no such name" "broker.invalid" -i https://broker.invalid:1 file
check "one thing changed in the image" "$SHELTER" build -q -t changed "${secret[@]}" -e A=B -c "/bin/busybox cat /run/secrets/one" -f "$B"
refused "a changed image" "refuse" -i "$url" changed
SHELTER_BROKER=$T/other "$SHELTER" broker init
SHELTER_BROKER=$T/other "$SHELTER" broker key >"$T/other.pem"
check "another broker's key" "$SHELTER" build -q -t pinned --broker-key "$T/other.pem" --secret one=kbs:///default/key/one -c /bin/clean -f "$T/clean"
refused "another broker's key" "public key" -i "$url" pinned
check "a secret that is not there" "$SHELTER" build -q -t missing --broker-key "$T/key.pem" --secret x=kbs:///default/key/none -c /bin/clean -f "$T/clean"
"$SHELTER" broker add-reference missing
refused "a secret that is not there" "'x'" -i "$url" missing

# --- a host that cheats: the loader alone ---
id=$("$SHELTER" build -q -t file "${secret[@]}" -c "/bin/busybox cat /run/secrets/one" -f "$B" -f "$T/local" -f "$T/clean")
parts() { echo "$SHELTER_STORE/images/$id/$1"; }
launch() { # LINE…: a launch config
    local q="'''"
    printf 'version = "0.1.0"\nalgorithm = "sha384"\n\n[data]\n"shelter.launch" = %s\n' "$q"
    printf '%s\n' "$@" "$q"
}
launch "broker ${url/127.0.0.1/10.0.2.2}" >"$T/launch"
sgx=(build/sgx-loader --fuse-key "$SHELTER_STORE/sgx-sim.fuses" --signature "$(parts base/enclave.sig)"
    --network user --broker "10.0.2.2:${url##*:}")
quoting=(--sim-tee "$SHELTER_STORE/sim-tee" --launch "$T/launch")
files=("$(parts root.img)" "$(parts manifest)")
for speed in "" --strict; do
    status "the loader, ${speed:-patched}: the secret" 0 "${sgx[@]}" "${quoting[@]}" $speed "$(parts base/enclave)" "${files[@]}"
    same "the loader, ${speed:-patched}: its bytes" "$(cat "$T/out")" "the first"
done
trap '' USR1 # until the loader has its own handler
"${sgx[@]}" "${quoting[@]}" "$(parts base/enclave)" "${files[@]}" >"$T/out2" 2>"$T/err2" &
p=$!
trap - USR1
(trap - EXIT TERM; sleep 50 && kill -KILL $p 2>/dev/null) &
watchdog=$!
n=0 child= # which runs the enclave; its parent is the helper
while [ -z "$child" ] && [ -e /proc/$p/exe ]; do read -r child _ <"/proc/$p/task/$p/children"; done 2>/dev/null
while [ -e /proc/$p/exe ] && kill -USR1 $child 2>/dev/null; do n=$((n + 1)); done
wait $p
same "interrupts: it ended well" $? 0
kill $watchdog
check "interrupts: there were some" [ $n -gt 20 ]
same "interrupts: the secret's bytes" "$(cat "$T/out2")" "the first"
# A secret of the environment is on the program's stack, and nowhere else: neither in the LibOS's memory nor in the agent's.
printf 'rare-%s' "$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')" >"$T/rare"
"$SHELTER" broker add-resource default/key/rare --image any <"$T/rare"
rare=$SHELTER_STORE/images/$("$SHELTER" build -q -t rare --broker-key "$T/key.pem" --secret "RARE=kbs:///default/key/rare:env" -c "/bin/busybox sleep 300" -f "$B")
"$SHELTER" broker add-reference rare
mkfifo "$T/never"
"${sgx[@]}" "${quoting[@]}" --signature "$rare/base/enclave.sig" "$rare/base/enclave" "$rare/root.img" "$rare/manifest" <"$T/never" >"$T/out2" 2>"$T/err2" &
p=$!
exec 7>"$T/never"
same "a secret like no other: where it is" "$(timeout 60 python3 - $p "$T/rare" <<'P'
import glob, os, re, sys, time
secret = open(sys.argv[2], "rb").read()
def family(pid):
    """The loader and the processes that it confines itself to."""
    yield pid
    for child in open(f"/proc/{pid}/task/{pid}/children").read().split():
        yield from family(child)
def pages():
    """All that the enclave has: the simulated processor's page cache."""
    for pid in family(sys.argv[1]):
        for name in glob.glob(f"/proc/{pid}/map_files/*"):
            if "sgxsim-epc" in os.readlink(name):
                return parts(os.open(name, os.O_RDONLY))
    return b""
def parts(fd):
    at, data = 0, b""
    try:
        while True:
            at = os.lseek(fd, at, os.SEEK_DATA)
            end = os.lseek(fd, at, os.SEEK_HOLE)
            data += os.pread(fd, end - at, at)
            at = end
    except OSError: # behind the last
        return data
    finally:
        os.close(fd)
def places():
    data = pages()
    return [data[m.start() - 5:m.start()] for m in re.finditer(re.escape(secret), data)]
for _ in range(100): # while it is fetched, and the program starts
    found = places()
    if found == [b"RARE="]:
        break
    time.sleep(0.2)
print(found)
P
)" "[b'RARE=']"
exec 7>&-
kill -KILL $p
wait $p 2>/dev/null
launch "arg /bin/local" "arg get" "arg 4" "arg /aa/evidence?runtime_data=abc" >"$T/api"
plain=$SHELTER_STORE/images/$("$SHELTER" build -q -t plain --allow stats -f "$B" -f "$T/local" -f "$T/clean")
status "strict: the local API" 0 "${sgx[@]}" --strict "${quoting[@]:0:2}" --launch "$T/api" --signature "$plain/base/enclave.sig" "$plain/base/enclave" "$plain/root.img" "$plain/manifest"
same "strict: the local API: 200" "$(head -n 1 "$T/out")" 200
python3 - "$(parts base/enclave)" "$T/enclave" <<'P'
import struct, sys
d = bytearray(open(sys.argv[1], "rb").read())
phoff, n = struct.unpack_from("<Q", d, 32)[0], struct.unpack_from("<H", d, 56)[0]
lazy = [struct.unpack_from("<IIQQQQ", d, phoff + 56 * i) for i in range(n)]
lazy = [p for p in lazy if p[1] & 0x400000]
d[lazy[0][2] + lazy[0][5] // 2] ^= 1
open(sys.argv[2], "wb").write(d)
P
status "a bit of the agent's code changed" 123 "${sgx[@]}" "${quoting[@]}" "$T/enclave" "${files[@]}"
check "a bit of the agent's code changed: told" grep -q "not this enclave's" "$T/err"
status "no quoting enclave" 123 "${sgx[@]}" --launch "$T/launch" "$(parts base/enclave)" "${files[@]}"
check "no quoting enclave: told" grep -q "quoting service" "$T/err"

# --- stopped while it waits for a broker that says nothing ---
python3 - "$T/silent" <<'P' &
import socket, sys, time
s = socket.create_server(("127.0.0.1", 0))
open(sys.argv[1], "w").write(str(s.getsockname()[1]))
s.settimeout(60)
held = []
try:
    while True:
        held.append(s.accept())
except OSError:
    pass
P
cleanup_hooks+=("kill $! 2>/dev/null")
check "a broker that says nothing" until_true 10 test -s "$T/silent"
"$SHELTER" run --tee sgx-sim --name waits -i "https://127.0.0.1:$(cat "$T/silent")" file >"$T/out" 2>"$T/err" &
waits=$!
check "it waits" until_true 10 bash -c '"$SHELTER" ps | grep -q waits'
sleep 1
status "stopped" 0 timeout 30 "$SHELTER" stop waits
wait $waits
same "stopped: killed, since nothing had started" $? 137
