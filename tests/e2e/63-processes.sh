#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Processes and shared memory in one enclave: the same programs print the same natively, behind port `test` and in
# the enclave, patched and strict; position independent or not.
. tests/e2e/lib.sh
for tool in mkfs.erofs veritysetup gcc busybox; do
    command -v $tool >/dev/null || { skip "processes: $tool is not installed"; exit 0; }
done
[ -x build/libos-test ] || { skip "processes: build/libos-test is not built"; exit 0; }
R=$T/root
mkdir -p "$R/bin" "$R/tmp" "$R/etc"
build() { # NAME OPTIONS...
    local name=$1
    shift
    gcc -O1 -pthread -D_GNU_SOURCE -o "$R/bin/$name" tests/libos/processes.c "$@" 2>"$T/gcc" || cat "$T/gcc"
}
build facts -static
build facts-pie -static-pie
gcc -O1 -D_GNU_SOURCE -static-pie -o "$R/bin/turns" tests/libos/turns.c
gcc -O1 -D_GNU_SOURCE -static-pie -o "$R/bin/ptys" tests/libos/ptys.c
gcc -O1 -D_GNU_SOURCE -static-pie -pthread -o "$R/bin/forest" tests/libos/forest.c
gcc -O1 -static-pie -o "$R/bin/again" tests/libos/again.c
gcc -O1 -o "$R/bin/again-libs" tests/libos/again.c
gcc -O1 -DLARGE -static-pie -o "$R/bin/again-large" tests/libos/again.c
for file in $(ldd "$R/bin/again-libs" | grep -o '/[^ ]*'); do
    mkdir -p "$R$(dirname "$file")"
    cp -L "$file" "$R$file"
done
cp "$(command -v busybox)" "$R/bin/busybox"
for a in mkdir rm sh cat ls grep wc seq echo sleep true expr sort tr; do ln -sf busybox "$R/bin/$a"; done
cat >"$R/bin/script" <<'SCRIPT'
#!/bin/sh
echo one | cat
for i in 1 2 3 4 5; do echo $i; done | grep -v 3 | wc -l
x=$(seq 1 10 | tr '\n' ' ')
echo "got $x"
(exit 3); echo "status $?"
sleep 0.1 & wait $!; echo "waited $?"
cat <<END | sort
here
are
lines
END
trap 'echo trapped' USR1; kill -USR1 $$; echo after
f() { local n=$1; [ "$n" -eq 0 ] || { echo $n; f $((n - 1)); }; }
f 3
i=0; while [ $i -lt 100 ]; do /bin/true; i=$((i + 1)); done; echo "$i programs"
d=/tmp/script.$$; mkdir $d
echo text >$d/x; cat <$d/x >>$d/y; cat $d/x $d/y | wc -c
rm -r $d
SCRIPT
chmod +x "$R/bin/script"
mkdir -p "$T/native"
rights=
if [ "$(id -u)" -eq 0 ]; then # programs with others' rights, which a user of this test could not make
    rights=rights
    for program in facts facts-pie; do
        p=$R/bin/$program
        for kind in suid sgid both closed; do cp "$p" "$p-$kind"; done
        chmod 4755 "$p-suid"
        chmod 2755 "$p-sgid"
        chmod 6755 "$p-both"
        chmod 711 "$p-closed"
        cp "$p" "$p-none"
        chmod 744 "$p-none"
        printf '#!/proc/self/exe rights\n' >"$p-script"
        chmod 6755 "$p-script"
    done
    chmod 755 "$T"
fi
check "image" tests/libos/mkimage.sh "$R" "$T/i"
for program in facts facts-pie; do
    (cd "$T/native" && timeout 120 "$R/bin/$program" "$R/bin/$program" $rights >"$T/$program.native" 2>"$T/err")
    same "$program natively" $? 0
    timeout 120 build/libos-test "$T/i.img" "$T/i.manifest" -- "/bin/$program" "/bin/$program" $rights >"$T/$program.test" 2>"$T/err"
    same "$program in port test" $? 0
    check "$program in port test: the same as natively" diff "$T/$program.native" "$T/$program.test"
done
facts=$(wc -l <"$T/facts.native")
check "more than 180 facts ($facts)" test "$facts" -gt 180
(cd "$T/native" && timeout -k 5 60 "$R/bin/ptys" >"$T/ptys.native" 2>"$T/err")
timeout -k 5 60 build/libos-test "$T/i.img" "$T/i.manifest" -- /bin/ptys >"$T/ptys.test" 2>"$T/err"
check "terminals in port test: the same as natively" diff "$T/ptys.native" "$T/ptys.test"
check "more than 100 facts about terminals" test "$(wc -l <"$T/ptys.native")" -gt 100
PATH=$R/bin:$PATH "$R/bin/busybox" sh "$R/bin/script" >"$T/script.native" 2>&1
timeout 60 build/libos-test -e PATH=/bin "$T/i.img" "$T/i.manifest" -- /bin/script >"$T/script.test" 2>&1
check "a shell's script in port test: the same as natively" diff "$T/script.native" "$T/script.test"

# Programs at fixed addresses, one after the other: each gives its own back.
timeout 60 build/libos-test "$T/i.img" "$T/i.manifest" -- /bin/busybox sh -c \
    'i=0; while [ $i -lt 600 ] && /bin/busybox true; do i=$((i + 1)); done; echo $i' >"$T/many" 2>&1
same "600 programs, one after the other" "$(cat "$T/many")" 600

# In the enclave.
export SHELTER_STORE=$T/store
(cd "$R" && tar c .) >"$T/r.tar"
status "build" 0 "$SHELTER" build -t processes --allow stats -r "$T/r.tar"
for program in facts facts-pie; do
    timeout 120 "$SHELTER" run --rm --tee sgx-sim processes "/bin/$program" "/bin/$program" $rights >"$T/$program.sgx" 2>"$T/err"
    same "$program in the enclave" $? 0
    check "$program in the enclave: the same as natively" diff "$T/$program.native" "$T/$program.sgx"
done
timeout -k 5 60 "$SHELTER" run --rm --tee sgx-sim processes /bin/ptys >"$T/ptys.sgx" 2>"$T/err"
check "terminals in the enclave: the same as natively" diff "$T/ptys.native" "$T/ptys.sgx"
timeout 60 "$SHELTER" run --rm --tee sgx-sim processes /bin/script >"$T/script.sgx" 2>"$T/err"
check "a shell's script in the enclave: the same as natively" diff "$T/script.native" "$T/script.sgx"

# Random trees of processes: nothing is lost, and nothing of them is left. 48 MiB suffice.
forest=1000
[ -n "${SHELTER_SOAK:-}" ] && forest=50000
for memory in 1G 48M; do
    same "a forest of $forest processes in $memory" "$(timeout -k 5 $((60 + forest / 50)) "$SHELTER" run --rm --tee sgx-sim -m $memory processes \
        /bin/forest $forest 2>"$T/err")" "all processes, reaped all, bytes all, wrong 0
descriptors left: 0
memory lost: no"
    grep processes, "$T/err" | sed 's/^/# /'
done

# The same while the processor has fewer pages than they use: all of it is paged, and each page comes back.
image=$SHELTER_STORE/images/$(cat "$SHELTER_STORE/tags/processes:latest")
{
    printf 'version = "0.1.0"\nalgorithm = "sha384"\n\n[data]\n"shelter.launch" = %s\n' "'''"
    printf 'arg /bin/forest\narg %s\n%s\n' $((2 * forest)) "'''"
} >"$T/launch"
same "a forest of $((2 * forest)) processes in 2,000 pages of EPC" "$(timeout -k 5 $((60 + forest / 25)) build/sgx-loader --epc-pages 2000 \
    --signature "$image/base/enclave.sig" --launch "$T/launch" --stats="$T/stats" --sites="$image/sites.bin" "$image/base/enclave" \
    "$image/root.img" "$image/manifest" 2>"$T/err")" "all processes, reaped all, bytes all, wrong 0
descriptors left: 0
memory lost: no"
check "... which were paged out and in" python3 -c 'import json, sys
p = json.load(open(sys.argv[1]))["processor"]
sys.exit(not (p["ewb"] > 1000 and p["eldu"] > 1000 and p["epc_peak_pages"] <= 2000))' "$T/stats"

# 600 changes of residence: what is shared, read only or equal in both is not moved, and asks the host for nothing.
"$R/bin/turns" >"$T/turns.native"
timeout 60 "$SHELTER" run --rm --tee sgx-sim --stats "$T/stats" processes /bin/turns >"$T/turns.sgx" 2>"$T/err"
check "turns: the same as natively" diff "$T/turns.native" "$T/turns.sgx"
check "turns: what they cost" python3 - "$T/stats" <<'END'
import json, sys
d = json.load(open(sys.argv[1]))
n, pages = d["residence_switches"], d["residence_pages"]
print(n, pages, d["emodpe"], d["calls_out"])
sys.exit(not (n >= 600 and pages < 12 * n and d["emodpe"] < 1200 and d["calls_out"] < 6000))
END

# A fork whose child ends at once costs one change of residence: the child runs before the parent takes the addresses back.
status "20 forks" 0 timeout 60 "$SHELTER" run --rm --tee sgx-sim --stats "$T/stats" processes /bin/busybox sh -c \
    'i=0; while [ $i -lt 20 ]; do (exit 0); i=$((i + 1)); done'
check "20 forks: at most 40 changes of residence" python3 -c 'import json, sys
sys.exit(not 20 <= json.load(open(sys.argv[1]))["residence_switches"] <= 40)' "$T/stats"

# Programs at the shell's own addresses: what is the same in both is common before any rights change, and the pages of
# one that ends go in a few calls.
status "20 programs at one place" 0 timeout 60 "$SHELTER" run --rm --tee sgx-sim --stats "$T/stats" processes /bin/busybox sh -c \
    'i=0; while [ $i -lt 20 ]; do /bin/true; i=$((i + 1)); done'
check "20 programs at one place: what they cost" python3 - "$T/stats" <<'END'
import json, sys
d = json.load(open(sys.argv[1]))
print(d["emodpe"], d["calls_out"], d["exceptions"])
sys.exit(not (d["emodpe"] < 1500 and d["calls_out"] < 1000))
END

# A program that runs again has the addresses and the pages of the last one, of whose memory it finds nothing: 16 times, then
# it gets others. What that costs.
for program in again again-libs again-large; do
    for port in test sgx; do
        if [ $port = test ]; then
            timeout 60 build/libos-test "$T/i.img" "$T/i.manifest" -- /bin/$program 40 >"$T/again" 2>&1
        else
            timeout 60 "$SHELTER" run --rm --tee sgx-sim processes /bin/$program 40 >"$T/again" 2>"$T/err"
        fi
        check "$program, $port: at few places, nothing of the last one ($(head -n 1 "$T/again"))" \
            grep -qx '40 good, [3-5] places' "$T/again"
    done
done
same "a signal ends them: nobody has the last one's place" \
    "$(timeout 60 build/libos-test "$T/i.img" "$T/i.manifest" -- /bin/again 40 killed 2>&1)" '40 good, 40 places'
status "200 programs" 0 timeout 60 "$SHELTER" run --rm --tee sgx-sim --stats "$T/stats" processes /bin/again 200 light
check "200 programs: what they cost" python3 - "$T/stats" <<'END'
import json, sys
d = json.load(open(sys.argv[1]))
print(d["calls_out"], d["eaccept"], d["eacceptcopy"], d["by_call_out"])
sys.exit(not (d["calls_out"] < 200 * 5.3 and d["by_call_out"].get("remove", 0) < 80 and d["eaccept"] < 200 * 20 and d["eacceptcopy"] < 200 * 8))
END

# What a fork had aside goes back to the host when no other follows.
cat >"$T/keep.c" <<'END'
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
    size_t size = 48 << 20;
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 1, size);
    for (int i = 0; i < 2; i++) {
        if (!fork())
            _exit(p[size - 1] = 2);
        wait(NULL);
    }
    usleep(2100000);
    for (int i = 0; i < 100; i++)
        usleep(1000);
    return p[size - 1] != 1;
}
END
gcc -O1 -static-pie -o "$T/keep" "$T/keep.c"
status "build a program that forks with 48 MiB" 0 "$SHELTER" build -q -t keep --allow stats -f "$T/keep"
status "forks of 48 MiB" 0 timeout 60 "$SHELTER" run --rm --tee sgx-sim --stats "$T/stats" keep
check "forks of 48 MiB: the zone is small again" python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
print(d["zone_bytes"], d["peak_bytes"])
sys.exit(not (d["zone_bytes"] < 24 << 20 and d["peak_bytes"] > 90 << 20))' "$T/stats"
