#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A volume under a program that only appends and syncs, killed at any moment (the enclave's loader, QEMU, the
# supervisor, the broker that has its states), again and again: what was acknowledged is there the next time, in whichever
# TEE. SHELTER_KILLS rounds, every sixth (SHELTER_KILLS_VM) in a VM where there is a guest kernel; without it this test is skipped.
# `make soak-volumes` does 1,000. SHELTER_SEED: the same victims and moments again. SHELTER_KILLS_LOG: a file that gets a
# line for each round, and why one counted nothing.
#
# A round is counted when what was acknowledged before was looked for. One whose program had not begun in time is made again
# (a tenth of all at most), having said what it waited for: that says nothing of the volume.
. tests/e2e/lib.sh
kills=${SHELTER_KILLS:-0} # 70-volumes, 73-volume-freshness and 74-volume-freshness-vm have a few
[ "$kills" -gt 0 ] || { skip "volume, killed again and again: set SHELTER_KILLS, or make soak-volumes"; exit 0; }
for f in build/base/enclave build/sgx-loader; do
    [ -f $f ] || { skip "volume, killed: $f is not built (make)"; exit 0; }
done
rounds=${SHELTER_KILLS_LOG:-$T/rounds}
gcc -O2 -w -D_GNU_SOURCE -static -o "$T/storage" tests/enclave/storage.c || exit 1
export SHELTER_BROKER=$T/broker
"$SHELTER" attest --simulated-root -o "$T/root.pem"
"$SHELTER" broker init
"$SHELTER" broker key >"$T/key.pem"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
serve() {
    rm -f "$T/url"
    "$SHELTER" broker serve --listen "127.0.0.1:$port" --allow-simulated "$T/root.pem" --url-file "$T/url" >>"$T/broker.log" 2>&1 &
    broker=$!
    until_true 60 test -s "$T/url"
}
cleanup_hooks+=('kill -9 $broker 2>/dev/null')
check "the broker" serve
head -c 32 /dev/urandom >"$T/data.key"
"$SHELTER" broker add-resource volumes/key/data "$T/data.key" --image any
check "image" "$SHELTER" build -q -t box --broker-key "$T/key.pem" -f "$(command -v busybox)" -f "$T/storage" -c "/bin/busybox sh" \
    --volume data:/data:key=kbs:///volumes/key/data:freshness=${SHELTER_FRESHNESS:-session}:size=2G
"$SHELTER" broker add-reference box
RANDOM=${SHELTER_SEED:-$$}
expected=0 lost=0 again=0 done=0 vms=0 supervisors=0 brokers=0 starts=0
fraction() { printf '%d.%03d' $((RANDOM % $1)) $((RANDOM % 1000)); }
# What a round waited for that counted nothing: for the log.
explain() { # STATUS WAITED
    printf 'status %s after %s s (load %s); broker %s; disk held by %s; said: %s; log: %s; broker said: %s' "$1" "$2" \
        "$(cut -d ' ' -f 1 /proc/loadavg)" "$(kill -0 $broker 2>/dev/null && echo lives || echo gone)" \
        "$(p=$(who_has "$T/disk"); echo "${p:-nobody}")" "$(tail -n 2 "$T/err" | tr '\n' ' ')" \
        "$(timeout 20 "$SHELTER" logs "$("$SHELTER" ps -a -q 2>/dev/null | head -n 1)" 2>&1 | tail -n 2 | tr '\n' ' ')" \
        "$(tail -n 1 "$T/broker.log")"
}
is_open() { [ -n "$(who_has "$T/disk")" ]; }
note() { echo "$(date +%H:%M:%S) $*" >>"$rounds"; }
for ((i = 1; i <= kills; i++)); do
    tee=sgx-sim who=instance early= why=
    [ $((i % ${SHELTER_KILLS_VM:-6})) -ne 0 ] || [ ! -f build/base/vmlinux ] || tee=tdx-sim
    [ $((RANDOM % 8)) -ne 0 ] || early=$(fraction 3) # this one while it starts: opens, replays, asks the broker
    rm -f "$T/out"
    began=$SECONDS
    echo '/bin/storage count /data 2>/dev/null || echo 0; exec /bin/storage append /data 100000' |
        timeout -k 5 900 "$SHELTER" run --rm --tee $tee -m 256M -i "https://127.0.0.1:$port" -v "data:$T/disk" box >"$T/out" 2>"$T/err" &
    pid=$!
    if [ -n "$early" ]; then
        until_true 300 is_open
        sleep "$early"
    else
        # It may also end by itself: then it says why.
        until_true 600 sh -c "test -s '$T/out' || ! kill -0 $pid" || why=$(explain waiting $((SECONDS - began)))
        sleep "$(fraction 2)"
        sleep "0.$((RANDOM % 500 + 500))"
    fi
    victim=$(who_has "$T/disk")
    case $((RANDOM % 6)) in
    0 | 1)
        [ -z "$victim" ] || victim=$(ps -o ppid= -p "$victim" | tr -d ' ')
        who=supervisor
        ;;
    2)
        kill -9 $broker
        wait $broker 2>/dev/null
        who=broker+instance
        sleep "0.$((RANDOM % 1000 + 1000))"
        serve || note "round $i: the broker did not come back within 60 s: $(tail -n 1 "$T/broker.log")"
        sleep "0.$((RANDOM % 1000 + 1000))"
        ;;
    esac
    [ "${victim:-1}" -le 1 ] || kill -9 "$victim"
    [ "${victim:-1}" -gt 1 ] || timeout 60 "$SHELTER" rm -f --all >/dev/null 2>&1 # it has no disk yet, or none any more
    wait $pid 2>/dev/null
    status=$?
    until_true 60 sh -c "flock -n '$T/disk' true" || note "round $i: the disk is still held after 60 s by $(who_has "$T/disk")"
    found=$(head -n 1 "$T/out")
    if ! [[ $found =~ ^[0-9]+$ ]]; then
        if [ -n "$early" ]; then
            starts=$((starts + 1)) i=$((i - 1))
            note "an early kill ($tee, $who): $early s after its disk was opened; the next round looks"
            continue
        fi
        why=${why:-$(explain $status $((SECONDS - began)))}
        note "round $i ($tee, $who) counted nothing: $why"
        if [ $((again += 1)) -le $((kills / 10)) ]; then
            echo "# round $i ($tee) is made again: $why"
            i=$((i - 1))
        else
            not_ok "round $i ($tee): nothing was counted: $why"
        fi
        continue
    fi
    [ "$found" -ge "$expected" ] || { lost=$((lost + expected - found)); not_ok "round $i ($tee): $found lines, $expected were acknowledged"; }
    acknowledged=$(grep -cE '^[0-9]{7}$' "$T/out")
    note "round $i $tee $who: found $found of $expected, acknowledged $acknowledged more, $((SECONDS - began)) s"
    expected=$((found + acknowledged)) done=$((done + 1))
    case $tee in tdx-sim) vms=$((vms + 1)) ;; esac
    case $who in supervisor) supervisors=$((supervisors + 1)) ;; broker*) brokers=$((brokers + 1)) ;; esac
    [ $((done % 20)) -ne 0 ] || echo "# $done rounds in $SECONDS s, $expected lines, lost $lost"
done
same "$done rounds ($vms of VMs), with $supervisors kills of supervisors and $brokers of the broker, $starts more at the start, $expected lines acknowledged: lost" "$lost" 0
same "every round counted ($again were made again)" "$done" "$kills"
check "there are lines" test "$expected" -gt "$kills"
status "it fits together" 0 "$SHELTER" volume check "$T/disk" --key "$T/data.key"
