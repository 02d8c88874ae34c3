#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SmashEx: a host that interrupts the enclave after every instruction of its entry, its exits, the return
# from calls, the exception handler, the entry by patched calls and the way back to the program, and enters
# again at once, through whole runs. SHELTER_SOAK=1 does not thin out the longer ones.
. tests/e2e/lib.sh
LIMIT=120
enclave_base attack build/tests/sgx-loader-hostile
command -v objdump >/dev/null || { skip "attack: objdump is not installed"; exit 0; }
printf '#include <stdio.h>\nint main(void) { puts("hello"); return 3; }\n' >"$T/hello.c"
gcc -O2 -static -o "$T/hello" "$T/hello.c"
gcc -O2 -static -pthread -o "$T/threads" tests/enclave/threads.c
gcc -O2 -static -pthread -o "$T/signals" tests/enclave/signals.c
gcc -O1 -D_GNU_SOURCE -static-pie -pthread -o "$T/forest" tests/libos/forest.c
status "build" 0 "$SHELTER" build -q -t all -f "$T/hello" -f "$T/threads" -f "$T/signals" -f "$T/forest" -f tests/md5
image=$SHELTER_STORE/images/$(cat "$T/out")
launch() { # WORD…: a launch config
    printf 'version = "0.1.0"\nalgorithm = "sha384"\n\n[data]\n"shelter.launch" = '"'''"'\n'
    printf 'arg %s\n' "$@"
    printf "'''\n"
}
attack() { # NAME STATUS OUTPUT PROGRAM…: with an attack at each instruction
    local name=$1 want=$2 output=$3
    shift 3
    launch "$@" >"$T/launch"
    status "$name" "$want" build/tests/sgx-loader-hostile --attack "${EVERY:-1}" --signature "$image/base/enclave.sig" \
        --launch "$T/launch" --sites "$image/sites.bin" $MODE ${NOTIFY:-} "$image/base/enclave" "$image/root.img" "$image/manifest"
    same "$name: what it says" "$(cat "$T/out")" "$output"
    grep '^at ' "$T/err" >>"$T/places"
    echo "# $(grep '^attacked' "$T/err")"
}
build/tests/sgx-sign "$T/key.pem" "$image/base/enclave" "$image/manifest" "$T/notify.sig" notify
python3 tests/enclave/entry_rules.py rules build/base/enclave build/enclave.debug
same "each error of each leaf of the simulated processor has its test" "$(python3 tests/sgx/leaves.py)" all
part=10 rounds=20 forest=20
[ -n "${SHELTER_SOAK:-}" ] && part=1 rounds=200 forest=2000
for MODE in "" --strict; do
    : >"$T/places"
    attack "hello${MODE:+, strict}" 3 hello /bin/hello
    # AEX-Notify has an entry and a way back of its own; the steps of the program are heard of.
    NOTIFY="--debug --signature $T/notify.sig --stats"
    attack "hello, AEX-Notify${MODE:+, strict}" 3 hello /bin/hello
    steps=$(sed -n 's/^stepped the program \([0-9]*\) times$/\1/p' "$T/err")
    heard=$(grep -oE '"notifications": [0-9]+' "$T/err" | grep -oE '[0-9]+')
    check "each step of the program is heard of ($heard for $steps)${MODE:+, strict}" \
        [ "${steps:-0}" -gt 0 -a "${heard:-0}" -ge "${steps:-0}" ]
    NOTIFY=
    [ -n "$MODE" ] && [ -z "${SHELTER_SOAK:-}" ] && continue
    attack "signals, faults, timers${MODE:+, strict}" 0 "kicked whole 0x123456789008" /bin/signals $part 50000
    attack "threads that end and start${MODE:+, strict}" 0 $((2 * 4 * rounds)) /bin/threads 4 $rounds
    LIMIT=$((180 + 10 * forest)) EVERY=20 attack "a forest of $forest processes${MODE:+, strict}" 0 \
        "$(printf 'all processes, reaped all, bytes all, wrong 0\ndescriptors left: 0\nmemory lost: no')" /bin/forest $forest
    NOTIFY="--debug --signature $T/notify.sig"
    attack "signals, AEX-Notify${MODE:+, strict}" 0 "kicked whole 0x123456789008" /bin/signals $part 50000
    attack "threads, AEX-Notify${MODE:+, strict}" 0 $((2 * 4 * rounds)) /bin/threads 4 $rounds
    NOTIFY=
    same "no instruction of the entry code was left out${MODE:+, strict}" \
        "$(python3 tests/enclave/entry_rules.py attacked build/base/enclave "$T/places")" all
done
