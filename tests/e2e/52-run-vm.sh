# SPDX-License-Identifier: Apache-2.0
# run and the life of an instance in a real VM (tdx-sim): streams, terminal, signals, exec, cp, ports,
# shared folders.
. tests/e2e/lib.sh
[ -f build/base/vmlinux ] && [ -f build/base/initramfs ] || { skip "run-vm: no build/base (make tools)"; exit 0; }
command -v qemu-system-x86_64 >/dev/null || { skip "run-vm: no QEMU"; exit 0; }
[ -x /bin/busybox ] || { skip "run-vm: no busybox"; exit 0; }
LIMIT=60
gcc -static -O1 -o "$T/net_server" tests/net_server.c
"$SHELTER" build -t box -f /bin/busybox -f "$T/net_server" --allow exec --allow signal --mount /data --allow debug --allow stats -c '/bin/busybox sh' >/dev/null 2>"$T/err" || { not_ok "build: $(cat "$T/err")"; exit 1; }
"$SHELTER" build -t shut -f /bin/busybox -c '/bin/busybox sh' >/dev/null 2>&1
B=/bin/busybox
field() { "$SHELTER" inspect --json "$1" | python3 -c "import json,sys; print(json.load(sys.stdin)['$2'])"; }

# --- streams and statuses ---
status "exit status, streams apart" 7 sh -c "echo 'echo out; echo err >&2; exit 7' | '$SHELTER' run --rm box"
same "stdout" "$(cat "$T/out")" out
same "stderr" "$(grep -v simulated "$T/err")" err
same "one warning of simulation" "$(grep -c simulated "$T/err")" 1
status "not found is 127" 127 "$SHELTER" run box /bin/nothere; one_line "told" nothere
status "not executable is 126" 126 "$SHELTER" run box /etc; one_line "told" '/etc'
status "killed by a signal" 139 "$SHELTER" run --rm box $B sh -c '/bin/busybox sh -c "kill -SEGV \$\$"; exit $?'
status "the original's form, options in any order" 3 "$SHELTER" run --rm -c "$B sh -c 'exit 3'" -m 128M -t box
status "a broker that is not there: the workload does not start" 123 "$SHELTER" run --rm -i https://127.0.0.1:9 -t box -c "$B echo started"
one_line "told" 'no connection to the key broker at https://127.0.0.1:9'
check "nothing ran" test ! -s "$T/out"
status "environment, directory, hostname" 0 env FROM_HOST=h "$SHELTER" run --rm -e A='1 2' -e FROM_HOST -w /tmp --hostname inner box $B sh -c 'echo "$A $FROM_HOST $(/bin/busybox pwd) $(/bin/busybox hostname)"'
same "as asked for" "$(cat "$T/out")" "1 2 h /tmp inner"
head -c 100000000 /dev/urandom >"$T/big"
timeout 120 "$SHELTER" run --rm box $B cat <"$T/big" 2>/dev/null | cmp - "$T/big" && ok "100 MB through cat" || not_ok "100 MB through cat"
rm "$T/big"
timeout 60 "$SHELTER" run --rm box $B yes 2>/dev/null | head -n 1 >"$T/o"
same "yes | head ends" "$(cat "$T/o")" y
status "64 MB of memory are enough for a small program" 0 "$SHELTER" run --rm -m 64M box $B true
status "a workload that eats all memory" 137 "$SHELTER" run --rm -m 64M box $B sh -c 'exec /bin/busybox tail /dev/zero'

status "what the processor names" 0 "$SHELTER" run --rm box $B grep -m1 flags /proc/cpuinfo
check "no extension without what it came with" python3 -c "f = set(open('$T/out').read().split()); assert 'avx' in f and ('avx2' in f or not f & {'bmi1', 'bmi2', 'fma', 'vaes', 'vpclmulqdq'})"

# --- a terminal ---
tests/pty_run.py 60 'expect:#' 'send:/bin/busybox stty size\r' 'expect:33 101' 'resize:20,70' 'send:/bin/busybox stty size\r' 'expect:20 70' \
    'send:/bin/busybox sleep 100\r' 'expect:100' 'pause:1' 'send:\x03' 'expect:#' 'send:exit 9\r' -- "$SHELTER" run --rm box >"$T/o" 2>&1
same "a terminal: size, resize, ^C, status" "$?/$(tr -d '\r' <"$T/o" | grep -cE '^(status 9|terminal same)$')" "0/2"
tests/pty_run.py 60 'expect:#' 'send:\x10\x11' -- "$SHELTER" run --name term box >"$T/o" 2>&1
same "^P ^Q detaches" "$?/$(tr -d '\r' <"$T/o" | grep -cE '^(status 0|terminal same)$')" "0/2"
tests/pty_run.py 60 'send:echo again$((1+1))\r' 'expect:again2' 'send:exit 4\r' -- "$SHELTER" attach term >"$T/o" 2>&1
same "attach goes on" "$?/$(tr -d '\r' <"$T/o" | grep -cE '^(status 4|terminal same)$')" "0/2"
tests/pty_run.py 60 'expect:ready' 'signal:15' -- "$SHELTER" run --rm --name gone box $B sh -c 'trap "exit 3" TERM; echo ready; while :; do /bin/busybox sleep 0.1; done' >"$T/o" 2>&1
tr -d '\r' <"$T/o" | grep -q '^terminal same$' && ok "TERM leaves the terminal as it was" || not_ok "TERM leaves the terminal as it was"
"$SHELTER" rm -f term gone >/dev/null 2>&1

# --- a running instance ---
check "run -d" "$SHELTER" run -d --name life box $B sh -c 'trap "exit 138" USR1; echo started; while :; do /bin/busybox sleep 0.1; done'
status "stats of a VM" 0 "$SHELTER" stats --json life; check "stats of a VM: memory and time" grep -q '"memory_bytes"' "$T/out"
check "stats of a VM: processes, not threads, and none of the kernel's" python3 -c 'import json, sys; sys.exit(not 1 < json.load(open(sys.argv[1]))["processes"] < 8)' "$T/out"
status "trace of a VM" 125 "$SHELTER" trace life; one_line "told" 'trace'
status "debug of a VM" 125 "$SHELTER" debug life; check "debug of a VM: told" grep -q 'simulated enclaves only' "$T/err"
status "exec" 5 sh -c "echo 'echo in; exit 5' | '$SHELTER' exec life $B sh"; same "its output" "$(cat "$T/out")" in
tests/pty_run.py 60 'expect:#' 'send:/bin/busybox stty size\r' 'expect:33 101' 'send:exit\r' -- "$SHELTER" exec life $B sh >"$T/o" 2>&1
same "exec on a terminal" $? 0
mkdir -p "$T/tree/sub"; echo one >"$T/tree/a"; echo two >"$T/tree/sub/b"; ln -s a "$T/tree/l"
status "cp a folder in" 0 "$SHELTER" cp "$T/tree" life:/tmp
status "cp a file in under a new name" 0 "$SHELTER" cp "$T/tree/a" life:/tmp/tree/c
status "it is there" 0 "$SHELTER" exec life $B sh -c 'cd /tmp/tree && /bin/busybox cat a sub/b l c'; same "as it was" "$(tr '\n' ' ' <"$T/out")" "one two one one "
status "cp out" 0 "$SHELTER" cp life:/tmp/tree "$T/back"
check "it comes back as it went" diff -r --no-dereference "$T/tree" "$T/back" -x c
status "cp of what is not there" 125 "$SHELTER" cp life:/nothere "$T/x"; one_line "told" 'nothere|No such'
status "cp as a tar" 0 sh -c "'$SHELTER' cp life:/tmp/tree - | tar tf - | grep -c sub/b"
status "kill -s USR1" 0 "$SHELTER" kill -s USR1 life
status "wait" 0 "$SHELTER" wait life; same "its status" "$(cat "$T/out")" 138
status "logs" 0 "$SHELTER" logs life; same "what it wrote" "$(cat "$T/out")" started
check "measurement in inspect" sh -c "'$SHELTER' inspect --json life | python3 -c 'import json,sys; d=json.load(sys.stdin); m=d[\"measurement\"]; assert d[\"simulated\"] and len(m[\"mrtd\"])==96 and len(m[\"rtmr\"])==4 and d[\"exit_code\"]==138'"
check "-d has no stdin" sh -c "timeout 30 '$SHELTER' run -d --name nothing box $B cat && timeout 30 '$SHELTER' wait nothing"
check "a guest is refused what its policy does not allow, and told so" sh -c "timeout 30 '$SHELTER' run -d --name strict shut $B sleep 100 && ! '$SHELTER' exec strict $B true && '$SHELTER' stop -t 0 strict"
mkdir "$T/console"; timeout 60 "$SHELTER" run --debug --name loud box $B true >/dev/null 2>&1
check "--debug keeps the kernel's words" grep -q 'Linux version' "$SHELTER_STORE/instances/$(field loud id)/console.log"

# --- ports and folders ---
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
"$SHELTER" run -d --name web -p 127.0.0.1:$port:80 -p 127.0.0.1:$port:53/udp box /bin/net_server >/dev/null 2>&1
cat >"$T/net.py" <<'P'
import socket, sys, time
kind, port = sys.argv[1], int(sys.argv[2])
for _ in range(40):
    try:
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        s.settimeout(1)
        s.connect(("127.0.0.1", port))
        s.send(b"question")
        answer = s.recv(100)
        if answer:
            print(answer.decode().strip())
            break
    except OSError:
        pass
    time.sleep(0.2)
P
same "a published TCP port" "$(timeout 60 python3 "$T/net.py" tcp $port)" tcp-answer
same "a published UDP port" "$(timeout 60 python3 "$T/net.py" udp $port)" question
cat >"$T/many.py" <<'P'
import socket, sys, threading, time
took, start = [], threading.Barrier(60)
def client():
    start.wait()
    at = time.monotonic()
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30) as s:
        s.settimeout(30)
        if s.recv(100):
            took.append(time.monotonic() - at)
threads = [threading.Thread(target=client) for _ in range(60)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(took), "quick" if max(took) < 10 else max(took))
P
same "sixty clients at once" "$(timeout 100 python3 "$T/many.py" $port)" "60 quick"
cat >"$T/thousands.py" <<'P'
import resource, select, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
poll, waiting, answered, end = select.epoll(), {}, 0, time.monotonic() + 60
for i in range(2000):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(("127.0.0.1", int(sys.argv[1])))
    waiting[s.fileno()] = s
    poll.register(s.fileno(), select.EPOLLIN)
while waiting and time.monotonic() < end:
    for fd, _ in poll.poll(1):
        answered += waiting.pop(fd).recv(100) == b"tcp-answer\n"
print(answered)
P
if [ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 2100 ]; then
    same "two thousand clients at once" "$(timeout 100 python3 "$T/thousands.py" $port)" 2000
else
    skip "two thousand clients: the limit of open files is $(ulimit -Hn)"
fi
status "the same port again" 125 "$SHELTER" run -p 127.0.0.1:$port:80 box $B true; one_line "told" 'in use'
"$SHELTER" rm -f web >/dev/null
if [ "$(cat /proc/sys/net/ipv6/conf/lo/disable_ipv6 2>/dev/null)" = 0 ]; then
    "$SHELTER" run -d --name six -p "[::1]:$port:80" -p 8080 -p 80 box /bin/net_server >/dev/null 2>&1
    sed -i 's/"127.0.0.1", int/sys.argv[2], int/' "$T/many.py"
    same "an IPv6 address: sixty clients at once" "$(timeout 100 python3 "$T/many.py" $port ::1)" "60 quick"
    any=$("$SHELTER" inspect --json six | python3 -c 'import json,sys; print([p["host_port"] for p in json.load(sys.stdin)["ports"] if p["host_address"] == "0.0.0.0" and p["guest_port"] == 80][0])')
    same "without an address IPv6 too" "$(timeout 100 python3 "$T/many.py" $any ::1)" "60 quick"
    check "ps shows it" sh -c "'$SHELTER' ps | grep -qF '[::1]:$port->80/tcp'"
    status "the same IPv6 port again" 125 "$SHELTER" run -p "[::1]:$port:80" box $B true; one_line "told" 'in use'
    "$SHELTER" rm -f six >/dev/null
    check "the relay ends with it" sh -c "! python3 '$T/many.py' $port ::1 2>/dev/null"
else
    skip "published IPv6 ports: this machine has no IPv6"
fi
mkdir "$T/share"; echo shared >"$T/share/file"
[ "$(id -u)" != 0 ] || chown -R 54321:54321 "$T/share" # root's own folders cannot be written from inside
status "-v" 0 "$SHELTER" run --rm -v "$T/share:/data" box $B sh -c 'cat() { /bin/busybox cat "$@"; }; cat /data/file; echo back >/data/new; /bin/busybox grep " /data " /proc/mounts >&2'
same "the guest reads" "$(cat "$T/out")" shared
same "and writes" "$(cat "$T/share/new" 2>/dev/null)" back
grep ' /data ' "$T/err" | grep nosuid | grep -q nodev && ok "nosuid,nodev" || not_ok "nosuid,nodev: $(cat "$T/err")"
"$SHELTER" run --name ro -v "$T/share:/data:ro" box $B sh -c 'echo x >/data/not' >/dev/null 2>&1
[ ! -e "$T/share/not" ] && ok "-v :ro cannot be written" || not_ok "-v :ro cannot be written"
check "a share is marked untrusted" sh -c "'$SHELTER' inspect --json ro | grep -q '\"untrusted\":.*true'"
status "--network none" 0 "$SHELTER" run --rm --network none box $B sh -c '/bin/busybox ls /sys/class/net'
same "leaves loopback only" "$(cat "$T/out")" lo
