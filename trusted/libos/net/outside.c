// SPDX-License-Identifier: Apache-2.0
// The part of a socket that the host holds. What goes through it is public; what comes is claims.
// No address of ours leaves, but for a pod's: outside_connect and outside_send refuse them, whoever
// asks.
#include <asm/poll.h>
#include <asm/signal.h>
#include <asm/socket.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/net.h>

#include "lib/settings.h"
#include "trusted/libos/base/claim.h"
#include "trusted/libos/fs/epoll.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/net/sock.h"
#include "trusted/libos/signal/signal.h"

#define BUFFER_PAGES 16u /* PORT_IO_MAX */
#define STRAYS_MAX 64    /* datagrams for nobody that one call throws away */

/* An address the host gave: made sane, or -EIO. */
static int claim_addr(struct addr *a, uint16_t family)
{
    uint32_t want = addr_make(family, 0).size;
    if (a->size < want || a->family != family)
        return -EIO;
    a->size = want;
    net_foreign(a);
    return 0;
}

int outside_open(struct sock *s)
{
    if (s->host.handle >= 0)
        return 0;
    if (s->family == AF_UNIX || !settings.outside)
        return -ENETUNREACH;
    long h = claim_handle(port_socket(s->family, s->type));
    int r = h < 0 ? (int)h : outside_add(&s->host, (int32_t)h, &s->wait);
    if (r)
        return r;
    options_pass(s);
    if (s->file)
        epoll_opened(s->file);
    wait_wake_events(&s->wait, 0); /* who sleeps on it asks again */
    return 0;
}

/* Our own address, once there is a connection: the port is the host's, the address is ours. */
static void learn_name(struct sock *s)
{
    struct addr a = {.size = PORT_ADDR_MAX};
    uint16_t port = s->own.size ? addr_port(&s->own) : 0;
    if (!port && !claim_status(port_name(s->host.handle, 0, a.bytes, &a.size)) && a.size >= 4)
        port = addr_port(&a);
    s->own = addr_source(&s->own, &s->other);
    addr_set_port(&s->own, port);
}

/* Our own addresses, as the host hears them: a pod's loopback is that of the host. */
static int connect_host(struct sock *s, struct addr to)
{
    net_foreign(&to);
    return claim_status(port_connect(s->host.handle, to.bytes, MIN(to.size, PORT_ADDR_MAX)));
}

/* How a connect went that began before. */
static int settle_name(struct sock *s, int r)
{
    if (r == -EISCONN || r == 0) {
        s->state = SOCK_CONNECTED;
        return 0;
    }
    if (r != -EALREADY && r != -EINPROGRESS && r != -EINTR) {
        s->state = SOCK_NEW;
        s->other = (struct addr){0};
        return r;
    }
    return -EALREADY;
}

void outside_settle(struct sock *s)
{
    if (s->state != SOCK_CONNECTING)
        return;
    int r = settle_name(s, connect_host(s, s->other));
    if (r && r != -EALREADY)
        s->error = r;
}

static int start_connect(struct sock *s, const struct addr *a)
{
    int r = outside_open(s);
    if (r)
        return r;
    if (s->read_shut || s->write_shut)
        s->read_shut = s->write_shut = false;
    r = connect_host(s, *a);
    if (r && r != -EINPROGRESS)
        return r;
    s->other = *a;
    s->state = r ? SOCK_CONNECTING : SOCK_CONNECTED;
    s->host.has_ring = s->type == SOCK_STREAM && port_ring_exists(s->host.handle);
    learn_name(s);
    return r;
}

int outside_connect(struct file *f, struct sock *s, const struct addr *a)
{
    if (addr_kind(a) != ADDR_FOREIGN && !net_of_pod(a))
        return -ENETUNREACH;
    int r = start_connect(s, a);
    if (r != -EINPROGRESS || f->flags & O_NONBLOCK)
        return r;
    uint64_t deadline = sock_deadline(s->send_timeout);
    while (s->state == SOCK_CONNECTING) {
        outside_used(&s->host, POLLOUT, false, 0);
        r = sock_sleep(f, s, POLLOUT, deadline);
        if (r)
            return r == -EAGAIN ? -EINPROGRESS : r;
        outside_settle(s);
    }
    r = s->error;
    s->error = 0;
    return r;
}

void outside_disconnect(struct sock *s)
{
    static const uint8_t unspec[16];
    if (s->host.handle >= 0 && s->other.size && (s->pod.size || !addr_is_inside(&s->other)))
        port_connect(s->host.handle, unspec, sizeof(unspec));
    s->pod = (struct addr){0};
}

int outside_listen(struct sock *s, uint32_t backlog)
{
    int32_t one = 1;
    int r = outside_open(s);
    if (r)
        return r;
    if (s->type == SOCK_STREAM) /* two of datagrams could both have the port then */
        port_sockopt_set(s->host.handle, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    /* Where we are is the host's business: of ours it hears the port, and whether it is its own
     * loopback's. */
    struct addr any = addr_make(s->family, addr_port(&s->own));
    if (addr_kind(&s->own) == ADDR_LOOPBACK)
        net_foreign(&any);
    r = claim_status(port_bind(s->host.handle, any.bytes, MIN(any.size, PORT_ADDR_MAX)));
    if (!r && s->type == SOCK_STREAM)
        r = claim_status(port_listen(s->host.handle, backlog));
    s->host.has_ring = !r && s->type == SOCK_STREAM && port_ring_exists(s->host.handle);
    return r;
}

long outside_accept(struct sock *s, struct sock **out)
{
    struct addr peer = {.size = PORT_ADDR_MAX};
    struct sh_accepted got;
    long h;
    if (outside_take(&s->host, &got, sizeof(got), false, NULL) == sizeof(got)) {
        h = claim_handle(got.handle);
        peer.size = MIN(got.size, PORT_ADDR_MAX);
        memcpy(peer.bytes, got.address, peer.size);
    } else if (outside_is_dry(&s->host)) {
        return -EAGAIN;
    } else {
        uint32_t turn = outside_turn(&s->host);
        h = claim_handle(port_accept(s->host.handle, peer.bytes, &peer.size));
        outside_used(&s->host, POLLIN, h == -EAGAIN, turn);
    }
    if (h < 0)
        return h;
    struct sock *n = claim_addr(&peer, s->family) ? NULL : sock_new(s->family, s->type);
    if (!n || outside_add(&n->host, (int32_t)h, &n->wait)) {
        port_close((int32_t)h);
        if (n)
            sock_put(n);
        return -ECONNABORTED;
    }
    options_inherit(n, s);
    n->state = SOCK_CONNECTED;
    n->host.has_ring = port_ring_exists(n->host.handle);
    n->other = peer;
    n->own = addr_source(&s->own, &peer);
    *out = n;
    return 0;
}

static long send_piece(struct file *f, struct sock *s, const uint8_t *buf, uint32_t size, int flags,
                       const struct addr *to)
{
    uint64_t deadline = sock_deadline(s->send_timeout);
    for (;;) {
        if (s->type == SOCK_STREAM && s->state == SOCK_CONNECTED && !s->write_shut) {
            uint32_t queued = outside_queue(&s->host, buf, size, flags & MSG_MORE_);
            if (queued)
                return queued;
        }
        uint32_t turn = outside_turn(&s->host);
        los_unlock(); /* the file is counted, so that the handle stays */
        long n = claim_count(port_send(s->host.handle, buf, size, to ? to->bytes : NULL,
                                       to ? MIN(to->size, PORT_ADDR_MAX) : 0, flags & MSG_MORE_),
                             size);
        call_relock();
        outside_used(&s->host, POLLOUT, n == -EAGAIN || (n >= 0 && n < size), turn);
        if (n == 0 && size)
            return -EIO; /* a host that takes nothing would keep us here for ever */
        if (n == -EAGAIN)
            n = flags & MSG_DONTWAIT_ ? -EAGAIN : sock_sleep(f, s, POLLOUT, deadline);
        else
            return n;
        if (n)
            return n;
    }
}

static uint64_t buffer_pages(uint64_t size)
{
    return MIN(MAX((size + PAGE_SIZE - 1) >> PAGE_SHIFT, 1), BUFFER_PAGES);
}

static long send_all(struct file *f, struct sock *s, struct io *io, uint8_t *buf, uint64_t room,
                     int flags, const struct addr *to)
{
    long done = 0;
    do {
        uint32_t size = (uint32_t)MIN(io->left, room), at = 0;
        if (io_get(io, buf, size))
            return done ? done : -EFAULT;
        do {
            long n = send_piece(f, s, buf + at, size - at, flags | (io->left ? MSG_MORE_ : 0), to);
            if (n < 0)
                return done ? done : n;
            at += (uint32_t)n;
            done += n;
        } while (at < size && s->type == SOCK_STREAM);
    } while (io->left && s->type == SOCK_STREAM);
    return done;
}

long outside_send(struct file *f, struct sock *s, struct io *io, int flags, const struct addr *to)
{
    if (to && addr_kind(to) != ADDR_FOREIGN)
        return -ENETUNREACH;
    if (s->type == SOCK_DGRAM && io->left > 65507)
        return -EMSGSIZE;
    uint64_t pages = buffer_pages(io->left);
    uint8_t *buf = pages_alloc(pages);
    if (!buf)
        return -ENOBUFS;
    long n = send_all(f, s, io, buf, pages << PAGE_SHIFT, flags, to);
    pages_free(buf, pages);
    if (n == -EPIPE && !(flags & MSG_NOSIGNAL_) && s->type == SOCK_STREAM) {
        call_alone();
        sig_send_thread(self(), SIGPIPE, 0);
    }
    return n;
}

long outside_send_pod(struct file *f, struct sock *s, struct io *io, int flags,
                      const struct addr *to)
{
    struct addr host = *to;
    int r = outside_open(s);
    bool joined = s->other.size && addr_same_end(to, &s->other);
    if (!r && joined && !s->pod.size)
        r = connect_host(s, *to);
    if (r)
        return r;
    if (joined || !s->other.size)
        s->pod = *to;
    net_foreign(&host);
    return outside_send(f, s, io, flags, joined ? NULL : &host);
}

/* A short read of a stream leaves nothing; its end stays. */
static void count_received(struct sock *s, long n, uint64_t size, uint32_t turn)
{
    bool stream = s->type == SOCK_STREAM;
    if (n == 0 && size && stream)
        outside_learn(&s->host, POLLIN | POLLRDHUP);
    else
        outside_used(&s->host, POLLIN, n == -EAGAIN || (stream && n > 0 && (uint64_t)n < size),
                     turn);
}

/* What is there: from the ring, then from the host, which puts nothing past the ring's bytes. Less
 * than was asked for means that nothing is left (epoll(7)): so the host is asked for the rest,
 * unless it said that there is none. */
static long receive_bytes(struct sock *s, uint8_t *buf, uint64_t size, bool peek, struct addr *a)
{
    bool dry;
    uint32_t have = outside_take(&s->host, buf, (uint32_t)size, peek, &dry);
    if (have && (have == size || (dry && !peek)))
        return have;
    if (!have && outside_is_dry(&s->host))
        return -EAGAIN;
    uint32_t turn = outside_turn(&s->host), from = peek ? 0 : have;
    los_unlock(); /* the file is counted, so that the handle stays */
    long n = claim_count(
        port_recv(s->host.handle, buf + from, (uint32_t)(size - from), a->bytes, &a->size, peek),
        size - from);
    call_relock();
    uint32_t more =
        n == -EAGAIN ? outside_take(&s->host, buf + from, (uint32_t)(size - from), peek, &dry) : 0;
    if (more)
        return from + more;
    if (!peek || n == -EAGAIN)
        count_received(s, n, size - from, turn);
    if (from && n < 0 && n != -EAGAIN)
        s->error = (int)n; /* told next time */
    return from ? from + MAX(n, 0) : n;
}

/* Whom the host names as a datagram's sender, if one. False: a socket that is connected to somebody
 * inside hears nobody else. */
static bool judge_sender(struct sock *s, struct addr *a)
{
    struct addr pod = s->pod;
    net_foreign(&pod);
    if (claim_addr(a, s->family))
        *a = (struct addr){0};
    else if (s->pod.size && addr_same_end(a, &pod))
        *a = s->pod;
    return !s->other.size || !addr_is_inside(&s->other) || (a->size && addr_same_end(a, &s->other));
}

/* The next datagram; those that are not for us go. */
static long receive_datagram(struct sock *s, uint8_t *buf, uint64_t size, bool peek, struct addr *a)
{
    for (int strays = 0; strays < STRAYS_MAX; strays++) {
        *a = (struct addr){.size = PORT_ADDR_MAX};
        long n = receive_bytes(s, buf, size, peek, a);
        if (n < 0 || judge_sender(s, a))
            return n;
        if (peek)
            receive_bytes(s, buf, size, false, &(struct addr){.size = PORT_ADDR_MAX});
    }
    return -EAGAIN;
}

static long receive_into(struct sock *s, struct io *io, uint8_t *buf, uint64_t room, int flags,
                         struct letter *l)
{
    bool stream = s->type == SOCK_STREAM, peek = flags & MSG_PEEK_;
    struct addr a = {.size = PORT_ADDR_MAX};
    long n = stream ? receive_bytes(s, buf, MIN(io->left, room), peek, &a)
                    : receive_datagram(s, buf, room, peek, &a);
    if (n < 0)
        return n;
    uint64_t given = MIN((uint64_t)n, io->left);
    if (io_put(io, buf, given))
        return -EFAULT;
    if (stream)
        return n;
    l->from = a;
    l->to = addr_source(&s->own, &l->from);
    l->truncated = given < (uint64_t)n;
    return flags & MSG_TRUNC_ ? n : (long)given;
}

long outside_receive(struct sock *s, struct io *io, int flags, struct letter *l)
{
    /* Of a datagram all is read, to know how long it is. */
    uint64_t pages = s->type == SOCK_STREAM ? buffer_pages(io->left) : BUFFER_PAGES;
    uint8_t *buf = pages_alloc(pages);
    *l = (struct letter){0};
    if (!buf)
        return -ENOBUFS;
    long n = receive_into(s, io, buf, pages << PAGE_SHIFT, flags, l);
    pages_free(buf, pages);
    return n;
}
