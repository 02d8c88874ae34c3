# SPDX-License-Identifier: Apache-2.0
# child_process and cluster.
cd /tmp
cat >node.js <<'P'
const cp=require('child_process'),cluster=require('cluster'),http=require('http');
if(cluster.isPrimary){
 console.log(cp.execSync('echo sync | cat').toString().trim());
 cp.exec('exit 3',(e)=>console.log('exec',e.code));
 const c=cp.spawn('cat');c.stdout.on('data',d=>console.log('cat',d.toString()));c.stdin.end('hello');
 c.on('exit',()=>{
 let f=cp.fork(__filename.replace('node.js','child.js'));f.on('message',m=>{console.log('msg',m);f.send('bye')});f.on('exit',()=>{
  let n=0,pids=new Set();
  for(let i=0;i<3;i++)cluster.fork();
  cluster.on('listening',()=>{if(++n==3){let k=0;for(let i=0;i<30;i++)http.get('http://127.0.0.1:9000/',r=>{let b='';r.on('data',d=>b+=d);r.on('end',()=>{pids.add(b);if(++k==30){console.log('workers',pids.size);for(const w of Object.values(cluster.workers))w.kill()}})})}});
  let x=0;cluster.on('exit',(w,c,s)=>{console.log('worker exit',c,s);if(++x==3)process.exit(0)});
 })});
}else http.createServer((q,r)=>r.end(''+process.pid)).listen(9000);
P
echo "process.send({a:1});process.on('message',m=>process.exit(0));" >child.js
node node.js | sort
# prints:
# cat hello
# exec 3
# msg { a: 1 }
# sync
# worker exit null SIGTERM
# worker exit null SIGTERM
# worker exit null SIGTERM
# workers 3
