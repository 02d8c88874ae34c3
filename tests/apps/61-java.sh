#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Java: an HTTP server on NIO selectors; its network interfaces; the memory of -m.
. tests/apps/lib.sh
need javac jlink wrk curl
mkdir -p "$T/java"
cat >"$T/java/Server.java" <<'END'
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.util.Collections;
import java.util.concurrent.Executors;

public class Server {
    static void say(com.sun.net.httpserver.HttpExchange x, String s) throws java.io.IOException {
        byte[] b = s.getBytes();
        x.sendResponseHeaders(200, b.length);
        x.getResponseBody().write(b);
        x.close();
    }
    public static void main(String[] args) throws Exception {
        HttpServer s = HttpServer.create(new InetSocketAddress("0.0.0.0", 8080), 100);
        s.createContext("/", x -> say(x, "hello"));
        s.createContext("/who", x -> say(x, x.getRemoteAddress().getAddress().getHostAddress()));
        s.createContext("/interfaces", x -> {
            String r = "";
            for (NetworkInterface i : Collections.list(NetworkInterface.getNetworkInterfaces()))
                for (java.net.InetAddress a : Collections.list(i.getInetAddresses()))
                    r += i.getName() + " " + a.getHostAddress() + "\n";
            say(x, r);
        });
        s.createContext("/memory", x -> say(x, Runtime.getRuntime().maxMemory() / 1048576 + ""));
        s.setExecutor(Executors.newFixedThreadPool(8));
        s.start();
    }
}
END
(cd "$T/java" && javac Server.java && cp ./*.class "$R/data/") >"$T/err" 2>&1 && add_java java.base,jdk.httpserver ||
    { skip "apps: no Java image could be made"; exit 0; }
image java
MEMORY=2G start java 8080 /opt/java/bin/java -cp /data Server
url=http://127.0.0.1:$port
check "java: answers" until_true 40 curl -sf "$url/"
same "java: the client's address" "$(curl -s "$url/who")" 10.0.2.2
check "java: interfaces" bash -c "curl -s '$url/interfaces' | grep -q 'eth0 10.0.2.15' && curl -s '$url/interfaces' | grep -q 'lo 127.0.0.1'"
check "java: its heap is sized by -m" bash -c "[ \$(curl -s '$url/memory') -le 600 ]"
wrk_ok "java: 32 keep-alive connections" "$url/" 4 32
idle java
finish_app java 143
