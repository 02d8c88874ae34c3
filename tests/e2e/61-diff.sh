#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The judge is Linux: thousands of facts about system calls, asked of the host's kernel and of the enclave by the same
# programs. Wanted: equal, but for the known differences (tests/diff/differences).
. tests/e2e/lib.sh
RUNNER=$ROOT/build/libos-test
families=(matrix flags pointers content tell look sockets)
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
ask() { # WHERE COMMAND...: the families inside, compared
    local where=$1 f native=() inside=()
    shift
    for f in "${families[@]}"; do
        status "$where: $f" 0 timeout 120 "$@" "/bin/$f"
        cp "$T/out" "$T/$f.inside"
        native+=("$T/$f.linux") inside+=("$T/$f.inside")
    done
    tests/diff/run ${REPORT:+--report "$REPORT"} "${native[@]}" -- "${inside[@]}" | sed "s/ok facts/ok $where/"
}

if [ -x "$RUNNER" ] && command -v mkfs.erofs >/dev/null && command -v veritysetup >/dev/null; then
    tests/libos/mkimage.sh "$T/root" "$T/i"
    ask "port test" "$RUNNER" -m 1073741824 "$T/i.img" "$T/i.manifest" --
else
    skip "facts: port test is not built, or cannot have an image"
fi

# In the enclave, with the same rights and memory.
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "facts: the enclave is not built"; exit 0; }
mkdir -p "$T/base"
for f in vmlinux bzImage initramfs; do echo "base file $f" >"$T/base/$f"; done
cp build/base/enclave "$T/base/"
export SHELTER_BASE=$T/base
files=()
for f in "${families[@]}"; do files+=(-f "$T/root/bin/$f"); done
status "facts: build" 0 "$SHELTER" build -q -t facts "${files[@]}"
REPORT=${SYSCALLS_REPORT:-} ask "enclave" "$SHELTER" run --tee sgx-sim --rm -m 1G facts

# docs/syscalls.md is written by this test (SYSCALLS_REPORT=docs/syscalls.md); each call of the table stands in it.
missing=$(sed -n '/^\/\/ fs/,$s/^\(CALL\|SAME\|REFUSE\|MISSING\)(\([a-z0-9_]*\).*/\2/p' trusted/libos/entry/calls.def |
    while read -r call; do grep -q "^| \`$call\` |" docs/syscalls.md || echo "$call"; done)
same "docs/syscalls.md has every call" "$missing" ""
