# SPDX-License-Identifier: Apache-2.0
# answer.py TEXT COMMAND...: the command in a terminal of its own, where somebody answers its question with TEXT.
# Its output, and its exit status.
import os
import pty
import sys

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
os.write(terminal, sys.argv[1].encode() + b'\n')
try:
    while said := os.read(terminal, 4096):
        sys.stdout.buffer.write(said)
except OSError:  # the terminal is closed
    pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
