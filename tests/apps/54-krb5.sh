#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# krb5kdc: a ticket by kinit over UDP and TCP, from a database that was made outside.
. tests/apps/lib.sh
need krb5kdc kinit klist kdb5_util kadmin.local
add "$(command -v krb5kdc)" /usr/sbin/krb5kdc
mkdir -p "$R/data/kdc" "$R/usr/lib/x86_64-linux-gnu/krb5/plugins/kdb" "$R/var/lib/krb5kdc"
for f in /usr/lib/x86_64-linux-gnu/krb5/plugins/kdb/*.so; do add "$f"; done
for f in /usr/lib/x86_64-linux-gnu/libverto-*.so.1; do [ -e "$f" ] && add "$f" "${f#/usr}"; done # beside libverto
conf() { # DATABASE KDC-ADDRESS
    printf '[libdefaults]\ndefault_realm = TEST\ndns_lookup_kdc = false\n[realms]\nTEST = {\n kdc = %s\n}\n' "$2"
}
kdc() { # FOLDER
    printf '[kdcdefaults]\nkdc_ports = 8888\nkdc_tcp_ports = 8888\n[realms]\nTEST = {\n database_name = %s/principal\n key_stash_file = %s/stash\n acl_file = /dev/null\n}\n' "$1" "$1"
}
conf "" 127.0.0.1 >"$T/krb5.conf"
kdc "$R/data/kdc" >"$T/kdc.conf"
export KRB5_CONFIG=$T/krb5.conf KRB5_KDC_PROFILE=$T/kdc.conf
kdb5_util create -r TEST -s -P master >"$T/err" 2>&1
kadmin.local -q 'addprinc -pw secret alice' >>"$T/err" 2>&1
conf "" 127.0.0.1 >"$R/etc/krb5.conf"
printf '[logging]\nkdc = STDERR\n' >>"$R/etc/krb5.conf"
kdc /data/kdc >"$R/etc/kdc.conf"
add_dns
image krb5
RUN_OPTIONS="-e KRB5_CONFIG=/etc/krb5.conf -e KRB5_KDC_PROFILE=/etc/kdc.conf" \
    start krb5 8888/udp,8888 /usr/sbin/krb5kdc -n -P /tmp/kdc.pid
conf "" "127.0.0.1:${ports[0]}" >"$T/krb5.conf"
export KRB5CCNAME=FILE:$T/tickets
check "krb5: a ticket over UDP" until_true 20 bash -c 'echo secret | timeout 5 kinit alice'
check "krb5: it is one" bash -c 'klist | grep -q krbtgt/TEST@TEST'
check "krb5: a wrong password gets none" bash -c '! echo wrong | timeout 10 kinit alice'
kdestroy -q 2>/dev/null
printf '[libdefaults]\ndefault_realm = TEST\nudp_preference_limit = 1\n[realms]\nTEST = {\n kdc = 127.0.0.1:%s\n}\n' "${ports[1]}" >"$T/krb5.conf"
check "krb5: a ticket over TCP" bash -c 'echo secret | timeout 10 kinit alice && klist | grep -q krbtgt'
idle krb5
finish_app krb5 0
