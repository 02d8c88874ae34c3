#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A host that turns time back: an earlier copy of a volume's file, an empty one, a second instance, a broker that is
# away, killed, put back itself, or no broker at all. The program says what fsync acknowledged.
. tests/e2e/lib.sh
LIMIT=60
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "enclave: not built (make)"; exit 0; }
mkdir -p "$T/base"
for f in vmlinux bzImage initramfs; do echo "base file $f" >"$T/base/$f"; done
cp build/base/enclave "$T/base/"
gcc -O2 -D_GNU_SOURCE -static -o "$T/storage" tests/enclave/storage.c || exit 1
export SHELTER_BASE=$T/base SHELTER SHELTER_BROKER=$T/broker
B=$(command -v busybox)
run=("$SHELTER" run --tee sgx-sim --rm)
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
cleanup_hooks+=('kill -9 $broker 2>/dev/null')
serve
for v in strict session away pause; do
    head -c 32 /dev/urandom >"$T/$v.key"
    "$SHELTER" broker add-resource "volumes/key/$v" "$T/$v.key" --image any
done
image() { # TAG VOLUME KEY WORDS ARGUMENT…
    "$SHELTER" build -q -t "$1" --broker-key "$T/key.pem" --volume "data:/data:key=kbs:///volumes/key/$2:size=64M$3" \
        -f "$B" -f "$T/storage" "${@:4}" >/dev/null && "$SHELTER" broker add-reference "$1"
}
for m in strict session; do
    check "image: $m" image "$m" $m ":freshness=$m" -c "/bin/storage count /data"
    check "image: $m, append" image "$m-append" $m ":freshness=$m" -c "/bin/storage append /data 1000000"
    check "image: $m, some" image "$m-some" $m ":freshness=$m" -c "/bin/storage append /data 20"
done
check "inspect: session is the default" grep -q '"freshness":[[:space:]]*"session"' <("$SHELTER" inspect --json session)
with() { echo "${run[@]}" -i "$url" -v "data:$1"; } # FILE
uses() { who_has "$1"; }
told() { check "... told: $1" grep -qi -- "$1" "$T/err"; }

for m in strict session; do
    D=$T/$m.disk
    status "$m: new" 0 $(with "$D") $m-some
    cp --sparse=always "$D" "$T/$m.old"
    status "$m: again" 0 $(with "$D") $m-some
    same "$m: all is there" "$($(with "$D") $m 2>"$T/err")" 40
    cp --sparse=always "$D" "$T/$m.new"
    # The file of before, whole: genuine in every byte.
    cp --sparse=always "$T/$m.old" "$D"
    status "$m: an earlier file is refused" 123 $(with "$D") $m
    told "an earlier state of its file was put back"
    told "shelter broker volume reset"
    check "$m: ... and left as it was" cmp -s "$D" "$T/$m.old"
    rm "$D"
    status "$m: an empty file is refused" 123 $(with "$D") $m
    told "its file is empty, but the broker knows the volume"
    cp --sparse=always "$T/$m.new" "$D"
    same "$m: the newest is opened" "$($(with "$D") $m 2>"$T/err")" 40
    # The operator accepts the loss.
    cp --sparse=always "$T/$m.old" "$D"
    status "$m: reset" 0 "$SHELTER" broker volume reset volumes/key/$m
    same "$m: after a reset the earlier one counts" "$($(with "$D") $m 2>"$T/err")" 20
    cp --sparse=always "$T/$m.new" "$D"
    status "$m: and the other no more" 123 $(with "$D") $m
    rm -f "$D"
    "$SHELTER" broker volume reset volumes/key/$m
    status "$m: a reset is not for an empty file" 123 $(with "$D") $m
    told "reset --new"
    status "$m: forgotten" 0 "$SHELTER" broker volume reset --new volumes/key/$m
    status "$m: a new one" 0 $(with "$D") $m-some
done

# --- two instances ---
append() { # IMAGE FILE OUT: in the background; its pid in $writer
    $(with "$2") "$1" >"$3" 2>"$3.err" &
    writer=$!
}
acks() { grep -cE "^[0-9]{7}$" "$1"; }
lines() { [ "$(wc -l <"$1" 2>/dev/null || echo 0)" -gt "$2" ]; }
said() { grep -q -- "$2" "$1.err"; }
kill_loader() { local p; p=$(uses "$1"); [ -z "$p" ] || kill -9 "$p"; }
D=$T/session.disk
append session-append "$D" "$T/one"
check "the first writes" until_true 30 lines "$T/one" 5
cp --sparse=always "$D" "$T/copy"
status "a second one with a copy is refused" 123 $(with "$T/copy") session
told "another instance holds the volume"
"$SHELTER" broker volume set volumes/key/session --second fence
kill -STOP "$(uses "$D")"
cp --sparse=always "$D" "$T/copy"
same "policy: the second wins" "$($(with "$T/copy") session-some >"$T/two" 2>"$T/err"; echo $?)" 0
kill -CONT "$(uses "$D")"
wait $writer
check "... and the first ends" test $? -ne 0
check "... told why" said "$T/one" "does not hold the volume any more"
"$SHELTER" broker volume set volumes/key/session --second refuse
status "what the first wrote is not the volume" 123 $(with "$D") session
check "... told" grep -qE "earlier state|did not hold" "$T/err"
mv "$T/copy" "$D"
status "what the second wrote is" 0 $(with "$D") session

# --- kill -9 of the loader, of the broker, in storms of fsync ---
for m in strict session; do
    D=$T/$m.disk acked=$($(with "$D") $m 2>"$T/err") lost=0
    for i in 1 2 3; do
        append $m-append "$D" "$T/storm"
        until_true 30 lines "$T/storm" $((i * 5))
        kill -9 $broker
        wait $broker 2>/dev/null
        sleep "0.$i"
        serve
        until_true 30 lines "$T/storm" $((i * 5 + 10))
        kill_loader "$D"
        wait $writer
        acked=$((acked + $(acks "$T/storm")))
        found=$($(with "$D") $m 2>"$T/err")
        [ "${found:-0}" -ge "$acked" ] || lost=$((lost + acked - ${found:-0}))
        acked=$found
    done
    same "$m: kill -9 of loader and broker: acknowledged and lost" "$lost" 0
    check "$m: ... of $acked" test "${acked:-0}" -gt 40
    cp --sparse=always "$T/$m.new" "$D.old"
    status "$m: and the file of before is still refused" 123 $(with "$D.old") $m
done

# --- a broker that is away ---
for m in away pause; do
    more=:away=3
    [ $m = away ] || more=:away=3,pause
    check "image: $m" image $m-append $m "$more" -c "/bin/storage append /data 1000000"
    check "image: $m, count" image $m $m "$more" -c "/bin/storage count /data"
    append $m-append "$T/$m.disk" "$T/$m.out"
    until_true 30 lines "$T/$m.out" 5
    kill -9 $broker
    wait $broker 2>/dev/null
    before=$(wc -l <"$T/$m.out")
    check "$m: told that the broker is away" until_true 30 said "$T/$m.out" "changes go on for 3 s"
    check "$m: ... and then that the limit is over" until_true 30 said "$T/$m.out" "without the broker for more than 3 s"
    check "$m: changes went on for a while" lines "$T/$m.out" "$before"
    if [ $m = away ]; then
        wait $writer
        check "away: they fail" test $? -ne 0
        serve
    else
        stopped=$(wc -l <"$T/$m.out")
        sleep 2
        same "pause: they wait" "$(wc -l <"$T/$m.out")" "$stopped"
        serve
        check "pause: and go on" until_true 30 lines "$T/$m.out" $((stopped + 5))
        check "pause: told" said "$T/$m.out" "the broker has its newest state again"
        kill_loader "$T/$m.disk"
        wait $writer
    fi
    check "$m: what was acknowledged is there" test "$($(with "$T/$m.disk") $m 2>"$T/err")" -ge "$(acks "$T/$m.out")"
done

# --- another broker in its place; its own store put back ---
"$SHELTER" broker init --dir "$T/liar"
"$SHELTER" broker add-resource --dir "$T/liar" volumes/key/away "$T/away.key" --image any
"$SHELTER" broker add-reference --dir "$T/liar" away >/dev/null
append away-append "$T/away.disk" "$T/lied"
until_true 30 lines "$T/lied" 5
kill -9 $broker
wait $broker 2>/dev/null
serve "$T/liar"
check "another broker is not believed" until_true 30 said "$T/lied" "does not have the public key"
wait $writer
check "... and the program's writes fail" test $? -ne 0
status "nor at the start" 123 $(with "$T/away.disk") away
kill -9 $broker
wait $broker 2>/dev/null
cp -r "$T/broker" "$T/backup"
serve
D=$T/session.disk
status "the broker goes on" 0 $(with "$D") session-some
append session-append "$D" "$T/forgot"
until_true 30 lines "$T/forgot" 5
sleep 2
kill -9 $broker
wait $broker 2>/dev/null
rm -r "$T/broker" && cp -r "$T/backup" "$T/broker"
serve
check "a broker that was put back is noticed by who runs" until_true 30 said "$T/forgot" "forgot what it had acknowledged"
wait $writer
check "... whose writes fail" test $? -ne 0
status "... and at the next start" 123 $(with "$D") session
check "... told" grep -qE "forgot|did not hold" "$T/err"
told "broker volume reset"
"$SHELTER" broker volume reset volumes/key/session
check "the operator's word counts" test "$($(with "$D") session 2>"$T/err")" -ge "$(acks "$T/forgot")"
