// SPDX-License-Identifier: Apache-2.0
// Connections that stay inside: unix sockets, socketpairs, loopback.
#include <asm/poll.h>
#include <asm/signal.h>
#include <linux/net.h>

#include "trusted/libos/net/sock.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

#define MSG_PEEK_ 2
#define MSG_DONTWAIT_ 0x40
#define MSG_WAITALL_ 0x100
#define MSG_NOSIGNAL_ 0x4000
#define MSG_TRUNC_ 0x20
#define PIECE_MAX 65536u
#define DATAGRAM_MAX 212992u

static bool is_stream(const struct sock *s)
{
    return s->type == SOCK_STREAM;
}

static void chunk_free(struct chunk *c)
{
    for (uint32_t i = 0; i < c->file_count; i++)
        file_put(c->files[i]);
    los_free(c);
}

static void chunk_drop(struct sock *s, struct chunk *c)
{
    s->queued -= c->size - c->at;
    list_remove(&c->node);
    chunk_free(c);
}

int inside_pair(struct sock *a, struct sock *b)
{
    sock_get(a);
    sock_get(b);
    a->peer = b;
    b->peer = a;
    a->state = b->state = SOCK_CONNECTED;
    a->peer_gone = b->peer_gone = false;
    return 0;
}

/* The other end is made at once and waits to be accepted. */
int inside_connect(struct sock *s, struct sock *listener)
{
    if (listener->state != SOCK_LISTENING || listener->type != s->type)
        return -ECONNREFUSED;
    if (listener->pending_count > listener->backlog)
        return -EAGAIN;
    struct sock *end = sock_new(s->family, s->type);
    if (!end)
        return -ENOMEM;
    end->own = s->family == AF_UNIX ? listener->own : s->other;
    end->other = s->own;
    inside_pair(s, end);
    list_append(&listener->pending, &end->pend_node);
    listener->pending_count++;
    wait_wake_all(&listener->wait);
    return 0;
}

static int queue(struct sock *from, struct sock *to, struct io *io, uint32_t size,
                 struct file **files, uint32_t file_count)
{
    struct chunk *c = los_alloc(sizeof(*c) + size);
    if (!c)
        return -ENOBUFS;
    if (io_get(io, c->data, size)) {
        los_free(c);
        return -EFAULT;
    }
    c->size = size;
    c->from = from->own;
    for (uint32_t i = 0; i < file_count; i++) {
        c->files[i] = files[i];
        file_get(files[i]);
    }
    c->file_count = file_count;
    list_append(&to->chunks, &c->node);
    to->queued += size;
    wait_wake_events(&to->wait, POLLIN);
    return 0;
}

static long broken_pipe(int flags)
{
    if (!(flags & MSG_NOSIGNAL_))
        sig_send_thread(self(), SIGPIPE, 0);
    return -EPIPE;
}

/* Waits until the receiver has room. Wakes come on our own queue when it reads. */
static int wait_room(struct file *f, struct sock *s, int flags, uint64_t deadline)
{
    return flags & MSG_DONTWAIT_ ? -EAGAIN : sock_sleep(f, s, 0, deadline);
}

static long send_stream(struct file *f, struct sock *s, struct io *io, int flags,
                        struct file **files, uint32_t file_count)
{
    long done = 0;
    uint64_t deadline = sock_deadline(s->send_timeout);
    if (!s->peer)
        return -ENOTCONN;
    while (io->left || (file_count && !done)) {
        if (s->write_shut || s->peer_gone || s->peer->read_shut)
            return done ? done : broken_pipe(flags);
        struct sock *to = s->peer;
        if (to->queued >= QUEUE_SIZE) {
            int r = wait_room(f, s, flags, deadline);
            if (r)
                return done ? done : r;
            continue;
        }
        uint32_t n = (uint32_t)MIN(MIN(io->left, PIECE_MAX), QUEUE_SIZE - to->queued);
        int r = queue(s, to, io, n, files, file_count);
        if (r)
            return done ? done : r;
        file_count = 0;
        done += n;
    }
    return done;
}

long inside_send(struct file *f, struct sock *s, struct sock *to, struct io *io, int flags,
                 struct file **files, uint32_t file_count)
{
    if (is_stream(s))
        return send_stream(f, s, io, flags, files, file_count);
    uint64_t deadline = sock_deadline(s->send_timeout);
    uint64_t size = io->left;
    if (!to)
        return s->family == AF_UNIX && s->state == SOCK_CONNECTED ? -ECONNREFUSED : -EDESTADDRREQ;
    if (s->write_shut)
        return broken_pipe(flags);
    if (size > DATAGRAM_MAX || (s->family != AF_UNIX && size > 65507))
        return -EMSGSIZE;
    sock_get(to);
    long r = 0;
    while (!r) {
        if (to->read_shut || (to == s->peer && s->peer_gone)) {
            r = s->type == SOCK_SEQPACKET ? broken_pipe(flags) : -ECONNREFUSED;
            break;
        }
        if (to->queued + size <= QUEUE_SIZE || list_empty(&to->chunks))
            break;
        if (s->family != AF_UNIX) { /* UDP is dropped, not waited for */
            sock_put(to);
            return (long)size;
        }
        struct waiter w;
        wait_begin(&w, &to->room);
        r = flags & MSG_DONTWAIT_ || f->flags & O_NONBLOCK ? -EAGAIN : wait_sleep(deadline);
        wait_end(&w);
        r = r == -EINTR ? -ERESTARTSYS : r == -ETIMEDOUT ? -EAGAIN : r;
    }
    if (!r)
        r = queue(s, to, io, (uint32_t)size, files, file_count);
    sock_put(to);
    return r ? r : (long)size;
}

/* Somebody who waits for room: the peer of a stream, any sender of datagrams. */
static void room_made(struct sock *s)
{
    wait_wake_all(&s->room);
    if (s->peer)
        wait_wake_events(&s->peer->wait, POLLOUT);
}

static void take_files(struct chunk *c, struct file **files, uint32_t *count)
{
    for (uint32_t i = 0; i < c->file_count; i++) {
        if (files)
            files[(*count)++] = c->files[i];
        else
            file_put(c->files[i]);
    }
    c->file_count = 0;
}

static long receive_message(struct sock *s, struct io *io, int flags, struct addr *from,
                            struct file **files, uint32_t *file_count, bool *truncated)
{
    struct chunk *c = container_of(s->chunks.next, struct chunk, node);
    uint64_t n = MIN(io->left, c->size);
    long r = flags & MSG_TRUNC_ ? (long)c->size : (long)n;
    *truncated = n < c->size;
    *from = c->from;
    if (io_put(io, c->data, n))
        return -EFAULT;
    if (!(flags & MSG_PEEK_)) {
        take_files(c, files, file_count);
        chunk_drop(s, c);
        room_made(s);
    }
    return r;
}

/* Nothing is read beyond a piece that came with files: *barrier. */
static long receive_stream(struct sock *s, struct io *io, int flags, struct file **files,
                           uint32_t *file_count, bool *barrier)
{
    long done = 0;
    list_for_safe(it, nx, &s->chunks)
    {
        struct chunk *c = container_of(it, struct chunk, node);
        uint64_t n = MIN(io->left, c->size - c->at);
        *barrier = c->file_count > 0;
        if (io_put(io, c->data + c->at, n))
            return done ? done : -EFAULT;
        done += (long)n;
        if (!(flags & MSG_PEEK_)) {
            take_files(c, files, file_count);
            c->at += (uint32_t)n;
            s->queued -= n;
            if (c->at == c->size)
                chunk_drop(s, c);
        }
        if (!io->left || *barrier)
            break;
    }
    if (!(flags & MSG_PEEK_))
        room_made(s);
    return done;
}

long inside_receive(struct file *f, struct sock *s, struct io *io, int flags, struct addr *from,
                    struct file **files, uint32_t *file_count, bool *truncated)
{
    uint64_t deadline = sock_deadline(s->receive_timeout);
    long done = 0;
    *truncated = false;
    *from = is_stream(s) ? (struct addr){0} : s->other;
    if (s->state == SOCK_LISTENING)
        return -EINVAL;
    if (is_stream(s) && !s->peer)
        return s->error ? s->error : -ENOTCONN;
    for (;;) {
        while (list_empty(&s->chunks)) {
            bool ended = s->read_shut || s->peer_gone || (s->peer && s->peer->write_shut);
            if (ended && s->type != SOCK_DGRAM)
                return done;
            if (s->read_shut)
                return 0;
            int r = flags & MSG_DONTWAIT_ ? -EAGAIN : sock_sleep(f, s, POLLIN, deadline);
            if (r)
                return done ? done : r;
            if (s->host.handle >= 0 && list_empty(&s->chunks))
                return outside_receive(f, s, io, flags, from, truncated);
        }
        if (!is_stream(s))
            return receive_message(s, io, flags, from, files, file_count, truncated);
        bool barrier = false;
        long n = receive_stream(s, io, flags, files, file_count, &barrier);
        if (n < 0)
            return done ? done : n;
        done += n;
        if (!(flags & MSG_WAITALL_) || !io->left || (flags & MSG_PEEK_) || barrier)
            return done;
    }
}

uint32_t inside_poll(struct sock *s)
{
    uint32_t r = 0;
    if (s->state == SOCK_LISTENING)
        return s->pending_count ? POLLIN | POLLRDNORM : 0;
    bool ended = s->read_shut || s->peer_gone || (s->peer && s->peer->write_shut);
    if (!list_empty(&s->chunks))
        r |= POLLIN | POLLRDNORM;
    if (s->type == SOCK_DGRAM)
        return r | POLLOUT | POLLWRNORM;
    if (!s->peer)
        return r | POLLOUT | POLLHUP;
    if (ended)
        r |= POLLIN | POLLRDNORM | 0x2000 /* POLLRDHUP */;
    if (s->peer_gone)
        r |= POLLHUP;
    if (s->peer_gone || s->peer->queued < QUEUE_SIZE)
        r |= POLLOUT | POLLWRNORM;
    return r;
}

void inside_close(struct sock *s)
{
    list_remove(&s->names);
    if (s->path) {
        s->path->data = NULL;
        inode_put(s->path);
        s->path = NULL;
    }
    list_for_safe(it, nx, &s->chunks) chunk_drop(s, container_of(it, struct chunk, node));
    list_for_safe(pt, pn, &s->pending)
    {
        struct sock *end = container_of(pt, struct sock, pend_node);
        list_remove(pt);
        inside_close(end);
        sock_put(end);
    }
    struct sock *peer = s->peer;
    s->read_shut = s->write_shut = true;
    if (peer) {
        s->peer = NULL;
        if (peer->peer == s) {
            peer->peer_gone = true;
            wait_wake_all(&peer->wait);
        }
        sock_put(peer);
    }
    wait_wake_all(&s->wait);
    wait_wake_all(&s->room);
}
