# SPDX-License-Identifier: Apache-2.0
"""As much of systemd as `podman auto-update` asks: RestartUnit over D-Bus at SOCKET (systemd's /run/systemd/private).

Usage: systemd.py SOCKET COMMAND…   COMMAND is what the unit starts; it runs at each RestartUnit, with the unit's name behind.
"""
import os
import socket
import struct
import subprocess
import sys
import threading

path, command = sys.argv[1], sys.argv[2:]
clients, lock = [], threading.Lock()


def text(s):  # a string or a path
    return struct.pack("<I", len(s)) + s.encode() + b"\0"


def pad(b, to=8):
    return b + bytes(-len(b) % to)


def message(kind, serial, fields, body=b""):
    head = b""
    for code, sign, value in fields:
        head = pad(head) + bytes([code, len(sign)]) + sign.encode() + b"\0"
        head = pad(head, 4) + struct.pack("<I", value) if sign == "u" else head + bytes([len(value)]) + value.encode() + b"\0" if sign == "g" else pad(head, 4) + text(value)
    return pad(struct.pack("<cBBBIII", b"l", kind, 1, 1, len(body), serial, len(head)) + head) + body


def fields_of(head):
    found, at = {}, 0
    while at < len(head):
        at += -at % 8
        code, sign = head[at], head[at + 2:at + 2 + head[at + 1]].decode()
        at += 3 + len(sign)
        if sign == "g":
            found[code], at = head[at + 1:at + 1 + head[at]].decode(), at + 2 + head[at]
            continue
        at += -at % 4
        value, = struct.unpack_from("<I", head, at)
        at += 4
        if sign != "u":
            value, at = head[at:at + value].decode(), at + value + 1
        found[code] = value
    return found


def send(fd, data):
    with lock:
        fd.sendall(data)


def restart(unit):
    status = subprocess.run(command + [unit], stdin=subprocess.DEVNULL).returncode
    print("restart", unit, status, flush=True)
    body = pad(struct.pack("<I", 7) + text("/org/freedesktop/systemd1/job/7"), 4)
    body = pad(body + text(unit), 4) + text("failed" if status else "done")
    signal = message(4, 99, [(1, "o", "/org/freedesktop/systemd1"), (2, "s", "org.freedesktop.systemd1.Manager"), (3, "s", "JobRemoved"), (8, "g", "uoss")], body)
    for fd in list(clients):
        try:
            send(fd, signal)
        except OSError:
            pass


def serve(fd):
    f = fd.makefile("rb")
    f.read(1)
    for line in f:
        if line == b"BEGIN\r\n":
            break
        fd.sendall({b"AUTH": b"REJECTED EXTERNAL\r\n", b"NEGOTIATE_UNIX_FD": b"ERROR\r\n"}.get(line.strip(), b"OK " + b"0" * 32 + b"\r\n"))
    clients.append(fd)
    while len(start := f.read(16)) == 16:
        _, kind, _, _, size, serial, head = struct.unpack("<cBBBIII", start)
        rest = f.read(head + -head % 8 + size)
        member, body = fields_of(rest[:head]).get(3), rest[head + -head % 8:]
        if kind != 1:
            continue
        if member == "RestartUnit":
            unit = body[4:4 + struct.unpack_from("<I", body)[0]].decode()
            send(fd, message(2, 1, [(5, "u", serial), (8, "g", "o")], text("/org/freedesktop/systemd1/job/7")))
            threading.Thread(target=restart, args=[unit]).start()
        else:
            send(fd, message(2, 1, [(5, "u", serial)]))


listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(8)
while True:
    threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
