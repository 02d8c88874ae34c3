// SPDX-License-Identifier: Apache-2.0
// Sockets as files.
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <linux/sockios.h>

#include "trusted/libos/base/claim.h"
#include "trusted/libos/net/sock.h"

static long sock_read(struct file *f, struct io *io, uint64_t offset)
{
    struct sock *s = f->data;
    struct letter l;
    return !io->left ? 0 : sock_receive(f, s, io, 0, &l, false, sock_deadline(s->receive_timeout));
}

static long sock_write(struct file *f, struct io *io, uint64_t offset)
{
    struct letter l = {0};
    return sock_send(f, f->data, io, 0, NULL, &l);
}

static uint32_t sock_poll(struct file *f)
{
    struct sock *s = f->data;
    /* With a handle, the host's word on writing counts, not ours. */
    return s->host.handle >= 0 ? inside_poll(s) & ~(uint32_t)(POLLOUT | POLLWRNORM | POLLHUP)
                               : inside_poll(s);
}

/* Bytes of the next message, or of the stream. */
static long bytes_to_read(struct sock *s)
{
    if (s->state == SOCK_LISTENING)
        return -EINVAL;
    if (!list_empty(&s->chunks) && s->type == SOCK_DGRAM)
        return container_of(s->chunks.next, struct chunk, node)->size;
    if (s->host.handle >= 0 && !s->queued) {
        long n = claim_count(port_available(s->host.handle), INT32_MAX / 2);
        return n < 0 ? n : n + outside_take(&s->host, NULL, UINT32_MAX, true, NULL);
    }
    return (long)MIN(s->queued, (uint64_t)INT32_MAX);
}

static long sock_ioctl(struct file *f, uint64_t request, uint64_t arg)
{
    struct sock *s = f->data;
    long n = 0;
    switch (request) {
    case FIONREAD:
        n = bytes_to_read(s);
        break;
    case TIOCOUTQ:
        n = s->peer ? (long)s->peer->queued : 0;
        break;
    case SIOCATMARK:
        if (s->type != SOCK_STREAM)
            return interface_ioctl((uint32_t)request, arg);
        n = 0;
        break;
    default:
        return interface_ioctl((uint32_t)request, arg);
    }
    int value = (int)n;
    return n < 0 ? n : user_write(arg, &value, sizeof(value));
}

static void sock_release(struct file *f)
{
    struct sock *s = f->data;
    inside_close(s);
    outside_close(&s->host);
    s->file = NULL;
    sock_put(s);
}

static bool sock_leave(struct file *f)
{
    return inside_leave(f->data);
}

static const struct file_ops sock_ops = {
    .leave = sock_leave,
    .read = sock_read,
    .write = sock_write,
    .poll = sock_poll,
    .ioctl = sock_ioctl,
    .release = sock_release,
    .name = "socket",
    .stream = true,
    .shared = true,
};

struct file *sock_file(struct sock *s, uint32_t flags)
{
    struct file *f = file_new(&sock_ops, O_RDWR | (flags & O_NONBLOCK));
    if (!f) {
        los_alone();
        inside_close(s);
        outside_close(&s->host);
        sock_put(s);
        return NULL;
    }
    f->data = s;
    f->wait = &s->wait;
    f->outside = &s->host;
    s->file = f;
    return f;
}

struct sock *sock_of_file(const struct file *f)
{
    return f->ops == &sock_ops ? f->data : NULL;
}

struct sock *sock_of(int fd, int *error, struct file **f)
{
    *f = fd_file(fd);
    *error = *f ? -ENOTSOCK : -EBADF;
    if (!*f || (*f)->ops != &sock_ops)
        return NULL;
    return (*f)->data;
}
