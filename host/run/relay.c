// SPDX-License-Identifier: Apache-2.0
// The relay of connections and datagrams: one process, one loop, two bounded buffers a
// connection.
#include "host/run/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "host/run/ports.h"
#include "host/run/relay_udp.h"

#define BACKLOG 4096
#define FLOW_SIZE 16384u
#define EVENTS 64

static bool is_ipv6(const struct sh_port *p)
{
    return strchr(p->host_address, ':');
}

static bool is_everywhere(const struct sh_port *p)
{
    return !p->host_address[0] || !strcmp(p->host_address, "0.0.0.0");
}

/* Which of them reaches this port's program; `count`: none yet. */
static size_t find_inner(const struct sh_port *inner, size_t count, const struct sh_port *p)
{
    size_t i = 0;
    while (i < count && (inner[i].udp != p->udp || inner[i].guest_port != p->guest_port))
        i++;
    return i;
}

int sh_relay_inner(const struct sh_port *ports, size_t count, struct sh_port *inner,
                   size_t *inner_count, struct sh_error *err)
{
    int r = 0;
    *inner_count = 0;
    for (size_t i = 0; !r && i < count; i++) {
        if (find_inner(inner, *inner_count, &ports[i]) < *inner_count)
            continue;
        struct sh_port *p = &inner[(*inner_count)++];
        *p = ports[i];
        if (!is_ipv6(&ports[i]))
            continue;
        strcpy(p->host_address, "127.0.0.1");
        p->host_port = 0;
        r = sh_ports_check(p, 1, err);
    }
    return r;
}

/* Where the relay has to listen for ports[i]: what no back end does. */
static bool is_ours(const struct sh_port *ports, size_t i, int family)
{
    if (family == AF_INET6)
        return is_ipv6(&ports[i]) || is_everywhere(&ports[i]);
    return !is_ipv6(&ports[i]) && find_inner(ports, i, &ports[i]) < i;
}

/* --- one connection --- */

struct flow { /* from one side to the other */
    char data[FLOW_SIZE];
    size_t at, end;
    bool eof, shut; /* the end was read; it was passed on */
};

struct link;
struct side { /* what epoll tells of */
    struct sh_watched base;
    struct link *link; /* NULL: a listener */
    int fd;
    struct sockaddr_in to; /* a listener's: where the back end listens */
    bool watched;
};

struct link {
    struct side side[2];
    struct flow flow[2]; /* [i]: read from side i */
};

static void drop_link(struct link *l)
{
    close(l->side[0].fd);
    close(l->side[1].fd);
    free(l);
}

/* One read and one write at most, so that no connection holds up others. False: it is over. */
static bool move_bytes(struct flow *f, int from, int to)
{
    if (f->at == f->end && !f->eof) {
        ssize_t n = read(from, f->data, sizeof(f->data));
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        f->at = 0;
        f->end = n > 0 ? (size_t)n : 0;
        f->eof = !n;
    }
    if (f->at < f->end) {
        ssize_t n = write(to, f->data + f->at, f->end - f->at);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        f->at += n > 0 ? (size_t)n : 0;
    }
    if (f->eof && f->at == f->end && !f->shut) {
        shutdown(to, SHUT_WR);
        f->shut = true;
    }
    return true;
}

/* A side of which nothing is wanted now is not watched: its hang-up would be told for ever. */
static void watch_link(int poll_fd, struct link *l, int i)
{
    struct side *s = &l->side[i];
    const struct flow *from = &l->flow[i], *to = &l->flow[!i];
    struct epoll_event e = {.data.ptr = s};
    e.events =
        (from->at == from->end && !from->eof ? EPOLLIN : 0u) | (to->at < to->end ? EPOLLOUT : 0u);
    if (e.events)
        epoll_ctl(poll_fd, s->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd, &e);
    else if (s->watched)
        epoll_ctl(poll_fd, EPOLL_CTL_DEL, s->fd, NULL);
    s->watched = e.events;
}

static void serve_link(int poll_fd, struct link *l, uint32_t events)
{
    if (events & EPOLLERR || !move_bytes(&l->flow[0], l->side[0].fd, l->side[1].fd) ||
        !move_bytes(&l->flow[1], l->side[1].fd, l->side[0].fd) ||
        (l->flow[0].shut && l->flow[1].shut)) {
        drop_link(l);
        return;
    }
    watch_link(poll_fd, l, 0);
    watch_link(poll_fd, l, 1);
}

static void take_connection(int poll_fd, const struct side *listener)
{
    struct link *l = calloc(1, sizeof(*l));
    int from = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (!l || from < 0 || to < 0 ||
        (connect(to, (const struct sockaddr *)&listener->to, sizeof(listener->to)) &&
         errno != EINPROGRESS)) {
        close(from);
        close(to);
        free(l);
        usleep(from < 0 ? 10000 : 0); /* out of descriptors: until one is free */
        return;
    }
    l->side[0] = (struct side){.link = l, .fd = from};
    l->side[1] = (struct side){.link = l, .fd = to};
    watch_link(poll_fd, l, 0);
    watch_link(poll_fd, l, 1);
}

/* --- the process --- */

static bool add_listener(int poll_fd, int family, const struct sh_port *p,
                         const struct sockaddr_in *to)
{
    union sh_address a = {.any.sa_family = (sa_family_t)family};
    int one = 1;
    a.four.sin_port = htons(p->host_port); /* at the same place in both */
    if (p->host_address[0] && (family == AF_INET || is_ipv6(p)))
        inet_pton(family, p->host_address,
                  family == AF_INET ? (void *)&a.four.sin_addr : (void *)&a.six.sin6_addr);
    if (p->udp)
        return sh_relay_udp_open(poll_fd, &a, to);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct side *s = sh_alloc(sizeof(*s));
    *s = (struct side){.fd = fd, .to = *to};
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
    if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) &&
        (family == AF_INET || !setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))) &&
        !bind(fd, &a.any, sh_address_size(&a)) && !listen(fd, BACKLOG) &&
        !epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e))
        return true;
    close(fd);
    free(s);
    return false;
}

/* Whether it listens for any. */
static bool add_listeners(int poll_fd, const struct sh_port *ports, size_t count,
                          const struct sh_port *inner, size_t inner_count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        const struct sh_port *in = &inner[find_inner(inner, inner_count, &ports[i])];
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(in->host_port)};
        inet_pton(AF_INET, is_everywhere(in) ? "127.0.0.1" : in->host_address, &to.sin_addr);
        for (int six = 0; six < 2; six++)
            if (is_ours(ports, i, six ? AF_INET6 : AF_INET))
                any |= add_listener(poll_fd, six ? AF_INET6 : AF_INET, &ports[i], &to);
    }
    return any;
}

static void serve_turn(int poll_fd)
{
    struct epoll_event events[EVENTS];
    const struct link *links[EVENTS];
    int n = epoll_wait(poll_fd, events, EVENTS, -1);
    for (int i = 0; i < n; i++) {
        struct sh_watched *w = events[i].data.ptr;
        links[i] = w->ready ? NULL : ((struct side *)w)->link;
    }
    /* Both sides of a connection may be told of at once, and the first may end it: one of them. */
    for (int i = 0; i < n; i++) {
        struct sh_watched *w = events[i].data.ptr;
        int k = 0;
        while (k < i && (!links[i] || links[k] != links[i]))
            k++;
        if (k < i)
            continue;
        if (links[i])
            serve_link(poll_fd, ((struct side *)w)->link, events[i].events);
        else if (w->ready)
            w->ready(w);
        else
            take_connection(poll_fd, (struct side *)w);
    }
}

static __attribute__((noreturn)) void run_relay(const struct sh_port *ports, size_t count,
                                                const struct sh_port *inner, size_t inner_count,
                                                pid_t parent)
{
    struct rlimit files;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent ||
        syscall(SYS_close_range, 3, ~0u, 0))
        _exit(1);
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_NAME, "shelter-relay");
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    int poll_fd = epoll_create1(EPOLL_CLOEXEC);
    bool any = add_listeners(poll_fd, ports, count, inner, inner_count);
    while (any)
        serve_turn(poll_fd);
    _exit(0);
}

pid_t sh_relay_start(const struct sh_port *ports, size_t count, const struct sh_port *inner,
                     size_t inner_count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any |= is_ours(ports, i, AF_INET) || is_ours(ports, i, AF_INET6);
    pid_t parent = getpid(), pid = any ? fork() : 0;
    if (any && pid == 0)
        run_relay(ports, count, inner, inner_count, parent);
    return pid < 0 ? -errno : pid;
}
