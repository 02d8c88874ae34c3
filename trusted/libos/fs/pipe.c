// SPDX-License-Identifier: Apache-2.0
// Pipes and FIFOs: a ring of 64 KiB.
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <asm/signal.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/signal/signal.h"

#define RING_SIZE 65536u
#define ATOMIC_SIZE 4096u /* PIPE_BUF */

struct pipe {
    uint8_t *ring;
    uint64_t head, tail; /* read at head, written at tail; both only grow */
    uint32_t readers, writers, refs;
    struct wait_queue wait;
};

static struct pipe *pipe_new(void)
{
    struct pipe *p = los_alloc(sizeof(*p));
    if (!p || !(p->ring = pages_alloc(RING_SIZE >> PAGE_SHIFT))) {
        los_free(p);
        return NULL;
    }
    wait_queue_init(&p->wait);
    return p;
}

static void pipe_put(struct pipe *p)
{
    if (--p->refs)
        return;
    pages_free(p->ring, RING_SIZE >> PAGE_SHIFT);
    los_free(p);
}

static int ring_copy(struct pipe *p, struct io *io, uint64_t at, size_t size, bool in)
{
    size_t first = MIN(size, RING_SIZE - at % RING_SIZE);
    uint8_t *a = p->ring + at % RING_SIZE;
    int r = in ? io_get(io, a, first) : io_put(io, a, first);
    if (!r && size > first)
        r = in ? io_get(io, p->ring, size - first) : io_put(io, p->ring, size - first);
    return r;
}

static long pipe_read(struct file *f, struct io *io, uint64_t offset)
{
    struct pipe *p = f->data;
    if (!io->left)
        return 0;
    while (p->head == p->tail) {
        if (!p->writers)
            return 0;
        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        int r = wait_on(&p->wait, NO_DEADLINE);
        if (r)
            return r == -EINTR ? -ERESTARTSYS : r;
    }
    size_t n = MIN(io->left, p->tail - p->head);
    if (ring_copy(p, io, p->head, n, false))
        return -EFAULT;
    p->head += n;
    wait_wake_events(&p->wait, POLLOUT);
    return (long)n;
}

static long pipe_write(struct file *f, struct io *io, uint64_t offset)
{
    struct pipe *p = f->data;
    long done = 0;
    bool atomic = io->left <= ATOMIC_SIZE;
    while (io->left) {
        if (!p->readers) {
            sig_send_thread(self(), SIGPIPE, 0);
            return done ? done : -EPIPE;
        }
        size_t space = RING_SIZE - (p->tail - p->head);
        if (space == 0 || (atomic && space < io->left)) {
            if (f->flags & O_NONBLOCK)
                return done ? done : -EAGAIN;
            int r = wait_on(&p->wait, NO_DEADLINE);
            if (r)
                return done ? done : r == -EINTR ? -ERESTARTSYS : r;
            continue;
        }
        size_t n = MIN(io->left, space);
        if (ring_copy(p, io, p->tail, n, true))
            return done ? done : -EFAULT;
        p->tail += n;
        done += (long)n;
        wait_wake_all(&p->wait);
    }
    return done;
}

static uint32_t pipe_poll(struct file *f)
{
    struct pipe *p = f->data;
    uint32_t r = 0;
    if (file_can_read(f)) {
        r |= p->head != p->tail ? POLLIN | POLLRDNORM : 0;
        r |= p->writers ? 0 : POLLHUP;
    }
    if (file_can_write(f)) {
        r |= RING_SIZE - (p->tail - p->head) >= ATOMIC_SIZE ? POLLOUT | POLLWRNORM : 0;
        r |= p->readers ? 0 : POLLERR;
    }
    return r;
}

static long pipe_ioctl(struct file *f, uint64_t request, uint64_t arg)
{
    struct pipe *p = f->data;
    int n = (int)(p->tail - p->head);
    return request == FIONREAD ? user_write(arg, &n, sizeof(n)) : -ENOTTY;
}

static void pipe_release(struct file *f)
{
    struct pipe *p = f->data;
    if (!p)
        return;
    p->readers -= file_can_read(f);
    p->writers -= file_can_write(f);
    wait_wake_all(&p->wait);
    if (f->inode && p->refs == 1)
        f->inode->data = NULL;
    pipe_put(p);
}

static const struct file_ops pipe_ops = {
    .read = pipe_read,
    .write = pipe_write,
    .poll = pipe_poll,
    .ioctl = pipe_ioctl,
    .release = pipe_release,
    .name = "pipe",
    .stream = true,
};

static void attach(struct file *f, struct pipe *p)
{
    f->ops = &pipe_ops;
    f->data = p;
    f->wait = &p->wait;
    p->refs++;
    p->readers += file_can_read(f);
    p->writers += file_can_write(f);
}

int fifo_open(struct file *f)
{
    struct pipe *p = f->inode->data;
    if (!p && !(p = f->inode->data = pipe_new()))
        return -ENOMEM;
    bool reads = file_can_read(f), writes = file_can_write(f);
    if (!reads && writes && (f->flags & O_NONBLOCK) && !p->readers)
        return -ENXIO;
    attach(f, p);
    wait_wake_all(&p->wait);
    while (!(f->flags & O_NONBLOCK) && !(reads ? p->writers : p->readers)) {
        int r = wait_on(&p->wait, NO_DEADLINE);
        if (r) {
            pipe_release(f);
            return r == -EINTR ? -ERESTARTSYS : r;
        }
    }
    return 0;
}

static long make_pipe(uint64_t to, uint32_t flags)
{
    if (flags & ~(uint32_t)(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
        return -EINVAL;
    struct pipe *p = pipe_new();
    if (!p)
        return -ENOMEM;
    int fd[2] = {-1, -1};
    p->refs = 1;
    for (int end = 0; end < 2; end++) {
        struct file *f =
            file_new(&pipe_ops, (end ? O_WRONLY : O_RDONLY) | (flags & ~(uint32_t)O_CLOEXEC));
        if (f)
            attach(f, p);
        fd[end] = f ? fd_install(f, flags & O_CLOEXEC, 0) : -ENOMEM;
        if (fd[end] < 0)
            break;
    }
    long r = fd[0] < 0 ? fd[0] : fd[1] < 0 ? fd[1] : user_write(to, fd, sizeof(fd));
    for (int end = 0; r && end < 2; end++)
        fd_close(fd[end]);
    pipe_put(p);
    return r;
}

long sys_pipe(uint64_t fds)
{
    return make_pipe(fds, 0);
}

long sys_pipe2(uint64_t fds, uint32_t flags)
{
    return make_pipe(fds, flags);
}
