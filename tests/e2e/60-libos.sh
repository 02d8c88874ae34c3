#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The LibOS behind port `test`: unmodified programs from a checked root image print what they print
# outside; a host that changes the image gets an error, never wrong data.
. tests/e2e/lib.sh
RUNNER=$ROOT/build/libos-test
for tool in mkfs.erofs veritysetup gcc; do
    command -v $tool >/dev/null || { skip "libos: $tool is not installed"; exit 0; }
done
[ -x "$RUNNER" ] || { skip "libos: build/libos-test is not built"; exit 0; }
R=$T/root
mkdir -p "$R/bin" "$R/data" "$R/etc"
echo 'root:x:0:0:root:/root:/bin/sh' >"$R/etc/passwd"
add() { # FILE [AS]: with the libraries it needs
    local to=$R${2:-$1}
    mkdir -p "$(dirname "$to")"
    cp -L "$1" "$to"
    ldd "$1" 2>/dev/null | grep -oE '/[^ ]+' | while read -r l; do
        mkdir -p "$R$(dirname "$l")"
        [ -e "$R$l" ] || cp -L "$l" "$R$l"
    done
}

# The same little program in every form an ELF file has.
printf '#include <stdio.h>\nint main(int c, char **v) { printf("hello %%s\\n", c > 1 ? v[1] : "?"); return 3; }\n' >"$T/hello.c"
forms=()
form() { # NAME COMPILER OPTIONS...
    local name=$1
    shift
    "$@" -O1 -o "$R/bin/hello-$name" "$T/hello.c" 2>/dev/null && forms+=("$name")
}
form static gcc -static
form static-pie gcc -static-pie
form dynamic gcc
form no-pie gcc -no-pie
command -v musl-gcc >/dev/null && form musl musl-gcc -static
cp "$R/bin/hello-dynamic" "$T/hello" && add "$T/hello" /bin/hello-dynamic
gcc -O1 -pthread -o "$R/bin/threads" tests/libos/threads.c
gcc -O1 -pthread -o "$R/bin/signals" tests/libos/signals.c 2>/dev/null
gcc -O1 -pthread -o "$R/bin/storm" tests/libos/storm.c
gcc -O1 -D_GNU_SOURCE -o "$R/bin/deep" tests/libos/deep.c
gcc -O1 -D_GNU_SOURCE -o "$R/bin/full" tests/libos/full.c
gcc -O1 -D_GNU_SOURCE -o "$R/bin/oom" tests/libos/oom.c
gcc -D_GNU_SOURCE -O1 -static -pthread -o "$R/bin/abi" tests/libos/abi.c
cat >"$T/torn.c" <<'C'
#include <sys/mman.h>
int main(void)
{
    int fd = memfd_create("f", 0);
    char *p = ftruncate(fd, 4096) ? 0 : mmap(0, 4096, 3, MAP_SHARED, fd, 0), *q = mmap(0, 4096, 3, MAP_SHARED, fd, 0);
    __asm__ volatile("movsb" : "+S"(p), "+D"(q) : : "memory");
    return 0;
}
C
gcc -D_GNU_SOURCE -include unistd.h -O1 -o "$R/bin/torn" "$T/torn.c"
gcc -O1 -o "$T/step" tests/libos/step.c
gcc -O2 -static -o "$R/bin/md5" tests/md5.c 2>/dev/null
command -v busybox >/dev/null && add "$(command -v busybox)" /bin/busybox
[ -x /usr/bin/sqlite3 ] && add /usr/bin/sqlite3
[ -x /usr/bin/redis-server ] && add /usr/bin/redis-server
PY=$(ls /usr/bin/python3.[0-9]* 2>/dev/null | grep -E '/python3\.[0-9]+$' | head -n 1)
if [ -n "$PY" ]; then
    lib=/usr/lib/${PY##*/}
    add "$PY"
    mkdir -p "$R$lib"
    (cd "$lib" && tar c --exclude=test --exclude=config-* --exclude=__pycache__ .) | tar x -C "$R$lib"
    for f in "$lib"/lib-dynload/*.so; do add "$f"; done
    cp tests/libos/*.py "$R/data"
fi
echo 'a line that stands nowhere else: 7f3a' >"$R/data/line"
head -c 3000000 /dev/urandom >"$R/data/random"
check "image" tests/libos/mkimage.sh "$R" "$T/i"
run() { timeout 60 "$RUNNER" ${OPTIONS:-} "$T/i.img" "$T/i.manifest" -- "$@"; }

for f in "${forms[@]}"; do
    same "hello, $f" "$(run /bin/hello-$f $f; echo $?)" "hello $f
3"
done
same "threads: 32 on a mutex and a condition" "$(run /bin/threads)" "$("$R/bin/threads")"
same "signals" "$(run /bin/signals 2>&1; echo $?)" "$(bash -c "'$R/bin/signals'" 2>/dev/null; echo 0)"
mkdir "$R/tmp"
same "what programs rely on, line by line" "$(run /bin/abi /tmp/abi.$$ 2>&1)" "$("$R/bin/abi" /tmp/abi.$$ 2>&1)"
rm -rf /tmp/abi.$$
same "one instruction, one page at two addresses: it ends, and says why" \
    "$(run /bin/torn 2>&1; echo $?)" "shelter: one instruction of the program needs a page of a file at two addresses, which no enclave has at once; it is ended
135"
same "a storm of signals changes no register" "$(run /bin/storm | cut -d, -f1)" "0 wrong"
same "a child for which memory is full, and its locks" \
    "$(OPTIONS="-m 64M" run /bin/full 2>&1 | grep -v '^shelter: ')" "ended: 1
still here"
same "who has most memory ends for the others" "$(OPTIONS="-m 128M" run /bin/oom 2>/dev/null)" "the small one: exit 42
the big one: signal 9
the small one: exit 42
the big one: signal 9
the one that grows: exit 42
the one to go first: signal 9
the big one lives: 1
too big: signal 9
at the end: exit 42"
# Before 6.10 Linux let sockets be queued in sockets four deep only.
same "deep trees, chains of links and of sockets, messages full of files" "$(run /bin/deep /tmp 2>&1)" \
    "$("$R/bin/deep" "$T" | sed 's/^sockets in sockets: -1 .*/sockets in sockets: 1 /')"
if [ -x "$R/bin/md5" ]; then
    same "md5 of a file of the image" "$(run /bin/md5 /data/random)" "$(cd "$R" && ./bin/md5 data/random | sed 's#data/random#/data/random#')"
fi

if [ -n "$PY" ]; then
    same "python: json, threads, hashes, sqlite3, files, signals" \
        "$(run "$PY" /data/workload.py /tmp/x.db 2>&1)" "$("$PY" tests/libos/workload.py "$T/x.db" 2>&1)"
    same "python: sockets inside" "$(run "$PY" /data/sockets.py /tmp/u.sock 2>&1)" \
        "$("$PY" tests/libos/sockets.py "$T/u.sock" 2>&1)"
    same "python: ssl loads" "$(run "$PY" -c 'import ssl; print(ssl.OPENSSL_VERSION)')" \
        "$("$PY" -c 'import ssl; print(ssl.OPENSSL_VERSION)')"
    port=$((20000 + RANDOM % 20000))
    OPTIONS="-p $port" run "$PY" /data/outside.py $port >"$T/server.out" 2>&1 &
    got=$("$PY" - $port <<'END' 2>&1
import socket, sys, time
end = time.time() + 20
n = 0
while n < 2 and time.time() < end:
    try:
        c = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)
    except OSError:
        time.sleep(0.1)
        continue
    c.sendall(b'%d' % n)
    print(c.recv(100).decode())
    n += 1
END
)
    wait $!
    same "python: a server for the host" "$got $(cat "$T/server.out")" "got 0
got 1 done"
else
    skip "libos: no python3 in /usr/bin"
fi
if [ -x "$R/usr/bin/redis-server" ] && command -v redis-cli >/dev/null; then
    port=$((20000 + RANDOM % 20000))
    OPTIONS="-p $port" run /usr/bin/redis-server --port $port --save "" --protected-mode no >"$T/redis.out" 2>&1 &
    server=$!
    until_true 20 redis-cli -p $port ping
    for i in 1 2 3; do redis-cli -p $port lpush list $i; done >/dev/null 2>&1
    same "redis: a server for the host" "$(redis-cli -p $port lrange list 0 -1 | xargs)" "3 2 1"
    redis-cli -p $port shutdown nosave >/dev/null 2>&1
    wait $server
    same "redis: shut down by a client" $? 0
fi
if [ -x "$R/usr/bin/sqlite3" ]; then
    same "sqlite3 on memory files" "$(run /usr/bin/sqlite3 /tmp/a.db \
        'create table t(a); insert into t values (1),(2),(39); select sum(a) from t;')" 42
fi
if [ -x "$R/bin/busybox" ]; then
    b() { run /bin/busybox "$@"; }
    same "busybox cat of stdin" "$(printf 'a\nb\n' | b cat)" "a
b"
    same "busybox sha256sum" "$(b sha256sum /data/random | cut -d' ' -f1)" "$(sha256sum <"$R/data/random" | cut -d' ' -f1)"
    same "busybox sort, through a file" "$(b sh -c 'echo b >/tmp/x; echo a >>/tmp/x; exec busybox sort /tmp/x')" "a
b"
    same "busybox find" "$(b find /etc/passwd /proc/self/task -maxdepth 1)" "/etc/passwd
/proc/self/task
/proc/self/task/1"
    same "busybox awk on a large input" "$(seq 200000 | b awk '{ s += $1 } END { print s }')" 20000100000
    same "the program's own path" "$(b readlink /proc/self/exe)" /bin/busybox
    same "a script" "$(printf '#!/bin/busybox sh\necho "script $1"\n' >"$R/bin/script"
        chmod +x "$R/bin/script"; tests/libos/mkimage.sh "$R" "$T/s"
        timeout 20 "$RUNNER" "$T/s.img" "$T/s.manifest" -- script x)" "script x"
    status "exit status" 7 "$RUNNER" "$T/i.img" "$T/i.manifest" -- /bin/busybox sh -c 'exit 7'
    # A terminating signal from the host reaches the workload, others do not.
    timeout 30 "$RUNNER" "$T/i.img" "$T/i.manifest" -- /bin/busybox sh -c 'trap "exit 3" TERM; while :; do :; done' &
    pid=$!
    sleep 0.5
    runner=$(ps -o pid= --ppid $pid | tr -d ' ')
    kill -TERM "$runner"
    wait $pid
    same "SIGTERM reaches it" $? 3
fi
if [ -x "$R/bin/busybox" ] && command -v nm >/dev/null; then
    # Interrupted at each of the 24 instructions that lead back to the program.
    symbol() { nm "$RUNNER" | awk -v s="$1" '$3 == s { print $1 }'; }
    timeout 120 "$T/step" "$(symbol los_resume_start)" "$(symbol los_resume_end)" "$RUNNER" "$T/i.img" \
        "$T/i.manifest" -- /bin/busybox find /bin /etc /dev /proc/self/task >"$T/out" 2>"$T/err"
    same "interrupted at each instruction of the return" "$? $(cat "$T/err")" "0 24"
    same "and the program did not notice" "$(cat "$T/out")" "$(run /bin/busybox find /bin /etc /dev /proc/self/task)"
fi
status "no such program" 127 "$RUNNER" "$T/i.img" "$T/i.manifest" -- /bin/nothing
one_line "no such program: one line" "cannot be run: there is no such file in the image$"
status "not a program" 126 "$RUNNER" "$T/i.img" "$T/i.manifest" -- /etc/passwd
OPTIONS="--stats" run /bin/hello-static x >/dev/null 2>"$T/stats"
check "stats are JSON" python3 -c "
import json
s = json.load(open('$T/stats'))
assert s['syscalls'] > 5 and s['calls_out'] < 60 and s['peak_bytes'] > 0, s"
OPTIONS="--trace" run /bin/hello-static x >/dev/null 2>"$T/trace"
check "trace names calls" grep -q 'exit_group(3)' "$T/trace"
OPTIONS="-m 8M" run /bin/hello-static x >/dev/null 2>&1
same "8 MiB are enough for hello" $? 3
if [ -n "$PY" ]; then
    OPTIONS="-m 64M" run "$PY" -S -c 'x = "a" * (1 << 30)' >/dev/null 2>"$T/err"
    check "memory is limited" grep -q MemoryError "$T/err"
fi

# A host that changes the image.
size=$(stat -c %s "$T/i.img")
sum=$(sha256sum <"$R/data/random" | cut -d' ' -f1)
bad=0 refused=0
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    cp "$T/i.img" "$T/b.img"
    for j in 1 2 3 4 5 6; do
        at=$(((RANDOM * 32768 + RANDOM) % size))
        printf '\x5a' | dd of="$T/b.img" bs=1 seek=$at conv=notrunc 2>/dev/null
    done
    got=$(timeout 20 "$RUNNER" "$T/b.img" "$T/i.manifest" -- /bin/busybox sha256sum /data/random 2>"$T/err" | cut -d' ' -f1)
    [ -n "$got" ] && [ "$got" != "$sum" ] && bad=$((bad + 1))
    [ -z "$got" ] && refused=$((refused + 1))
done
same "changed images never give wrong data ($refused of 12 were noticed)" $bad 0
cp "$T/i.img" "$T/b.img"
offset=$(grep -abo -m1 -F 'nowhere else: 7f3a' "$T/b.img" | head -n 1 | cut -d: -f1)
printf 'n0where' | dd of="$T/b.img" bs=1 seek="$offset" conv=notrunc 2>/dev/null
timeout 20 "$RUNNER" "$T/b.img" "$T/i.manifest" -- /bin/busybox cat /data/line >"$T/out" 2>"$T/err"
check "a changed file is an I/O error" grep -qE 'I/O error|Input/output error' "$T/err"
same "and nothing of it is shown" "$(cat "$T/out")" ""
truncate -s 8192 "$T/b.img"
status "a cut image is refused" 125 "$RUNNER" "$T/b.img" "$T/i.manifest" -- /bin/hello-static
head -c 50 "$T/i.manifest" >"$T/m"
status "a cut manifest is refused" 125 "$RUNNER" "$T/i.img" "$T/m" -- /bin/hello-static
