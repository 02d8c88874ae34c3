# SPDX-License-Identifier: Apache-2.0
"""PID 1 of the confidential VM, end to end: honest hosts first, then every lie we know. Prints TAP.

    guest_cases.py FOLDER [case...]     GUEST_KERNEL, GUEST_INITRAMFS, BUSYBOX in the environment
"""
import base64
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guest_host as h  # noqa: E402
from guest_host import VM, launch, manifest  # noqa: E402

FOLDER = sys.argv[1]
APPLETS = ("sh cat ls echo id ps sleep env stat dd sha256sum grep head tail wc tr true false kill "
           "pwd hostname tty stty mkdir rm touch mknod ifconfig route wget nc ln readlink seq sort "
           "find chmod yes pidof awk mount df date test [ sync").split()
VICTIM = b"block that the host will flip\n"
CASES = []
# helper PORT: prints what comes by UDP; helper PORT TEXT: sends it there; helper PROGRAM...: asks to be traced, and runs it.
HELPER = r"""
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int n, char **v)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(v[1]))};
    char text[100];
    if (n == 2) {
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        if (bind(fd, (void *)&a, sizeof(a)))
            return 1;
        for (ssize_t size; (size = recv(fd, text, sizeof(text), 0)) > 0;)
            if (write(1, text, (size_t)size) != size)
                return 1;
    }
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (n == 3)
        return sendto(socket(AF_INET, SOCK_DGRAM, 0), v[2], strlen(v[2]), 0, (void *)&a, sizeof(a)) < 0;
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    puts("before");
    fflush(stdout);
    execv(v[1], v + 1);
    return 9;
}
"""


def case(function):
    CASES.append(function)
    return function


def tap(name, good, why=""):
    print(("ok " if good else "not ok ") + name + ("" if good else f": {why}"[:4000]), flush=True)


def same(name, got, want):
    tap(name, got == want, f"got {got!r}, want {want!r}")


def has(name, text, pattern):
    if isinstance(pattern, str) and isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    tap(name, re.search(pattern, text, re.S | re.M) is not None, f"no /{pattern}/ in {text!r}")


def lacks(name, text, pattern):
    tap(name, re.search(pattern, text.decode("utf-8", "replace")) is None,
        f"/{pattern}/ is in {text!r}")


# --- the image ---

def make_tree(tree):
    for d in ("bin", "etc", "opt/dir", "home/app", "data", "run", "usr/sbin"):
        os.makedirs(f"{tree}/{d}")
    shutil.copy(os.environ.get("BUSYBOX", "/bin/busybox"), f"{tree}/bin/busybox")
    os.chmod(f"{tree}/bin/busybox", 0o755)
    for name in APPLETS:
        os.symlink("busybox", f"{tree}/bin/{name}")
    files = {
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n",
        "etc/group": "root:x:0:\napp:x:1001:\nmedia:x:44:other,app\nwheel:x:10:app\n",
        "opt/noexec": "#!/bin/sh\n", "opt/badinterp": "#!/no/such\n", "opt/plain": "echo hi\n",
        "run/kept": "kept\n", "opt/script": "#!/bin/sh\necho script $0 \"$@\"\n",
        "opt/agent": "#!/bin/sh\necho \"agent $SHELTER_TEE ${HOSTENV:-none}\" >/data/agent\n"
                     "while :; do echo mine | nc -l -p 8006; done\n",
    }
    for name, text in files.items():
        with open(f"{tree}/{name}", "w") as f:
            f.write(text)
        os.chmod(f"{tree}/{name}", 0o755 if name.startswith("opt/") and name != "opt/noexec"
                 else 0o644)
    with open(f"{tree}/data/victim", "wb") as f:
        f.write(b"x" * (2 << 20))
        f.write(VICTIM + b"y" * (8192 - len(VICTIM)))
    subprocess.run(["gcc", "-static", "-O1", "-xc", "-", "-o", f"{tree}/opt/helper"], check=True,
                   input=HELPER, text=True)
    own = os.path.join(os.path.dirname(os.environ["GUEST_INITRAMFS"]), "../guest/agent")
    shutil.copy(os.environ.get("GUEST_AGENT", own), f"{tree}/opt/our-agent")
    os.chmod(f"{tree}/opt/our-agent", 0o755)
    for name in ("web", "app"):
        for d in ("bin", "etc", "data", "dev", "proc", "sys"):
            os.makedirs(f"{tree}/containers/{name}/{d}")
        for program in ("busybox", *APPLETS):
            os.link(f"{tree}/bin/{program}", f"{tree}/containers/{name}/bin/{program}", follow_symlinks=False)
        with open(f"{tree}/containers/{name}/etc/passwd", "w") as f:
            f.write(f"root:x:0:0:root:/root:/bin/sh\n{name}:x:2000:2001::/home/{name}:/bin/sh\n")
    os.symlink("/etc", f"{tree}/escape")
    os.symlink("../../../../../../etc", f"{tree}/climb")


class Image:
    def __init__(self):
        tree = os.path.join(FOLDER, "tree")
        make_tree(tree)
        self.path = os.path.join(FOLDER, "root.img")
        self.hash, self.size = h.root_image(tree, self.path)
        shutil.rmtree(tree)

    def manifest(self, **fields):
        return manifest(self.hash, self.size, **fields)

    def vm(self, fields=None, given=None, **options):
        return VM(FOLDER, options.pop("root", self.path), self.manifest(**(fields or {})),
                  launch(**(given or {})), **options)

    def sh(self, script, fields=None, given=None, **options):
        """A VM whose workload is this shell script."""
        return self.vm(dict(fields or {}, command=["/bin/sh", "-c", script]), given, **options)


IMAGE = None


def run(script, fields=None, given=None, stdin=None, seconds=60, **options):
    """Boots, feeds, ends. (end, stdout, stderr)"""
    with IMAGE.sh(script, fields, given, **options) as vm:
        if stdin is not None:
            vm.stdin(stdin)
        end = vm.end(seconds)
        return end, vm.output(), vm.output(0, h.ERR)


def refused(name, pattern, status=125, **options):
    """A start that must end in ERROR with one line, then power-off."""
    fields, given = options.pop("fields", {}), options.pop("given", {})
    fields.setdefault("command", ["/bin/echo", "this must not run"])
    with IMAGE.vm(fields, given, **options) as vm:
        end = vm.end(40)
        good = end[0] == "error" and end[1] == status and re.search(pattern, end[2]) and \
            "\n" not in end[2] and vm.output() == b""
        tap(name, good, f"{end!r} {vm.output()!r}")


# --- honest hosts ---

@case
def first():
    end, out, err = run("echo out; echo err >&2; env; pwd; exit 3",
                        dict(env=["A=image", "B=image"], workdir="/made/for/me"))
    same("exit status", end, (3, 0))
    same("stderr is a stream of its own", err, b"err\n")
    has("stdout", out, "^out$")
    has("default PATH", out, "^PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin$")
    has("HOME of root", out, "^HOME=/root$")
    has("image environment", out, "^A=image$")
    has("working directory is made", out, "^/made/for/me$")
    lacks("no terminal, no TERM", out, "TERM=")


@case
def launch_config():
    with IMAGE.vm(dict(entrypoint=["/bin/false"], command=["x"], env=["A=image", "B=image"],
                       user="root", workdir="/", hostname="image"),
                  dict(arg=["sh", "-c", "id; env; pwd; hostname; cat /etc/hostname /etc/hosts; "
                            "echo \"$1\"", "arg zero", "%'quoted\n\u00e9"],
                       env=["A=host", "C=a=b"], workdir="/home/app", user="app",
                       hostname="my-host.example")) as vm:
        same("argv of the launch config replaces entrypoint and command", vm.end(), (0, 0))
        out = vm.output()
    has("user by name, with groups", out, r"uid=1000\(app\) gid=1001\(app\) groups=10\(wheel\),44\(media\),1001\(app\)")
    has("environment of the host overrides", out, "^A=host$")
    has("environment of the image stays", out, "^B=image$")
    has("a value may hold =", out, "^C=a=b$")
    has("HOME from /etc/passwd", out, "^HOME=/home/app$")
    has("working directory", out, "^/home/app$")
    has("host name", out, "^my-host.example\nmy-host.example\n")
    has("/etc/hosts", out, r"^127\.0\.1\.1\s+my-host.example$")
    has("every byte of an argument arrives", out, "%'quoted\n\u00e9\n")


@case
def users():
    for spec, want in (("1000", r"uid=1000\(app\) gid=1001\(app\) groups=10\(wheel\),44\("),
                       ("app:media", r"uid=1000\(app\) gid=44\(media\) groups=44\(media\)$"),
                       ("12345:54321", "uid=12345 gid=54321 groups=54321$"),
                       ("4000000000", r"uid=4000000000 gid=0\(root\) groups=0\(root\)$")):
        end, out, _ = run("id; echo x >/dev/stdout; echo $HOME", given=dict(user=spec))
        has(f"user {spec}", out, "^" + want)
        has(f"user {spec} may open its stdout", out, "^x$")
    refused("unknown user", "user 'nobody-here' is not in the image's", given=dict(user="nobody-here"))
    refused("unknown group", "is not in the image's", given=dict(user="app:nope"))


@case
def not_found():
    for command, status, text in ((["/no/such"], 127, "No such file"), (["nope"], 127, "No such"),
                                  (["/opt/noexec"], 126, "Permission denied"),
                                  (["/opt/dir"], 126, "Permission denied|directory"),
                                  (["/opt/plain"], 126, "Exec format"),
                                  (["/opt/badinterp"], 127, "interpreter"), ([""], 127, "No such")):
        refused(f"{command[0] or 'empty name'}: {status}", text, status, fields=dict(command=command))
    refused("no command at all", "names no command", fields=dict(command=None))
    end, out, _ = run("exec script a b", dict(env=["PATH=/opt:/bin"]))
    same("a script found on PATH", out, b"script /opt/script a b\n")


@case
def world():
    end, out, _ = run("ls /dev; echo ==; ls -l /dev/null /dev/ptmx; cat /proc/self/status; echo ==;"
                      "mknod /dev/x b 254 0; mknod /opt/x c 1 3; ls /dev/vda /dev/vport0p1;"
                      "echo w >/opt/noexec && cat /opt/noexec; touch /sys/x; umask; ulimit -n;"
                      "ls -ld /tmp; echo t >/tmp/t; echo s >/dev/shm/s; cat /run/kept; echo r >/run/r; mount;"
                      "echo pid $$; echo mine >/proc/1/fd/1; ls -d /proc/[0-9]*; cat /proc/1/oom_score_adj;"
                      "ls /proc/1/root/ ; ls -d /etc/resolv.conf; echo fds; ls /proc/self/fd; echo end",
                      cpus=2, fields=dict(
                          mount=[struct.pack("<QI", 1 << 20, 0o700) + b"/cache"],
                          limit=[struct.pack("<IIQQ", 7, 0, 333, 444)]))
    text = out.decode()
    same("/dev as in a container", text.split("==")[0].split(),
         "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero".split())
    has("/dev/null is for all", out, "^crw-rw-rw-.*/dev/null$")
    has("capabilities as docker's, without mknod", out, r"^CapBnd:\s+00000000a00425fb|"
        r"^CapBnd:\s+00000000200425fb$")
    has("root file system is writable", out, "^w$")
    has("umask", out, "^0022$")
    has("limits of the image", out, "^333$")
    has("/tmp is made", out, "^drwxrwxrwt.* /tmp$")
    has("a tmpfs of the manifest", out, r"^tmpfs on /cache type tmpfs \(rw,nosuid,nodev,.*size=1024k,mode=700")
    has("/sys is read-only", out, r"^sysfs on /sys type sysfs \(ro,")
    has("the workload is PID 1", out, r"^pid 1\nmine\n/proc/1\n(/proc/\d+\n)*0$")
    has("the image's /run is kept", out, "^kept$")
    has("no descriptor of PID 1 is left open", out, "^fds\n0\n1\n2\n3\nend$")
    lacks("no disk in /dev", out, "/dev/vda$")
    lacks("the VM's own root is not to be seen", out, r"^lower$")


@case
def stdin_cat():
    data = os.urandom(8 << 20) + b"\0\n\r\xff" * 1000
    with IMAGE.vm(dict(command=["/bin/cat"]), dict(stdin="1")) as vm:
        vm.wait_frame(h.STARTED)
        start = time.monotonic()
        vm.stdin(data)
        same("cat ends at the end of stdin", vm.end(), (0, 0))
        took = time.monotonic() - start
        same("8 MB through cat, every byte", hashlib.sha256(vm.output()).hexdigest(),
             hashlib.sha256(data).hexdigest())
        print(f"# {len(data) / took / 1e6:.1f} MB/s through cat")
    end, out, _ = run("cat; echo end")
    same("without stdin in the launch config it is empty", out, b"end\n")


@case
def big():
    size = 100 << 20
    with IMAGE.vm(dict(command=["/bin/cat"]), dict(stdin="1")) as vm:
        vm.wait_frame(h.STARTED)
        start = time.monotonic()
        vm.stdin(os.urandom(1 << 20) * 100)
        same("100 MB through cat", (vm.end(240), len(vm.output())), ((0, 0), size))
        print(f"# 100 MB through cat in {time.monotonic() - start:.1f} s")


@case
def back_pressure():
    with IMAGE.sh("seq 1 200000 | tr -d '\\n' | head -c 1000000; echo done >&2", credit=0) as vm:
        vm.grant(0, h.OUT, 1000)
        vm.grant(0, h.ERR, 1000)
        vm.until(lambda v: len(v.output()) == 1000, 30)
        for _ in range(10):
            vm.step(0.05)
        same("no byte beyond the credit", len(vm.output()), 1000)
        tap("the workload waits", not any(f[0] == h.EXIT for f in vm.frames), vm.story())
        vm.grant(0, h.OUT, 500000)
        vm.until(lambda v: len(v.output()) == 501000, 30)
        vm.wait_output(b"", seconds=1)
        vm.grant(0, h.OUT, 400000)
        vm.until(lambda v: len(v.output()) == 901000, 30)
        vm.wait_frame(h.HELLO)
        vm.grant(0, h.OUT, 1 << 20)
        same("all output is there before EXIT", (vm.end(), len(vm.output())), ((0, 0), 1000000))
        same("stderr too", vm.output(0, h.ERR), b"done\n")


@case
def signals():
    for number, script, want in ((signal.SIGTERM, "while :; do sleep 0.1; done", (8, 0)),
                                 (signal.SIGKILL, "exec sleep 100", (137, 9)),
                                 (signal.SIGINT, "while :; do sleep 0.1; done", (7, 0))):
        with IMAGE.sh("trap 'exit 7' INT; trap 'exit 8' TERM; echo up; " + script) as vm:
            vm.wait_output(b"up")
            vm.send(h.SIGNAL, struct.pack("<I", number))
            same(f"{number.name} ends the workload", vm.end(20), want)
    with IMAGE.sh("echo up; sleep 3; kill -TERM $$; kill -KILL $$; echo lives; exit 6") as vm:
        vm.wait_output(b"up")
        for _ in range(3):
            vm.send(h.SIGNAL, struct.pack("<I", signal.SIGTERM))
        same("what a first process does not handle it does not get, as with docker",
             (vm.end(20), vm.output()), ((6, 0), b"up\nlives\n"))
    with IMAGE.sh("trap 'echo usr1' USR1; trap 'exit 9' QUIT; echo up; while :; do sleep 0.1; done",
                  dict(stop_signal=signal.SIGQUIT)) as vm:
        vm.wait_output(b"up")
        for bad in (signal.SIGUSR1, 0, 65, 1 << 31):
            vm.send(h.SIGNAL, struct.pack("<I", bad))
        vm.until(lambda v: sum(f[0] == h.REFUSED for f in v.frames) == 4, 20)
        has("a signal that policy does not allow", vm.wait_frame(h.REFUSED), "--allow signal")
        vm.send(h.SIGNAL, struct.pack("<I", signal.SIGQUIT))
        same("the image's stop signal is allowed", vm.end(20), (9, 0))
        same("and the others had no effect", vm.output(), b"up\n")
    with IMAGE.sh("trap 'exit 4' USR1; echo up; while :; do sleep 0.1; done",
                  dict(policy=h.P_SIGNAL)) as vm:
        vm.wait_output(b"up")
        vm.send(h.SIGNAL, struct.pack("<I", signal.SIGUSR1))
        same("allowed by policy", vm.end(20), (4, 0))


@case
def terminal():
    with IMAGE.sh("tty; stty size; echo $TERM; trap 'stty size' WINCH; ls -l /dev/console; until read x; do :; done;"
                  " echo got $x; read y; read z; echo end $?", given=dict(tty="1", stdin="1")) as vm:
        vm.send(h.WINSIZE, struct.pack("<HH", 33, 101))
        vm.wait_output(b"/dev/console")
        has("a real terminal", vm.output(), r"^/dev/pts/0\r\n33 101\r\nxterm\r\n")
        vm.send(h.WINSIZE, struct.pack("<HH", 44, 120))
        vm.stdin(b"line\r", eof=False)
        vm.wait_output(b"got line")
        vm.wait_output(b"44 120")
        tap("resize", True)
        vm.stdin(b"\n", eof=False)
        vm.stdin(b"", eof=True)
        vm.wait_output(b"end 1")
        tap("end of stdin is the end of a terminal's input", True)
        same("exit of a terminal workload", vm.end(), (0, 0))
    with IMAGE.sh("trap 'exit 6' INT; echo up; while :; do sleep 0.1; done",
                  given=dict(tty="1", stdin="1")) as vm:
        vm.wait_output(b"up")
        vm.stdin(b"\x03", eof=False)
        same("^C through the terminal", vm.end(20), (6, 0))
    with IMAGE.sh("echo typed >/dev/tty; head -c 300000 /dev/zero | tr '\\0' a",
                  given=dict(tty="1", stdin="1", user="app")) as vm:
        same("a big output through a terminal", (vm.end(), vm.output().count(b"a")),
             ((0, 0), 300000))
        has("/dev/tty for another user", vm.output(), "^typed")


@case
def orphans():
    end, out, _ = run("(sleep 0.3; echo late) & (sleep 1000) & sh -c 'sleep 0.2 & exit' ;"
                      "sleep 0.5; ps | grep -c '[Z]ombie\\|\\[sleep\\]'; exit 0")
    same("orphans are reaped", out, b"late\n0\n")
    start = time.monotonic()
    with IMAGE.sh("sleep 1000 & (trap '' TERM HUP; sleep 1000) & echo bye") as vm:
        same("what the workload leaves behind does not stop its end", vm.end(20), (0, 0))
        tap("nor delays it", time.monotonic() - start < 15, str(time.monotonic() - start))


@case
def memory():
    end, out, _ = run("echo start; dd if=/dev/zero of=/dev/null bs=900M count=1; echo no $?",
                      memory="96M")
    has("too little memory for a program: it is killed, PID 1 is not", out, "^start$")
    with IMAGE.sh("exec awk 'BEGIN{while(1){a[n++]=sprintf(\"%1000000s\",\"x\")}}'", memory="96M") as vm:
        same("a workload out of memory ends with 137", vm.end(60), (137, 9))
    end, out, _ = run("for f in /big /dev/shm/big; do dd if=/dev/zero of=$f bs=1M 2>/dev/null;"
                      "echo $?; done; echo alive", memory="96M")
    same("files in memory leave some of it for programs", out, b"1\n1\nalive\n")


@case
def exec_sessions():
    with IMAGE.sh("trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done",
                  dict(policy=h.P_EXEC, env=["A=image"]), dict(user="app")) as vm:
        vm.wait_output(b"up")
        vm.exec(1, ["sh", "-c", "id -u; echo $A $B; pwd; cat; exit 5"], env=["B=exec"],
                workdir="/opt")
        vm.wait_frame(h.STARTED, 1)
        vm.stdin(b"input\0bytes", 1)
        same("exec: exit status", struct.unpack("<II", vm.wait_frame(h.EXIT, 1)), (5, 0))
        same("exec: user, environment, directory, stdin", vm.output(1),
             b"1000\nimage exec\n/opt\ninput\0bytes")
        vm.exec(2, ["/no/such"])
        same("exec: not found", struct.unpack("<I", vm.wait_frame(h.ERROR, 2)[:4]), (127,))
        vm.exec(3, ["id"], user="0:0")
        vm.wait_frame(h.EXIT, 3)
        has("exec: another user", vm.output(3), r"uid=0\(root\) gid=0\(root\) groups=0\(root\)\n$")
        vm.exec(4, ["id"], user="ghost")
        has("exec: unknown user", vm.wait_frame(h.ERROR, 4), "ghost")
        vm.exec(5, ["sh", "-c", "tty; stty size; sleep 100"], tty=1, rows=50, cols=60)
        vm.wait_output(b"50 60", 5)
        vm.stdin(b"\x03", 5, eof=False)
        same("exec: ^C on its terminal", struct.unpack("<II", vm.wait_frame(h.EXIT, 5)), (130, 2))
        vm.exec(8, ["sh", "-c", "cat /proc/1/cmdline; echo; kill -9 1; echo $$; kill -9 $$"])
        same("exec: its status is its own", struct.unpack("<II", vm.wait_frame(h.EXIT, 8)), (137, 9))
        has("exec: in the workload's PID namespace", vm.output(8), r"^/bin/sh\0-c\0trap.*\n\d+$")
        vm.exec(6, ["sh", "-c", "echo started; sleep 1000 & echo left"])
        same("exec: children left behind", struct.unpack("<II", vm.wait_frame(h.EXIT, 6)), (0, 0))
        same("exec: and their output", vm.output(6), b"started\nleft\n")
        vm.exec(7, ["sh", "-c", "yes & echo first"])
        same("exec: a child that writes for ever", struct.unpack("<II", vm.wait_frame(h.EXIT, 7)),
             (0, 0))
        for i in range(10, 10 + 70):
            vm.exec(i, ["sleep", "1000"])
        vm.until(lambda v: sum(f[0] in (h.STARTED, h.REFUSED) and f[2] >= 10
                               for f in v.frames) == 70, 60)
        refusals = [f for f in vm.frames if f[0] == h.REFUSED]
        same("exec: 63 sessions beside the workload", len(refusals), 7)
        has("exec: and no more", refusals[0][3], "too many")
        vm.send(h.SIGNAL, struct.pack("<I", 15))
        same("the workload's end ends them all", vm.end(30), (0, 0))
        same("each is told", sum(f[0] == h.EXIT and f[2] >= 10 for f in vm.frames), 63)


CONTAINER, INSIDE, COUNT = 3, 4, 5


@case
def containers():
    """Containers of a pod in one machine: what the manifest names, and nothing else of the host's."""
    records = [h.container("web", ["sh", "-c", "trap 'exit 4' TERM; echo $WHO $HOME $TOKEN; test -e /new || echo fresh; "
                                   "echo x >/new; echo x >/data/kept; ls -d /containers /lower 2>/dev/null; echo up; "
                                   "while :; do sleep 0.1; done"], ["WHO=web"], "/made"),
               h.container("app", ["sh", "-c", "echo $$; ls /proc | grep -c '^[0-9]'; id -u; echo $HOME; ls /data /dev/shm; cat; exit 7"], user="app")]
    fields = dict(container=records, policy=h.P_EXEC | h.P_LOCK, env=["TOKEN=all"],
                  mount=[struct.pack("<QI", 0, 0o777) + b"/containers/web/data"])

    def refusal(vm, session, argv, kind, what, pattern):
        vm.exec(session, argv, kind=kind)
        has(f"containers: {what}", vm.wait_frame(h.REFUSED, session)[4:], pattern)

    with IMAGE.vm(fields) as vm:
        vm.wait_frame(h.STARTED)
        refusal(vm, 1, ["web", "id"], INSIDE, "nothing beside one that does not run", "not running")
        refusal(vm, 2, ["other"], CONTAINER, "none that the manifest does not name", "no container")
        refusal(vm, 3, ["../web"], CONTAINER, "no path in place of a name", "no container")
        refusal(vm, 40, ["web"], COUNT, "no counts where the image allows none", "does not allow stats")
        for i, bounds in enumerate(("/etc", "rw", "memory=", "memory=1k", "memory=-1", "pids=0", "ro,pids", "memory=18446744073709551616")):
            vm.exec(50 + i, ["web"], kind=CONTAINER, workdir=bounds)
            has(f"containers: no other bounds than bounds: {bounds}", vm.wait_frame(h.ERROR, 50 + i), "no bound of a container")
        vm.exec(4, ["web"], kind=CONTAINER, env=["WHO=host", "LD_PRELOAD=/x"], workdir="pids=99", user="0")
        vm.wait_output(b"up", 4)
        same("containers: as it was built, whatever the host says of it; root and mounts of its own",
             vm.output(4), b"web /root all\nfresh\nup\n")
        refusal(vm, 5, ["web"], CONTAINER, "one of a name at a time", "still running")
        vm.exec(6, ["web", "sh", "-c", "id -u; pwd; echo $WHO $MORE; cat /proc/1/comm; cat /new /data/kept"], kind=INSIDE, env=["MORE=1"], user="web")
        same("containers: exec beside it", struct.unpack("<II", vm.wait_frame(h.EXIT, 6)), (0, 0))
        same("containers: as its user, in its directory, namespace and root", vm.output(6), b"2000\n/made\nweb 1\nsh\nx\nx\n")
        vm.exec(7, ["web", "id"], kind=INSIDE, user="app")
        has("containers: users are those of its own files", vm.wait_frame(h.ERROR, 7), "app")
        vm.exec(8, ["app"], kind=CONTAINER)
        vm.stdin(b"input", 8)
        same("containers: another, its own status", struct.unpack("<II", vm.wait_frame(h.EXIT, 8)), (7, 0))
        has("containers: the first of its PID namespace; it sees none of the other's", vm.output(8), r"^1\n[2-4]\n2000\n/home/app\n.*input$")
        vm.exec(9, ["id"])
        same("containers: exec beside the pause", struct.unpack("<II", vm.wait_frame(h.EXIT, 9)), (0, 0))
        vm.send(h.SIGNAL, struct.pack("<I", 15), 4)
        same("containers: TERM reaches its first process", struct.unpack("<II", vm.wait_frame(h.EXIT, 4)), (4, 0))
        vm.exec(10, ["web"], kind=CONTAINER)
        vm.wait_output(b"up", 10)
        same("containers: begun again with a new root", vm.output(10), b"web /root all\nfresh\nup\n")
        vm.exec(11, ["web", "sleep", "1000"], kind=INSIDE)
        vm.wait_frame(h.STARTED, 11)
        vm.send(h.SIGNAL, struct.pack("<I", 9), 10)
        same("containers: KILL", struct.unpack("<II", vm.wait_frame(h.EXIT, 10)), (137, 9))
        same("containers: with it goes what was beside it", struct.unpack("<II", vm.wait_frame(h.EXIT, 11)), (137, 9))
        vm.send(h.SIGNAL, struct.pack("<I", 15))
        same("containers: the machine ends when it is told to", vm.end(30), (0, 0))
    with IMAGE.vm(dict(fields, command=["sh", "-c", "touch /x; echo whole $?; df -m / | tail -n 1; cat"]), dict(stdin="1", readonly="1")) as vm:
        vm.wait_output(b"/\n")
        has("containers: beside a command", vm.output(), r"whole 1\n\S+ +(3[5-9]|4[0-3]) .*/$")
        vm.exec(1, ["web"], kind=CONTAINER)
        vm.wait_output(b"up", 1)
        has("containers: read-only", vm.output(1, h.ERR), "/new: Read-only file system")
        vm.exec(2, ["web", "sh", "-c", "touch /x; cat /data/kept; df -m / | tail -n 1"], kind=INSIDE)
        same("containers: exec in a read-only one", struct.unpack("<II", vm.wait_frame(h.EXIT, 2)), (0, 0))
        has("containers: ... nor there", vm.output(2, h.ERR), "/x: Read-only file system")
        has("containers: all files of roots take at most half of the memory", vm.output(2), r"^x\n\S+ +(3[5-9]|4[0-3]) ")
        # While a long PATH keeps our starter busy, with a container's rights already, its file is taken hold of. (Beside
        # a pause, which runs as long as the machine, the same file is busy.)
        vm.exec(12, ["web", "sh", "-c", "other() { [ -e $1 ] && ! [ $1 -ef /proc/self/exe ]; }; "
                     "until other /proc/self/fd/9; do for p in /proc/[0-9]*; do other $p/exe && command exec 9<$p/exe && break; done; done 2>/dev/null; "
                     "echo got; read x; until e=$( (: >>/proc/self/fd/9) 2>&1); case $e in *busy*) false; esac; do sleep 0.1; done; echo wrote ${e##*: }"], kind=INSIDE)
        vm.wait_frame(h.STARTED, 12)
        for session in range(13, 33):
            vm.exec(session, ["web", "true"], kind=INSIDE, env=["PATH=" + "x:" * 30000 + "/bin"])
            vm.wait_frame(h.EXIT, session)
            if vm.output(12):
                break
        print(f"# got hold of it after {session - 12} tries")
        vm.stdin(b"\n", 12)
        vm.wait_frame(h.EXIT, 12)
        same("containers: root of one cannot change our programs", vm.output(12), b"got\nwrote Read-only file system\n")
    # What a host may take from one container, and what it may see of it.
    records = [h.container("web", ["sh", "-c", "touch /new /common/web; echo up; cat"]), h.container("app", ["sh", "-c", "touch /new; ls /common; echo up; cat"])]
    with IMAGE.vm(dict(container=records, policy=h.P_EXEC | h.P_STATS | h.P_LOCK, mount=[struct.pack("<QI", 0, 0o777) + b"/common"])) as vm:
        vm.wait_frame(h.STARTED)
        refusal(vm, 1, ["web"], COUNT, "no counts of one that does not run", "not running")
        vm.exec(2, ["web"], kind=CONTAINER, workdir="ro,memory=33554432,pids=20")
        vm.wait_output(b"up", 2)
        has("containers: read-only by a bound", vm.output(2, h.ERR), "^touch: /new: Read-only file system\n$")
        vm.exec(3, ["app"], kind=CONTAINER)
        vm.wait_output(b"up", 3)
        same("containers: ... and beside it one that is not; the image's other memory is all containers'", (vm.output(3), vm.output(3, h.ERR)), (b"web\nup\n", b""))
        counts = []
        for session, name in (4, "web"), (5, "app"):
            vm.exec(session, [name], kind=COUNT)
            vm.wait_frame(h.EXIT, session)
            counts.append(json.loads(vm.output(session)))
        same("containers: counts of each", [c.get("memory_limit_bytes") for c in counts] + [c["processes"] for c in counts], [33554432, None, 1, 1])
        tap("containers: ... what they use", all(1 << 14 < c["memory_bytes"] <= c["memory_peak_bytes"] < 32 << 20 and c["cpu_ns"] > 0 for c in counts))
        vm.exec(7, ["web", "sh", "-c", "cat /proc/self/cgroup; x=$(head -c 90000000 /dev/zero | tr '\\0' x); echo survived"], kind=INSIDE)
        same("containers: one over its memory ends", struct.unpack("<II", vm.wait_frame(h.EXIT, 2)), (137, 9))
        same("containers: ... as a whole", struct.unpack("<II", vm.wait_frame(h.EXIT, 7)), (137, 9))
        vm.exec(8, ["app", "sh", "-c", "x=$(head -c 50000000 /dev/zero | tr '\\0' x); echo ${#x}"], kind=INSIDE)
        vm.wait_frame(h.EXIT, 8)
        same("containers: ... and no other, which may use more", vm.output(8), b"50000000\n")
        vm.exec(9, ["web"], kind=CONTAINER, workdir="pids=20")
        vm.wait_output(b"up", 9)
        same("containers: begun again with other bounds", vm.output(9, h.ERR), b"")
        vm.exec(10, ["web", "sh", "-c", "for i in $(seq 30); do sleep 100 & done; echo all"], kind=INSIDE)
        vm.wait_frame(h.EXIT, 10)
        has("containers: no more processes than the bound", vm.output(10, h.ERR), "fork")
    sealed = dict(fields, policy=h.P_LOCK)
    with IMAGE.vm(sealed) as vm:
        vm.wait_frame(h.STARTED)
        vm.exec(1, ["web"], kind=CONTAINER, tty=1)
        vm.wait_output(b"up", 1)
        refusal(vm, 2, ["web", "id"], INSIDE, "no exec where the image allows none", "does not allow exec")
        vm.exec(3, ["web", "id"], kind=CONTAINER)
        vm.until(lambda v: v.closed, 60)
        tap("containers: arguments of the host's end the channel", True)
    refused("containers of an image that is not locked", "not locked", fields=dict(container=records))
    refused("two containers of one name", "one name", fields=dict(container=records[:1] * 2, policy=h.P_LOCK))


@case
def copies():
    with IMAGE.sh("mkdir /data/t; echo one >/data/t/a; ln -s a /data/t/l; mkdir -p /data/t/d/e; "
                  "ln -s /etc /data/t/out; head -c 70000 /dev/zero >/data/t/z; chmod 4751 /data/t/z;"
                  "echo up; while :; do sleep 0.1; done", dict(policy=h.P_EXEC)) as vm:
        vm.wait_output(b"up")
        vm.exec(1, ["/data/t"], kind=1)
        same("copy out", struct.unpack("<II", vm.wait_frame(h.EXIT, 1)), (0, 0))
        tar = tarfile.open(fileobj=io.BytesIO(vm.output(1)))
        same("copy out: names", sorted(tar.getnames()),
             ["t", "t/a", "t/d", "t/d/e", "t/l", "t/out", "t/z"])
        same("copy out: link", tar.getmember("t/out").linkname, "/etc")
        same("copy out: contents", tar.extractfile("t/a").read(), b"one\n")
        same("copy out: size and mode", (tar.getmember("t/z").size, tar.getmember("t/z").mode),
             (70000, 0o4751))
        vm.exec(2, ["/no/such"], kind=1)
        same("copy out of nothing", struct.unpack("<II", vm.wait_frame(h.EXIT, 2)), (1, 0))
        has("copy out of nothing: why", vm.output(2, h.ERR), "No such file")

        def pack(add):
            data = io.BytesIO()
            with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as out:
                add(out)
            return data.getvalue()

        def entry(out, name, data=b"", kind=tarfile.REGTYPE, link="", mode=0o640, uid=1000):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode, info.size = kind, link, mode, len(data)
            info.uid, info.gid, info.mtime = uid, 1001, 1234567890
            out.addfile(info, io.BytesIO(data))

        long_name = "deep/" + "n" * 200 + "/file"

        def good(out):
            entry(out, "./new/sub/file", b"content\0" * 30000)
            entry(out, "new/link", kind=tarfile.SYMTYPE, link="sub/file")
            entry(out, "new/hard", kind=tarfile.LNKTYPE, link="new/sub/file")
            entry(out, "new/empty", kind=tarfile.DIRTYPE, mode=0o700)
            entry(out, "t/a", b"replaced\n")
            entry(out, long_name, b"long\n")
        vm.exec(3, ["/data"], kind=2)
        vm.wait_frame(h.STARTED, 3)
        vm.stdin(pack(good), 3)
        same("copy in", (struct.unpack("<II", vm.wait_frame(h.EXIT, 3)), vm.output(3, h.ERR)),
             ((0, 0), b""))
        vm.exec(4, ["sh", "-c", "cd /data; wc -c <new/link; stat -c '%a %u:%g %Y %h' new/sub/file;"
                    f"stat -c %a new/empty; cat t/a {long_name}"])
        vm.wait_frame(h.EXIT, 4)
        same("copy in: what is there", vm.output(4),
             b"240000\n640 1000:1001 1234567890 2\n700\nreplaced\nlong\n")

        def evil(out):
            entry(out, "t/out/pwned", b"x")                      # through a link that is there
            entry(out, "ln", kind=tarfile.SYMTYPE, link="/etc")
            entry(out, "ln/pwned", b"x")                         # through one that came along
            entry(out, "up", kind=tarfile.SYMTYPE, link="..")
            entry(out, "up/pwned", b"x")
            entry(out, "h", kind=tarfile.LNKTYPE, link="t/out/passwd")
            entry(out, "dev", kind=tarfile.BLKTYPE)
            entry(out, "/abs", b"inside")
        vm.exec(5, ["/data"], kind=2)
        vm.wait_frame(h.STARTED, 5)
        vm.stdin(pack(evil), 5)
        same("copy in: an archive that escapes fails", struct.unpack("<II", vm.wait_frame(h.EXIT, 5)),
             (1, 0))
        for i, data in enumerate((pack(lambda out: entry(out, "a/../../etc/pwned", b"x")),
                                  pack(good)[:-3000][:5000], b"garbage" * 200, b"\x80" * 512)):
            vm.exec(20 + i, ["/data"], kind=2)
            vm.wait_frame(h.STARTED, 20 + i)
            vm.stdin(data, 20 + i)
            same(f"copy in: damaged archive {i}",
                 struct.unpack("<II", vm.wait_frame(h.EXIT, 20 + i)), (1, 0))
        vm.exec(6, ["sh", "-c", "find / -xdev -name pwned; cat /data/abs; ls /data/h /data/dev"])
        vm.wait_frame(h.EXIT, 6)
        same("copy in: nothing left its folder", vm.output(6), b"inside")


@case
def network():
    end, out, _ = run("cat /etc/resolv.conf; ifconfig; route -n; cat /etc/hosts", net=True)
    has("the launcher's network is the default", out, r"inet addr:10\.0\.2\.15 ")
    has("its route", out, r"^0\.0\.0\.0\s+10\.0\.2\.2\s")
    has("its name server", out, r"^nameserver 10\.0\.2\.3$")
    has("own address in /etc/hosts", out, r"^10\.0\.2\.15\s+shelter$")
    end, out, _ = run("cat /etc/resolv.conf; ifconfig; route -n", net=True,
                      given=dict(network="10.0.2.77/20,10.0.2.2,10.0.2.3,fd00::3"))
    has("a fixed address", out, r"inet addr:10\.0\.2\.77 .*Mask:255\.255\.240\.0")
    has("fixed: names", out, r"^nameserver 10\.0\.2\.3\nnameserver fd00::3$")
    end, out, _ = run("ifconfig; route -A inet6", dict(network="fec0::77/64,fec0::2"), net=True)
    has("an IPv6 address, by the manifest", out, r"inet6 addr: fec0::77/64")
    end, out, _ = run("ifconfig -a; ls /etc/resolv.conf", net=True, given=dict(network="none"))
    lacks("network none", out, r"inet addr:10")
    has("loopback is up", out, r"inet addr:127\.0\.0\.1")
    refused("a network that is asked for and not there", "no network device",
            given=dict(network="dhcp"))
    for bad in ("10.0.2.15", "10.0.2.15/33", "1.2.3.4.5/8", "127.0.0.1/8"):
        refused(f"bad network {bad}", "none that a host can have", given=dict(network=bad))
    for bad in ("10.0.2.15/24,fe80::1", "a/24", "1.2.3.4/24,", "/24"):
        refused(f"bad network {bad}", "is not none, dhcp or", given=dict(network=bad))
    end, out, _ = run("ifconfig", dict(policy=h.P_LOCK), net=True, given=dict(network="10.0.2.77/20,10.0.2.2,10.0.2.3"))
    has("locked image: an address, where it is the host's to give", out, r"inet addr:10\.0\.2\.77 ")


@case
def published():
    """The host forwards to what it likes; inside only published ports answer it."""
    free = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_DGRAM):
        free.append(socket.socket(socket.AF_INET, kind))
        free[-1].bind(("127.0.0.1", 0))
    there, shut, udp, udp_shut = (s.getsockname()[1] for s in free)
    for s in free:
        s.close()
    forward = "".join(f",hostfwd={kind}:127.0.0.1:{at}-:{to}" for kind, at, to in (
        ("tcp", there, 80), ("tcp", shut, 81), ("udp", udp, 53), ("udp", udp_shut, 54)))

    def ask(port):
        with socket.create_connection(("127.0.0.1", port), 10) as s:
            s.settimeout(4)
            try:
                return s.recv(100)
            except OSError:
                return b""
    with IMAGE.sh("echo one | nc -l -p 80 & echo two | nc -l -p 81 & echo three | nc -l -p 82 &"
                  "/opt/helper 53 >/tmp/53 & /opt/helper 54 >/tmp/54 & sleep 0.5; echo up; read x;"
                  "nc 127.0.0.1 81; nc 10.0.2.15 82; /opt/helper 54 inside; sleep 0.2; cat /tmp/53;"
                  "echo =; cat /tmp/54; kill -9 -1", given=dict(stdin="1", port=["tcp 80", "udp 53"]),
                  qemu=("-netdev", "user,id=n" + forward, "-device", "virtio-net-pci,netdev=n,romfile=")) as vm:
        vm.wait_output(b"up")
        same("a published port", ask(there), b"one\n")
        same("another hears nothing of the outside", ask(shut), b"")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for _ in range(3):
                s.sendto(b"outside\n", ("127.0.0.1", udp))
                s.sendto(b"outside\n", ("127.0.0.1", udp_shut))
            time.sleep(0.2)
        time.sleep(0.5)
        vm.stdin(b"go\n")
        vm.end(30)
        has("the inside reaches all; UDP: published, and not", vm.output(),
            r"^up\ntwo\nthree\n(outside\n)+=\ninside$")


@case
def traced():
    """PTRACE_TRACEME makes PID 1 the tracer: a stop is no end."""
    with IMAGE.vm(dict(command=["/opt/helper", "/bin/sh", "-c", "echo after; exit 4"])) as vm:
        same("a program that asks to be traced runs on", (vm.end(20), vm.output()),
             ((4, 0), b"before\nafter\n"))


@case
def shares():
    one, two = os.path.join(FOLDER, "one"), os.path.join(FOLDER, "two")
    os.makedirs(one)
    os.makedirs(two)
    def place(path, cover=0):
        return struct.pack("<I", cover) + path.encode()

    with open(f"{one}/file", "w") as f:
        f.write("from the host\n")
    with open(f"{one}/run", "w") as f:
        f.write("#!/bin/sh\necho pwned\n")
    os.chmod(f"{one}/run", 0o755)
    os.symlink("/etc/passwd", f"{one}/passwd")
    end, out, err = run("cat /mnt/a/file; cat /mnt/a/passwd; echo x >/mnt/a/new; echo y >/in/root/new;"
                        "mount | grep 9p; ls /in/root; /mnt/a/run", dict(host_mount=[place("/mnt/a"), place("/in/root")]),
                        dict(mount=["share0 ro /mnt/a", "share1 rw /in/root"]),
                        shares=((one, "ro"), (two, "rw")))
    has("a shared folder", out, "^from the host$")
    has("its links lead into the guest's root", out, "^app:x:1000")
    has("read-only", err, "Read-only file system")
    has("nosuid, nodev, noexec", out, r"share0 on /mnt/a type 9p \(ro,nosuid,nodev,noexec")
    has("nothing of the host is executed", err, "run: Permission denied")
    same("writable", open(f"{two}/new").read(), "y\n")
    end, out, _ = run("ls /etc/deep/x/file; ls -d /climb /escape", dict(host_mount=[place("/climb/deep/x")]),
                      dict(mount=["share0 ro /climb/deep/x"]), shares=((one, "ro"),))
    has("a mount through a climbing link stays inside", out, "^/etc/deep/x/file$")
    refused("a place that the image does not name", "names no such place", given=dict(
        mount=["share0 ro /mnt"]), shares=((one, "ro"),))
    refused("a place where the image has files", "the image has files at /etc", fields=dict(
        host_mount=[place("/etc")]), given=dict(mount=["share0 ro /etc"]), shares=((one, "ro"),))
    end, out, _ = run("cat /etc/file", dict(host_mount=[place("/etc", 1)]),
                      dict(mount=["share0 ro /etc"]), shares=((one, "ro"),))
    same("but where its owner said so", out, b"from the host\n")
    for bad in ("share0 ro mnt", "share0 rx /mnt", "evil ro /mnt", "share0,trans=fd ro /mnt",
                "share ro /mnt", "share0"):
        refused(f"bad mount '{bad}'", "malformed", fields=dict(host_mount=[place("/mnt")]),
                given=dict(mount=[bad]), shares=((one, "ro"),))
    refused("a share that is not there", "cannot mount the host's folder",
            fields=dict(host_mount=[place("/mnt")]), given=dict(mount=["share5 ro /mnt"]))


@case
def agent():
    end, out, err = run(
        "for u in 'aa/evidence?runtime_data=abc' 'aa/evidence' nothing; do "
        "printf 'GET /%s HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n' \"$u\" | nc 127.0.0.1 8006; echo; done;"
        "pidof agent || echo not to be seen")
    quote = base64.b64encode(bytes(568) + b"abc".ljust(64, b"\0") + bytes(368)).decode()
    has("evidence: the simulated TD module's quote over the data", out, "200 OK.*" + re.escape(f'{{"quote":"{quote}"}}'))
    has("evidence without runtime_data", out, "400 Bad Request.*runtime_data is missing")
    has("another path", out, "404 Not Found")
    has("the agent is out of sight", out, "not to be seen$")
    end, out, _ = run("sleep 1; readlink /proc/$(pidof nc)/fd/0; cat /data/agent; printf '\\n' | nc 127.0.0.1 8006", dict(
        agent="/opt/agent"), dict(env=["HOSTENV=evil"]))
    has("the image's agent is beside the workload", out, "^/dev/null$|^pipe:")
    has("the image's agent, with nothing of the host's environment", out, "^agent tdx-sim none$")
    has("it serves", out, "^mine$")
    end, out, _ = run("sleep 1; printf 'GET /aa/evidence?runtime_data=x HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n' |"
                      "nc 127.0.0.1 8006; cat /proc/$(pidof our-agent)/status | grep CapBnd",
                      dict(agent="/opt/our-agent"))
    has("our own agent works in that place", out, "501 Not Implemented.*device is not there")
    has("with the workload's capabilities", out, r"CapBnd:\s+00000000[a2]00425fb")


@case
def sealed():
    end, out, err = run("echo secret; echo secret >&2; exit 2", dict(policy=h.P_NO_OUTPUT))
    same("sealed output", (end, out, err), ((2, 0), b"", b""))
    with IMAGE.sh("echo secret; exit 2", dict(policy=h.P_NO_OUTPUT), dict(tty="1"), credit=0) as vm:
        same("sealed terminal", (vm.end(), vm.output()), ((2, 0), b""))
    with IMAGE.sh("echo up; cat; echo end", dict(policy=h.P_NO_INPUT), dict(stdin="1")) as vm:
        vm.wait_output(b"end")
        vm.end()
        same("no input", vm.output(), b"up\nend\n")
        tap("and no credit for it", 0 not in vm.in_credit, str(vm.in_credit))
    with IMAGE.sh("sleep 1; cat; echo end", dict(policy=h.P_NO_INPUT), dict(stdin="1")) as vm:
        vm.wait_frame(h.STARTED)
        vm.send(h.DATA, b"evil")
        has("input is refused", vm.wait_frame(h.REFUSED), "accepts no input")
        same("and has no effect", (vm.end(), vm.output()), ((0, 0), b"end\n"))


@case
def probe():
    with IMAGE.vm(dict(command=["/bin/true"]), cmdline=h.COMMON + " shelter.probe") as vm:
        vm.power_off(30)
        same("a probe powers off and says nothing", vm.frames, [])


@case
def debug():
    console = os.path.join(FOLDER, "console")
    with IMAGE.sh("echo hello", dict(policy=h.P_DEBUG), dict(debug="1"), console=console,
                  extra_cmdline=" console=ttyS0") as vm:
        same("a console with policy", vm.end(), (0, 0))
    end, _, _ = run("echo hello", console=console)
    same("without console= nothing is on the serial line", open(console, "rb").read(), b"")
    refused("console= without policy", "does not allow a console", extra_cmdline=" console=ttyS0")
    refused("debug without policy", "does not allow debugging", given=dict(debug="1"))


# --- the host lies ---

@case
def lies_config():
    good = IMAGE.manifest(command=["/bin/echo", "x"])
    empty = launch()
    for name, at in (("magic", 0), ("root hash", 30), ("last byte", len(good) - 1)):
        bad = bytearray(good)
        bad[at] ^= 1
        refused(f"manifest with one wrong byte: {name}", "not the one that was measured",
                disk=h.config_disk(bytes(bad), empty),
                manifest_digest=h.sha384(good))
    refused("launch config with one wrong byte", "not the one bound",
            disk=h.config_disk(good, launch(env=["LD_PRELOAD=/evil.so"])),
            manifest_digest=h.sha384(good), mrconfigid=h.sha384(empty))
    refused("a TD report with another MRCONFIGID", "not the one bound", mrconfigid=bytes(48))
    refused("an MRCONFIGID with one wrong bit", "not the one bound",
            mrconfigid=bytes([h.sha384(empty)[0] ^ 1]) + h.sha384(empty)[1:])
    for name, answer in (("wrong magic", bytes(1032)), ("an error", struct.pack(
            "<II", 0x51524454, 5) + bytes(1024))):
        refused(f"TD module answers {name}", "gave no report", td_answer=answer)
    start = time.monotonic()
    refused("TD module says nothing", "gave no report", td_answer=b"")
    tap("and is waited for ten seconds only", time.monotonic() - start < 25)
    refused("TD module says half", "gave no report", td_answer=bytes(500))
    bad = b"not canonical at all"
    refused("a launch config that is bound, but malformed", "malformed",
            disk=h.config_disk(good, bad), manifest_digest=h.sha384(good), mrconfigid=h.sha384(bad))
    bad = good + b"\0"
    refused("a manifest that is measured, but malformed", "malformed",
            disk=h.config_disk(bad, empty), manifest_digest=h.sha384(bad))
    for name, disk in (("empty", bytes(4096)), ("garbage", b"\xff" * 4096), ("sizes beyond the disk",
                       b"SHLTRCFG" + struct.pack("<II", 65536, 262144) + bytes(4080)),
                       ("impossible sizes", b"SHLTRCFG" + struct.pack("<II", 1 << 31, 1 << 31) +
                        bytes(4080)), ("huge", b"SHLTRCFG" + bytes(1 << 20))):
        refused(f"config disk: {name}", "config disk|not the one", disk=disk)


@case
def lies_cmdline():
    digest = h.sha384(IMAGE.manifest(command=["/bin/echo", "this must not run"])).hex()
    tee, man = "shelter.tee=tdx-sim", f"shelter.manifest={digest}"
    for name, line, text in (
            ("no manifest", tee, "manifest= is missing"), ("no TEE", man, "tee= is missing"),
            ("manifest twice", f"{tee} {man} {man}", "twice"),
            ("TEE twice", f"{tee} {man} {tee}", "twice"),
            ("short digest", f"{tee} {man[:-1]}", "malformed"),
            ("unknown key", f"{tee} {man} shelter.debug=1", "malformed"),
            ("another TEE", f"shelter.tee=tdx {man}", "says this TEE is tdx, but it is tdx-sim"),
            ("an unknown TEE", f"shelter.tee=none {man}", "says this TEE is none"),
            ("launch digest where hardware has a field", f"{tee} {man} shelter.launch={digest}",
             "for csv only")):
        refused(f"command line: {name}", text, cmdline=f"{h.COMMON} {line}")


@case
def lies_policy():
    for name, given in (("command", dict(arg=["/bin/sh"])), ("environment", dict(env=["LD_PRELOAD=x"])),
                        ("directory", dict(workdir="/")), ("user", dict(user="0")),
                        ("host name", dict(hostname="free"))):
        refused(f"locked image: {name}", "the image is locked", fields=dict(policy=h.P_LOCK), given=given)
    refused("locked image: another network", "the image is locked",
            fields=dict(policy=h.P_LOCK, network="10.1.1.1/24"), given=dict(network="1.2.3.4/8"))
    refused("locked image: a network that it was built without", "the image is locked", net=True,
            fields=dict(policy=h.P_LOCK, network="none"), given=dict(network="dhcp"))
    end, out, _ = run("echo locked", dict(policy=h.P_LOCK), dict(tty="1"))
    same("a locked image runs as built", end, (0, 0))
    for name in ("-x", "a b", "a\nb", "x" * 65, "\u00e9"):
        refused(f"host name {name!r:.20}", "host name", given=dict(hostname=name))
    refused("ports without a network", "there is no network", given=dict(network="none", port=["tcp 80"]))
    refused("the agent's port published", "port 8006", given=dict(port=["tcp 8006"]))
    refused("a working directory that is not absolute", "working directory",
            given=dict(workdir="relative"))
    refused("an environment entry without =", "not NAME=VALUE", given=dict(env=["NOVALUE"]))
    with IMAGE.sh("echo up; sleep 3") as vm:
        vm.wait_output(b"up")
        vm.exec(1, ["/bin/sh"])
        has("exec without policy", vm.wait_frame(h.REFUSED, 1), "does not allow exec")
        vm.exec(2, ["/etc"], kind=1)
        has("copy out without policy", vm.wait_frame(h.REFUSED, 2), "does not allow exec")
        vm.exec(3, ["/etc"], kind=2)
        has("copy in without policy", vm.wait_frame(h.REFUSED, 3), "does not allow exec")
        same("and nothing else happened", (vm.end(), vm.output()), ((0, 0), b"up\n"))


@case
def lies_root():
    image = open(IMAGE.path, "rb").read()
    bad = os.path.join(FOLDER, "bad.img")

    def with_flip(at):
        data = bytearray(image)
        data[at] ^= 1
        with open(bad, "wb") as f:
            f.write(data)
        return bad
    end, out, err = run("head -c 1048576 /data/victim | sha256sum; dd if=/data/victim of=/tmp/got "
                        "bs=4096 skip=512 count=1; wc -c </tmp/got; sha256sum /data/victim; echo alive",
                        root=with_flip(image.index(VICTIM)))
    has("a flipped block: EIO", err, "victim: (I/O error|Input/output error)")
    same("a flipped block: nothing of it is read, all else is", out,
         hashlib.sha256(b"x" * (1 << 20)).hexdigest().encode() + b"  -\n0\nalive\n")
    tap("a flipped block in the hash tree", run("true", root=with_flip(IMAGE.size + 1))[0] != (0, 0))
    refused("a flipped superblock", "cannot mount the root image", root=with_flip(1024))
    with open(bad, "wb") as f:
        f.write(image[:IMAGE.size // 8192 * 4096])
    refused("a root disk that is cut short", "verity|cannot mount", root=bad)
    os.makedirs(os.path.join(FOLDER, "other"))
    with open(os.path.join(FOLDER, "other", "x"), "wb") as f:
        f.write(os.urandom(100000))
    other = os.path.join(FOLDER, "other.img")
    h.root_image(os.path.join(FOLDER, "other"), other)
    os.truncate(other, os.path.getsize(IMAGE.path))
    refused("another root disk", "verity|cannot mount", root=other)


@case
def lies_channel():
    """Whatever breaks the protocol: the workload is told to stop, then the machine is off."""
    def frame(kind, stream=0, session=0, size=0, payload=b""):
        return struct.pack("<BBHI", kind, stream, session, size) + payload
    exec_head = struct.pack("<BBHHHH", 0, 0, 1, 0, 24, 80)
    lies = (("garbage", b"\xde\xad\xbe\xef" * 64),
            ("data beyond the credit", None),
            ("data without any credit", frame(h.DATA, 0, 0, 4, b"evil")),
            ("an oversize frame", frame(h.DATA, 0, 0, 65537)),
            ("a size of 4 GiB", frame(h.DATA, 0, 0, 0xffffffff)),
            ("a guest's own frame", frame(h.EXIT, 0, 0, 8, bytes(8))),
            ("data on stdout", frame(h.DATA, h.OUT, 0, 1, b"x")),
            ("credit for stdin", frame(h.CREDIT, h.IN, 0, 4, bytes(4))),
            ("a short credit", frame(h.CREDIT, h.OUT, 0, 3, bytes(3))),
            ("a session that never was", frame(h.EOF, 0, 77)),
            ("an exec frame without strings", frame(h.EXEC, 0, 1, 10, exec_head)),
            ("an exec frame with an unended string",
             frame(h.EXEC, 0, 1, 14, exec_head + b"a\0\0u")),
            ("exec as session 0", frame(h.EXEC, 0, 0, 14, exec_head + b"a\0\0\0")),
            ("BYE before EXIT", frame(h.BYE)))
    for name, data in lies:
        given = dict(stdin="1") if data is None else {}
        with IMAGE.sh("trap 'echo stopped; exit 0' TERM; echo up; while :; do sleep 0.1; done",
                      dict(policy=h.P_EXEC), given) as vm:
            vm.wait_output(b"up")
            if data is None:
                data = frame(h.DATA, 0, 0, 65536, bytes(65536)) * \
                    (vm.in_credit[0] // 65536) + frame(h.DATA, 0, 0, 1, b"x") + \
                    frame(h.DATA, 0, 0, 65536, bytes(65536)) * 16
            vm.raw(data)
            try:
                took = vm.power_off(9)
                tap(f"channel: {name}", not any(f[0] == h.STARTED and f[2] for f in vm.frames),
                    vm.story())
            except h.Gone as gone:
                tap(f"channel: {name}", False, f"after {took if 'took' in dir() else 9} s: {gone}")
    with IMAGE.sh("trap '' TERM; echo up; while :; do sleep 0.1; done") as vm:
        vm.wait_output(b"up")
        vm.raw(b"\xff" * 8)
        took = vm.power_off(20)
        tap("channel: a workload that ignores TERM is stopped too", took > 5, str(took))
    with IMAGE.sh("trap 'echo stopped; exit 0' TERM; echo up; while :; do sleep 0.1; done") as vm:
        vm.wait_output(b"up")
        vm.channel.close()
        vm.closed = True
        tap("channel: the host hangs up", vm.power_off(9) < 9)
    with IMAGE.vm(dict(command=["/bin/true"])) as vm:
        vm.end(bye=False)
        took = vm.power_off(15)
        tap("a host that never says BYE", took < 8, str(took))


EVIDENCE, ATTEST = 21, 36  # <shelter/channel.h>


@case
def attested_by_the_host():
    """Evidence for whoever asks: bound to the hashed nonce, one at a time, whatever the policy."""
    with IMAGE.sh("sleep 100") as vm:
        vm.wait_frame(h.STARTED)
        vm.send(ATTEST, struct.pack("<I", 7) + b"nonce")
        vm.send(ATTEST, struct.pack("<I", 8) + b"x" * 64)
        vm.until(lambda v: sum(f[0] == EVIDENCE for f in v.frames) == 2)
        answers = {f[3][:4]: f[3][4:] for f in vm.frames if f[0] == EVIDENCE}
        got, busy = answers[struct.pack("<I", 7)], answers[struct.pack("<I", 8)]
        same("attest: one at a time", struct.unpack("<I", busy[:4])[0], 16)
        same("attest: evidence", struct.unpack("<I", got[:4])[0], 0)
        quote = base64.b64decode(json.loads(got[4:])["quote"])
        same("attest: its data is hashed inside, apart from all else", quote[568:632],
             hashlib.sha512(b"shelter-attest-v1" + b"nonce").digest())
        vm.frames.clear()
        vm.send(ATTEST, struct.pack("<I", 9) + b"x" * 64)
        same("attest: again", struct.unpack("<II", vm.wait_frame(EVIDENCE)[:8]), (9, 0))
        vm.send(ATTEST, struct.pack("<I", 10) + b"x" * 65)
        vm.until(lambda v: v.closed, 60)
        tap("attest: a nonce that is too long ends the channel", True)


def work(queue):
    """Runs cases until none is left in the queue, a pipe that holds their numbers."""
    while number := os.read(queue, 1):
        function = CASES[number[0]]
        start = time.monotonic()
        try:
            function()
        except (h.Gone, AssertionError, OSError, KeyError, tarfile.TarError) as error:
            tap(function.__name__, False, f"{type(error).__name__}: {error}")
        print(f"# {function.__name__}: {time.monotonic() - start:.1f} s", flush=True)


def main():
    global IMAGE
    wanted = sys.argv[2:] or [f.__name__ for f in CASES
                              if f.__name__ != "big" or os.environ.get("GUEST_BIG")]
    IMAGE = Image()
    queue, end = os.pipe()
    os.write(end, bytes(i for i, f in enumerate(CASES) if f.__name__ in wanted))
    os.close(end)
    children = []
    for _ in range(min(2, os.cpu_count())):
        pid = os.fork()
        if not pid:
            work(queue)
            os._exit(0)
        children.append(pid)
    sys.exit(any([os.waitpid(pid, 0)[1] for pid in children]))


main()
