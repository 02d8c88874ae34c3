#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# slapd: reads of a database that was made outside.
. tests/apps/lib.sh
need slapd slapadd ldapsearch
add "$(command -v slapd)" /usr/sbin/slapd
cp -r /etc/ldap "$R/etc/"
mkdir -p "$R/usr/lib/ldap" "$R/var/lib/ldap" "$R/var/run/slapd"
for f in /usr/lib/ldap/back_mdb*.so* /usr/lib/ldap/back_ldif*.so*; do [ -e "$f" ] && add "$f"; done
conf() { # DIRECTORY of the database
    cat <<END
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile /tmp/slapd.pid
database mdb
maxsize 16777216
suffix "dc=test"
rootdn "cn=admin,dc=test"
directory $1
END
}
conf "$R/var/lib/ldap" >"$T/slapd.conf"
conf /var/lib/ldap >"$R/etc/slapd.conf"
{
    printf 'dn: dc=test\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: test\n\n'
    for i in $(seq 500); do printf 'dn: cn=p%d,dc=test\nobjectClass: person\ncn: p%d\nsn: s%d\n\n' $i $i $i; done
} | slapadd -f "$T/slapd.conf" >"$T/err" 2>&1
image slapd
start slapd 3890 /usr/sbin/slapd -d 0 -f /etc/slapd.conf -h ldap://0.0.0.0:3890
search() { ldapsearch -x -LLL -H "ldap://127.0.0.1:$port" -b dc=test "$@" 2>&1; }
check "slapd: answers" until_true 20 bash -c "ldapsearch -x -LLL -H ldap://127.0.0.1:$port -b dc=test -s base | grep -q 'dn: dc=test'"
same "slapd: one entry" "$(search '(cn=p77)' sn | grep sn:)" "sn: s77"
same "slapd: all entries" "$(search -z none '(objectClass=person)' dn | grep -c '^dn:')" 500
same "slapd: forty at once" "$(for i in $(seq 40); do search "(cn=p$i)" sn & done | grep -c '^sn:'; wait)" 40
idle slapd
finish_app slapd 0
