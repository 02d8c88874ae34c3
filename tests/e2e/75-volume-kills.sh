#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A volume under a program that only appends and syncs, killed at any moment (the enclave's loader, QEMU, the
# supervisor, the broker that has its states), again and again: what was acknowledged is there the next time, in whichever
# TEE. SHELTER_KILLS times, every sixth of them in a VM where there is a guest kernel; without it this test is skipped.
# `make soak-volumes` does 1,000. SHELTER_SEED: the same victims and moments again.
. tests/e2e/lib.sh
kills=${SHELTER_KILLS:-0} # 70-volumes, 73-volume-freshness and 74-volume-freshness-vm have a few
[ "$kills" -gt 0 ] || { skip "volume, killed again and again: set SHELTER_KILLS, or make soak-volumes"; exit 0; }
for f in build/base/enclave build/sgx-loader; do
    [ -f $f ] || { skip "volume, killed: $f is not built (make)"; exit 0; }
done
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
    until_true 20 test -s "$T/url"
}
cleanup_hooks+=('kill -9 $broker 2>/dev/null')
check "the broker" serve
head -c 32 /dev/urandom >"$T/data.key"
"$SHELTER" broker add-resource volumes/key/data "$T/data.key" --image any
check "image" "$SHELTER" build -q -t box --broker-key "$T/key.pem" -f "$(command -v busybox)" -f "$T/storage" -c "/bin/busybox sh" \
    --volume data:/data:key=kbs:///volumes/key/data:freshness=${SHELTER_FRESHNESS:-session}:size=2G
"$SHELTER" broker add-reference box
RANDOM=${SHELTER_SEED:-$$}
expected=0 lost=0 slow=0 done=0 vms=0 supervisors=0 brokers=0
for ((i = 1; i <= kills; i++)); do
    tee=sgx-sim
    [ $((i % 6)) -ne 0 ] || [ ! -f build/base/vmlinux ] || tee=tdx-sim
    [ $tee = sgx-sim ] || vms=$((vms + 1))
    rm -f "$T/out"
    echo '/bin/storage count /data 2>/dev/null || echo 0; exec /bin/storage append /data 100000' |
        timeout -k 5 400 "$SHELTER" run --rm --tee $tee -m 256M -i "https://127.0.0.1:$port" -v "data:$T/disk" box >"$T/out" 2>"$T/err" &
    pid=$!
    until_true 300 test -s "$T/out"
    sleep "$((RANDOM % 2)).$((RANDOM % 1000 + 1000))"
    victim=$(who_has "$T/disk")
    case $((RANDOM % 6)) in
    0 | 1)
        [ -z "$victim" ] || victim=$(ps -o ppid= -p "$victim" | tr -d ' ')
        supervisors=$((supervisors + 1))
        ;;
    2)
        kill -9 $broker
        wait $broker 2>/dev/null
        brokers=$((brokers + 1))
        sleep "0.$((RANDOM % 1000 + 1000))"
        serve
        sleep "0.$((RANDOM % 1000 + 1000))"
        ;;
    esac
    [ "${victim:-1}" -le 1 ] || kill -9 "$victim"
    wait $pid
    status=$?
    until_true 30 sh -c "flock -n '$T/disk' true"
    found=$(head -n 1 "$T/out")
    if ! [[ $found =~ ^[0-9]+$ ]]; then
        # Where the machine is too slow to start it in the time, that says nothing of the volume: the round is made again.
        if [ $status = 124 ] && [ $((slow += 1)) -le $((kills / 10)) ]; then
            echo "# round $i ($tee): not started within 400 s; again"
            i=$((i - 1))
        else
            not_ok "round $i ($tee): nothing was counted, status $status: $(tail -n 3 "$T/err" | tr '\n' ' ')"
        fi
        continue
    fi
    [ "$found" -ge "$expected" ] || { lost=$((lost + expected - found)); not_ok "round $i ($tee): $found lines, $expected were acknowledged"; }
    expected=$((found + $(grep -cE '^[0-9]{7}$' "$T/out")))
    done=$((done + 1))
    [ $((done % 20)) -ne 0 ] || echo "# $done rounds in $SECONDS s, $expected lines, lost $lost"
done
same "$done rounds ($vms of VMs), with $supervisors kills of supervisors and $brokers of the broker, $expected lines acknowledged: lost" "$lost" 0
same "every round counted" "$done" "$kills"
check "there are lines" test "$expected" -gt "$kills"
status "it fits together" 0 "$SHELTER" volume check "$T/disk" --key "$T/data.key"
