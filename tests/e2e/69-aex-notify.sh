#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# AEX-Notify: an enclave that was signed with it and one without, which differ in their TCS; with it the LibOS hears of interrupts
# and of faults that the kernel resolves, and a program stepped by its host is whole.
. tests/e2e/lib.sh
LIMIT=120
enclave_base AEX-Notify build/tests/sgx-loader-hostile build/tests/sgx-sign
printf '#include <stdio.h>\nint main(void) { puts("hello"); return 3; }\n' >"$T/hello.c"
gcc -O2 -static -o "$T/hello" "$T/hello.c"
gcc -O2 -static -pthread -o "$T/threads" tests/enclave/threads.c
gcc -O2 -static -pthread -o "$T/signals" tests/enclave/signals.c
cat >"$T/big.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
int main(void)
{
    size_t size = 12 << 20, sum = 0;
    volatile unsigned char *p = malloc(size);
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < size; i += 4096)
            p[i] += 1, sum += p[i];
    printf("%zu\n", sum);
}
END
gcc -O2 -static -o "$T/big" "$T/big.c"
status "build" 0 "$SHELTER" build -q -t all -f "$T/hello" -f "$T/threads" -f "$T/signals" -f "$T/big"
image=$SHELTER_STORE/images/$(cat "$T/out")
status "signed with AEX-Notify" 0 build/tests/sgx-sign "$T/key.pem" "$image/base/enclave" "$image/manifest" "$T/notify.sig" notify
run() { # NAME STATUS OUTPUT PROGRAM…
    local name=$1 want=$2 output=$3
    shift 3
    { printf 'version = "0.1.0"\nalgorithm = "sha384"\n\n[data]\n"shelter.launch" = '"'''"'\n'
      printf 'arg %s\n' "$@"
      printf "'''\n"; } >"$T/launch"
    status "$name" "$want" build/sgx-loader --signature "$signature" --debug --stats="$T/stats" \
        --launch "$T/launch" --sites "$image/sites.bin" $MODE "$image/base/enclave" "$image/root.img" "$image/manifest"
    same "$name: what it says" "$(cat "$T/out")" "$output"
}
count() { grep -oE "\"$1\": [0-9]+" "$T/stats" | head -n 1 | grep -oE '[0-9]+$'; }
for speed in "" --strict; do
    what=${speed:-patched}
    MODE=$speed signature=$image/base/enclave-debug.sig
    run "$what, without: hello" 3 hello /bin/hello
    run "$what, without: timers and kicks" 0 "kicked whole 0x123456789008" /bin/signals 10 50000
    same "$what, without: nothing is heard of" "$(count notifications)" 0
    signature=$T/notify.sig
    run "$what, with: hello" 3 hello /bin/hello
    check "$what, with: hello makes at most 20 calls out ($(count calls_out))" [ "$(count calls_out)" -le 20 ]
    same "$what, with: the program's thread is on the measured TCS" "$(count emodt)" 0
    run "$what, with: timers and kicks" 0 "kicked whole 0x123456789008" /bin/signals 10 50000
    n=$(count notifications)
    check "$what, with: interrupts are heard of ($n)" [ "$n" -gt 0 ]
    run "$what, with: threads" 0 400 /bin/threads 4 50
    MODE="$speed --epc-pages 2048"
    run "$what, with: pages that the host takes and brings back" 0 18432 /bin/big
    check "$what, with: they were taken ($(count ewb))" [ "$(count ewb)" -gt 0 ]
done
same "they are two enclaves" "$(cmp -s <(tail -c +961 "$T/notify.sig" | head -c 32) <(tail -c +961 "$image/base/enclave-debug.sig" | head -c 32); echo $?)" 1
# Where there is none, an enclave that was signed with it is refused in words.
status "a processor without it" 125 "$SHELTER" sgx-sim --cpu icelake --no-aesm build/sgx-loader --tee sgx --signature "$T/notify.sig" --debug \
    --launch "$T/launch" "$image/base/enclave" "$image/root.img" "$image/manifest"
check "... one line" grep -q 'signed with AEX-Notify, which this processor' "$T/err"
