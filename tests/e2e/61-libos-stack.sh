#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs alone: it compiles the LibOS.
# How deep the stacks of the LibOS get, by the compiler's call graphs; and that tools/check-stack sees what it should.
. tests/e2e/lib.sh
[ -f build/base/enclave ] || { skip "stack: build/base/enclave is not built"; exit 0; }
check "no circle that data may go around, no stack deeper than it may be" make -s build/libos-stack
check "told" grep -q '^los_trap: [0-9]* of 24576 bytes: ' build/libos-stack
check "more than 800 functions were looked at" \
    [ "$(awk 'END { print $1 }' build/libos-stack)" -gt 800 ]

# Each rule, by a call graph or a table that breaks it.
broken() { # NAME WHAT: with a folder of graphs and a table in $T
    status "$1" 1 tools/check-stack "$T/ci" build/enclave.debug "$T/table"
    check "$1: told" grep -qE "$2" "$T/err"
}
fresh() {
    rm -rf "$T/ci"
    mkdir "$T/ci"
    (cd build/stack && find . -name '*.ci' -exec cp --parents {} "$T/ci" \;)
    cp trusted/libos/stack.txt "$T/table"
}
node() { # NAME BYTES [HOW]
    printf 'node: { title: "%s" label: "%s\\na.c:1:1\\n%s bytes (%s)" }\n' "$1" "$1" "$2" "${3:-static}"
}
edge() { printf 'edge: { sourcename: "%s" targetname: "%s" label: "a.c:1:1" }\n' "$1" "$2"; }
fresh
{ node one 16; node two 16; edge one two; edge two one; edge sys_close one; } >"$T/ci/more.ci"
broken "a circle" 'circle of 2 functions .*one -> two -> one'
fresh
{ node one 16; edge one one; edge sys_close one; } >"$T/ci/more.ci"
broken "a function that calls itself" 'circle of 1 functions .*one -> one'
echo 'circle 3 one' >>"$T/table"
status "bounded by the table" 0 tools/check-stack "$T/ci" build/enclave.debug "$T/table"
fresh
{ for i in 1 2 3 4 5 6 7 8; do node "f$i" 4000; edge "f$i" "f$((i + 1))"; done; node f9 16; edge sys_close f1; } >"$T/ci/more.ci"
broken "a stack that is too deep" 'los_trap: [0-9]+ of 24576 bytes: .*f1 4000, f2 4000'
fresh
{ node one 64 dynamic; edge sys_close one; } >"$T/ci/more.ci"
broken "a frame as large as data say" 'one: its frame is dynamic'
fresh
edge sys_close somewhere >"$T/ci/more.ci"
broken "a function that is nowhere" 'somewhere is called and has no known frame'
fresh
sed -i '/^call put /d' "$T/table"
broken "a pointer to functions that nobody names" "(nobody knows what .* by put|address of put_stat is taken)"
fresh
echo 'circle 2 sys_read' >>"$T/table"
broken "a bound for nothing" 'no circle of sys_read'
