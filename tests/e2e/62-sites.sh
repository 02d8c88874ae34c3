#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Patched call sites: what `shelter build` finds, that programs of every kind run the same with it,
# behind port `test` and in an enclave, and what the host gains by changing it.
. tests/e2e/lib.sh
LIMIT=100
RUNNER=$ROOT/build/libos-test
[ -x "$RUNNER" ] || { skip "sites: not built (make)"; exit 0; }
enclave_base sites
mkdir -p "$T/bin" "$T/root"
gcc -O1 -static -pthread -o "$T/bin/sites" tests/libos/sites.c
gcc -O1 -pthread -o "$T/bin/sites-dynamic" tests/libos/sites.c
gcc -O1 -pthread -o "$T/bin/storm" tests/libos/storm.c
gcc -O1 -pthread -o "$T/bin/threads" tests/libos/threads.c
gcc -O1 -pthread -o "$T/bin/signals" tests/libos/signals.c 2>/dev/null
gcc -O1 -o "$T/bin/text" tests/libos/text.c
gcc -O1 -o "$T/step" tests/libos/step_sites.c
printf '#include <stdio.h>\nint main(void) { puts("hello"); return 3; }\n' >"$T/hello.c"
command -v musl-gcc >/dev/null && musl-gcc -O1 -static -o "$T/bin/musl" "$T/hello.c"
gcc -O1 -static -o "$T/bin/static" "$T/hello.c"
gcc -O1 -static-pie -o "$T/bin/static-pie" "$T/hello.c"
gcc -O1 -no-pie -o "$T/bin/non-pie" "$T/hello.c"
GO=$(command -v go || ls /usr/local/go/bin/go 2>/dev/null)
if [ -n "$GO" ]; then
    cp tests/libos/storm.go "$T/storm.go"
    (cd "$T" && GOCACHE=$T/gocache GO111MODULE=off CGO_ENABLED=0 timeout 300 "$GO" build -o "$T/bin/go" storm.go) >"$T/go.out" 2>&1 ||
        { skip "sites: go does not build here"; GO=; }
fi
if command -v rustc >/dev/null; then
    rustc -O -C target-feature=+crt-static -o "$T/bin/rust" tests/libos/storm.rs 2>/dev/null
fi
files=()
for f in "$T"/bin/*; do files+=(-f "$f"); done
command -v busybox >/dev/null && files+=(-f "$(command -v busybox)")
status "build" 0 "$SHELTER" build -q -t all "${files[@]}"
id=$(cat "$T/out")
image=$SHELTER_STORE/images/$id
check "sites.bin is there" [ -s "$image/sites.bin" ]
SHELTER_STORE=$T/again "$SHELTER" build -q "${files[@]}" >"$T/again.id" 2>&1
check "built again, the same" cmp "$image/sites.bin" "$T/again/images/$id/sites.bin"
rm -rf "$T/again"

# --- what was found ---
cat >"$T/count.py" <<'END'
# Counts a file's sites by their kind: those whose first file has this many or more calls.
import struct, sys
d = open(sys.argv[1], 'rb').read()
magic, version, files, sites = struct.unpack_from('<8sIII', d, 0)
assert magic == b'SHLTRSIT' and version == 1
for i in range(files):
    nid, first, count = struct.unpack_from('<QII', d, 32 + 16 * i)
    call = seven = cpuid = 0
    for k in range(first, first + count):
        offset, kind, size, at, zero = struct.unpack_from('<IBBBB', d, 32 + 16 * files + 24 * k)
        call += kind == 1
        seven += kind == 1 and (size, at) == (7, 5)
        cpuid += kind == 2
    print(call, seven, cpuid)
END
one() { # FILE: calls, of the plain form, cpuid
    rm -rf "$T/one"
    SHELTER_STORE=$T/one "$SHELTER" build -q -f "$1" >"$T/one.id" 2>&1 || return 1
    python3 "$T/count.py" "$T/one/images/$(cat "$T/one.id")/sites.bin"
}
raw() { objdump -d "$1" | grep -cP "\t$2 *\$"; }
libc=$(ldd "$T/bin/storm" | grep -oE '/[^ ]*/libc\.so\.6')
read -r calls seven cpuid <<<"$(one "$libc" | sort -n | tail -n 1)"
all=$(raw "$libc" syscall)
check "libc: nearly every system call ($calls of $all, $seven of the plain form)" [ $((calls * 100)) -ge $((all * 93)) -a "$calls" -lt "$all" -a $((seven * 10)) -ge $((calls * 6)) ]
loader=$(ldd "$T/bin/storm" | grep -oE '/[^ ]*/ld-linux-x86-64\.so\.2')
read -r calls seven cpuid <<<"$(one "$loader" | sort -n | tail -n 1)"
same "ld.so: every cpuid" "$cpuid" "$(raw "$loader" cpuid)"
check "ld.so: system calls ($calls)" [ "$calls" -ge 30 -a "$calls" -lt "$(raw "$loader" syscall)" ]
crypto=$(ls /usr/lib/x86_64-linux-gnu/libcrypto.so.3 2>/dev/null)
if [ -n "$crypto" ]; then
    # Its text holds tables that look like a system call.
    first=$(one "$crypto" | head -n 1)
    same "libcrypto: no system call is seen where there is none" "${first%% *}" 0
fi
objcopy --strip-all "$T/bin/static" "$T/stripped" && read -r calls seven cpuid <<<"$(one "$T/stripped")"
check "a stripped program: by its unwind information ($calls)" [ "$calls" -ge 50 ]

# --- programs behind port `test`, with and without ---
port() { timeout 100 "$RUNNER" "${with[@]}" "$image/root.img" "$image/manifest" -- "$@"; }
refused() { # NAME: the program of this list does not start, with one line
    status "$1" 125 "$RUNNER" "${with[@]}" "$image/root.img" "$image/manifest" -- /bin/storm
    one_line "$1: told" "sites.bin"
}
with=()
same "without the list nothing is patched" "$(port /bin/sites 500)" "------- 0 strange, interrupted"
with=(--sites "$image/sites.bin")
for p in sites sites-dynamic; do
    same "$p: sites of each form, signals, restarts" "$(port /bin/$p)" "jjjjjj- 0 strange, interrupted"
done
same "a program that steps into its calls" "$(port /bin/sites steps)" "0 strange in steps"
same "a storm of signals changes no register" "$(port /bin/storm | cut -d, -f1)" "0 wrong"
same "threads" "$(port /bin/threads)" "$("$T/bin/threads")"
[ -x "$T/bin/signals" ] && same "signals" "$(port /bin/signals 2>&1; echo $?)" "$(bash -c "'$T/bin/signals'" 2>/dev/null; echo 0)"
same "text moved, copied, written, forgotten" "$(port /bin/text)" "patched moved copied written again"
for p in static static-pie non-pie musl; do
    [ -x "$T/bin/$p" ] && same "$p" "$(port /bin/$p; echo $?)" "hello
3"
done
[ -n "$GO" ] && same "go, pre-empted" "$(port /bin/go)" "done 1000000"
[ -x "$T/bin/rust" ] && same "rust" "$(port /bin/rust)" "done 800000"
if command -v busybox >/dev/null; then
    same "busybox: exec in place" "$(port /bin/busybox sh -c 'echo b >/tmp/x; echo a >>/tmp/x; exec busybox sort /tmp/x')" "a
b"
fi
if command -v nm >/dev/null; then
    entry=$(nm "$RUNNER" | awk '$3 == "los_fast" { print $1 }')
    list=$(nm "$T/bin/sites" | awk '$3 ~ /^site_/ && $3 !~ /short/ { print $1 }')
    # shellcheck disable=SC2086
    timeout 100 "$T/step" "$entry" $list -- "$RUNNER" "${with[@]}" "$image/root.img" "$image/manifest" -- /bin/sites 400 quiet >"$T/out" 2>"$T/err"
    same "interrupted at each instruction on the way in: $(cat "$T/err")" "$? $(cat "$T/out")" "0 jjjjjj- 0 strange, interrupted"
    check "on the way in: everywhere" grep -qE '^([6-9][0-9]|1[0-9][0-9]) of \1 places' "$T/err"
fi

# --- in the enclave ---
launch() {
    printf 'version = "0.1.0"\nalgorithm = "sha384"\n\n[data]\n"shelter.launch" = '"'''"'\n'
    printf 'arg %s\n' "$@"
    printf "'''\n"
}
enclave() { # WORD...: by the loader alone
    launch "$@" >"$T/launch"
    timeout -k 5 100 build/sgx-loader --signature "$image/base/enclave.sig" --launch "$T/launch" $speed "${sites[@]}" \
        "$image/base/enclave" "$image/root.img" "$image/manifest"
}
sites=(--sites "$image/sites.bin")
for speed in "" --strict; do
    rounds=30000
    [ -z "$speed" ] || rounds=1000
    same "enclave ${speed:-patched}: sites, signals, restarts" "$(enclave /bin/sites $rounds)" "jjjjjj- 0 strange, interrupted"
done
speed=
same "enclave: a storm of signals" "$(enclave /bin/storm | cut -d, -f1)" "0 wrong"
same "enclave: threads" "$(enclave /bin/threads)" "$("$T/bin/threads")"
same "enclave: text moved, copied, written, forgotten" "$(enclave /bin/text)" "patched moved copied written again"
for p in static-pie musl; do
    [ -x "$T/bin/$p" ] && same "enclave: $p" "$(enclave /bin/$p)" hello
done
[ -n "$GO" ] && same "enclave: go, pre-empted" "$(enclave /bin/go)" "done 1000000"
[ -x "$T/bin/rust" ] && same "enclave: rust" "$(enclave /bin/rust)" "done 800000"
exits() { enclave /bin/sites 1000 quiet 2>&1 >/dev/null | grep -oE '"aex(_fault)?": [0-9]+' | head -n 1 | grep -oE '[0-9]+'; }
speed="--stats"
with_list=$(exits)
sites=()
without=$(exits)
check "enclave: 5,000 calls without an exception ($with_list AEX, without the list $without)" [ "$without" -ge $((with_list + 4500)) ]
speed=
same "enclave: without the list it runs too" "$(enclave /bin/sites 100 quiet)" "------- 0 strange, not interrupted"
same "the command line hands it on" "$("$SHELTER" run --tee sgx-sim --rm all /bin/sites 5 quiet 2>/dev/null)" "jjjjjj- 0 strange, not interrupted"

# --- python: a root file system with many libraries ---
PY=$(ls /usr/bin/python3.[0-9]* 2>/dev/null | grep -E '/python3\.[0-9]+$' | head -n 1)
if [ -n "$PY" ]; then
    R=$T/root
    lib=/usr/lib/${PY##*/}
    add() { # FILE, with the libraries it needs
        mkdir -p "$R$(dirname "$1")"
        cp -L "$1" "$R$1"
        ldd "$1" 2>/dev/null | grep -oE '/[^ ]+' | while read -r l; do
            mkdir -p "$R$(dirname "$l")"
            [ -e "$R$l" ] || cp -L "$l" "$R$l"
        done
    }
    add "$PY"
    mkdir -p "$R$lib" "$R/data"
    (cd "$lib" && tar c --exclude=test --exclude='config-*' --exclude=__pycache__ .) | tar x -C "$R$lib"
    for f in "$lib"/lib-dynload/*.so; do add "$f"; done
    cp tests/libos/*.py "$R/data"
    tar c -C "$R" . | "$SHELTER" build -q -t python -r - >"$T/id"
    image=$SHELTER_STORE/images/$(cat "$T/id")
    with=(--sites "$image/sites.bin")
    sites=(--sites "$image/sites.bin")
    want=$("$PY" tests/libos/workload.py "$T/x.db" 2>&1)
    same "python: json, threads, hashes, sqlite3, files, signals" "$(port "$PY" /data/workload.py /tmp/x.db 2>&1)" "$want"
    same "python: sockets inside" "$(port "$PY" /data/sockets.py /tmp/u.sock 2>&1)" \
        "$("$PY" tests/libos/sockets.py "$T/u.sock" 2>&1)"
    for speed in "" --strict; do
        same "enclave ${speed:-patched}: python" "$(enclave "$PY" /data/workload.py /tmp/x.db 2>&1)" "$want"
    done
    speed=
    same "enclave: python: sockets inside" "$(enclave "$PY" /data/sockets.py /tmp/u.sock 2>&1)" \
        "$("$PY" tests/libos/sockets.py "$T/v.sock" 2>&1)"
    same "enclave: python: ssl loads" "$(enclave "$PY" -c 'import ssl; print(ssl.OPENSSL_VERSION)')" \
        "$("$PY" -c 'import ssl; print(ssl.OPENSSL_VERSION)')"
    image=$SHELTER_STORE/images/$id
else
    skip "sites: no python3 in /usr/bin"
fi

# --- a host that changes it ---
flip() { python3 - "$1" "$2" "$3" <<'END'
import sys
d = bytearray(open(sys.argv[1], 'rb').read())
d[int(sys.argv[2])] ^= 1
open(sys.argv[3], 'wb').write(d)
END
}
size=$(stat -c %s "$image/sites.bin")
with=(--sites "$T/flipped")
for at in 0 40 3000 $((size - 4096)); do
    flip "$image/sites.bin" "$at" "$T/flipped"
    refused "byte $at of sites.bin changed"
done
launch /bin/storm >"$T/launch"
status "enclave: sites.bin changed" 125 build/sgx-loader --signature "$image/base/enclave.sig" --launch "$T/launch" \
    --sites "$T/flipped" "$image/base/enclave" "$image/root.img" "$image/manifest"
one_line "enclave: sites.bin changed: told" "sites.bin"
wrong=0
for ((at = 2000; at < size - 4096; at += 4096)); do
    # A block is needed, and the run ends, or it is not, and all is well.
    flip "$image/sites.bin" "$at" "$T/flipped"
    got=$(port /bin/sites-dynamic 5 quiet 2>"$T/err")
    [ "$got" = "jjjjjj- 0 strange, not interrupted" ] || grep -q sites.bin "$T/err" || wrong=$((wrong + 1))
done
same "any block changed: refused, or not used" $wrong 0
with=(--sites "$T/cut")
head -c 4096 "$image/sites.bin" >"$T/cut"
refused "sites.bin cut"
"$SHELTER" save -o "$T/all.tar" all >/dev/null 2>&1
check "save has it" bash -c "tar tf '$T/all.tar' | grep -qx sites.bin"
check "inspect shows its hash" bash -c "'$SHELTER' inspect --json all | grep -q sites_hash"
"$SHELTER" rmi all >/dev/null 2>&1
status "load" 0 "$SHELTER" load -i "$T/all.tar"
check "load has it back" [ -s "$image/sites.bin" ]
python3 - "$T/all.tar" <<'END'
import sys, tarfile
at = [m.offset_data for m in tarfile.open(sys.argv[1]) if m.name == 'sites.bin'][0]
with open(sys.argv[1], 'r+b') as f:
    f.seek(at + 100)
    b = f.read(1)
    f.seek(at + 100)
    f.write(bytes([b[0] ^ 1]))
END
"$SHELTER" rmi all >/dev/null 2>&1
status "load of a changed one is refused" 125 "$SHELTER" load -i "$T/all.tar"
one_line "load: told" "sites.bin"
