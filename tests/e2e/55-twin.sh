#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Twins: one image in an enclave, in a VM, and natively: what a program sees there is the same, but for a
# short list with reasons (tests/twin/compare.py); what the image sealed is sealed in both.
. tests/e2e/lib.sh
[ -x build/sgx-loader ] && [ -f build/base/enclave ] && [ -f build/base/vmlinux ] && [ -f build/base/initramfs ] ||
    { skip "twin: enclave or guest not built (make all tools)"; exit 0; }
command -v qemu-system-x86_64 >/dev/null || { skip "twin: no QEMU"; exit 0; }
R=$T/root
mkdir -p "$R"/{bin,dev,etc,proc,run/keep,scratch,srv,sys,tmp}
gcc -D_GNU_SOURCE -O1 -static -o "$R/bin/probe" tests/twin/probe.c 2>"$T/err" || { not_ok "probe: $(cat "$T/err")"; exit 1; }
printf 'root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000:Ann:/home/ann:/bin/sh\n' >"$R/etc/passwd"
printf 'root:x:0:\nann:x:1000:\nstaff:x:2000:bob,ann\nusers:x:100:\n' >"$R/etc/group"
echo kept >"$R/run/keep/file"
echo kept >"$R/tmp/kept"
echo hidden >"$R/scratch/hidden"
echo own >"$R/dev/own"
echo text >"$R/bin/text"
chmod 1777 "$R/tmp"
tar -C "$R" --owner=0 --group=0 -cf "$T/root.tar" .
build() { check "build $1" "$SHELTER" build -q -t "$1" -r "$T/root.tar" "${@:2}"; }
build twin -c /bin/probe -u ann -w /home/ann/work -e A=b --hostname twin --tmpfs /scratch:size=1M,mode=1777
build root -c /bin/probe --allow signal
build sealed -c '/bin/probe leak' --no-input --no-output --lock
sed 's/.*/some input/' >"$T/input" <<<x
TEES="sgx-sim tdx-sim"

# --- a user, a pipe as input ---
for tee in $TEES; do
    status "$tee: the probe, as a user" 0 "$SHELTER" run --rm --tee $tee --name "u-$tee" twin <"$T/input"
    cp "$T/out" "$T/user.$tee"
done
# As docker would set it up, by hand.
native=
if [ "$(id -u)" = 0 ] && unshare -mpuf --propagation private true 2>/dev/null; then
    cat >"$T/native" <<'END'
set -e
cd "$1"
mount -t proc proc proc
for n in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    IFS=: read -r name major minor <<<"$n"
    rm -f "dev/$name"
    mknod -m 666 "dev/$name" c "$major" "$minor"
done
mkdir -p home/ann/work
ulimit -Ss 8192
ulimit -Sc 0
exec setsid env -i PATH=/bin A=b HOSTNAME=twin HOME=/home/ann "$(command -v chroot)" --userspec=1000:1000 --groups=1000,2000 . \
    "$2" "$3"
END
    cp -a "$R" "$T/native-root"
    cat >"$T/enter.c" <<'END'
#include <unistd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
/* Whoever runs the tests may have ignored signals, and so its children; a libc keeps 32 and 33 for itself. */
static void default_signals(void)
{
    unsigned long action[4] = {0};
    for (int signal = 1; signal <= 64; signal++)
        syscall(SYS_rt_sigaction, signal, action, 0, 8);
}
int main(int argc, char **argv) { default_signals(); umask(022); return chdir("/home/ann/work") || execv(argv[1], argv + 1); }
END
    gcc -O1 -static -o "$T/native-root/bin/enter" "$T/enter.c"
    # The streams of a container are pipes.
    timeout 60 unshare -mpuf --propagation private bash "$T/native" "$T/native-root" /bin/enter /bin/probe < <(cat "$T/input") 2>"$T/err" |
        cat >"$T/user.native"
    [ -s "$T/user.native" ] && native=$T/user.native || not_ok "native: $(head -c 300 "$T/err")"
else
    skip "twin: no namespaces here to run natively"
fi
python3 tests/twin/compare.py "$T/user.sgx-sim" "$T/user.tdx-sim" ${native:+"$native"}
for line in 'env HOME=/home/ann' 'env HOSTNAME=twin' 'env A=b' 'uid 1000 1000 1000' 'groups 1000 2000' 'cwd /home/ann/work' \
    'pid 1 ppid 0 pgid 1 sid 1' 'file /run/keep/file| kept' 'file /scratch/hidden: ENOENT' 'file /dev/own: ENOENT' \
    'hostname twin' 'port 80 ok' '/dev/tty ENXIO' 'input 11 bytes, then the end, again 0'; do
    for tee in $TEES; do
        check "$tee: $line" grep -qxF "$line" "$T/user.$tee"
    done
done

# --- root, in the background, nothing as input ---
for tee in $TEES; do
    status "$tee: the probe, as root" 0 "$SHELTER" run -d --tee $tee --name "r-$tee" -p 127.0.0.1:0:7777 root
    status "$tee: ends" 0 "$SHELTER" wait "r-$tee"
    "$SHELTER" logs "r-$tee" >"$T/root.$tee" 2>/dev/null
    check "$tee: detached, input is at its end" grep -qx "input 0 bytes, then the end, again 0" "$T/root.$tee"
done
python3 tests/twin/compare.py "$T/root.sgx-sim" "$T/root.tdx-sim"

# --- a terminal ---
for tee in $TEES; do
    tests/pty_run.py 60 'expect:processes at least' -- "$SHELTER" run --rm --tee $tee --name "t-$tee" twin >"$T/raw" 2>&1
    tr -d '\r' <"$T/raw" | grep -vE '^(status |terminal same|shelter: )' | grep . >"$T/terminal.$tee"
    check "$tee: a terminal of this size" grep -qx "window 33 x 101" "$T/terminal.$tee"
    check "$tee: /dev/tty" grep -qx "/dev/tty ok" "$T/terminal.$tee"
    check "$tee: TERM" grep -qx "env TERM=xterm" "$T/terminal.$tee"
done
python3 tests/twin/compare.py "$T/terminal.sgx-sim" "$T/terminal.tdx-sim"
sort -u "$T"/*.needed >"$T/needed"
python3 -c "
import re, sys
text = open('tests/twin/compare.py').read()
names = re.findall(r'^    \(r\"(.*?)\",', text, re.M)
needed = set(open('$T/needed').read().splitlines())
unused = [n for n in names if n not in needed]
print('not ok' if unused or len(names) < 5 else 'ok', 'each exception is needed', *unused)"

# --- sealed: whatever a program opens, nothing reaches the host, nothing comes from it ---
for tee in $TEES; do
    status "$tee: sealed streams" 5 sh -c "echo something | exec '$SHELTER' run --rm --tee $tee sealed"
    check "$tee: sealed streams show nothing" sh -c "! grep -q LEAK '$T/out' '$T/err'"
    tests/pty_run.py 60 'send:something\r' -- "$SHELTER" run --rm --tee $tee sealed >"$T/o" 2>&1
    check "$tee: sealed, on a terminal" grep -qx "status 5" <(tr -d '\r' <"$T/o")
    check "$tee: sealed, on a terminal: nothing" sh -c "! grep -q LEAK '$T/o'"
done

# --- frozen, or not to go together: one answer for both, before anything starts ---
build offline -c '/bin/probe leak' --network none --lock
build mounts --mount /data
frozen() { # NAME PATTERN OPTION…
    for tee in $TEES; do
        timeout 60 "$SHELTER" run --rm --tee $tee "${@:3}" >/dev/null 2>"$T/err" </dev/null
        { echo "status $?"; grep -v simulated "$T/err"; } >"$T/frozen.$tee"
    done
    same "$1: the same answer" "$(cat "$T/frozen.sgx-sim")" "$(cat "$T/frozen.tdx-sim")"
    check "$1: refused" grep -qE -e "$2" "$T/frozen.sgx-sim"
    check "$1: ... by status" grep -qx "status 125" "$T/frozen.sgx-sim"
}
frozen "a locked command" 'locked' sealed /bin/probe
frozen "a locked environment" 'locked' -e A=c sealed
frozen "a locked user" 'locked' -u root sealed
frozen "a locked directory" 'locked' -w / sealed
frozen "a locked host name" 'locked' --hostname other sealed
frozen "a locked network" 'locked' --network user offline
frozen "a host name that is none" '--hostname .a b.: use' --hostname 'a b' twin
frozen "a port of the agent's" '8006' -p 8006:8006 twin
# Folders of the host: shared with a VM, copied into an enclave; each by a word of the image.
mkdir "$T/folder" && echo x >"$T/folder/file"
status "tdx-sim: a mount that the image does not know" 125 "$SHELTER" run --rm --tee tdx-sim -v "$T/folder:/data" twin
one_line "... refused" 'build it with --mount PATH'
status "sgx-sim: a folder that the image does not take" 125 "$SHELTER" run --rm --tee sgx-sim -v "$T/folder:/data:ro" twin
one_line "... refused" 'build it with --allow files'
for other in "--allow exec" "--mount /data" "--mount /bin:cover"; do
    # shellcheck disable=SC2086 # two words
    status "secrets and $other" 125 "$SHELTER" build -q -t both -r "$T/root.tar" -c /bin/probe \
        --secret key=kbs:///a/b/c $other
    one_line "do not go together" 'secret'
done
status "a mount over what the image has" 125 "$SHELTER" build -q -t both -r "$T/root.tar" -c /bin/probe --mount /bin
one_line "must be said" 'cover'

# --- a host of its own, which asks nobody: the same, refused inside ---
openssl ecparam -name secp384r1 -genkey -noout 2>/dev/null | openssl ec -pubout >"$T/broker.pem" 2>/dev/null
mkdir "$T/host"
GUEST_KERNEL=$ROOT/build/base/vmlinux GUEST_INITRAMFS=$ROOT/build/base/initramfs timeout 300 python3 tests/twin/host.py \
    "$SHELTER_STORE/images/$(cat "$SHELTER_STORE/tags/root:latest")" "$SHELTER_STORE/enclave-key.pem" "$T/broker.pem" "$T/host" ||
    not_ok "a lying host: ended by status $?"

# --- ways to end: PID 1 has no default actions but for faults and KILL ---
for how in exit abort segv kill term; do
    for tee in $TEES; do
        timeout 60 "$SHELTER" run --rm --tee $tee root /bin/probe end $how >/dev/null 2>&1 </dev/null
        echo $? >"$T/end.$tee"
    done
    same "end by $how" "$(cat "$T/end.sgx-sim")" "$(cat "$T/end.tdx-sim")"
done
for command in /bin/nothing /bin/text; do
    for tee in $TEES; do
        timeout 60 "$SHELTER" run --rm --tee $tee root $command >/dev/null 2>&1 </dev/null
        echo $? >"$T/end.$tee"
    done
    same "no program $command" "$(cat "$T/end.sgx-sim")" "$(cat "$T/end.tdx-sim")"
done

# --- ports: the published one is reached, by these addresses; another is not ---
for tee in $TEES; do
    port=$((20000 + RANDOM % 20000))
    status "$tee: a server" 0 "$SHELTER" run -d --tee $tee --name "s-$tee" -p 127.0.0.1:$port:7777 root /bin/probe serve 7777
    ask() { timeout 5 python3 -c "
import socket, sys
s = socket.create_connection(('127.0.0.1', $port), 3)
s.sendall(b'$1')
print(s.recv(100).decode().strip())"; }
    until_true 30 sh -c "timeout 5 python3 -c \"
import socket
s = socket.create_connection(('127.0.0.1', $port), 3); s.sendall(b'x'); assert s.recv(100)\""
    same "$tee: published: who sees whom" "$(ask x 2>&1 | tail -n 1)" "from 10.0.2.2 to 10.0.2.15"
    ask end >/dev/null 2>&1
    status "$tee: the server ends" 0 timeout 20 "$SHELTER" wait "s-$tee"
done
