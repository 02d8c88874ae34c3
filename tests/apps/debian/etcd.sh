# SPDX-License-Identifier: Apache-2.0
# etcd (bbolt): put and get, kill -9, what was put is there again. etcdctl stands at the same addresses as etcd: they take
# turns, and change places with their code.
up() { etcd --data-dir /tmp/etcd --log-level error >/tmp/log 2>&1 & e=$!; for _ in $(seq 300); do curl -sf http://127.0.0.1:2379/health >/dev/null && break; sleep 0.2; done; }
put() { curl -s http://127.0.0.1:2379/v3/kv/put -d "{\"key\": \"$(printf %s "$1" | base64)\", \"value\": \"$(printf %s "$2" | base64)\"}"; }
up
for i in $(seq 10); do put k$i $i >/dev/null; done
for i in $(seq 11 20); do ETCDCTL_API=3 etcdctl put k$i $i --command-timeout 60s; done | uniq -c | tr -s " "
kill -9 $e; wait $e 2>/dev/null; up
ETCDCTL_API=3 etcdctl get k17 --print-value-only --command-timeout 60s
ETCDCTL_API=3 etcdctl get k7 --print-value-only --command-timeout 60s
kill $e; wait $e; echo $?
# prints:
#  10 OK
# 17
# 7
# 143
