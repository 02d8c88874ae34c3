#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Redis as it comes: its children write the database while the parent takes requests.
. tests/apps/lib.sh
need redis-server redis-cli redis-benchmark
add "$(command -v redis-server)" /bin/redis-server
chmod 777 "$R/data"
image redis-persistence
start redis-persistence 6379 /bin/redis-server --bind 0.0.0.0 --protected-mode no --enable-debug-command yes --dir /data
cli() { timeout 30 redis-cli -p "$port" "$@" 2>&1; }
info() { cli info persistence | tr -d '\r' | sed -n "s/^$1://p"; }
check "redis: answers" until_true 20 bash -c "redis-cli -p $port ping | grep -q PONG"
check "redis: 20,000 values" timeout 60 redis-benchmark -q -p "$port" -t set -n 20000 -r 20000 -d 100
before=$(cli dbsize | tr -cd 0-9)
timeout 60 redis-benchmark -q -p "$port" -t set,incr -n 20000 -r 20000 -d 100 >"$T/bench" 2>&1 &
bench=$!
same "redis: BGSAVE begins while others write" "$(cli bgsave)" "Background saving started"
check "redis: BGSAVE ends" until_true 60 bash -c "redis-cli -p $port info persistence | grep -q 'rdb_bgsave_in_progress:0'"
same "redis: BGSAVE: well" "$(info rdb_last_bgsave_status)" ok
wait $bench
same "redis: the writers went on" "$?" 0
same "redis: appendonly" "$(cli config set appendonly yes)" OK
check "redis: the log is made" until_true 60 bash -c "redis-cli -p $port info persistence | grep -q 'aof_rewrite_in_progress:0'"
cli set after log >/dev/null
same "redis: BGREWRITEAOF" "$(cli bgrewriteaof)" "Background append only file rewriting started"
check "redis: BGREWRITEAOF ends" until_true 60 bash -c "redis-cli -p $port info persistence | grep -q 'aof_rewrite_in_progress:0'"
same "redis: BGREWRITEAOF: well" "$(info aof_last_bgrewrite_status)" ok
count=$(cli dbsize | tr -cd 0-9)
check "redis: nothing lost ($before, $count)" test "$count" -ge "$before"
same "redis: what was saved is read again" "$(cli debug reload)" OK
same "redis: as many as before" "$(cli dbsize | tr -cd 0-9)" "$count"
same "redis: the last value" "$(cli get after)" log
idle redis-persistence
finish_app redis-persistence 0
