// SPDX-License-Identifier: Apache-2.0
// The part of a socket that the host holds. What goes through it is public; what comes is claims.
#include <asm/poll.h>
#include <asm/signal.h>
#include <asm/socket.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/net.h>

#include "lib/settings.h"
#include "trusted/libos/base/claim.h"
#include "trusted/libos/fs/epoll.h"
#include "trusted/libos/net/sock.h"
#include "trusted/libos/signal/signal.h"

#define MSG_PEEK_ 2
#define MSG_DONTWAIT_ 0x40
#define MSG_NOSIGNAL_ 0x4000
#define MSG_WAITALL_ 0x100

int claim_addr(struct addr *a, uint16_t family)
{
    uint32_t want = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
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
    if (s->file)
        epoll_opened(s->file);
    wait_wake_events(&s->wait, 0); /* who sleeps on it asks again */
    return 0;
}

static void learn_name(struct sock *s)
{
    struct addr a = {.size = PORT_ADDR_MAX};
    if (!claim_status(port_name(s->host.handle, 0, a.bytes, &a.size)) && !claim_addr(&a, s->family))
        s->own = a;
}

int outside_connect(struct file *f, struct sock *s, const struct addr *a)
{
    int r = outside_open(s);
    if (r)
        return r;
    r = claim_status(port_connect(s->host.handle, a->bytes, MIN(a->size, PORT_ADDR_MAX)));
    if (r && r != -EINPROGRESS)
        return r;
    s->other = *a;
    if (r == -EINPROGRESS) {
        s->state = SOCK_CONNECTING;
        if (f->flags & O_NONBLOCK)
            return r;
        r = sock_sleep(f, s, POLLOUT, sock_deadline(s->send_timeout));
        if (r)
            return r;
        int32_t error = 0;
        uint32_t size = sizeof(error);
        r = claim_status(port_sockopt_get(s->host.handle, SOL_SOCKET, SO_ERROR, &error, &size));
        if (r || error) {
            s->state = SOCK_NEW;
            return r ? r : claim_status(-(long)error);
        }
    }
    s->state = SOCK_CONNECTED;
    learn_name(s);
    return 0;
}

int outside_listen(struct file *f, struct sock *s, uint32_t backlog)
{
    int32_t one = 1;
    int r = outside_open(s);
    if (r)
        return r;
    if (s->family == AF_INET6 && s->v6_only)
        port_sockopt_set(s->host.handle, 41, 26, &one, sizeof(one));
    port_sockopt_set(s->host.handle, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    r = claim_status(port_bind(s->host.handle, s->own.bytes, MIN(s->own.size, PORT_ADDR_MAX)));
    if (!r && s->type == SOCK_STREAM)
        r = claim_status(port_listen(s->host.handle, backlog));
    return r;
}

long outside_accept(struct sock *s, struct sock **out)
{
    struct addr peer = {.size = PORT_ADDR_MAX};
    long h = claim_handle(port_accept(s->host.handle, peer.bytes, &peer.size));
    outside_used(&s->host, POLLIN, h == -EAGAIN);
    if (h < 0)
        return h;
    struct sock *n = claim_addr(&peer, s->family) ? NULL : sock_new(s->family, s->type);
    if (!n || outside_add(&n->host, (int32_t)h, &n->wait)) {
        port_close((int32_t)h);
        if (n)
            sock_put(n);
        return -ECONNABORTED;
    }
    n->state = SOCK_CONNECTED;
    n->other = peer;
    n->own = s->own;
    net_own_address(&n->own);
    *out = n;
    return 0;
}

long outside_send(struct file *f, struct sock *s, struct io *io, int flags, const struct addr *to)
{
    long done = 0;
    uint64_t pages = 16;
    uint8_t *buf = pages_alloc(pages);
    if (!buf)
        return -ENOBUFS;
    uint64_t deadline = sock_deadline(s->send_timeout);
    do {
        uint32_t size = (uint32_t)MIN(io->left, pages << PAGE_SHIFT), at = 0;
        long n = io_get(io, buf, size);
        while (!n) {
            n = claim_count(port_send(s->host.handle, buf + at, size - at, to ? to->bytes : NULL,
                                      to ? MIN(to->size, PORT_ADDR_MAX) : 0),
                            size - at);
            outside_used(&s->host, POLLOUT, n == -EAGAIN || (n >= 0 && n < size - at));
            if (n >= 0) {
                at += (uint32_t)n;
                done += n;
                n = 0;
                if (at == size || s->type != SOCK_STREAM)
                    break;
            } else if (n == -EAGAIN) {
                n = flags & MSG_DONTWAIT_ ? -EAGAIN : sock_sleep(f, s, POLLOUT, deadline);
            }
        }
        if (n) {
            if (n == -EPIPE && !(flags & MSG_NOSIGNAL_) && !done)
                sig_send_thread(self(), SIGPIPE, 0);
            done = done ? done : n;
            break;
        }
    } while (io->left && s->type == SOCK_STREAM);
    pages_free(buf, pages);
    return done;
}

/* A short read of a stream leaves nothing; its end stays. */
static void received(struct sock *s, long n, uint64_t size)
{
    bool stream = s->type == SOCK_STREAM;
    if (n == 0 && size && stream)
        outside_learn(&s->host, POLLIN | POLLRDHUP);
    else
        outside_used(&s->host, POLLIN, n == -EAGAIN || (stream && n > 0 && (uint64_t)n < size));
}

long outside_receive(struct file *f, struct sock *s, struct io *io, int flags, struct addr *from,
                     bool *truncated)
{
    uint64_t pages = 16, deadline = sock_deadline(s->receive_timeout);
    uint8_t *buf = pages_alloc(pages);
    long done = 0;
    *truncated = false;
    *from = (struct addr){0};
    if (!buf)
        return -ENOBUFS;
    for (;;) {
        struct addr a = {.size = PORT_ADDR_MAX};
        uint64_t size = MIN(io->left, pages << PAGE_SHIFT);
        long n = claim_count(
            port_recv(s->host.handle, buf, (uint32_t)size, a.bytes, &a.size, flags & MSG_PEEK_), size);
        if (!(flags & MSG_PEEK_) || n == -EAGAIN)
            received(s, n, size);
        if (n == -EAGAIN) {
            n = flags & MSG_DONTWAIT_ ? -EAGAIN : sock_sleep(f, s, POLLIN, deadline);
            if (!n && list_empty(&s->chunks))
                continue;
            done = done ? done : n ? n : -EAGAIN;
            break;
        }
        if (n > 0 && io_put(io, buf, (size_t)n))
            n = -EFAULT;
        if (n < 0) {
            done = done ? done : n;
            break;
        }
        if (s->type == SOCK_DGRAM && !claim_addr(&a, s->family))
            *from = a;
        done += n;
        if (!n || !(flags & MSG_WAITALL_) || (flags & MSG_PEEK_) || !io->left ||
            s->type != SOCK_STREAM)
            break;
    }
    pages_free(buf, pages);
    return done;
}
