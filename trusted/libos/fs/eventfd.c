// SPDX-License-Identifier: Apache-2.0
// eventfd, timerfd and memfd.
#include <asm/poll.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/proc.h"
#include "trusted/libos/time/time.h"

#define EFD_SEMAPHORE_BIT 1u

struct event {
    uint64_t value;
    bool semaphore;
    struct lock lock; /* of value */
    struct wait_queue wait;
};

static long event_read(struct file *f, struct io *io, uint64_t offset)
{
    struct event *e = f->data;
    if (io->left < 8)
        return -EINVAL;
    int r = 0;
    lock_take(&e->lock, RANK_OBJECT);
    while (!r && !e->value)
        r = wait_for_locked(&e->wait, &e->lock, !(f->flags & O_NONBLOCK));
    uint64_t v = r ? 0 : e->semaphore ? 1 : e->value;
    e->value -= v;
    if (v)
        wait_wake_events(&e->wait, POLLOUT);
    lock_give(&e->lock);
    if (r)
        return r;
    return io_put(io, &v, 8) ? -EFAULT : 8; /* what was taken is gone, as on Linux */
}

static long event_write(struct file *f, struct io *io, uint64_t offset)
{
    struct event *e = f->data;
    uint64_t v;
    if (io->left < 8)
        return -EINVAL;
    if (io_get(io, &v, 8))
        return -EFAULT;
    if (v == UINT64_MAX)
        return -EINVAL;
    int r = 0;
    lock_take(&e->lock, RANK_OBJECT);
    while (!r && UINT64_MAX - 1 - e->value < v)
        r = wait_for_locked(&e->wait, &e->lock, !(f->flags & O_NONBLOCK));
    if (!r) {
        e->value += v;
        wait_wake_events(&e->wait, POLLIN);
    }
    lock_give(&e->lock);
    return r ? r : 8;
}

static uint32_t event_poll(struct file *f)
{
    struct event *e = f->data;
    lock_take(&e->lock, RANK_OBJECT);
    uint64_t v = e->value;
    lock_give(&e->lock);
    return (v ? POLLIN | POLLRDNORM : 0u) | (v < UINT64_MAX - 1 ? POLLOUT | POLLWRNORM : 0u);
}

static void free_data(struct file *f)
{
    los_free(f->data);
}

static void event_tell(const struct file *f, struct text *t)
{
    const struct event *e = f->data;
    text_put(t, "eventfd-count: %16lx\neventfd-semaphore: %d\n", e->value, e->semaphore);
}

static const struct file_ops event_ops = {
    .tell = event_tell,
    .read = event_read,
    .write = event_write,
    .poll = event_poll,
    .release = free_data,
    .name = "anon_inode:[eventfd]",
    .stream = true,
    .shared = true,
};

long sys_eventfd2(uint32_t value, uint32_t flags)
{
    if (flags & ~(uint32_t)(EFD_SEMAPHORE_BIT | O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    struct event *e = los_alloc(sizeof(*e));
    struct file *f = e ? file_new(&event_ops, O_RDWR | (flags & O_NONBLOCK)) : NULL;
    if (!f) {
        los_free(e);
        return -ENOMEM;
    }
    e->value = value;
    e->semaphore = flags & EFD_SEMAPHORE_BIT;
    wait_queue_init(&e->wait);
    f->data = e;
    f->wait = &e->wait;
    return fd_install(f, flags & O_CLOEXEC, 0);
}

struct timer_file {
    struct interval_timer it;
    int clock;
    struct wait_queue wait;
};

static void fire_timer(struct timer *t)
{
    struct timer_file *f = container_of(t, struct timer_file, it.timer);
    interval_advance(&f->it);
    wait_wake_all(&f->wait);
}

static long timer_read(struct file *f, struct io *io, uint64_t offset)
{
    struct timer_file *t = f->data;
    if (io->left < 8)
        return -EINVAL;
    while (!t->it.expirations) {
        int r = wait_for(&t->wait, !(f->flags & O_NONBLOCK));
        if (r)
            return r;
    }
    if (io_put(io, &t->it.expirations, 8))
        return -EFAULT;
    t->it.expirations = 0;
    return 8;
}

static uint32_t timer_poll(struct file *f)
{
    struct timer_file *t = f->data;
    return t->it.expirations ? POLLIN | POLLRDNORM : 0;
}

static void timer_release(struct file *f)
{
    struct timer_file *t = f->data;
    timer_cancel(&t->it.timer);
    los_free(t);
}

static void timer_tell(const struct file *f, struct text *to)
{
    struct timer_file *t = f->data;
    uint64_t left, every;
    interval_left(&t->it, &left, &every);
    text_put(to, "clockid: %d\nticks: %lu\nsettime flags: 00\n", t->clock, t->it.expirations);
    text_put(to, "it_value: (%lu, %lu)\nit_interval: (%lu, %lu)\n", left / NS, left % NS,
             every / NS, every % NS);
}

static const struct file_ops timer_ops = {
    .tell = timer_tell,
    .read = timer_read,
    .poll = timer_poll,
    .release = timer_release,
    .name = "anon_inode:[timerfd]",
    .stream = true,
};

long sys_timerfd_create(int clock, uint32_t flags)
{
    uint64_t now;
    bool known = clock == 0 || clock == 1 || clock == 7; /* REALTIME, MONOTONIC, BOOTTIME */
    if (!known || clock_read(clock, &now) || (flags & ~(uint32_t)(O_CLOEXEC | O_NONBLOCK)))
        return -EINVAL;
    struct timer_file *t = los_alloc(sizeof(*t));
    struct file *f = t ? file_new(&timer_ops, O_RDWR | (flags & O_NONBLOCK)) : NULL;
    if (!f) {
        los_free(t);
        return -ENOMEM;
    }
    t->it.timer.fire = fire_timer;
    t->clock = clock;
    wait_queue_init(&t->wait);
    f->data = t;
    f->wait = &t->wait;
    return fd_install(f, flags & O_CLOEXEC, 0);
}

static struct timer_file *timer_of(int fd, int *error)
{
    struct file *f = fd_file(fd);
    *error = f ? -EINVAL : -EBADF;
    return f && f->ops == &timer_ops ? f->data : NULL;
}

long sys_timerfd_settime(int fd, uint32_t flags, uint64_t new, uint64_t old)
{
    int r;
    uint64_t first, interval;
    struct timer_file *t = timer_of(fd, &r);
    if (!t)
        return r;
    if (flags & ~3)
        return -EINVAL;
    r = itimerspec_read(new, t->clock, flags & 1, &first, &interval);
    if (!r && old)
        r = itimerspec_write(old, &t->it);
    if (!r)
        interval_set(&t->it, first, interval);
    return r;
}

long sys_timerfd_gettime(int fd, uint64_t to)
{
    int r;
    struct timer_file *t = timer_of(fd, &r);
    return t ? itimerspec_write(to, &t->it) : r;
}

#define MFD_KNOWN 31u /* CLOEXEC, ALLOW_SEALING, HUGETLB, NOEXEC_SEAL, EXEC */
#define MFD_SEALING 2u
#define MFD_HUGETLB_BIT 4u
#define MFD_NOEXEC 8u
#define MFD_EXEC_BIT 16u
#define SEAL_EXEC 32u

int file_new_memory(const char *name, size_t size, struct file **out)
{
    struct inode *i = inode_new(FS_TMP, S_IFREG | 0777);
    struct dentry *d = i ? dentry_new(root_dentry, name, size, i) : NULL;
    if (!d)
        return -ENOMEM;
    i->nlink = 0;
    int r = file_open_dentry(d, O_RDWR, out);
    dentry_put(d);
    return r;
}

long sys_memfd_create(uint64_t from, uint32_t flags)
{
    char name[256] = "memfd:";
    if ((flags & ~MFD_KNOWN) ||
        (flags & (MFD_NOEXEC | MFD_EXEC_BIT)) == (MFD_NOEXEC | MFD_EXEC_BIT))
        return -EINVAL;
    if (flags & MFD_HUGETLB_BIT)
        return -ENOSYS;
    long n = user_string(name + 6, from, 250);
    if (n < 0)
        return n == -ENAMETOOLONG ? -EINVAL : n;
    struct file *f;
    int r = file_new_memory(name, (size_t)n + 6, &f);
    if (r)
        return r;
    if (flags & MFD_NOEXEC)
        f->inode->mode &= ~0111u;
    if (flags & (MFD_SEALING | MFD_NOEXEC))
        f->inode->seals = flags & MFD_NOEXEC ? SEAL_EXEC : 0;
    return fd_install(f, flags & 1, 0);
}
