# SPDX-License-Identifier: Apache-2.0
"""A host that lies to the enclave: the table, one case a line, and the fuzzer.

hostile.py table IMAGE | hostile.py fuzz IMAGE ROUNDS SEED   (IMAGE: its folder in the store)
hostile.py volumes SHELTER URL DISK   (of the images make and look; DISK: as make left it)

A case: the loader's rules (hostile.h; calls by name, from include/shelter/calls_out.def), the questions of
probe.c, the exit status (125: the enclave stopped, and says why), and what is said, as a regular
expression over the lines joined by "; ". Whatever a case expects: nothing may leave the enclave that
should not (status 99), and nothing may be written beside what was asked for ("spoilt").
"""
import atexit
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

CALLS = 'include/shelter/calls_out.def'
SOCKET = 'SOCKET:skip=1,result=5'
RINGED = SOCKET + ';CONNECT:skip=1'
CONNECTED = 'start:rings=0;' + RINGED  # all goes by calls
BOUND = SOCKET + ';BIND:skip=1'
LISTENING = BOUND + ';LISTEN:skip=1'
PEER = 'size_b=16,b=02000009c0000201'
ALL = 'pipe abcdefghij; threads all whole'
FILE = 'file 588895 11'
NOT_MAPPED = 'shelter: the root image is not mapped'
REFUSED = r'shelter: block \d+ of the root image is not what was built; refused'
UNREADABLE = 'shelter: the root image cannot be read .*'
INSIDE = r'shelter: the enclave failed inside itself \(vector 0 at 0, address 0\)'
RELRO = '.*cannot apply additional memory protection.*'

TABLE = []


def row(rules, probes, status, says):
    TABLE.append((rules, probes, status, says))


def each(rules, values, probes, status, says):
    for value in values:
        row(rules.replace('VALUE', str(value)), probes, status, says)


# What no call may return: not a count, not an errno.
NONSENSE = ['min', -4096, -4095, -512, -134]

# --- the host serves as it should: what the lies are held against
row('any:signals=0', 'read write tty clock sleep poll pipe threads memory listen datagram signals file '
    'state attestation exit', 7,
    '12345678read 12; write 8; tcgets ENOTTY; winsize ENOTTY; clock 0; sleep 1; poll [12]; events 0; ' + ALL +
    '; mprotect 0; munmap 0; fresh 0; bind 0; listen \\w+; accept \\w+; sendto 50; recvfrom EAGAIN; from 0; '
    'signals; ' + FILE + '; state 1f80 37f 0 0.33333333333333331 inf 0.33333333333333333334; quote ENODEV; '
    'report 432')

# --- EXIT, LOG: whatever comes back, the enclave has ended, or goes on
row('EXIT#1:skip=1', 'exit', 7, '')
row('EXIT#1:skip=1,result=min', 'exit', 7, '')
row('LOG:skip=1,result=min;start:root_size=1', 'read', 125, '')

# --- READ
each('start:rings=0;READ#1:result=VALUE', NONSENSE + ['max', 13, 11, 65537, 0x3fffc0000000], 'read', 0, 'read EIO')
each('start:rings=0;READ#1:size_a=VALUE', ['umax', 'max', 0, 1, 11, 13], 'read', 0, 'read EIO')
row('start:rings=0;READ#1:result=65536,size_a=65536,a=41', 'read', 0, 'read 100')
row('start:rings=0;READ#1:result=-5', 'read', 0, 'read EIO')
row('start:rings=0;READ#1:result=-11', 'read', 0, 'read (0|12)')
# The racer goes on after the call, and may spoil what the next one says: then its thread begins nowhere.
row('start:rings=0;READ:race=1', 'read pipe', 0,
    'read (EIO|8|12|100); (pipe abcdefghij|shelter: the enclave refused to be entered .*; pipe EAGAIN)')

# --- WRITE
each('WRITE#1:result=VALUE', NONSENSE + ['max', 9, 0, 65537], 'write read', 0, '12345678write EIO; read 12')
row('WRITE#1:result=3', 'write', 0, '1234567845678write 8')
row('WRITE#1:size_a=umax,size_b=umax,a=00', 'write', 0, '12345678write 8')

# --- TTY: the launch config says that the streams are a terminal. It is the enclave's own: whatever the host says
# of its own one, the modes are as they were made, and the window is the host's word or none.
MODES = 'terminal 500 5 8a3b'
each('TTY:result=VALUE', NONSENSE + [1, 'max'], 'tty terminal', 0, f'tcgets 0; winsize 0; {MODES} 0x0')
row('any:signals=0', 'tty terminal read', 0, f'tcgets 0; winsize 0; {MODES} 0x0; read 12')
each('TTY:result=0,size_a=VALUE,a=ff', [0, 1, 7], 'tty terminal', 0, f'tcgets 0; winsize 0; {MODES} 0x0')
each('TTY:result=0,size_a=VALUE,a=ff', [8, 9, 35, 36, 37, 4096, 'umax'], 'tty terminal', 0,
     f'tcgets 0; winsize 0; {MODES} 65535x65535')
each('TTY:result=VALUE', NONSENSE + [1, 'max'], 'read', 0, 'read 12')
# What it feeds: a wrong count is the end of input. What it says that it showed: nothing more is given to it.
each('READ#1:result=VALUE', NONSENSE + ['max', 13, 11, 65537, 0x3fffc0000000], 'tty read', 0,
     'tcgets 0; winsize 0; read 0')
each('READ#1:size_a=VALUE', ['umax', 'max', 0, 1, 11, 13], 'tty read', 0, 'tcgets 0; winsize 0; read 0')
row('READ:race=1', 'tty terminal', 0, f'.*{MODES} 0x0')
each('WRITE:result=VALUE', NONSENSE + ['max', 65537, 0], 'tty terminal', 0, '(tcgets 0)?')
row('any:signals=umax', 'tty terminal', '0|129|130|131|143', f'tcgets 0; winsize 0; {MODES} 0x0|')

# --- CLOCK: time never goes back, whatever is said
each('CLOCK:result=VALUE,monotonic=VALUE,realtime=VALUE', ['min', 'max', 0, 1, 'umax'], 'clock', 0, 'clock 0')
each('start:tsc_hz=0;CLOCK:result=VALUE', ['min', -1, 0, 1, 'max'], 'clock', 0, 'clock 0')
each('start:tsc_hz=VALUE', [0, 1, 99999999, 10 ** 11, 'umax'], 'clock sleep', 0, 'clock 0; sleep 1')
each('any:tsc=VALUE', ['umax', 0, 1], 'clock sleep', 0, 'clock 0; sleep 1')
each('any:monotonic=VALUE,realtime=VALUE', [0, 1, 'umax'], 'clock', 0, 'clock 0')
row('CLOCK#1:result=max,monotonic=max,realtime=max;CLOCK#2+:result=0,monotonic=0,realtime=0', 'clock', 0,
    'clock 0')

# --- WAIT: spurious wake-ups, errors, readiness of what was not asked
each('WAIT:skip=1,result=VALUE', [0, 1, 'max', -4, -11], 'sleep pipe threads', 0, 'sleep 1; ' + ALL)
each('WAIT:skip=1,result=VALUE', NONSENSE + [-22, -38], 'sleep pipe threads', 0, 'sleep 1; ' + ALL)
row('POLL:skip=1,result=min', 'poll', 0, 'poll EIO; events 0')
row('POLL:skip=1,result=0,a=ff', 'poll', 0, 'poll 0; events 0')
row('POLL:skip=1,result=0,a=000000000100ffff00000000010000000400ffff00000000', 'poll', 0, 'poll 2; events 0')
each('POLL:size_a=VALUE', [0, 1, 23], 'poll', 0, 'poll EIO; events 0')
row('POLL:size_a=umax,size_b=umax,a=00', 'poll', 0, 'poll 0; events 0')
each('POLL:result=VALUE', [1, 5, 257, 'max'], 'poll', 0, 'poll 2; events 0')

# --- SET, and what POLL says of one: the streams have tags 1 to 3, the socket 4
each(CONNECTED + ';SET:skip=1,result=VALUE', NONSENSE + [0, 2, 1 << 24, 'max'], 'epoll', 0,
     'connect 0; add 0; epoll EIO; epoll EIO')
row(CONNECTED + ';SET:skip=1,result=5', 'epoll', 0, 'connect 0; add 0; epoll EIO; epoll EIO')  # the socket's own
IN_SET = CONNECTED + ';SET:skip=1,result=6;'
row(IN_SET + 'POLL:skip=1,delay=1000,result=0,size_a=0', 'epoll', 0, 'connect 0; add 0; epoll 0; epoll 0')
each(IN_SET + 'POLL:skip=1,delay=1000,result=VALUE', NONSENSE + [-22], 'epoll', 0,
     'connect 0; add 0; epoll E[A-Z]+; epoll E[A-Z]+')
EVENT = 'POLL:skip=1,delay=1000,result=1,size_a=12,a='
row(IN_SET + EVENT + '050000000000010004000000', 'epoll', 0, 'connect 0; add 0; epoll 1; epoll 1')
row(IN_SET + EVENT.replace('POLL', 'POLL#1') + '050000000000010004000000;POLL:skip=1,delay=1000,result=0,size_a=0',
    'epoll', 0, 'connect 0; add 0; epoll 1; epoll 0')
row(IN_SET + EVENT + '05000000ffffffff04000000', 'epoll', 0, 'connect 0; add 0; epoll 1; epoll 1')
for lie in ['050000000000010005000000', '070000000000010004000000', 'ffffffff0000010004000000',
            '00000080ffffffffffffffff', 'ffffff7fffffffffffffffff']:
    row(IN_SET + EVENT + lie, 'epoll', 0, 'connect 0; add 0; epoll 0; epoll 0')
each(IN_SET + 'POLL:skip=1,delay=1000,result=VALUE,size_a=umax,a=050000000000010004000000', [256, 257, 65536, 'max'],
     'epoll', 0, 'connect 0; add 0; epoll (1|EIO); epoll (1|EIO)')
each(IN_SET + 'POLL:skip=1,delay=1000,result=2,size_a=VALUE,a=ff', [0, 11, 12, 23, 25, 'umax'], 'epoll', 0,
     'connect 0; add 0; epoll EIO; epoll EIO')

# --- AVAILABLE
each(CONNECTED + ';AVAILABLE:skip=1,result=VALUE', NONSENSE + [1 << 31, 'max'], 'available', 0,
     'connect 0; available EIO')
row(CONNECTED + ';AVAILABLE:skip=1,result=9,size_a=umax,a=ff', 'available', 0, 'connect 0; available 9')

# --- WAKE, YIELD, KICK, FLUSH: their results mean nothing
for call in ['WAKE', 'YIELD', 'KICK', 'FLUSH']:
    each(call + ':result=VALUE,size_a=umax,size_b=umax', ['min', -1, 1, 'max'], 'pipe threads memory', 0,
         ALL + '; mprotect 0; munmap 0; fresh 0')
row('FLUSH:skip=1', 'memory threads', 0, 'mprotect 0; munmap 0; fresh 0; threads all whole')
row('KICK:skip=1', 'pipe threads', 0, ALL)

# --- THREAD: told that there is none, or that there is; a second one on the same TCS
each('THREAD:skip=1,result=VALUE', NONSENSE + [-1, -11, -12, 1, 'max'], 'threads', 0, 'threads not all whole')
each('THREAD:result=VALUE', ['min', -11, -12, 1, 'max'], 'threads', 0, 'threads (not )?all whole')
for call in ['THREAD#1', 'THREAD#2', 'THREAD', 'WAIT#3', 'LOG#1']:
    # A page that turns into a TCS after the host denied it, or twice, may stop the enclave; who enters where another is stops itself.
    row(call + ':twice=1', 'threads pipe', '0|125',
        '(threads (not )?all whole)?(; pipe (EAGAIN|abcdefghij)|.*failed inside itself .vector 14 .*'
        '|(; )?shelter: (the enclave refused to be entered .*|the host did not turn a page into a TCS .19.))')

# --- COMMIT: a hint
each('COMMIT:skip=1,result=VALUE,size_a=umax', NONSENSE + [0, 1, 'max'], 'memory threads', 0,
     'mprotect 0; munmap 0; fresh 0; threads all whole')

# --- processes at the same addresses: whoever is kicked or not, in whatever order threads run, no content is another's.
# Without kicks one that never calls keeps the addresses: then there is no progress, and no more than that.
FAMILY = 'family whole; spinning whole'
row('any:signals=0', 'family spinning', 0, FAMILY)
row('KICK:skip=1', 'family', 0, 'family whole')
row('KICK:skip=1', 'spinning', '0|124', '(spinning whole)?')
row('any#1:kicks=1', 'family spinning pipe threads memory', 0,
    FAMILY + '; ' + ALL + '; mprotect 0; munmap 0; fresh 0')
each('any:shuffle=VALUE', [300, 3000], 'family spinning', 0, FAMILY)
row('any#1:kicks=1;any#2+:shuffle=1000', 'family', 0, 'family whole')
for first in [3, 20, 40]:  # the parent, and who comes later
    row(f'any#{first}+:starve=500', 'family spinning', 0, FAMILY)
row('any#3+:starve=20000', 'family spinning', '0|124', '(family whole(; spinning whole)?)?')
each('WAIT:result=VALUE,shuffle=1000', [0, 'min', 'max'], 'family', 0, 'family whole')

# --- RESTRICT, SET_TYPE, REMOVE: EACCEPT tells whether it was done
NOT_RESTRICTED = r'shelter: the host did not restrict page 0x[0-9a-f]+ \(19\)'
each('RESTRICT:skip=1,result=VALUE', NONSENSE + [1, 'max'], 'memory', 125, NOT_RESTRICTED)
row('RESTRICT#1:skip=1', 'memory', 125, NOT_RESTRICTED)
row('RESTRICT#2+:skip=1,result=-12', 'memory', 125, NOT_RESTRICTED)
row('SET_TYPE:skip=1', 'memory', 125, r'(mprotect 0; )?shelter: the host did not trim page 0x[0-9a-f]+ \(19\)')
each('SET_TYPE:result=VALUE', ['min', -1, 1, 'max'], 'memory', 125,
     '(mprotect 0; )?shelter: the host does not take [0-9]+ pages back at 0x[0-9a-f]+ .*')
row('SET_TYPE#1:skip=1', 'threads', 125, r'shelter: the host did not (turn a page into a TCS|trim page .*) \(19\)')
row('REMOVE:skip=1;COMMIT:skip=1', 'memory', 125,
    r'mprotect 0; munmap 0; (fresh 0|shelter: the host gave no fresh page at 0x[0-9a-f]+ \(19\))')
each('REMOVE:result=VALUE', ['min', -1, 1, 'max'], 'memory', 0, 'mprotect 0; munmap 0; fresh 0')

# --- SOCKET, CONNECT: handles that cannot be
each('SOCKET:skip=1,result=VALUE;CONNECT:skip=1', NONSENSE + [0, 1, 2, 1 << 24, 1 << 32, 0x3fffc0000000, 'max'],
     'socket', 0, 'connect EIO; close 0')
each('start:rings=0;' + SOCKET + ';CONNECT:skip=1,result=VALUE', NONSENSE + [1, 5, 'max'], 'socket', 0, 'connect EIO; close 0')
row(CONNECTED + ';SEND:skip=1,result=100;RECV:skip=1,result=4,size_a=4;NAME:skip=1,size_b=16,b=0200;'
    'OPTION_GET:skip=1,size_b=4;OPTION_SET:skip=1;SHUTDOWN:skip=1;CLOSE:skip=1', 'socket', 0,
    'connect 0; send 100; recv 4; name 2; peek 4; option 0; set 0; shutdown 0; close 0')

# --- SEND, RECV, NAME, OPTION_GET, OPTION_SET, SHUTDOWN, CLOSE
QUIET = (';NAME:skip=1,size_b=16,b=0200;OPTION_GET:skip=1,size_b=4;OPTION_SET:skip=1;SHUTDOWN:skip=1;'
         'CLOSE:skip=1')
each(CONNECTED + ';SEND:skip=1,result=VALUE;RECV:skip=1,result=4,size_a=4' + QUIET,
     NONSENSE + [101, 65537, 'max'], 'socket', 0,
     'connect 0; send EIO; recv 4; name 2; peek 4; option 0; set 0; shutdown 0; close 0')
for size in ['result=101,size_a=101', 'result=65536,size_a=65536', 'result=max,size_a=umax', 'result=4,size_a=3',
             'result=4,size_a=5', 'result=min', 'result=-512', 'result=-134']:
    row(CONNECTED + ';SEND:skip=1,result=100;RECV:skip=1,' + size + QUIET, 'socket', 0,
        'connect 0; send 100; recv EIO; name 2; peek EIO; option 0; set 0; shutdown 0; close 0')
for lie in ['result=min', 'result=-134', 'size_b=umax,b=ff', 'size_b=0', 'size_b=15,b=0200', 'size_b=16,b=0a00',
            'result=max']:
    row(CONNECTED + ';SEND:skip=1,result=100;RECV:skip=1,result=4,size_a=4;NAME:skip=1,' + lie +
        ';OPTION_GET:skip=1,size_b=4;OPTION_SET:skip=1;SHUTDOWN:skip=1;CLOSE:skip=1', 'socket', 0,
        'connect 0; send 100; recv 4; name 2; peek 4; option 0; set 0; shutdown 0; close 0')
for lie in ['result=min', 'result=-134', 'size_b=umax,b=ff', 'size_b=101,b=ff', 'result=max']:
    row(CONNECTED + ';SEND:skip=1,result=100;RECV:skip=1,result=4,size_a=4;NAME:skip=1,size_b=16,b=0200;'
        'OPTION_GET:skip=1,' + lie + ';OPTION_SET:skip=1;SHUTDOWN:skip=1;CLOSE:skip=1', 'socket', 0,
        'connect 0; send 100; recv 4; name 2; peek 4; option (0|EIO); set 0; shutdown 0; close 0')
each(CONNECTED + ';SEND:skip=1,result=100;RECV:skip=1,result=4,size_a=4;NAME:skip=1,size_b=16,b=0200;'
     'OPTION_GET:skip=1,size_b=4;OPTION_SET:skip=1,result=VALUE;SHUTDOWN:skip=1,result=VALUE;'
     'CLOSE:skip=1,result=VALUE', NONSENSE + [1, 'max'], 'socket', 0,
     'connect 0; send 100; recv 4; name 2; peek 4; option 0; set EIO; shutdown EIO; close 0')

# --- the rings of a connection: what the host says was received and sent. Nothing but its own bytes can come of it.
QUEUED = QUIET + ';SEND:skip=1,result=100;RECV:skip=1,result=-104;POLL:skip=1,result=0,size_a=12,a=050000000180010000000000'
AFTER = 'name 2; peek ECONNRESET; option 0; set 0; shutdown 0; close 0'
row(RINGED + ',in_put=8,in_dry=8' + QUEUED, 'socket', 0, 'connect 0; send 100; recv 8; ' + AFTER)
for lie in ['in_put=100', 'in_put=umax', 'in_put=max', 'in_put=min', 'in_put=65408', 'in_put=65409']:
    for base in ['0', '1', '65407', '65408', 'umax', 'min', '0xffc0000000']:
        row(RINGED + f',{lie},in_base={base}' + QUEUED, 'socket', 0,
            'connect 0; send 100; recv 100; name 2; peek (10|ECONNRESET); option 0; set 0; shutdown 0; close 0')
for lie in ['out_taken=1', 'out_taken=umax', 'out_taken=max', 'out_taken=min', 'error=1', 'error=umax', 'error=min']:
    row(RINGED + ',in_put=8,' + lie + QUEUED, 'socket', 0, 'connect 0; send 100; recv 8; ' + AFTER)
    row(RINGED + ',in_put=8,' + lie + QUEUED.replace('SEND:skip=1,result=100', 'SEND:skip=1,result=101'), 'socket', 0,
        'connect 0; send (100|EIO); recv 8; ' + AFTER)
row(RINGED + ',in_put=0,in_dry=0' + QUEUED.replace('result=-104', 'result=4,size_a=4'), 'socket', 0,
    'connect 0; send 100; recv 4; name 2; peek 4; option 0; set 0; shutdown 0; close 0')
row(RINGED + ',in_put=50' + QUEUED + ';AVAILABLE:skip=1,result=9', 'available', 0, 'connect 0; available 59')
each(RINGED + ',in_put=umax' + QUEUED + ';AVAILABLE:skip=1,result=VALUE', [1 << 30, 1 << 31, 'max'], 'available', 0,
     'connect 0; available EIO')
row(RINGED + ',storm=1' + QUEUED, 'socket', 0,
    'connect 0; send (100|[1-9][0-9]?); recv (100|[1-9][0-9]?|ECONNRESET); name 2; peek ([0-9]|10|ECONNRESET); option 0; set 0; '
    'shutdown 0; close 0')

# --- the ring of the standard output, which this host has not: where it says that something of it was sent that was never
# queued, calls are asked; what it lets pass for queued it may lose, and nothing else comes of it
for lie in ['1', '65536', 'max', 'min']:
    row(f'any:stdout_error=0,stdout_taken={lie}', 'write clock', 0, '12345678write 8; clock 0')
for lie in ['0', 'umax']:
    row(f'any:stdout_error=0,stdout_taken={lie}', 'write clock', 0, '12345678')
row('any#1:stdout_storm=1', 'write clock write write clock', 0, '12345678.*')

# --- BIND, LISTEN, ACCEPT
each(SOCKET + ';BIND:skip=1,result=VALUE', NONSENSE + [1, 'max'], 'listen', 0,
     'bind 0; listen EIO; accept EINVAL')
each(BOUND + ';LISTEN:skip=1,result=VALUE', NONSENSE + [1, 'max'], 'listen', 0,
     'bind 0; listen EIO; accept EINVAL')
each(LISTENING + ';ACCEPT:skip=1,result=VALUE,' + PEER, NONSENSE + [0, 1, 2, 1 << 24, 1 << 33, 'max'], 'listen',
     0, 'bind 0; listen 0; accept EIO')
for size in ['size_b=umax,b=ff', 'size_b=15,b=0200', 'size_b=0', 'size_b=16,b=0a00', 'size_b=28,b=0100']:
    row(LISTENING + ';ACCEPT:skip=1,result=7,' + size, 'listen', 0, 'bind 0; listen 0; accept ECONNABORTED')
row(LISTENING + ';ACCEPT:skip=1,result=7,' + PEER, 'listen', 0, 'bind 0; listen 0; accept 16')
RECORD = LISTENING + ',in_put=40,in_dry=40,in=%s%s;ACCEPT:skip=1,result=-11'
ADDRESS = '02000009c0000201' + '00' * 24
row(RECORD % ('0700000010000000', ADDRESS), 'listen', 0, 'bind 0; listen 0; accept 16')
for handle in ['00000000', '01000000', '02000000', 'ffffffff', '00000001', '00000080']:
    row(RECORD % (handle + '10000000', ADDRESS), 'listen', 0, 'bind 0; listen 0; accept E[A-Z0-9]+')
for lie in ['00000000' + ADDRESS, '0f000000' + ADDRESS, 'ffffffff' + 'ff' * 32, '10000000' + '0a00' + ADDRESS[4:]]:
    row(RECORD % ('07000000', lie), 'listen', 0, 'bind 0; listen 0; accept ECONNABORTED')
each(LISTENING + ',in_put=VALUE;ACCEPT:skip=1,result=-11', [1, 39], 'listen', 0, 'bind 0; listen 0; accept EAGAIN')
row(LISTENING + ',storm=1,in=070000001000000002000009c0000201;ACCEPT:skip=1,result=-11', 'listen', 0,
    'bind 0; listen 0; accept (16|E[A-Z]+)')
for size in ['size_b=umax,b=ff', 'size_b=15,b=0200', 'size_b=0']:
    row(BOUND + ';SEND:skip=1,result=50;RECV:skip=1,result=8,size_a=8,' + size, 'datagram', 0,
        'sendto 50; recvfrom 8; from 0')
row(BOUND + ';SEND:skip=1,result=51;RECV:skip=1,result=8,size_a=9,size_b=16,b=0200', 'datagram', 0,
    'sendto EIO; recvfrom EIO; from 0')

# --- QE_TARGET, QUOTE: another target, a quote about somebody else
for lie in ['result=512,size_a=512,a=ff', 'result=512,size_a=511', 'result=511,size_a=512', 'result=513',
            'result=0', 'result=max,size_a=umax']:
    row('QE_TARGET:skip=1,' + lie, 'attestation', 0, 'quote (EPROTO|EINVAL); report 432')
row('QE_TARGET:skip=1,result=min', 'attestation', 0, 'quote EIO; report 432')
for lie in ['result=32768,size_a=32768,a=ff', 'result=32769,size_a=umax', 'result=0', 'result=1,size_a=1',
            'result=436,size_a=436,a=0300', 'result=max,size_a=umax', 'result=1000,size_a=999']:
    row('QE_TARGET:skip=1,result=512,size_a=512,a=00;QUOTE:skip=1,' + lie, 'attestation', 0,
        'quote (EPROTO|EIO|EBADMSG); report 432')

# --- CONTROL, ANSWER: requests at any time, of any kind, without end
for lie in ['result=0,size_a=umax,a=ff', 'result=min', 'result=max,size_a=0', 'result=0,size_a=0,a=00']:
    row('any:control=1;CONTROL:skip=1,delay=500,' + lie, 'pipe threads', 0, ALL)
row('any#1:control=umax;CONTROL:skip=1,delay=500,result=0,size_a=umax,a=01;ANSWER:result=min,size_a=umax',
    'pipe threads', 0, ALL)

# --- SESSION, and CONTROL's request for it: a program beside the workload, on handles that are none; its end is said
# in a call whose answer means nothing (what comes with it does: the signals that `signals` sees)
def session(tty, *handles, words=('/bin/probe', 'exit'), number=1):
    payload = struct.pack('<I3iBBHHHH', number, *handles, tty, 0, len(words), 0, 0, 0)
    payload += b''.join(w.encode() + b'\0' for w in words) + b'\0\0'
    request = struct.pack('<IIII', 5, 7, len(payload), 0) + payload
    return (f'any#1:control=umax;CONTROL#1:skip=1,result=0,size_a=umax,a={request.hex()};'
            'CONTROL#2+:skip=1,delay=1000,result=-11;')


LONG = 60  # sleeps: until a session has ended for sure

for tty in 0, 1:
    row(session(tty, 100, 101, 102) + 'SESSION:signals=umax', 'signals' + LONG * ' sleep' + ' signals', 0,
        'signals( 2 15)?(; sleep 1){%d}; signals 2 15' % LONG)
    each(session(tty, 100, 101, 102) + 'SESSION:skip=1,result=VALUE,size_a=umax,size_b=umax', NONSENSE + [1, 'max'],
         'sleep pipe threads', 0, 'sleep 1; ' + ALL)
    for handles in [(0, 1, 2), (-1, -1, -1), (1 << 30, 1 << 30, 1 << 30), (100, 100, 100), (-2 ** 31, 5, 5)]:
        row(session(tty, *handles), 'sleep pipe threads', 0, 'sleep 1; ' + ALL)
row(session(0, 100, 101, 102, words=('/bin/nothing',)) + 'SESSION:signals=umax', 'signals sleep signals', 0,
    'signals; sleep 1; signals')

# --- LAZY: other code, less of it, none
for lie in ['result=min', 'result=0', 'result=65536,size_a=65535', 'result=max,size_a=umax', 'result=65537',
            'size_a=0', 'a=ff', 'skip=1,result=65536,size_a=65536,a=90']:
    row('LAZY:' + lie, 'agent pipe', 0, "(shelter: the enclave's further code [^;]*(; [^;]*)?; )+agent 503; pipe abcdefghij")
row('LAZY#6:a=00', 'agent', 0, "shelter: the enclave's further code that the host gives is not this enclave's; .*; agent 503")

# --- RESOLVE: the agent asks for its broker's name, before the program
for lie in ['result=max,size_a=umax,a=ff', 'result=min', 'result=0', 'result=9', 'result=-2', 'result=1,size_a=19',
            'result=1,size_a=20,a=6300', 'result=8,size_a=umax,a=00']:
    row('RESOLVE:skip=1,' + lie, 'broker', 123, 'shelter: .*broker.test.*')

# --- signals: only those that a host may send
# (and what has no handler is nothing to PID 1)
row('WAIT#2+:signals=umax', 'signals', 0, 'signals 2 15')
row('WAIT#2+:signals=0xfffffffff7ffbffd', 'signals', 0, 'signals')
row('any:signals=umax', 'pipe threads', 0, ALL)

# --- the start block: pointers into the enclave, wrapping, too long; slots that are none
WILD = [0, 0x1000, 0x400000, 0x3fffc0000000, 0x3fffffffffff, 0x7ffffffffff8, 0x800000000000, 'umax',
        0xffffffffffffff00]
each('start:root=VALUE', WILD, 'read', 125, NOT_MAPPED)
each('start:root_size=VALUE', ['max', 'umax', 1 << 47], 'read', 125, NOT_MAPPED)
each('start:root_size=VALUE', [0, 1, 4095, 4096], 'read', 125, UNREADABLE)
# The image has no data: what is said of it must lie outside, and is not read.
row('start:data_size=0', 'read', 0, 'read 12')
each('start:data_size=VALUE', [1, 4096, 'max', 'umax', 1 << 47], 'read', 125, "shelter: the image's data is not mapped")
each('start:data_size=4096,data=VALUE', [v for v in WILD if v != 0x1000], 'read', 125, "shelter: the image's data is not mapped")
each('start:manifest=VALUE', WILD, 'read', 125, 'shelter: the host gave no manifest')
each('start:manifest_size=VALUE', [0, 65537, 'max', 'umax'], 'read', 125, 'shelter: the host gave no manifest')
each('start:manifest_size=VALUE', [1, 4096], 'read', 125, 'shelter: the manifest is not the one .*')
# Host memory that is not there: the enclave faults by itself, and says so.
row('start:manifest_size=65536', 'read', 125,
    r'shelter: (the manifest is not the one .*|the enclave failed inside itself \(vector 14 .*)')
NO_LAUNCH = 'shelter: the host gave no launch config; nothing starts without one'
each('start:launch=VALUE', WILD, 'read', 125, NO_LAUNCH)
each('start:launch_size=VALUE', [0, 'max', 'umax'], 'read', 125, NO_LAUNCH)
each('start:launch_size=VALUE', [1, 4096], 'read', 125, 'shelter: the launch config is not the one that CONFIGID binds')
each('start:sites=VALUE,sites_size=4096', WILD[1:], 'read', 125, 'shelter: sites.bin is not mapped')
each('start:sites_size=VALUE', ['max', 'umax', 1 << 47], 'read', 125, 'shelter: sites.bin is not mapped')
each('start:sites_size=VALUE', [1, 4096], 'read file', 125, 'shelter: sites.bin of the image is not what was built.*')
each('start:rings=VALUE', WILD[1:] + [0x10000000001], 'read', 125, 'shelter: the rings are not mapped')
# --- the pages that earlier runs used: they come early, or they do not
each('start:uses=VALUE', WILD[1:] + [0x10000000001], 'read', 125, 'shelter: the list of pages is not mapped')
each('start:known_count=VALUE', [1, 'max', 'umax'], 'threads file', 0, 'threads all whole; ' + FILE)
each('start:uses_storm=1,known_count=VALUE', [0, 1, 8192, 8193, 'max', 'umax'], 'threads file pipe memory', 0,
     'threads all whole; ' + FILE + '; pipe abcdefghij; mprotect 0; munmap 0; fresh 0')
row('start:launch=0,launch_size=0', 'read', 125, NO_LAUNCH)
each('start:version=VALUE', [0, 1, 'umax'], 'read', 125, 'shelter: the loader and the enclave .* versions')
each('start:hwcap=VALUE,cpu_count=VALUE,tsc_hz=VALUE', [0, 'max', 'umax'], 'threads file', 0,
     'threads all whole; ' + FILE)
each('start:flags=VALUE', [0, 'umax'], 'threads file', 0, 'threads all whole; ' + FILE)
each('start:slot=VALUE', WILD + [64, 0xffffffffc0, 0xfffffffff0, 0x7fffffffffc0, 0x10000000001], 'read', 125,
     INSIDE)

# --- the root image: swapped, and changing under the reader (BLOCKs are of the file that is read)
row('start:swap=0.1', 'file', 125, f'{REFUSED}; {UNREADABLE}')
row('start:swap=BLOCK0.BLOCK1', 'file', 0, f'{REFUSED}; file EIO')
row('start:swap=BLOCK0.0', 'file', 125, f'{REFUSED}; {UNREADABLE}')
each('start:flicker=BLOCKVALUE.BLOCK9', [0, 1, 2, 3], 'file', 0, f'(({REFUSED}; )+file EIO|{FILE})')
row('start:flicker=TREE0.TREE1', 'file', '0|125|126|127|135',
    f'({REFUSED}; )*({UNREADABLE}|file EIO|{FILE}|.*cannot be run.*|.*page of the program cannot be brought.*)')

# --- the entry code: entered with DF, AC, unmasked exceptions, other rounding, full registers
row('start:dirty=1', 'state pipe threads file memory', 0,
    'state 1f80 37f 0 0.33333333333333331 inf 0.33333333333333333334; ' + ALL + '; ' + FILE +
    '; mprotect 0; munmap 0; fresh 0')


# --- SHARE: a folder of the host. Whatever it says, the program sees files or errors; at the start it may be refused.
SHARED = ('read 5; fstat 0; entries 5; readlink 4; write 8; sync 0; chmod 0; truncate 0; mkdir 0; rename 0; again 3; mmap 0; '
          'unlink 0; rmdir 0')
ANY_SHARED = r'(?!.*(failed inside|spoilt)).*'
NOT_SHOWN = "shelter: the host's folder cannot be shown at /share .*"


def stat_of(node, mode, size):
    """struct sh_share_stat"""
    return struct.pack('<6I3Q3q', node, mode, 0, 0, 1, 0, 7, size % 2 ** 64, 8, 0, 0, 0).hex()


row('any:signals=0', 'share', 0, SHARED)
each('SHARE#1:result=VALUE', NONSENSE + [-2, -13], 'share', 125, NOT_SHOWN)
each('SHARE#1:size_a=VALUE', [0, 1, 71], 'share', 125, NOT_SHOWN)
each('SHARE#1:size_a=72,a=VALUE', ['ff', '00', stat_of(1, 0o100644, 5), stat_of(1, 0o40755, -1)], 'share', 125, NOT_SHOWN)
row('SHARE#1:race=1', 'share', '0|125', ANY_SHARED)
for k in [2, 3, 5, 8, 13, 21, 34, '2+', '9+']:
    each(f'SHARE#{k}:result=VALUE', ['min', -2, 1, 'max'], 'share', 0, ANY_SHARED)
    each(f'SHARE#{k}:size_a=VALUE', ['umax', 0, 71], 'share', 0, ANY_SHARED)
    # A file that is another's folder, or of another kind, or larger than any; a number that is none; a device.
    each(f'SHARE#{k}:result=72,size_a=72,a=VALUE',
         ['ff', '00', stat_of(1, 0o100644, 5), stat_of(1, 0o40755, 5), stat_of(0, 0o100644, 5), stat_of(9, 0o60644, 5),
          stat_of(65536, 0o100644, 5), stat_of(4294967295, 0o40755, 5), stat_of(9, 0o100644, -1),
          stat_of(9, 0o106777, 2 ** 63 - 1), stat_of(9, 0, 5)], 'share', 0, ANY_SHARED)
# Names that lead out, are empty, or longer than the answer; a list without an end.
for name, size in [(b'../x', 4), (b'..', 2), (b'.', 1), (b'', 0), (b'a/b', 3), (b'a\0b', 3), (b'abc', 255), (b'abc', 3)]:
    entry = struct.pack('<QQBB', 7, 9, 8, size) + name
    row(f'SHARE#2+:result={len(entry)},size_a={len(entry)},a={entry.hex()}', 'share', '0|124', ANY_SHARED)
row('SHARE#2:race=1', 'share', '0|125', ANY_SHARED)


# --- volumes, by storage.c: the rules, what it does, how it may end. What it reads is what was written, or an error.
VOLUMES = []


def volume(call, lies, verb, status):
    for lie in lies:
        VOLUMES.append((f'{call}:{lie}', verb, status))


RESULTS = [f'result={n}' for n in NONSENSE + [-28, 1, 4095, 'max']]
SIZES = [f'size_a={n}' for n in ['umax', 0, 1, 4095]]
volume('VOLUME_SIZE', RESULTS[:-1] + ['result=0'], 'make', [123])
volume('VOLUME_SIZE', RESULTS[-1:], 'make', [0, 123])  # more than it needs
volume('VOLUME_READ', RESULTS + SIZES[1:] + ['a=ff', 'a=00', 'skip=1'], 'look', [123])
volume('VOLUME_READ#8+', RESULTS + SIZES[1:] + ['a=ff', 'a=00', 'skip=1'], 'look', [1, 123])
volume('VOLUME_READ', SIZES[:1] + ['race=1'], 'look', [0, 1, 123])
volume('VOLUME_WRITE', RESULTS, 'make', [123])
volume('VOLUME_WRITE#40+', RESULTS, 'make', [1, 123, 125])  # 125: it was not closed in order, and says so
volume('VOLUME_WRITE', ['skip=1', 'size_a=umax,size_b=umax'], 'make', [0, 1, 123])
volume('VOLUME_FLUSH', [r for r in RESULTS if r != 'result=0'], 'make', [1, 123])
volume('VOLUME_FLUSH', ['skip=1', 'size_a=umax'], 'make', [0])
volume('VOLUME_DISCARD', RESULTS + ['skip=1', 'size_a=umax'], 'make', [0])


def calls():
    return {name: int(number) for number, name in
            re.findall(r'^CALL_OUT\((\d+), (\w+),', open(CALLS).read(), re.M)}


def scratch():
    """A folder that goes with this process."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, True)
    return folder


class Host:
    def __init__(self, image):
        self.image = image
        self.numbers = calls()
        self.folder = scratch()
        self.root = open(f'{image}/root.img', 'rb').read()

    def block(self, match):
        """Blocks of /data/numbers, and of the hash tree (the last ones)."""
        n = int(match[2])
        if match[1] == 'TREE':
            return str(len(self.root) // 4096 - 1 - n)
        return str(self.root.index(b'1\n2\n3\n4\n5\n6\n') // 4096 + n)

    def rules(self, text):
        text = re.sub(r'(TREE|BLOCK)(\d)', self.block, text)
        return re.sub(r'\b[A-Z][A-Z_]+\b', lambda m: str(self.numbers[m[0]]), text)

    def run(self, rules, probes, limit=30, extra=()):
        launch = f'{self.folder}/launch-{threading.get_ident()}'
        broker = 'broker http://broker.test:8080\n' if probes == 'broker' else ''
        words = ''.join(f'arg {w}\n' for w in ['/bin/probe'] + probes.split())
        mount, shared = '', None
        if 'share' in probes.split():
            mount, shared = 'mount share0 rw /share\n', tempfile.mkdtemp(dir=self.folder)
            os.mkdir(f'{shared}/sub')
            os.symlink('file', f'{shared}/link')
            with open(f'{shared}/file', 'w') as f:
                f.write('12345')
            for name in ['', '/sub', '/file'] if os.getuid() == 0 else []:
                os.chown(shared + name, 54321, 54321)
            extra = [*extra, f'--share=0:rw:{shared}']
        terminal = probes.startswith('tty')
        if terminal:
            words += 'tty 1\n'
        with open(launch, 'w') as f:
            f.write('version = "0.1.0"\nalgorithm = "sha384"\n\n[data]\n"shelter.launch" = \'\'\'\n'
                    + words + f"stdin 1\n{mount}port tcp 18999\n{broker}'''\n")
        command = ['timeout', '-k', '1', str(limit), 'build/tests/sgx-loader-hostile', '--hostile', self.rules(rules),
                   '--signature', f'{self.image}/base/enclave.sig', '--network', 'host-loopback', '--publish-all', '--launch', launch, '--sites', f'{self.image}/sites.bin', *extra, f'{self.image}/base/enclave',
                   f'{self.image}/root.img', f'{self.image}/manifest']
        r = subprocess.run(command, input=b'hello-input\n', stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        says = '; '.join(r.stdout.decode('latin-1').splitlines())
        # What was written to stderr without an end of line comes in at any place, as does a terminal's echo.
        if terminal:
            says = '; '.join(s for s in says.split('; ') if s != 'hello-input')
        if '12345678' in says:
            says = '12345678' + says.replace('12345678', '', 1)
        return r.returncode, says


def table(image):
    host = Host(image)
    failed = {}
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda case: host.run(case[0], case[1], 8 if '124' in str(case[2]) else 30), TABLE))
    for (rules, probes, status, says), (got, said) in zip(TABLE, results):
        # Threads make no two runs the same: told, and a failure only if it hangs again. With two threads at one TCS the
        # host loses calls (what one was to serve, the other has written over: a thread is never started, a wake-up goes
        # nowhere), and a program may wait for them by right: one run in some must end.
        for _ in range(4 if 'twice' in rules else 1):
            if got in (124, -9) and '124' not in str(status):
                print(f'# {rules} did not end in time: {said[-200:]}')
                got, said = host.run(rules, probes)
        # What depends on time is tried again, and told: a session that has not ended when the program looks; a racer
        # that is still there when the program prints, so that the host prints bytes of its own.
        for _ in range(3 if probes.count('sleep') == LONG or 'rings=0;READ:race' in rules else 0):
            if got == 0 and not re.fullmatch(says, said):
                print(f'# {rules} again: {said[:300]!r}')
                got, said = host.run(rules, probes)
        if (124 if got == -9 else got) not in [int(s) for s in str(status).split('|')] or not re.fullmatch(says, said) or 'spoilt' in said:
            failed.setdefault(rules, f'{rules} | {probes}: got {got} {said[:300]!r}, want {status} {says!r}')
    groups = {}
    for rules, *_ in TABLE:
        names = [n for n in re.findall(r'\b[A-Z][A-Z_]+\b', rules) if n in host.numbers]
        for name in names or [rules.split(':')[0]]:
            groups.setdefault(name, set()).add(rules)
    for name in sorted(groups):
        wrong = [failed[r] for r in groups[name] if r in failed]
        print(f'{"not ok" if wrong else "ok"} hostile: {name}, {len(groups[name])} cases')
        for line in wrong:
            print(f'#   {line}')
    elsewhere = {rules.split(':')[0].split('#')[0] for rules, *_ in VOLUMES}
    missing = [n for n in host.numbers if n not in groups and n not in elsewhere]
    print(f'{"not ok" if missing else "ok"} hostile: every call has a case {" ".join(missing)}')


def volumes(shelter, url, good):
    """By the command line, since a broker gives the volume's key; its loader is the hostile one."""
    folder, numbers = scratch(), calls()

    def run(case):
        rules, verb, _ = case
        disk = tempfile.mktemp(dir=folder)
        loader = disk + '.loader'
        numbered = re.sub(r'\b[A-Z][A-Z_]+\b', lambda m: str(numbers[m[0]]), rules)
        with open(loader, 'w') as f:
            f.write(f'#!/bin/sh\nexec {os.getcwd()}/build/tests/sgx-loader-hostile --hostile "{numbered}" "$@"\n')
        os.chmod(loader, 0o755)
        if verb == 'look':
            subprocess.run(['cp', '--sparse=always', good, disk], check=True)
        env = dict(os.environ, SHELTER_SGX_LOADER=loader)
        r = subprocess.run(['timeout', '-k', '1', '60', shelter, 'run', '--tee', 'sgx-sim', '--rm', '-i', url,
                            '-v', f'data:{disk}', verb],
                           env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if os.path.exists(disk):
            os.unlink(disk)
        return r.returncode, '; '.join(r.stdout.decode('latin-1').splitlines())

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(run, VOLUMES))
    wrong = {}
    for (rules, verb, wanted), (status, said) in zip(VOLUMES, results):
        lied = re.search(r'\(char\)\(i \* 7|memcmp|strcmp|hostile:', said)  # bytes that nobody wrote
        bad = status not in wanted or lied
        wrong.setdefault(rules.split(':')[0].split('#')[0], []).extend(
            [f'{rules} | {verb}: got {status} {said[-300:]!r}, want {wanted}'] if bad else [])
    for name, lines in wrong.items():
        print(f'{"not ok" if lines else "ok"} hostile: {name}')
        for line in lines:
            print(f'#   {line}')


def fuzz(image, rounds, seed):
    """Anything may be answered, and anything may come of it but a break: the enclave ends by its program
    or by its own word."""
    host = Host(image)
    everything = 'read tty poll epoll pipe memory listen datagram signals file share attestation clock threads socket'
    wrong = []
    seeds = range(int(seed), int(seed) + int(rounds))
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda n: host.run(f'any:random={n}', everything, limit=60), seeds))
    for one, (status, said) in zip(seeds, results):
        if status in (124, 137, -9):
            # Threads make no two runs the same: told, and a failure only if it hangs again.
            print(f'# seed {one} did not end in time: {said[-200:]}')
            status, said = host.run(f'any:random={one}', everything, limit=60)
        stopped = re.search('(?:^|; |[a-z0-9])shelter: ', said) and status == 125 and 'failed inside' not in said
        # 127, 134: the program's own C library gave up; 129, 130, 131, 143: a signal that a host may send.
        if 'spoilt' in said or not (stopped or status in [0, 126, 127, 134, 129, 130, 131, 143]):
            wrong.append(f'seed {one}: status {status}: {said[-300:]}')
    print(f'{"not ok" if wrong else "ok"} hostile: {rounds} runs with random answers, seeds from {seed}')
    for line in wrong:
        print(f'#   {line}')


if __name__ == '__main__':
    {'table': table, 'volumes': volumes, 'fuzz': fuzz}[sys.argv[1]](*sys.argv[2:])
