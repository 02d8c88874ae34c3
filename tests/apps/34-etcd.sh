#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# etcd, fresh: keys, transactions, leases, watches by its own client; a snapshot.
. tests/apps/lib.sh
need etcd etcdctl
add "$(command -v etcd)"
add_dns
image etcd
start etcd 2379 "$(command -v etcd)" --data-dir /data/etcd --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls http://127.0.0.1:2379 --log-level error
ctl() { ETCDCTL_API=3 timeout 60 etcdctl --endpoints "127.0.0.1:$port" "$@"; }
check "etcd: answers" until_true 40 ctl endpoint health
same "etcd: put" "$(ctl put a 1)" OK
same "etcd: get" "$(ctl get a --print-value-only)" 1
ctl watch --prefix w >"$T/watched" 2>&1 &
watcher=$!
same "etcd: a transaction" "$(printf 'value("a") = "1"\n\nput a 2\n\n\n\n' | ctl txn | tr '\n' ' ')" "SUCCESS  OK "
for i in $(seq 8); do (for k in $(seq 10); do ctl put "w/$i/$k" "$k"; done >/dev/null) & done
until_true 60 sh -c "[ \$(grep -c PUT '$T/watched') -ge 80 ]"
same "etcd: eighty keys by eight clients are watched" "$(grep -c PUT "$T/watched")" 80
kill $watcher
wait $watcher 2>/dev/null
same "etcd: count" "$(ctl get --prefix w --keys-only | grep -c w/)" 80
lease=$(ctl lease grant 2 | awk '{ print $2 }')
ctl put --lease="$lease" short lived >/dev/null
check "etcd: a lease ends" until_true 20 sh -c "[ -z \"\$(ETCDCTL_API=3 etcdctl --endpoints 127.0.0.1:$port get short)\" ]"
check "etcd: a snapshot" ctl snapshot save "$T/snapshot"
keys=$(ETCDCTL_API=3 etcdctl snapshot status "$T/snapshot" -w json | sed 's/.*"totalKey":\([0-9]*\).*/\1/')
check "etcd: keys in it" [ "${keys:-0}" -ge 82 ]
idle etcd
finish_app etcd 0
