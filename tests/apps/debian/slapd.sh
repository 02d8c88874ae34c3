# SPDX-License-Identifier: Apache-2.0
# slapd on mdb: ldapadd, ldapsearch, another process reads its database, a restart.
mkdir -p /tmp/ld /run/slapd
printf 'include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile /tmp/pid\ndatabase mdb\nmaxsize 1073741824\nsuffix "dc=test"\nrootdn "cn=admin,dc=test"\nrootpw secret\ndirectory /tmp/ld\n' >/tmp/conf
url=ldap://127.0.0.1:3890
up() { slapd -f /tmp/conf -h $url; for _ in $(seq 50); do ldapsearch -x -H $url -b '' -s base >/dev/null 2>&1 && break; sleep 0.1; done; }
up
{ printf 'dn: dc=test\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: test\n\n'
  for i in $(seq 200); do printf 'dn: cn=p%d,dc=test\nobjectClass: person\ncn: p%d\nsn: s%d\n\n' $i $i $i; done
} | ldapadd -x -D cn=admin,dc=test -w secret -H $url >/dev/null; echo $?
ldapsearch -x -LLL -H $url -b dc=test '(objectClass=person)' dn | grep -c ^dn
slapcat -f /tmp/conf 2>/dev/null | grep -c ^dn
p=$(cat /tmp/pid); kill "$p"; for _ in $(seq 100); do kill -0 "$p" 2>/dev/null || break; sleep 0.1; done
up; ldapsearch -x -LLL -H $url -b dc=test '(cn=p77)' sn | grep sn:; kill "$(cat /tmp/pid)"
# prints:
# 0
# 200
# 201
# sn: s77
