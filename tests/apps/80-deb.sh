#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Debian packages: built from what is checked in, judged by lintian, unpacked elsewhere, where they work; installed in
# a Debian 12 of their own (SUITE=trixie: 13), used there, and purged.
# May take 1500 s: it compiles all of Shelter once more.
. tests/e2e/lib.sh
LIMIT=60
for p in dpkg-buildpackage dh lintian; do
    command -v $p >/dev/null || { skip "deb: no $p (tools/install-deps --apps)"; exit 0; }
done
git rev-parse HEAD >/dev/null 2>&1 || { skip "deb: no git checkout"; exit 0; }
[ -f build/base/vmlinux ] || { skip "deb: no kernel in the cache (make)"; exit 0; }
if timeout 900 packaging/deb "$T/deb" >"$T/list" 2>"$T/err"; then
    ok "the packages are built"
else
    not_ok "the packages are built: $(tail -n 3 "$T/err")"
    exit 0
fi
version=$(cat VERSION)
for p in shelter shelter-kernel shelter-runtime shelter-broker libshelter-verify1 libshelter-verify-dev; do
    check "package $p" [ -s "$T/deb/${p}_${version}_amd64.deb" ]
    dpkg-deb -x "$T/deb/${p}_${version}_amd64.deb" "$T/root"
done
lintian --tag-display-limit 0 --fail-on error,warning "$T"/deb/*.deb >"$T/lintian" 2>&1
same "lintian: errors and warnings" "$(grep -E '^[EW]:' "$T/lintian")" ""
declare -A of
while read -r deb; do
    while read -r file; do
        [ -z "${of[$file]:-}" ] || not_ok "$file is in two packages"
        of[$file]=$deb
    done < <(dpkg-deb -c "$deb" | awk '$1 !~ /^d/ { print $6 }')
done <"$T/list"
check "files of all packages ($(printf '%s\n' "${!of[@]}" | wc -l))" [ "${#of[@]}" -gt 40 ]
same "nothing in /usr/local" "$(printf '%s\n' "${!of[@]}" | grep -c '^./usr/local')" 0
libraries=$(dpkg-deb -f "$T/deb/shelter_${version}_amd64.deb" Depends)
check "shelter depends on its libraries" grep -q 'libarchive13.*libcjson1.*libmicrohttpd12' <<<"$libraries"

# As installed: its own loader, base files and library, nothing of the source tree.
installed=(env -C / -u SHELTER_BASE "LD_LIBRARY_PATH=$T/root/usr/lib/x86_64-linux-gnu")
same "version" "$("${installed[@]}" "$T/root/usr/bin/shelter" version | grep -c "$version")" 1
check "build" "${installed[@]}" "$T/root/usr/bin/shelter" build -q -t deb -f /bin/true
status "run in an enclave" 0 "${installed[@]}" "$T/root/usr/bin/shelter" run --rm --tee sgx-sim deb /bin/true </dev/null
check "the enclave is what the tree measures" cmp "$T/root/usr/lib/shelter/base/enclave" build/base/enclave
check "so is the kernel" cmp "$T/root/usr/lib/shelter/base/vmlinux" build/base/vmlinux
check "the runtime" sh -c "'$T/root/usr/bin/shelter-runtime' --version | grep -q '^shelter-runtime version $version'"
cat >"$T/c.c" <<'C'
#include <shelter/verify.h>
#include <stdio.h>
int main(void)
{
    return puts(shelter_reason_code(SHELTER_R_OK)) < 0;
}
C
flags=$(PKG_CONFIG_SYSROOT_DIR=$T/root PKG_CONFIG_LIBDIR=$T/root/usr/lib/x86_64-linux-gnu/pkgconfig pkg-config --cflags --libs shelter-verify)
# shellcheck disable=SC2086
check "the library: a program is built with pkg-config" gcc -o "$T/c" "$T/c.c" $flags
same "and runs" "$("${installed[@]}" "$T/c")" "ok"

# What tells others of it, read by others' readers.
check "containerd's configuration is TOML" python3 -c "
import tomllib
c = tomllib.load(open('$T/root/usr/share/doc/shelter-runtime/examples/containerd.toml', 'rb'))
assert c['plugins']['io.containerd.grpc.v1.cri']['containerd']['runtimes']['shelter']['options']['BinaryName'] == '/usr/bin/shelter-runtime'"
check "CRI-O's too" python3 -c "
import tomllib
c = tomllib.load(open('$T/root/etc/crio/crio.conf.d/50-shelter.conf', 'rb'))
assert c['crio']['runtime']['runtimes']['shelter']['runtime_path'] == '/usr/bin/shelter-runtime'"
if command -v podman >/dev/null; then
    # podman looks whether the program is there: here it is where it was unpacked.
    sed "s|/usr/bin/|$T/root/usr/bin/|" "$T/root/usr/share/containers/containers.conf.d/shelter.conf" >"$T/podman.conf"
    same "podman reads its own" "$(CONTAINERS_CONF=$T/podman.conf podman --log-level error info \
        --format '{{.Host.OCIRuntime.Name}}' --runtime shelter 2>&1 | grep -v level=)" "shelter"
fi
if command -v systemd-analyze >/dev/null; then
    unit=$T/shelter-broker.service
    sed "s|=shelter |=$T/root/usr/bin/shelter |" "$T/root/lib/systemd/system/shelter-broker.service" >"$unit"
    same "systemd reads the broker's unit" "$(systemd-analyze verify --man=no --recursive-errors=no "$unit" 2>&1 | grep -F shelter-broker.service)" ""
    check "and finds it confined" systemd-analyze security --offline=true --threshold=20 "$unit"
fi

# In a fresh Debian, by its own apt.
cat >"$T/inside" <<'END'
apt-get update -q >/debs/log 2>&1
apt-get install -y -q --no-install-recommends /debs/*.deb >/debs/log 2>&1 && echo installed || tail -n 3 /debs/log
getent passwd _shelter-broker | cut -d: -f1,7
shelter build -q -t deb -f /bin/true >/debs/log 2>&1 && shelter run --rm --tee sgx-sim deb /bin/true >>/debs/log 2>&1 </dev/null && echo ran || tail -n 3 /debs/log
shelter-runtime --version | head -n 1
test -s /etc/crio/crio.conf.d/50-shelter.conf && echo crio
apt-get purge -y -q $(dpkg-query -W -f '${Package} ' '*shelter*') >/debs/log 2>&1 && echo purged || tail -n 3 /debs/log
rm -rf /var/lib/shelter # what images root built
find / -xdev -iname '*shelter*' -not -path '/debs/*' -not -path '/tmp/*'
END
mkdir -p "$T/debs" && cp "$T"/deb/*.deb "$T/debs/"
suite=${SUITE:-bookworm}
if [ "$(id -u)" -ne 0 ] || ! command -v mmdebstrap >/dev/null; then
    skip "installed: needs root and mmdebstrap"
elif ! timeout 600 mmdebstrap -q --variant=minbase "$suite" "$T/debian.tar" >"$T/err" 2>&1; then
    skip "installed: no $suite to be had here: $(tail -n 1 "$T/err")"
else
    mkdir "$T/debian" && tar -C "$T/debian" --exclude './dev/*' -xf "$T/debian.tar" && mv "$T/debs" "$T/inside" "$T/debian/"
    printf '#!/bin/sh\nexit 101\n' >"$T/debian/usr/sbin/policy-rc.d" && chmod +x "$T/debian/usr/sbin/policy-rc.d"
    cp /etc/resolv.conf "$T/debian/etc/"
    LIMIT=400 status "$suite: a Debian of its own" 0 unshare -m -p -f sh -c "mount -t proc proc '$T/debian/proc' && mount --rbind /dev '$T/debian/dev' &&
        exec chroot '$T/debian' env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive sh /inside"
    same "... installs, runs and purges them, and nothing is left" "$(tr '\n' ' ' <"$T/out")" \
        "installed _shelter-broker:/usr/sbin/nologin ran shelter-runtime version $version crio purged "
fi
