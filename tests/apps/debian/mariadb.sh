# SPDX-License-Identifier: Apache-2.0
# MariaDB with its defaults: tables, transactions by several clients, kill -9, recovery.
rm -rf /var/lib/mysql; mkdir -p /var/lib/mysql /run/mysqld; chown mysql /var/lib/mysql /run/mysqld
mariadb-install-db --user=mysql --skip-test-db >/dev/null 2>&1; echo $?
up() { mariadbd --user=mysql >/tmp/log 2>&1 & s=$!; for i in $(seq 300); do mariadb -e 'select 1' >/dev/null 2>&1 && break; sleep 0.2; done; }
up
mariadb -e 'create database d; create table d.t (i int auto_increment primary key, who int, x char(20)) engine=innodb'
for c in 1 2 3 4; do
    (for i in $(seq 25); do echo "start transaction; insert into t (who, x) values ($c, 'row'), ($c, 'row'); commit;"; done | mariadb d) &
    p="$p $!"
done
wait $p
mariadb -N d -e 'select count(*), count(distinct who) from t'
kill -9 $s; wait $s 2>/dev/null
up
mariadb -N d -e 'select count(*), sum(who) from t; check table t'
mariadb-admin shutdown; wait $s; echo $?
# prints:
# 0
# 200	4
# 200	500
# d.t	check	status	OK
# 0
