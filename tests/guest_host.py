# SPDX-License-Identifier: Apache-2.0
"""Plays the host of a simulated confidential VM, honestly or not, for the tests of PID 1.

It speaks <shelter/channel.h> and <shelter/simtd.h>, writes <shelter/manifest.h>, <shelter/launch.h>
and <shelter/boot.h>, and starts QEMU under TCG. Standard library only. Every wait is bounded.
"""
import hashlib
import os
import re
import selectors
import shutil
import socket
import struct
import subprocess
import tempfile
import time

DATA, EOF, CREDIT = 1, 2, 3
HELLO, STARTED, EXIT, ERROR, REFUSED = 16, 17, 18, 19, 20
WINSIZE, SIGNAL, EXEC, BYE = 32, 33, 34, 35
IN, OUT, ERR = 0, 1, 2
NAMES = {v: k for k, v in list(globals().items()) if isinstance(v, int) and k.isupper()}

TAGS = dict(root_hash=1, root_size=2, entrypoint=16, command=17, env=18, workdir=19, user=20,
            hostname=21, stop_signal=22, limit=23, mount=24, port=25, network=26, agent=27,
            broker=28, broker_key=29, secret=30, policy=31, host_mount=34, container=37)
LAUNCH_KEYS = ("arg env workdir user hostname tty stdin mount network port broker memory cpus "
               "debug readonly").split()
P_EXEC, P_MOUNT, P_SIGNAL, P_STATS, P_DEBUG = 1, 2, 4, 16, 32
P_LOCK, P_NO_INPUT, P_NO_OUTPUT = 1 << 16, 1 << 17, 1 << 18
P_AGENT_HEADER, P_NO_EVIDENCE = 1 << 19, 1 << 20

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../include/shelter/boot.h")) as f:
    COMMON = "".join(re.findall(r'"([^"]*)"', re.search(r"SH_BOOT_COMMON((?:.*\\\n)+.*)", f.read())[1]))


def sha384(data):
    return hashlib.sha384(data).digest()


def manifest(root_hash, root_size, **fields):
    """Bytes of a manifest; strings and lists of strings as they come, numbers by their tag."""
    out = b""

    def put(tag, data):
        nonlocal out
        out += struct.pack("<HHI", tag, 0, len(data)) + data

    values = dict(root_hash=root_hash, root_size=struct.pack("<Q", root_size), **fields)
    for name, tag in sorted(TAGS.items(), key=lambda item: item[1]):
        value = values.pop(name, None)
        if value is None:
            continue
        for one in value if isinstance(value, list) else [value]:
            if name == "policy":
                one = struct.pack("<Q", one)
            elif name == "stop_signal":
                one = struct.pack("<I", one)
            put(tag, one.encode() if isinstance(one, str) else one)
    assert not values, values
    return b"SHLTRMAN" + struct.pack("<II", 1, 16 + len(out)) + out


def container(name, argv, env=(), workdir="/", user=""):
    """A container's record: its name, and an EXEC's payload."""
    return b"".join([name.encode(), b"\0", struct.pack("<BBHHHH", 0, 0, len(argv), len(env), 0, 0)] +
                    [s.encode() + b"\0" for s in [*argv, *env, workdir, user]])


def launch(**fields):
    text = 'version = "0.1.0"\nalgorithm = "sha384"\n\n[data]\n"shelter.launch" = \'\'\'\n'
    for key in LAUNCH_KEYS:
        value = fields.pop(key, None)
        if value is None:
            continue
        for one in value if isinstance(value, list) else [value]:
            escaped = "".join(chr(b) if 0x20 <= b <= 0x7e and b not in b"%'" else "%%%02X" % b
                              for b in one.encode())
            text += f"{key} {escaped}\n"
    assert not fields, fields
    return (text + "'''\n").encode()


def config_disk(manifest_bytes, launch_bytes):
    data = b"SHLTRCFG" + struct.pack("<II", len(manifest_bytes), len(launch_bytes))
    data += manifest_bytes + launch_bytes
    return data + bytes(-len(data) % 4096)


def root_image(tree, path):
    """erofs of a folder, then its verity tree. (root hash, erofs size)"""
    subprocess.run(["mkfs.erofs", "-T0", "-U00000000-0000-0000-0000-000000000000", "--all-root",
                    path, tree], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    size = (os.path.getsize(path) + 4095) // 4096 * 4096
    os.truncate(path, size)
    text = subprocess.run(["veritysetup", "format", "--no-superblock", "--salt=-",
                           "--hash=sha256", f"--hash-offset={size}", path, path], check=True,
                          capture_output=True, text=True).stdout
    line = [l for l in text.splitlines() if l.startswith("Root hash")][0]
    return bytes.fromhex(line.split()[-1]), size


class Gone(Exception):
    """The guest hung up, or said nothing for too long."""


class VM:
    """One boot. Values given override the honest ones, so that a test can lie."""

    def __init__(self, folder, root, manifest_bytes, launch_bytes, *, cmdline=None, tee="tdx-sim",
                 extra_cmdline="", disk=None, mrconfigid=None, manifest_digest=None, memory="256M",
                 kernel=None, initramfs=None, net=False, shares=(), td_answer=None, qemu=(),
                 console=None, credit=1 << 20, cpus=1):
        self.dir = tempfile.mkdtemp(dir=folder)
        self.credit_default = credit
        self.mrconfigid = sha384(launch_bytes) if mrconfigid is None else mrconfigid
        self.td_answer = td_answer
        config = os.path.join(self.dir, "config")
        with open(config, "wb") as f:
            f.write(disk if disk is not None else config_disk(manifest_bytes, launch_bytes))
        digest = (manifest_digest or sha384(manifest_bytes)).hex()
        if cmdline is None:
            cmdline = f"{COMMON} shelter.tee={tee} shelter.manifest={digest}{extra_cmdline}"
        self.channel, channel_end = socket.socketpair()
        self.td, td_end = socket.socketpair()
        for end in (channel_end, td_end):
            end.set_inheritable(True)
        args = ["qemu-system-x86_64", "-M", "q35,usb=off,sata=off,smbus=off,hpet=off",
                "-accel", "tcg", "-cpu", "max,avx2=off,bmi1=off,bmi2=off,fma=off,vaes=off", "-m", memory, "-smp", str(cpus),
                "-nodefaults", "-no-user-config",
                "-display", "none", "-no-reboot", "-bios", "qboot.rom", "-kernel",
                kernel or os.environ["GUEST_KERNEL"], "-initrd",
                initramfs or os.environ["GUEST_INITRAMFS"], "-append", cmdline,
                "-drive", f"if=none,id=r,format=raw,readonly=on,file={root}",
                "-device", "virtio-blk-pci,drive=r,serial=shelter-root",
                "-drive", f"if=none,id=c,format=raw,readonly=on,file={config}",
                "-device", "virtio-blk-pci,drive=c,serial=shelter-config",
                "-device", "virtio-serial-pci,max_ports=4",
                "-add-fd", f"fd={channel_end.fileno()},set=1", "-add-fd",
                f"fd={td_end.fileno()},set=2",
                "-chardev", f"socket,id=ch,fd={channel_end.fileno()}",
                "-device", "virtserialport,chardev=ch,name=shelter.channel",
                "-chardev", f"socket,id=td,fd={td_end.fileno()}",
                "-device", "virtserialport,chardev=td,name=shelter.td"]
        args = [a for i, a in enumerate(args) if a != "-add-fd" and args[i - 1] != "-add-fd"]
        args += ["-chardev", f"file,id=con,path={console}", "-serial", "chardev:con"] if console \
            else ["-serial", "none"]
        args += ["-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n,romfile="] if net \
            else ["-nic", "none"]
        for i, (source, mode) in enumerate(shares):
            args += ["-fsdev", f"local,id=s{i},path={source},security_model=none" +
                     (",readonly=on" if mode == "ro" else ""),
                     "-device", f"virtio-9p-pci,fsdev=s{i},mount_tag=share{i}"]
        args += list(qemu)
        self.started_at = time.monotonic()
        self.log = open(os.path.join(self.dir, "qemu.log"), "wb")
        self.qemu = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=self.log,
                                     stderr=self.log,
                                     pass_fds=(channel_end.fileno(), td_end.fileno()))
        channel_end.close()
        td_end.close()
        self.buffer = bytearray()
        self.out = bytearray()      # to the guest, not yet taken
        self.td_in = bytearray()
        self.selector = selectors.DefaultSelector()
        for s, name in ((self.channel, "channel"), (self.td, "td")):
            s.setblocking(False)
            self.selector.register(s, selectors.EVENT_READ, name)
        self.frames = []            # (type, stream, session, payload), in order, but for data
        self.data = {}              # (session, stream) -> bytearray
        self.in_credit = {}         # session -> what we may send
        self.to_send = {}           # session -> bytearray
        self.eof_due = set()
        self.times = {}
        self.closed = False

    # --- frames ---

    def send(self, kind, payload=b"", session=0, stream=0, size=None):
        self.out += struct.pack("<BBHI", kind, stream, session,
                                len(payload) if size is None else size) + payload
        self._flush()

    def raw(self, data):
        self.out += data
        self._flush()

    def _flush(self):
        while self.out and not self.closed:
            try:
                n = self.channel.send(self.out[:262144])
            except BlockingIOError:
                break
            except OSError:
                self.closed = True
                break
            del self.out[:n]
        if not self.closed:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.out else 0)
            self.selector.modify(self.channel, events, "channel")

    def grant(self, session, stream, size):
        self.send(CREDIT, struct.pack("<I", size), session, stream)

    def stdin(self, data, session=0, eof=True):
        self.to_send.setdefault(session, bytearray()).extend(data)
        if eof:
            self.eof_due.add(session)
        self._feed(session)

    def _feed(self, session):
        queue, credit = self.to_send.get(session), self.in_credit.get(session, 0)
        while queue and credit and len(self.out) < 1 << 20:
            n = min(len(queue), credit, 65536)
            self.send(DATA, bytes(queue[:n]), session)
            del queue[:n]
            credit -= n
        self.in_credit[session] = credit
        if not queue and session in self.eof_due:
            self.eof_due.discard(session)
            self.send(EOF, b"", session)

    def exec(self, session, argv, *, tty=0, kind=0, env=(), workdir="", user="", rows=24, cols=80):
        head = struct.pack("<BBHHHH", tty, kind, len(argv), len(env), rows, cols)
        body = b"".join(s.encode() + b"\0" for s in [*argv, *env, workdir, user])
        self.send(EXEC, head + body, session)
        if self.credit_default:
            self.grant(session, OUT, self.credit_default)
            self.grant(session, ERR, self.credit_default)

    # --- the loop ---

    def _td_request(self):
        self.td_in += self.td.recv(4096)
        while len(self.td_in) >= 72:
            magic, kind = struct.unpack("<II", self.td_in[:8])
            asked = bytes(self.td_in[8:72])
            del self.td_in[:72]
            assert magic == 0x51524454 and kind in (0, 1), (magic, kind)
            if kind == 1:  # a quote with nothing in it but its report data
                quote = bytes(568) + asked + bytes(368)
                self.td.send(struct.pack("<III", magic, 0, len(quote)) + quote)
                continue
            report = bytearray(1024)
            report[512 + 64:512 + 112] = self.mrconfigid
            reply = struct.pack("<II", magic, 0) + bytes(report)
            self.td.send(reply if self.td_answer is None else self.td_answer)

    def _frame(self, kind, stream, session, payload):
        if kind == DATA:
            self.data.setdefault((session, stream), bytearray()).extend(payload)
            if self.credit_default:
                self.grant(session, stream, len(payload))
            return
        self.times.setdefault((kind, session), time.monotonic() - self.started_at)
        self.frames.append((kind, stream, session, payload))
        if kind == HELLO and self.credit_default:
            self.grant(0, OUT, self.credit_default)
            self.grant(0, ERR, self.credit_default)
        if kind == CREDIT:
            self.in_credit[session] = self.in_credit.get(session, 0) + \
                struct.unpack("<I", payload)[0]
            self._feed(session)

    def step(self, timeout):
        for key, events in self.selector.select(timeout):
            if key.data == "td":
                try:
                    self._td_request()
                except OSError:
                    pass
                continue
            if events & selectors.EVENT_WRITE:
                self._flush()
                for session in list(self.to_send):
                    self._feed(session)
            if not events & selectors.EVENT_READ:
                continue
            try:
                got = self.channel.recv(1 << 20)
            except BlockingIOError:
                continue
            except OSError:
                got = b""
            if not got:
                self.closed = True
                self.selector.unregister(self.channel)
                return
            self.buffer += got
            while len(self.buffer) >= 8:
                kind, stream, session, size = struct.unpack("<BBHI", self.buffer[:8])
                assert size <= 65536, "oversize frame from the guest"
                if len(self.buffer) < 8 + size:
                    break
                payload = bytes(self.buffer[8:8 + size])
                del self.buffer[:8 + size]
                self._frame(kind, stream, session, payload)

    def until(self, condition, seconds=60):
        """Runs until condition(self) holds; Gone when it cannot any more."""
        end = time.monotonic() + seconds
        while not condition(self):
            if self.closed:
                raise Gone("the guest hung up: " + self.story())
            if time.monotonic() >= end:
                raise Gone("nothing came: " + self.story())
            self.step(0.2)

    def wait_frame(self, kind, session=0, seconds=60):
        def there(vm):
            return any(f[0] == kind and f[2] == session for f in vm.frames)
        self.until(there, seconds)
        return [f for f in self.frames if f[0] == kind and f[2] == session][0][3]

    def wait_output(self, text, session=0, stream=OUT, seconds=60):
        self.until(lambda vm: text in vm.data.get((session, stream), b""), seconds)

    def story(self):
        text = " ".join(f"{NAMES.get(f[0], f[0])}/{f[2]}:{f[3][:160]!r}" for f in self.frames)
        return text + " " + " ".join(f"{k}={bytes(v[-200:])!r}" for k, v in self.data.items())

    def output(self, session=0, stream=OUT):
        return bytes(self.data.get((session, stream), b""))

    def end(self, seconds=90, bye=True):
        """Waits for the workload's end. (exit code, signal), or ("error", status, text)."""
        def over(vm):
            return any(f[0] in (EXIT, ERROR) and f[2] == 0 for f in vm.frames)
        self.until(over, seconds)
        kind, _, _, payload = [f for f in self.frames if f[0] in (EXIT, ERROR) and f[2] == 0][0]
        if bye:
            self.send(BYE)
            self.power_off()
        if kind == ERROR:
            return "error", struct.unpack("<I", payload[:4])[0], payload[4:].decode()
        return struct.unpack("<II", payload)

    def power_off(self, seconds=30):
        """Waits until the machine is off, by itself. The seconds it took."""
        start = time.monotonic()
        end = start + seconds
        while self.qemu.poll() is None:
            if time.monotonic() >= end:
                raise Gone("the guest does not power off: " + self.story())
            if self.closed:
                time.sleep(0.02)
            else:
                self.step(0.1)
        return time.monotonic() - start

    def close(self):
        if self.qemu.poll() is None:
            self.qemu.kill()
        self.qemu.wait(20)
        self.log.close()
        self.channel.close()
        self.td.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
