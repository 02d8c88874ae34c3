#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ptrace inside a debug enclave, by those who use it: strace follows a tree of processes, gdb looks into threads that
# wait. In an enclave that is no debug enclave it is refused. (The facts are tests/diff/ptrace.c.)
. tests/e2e/lib.sh
LIMIT=90
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "enclave: not built (make)"; exit 0; }
command -v strace >/dev/null || { skip "ptrace: strace is not installed"; exit 0; }
mkdir -p "$T/base"
cp build/base/enclave "$T/base/"
export SHELTER_BASE=$T/base
cat >"$T/tree.c" <<'E'
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
__attribute__((noinline)) void wait_deep(int n)
{
    if (n)
        wait_deep(n - 1);
    for (;;)
        pause();
}
static void *deep_thread(void *p)
{
    wait_deep(3);
    return p;
}
int main(int argc, char **argv)
{
    pthread_t t;
    if (argc > 1) {
        pthread_create(&t, NULL, deep_thread, NULL);
        wait_deep(2);
    }
    if (fork() == 0)
        return write(1, "child\n", 6) == 6 ? 3 : 4;
    wait(NULL);
    return 6;
}
E
gcc -g -O0 -pthread -o "$T/tree" "$T/tree.c"
check "build" "$SHELTER" build -q -t pt --allow debug -f "$T/tree" -f "$(command -v strace)" -f /bin/sh
status "strace -f: the program's status" 6 "$SHELTER" run --tee sgx-sim --rm --debug pt /bin/strace -f -o /dev/stdout /bin/tree
for line in '^[0-9]* +execve\("/bin/tree", \["/bin/tree"\], .*\) = 0' \
    '^[0-9]* +(<\.\.\. )?(clone|clone3|fork)(\(| resumed>).*\) = [0-9]+$' '^[0-9]* +write\(1, "child\\n", 6' '^[0-9]* +exit_group\(3( <unfinished|\) += \?)' \
    '^[0-9]* +\+\+\+ exited with 3 \+\+\+' 'SIGCHLD \{si_signo=SIGCHLD, si_code=CLD_EXITED, .*si_status=3' \
    '^[0-9]* +\+\+\+ exited with 6 \+\+\+'; do
    check "strace -f: ${line:0:40}" grep -qE "$line" "$T/out"
done
status "no debug enclave: refused" 1 "$SHELTER" run --tee sgx-sim --rm pt /bin/strace /bin/tree
check "no debug enclave: told" grep -q 'Operation not permitted' "$T/err"

python=$(gdb -nx -batch -ex 'python import os; print(os.path.dirname(os.__file__))' 2>/dev/null) # its own
if ! command -v gdb >/dev/null || [ ! -d "$python" ] || [ ! -d /usr/share/gdb ]; then
    skip "ptrace: gdb is not installed"
    exit 0
fi
# Of Python what gdb begins with.
mkdir -p "$T/root$python/lib-dynload" "$T/root/usr/share"
cp -r "$python"/*.py "$python"/{encodings,collections,importlib,re,json,ctypes,urllib} "$T/root$python/"
cp -r /usr/share/gdb "$T/root/usr/share/"
tar -C "$T/root" -cf "$T/root.tar" usr
check "build with gdb" "$SHELTER" build -q -t gdb --allow debug -r "$T/root.tar" -f "$T/tree" -f "$(command -v gdb)" \
    -f /bin/sh -f /bin/sleep
status "gdb -p" 0 "$SHELTER" run --tee sgx-sim --rm --debug -m 1G gdb /bin/sh -c \
    '/bin/tree wait & p=$!; /bin/sleep 0.5; /bin/gdb -nx -batch -p $p -ex "thread apply all bt"; kill $p'
same "gdb -p: frames of both threads" "$(grep -c 'wait_deep (n=' "$T/out")" 7
check "gdb -p: main" grep -q 'in main (argc=2' "$T/out"
check "gdb -p: the thread" grep -q 'in deep_thread (p=0x0)' "$T/out"
