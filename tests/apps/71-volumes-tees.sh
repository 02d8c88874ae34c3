#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Databases on one volume, by turns in the enclave and in the VM, killed with SIGKILL at work (loader, QEMU): the other
# TEE finds what was acknowledged, and the database's own check finds nothing. Then closed in order, and looked at again.
# May take 2400 s: seven databases, five turns each, on a machine that may have other work.
. tests/apps/lib.sh
LIMIT=240
[ -f build/base/vmlinux ] && [ -f build/base/initramfs ] || { skip "apps: volumes in both TEEs: no guest kernel (make tools)"; exit 0; }
need busybox qemu-system-x86_64
cp build/base/* "$T/base/"
PG=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
export SHELTER_BROKER=$T/broker
simulated_broker 3000
head -c 32 /dev/urandom >"$T/key"
"$SHELTER" broker add-resource volumes/key/data "$T/key" --image any

add "$(command -v busybox)" /bin/busybox
for a in $(busybox --list); do [ -e "$R/bin/$a" ] || ln -s busybox "$R/bin/$a"; done
mkdir -p "$R/var/run/slapd" "$R/var/lib"
printf 'postgres:x:100:100::/data:/bin/sh\n' >>"$R/etc/passwd"
printf 'postgres:x:100:\n' >>"$R/etc/group"
add_dns

# Each database is a script in the image, with four parts: check (nobody serves; its own tool looks), serve, up (does it
# answer), write COUNT (lines with a number each, when its transaction is acknowledged; the first is what is there).
databases=()
database() { # NAME, the script on stdin
    databases+=("$1")
    { printf '#!/bin/sh\nexport PATH=/bin:/usr/bin:/usr/sbin HOME=/tmp\nD=/data/%s\n' "$1"; cat; printf '"$@"\n'; } >"$R/bin/db-$1"
    chmod 755 "$R/bin/db-$1"
}
missing() { skip "apps: volumes in both TEEs: $1 is not installed (tools/install-deps --apps)"; }
have() { command -v "$@" >/dev/null; }

if have redis-server && have redis-cli; then
    for p in redis-server redis-cli redis-check-aof; do add "$(readlink -f "$(command -v $p)")" /usr/bin/$p; done
    database redis <<'END'
check() { [ ! -d $D/appendonlydir ] || redis-check-aof $D/appendonlydir/appendonly.aof.manifest; }
serve() { mkdir -p $D && exec redis-server --dir $D --appendonly yes --appendfsync always --save ''; }
up() { redis-cli ping | grep -q PONG; }
write() { { echo 'incrby n 0'; yes 'incr n' | head -n $1; } | redis-cli; }
END
else missing redis; fi

if have sqlite3; then
    add "$(command -v sqlite3)" /usr/bin/sqlite3
    for mode in wal delete; do # the end of a rollback journal is synced by EXTRA alone (SQLite's manual)
        [ $mode = delete ] && sync=extra || sync=full
        database sqlite-$mode <<END
check() { [ ! -e \$D/db ] || [ "\$(sqlite3 \$D/db 'pragma integrity_check')" = ok ]; }
serve() { mkdir -p \$D && sqlite3 \$D/db 'create table if not exists t (n integer primary key)' && touch /tmp/up; }
up() { [ -e /tmp/up ]; }
write() { # in two statements: what RETURNING says comes before the commit
    { echo 'select coalesce(max(n), 0) from t;'
      yes 'insert into t select coalesce(max(n), 0) + 1 from t; select max(n) from t;' | head -n \$1; } |
        sqlite3 -interactive -cmd 'pragma journal_mode=$mode' -cmd 'pragma synchronous=$sync' \$D/db
}
END
    done
else missing sqlite3; fi

if [ -n "$PG" ] && have psql; then
    for p in postgres initdb pg_amcheck; do add "$PG/$p"; done
    add "${PG}/psql"
    add_all "${PG%/bin}/lib"
    add_all "/usr/share/postgresql/$(basename "${PG%/bin}")"
    rm -rf "$R${PG%/bin}/lib/bitcode" "$R${PG%/bin}/lib/pgxs"
    database postgres <<END
B=$PG
check() { :; } # by a server: pg_amcheck, in write
serve() {
    mkdir -p \$D && chown postgres \$D
    [ -e /data/pg.made ] || { su postgres -c "\$B/initdb -D \$D -A trust -U postgres" && touch /data/pg.made && sync; } || exit 1
    exec su postgres -c "exec \$B/postgres -D \$D -k /tmp -c listen_addresses="
}
p() { \$B/psql -XAtq -h /tmp -U postgres "\$@"; }
up() { p -c 'create table if not exists t (n int primary key, x text)'; }
write() {
    \$B/pg_amcheck -h /tmp -U postgres --install-missing --heapallindexed --parent-check postgres || echo "bad: pg_amcheck"
    { echo 'select coalesce(max(n), 0) from t;'
      yes "insert into t select coalesce(max(n), 0) + 1, repeat('x', 500) from t returning n;" | head -n \$1; } | p
}
END
else missing postgresql; fi

if have etcd && have etcdctl; then
    add "$(command -v etcd)" /usr/bin/etcd
    add "$(command -v etcdctl)" /usr/bin/etcdctl
    database etcd <<'END'
export ETCDCTL_API=3
check() { :; } # by a server: a snapshot's sums, in write
serve() { exec etcd --data-dir $D --log-level error; }
up() { etcdctl endpoint health; }
write() {
    n=$(etcdctl get n --print-value-only)
    rm -rf /tmp/s /tmp/r
    { etcdctl snapshot save /tmp/s && etcdctl snapshot restore /tmp/s --data-dir /tmp/r; } >/tmp/check 2>&1 || echo "bad: the snapshot"
    n=${n:-0}
    echo $n
    for i in $(seq $1); do etcdctl put n $((n + i)) | grep -q OK && echo $((n + i)); done
}
END
else missing etcd; fi

if [ -x /usr/sbin/mariadbd ] && have mariadb && have mariadb-check; then
    add /usr/sbin/mariadbd
    add_all /usr/share/mysql
    rm -rf "$R/usr/share/mysql/mysql-test"
    [ ! -d /usr/lib/mysql/plugin ] || add_all /usr/lib/mysql/plugin
    for p in mariadb mariadb-check mariadb-install-db my_print_defaults resolveip; do
        [ ! -e /usr/bin/$p ] || add "$(readlink -f /usr/bin/$p)" /usr/bin/$p
    done
    database mariadb <<'END'
check() { :; } # by a server: mariadb-check, in write
serve() {
    [ -e /data/mariadb.made ] || { rm -rf $D && mariadb-install-db --user=root --auth-root-authentication-method=normal --datadir=$D --skip-test-db &&
        touch /data/mariadb.made && sync; } || exit 1
    exec mariadbd --user=root --datadir=$D --socket=/tmp/s.sock --pid-file=/tmp/pid --skip-networking
}
m() { mariadb -S /tmp/s.sock -u root -N -B --unbuffered "$@"; }
up() { m -e 'create database if not exists d; create table if not exists d.t (n int primary key, x text) engine=innodb'; }
write() {
    mariadb-check -S /tmp/s.sock -u root --extended --silent --databases d mysql >/tmp/check 2>&1 || echo "bad: mariadb-check"
    grep -iE '^(error|warning|status)' /tmp/check >/tmp/found && echo "bad: $(head -n 3 /tmp/found)"
    { echo 'select coalesce(max(n), 0) from t;'
      yes "insert into t select coalesce(max(n), 0) + 1, repeat('x', 500) from t; select max(n) from t;" | head -n $1; } | m d
}
END
else missing mariadb; fi

if have slapd && have slapcat && have ldapadd; then
    add "$(command -v slapd)" /usr/sbin/slapd
    ln -sf slapd "$R/usr/sbin/slapcat"
    for p in ldapadd ldapsearch; do add "$(readlink -f "$(command -v $p)")" /usr/bin/$p; done
    cp -r /etc/ldap "$R/etc/"
    for f in /usr/lib/ldap/back_mdb*.so*; do [ -e "$f" ] && add "$f"; done
    cat >"$R/etc/slapd.conf" <<'END'
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile /tmp/slapd.pid
database mdb
maxsize 67108864
suffix "dc=test"
rootdn "cn=admin,dc=test"
rootpw secret
index cn eq
directory /data/slapd
END
    database slapd <<'END'
H="-x -H ldap://127.0.0.1:3890"
check() {
    [ -e $D/data.mdb ] || return 0
    slapcat -f /etc/slapd.conf >/tmp/all 2>/tmp/log || { cat /tmp/log; return 1; }
    [ "$(grep -c '^dn: cn=p' /tmp/all)" = "$({ echo 0; sed -n 's/^sn: s//p' /tmp/all; } | sort -n | tail -n 1)" ]
}
serve() { mkdir -p $D && exec slapd -d 0 -f /etc/slapd.conf -h ldap://127.0.0.1:3890; }
put() { ldapadd $H -D cn=admin,dc=test -w secret >/tmp/log 2>&1; }
up() {
    ldapsearch $H -LLL -b dc=test -s base 2>/dev/null | grep -q dc=test && return
    printf 'dn: dc=test\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: test\n\n' | put
}
write() {
    n=$({ echo 0; ldapsearch $H -LLL -z none -b dc=test '(objectClass=person)' sn | sed -n 's/^sn: s//p'; } | sort -n | tail -n 1)
    echo $n
    for i in $(seq $1); do
        k=$((n + i))
        printf 'dn: cn=p%d,dc=test\nobjectClass: person\ncn: p%d\nsn: s%d\n\n' $k $k $k | put && echo $k
    done
}
END
else missing slapd; fi

# One round of one database: looked at, served, written to; then ended in order, or killed meanwhile.
cat >"$R/bin/round" <<'END'
#!/bin/sh
db=/bin/db-$1
$db check >/tmp/check 2>&1 || { echo "bad: its check"; cat /tmp/check; exit 1; }
echo checked
rm -f /tmp/up
$db serve >/tmp/$1.log 2>&1 &
server=$!
i=0
until $db up >/dev/null 2>&1; do
    i=$((i + 1))
    [ $i -lt 400 ] || { echo "bad: it does not answer"; tail -n 5 /tmp/$1.log; exit 1; }
    sleep 0.1
done
$db write $2 2>/tmp/write.log || { tail -n 3 /tmp/write.log; echo "bad: it cannot write"; }
kill $server 2>/dev/null
wait $server
sync
echo done
END
chmod 755 "$R/bin/round"
tar -C "$R" --owner=0 --group=0 -cf "$T/root.tar" .
check "image" "$SHELTER" build -q -t databases -r "$T/root.tar" -c "/bin/sh" --broker-key "$T/key.pem" \
    --volume data:/data:key=kbs:///volumes/key/data:size=2G
check "reference" "$SHELTER" broker add-reference databases

numbers() { grep -aE "^(sqlite> )*[0-9]+\$" "$1" | grep -oE "[0-9]+\$"; } # SQLite talks between
at_work() { test "$(numbers "$T/out" | wc -l)" -gt "$1" || ! kill -0 "$2"; }
# turn TEE DATABASE COUNT [LEFT]: a round; killed when LEFT transactions are acknowledged.
turn() {
    local tee=$1 db=$2 count=$3 left=${4:-} runner victim
    rm -f "$T/out"
    echo "exec /bin/round $db $count" | timeout "$LIMIT" "$SHELTER" run --rm --tee "$tee" -m 2G -i "$url" \
        -v "data:$T/disk" databases >"$T/out" 2>"$T/err" &
    runner=$!
    if [ -n "$left" ]; then
        until_true "$LIMIT" at_work "$left" $runner
        victim=$(who_has "$T/disk")
        [ -z "$victim" ] || kill -9 "$victim"
    fi
    wait $runner
    until_true 30 flock -n "$T/disk" true
}
for db in ${ONLY:-"${databases[@]}"}; do
    told=0
    for step in sgx-sim:kill tdx-sim:kill sgx-sim:kill tdx-sim:end sgx-sim:end; do
        tee=${step%:*}
        if [ "${step#*:}" = kill ]; then turn "$tee" "$db" 100000 $((12 + RANDOM % 20)); else turn "$tee" "$db" 5; fi
        found=$(numbers "$T/out" | head -n 1)
        if grep -aq '^bad' "$T/out" || ! grep -aq '^checked' "$T/out" || [ "${found:--1}" -lt "$told" ]; then
            not_ok "$db, $step: ${found:-nothing} found, $told were acknowledged"
            { tail -n 12 "$T/out"; tail -n 3 "$T/err"; } | sed 's/^/#   /'
            continue
        fi
        ok "$db, $step: $found found, $told were acknowledged, its own check is content"
        told=$(numbers "$T/out" | tail -n 1)
        [ "${step#*:}" = kill ] || same "$db, $step: ended in order" "$(tail -n 1 "$T/out")" "done"
    done
    check "$db: wrote ($told)" test "$told" -gt 40
done
status "the volume fits together" 0 "$SHELTER" volume check "$T/disk" --key "$T/key"
