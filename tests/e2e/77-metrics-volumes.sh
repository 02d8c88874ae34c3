#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a monitor sees of a volume, in both TEEs: the state on the disk, what the broker has of it, and when it is away.
. tests/e2e/lib.sh
LIMIT=120
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "metrics of volumes: not built (make)"; exit 0; }
command -v qemu-system-x86_64 >/dev/null && [ -f build/base/vmlinux ] && [ -f build/base/initramfs ] && both="sgx-sim tdx-sim"
. tests/e2e/freshness.sh
build() { # TAG [OPTION…]
    local tag=$1
    shift
    "$SHELTER" build -q -t "$tag" --broker-key "$T/key.pem" --volume "data:/data:key=kbs:///volumes/key/session:size=64M:away=60" \
        -f "$T/storage" -c "/bin/storage append /data 1000000" "$@" >/dev/null && "$SHELTER" broker add-reference "$tag"
}
check "image: with stats" build open --allow stats
check "image: without" build shut
value() { # METRIC INSTANCE: of its volume "data"
    "$SHELTER" metrics 2>/dev/null | sed -n "s/^shelter_instance_volume_$1{instance=\"$2\",.*volume=\"data\"} //p"
}
above() { [ "$(value "$1" "$2")" -gt "$3" ] 2>/dev/null; }
is() { [ "$(value "$1" "$2")" = "$3" ]; }
behind() { # more is on the disk than the broker has
    above sequence "$1" "$(value acknowledged_sequence "$1")" || above log_blocks "$1" "$(value acknowledged_log_blocks "$1")"
}
for tee in ${both:-sgx-sim}; do
    I=open.$tee
    check "$tee: run" "$SHELTER" run -d --rm --tee "$tee" -m 256M -i "$url" --name "$I" -v "data:$T/disk" open
    check "$tee: the root record on the disk" until_true 60 above sequence "$I" 0
    check "... the broker has one too" until_true 30 above acknowledged_sequence "$I" 0
    check "... it is near" is away "$I" 0
    check "... there is room, and less than the volume" sh -c "[ $(value free_bytes "$I") -gt 1000000 ] && [ $(value free_bytes "$I") -lt $((64 << 20)) ]"
    stop_broker
    check "... it is away" until_true 20 is away "$I" 1
    check "... silent for so long" until_true 30 above silent_ms "$I" 3000
    check "... behind the disk" until_true 30 behind "$I"
    same "... not lost" "$(value lost "$I")" 0
    serve
    check "... near again" until_true 60 is away "$I" 0
    check "$tee: ends" "$SHELTER" kill "$I"
    until_true 30 flock -n "$T/disk" true
done
check "without stats: run" "$SHELTER" run -d --rm --tee sgx-sim -m 256M -i "$url" --name shut -v "data:$T/disk" shut
check "... what its file takes" until_true 30 above bytes shut 0
same "... and nothing of the inside" "$("$SHELTER" metrics | grep '"shut"' | grep -E 'volume_(sequence|pending|free|ack|silent|away|lost)')" ""
check "... ends" "$SHELTER" kill shut
