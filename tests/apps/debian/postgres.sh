# SPDX-License-Identifier: Apache-2.0
# PostgreSQL with its defaults: pgbench by 4 and 16 clients, vacuum, parallel query, a backend killed, restart, dump and restore.
bin=/usr/lib/postgresql/15/bin
as() { setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/tmp "$@"; }
sql() { as $bin/psql -h /tmp -XAtqc "$1" ${2:-postgres} 2>&1; }
up() { for i in $(seq 200); do [ "$(sql 'select 1')" = 1 ] && break; sleep 0.2; done; }
cd /tmp
mkdir /tmp/pg && chown postgres /tmp/pg && chmod 700 /tmp/pg
as $bin/initdb -D /tmp/pg -A trust >/dev/null && echo made
as $bin/pg_ctl -D /tmp/pg -l /tmp/pg/log -o '-k /tmp' -w -t 100 start >/dev/null; up
as $bin/pgbench -h /tmp -q -i -s 5 postgres >/dev/null 2>&1; echo $?
for c in "4 -t 100" "16 -t 25"; do as $bin/pgbench -h /tmp -n -j 2 -c $c postgres 2>/dev/null | grep "actually\|failed"; done
sql 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history), count(*) from pgbench_history'
sql 'vacuum analyze'; echo $?
sql 'set parallel_setup_cost = 0; set min_parallel_table_scan_size = 0; explain (analyze, costs off) select count(*) from pgbench_accounts' | grep -o "Workers Launched: [1-9]" | cut -d: -f1
sql "copy (select 1) to program 'kill -9 \$PPID'" | grep -q "terminated abnormally\|closed the connection" && echo killed
sleep 0.5; up; sql 'select count(*) from pgbench_history'
as $bin/pg_ctl -D /tmp/pg -l /tmp/pg/log -w -t 100 restart >/dev/null; echo $?; up
sql 'create database copy'
as $bin/pg_dump -h /tmp postgres | as $bin/psql -h /tmp -Xq -v ON_ERROR_STOP=1 copy >/dev/null; echo ${PIPESTATUS[*]}
sql 'select count(*) from pgbench_accounts' copy
as $bin/pg_ctl -D /tmp/pg -w -t 100 stop >/dev/null; echo $?
# prints:
# made
# 0
# number of transactions actually processed: 400/400
# number of failed transactions: 0 (0.000%)
# number of transactions actually processed: 400/400
# number of failed transactions: 0 (0.000%)
# t|800
# 0
# Workers Launched
# killed
# 800
# 0
# 0 0
# 500000
# 0
