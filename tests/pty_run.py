#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a command on a terminal of 33 rows and 101 columns and talks to it.

pty_run.py SECONDS STEP... -- COMMAND...
STEP: expect:TEXT, send:TEXT (C escapes), resize:ROWS,COLUMNS, signal:N, pause:S. Prints all output, then the
line `status N` and `terminal same` when the terminal's modes are as before. Status 1 when an expected
text does not come in time."""
import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time


def size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


end = time.monotonic() + float(sys.argv[1])
split = sys.argv.index("--")
steps, command = sys.argv[2:split], sys.argv[split + 1:]
master, slave = pty.openpty()
size(master, 33, 101)
before = termios.tcgetattr(slave)
pid = os.fork()
if not pid:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in range(3):
        os.dup2(slave, fd)
    os.close(master)
    os.execvp(command[0], command)
seen = b""


def pump(until):
    global seen
    while time.monotonic() < end:
        if until in seen:
            seen = seen[seen.index(until) + len(until):]
            return True
        if select.select([master], [], [], 0.1)[0]:
            data = os.read(master, 4096)
            sys.stdout.buffer.write(data)
            seen += data
        elif not alive():
            return False
    return False


status = None


def alive():
    global status
    if status is None:
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(code)
    return status is None


for step in steps:
    verb, _, text = step.partition(":")
    if verb == "expect" and not pump(text.encode()):
        print("\nexpected in vain: " + text)
        os.kill(pid, 9)
        sys.exit(1)
    if verb == "send":
        os.write(master, text.encode().decode("unicode_escape").encode("latin-1"))
    if verb == "resize":
        size(master, *map(int, text.split(",")))
        os.kill(pid, 28)
    if verb == "pause":
        time.sleep(float(text))
    if verb == "signal":
        os.kill(pid, int(text))
while alive() and time.monotonic() < end:
    if select.select([master], [], [], 0.05)[0]:
        sys.stdout.buffer.write(os.read(master, 4096))
while select.select([master], [], [], 0.1)[0]:
    sys.stdout.buffer.write(os.read(master, 4096))
sys.stdout.buffer.flush()
if alive():
    os.kill(pid, 9)
    print("\nstill running")
    sys.exit(1)
print("\nstatus %d" % status)
if termios.tcgetattr(slave) == before:
    print("terminal same")
