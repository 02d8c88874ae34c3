#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job on real input: the md5 program and the Python machine-learning root file system, by
# the command lines that README gives, and Redis behind a published port.
. tests/e2e/lib.sh

# relying_party: starts it, or tells it of the images that were built since; its address in $address.
export SHELTER_BROKER=$T/broker
cleanup_hooks+=('sh "$ROOT/ra/ra.sh" --stop >/dev/null 2>&1')
relying_party() { # IMAGE
    check "the relying party: sh ra.sh" sh -c 'sh ra/ra.sh -l 127.0.0.1:0 -s "$0/root.pem" "$1" >"$0/ra" 2>&1' "$T" "$1"
    address=$(sed -n 's/^attestation address: -i https:..//p' "$T/ra")
}
check "the root of this machine's simulated TEEs" "$SHELTER" attest --simulated-root -o "$T/root.pem"

# --- md5 ---
check "build md5 from an ELF file" "$SHELTER" build -q -t md5 -f tests/md5
relying_party md5
head -c 1000003 /dev/urandom >"$T/data"
status "run -t md5 -c /bin/md5 -i … -m 2G" 0 "$SHELTER" run -t md5 -c /bin/md5 -i "$address" -m 2G <"$T/data"
same "md5 of stdin" "$(cut -c1-32 "$T/out")" "$(md5sum <"$T/data" | cut -c1-32)"
check "the relying party has seen it" sh -c '"$0" broker log | grep -q "attest *granted .* md5:latest"' "$SHELTER"
same "simulation warns once" "$(grep -c simulated "$T/err")" 1
status "run IMAGE CMD ARG" 0 "$SHELTER" run --rm md5 /bin/md5 /bin/md5
same "md5 of the program itself, from inside" "$(cut -c1-32 "$T/out")" "$(md5sum <tests/md5 | cut -c1-32)"
status "the workload's exit status comes out" 1 "$SHELTER" run --rm md5 /bin/md5 /nowhere
check "its stderr too" grep -q '/nowhere' "$T/err"

# More than any buffer on the way holds, through the supervisor into an enclave.
head -c 200000000 /dev/zero >"$T/zeros"
for way in once twice; do
    LIMIT=60 status "200 MB of stdin into the enclave ($way)" 0 "$SHELTER" run --rm --tee sgx-sim md5 <"$T/zeros"
    same "md5 of 200 MB ($way)" "$(cut -c1-32 "$T/out")" "$(md5sum <"$T/zeros" | cut -c1-32)"
done
rm "$T/zeros"

# --- machine learning ---
if command -v mmdebstrap >/dev/null; then
    check "make the root file system from Debian packages" timeout 600 tests/ml/make-rootfs "$T/rootfs.tar"
    check "build -t ml -r rootfs.tar" "$SHELTER" build -q -t ml -r "$T/rootfs.tar"
    relying_party ml
    LIMIT=300 status "run the Python program" 0 "$SHELTER" run -t ml \
        -c "/usr/local/bin/python /app/ml_test.py" -m 4G -i "$address"
    python3 tests/ml/ml_test.py >"$T/want" 2>&1
    same "the model's accuracy is that of a run outside" "$(grep accuracy "$T/out")" "$(grep accuracy "$T/want")"
    LIMIT=120 status "the same image in the enclave" 0 "$SHELTER" run --tee sgx-sim -t ml \
        -c "/usr/local/bin/python /app/ml_test.py" -m 4G
    same "with the same accuracy" "$(grep accuracy "$T/out")" "$(grep accuracy "$T/want")"
else
    skip "machine learning: mmdebstrap is missing"
fi

# --- redis ---
if command -v redis-server >/dev/null && command -v redis-benchmark >/dev/null; then
    check "build redis from Debian's binary" "$SHELTER" build -q -t redis -f "$(command -v redis-server)"
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    check "start redis with a published port" timeout 60 "$SHELTER" run -d --name redis -m 512M \
        -p "127.0.0.1:$port:6379" redis /bin/redis-server --bind 0.0.0.0 --protected-mode no --save ""
    check "it answers" until_true 60 redis-cli -p "$port" ping
    check "SET and GET" sh -c "redis-cli -p $port set k v && [ \"\$(redis-cli -p $port get k)\" = v ]"
    status "redis-benchmark from the host" 0 redis-benchmark -p "$port" -n 2000 -c 10 -q -t set,get
    grep 'requests per second' "$T/out" | sed 's/^/# /'
    check "stop redis" timeout 60 "$SHELTER" stop redis
    check "its log is kept after the end" sh -c "'$SHELTER' logs redis | grep -q 'Ready to accept'"
    check "remove redis" "$SHELTER" rm redis
else
    skip "redis: redis-server is missing"
fi
