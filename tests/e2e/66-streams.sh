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
