// SPDX-License-Identifier: Apache-2.0
// For the tests of published ports.
//
//   net serve 4|6 TCP UDP   answers each connection with its peer and own address; echoes datagrams
//   net self PORT           a connection to itself over loopback
//   net out ADDRESS PORT    connects and prints what comes, or the errno
//   net echo UDP            echoes datagrams that come over loopback; first tells of an error
//   net ask UDP NOBODY      asks that one in both ways, and prints whom the answers are from; then
//                           asks a port where nobody listens
//   net meanwhile ADDRESS UDP   polls sockets of which some are connected only then, and prints
//                           which of them is told to have its echo
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

union any {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t fill(union any *a, int family, const char *address, int port)
{
    memset(a, 0, sizeof(*a));
    a->sa.sa_family = (sa_family_t)family;
    a->v4.sin_port = htons((unsigned short)port);
    if (address)
        inet_pton(family, address, family == AF_INET ? (void *)&a->v4.sin_addr : &a->v6.sin6_addr);
    return family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

static const char *show(const union any *a, char *out)
{
    inet_ntop(a->sa.sa_family,
              a->sa.sa_family == AF_INET ? (const void *)&a->v4.sin_addr : &a->v6.sin6_addr, out,
              64);
    return out;
}

static int open_port(int family, int type, const char *address, int port)
{
    union any a;
    socklen_t size = fill(&a, family, address, port);
    int fd = socket(family, type, 0);
    if (bind(fd, &a.sa, size) || (type == SOCK_STREAM && listen(fd, 8)))
        printf("listen %d\n", errno);
    return fd;
}

static int serve(int family, int tcp, int udp)
{
    char data[1500], peer[64], own[64];
    struct pollfd p[2] = {{.fd = open_port(family, SOCK_STREAM, NULL, tcp), .events = POLLIN},
                          {.fd = open_port(family, SOCK_DGRAM, NULL, udp), .events = POLLIN}};
    puts("listening");
    fflush(stdout);
    while (poll(p, 2, -1) > 0) {
        union any from, at;
        socklen_t size = sizeof(from);
        if (p[0].revents) {
            int fd = accept(p[0].fd, &from.sa, &size);
            size = sizeof(at);
            getsockname(fd, &at.sa, &size);
            int n = snprintf(data, sizeof(data), "%s %s %d\n", show(&from, peer), show(&at, own),
                             ntohs(at.v4.sin_port));
            if (write(fd, data, (size_t)n) < 0)
                perror("write");
            close(fd);
        }
        size = sizeof(from);
        if (p[1].revents) {
            ssize_t n = recvfrom(p[1].fd, data, sizeof(data), 0, &from.sa, &size);
            if (n > 0 && sendto(p[1].fd, data, (size_t)n, 0, &from.sa, size) < 0)
                perror("sendto");
        }
    }
    return 1;
}

static int connect_to(const char *address, int port)
{
    union any a;
    socklen_t size = fill(&a, AF_INET, address, port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 || connect(fd, &a.sa, size) ? -errno : fd;
}

static int echo(int port)
{
    char data[64];
    union any from;
    int fd = open_port(AF_INET, SOCK_DGRAM, "127.0.0.1", port);
    puts("ready");
    fflush(stdout);
    for (ssize_t n = 0; n >= 0;) {
        socklen_t size = sizeof(from);
        n = recvfrom(fd, data, sizeof(data), 0, &from.sa, &size);
        if (n >= 0 && sendto(fd, data, (size_t)n, 0, &from.sa, size) < 0)
            perror("sendto");
    }
    return 1;
}

/* Asks again while nobody answers; then the errno of the last call. */
static void ask(int fd, const char *how, const union any *to, socklen_t to_size)
{
    char data[64] = "", at[64] = "";
    union any from = {0};
    ssize_t n = -1;
    for (int i = 0; n < 0 && i < 300; i++) {
        struct timeval wait = {.tv_usec = 200000};
        socklen_t size = sizeof(from);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
        (void)sendto(fd, how, strlen(how), 0, to_size ? &to->sa : NULL, to_size);
        n = recvfrom(fd, data, sizeof(data) - 1, 0, &from.sa, &size);
        if (n < 0 && errno == ECONNREFUSED)
            usleep(200000);
    }
    printf("%s %s %d\n", n < 0 ? strerror(errno) : data, n < 0 ? "" : show(&from, at),
           ntohs(from.v4.sin_port));
}

static int ask_both(int port, int nobody)
{
    union any to;
    socklen_t size = fill(&to, AF_INET, "127.0.0.1", port);
    int fd = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0), error = 0;
    ask(fd, "free", &to, size);
    connect(fd, &to.sa, size);
    ask(fd, "joined", NULL, 0);
    size = fill(&to, AF_INET, "127.0.0.1", nobody);
    connect(other, &to.sa, size);
    for (int i = 0; i < 50 && !error; i++, usleep(100000))
        error = send(other, "x", 1, 0) < 0 ? errno : 0;
    printf("nobody: %s\n", error ? strerror(error) : "silence");
    return 0;
}

#define POLLED 7
static struct pollfd polled[POLLED];
static int by_epoll;

/* Sleeps until one is ready: bits of all that are. */
static void *poll_all(void *p)
{
    struct epoll_event e = {.events = EPOLLIN}, found[POLLED];
    long bits = 0;
    int n, set = by_epoll ? epoll_create1(0) : -1;
    for (int i = 0; i < POLLED && by_epoll; i++) {
        e.data.u32 = (unsigned)i;
        epoll_ctl(set, EPOLL_CTL_ADD, polled[i].fd, &e);
    }
    n = by_epoll ? epoll_wait(set, found, POLLED, 20000) : poll(polled, POLLED, 20000);
    for (int i = 0; i < n && by_epoll; i++)
        bits |= 1l << found[i].data.u32;
    for (int i = 0; i < POLLED && !by_epoll; i++)
        bits |= polled[i].revents ? 1l << i : 0;
    close(set);
    return (void *)bits;
}

static int meanwhile(const char *address, int port)
{
    union any to;
    socklen_t size = fill(&to, AF_INET, address, port);
    for (int k = 0; k < 2 * POLLED; k++) {
        char c;
        void *bits;
        pthread_t thread;
        by_epoll = k >= POLLED;
        for (int i = 0; i < POLLED; i++) {
            int fd = socket(AF_INET, SOCK_DGRAM, 0);
            polled[i] = (struct pollfd){.fd = fd, .events = POLLIN};
            /* The odd ones are known to the host before, and silent. */
            if (i % 2 &&
                (connect(fd, &to.sa, size) || send(fd, "x", 1, 0) < 0 || read(fd, &c, 1) < 0))
                printf("errno %d\n", errno);
        }
        pthread_create(&thread, NULL, poll_all, NULL);
        usleep(20000); /* it sleeps by then, as a rule */
        for (int i = POLLED - 1; i >= 0; i -= 2)
            connect(polled[i].fd, &to.sa, size);
        if (send(polled[k % POLLED].fd, "y", 1, 0) < 0)
            printf("errno %d\n", errno);
        pthread_join(thread, &bits);
        printf("%lx ", (long)bits);
        for (int i = 0; i < POLLED; i++)
            close(polled[i].fd);
    }
    puts("");
    return 0;
}

int main(int argc, char **argv)
{
    char data[256] = "";
    if (argc > 4 && !strcmp(argv[1], "serve"))
        return serve(*argv[2] == '4' ? AF_INET : AF_INET6, atoi(argv[3]), atoi(argv[4]));
    if (argc > 2 && !strcmp(argv[1], "self")) {
        int listener = open_port(AF_INET, SOCK_STREAM, NULL, atoi(argv[2]));
        int fd = connect_to("127.0.0.1", atoi(argv[2])), end = accept(listener, NULL, NULL);
        int ok = write(fd, "inside", 6) == 6 && read(end, data, sizeof(data)) == 6;
        puts(ok ? data : "lost");
        fflush(stdout);
        if (argc > 3) /* and stays */
            pause();
        return !ok;
    }
    if (argc > 2 && !strcmp(argv[1], "echo"))
        return echo(atoi(argv[2]));
    if (argc > 3 && !strcmp(argv[1], "ask"))
        return ask_both(atoi(argv[2]), atoi(argv[3]));
    if (argc > 3 && !strcmp(argv[1], "meanwhile"))
        return meanwhile(argv[2], atoi(argv[3]));
    if (argc > 3 && !strcmp(argv[1], "out")) {
        int fd = connect_to(argv[2], atoi(argv[3]));
        ssize_t n = fd < 0 ? 0 : read(fd, data, sizeof(data) - 1);
        printf("%s%s\n", fd < 0 ? "errno " : data, fd < 0 ? strerror(-fd) : "");
        return n <= 0;
    }
    return 2;
}
