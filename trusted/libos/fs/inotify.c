// SPDX-License-Identifier: Apache-2.0
// inotify: instances with a queue of events, watches on inodes.
#include "trusted/libos/fs/inotify.h"

#include <asm/ioctls.h>
#include <asm/poll.h>
#include <linux/inotify.h>

#include "trusted/libos/calls.h"

#define EVENTS_MAX 16384u /* /proc/sys/fs/inotify/max_queued_events */
#define WATCHES_MAX 65536u

struct event {
    struct list node;
    int32_t wd;
    uint32_t mask, cookie;
    uint32_t name_size; /* with its NULs, as the program sees it; 0: none */
    char name[];
};

struct instance {
    struct list events, watches;
    uint32_t event_count, watch_count, bytes;
    int32_t next_wd;
    struct wait_queue wait;
};

struct watch {
    struct list of_inode, of_instance;
    struct instance *instance;
    struct inode *inode; /* not counted: the watch goes when it goes */
    int32_t wd;
    uint32_t mask;
};

static uint32_t watches_now, cookies;

bool notify_wanted(void)
{
    return watches_now;
}

uint32_t notify_cookie(void)
{
    return watches_now ? ++cookies : 0;
}

static struct event *last_event(const struct instance *in)
{
    return list_empty(&in->events) ? NULL : container_of(in->events.prev, struct event, node);
}

static void queue_event(struct instance *in, int32_t wd, uint32_t mask, uint32_t cookie,
                        const char *name)
{
    size_t n = name ? strlen(name) + 1 : 0, size = (n + 15) & ~15ul;
    const struct event *last = last_event(in);
    if (last && last->wd == wd && last->mask == mask && last->cookie == cookie &&
        last->name_size == size && (!name || !strcmp(last->name, name)))
        return; /* the same again tells nothing */
    bool full = in->event_count >= EVENTS_MAX;
    if (full && last && (last->mask & IN_Q_OVERFLOW))
        return;
    struct event *e = los_alloc(sizeof(*e) + (full ? 0 : size));
    if (!e)
        return;
    *e = (struct event){.wd = full ? -1 : wd,
                        .mask = full ? IN_Q_OVERFLOW : mask,
                        .cookie = full ? 0 : cookie,
                        .name_size = full ? 0 : (uint32_t)size};
    list_init(&e->node);
    if (!full && n)
        memcpy(e->name, name, n);
    list_append(&in->events, &e->node);
    in->event_count++;
    in->bytes += (uint32_t)sizeof(struct inotify_event) + e->name_size;
    wait_wake_all(&in->wait);
}

static void remove_watch(struct watch *w, bool tell)
{
    if (tell)
        queue_event(w->instance, w->wd, IN_IGNORED, 0, NULL);
    list_remove(&w->of_inode);
    list_remove(&w->of_instance);
    w->instance->watch_count--;
    watches_now--;
    los_free(w);
}

static void tell_watches(struct inode *i, const struct inode *about, uint32_t what, uint32_t cookie,
                         const char *name)
{
    bool dir = (about->mode & S_IFMT) == S_IFDIR && !(what & NOTIFY_DELETE_SELF) &&
               (name || !(what & NOTIFY_MOVE_SELF));
    list_for_safe(it, nx, &i->watches)
    {
        struct watch *w = container_of(it, struct watch, of_inode);
        if (!(w->mask & what))
            continue;
        queue_event(w->instance, w->wd, what | (dir ? IN_ISDIR : 0), cookie, name);
        if (w->mask & IN_ONESHOT)
            remove_watch(w, true);
    }
}

void notify_inode(struct inode *i, uint32_t what)
{
    if (watches_now)
        tell_watches(i, i, what, 0, NULL);
}

void notify_name(struct dentry *d, uint32_t what, uint32_t cookie)
{
    if (watches_now && d->parent && d->inode && d->kept)
        tell_watches(d->parent->inode, d->inode, what, cookie, d->name);
}

void notify_dentry(struct dentry *d, uint32_t what)
{
    if (!watches_now)
        return;
    notify_name(d, what, 0);
    notify_inode(d->inode, what);
}

void notify_file(struct file *f, uint32_t what)
{
    if (!watches_now || !f->dentry || !f->inode)
        return;
    los_alone();
    notify_dentry(f->dentry, what);
}

void notify_gone(struct inode *i)
{
    if (!watches_now)
        return;
    tell_watches(i, i, NOTIFY_DELETE_SELF, 0, NULL);
    list_for_safe(it, nx, &i->watches) remove_watch(container_of(it, struct watch, of_inode), true);
}

static long inotify_read(struct file *f, struct io *io, uint64_t offset)
{
    struct instance *in = f->data;
    long done = 0;
    while (list_empty(&in->events)) {
        int r = wait_for(&in->wait, !(f->flags & O_NONBLOCK));
        if (r)
            return r;
    }
    while (!list_empty(&in->events)) {
        struct event *e = container_of(in->events.next, struct event, node);
        struct inotify_event head = {
            .wd = e->wd, .mask = e->mask, .cookie = e->cookie, .len = e->name_size};
        size_t size = sizeof(head) + e->name_size;
        if (size > io->left)
            return done ? done : -EINVAL;
        if (io_put(io, &head, sizeof(head)) || io_put(io, e->name, e->name_size))
            return done ? done : -EFAULT;
        list_remove(&e->node);
        in->event_count--;
        in->bytes -= (uint32_t)size;
        los_free(e);
        done += (long)size;
    }
    return done;
}

static uint32_t inotify_poll(struct file *f)
{
    const struct instance *in = f->data;
    return list_empty(&in->events) ? 0 : POLLIN | POLLRDNORM;
}

static long inotify_ioctl(struct file *f, uint64_t request, uint64_t arg)
{
    const struct instance *in = f->data;
    int bytes = (int)in->bytes;
    return request == FIONREAD ? user_write(arg, &bytes, sizeof(bytes)) : -ENOTTY;
}

static void inotify_release(struct file *f)
{
    struct instance *in = f->data;
    list_for_safe(it, nx, &in->watches)
        remove_watch(container_of(it, struct watch, of_instance), false);
    list_for_safe(it, nx, &in->events)
    {
        list_remove(it);
        los_free(container_of(it, struct event, node));
    }
    los_free(in);
}

static const struct file_ops inotify_ops = {
    .read = inotify_read,
    .poll = inotify_poll,
    .ioctl = inotify_ioctl,
    .release = inotify_release,
    .name = "anon_inode:inotify",
    .stream = true,
};

long sys_inotify_init1(uint32_t flags)
{
    if (flags & ~(uint32_t)(O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    struct instance *in = los_alloc(sizeof(*in));
    struct file *f = in ? file_new(&inotify_ops, O_RDONLY | (flags & O_NONBLOCK)) : NULL;
    if (!f) {
        los_free(in);
        return -ENOMEM;
    }
    list_init(&in->events);
    list_init(&in->watches);
    wait_queue_init(&in->wait);
    in->next_wd = 1;
    f->data = in;
    f->wait = &in->wait;
    return fd_install(f, flags & O_CLOEXEC, 0);
}

long sys_inotify_init(void)
{
    return sys_inotify_init1(0);
}

static struct watch *watch_of(struct instance *in, const struct inode *i)
{
    list_for(it, &i->watches)
    {
        struct watch *w = container_of(it, struct watch, of_inode);
        if (w->instance == in)
            return w;
    }
    return NULL;
}

#define MASK_KEPT (IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK)

static long add_watch(struct instance *in, struct inode *i, uint32_t mask)
{
    struct watch *w = watch_of(in, i);
    if (w) {
        if (mask & IN_MASK_CREATE)
            return -EEXIST;
        w->mask = (mask & IN_MASK_ADD ? w->mask : 0) | (mask & MASK_KEPT);
        return w->wd;
    }
    w = in->watch_count < WATCHES_MAX ? los_alloc(sizeof(*w)) : NULL;
    if (!w)
        return -ENOSPC;
    *w = (struct watch){.instance = in, .inode = i, .wd = in->next_wd++, .mask = mask & MASK_KEPT};
    list_init(&w->of_inode);
    list_init(&w->of_instance);
    list_append(&i->watches, &w->of_inode);
    list_append(&in->watches, &w->of_instance);
    in->watch_count++;
    watches_now++;
    return w->wd;
}

#define MASK_ALL                                                                                   \
    (IN_ALL_EVENTS | IN_ONESHOT | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_MASK_ADD |     \
     IN_MASK_CREATE | IN_ISDIR | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED)

long sys_inotify_add_watch(int fd, uint64_t path, uint32_t mask)
{
    struct file *f = fd_file(fd);
    struct walk w;
    if (!(mask & MASK_ALL))
        return -EINVAL;
    if (!f)
        return -EBADF;
    if ((mask & IN_MASK_ADD) && (mask & IN_MASK_CREATE))
        return -EINVAL;
    if (f->ops != &inotify_ops)
        return -EINVAL;
    int how = (mask & IN_DONT_FOLLOW ? 0 : WALK_FOLLOW) | (mask & IN_ONLYDIR ? WALK_DIRECTORY : 0);
    long r = walk_user(AT_FDCWD, path, how, &w);
    if (r)
        return r;
    struct inode *i = w.file ? w.file->inode : w.dentry->inode;
    if (!i || i->fs == FS_PROC) /* made anew at each look: nobody could tell of a change */
        r = -EACCES;
    else
        r = inode_allowed(i, 4) ? add_watch(f->data, i, mask) : -EACCES;
    walk_end(&w);
    return r;
}

long sys_inotify_rm_watch(int fd, int wd)
{
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    struct instance *in = f->ops == &inotify_ops ? f->data : NULL;
    for (struct list *it = in ? in->watches.next : NULL; it && it != &in->watches; it = it->next) {
        struct watch *w = container_of(it, struct watch, of_instance);
        if (w->wd == wd) {
            remove_watch(w, true);
            return 0;
        }
    }
    return -EINVAL;
}
