#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The verbs of the command line for an instance in an enclave: counts, traces, ports, signals, life.
. tests/e2e/lib.sh
LIMIT=60
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "enclave: not built (make)"; exit 0; }
mkdir -p "$T/base"
for f in vmlinux bzImage initramfs; do echo "base file $f" >"$T/base/$f"; done
cp build/base/enclave "$T/base/"
export SHELTER_BASE=$T/base SHELTER
json() { python3 -c "
import json, sys
d = json.load(sys.stdin)
print(json.dumps($1))"; }
B=$(command -v busybox)
check "build" "$SHELTER" build -q -t shut -f "$B"
check "build, with stats, traces and signals" "$SHELTER" build -q -t open --allow stats --allow trace --allow signal -f "$B"
run=("$SHELTER" run --tee sgx-sim)
running() { "$SHELTER" ps | grep -q "$1 .*running"; }

# --- counts ---
status "run --stats" 0 "${run[@]}" --rm --stats "$T/stats" open /bin/busybox echo hello
same "run --stats: the program's output" "$(cat "$T/out")" hello
same "run --stats: what must be there" "$(json '[d[k] > 0 for k in ("calls_out", "aex", "syscalls", "committed_bytes", "peak_bytes")]' <"$T/stats")" "[true, true, true, true, true]"
same "run --stats: the peak is the highest" "$(json 'd["peak_bytes"] >= d["committed_bytes"]' <"$T/stats")" true
status "run --stats is refused by policy" 125 "${run[@]}" --rm --stats "$T/stats2" shut /bin/busybox echo hello
one_line "run --stats: told" "does not allow --stats.*--allow stats"
check "run --stats: no file is left" [ ! -e "$T/stats2" ]
status "run --stats of a VM" 125 "$SHELTER" run --tee tdx-sim --stats "$T/stats2" open /bin/busybox true
one_line "run --stats of a VM: told" "needs an enclave"
status "run --stats: a file that cannot be" 125 "${run[@]}" --rm --stats "$T/none/x" open /bin/busybox true
one_line "run --stats: told why" "cannot write"

check "detached" "${run[@]}" -d --name sleeper open /bin/busybox sleep 1000
status "stats" 0 "$SHELTER" stats --json sleeper
same "stats: what must be there" "$(json '[d[0][k] > 0 for k in ("calls_out", "aex", "syscalls", "committed_bytes", "peak_bytes")] + [d[0]["instance"]]' <"$T/out")" '[true, true, true, true, true, "sleeper"]'
before=$(json 'd[0]["committed_bytes"]' <"$T/out")
for i in $(seq 30); do "$SHELTER" stats --json sleeper >"$T/out" 2>/dev/null || break; done
same "stats, asked thirty times: costs no memory" "$(json 'd[0]["committed_bytes"]' <"$T/out")" "$before"
for i in 1 2 3 4 5 6; do "$SHELTER" stats --json sleeper >"$T/stats.$i" 2>&1 & done
wait
same "stats, six at a time: all answered" "$(cat "$T"/stats.? | grep -c calls_out)" 6
status "stats as text" 0 "$SHELTER" stats sleeper
check "stats as text: lines" grep -q 'syscalls  *[0-9]' "$T/out"
status "stats of nobody" 125 "$SHELTER" stats nobody
check "the service thread is not the program's" "$SHELTER" stop -t 5 sleeper
status "stats of a stopped one" 125 "$SHELTER" stats sleeper
one_line "stats of a stopped one: told" "not running"

check "detached, shut" "${run[@]}" -d --name secret shut /bin/busybox sleep 1000
status "stats is refused by policy" 125 "$SHELTER" stats secret
one_line "stats: told" "does not allow stats.*--allow stats"
status "trace is refused by policy" 125 "$SHELTER" trace secret
one_line "trace: told" "does not allow traces.*--allow trace"

# --- the enclave judges by itself: a host that does not ask the policy ---
ask() { # INSTANCE TYPE PAYLOAD-HEX…: the answer's type, error and text
    timeout 20 python3 - "$SHELTER_STORE" "$@" <<'PY'
import glob, json, os, socket, struct, sys
store, name, kind, data = sys.argv[1], sys.argv[2], int(sys.argv[3]), bytes.fromhex(sys.argv[4])
for c in glob.glob(store + '/instances/*/config.json'):
    if json.load(open(c))['name'] == name:
        os.chdir(os.path.dirname(c))
s = socket.socket(socket.AF_UNIX)
s.connect('ctl.sock')
s.sendall(struct.pack('<BBHI', kind, 0, 0, 4 + len(data)) + bytes(4) + data)
b = b''
while len(b) < 8 or len(b) < 8 + struct.unpack('<I', b[4:8])[0]:
    got = s.recv(65536)
    if not got:
        break
    b += got
if len(b) >= 16:
    n = struct.unpack('<I', b[4:8])[0]
    print(b[0], struct.unpack('<I', b[12:16])[0], b[16:8 + n].decode())
else:
    print('closed')
PY
}
same "inside: stats refused" "$(ask secret 37 "")" "22 1 the image does not allow stats; build it with --allow stats"
same "inside: trace refused" "$(ask secret 38 01000000)" "22 1 the image does not allow traces; build it with --allow trace"
same "inside: a request too large is none" "$(ask secret 38 "$(printf '%0140d' 0)")" closed
check "it lives on" running secret
check "kill" "$SHELTER" kill secret

# --- traces ---
status "run --trace" 0 "${run[@]}" --rm --trace open /bin/busybox echo hello
check "run --trace: to stderr" grep -q '^\[1\] write(1, .*) = 6' "$T/err"
check "run --trace: until the end" grep -q 'exited with 0' "$T/err"
status "run --trace=FILE" 0 "${run[@]}" --rm --trace="$T/trace" open /bin/busybox echo hello
check "run --trace=FILE: there" grep -q '^\[1\] write(1, .*) = 6' "$T/trace"
same "run --trace=FILE: not on stderr" "$(grep -c write "$T/err")" 0
status "run --trace is refused by policy" 125 "${run[@]}" --rm --trace shut /bin/busybox echo hello
one_line "run --trace: told" "does not allow --trace.*--allow trace"
check "a loop" "${run[@]}" -d --name loop open /bin/busybox usleep 100000000
timeout -s INT -k 5 3 "$SHELTER" trace -o "$T/trace" loop >/dev/null 2>&1
check "trace of a sleeper ends by ^C" running loop
"$SHELTER" trace loop >"$T/trace" 2>"$T/err" &
tracer=$!
check "trace is on" until_true 10 bash -c '"$SHELTER" stats --json loop | grep -q calls_out'
check "the workload's end" "$SHELTER" kill -s TERM loop
wait $tracer
same "trace ends with the workload" "$?" 0
same "ps: the service threads never show" "$("$SHELTER" ps -q | wc -l)" 0
