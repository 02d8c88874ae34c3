# SPDX-License-Identifier: Apache-2.0
# SQLite in WAL mode with mmap and LMDB, by several processes at once.
sqlite3 /tmp/d 'pragma journal_mode=wal; create table t(x); insert into t values(1),(2);'
for i in 1 2 3 4; do (for k in 1 2 3 4 5; do sqlite3 -cmd '.timeout 60000' -cmd 'pragma mmap_size=268435456' /tmp/d "insert into t values($i)"; done >/dev/null) & done; wait
sqlite3 /tmp/d 'select count(*) from t; pragma integrity_check'
cat >/tmp/p.py <<'P'
import lmdb, os
e = lmdb.open('/tmp/l', map_size=1 << 28)
with e.begin(write=True) as t: t.put(b'a', b'1')
pids = []
for i in range(4):
    p = os.fork()
    if not p:
        own = lmdb.open('/tmp/l', map_size=1 << 28)
        for k in range(20):
            with own.begin(write=True) as t: t.put(b'%d-%d' % (i, k), b'v')
        os._exit(0)
    pids.append(p)
print([os.waitpid(p, 0)[1] for p in pids])
with e.begin() as t: print(t.get(b'a'), t.stat()['entries'])
P
python3 /tmp/p.py
mdb_stat /tmp/l | grep Entries
# prints:
# wal
# 22
# ok
# [0, 0, 0, 0]
# b'1' 81
#   Entries: 81
