# SPDX-License-Identifier: Apache-2.0
# redis with its default configuration: BGSAVE and BGREWRITEAOF while others write, appendonly, kill -9, all is there again.
cd /tmp
up() { redis-server "$@" >/tmp/log 2>&1 & s=$!; for i in $(seq 100); do [ "$(redis-cli ping 2>/dev/null)" = PONG ] && break; sleep 0.1; done; }
done_with() { for i in $(seq 300); do redis-cli info persistence | grep -q "$1_in_progress:0" && break; sleep 0.1; done; redis-cli info persistence | tr -d '\r' | grep "$2"; }
up
redis-benchmark -q -t set -n 20000 -r 5000 -c 8 >/dev/null & b=$!
redis-cli bgsave
wait $b
done_with rdb_bgsave rdb_last_bgsave_status
redis-cli config set appendonly yes
done_with aof_rewrite aof_last_bgrewrite_status
redis-benchmark -q -t set -n 20000 -r 5000 -c 8 >/dev/null & b=$!
redis-cli bgrewriteaof | cut -c1-18
wait $b
done_with aof_rewrite aof_last_bgrewrite_status
sleep 1.5 # appendfsync everysec
n=$(redis-cli dbsize) x=$(redis-cli debug digest 2>/dev/null | head -c 40)
kill -9 $s; wait $s 2>/dev/null
up --appendonly yes
[ "$(redis-cli dbsize)" = "$n" ] && [ "$(redis-cli debug digest 2>/dev/null | head -c 40)" = "$x" ] && echo all
redis-cli shutdown; wait $s; echo $?
# prints:
# Background saving started
# rdb_last_bgsave_status:ok
# OK
# aof_last_bgrewrite_status:ok
# Background append 
# aof_last_bgrewrite_status:ok
# all
# 0
