#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The same image in an enclave of the simulated processor: programs of every kind, both speeds, one
# measurement, and a host that changes things. No guest kernel is needed: the base's is made up.
. tests/e2e/lib.sh
LIMIT=60
enclave_base enclave
mkdir -p "$T/bin"
gcc -O2 -pthread -o "$T/bin/threads" tests/enclave/threads.c
gcc -O2 -static -pthread -o "$T/bin/threads-static" tests/enclave/threads.c
gcc -O2 -static -pthread -o "$T/bin/signals" tests/enclave/signals.c
printf '#include <stdio.h>\nint main(void) { puts("hello"); return 3; }\n' >"$T/hello.c"
gcc -O2 -o "$T/bin/pie" "$T/hello.c"
gcc -O2 -no-pie -o "$T/bin/non-pie" "$T/hello.c"
gcc -O2 -static -o "$T/bin/static" "$T/hello.c"
gcc -O2 -static-pie -o "$T/bin/static-pie" "$T/hello.c"
musl-gcc -O2 -static -o "$T/bin/musl" "$T/hello.c"
musl-gcc -O2 -static -o "$T/bin/names" tests/enclave/names.c
seq 1 200000 >"$T/numbers"
rust=
if command -v rustc >/dev/null; then
    printf 'fn main() { println!("hello"); std::process::exit(3); }\n' >"$T/hello.rs"
    rustc -O -C target-feature=+crt-static -o "$T/bin/rust" "$T/hello.rs" && rust=rust
else
    skip "enclave: a Rust program: rustc is not installed"
fi
files=()
for f in "$T"/bin/*; do files+=(-f "$f"); done
status "build" 0 "$SHELTER" build -q -t all -f tests/md5 -f "$(command -v busybox)" "${files[@]}"
id=$(cat "$T/out")
image=$SHELTER_STORE/images/$id
json() { python3 -c "
import json, sys
d = json.load(sys.stdin)
print(json.dumps($1))"; }
run=("$SHELTER" run --tee sgx-sim --rm all)
export SHELTER

# --- the main job ---
status "the forms of the command line" 0 "$SHELTER" run --tee sgx-sim -t all -c /bin/md5 <"$T/numbers"
status "md5 of stdin" 0 "${run[@]}" /bin/md5 <"$T/numbers"
same "md5 of stdin: right" "$(cut -d' ' -f1 <"$T/out")" "$(md5sum <"$T/numbers" | cut -d' ' -f1)"
same "the warning of simulation, once" "$(grep -c 'simulated TEE' "$T/err")" 1
status "md5 of a file of the image" 0 "${run[@]}" /bin/md5 /bin/busybox
same "md5 of a file: right" "$(cut -d' ' -f1 <"$T/out")" "$(md5sum <"$(command -v busybox)" | cut -d' ' -f1)"
for p in pie non-pie static static-pie musl $rust; do
    status "$p: its exit status" 3 "${run[@]}" "/bin/$p"
    same "$p: its words" "$(cat "$T/out")" hello
done
for p in threads threads-static; do
    status "$p" 0 "${run[@]}" "/bin/$p"
    same "$p: none lost" "$(cat "$T/out")" 128000
done
status "signals" 0 "${run[@]}" /bin/signals
same "signals: delivered, registers whole, the fault's address" "$(cat "$T/out")" "kicked whole 0x123456789008"
status "no such program" 127 "${run[@]}" /bin/nope
one_line "no such program: told" "no such file"
long=() # nearly what Linux takes: 128 KiB a string, 2 MiB in all
for ((i = 0; i < 14; i++)); do long+=("$(head -c 131000 /dev/zero | tr '\0' "\\$((141 + i))")"); done
status "1.8 MB of arguments" 0 "${run[@]}" /bin/busybox sh -c 'echo $# ${#1} ${#14}; echo "$@" | md5sum' sh "${long[@]}"
same "1.8 MB of arguments: all came" "$(cat "$T/out")" "14 131000 131000"$'\n'"$(echo "${long[@]}" | md5sum)"
# shellcheck disable=SC2046
status "60,000 arguments" 0 "${run[@]}" /bin/busybox sh -c 'echo $# ${60000}' sh $(seq 60000)
same "60,000 arguments: all came" "$(cat "$T/out")" "60000 60000"
status "a program by its path outside" 127 "${run[@]}" /opt/mine/busybox
one_line "a program by its path outside: told where it is" "no such file in the image; it is /bin/busybox"
status "PID 1 is spared what has no handler" 4 "${run[@]}" /bin/busybox sh -c 'kill -SEGV $$; kill -TERM $$; exit 4'

# --- its life under the supervisor ---
status "detached" 0 "$SHELTER" run -d --tee sgx-sim --name long all /bin/busybox sleep 1000
check "it runs" until_true 10 bash -c '"$SHELTER" ps | grep -q "long.*running"'
inspect=$("$SHELTER" inspect --json long | json '(d[0] if isinstance(d, list) else d)["measurement"]')
status "stop" 0 "$SHELTER" stop -t 1 long
status "wait" 0 "$SHELTER" wait long
same "wait: it had no handler, so that it was killed" "$(cat "$T/out")" 137

# --- one measurement ---
measure=$("$SHELTER" measure --tee sgx --json all | json 'd["measurement"]')
same "measure and inspect agree" "$inspect" "$measure"
same "sgx and sgx-sim are one" "$("$SHELTER" measure --tee sgx-sim --json all 2>/dev/null | json 'd["measurement"]')" "$measure"
mrenclave=$(json 'd["mrenclave"]' <<<"$measure")
same "reference.json has it" "$(json '[r for r in d["references"] if r["tee"] == "sgx"][0]["measurement"]["mrenclave"]' <"$image/reference.json")" "$mrenclave"
"$SHELTER" build -q -t other -e A=B -f tests/md5 >/dev/null
check "another manifest is another MRENCLAVE" [ "$("$SHELTER" measure --tee sgx --json other | json 'd["measurement"]["mrenclave"]')" != "$mrenclave" ]
same "--tee auto does not choose it" "$("$SHELTER" measure --json all 2>/dev/null | grep -c mrenclave)" 0

# --- the loader alone: both speeds, and a host that changes what it gives ---
launch() { # WORD…: a launch config
    printf 'version = "0.1.0"\nalgorithm = "sha384"\n\n[data]\n"shelter.launch" = '"'''"'\n'
    printf 'arg %s\n' "$@"
    printf "'''\n"
}
load=(timeout -k 5 60 build/sgx-loader --signature "$image/base/enclave.sig" --launch "$T/launch")
parts=("$image/base/enclave" "$image/root.img" "$image/manifest")
launch /bin/threads >"$T/launch"
for speed in "" --strict; do
    status "the loader, ${speed:-patched}" 0 "${load[@]}" $speed "${parts[@]}"
    same "the loader, ${speed:-patched}: threads" "$(cat "$T/out")" 128000
done
# Many threads, each call an exception: one that was let into the big lock and slept again once was never woken, in 3 runs of 100.
for row in 1 2 3; do
    for ((i = 0; i < 80; i++)); do
        [ "$(timeout -k 5 20 "${load[@]:4}" "${parts[@]}" 2>>"$T/threads.err")" = 128000 ] || echo wrong
    done >"$T/threads.$row" &
done
wait
same "240 runs of 32 threads end" "$(cat "$T"/threads.[123] "$T/threads.err")" ""
launch /bin/signals >"$T/launch"
status "strict: signals" 0 "${load[@]}" --strict "${parts[@]}"
same "strict: signals as patched" "$(cat "$T/out")" "kicked whole 0x123456789008"
launch /bin/md5 /bin/busybox >"$T/launch"
status "little EPC: paging changes nothing" 0 "${load[@]}" --epc-pages 900 "${parts[@]}"
same "little EPC: md5" "$(cut -d' ' -f1 <"$T/out")" "$(md5sum <"$(command -v busybox)" | cut -d' ' -f1)"

# Options are read strictly.
for bad in --network=usre --epc-pages=5x --epc-pages=99999999999999999999 --epc-pages=-1 --channel=x --channel=4294967296 \
    --tty=axb --tty=70000x1 --publish=tcp:1:127.0.0.1:2 --publish=0 --tee=sgxsim --signature=; do
    status "loader: $bad" 125 "${load[@]}" "$bad" "${parts[@]}"
    check "loader: $bad: in one line" grep -qx "sgx-loader: ${bad%%=*} ${bad#*=}: write .*" "$T/err"
done

# Keys that sign enclaves are not the loader's: it takes none, and has nothing to sign with.
status "loader: a key to sign with is no option" 125 "${load[@]}" --key "$T/store/enclave-key.pem" "${parts[@]}"
status "loader: nothing runs unsigned" 125 build/sgx-loader --launch "$T/launch" "${parts[@]}"
check "loader: nothing runs unsigned: told" grep -q '^usage: sgx-loader --signature FILE' "$T/err"
same "loader: it has no signer" "$(nm build/sgx-loader | grep -cE ' (sgx_sign|sgx_image_sign|sgx_key_(load|generate|save))$')" 0

# Counters: the host's always, the enclave's only if the policy (or a debug enclave) lets it tell.
launch /bin/static >"$T/launch"
status "counters" 3 "${load[@]}" --stats "${parts[@]}"
same "counters: without the policy's leave, the host's own" \
    "$(json '"syscalls" not in d and d["calls_out"] > 0 and d["aex"] >= d["exceptions"] > 0' <"$T/err")" true
status "counters of a debug enclave" 3 "${load[@]}" --signature "$image/base/enclave-debug.sig" --debug --stats "${parts[@]}"
same "counters: inside and outside agree" "$(json 'd["syscalls"] == sum(d["by_call"].values()) > 5 and d["calls_out"] + 1 == sum(d["by_call_out"].values()) and d["eaccept"] == d["processor"]["eaccept"] and d["eacceptcopy"] == d["processor"]["eacceptcopy"] and d["peak_bytes"] >= d["committed_bytes"] > 0 and d["aex_complete"]' <"$T/err")" true
same "hello: at most 20 calls out" "$(json 'sum(d["by_call_out"].values()) <= 20' <"$T/err")" true
same "hello: at most 165 pages added or accepted later" \
    "$(json '(lambda p: 0 < sum(p[n] for n in ("eaug", "eaccept", "eacceptcopy")) <= 165 or d)(d["processor"])' <"$T/err")" true
# Without AEX-Notify a page is two: for the kernel, which adds it, and for the LibOS, which accepts it.
same "hello: at most 140 times an exit by a fault" "$(json 'd["processor"]["aex_fault"] <= 140 or d' <"$T/err")" true
same "a command loads the libraries that it calls, and no others" "$(readelf -d "$SHELTER" | sed -n 's/.*NEEDED.*\[\(lib[a-z]*\).*/\1/p' | sort | tr '\n' ' ')" "libc libcjson "
same "few pages are measured: neither zeros, nor what is checked inside" \
    "$(json '(lambda p: p["eextend"] % 16 == 0 and p["eextend"] / 16 <= 8 and p["eadd"] > 200)(d["processor"])' <"$T/err")" true

# What one run used of the image's files comes together in the next: one call out instead of two exits a page. One run
# in 16 begins anew. A list that is nonsense changes no more than that.
few_faults() {
    status "pages of an earlier run" 3 "${load[@]}" --stats --uses "$T/uses" "${parts[@]}" >>"$T/log"
    [ "$(json 'd["processor"]["aex_fault"] <= 45' <"$T/err")" = true ]
}
few_faults
same "the first run of all knows nothing" "$(json 'd["processor"]["aex_fault"] > 45' <"$T/err")" true
check "the next has less than half of the faults" eval 'few_faults || few_faults || few_faults'
head -c 70000 /dev/urandom >"$T/uses"
status "a list of pages that is nonsense" 3 "${load[@]}" --uses "$T/uses" "${parts[@]}"
mkdir "$T/no-uses"
status "a list of pages that cannot be kept" 3 "${load[@]}" --uses "$T/no-uses" "${parts[@]}"

# Names: /etc/hosts is ours, and the host's name server answers at the address that a VM sees.
python3 tests/enclave/dns.py >"$T/dns" &
dns=$!
until_true 10 test -s "$T/dns"
launch /bin/names localhost shelter name.test other.test >"$T/launch"
status "names" 0 "${load[@]}" --network user --resolver "127.0.0.1:$(cat "$T/dns")" "${parts[@]}"
same "names: own, localhost, by the name server, unknown" "$(cat "$T/out")" "127.0.0.1 10.0.2.15 192.0.2.7 unknown "
kill "$dns" && wait "$dns" 2>/dev/null
status "names: without a network, no name server" 0 "$SHELTER" run --tee sgx-sim --rm --network none all \
    /bin/busybox cat /etc/hostname /etc/hosts
same "names: without a network" "$(grep -c shelter "$T/out")" 2
launch /bin/names localhost >"$T/launch"
sed -i "/^arg localhost/a hostname a%0A192.0.2.6 localhost" "$T/launch"
status "names: a host name with lines of its own" 125 "${load[@]}" --network user "${parts[@]}"
check "names: told" grep -q "the host name is not" "$T/err"
sed -i "s/^hostname .*/hostname vault-1.example/" "$T/launch"
status "names: a proper one runs" 0 "${load[@]}" --network user "${parts[@]}"
launch /bin/md5 /bin/busybox >"$T/launch"

flip() { # FILE OFFSET: a changed copy
    python3 - "$1" "$2" "$T/flipped" <<'PY'
import sys
data = bytearray(open(sys.argv[1], 'rb').read())
data[int(sys.argv[2])] ^= 1
open(sys.argv[3], 'wb').write(data)
PY
}
size=$(stat -c %s "$image/root.img")
refused=0
for i in 1 2 3 4 5 6 7; do
    flip "$image/root.img" $((size * i / 8))
    "${load[@]}" "$image/base/enclave" "$T/flipped" "$image/manifest" >"$T/out" 2>"$T/err"
    s=$?
    # Either the block is not needed, and the answer is right, or it is refused: never another answer.
    if [ $s -eq 0 ]; then
        grep -q "^$(md5sum <"$(command -v busybox)" | cut -d' ' -f1)" "$T/out" && refused=$((refused + 1))
    else
        [ -s "$T/out" ] || refused=$((refused + 1))
    fi
done
same "a changed byte of root.img: never a wrong answer" "$refused" 7
truncate -s 4096 "$T/flipped"
status "a cut root.img is refused" 125 "${load[@]}" "$image/base/enclave" "$T/flipped" "$image/manifest"
one_line "a cut root.img: told" "root image"
flip "$image/manifest" 30 # of the root hash: the identity changes with it, and so does MRENCLAVE
status "another root hash: signed by whoever likes" 0 build/tests/sgx-sign "$T/key.pem" "$image/base/enclave" "$T/flipped" "$T/flipped.sig"
status "another root hash: the root is refused" 125 "${load[@]}" --signature "$T/flipped.sig" "$image/base/enclave" "$image/root.img" "$T/flipped"
printf x >>"$T/launch"
status "a launch config that is not canonical is refused" 125 "${load[@]}" "${parts[@]}"
one_line "launch config: told" "launch config is malformed"
launch /bin/md5 >"$T/launch"
flip "$image/base/enclave" 4200
cp "$image/base/enclave" "$T/enclave"
cp --remove-destination "$T/flipped" "$image/base/enclave"
check "a changed enclave is another MRENCLAVE" [ "$("$SHELTER" measure --tee sgx --json all | json 'd["measurement"]["mrenclave"]')" != "$mrenclave" ]
rm "$image/base/enclave"
status "an image without an enclave says so" 125 "${run[@]}" /bin/md5
one_line "without an enclave: told" "without an enclave"
cp "$T/enclave" "$image/base/enclave"
