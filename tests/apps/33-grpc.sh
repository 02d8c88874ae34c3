#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# gRPC (grpcio's C core): one call, streams both ways, many clients, where the package can be fetched.
. tests/apps/lib.sh
need python3
[ -x /usr/bin/python3 ] || { skip "apps: Debian's python3 is not installed"; exit 0; }
add_python
timeout 120 python3 -m pip install -q --no-cache-dir --only-binary=:all: --python-version "${python##*python}" \
    --target "$R/data/site" grpcio==1.66.2 >"$T/err" 2>&1 ||
    { skip "apps: grpcio cannot be fetched: $(tail -n 1 "$T/err" | cut -c1-100)"; exit 0; }
find "$R/data/site" -name '*.so' | while read -r f; do add "$f" "${f#"$R"}"; done
cat >"$R/data/server.py" <<'END'
from concurrent import futures
import signal, grpc

def one(q, c): return c.peer().encode() if q == b'who' else q[::-1]
def down(q, c):
    for i in range(int(q)): yield b'%d' % i
def up(q, c): return b'%d' % sum(len(x) for x in q)
def both(q, c):
    for x in q: yield x.upper()
s = grpc.server(futures.ThreadPoolExecutor(16))
s.add_generic_rpc_handlers((grpc.method_handlers_generic_handler('t', {
    'one': grpc.unary_unary_rpc_method_handler(one), 'down': grpc.unary_stream_rpc_method_handler(down),
    'up': grpc.stream_unary_rpc_method_handler(up), 'both': grpc.stream_stream_rpc_method_handler(both)}),))
s.add_insecure_port('0.0.0.0:50051')
s.start()
signal.signal(signal.SIGTERM, lambda *a: s.stop(1))
s.wait_for_termination()
END
cat >"$T/client.py" <<'END'
import sys, threading, grpc
to = '127.0.0.1:' + sys.argv[1]
def ask(c): return c.unary_unary('/t/one')(b'hello', timeout=20)
with grpc.insecure_channel(to) as c:
    what = sys.argv[2]
    if what == 'one': print(ask(c).decode(), c.unary_unary('/t/one')(b'who', timeout=20).decode().rsplit(':', 1)[0])
    elif what == 'down': print(sum(int(x) for x in c.unary_stream('/t/down')(b'1000', timeout=30)))
    elif what == 'up': print(c.stream_unary('/t/up')(iter([b'x' * 10000] * 200), timeout=30).decode())
    elif what == 'both': print(b''.join(c.stream_stream('/t/both')(iter([b'ab'] * 100), timeout=30)) == b'AB' * 100)
    elif what == 'many':
        good = []
        def client():
            with grpc.insecure_channel(to, [('grpc.use_local_subchannel_pool', 1)]) as d:
                for _ in range(50): good.append(ask(d) == b'olleh')
        t = [threading.Thread(target=client) for _ in range(20)]
        [x.start() for x in t]; [x.join() for x in t]
        print(good.count(True))
END
/usr/bin/env PYTHONPATH="$R/data/site" /usr/bin/python3 -c 'import grpc' 2>"$T/err" || { skip "apps: grpcio does not load here"; exit 0; }
client() { PYTHONPATH=$R/data/site timeout 60 /usr/bin/python3 "$T/client.py" "$port" "$@" 2>&1; }
image grpc
RUN_OPTIONS="-e PYTHONPATH=/data/site" start grpc 50051 "$python" /data/server.py
check "grpc: answers" until_true 40 client one
same "grpc: a call, and who makes it" "$(client one)" "olleh ipv4:10.0.2.2"
same "grpc: a stream from it" "$(client down)" 499500
same "grpc: a stream to it" "$(client up)" 2000000
same "grpc: streams both ways" "$(client both)" True
same "grpc: twenty clients, 1,000 calls" "$(client many)" 1000
idle grpc
finish_app grpc 0
