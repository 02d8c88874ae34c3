#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A host that lies to the enclave about everything: the table of tests/enclave/hostile.py, then runs in
# which one answer in eight is spoilt at random (SHELTER_SOAK=1: many, by a new seed).
. tests/e2e/lib.sh
enclave_base hostile build/tests/sgx-loader-hostile
mkdir -p "$T/root/bin" "$T/root/data" "$T/root/tmp" "$T/root/dev"
check "probe" gcc -Wall -Wextra -Wno-unused-parameter -D_GNU_SOURCE -O2 -static -pthread -o "$T/root/bin/probe" tests/enclave/probe.c
seq 1 100000 >"$T/root/data/numbers"
tar -C "$T/root" -cf "$T/root.tar" .
status "build" 0 "$SHELTER" build -q -t probe --allow exec --mount /share -r "$T/root.tar"
image=$SHELTER_STORE/images/$(cat "$T/out")

# The same MRENCLAVE, made with less of a processor: it must not run.
printf 'version = "0.1.0"\nalgorithm = "sha384"\n\n[data]\n"shelter.launch" = \x27\x27\x27\narg /bin/probe\narg exit\n\x27\x27\x27\n' >"$T/launch"
for what in nothing:7 exinfo:125 kss:125; do
    status "made without ${what%:*}" "${what#*:}" build/tests/sgx-loader-hostile --without "${what%:*}" --key "$SHELTER_STORE/enclave-key.pem" --signature "$image/base/enclave.sig" \
        --launch "$T/launch" --sites "$image/sites.bin" "$image/base/enclave" "$image/root.img" "$image/manifest"
    [ "${what#*:}" = 7 ] || one_line "made without ${what%:*}: told" 'made without EXINFO or KSS'
done

# Pages that the enclave checks by itself: one bit of each in turn; the check itself under attack; and code in all of
# them that would be noticed, had it run.
spoil() { # PAGE OPTION…
    local page=$1
    shift
    timeout 60 build/tests/sgx-loader-hostile --spoil "$page" "$@" --signature "$image/base/enclave.sig" --launch "$T/launch" \
        --sites "$image/sites.bin" "$image/base/enclave" "$image/root.img" "$image/manifest" >"$T/out" 2>"$T/err" </dev/null
}
spoil none
same "no page is spoilt" "$?" 7
pages=$(sed -n 's/^\([0-9]*\) hashed pages$/\1/p' "$T/err")
check "most of the enclave is checked by itself ($pages pages)" [ "${pages:-0}" -gt 100 ]
passed=
for page in $(seq "${pages:-0}"); do
    spoil "$page"
    [ $? = 125 ] && grep -q 'the enclave found itself changed' "$T/err" || passed+=" $page"
done
same "each page, one bit of it: nothing runs" "$passed" ""
for how in "" "--attack 1" --strict "--attack 1 --strict"; do
    spoil all $how
    same "all of them are another's code${how:+, $how}: nothing of it runs" \
        "$? $(grep -c 'the enclave found itself changed' "$T/err")" "125 1"
done
python3 tests/enclave/hostile.py table "$image"
# Volumes: the key comes from a broker.
gcc -O2 -D_GNU_SOURCE -static -o "$T/storage" tests/enclave/storage.c
export SHELTER_BROKER=$T/broker
"$SHELTER" attest --simulated-root -o "$T/simulated.pem"
"$SHELTER" broker init
"$SHELTER" broker key >"$T/broker.pem"
timeout 500 "$SHELTER" broker serve --listen 127.0.0.1:0 --allow-simulated "$T/simulated.pem" --url-file "$T/url" >"$T/broker.log" 2>&1 &
cleanup_hooks+=("kill $! 2>/dev/null")
check "the broker" until_true 20 test -s "$T/url"
head -c 32 /dev/urandom | "$SHELTER" broker add-resource volumes/key/data --image any
for verb in make look; do
    check "an image with a volume: $verb" "$SHELTER" build -q -t $verb --broker-key "$T/broker.pem" -f "$T/storage" \
        --volume "data:/data:key=kbs:///volumes/key/data:freshness=insecure-none:size=64M" -c "/bin/storage $verb /data"
    check "... known to the broker" "$SHELTER" broker add-reference $verb
    status "an honest host: $verb" 0 "$SHELTER" run --tee sgx-sim --rm -i "$(cat "$T/url")" -v "data:$T/disk" $verb
done
python3 tests/enclave/hostile.py volumes "$SHELTER" "$(cat "$T/url")" "$T/disk"
if [ -n "${SHELTER_SOAK:-}" ]; then
    python3 tests/enclave/hostile.py fuzz "$image" 1000 $((RANDOM * 32768 + RANDOM))
else
    python3 tests/enclave/hostile.py fuzz "$image" 30 1
fi
