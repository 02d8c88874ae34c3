// SPDX-License-Identifier: Apache-2.0
// The system calls that make and connect sockets.
#include <asm/poll.h>

#include "trusted/libos/agent/agent.h"
#include "trusted/libos/base/claim.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/net/sock.h"

#define SOCK_CLOEXEC_BIT O_CLOEXEC
#define SOCK_NONBLOCK_BIT O_NONBLOCK
#define TYPE_MASK 15
#define SOCK_PACKET_TYPE 10

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

static bool is_inet(const struct sock *s)
{
    return s->family == AF_INET || s->family == AF_INET6;
}

static int check_kind(int family, int type, int protocol)
{
    if (family == AF_UNIX && protocol != 0 && protocol != AF_UNIX)
        return -EPROTONOSUPPORT;
    if (family == AF_UNIX)
        return type == SOCK_STREAM || type == SOCK_DGRAM || type == SOCK_SEQPACKET
                   ? 0
                   : -ESOCKTNOSUPPORT;
    if (family == AF_NETLINK)
        return type != SOCK_RAW && type != SOCK_DGRAM ? -ESOCKTNOSUPPORT
               : protocol != 0 /* NETLINK_ROUTE */    ? -EPROTONOSUPPORT
                                                      : 0;
    if (family != AF_INET && family != AF_INET6)
        return -EAFNOSUPPORT;
    if (type == SOCK_STREAM)
        return protocol == 0 || protocol == 6 ? 0 : -EPROTONOSUPPORT;
    if (type == SOCK_DGRAM)
        return protocol == 0 || protocol == 17 ? 0 : -EPROTONOSUPPORT;
    return type != SOCK_RAW ? -ESOCKTNOSUPPORT : protocol ? -EPERM : -EPROTONOSUPPORT;
}

long sys_socket(int family, int type, int protocol)
{
    int kind = type & TYPE_MASK, r = check_kind(family, kind, protocol);
    if ((type & ~(TYPE_MASK | SOCK_CLOEXEC_BIT | SOCK_NONBLOCK_BIT)) || kind > SOCK_PACKET_TYPE)
        return -EINVAL;
    if (r)
        return r;
    struct sock *s = sock_new(family, family == AF_NETLINK ? SOCK_DGRAM : kind);
    struct file *f = s ? sock_file(s, (uint32_t)type & SOCK_NONBLOCK_BIT) : NULL;
    return f ? fd_install(f, type & SOCK_CLOEXEC_BIT, 0) : -ENOMEM;
}

long sys_socketpair(int family, int type, int protocol, uint64_t to)
{
    int kind = type & TYPE_MASK, fd[2] = {-1, -1};
    int r = check_kind(family, kind, protocol);
    if (type & ~(TYPE_MASK | SOCK_CLOEXEC_BIT | SOCK_NONBLOCK_BIT))
        return -EINVAL;
    if (r || family != AF_UNIX)
        return r ? r : -EOPNOTSUPP;
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
    if (s->family == AF_NETLINK)
        return netlink_bind(s, &addr);
    if (s->type == SOCK_STREAM && is_inet(s))
        agent_give_way(addr_port(&addr));
    r = name_bind(s, &addr);
    /* Datagrams for the outside must arrive from now on; streams wait for listen. */
    if (!r && s->type == SOCK_DGRAM && is_inet(s) && net_published(s))
        r = outside_listen(s, 0);
    if (r && is_inet(s) && s->own.size && r != -EINVAL)
        name_forget(s);
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
    if (!s->own.size && s->family == AF_UNIX)
        return -EINVAL;
    if ((r = name_auto(s)))
        return r;
    enum sock_state before = s->state;
    uint32_t limit = backlog < 0 || backlog > 4096 ? 4096 : (uint32_t)backlog;
    s->state = SOCK_LISTENING;
    s->read_shut = s->write_shut = false;
    if (is_inet(s) && before != SOCK_LISTENING) {
        if (name_in_conflict(s))
            r = -EADDRINUSE;
        else if (net_published(s))
            r = outside_listen(s, MAX(limit, 1));
        if (r) {
            s->state = before;
            return r;
        }
    }
    s->cred = cred_own();
    s->backlog = limit;
    wait_wake_all(&s->wait);
    return 0;
}

/* The next connection, from inside or outside, or -EAGAIN. */
static long next_connection(struct sock *s, struct sock **n)
{
    for (;;) {
        if (s->state != SOCK_LISTENING || s->read_shut)
            return -EINVAL;
        lock_take(&s->lock, RANK_OBJECT);
        bool any = s->pending_count;
        if (any) {
            *n = container_of(s->pending.next, struct sock, pend_node);
            list_remove(&(*n)->pend_node);
            __atomic_store_n(&s->pending_count, s->pending_count - 1, __ATOMIC_RELAXED);
        }
        lock_give(&s->lock);
        if (any)
            wait_wake_all(&s->room);
        if (any || s->host.handle < 0)
            return any ? 0 : -EAGAIN;
        if (!call_alone()) /* else somebody inside may have come */
            return outside_accept(s, n);
    }
}

long sys_accept4(int fd, uint64_t addr, uint64_t size_at, uint32_t flags)
{
    int r;
    struct file *f;
    struct sock *n = NULL, *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    if (flags & ~(uint32_t)(SOCK_CLOEXEC_BIT | SOCK_NONBLOCK_BIT))
        return -EINVAL;
    if (s->type == SOCK_DGRAM)
        return -EOPNOTSUPP;
    file_get(f);
    uint64_t deadline = sock_deadline(s->receive_timeout);
    long e;
    while ((e = next_connection(s, &n)) == -EAGAIN) {
        e = sock_sleep(f, s, POLLIN, deadline);
        if (e)
            break;
    }
    file_put(f);
    if (e)
        return e;
    call_residence(); /* it may have been the last to have the socket */
    struct addr other = n->other;
    if (!other.size) { /* a client without a name */
        other.size = 2;
        other.family = s->family;
    }
    struct file *nf = sock_file(n, flags & SOCK_NONBLOCK_BIT);
    if (!nf)
        return -ENOMEM;
    int got = fd_install(nf, flags & SOCK_CLOEXEC_BIT, 0);
    if (other.size == 0) { /* of a unix socket without a name */
        other.size = 2;
        other.family = AF_UNIX;
    }
    if (got >= 0 && addr && (r = addr_write(&other, addr, size_at))) {
        fd_close(got);
        return r;
    }
    return got;
}

/* A stream to somebody inside, or to nobody for the reason r. Without waiting it says that it is
 * under way, as on Linux. */
static int join_listener(struct file *f, struct sock *s, const struct addr *to,
                         struct sock *listener, int r)
{
    bool quiet = is_inet(s) && f->flags & O_NONBLOCK;
    if (is_inet(s)) {
        if ((r = name_auto(s)))
            return r;
        s->own = addr_source(&s->own, to);
    }
    s->other = *to;
    r = listener ? inside_connect(f, s, listener) : r ? r : -ECONNREFUSED;
    if (r) {
        s->other = (struct addr){0};
        if (!quiet || r != -ECONNREFUSED)
            return r;
        s->error = r;
    }
    s->fresh = quiet;
    if (quiet)
        wait_wake_all(&s->wait);
    return quiet ? -EINPROGRESS : 0;
}

static int connect_inside(struct file *f, struct sock *s, struct addr *to)
{
    int r;
    addr_resolve_any(to);
    struct sock *listener = name_find(s, to, &r);
    if (!listener && is_inet(s)) {
        agent_wanted(s->family, addr_port(to));
        listener = name_find(s, to, &r);
    }
    if (!listener && is_inet(s) && net_of_pod(to))
        return outside_connect(f, s, to);
    outside_close(&s->host); /* of an earlier try */
    return join_listener(f, s, to, listener, r);
}

/* Beside others: a new stream of the internet to a listener inside, which never waits. False: it is
 * another case, and nothing was done. */
static bool connect_beside(struct file *f, struct sock *s, struct addr to, int *r)
{
    if (s->type != SOCK_STREAM || !is_inet(s) || !addr_is_inside(&to))
        return false;
    addr_resolve_any(&to);
    lock_take(&names_lock, RANK_NAMES);
    bool new = s->state == SOCK_NEW && !s->error && !s->fresh && s->host.handle < 0;
    struct sock *listener = new ? name_receiver(s->type, &to, NULL) : NULL;
    if (listener) {
        s->cred = cred_own();
        *r = join_listener(f, s, &to, listener, 0);
    }
    lock_give(&names_lock);
    return listener;
}

/* Where datagrams go, and from whom alone they are taken from now on. */
static int connect_datagrams(struct file *f, struct sock *s, struct addr *to)
{
    int r = 0;
    outside_disconnect(s);
    if (s->family == AF_UNIX) {
        struct sock *peer = name_find(s, to, &r);
        if (!peer)
            return r;
        sock_get(peer);
        if (s->peer)
            sock_put(s->peer);
        s->peer = peer;
        s->peer_gone = false;
    } else if (!addr_is_inside(to)) {
        return outside_connect(f, s, to);
    } else {
        addr_resolve_any(to);
        if ((r = name_auto(s)))
            return r;
        s->own = addr_source(&s->own, to);
    }
    s->other = *to;
    s->state = SOCK_CONNECTED;
    return 0;
}

static int disconnect_sock(struct sock *s)
{
    if (s->type != SOCK_DGRAM) {
        if (s->state != SOCK_CONNECTED)
            return 0;
        return -EOPNOTSUPP; /* Linux would break the connection; nobody wants it */
    }
    outside_disconnect(s);
    if (s->peer)
        sock_put(s->peer);
    s->peer = NULL;
    s->other = (struct addr){0};
    s->state = SOCK_NEW;
    return 0;
}

static int connect_stream(struct file *f, struct sock *s, struct addr *to)
{
    if (s->state == SOCK_CONNECTING) {
        outside_settle(s);
        int r = s->error;
        s->error = 0;
        return r ? r : s->state == SOCK_CONNECTED ? 0 : -EALREADY;
    }
    if (s->state == SOCK_CONNECTED) {
        bool fresh = s->fresh;
        s->fresh = false;
        return fresh ? 0 : -EISCONN;
    }
    if (s->state == SOCK_LISTENING)
        return s->family == AF_UNIX ? -EINVAL : -EISCONN;
    if (s->error || s->fresh) { /* of the last try, whether it was asked for or not */
        int r = s->error ? s->error : -ECONNABORTED;
        s->error = 0;
        s->fresh = false;
        return r;
    }
    if (is_inet(s) && !addr_is_inside(to))
        return outside_connect(f, s, to);
    return connect_inside(f, s, to);
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
    if (los_is_shared() && !addr_reach(s, &addr)) {
        struct addr to = addr;
        to.size = is_inet(s) ? addr_make(s->family, 0).size : addr.size;
        if (connect_beside(f, s, to, &r))
            return r;
    }
    call_alone();
    if (!(s = sock_of(fd, &r, &f)))
        return r;
    if (addr.size >= 2 && addr.family == AF_UNSPEC)
        return disconnect_sock(s);
    if ((r = addr_reach(s, &addr)))
        return r;
    if (s->family == AF_NETLINK)
        return 0; /* the kernel is the only one there */
    if (is_inet(s))
        addr.size = addr_make(s->family, 0).size;
    file_get(f); /* it may wait */
    s->cred = cred_own();
    r = s->type == SOCK_DGRAM ? connect_datagrams(f, s, &addr) : connect_stream(f, s, &addr);
    file_put(f);
    return r;
}

#define SHUT_BOTH 2

static long shutdown_listener(struct sock *s, int how)
{
    if (how == 1)
        return 0;
    if (s->family == AF_UNIX)
        s->read_shut = true, s->write_shut |= how == SHUT_BOTH;
    else
        s->state = SOCK_NEW; /* it may listen again */
    inside_unlisten(s);
    return 0;
}

long sys_shutdown(int fd, int how)
{
    int r;
    struct file *f;
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    if (how < 0 || how > SHUT_BOTH)
        return -EINVAL;
    outside_settle(s);
    if (s->state == SOCK_LISTENING)
        r = (int)shutdown_listener(s, how);
    else if (s->state != SOCK_CONNECTED && s->family != AF_UNIX)
        return -ENOTCONN;
    else if (s->type == SOCK_STREAM && s->peer_gone && s->family != AF_UNIX && s->write_shut)
        return -ENOTCONN;
    else
        r = 0, s->read_shut |= how != 1, s->write_shut |= how != 0;
    wait_wake_all(&s->wait);
    wait_wake_all(&s->room);
    if (s->peer)
        wait_wake_all(&s->peer->wait);
    return s->host.handle >= 0 ? claim_status(port_shutdown(s->host.handle, how)) : r;
}

/* `a`: a copy, since the program's memory may have to be brought in. */
static long put_name(int family, const struct addr *a, uint64_t to, uint64_t size_at)
{
    struct addr empty = {.size = 2, .family = (uint16_t)family};
    int32_t room;
    if (user_read(&room, size_at, sizeof(room)) || (!to && room > 0))
        return -EFAULT;
    if (!a->size && (family == AF_INET || family == AF_INET6))
        empty = addr_make(family, 0);
    return addr_write(a->size ? a : &empty, to, size_at);
}

long sys_getsockname(int fd, uint64_t to, uint64_t size_at)
{
    int r;
    struct file *f;
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    lock_take(&names_lock, RANK_NAMES);
    struct addr own = s->own;
    lock_give(&names_lock);
    return put_name(s->family, &own, to, size_at);
}

/* Who may have to ask the host whether it is connected is alone. */
long sys_getpeername(int fd, uint64_t to, uint64_t size_at)
{
    int r;
    struct file *f;
    struct sock *s = sock_of(fd, &r, &f);
    if (s && __atomic_load_n(&s->state, __ATOMIC_ACQUIRE) != SOCK_CONNECTED && call_alone())
        s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    outside_settle(s);
    lock_take(&names_lock, RANK_NAMES);
    bool connected = s->state == SOCK_CONNECTED;
    struct addr other = s->other;
    lock_give(&names_lock);
    if (!connected ||
        (s->type == SOCK_STREAM && is_inet(s) && __atomic_load_n(&s->peer_gone, __ATOMIC_ACQUIRE) &&
         __atomic_load_n(&s->write_shut, __ATOMIC_ACQUIRE)))
        return -ENOTCONN;
    return put_name(s->family, &other, to, size_at);
}
