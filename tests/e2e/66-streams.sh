#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a stream socket promises (order, flow control, errors, half-close, close, exit, peek, edges) holds through the
# rings as it does on Linux: one server and one client, natively and in the enclave, and both say the same.
. tests/e2e/lib.sh
enclave_base streams
check "the server" gcc -Wall -D_GNU_SOURCE -O1 -static -pthread -o "$T/streams" tests/enclave/streams.c
check "build" "$SHELTER" build -q -t streams --allow stats -f "$T/streams"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
listens() { ss -ltn "sport = :$port" | grep -q LISTEN; }
# both NAME COMMAND…: what client and server say, and how the server ends.
both() {
    local name=$1
    shift
    "$@" >"$T/$name.server" 2>"$T/$name.err" &
    local server=$!
    until_true 20 listens
    timeout 90 python3 tests/enclave/streams.py "$port" >"$T/$name" 2>&1
    wait $server
    echo "status $?" >>"$T/$name"
    cat "$T/$name.server" >>"$T/$name"
}
both native timeout 100 "$T/streams" "$port"
same "natively it holds" "$(grep -c '' "$T/native")" 21
both enclave timeout 100 "$SHELTER" run --tee sgx-sim --rm -p "127.0.0.1:$port:$port" streams /bin/streams "$port"
while read -r line; do
    if grep -qxF "$line" "$T/enclave"; then ok "streams: $line"; else not_ok "streams: $line (now: $(grep "^${line%%:*}:" "$T/enclave"))"; fi
done <"$T/native"

# Threads that wait at a new epoll at the same time have one set of the host's: what comes is told.
check "threads that wait" gcc -Wall -O1 -static -pthread -o "$T/first_waits" tests/enclave/first_waits.c
check "build" "$SHELTER" build -q -t waits -f "$T/first_waits"
mkfifo "$T/in"
timeout 100 "$SHELTER" run --tee sgx-sim --rm waits /bin/first_waits 60 <"$T/in" 2>/dev/null |
    while read -r line; do [ "$line" = go ] && echo x >&3 || echo "$line"; done 3>"$T/in" >"$T/told"
same "epoll: threads that wait for the first time at once hear what comes" "$(cat "$T/told")" "told 60"

# The standard output: queued as a stream's bytes are.
check "a program that writes" gcc -Wall -O1 -static -o "$T/output" tests/enclave/output.c
check "build" "$SHELTER" build -q -t output --allow stats -f "$T/output"
run=(timeout 60 "$SHELTER" run --tee sgx-sim --rm)
"${run[@]}" --stats "$T/stats" output /bin/output lines 2000 >"$T/out" 2>"$T/err"
same "output: 2,000 lines, in order" "$? $(cmp "$T/out" <(seq -f 'line %g' 0 1999) && echo whole)" "0 whole"
writes=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["by_call_out"]["write"])' "$T/stats")
check "output: they leave without a call each ($writes)" [ "$writes" -lt 100 ]
same "output: a reader that comes late gets all of it" \
    "$("${run[@]}" output /bin/output bytes 3 2>/dev/null | (sleep 1; wc -c))" 3145728
"${run[@]}" output /bin/output late 20 >"$T/late" 2>/dev/null &
late=$!
check "output: what was written is seen while the program works" until_true 15 grep -q three "$T/late"
kill $late
wait $late 2>/dev/null
same "output: a terminal's, too" "$(script -qec "${run[*]} --tty output /bin/output lines 500" /dev/null | tr -d '\r' | grep -c '^line')" 500
