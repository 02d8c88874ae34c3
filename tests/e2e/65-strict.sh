#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tests that start enclaves by `shelter run`, once more with every ENCLU as the exception that it is without slots (what
# starts the loader by itself has both speeds anyway). Here are some of them; `make strict` has all.
. tests/e2e/lib.sh
enclave_base strict
export SHELTER_SGX_LOADER=$ROOT/tests/enclave/strict-loader
printf '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n' >"$T/hello.c"
gcc -O2 -static -o "$T/hello" "$T/hello.c"
"$SHELTER" build -q -t hello -f "$T/hello" --allow stats >/dev/null
same "a strict run says what a patched one does" "$("$SHELTER" run --rm --tee sgx-sim --stats "$T/stats" hello /bin/hello 2>/dev/null)" hello
same "... and has no slots" "$(grep -oE '"slots": [0-9]+' "$T/stats")" '"slots": 0'
for script in ${STRICT:-66-clock 66-streams 68-seal-keys}; do
    env -u SHELTER_BASE bash "tests/e2e/$script.sh" >"$T/$script" 2>&1
    same "$script ends" $? 0
    sed -nE "s/^(not ok|ok|skip) /\\1 strict $script: /p" "$T/$script"
done
