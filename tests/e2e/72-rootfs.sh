#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the guest sees is what the tar holds: several hundred MB, 100,000 files, capabilities, hard
# links, sparse files, devices and odd names, compared by a listing with digests from inside.
. tests/e2e/lib.sh
if ! command -v mmdebstrap >/dev/null; then
    skip "root file systems: mmdebstrap is missing"
    exit 0
fi
check "a Debian root file system with Python" timeout 600 tests/ml/make-rootfs "$T/base.tar"
truncate -s 300M "$T/sparse" && printf end >>"$T/sparse"
mkdir -p "$T/extra/odd" "$T/extra/listing" && mv "$T/sparse" "$T/extra/odd/sparse"
cp tests/listing.py "$T/extra/listing/"
tar --append --sparse --file "$T/base.tar" --owner=0 --group=0 --mtime=@1 -C "$T/extra" ./odd/sparse ./listing
rm -r "$T/extra"
check "with 100,000 files and odd ones" python3 tests/odd_tar.py "$T/base.tar" "$T/root.tar" 100000
check "build it" timeout 300 "$SHELTER" build -q -t odd -r "$T/root.tar"
paths="/bin /boot /home /lib /lib64 /media /mnt /odd /opt /root /sbin /srv /usr /var /listing /app"
# A guest that emulates the CPU needs a while for 600 MB of digests.
LIMIT=560 status "list it from inside" 0 "$SHELTER" run --rm -m 2G odd /usr/bin/python3 -B /listing/listing.py / $paths
sort "$T/out" >"$T/inside"
pattern=$(echo "$paths" | sed 's/ *\//|\//g; s/^|//')
python3 tests/listing.py "$T/root.tar" | grep -E "^'($pattern)(/|' )" | sort >"$T/outside"
same "as many names as the tar has" "$(wc -l <"$T/inside")" "$(wc -l <"$T/outside")"
if cmp -s "$T/inside" "$T/outside"; then ok "every name, attribute and digest agrees"; else
    not_ok "every name, attribute and digest agrees"
    diff "$T/outside" "$T/inside" | head -n 20 | sed 's/^/#   /'
fi
