# SPDX-License-Identifier: Apache-2.0
"""Clients of a server on loopback.

clients.py short PORT COUNT          COUNT connections one after another (8 at a time), a GET each
clients.py idle PORT COUNT SECONDS   COUNT connections at once, idle for so long, then a GET each
clients.py odd PORT COUNT SIZE       COUNT times: one that reads /big (SIZE bytes) slowly, one that shuts its
                                     sending side after its request, one that resets, one that says nothing
"""
import resource
import socket
import struct
import sys
import threading
import time

GET = b'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


def ask(s):
    s.sendall(GET)
    data = b''
    while True:
        more = s.recv(65536)
        if not more:
            break
        data += more
    s.close()
    if not data.startswith(b'HTTP/1.1 200'):
        raise OSError(f'answer {data[:60]!r}')


def connect(port):
    s = socket.create_connection(('127.0.0.1', port), 20)
    s.settimeout(20)
    return s


def short(port, count):
    done, errors, lock = [0], [], threading.Lock()

    def run():
        while True:
            with lock:
                if done[0] >= count or errors:
                    return
                done[0] += 1
            try:
                ask(connect(port))
            except OSError as e:
                errors.append(str(e))
    threads = [threading.Thread(target=run) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(errors[0] if errors else f'{count} answered')


def idle(port, count, seconds):
    answered = 0
    connections = [connect(port) for _ in range(count)]
    time.sleep(seconds)
    for s in connections:
        ask(s)
        answered += 1
    print(f'{answered} answered')


def read_all(s, piece, pause=0.0):
    data = b''
    while True:
        more = s.recv(piece)
        if not more:
            return data
        data += more
        time.sleep(pause)


def odd(port, count, size):
    lost = []

    def slow():
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(30)
        s.connect(('127.0.0.1', port))
        s.sendall(GET.replace(b'GET /', b'GET /big'))
        if len(read_all(s, 2000, 0.02).split(b'\r\n\r\n', 1)[1]) != size:
            lost.append('slow')

    def half():
        s = connect(port)
        s.sendall(GET)
        s.shutdown(socket.SHUT_WR)
        if not read_all(s, 65536).startswith(b'HTTP/1.1 200'):
            lost.append('half')

    def reset():
        s = connect(port)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        s.sendall(GET.replace(b'GET /', b'GET /big'))
        s.close()

    def silent():
        s = connect(port)
        time.sleep(1)
        s.close()
    threads = [threading.Thread(target=t) for t in (slow, half, reset, silent) for _ in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(lost if lost else f'{count} of each')


if __name__ == '__main__':
    {'short': short, 'idle': idle, 'odd': odd}[sys.argv[1]](*map(int, sys.argv[2:]))
