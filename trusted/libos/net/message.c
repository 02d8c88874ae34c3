// SPDX-License-Identifier: Apache-2.0
// Sending and receiving, whichever side the other end is on: where a message goes, and waiting.
#include <asm/poll.h>

#include "trusted/libos/mm/mm.h"
#include "trusted/libos/net/sock.h"

#define DATAGRAM_MAX 65507u

static long take_pending_error(struct sock *s)
{
    int r = s->error;
    s->error = 0;
    return r;
}

#define ERRORS_MAX 64u
#define ERROR_BYTES 520u /* what ICMP sends back of a datagram; ICMPv6 */
#define ERROR_BYTES6 1184u

/* As if ICMP had said that nobody is there: the next call hears of it, and with IP_RECVERR what was
 * sent comes back. */
static long note_refused(struct sock *s, struct io *io, const struct addr *to)
{
    bool keeps = s->options[s->family == AF_INET ? OPT_RECVERR : OPT_RECVERR6];
    uint64_t size = io->left;
    uint32_t n = (uint32_t)MIN(size, s->family == AF_INET ? ERROR_BYTES : ERROR_BYTES6);
    struct chunk *c = keeps && s->error_count < ERRORS_MAX ? los_alloc(sizeof(*c) + n) : NULL;
    if (c && !io_get(io, c->data, n)) {
        c->size = n;
        c->letter = (struct letter){.from = *to, .refused = true};
        list_append(&s->errors, &c->node);
        s->error_count++;
    } else {
        los_free(c);
    }
    if (keeps || s->other.size) {
        s->error = -ECONNREFUSED;
        wait_wake_all(&s->wait);
    }
    return (long)size;
}

static long receive_error(struct sock *s, struct io *io, struct letter *l)
{
    if (list_empty(&s->errors))
        return -EAGAIN;
    struct chunk *c = container_of(s->errors.next, struct chunk, node);
    uint32_t n = (uint32_t)MIN(io->left, c->size);
    if (io_put(io, c->data, n))
        return -EFAULT;
    *l = c->letter;
    l->truncated = n < c->size;
    list_remove(&c->node);
    los_free(c);
    s->error = --s->error_count ? -ECONNREFUSED : 0;
    return n;
}

/* A datagram to somebody inside, or to nobody there. */
static long send_inside(struct file *f, struct sock *s, struct io *io, int flags,
                        const struct addr *to, struct letter *l)
{
    int r = name_auto(s);
    if (r)
        return r;
    struct addr own = l->from.size ? l->from : s->own; /* IP_PKTINFO */
    addr_set_port(&own, addr_port(&s->own));
    struct addr from = addr_source(&own, to);
    struct sock *target = name_receiver(SOCK_DGRAM, to, &from);
    if (!target && net_of_pod(to))
        return outside_send_pod(f, s, io, flags, to);
    if (!target) {
        if (io_usable(io, io->left, PORT_R) < io->left)
            return -EFAULT;
        return note_refused(s, io, to);
    }
    l->from = addr_as(&from, target->family);
    l->to = addr_as(to, target->family);
    return inside_send(f, s, target, io, flags, l);
}

static long send_datagram(struct file *f, struct sock *s, struct io *io, int flags,
                          const struct addr *given, struct letter *l)
{
    struct addr to = given ? *given : s->other;
    if (s->error)
        return take_pending_error(s);
    if (!to.size)
        return -EDESTADDRREQ;
    if (io->left > DATAGRAM_MAX)
        return -EMSGSIZE;
    enum addr_kind kind = addr_kind(&to);
    if (kind == ADDR_ANY)
        addr_resolve_any(&to);
    if (s->write_shut)
        return inside_send(f, s, s, io, flags, l); /* says what is right */
    if (kind < ADDR_GROUP)
        return send_inside(f, s, io, flags, &to, l);
    if (kind == ADDR_GROUP)
        return to.family == AF_INET && to.bytes[4] >= 240 && !s->options[OPT_BROADCAST]
                   ? -EACCES
                   : -ENETUNREACH;
    int r = outside_open(s);
    return r ? r : outside_send(f, s, io, flags, given ? &to : NULL);
}

/* What was kept, as one datagram, to where its first part was sent. */
static long send_whole(struct file *f, struct sock *s, int flags, struct letter *l)
{
    struct addr to = s->parts_to;
    struct io_vec v;
    struct io whole = io_one(&v, (uint64_t)s->parts, s->parts_size, true);
    uint8_t *all = s->parts;
    s->parts = NULL;
    s->parts_size = 0;
    long sent = send_datagram(f, s, &whole, flags, to.size ? &to : NULL, l);
    los_free(all);
    return sent;
}

void sock_send_kept(struct file *f, struct sock *s)
{
    struct letter l = {0};
    if (s->parts)
        send_whole(f, s, MSG_DONTWAIT_, &l);
}

/* MSG_MORE, UDP_CORK: parts are kept until one comes without it, or the option ends. */
static long send_parts(struct file *f, struct sock *s, struct io *io, int flags,
                       const struct addr *given, struct letter *l)
{
    bool more = (flags & MSG_MORE_) || s->options[OPT_UDP_CORK];
    if (!more && !s->parts)
        return send_datagram(f, s, io, flags, given, l);
    uint64_t n = io->left;
    uint8_t *part = n <= UINT16_MAX ? los_alloc(n + 1) : NULL, *all = NULL;
    int r = n > UINT16_MAX                                          ? -EMSGSIZE
            : !part                                                 ? -ENOMEM
            : !s->parts && !given && !s->other.size                 ? -EDESTADDRREQ
            : io_get(io, part, n)                                   ? -EFAULT
            : s->parts_size + n > DATAGRAM_MAX                      ? -EMSGSIZE
            : !(all = los_realloc(s->parts, s->parts_size + n + 1)) ? -ENOMEM
                                                                    : 0;
    if (!r) {
        if (!s->parts)
            s->parts_to = given ? *given : (struct addr){0};
        memcpy(all + s->parts_size, part, n);
        s->parts = all;
        s->parts_size += (uint32_t)n;
    }
    los_free(part);
    if ((r == -EFAULT || (r == -EMSGSIZE && n <= UINT16_MAX)) &&
        s->parts) { /* what waits is lost */
        los_free(s->parts);
        s->parts = NULL;
        s->parts_size = 0;
    }
    if (r || more)
        return r ? r : (long)n;
    long sent = send_whole(f, s, flags, l);
    return sent < 0 ? sent : (long)n;
}

static long send_unix_datagram(struct file *f, struct sock *s, struct io *io, int flags,
                               const struct addr *to, struct letter *l)
{
    int r;
    struct sock *target = s->peer;
    l->from = s->own;
    if (!to)
        return inside_send(f, s, target, io, flags, l);
    target = name_find(s, to, &r);
    return target ? inside_send(f, s, target, io, flags, l) : r;
}

/* A connect that is still under way holds senders up. */
static long wait_connected(struct file *f, struct sock *s, int flags, uint64_t deadline)
{
    for (;;) {
        outside_settle(s);
        if (s->error)
            return take_pending_error(s);
        if (s->state != SOCK_CONNECTING)
            return 0;
        outside_used(&s->host, POLLOUT, false, 0);
        int r = flags & MSG_DONTWAIT_ ? -EAGAIN : sock_sleep(f, s, POLLOUT, deadline);
        if (r)
            return r;
    }
}

long sock_send(struct file *f, struct sock *s, struct io *io, int flags, const struct addr *to,
               struct letter *l)
{
    if (to && !to->size)
        to = NULL;
    if (to || s->type != SOCK_STREAM || s->state != SOCK_CONNECTED || l->file_count)
        call_alone();
    int r = to ? addr_reach(s, to) : 0;
    if (r)
        return r;
    if (flags & MSG_OOB_)
        return -EOPNOTSUPP;
    if (s->family == AF_NETLINK)
        return netlink_send(s, io);
    l->tells_cred = s->options[OPT_PASSCRED];
    if (s->type == SOCK_DGRAM)
        return s->family == AF_UNIX ? send_unix_datagram(f, s, io, flags, to, l)
                                    : send_parts(f, s, io, flags, to, l);
    if (to && s->family == AF_UNIX)
        return s->state == SOCK_CONNECTED ? -EISCONN : -EOPNOTSUPP;
    if (s->state == SOCK_CONNECTING &&
        (r = (int)wait_connected(f, s, flags, sock_deadline(s->send_timeout))))
        return r;
    if (s->host.handle >= 0 && s->state == SOCK_CONNECTED)
        return outside_send(f, s, io, flags, NULL);
    l->from = s->family == AF_UNIX ? s->own : (struct addr){0};
    return inside_send(f, s, s->peer, io, flags, l);
}

static long receive_once(struct sock *s, struct io *io, int flags, struct letter *l, bool files)
{
    bool outside = s->host.handle >= 0 && s->state != SOCK_LISTENING && s->state != SOCK_NEW;
    if (s->type == SOCK_DGRAM)
        outside = s->host.handle >= 0;
    if (!outside || !list_empty(&s->chunks) || s->error)
        return inside_receive(s, io, flags, l, files);
    long n = outside_receive(s, io, flags, l);
    return n == -EAGAIN && s->read_shut ? 0 : n;
}

long sock_receive(struct file *f, struct sock *s, struct io *io, int flags, struct letter *l,
                  bool files, uint64_t deadline)
{
    bool stream = s->type == SOCK_STREAM,
         all = flags & MSG_WAITALL_ && stream && !(flags & MSG_PEEK_);
    struct letter more, *now = l;
    long done = 0, n;
    *l = (struct letter){0};
    io->lost = flags & MSG_TRUNC_ && stream && s->family != AF_UNIX;
    if (!stream || s->state != SOCK_CONNECTED)
        call_alone();
    if (flags & MSG_OOB_ && (stream || (s->family == AF_UNIX && s->type == SOCK_DGRAM)))
        return stream ? -EINVAL : -EOPNOTSUPP;
    if (flags & MSG_ERRQUEUE_)
        return receive_error(s, io, l);
    if (s->state == SOCK_CONNECTING && (n = wait_connected(f, s, flags, deadline)))
        return n;
    for (;;) {
        n = receive_once(s, io, flags, now, files);
        if (!n && now->none && s->type == SOCK_DGRAM)
            return flags & MSG_DONTWAIT_ || f->flags & O_NONBLOCK ? -EAGAIN : 0;
        if (n == -EAGAIN) {
            n = flags & MSG_DONTWAIT_ ? -EAGAIN : sock_sleep(f, s, POLLIN, deadline);
            if (n)
                return done ? done : n;
            continue;
        }
        if (n < 0)
            return done ? done : n;
        done += n;
        if (now->barrier && now != l) { /* the files came late */
            more.from = l->from;
            *l = more;
        }
        if (!all || !n || !io->left || now->barrier)
            return done;
        now = &more;
    }
}
