# SPDX-License-Identifier: Apache-2.0
# etcd (bbolt): put and get, kill -9, what was put is there again.
export ETCDCTL_API=3
up() { etcd --data-dir /tmp/etcd --log-level error >/tmp/log 2>&1 & e=$!; for _ in $(seq 100); do etcdctl endpoint health >/dev/null 2>&1 && break; sleep 0.2; done; }
up
for i in $(seq 10); do etcdctl put k$i $i >/dev/null; done
etcdctl get --prefix k --keys-only | grep -c k
kill -9 $e; wait $e 2>/dev/null; up
etcdctl get k7 --print-value-only
kill $e; wait $e; echo $?
# prints:
# 10
# 7
# 143
