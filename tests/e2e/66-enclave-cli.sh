#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The verbs of the command line for an instance in an enclave: counts, traces, ports, signals, life.
. tests/e2e/lib.sh
LIMIT=60
enclave_base enclave
gcc -O2 -static -o "$T/life" tests/enclave/life.c
gcc -O2 -o "$T/net" tests/enclave/net.c
json() { python3 -c "
import json, sys
d = json.load(sys.stdin)
print(json.dumps($1))"; }
B=$(command -v busybox)
check "build" "$SHELTER" build -q -t shut -f "$B" -f "$T/life" -f "$T/net"
check "build, with files of the host" "$SHELTER" build -q -t files --allow files -f "$B"
check "build, with stats, traces and signals" "$SHELTER" build -q -t open --allow stats --allow trace --allow signal --allow exec -f "$B" -f "$T/life"
run=("$SHELTER" run --tee sgx-sim)
running() { "$SHELTER" ps | grep -q "$1 .*running"; }

# --- which TEE ---
if [ -e /dev/sgx_enclave ]; then skip "--tee sgx: this machine has SGX"; else
    status "--tee sgx without SGX" 125 "$SHELTER" run --tee sgx --rm shut /bin/life
    one_line "--tee sgx: what lacks, what to do" "^shelter: --tee sgx: .*(no SGX|SGX is disabled|/dev/sgx_enclave|SGX2).*shelter doctor"
fi
tee_of() { "$SHELTER" measure --json shut 2>/dev/null | json 'd["tee"]'; }
if [ ! -e /dev/sgx_enclave ] && ! grep -qE '\b(sev_snp|tdx)' /proc/cpuinfo; then
    [ -x /usr/bin/qemu-system-x86_64 ] && want=tdx-sim || want=sgx-sim
    same "--tee auto: a machine before an enclave, an enclave where there is no QEMU" "$(tee_of)" "\"$want\""
fi

# --- its end in the words of what died: no QEMU, no guest ---
status "--hostname that is no name" 125 "${run[@]}" --hostname 'a b' shut /bin/busybox true
one_line "--hostname that is no name: told" "^shelter: --hostname 'a b': "
pid_of() { "$SHELTER" inspect --json "$1" | json 'd["pid"]'; }
killed() { # SIGNAL PATTERN
    "${run[@]}" -d --name victim shut /bin/busybox sleep 1000 >/dev/null 2>&1
    kill "-$1" "$(pid_of victim)"
    same "loader killed by $1" "$("$SHELTER" wait victim)" 125
    "$SHELTER" inspect --json victim | json 'd["error"]' >"$T/error"
    check "loader killed by $1: told" grep -qE "$2" "$T/error"
    check "loader killed by $1: no word of QEMU" sh -c "! grep -qiE 'qemu|guest|console' '$T/error'"
    "$SHELTER" rm -f victim >/dev/null
}
killed KILL 'enclave loader was killed by signal 9 .*out of memory'
printf '#!/nonexistent/interpreter\n' >"$T/loader" && chmod +x "$T/loader"
SHELTER_SGX_LOADER=$T/loader status "a loader that cannot be executed" 125 "${run[@]}" shut /bin/busybox true
one_line "... told" "enclave loader $T/loader is not there"
printf '#!/bin/sh\necho "no luck" >&2\nexit 7\n' >"$T/loader"
SHELTER_SGX_LOADER=$T/loader status "a loader that fails" 125 "${run[@]}" shut /bin/busybox true
one_line "... told" 'enclave loader failed with status 7: no luck'
printf '#!/bin/sh\nexit 0\n' >"$T/loader"
SHELTER_SGX_LOADER=$T/loader status "a loader that ends" 125 "${run[@]}" shut /bin/busybox true
one_line "... told" 'enclave loader ended before the enclave ran'
(cd "$T" && SHELTER_SGX_LOADER=./loader status "a relative loader" 125 "${run[@]}" shut /bin/busybox true
    one_line "... is found" 'enclave loader ended')

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
same "stats: what must be there" "$(json '[d[k] > 0 for k in ("calls_out", "aex", "syscalls", "committed_bytes", "peak_bytes")] + [d["instance"]]' <"$T/out")" '[true, true, true, true, true, "sleeper"]'
before=$(json 'd["committed_bytes"]' <"$T/out")
for i in $(seq 30); do "$SHELTER" stats --json sleeper >"$T/out" 2>/dev/null || break; done
same "stats, asked thirty times: costs no memory" "$(json 'd["committed_bytes"]' <"$T/out")" "$before"
idle() { "$SHELTER" stats --json sleeper 2>/dev/null | json '[d["aex"], d["calls_out"]]'; }
first=$(idle)
sleep 2
same "an idle enclave: no AEX, and no call out but for the question" \
    "$(python3 -c 'a, b = eval(",".join(__import__("sys").argv[1:])); print(b[0] - a[0], b[1] - a[1] < 20)' "$first" "$(idle)")" "0 True"
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
# The two processes beside it give back what made their start.
"$SHELTER" attach secret </dev/null >/dev/null 2>&1 &
attached=$!
supervisor=$("$SHELTER" inspect --json secret | json '(d[0] if isinstance(d, list) else d)["supervisor_pid"]')
is_small() { awk '/VmHWM/ { most = $2 } /VmRSS/ { now = $2 } END { exit !(now > 0 && now < most * 3 / 4) }' "/proc/$1/status"; }
check "the supervisor gives memory back" until_true 20 is_small "$supervisor"
check "the command that is attached, too" until_true 20 is_small "$attached"
kill -9 "$attached"
wait "$attached" 2>/dev/null
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
check "stop the loop" "$SHELTER" rm -f loop
check "one that answers signals" "${run[@]}" -d -e STAY=1 --name loop open /bin/life
"$SHELTER" trace loop >"$T/trace" 2>"$T/err" &
tracer=$!
check "trace is on" until_true 20 bash -c '"$SHELTER" kill -s USR1 loop; grep -q "write(1, " "$1"' - "$T/trace"
check "the workload's end" "$SHELTER" kill -s TERM loop
wait $tracer
same "trace ends with the workload" "$?" 0
same "ps: the service threads never show" "$("$SHELTER" ps -q | wc -l)" 0

# --- life ---
status "-e, -w, -u, -m" 0 "${run[@]}" --rm -e A=b -w /tmp -u 7:8 -m 200M shut /bin/busybox sh -c 'echo $A $PWD; exec /bin/busybox id -u'
same "-e, -w, -u, -m: seen" "$(tr '\n' ' ' <"$T/out")" "b /tmp 7 "
status "-m: the limit holds" 0 "${run[@]}" --rm -m 64M shut /bin/busybox sh -c 'while read -r k v u; do [ $k = MemTotal: ] && echo $v; done </proc/meminfo; true'
same "-m: seen" "$(cat "$T/out")" 65536
status "stdin, and an exit status" 5 "${run[@]}" --rm shut /bin/life < <(printf 'one\nbye 5\n')
same "stdin: read" "$(cat "$T/out")" "ready 0
got one"
check "a service" "${run[@]}" -d -e STAY=1 --name life shut /bin/life
check "logs" until_true 10 bash -c '[ "$("$SHELTER" logs life)" = "ready 0" ]'
status "kill -s USR1 is refused by policy" 125 "$SHELTER" kill -s USR1 life
one_line "kill: told" "allow.* signal"
status "exec is refused by policy" 126 "$SHELTER" exec life /bin/busybox true
status "cp is refused by policy" 126 "$SHELTER" cp life:/etc/passwd "$T/passwd"
mkdir -p "$T/folder/sub"
echo one >"$T/folder/a"; echo two >"$T/folder/sub/b"
status "-v of a folder that can be written, at a place that the image does not name" 125 "${run[@]}" --rm -v "$T/folder:/data" files /bin/busybox true
one_line "-v: told" 'names no such place for a folder of the host; build it with --mount PATH'
status "-v is refused by policy" 125 "${run[@]}" --rm -v "$T/folder:/data:ro" shut /bin/busybox true
one_line "-v: told by the image" 'allow files'
status "-v FOLDER:/data:ro" 0 "${run[@]}" --rm -v "$T/folder:/data:ro" files /bin/busybox cat /data/a /data/sub/b
same "-v: a copy of it" "$(tr "\n" " " <"$T/out")" "one two "
status "stop" 0 "$SHELTER" stop life
status "wait" 0 "$SHELTER" wait life
same "wait: its own status" "$(cat "$T/out")" 7
same "logs: what it said" "$("$SHELTER" logs life)" "ready 0
signal 15"
status "start again" 0 "$SHELTER" start life
check "start again: it runs" until_true 10 running life
same "start again: the same measurement" "$("$SHELTER" inspect --json life | json '(d[0] if isinstance(d, list) else d)["measurement"]')" \
    "$("$SHELTER" measure --tee sgx --json shut | json 'd["measurement"]')"
status "kill" 0 "$SHELTER" kill life
status "wait after kill" 0 "$SHELTER" wait life
same "wait after kill: 137" "$(cat "$T/out")" 137
status "rm" 0 "$SHELTER" rm life
# What it writes is in its memory, as README.md says: after stop and start it has the image's files again.
check "a file, where no volume is" "${run[@]}" -d --name forgets shut /bin/busybox sh -c \
    '[ -e /mark ] && echo kept; : >/mark; [ -e /mark ] && echo made; exec sleep 100'
for i in 1 2; do
    check "... is made" until_true 10 sh -c "[ \$(\"$SHELTER\" logs forgets | grep -c made) = $i ]"
    "$SHELTER" stop -t 1 forgets >/dev/null 2>&1
    [ $i = 2 ] || check "... start again" "$SHELTER" start forgets
done
same "... it was not there any more" "$("$SHELTER" logs forgets | grep -c kept)" 0
"$SHELTER" rm -f forgets >/dev/null 2>&1

# --- rm --all and what runs; processors that are not there ---
check "rm --all: one that runs" "${run[@]}" -d --name stays shut /bin/busybox sleep 100
status "rm --all" 0 "$SHELTER" rm --all
one_line "rm --all: what stays is told" "1 running instance stays; .*rm -f --all"
check "rm --all: it runs" running stays
status "rm -f --all" 0 "$SHELTER" rm -f --all
same "rm -f --all: its name" "$(cat "$T/out")" stays
here=$(getconf _NPROCESSORS_ONLN)
status "--cpus: more than there are" 0 "${run[@]}" --rm --cpus $((here + 1)) shut /bin/busybox nproc
same "--cpus: as many as there are" "$(cat "$T/out")" "$here"
check "--cpus: told" grep -q "this machine has $here processors" "$T/err"
for i in 1 2 3 4 5 6 7 8; do
    "${run[@]}" -d --rm -e STAY=1 --name brief shut /bin/life >/dev/null 2>&1
    timeout 20 "$SHELTER" kill brief >"$T/out" 2>"$T/err" || break
done
same "kill of --rm, eight times" "$i $(cat "$T/err")" "8 "

# Signals where the policy allows them, and to a program that is at work or asleep.
check "a service that takes signals" "${run[@]}" -d -e STAY=1 --name sig open /bin/life
for s in USR1 HUP USR2; do status "kill -s $s" 0 "$SHELTER" kill -s $s sig; sleep 0.2; done
check "signals arrived, once each" until_true 10 bash -c '[ "$("$SHELTER" logs sig | tail -n 3 | tr "\n" " ")" = "signal 10 signal 1 signal 12 " ]'
check "stop it" "$SHELTER" rm -f sig

# --- programs beside the workload ---
exec_in=("$SHELTER" exec beside)
check "exec: an instance" "${run[@]}" -d -e STAY=1 -e A=a --name beside open /bin/life
status "exec: its exit status" 7 "${exec_in[@]}" /bin/busybox sh -c 'echo $A $PWD; exit 7'
same "exec: environment and directory of the workload" "$(cat "$T/out")" "a /"
status "exec: stdin" 0 "${exec_in[@]}" /bin/busybox cat < <(seq 1 100000)
same "exec: all of it came back" "$(md5sum <"$T/out")" "$(seq 1 100000 | md5sum)"
status "exec: -u -w -e" 0 "$SHELTER" exec -u 7:8 -w /tmp -e A=b beside /bin/busybox sh -c 'echo $A $PWD; /bin/busybox id -u'
same "exec: -u -w -e: seen" "$(tr '\n' ' ' <"$T/out")" "b /tmp 7 "
status "exec: no such program" 127 "${exec_in[@]}" /bin/nope
one_line "exec: no such program: told" "no such file"
status "exec: not a program" 126 "${exec_in[@]}" /etc
status "exec: no such directory" 126 "$SHELTER" exec -w /nope beside /bin/busybox true
status "exec: no such user" 125 "$SHELTER" exec -u nobody-here beside /bin/busybox true
status "exec: killed" 137 "${exec_in[@]}" /bin/busybox sh -c 'kill -9 $$'
tests/pty_run.py 30 'send:tty; stty size\r' 'expect:33 101' 'send:sleep 100\r' 'pause:1' 'send:\x03' 'resize:20,70' 'pause:1' 'send:stty size\r' \
    'expect:20 70' 'send:exit 5\r' -- "${exec_in[@]}" /bin/busybox sh >"$T/o" 2>&1
check "exec on a terminal: size, ^C, resize, status" grep -q '^status 5' "$T/o"
many=()
for i in $(seq 20); do "${exec_in[@]}" /bin/busybox sh -c "exit $i" >/dev/null 2>&1 & many+=($!); done
wrong=0
for i in $(seq 20); do wait "${many[i - 1]}"; [ $? = "$i" ] || wrong=$((wrong + 1)); done
same "exec: twenty at a time, none gone wrong" "$wrong" 0
status "exec: one that runs at the end" 0 timeout 60 bash -c '"$SHELTER" exec beside /bin/busybox sleep 1000 & sleep 1; "$SHELTER" stop beside >/dev/null; wait; true'
check "exec: rm" "$SHELTER" rm -f beside

# --- cp ---
check "cp: an instance" "${run[@]}" -d -u 7:8 -e STAY=1 --name copied open /bin/life
mkdir -p "$T/tree/sub"
seq 1 200000 >"$T/tree/a"; echo two >"$T/tree/sub/b"; ln -s a "$T/tree/l"
status "cp: a folder in" 0 "$SHELTER" cp "$T/tree" copied:/tmp
status "cp: a file in under a new name" 0 "$SHELTER" cp "$T/tree/sub/b" copied:/tmp/tree/c
status "cp: seen inside" 0 "$SHELTER" exec copied /bin/busybox sh -c 'cd /tmp/tree && cat sub/b c && readlink l && wc -l <a'
same "cp: as it was" "$(tr '\n' ' ' <"$T/out")" "two two a 200000 "
status "cp: out" 0 "$SHELTER" cp copied:/tmp/tree "$T/back"
check "cp: it comes back as it went" diff -r --no-dereference "$T/tree" "$T/back" -x c
status "cp: of what is not there" 125 "$SHELTER" cp copied:/nothere "$T/x"
one_line "cp: told" 'nothere|No such'
status "cp: as a tar" 0 sh -c "'$SHELTER' cp copied:/tmp/tree - | tar tf - | grep -c sub/b"
status "cp: over a file of the image" 0 "$SHELTER" cp "$T/tree/sub/b" copied:/bin/life
status "cp: seen over it" 0 "$SHELTER" exec copied /bin/busybox cat /bin/life
same "cp: over it" "$(cat "$T/out")" two
check "cp: rm" "$SHELTER" rm -f copied

# --- a terminal ---
tests/pty_run.py 30 'expect:terminal 101' 'resize:20,70' 'expect:columns 70' 'send:hi\r' 'expect:got hi' 'send:bye 4\r' \
    -- "$SHELTER" run --tee sgx-sim --rm shut /bin/life >"$T/o" 2>&1
check "--tty: size, resize, input, status" grep -q '^status 4' "$T/o"
check "--tty: the terminal is as before" grep -q '^terminal same' "$T/o"
tests/pty_run.py 30 'expect:terminal' 'send:\x03' -- "$SHELTER" run --tee sgx-sim --rm shut /bin/life >"$T/o" 2>&1
check "^C ends it" grep -q '^status 130' "$T/o"
tests/pty_run.py 30 'expect:terminal' 'send:\x10\x11' -- "$SHELTER" run --tee sgx-sim --name term shut /bin/life >"$T/o" 2>&1
check "detached by keys" running term
tests/pty_run.py 30 'send:again\r' 'expect:got again' 'send:bye 6\r' -- "$SHELTER" attach term >"$T/o" 2>&1
check "attached again" grep -q '^status 6' "$T/o"

# --- ports ---
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
fetch() { timeout 10 python3 -c '
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
print(s.makefile().readline().strip())' "$1"; }
echo_udp6() { timeout 20 python3 - "$@" <<'P'
import socket, sys
sockets = []
for i in range(int(sys.argv[2])):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.settimeout(10)
    sockets.append(s)
good = 0
for turn in range(2):
    for i, s in enumerate(sockets):
        s.sendto(b"%d of %d" % (i, turn), ("::1", int(sys.argv[1])))
        good += s.recv(100) == b"%d of %d" % (i, turn)
print(good)
P
}
echo_udp() { timeout 10 python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.sendto(b"ping", ("127.0.0.1", int(sys.argv[1])))
print(s.recv(99).decode())' "$1"; }
first=$(free_port) second=$(free_port) third=$(free_port) fourth=$(free_port)
check "a port published twice" "${run[@]}" -d --rm --name twice -p 127.0.0.1:$first:80 -p 127.0.0.1:$second:80 \
    -p 127.0.0.1:$third:53/udp -p 127.0.0.1:$fourth:53/udp shut /bin/net serve 4 80 53
check "a port published twice: the first answers" until_true 10 fetch $first
same "a port published twice: the second" "$(fetch $second)" "10.0.2.2 10.0.2.15 80"
same "a port published twice: UDP" "$(echo_udp $third) $(echo_udp $fourth)" "ping ping"
"$SHELTER" rm -f twice >/dev/null
if [ "$(cat /proc/sys/net/ipv6/conf/lo/disable_ipv6 2>/dev/null)" = 0 ]; then
    udp=$(free_port) any=$(free_port)
    check "UDP on IPv6: published" "${run[@]}" -d --rm --name six -p "[::1]:$udp:53/udp" -p "$any:53/udp" shut /bin/net serve 4 80 53
    answers6() { [ "$(echo_udp6 "$udp" 1)" = 2 ]; }
    check "UDP on IPv6: answers" until_true 10 answers6
    same "UDP on IPv6: a hundred clients" "$(echo_udp6 "$udp" 100)" 200
    same "UDP on IPv6: more clients than are kept" "$(echo_udp6 "$udp" 300)" 600
    same "UDP without an address: IPv6 too" "$(echo_udp6 "$any" 3)" 6
    same "UDP without an address: IPv4" "$(echo_udp "$any")" ping
    status "UDP on IPv6: the same port again" 125 "${run[@]}" --rm -p "[::1]:$udp:53/udp" shut /bin/net serve 4 80 53
    one_line "UDP on IPv6: told" "UDP port $udp of ::1 is in use"
    "$SHELTER" rm -f six >/dev/null
else
    skip "published UDP ports on IPv6: this machine has no IPv6"
fi
for v in 4 6; do
    tcp=$(free_port) udp=$(free_port)
    check "IPv$v: published" "${run[@]}" -d --rm --name net$v -p 127.0.0.1:$tcp:80 -p 127.0.0.1:$udp:53/udp shut /bin/net serve $v 80 53
    check "IPv$v: TCP answers" until_true 10 fetch $tcp
    [ $v = 4 ] && want="10.0.2.2 10.0.2.15 80" || want="::ffff:10.0.2.2 ::ffff:10.0.2.15 80"
    same "IPv$v: addresses as in a VM, none of the host's" "$(fetch $tcp)" "$want"
    same "IPv$v: UDP answers" "$(echo_udp $udp)" ping
    check "IPv$v: ps shows it" bash -c '"$SHELTER" ps | grep -q "'$tcp'->80/tcp"'
    status "IPv$v: a port in use" 125 "${run[@]}" --rm -p 127.0.0.1:$tcp:80 shut /bin/net serve $v 80 53
    one_line "IPv$v: told" "in use"
    [ $v = 4 ] && { # outwards, to what the host's loopback serves
        status "out to the host: not unless it is meant" 1 "${run[@]}" --rm shut /bin/net out 10.0.2.2 $tcp
        same "out to the host: told" "$(cat "$T/out")" "errno Permission denied"
        status "out to the host" 0 "${run[@]}" --rm --network host-loopback shut /bin/net out 10.0.2.2 $tcp
        same "out to the host: answered" "$(cat "$T/out")" "$want"
        status "sockets that connect while they are polled" 0 "${run[@]}" --rm --network host-loopback shut /bin/net meanwhile 10.0.2.2 $udp
        same "... each hears of its own answers" "$(cat "$T/out")" "1 2 4 8 10 20 40 1 2 4 8 10 20 40 "
        status "out without a network" 1 "${run[@]}" --rm --network none shut /bin/net out 10.0.2.2 $tcp
        same "out without a network: told" "$(cat "$T/out")" "errno Network is unreachable"
        status "loopback is inside" 1 "${run[@]}" --rm shut /bin/net out 127.0.0.1 $tcp
        same "loopback is inside: nobody there" "$(cat "$T/out")" "errno Connection refused"
    }
    check "IPv$v: stop" "$SHELTER" kill net$v
    [ "$(id -u)" = 0 ] || continue # the loader is root no more when the program binds
    low() { python3 -c 'import socket
for p in range(600, 1024):
    try:
        a, b = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        a.bind(("127.0.0.1", p)), b.bind(("127.0.0.1", p))
        print(p)
        break
    except OSError: pass'; }
    port=$(low)
    check "IPv$v: port $port of root's" "${run[@]}" -d --rm --name low$v -p 127.0.0.1:$port:80 -p 127.0.0.1:$port:53/udp \
        shut /bin/net serve $v 80 53
    check "IPv$v: port $port: TCP answers" until_true 10 fetch $port
    same "IPv$v: port $port: UDP answers" "$(echo_udp $port)" ping
    check "IPv$v: port $port: stop" "$SHELTER" kill low$v
done
# Without -p a socket that listens is inside only, and so is one on a port that was not published.
tcp=$(free_port)
check "not published" "${run[@]}" -d --name in1 shut /bin/net self $tcp stay
check "not published: loopback works inside" until_true 10 bash -c '"$SHELTER" logs in1 | grep -q inside'
check "not published: refused from outside" bash -c "! timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/$tcp'"
check "not published: none in the loader" bash -c '! grep -qE "^ *[0-9]+: [0-9A-F]+:'"$(printf %04X "$tcp")"' 0*:0000 0A" /proc/net/tcp /proc/net/tcp6'
check "stop it" "$SHELTER" rm -f in1
status "--network none: loopback works" 0 "${run[@]}" --rm --network none shut /bin/net self $tcp
status "-p without a network" 125 "${run[@]}" --rm --network none -p $tcp:80 shut /bin/net self 80
status "the agent's port cannot be published" 125 "${run[@]}" --rm -p $tcp:8006 shut /bin/net self 8006

# --- redis ---
if command -v redis-server >/dev/null && command -v redis-cli >/dev/null; then
    check "build redis from Debian's binary" "$SHELTER" build -q -t redis -f "$(command -v redis-server)"
    check "redis: start" "${run[@]}" -d --name redis -m 512M -p 127.0.0.1:$tcp:6379 \
        redis /bin/redis-server --protected-mode no --save ""
    check "redis: it answers" until_true 20 redis-cli -p "$tcp" ping
    check "redis: SET and GET" sh -c "redis-cli -p $tcp set k v && [ \"\$(redis-cli -p $tcp get k)\" = v ]"
    status "redis: stop" 0 timeout 30 "$SHELTER" stop redis
    status "redis: wait" 0 "$SHELTER" wait redis
    same "redis: it ended by itself" "$(cat "$T/out")" 0
else
    skip "redis: not installed"
fi
