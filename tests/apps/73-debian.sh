#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# May take 600 s: some twenty programs of Debian, one after the other
# A whole Debian, as mmdebstrap makes it, in one enclave: each script of tests/apps/debian runs there with the
# distribution's own programs, servers with their own clients, and must print what stands behind its line "# prints:".
# The root is kept in ~/.cache/shelter; DEBIAN_ROOT=TAR gives another one, SCRIPTS chooses some. 74-debian-vm.sh is the same
# in a machine.
tee=${tee:-sgx-sim}
. tests/apps/lib.sh
packages=nginx-light,gunicorn,openssh-server,openssh-client,slapd,ldap-utils,etcd-server,etcd-client,sqlite3,lmdb-utils
packages=$packages,python3-lmdb,erlang-base,git,gnupg,gpg-agent,clevis,tang,socat,r-base-core,openjdk-17-jdk-headless
packages=$packages,postgresql-15,redis-server,redis-tools,mariadb-server,mariadb-client,python3-pykmip,openssl
packages=$packages,nodejs,golang-go,gcc,make,libc6-dev,busybox-static,tini,tmux,screen,expect,sudo,perl,ruby,php-cli,tcl,curl,procps
tar=${DEBIAN_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/shelter/debian-$(sha256sum <<<"$packages" | cut -c1-12).tar}
if [ ! -s "$tar" ]; then
    need mmdebstrap
    mkdir -p "$(dirname "$tar")"
    timeout 900 mmdebstrap -q --variant=minbase --aptopt='APT::Install-Recommends "false"' --include="$packages" bookworm "$T/debian.tar" \
        >"$T/err" 2>&1 && mv "$T/debian.tar" "$tar" || { skip "debian: its packages cannot be had: $(tail -n 1 "$T/err")"; exit 0; }
fi
[ "$tee" = sgx-sim ] || SHELTER_BASE=$ROOT/build/base
LIMIT=600 status "debian: build" 0 "$SHELTER" build -q -t debian -r "$tar"
for script in ${SCRIPTS:-tests/apps/debian/*.sh}; do
    name="$(basename "$script" .sh), $tee"
    timeout -k 5 "${each:-240}" "$SHELTER" run --rm --tee "$tee" -m 4G -e PATH=/usr/sbin:/usr/bin:/sbin:/bin -e HOME=/root debian \
        /bin/bash -c "$(cat "$script")" </dev/null >"$T/got" 2>"$T/err"
    sed '1,/^# prints:/d; s/^# \?//' "$script" >"$T/want"
    if diff -a "$T/want" "$T/got" >"$T/diff"; then ok "debian: $name"; else
        not_ok "debian: $name"
        head -n 20 "$T/diff" | sed 's/^/#   /'
        tail -n 5 "$T/err" | sed 's/^/#   /'
    fi
done
