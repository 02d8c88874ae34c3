#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Clocks in the enclave's vDSO: the same answers as system calls give, and no system calls.
. tests/e2e/lib.sh
LIMIT=60
enclave_base vdso
gcc -O2 -pthread -o "$T/dynamic" tests/enclave/vdso.c
gcc -O2 -static -pthread -o "$T/static" tests/enclave/vdso.c
musl-gcc -O2 -static -o "$T/musl" tests/enclave/vdso.c
status "build" 0 "$SHELTER" build -q -t vdso --allow stats -f "$T/dynamic:/bin/dynamic" -f "$T/static:/bin/static" \
    -f "$T/musl:/bin/musl"
image=$SHELTER_STORE/images/$(cat "$T/out")
calls() { # NAME: how many of them the last run made
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["by_call"].get(sys.argv[2], 0))' "$T/stats" "$1"
}
for p in dynamic static musl; do
    status "$p" 0 "$SHELTER" run --tee sgx-sim --rm --stats "$T/stats" vdso "/bin/$p" 100000
    grep ^ok "$T/out" | while read -r _ what; do ok "$p: $what"; done
    same "$p: all right" "$(grep -c . "$T/out") $(grep -vc ^ok "$T/out")" "$([ $p = musl ] && echo 12 || echo 13) 0"
    check "$p: 100,000 times three clocks are no system calls" \
        [ $(($(calls clock_gettime) + $(calls gettimeofday) + $(calls time))) -lt 5000 ]
done
launch="$T/launch"
printf 'version = "0.1.0"\nalgorithm = "sha384"\n\n[data]\n"shelter.launch" = '"'''\narg /bin/dynamic\n'''\n" >"$launch"
sites=()
[ -e "$image/sites.bin" ] && sites=(--sites "$image/sites.bin")
status "strict" 0 build/sgx-loader --strict --signature "$image/base/enclave.sig" --fuse-key "$SHELTER_STORE/sgx-sim.fuses" \
    --launch "$launch" "${sites[@]}" "$image/base/enclave" "$image/root.img" "$image/manifest"
same "strict: all right" "$(grep -c ^ok "$T/out") $(grep -vc ^ok "$T/out")" "13 0"
# The figure of it alone, from the benchmark (whose rows can be chosen).
LIMIT=200
status "bench-sgx of one row" 0 env ONLY=clock_gettime ROUNDS=1 bench/bench-sgx
same "bench-sgx of one row: that one" "$(grep -cE '^(clock_gettime|getppid|hello)' "$T/out") $(grep -c ^clock_gettime "$T/out")" "1 1"
