#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `measure` predicts from the image alone is what the launcher measures, for several machines; and
# a second implementation of the rules comes to the same values.
. tests/e2e/lib.sh
json() { python3 -c "
import json, sys
d = json.load(sys.stdin)
d = d[0] if isinstance(d, list) else d
print(json.dumps(d$1))"; }
check "build" "$SHELTER" build -t m -f tests/md5
id=$("$SHELTER" inspect --json m | json '["id"]' | tr -d '"')
base=$SHELTER_STORE/images/$id/base
line="$(boot_common) shelter.tee=tdx-sim shelter.manifest=$id"

predict() { "$SHELTER" measure --json --tee tdx-sim "$@" m 2>/dev/null | json '["measurement"]'; }
measured() { "$SHELTER" inspect --json "$1" | json '["measurement"]'; }
second() { # BOOT BYTES CPUS, from tests/e2e/td_measure.py
    local kernel=vmlinux firmware
    [ "$1" = bzimage ] && kernel=bzImage
    firmware=$("$SHELTER" measure --json --tee tdx-sim --boot "$1" m | json '["firmware"]' | tr -d '"')
    python3 tests/e2e/td_measure.py "$1" "$firmware" "$base/$kernel" "$base/initramfs" "$line" "$2" \
        "$3" | python3 -c "
import json, sys
v = dict(l.split() for l in sys.stdin)
print(json.dumps({'mrtd': v['mrtd'], 'rtmr': [v['rtmr%d' % i] for i in range(4)]}))"
}

while read -r boot memory bytes cpus; do
    name="$boot $memory $cpus"
    predicted=$(predict --boot "$boot" -m "$memory" --cpus "$cpus")
    same "$name: second implementation" "$(second "$boot" "$bytes" "$cpus")" "$predicted"
    status "$name: runs" 0 "$SHELTER" run --name "i-$cpus-$boot" --tee tdx-sim --boot "$boot" \
        -m "$memory" --cpus "$cpus" m /bin/md5 /bin/md5
    same "$name: measured as predicted" "$(measured "i-$cpus-$boot")" "$predicted"
    same "$name: predicted twice" "$(predict --boot "$boot" -m "$memory" --cpus "$cpus")" "$predicted"
done <<'END'
pvh 96M 100663296 1
pvh 300M 314572800 2
pvh 3G 3221225472 4
bzimage 256M 268435456 3
END

# The launch config has a field of its own: another command, the same measurement.
status "another command" 1 "$SHELTER" run --name other --tee tdx-sim -m 96M -e A=b m /bin/md5 /none
same "another command: same measurement" "$(measured other)" "$(predict -m 96M)"

# A debug console is another machine, and so is another image.
[ "$(predict --debug)" != "$(predict)" ] && ok "debug is measured" || not_ok "debug is measured"
before=$(predict)
check "another image" "$SHELTER" build -t m -e A=1 -f tests/md5
after=$(predict)
same "another manifest moves RTMR2 and nothing else" "$(python3 -c "
import json, sys
a, b = json.loads(sys.argv[1]), json.loads(sys.argv[2])
print(a['mrtd'] == b['mrtd'], [x == y for x, y in zip(a['rtmr'], b['rtmr'])])" "$before" "$after")" \
    "True [True, True, False, True]"

# A firmware of one's own is another machine too, predicted as run.
firmware=$("$SHELTER" measure --json --tee tdx-sim m | json '["firmware"]' | tr -d '"')
{ head -c 65535 "$firmware" && printf '\376'; } >"$T/changed.rom"
changed=$(predict -m 96M --firmware "$T/changed.rom")
same "another firmware moves MRTD" "$([ "$(json '["mrtd"]' <<<"$changed")" = "$(json '["mrtd"]' <<<"$after")" ] || echo moved)" moved
cp "$firmware" "$T/same.rom"
status "run --firmware" 0 "$SHELTER" run --name own --tee tdx-sim -m 96M --firmware "$T/same.rom" m /bin/md5 /bin/md5
same "run --firmware: as predicted" "$(measured own)" "$(predict -m 96M --firmware "$T/same.rom")"
status "run --firmware of another TEE" 125 "$SHELTER" run --tee snp --firmware "$T/same.rom" m
one_line "run --firmware of another TEE: in one line" "KVM|kernel hashes"

# Errors: one line, 125.
status "unknown image" 125 "$SHELTER" measure nothing-here
one_line "unknown image: in one line" "nothing-here"
status "no firmware" 125 "$SHELTER" measure --tee snp --firmware "$T/none.fd" m
one_line "no firmware: in one line" "none.fd"
if [ -e /usr/share/ovmf/OVMF.fd ]; then
    status "firmware without hash table" 125 "$SHELTER" measure --tee tdx \
        --firmware /usr/share/seabios/bios.bin m
    one_line "firmware without hash table: in one line" "not made for TDX"
fi
head -c 65536 /dev/zero >"$T/zero.fd"
status "snp firmware without hash table" 125 "$SHELTER" measure --tee snp --firmware "$T/zero.fd" m
one_line "snp firmware without hash table: in one line" "kernel hashes"
for wrong in "-m 1x" "-m 0" "--cpus 0" "--cpus 65" "--boot efi" "--tee sgx9" "--frobnicate"; do
    status "measure $wrong" 125 "$SHELTER" measure $wrong m
    one_line "measure $wrong: in one line" "."
done
