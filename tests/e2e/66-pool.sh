#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pools: what waits was never entered, is taken once, by who would start the same, and leaves nothing.
. tests/e2e/lib.sh
LIMIT=60
enclave_base enclave
B=$(command -v busybox)
check "build" "$SHELTER" build -q -t box -f "$B"
cleanup_hooks+=('kill $(jobs -p) 2>/dev/null')
pool() { # OPTION…: its process in $K, once all wait
    : >"$T/pool"
    "$SHELTER" pool --tee sgx-sim "$@" >"$T/pool" 2>"$T/pool.err" &
    K=$!
    until_true 30 grep -q waiting "$T/pool" || { not_ok "pool $*: $(cat "$T/pool.err")"; exit 0; }
}
took() { grep -c taken "$T/pool"; }
units() { find "$SHELTER_STORE/pool" -type s -name '[0-9a-f]*' 2>/dev/null | wc -l; }
full() { [ "$(units)" -eq "$1" ]; }
loaders() { pgrep -f "sgx-loader.*$T/store" | wc -l; }
end_pool() { kill "$K" && wait "$K"; }
run() { "$SHELTER" run --tee sgx-sim "$@" 2>"$T/run.err"; }
id_of() { "$SHELTER" inspect --json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])'; }

# --- what waits ---
ask=(box /bin/busybox od -An -N16 -tx1 /dev/urandom)
pool -n 2 "${ask[@]}"
same "as many as were asked for wait" "$(cat "$T/pool") $(units)" "2 waiting 2"
cat >"$T/untouched.py" <<'END'
# The memory of enclaves that wait is what their file says, byte for byte: nobody was inside.
import os, struct, sys
file, pids = open(sys.argv[1], "rb").read(), sys.argv[2:]
phoff, count = struct.unpack_from("<Q", file, 32)[0], struct.unpack_from("<H", file, 56)[0]
pages = 0
for pid in pids:
    tasks = os.listdir("/proc/%s/task" % pid)
    assert len(tasks) == 1, "it has threads: %s" % tasks
    mem = open("/proc/%s/mem" % pid, "rb", 0)
    for i in range(count):
        kind, flags, offset, at, _, size, whole = struct.unpack_from("<IIQQQQQ", file, phoff + 56 * i)[:7]
        if kind != 1 or flags & 1 << 22:  # PT_LOAD; lazy: not added (include/shelter/enclave.h)
            continue
        want = bytearray(file[offset:offset + size].ljust(whole, b"\0"))
        mem.seek(at)
        got = bytearray(mem.read(whole))
        assert len(got) == whole
        if flags & 1 << 21:  # the image's identity stands there
            got[:48] = want[:48]
        if flags & 1:  # the simulator made jumps of ENCLU
            for k in range(0, len(want) - 5):
                if want[k:k + 5] == b"\x0f\x01\xd7\x66\x90":
                    got[k:k + 5] = want[k:k + 5]
        assert got == want, "segment at %#x differs from byte %d on" % (at, next(k for k in range(whole) if got[k] != want[k]))
        pages += whole // 4096
print(pages > 200 * len(pids))
END
inside=$(for p in $(pgrep -f "sgx-loader.*$T/store"); do grep -q '^3fffc0000000.*r-xs' "/proc/$p/maps" && echo "$p"; done)
# shellcheck disable=SC2086
same "none of them was entered: memory as measured" \
    "$(wc -w <<<"$inside") $(python3 "$T/untouched.py" "$SHELTER_STORE"/images/*/base/enclave $inside 2>&1 | tail -n 1)" "2 True"
each=$(($(loaders) / 2))
status "a second pool of the same" 125 "$SHELTER" pool --tee sgx-sim "${ask[@]}"
one_line "... told" "^shelter: a pool of box with these options is kept already"

# --- who takes one ---
one=$(run --name first "${ask[@]}" </dev/null)
two=$(run "${ask[@]}" </dev/null)
same "two of a pool draw different random bytes" "$([ -n "$one" ] && [ "$one" != "$two" ] && echo yes)" yes
took_is() { [ "$(took)" -eq "$1" ]; }
check "both were taken" until_true 10 took_is 2
same "... by the id that was there" "$(grep -c "taken $(id_of first)" "$T/pool")" 1
check "others come in their place" until_true 30 full 2
run -e A=1 "${ask[@]}" </dev/null >/dev/null
run box /bin/busybox true </dev/null
run -m 600M "${ask[@]}" </dev/null >/dev/null
same "other variables, commands, memory: a start as ever" "$(took)" 2
touch "$SHELTER_STORE"/images/*/base/enclave.sig
same "an image whose files were changed: likewise" "$(run "${ask[@]}" </dev/null | wc -l) $(took)" "1 2"
touch -d '2001-01-01' "$SHELTER_STORE"/images/*/base/enclave.sig
end_pool
same "ended by TERM: status, and nothing is left" "$? $(loaders) $(ls -d "$SHELTER_STORE/pool" 2>/dev/null)" "0 0 "

# --- used once ---
pool -n 1 box /bin/busybox cat
same "streams and status" "$(echo text | run box /bin/busybox cat)" text
until_true 30 full 1
cat >"$T/waste.py" <<'END'
import glob, os, socket, sys
path = next(p for p in glob.glob(sys.argv[1] + "/pool/*/*") if len(os.path.basename(p)) == 32)
taken = os.path.dirname(path) + "/." + os.path.basename(path)
os.rename(path, taken)
os.chdir(os.path.dirname(path))
s = socket.socket(socket.AF_UNIX)
s.connect(os.path.basename(taken))
print(len(s.recv(1)), end="")
END
before=$(pgrep -f "sgx-loader.*$T/store" | sort)
same "one that was connected to" "$(python3 "$T/waste.py" "$SHELTER_STORE")" 1
gone() { [ -z "$(comm -12 <(echo "$before") <(pgrep -f "sgx-loader.*$T/store" | sort))" ]; }
check "... and got no instance ends" until_true 10 gone
check "... and another comes" until_true 30 full 1
groups_left() { find /sys/fs/cgroup -maxdepth 3 -name "shelter-$1" 2>/dev/null | wc -l; }
victim=$(basename "$(find "$SHELTER_STORE/pool" -type s -name '[0-9a-f]*')")
kill -9 "$(pgrep -P "$K" | head -n 1)"
same "one that was killed: a run starts as ever" "$(echo text | run box /bin/busybox cat)" text
check "... and another comes" until_true 30 full 1
same "... and nothing of it is left" "$(groups_left "$victim")" 0

# --- the end of a pool ---
end_pool
pool -d -n 2 box /bin/busybox sleep 1000
run -d --name sleeper box /bin/busybox sleep 1000 >/dev/null
check "detached, from the pool" until_true 10 took_is 1
until_true 30 full 2
kill -9 "$K"
wait "$K" 2>/dev/null
alone() { [ ! -e "$SHELTER_STORE/pool" ] && [ "$(loaders)" -eq "$1" ]; }
check "a pool that is killed leaves nothing but what was taken" until_true 10 alone "$each"
same "what was taken runs on" "$("$SHELTER" ps | grep -c 'sleeper .*running')" 1
same "... and can be stopped" "$("$SHELTER" kill sleeper >/dev/null; "$SHELTER" wait sleeper)" 137
check "... which leaves no process" until_true 10 alone 0
mkdir -p "$SHELTER_STORE/pool/$(printf %064d 7)" && touch "$SHELTER_STORE/pool/$(printf %064d 7)/launch"
same "clean removes what is left of one" "$("$SHELTER" clean; ls "$SHELTER_STORE/pool" 2>/dev/null)" "1 leftover"

# --- ports are the run's ---
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
pool -d -p 8000 box /bin/busybox nc -l -p 8000 -e /bin/busybox cat
run -d --name echo -p "127.0.0.1:$port:8000" box /bin/busybox nc -l -p 8000 -e /bin/busybox cat >/dev/null
answer() { python3 -c '
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
s.sendall(b"ping")
print(s.recv(4).decode())' "$port" 2>/dev/null; }
answers() { [ "$(answer)" = ping ]; }
check "a published port of the run's choice" until_true 20 answers
same "... from the pool" "$(took)" 1
end_pool
# Its ports were published before the program ran, which may have taken its loader over: once, and no others.
check "the program that asks for more" gcc -Wall -Wextra -Wno-unused-parameter -O2 -static -Iinclude -I. -o "$T/escape" tests/adversary/escape.c
check "its image" "$SHELTER" build -q -t escape -f "$T/escape"
ask=(escape /bin/escape publish "$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')")
pool -n 1 -p 8000 "${ask[@]}"
same "no port is published a second time, nor one more" "$(run -p "127.0.0.1:$port:8000" "${ask[@]}" </dev/null | tr '\n' ' ')" \
    "gadget found publish EINVAL publish EINVAL publish EINVAL "
same "... of an enclave from the pool" "$(took)" 1
end_pool
"$SHELTER" rmi escape >/dev/null

# --- the image ---
pool -n 1 box /bin/busybox echo old
id=$("$SHELTER" images --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["id"])')
"$SHELTER" build -q -t box -e NEW=1 -f "$B" >/dev/null
same "another image of the same tag: a start as ever" "$(run box /bin/busybox echo old </dev/null) $(took)" "old 0"
same "the old one, by its id, is taken" "$(run "$id" /bin/busybox echo old </dev/null)" old
wait "$K"
same "... and then its pool ends, and says why" "$? $(took) $(grep -c 'image box was changed; start its pool again' "$T/pool.err")" "125 1 1"

# --- what cannot wait ---
for word in "--tee tdx-sim box|only enclaves wait" "--stats $T/s box|: --stats is for one run" "--name x box|: --name is for one run" \
    "-n 0 box|: -n 0: write a whole number" "-n 1000 box|from 1 to 256" "-v $T:/mnt none|no image"; do
    # shellcheck disable=SC2086
    status "pool ${word%%|*}" 125 "$SHELTER" pool ${word%%|*}
    one_line "... told" "${word#*|}"
done
printf '#!/bin/sh\necho "no luck" >&2\nexit 7\n' >"$T/loader" && chmod +x "$T/loader"
SHELTER_SGX_LOADER=$T/loader status "an enclave that cannot be made ends the pool" 125 "$SHELTER" pool --tee sgx-sim -n 2 box
one_line "... told" "no enclave can be made for the pool: .*no luck"
same "... and leaves nothing" "$(ls -d "$SHELTER_STORE/pool" 2>/dev/null)" ""
