#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# memcached: four threads, 1,000 clients over TCP, some over UDP.
. tests/apps/lib.sh
need memcached
add "$(command -v memcached)" /usr/bin/memcached
image memcached
start memcached 11211,11211/udp /usr/bin/memcached -u root -c 4096 -t 4 -U 11211 -l 0.0.0.0
cat >"$T/client.py" <<'END'
import socket, struct, sys
tcp, udp, count = map(int, sys.argv[1:])
clients = []
for i in range(count):
    s = socket.create_connection(('127.0.0.1', tcp), 20)
    clients.append((s, s.makefile('rb')))
for turn in range(3):
    for i, (s, f) in enumerate(clients):
        s.sendall(b'set k%d 0 0 %d\r\n%s\r\n' % (i, 10 + turn, b'v' * (10 + turn)))
    for i, (s, f) in enumerate(clients):
        assert f.readline() == b'STORED\r\n'
    for i, (s, f) in enumerate(clients):
        s.sendall(b'get k%d k%d\r\n' % (i, (i + 1) % count))
    for i, (s, f) in enumerate(clients):
        lines = [f.readline() for _ in range(5)]
        assert lines[4] == b'END\r\n' and lines[1] == b'v' * (10 + turn) + b'\r\n', lines
print(count, 'clients')
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(5)
u.sendto(struct.pack('>HHHH', 7, 0, 1, 0) + b'get k1\r\n', ('127.0.0.1', udp))
print(u.recv(1500)[8:].split()[0].decode())
END
check "memcached: listens" until_true 20 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port && echo version >&3 && read -t 2 x <&3 && [[ \$x == VERSION* ]]"
status "memcached: 1,000 clients at once" 0 python3 "$T/client.py" "$port" "${ports[1]}" 1000
same "memcached: each has its answers, over UDP too" "$(xargs <"$T/out")" "1000 clients VALUE"
idle memcached
finish_app memcached 0
