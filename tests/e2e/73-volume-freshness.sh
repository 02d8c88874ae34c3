#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A host that turns time back: an earlier copy of a volume's file, an empty one, a second instance, a broker that is
# away, killed, put back itself, or no broker at all. The program says what fsync acknowledged.
. tests/e2e/lib.sh
LIMIT=60
enclave_base enclave
. tests/e2e/freshness.sh
check "inspect: session is the default" grep -q '"freshness":[[:space:]]*"session"' <("$SHELTER" inspect --json session-fails)

for m in strict session; do
    D=$T/$m.disk
    status "$m: new" 0 $(with $enclave "$D") $m-some
    cp --sparse=always "$D" "$T/$m.old"
    status "$m: again" 0 $(with $enclave "$D") $m-some
    same "$m: all is there" "$($(with $enclave "$D") $m 2>"$T/err")" 40
    cp --sparse=always "$D" "$T/$m.new"
    put_back "$m" $enclave $m "shelter broker volume reset" 40
    # The operator accepts the loss.
    cp --sparse=always "$T/$m.old" "$D"
    status "$m: reset" 0 "$SHELTER" broker volume reset volumes/key/$m
    same "$m: after a reset the earlier one counts" "$($(with $enclave "$D") $m 2>"$T/err")" 20
    cp --sparse=always "$T/$m.new" "$D"
    status "$m: and the other no more" 123 $(with $enclave "$D") $m
    rm -f "$D"
    "$SHELTER" broker volume reset volumes/key/$m
    status "$m: a reset is not for an empty file" 123 $(with $enclave "$D") $m
    told "reset --new"
    status "$m: forgotten" 0 "$SHELTER" broker volume reset --new volumes/key/$m
    status "$m: a new one" 0 $(with $enclave "$D") $m-some
done

# --- two instances ---
D=$T/session.disk
append $enclave session-append "$D" "$T/one"
check "the first writes" until_true 30 lines "$T/one" 5
cp --sparse=always "$D" "$T/copy"
status "a second one with a copy is refused" 123 $(with $enclave "$T/copy") session
told "another instance holds the volume"
"$SHELTER" broker volume set volumes/key/session --second fence
kill -STOP "$(who_has "$D")"
cp --sparse=always "$D" "$T/copy"
same "policy: the second wins" "$($(with $enclave "$T/copy") session-some >"$T/two" 2>"$T/err"; echo $?)" 0
kill -CONT "$(who_has "$D")"
wait $writer
check "... and the first ends" test $? -ne 0
check "... told why" said "$T/one" "does not hold the volume any more"
"$SHELTER" broker volume set volumes/key/session --second refuse
status "what the first wrote is not the volume" 123 $(with $enclave "$D") session
check "... told" grep -qE "earlier state|did not hold" "$T/err"
mv "$T/copy" "$D"
status "what the second wrote is" 0 $(with $enclave "$D") session

# --- kill -9 of the loader, of the broker, in storms of fsync ---
for m in strict session; do
    D=$T/$m.disk acked=$($(with $enclave "$D") $m 2>"$T/err") lost=0
    for i in 1 2 3; do
        append $enclave $m-append "$D" "$T/storm"
        until_true 30 lines "$T/storm" $((i * 5))
        stop_broker
        sleep "0.$i"
        serve
        until_true 30 lines "$T/storm" $((i * 5 + 10))
        kill_user "$D"
        wait $writer
        acked=$((acked + $(acks "$T/storm")))
        found=$($(with $enclave "$D") $m 2>"$T/err")
        [ "${found:-0}" -ge "$acked" ] || lost=$((lost + acked - ${found:-0}))
        acked=$found
    done
    same "$m: kill -9 of loader and broker: acknowledged and lost" "$lost" 0
    check "$m: ... of $acked" test "${acked:-0}" -gt 40
    cp --sparse=always "$T/$m.new" "$D.old"
    status "$m: and the file of before is still refused" 123 $(with $enclave "$D.old") $m
done

# --- a broker that takes the connection and says nothing: only who needs it waits ---
stay_silent $enclave

# --- a broker that is away ---
stay_away $enclave $enclave

# --- another broker in its place; its own store put back ---
"$SHELTER" broker init --dir "$T/liar"
"$SHELTER" broker add-resource --dir "$T/liar" volumes/key/session-fails "$T/session-fails.key" --image any
"$SHELTER" broker add-reference --dir "$T/liar" session-fails >/dev/null
append $enclave session-fails-append "$T/session-fails.disk" "$T/lied"
until_true 30 lines "$T/lied" 5
stop_broker
serve "$T/liar"
check "another broker is not believed" until_true 30 said "$T/lied" "does not have the public key"
wait $writer
check "... and the program's writes fail" test $? -ne 0
status "nor at the start" 123 $(with $enclave "$T/session-fails.disk") session-fails
stop_broker
cp -r "$T/broker" "$T/backup"
serve
D=$T/session.disk
status "the broker goes on" 0 $(with $enclave "$D") session-some
append $enclave session-append "$D" "$T/forgot"
until_true 30 lines "$T/forgot" 5
sleep 2
stop_broker
rm -r "$T/broker" && cp -r "$T/backup" "$T/broker"
serve
check "a broker that was put back is noticed by who runs" until_true 30 said "$T/forgot" "forgot what it had acknowledged"
wait $writer
check "... whose writes fail" test $? -ne 0
status "... and at the next start" 123 $(with $enclave "$D") session
check "... told" grep -qE "forgot|did not hold" "$T/err"
told "broker volume reset"
"$SHELTER" broker volume reset volumes/key/session
check "the operator's word counts" test "$($(with $enclave "$D") session 2>"$T/err")" -ge "$(acks "$T/forgot")"
