# SPDX-License-Identifier: Apache-2.0
# Sockets that stay inside: pairs, loopback TCP and UDP, unix with files, asyncio. Prints the same everywhere.
import sys, socket, threading, select, os, asyncio, array
a,b=socket.socketpair(); a.send(b'hi'); print(b.recv(10)); a.close(); print(b.recv(10))
s=socket.socket(); s.bind(('127.0.0.1',0)); s.listen(5); port=s.getsockname()[1]
def srv():
    c,ad=s.accept(); d=c.recv(1000); c.sendall(d.upper()*10000); c.close()
t=threading.Thread(target=srv); t.start()
c=socket.create_connection(('127.0.0.1',port)); c.sendall(b'hello'); n=0
while True:
    d=c.recv(4096)
    if not d: break
    n+=len(d)
t.join(); print(n, c.getpeername()==('127.0.0.1',port))
try: socket.create_connection(('127.0.0.1',1))
except OSError as e: print(type(e).__name__)
u=socket.socket(socket.AF_UNIX); u.bind(sys.argv[1]); u.listen(1)
v=socket.socket(socket.AF_UNIX); v.connect(sys.argv[1]); w,_=u.accept()
r,wp=os.pipe()
socket.send_fds(v,[b'fd'],[wp]); m,f,_,_=socket.recv_fds(w,10,4); os.write(f[0],b'via fd'); print(m,os.read(r,10))
d1=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); d1.bind(('127.0.0.1',0)); d2=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); d2.sendto(b'dg',d1.getsockname()); print(d1.recvfrom(10)[0])
async def main():
    async def h(r,w):
        x=await r.readline(); w.write(b'echo '+x); await w.drain(); w.close()
    sv=await asyncio.start_server(h,'127.0.0.1',0); p=sv.sockets[0].getsockname()[1]
    outs=[]
    async def cl(i):
        r,w=await asyncio.open_connection('127.0.0.1',p); w.write(b'x%d\n'%i); outs.append(await r.readline()); w.close()
    await asyncio.gather(*[cl(i) for i in range(20)]); print(len(outs), sorted(outs)[0]); sv.close()
asyncio.run(main())
