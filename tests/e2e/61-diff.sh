#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The judge is Linux: thousands of facts about system calls, asked of the host's kernel and of the enclave by the same
# programs. Wanted: equal, but for the known differences (tests/diff/differences).
. tests/e2e/lib.sh
RUNNER=$ROOT/build/libos-test
families=(cases leases matrix flags pointers content tell look sockets who aio paths messages memory remaps restart flow others reserve times ptrace asked keys terminals)
for tool in unshare setpriv python3 gcc ip; do
    command -v $tool >/dev/null || { skip "facts: $tool is not installed"; exit 0; }
done
tests/diff/native true >/dev/null 2>&1 || { skip "facts: no right to make namespaces, so no Linux to compare with"; exit 0; }
mkdir -p "$T/root/bin"
for f in "${families[@]}"; do
    gcc -O1 -static -pthread -w -o "$T/root/bin/$f" "tests/diff/$f.c" || { not_ok "facts: $f.c"; exit 1; }
    status "Linux: $f" 0 timeout 120 tests/diff/native "$T/root/bin/$f"
    cp "$T/out" "$T/$f.linux"
done
# How programs end: what is printed, and the status as a shell has it.
gcc -O1 -static -pthread -w -o "$T/root/bin/ends" tests/diff/ends.c || not_ok "facts: ends.c"
end_of() { # COMMAND...: one line
    local text status
    text=$(timeout 30 "$@" 2>/dev/null)
    status=$?
    echo "${text//$'\n'/, }: status $status"
}
ends=()
for ((i = 0; i < 60; i++)); do
    ends[i]=$(end_of tests/diff/native "$T/root/bin/ends" "$i")
    case ${ends[i]} in *"status 100") unset "ends[i]" ;; esac
done
check "ends: there are cases" [ ${#ends[@]} -gt 40 ]
compare_ends() { # WHERE COMMAND...
    local where=$1 i got wrong=0
    shift
    for i in "${!ends[@]}"; do
        got=$(end_of "$@" /bin/ends "$i")
        [ "$got" = "${ends[i]}" ] && continue
        echo "#   case $i: Linux '${ends[i]}', here '$got'"
        wrong=$((wrong + 1))
    done
    same "$where: ${#ends[@]} ends as on Linux" "$wrong" 0
}

ask() { # WHERE COMMAND...: the families inside, compared
    local where=$1 f native=() inside=() debug
    shift
    for f in "${families[@]}"; do
        debug=()
        [ "$where $f" = "enclave ptrace" ] && debug=(--debug) # elsewhere it is refused: 68-enclave-ptrace.sh
        status "$where: $f" 0 timeout 120 "${@:1:2}" "${debug[@]}" "${@:3}" "/bin/$f"
        cp "$T/out" "$T/$f.inside"
        native+=("$T/$f.linux") inside+=("$T/$f.inside")
    done
    tests/diff/run ${REPORT:+--report "$REPORT"} "${native[@]}" -- "${inside[@]}" >"$T/compared" || not_ok "$where: facts cannot be compared"
    sed "s/ok facts/ok $where/" "$T/compared"
}

if [ -x "$RUNNER" ] && command -v mkfs.erofs >/dev/null && command -v veritysetup >/dev/null; then
    tests/libos/mkimage.sh "$T/root" "$T/i"
    ask "port test" "$RUNNER" -m 1073741824 "$T/i.img" "$T/i.manifest" --
    compare_ends "port test" "$RUNNER" -m 1073741824 "$T/i.img" "$T/i.manifest" --
else
    skip "facts: port test is not built, or cannot have an image"
fi

# In the enclave, with the same rights and memory.
enclave_base facts
files=()
for f in "${families[@]}" ends; do files+=(-f "$T/root/bin/$f"); done
printf '#include <stdio.h>\n#include <sys/syscall.h>\n#include <unistd.h>\nint main(int c, char **v) { return syscall(SYS_io_uring_setup, 1, 0) < 0 && syscall(SYS_io_uring_enter, 1, 0) < 0 && c < 2; }\n' >"$T/ask.c"
gcc -static -o "$T/ask" "$T/ask.c"
files+=(-f "$T/ask" -f "$(command -v busybox)")
status "facts: build" 0 "$SHELTER" build -q -t facts --allow debug "${files[@]}"
REPORT=${SYSCALLS_REPORT:-} ask "enclave" "$SHELTER" run --tee sgx-sim --rm -m 1G facts

compare_ends "enclave" "$SHELTER" run --tee sgx-sim --rm -m 1G facts

# A program that fails is told which calls it missed; one that does not fail is not.
status "missing calls: it fails" 1 "$SHELTER" run --tee sgx-sim --rm facts /bin/ask
one_line "missing calls: told by name" 'does not have: io_uring_setup, io_uring_enter;.*--tee'
status "missing calls: it gets by" 0 "$SHELTER" run --tee sgx-sim --rm facts /bin/ask x
same "missing calls: then nothing is told" "$(grep -c 'does not have' "$T/err")" 0

# What programs size themselves by.
status "limits" 0 "$SHELTER" run --tee sgx-sim --rm -m 300M --cpus 1 facts /bin/busybox cat /sys/fs/cgroup/memory.max \
    /sys/fs/cgroup/cpu.max /sys/devices/system/cpu/online
same "limits: -m and --cpus" "$(tr '\n' ' ' <"$T/out")" "$((300 << 20)) 100000 100000 0 "

# docs/syscalls.md is written by this test (SYSCALLS_REPORT=docs/syscalls.md); each call of the table stands in it.
missing=$(sed -n '/^\/\/ fs/,$s/^\(CALL\|SAME\|REFUSE\|MISSING\)(\([a-z0-9_]*\).*/\2/p' trusted/libos/entry/calls.def |
    while read -r call; do grep -q "^| \`$call\` |" docs/syscalls.md || echo "$call"; done)
same "docs/syscalls.md has every call" "$missing" ""
