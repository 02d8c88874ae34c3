#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# MariaDB as Debian ships it, with its defaults: mariadb-install-db, the server, Debian's clients from outside, stop.
. tests/apps/lib.sh
need mariadb mariadb-dump busybox
SERVER=/usr/sbin/mariadbd
[ -x $SERVER ] || { skip "apps: MariaDB is not installed (tools/install-deps --apps)"; exit 0; }
echo 'mysql:x:101:101::/data:/bin/sh' >>"$R/etc/passwd"
echo 'mysql:x:101:' >>"$R/etc/group"
add $SERVER
add_all /usr/share/mysql
rm -rf "$R/usr/share/mysql/mysql-test"
[ ! -d /usr/lib/mysql/plugin ] || add_all /usr/lib/mysql/plugin
for p in /usr/bin/mariadb-install-db /usr/bin/my_print_defaults /usr/bin/resolveip; do [ ! -e $p ] || add $p; done
add "$(command -v busybox)" /bin/busybox
for a in sh cat ls sed chown chmod mkdir basename dirname uname hostname id tr expr tail head cut grep true rm; do ln -sf busybox "$R/bin/$a"; done
# The server has its own defaults: no file sets any. A user who may come from outside is made at the start.
cat >"$R/bin/server" <<END
#!/bin/sh
set -e
[ -d /data/d/mysql ] || mariadb-install-db --auth-root-authentication-method=normal --datadir=/data/d RESERVE --skip-test-db >/data/install 2>&1 ||
    { cat /data/install; exit 1; }
printf '%s\n' "create database if not exists t;" "create user if not exists 'u'@'%' identified by 'secret';" "grant all on *.* to 'u'@'%';" >/data/init
exec $SERVER RESERVE --datadir=/data/d --socket=/tmp/s --pid-file=/tmp/p --init-file=/data/init
END
chmod 755 "$R/bin/server"
chmod 777 "$R/data"
# Its default is to reserve 8 TiB of addresses; an enclave that is smaller cannot, and its server is told so.
reserve=
bits=$(sed -n 's/^#define SH_ENCLAVE_SIZE (1ull << \([0-9]*\)).*/\1/p' include/shelter/enclave.h)
if [ "${bits:-0}" -lt 44 ]; then
    skip "mariadb: its default reservation of 8 TiB: the enclave has 2^$bits bytes of addresses"
    reserve=--innodb-buffer-pool-size-max=1G
fi
sed -i "s/RESERVE/$reserve/g" "$R/bin/server"
image mariadb
MEMORY=4G RUN_OPTIONS="-u mysql -e PATH=/bin:/usr/bin:/usr/sbin" start mariadb 3306 /bin/server
sql() { timeout 60 mariadb --protocol=tcp -h 127.0.0.1 -P "$port" -u u -psecret -N -B t -e "$1" 2>&1; }
check "mariadb: answers" until_true 90 mariadb --protocol=tcp -h 127.0.0.1 -P "$port" -u u -psecret -e 'select 1' t
same "mariadb: select" "$(sql 'select 6 * 7')" 42
same "mariadb: as careful as by default" "$(sql 'select @@innodb_flush_log_at_trx_commit, @@innodb_doublewrite')" "1	1"
same "mariadb: tables" "$(sql 'create table a (id int primary key auto_increment, who int, t varchar(100)) engine=innodb; create table m (x int) engine=aria; insert into m values (1), (2); select sum(x) from m')" 3
writer() { # NUMBER
    for i in $(seq 50); do echo "start transaction; insert into a (who, t) values ($1, repeat('x', 90)), ($1, 'y'); commit;"; done |
        timeout 60 mariadb --protocol=tcp -h 127.0.0.1 -P "$port" -u u -psecret t
}
writers=()
for k in 1 2 3 4 5 6 7 8; do writer $k >"$T/writer.$k" 2>&1 & writers+=($!); done
wait "${writers[@]}"
same "mariadb: eight clients, 400 transactions" "$(sql 'select count(*), count(distinct who), sum(length(t)) from a')" "800	8	36400"
same "mariadb: a row of 4 MB" "$(sql "create table b (x longblob); insert into b values (repeat('z', 4000000)); select length(x), md5(x) = md5(repeat('z', 4000000)) from b")" "4000000	1"
same "mariadb: rollback" "$(sql 'start transaction; delete from a; rollback; select count(*) from a')" 800
check "mariadb: dump" bash -c "timeout 60 mariadb-dump --protocol=tcp -h 127.0.0.1 -P $port -u u -psecret t a >'$T/dump'"
sql 'create database c' >/dev/null
check "mariadb: restore" bash -c "timeout 60 mariadb --protocol=tcp -h 127.0.0.1 -P $port -u u -psecret c <'$T/dump'"
same "mariadb: the copy" "$(sql 'select count(*) from c.a')" 800
idle mariadb
finish_app mariadb 0
