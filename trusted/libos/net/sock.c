// SPDX-License-Identifier: Apache-2.0
// Sockets as files.
#include "trusted/libos/net/sock.h"

#include <asm/ioctls.h>
#include <asm/poll.h>
#include <linux/sockios.h>
#include <linux/net.h>

#include "trusted/libos/base/claim.h"
#include "trusted/libos/time/time.h"

struct sock *sock_new(int family, int type)
{
    struct sock *s = los_alloc(sizeof(*s));
    if (!s)
        return NULL;
    s->family = (uint16_t)family;
    s->type = type;
    s->refs = 1;
    s->host.handle = -1;
    wait_queue_init(&s->wait);
    wait_queue_init(&s->room);
    options_init(s);
    s->cred = cred_own();
    s->peer_cred = (struct cred){0, UINT32_MAX, UINT32_MAX};
    list_init(&s->names);
    list_init(&s->chunks);
    list_init(&s->pending);
    list_init(&s->pend_node);
    return s;
}

struct cred cred_own(void)
{
    return (struct cred){current()->pid, current()->euid, current()->egid};
}

void sock_get(struct sock *s)
{
    s->refs++;
}

void sock_put(struct sock *s)
{
    if (--s->refs == 0)
        los_free(s);
}

int sock_sleep(struct file *f, struct sock *s, uint32_t events, uint64_t deadline)
{
    if (f->flags & O_NONBLOCK)
        return -EAGAIN;
    if (s->host.handle >= 0 && outside_known(&s->host) & events)
        return 0; /* said meanwhile */
    struct port_event ask = outside_ask(&s->host, events);
    struct port_wait p = {.set = -1, .asks = 1, .items = &ask};
    struct waiter w;
    wait_begin(&w, &s->wait);
    int r = wait_sleep_outside(s->host.handle >= 0 ? &p : NULL, deadline);
    wait_end(&w);
    if (r == -ETIMEDOUT)
        return -EAGAIN;
    return r == -EINTR && deadline == NO_DEADLINE ? -ERESTARTSYS : r;
}

uint64_t sock_deadline(uint64_t timeout)
{
    return timeout ? deadline_in(timeout) : NO_DEADLINE;
}

static long sock_read(struct file *f, struct io *io, uint64_t offset)
{
    struct sock *s = f->data;
    struct letter l;
    return sock_receive(f, s, io, 0, &l, false, sock_deadline(s->receive_timeout));
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
    if (s->host.handle >= 0 && !s->queued)
        return claim_count(port_available(s->host.handle), INT32_MAX);
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

static const struct file_ops sock_ops = {
    .read = sock_read,
    .write = sock_write,
    .poll = sock_poll,
    .ioctl = sock_ioctl,
    .release = sock_release,
    .name = "socket",
    .stream = true,
};

struct file *sock_file(struct sock *s, uint32_t flags)
{
    struct file *f = file_new(&sock_ops, O_RDWR | (flags & O_NONBLOCK));
    if (!f) {
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

struct sock *sock_of(int fd, int *error, struct file **f)
{
    *f = fd_file(fd);
    *error = *f ? -ENOTSOCK : -EBADF;
    if (!*f || (*f)->ops != &sock_ops)
        return NULL;
    return (*f)->data;
}
