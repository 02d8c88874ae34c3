#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# The launch measurement of a simulated TD, written a second time and independently of
# verifier/measure/sim*.c, so that the two can be compared.
# usage: td_measure.py pvh|bzimage FIRMWARE KERNEL INITRAMFS COMMAND_LINE MEMORY CPUS
import hashlib, struct, sys


def sha(b):
    return hashlib.sha384(b).digest()


def mrtd(rom):
    h = hashlib.sha384()
    base = 2**32 - len(rom)
    for page in range(0, len(rom), 4096):
        h.update(b"MEM.PAGE.ADD".ljust(16, b"\0") + struct.pack("<Q", base + page) + bytes(104))
        for chunk in range(page, page + 4096, 256):
            h.update(b"MR.EXTEND".ljust(16, b"\0") + struct.pack("<Q", base + chunk) + bytes(104))
            h.update(rom[chunk:chunk + 256])
    return h.digest()


def rtmr(*digests):
    value = bytes(48)
    for d in digests:
        value = sha(value + d)
    return value


def patched(kernel, memory, initrd_size):
    k = bytearray(kernel)
    assert k[0x202:0x206] == b"HdrS"
    low = 0x80000000 if memory >= 0xb0000000 else memory
    top, = struct.unpack_from("<I", k, 0x22c)
    if struct.unpack_from("<H", k, 0x236)[0] & 2:
        top = 0xffffffff
    if top >= low - 0x28000:
        top = low - 0x28000 - 1
    k[0x210] = 0xb0
    k[0x211] |= 0x80
    struct.pack_into("<H", k, 0x224, 0x20000 - 0x10000 - 0x200)
    struct.pack_into("<I", k, 0x228, 0x20000)
    struct.pack_into("<II", k, 0x218, (top - initrd_size) // 4096 * 4096, initrd_size)
    return bytes(k)


def authenticode(pe):
    nt, = struct.unpack_from("<I", pe, 0x3c)
    sections, = struct.unpack_from("<H", pe, nt + 6)
    optional, = struct.unpack_from("<H", pe, nt + 20)
    opt = nt + 24
    checksum = opt + 64
    directory = opt + (112 if pe[opt:opt + 2] == b"\x0b\x02" else 96) + 4 * 8
    headers, = struct.unpack_from("<I", pe, opt + 60)
    cert_size, = struct.unpack_from("<I", pe, directory + 4)
    data = pe[:checksum] + pe[checksum + 4:directory] + pe[directory + 8:headers]
    end = headers
    table = [struct.unpack_from("<II", pe, opt + optional + 40 * i + 16) for i in range(sections)]
    for size, offset in sorted(table, key=lambda s: s[1]):
        if size:
            data += pe[offset:offset + size]
            end += size
    data += pe[end:len(pe) - cert_size]
    return sha(data)


def main():
    boot, firmware, kernel, initramfs, line, memory, cpus = sys.argv[1:]
    rom, k, i = (open(f, "rb").read() for f in (firmware, kernel, initramfs))
    memory, cpus, efi = int(memory), int(cpus), boot == "bzimage"
    print("mrtd", mrtd(rom).hex())
    print("rtmr0", rtmr(sha(b"SHLTRTD0" + struct.pack("<IIQ", efi, cpus, memory))).hex())
    if efi:
        print("rtmr1", rtmr(authenticode(patched(k, memory, len(i))),
                            sha(b"Calling EFI Application from Boot Option"), sha(bytes(4)),
                            sha(b"Exit Boot Services Invocation"),
                            sha(b"Exit Boot Services Returned with Success")).hex())
        line += " initrd=initrd"
    else:
        print("rtmr1", rtmr(sha(k)).hex())
    print("rtmr2", rtmr(sha((line + "\0").encode("utf-16-le")), sha(i)).hex())
    print("rtmr3", bytes(48).hex())


if __name__ == "__main__":
    main()
