#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# netty: HTTP by its NIO transport and by its native one (edge-triggered epoll), where its jars can be fetched.
. tests/apps/lib.sh
need javac jlink mvn wrk curl
VERSION=4.1.115.Final
fetch_maven "$R/data/jars" io.netty:netty-codec-http:$VERSION io.netty:netty-transport-native-epoll:$VERSION:linux-x86_64 ||
    { skip "apps: netty cannot be fetched: $(grep -m 1 ERROR "$T/err" | cut -c1-100)"; exit 0; }
mkdir -p "$T/java"
cat >"$T/java/Server.java" <<'END'
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.*;
import io.netty.channel.epoll.*;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.ServerSocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http.*;
import java.net.InetSocketAddress;

public class Server {
    static class Answer extends SimpleChannelInboundHandler<FullHttpRequest> {
        protected void channelRead0(ChannelHandlerContext c, FullHttpRequest q) {
            String s = q.uri().equals("/who")
                ? ((InetSocketAddress) c.channel().remoteAddress()).getAddress().getHostAddress()
                : q.uri().equals("/length") ? "" + q.content().readableBytes() : "hello";
            FullHttpResponse r = new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.OK,
                Unpooled.copiedBuffer(s.getBytes()));
            r.headers().set("content-length", r.content().readableBytes());
            boolean keep = HttpUtil.isKeepAlive(q);
            r.headers().set("connection", keep ? "keep-alive" : "close");
            ChannelFuture f = c.writeAndFlush(r);
            if (!keep) f.addListener(ChannelFutureListener.CLOSE);
        }
    }
    static void serve(EventLoopGroup g, Class<? extends ServerSocketChannel> k, int port) throws Exception {
        new ServerBootstrap().group(g).channel(k).childHandler(new ChannelInitializer<Channel>() {
            protected void initChannel(Channel c) {
                c.pipeline().addLast(new HttpServerCodec(), new HttpObjectAggregator(1 << 20), new Answer());
            }
        }).bind(port).sync();
    }
    public static void main(String[] a) throws Exception {
        serve(new NioEventLoopGroup(2), NioServerSocketChannel.class, 8080);
        Epoll.ensureAvailability();
        serve(new EpollEventLoopGroup(2), EpollServerSocketChannel.class, 8081);
    }
}
END
(cd "$T/java" && javac -cp "$R/data/jars/*" Server.java && cp ./*.class "$R/data/") >"$T/err" 2>&1 &&
    add_java java.base,java.logging,jdk.unsupported || { skip "apps: no Java image could be made"; exit 0; }
image netty
MEMORY=2G start netty 8080,8081 /opt/java/bin/java -cp '/data:/data/jars/*' Server
head -c 300000 /dev/zero >"$T/body"
for kind in nio:0 epoll:1; do
    url=http://127.0.0.1:${ports[${kind#*:}]} kind=netty-${kind%:*}
    check "$kind: answers" until_true 100 curl -sf "$url/"
    same "$kind: the client's address" "$(curl -s "$url/who")" 10.0.2.2
    same "$kind: a body of 300 kB" "$(curl -s --data-binary "@$T/body" -H 'Expect:' "$url/length")" 300000
    wrk_ok "$kind: 64 keep-alive connections" "$url/" 4 64
done
idle netty
finish_app netty 143
