# SPDX-License-Identifier: Apache-2.0
# ProcessBuilder.
cd /tmp
cat >J.java <<'P'
import java.io.*;import java.util.*;
public class J{public static void main(String[] a)throws Exception{
 Process p=new ProcessBuilder("sh","-c","cat; exit 5").start();p.getOutputStream().write("to child\n".getBytes());p.getOutputStream().close();
 System.out.print(new String(p.getInputStream().readAllBytes()));System.out.println(p.waitFor());
 List<Process> l=new ArrayList<>();for(int i=0;i<10;i++)l.add(new ProcessBuilder("sh","-c","echo "+i).inheritIO().redirectOutput(ProcessBuilder.Redirect.DISCARD).start());for(Process q:l)System.out.print(q.waitFor());System.out.println();
 List<Process> pl=ProcessBuilder.startPipeline(List.of(new ProcessBuilder("seq","10"),new ProcessBuilder("wc","-l")));System.out.print(new String(pl.get(1).getInputStream().readAllBytes()));
 Process s=new ProcessBuilder("sleep","100").start();s.destroy();System.out.println(s.waitFor());
 System.out.println(Runtime.getRuntime().exec(new String[]{"id","-u"}).waitFor());
}}
P
javac J.java && java -Xmx500m J
# prints:
# to child
# 5
# 0000000000
# 10
# 143
# 0
