#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every end of an instance has a line in `logs` and in `status`; every verb ends when supervisor or loader is stopped.
. tests/e2e/lib.sh
LIMIT=60
enclave_base ends
cat >"$T/eat.c" <<'C'
#include <stdlib.h>
#include <string.h>
int main(void)
{
    for (int i = 0; i < 400; i++)
        memset(malloc(1 << 20), 1, 1 << 20);
    return 0;
}
C
gcc -o "$T/eat" "$T/eat.c"
cat >"$T/asks.c" <<'C'
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
    return syscall(SYS_io_uring_setup, 8, 0) ? 3 : 0; /* no enclave has it */
}
C
gcc -o "$T/asks" "$T/asks.c"
B=/bin/busybox
check "build" "$SHELTER" build -q -t ends --allow exec,stats,trace,signal -f "$(command -v busybox)" -f "$T/eat" -f "$T/asks" -f /bin/bash
image=$(find "$SHELTER_STORE/images" -mindepth 1 -maxdepth 1 -type d | head -n 1)
json() { "$SHELTER" inspect --json "$1" | python3 -c "import json, sys; print(json.load(sys.stdin)['$2'])"; }

# --- the line ---
# ends NAME STATUS LOG-PATTERN STATUS-PATTERN COMMAND…
ends() {
    local name=$1 want=$2 log=$3 line=$4
    shift 4
    "$SHELTER" run --tee sgx-sim --name e -m 96M ends "$@" >"$T/out" 2>"$T/err" </dev/null
    same "$name: exit status" $? "$want"
    "$SHELTER" logs e >/dev/null 2>"$T/log"
    same "$name: lines about the end in logs" "$(grep -cE "^shelter: instance e ended with exit status $want$log" "$T/log")" 1
    "$SHELTER" status e >"$T/status"
    check "$name: in status" grep -qE "^e: exited \($want\) .*$line" "$T/status"
    "$SHELTER" rm -f e >/dev/null 2>&1
}
ends "exit 0" 0 '$' 'simulated\)$' $B true
ends "exit 3 behind half a line" 3 '$' 'simulated\)$' $B sh -c 'printf half >&2; exit 3'
ends "SIGSEGV" 139 ': .*signal 11 \(SEGV' 'signal 11 \(SEGV' $B sh -c "sh -c 'kill -SEGV \$\$'; exit \$?"
ends "its own SIGKILL" 137 ': .*signal 9 .*nobody asked for it.*-m' 'nobody asked for it' $B sh -c "sh -c 'kill -KILL \$\$'; exit \$?"
ends "missing calls" 3 ': .*io_uring_setup.*--tee' 'io_uring_setup.*--tee' /bin/asks
"$SHELTER" run --tee sgx-sim --name e ends /bin/asks </dev/null >/dev/null 2>&1
check "missing calls: inspect names them, and what to do" grep -q '^error .*io_uring_setup.*--tee' <("$SHELTER" inspect e)
"$SHELTER" rm -f e >/dev/null 2>&1
ends "memory full" 137 ': .*signal 9 .*-m' 'signal 9' /bin/eat
damaged() { # FILE OFFSET
    cp "$image/$1" "$T/good" && cp "$T/good" "$T/bad" && python3 - "$T/bad" "$2" <<'P'
import os, sys
with open(sys.argv[1], "r+b") as f:
    at = int(sys.argv[2])
    f.seek(at)
    byte = f.read(1)[0]
    f.seek(at)
    f.write(bytes([byte ^ 1]))
P
    mv "$T/bad" "$image/$1"
}
repair() { mv "$T/good" "$image/$1"; }
# A list of call sites of which the part for bash is another: found when that is mapped, by a shell that runs already.
damaged sites.bin $(($(stat -c %s "$image/sites.bin") / 3))
ends "damaged sites.bin" 125 ': sites.bin of the image is not what was built' 'sites.bin' $B sh -c 'bash -c true'
repair sites.bin
block=$(python3 - "$image/root.img" <<'P'
import sys
image, program = open(sys.argv[1], "rb").read(), open("/bin/bash", "rb").read()
print(image.index(program[4096 * 40:4096 * 41]) + 5)
P
)
damaged root.img "$block"
ends "a damaged page of a program" 135 ': .*signal 7' 'signal 7' /bin/bash -c 'echo {1..9}; for i in 1 2 3; do read -r x </proc/self/stat; done; type cd; printf "%q\n" a; help >/dev/null; complete; trap; shopt; set'
repair root.img

# The tree behind the files: what is above a block is looked at when it is read, the top before anything starts.
read -r tree < <(python3 - "$image/root.img" <<'P'
import os, sys
# lib/verity.h: the levels stand behind the data, the top first; 128 hashes of 32 bytes a block.
def levels(blocks):
    out = []
    while blocks > 1:
        blocks = -(-blocks // 128)
        out.append(blocks)
    return out
total = os.path.getsize(sys.argv[1]) // 4096
print(next(n for n in range(total, 0, -1) if n + sum(levels(n)) == total) * 4096)
P
)
damaged root.img $(($(stat -c %s "$image/root.img") - 4096))
ends "a damaged hash of the last files" 1 ': block [0-9]* of the root image is not what was built' 'not what was built' $B sh -c 'cat $(find /bin /lib /lib64 /usr /etc /root -type f)'
check "... is EIO for who reads them" grep -q 'Input/output error\|I/O error' "$T/err"
repair root.img
damaged root.img "$tree"
status "a damaged top of the hash tree: no start" 125 "$SHELTER" run --tee sgx-sim --name e ends $B true </dev/null
check "... and why" grep -q '^shelter: the root image cannot be read .*; it does not match its manifest, or is damaged$' "$T/err"
same "... no instance is left" "$("$SHELTER" ps -aq)" ""
repair root.img

"$SHELTER" run -d --tee sgx-sim --name killed ends $B sleep 1000 >/dev/null 2>&1
kill -KILL "$(json killed supervisor_pid)"
check "supervisor killed: dead" until_true 10 sh -c '"$SHELTER" ps -a | grep -q "killed .*dead"'
"$SHELTER" logs killed 2>"$T/log" >/dev/null
same "supervisor killed: in logs" "$(grep -c 'instance killed is dead: its supervisor was killed' "$T/log")" 1
"$SHELTER" status killed >"$T/status"
check "supervisor killed: in status" grep -q 'dead .*its supervisor was killed' "$T/status"
"$SHELTER" run -d --tee sgx-sim --name asked ends $B sleep 1000 >/dev/null 2>&1
"$SHELTER" stop -t 1 asked >/dev/null 2>&1
check "stop: it says who asked" sh -c '"$SHELTER" logs asked 2>&1 | grep -q "ended with exit status 1[34][37].*a command of this host asked for it"'
"$SHELTER" logs -t asked >/dev/null 2>"$T/log"
check "the line has its time with -t" grep -qE '^20[0-9-]+T[0-9:.]+Z shelter: instance asked ended' "$T/log"
same "logs --since now: not the line" "$("$SHELTER" logs --since "$(($(date +%s) + 5))" asked 2>&1)" ""

# --- who does not answer ---
"$SHELTER" run -d --tee sgx-sim --name hangs ends $B sleep 1000 >/dev/null 2>&1
helper=$(json hangs pid) supervisor=$(json hangs supervisor_pid)
loader=$(pgrep -P "$helper" | head -n 1)
stopped() { [ "$(awk '{ sub(/.*\) /, ""); print $1 }' "/proc/$1/stat")" = T ]; }
# bounded NAME SECONDS PATTERN COMMAND…
bounded() {
    local name=$1 limit=$2 pattern=$3 from=$SECONDS
    shift 3
    status "$name" 125 timeout -k 5 30 "$@" </dev/null
    check "$name: in time" [ $((SECONDS - from)) -le "$limit" ]
    check "$name: who does not answer" grep -qE "$pattern" "$T/err"
}
for part in helper loader; do
    pid=${!part}
    kill -STOP "$pid"
    check "$part stopped" until_true 5 stopped "$pid"
    for verb in "exec hangs $B true" "attach hangs" "stats hangs" "trace hangs" "kill -s USR1 hangs" "cp hangs:/etc $T/copy"; do
        # shellcheck disable=SC2086
        bounded "$part stopped: ${verb%% *}" 5 "instance hangs does not answer: its process $pid is stopped; .*rm -f hangs" "$SHELTER" $verb
    done
    kill -CONT "$pid"
done
check "and answers again" "$SHELTER" stats hangs
# Who is on a terminal types ^C, which is a byte for the workload, and hears of it all the same.
tests/pty_run.py 40 'expect:up' 'pause:3' 'send:\x03' 'expect:does not answer' -- "$SHELTER" run --tee sgx-sim --name typed ends $B sh -c 'trap "" INT; echo up; sleep 1000' >"$T/o" 2>&1 &
typed=$!
check "on a terminal" until_true 20 sh -c '"$SHELTER" logs typed | grep -q up'
kill -STOP "$(json typed supervisor_pid)"
kill -STOP "$supervisor"
for verb in "exec hangs $B true" "attach hangs" "stats hangs"; do
    # shellcheck disable=SC2086
    bounded "supervisor stopped: ${verb%% *}" 15 "supervisor of instance hangs does not answer; .*rm -f hangs" "$SHELTER" $verb
done
kill -CONT "$supervisor"
wait $typed
same "supervisor stopped: ^C on a terminal is answered" "$? $(tr -d '\r' <"$T/o" | tail -n 2 | tr '\n' ' ')" "0 status 130 terminal same "
"$SHELTER" rm -f typed >/dev/null
for part in loader supervisor; do
    "$SHELTER" attach hangs >/dev/null 2>"$T/err" </dev/null &
    client=$!
    check "attached" until_true 5 sh -c "grep -q S /proc/$client/stat && ss -x 2>/dev/null | grep -q ctl.sock"
    kill -STOP "${!part}"
    until_true 5 stopped "${!part}"
    kill -TERM "$client"
    timeout 30 tail --pid=$client -f /dev/null
    wait $client
    same "$part stopped: TERM ends an attached client" $? 143
    check "... which says why" grep -q 'does not answer' "$T/err"
    kill -CONT "${!part}"
done
check "the instance is as it was" "$SHELTER" stats hangs
kill -STOP "$loader"
status "rm -f of what is stopped" 0 timeout -k 5 30 "$SHELTER" rm -f hangs
gone() { [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; }
check "leaves no loader" until_true 5 gone "$loader"
check "leaves no supervisor" until_true 5 gone "$supervisor"
