# SPDX-License-Identifier: Apache-2.0
# subprocess, multiprocessing by fork, spawn and forkserver, shared memory, a pseudo terminal.
cat >/tmp/p.py <<'P'
import subprocess, multiprocessing as mp, os, sys, signal, time
from multiprocessing import shared_memory
def f(x): return x*x
def w(name):
    s=shared_memory.SharedMemory(name=name); s.buf[0]=s.buf[0]+1; s.close()
def q(qq,n): qq.put(n*2)
if __name__=='__main__':
    print(subprocess.run(['echo','hi'],capture_output=True,text=True).stdout.strip())
    print(subprocess.run('cat | tr a-z A-Z',shell=True,input=b'abc',capture_output=True).stdout)
    try: subprocess.run(['sleep','10'],timeout=0.3)
    except subprocess.TimeoutExpired: print('timeout ok')
    p=subprocess.Popen(['sleep','10'],preexec_fn=os.setsid); p.terminate(); print(p.wait())
    for m in ('fork','spawn','forkserver'):
        c=mp.get_context(m)
        with c.Pool(4) as pool: print(m,pool.map(f,range(10)))
        s=shared_memory.SharedMemory(create=True,size=100)
        ps=[c.Process(target=w,args=(s.name,)) for _ in range(3)]
        for p in ps: p.start(); p.join()
        print(m,'shm',s.buf[0],[p.exitcode for p in ps]); s.close(); s.unlink()
        qq=c.Queue(); ps=[c.Process(target=q,args=(qq,n)) for n in range(3)]
        [p.start() for p in ps]; print(sorted(qq.get() for _ in ps)); [p.join() for p in ps]
        v=c.Value('i',0); l=c.Lock()
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(3) as e: print(sum(e.map(f,range(100))))
    m=mp.Manager(); d=m.dict(); d['a']=1; print(dict(d)); m.shutdown()
    pid,fd=os.forkpty()
    if pid==0: os.execlp('sh','sh','-c','tty; stty size; echo in pty')
    o=b''
    try:
        while True:
            x=os.read(fd,1000)
            if not x: break
            o+=x
    except OSError: pass
    print(o.split()[3:], os.waitpid(pid,0)[1])
P
python3 /tmp/p.py
# prints:
# hi
# b'ABC'
# timeout ok
# -15
# fork [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]
# fork shm 3 [0, 0, 0]
# [0, 2, 4]
# spawn [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]
# spawn shm 3 [0, 0, 0]
# [0, 2, 4]
# forkserver [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]
# forkserver shm 3 [0, 0, 0]
# [0, 2, 4]
# 328350
# {'a': 1}
# [b'in', b'pty'] 0
