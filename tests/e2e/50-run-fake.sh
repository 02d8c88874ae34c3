# SPDX-License-Identifier: Apache-2.0
# run and the life of an instance against a stand-in for QEMU: what a guest does that is honest, hangs,
# dies or lies, and what becomes of clients and state.
. tests/e2e/lib.sh
[ -f build/base/vmlinux ] && [ -f build/base/initramfs ] || { skip "run-fake: no build/base (make tools)"; exit 0; }
export SHELTER_ACCEL=tcg
printf '\177ELF' >"$T/nothing"
cp /bin/busybox "$T/prog" 2>/dev/null || cp "$(command -v true)" "$T/prog"
"$SHELTER" build -t plain -f "$T/prog" >/dev/null 2>"$T/err" || { not_ok "build: $(cat "$T/err")"; exit 1; }
"$SHELTER" build -t open -f "$T/prog" --allow exec --allow signal >/dev/null 2>&1
"$SHELTER" build -t all -f "$T/prog" --allow exec,stats,trace >/dev/null 2>&1
"$SHELTER" build -t locked -f "$T/prog" --lock >/dev/null 2>&1
LIMIT=30
# fake WHAT: from now on. It has no environment and sees no folder but its own.
fakes=0
fake() {
    fakes=$((fakes + 1))
    mkdir -p "$T/fake/$fakes"
    cp tests/fake_guest.py "$T/fake/$fakes/qemu"
    printf '%s' "$1" >"$T/fake/$fakes/what"
    export SHELTER_QEMU=$T/fake/$fakes/qemu
}
state() { "$SHELTER" inspect --json "$1" | python3 -c 'import json,sys; d=json.load(sys.stdin); print(d["state"], d["exit_code"])'; }
field() { "$SHELTER" inspect --json "$1" | python3 -c "import json,sys; print(json.load(sys.stdin)['$2'])"; }
nothing_left() { [ "$("$SHELTER" ps -aq | wc -l)" -eq 0 ]; }

# --- exit statuses ---
fake exit:0; status "exit status 0" 0 "$SHELTER" run --rm plain
fake exit:7; status "exit status 7" 7 "$SHELTER" run --rm plain
fake exit:300; status "an exit status too large is cut" 44 "$SHELTER" run --rm plain
fake signal:9; status "killed by signal 9 is 137" 137 "$SHELTER" run --rm plain
fake signal:7; status "killed by signal 7 is 135" 135 "$SHELTER" run --name bus plain
status "who comes later" 3 "$SHELTER" status bus
check "is told why" grep -q 'bus: exited (135) .*: the workload was ended by signal 7 (BUS: Bus error)' "$T/out"
"$SHELTER" logs bus >/dev/null 2>"$T/err"
one_line "and in the log" '^shelter: instance bus ended with exit status 135: the workload was ended by signal 7'
"$SHELTER" rm bus >/dev/null
fake "error:123:no connection to the key broker at https://10.0.2.2:9"; status "an error that names the host" 123 "$SHELTER" run plain
one_line "names it as the user did" 'broker at https://127.0.0.1:9'
fake "error:123:no route to 10.0.2.20"; status "another address" 123 "$SHELTER" run plain; one_line "stays" 'route to 10.0.2.20'
fake error:127:'no such command'; status "not found is 127" 127 "$SHELTER" run plain; one_line "its reason is one line" 'no such command'
check "a workload that never ran leaves nothing" nothing_left
fake "early-error:125:$(printf 'bad\033[2Jdisk')"; status "an error before hello" 125 "$SHELTER" run plain; one_line "control characters are not printed" 'bad\?\[2Jdisk'
fake trickle; status "frames may come byte by byte" 6 "$SHELTER" run --rm plain

# --- guests that die, hang or lie ---
# An exec that the inside never answers: a minute, beside what follows.
fake deaf-exec
mkdir "$T/deaf-store"
cp -r "$SHELTER_STORE/images" "$SHELTER_STORE/tags" "$T/deaf-store/"
deaf() { SHELTER_STORE=$T/deaf-store timeout 150 "$SHELTER" "$@"; }
cleanup_hooks+=('deaf rm -f deaf >/dev/null 2>&1')
deaf run -d --name deaf open >/dev/null 2>&1
deaf_since=$SECONDS
{ deaf exec deaf p 2>"$T/deaf.err"; echo "$? $((SECONDS - deaf_since))" >"$T/deaf"; } &
deaf_exec=$!
fake panic; status "a panic while booting is 125" 125 "$SHELTER" run plain; one_line "a panic is told" 'while it booted.*-m'
fake panic-late; status "a panic while running is 125" 125 "$SHELTER" run --rm plain; same "output before the panic arrives" "$(cat "$T/out")" "last words"
fake qemu-error; status "QEMU's failure is 125" 125 "$SHELTER" run plain; one_line "QEMU's last line is told" 'could not set up what it wants'
fake qemu-crash; status "QEMU's crash is 125" 125 "$SHELTER" run plain; one_line "a crash is told" 'killed by signal (6|11)'
for lie in big-frame unknown-frame unknown-session no-hello two-hellos; do
    fake $lie; status "$lie ends the instance" 125 "$SHELTER" run --rm plain
    grep -qE 'broke the rules|speaks version' "$T/err" && ok "$lie is told" || not_ok "$lie is told: $(cat "$T/err")"
done
fake version; status "another version of the channel" 125 "$SHELTER" run plain; one_line "the version is told" 'version 77.*build the image again'
check "guests that lie leave nothing behind" nothing_left
fake silent
"$SHELTER" run --name quiet plain >/dev/null 2>&1 </dev/null &
pid=$!
until_true 10 "$SHELTER" inspect quiet
same "before hello it is starting" "$(state quiet)" "starting None"
kill -INT $pid; wait $pid
same "^C while it boots ends it" $? 130
check "and leaves nothing" nothing_left
status "start of a name that there is not" 125 "$SHELTER" start nosuch; one_line "speaks of both" "no instance and no image 'nosuch'"
status "inspect too" 125 "$SHELTER" inspect nosuch; one_line "speaks of both" "no instance and no image 'nosuch'"
status "more memory than there is" 125 "$SHELTER" run -m 999999G plain; one_line "is told in the unit of -m" 'this machine has [0-9]*M only'
printf '%096d\n' 0 >"$SHELTER_STORE/tags/gone:latest"
status "rmi of a tag without its image" 0 "$SHELTER" rmi gone
same "says what it did" "$(cat "$T/out")" "untagged gone:latest"
SHELTER_QEMU=/nonexistent/qemu status "missing QEMU is 125" 125 "$SHELTER" run plain; one_line "missing QEMU is told" 'install|no such|is not there'
check "missing QEMU leaves nothing" nothing_left

# --- streams ---
head -c 20000000 /dev/urandom >"$T/random"
fake cat; timeout -k 5 60 "$SHELTER" run --rm plain <"$T/random" >"$T/back" 2>/dev/null
check "20 MB through stdin and stdout, byte for byte" cmp "$T/random" "$T/back"
fake both:3000000
timeout -k 5 60 "$SHELTER" run --rm plain 2>"$T/e" | { sleep 2; cat; } >"$T/o"
same "stdout and stderr are separate, bytes of stdout" "$(wc -c <"$T/o")" 3000000
same "bytes of stderr" "$(grep -v simulated "$T/e" | wc -c)" 3000000
# stdout blocked: stderr arrives all the same (its 3 MB and the stuck stdout share one connection).
mkfifo "$T/fifo"
sleep 100 <"$T/fifo" & holder=$!
timeout -k 5 60 "$SHELTER" run --rm plain 2>"$T/e" >"$T/fifo" &
pid=$!
until_true 15 sh -c "[ \$(wc -c <'$T/e') -ge 3000000 ]" && ok "a blocked stdout does not hold up stderr" || not_ok "a blocked stdout does not hold up stderr: $(wc -c <"$T/e")"
kill $holder; wait $holder 2>/dev/null; wait $pid
fake endless
timeout -k 5 40 "$SHELTER" run --rm plain 2>/dev/null | head -c 10 >"$T/o"
same "a reader that goes away ends the run" "${PIPESTATUS[0]}/$(cat "$T/o")" "137/0000000000"
fake cat
printf 'closed' | timeout -k 5 30 "$SHELTER" run --rm plain >&- 2>/dev/null
same "a closed stdout is no hang" $? 0
fake obey
timeout -k 5 30 "$SHELTER" run --name bg plain </dev/null >/dev/null 2>&1 & pid=$!
until_true 10 sh -c "'$SHELTER' ps -q | grep -q ."

# --- attached, detached, killed ---
until_true 10 sh -c "'$SHELTER' status bg"
kill -9 $pid; wait $pid 2>/dev/null
same "a killed command leaves its instance running" "$(state bg)" "running None"
status "its name is taken" 125 "$SHELTER" run -d --name bg plain; one_line "taken name is told" "the name 'bg' is used by instance"
timeout -k 5 30 "$SHELTER" attach bg >"$T/o" 2>&1 & pid=$!
sleep 0.3
status "stop sends TERM" 0 "$SHELTER" stop bg
wait $pid; same "attach ends with the workload's status" $? 143
same "state after stop" "$(state bg)" "exited 143"
status "wait on an ended one" 0 "$SHELTER" wait bg; same "wait prints the status" "$(cat "$T/out")" 143
status "logs after the end" 0 "$SHELTER" logs bg; same "what it wrote is in the log" "$(cat "$T/out")" up
status "start again" 0 "$SHELTER" start bg
status "start what runs" 125 "$SHELTER" start bg; one_line "told" 'already running'
status "rm of a running one is refused" 125 "$SHELTER" rm bg; one_line "told" 'is running'
status "kill -s USR1 is refused by policy" 125 "$SHELTER" kill -s USR1 bg; one_line "told" '[-]-allow signal'
status "exec is refused by policy" 126 "$SHELTER" exec bg ls; one_line "told" '[-]-allow exec'
status "kill" 0 "$SHELTER" kill bg; same "killed is 137" "$(state bg)" "exited 137"
status "logs of both lives" 0 "$SHELTER" logs bg; same "logs go on" "$(tr '\n' ' ' <"$T/out")" "up up "
status "logs --tail 1" 0 "$SHELTER" logs --tail 1 bg; same "one line" "$(cat "$T/out")" "up"
status "rm" 0 "$SHELTER" rm bg
check "rm leaves nothing" nothing_left

fake hang
"$SHELTER" run -d --name deaf plain >/dev/null 2>&1
qemu=$(field deaf pid)
status "stop kills what does not obey" 0 "$SHELTER" stop -t 1 deaf
same "its status" "$(state deaf)" "exited 137"
kill -0 "$qemu" 2>/dev/null && not_ok "no VM stays: $qemu" || ok "no VM stays"
"$SHELTER" start deaf >/dev/null 2>&1
qemu=$(field deaf pid) sup=$(field deaf supervisor_pid)
timeout -k 5 30 "$SHELTER" wait deaf >"$T/o" 2>"$T/err" & pid=$!
kill -9 "$sup"
until_true 5 sh -c "! kill -0 $qemu" && ok "the VM dies with its supervisor" || not_ok "the VM dies with its supervisor"
same "ps does not show it as running" "$("$SHELTER" ps -q | wc -l)" 0
same "its state is dead" "$(state deaf)" "dead None"
wait $pid; same "who waited is told" "$?/$(grep -c 'is dead' "$T/err")" "125/1"
"$SHELTER" clean >/dev/null
check "clean removes the dead" nothing_left
"$SHELTER" run -d --name frozen all >/dev/null 2>&1
qemu=$(field frozen pid)
kill -STOP "$qemu"
until_true 5 grep -q '^State:.T' "/proc/$qemu/status"
for verb in "exec frozen /prog" "attach frozen" "stats frozen" "trace frozen" "attest --nonce 00 frozen" "cp frozen:/x $T/copied"; do
    # shellcheck disable=SC2086
    status "${verb%% *} of a VM that is stopped" 125 timeout -k 5 10 "$SHELTER" $verb
    check "names its process" grep -q "instance frozen does not answer: its process $qemu is stopped" "$T/err"
done
kill -CONT "$qemu"
kill -STOP "$(field frozen supervisor_pid)"
# Every verb that asks it something says that it does not answer, within its bound; all at once here.
say_so() { # NAME VERB…
    local name=$1 begin=$SECONDS
    shift
    timeout -k 5 40 "$SHELTER" "$@" </dev/null >/dev/null 2>"$T/mute.$name"
    echo "$? $(grep -c 'frozen does not answer.*rm -f' "$T/mute.$name") $(wc -l <"$T/mute.$name") $((SECONDS - begin < 30))" >"$T/said.$name"
}
mute=()
for verb in "stop -t 0 frozen" "kill frozen" "attach frozen" "stats frozen" "attest --nonce 00 frozen" "trace frozen" "wait frozen" "cp frozen:/x $T/copied"; do
    say_so "${verb%% *}" $verb &
    mute+=($!)
done
wait "${mute[@]}"
for verb in stop kill attach stats attest trace wait cp; do
    same "$verb of a supervisor that hangs: told in time" "$(cat "$T/said.$verb")" "125 1 1 1"
done
same "it is shown as running" "$(state frozen)" "running None"
status "rm -f also ends a supervisor that hangs" 0 "$SHELTER" rm -f frozen
check "and leaves nothing" nothing_left

# Damaged files of an instance that runs: its lock tells the truth, and whoever holds it.
hurt() { # FILE TEXT: an instance with this in its file; its folder, supervisor and VM in $dir, $sup, $qemu
    "$SHELTER" run -d --name hurt plain >/dev/null 2>&1
    dir=$SHELTER_STORE/instances/$(field hurt id) sup=$(field hurt supervisor_pid) qemu=$(field hurt pid)
    printf '%s' "$2" >"$dir/$1"
}
ended() { until_true 8 sh -c "! kill -0 $sup 2>/dev/null && ! kill -0 $qemu 2>/dev/null"; }
for text in '' garbage '{"state":"exited","supervisor_pid":0,"child_pid":0,"started":0,"started_ns":0,"finished":0,"finished_ns":0,"exit_code":0,"error":""}'; do
    hurt state.json "$text"
    same "state.json is '${text:0:10}': it runs" "$(state hurt)" "running None"
    status "rm does not take it" 125 "$SHELTER" rm hurt
    status "start neither" 125 "$SHELTER" start hurt
    status "stop" 0 "$SHELTER" stop -t 0 hurt
    check "ends it" ended
    "$SHELTER" rm hurt >/dev/null
done
# A process of somebody else in the file is not killed.
sleep 100 & innocent=$!
hurt state.json "{\"state\":\"running\",\"supervisor_pid\":$innocent,\"child_pid\":$innocent,\"started\":0,\"started_ns\":0,\"finished\":0,\"finished_ns\":0,\"exit_code\":0,\"error\":\"\"}"
kill -STOP "$sup"
status "rm -f ends who holds the lock" 0 "$SHELTER" rm -f hurt
check "that is the supervisor" ended
check "and nobody else" kill -0 $innocent
kill $innocent
hurt config.json garbage
id=${dir##*/}
status "clean leaves a damaged instance that runs" 0 "$SHELTER" clean
check "it runs" kill -0 "$qemu"
status "rm -f of a damaged instance" 0 "$SHELTER" rm -f "${id:0:12}"
check "ends it" ended
check "and leaves nothing" nothing_left
hurt config.json garbage
status "rm -f --all too" 0 "$SHELTER" rm -f --all
check "ends it" ended
check "and leaves nothing" nothing_left

fake obey
for i in 1 2; do "$SHELTER" run -d --rm --name same plain >"$T/id.$i" 2>/dev/null & pids[$i]=$!; done
wait ${pids[1]}; a=$?; wait ${pids[2]}; b=$?
same "two at once with one name: one wins" "$(printf '%s\n' $a $b | sort -n | tr '\n' ' ')" "0 125 "
"$SHELTER" stop same >/dev/null; check "--rm removes" nothing_left
timeout -k 5 30 "$SHELTER" run plain </dev/null >/dev/null 2>&1 & pid=$!
until_true 10 sh -c "'$SHELTER' ps | grep -q running"
kill -TERM $pid; wait $pid
same "TERM is passed on" $? 143
fake hang
timeout -k 5 30 "$SHELTER" run plain </dev/null >/dev/null 2>&1 & pid=$!
until_true 10 sh -c "'$SHELTER' ps | grep -q running"
child=$(pgrep -P $pid -f 'run plain' | head -1)
for i in 1 2 3; do kill -INT ${child:-$pid}; sleep 0.2; done; wait $pid
same "three ^C kill" $? 137
"$SHELTER" rm --all >/dev/null 2>&1

# --- logs ---
fake late:2
"$SHELTER" run -d --name slow plain >/dev/null 2>&1
timeout -k 5 30 "$SHELTER" logs -f slow >"$T/o"
same "logs -f ends with the workload" "$?/$(tr '\n' ' ' <"$T/o")" "0/first second "
"$SHELTER" logs -t slow | grep -qE '^20[0-9-]+T[0-9:.]+Z second$' && ok "logs -t" || not_ok "logs -t: $("$SHELTER" logs -t slow)"
sleep 1.1; now=$(date +%s)
same "logs --since now" "$("$SHELTER" logs --since "$now" slow)" ""
same "logs --since before" "$("$SHELTER" logs --since 1h slow | wc -l)" 2
fake flood:60000000
"$SHELTER" run --name loud plain </dev/null >/dev/null 2>&1
kb=$(du -sk "$SHELTER_STORE"/instances/"$(field loud id)" | cut -f1)
[ "$kb" -le 33000 ] && ok "the log is bounded" || not_ok "the log is bounded: $kb kB"
same "its newest part is there" "$("$SHELTER" logs loud | tail -c 15 | wc -c)" 15
"$SHELTER" rm slow loud >/dev/null

# --- odd places ---
long=$T/$(printf 'd%.0s' $(seq 200))
mkdir "$long" && cp -r "$SHELTER_STORE/images" "$SHELTER_STORE/tags" "$long/"
fake obey
SHELTER_STORE=$long check "a store with a long path" sh -c "'$SHELTER' run -d --name far plain && '$SHELTER' stop far && '$SHELTER' rm far"
fake cat
"$SHELTER" run --name again plain </dev/null >/dev/null 2>&1
same "start -a feeds stdin again" "$(echo twice | timeout -k 5 30 "$SHELTER" start -a again 2>/dev/null)" twice
"$SHELTER" rm again >/dev/null
fake obey
tests/pty_run.py 20 'expect:up' 'signal:1' -- "$SHELTER" run --name hup plain >"$T/o" 2>&1
same "a terminal that hangs up leaves the instance running" "$(tr -d '\r' <"$T/o" | grep -c '^status 129$')/$(state hup)" "1/running None"
"$SHELTER" rm -f hup >/dev/null

# --- exec ---
fake exec
"$SHELTER" run -d --name x open >/dev/null 2>&1
status "exec has its own status" 5 sh -c "echo input | '$SHELTER' exec -e A=b -w /w -u me x prog 'two words'"
same "what exec passes on" "$(cat "$T/out")" "argv prog,two words env A=b dir /w user me tty 0"
same "its stdin" "$(cat "$T/err")" "input"
status "what the guest refuses is 126" 126 "$SHELTER" exec x no; one_line "with the guest's reason" 'not this one'
for i in 1 2 3 4 5 6 7 8; do echo $i | "$SHELTER" exec x p >/dev/null 2>"$T/x.$i" & xs[$i]=$!; done
for i in 1 2 3 4 5 6 7 8; do wait ${xs[$i]}; done
same "eight at once" "$(cat "$T"/x.? | tr -d '\n')" 12345678
check "kill -s USR1 where the policy allows it" "$SHELTER" kill -s USR1 x
same "its status" "$("$SHELTER" wait x)" 138
fake lying-exec
"$SHELTER" start x >/dev/null 2>&1
status "an exec answered for another session ends the instance" 137 "$SHELTER" exec x p
same "as a broken rule" "$(state x)" "exited 125"
fake overrun
"$SHELTER" start x >/dev/null 2>&1
status "data beyond credit ends the instance" 137 "$SHELTER" exec x p
same "as a broken rule too" "$("$SHELTER" inspect --json x | grep -c 'beyond its credit')" 1
"$SHELTER" rm x >/dev/null
wait $deaf_exec
read -r deaf_status deaf_seconds <"$T/deaf"
same "an exec that nobody answers fails" "$deaf_status" 125
check "within a minute, not before ($deaf_seconds s)" [ "$deaf_seconds" -ge 58 -a "$deaf_seconds" -le 100 ]
check "which is told" grep -q 'does not answer: it did not start the program within a minute' "$T/deaf.err"
check "its instance goes on" grep -q '"running"' <(deaf inspect --json deaf)
deaf rm -f deaf >/dev/null

# --- what is checked before anything starts ---
fake exit:0
status "unknown image" 125 "$SHELTER" run nosuch; one_line "told" "nosuch"
status "-it" 125 "$SHELTER" run -it plain; one_line "told" 'there is no -it'
status "too little memory" 125 "$SHELTER" run -m 20M plain; one_line "told" 'at least 48M'
status "no such option" 125 "$SHELTER" run --nonsense plain; one_line "told" 'nonsense'
status "a locked command" 125 "$SHELTER" run locked other; one_line "told" 'locked'
status "a locked environment" 125 "$SHELTER" run -e A=b locked; one_line "told" 'locked'
status "-v without policy" 125 "$SHELTER" run -v /tmp:/data plain; one_line "told" '[-]-mount PATH'
status "--debug without policy" 125 "$SHELTER" run --debug plain; one_line "told" '[-]-allow debug'
[ -e /dev/sgx_enclave ] || { status "--tee sgx" 125 "$SHELTER" run --tee sgx plain; one_line "told" '^shelter: --tee sgx: .*shelter doctor'; }
status "-p with --network none" 125 "$SHELTER" run --network none -p 80 plain; one_line "told" 'network'
status "-p of the agent's port" 125 "$SHELTER" run -p 8006:8006 plain; one_line "told" 'attestation agent'
python3 -c '
import socket, sys, time
t = socket.socket(); t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); t.bind(("127.0.0.1", 0)); t.listen()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0))
open(sys.argv[1], "w").write("%d %d" % (t.getsockname()[1], u.getsockname()[1])); time.sleep(60)' "$T/ports" & pid=$!
until_true 10 test -s "$T/ports"; read -r tcp udp <"$T/ports"
status "TCP port in use" 125 "$SHELTER" run -p $tcp:80 plain; one_line "told" "port $tcp .*in use"
status "UDP port in use" 125 "$SHELTER" run -p $udp:53/udp plain; one_line "told" "port $udp .*in use"
kill $pid; wait $pid 2>/dev/null
status "one port twice" 125 "$SHELTER" run -p $tcp:80 -p $tcp:81 plain; one_line "told" 'in use'
check "nothing of this left an instance" nothing_left

# --- a full disk ---
if [ "$(id -u)" = 0 ] && mkdir "$T/small" && mount -t tmpfs -o size=40k none "$T/small" 2>/dev/null; then
    cleanup_hooks+=("umount '$T/small'")
    mkdir -p "$T/store2"; cp -r "$SHELTER_STORE/images" "$SHELTER_STORE/tags" "$T/store2/"
    ln -s "$T/small" "$T/store2/instances"
    fake flood:200000
    SHELTER_STORE=$T/store2 timeout -k 5 30 "$SHELTER" run --name full plain >"$T/o" 2>/dev/null
    same "a full disk does not stop a workload" "$?/$(wc -c <"$T/o")" "0/200000"
    same "its end is known all the same" "$(SHELTER_STORE=$T/store2 "$SHELTER" inspect --json full | grep -c '"exited"')" 1
    dd if=/dev/zero of="$T/small/fill" bs=1k 2>/dev/null
    SHELTER_STORE=$T/store2 status "no space for another instance" 125 "$SHELTER" run plain; one_line "told" 'No space left'
    SHELTER_STORE=$T/store2 "$SHELTER" rm full >/dev/null 2>&1
else
    skip "full disk: needs root and tmpfs"
fi
