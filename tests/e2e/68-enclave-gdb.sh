#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shelter debug: gdb breaks in a program and in the enclave OS, by names, where both are loaded.
. tests/e2e/lib.sh
LIMIT=60
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "enclave: not built (make)"; exit 0; }
mkdir -p "$T/base"
cp build/base/enclave "$T/base/"
export SHELTER_BASE=$T/base SHELTER
cat >"$T/count.c" <<'E'
#include <unistd.h>
volatile long total;
__attribute__((noinline)) void step_once(long n)
{
    total += n;
    usleep(20000);
}
int main(void)
{
    for (long n = 0;; n++)
        step_once(n);
}
E
gcc -g -O1 -o "$T/pie" "$T/count.c"
gcc -g -O1 -static -no-pie -o "$T/fixed" "$T/count.c"
check "build" "$SHELTER" build -q -t open --allow debug -f "$T/pie" -f "$T/fixed"
check "build, shut" "$SHELTER" build -q -t shut -f "$T/pie"
run=("$SHELTER" run --tee sgx-sim -d)

status "--debug is refused by policy" 125 "${run[@]}" --debug shut /bin/pie
one_line "--debug: told" "does not allow debugging.*--allow debug"
check "an instance without --debug" "${run[@]}" --name plain open /bin/pie
status "debug of it is refused" 125 "$SHELTER" debug --print plain
one_line "debug: told" "started without --debug"
# Inside it is judged again: MAPS (39) to an enclave that is no debug enclave.
ask() { # INSTANCE TYPE: the error and text
    timeout 20 python3 - "$SHELTER_STORE" "$@" <<'PY'
import glob, json, os, socket, struct, sys
for c in glob.glob(sys.argv[1] + '/instances/*/config.json'):
    if json.load(open(c))['name'] == sys.argv[2]:
        os.chdir(os.path.dirname(c))
s = socket.socket(socket.AF_UNIX)
s.connect('ctl.sock')
s.sendall(struct.pack('<BBHII', int(sys.argv[3]), 0, 0, 4, 0))
b = b''
while len(b) < 8 or len(b) < 8 + struct.unpack('<I', b[4:8])[0]:
    got = s.recv(65536)
    if not got:
        break
    b += got
print(struct.unpack('<I', b[12:16])[0], b[16:].decode())
PY
}
same "inside: no debug enclave" "$(ask plain 39)" "1 this is not a debug enclave; run the image with --debug"
check "remove it" "$SHELTER" rm -f plain

# What is broken inside ends the enclave, with a reason: a canary, by whoever may write a debug enclave's memory.
"${run[@]:0:4}" --debug --name canary open /bin/pie >"$T/out" 2>"$T/err" &
shell=$!
tries=0
until "$SHELTER" ps | grep -q 'canary .*running' || [ $((tries += 1)) -gt 100 ]; do sleep 0.1; done
python3 - "$SHELTER" "$(nm build/enclave.debug | awk '$3 == "first" { print $1 }')" <<'PY' >"$T/written" 2>&1
import json, os, re, subprocess, sys
text = subprocess.run([sys.argv[1], 'debug', '--print', 'canary'], capture_output=True, text=True).stdout
pid = re.search(r'^attach (\d+)', text, re.M)[1]
f = os.open(f'/proc/{pid}/mem', os.O_RDWR)
at = int(sys.argv[2], 16) + 8
was = os.pread(f, 8, at)
assert was != bytes(8), 'a canary of zero'
os.pwrite(f, bytes(b ^ 255 for b in was), at)
PY
if grep -q PermissionError "$T/written"; then
    skip "canary: the memory of another process may not be written here"
    "$SHELTER" rm -f canary
else
    wait $shell
    same "canary: the end's status" $? 125
    check "canary: told" grep -q '^shelter: .*a stack canary is broken' "$T/err"
    "$SHELTER" rm -f canary >/dev/null 2>&1
fi

if ! command -v gdb >/dev/null; then
    skip "gdb: not installed"
    exit 0
fi
cat >"$T/commands" <<'E'
break step_once
continue
bt
print n >= 0
delete
break sys_getcwd
break sys_getcpu
break sys_sysinfo
break sys_umask
break sys_clock_nanosleep
continue
bt 3
detach
E
for p in pie fixed; do
    check "$p: an instance" "${run[@]}" --debug --name $p open /bin/$p
    status "$p: the script" 0 "$SHELTER" debug --print $p
    check "$p: symbols of the enclave OS and the program" \
        bash -c 'grep -q "^add-symbol-file .*enclave" "$1" && grep -q "^add-symbol-file .*bin_'$p'" "$1"' - "$T/out"
    pid=$(awk '/^attach / { print $2 }' "$T/out")
    if ! timeout 20 gdb -q -batch -ex "attach $pid" -ex detach 2>&1 | grep -q detached; then
        skip "$p: gdb may not attach here (ptrace)"
        continue
    fi
    status "$p: gdb" 0 "$SHELTER" debug $p -- -batch -x "$T/commands"
    check "$p: breaks in the program, with its line" grep -qE 'hit Breakpoint 1, step_once \(.*count\.c:[0-9]' "$T/out"
    check "$p: a backtrace into main" grep -qE '^#1 .* in main \(\) at .*count\.c:11' "$T/out"
    check "$p: its variables" grep -q '^\$1 = 1' "$T/out"
    check "$p: breaks in the enclave OS, at one of five places, with its line" grep -qE 'Breakpoint 6, sys_clock_nanosleep .*time/clock\.c' "$T/out"
    check "$p: a backtrace through the call" grep -qE '^#[12] .* in system_call ' "$T/out"
    check "$p: it runs on after gdb" bash -c '"$SHELTER" ps | grep -q "'$p' .*running"'
    check "$p: stop" "$SHELTER" rm -f $p
done
