# SPDX-License-Identifier: Apache-2.0
# A server that the host can reach, for two connections.
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('0.0.0.0', int(sys.argv[1])))
s.listen(5)
for i in range(2):
    c, a = s.accept()
    c.sendall(b'got ' + c.recv(100))
    c.close()
print('done')
