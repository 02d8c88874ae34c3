#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stands in for QEMU (SHELTER_QEMU): speaks the guest's side of the channel, honestly or not.

What it does is in the file `what` beside it, since it has no environment:

  cat             echoes stdin to stdout until it ends, exit status 0
  exit:N          exit status N             signal:N  killed by signal N
  flood:N         N bytes to stdout, exit status 0
  endless         bytes to stdout for ever, obeys nothing
  both:N          N bytes to stdout and, independently, N bytes to stderr
  late:SECONDS    one line, a pause, another line, exit status 4
  error:N:TEXT    was not started           early-error:N:TEXT  the same before HELLO
  hang            runs and obeys nothing    obey      runs until a signal ends it
  silent          never says HELLO
  panic           ends without a word while booting         panic-late  while running
  qemu-error      QEMU's own failure        qemu-crash  killed by a signal
  overrun         obey, and answers an exec with data before it has credit
  big-frame, unknown-frame, unknown-session, no-hello, two-hellos, version: break the rules
  trickle         one frame, byte by byte
  exec            obey, and runs programs: prints their argv, environment and stdin; refuses `no`
  deaf-exec       obey, and answers no exec
  lying-exec      answers an exec with frames of session 9
"""
import os
import re
import select
import signal
import struct
import sys
import time

DATA, EOF, CREDIT, HELLO, STARTED, EXIT, ERROR, REFUSED = 1, 2, 3, 16, 17, 18, 19, 20
WINSIZE, SIGNAL, EXEC, BYE = 32, 33, 34, 35
WINDOW = 1 << 20


def fd_of(port):
    """The descriptor of a virtio-serial port, from our command line."""
    args = " ".join(sys.argv)
    chardev = re.search(r"virtserialport,chardev=(\w+),name=" + re.escape(port), args)
    found = chardev and re.search(r"socket,id=%s,fd=(\d+)" % chardev.group(1), args)
    return int(found.group(1)) if found else -1


class Channel:
    def __init__(self):
        self.fd = fd_of("shelter.channel")
        self.data = b""
        self.credit = {}  # (session, stream) -> bytes
        self.frames = []

    def raw(self, data):
        while data:
            data = data[os.write(self.fd, data):]

    def send(self, kind, stream=0, session=0, payload=b""):
        self.raw(struct.pack("<BBHI", kind, stream, session, len(payload)) + payload)

    def fill(self, timeout=None):
        """Takes what is there; False when nothing came in time."""
        if not select.select([self.fd], [], [], timeout)[0]:
            return False
        data = os.read(self.fd, 65536)
        if not data:
            sys.exit(0)
        self.data += data
        while len(self.data) >= 8:
            kind, stream, session, size = struct.unpack("<BBHI", self.data[:8])
            if len(self.data) < 8 + size:
                break
            payload = self.data[8:8 + size]
            self.data = self.data[8 + size:]
            if kind == CREDIT:
                key = (session, stream)
                self.credit[key] = self.credit.get(key, 0) + struct.unpack("<I", payload)[0]
            else:
                self.frames.append((kind, stream, session, payload))
        return True

    def next(self, timeout=None):
        end = time.monotonic() + (timeout if timeout is not None else 1e9)
        while not self.frames:
            left = end - time.monotonic()
            if left <= 0 or not self.fill(min(left, 3600)) and timeout is not None:
                return None
        return self.frames.pop(0)

    def hello(self):
        self.send(HELLO, payload=struct.pack("<I", 1))

    def start(self):
        self.hello()
        self.send(CREDIT, 0, 0, struct.pack("<I", WINDOW))
        self.send(STARTED)

    def write(self, data, stream=1, session=0):
        data = memoryview(data)
        while data:
            while not self.credit.get((session, stream)):
                self.fill()
            n = min(len(data), self.credit[(session, stream)], 65536)
            self.credit[(session, stream)] -= n
            self.send(DATA, stream, session, bytes(data[:n]))
            data = data[n:]

    def exit(self, code=0, number=0, session=0):
        self.send(EXIT, 0, session, struct.pack("<II", code, number))

    def wait_bye(self):
        while True:
            self.fill()


def pattern(size):
    line = b"".join(b"%015d\n" % i for i in range(4096))
    return (line * (size // len(line) + 1))[:size]


def cat(c):
    c.start()
    while True:
        kind, stream, session, payload = c.next()
        if kind == DATA:
            c.write(payload)
            c.send(CREDIT, 0, 0, struct.pack("<I", len(payload)))
        elif kind == EOF:
            c.exit()
            c.wait_bye()
        elif kind == SIGNAL:
            c.exit(0, struct.unpack("<I", payload)[0])
            c.wait_bye()


def both(c, size):
    """Whatever stream has credit goes on: a blocked one must not hold up the other."""
    c.start()
    left = {1: memoryview(pattern(size)), 2: memoryview(pattern(size))}
    while left[1] or left[2]:
        moved = False
        for stream in (1, 2):
            n = min(len(left[stream]), c.credit.get((0, stream), 0), 32768)
            if n:
                c.credit[(0, stream)] -= n
                c.send(DATA, stream, 0, bytes(left[stream][:n]))
                left[stream] = left[stream][n:]
                moved = True
        if not moved:
            c.fill()
    c.exit()
    c.wait_bye()


def take_exec(c, session, payload, lie):
    tty, kind, args, env, rows, columns = struct.unpack("<BBHHHH", payload[:10])
    words = payload[10:].split(b"\0")
    argv, rest = words[:args], words[args:]
    if argv[0] == b"no":
        c.send(REFUSED, 0, session, struct.pack("<I", EXEC) + b"not this one")
        return None
    if lie:
        session = 9
    c.send(STARTED, 0, session)
    c.send(CREDIT, 0, session, struct.pack("<I", WINDOW))
    text = "argv %s env %s dir %s user %s tty %d\n" % (
        b",".join(argv).decode(), b",".join(rest[:env]).decode(), rest[env].decode(),
        rest[env + 1].decode(), tty)
    c.write(text.encode(), 1, session)
    return session


def obey(c, mode):
    c.start()
    c.write(b"up\n")
    while True:
        kind, stream, session, payload = c.next()
        if kind == SIGNAL and session == 0:
            c.exit(0, struct.unpack("<I", payload)[0])
            c.wait_bye()
        elif kind == EXEC and mode == "overrun":
            c.send(DATA, 1, session, b"x")
        elif kind == EXEC and mode not in ("obey", "deaf-exec"):
            take_exec(c, session, payload, mode == "lying-exec")
        elif kind == DATA and session:
            c.write(payload, 2, session)
            c.send(CREDIT, 0, session, struct.pack("<I", len(payload)))
        elif kind == EOF and session:
            c.exit(5, 0, session)
        elif kind == WINSIZE:
            c.write(b"size %d %d\n" % struct.unpack("<HH", payload))


def main():
    if "--version" in sys.argv:
        print("QEMU emulator version 7.2.0 (fake)")
        return
    mode, *args = open(os.path.join(os.path.dirname(sys.argv[0]), "what")).read().split(":", 2)
    c = Channel()
    if mode == "qemu-error":
        sys.stderr.write("warning: nothing\nqemu-system-x86_64: could not set up what it wants\n")
        sys.exit(1)
    if mode == "qemu-crash":
        os.abort()  # as process 1 of its namespace by SIGSEGV, where there is one
    if mode == "panic":
        return
    if mode == "silent":
        time.sleep(3600)
    if mode == "early-error":
        c.send(ERROR, payload=struct.pack("<I", int(args[0])) + args[1].encode())
        c.wait_bye()
    if mode == "no-hello":
        c.send(STARTED)
        c.wait_bye()
    if mode == "version":
        c.send(HELLO, payload=struct.pack("<I", 77))
        c.wait_bye()
    if mode == "trickle":
        for byte in struct.pack("<BBHII", HELLO, 0, 0, 4, 1):
            c.raw(bytes([byte]))
            time.sleep(0.01)
        c.send(STARTED)
        c.exit(6)
        c.wait_bye()
    if mode == "cat":
        cat(c)
    if mode == "both":
        both(c, int(args[0]))
    if mode in ("obey", "exec", "lying-exec", "overrun", "deaf-exec"):
        obey(c, mode)
    if mode == "error":
        c.hello()
        c.send(ERROR, payload=struct.pack("<I", int(args[0])) + args[1].encode())
        c.wait_bye()
    c.start()
    if mode == "two-hellos":
        c.hello()
    elif mode == "panic-late":
        c.write(b"last words\n")
        return
    elif mode == "hang":
        time.sleep(3600)
    elif mode == "big-frame":
        c.raw(struct.pack("<BBHI", DATA, 1, 0, 65537))
    elif mode == "unknown-frame":
        c.send(99)
    elif mode == "unknown-session":
        c.send(DATA, 1, 5, b"x")
    elif mode == "late":
        c.write(b"first\n")
        time.sleep(float(args[0]))
        c.write(b"second\n")
        c.exit(4)
    elif mode == "flood":
        c.write(pattern(int(args[0])))
        c.exit()
    elif mode == "endless":
        while True:
            c.write(pattern(1 << 20))
    elif mode == "exit":
        c.exit(int(args[0]))
    elif mode == "signal":
        c.exit(0, int(args[0]))
    c.wait_bye()


try:
    main()
except (BrokenPipeError, ConnectionResetError):
    pass
