# SPDX-License-Identifier: Apache-2.0
# For the tests of a volume's freshness, in both TEEs: a broker that comes and goes, images with one volume, a
# writer in the background. Source it behind tests/e2e/lib.sh.
gcc -O2 -w -D_GNU_SOURCE -static -o "$T/storage" tests/enclave/storage.c || exit 1
export SHELTER SHELTER_BROKER=$T/broker
vm=tdx-sim enclave=sgx-sim
"$SHELTER" attest --simulated-root -o "$T/root.pem"
"$SHELTER" broker init
"$SHELTER" broker key >"$T/key.pem"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=https://127.0.0.1:$port
serve() { # [FOLDER]
    rm -f "$T/url"
    SHELTER_BROKER=${1:-$T/broker} "$SHELTER" broker serve --listen "127.0.0.1:$port" --allow-simulated "$T/root.pem" \
        --url-file "$T/url" >>"$T/broker.log" 2>&1 &
    broker=$!
    until_true 20 test -s "$T/url"
}
stop_broker() {
    kill -9 $broker
    wait $broker 2>/dev/null
}
cleanup_hooks+=('kill -9 $broker 2>/dev/null')
serve
image() { # TAG KEY WORDS COMMAND
    "$SHELTER" build -q -t "$1" --broker-key "$T/key.pem" --volume "data:/data:key=kbs:///volumes/key/$2:size=64M$3" \
        -f "$(command -v busybox)" -f "$T/storage" -c "$4" >/dev/null && "$SHELTER" broker add-reference "$1"
}
for m in strict session; do
    for v in $m $m-fails $m-waits; do
        head -c 32 /dev/urandom >"$T/$v.key"
        "$SHELTER" broker add-resource "volumes/key/$v" "$T/$v.key" --image any
    done
    check "image: $m" image $m $m ":freshness=$m" "/bin/storage count /data"
    check "image: $m, some" image $m-some $m ":freshness=$m" "/bin/storage append /data 20"
    check "image: $m, append" image $m-append $m ":freshness=$m" "/bin/storage append /data 1000000"
done
for m in session-fails session-waits strict-fails strict-waits; do
    words=:freshness=${m%-*}:away=3
    [ "${m#*-}" = fails ] || words+=,pause
    [ $m != session-fails ] || words=:away=3 # as it is where the image says nothing else
    check "image: $m" image $m $m $words "/bin/storage count /data"
    check "image: $m, append" image $m-append $m $words "/bin/storage append /data 1000000"
done
with() { echo "$SHELTER" run --rm --tee "$1" -m 256M -i "$url" -v "data:$2"; } # TEE FILE
told() { check "... told: $1" grep -qi -- "$1" "$T/err"; }
lines() { [ "$(wc -l <"$1" 2>/dev/null || echo 0)" -gt "$2" ]; }
acks() { grep -cE "^[0-9]{7}$" "$1"; }
said() { grep -q -- "$2" "$1.err"; }
kill_user() { local p; p=$(who_has "$1"); [ -z "$p" ] || kill -9 "$p"; } # FILE: kills what holds its lock
append() { # TEE IMAGE FILE OUT: in the background; its pid in $writer
    $(with "$1" "$3") "$2" >"$4" 2>"$4.err" &
    writer=$!
}
# put_back LABEL TEE MODE ACCOUNT COUNT: $T/MODE.old, an earlier and genuine state, and an empty file are refused, in the words
# of ACCOUNT; $T/MODE.new is opened, and counts COUNT.
put_back() {
    local label=$1 user m=$3
    user=$(with "$2" "$D")
    cp --sparse=always "$T/$m.old" "$D"
    status "$label: an earlier file is refused" 123 $user $m
    told "an earlier state of its file was put back"
    told "$4"
    check "$label: ... and left as it was" cmp -s "$D" "$T/$m.old"
    rm "$D"
    status "$label: an empty file is refused" 123 $user $m
    told "its file is empty, but the broker knows the volume"
    cp --sparse=always "$T/$m.new" "$D"
    same "$label: the newest is opened" "$($user $m 2>"$T/err")" "$5"
}
# stay_away WRITER READER: the broker goes while a program in the one TEE writes; the other counts what is there.
stay_away() {
    local m before stopped
    for m in session-fails strict-waits session-waits strict-fails; do
        append "$1" $m-append "$T/$m.disk" "$T/$m.out"
        until_true 60 lines "$T/$m.out" 5
        stop_broker
        before=$(wc -l <"$T/$m.out")
        check "$m: told that the broker is away" until_true 30 said "$T/$m.out" "changes go on for 3 s"
        check "$m: ... and then that the limit is over" until_true 30 said "$T/$m.out" "for more than 3 s: changes"
        if [ ${m%-*} = session ]; then
            check "$m: changes went on for a while" lines "$T/$m.out" "$before"
        else # each fsync asks the broker; one may have been answered
            check "$m: changes waited from the start" test "$(wc -l <"$T/$m.out")" -le $((before + 2))
        fi
        if [ ${m#*-} = fails ]; then
            wait $writer
            check "$m: they fail" test $? -ne 0
            serve
        else
            stopped=$(wc -l <"$T/$m.out")
            sleep 2
            same "$m: they wait" "$(wc -l <"$T/$m.out")" "$stopped"
            serve
            check "$m: and go on" until_true 30 lines "$T/$m.out" $((stopped + 5))
            check "$m: told" said "$T/$m.out" "the broker has its newest state again"
            kill_user "$T/$m.disk"
            wait $writer
        fi
        check "$m: what was acknowledged is there" test "$($(with "$2" "$T/$m.disk") $m 2>"$T/err")" -ge "$(acks "$T/$m.out")"
    done
}
# stay_silent TEE: what a program asks the agent, and the broker need not be asked for, waits for no broker; beside
# it somebody waits for a resource.
stay_silent() {
    local worst
    check "image: a shell" image shell session ":freshness=session" "/bin/busybox sh"
    cat >"$T/asks" <<'END'
echo ready
/bin/busybox sleep 4
/bin/busybox wget -q -O /dev/null http://127.0.0.1:8006/cdh/resource/volumes/none/none &
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    echo $i >>/data/asked
    read -r before rest </proc/uptime
    /bin/busybox wget -q -O /dev/null "http://127.0.0.1:8006/aa/evidence?runtime_data=x" || echo failed
    read -r after rest </proc/uptime
    echo "took $before $after"
    /bin/busybox sleep 0.5
done
END
    $(with "$1" "$T/session.disk") shell <"$T/asks" >"$T/asked" 2>"$T/err" &
    writer=$!
    check "it is ready" until_true 90 grep -q ready "$T/asked"
    kill -STOP $broker
    until_true 90 sh -c "[ \$(grep -c took '$T/asked') = 12 ]"
    kill -CONT $broker
    wait $writer
    same "a silent broker: the API answers" "$(grep -c took "$T/asked") $(grep -c failed "$T/asked")" "12 0"
    worst=$(awk '/took/ { n = ($3 - $2) * 100; if (n > worst) worst = n } END { print int(worst) }' "$T/asked")
    check "... within a second or two (the longest: ${worst}0 ms)" test "${worst:-999}" -lt 250
    check "... and the volume was kept meanwhile" grep -qE "does not have its newest state: .* in time" "$T/err"
}
