# SPDX-License-Identifier: Apache-2.0
# What Python programs do: json, threads, hashes, sqlite3, files, pipes, signals. Prints the same everywhere.
import sys
DB = sys.argv[1]
import json, threading, hashlib, sqlite3, os, time, random, tempfile, zlib, decimal, datetime
print(json.dumps({"a":[1,2,{"b":None}]}), hashlib.sha256(b"x").hexdigest()[:16])
n=[0]; l=threading.Lock()
def f():
    for i in range(2000):
        with l: n[0]+=1
ts=[threading.Thread(target=f) for _ in range(8)]
[t.start() for t in ts]; [t.join() for t in ts]
print(n[0])
c=sqlite3.connect(DB); c.execute('create table t(a int, b text)')
c.executemany('insert into t values(?,?)',[(i,str(i)*10) for i in range(1000)]); c.commit()
print(c.execute('select count(*),sum(a),max(b) from t').fetchall())
c.execute('pragma journal_mode=wal'); c.execute('insert into t values(1,2)'); c.commit(); print(c.execute('select count(*) from t').fetchall())
print(os.stat(DB).st_size>0)
t=time.time(); time.sleep(0.05); print(0.04<time.time()-t<0.5)
e=threading.Event(); threading.Timer(0.05,e.set).start(); print(e.wait(5))
with tempfile.TemporaryDirectory() as d:
    open(d+'/f','w').write('hello'); os.rename(d+'/f',d+'/g'); print(open(d+'/g').read(), os.listdir(d))
    os.mkdir(d+'/s'); open(d+'/s/q','w').write('1'); os.rename(d+'/s',d+'/t'); print(os.listdir(d+'/t'))
print(os.path.exists(d))
r,w=os.pipe(); os.write(w,b'abc'); print(os.read(r,10))
import select; print(select.select([r],[w],[],0)[1]==[w])
import signal
signal.signal(signal.SIGALRM, lambda s,f: print('alarm',s)); signal.setitimer(signal.ITIMER_REAL,0.05); signal.pause()
print(datetime.datetime.now().year>2000, os.uname().sysname)
