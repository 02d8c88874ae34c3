#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Random calls on files, as fsx and fsstress make them: on a volume and on the tmpfs of the enclave (and of a VM, where
# there is a guest kernel), judged by a copy in memory, by a tmpfs beside it, and by what each word must be. The judges
# themselves are judged first: natively, on this machine's tmpfs. SHELTER_SOAK=SECONDS goes on with new seeds
# (SHELTER_SEED: the first of them) and counts the operations; `make soak-volumes` does so for an hour.
. tests/e2e/lib.sh
LIMIT=300
[ "${SHELTER_SOAK:-0}" = 0 ] || LIMIT=3000 # rounds ten times as long, on a machine that may have other work
for f in build/base/enclave build/sgx-loader; do [ -f $f ] || { skip "volume, judged: $f is not built (make)"; exit 0; }; done
mkdir -p "$T/base" "$T/root/bin" "$T/root/tmp"
for f in vmlinux bzImage initramfs; do echo "base file $f" >"$T/base/$f"; done
cp build/base/* "$T/base/"
export SHELTER_BASE=$T/base SHELTER SHELTER_BROKER=$T/broker
for p in judge stress; do gcc -O2 -w -static -o "$T/root/bin/file-$p" tests/file_$p.c || exit 1; done
gcc -O2 -w -D_GNU_SOURCE -static -o "$T/root/bin/storage" tests/enclave/storage.c || exit 1
cp "$(command -v busybox)" "$T/root/bin/busybox"
simulated_broker $((${SHELTER_SOAK:-0} + 900 + LIMIT))
head -c 32 /dev/urandom >"$T/data.key"
"$SHELTER" broker add-resource volumes/key/data "$T/data.key" --image any
tar -C "$T/root" --owner=0 --group=0 -cf "$T/root.tar" .
check "image" "$SHELTER" build -q -t judge --broker-key "$T/key.pem" -r "$T/root.tar" -c "/bin/busybox sh" \
    --volume data:/data:key=kbs:///volumes/key/data:freshness=insecure-none:size=2G # so large that pointers are kept aside
"$SHELTER" broker add-reference judge
cat >"$T/on" <<END
#!/bin/sh
tee=\$1
shift
printf 'set -e\n%s\n' "\$*" | exec "$SHELTER" run --rm --tee "\$tee" -m 1G -i "$(cat "$T/url")" -v "data:$T/disk" judge
END
chmod 755 "$T/on"
# The calls of one round, of SEED, N times as many as a short one; the folders are the volume's and a tmpfs.
round() { # SEED N BIN VOLUME TMPFS
    printf '%s\n' "rm -rf $4/* $5/*" "$3/file-judge file $4 $1 $((300 * $2))" "$3/file-judge file $5 $1 $((300 * $2))" \
        "$3/file-judge tree $4 $5 $1 $((500 * $2)) 2" "$3/file-stress $4/stress $1 $((600 * $2)) 4" "$3/file-stress $5/stress $1 $((600 * $2)) 4" \
        "rm -rf $4/* $5/*" "$3/storage locks $4" "$3/storage locks $5" "$3/storage names $4 100000"
}
seed=${SHELTER_SEED:-$$}
mkdir "$T/a" /dev/shm/shelter-judge.$$ && cleanup_hooks+=("rm -rf /dev/shm/shelter-judge.$$")
tees=(sgx-sim)
[ ! -f build/base/vmlinux ] || [ "${SHELTER_SOAK:-0}" = 0 ] || tees+=(tdx-sim) # 73-volumes-vm has a few
end=$((SECONDS + ${SHELTER_SOAK:-0})) size=1 done=0 calls=0
[ "${SHELTER_SOAK:-0}" = 0 ] || size=10
while :; do
    status "natively, seed $seed: the judges find nothing" 0 sh -ec "$(round "$seed" $((2 * size)) "$T/root/bin" "$T/a" /dev/shm/shelter-judge.$$)"
    grep 'seed' "$T/out" | sed 's/^/#   /'
    for tee in "${tees[@]}"; do
        status "$tee, seed $seed: random calls" 0 "$T/on" $tee "$(round "$seed" $size /bin /data /tmp | sed 's,^rm,/bin/busybox rm,')"
        grep 'seed' "$T/out" | sed 's/^/#   /'
        # As round says: of a file, of a tree by two, of a tree by four; the names of a directory are beside them. Those of a
        # round that came to its end, where the judges of both trees count its names.
        [ "$(grep -c ' names$' "$T/out")" != 2 ] || calls=$((calls + size * (2 * 300 + 2 * 500 + 2 * 4 * 600)))
        status "$tee, seed $seed: the volume fits together" 0 "$SHELTER" volume check "$T/disk" --key "$T/data.key"
    done
    done=$((done + 1)) seed=$((seed + 1))
    [ $SECONDS -lt $end ] || break
done
echo "# $done rounds in $SECONDS s, $calls operations"
