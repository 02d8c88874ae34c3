#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# PostgreSQL as Debian ships it, all of it in one enclave: initdb, the server with its defaults, its own clients from
# outside, a backend that is killed, dump and restore, stop.
. tests/apps/lib.sh
BIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$BIN" ] && [ -x "$BIN/postgres" ] || { skip "postgres: not installed (tools/install-deps --apps)"; exit 0; }
need psql pgbench pg_dump busybox
VERSION=$(basename "$(dirname "$BIN")")
echo 'postgres:x:100:100::/data:/bin/sh' >>"$R/etc/passwd"
echo 'postgres:x:100:' >>"$R/etc/group"
for p in postgres initdb pg_ctl; do add "$BIN/$p"; done
add_all "/usr/lib/postgresql/$VERSION/lib"
add_all "/usr/share/postgresql/$VERSION"
add "$(command -v busybox)" /bin/busybox
for a in sh cat ls locale kill true; do ln -sf busybox "$R/bin/$a"; done
cat >"$R/bin/server" <<END
#!/bin/sh
set -e
[ -s /data/d/PG_VERSION ] || $BIN/initdb -D /data/d -A trust -U postgres
echo 'host all all all trust' >>/data/d/pg_hba.conf
exec $BIN/postgres -D /data/d -k /tmp -c listen_addresses='*'
END
chmod 755 "$R/bin/server"
chmod 777 "$R/data"
image postgres
MEMORY=4G RUN_OPTIONS="-u postgres" start postgres 5432 /bin/server
export PGHOST=127.0.0.1 PGPORT=$port PGUSER=postgres PGDATABASE=postgres PGCONNECT_TIMEOUT=10
sql() { timeout 60 psql -XAtq -c "$1" 2>&1; }
check "postgres: answers" until_true 60 psql -XAtqc 'select 1'
same "postgres: select" "$(sql 'select 6 * 7')" 42
bench() { # NAME OPTIONS…: pgbench without a failed transaction
    local name=$1
    shift
    timeout 120 pgbench -n "$@" >"$T/bench" 2>&1
    same "postgres: pgbench $name" "$? $(grep -c 'failed transactions: 0 ' "$T/bench")" "0 1"
    sed -n 's/^tps = \([0-9.]*\).*/#   \1 transactions a second/p' "$T/bench"
}
check "postgres: pgbench -i -s 5" timeout 120 pgbench -q -i -s 5
bench "4 clients" -c 4 -j 2 -t 100
bench "16 clients" -c 16 -j 2 -t 25
bench "read only, 1 client" -S -c 1 -t 2000
same "postgres: nothing lost" "$(sql 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history), count(*) from pgbench_history')" "t|800"
same "postgres: vacuum" "$(sql 'vacuum analyze' && echo done)" done
same "postgres: parallel query" "$(sql "set max_parallel_workers_per_gather = 2; set parallel_setup_cost = 0; set min_parallel_table_scan_size = 0; select count(*), sum(aid) from pgbench_accounts")" "500000|125000250000"
check "postgres: that was parallel" bash -c "psql -XAtqc 'set parallel_setup_cost = 0; set min_parallel_table_scan_size = 0; explain (analyze, costs off) select count(*) from pgbench_accounts' | grep -q 'Workers Launched: [1-9]'"
check "postgres: dump" bash -c "timeout 60 pg_dump -t pgbench_branches -t pgbench_tellers >'$T/dump'"
sql 'create database copy' >/dev/null
check "postgres: restore" bash -c "timeout 60 psql -Xq -v ON_ERROR_STOP=1 -d copy <'$T/dump'"
same "postgres: the copy" "$(timeout 60 psql -XAtqd copy -c 'select count(*) from pgbench_tellers')" 50
idle postgres
# A backend killed without warning: the postmaster ends all others and recovers from its log.
timeout 60 psql -XAtq -c "copy (select 1) to program 'kill -9 \$PPID'" >"$T/out" 2>&1
check "postgres: a backend killed" grep -q 'terminated abnormally\|closed the connection' "$T/out"
check "postgres: recovers" until_true 60 psql -XAtqc 'select 1'
same "postgres: nothing lost by it" "$(sql 'select count(*) from pgbench_history')" 800
finish_app postgres 0
