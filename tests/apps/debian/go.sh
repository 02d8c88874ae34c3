# SPDX-License-Identifier: Apache-2.0
# os/exec, of a program that go builds there.
cd /tmp
cat >g.go <<'P'
package main
import("fmt";"os";"os/exec";"context";"time";"strings";"sync";"syscall";"os/signal")
func main(){
 o,e:=exec.Command("echo","hi").Output();fmt.Print(string(o),e,"\n")
 c:=exec.Command("tr","a-z","A-Z");c.Stdin=strings.NewReader("abc");o,e=c.CombinedOutput();fmt.Println(string(o),e)
 ctx,f:=context.WithTimeout(context.Background(),300*time.Millisecond);defer f()
 fmt.Println(exec.CommandContext(ctx,"sleep","10").Run())
 var w sync.WaitGroup;var m sync.Mutex;n:=0
 for i:=0;i<40;i++{w.Add(1);go func(){defer w.Done();if exec.Command("true").Run()==nil{m.Lock();n++;m.Unlock()}}()}
 w.Wait();fmt.Println(n)
 e=exec.Command("sh","-c","exit 9").Run();fmt.Println(e)
 c=exec.Command("sleep","100");c.SysProcAttr=&syscall.SysProcAttr{Setpgid:true,Pdeathsig:syscall.SIGKILL};c.Start();syscall.Kill(-c.Process.Pid,syscall.SIGTERM);fmt.Println(c.Wait())
 ch:=make(chan os.Signal,1);signal.Notify(ch,syscall.SIGUSR1);syscall.Kill(os.Getpid(),syscall.SIGUSR1);fmt.Println(<-ch)
}
P
export GO111MODULE=off GOCACHE=/tmp/cache; go build -o g g.go && ./g
# prints:
# hi
# <nil>
# ABC <nil>
# signal: killed
# 40
# exit status 9
# signal: terminated
# user defined signal 1
