// SPDX-License-Identifier: Apache-2.0
// Pipes and FIFOs: a ring, of 64 KiB if nobody asks for another size.
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <asm/signal.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/signal/signal.h"

#define RING_SIZE 65536u
#define RING_SIZE_MAX (1u << 20) /* /proc/sys/fs/pipe-max-size */
#define ATOMIC_SIZE 4096u        /* PIPE_BUF */

struct pipe {
    uint8_t *ring;
    uint64_t head, tail; /* read at head, written at tail; both only grow */
    uint32_t size;       /* of the ring */
    uint32_t readers, writers, refs;
    uint32_t readers_ever, writers_ever; /* those that are gone too */
    bool busy;        /* somebody peeked at the head and will say how much is gone */
    struct lock lock; /* of all above */
    struct wait_queue wait;
};

static struct pipe *pipe_new(void)
{
    struct pipe *p = los_alloc(sizeof(*p));
    if (!p || !(p->ring = pages_alloc(RING_SIZE >> PAGE_SHIFT))) {
        los_free(p);
        return NULL;
    }
    p->size = RING_SIZE;
    wait_queue_init(&p->wait);
    return p;
}

static void pipe_put(struct pipe *p)
{
    if (--p->refs)
        return;
    pages_free(p->ring, p->size >> PAGE_SHIFT);
    los_free(p);
}

static int ring_copy(struct pipe *p, struct io *io, uint64_t at, size_t size, bool in)
{
    size_t first = MIN(size, p->size - at % p->size);
    uint8_t *a = p->ring + at % p->size;
    int r = in ? io_get(io, a, first) : io_put(io, a, first);
    if (!r && size > first)
        r = in ? io_get(io, p->ring, size - first) : io_put(io, p->ring, size - first);
    return r;
}

/* A chunk that does not go whole does not go at all. */
static size_t usable_chunks(const struct io *io, size_t size, int access)
{
    size_t n = io_usable(io, size, access);
    return n < size ? n & ~(size_t)(ATOMIC_SIZE - 1) : n;
}

/* Without the lock it is only a guess. */
static uint64_t pipe_count(const struct pipe *p)
{
    uint64_t tail = __atomic_load_n(&p->tail, __ATOMIC_RELAXED);
    return MIN(tail - __atomic_load_n(&p->head, __ATOMIC_RELAXED), p->size);
}

/* 1 when there is something to read, 0 at the end. Alone. */
static int wait_data(struct pipe *p, bool wait)
{
    while (p->head == p->tail || p->busy) {
        if (!p->writers && !p->busy)
            return 0;
        int r = wait_for(&p->wait, wait);
        if (r)
            return r;
    }
    return 1;
}

/* One step of a read, with the lock: how much came, 0 at the end, or -errno; -EBUSY: there is more
 * than was made ready. */
static long read_step(struct pipe *p, struct io *io, size_t ready, bool wait)
{
    uint64_t there = p->busy ? 0 : p->tail - p->head;
    if (!there && !p->writers && !p->busy)
        return 0;
    if (!there) {
        int r = wait_for_locked(&p->wait, &p->lock, wait);
        return r ? r : -EBUSY;
    }
    size_t n = MIN(ready, there);
    if (!n)
        return -EBUSY;
    if (ring_copy(p, io, p->head, n, false))
        return -EFAULT;
    __atomic_store_n(&p->head, p->head + n, __ATOMIC_RELAXED);
    wait_wake_events(&p->wait, POLLOUT);
    return (long)n;
}

/* What is copied is made usable before the lock is taken, and the program's memory is not touched
 * otherwise while it is held. */
static long pipe_read(struct file *f, struct io *io, uint64_t offset)
{
    struct pipe *p = f->data;
    if (!io->left)
        return 0;
    for (;;) {
        uint64_t there = pipe_count(p);
        size_t ready = there ? usable_chunks(io, MIN(io->left, there), PORT_W) : 0;
        if (there && !ready)
            return -EFAULT;
        lock_take(&p->lock, RANK_OBJECT);
        long r = read_step(p, io, ready, !(f->flags & O_NONBLOCK));
        lock_give(&p->lock);
        if (r != -EBUSY)
            return r;
    }
}

static long write_step(struct pipe *p, struct io *io, size_t ready, bool atomic, bool wait)
{
    if (!p->readers)
        return -EPIPE;
    size_t space = p->size - (p->tail - p->head);
    if (space == 0 || (atomic && space < io->left)) {
        int r = wait_for_locked(&p->wait, &p->lock, wait);
        return r ? r : -EBUSY;
    }
    size_t n = MIN(ready, space);
    if (!n)
        return -EBUSY;
    if (ring_copy(p, io, p->tail, n, true))
        return -EFAULT;
    __atomic_store_n(&p->tail, p->tail + n, __ATOMIC_RELAXED);
    wait_wake_all(&p->wait);
    return (long)n;
}

static long pipe_write(struct file *f, struct io *io, uint64_t offset)
{
    struct pipe *p = f->data;
    long done = 0, r = 0;
    bool atomic = io->left <= ATOMIC_SIZE;
    while (io->left && (r >= 0 || r == -EBUSY)) {
        size_t space = p->size - pipe_count(p), ready = 0;
        if (space && !(atomic && space < io->left) && p->readers) {
            ready = usable_chunks(io, MIN(io->left, space), PORT_R);
            if (!ready)
                return done ? done : -EFAULT;
        }
        lock_take(&p->lock, RANK_OBJECT);
        r = write_step(p, io, ready, atomic, !(f->flags & O_NONBLOCK));
        lock_give(&p->lock);
        done += r > 0 ? r : 0;
    }
    if (r == -EPIPE) {
        call_alone();
        sig_send_thread(self(), SIGPIPE, 0);
    }
    return done || r == -EBUSY ? done : r;
}

long pipe_peek(struct file *f, void *buf, size_t size, bool wait)
{
    struct pipe *p = f->data;
    struct io_vec v;
    int r = wait_data(p, wait);
    if (r <= 0)
        return r;
    size = MIN(size, p->tail - p->head);
    struct io io = io_one(&v, (uint64_t)buf, size, true);
    ring_copy(p, &io, p->head, size, false); /* inside: it cannot fail */
    p->busy = true;
    return (long)size;
}

void pipe_consume(struct file *f, uint64_t size)
{
    struct pipe *p = f->data;
    p->busy = false;
    p->head += size;
    wait_wake_all(&p->wait);
}

long pipe_room(struct file *f, bool wait)
{
    struct pipe *p = f->data;
    for (;;) {
        if (!p->readers) {
            sig_send_thread(self(), SIGPIPE, 0);
            return -EPIPE;
        }
        if (p->size > p->tail - p->head)
            return (long)(p->size - (p->tail - p->head));
        int r = wait_for(&p->wait, wait);
        if (r)
            return r;
    }
}

long pipe_put_all(struct file *f, struct io *io)
{
    uint32_t kept = f->flags & O_NONBLOCK;
    f->flags &= ~(uint32_t)O_NONBLOCK; /* another writer may have taken the room meanwhile */
    long r = pipe_write(f, io, 0);
    f->flags |= kept;
    return r;
}

static uint32_t pipe_poll(struct file *f)
{
    struct pipe *p = f->data;
    uint32_t r = 0;
    lock_take(&p->lock, RANK_OBJECT); /* see wait_wake_events */
    uint64_t there = p->tail - p->head;
    lock_give(&p->lock);
    if (file_can_read(f)) {
        r |= there ? POLLIN | POLLRDNORM : 0;
        r |= p->writers ? 0 : POLLHUP;
    }
    if (file_can_write(f)) {
        r |= p->size - there >= ATOMIC_SIZE ? POLLOUT | POLLWRNORM : 0;
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
    .pipe = true,
    .stream = true,
    .shared = true,
};

static long resize_pipe(struct pipe *p, uint64_t size)
{
    uint32_t want = PAGE_SIZE;
    if (size > 1u << 31)
        return -EINVAL;
    while (want < size)
        want *= 2;
    if (want > RING_SIZE_MAX)
        return -EPERM;
    uint64_t used = p->tail - p->head;
    if (used > want)
        return -EBUSY;
    uint8_t *ring = pages_alloc(want >> PAGE_SHIFT);
    if (!ring)
        return -ENOMEM;
    struct io_vec v;
    struct io io = io_one(&v, (uint64_t)ring, used, true);
    ring_copy(p, &io, p->head, used, false); /* inside: it cannot fail */
    pages_free(p->ring, p->size >> PAGE_SHIFT);
    p->ring = ring;
    p->size = want;
    p->head = 0;
    p->tail = used;
    return want;
}

long pipe_fcntl(struct file *f, int command, uint64_t arg)
{
    if (f->ops != &pipe_ops)
        return -EBADF;
    struct pipe *p = f->data;
    long r = command == F_GETPIPE_SZ ? (long)p->size : resize_pipe(p, (uint32_t)arg);
    if (command == F_SETPIPE_SZ && r > 0)
        wait_wake_all(&p->wait);
    return r;
}

static void attach_pipe(struct file *f, struct pipe *p)
{
    f->ops = &pipe_ops;
    f->data = p;
    f->wait = &p->wait;
    p->refs++;
    p->readers += file_can_read(f);
    p->writers += file_can_write(f);
    p->readers_ever += file_can_read(f);
    p->writers_ever += file_can_write(f);
}

int fifo_open(struct file *f)
{
    struct pipe *p = f->inode->data;
    if (!p && !(p = f->inode->data = pipe_new()))
        return -ENOMEM;
    bool reads = file_can_read(f), writes = file_can_write(f);
    if ((f->flags & O_ACCMODE) == O_ACCMODE)
        return -EINVAL;
    if (!reads && writes && (f->flags & O_NONBLOCK) && !p->readers)
        return -ENXIO;
    attach_pipe(f, p);
    wait_wake_all(&p->wait);
    bool waits = !(f->flags & O_NONBLOCK) && !(reads ? p->writers : p->readers);
    uint32_t *partners = reads ? &p->writers_ever : &p->readers_ever, before = *partners;
    int r = 0;
    while (waits && *partners == before && !r)
        r = wait_for(&p->wait, true);
    if (!waits || *partners != before) /* whoever came may be gone already */
        return 0;
    pipe_release(f);
    return r;
}

long sys_pipe2(uint64_t to, uint32_t flags)
{
    if (flags & ~(uint32_t)(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
        return -EINVAL;
    struct pipe *p = pipe_new();
    if (!p)
        return -ENOMEM;
    struct file *f[2];
    int fd[2] = {-1, -1};
    p->refs = 1;
    for (int end = 0; end < 2; end++) { /* whole, before others can find it */
        f[end] = file_new(&pipe_ops, (end ? O_WRONLY : O_RDONLY) | (flags & ~(uint32_t)O_CLOEXEC));
        if (f[end])
            attach_pipe(f[end], p);
    }
    for (int end = 0; end < 2; end++)
        fd[end] = f[end] ? fd_install(f[end], flags & O_CLOEXEC, 0) : -ENOMEM;
    long r = fd[0] < 0 ? fd[0] : fd[1] < 0 ? fd[1] : user_write(to, fd, sizeof(fd));
    for (int end = 0; r && end < 2; end++)
        fd_close(fd[end]);
    pipe_put(p);
    return r;
}
