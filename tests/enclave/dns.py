# SPDX-License-Identifier: Apache-2.0
# A name server on loopback for at most 30 s: name.test is 192.0.2.7, nobody else is anything. Prints its port.
import socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 0))
s.settimeout(1)
print(s.getsockname()[1], flush=True)
end = time.monotonic() + 30
while time.monotonic() < end:
    try:
        q, peer = s.recvfrom(512)
    except socket.timeout:
        continue
    question = q[12:q.index(b"\0", 12) + 5]
    known = question.lower().startswith(b"\4name\4test\0")
    kind = struct.unpack(">H", question[-4:-2])[0]
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([192, 0, 2, 7]) if known and kind == 1 else b""
    head = q[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, 1 if answer else 0, 0, 0)
    s.sendto(head + question + answer, peer)
