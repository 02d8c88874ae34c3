// SPDX-License-Identifier: Apache-2.0
// epoll: a kept list of files for poll_wait; level, edge and one-shot.
#include "trusted/libos/fs/epoll.h"

#include <linux/eventpoll.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/poll.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

#define FLAGS ((uint32_t)(EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE))
#define EVENTS_MAX 1024
#define NESTS_MAX 5 /* epolls in a chain, as in Linux */

struct epoll {
    struct file *file; /* its own */
    struct list entries;
    size_t count;
    struct wait_queue changed;
};

struct entry {
    struct list node;    /* of the epoll */
    struct list watcher; /* of the file */
    struct epoll *epoll;
    struct file *file; /* not counted: the entry goes with it */
    int fd;
    uint32_t events;
    uint64_t data;
    bool off; /* one-shot that fired */
    /* edges: what was reported, and the file's wake-ups then */
    uint32_t reported;
    uint64_t seen;
};

static void entry_free(struct entry *e)
{
    list_remove(&e->node);
    list_remove(&e->watcher);
    e->epoll->count--;
    los_free(e);
}

void epoll_forget(struct file *f)
{
    list_for_safe(it, nx, &f->watchers) entry_free(container_of(it, struct entry, watcher));
}

static void epoll_release(struct file *f)
{
    struct epoll *e = f->data;
    list_for_safe(it, nx, &e->entries) entry_free(container_of(it, struct entry, node));
    los_free(e);
}

static uint32_t ask_host(const struct file *f, uint32_t events)
{
    struct port_wait w = {.handle = f->host_handle, .events = (uint16_t)events};
    return port_wait(self(), &w, 1, 0) ? 0 : w.ready;
}

/* Level only, for an epoll inside another. */
static uint32_t epoll_poll(struct file *f)
{
    struct epoll *e = f->data;
    list_for(it, &e->entries)
    {
        struct entry *n = container_of(it, struct entry, node);
        uint32_t events = (n->events & ~FLAGS) | EPOLLERR | EPOLLHUP;
        const struct file_ops *ops = n->file->ops;
        if (n->off)
            continue;
        if (((!ops->handle || ops->poll) && (file_poll(n->file) & events)) ||
            (ops->handle && (ask_host(n->file, events) & events)))
            return EPOLLIN | EPOLLRDNORM;
    }
    return 0;
}

static const struct file_ops epoll_ops = {
    .poll = epoll_poll,
    .release = epoll_release,
    .name = "anon_inode:[eventpoll]",
    .stream = true,
};

void epoll_each(const struct file *f, void (*fn)(void *arg, struct file *file, uint32_t events),
                void *arg)
{
    struct epoll *e = f->ops == &epoll_ops ? f->data : NULL;
    if (!e)
        return;
    list_for(it, &e->entries)
    {
        struct entry *n = container_of(it, struct entry, node);
        if (n->off)
            continue;
        fn(arg, n->file, n->events & ~FLAGS);
        epoll_each(n->file, fn, arg);
    }
}

/* Levels of epolls from f down, at least NESTS_MAX + 1 if `end` is among them or there are more. */
static int levels_below(const struct file *f, const struct file *end)
{
    int most = 0;
    if (f->ops != &epoll_ops)
        return 0;
    if (f == end)
        return NESTS_MAX + 1;
    list_for(it, &((const struct epoll *)f->data)->entries)
    {
        int n = levels_below(container_of(it, struct entry, node)->file, end);
        most = MAX(most, n);
    }
    return most + 1;
}

static int levels_above(const struct file *f)
{
    int most = 0;
    list_for(it, &f->watchers)
    {
        int n = levels_above(container_of(it, struct entry, watcher)->epoll->file);
        most = MAX(most, n);
    }
    return most + 1;
}

static long create(bool cloexec)
{
    struct epoll *e = los_alloc(sizeof(*e));
    struct file *f = e ? file_new(&epoll_ops, O_RDWR) : NULL;
    if (!f) {
        los_free(e);
        return -ENOMEM;
    }
    list_init(&e->entries);
    wait_queue_init(&e->changed);
    f->data = e;
    f->wait = &e->changed;
    e->file = f;
    return fd_install(f, cloexec, 0);
}

long sys_epoll_create(int size)
{
    return size > 0 ? create(false) : -EINVAL;
}

long sys_epoll_create1(uint32_t flags)
{
    return flags & ~(uint32_t)EPOLL_CLOEXEC ? -EINVAL : create(flags & EPOLL_CLOEXEC);
}

static struct epoll *epoll_of(int fd, int *error)
{
    struct file *f = fd_file(fd);
    *error = f ? -EINVAL : -EBADF;
    return f && f->ops == &epoll_ops ? f->data : NULL;
}

static struct entry *find(struct epoll *e, struct file *f, int fd)
{
    list_for(it, &f->watchers)
    {
        struct entry *n = container_of(it, struct entry, watcher);
        if (n->epoll == e && n->fd == fd)
            return n;
    }
    return NULL;
}

static int add(struct epoll *e, struct file *f, int fd, const struct epoll_event *ev)
{
    struct entry *n = los_alloc(sizeof(*n));
    if (!n)
        return -ENOMEM;
    *n = (struct entry){.epoll = e, .file = f, .fd = fd, .events = ev->events, .data = ev->data};
    n->seen = UINT64_MAX;
    list_append(&e->entries, &n->node);
    list_append(&f->watchers, &n->watcher);
    e->count++;
    return 0;
}

long sys_epoll_ctl(int epfd, int operation, int fd, uint64_t event)
{
    int error;
    struct epoll *e = epoll_of(epfd, &error);
    struct file *f = fd_file(fd);
    struct epoll_event ev = {0};
    if (!e || !f)
        return e ? -EBADF : error;
    if (f->data == e)
        return -EINVAL;
    if (f->ops == &regular_ops || (f->inode && (f->inode->mode & S_IFMT) == S_IFDIR))
        return -EPERM;
    if (operation != EPOLL_CTL_DEL && user_read(&ev, event, sizeof(ev)))
        return -EFAULT;
    struct entry *n = find(e, f, fd);
    int r = 0;
    switch (operation) {
    case EPOLL_CTL_ADD:
        /* A loop would never end; a chain costs stack. */
        if (f->ops == &epoll_ops && levels_above(e->file) + levels_below(f, e->file) > NESTS_MAX)
            return -ELOOP;
        r = n ? -EEXIST : add(e, f, fd, &ev);
        break;
    case EPOLL_CTL_MOD:
        if (!n)
            return -ENOENT;
        n->events = ev.events;
        n->data = ev.data;
        n->off = false;
        n->reported = 0;
        n->seen = UINT64_MAX;
        break;
    case EPOLL_CTL_DEL:
        if (!n)
            return -ENOENT;
        entry_free(n);
        break;
    default:
        return -EINVAL;
    }
    wait_wake_all(&e->changed);
    return r;
}

/* An edge: something new is ready, or the file was woken since. */
static bool wanted(struct poll_item *p)
{
    struct entry *n = p->arg;
    if (!(n->events & EPOLLET))
        return true;
    uint64_t events = n->file->wait ? n->file->wait->events : 0;
    return (p->ready & ~n->reported) || events != n->seen;
}

static int gather(struct epoll *e, struct poll_item **out)
{
    struct poll_item *items = los_alloc((e->count + 1) * sizeof(*items));
    int n = 0;
    if (!items)
        return -ENOMEM;
    list_for(it, &e->entries)
    {
        struct entry *x = container_of(it, struct entry, node);
        if (x->off)
            continue;
        items[n].file = x->file;
        items[n].events = x->events & ~FLAGS;
        items[n].wanted = wanted;
        items[n].arg = x;
        file_get(x->file);
        n++;
    }
    *out = items;
    return n;
}

static long report(struct epoll *e, struct poll_item *items, int count, uint64_t to, int max)
{
    int done = 0;
    for (int i = 0; i < count; i++) {
        struct entry *n = items[i].arg;
        /* Another thread may have removed it while this one waited. */
        bool there = false;
        list_for(it, &items[i].file->watchers) there =
            there || container_of(it, struct entry, watcher) == n;
        if (!there)
            continue;
        uint32_t ready = items[i].ready;
        if (!ready) {
            n->reported = 0;
            continue;
        }
        if (done == max || !wanted(&items[i]))
            continue;
        struct epoll_event ev = {.events = ready, .data = n->data};
        if (user_write(to + (uint64_t)done * sizeof(ev), &ev, sizeof(ev)))
            return done ? done : -EFAULT;
        n->reported = ready;
        n->seen = n->file->wait ? n->file->wait->events : 0;
        n->off = n->events & EPOLLONESHOT;
        list_remove(&n->node); /* to the end: every file gets its turn */
        list_append(&e->entries, &n->node);
        done++;
    }
    return done;
}

static long do_wait(int fd, uint64_t to, int max, uint64_t deadline)
{
    int error;
    struct epoll *e = epoll_of(fd, &error);
    if (!e)
        return error;
    if (max <= 0)
        return -EINVAL;
    struct file *f = fd_file(fd);
    file_get(f);
    long r;
    for (;;) {
        struct poll_item *items;
        int count = gather(e, &items);
        if (count < 0) {
            r = count;
            break;
        }
        uint64_t events = e->changed.events;
        r = poll_wait(items, (size_t)count, deadline, &e->changed);
        if (r >= 0)
            r = report(e, items, count, to, MIN(max, EVENTS_MAX));
        for (int i = 0; i < count; i++)
            file_put(items[i].file);
        los_free(items);
        /* Nothing, but the list changed while we waited: once more with the new one. */
        if (r != 0 || e->changed.events == events || clock_now() >= deadline)
            break;
    }
    file_put(f);
    return r;
}

static uint64_t milliseconds(int ms)
{
    return ms < 0 ? NO_DEADLINE : ms == 0 ? 0 : deadline_in((uint64_t)ms * 1000000);
}

long sys_epoll_wait(int epfd, uint64_t events, int count, int timeout)
{
    return do_wait(epfd, events, count, milliseconds(timeout));
}

static int use_mask(uint64_t addr, uint64_t size)
{
    uint64_t mask;
    if (!addr)
        return 0;
    if (size != 8)
        return -EINVAL;
    if (user_read(&mask, addr, sizeof(mask)))
        return -EFAULT;
    sig_temporary_mask(self(), mask);
    return 0;
}

long sys_epoll_pwait(int epfd, uint64_t events, int count, int timeout, uint64_t mask,
                     uint64_t mask_size)
{
    int r = use_mask(mask, mask_size);
    return r ? r : do_wait(epfd, events, count, milliseconds(timeout));
}

long sys_epoll_pwait2(int epfd, uint64_t events, int count, uint64_t timeout, uint64_t mask,
                      uint64_t mask_size)
{
    uint64_t deadline = NO_DEADLINE;
    int r = timeout ? deadline_from_user(timeout, &deadline) : 0;
    if (!r)
        r = use_mask(mask, mask_size);
    return r ? r : do_wait(epfd, events, count, deadline);
}
