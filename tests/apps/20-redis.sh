#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# redis: 2,000 clients, pipelines, subscribers.
. tests/apps/lib.sh
need redis-server redis-cli redis-benchmark
add "$(command -v redis-server)" /usr/bin/redis-server
image redis
start redis 6379 /usr/bin/redis-server --protected-mode no --save "" --maxclients 10000
check "redis: answers" until_true 20 redis-cli -p "$port" ping
cli() { redis-cli -p "$port" "$@"; }
status "redis: 50 clients" 0 redis-benchmark -p "$port" -c 50 -n 50000 -q -t set,get
status "redis: pipelines of 16" 0 redis-benchmark -p "$port" -c 20 -P 16 -n 200000 -q -t set,get,lpush
status "redis: 2,000 clients" 0 redis-benchmark -p "$port" -c 2000 -n 100000 -q -t set,get
check "redis: none of them failed" bash -c "! grep -qi error '$T/out' '$T/err'"
grep 'requests per second' "$T/out" | tr '\r' '\n' | grep 'requests per' | sed 's/^/# /'
cli --raw subscribe news >"$T/news" 2>/dev/null &
subscriber=$!
check "redis: a subscriber" until_true 5 bash -c "[ \"\$(redis-cli -p $port publish news hello)\" = 1 ]"
check "redis: hears" until_true 5 grep -qx hello "$T/news"
kill $subscriber
same "redis: a large value" "$(head -c 5000000 /dev/zero | tr '\0' x | cli -x set big >/dev/null; cli strlen big)" 5000000
same "redis: maxclients as asked" "$(cli config get maxclients | tail -n 1)" 10000
idle redis
finish_app redis 0
