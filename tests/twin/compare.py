#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a workload sees in an enclave and in a VM is the same, but for a short list with reasons.

compare.py ENCLAVE VM [NATIVE]   files of lines as tests/twin/probe.c prints them. Prints TAP: each line that only
one of them has must match an exception, and each exception must be needed. NATIVE, where it is given, is
held against the VM in the lines that a kernel makes by itself."""
import re
import sys

# Lines that may stand in one file only, and why. Patterns match from a line's beginning.
EXCEPTIONS = [
    (r"(bounding|securebits|dumpable|status Cap(Inh|Prm|Bnd|Amb):)", "capabilities of processes: not all of them are kept in an enclave yet"),
    (r"(capabilities|status CapEff:)", "capabilities of processes: not all of them are kept in an enclave yet"),
    (r"status Seccomp:", "the VM's kernel needs a filter that the LibOS has no use for"),
    (r"file /proc/sys/\S+: ", "what cannot be set says so in an enclave; a kernel has more of them"),
    (r"file /proc/sys/(kernel/(pid_max|random/entropy_avail)|vm/overcommit_memory|fs/(file-max|nr_open))\|",
     "the limits of two kernels"),
    (r"write /proc/sys/kernel/hostname: ", "what cannot be set says so in an enclave"),
    (r"file /proc/filesystems\|", "two kernels"),
    (r"file /proc/self/cgroup\|", "the VM's kernel has cgroups, and nobody mounts them"),
    (r"file /proc/self/(attr/current|loginuid)", "no security modules in an enclave"),
    (r"file /proc/self/uid_map", "the VM's kernel has no user namespaces"),
    (r"(file|node|folder|write) /sys", "a kernel describes its devices; the LibOS has none"),
    (r"statfs /sys: ", "a kernel describes its devices; the LibOS has none"),
    (r"node /dev/attestation: ", "a way to evidence that SGX programs know; CoCo's API is in both"),
    (r"node /dev/(mqueue|ptmx|pts/ptmx|pts/0|console): ", "no pseudo terminals and message queues in an enclave's /dev"),
    (r"statfs /(\S*): type ", "mount flags are not shown in an enclave"),
    (r"device made: ", "not in an enclave"),
    (r"raw socket ", "not in an enclave"),
]
# Made by a kernel alone, whatever was set up around it.
NATIVE = r"(argv|signal|input|file /proc/self/limits\| (Limit|Max (stack|core|cpu))|status (Name|State|Ngid|TracerPid|Uid|Gid|Groups|Threads|Sig(Pnd|Blk|Ign|Cgt)|ShdPnd)|loopback|accepted|bind|listen|IPv6|cwd|umask|uid|gid|groups|node /dev/(null|zero|full|random|urandom|tty):|stream [01] seek)"


def lines(path):
    return open(path, errors="replace").read().splitlines()


def only(a, b):
    left = list(b)
    out = []
    for line in a:
        if line in left:
            left.remove(line)
        else:
            out.append(line)
    return out


enclave, vm = lines(sys.argv[1]), lines(sys.argv[2])
needed = set()
wrong = []
for where, found in (("enclave", only(enclave, vm)), ("VM", only(vm, enclave))):
    for line in found:
        hits = [i for i, (pattern, _) in enumerate(EXCEPTIONS) if re.match(pattern, line)]
        needed.update(hits[:1])
        if not hits:
            wrong.append(f"{where} only: {line}")
print(f"{'not ok' if wrong else 'ok'} {len(enclave)} lines in the enclave, {len(vm)} in the VM, the same or with a reason")
for line in wrong[:60]:
    print(f"#   {line}")
# A file that is short says nothing.
print("ok" if len(enclave) > 150 and len(vm) > 150 else "not ok", "both ran to the end")
with open(sys.argv[1] + ".needed", "w") as f:
    f.write("".join(f"{EXCEPTIONS[i][0]}\n" for i in sorted(needed)))
if len(sys.argv) > 3:
    native = [line for line in lines(sys.argv[3]) if re.match(NATIVE, line)]
    kernel = [line for line in vm if re.match(NATIVE, line)]
    different = [f"native only: {x}" for x in only(native, kernel)] + [f"VM only: {x}" for x in only(kernel, native)]
    print("not ok" if different or len(native) < 40 else "ok", f"{len(native)} lines as they are natively")
    for line in different[:40]:
        print(f"#   {line}")
