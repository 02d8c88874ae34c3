#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shelter sgx-sim: programs that know nothing of it. tests/foreign has them; strangers' are in tests/apps.
. tests/e2e/lib.sh
F=$ROOT/build/tests/foreign
run() { timeout -k 5 "${LIMIT:-60}" "$SHELTER" sgx-sim "$@"; }
for speed in '' --strict; do
    status "bare $speed: a static program without a C library" 0 "$SHELTER" sgx-sim $speed -- "$F/bare"
    same "... does all that it wants" "$(cat "$T/out")" "bare: done"
    (cd "$F" && run $speed ./program) >"$T/out" 2>"$T/err"
    same "program $speed: it ends well" $? 0
    sed -n "s/^\\(not ok\\|ok\\) /\\1 program $speed: /p" "$T/out"
done
for speed in '' --strict; do
    status "an enclave that saves all state writes what XFRM has, and nothing behind it $speed" 0 "$SHELTER" sgx-sim $speed "$F/program" xsave
done
run "$F/abi" | grep -E '^(not )?ok'
run --cpu sgx1 "$F/abi" old | grep -E '^not ok|without SGX2'
for cpu in icelake emerald client sgx1; do
    (cd "$F" && run --cpu $cpu ./program) >"$T/out" 2>"$T/err"
    same "--cpu $cpu: nothing fails" "$?$(grep '^not ok' "$T/out")" 0
    grep '^# SGX2' "$T/out"
done
same "--epc is what CPUID says" "$(run --epc 96M sh -c "cd $F && ./program" | grep '^# EPC')" "# EPC 96 MiB"

# The largest enclave, by kind (CPUID.12H.EDX): made, and no larger one.
for kind in icelake:56 sapphire-rapids:56 emerald:56 client:47 sgx1:36; do
    same "--cpu ${kind%:*}: enclaves of up to 2^${kind#*:} bytes" "$(run --cpu "${kind%:*}" python3 -c '
import ctypes, fcntl, os, struct, sys
for log in int(sys.argv[1]), int(sys.argv[1]) + 1:
    secs = bytearray(4096)
    struct.pack_into("<QQII", secs, 0, 1 << log, 0, 1, 0)
    struct.pack_into("<QQ", secs, 48, 4, 3)
    at = ctypes.addressof(ctypes.c_char.from_buffer(secs))
    try: fcntl.ioctl(os.open("/dev/sgx_enclave", os.O_RDWR), 0x4008a400, struct.pack("<Q", at)); print("made")
    except OSError as e: print(e.strerror)' "${kind#*:}")" $'made\nInput/output error'
done

same "/proc/cpuinfo says the same processor" "$(run --cpu icelake grep -cE '^vendor_id.*GenuineIntel|^model\s*: 106$|^flags.* sgx sgx_lc' /proc/cpuinfo)" \
    "$((3 * $(grep -c ^processor /proc/cpuinfo)))"

same "... without features whose state no enclave can have" "$(run --cpu sgx1 grep -cE ' (amx_|avx512|pku|ospke|user_shstk|ibt)' /proc/cpuinfo)" 0

# What is not a program's of SGX runs, too.
same "arguments and environment" "$(FOO=bar run -- sh -c 'echo "$0 $1 $FOO $SHELTER_SGX_SIM"' a b)" "a b bar "
printf '#!/bin/sh\necho script "$1"\n' >"$T/script" && chmod +x "$T/script"
same "a script is started" "$(run "$T/script" x)" "script x"
same "... by a program" "$(run sh -c "$T/script y")" "script y"
status "the exit status is the program's" 42 "$SHELTER" sgx-sim sh -c 'exit 42'
run sh -c 'kill -TERM $$'
same "... and its signal" $? 143
status "no such program" 127 "$SHELTER" sgx-sim no-such-program
one_line "... one line" 'no-such-program: No such file'
status "no program" 126 "$SHELTER" sgx-sim /etc/passwd
cp /bin/true "$T/true" && chmod -x "$T/true"
status "a program that may not be executed" 126 "$SHELTER" sgx-sim "$T/true"
one_line "... one line" 'Permission denied'
status "counts that cannot be written" 125 "$SHELTER" sgx-sim --counts "$T/nowhere/counts" true
one_line "... one line" 'counts .*nowhere/counts: No such file'
status "an unknown processor" 125 "$SHELTER" sgx-sim --cpu 486 true
one_line "... one line" 'there are icelake'
same "a shell's jobs, pipes and traps" "$(run bash -c 'trap "echo trapped" USR1; kill -USR1 $$; (sleep 0.1; echo job) & wait; seq 3 | tac | tr "\n" ,')" \
    $'trapped\njob\n3,2,1,'
same "python: threads, fork, exec" "$(run python3 -c '
import os, subprocess, sys, threading
r = []
ts = [threading.Thread(target=lambda i=i: r.append(i)) for i in range(50)]
[t.start() for t in ts]; [t.join() for t in ts]
print(len(r), subprocess.run([sys.executable, "-c", "print(6*7)"], capture_output=True).stdout.decode().strip())
')" "50 42"

# A process that has an enclave has a thread of ours; it does not outlive the program's.
same "threads end one by one, and the process with the last" "$(LIMIT=20 run --epc 8M python3 -c '
import ctypes, fcntl, os, threading, time
call = ctypes.CDLL(None).syscall
try: fcntl.ioctl(os.open("/dev/sgx_enclave", os.O_RDWR), 0x4008a402, bytes(8))
except OSError: pass
print(len(os.listdir("/proc/self/task")), flush=True)
threading.Thread(target=lambda: (time.sleep(0.3), call(60, 0))).start()
call(60, 0)'; echo $?)" $'2\n0'

# A debugger that attaches finds the program by its auxiliary vector; one that is below cannot start it, and says so.
if command -v gdb >/dev/null; then
    printf '#include <stdio.h>\n#include <unistd.h>\nint here(void) { puts("here"); return fflush(stdout) + pause(); }\nint main(void) { return here(); }\n' >"$T/waits.c"
    gcc -g -o "$T/waits" "$T/waits.c"
    "$SHELTER" sgx-sim --no-aesm "$T/waits" >"$T/out" &
    waits=$!
    until_true 20 grep -q here "$T/out"
    timeout -k 5 60 gdb -nx -batch -ex "file $T/waits" -ex bt -p $waits >"$T/gdb" 2>&1
    kill $waits
    if grep -q 'Operation not permitted' "$T/gdb"; then
        skip "gdb: it may not attach here (ptrace)"
    else
        check "gdb -p: program and C library, by name" grep -qzE '__libc_pause .*[0-9a-f]+ in here .*[0-9a-f]+ in main' "$T/gdb"
    fi
    LIMIT=30 run --no-aesm gdb -nx -batch -ex run "$T/waits" >"$T/gdb" 2>&1
    check "gdb below sgx-sim: refused, in one line" grep -qE "^sgx-sim: gdb cannot start .*gdb -p PID" "$T/gdb"
fi

# A debugger outside reads and writes a debug enclave, its code too (EDBGRD, EDBGWR; here by /proc/PID/mem, gdb by
# ptrace), also through pages that were put out of the EPC meanwhile. Of another enclave no code is changed.
# poke PID ADDRESS: the number that the enclave's code answers becomes 42.
poke() {
    python3 -c '
import sys
at = int(sys.argv[2], 16) + 4
with open("/proc/%s/mem" % sys.argv[1], "r+b", 0) as f:
    f.seek(at)
    was = f.read(1)
    f.seek(at)
    try: f.write(b"\x2a")
    except OSError as e: print(was[0], e.strerror); sys.exit()
    f.seek(at)
    print(was[0], f.read(1)[0])' "$1" "$2" 2>&1
}
for speed in '' --strict; do
    rm -f "$T/out"
    "$SHELTER" sgx-sim --no-aesm $speed "$F/program" debugged >"$T/out" &
    debugged=$!
    until_true 20 grep -q 0x "$T/out"
    same "a debug enclave's code, read and written from outside $speed" "$(poke $debugged "$(head -n 1 "$T/out")")" "88 42"
    wait $debugged
    same "... the enclave runs what was written" "$(sed -n 2p "$T/out")" 42
done
rm -f "$T/out"
"$SHELTER" sgx-sim --no-aesm "$F/program" debug-not >"$T/out" &
debugged=$!
until_true 20 grep -q 0x "$T/out"
same "... no other enclave's" "$(poke $debugged "$(head -n 1 "$T/out")" | cut -d' ' -f2-)" "Input/output error"
kill $debugged
if command -v gdb >/dev/null && ! grep -q 'Operation not permitted' "$T/gdb"; then
    rm -f "$T/out"
    "$SHELTER" sgx-sim --no-aesm "$F/program" debugged >"$T/out" &
    debugged=$!
    until_true 20 grep -q 0x "$T/out"
    at=$(head -n 1 "$T/out")
    timeout -k 5 60 gdb -nx -batch -ex "file $F/program" -ex 'handle SIGSYS SIGILL nostop noprint pass' -p $debugged \
        -ex "break *$at" -ex continue -ex 'printf "stopped at %p, answers %d\n", $rip, *(int *)($rip + 4)' -ex 'set {int}($rip + 4) = 43' \
        -ex delete -ex detach >"$T/gdb" 2>&1
    check "gdb: a breakpoint inside a debug enclave" grep -q "^stopped at $at, answers 88" "$T/gdb"
    wait $debugged
    same "... and what it wrote there is executed" "$(sed -n 2p "$T/out")" 43
fi

# Counts. `bare` ends after five signals that found its enclave further than the one before: each was an AEX.
run --counts "$T/counts" "$F/bare" >/dev/null
check "--counts: a line of JSON" python3 -c '
import json, sys
c = json.loads(open(sys.argv[1]).read())
assert c["program"].endswith("/bare") and c["eexit"] == 2006 and c["eadd"] == 8 and c["eextend"] == 128, c
assert c["aex_interrupt"] >= 5 and c["eenter"] + c["eresume"] == c["eexit"] + c["aex"], c' "$T/counts"
(cd "$F" && run --counts "$T/each" ./program >/dev/null)
check "... a line for each program of each process, which counts nobody else's" python3 -c '
import json, sys
c = [json.loads(line) for line in open(sys.argv[1])]
assert len({(x["pid"], x["program"]) for x in c}) == len(c), c
assert sorted(x["eenter"] for x in c)[-1] > 40000 and sorted(x["eenter"] for x in c)[-2] < 100, c' "$T/each"
run --strict --counts "$T/strict" "$F/bare" >/dev/null
same "... --strict counts the same calls" "$(grep -o '"eexit":[0-9]*' "$T/strict")" '"eexit":2006'

# Failures that are asked for; `bare` says by its status what failed.
for f in init=EIO:13 add:3=ENOMEM:12 open=EACCES:10 eenter:2=GP:2 eenter:3=PF:139 eenter:3=lost:139; do
    run --fault "${f%:*}" "$F/bare" >/dev/null 2>&1
    same "--fault ${f%:*}" $? "${f##*:}"
done
same "--fault eaccept=11: that leaf alone" "$(cd "$F" && run --fault eaccept=11 ./program | grep '^not ok')" \
    "not ok EACCEPT of a page that the kernel adds"
# A kick: the leaf happens, and right behind it the thread is interrupted.
run --counts "$T/kicked" --fault eenter:0=kick "$F/bare" >"$T/out"
same "--fault eenter:0=kick: the program sees none of it" "$(cat "$T/out")" "bare: done"
check "... each entry had its interrupt" python3 -c '
import json, sys
c, k = (json.loads(open(f).read()) for f in sys.argv[1:])
assert k["aex_interrupt"] >= k["eenter"] > c["aex_interrupt"] and k["eexit"] == c["eexit"], (c, k)' "$T/counts" "$T/kicked"
for f in x=1 init=1 init=kick init eenter=5 eenter:x=GP; do
    timeout 20 "$SHELTER" sgx-sim --fault "$f" true >/dev/null 2>&1 && bad+=" $f"
done
same "--fault: what makes no sense is refused" "${bad:-}" ""

# Nothing of ours is left behind, and AESM goes with its program.
mkdir "$T/tmp"
same "the AESM socket is there" "$(TMPDIR=$T/tmp run sh -c 'test -S /var/run/aesmd/aesm.socket && ls $TMPDIR | wc -l')" 1
check "... and goes with its program" until_true 10 rmdir "$T/tmp"

# A client of AESM that does not behave takes nothing from the others.
run python3 tests/foreign/aesm.py 2>"$T/err"
same "AESM under a hostile client: all asked" $? 0

# The collateral, as Intel's caching service has it.
"$SHELTER" sgx-sim pccs --listen 127.0.0.1:0 --certificate "$T/pccs.pem" >"$T/pccs" &
pccs=$!
cleanup_hooks+=("kill $pccs 2>/dev/null")
until_true 20 grep -q https "$T/pccs"
url=$(sed 's/127.0.0.1/localhost/; s|/sgx/.*||' "$T/pccs")
get() { curl -sf --max-time 10 --cacert "$T/pccs.pem" "$@"; }
mkdir "$T/got"
fmspc=$("$SHELTER" attest --collateral "$T/written" --tee sgx-sim && grep -oE '"fmspc":"[0-9a-f]*"' "$T/written/tcb_info.json" | cut -d'"' -f4)
get -D "$T/head" "$url/sgx/certification/v4/tcb?fmspc=$fmspc" -o "$T/got/tcb_info.json"
check "pccs: TCB info, signed" grep -q '"signature"' "$T/got/tcb_info.json"
check "... its chain in the header" grep -qi '^TCB-Info-Issuer-Chain: -----BEGIN%20' "$T/head"
check "... in version 3 by its old name" grep -qi '^SGX-TCB-Info-Issuer-Chain: ' "$T/head"
check "pccs: the quoting enclave's identity" get "$url/sgx/certification/v3/qe/identity" -o "$T/got/qe_identity.json"
same "pccs: the PCK's CRL as DER" "$(get "$url/sgx/certification/v4/pckcrl?ca=platform&encoding=der" | head -c 2 | od -An -tx1)" " 30 82"
same "pccs: the root's CRL as hex" "$(get "$url/sgx/certification/v4/rootcacrl" | head -c 4)" 3082
get "$url/sgx/certification/v4/tcb?fmspc=00906ed50000"
same "pccs: another platform is not there" $? 22
get "$url/tdx/certification/v4/tcb?fmspc=$fmspc" | grep -q '"id":"TDX"'
same "pccs: TDX has its own" $? 0
pck() { # CPUSVN PCESVN [PCEID]
    get -D "$T/head" "$url/sgx/certification/v4/pckcert?qeid=$(printf '%032d' 7)&encrypted_ppid=$(printf '%0768d' 0)&cpusvn=$1&pcesvn=$2&pceid=${3-0000}" "${@:4}"
}
pck "$(printf 'ff%.0s' {1..16})" ffff >"$T/pck.pem"
same "pccs: the PCK certificate" $? 0
header() { sed -n "s/^$1: //Ip" "$T/head" | tr -d '\r'; }
python3 -c 'import sys, urllib.parse; print(urllib.parse.unquote(sys.argv[1]), end="")' "$(header SGX-PCK-Certificate-Issuer-Chain)" >"$T/pck-chain.pem"
check "... which the chain in its header vouches for" openssl verify -CAfile "$SHELTER_STORE/sim-tee/root.pem" -untrusted "$T/pck-chain.pem" "$T/pck.pem"
same "... its FMSPC" "$(header SGX-FMSPC)" "$fmspc"
tcb=$(header SGX-TCBm)
same "... its TCB is what a platform that has just that gets" "$(pck "${tcb:0:32}" "${tcb:32}" | cmp - "$T/pck.pem"; echo $?)" 0
for ask in "$(printf '%032d' 0) ${tcb:32}" "${tcb:0:32} 0000" "${tcb:0:32} ${tcb:32} 0100"; do
    pck $ask >/dev/null
    same "pccs: no certificate for a lower TCB or another PCE (${ask: -9})" "$?$(head -n 1 "$T/head" | grep -o 404)" 22404
done
pck "${tcb:0:31}" "${tcb:32}" >/dev/null
same "pccs: half a byte is no CPUSVN" "$?$(head -n 1 "$T/head" | grep -o 400)" 22400
# What asks for anything else, or does not speak its language, gets nothing and disturbs nobody.
for ask in "-X POST $url/sgx/certification/v4/tcb?fmspc=$fmspc" "$url/" "$url/sgx/certification/v4/" "$url/sgx/certification/v4/tcb" \
    "--path-as-is $url/sgx/certification/v4/../../../../../etc/passwd" "$url/sgx/certification/v4/tcb?fmspc=$(printf '%02000d' 0)" \
    "$url/sgx/certification/v4/tcb%00?fmspc=$fmspc" "$url/$(printf 'a%.0s' {1..9000})"; do
    get $ask -o "$T/hostile" && bad_pccs+=" ${ask:0:60}"
done
same "pccs: nothing but what it has" "${bad_pccs:-}" ""
port=${url##*:}
for i in 1 2 3 4 5; do (head -c 3000 /dev/urandom >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; done
exec {idle}<>"/dev/tcp/127.0.0.1/$port"
same "pccs: bytes that are no TLS, and a client that says nothing" "$(get "$url/sgx/certification/v4/rootcacrl" | head -c 4)" 3082
exec {idle}>&-
kill -TERM $pccs
wait $pccs
same "pccs: ends by SIGTERM" $? 0

# Our own enclaves by the same way: the loader's driver for hardware meets the simulated device.
if [ -f build/base/enclave ]; then
    "$SHELTER" build -f tests/md5 -t md5 >/dev/null 2>&1
    same "shelter run --tee sgx" "$(echo hello | run -- "$SHELTER" run --rm --tee sgx md5 2>/dev/null)" "$(echo hello | md5sum)"
    run -- "$SHELTER" run -d --name by-device --tee sgx md5 >/dev/null 2>&1
    "$SHELTER" run -d --name linked-in --tee sgx-sim md5 >/dev/null 2>&1
    mrenclave() { "$SHELTER" inspect --json "$1" | grep -m1 '"mrenclave"'; }
    same "... the same MRENCLAVE" "$(mrenclave by-device)" "$(mrenclave linked-in)"
    check "... that is one" sh -c "\"$SHELTER\" inspect --json by-device | grep -qE 'mrenclave.*[0-9a-f]{64}'"
    # Each is in a PID namespace and behind walls of its own; one that does nothing gives its pages all the same.
    "$SHELTER" build -f /bin/sleep -t sleep >/dev/null 2>&1
    same "enclaves that see nothing of each other share a small EPC" "$(run --epc 1500K -- sh -c "
        '$SHELTER' run -d --name idle --tee sgx sleep /bin/sleep 60 >/dev/null && sleep 1.5
        for i in 1 2 3; do echo hello | '$SHELTER' run --rm --tee sgx md5; done; '$SHELTER' rm -f idle >/dev/null" 2>/dev/null)" \
        "$(for i in 1 2 3; do echo hello | md5sum; done)"
    # The evidence of one: its quote comes from AESM, as it does on hardware.
    "$SHELTER" attest --collateral "$T/collateral" --tee sgx-sim
    run -- sh -c "'$SHELTER' run -d --name attested --tee sgx sleep /bin/sleep 60 && sleep 1.5 &&
        '$SHELTER' attest --nonce 00112233 -o '$T/evidence' attested; '$SHELTER' rm -f attested" >/dev/null 2>&1
    check "... its evidence, by the hardware's way, is accepted" "$SHELTER" verify --evidence "$T/evidence" --nonce 00112233 \
        --ca "$SHELTER_STORE/sim-tee/root.pem" --collateral "$T/collateral" --allow-simulated --image sleep
else
    skip "our own enclaves: build/base/enclave is not built"
fi
