// SPDX-License-Identifier: Apache-2.0
// The system calls that make and connect sockets.
#include <asm/poll.h>
#include <asm/socket.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/net.h>

#include "trusted/libos/agent/agent.h"
#include "trusted/libos/base/claim.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/net/sock.h"

#define SOCK_CLOEXEC_BIT O_CLOEXEC
#define SOCK_NONBLOCK_BIT O_NONBLOCK
#define TYPE_MASK 15

int addr_read(uint64_t from, uint32_t size, struct addr *a);
int addr_write(const struct addr *a, uint64_t to, uint64_t size_at);

int addr_read(uint64_t from, uint32_t size, struct addr *a)
{
    *a = (struct addr){.size = size};
    if (size > ADDR_SIZE_MAX - 2)
        return -EINVAL;
    return user_read(a->bytes, from, size);
}

int addr_write(const struct addr *a, uint64_t to, uint64_t size_at)
{
    uint32_t room;
    if (!to)
        return 0;
    if (user_read(&room, size_at, sizeof(room)))
        return -EFAULT;
    if ((int32_t)room < 0)
        return -EINVAL;
    if (user_write(to, a->bytes, MIN(room, a->size)))
        return -EFAULT;
    return user_write(size_at, &a->size, sizeof(a->size));
}

static int check_kind(int family, int type, int protocol)
{
    if (family == AF_UNIX)
        return type == SOCK_STREAM || type == SOCK_DGRAM || type == SOCK_SEQPACKET
                   ? 0
                   : -ESOCKTNOSUPPORT;
    if (family != AF_INET && family != AF_INET6)
        return -EAFNOSUPPORT;
    if (type == SOCK_STREAM)
        return protocol == 0 || protocol == 6 ? 0 : -EPROTONOSUPPORT;
    if (type == SOCK_DGRAM)
        return protocol == 0 || protocol == 17 ? 0 : -EPROTONOSUPPORT;
    return type == SOCK_RAW ? -EPERM : -ESOCKTNOSUPPORT;
}

long sys_socket(int family, int type, int protocol)
{
    int r = check_kind(family, type & TYPE_MASK, protocol);
    if (r)
        return r;
    struct sock *s = sock_new(family, type & TYPE_MASK);
    struct file *f = s ? sock_file(s, (uint32_t)type & SOCK_NONBLOCK_BIT) : NULL;
    return f ? fd_install(f, type & SOCK_CLOEXEC_BIT, 0) : -ENOMEM;
}

long sys_socketpair(int family, int type, int protocol, uint64_t to)
{
    int kind = type & TYPE_MASK, fd[2] = {-1, -1};
    if (family != AF_UNIX)
        return -EOPNOTSUPP;
    int r = check_kind(AF_UNIX, kind, 0);
    if (r)
        return r;
    struct sock *s[2] = {sock_new(AF_UNIX, kind), sock_new(AF_UNIX, kind)};
    if (!s[0] || !s[1])
        return -ENOMEM;
    inside_pair(s[0], s[1]);
    for (int i = 0; i < 2; i++) {
        struct file *f = sock_file(s[i], (uint32_t)type & SOCK_NONBLOCK_BIT);
        fd[i] = f ? fd_install(f, type & SOCK_CLOEXEC_BIT, 0) : -ENOMEM;
    }
    r = fd[0] < 0 ? fd[0] : fd[1] < 0 ? fd[1] : user_write(to, fd, sizeof(fd));
    for (int i = 0; r && i < 2; i++)
        fd_close(fd[i]);
    return r;
}

/* An address of the outside: neither loopback nor any. */
static bool outside(const struct sock *s, const struct addr *a)
{
    return s->family != AF_UNIX && !addr_is_loopback(a);
}

long sys_bind(int fd, uint64_t from, uint32_t size)
{
    int r;
    struct file *f;
    struct addr addr;
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    if ((r = addr_read(from, size, &addr)) || (r = addr_check(s, &addr)))
        return r;
    if (s->type == SOCK_STREAM && s->family != AF_UNIX)
        agent_give_way(addr_port(&addr));
    r = name_bind(s, &addr);
    /* Datagrams for the outside must arrive from now on; streams wait for listen. */
    if (!r && s->type == SOCK_DGRAM && outside(s, &addr) && net_published(s))
        r = outside_listen(f, s, 0);
    if (r && s->family != AF_UNIX && s->own.size) {
        list_remove(&s->names);
        s->own = (struct addr){0};
    }
    return r;
}

long sys_listen(int fd, int backlog)
{
    int r;
    struct file *f;
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    if (s->type == SOCK_DGRAM)
        return -EOPNOTSUPP;
    if (s->state == SOCK_CONNECTED || s->state == SOCK_CONNECTING)
        return -EINVAL;
    uint32_t limit = (uint32_t)MIN(MAX(backlog, 1), 4096);
    if (!s->own.size) {
        if (s->family == AF_UNIX)
            return -EINVAL;
        s->own.size =
            s->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        s->own.family = s->family;
        if ((r = name_ephemeral(s)))
            return r;
    }
    if (s->state != SOCK_LISTENING && outside(s, &s->own) && net_published(s)) {
        r = outside_listen(f, s, limit);
        if (r)
            return r;
    }
    s->backlog = limit;
    s->state = SOCK_LISTENING;
    wait_wake_all(&s->wait);
    return 0;
}

static long do_accept(int fd, uint64_t addr, uint64_t size_at, uint32_t flags)
{
    int r;
    struct file *f;
    struct sock *n = NULL, *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    if (s->state != SOCK_LISTENING)
        return -EINVAL;
    file_get(f);
    uint64_t deadline = sock_deadline(s->receive_timeout);
    long e = 0;
    while (!n && !e) {
        if (s->pending_count) {
            n = container_of(s->pending.next, struct sock, pend_node);
            list_remove(&n->pend_node);
            s->pending_count--;
            break;
        }
        e = s->host.handle >= 0 ? outside_accept(s, &n) : -EAGAIN;
        if (e == -EAGAIN) {
            e = sock_sleep(f, s, POLLIN, deadline);
        }
    }
    file_put(f);
    if (e)
        return e;
    struct addr other = n->other;
    struct file *nf = sock_file(n, flags & SOCK_NONBLOCK_BIT);
    if (!nf)
        return -ENOMEM;
    int got = fd_install(nf, flags & SOCK_CLOEXEC_BIT, 0);
    if (got >= 0 && addr && (r = addr_write(&other, addr, size_at))) {
        fd_close(got);
        return r;
    }
    return got;
}

long sys_accept(int fd, uint64_t to, uint64_t size_at)
{
    return do_accept(fd, to, size_at, 0);
}

long sys_accept4(int fd, uint64_t to, uint64_t size_at, uint32_t flags)
{
    return do_accept(fd, to, size_at, flags);
}

/* The own address of a socket that connects inside without having been bound. */
static int name_self(struct sock *s, const struct addr *to)
{
    if (s->own.size || s->family == AF_UNIX)
        return 0;
    s->own = *to;
    return name_ephemeral(s);
}

long sys_connect(int fd, uint64_t from, uint32_t size)
{
    int r;
    struct file *f;
    struct addr addr;
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    if ((r = addr_read(from, size, &addr)))
        return r;
    if (s->type == SOCK_DGRAM && addr.size >= 2 && addr.family == AF_UNSPEC) {
        if (s->peer)
            sock_put(s->peer);
        s->peer = NULL;
        s->other = (struct addr){0};
        return 0;
    }
    if ((r = addr_check(s, &addr)))
        return r;
    if (s->state == SOCK_CONNECTED && s->type != SOCK_DGRAM)
        return -EISCONN;
    if (s->state == SOCK_CONNECTING)
        return -EALREADY;
    if (s->state == SOCK_LISTENING)
        return -EINVAL;
    if (outside(s, &addr) && !addr_is_any(&addr)) {
        file_get(f); /* it may wait */
        r = outside_connect(f, s, &addr);
        file_put(f);
        return r;
    }
    struct sock *to = name_find(s, &addr, &r);
    if (!to && s->type == SOCK_STREAM && s->family != AF_UNIX) {
        agent_wanted(s->family, addr_port(&addr));
        to = name_find(s, &addr, &r);
    }
    if (!to)
        return r;
    s->other = addr;
    if ((r = name_self(s, &addr)))
        return r;
    if (s->type != SOCK_DGRAM)
        return inside_connect(s, to);
    if (s->peer)
        sock_put(s->peer);
    sock_get(to);
    s->peer = to;
    s->state = SOCK_CONNECTED;
    return 0;
}

#define SHUT_BOTH 2

long sys_shutdown(int fd, int how)
{
    int r;
    struct file *f;
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    if (how < 0 || how > SHUT_BOTH)
        return -EINVAL;
    if (s->state != SOCK_CONNECTED && s->state != SOCK_LISTENING)
        return -ENOTCONN;
    s->read_shut |= how != 1;
    s->write_shut |= how != 0;
    wait_wake_all(&s->wait);
    if (s->peer)
        wait_wake_all(&s->peer->wait);
    if (s->host.handle >= 0)
        return claim_status(port_shutdown(s->host.handle, how));
    return 0;
}

static long put_name(const struct sock *s, const struct addr *a, uint64_t to, uint64_t size_at)
{
    struct addr empty = {.size = 2};
    empty.family = s->family;
    if (!a->size && s->family == AF_INET)
        empty.size = sizeof(struct sockaddr_in);
    if (!a->size && s->family == AF_INET6)
        empty.size = sizeof(struct sockaddr_in6);
    return addr_write(a->size ? a : &empty, to, size_at);
}

long sys_getsockname(int fd, uint64_t to, uint64_t size_at)
{
    int r;
    struct file *f;
    struct sock *s = sock_of(fd, &r, &f);
    return s ? put_name(s, &s->own, to, size_at) : r;
}

long sys_getpeername(int fd, uint64_t to, uint64_t size_at)
{
    int r;
    struct file *f;
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    return s->state == SOCK_CONNECTED ? put_name(s, &s->other, to, size_at) : -ENOTCONN;
}
