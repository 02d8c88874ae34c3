// SPDX-License-Identifier: Apache-2.0
// Flags of sending and receiving, all together, on each kind of socket: how much comes, what of it
// stays, what is said of it. Then what TCP's ends do to each other.
#include "facts.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

static int tcp_pair(int s[2])
{
    struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof(a);
    int l = socket(AF_INET, SOCK_STREAM, 0);
    bind(l, (void *)&a, sizeof(a));
    listen(l, 1);
    getsockname(l, (void *)&a, &n);
    s[0] = socket(AF_INET, SOCK_STREAM, 0);
    int r = connect(s[0], (void *)&a, sizeof(a));
    s[1] = accept(l, NULL, NULL);
    close(l);
    return r;
}

static int udp_pair(int s[2])
{
    struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}}, b = a;
    socklen_t n = sizeof(a);
    s[0] = socket(AF_INET, SOCK_DGRAM, 0);
    s[1] = socket(AF_INET, SOCK_DGRAM, 0);
    bind(s[0], (void *)&a, sizeof(a));
    bind(s[1], (void *)&b, sizeof(b));
    getsockname(s[0], (void *)&a, &n);
    getsockname(s[1], (void *)&b, &n);
    return connect(s[0], (void *)&b, sizeof(b)) | connect(s[1], (void *)&a, sizeof(a));
}

static int unix_stream(int s[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM, 0, s);
}

static int unix_datagram(int s[2])
{
    return socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
}

static int unix_packets(int s[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s);
}

static const struct {
    const char *name;
    int (*make)(int s[2]);
} kinds[] = {{"tcp", tcp_pair},
             {"udp", udp_pair},
             {"stream", unix_stream},
             {"datagram", unix_datagram},
             {"packets", unix_packets}};

static void settle(int fd) /* what was sent is there */
{
    struct pollfd p = {fd, POLLIN};
    poll(&p, 1, 1000);
}

/* After 10 and 3 bytes: a look with the flags, and what is there afterwards. */
static void receive(long k, int flags, int room)
{
    char buf[32] = "";
    struct iovec v = {buf, (size_t)room};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    int s[2], left = -1;
    struct timeval limit = {0, 50000};
    kinds[k].make(s);
    setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    send(s[0], "0123456789", 10, 0);
    send(s[0], "abc", 3, 0);
    settle(s[1]);
    long r = sys(recvmsg, s[1], &m, flags);
    ioctl(s[1], FIONREAD, &left);
    say("recvmsg", r, "%s: flags %x, room for %d", kinds[k].name, flags, room);
    say("recvmsg", m.msg_flags, "%s: flags %x, room for %d: msg_flags", kinds[k].name, flags, room);
    say("recvmsg", left, "%s: flags %x, room for %d: left", kinds[k].name, flags, room);
    say_text("recvmsg", buf, "%s: flags %x, room for %d: bytes", kinds[k].name, flags, room);
    say("recvfrom", sys(recvfrom, s[1], NULL, room, flags | MSG_DONTWAIT, 0, 0),
        "%s: flags %x, room for %d: the rest to nowhere", kinds[k].name, flags, room);
    close(s[0]);
    close(s[1]);
}

static void send_one(long k, int flags)
{
    char buf[32] = "";
    int s[2];
    kinds[k].make(s);
    long r = sys(sendto, s[0], "0123456789", 10, flags, 0, 0);
    say("sendto", r, "%s: flags %x", kinds[k].name, flags);
    if (r > 0 && !(flags & MSG_MORE)) {
        settle(s[1]);
        say("sendto", sys(recvfrom, s[1], buf, 32, MSG_DONTWAIT, 0, 0), "%s: flags %x: came",
            kinds[k].name, flags);
    }
    close(s[1]);
    if (flags & MSG_MORE) { /* what waits for more may be told later */
        close(s[0]);
        return;
    }
    signal(SIGPIPE, SIG_IGN);
    usleep(1000);
    send(s[0], "x", 1, MSG_NOSIGNAL);
    usleep(1000);
    say("sendto", sys(sendto, s[0], "x", 1, flags, 0, 0), "%s: flags %x: nobody there",
        kinds[k].name, flags);
    say("sendto", sys(sendto, s[0], "x", 1, flags, 0, 0), "%s: flags %x: nobody there, again",
        kinds[k].name, flags);
    close(s[0]);
}

/* What each end sees when the other shuts down, closes, or closes with bytes unread. */
static void ends(long k, int how)
{
    static const char *const hows[] = {"SHUT_RD", "SHUT_WR", "SHUT_RDWR",
                                       "close",   "unread",  "linger"};
    char buf[32];
    int s[2], error = -1;
    socklen_t n = sizeof(error);
    struct linger none = {1, 0};
    struct pollfd p[2];
    kinds[k].make(s);
    if (how >= 4)
        send(s[0], "unread", 6, 0), settle(s[1]);
    if (how == 5)
        setsockopt(s[1], SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    if (how < 3)
        say("shutdown", sys(shutdown, s[1], how), "%s: %s", kinds[k].name, hows[how]);
    else
        close(s[1]);
    usleep(5000);
    for (int i = 0; i < (how < 3 ? 2 : 1); i++) {
        p[i] = (struct pollfd){s[i], POLLIN | POLLOUT | POLLRDHUP | POLLPRI};
        poll(&p[i], 1, 0);
        say("poll", p[i].revents, "%s: %s: end %d", kinds[k].name, hows[how], i);
        for (int turn = 0; turn < 2; turn++) {
            say("recvfrom", sys(recvfrom, s[i], buf, 32, MSG_DONTWAIT, 0, 0), "%s: %s: end %d, %d",
                kinds[k].name, hows[how], i, turn);
            say("sendto", sys(sendto, s[i], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0),
                "%s: %s: end %d, %d", kinds[k].name, hows[how], i, turn);
            usleep(2000);
        }
        getsockopt(s[i], SOL_SOCKET, SO_ERROR, &error, &n);
        say("getsockopt", error, "%s: %s: end %d: SO_ERROR", kinds[k].name, hows[how], i);
    }
    close(s[0]);
    if (how < 3)
        close(s[1]);
}

static void tcp_states(void)
{
    struct tcp_info info;
    struct sockaddr_in a = {AF_INET, htons(1), {htonl(INADDR_LOOPBACK)}};
    int s[2], value;
    socklen_t n = sizeof(info);
#define STATE(what, fd)                                                                            \
    (n = sizeof(info), memset(&info, 0, sizeof(info)),                                             \
     say("getsockopt", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) ? -errno : 0,              \
         "TCP_INFO: %s", what),                                                                    \
     say("getsockopt", info.tcpi_state, "TCP_INFO: %s: state", what))
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    STATE("new", fd);
    say("connect", sys(connect, fd, &a, sizeof(a)), "nobody listens");
    STATE("refused", fd);
    close(fd);
    tcp_pair(s);
    STATE("connected", s[0]);
    shutdown(s[0], SHUT_WR);
    usleep(200000);
    STATE("half closed", s[0]);
    STATE("half closed, the other", s[1]);
    shutdown(s[1], SHUT_WR);
    usleep(5000);
    STATE("closed, the other", s[1]);
    close(s[0]);
    close(s[1]);
    /* Those that are kept; others are refused. */
    static const int options[] = {TCP_NODELAY,      TCP_CORK,       TCP_KEEPIDLE,
                                  TCP_KEEPINTVL,    TCP_KEEPCNT,    TCP_SYNCNT,
                                  TCP_DEFER_ACCEPT, TCP_QUICKACK,   TCP_USER_TIMEOUT,
                                  TCP_FASTOPEN,     TCP_CONGESTION, TCP_NOTSENT_LOWAT};
    for (int i = 0; i < COUNT(options); i++) {
        int option = options[i];
        for (int v = -1; v < 4; v++) {
            tcp_pair(s);
            value = v;
            long r = sys(setsockopt, s[0], IPPROTO_TCP, option, &value, 4);
            if (!r) {
                n = sizeof(value);
                value = -1;
                getsockopt(s[0], IPPROTO_TCP, option, &value, &n);
                say("getsockopt", value, "connected tcp: option %d after %d", option, v);
            }
            say("setsockopt", r, "connected tcp: option %d to %d", option, v);
            close(s[0]);
            close(s[1]);
        }
    }
}

int main(void)
{
    static const int more[] = {MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_DONTWAIT};
    static const int sends[] = {MSG_MORE,     MSG_DONTROUTE, MSG_EOR,   MSG_CONFIRM, MSG_NOSIGNAL,
                                MSG_DONTWAIT, MSG_PEEK,      MSG_TRUNC, MSG_WAITALL, MSG_CTRUNC};
    facts_begin();
    for (long k = 0; k < COUNT(kinds); k++) {
        for (int set = 0; set < 1 << COUNT(more); set++) {
            int flags = 0;
            for (int i = 0; i < COUNT(more); i++)
                flags |= set >> i & 1 ? more[i] : 0;
            for (int room = 0; room <= 16; room += 4)
                receive(k, flags, room);
        }
        for (int i = 0; i < COUNT(sends); i++)
            send_one(k, sends[i]);
        for (int how = 0; how < 6; how++)
            ends(k, how);
    }
    tcp_states();
    facts_end();
    return 0;
}
