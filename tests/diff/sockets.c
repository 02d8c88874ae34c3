// SPDX-License-Identifier: Apache-2.0
// Sockets: what stays within the machine. Binding, connecting under way, shutting down, options,
// messages and what comes beside them, readiness.
#include "facts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#ifndef SO_PASSSEC
#define SO_PASSSEC 34
#endif

static const char *const families[] = {"inet", "inet6", "unix"};
static const int family_of[] = {AF_INET, AF_INET6, AF_UNIX};
static const char *const kinds[] = {"stream", "dgram", "seqpacket"};
static const int kind_of[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

union any {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

static socklen_t at(union any *a, const char *host, int port)
{
    memset(a, 0, sizeof(*a));
    if (strchr(host, ':')) {
        a->in6.sin6_family = AF_INET6;
        a->in6.sin6_port = htons((uint16_t)port);
        inet_pton(AF_INET6, host, &a->in6.sin6_addr);
        return sizeof(a->in6);
    }
    a->in.sin_family = AF_INET;
    a->in.sin_port = htons((uint16_t)port);
    inet_pton(AF_INET, host, &a->in.sin_addr);
    return sizeof(a->in);
}

static const char *show(const union any *a, socklen_t size, char out[80])
{
    char ip[64];
    if (size < 2)
        return "none";
    if (a->sa.sa_family == AF_UNIX)
        snprintf(out, 80, "unix %s %d", size > 2 && a->un.sun_path[0] ? a->un.sun_path : size > 2 ? "abstract" : "unnamed", (int)size);
    else
        snprintf(out, 80, "%s %s", inet_ntop(a->sa.sa_family, a->sa.sa_family == AF_INET ? (const void *)&a->in.sin_addr : &a->in6.sin6_addr, ip, sizeof(ip)),
                 a->in.sin_port ? "port" : "no port");
    return out;
}

static int new_socket(int f, int k)
{
    return (int)sys(socket, family_of[f], kind_of[k], 0);
}

static void say_names(int fd, const char *what)
{
    union any a;
    char text[80], buf[32];
    for (int peer = 0; peer < 2; peer++) {
        socklen_t size = sizeof(a);
        long r = peer ? sys(getpeername, fd, &a, &size) : sys(getsockname, fd, &a, &size);
        say_text(peer ? "getpeername" : "getsockname", r ? outcome(r, buf) : show(&a, size, text), "%s", what);
    }
}

static void say_poll(int fd, const char *what)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};
    long r = sys(poll, &p, 1, 0);
    say("poll", r < 0 ? r : p.revents, "%s", what);
}

static void creating(void)
{
    for (int family = -1; family < 18; family++) {
        if (family == AF_NETLINK || family == AF_PACKET || (family > AF_INET && family < AF_INET6) || (family > AF_INET6 && family < 16))
            continue; /* as the kernel was built */
        for (int type = 0; type < 7; type++) {
            if (type == SOCK_RAW && family == AF_UNIX)
                continue;
            for (int protocol = 0; protocol < 20; protocol += type == SOCK_RAW ? 100 : 1) {
                if (type == SOCK_RAW || type == 5 || protocol == 1 || protocol > 17)
                    continue;
                say("socket", fd_only(sys(socket, family, type, protocol)), "%d %d %d", family, type, protocol);
            }
        }
    }
    for (int bit = 4; bit < 32; bit++)
        say("socket", fd_only(sys(socket, AF_INET, SOCK_STREAM | 1u << bit, 0)), "type bit %d", bit);
    for (int f = 0; f < 2; f++)
        for (int k = 0; k < 2; k++) {
            int fd[2];
            say("socketpair", sys(socketpair, family_of[f], kind_of[k], 0, fd), "%s %s", families[f], kinds[k]);
        }
}

static void fresh(void)
{
    char byte;
    for (int f = 0; f < 3; f++)
        for (int k = 0; k < (f == 2 ? 3 : 2); k++) {
            char what[64];
            snprintf(what, sizeof(what), "fresh %s %s", families[f], kinds[k]);
            int fd = new_socket(f, k);
            say_names(fd, what);
            say_poll(fd, what);
            say("recv", sys(recvfrom, fd, &byte, 1, MSG_DONTWAIT, 0, 0), "%s", what);
            say("send", sys(sendto, fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0), "%s", what);
            say("accept", sys(accept, fd, 0, 0), "%s", what);
            for (int how = -1; how < 4; how++)
                say("shutdown", sys(shutdown, fd, how), "%s, %d", what, how);
            say("recv OOB", sys(recvfrom, fd, &byte, 1, MSG_DONTWAIT | MSG_OOB, 0, 0), "%s", what);
            close(fd);
            fd = new_socket(f, k);
            say("listen", sys(listen, fd, 1), "%s", what);
            say("connect", sys(connect, fd, &byte, 0), "%s, no address", what);
            say("bind", sys(bind, fd, &byte, 0), "%s, no address", what);
            say("connect", sys(connect, fd, 8, 16), "%s, bad address", what);
            close(fd);
        }
}

static void binding(void)
{
    static const char *const hosts[] = {"127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "192.0.2.1", "2001:db8::1"};
    for (int k = 0; k < 2; k++)
        for (long i = 0; i < COUNT(hosts); i++)
            for (long j = 0; j < COUNT(hosts); j++)
                for (int mode = 0; mode < 6; mode++) {
                    union any a, b;
                    int one = 1, x, y;
                    socklen_t as = at(&a, hosts[i], 7101), bs = at(&b, hosts[j], 7101);
                    x = (int)sys(socket, a.sa.sa_family, kind_of[k], 0);
                    y = (int)sys(socket, b.sa.sa_family, kind_of[k], 0);
                    for (int n = 0; n < 2; n++) {
                        int fd = n ? y : x;
                        if (mode == 1 || mode == 4)
                            sys(setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &one, 4);
                        if (mode == 2)
                            sys(setsockopt, fd, SOL_SOCKET, SO_REUSEPORT, &one, 4);
                        if (mode == 3)
                            sys(setsockopt, fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, 4);
                    }
                    if (mode == 5)
                        sys(setsockopt, x, SOL_SOCKET, SO_REUSEPORT, &one, 4);
                    long r = sys(bind, x, &a, as);
                    if (j == 0)
                        say("bind", r, "%s %s, mode %d", kinds[k], hosts[i], mode);
                    if (!r && mode == 4 && k == 0)
                        sys(listen, x, 1);
                    if (!r)
                        say("bind", sys(bind, y, &b, bs), "%s %s after %s, mode %d", kinds[k], hosts[j], hosts[i], mode);
                    close(x);
                    close(y);
                }
}

static void connecting(void)
{
    static const char *const hosts[] = {"127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:127.0.0.5"};
    for (long i = 0; i < COUNT(hosts); i++)
        for (long j = 0; j < COUNT(hosts); j++)
            for (int only = 0; only < 2; only++) {
                union any a, b;
                char what[128], text[80], got[8] = "";
                socklen_t size = at(&a, hosts[i], 0), bs;
                int l = (int)sys(socket, a.sa.sa_family, SOCK_STREAM, 0);
                if (only && a.sa.sa_family != AF_INET6)
                    continue;
                sys(setsockopt, l, IPPROTO_IPV6, IPV6_V6ONLY, &only, 4);
                sys(bind, l, &a, size);
                sys(listen, l, 5);
                size = sizeof(a);
                sys(getsockname, l, &a, &size);
                bs = at(&b, hosts[j], ntohs(a.in.sin_port));
                snprintf(what, sizeof(what), "%s listens%s, %s", hosts[i], only ? " (only)" : "", hosts[j]);
                int c = (int)sys(socket, b.sa.sa_family, SOCK_STREAM, 0);
                long r = sys(connect, c, &b, bs);
                say("connect", r, "%s", what);
                if (!r) {
                    say_names(c, what);
                    size = sizeof(a);
                    int s = (int)sys(accept4, l, &a, &size, SOCK_CLOEXEC);
                    say_text("accept", show(&a, size, text), "%s", what);
                    snprintf(what, sizeof(what), "accepted: %s listens%s, %s", hosts[i], only ? " (only)" : "", hosts[j]);
                    say_names(s, what);
                    say("send", sys(sendto, c, "abc", 3, 0, 0, 0), "%s", what);
                    say("recv", sys(recvfrom, s, got, 8, 0, 0, 0), "%s", what);
                    close(s);
                }
                close(c);
                close(l);
            }
}

static void under_way(void)
{
    for (int f = 0; f < 2; f++)
        for (int listens = 0; listens < 2; listens++) {
            union any a;
            char what[64];
            int error = 0;
            socklen_t size = at(&a, f ? "::1" : "127.0.0.1", 0), four = 4;
            int l = new_socket(f, 0), c;
            sys(bind, l, &a, size);
            if (listens)
                sys(listen, l, 5);
            size = sizeof(a);
            sys(getsockname, l, &a, &size);
            snprintf(what, sizeof(what), "%s, %s", families[f], listens ? "somebody there" : "nobody there");
            c = (int)sys(socket, family_of[f], SOCK_STREAM | SOCK_NONBLOCK, 0);
            say("connect", sys(connect, c, &a, size), "%s: begins", what);
            usleep(20000);
            say_poll(c, what);
            say("SO_ERROR", sys(getsockopt, c, SOL_SOCKET, SO_ERROR, &error, &four), "%s", what);
            say("SO_ERROR", error, "%s: value", what);
            say_names(c, what);
            say("connect", sys(connect, c, &a, size), "%s: second", what);
            say("connect", sys(connect, c, &a, size), "%s: third", what);
            say_poll(c, "and then");
            say("shutdown", sys(shutdown, c, 1), "%s", what);
            close(c);
            c = (int)sys(socket, family_of[f], SOCK_STREAM | SOCK_NONBLOCK, 0);
            sys(connect, c, &a, size);
            usleep(20000);
            say("send", sys(sendto, c, "x", 1, MSG_NOSIGNAL, 0, 0), "%s: without asking", what);
            close(c);
            close(l);
        }
}

static void pair(int f, int k, int fd[2])
{
    union any a;
    if (f == 2) {
        sys(socketpair, AF_UNIX, kind_of[k], 0, fd);
        return;
    }
    socklen_t size = at(&a, f ? "::1" : "127.0.0.1", 0);
    int l = new_socket(f, k);
    sys(bind, l, &a, size);
    sys(listen, l, 5);
    size = sizeof(a);
    sys(getsockname, l, &a, &size);
    fd[0] = new_socket(f, k);
    sys(connect, fd[0], &a, size);
    if (k == 0) {
        fd[1] = (int)sys(accept, l, 0, 0);
        close(l);
        return;
    }
    fd[1] = l;
    size = sizeof(a);
    sys(getsockname, fd[0], &a, &size);
    sys(connect, l, &a, size);
}

/* Everything that may happen to one end, as the other sees it. */
static void ends(void)
{
    static const char *const steps[] = {"shutdown WR", "shutdown RD", "shutdown RDWR", "close", "close unread", "write", "linger 0, close"};
    for (int f = 0; f < 3; f++)
        for (int k = 0; k < (f == 2 ? 3 : 2); k++)
            for (long i = 0; i < COUNT(steps); i++) {
                struct linger no = {1, 0};
                char what[96], buf[64];
                int fd[2], error = 0, n = -1;
                socklen_t four = 4;
                if (k == 1 && i >= 3 && i != 5)
                    continue;
                pair(f, k, fd);
                snprintf(what, sizeof(what), "%s %s: %s", families[f], kinds[k], steps[i]);
                if (i == 4)
                    sys(write, fd[1], "unread", 6);
                if (i == 6)
                    sys(setsockopt, fd[0], SOL_SOCKET, SO_LINGER, &no, sizeof(no));
                if (i < 3)
                    say("shutdown", sys(shutdown, fd[0], i == 0 ? 1 : i == 1 ? 0 : 2), "%s", what);
                else if (i == 5)
                    sys(write, fd[0], "hello", 5);
                else
                    close(fd[0]);
                usleep(5000);
                say_poll(fd[1], what);
                if (i < 3 || i == 5)
                    say_poll(fd[0], what);
                say("FIONREAD", sys(ioctl, fd[1], FIONREAD, &n), "%s", what);
                say("FIONREAD", n, "%s: value", what);
                say("peek", sys(recvfrom, fd[1], buf, 2, MSG_PEEK | MSG_DONTWAIT, 0, 0), "%s", what);
                say("recv", sys(recvfrom, fd[1], buf, sizeof(buf), MSG_DONTWAIT, 0, 0), "%s", what);
                say("recv", sys(recvfrom, fd[1], buf, sizeof(buf), MSG_DONTWAIT, 0, 0), "%s: again", what);
                say("send", sys(sendto, fd[1], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0), "%s", what);
                usleep(2000);
                say("send", sys(sendto, fd[1], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0), "%s: again", what);
                if (i < 3)
                    say("send", sys(sendto, fd[0], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0), "%s: the other", what);
                sys(getsockopt, fd[1], SOL_SOCKET, SO_ERROR, &error, &four);
                say("SO_ERROR", error, "%s", what);
                close(fd[1]);
                if (i < 3 || i == 5)
                    close(fd[0]);
            }
}

static void *acceptor(void *arg)
{
    return (void *)sys(accept, *(int *)arg, 0, 0);
}

static void listeners(void)
{
    for (int f = 0; f < 3; f++)
        for (int how = 0; how < 3; how++) {
            union any a;
            char what[64];
            void *r = (void *)-999l;
            pthread_t t;
            socklen_t size = f == 2 ? 9 : at(&a, f ? "::1" : "127.0.0.1", 0);
            if (f == 2) {
                memset(&a, 0, sizeof(a));
                a.sa.sa_family = AF_UNIX;
                memcpy(a.un.sun_path, "\0facts", 6);
            }
            int l = new_socket(f, 0), c = new_socket(f, 0);
            sys(bind, l, &a, size);
            sys(listen, l, 5);
            snprintf(what, sizeof(what), "%s listener, shutdown %d", families[f], how);
            pthread_create(&t, NULL, acceptor, &l);
            usleep(20000);
            say("shutdown", sys(shutdown, l, how), "%s", what);
            if (how != 1) {
                pthread_join(t, &r);
                say("accept", (long)r, "%s: who waits", what);
                say("accept", sys(accept4, l, 0, 0, SOCK_NONBLOCK), "%s: after", what);
            }
            say_poll(l, what);
            size = sizeof(a);
            sys(getsockname, l, &a, &size);
            say("connect", sys(connect, c, &a, size), "%s", what);
            if (how == 1)
                pthread_join(t, &r);
            say("listen", sys(listen, l, 5), "%s: again", what);
            close(l);
            close(c);
        }
}

static void options(void)
{
    static const int levels[] = {SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, 99};
    static const char *const level_names[] = {"SOL_SOCKET", "IP", "IPV6", "TCP", "none"};
    for (int f = 0; f < 3; f++)
        for (int k = 0; k < 2; k++)
            for (long l = 0; l < COUNT(levels); l++)
                for (int name = 1; name < 80; name++) {
                    static const int socket_ones[] = {SO_REUSEADDR, SO_TYPE, SO_ERROR, SO_DONTROUTE, SO_BROADCAST, SO_KEEPALIVE, SO_OOBINLINE, SO_LINGER, SO_REUSEPORT, SO_PASSCRED, SO_RCVLOWAT, SO_SNDLOWAT, SO_RCVTIMEO, SO_SNDTIMEO, SO_ACCEPTCONN, SO_PROTOCOL, SO_DOMAIN, SO_PRIORITY};
                    static const int ip_ones[] = {IP_TOS, IP_TTL, IP_PKTINFO, IP_RECVERR, IP_RECVTTL, IP_RECVTOS, IP_FREEBIND, IP_MULTICAST_TTL, IP_MULTICAST_LOOP, IP_MTU_DISCOVER, 24};
                    static const int ip6_ones[] = {IPV6_V6ONLY, IPV6_UNICAST_HOPS, IPV6_RECVPKTINFO, IPV6_RECVERR, IPV6_TCLASS, IPV6_RECVTCLASS, IPV6_RECVHOPLIMIT, IPV6_MULTICAST_LOOP, IPV6_MULTICAST_HOPS};
                    static const int tcp_ones[] = {TCP_NODELAY, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT, TCP_DEFER_ACCEPT, TCP_USER_TIMEOUT, TCP_QUICKACK, 70, 77};
                    const int *list = l == 0 ? socket_ones : l == 1 ? ip_ones : l == 2 ? ip6_ones : tcp_ones;
                    long count = l == 0 ? COUNT(socket_ones) : l == 1 ? COUNT(ip_ones) : l == 2 ? COUNT(ip6_ones) : COUNT(tcp_ones);
                    bool listed = l == 4 && name < 3;
                    for (long i = 0; i < count && l < 4; i++)
                        listed = listed || list[i] == name;
                    /* What is another family's: kernels differ. */
                    if (!listed || (l == 0 && ((name == SO_PASSCRED && f != 2) || (name == SO_REUSEPORT && f == 2))))
                        continue;
                    int fd = new_socket(f, k), values[] = {1, 0, 5}, got[4];
                    char what[96];
                    snprintf(what, sizeof(what), "%s %s %s %d", families[f], kinds[k], level_names[l], name);
                    socklen_t size = sizeof(got);
                    memset(got, 0, sizeof(got));
                    long r = sys(getsockopt, fd, levels[l], name, got, &size);
                    say("getsockopt", r, "%s", what);
                    if (!r && name != SO_LINGER)
                        say("getsockopt", got[0], "%s: value at first, %d bytes", what, (int)size);
                    for (int v = 0; v < 3; v++) {
                        r = sys(setsockopt, fd, levels[l], name, &values[v], 4);
                        say("setsockopt", r, "%s = %d", what, values[v]);
                        size = sizeof(got);
                        if (!r && !sys(getsockopt, fd, levels[l], name, got, &size))
                            say("getsockopt", got[0], "%s: value after %d", what, values[v]);
                    }
                    say("setsockopt", sys(setsockopt, fd, levels[l], name, &values[0], 0), "%s, no size", what);
                    say("setsockopt", sys(setsockopt, fd, levels[l], name, 8, 4), "%s, bad address", what);
                    say("setsockopt", sys(setsockopt, fd, levels[l], name, &values[0], -1), "%s, size -1", what);
                    close(fd);
                }
}

static void beside(void)
{
    int one = 1, fd[2], sent[3] = {0, 1, 2};
    char data[64], control[256];
    pair(2, 0, fd);
    sys(setsockopt, fd[1], SOL_SOCKET, SO_PASSCRED, &one, 4);
    for (int rights = 0; rights < 2; rights++)
        for (long room = 0; room < 100; room += 4) {
            struct iovec v = {data, 5};
            struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
            char out[CMSG_SPACE(sizeof(sent))] = "";
            if (rights) {
                m.msg_control = out;
                m.msg_controllen = sizeof(out);
                struct cmsghdr *h = CMSG_FIRSTHDR(&m);
                *h = (struct cmsghdr){CMSG_LEN(sizeof(sent)), SOL_SOCKET, SCM_RIGHTS};
                memcpy(CMSG_DATA(h), sent, sizeof(sent));
            }
            say("sendmsg", sys(sendmsg, fd[0], &m, 0), "rights %d", rights);
            m = (struct msghdr){.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = (size_t)room};
            say("recvmsg", sys(recvmsg, fd[1], &m, 0), "rights %d, room %ld", rights, room);
            say("recvmsg", (long)m.msg_controllen, "rights %d, room %ld: control bytes", rights, room);
            say("recvmsg", m.msg_flags & ~MSG_CMSG_CLOEXEC, "rights %d, room %ld: flags", rights, room);
            for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h && room; h = CMSG_NXTHDR(&m, h)) {
                say("recvmsg", h->cmsg_type, "rights %d, room %ld: type, %ld bytes", rights, room, (long)h->cmsg_len);
                for (size_t n = 0; h->cmsg_type == SCM_RIGHTS && n < (h->cmsg_len - sizeof(*h)) / 4; n++)
                    close(((int *)CMSG_DATA(h))[n]);
            }
        }
    close(fd[0]);
    close(fd[1]);
}

static void datagrams(void)
{
    for (int f = 0; f < 2; f++) {
        union any a, from;
        char buf[16], control[256], text[80];
        int one = 1, n = -1, s = new_socket(f, 1), c = new_socket(f, 1), other = new_socket(f, 1);
        socklen_t size = at(&a, f ? "::" : "0.0.0.0", 0), fs;
        sys(setsockopt, s, IPPROTO_IP, IP_PKTINFO, &one, 4);
        sys(setsockopt, s, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, 4);
        sys(bind, s, &a, size);
        size = sizeof(a);
        sys(getsockname, s, &a, &size);
        int port = ntohs(a.in.sin_port);
        size = at(&a, f ? "::1" : "127.0.0.3", port);
        say("sendto", sys(sendto, c, "hello", 5, 0, &a, size), "%s", families[f]);
        say("sendto", sys(sendto, c, "", 0, 0, &a, size), "%s, empty", families[f]);
        say("sendto", sys(sendto, c, "hello2", 6, 0, &a, size), "%s", families[f]);
        say_names(c, families[f]);
        sys(ioctl, s, FIONREAD, &n);
        say("FIONREAD", n, "%s: first", families[f]);
        struct iovec v = {buf, 2};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control), .msg_name = &from, .msg_namelen = sizeof(from)};
        say("recvmsg", sys(recvmsg, s, &m, 0), "%s cut", families[f]);
        say("recvmsg", m.msg_flags, "%s cut: flags", families[f]);
        say_text("recvmsg", show(&from, m.msg_namelen, text), "%s: from", families[f]);
        for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
            say("recvmsg", h->cmsg_type, "%s: control type, %ld bytes", families[f], (long)h->cmsg_len);
            if (h->cmsg_level == IPPROTO_IP)
                say("recvmsg", ntohl(((struct in_pktinfo *)CMSG_DATA(h))->ipi_addr.s_addr), "%s: sent to", families[f]);
        }
        say("recv", sys(recvfrom, s, buf, 16, MSG_DONTWAIT, 0, 0), "%s empty", families[f]);
        say("recv", sys(recvfrom, s, buf, 1, MSG_TRUNC | MSG_DONTWAIT, 0, 0), "%s MSG_TRUNC", families[f]);
        say("recv", sys(recvfrom, s, buf, 1, MSG_DONTWAIT, 0, 0), "%s nothing left", families[f]);
        /* Connected: from one alone, and an answer when nobody is there. */
        fs = sizeof(from);
        sys(getsockname, c, &from, &fs);
        if (f)
            from.in6.sin6_addr = in6addr_loopback;
        else
            from.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        say("connect", sys(connect, s, &from, fs), "%s dgram", families[f]);
        say_names(s, families[f]);
        size = at(&a, f ? "::1" : "127.0.0.1", port);
        sys(sendto, other, "no", 2, 0, &a, size);
        sys(sendto, c, "yes", 3, 0, &a, size);
        usleep(2000);
        say("recv", sys(recvfrom, s, buf, 16, MSG_DONTWAIT, 0, 0), "%s from its peer alone", families[f]);
        say("recv", sys(recvfrom, s, buf, 16, MSG_DONTWAIT, 0, 0), "%s nothing else", families[f]);
        close(c);
        usleep(2000);
        say("send", sys(sendto, s, "x", 1, 0, 0, 0), "%s: to nobody", families[f]);
        usleep(2000);
        say_poll(s, "after a datagram to nobody");
        say("send", sys(sendto, s, "x", 1, 0, 0, 0), "%s: to nobody, again", families[f]);
        from.sa.sa_family = AF_UNSPEC;
        say("connect", sys(connect, s, &from, fs), "%s: to nobody any more", families[f]);
        say("send", sys(sendto, s, "x", 1, 0, 0, 0), "%s: without a destination", families[f]);
        close(s);
        close(other);
    }
}

static void several(void)
{
    int fd[2];
    pair(2, 1, fd);
    char buf[4][8];
    struct iovec v[4];
    struct mmsghdr m[4];
    for (int i = 0; i < 4; i++) {
        v[i] = (struct iovec){buf[i], 8};
        m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &v[i], .msg_iovlen = 1}};
    }
    say("sendmmsg", sys(sendmmsg, fd[0], m, 4, 0), "four");
    say("recvmmsg", sys(recvmmsg, fd[1], m, 2, 0, 0), "two of four");
    say("recvmmsg", m[1].msg_len, "two of four: length");
    struct timespec ts = {0, 10000000};
    say("recvmmsg", sys(recvmmsg, fd[1], m, 4, MSG_WAITFORONE, &ts), "four of two, WAITFORONE");
    say("recvmmsg", sys(recvmmsg, fd[1], m, 4, MSG_DONTWAIT, &ts), "none");
    ts.tv_nsec = -1;
    say("recvmmsg", sys(recvmmsg, fd[1], m, 4, MSG_DONTWAIT, &ts), "bad time");
    say("recvmmsg", sys(recvmmsg, fd[1], m, 4, MSG_DONTWAIT, 8), "bad address of the time");
}

static void edges(void)
{
    for (int f = 0; f < 3; f++) {
        int fd[2], e = (int)sys(epoll_create1, 0);
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET}, got[4];
        char buf[8];
        pair(f, 0, fd);
        sys(epoll_ctl, e, EPOLL_CTL_ADD, fd[1], &ev);
#define LOOK(what)                                                                                 \
    do {                                                                                           \
        usleep(3000);                                                                              \
        long n_ = sys(epoll_wait, e, got, 4, 0);                                                   \
        say("epoll", n_ > 0 ? (long)got[0].events : n_, "%s: %s", families[f], what);              \
    } while (0)
        LOOK("at first");
        LOOK("no change");
        sys(write, fd[0], "abcdef", 6);
        LOOK("new data");
        LOOK("unread");
        sys(write, fd[0], "gh", 2);
        LOOK("more data");
        sys(read, fd[1], buf, 3);
        LOOK("some read");
        sys(read, fd[1], buf, 8);
        LOOK("all read");
        ev.events = EPOLLIN | EPOLLET | EPOLLONESHOT;
        sys(epoll_ctl, e, EPOLL_CTL_MOD, fd[1], &ev);
        LOOK("modified");
        sys(write, fd[0], "x", 1);
        LOOK("one-shot");
        sys(write, fd[0], "y", 1);
        LOOK("spent");
        sys(epoll_ctl, e, EPOLL_CTL_MOD, fd[1], &ev);
        LOOK("armed again");
        ev.events = EPOLLIN | EPOLLRDHUP;
        sys(epoll_ctl, e, EPOLL_CTL_MOD, fd[1], &ev);
        LOOK("level");
        LOOK("level again");
        sys(shutdown, fd[0], 1);
        LOOK("the other end shut");
        sys(read, fd[1], buf, 8);
        LOOK("and read");
        close(fd[0]);
        LOOK("and closed");
        close(fd[1]);
        LOOK("ours closed");
        close(e);
    }
}

/* Where nobody listens nothing is sent, and still all is read. */
static void bad_buffers(void)
{
    struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}}, nobody = {AF_INET, htons(1), {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof(a);
    int u = socket(AF_INET, SOCK_DGRAM, 0), v = socket(AF_INET, SOCK_DGRAM, 0);
    static void *const bad[] = {(void *)-1, NULL, (void *)8};
    bind(v, (void *)&a, n);
    getsockname(v, (void *)&a, &n);
    for (long i = 0; i < COUNT(bad); i++)
        for (long size = 1; size <= 1024; size += 1023) {
            struct iovec vec = {bad[i], (size_t)size};
            struct msghdr m = {.msg_name = &nobody, .msg_namelen = sizeof(nobody), .msg_iov = &vec, .msg_iovlen = 1};
            say("sendto", sys(sendto, u, bad[i], size, 0, &nobody, sizeof(nobody)), "%ld bytes at %ld to nobody", size, (long)bad[i]);
            say("sendto", sys(sendto, u, bad[i], size, 0, &a, sizeof(a)), "%ld bytes at %ld to somebody", size, (long)bad[i]);
            say("sendmsg", sys(sendmsg, u, &m, 0), "%ld bytes at %ld to nobody", size, (long)bad[i]);
        }
    say("getsockname", sys(getsockname, u, NULL, &n), "no room");
    say("getpeername", sys(getpeername, u, NULL, &n), "no room, not connected");
    connect(u, (void *)&a, sizeof(a));
    say("getpeername", sys(getpeername, u, NULL, &n), "no room");
    int mark;
    say("ioctl", sys(ioctl, u, 0x8905, &mark), "SIOCATMARK of datagrams");
    for (int type = 0; type < 16; type++)
        if (type != SOCK_RAW && type != SOCK_PACKET)
            say("socket", fd_only(sys(socket, AF_INET, type, 255)), "type %d, protocol 255", type);
    say("socket", fd_only(sys(socket, AF_INET, SOCK_RAW, 0)), "raw, no protocol");
    close(u);
    close(v);
}

int main(void)
{
    facts_begin();
    creating();
    fresh();
    binding();
    connecting();
    under_way();
    ends();
    listeners();
    options();
    beside();
    datagrams();
    several();
    edges();
    bad_buffers();
    facts_end();
    return 0;
}
