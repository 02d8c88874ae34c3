# SPDX-License-Identifier: Apache-2.0
"""streams.py PORT: the client of streams.c. Says what it saw, a line a promise; times only as true or not."""
import socket
import struct
import sys
import time

PORT = int(sys.argv[1])
BULK = 8 << 20
PATTERN = bytes((i * 7 + (i >> 8) + (i >> 16)) & 255 for i in range(BULK))


def connect(kind, buffer=None):
    s = socket.socket()
    if buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    s.settimeout(30)
    s.connect(('127.0.0.1', PORT))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.sendall(kind)
    return s


def rest(s):
    parts = []
    try:
        while part := s.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        parts.append(b'(reset)')
    except socket.timeout:
        parts.append(b'(nothing more)')
    return b''.join(parts)


def exactly(s, size):
    got = b''
    while len(got) < size and (part := s.recv(size - len(got))):
        got += part
    return got


def say(what, value):
    print(f'{what}: {value if not isinstance(value, bytes) else value.decode()}', flush=True)


def kinds():
    s = connect(b'e')
    for i in range(200):
        s.sendall(b'%06d' % i)
        exactly(s, 6)
    s.sendall(b'x' * 100000)
    s.shutdown(socket.SHUT_WR)
    got = rest(s)
    say('echo, half-closed', f'{len(got)} {got[-3:]}')
    for kind in b'b', b'n':
        s = connect(kind, 4096)
        time.sleep(0.3)
        got = rest(s)
        s.sendall(b'still')
        say('bulk', got == PATTERN or f'{len(got)} of {BULK}')
        s.close()
    for kind in b't', b'2', b'S':
        s = connect(kind)
        for at in range(0, BULK, 70000):
            s.sendall(PATTERN[at:at + 70000])
        s.shutdown(socket.SHUT_WR)
        say('taken', rest(s))
    s = connect(b'c')
    start = time.monotonic()
    exactly(s, 5)
    early = time.monotonic() - start
    exactly(s, 4)
    say('computes after a send', f'{early < 0.5} {time.monotonic() - start >= 0.9}')
    s = connect(b'p')
    for part in b'0123456789', b'abcdefghij', b'ABCDEFGHIJ':
        s.sendall(part)
        time.sleep(0.2)
    say('peek', rest(s))
    s = connect(b'E')
    for i in range(50):
        s.sendall(b'y' * (i * 7 % 40 + 1))
        time.sleep(0.002 * (i % 3))
    s.shutdown(socket.SHUT_WR)
    say('edges', rest(s))
    s = connect(b'l')
    s.sendall(b'z' * 100)
    s.shutdown(socket.SHUT_WR)
    say('levels', rest(s))
    got = rest(connect(b'w'))
    say('two senders', f'{len(got)} {got == b"0123456789abcdef" * 4000}')
    s = connect(b's')
    time.sleep(0.2)
    s.sendall(b'go')
    say('spins', rest(s))
    s = connect(b'm')
    got = exactly(s, 300)
    s.sendall(b'ok')
    say('small', f'{got == b"abc" * 100} {rest(s)}')
    s = connect(b'R')
    time.sleep(0.2)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    s.close()
    s = connect(b'u')
    s.recv(10)
    s.close()
    s = connect(b'r' + b'q' * 5000)
    say('closed with something unread', rest(s))
    got = rest(connect(b'x', 4096))
    say('sends and exits', len(got))


kinds()
