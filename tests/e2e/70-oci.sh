#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shelter-runtime as an engine calls it: each verb, each state, what goes wrong, and what may be left behind (nothing).
. tests/e2e/lib.sh
LIMIT=60
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "oci: not built (make)"; exit 0; }
[ "$(id -u)" -eq 0 ] || { skip "oci: needs root (network namespaces, cgroups)"; exit 0; }
export SHELTER_BASE=$ROOT/build/base
ln -s "$SHELTER" "$T/shelter-runtime"
ln -s "$SHELTER" "$T/shelter-runtime-sgx-sim"
RT=("$T/shelter-runtime-sgx-sim" --root "$T/run")
B=$T/bundle
mkdir -p "$B/rootfs/bin" "$B/rootfs/www"
cp "$(command -v busybox)" "$B/rootfs/bin/busybox"
for p in sh cat echo id sleep httpd stty tty ls nc grep dd od; do ln -s busybox "$B/rootfs/bin/$p"; done
echo 'from inside' >"$B/rootfs/www/index.html"
# config EXPRESSION [BUNDLE]: the example's config.json, changed by a line of Python (c is the object).
config() {
    rm -f "${2:-$B}/config.json"
    "${RT[@]}" spec --bundle "${2:-$B}" && python3 - "${2:-$B}/config.json" "$1" <<'END'
import json, sys
c = json.load(open(sys.argv[1]))
exec(sys.argv[2])
json.dump(c, open(sys.argv[1], 'w'))
END
}
args() { config "c['process']['args'] = ['sh', '-c', '''$1''']"; }
field() { "${RT[@]}" state "$1" 2>/dev/null | python3 -c "import json, sys; print(json.load(sys.stdin)['$2'])"; }
is() { [ "$(field "$1" status)" = "$2" ]; }
left() { # processes of ours, folders, groups
    pgrep -f "shelter-runtime.*$T/run" | tr '\n' ' '
    ls "$T/run" "$SHELTER_STORE/instances" 2>/dev/null | grep -v '^$\|:' | tr '\n' ' '
    find /sys/fs/cgroup -maxdepth 3 -type d -path "*/shelter/t-$$-*" 2>/dev/null | tr '\n' ' '
}
cleanup_hooks+=('for c in $(ls "$T/run" 2>/dev/null); do timeout 20 "${RT[@]}" delete --force "$c"; done'
    'rmdir /sys/fs/cgroup/*/shelter 2>/dev/null; rmdir /sys/fs/cgroup/shelter 2>/dev/null')
N=t-$$ # names of the containers, and of their groups

# --- what it says of itself ---
status "--version" 0 "${RT[@]}" --version
check "--version: names the specification" grep -q '^spec: 1\.' "$T/out"
status "--help" 0 "${RT[@]}" --help
check "--help: names each command" sh -c "for v in create start state kill delete exec pause resume update ps list events features spec; do grep -q \"^  \$v \" '$T/out' || exit 1; done"
status "no command" 1 "${RT[@]}"
status "features" 0 "${RT[@]}" features
check "features: JSON with versions" python3 -c "import json; d = json.load(open('$T/out')); assert d['ociVersionMin'] <= d['ociVersionMax'] and 'poststop' in d['hooks']"
status "an unknown command" 1 "${RT[@]}" frobnicate
one_line "... is one line" "no command 'frobnicate'"

# --- one life ---
args 'echo out; echo err >&2; cat; exit 7'
check "create" sh -c "echo in | timeout 60 ${RT[*]} create --bundle $B --pid-file $T/pid $N-a >$T/c.out 2>$T/c.err &&
    [ ! -s $T/c.out ]"
check "create: the state is created" is $N-a created
same "create: the pid file names the process" "$(field $N-a pid)" "$(cat "$T/pid")"
status "create again" 1 "${RT[@]}" create --bundle "$B" $N-a
one_line "... says why" "container with id exists"
status "delete --force" 0 "${RT[@]}" delete --force $N-a
check "... ends the process" until_true 10 sh -c "! [ -d /proc/$(cat "$T/pid") ]"
status "run: the exit status is the workload's" 7 "${RT[@]}" run --bundle "$B" $N-a
same "run: output, and the end of an empty input" "$(cat "$T/out")" out
check "run: stderr" grep -qx err "$T/err"
same "nothing is left" "$(left)" ""
status "state of nothing" 1 "${RT[@]}" state $N-a
one_line "... says so" "does not exist"
status "delete of nothing" 1 "${RT[@]}" delete $N-a
status "delete --force of nothing" 0 "${RT[@]}" delete --force $N-a

# --- converted once ---
images() { "$SHELTER" images | grep -c shelter-oci; }
same "the same rootfs is one image" "$(images)" 1
touch "$B/rootfs/new"
for i in 1 2 3 4 5 6; do timeout 90 "${RT[@]}" run --bundle "$B" $N-m$i </dev/null >"$T/m$i" 2>&1 & done
wait
same "a changed one is another, and six at once convert it one time" "$(images)" 2
same "... and all run" "$(cat "$T"/m[1-6] | grep -c '^out$')" 6

# --- signals ---
args 'trap "echo term; exit 5" TERM; echo ready; while :; do sleep 0.1; done'
begin() { # ID: created and started, output in $T/ID.out
    timeout 60 "${RT[@]}" create --bundle "$B" --pid-file "$T/$1.pid" "$1" </dev/null >"$T/$1.out" 2>"$T/$1.err" &&
        timeout 60 "${RT[@]}" start "$1" && until_true 20 grep -q ready "$T/$1.out"
}
check "start" begin $N-b
check "start: running" is $N-b running
status "start again" 1 "${RT[@]}" start $N-b
one_line "... says why" "cannot start a container that is running"
status "delete of a running one" 1 "${RT[@]}" delete $N-b
one_line "... says why" "not stopped"
status "list --quiet" 0 "${RT[@]}" list --quiet
same "list --quiet: the id" "$(cat "$T/out")" $N-b
status "list --format json" 0 "${RT[@]}" list --format json
check "list: JSON" python3 -c "import json; d = json.load(open('$T/out')); assert [c['status'] for c in d] == ['running'], d"
status "ps --format json" 0 "${RT[@]}" ps --format json $N-b
check "ps: has the container's process" python3 -c "import json; assert $(cat "$T/$N-b.pid") in json.load(open('$T/out'))"
for bad in 5 5sx s -1s 0s 5m ''; do
    status "events --interval '$bad'" 1 "${RT[@]}" events --interval "$bad" nobody
    one_line "events --interval '$bad': told" 'write seconds'
done
status "events --stats" 0 "${RT[@]}" events --stats $N-b
check "events: memory in use" python3 -c "import json; d = json.load(open('$T/out'))['data']; assert d['memory']['usage']['usage'] > 1 << 20, d"
status "kill of a word that is no signal" 1 "${RT[@]}" kill $N-b NOSUCH
if status "pause" 0 "${RT[@]}" pause $N-b | grep ^ok; then
    check "pause: the state" is $N-b paused
    status "resume" 0 "${RT[@]}" resume $N-b
    check "resume: running" is $N-b running
else skip "pause: no freezer here"; fi
status "kill TERM" 0 "${RT[@]}" kill $N-b TERM
check "... reaches the workload" until_true 20 is $N-b stopped
check "... which handled it" grep -q '^term$' "$T/$N-b.out"
status "kill of a stopped one" 1 "${RT[@]}" kill $N-b TERM
one_line "... says why" "not running"
status "kill --all of a stopped one" 0 "${RT[@]}" kill --all $N-b KILL
status "delete" 0 "${RT[@]}" delete $N-b

check "a second" begin $N-c
for s in HUP INT QUIT USR1 USR2 ALRM PIPE IO VTALRM PROF WINCH TSTP TTIN RTMIN PWR; do
    kill -$s "$(cat "$T/$N-c.pid")" $(pgrep -P "$(cat "$T/$N-c.pid")" -x shelter-stdio)
done
sleep 0.5
check "signals to its process, which may be meant for the program: it lives" is $N-c running
same "... and so does what carries the output" "$(ps -o stat= --ppid "$(cat "$T/$N-c.pid")" | grep -c '^Z')" 0
loader=$(pgrep -P "$(cat "$T/$N-c.pid")" -f sgx-loader)
kill -KILL "$(cat "$T/$N-c.pid")"
check "its process killed: its output says so" until_true 10 grep -q "the supervisor of instance .* died" "$T/$N-c.err"
check "... the enclave is gone" until_true 10 sh -c "! [ -d /proc/${loader:-self} ]"
check "... and the state says so" until_true 10 is $N-c stopped
# As if somebody had begun to remove it, and was killed.
id=$(python3 -c "import json; print(json.load(open('$T/run/$N-c/state.json'))['instance'])")
mv "$SHELTER_STORE/instances/$id" "$SHELTER_STORE/instances/.new-$id"
status "... delete" 0 "${RT[@]}" delete $N-c
check "... takes what was half removed" [ ! -e "$SHELTER_STORE/instances/.new-$id" ]
same "nothing is left" "$(left)" ""

# --- settings ---
config "c['process'].update(args=['sh', '-c', 'id; pwd; echo \$A; cat /proc/sys/kernel/hostname'], cwd='/www', user={'uid': 12, 'gid': 34}); c['process']['env'].append('A=b'); c['hostname'] = 'abc'"
status "user, folder, environment, host name" 0 "${RT[@]}" run --bundle "$B" $N-d
same "... are the bundle's" "$(tr '\n' ' ' <"$T/out")" "uid=12 gid=34 groups=34 /www b abc "

config "c['process'].update(args=['sh', '-c', 'ulimit -Sn; ulimit -Hn; ulimit -Hc; ulimit -Sf'], rlimits=[{'type': 'RLIMIT_NOFILE', 'soft': 21, 'hard': 33}, {'type': 'RLIMIT_CORE', 'soft': 0, 'hard': 2**64 - 1}, {'type': 'RLIMIT_FSIZE', 'soft': 1024, 'hard': 2048}])"
status "limits" 0 "${RT[@]}" run --bundle "$B" $N-d
same "... are the bundle's" "$(tr '\n' ' ' <"$T/out")" "21 33 unlimited 2 "
config "c['process'].update(args=['sh', '-c', 'for i in 3 4 5 6; do eval \"exec \$i</www\" || exit 3; done'], rlimits=[{'type': 'RLIMIT_NOFILE', 'soft': 6, 'hard': 6}])"
check "... and held" sh -c "timeout 60 ${RT[*]} run --bundle $B $N-d 2>&1 | grep -q 'Too many open files'"
config "c['process'].update(args=['sh', '-c', 'cat /proc/self/status >/dev/null; echo ready; sleep 60'], oomScoreAdj=321)"
check "the supervisor's place among victims" begin $N-o
for p in $(pgrep -P "$(cat "$T/$N-o.pid")") "$(cat "$T/$N-o.pid")"; do cat "/proc/$p/oom_score_adj"; done | sort -u >"$T/scores"
same "... is that of the bundle, for all of it" "$(cat "$T/scores")" 321
status "... delete" 0 "${RT[@]}" delete --force $N-o

# --- hooks: each at its moment, with the state ---
cat >"$T/hook" <<'END'
#!/bin/sh
echo "$1 $(sed 's/.*"status":"\([a-z]*\)".*/\1/')" >>"$2"
[ "$1" != "$3" ] || { echo "no luck" >&2; exit 1; }
END
chmod +x "$T/hook"
hooks() {
    config "c['process']['args'] = ['sh', '-c', 'echo ran']; c['hooks'] = {m: [{'path': '$T/hook', 'args': ['hook', m, '$T/moments', '$1']}] for m in ('prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop')}"
    : >"$T/moments"
}
hooks none
status "hooks" 0 "${RT[@]}" run --bundle "$B" $N-e
same "... in order" "$(cut -d' ' -f1 "$T/moments" | tr '\n' ' ')" "prestart createRuntime createContainer startContainer poststart poststop "
same "... with the state" "$(grep -cE '^(prestart|createRuntime|createContainer|startContainer) created$|^poststop stopped$' "$T/moments")" 5
hooks createRuntime
status "a hook that fails" 1 "${RT[@]}" run --bundle "$B" $N-f
one_line "... is the reason" "createRuntime hook .* status 1: no luck"
same "nothing is left" "$(left)" ""

# --- a terminal ---
cat >"$T/console.py" <<'END'
import array, os, select, socket, subprocess, sys
path, rt, bundle, name = sys.argv[1], sys.argv[2].split(), sys.argv[3], sys.argv[4]
s = socket.socket(socket.AF_UNIX)
s.bind(path)
s.listen(1)
p = subprocess.Popen(rt + ['create', '--bundle', bundle, '--console-socket', path, name])
s.settimeout(60)
c = s.accept()[0]
fd = socket.recv_fds(c, 100, 1)[1][0]
assert p.wait(60) == 0
subprocess.run(rt + ['start', name], check=True, timeout=60)
got, sent = b'', False
while b'end' not in got and select.select([fd], [], [], 30)[0]:
    got += os.read(fd, 4096)
    if b'name?' in got and not sent:
        os.write(fd, os.environ.get('KEYS', 'abc\r').encode().decode('unicode_escape').encode())
        sent = True
print(got.decode().replace('\r', ''))
END
config "c['process'].update(terminal=True, consoleSize={'height': 33, 'width': 77}, args=['sh', '-c', 'stty size; echo name?; read x; echo got \$x; echo end'])"
status "terminal" 0 python3 "$T/console.py" "$T/console" "${RT[*]}" "$B" $N-t
check "... its size" grep -qx '33 77' "$T/out"
check "... what is typed" grep -qx 'got abc' "$T/out"
check "... its end" until_true 20 is $N-t stopped
status "... delete" 0 "${RT[@]}" delete $N-t
config "c['process'].update(terminal=True, args=['sh', '-c', 'stty raw -echo; echo name?; dd bs=1 count=6 2>/dev/null | od -An -c; echo end'])"
status "a terminal of an engine: what would leave that of a person" 0 env KEYS='\x10\x11\x03a\x10b' python3 "$T/console.py" "$T/console2" "${RT[*]}" "$B" $N-t
check "... is the program's" grep -q '020 021 003 a 020 b' <(tr -s ' ' <"$T/out")
status "... delete" 0 "${RT[@]}" delete --force $N-t
status "terminal without a console socket" 1 "${RT[@]}" create --bundle "$B" $N-t
one_line "... says what to give" "console-socket"

# --- network namespaces: the address of the interface there is the container's, in both TEEs ---
net=10.213.$(($$ % 200 + 1))
fetch() { # NAMESPACE ADDRESS SOURCE
    ip netns exec "$1" python3 -c "import http.client; c = http.client.HTTPConnection('$2', 80, timeout=5, source_address=('$3', 0)); c.request('GET', '/'); print(c.getresponse().read().decode(), end='')" 2>/dev/null
}
page() { fetch $N-out $net.2 0.0.0.0; }
rules() { ip netns exec $N tc qdisc show | grep -E 'clsact|ingress'; }
redirected() { ip netns exec $N tc qdisc show dev lo | grep clsact; }
# A machine's port by way of its namespace's loopback, where engines forward one; beside it whoever else has 10.0.2.2.
forwarded() {
    same "... and by the namespace's loopback" "$(fetch $N 127.0.0.1 127.0.0.1)" "from inside"
    ip -n $N-out addr add 10.0.2.2/32 dev eth0
    same "... a client on the wire that has the address 10.0.2.2" "$(fetch $N-out $net.2 10.0.2.2)" "from inside"
    same "... the loopback again" "$(fetch $N 127.0.0.1 127.0.0.1)" "from inside"
    # Nothing on the wire is the loopback: the frame is not carried to the machine.
    ip netns exec $N timeout 20 python3 -c '
import socket, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.bind(("shelter0", 0)); s.settimeout(0.5); print("listens", flush=True)
ends = set(); until = time.monotonic() + 4
while time.monotonic() < until:
    try: f = s.recv(2000)
    except TimeoutError: continue
    if f[12:14] == b"\x08\0": ends.add(socket.inet_ntoa(f[26:30]))
print(*sorted(ends))' >"$T/ends" &
    local watcher=$!
    until_true 10 grep -q listens "$T/ends"
    ip netns exec $N-out python3 -c '
import socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("eth0", 0))
for source, to in ((b"\x7f\0\0\1", b"\x7f\0\0\1"), (socket.inet_aton(sys.argv[2] + ".9"), socket.inet_aton(sys.argv[2] + ".2"))):
    tcp = struct.pack("!HHIIBBHHH", 40000, 80, 1, 0, 80, 2, 1000, 0, 0)
    s.send(bytes.fromhex(sys.argv[1].replace(":", "")) + b"\2\4\6\10\12\14\x08\0" + struct.pack("!BBHHHBBH", 69, 0, 40, 1, 0, 64, 6, 0) + source + to + tcp)' \
        "$(ip -n $N -j link show eth0 | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["address"])')" "$net"
    wait $watcher
    check "... nothing from the wire has its address" sh -c "grep -q '$net.9' '$T/ends' && ! grep -q '127.0.0.1' '$T/ends'" || cat "$T/ends"
}
wire() { # two namespaces and the wire between them
    ip netns add $N && ip netns add $N-out && ip -n $N link add eth0 type veth peer name eth0 netns $N-out &&
        ip -n $N link set lo up && ip -n $N addr add $net.2/24 dev eth0 && ip -n $N link set eth0 up &&
        ip -n $N-out addr add $net.1/24 dev eth0 && ip -n $N-out link set eth0 up && ip -n $N route add default via $net.1
}
unwire() { ip netns del $N; ip netns del $N-out; } 2>/dev/null
served() { # TEE
    config "c['process']['args'] = ['sh', '-c', 'echo ready; exec httpd -f -p 80 -h /www']; c['linux']['namespaces'] = [{'type': 'network', 'path': '/var/run/netns/$N'}]; c['annotations'] = {'io.shelter.tee': '$1'}"
    check "$1: in a network namespace" begin $N-n
    check "$1: its port is at the interface's address" until_true 20 page
    same "... and answers" "$(page)" "from inside"
    status "... and nowhere else" 1 python3 -c "import socket; socket.create_connection(('127.0.0.1', 80), 2)"
    if [ "$1" = tdx-sim ]; then forwarded; fi
    status "... ends" 0 "${RT[@]}" kill $N-n KILL
    until_true 20 is $N-n stopped
    status "... delete" 0 "${RT[@]}" delete $N-n
    same "... and no rule of traffic control is left" "$(rules)" ""
}
# The metadata service of a cloud is link-local, and for no container: one rule in both TEEs.
metadata() { # TEE
    ip -n $N-out addr add 169.254.169.254/32 dev eth0 2>/dev/null
    ip netns exec $N-out timeout 60 python3 -m http.server 9000 --bind 0.0.0.0 --directory "$B/rootfs/www" >/dev/null 2>&1 &
    local server=$!
    config "c['process']['args'] = ['sh', '-c', 'for i in 1 2 3 4 5; do nc -w 2 $net.1 9000 </dev/null && echo neighbour && break; sleep 1; done; nc -w 3 169.254.169.254 9000 </dev/null && echo metadata; echo end']; c['linux']['namespaces'] = [{'type': 'network', 'path': '/var/run/netns/$N'}]; c['annotations'] = {'io.shelter.tee': '$1'}"
    status "$1: egress" 0 "${RT[@]}" run --bundle "$B" $N-m
    same "... to a neighbour, not to a metadata service" "$(tr '\n' ' ' <"$T/out")" "neighbour end "
    kill $server
    wait $server 2>/dev/null
}
cleanup_hooks+=(unwire)
if wire 2>"$T/wire"; then
    served sgx-sim
    metadata sgx-sim
    config "c['process']['args'] = ['sh', '-c', 'grep ^10 /etc/hosts']; c['hostname'] = 'abc'; c['linux']['namespaces'] = [{'type': 'network', 'path': '/var/run/netns/$N'}]"
    status "its own address" 0 "${RT[@]}" run --bundle "$B" $N-n
    same "... is the interface's" "$(cat "$T/out")" "$net.2	abc"
    if [ -f build/base/vmlinux ] && command -v qemu-system-x86_64 tc >/dev/null; then
        served tdx-sim && metadata tdx-sim
        mkdir "$T/tc"
        printf '#!/bin/sh\ncase "$*" in "filter add dev lo "*) exit 1;; esac\nexec %s "$@"\n' "$(command -v tc)" >"$T/tc/tc"
        chmod +x "$T/tc/tc"
        created() { # PATH
            config "c['process']['args'] = ['id']; c['linux']['namespaces'] = [{'type': 'network', 'path': '/var/run/netns/$N'}]; c['annotations'] = {'io.shelter.tee': 'tdx-sim'}"
            check "... created" env PATH="$1$PATH" "${RT[@]}" create --bundle "$B" $N-n
        }
        created "$T/tc:"
        same "... a rule that fails takes the others with it" "$(redirected; ip netns exec $N tc filter show dev shelter0 parent ffff: prio 1; ip netns exec $N tc filter show dev eth0 parent ffff: prio 1)" ""
        status "... delete" 0 "${RT[@]}" delete --force $N-n
        created ""
        check "... and without the failure" redirected
        status "... delete" 0 "${RT[@]}" delete --force $N-n
        # Where 10.0.2.2 is a neighbour's address, the loopback's answers would go there.
        ip -n $N addr flush dev eth0 && ip -n $N addr add 10.0.5.7/16 dev eth0 && ip -n $N route add default via 10.0.0.1
        created ""
        same "... a network with 10.0.2.2 in it: no loopback" "$(redirected)" ""
        status "... delete" 0 "${RT[@]}" delete --force $N-n
    fi
else skip "network: $(head -n 1 "$T/wire")"; fi
unwire

# --- annotations ---
check "an image of one's own" "$SHELTER" build -q -t own -f "$B/rootfs/bin/busybox" -c '/bin/busybox echo no'
config "c['annotations'] = {'io.shelter.image': 'own', 'io.shelter.memory': '96M', 'io.shelter.cpus': '2'}; c['process']['args'] = ['/bin/busybox', 'echo', 'mine']"
status "io.shelter.image" 0 "${RT[@]}" run --bundle "$B" $N-i
same "... runs that one" "$(cat "$T/out")" mine
config "c['annotations'] = {'io.shelter.image': 'none'}"
status "io.shelter.image that is not there" 1 "${RT[@]}" run --bundle "$B" $N-i
one_line "... says which" "none"
check "an image that is locked" "$SHELTER" build -q -t locked --lock -f "$B/rootfs/bin/busybox" -c '/bin/busybox sh -c "ulimit -Hn"' --ulimit nofile=40:50
config "c['annotations'] = {'io.shelter.image': 'locked'}; c['process'].update(args=['/bin/busybox', 'sh', '-c', 'ulimit -Hn'], rlimits=[{'type': 'RLIMIT_NOFILE', 'soft': 1, 'hard': 2}])"
status "a locked image: limits that engines give to all" 0 "${RT[@]}" run --bundle "$B" $N-i
same "... stay as built" "$(cat "$T/out")" 50
config "c['annotations'] = {'io.shelter.image': 'locked'}; c['process'].update(args=['/bin/busybox', 'sh', '-c', 'ulimit -Hn'], rlimits=[{'type': 'RLIMIT_FSIZE', 'soft': 0, 'hard': 0}])"
status "a locked image: another limit" 1 "${RT[@]}" run --bundle "$B" $N-i
one_line "... is refused" 'the image is locked: .*limits'
config "c['annotations'] = {'io.shelter.memory': 'much'}"
status "io.shelter.memory that is no size" 1 "${RT[@]}" run --bundle "$B" $N-i
one_line "... says which" "io.shelter.memory"

for a in pods tees; do
    config "c['annotations'] = {'io.shelter.$a': 'one'}"
    status "io.shelter.$a, which nobody honours" 1 "${RT[@]}" run --bundle "$B" $N-i
    one_line "... is refused" "annotation io.shelter.$a"
done

# --- processors ---
if [ -n "$(find /sys/fs/cgroup -maxdepth 2 -name cpuset.cpus 2>/dev/null | head -n 1)" ]; then
    config "c['process']['args'] = ['sh', '-c', 'echo ready; sleep 100']; c['linux']['resources'] = {'cpu': {'cpus': '0', 'mems': '0'}}"
    check "cpus: start" begin $N-cpus
    same "cpus: all its processes on the host run there alone" "$("${RT[@]}" ps --format json $N-cpus | grep -oE '[0-9]+' |
        while read -r p; do sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$p/status"; done | sort -u)" 0
    check "cpus: delete" "${RT[@]}" delete --force $N-cpus
    config "c['linux']['resources'] = {'cpu': {'cpus': 'x'}}"
    status "cpus that are none" 1 "${RT[@]}" create --bundle "$B" $N-cpus
    one_line "... says why" "cannot set a limit of the cgroup"
else skip "cpus: no cpuset controller here"; fi

# --- broken bundles: one line, the log, nothing left ---
broken() { # NAME PATTERN: config.json is as it is
    status "$1" 1 "${RT[@]}" --log "$T/log" --log-format json create --bundle "$B" $N-x
    one_line "... one line" "$2"
    check "... in the log, as JSON" python3 -c "import json; json.loads(open('$T/log').readlines()[-1])['msg']"
}
config "c['process']['args'] = ['nosuch']"
broken "a program that is not there" 'exec: "nosuch": executable file not found in \$PATH'
config "c['process']['args'] = ['/www/index.html']"
broken "a program that is none" 'permission denied'
config "c['process']['args'] = []"
broken "no program" 'process.args'
config "c['process']['rlimits'] = [{'type': 'RLIMIT_NOFILE', 'soft': 2, 'hard': 1}]"
broken "a soft limit above the hard one" 'above the hard one'
config "c['process']['rlimits'] = [{'type': 'RLIMIT_NOFILE', 'soft': 1, 'hard': 2}] * 2"
broken "a limit twice" 'process.rlimits'
config "c['process']['cwd'] = 'www'"
broken "a relative folder" 'process.cwd'
config "del c['root']"
broken "no root" 'root.path'
config "c['root']['path'] = 'nowhere'"
broken "no rootfs" 'rootfs'
config "c['ociVersion'] = '2.0'"
broken "another version" 'ociVersion'
config "c['linux']['namespaces'] = [{'type': 'network', 'path': '/nowhere'}]"
broken "a namespace that is not there" '/nowhere'
config "c['linux']['cgroupsPath'] = '/a/../../b'"
broken "a cgroup path that leads out" 'leaves the hierarchy'
config "c['mounts'] = [{'destination': '/data', 'source': '/nowhere', 'options': ['bind']}]"
broken "a mount of nothing" '/nowhere'
echo '{' >"$B/config.json"; broken "no JSON" 'not valid JSON'
printf '{"ociVersion": "1.0.0", "ociVersion": "1.0.0"}' >"$B/config.json"; broken "a name twice" 'not valid JSON'
printf '{"ociVersion": "1.0.0"} {}' >"$B/config.json"; broken "text behind it" 'not valid JSON'
printf '{"ociVersion": "1.0.0"}\0' >"$B/config.json"; broken "a NUL" 'not valid JSON'
python3 -c "print('[' * 100000)" >"$B/config.json"; broken "very deep" 'not valid JSON'
: >"$B/config.json"; broken "empty" 'not valid JSON'
rm "$B/config.json"; broken "no config.json" 'config.json'
status "an id that is a path" 1 "${RT[@]}" create --bundle "$B" ../x
one_line "... is refused" "invalid container id"
args 'echo hi'
status "unknown fields are nothing" 0 "${RT[@]}" run --bundle "$B" $N-y
same "nothing is left" "$(left)" ""

# --- what runc refuses is refused, in one line; and anything else that a config.json may be ---
mkdir "$T/table"
LIMIT=200 status "broken bundles" 0 python3 tests/e2e/70-oci-table.py "$T/table" "$B/rootfs" "${RT[@]}"
same "... $(wc -l <"$T/out") of them, as runc refuses them" "$(grep -E 'differs|runc -, shelter 0' "$T/out")" ""
args 'echo hi'
LIMIT=300 status "broken bundles at random" 0 python3 tests/e2e/70-oci-hostile.py "$B" "${SHELTER_TEST_ROUNDS:-100}" "${SHELTER_TEST_SEED:-1}" "${RT[@]}"
check "... each has an end, and one line" grep -q 'wrong 0$' "$T/out"
sed 's/^/#   /' "$T/out" | head -n 5
same "nothing is left" "$(left)" ""

# --- a full disk: where the state lies, where the store lies before and after the image is in it ---
full() { # NAME ROOT STORE: create there
    rm -f "$T/out" "$T/err"
    SHELTER_STORE=$3 status "$1" 1 "$T/shelter-runtime-sgx-sim" --root "$2" create --bundle "$B" $N-f
    one_line "... one line" "No space left on device"
    same "... and no container" "$(ls "$2" 2>/dev/null)" ""
}
mkdir "$T/small"
if mount -t tmpfs -o size=80m none "$T/small" 2>/dev/null; then
    cleanup_hooks+=("umount '$T/small' 2>/dev/null")
    mkdir "$T/small/run"
    args 'echo hi'
    dd if=/dev/zero of="$T/small/fill" bs=64k 2>/dev/null
    full "a full disk for the state" "$T/small/run" "$SHELTER_STORE"
    full "a full disk for the image" "$T/run" "$T/small/store"
    rm -rf "$T/small/fill" "$T/small/store"
    SHELTER_STORE=$T/small/store status "with room" 0 "${RT[@]}" run --bundle "$B" $N-f
    dd if=/dev/zero of="$T/small/fill" bs=64k 2>/dev/null
    dd if=/dev/zero of="$T/small/rest" bs=1k 2>/dev/null
    full "a full disk for the instance" "$T/run" "$T/small/store"
    rm "$T/small/fill" "$T/small/rest"
    SHELTER_STORE=$T/small/store status "with room again" 0 "${RT[@]}" run --bundle "$B" $N-f
    same "... of instances nothing is left" "$(ls "$T/small/store/instances")" ""
    umount "$T/small"
else skip "a full disk: cannot mount here"; fi

# --- many at once, and killed at any moment ---
args 'echo ready; sleep 30'
storm() { # NUMBER
    local id=$N-s$1
    timeout 60 "${RT[@]}" create --bundle "$B" --pid-file "$T/$id.pid" "$id" </dev/null >"$T/$id.out" 2>&1 || return 1
    case $(($1 % 5)) in
    0) kill -KILL "$(cat "$T/$id.pid")" ;;
    1) timeout 60 "${RT[@]}" start "$id" && kill -KILL "$(cat "$T/$id.pid")" ;;
    2) timeout 60 "${RT[@]}" start "$id" && until_true 20 pkill -KILL -P "$(cat "$T/$id.pid")" ;;
    3) timeout -s KILL 0.05 "${RT[@]}" start "$id" ;;
    4) timeout 60 "${RT[@]}" start "$id" && timeout 60 "${RT[@]}" kill "$id" KILL ;;
    esac
    timeout 60 "${RT[@]}" delete --force "$id"
}
for i in $(seq 20); do storm "$i" & [ $((i % 5)) -ne 0 ] || wait; done 2>/dev/null
wait
same "twenty containers killed at any moment leave nothing" "$(left)" ""
for i in 1 2 3 4 5; do timeout -s KILL 0.0$((i * 15)) "${RT[@]}" create --bundle "$B" $N-k$i </dev/null >/dev/null 2>&1; done
for i in 1 2 3 4 5; do timeout 60 "${RT[@]}" delete --force $N-k$i; done
check "creates that were killed can be deleted" until_true 20 sh -c "[ -z \"\$(ls '$T/run')\" ]"

# --- what comes before the program runs ---
at_once() { # TEE
    config "c['process'].update(args=['sh', '-c', 'sleep 60'], user={'uid': 1, 'gid': 2, 'additionalGids': [3000, 7, 2]}); c['annotations'] = {'io.shelter.tee': '$1'}"
    check "$1: create" sh -c "timeout 60 ${RT[*]} create --bundle $B $N-e </dev/null >/dev/null 2>&1"
    status "$1: start" 0 "${RT[@]}" start $N-e
    status "$1: exec at once" 0 "${RT[@]}" exec $N-e id -G
    same "... waited for the program, and has its groups" "$(cat "$T/out")" "2 7 3000"
    status "$1: delete --force" 0 "${RT[@]}" delete --force $N-e
    check "$1: create" sh -c "timeout 60 ${RT[*]} create --bundle $B $N-e </dev/null >/dev/null 2>&1"
    status "$1: start" 0 "${RT[@]}" start $N-e
    timeout 60 "${RT[@]}" exec $N-e true >/dev/null 2>&1 &
    local waits=$!
    "${RT[@]}" kill $N-e KILL 2>/dev/null
    check "$1: exec into one that is killed ends" until_true 20 sh -c "! [ -d /proc/$waits ]"
    wait $waits
    status "$1: delete --force" 0 "${RT[@]}" delete --force $N-e
}
at_once sgx-sim
config "c['process']['user']['additionalGids'] = [1.5]"
broken "a group that is no number" "process.user.additionalGids has an entry that is no number"
resolv() { # LINES: what is inside of them
    printf '%s\n' "$@" >"$T/resolv"
    config "c['process']['args'] = ['cat', '/etc/resolv.conf']; c.setdefault('mounts', []).append({'destination': '/etc/resolv.conf', 'type': 'bind', 'source': '$T/resolv', 'options': ['rbind', 'ro']})"
    timeout 60 "${RT[@]}" run --bundle "$B" $N-r 2>/dev/null | tr '\n' ' '
}
same "resolv.conf: where to search" "$(resolv 'nameserver 10.9.9.9' 'search a.example b.example' 'options ndots:5')" \
    "nameserver 10.9.9.9 search a.example b.example options ndots:5 "
same "... with a server of the host's own" "$(resolv 'nameserver 127.0.0.53' 'search a.example')" "nameserver 10.0.2.3 "

# --- in a machine: what the enclave has not yet ---
if [ -f build/base/vmlinux ] && command -v qemu-system-x86_64 >/dev/null; then
    limits() { echo "c['process']['rlimits'] = [{'type': 'RLIMIT_NOFILE', 'soft': $1, 'hard': 33}, {'type': 'RLIMIT_CORE', 'soft': 0, 'hard': 2**64 - 1}]"; }
    config "c['process']['args'] = ['sh', '-c', 'echo ready; cat; sleep 60']; c['annotations'] = {'io.shelter.tee': 'tdx-sim'}; $(limits 21)"
    check "tdx-sim: start" begin $N-v
    config "c['process']['args'] = ['sh', '-c', 'ulimit -n']; $(limits 22)"
    python3 -c "import json; json.dump(json.load(open('$B/config.json'))['process'], open('$T/process', 'w'))"
    status "tdx-sim: exec with limits of its own" 1 "${RT[@]}" exec --process "$T/process" $N-v
    one_line "... is refused" "are not the container's"
    config "c['process']['args'] = ['sh', '-c', 'id -u; tty; ulimit -Sn; ulimit -Hn; ulimit -Hc; exit 9']; $(limits 21)"
    python3 -c "import json; json.dump(json.load(open('$B/config.json'))['process'], open('$T/process', 'w'))"
    status "tdx-sim: exec" 9 "${RT[@]}" exec --process "$T/process" $N-v
    same "tdx-sim: exec's output" "$(tr '\n' ' ' <"$T/out")" "0 not a tty 21 33 unlimited "
    status "tdx-sim: kill" 0 "${RT[@]}" kill $N-v KILL
    check "tdx-sim: stopped" until_true 20 is $N-v stopped
    status "tdx-sim: delete" 0 "${RT[@]}" delete $N-v
    at_once tdx-sim
else skip "tdx-sim: no guest kernel or no QEMU"; fi
same "nothing is left at the end" "$(left)" ""
