# SPDX-License-Identifier: Apache-2.0
"""A client of AESM that does not behave: run beneath `shelter sgx-sim`; what it prints is how the service stood it."""
import os
import socket
import struct
import sys

PATH = '/var/run/aesmd/aesm.socket'


def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(PATH)
    return s


def ask(data, s=None):
    """The answer to a request; b'' if the service hung up."""
    s = s or connect()
    s.sendall(struct.pack('<I', len(data)) + data)
    head = s.recv(4, socket.MSG_WAITALL)
    return s.recv(struct.unpack('<I', head)[0], socket.MSG_WAITALL) if len(head) == 4 else b''


KEY_IDS = bytes([0xb2, 1, 2, 8, 0])  # field 22: a message with a timeout
good = ask(KEY_IDS)
assert len(good) > 256, good


def alive(what):
    print('ok' if ask(KEY_IDS) == good else 'not ok', what)


# Requests that are none: each has one answer.
fields = [ask(r)[:1] for r in (b'', b'\0', b'\xff' * 40, b'\x08\x01', b'\x1a\xff\xff\xff\xff\x0f', b'\xb2\x01\x7f\x08', os.urandom(500))]
print('ok' if all(fields) else f'not ok {fields}', 'requests that are none')
alive('... and it goes on')
# What is about EPID has its own answer, in which the client looks for the error (here SERVICE_UNAVAILABLE, 30).
key = lambda n: bytes([n << 3 | 2]) if n < 16 else bytes([n << 3 & 0x7f | 0x82, n >> 4])
wrong = [n for n in (1, 2, 4, 10, 11, 13, 14, 18) if ask(key(n) + b'\x02\x48\0') != key(n) + b'\x02\x08\x1e']
print('ok' if not wrong else f'not ok {wrong}', 'EPID: unavailable, in an answer of its kind')
print('ok' if ask(key(12) + b'\x02\x48\0') == key(12) + b'\x04\x08\0\x10\0' else 'not ok', 'the EPID group is 0')
# A verifier's list of key ids: ours is found in it, and another one is not supported (38).
own = good[-256:]
choose = lambda *ids: ask(key(19) + (lambda m: struct.pack('BB', len(m) & 0x7f | 0x80, len(m) >> 7) + m)(
    (lambda b: b'\x0a' + struct.pack('BB', len(b) & 0x7f | 0x80, len(b) >> 7) + b)(struct.pack('<HHI', 0, 0, len(ids)) + b''.join(ids))))
other = own[:10] + bytes(246)
print('ok' if choose(other, own).endswith(own) else 'not ok', 'the key id that a verifier takes')
print('ok' if choose(other) == key(19) + b'\x02\x08\x26' else 'not ok', '... and none that we have not')
sizes = [ask(key(16) + b'\x02\x48\0') for _ in range(2)]
size = sizes[0][-2] & 0x7f | sizes[0][-1] << 7
print('ok' if sizes[0] == sizes[1] and 4000 < size < 6000 else f'not ok {sizes}', 'how long a quote is, to the byte')
# A quote of a report that is too short, too long, or not of this processor.
for size in (0, 1, 431, 433, 5000):
    body = b'\x0a' + (bytes([size & 0x7f | 0x80, size >> 7]) if size > 127 else bytes([size])) + b'\xaa' * size + b'\x20\x80\x40'
    n = len(body)
    answer = ask(b'\x8a\x01' + (bytes([n & 0x7f | 0x80, n >> 7]) if n > 127 else bytes([n])) + body)
    if len(answer) > 100 and size != 432:
        print('not ok a quote of', size, 'bytes')
alive('reports that are none')
# Messages that are torn, larger than any, or without end.
for torn in (b'', b'\x05', b'\x05\0\0', struct.pack('<I', 5), struct.pack('<I', 5) + KEY_IDS[:3]):
    s = connect()
    s.sendall(torn)
    s.close()
alive('torn messages')
for huge in (0x7fffffff, 0xffffffff, 0xfffffffc, 1 << 24):
    s = connect()
    s.sendall(struct.pack('<I', huge))
    if s.recv(1) != b'':
        print('not ok a message of', huge)
alive('messages of any size')
s = connect()
for b in struct.pack('<I', len(KEY_IDS)) + KEY_IDS:
    s.sendall(bytes([b]))
n = struct.unpack('<I', s.recv(4, socket.MSG_WAITALL))[0]
print('ok' if s.recv(n, socket.MSG_WAITALL) == good else 'not ok', 'a byte at a time')
s = connect()
print('ok' if [ask(KEY_IDS, s) for _ in range(3)] == [good] * 3 else 'not ok', 'three questions on one connection')
# Clients that ask and never listen, or only hold a place; when they go, there is room again.
idle = [connect() for _ in range(40)]
for s in idle[:20]:
    s.sendall((struct.pack('<I', len(KEY_IDS)) + KEY_IDS) * 3)
alive('40 idle clients')
more = [connect() for _ in range(60)]
for s in idle + more:
    s.close()
alive('100 clients that are gone')
sys.stdout.flush()
