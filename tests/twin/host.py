# SPDX-License-Identifier: Apache-2.0
"""One host that lies, to both twins: what the command line would refuse, and what it never writes. Prints TAP.

    host.py IMAGE KEY PUBLIC FOLDER    an image's folder, the key to sign its enclave, a broker's, room; GUEST_* as for
                                       guest_host.py

Each case starts the image in an enclave and in a VM by hand. Both refuse it inside, in one line, the same in both.
"""
import os
import re
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import guest_host as h  # noqa: E402

IMAGE, KEY, PUBLIC, FOLDER = sys.argv[1:5]
MANIFEST = open(f'{IMAGE}/manifest', 'rb').read()
OPEN, SERVE = h.launch(), h.launch(arg=['/bin/probe', 'serve', '7778'], port=['tcp 7777'])


def tap(name, good, why=''):
    print(('ok ' if good else 'not ok ') + name + ('' if good else f': {why}'[:1000]), flush=True)


def change(**fields):
    """The image's manifest, with other fields in the place of its own."""
    values, at = {}, 16
    names = {tag: name for name, tag in h.TAGS.items()}
    while at < len(MANIFEST):
        tag, _, size = struct.unpack('<HHI', MANIFEST[at:at + 8])
        if tag in names:
            values.setdefault(names[tag], []).append(MANIFEST[at + 8:at + 8 + size])
        at += 8 + size
    root, size = values.pop('root_hash')[0], values.pop('root_size')[0]
    values['policy'] = [struct.unpack('<Q', v)[0] for v in values.get('policy', [])] or None
    values.update(fields)
    return h.manifest(root, struct.unpack('<Q', size)[0], **{k: v for k, v in values.items() if v is not None})


def enclave(manifest, launch, *options):
    for name, data in (('manifest', manifest), ('launch', launch or b'')):
        with open(f'{FOLDER}/{name}', 'wb') as f:
            f.write(data)
    subprocess.run(['build/tests/sgx-sign', KEY, f'{IMAGE}/base/enclave', f'{FOLDER}/manifest', f'{FOLDER}/signature'], check=True)
    command = ['build/sgx-loader', '--signature', f'{FOLDER}/signature', '--sites', f'{IMAGE}/sites.bin', *options]
    if launch is not None:
        command += ['--launch', f'{FOLDER}/launch']
    return subprocess.Popen([*command, f'{IMAGE}/base/enclave', f'{IMAGE}/root.img', f'{FOLDER}/manifest'],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def enclave_end(manifest, launch):
    process = enclave(manifest, launch)
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    lines = [line for line in err.splitlines() if line.startswith('shelter: ') and 'warning' not in line]
    return process.returncode, out, [line[len('shelter: '):] for line in lines]


def vm(manifest, launch, **options):
    return h.VM(FOLDER, f'{IMAGE}/root.img', manifest, launch or b'', **options)


def vm_end(manifest, launch):
    with vm(manifest, launch) as guest:
        end = guest.end(90)
        return (end[1], guest.output().decode(), [end[2]]) if end[0] == 'error' else (end, guest.output().decode(), [])


def refused(name, pattern, manifest=MANIFEST, launch=OPEN, same_words=True):
    inside, beside = enclave_end(manifest, launch), vm_end(manifest, launch)
    same = inside == beside if same_words else inside[:2] == beside[:2]
    tap(f'a lying host: {name}: the same answer', same, f'{inside!r} and {beside!r}')
    for tee, end in (('sgx-sim', inside), ('tdx-sim', beside)):
        tap(f'a lying host: {name}: {tee}: refused', end[:2] == (125, '') and len(end[2]) == 1 and
            re.search(pattern, end[2][0]), repr(end))


def closed_ports():
    """The program listens on 7778, and 7777 is published: nothing of the outside reaches it."""
    taken = [socket.create_server(('127.0.0.1', 0)) for _ in range(2)]
    there, shut = (s.getsockname()[1] for s in taken)
    for s in taken:
        s.close()
    process = enclave(MANIFEST, SERVE, '--network', 'user', '--publish', f'127.0.0.1:{there}:7777')
    time.sleep(1.5)
    listening = set()
    for table in ('/proc/net/tcp', '/proc/net/tcp6'):
        with open(table) as f:
            listening |= {int(line.split()[1].split(':')[1], 16) for line in f.readlines()[1:] if line.split()[3] == '0A'}
    tap('sgx-sim: a port that is not published: the program listens', process.poll() is None)
    tap('sgx-sim: ... and nothing of it on the host', 7778 not in listening)
    process.kill()
    process.communicate()
    answer = b'the guest did not start'
    with vm(MANIFEST, SERVE, qemu=('-netdev', f'user,id=n,hostfwd=tcp:127.0.0.1:{shut}-:7778,hostfwd=tcp:127.0.0.1:{there}-:7777',
                                   '-device', 'virtio-net-pci,netdev=n,romfile=')) as guest:
        guest.until(lambda v: any(f[0] == h.STARTED for f in v.frames), 90)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            guest.step(0.1)
        with socket.create_connection(('127.0.0.1', shut), 5) as s:
            s.settimeout(3)
            try:
                s.sendall(b'end')
                answer = s.recv(100)
            except OSError:
                answer = b''
        tap('tdx-sim: a port that is not published: the host forwards to it and hears nothing', answer == b'', repr(answer))
        tap('tdx-sim: ... and the program listens on', not any(f[0] in (h.EXIT, h.ERROR) for f in guest.frames))


def main():
    with open(PUBLIC) as f:
        secret = dict(secret=['key=kbs:///a/b/c'], broker_key=f.read())
    lock = 'the image is locked: '
    # The enclave's start block has none; PID 1's disk has one of no bytes.
    refused('no launch config', 'no launch config; nothing starts without one|the launch config is malformed', launch=None,
            same_words=False)
    for name, given in (('command', dict(arg=['/bin/probe', 'end', 'exit'])), ('environment', dict(env=['LD_PRELOAD=/evil.so'])),
                        ('directory', dict(workdir='/')), ('user', dict(user='0')), ('host name', dict(hostname='other'))):
        refused(f'a locked {name}', lock, change(policy=h.P_LOCK), h.launch(**given))
    refused('a locked network', lock, change(policy=h.P_LOCK, network='none'), h.launch(network='dhcp'))
    refused('secrets of an image that is not locked', 'names secrets and is not locked', change(policy=0, **secret))
    for name, more in (('exec', dict(policy=h.P_LOCK | h.P_EXEC)), ('a mount', dict(policy=h.P_LOCK, host_mount=[bytes(4) + b'/data']))):
        refused(f'secrets and {name}', 'names secrets and lets the host', change(**more, **secret))
    refused('a folder over what the image has', 'names no such place', launch=h.launch(mount=['share0 ro /bin']))
    refused('a host name with another line in it', 'the host name is not', launch=h.launch(hostname='a\n192.0.2.6 localhost'))
    closed_ports()


main()
