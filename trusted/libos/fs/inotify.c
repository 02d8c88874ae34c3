// SPDX-License-Identifier: Apache-2.0
// inotify: instances with a queue of events, watches on inodes.
#include "trusted/libos/fs/notify.h"

#include <asm/ioctls.h>
#include <asm/poll.h>
#include <linux/inotify.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/proc.h"

#define WATCHES_MAX 65536u

static long inotify_read(struct file *f, struct io *io, uint64_t offset)
{
    struct notify_instance *in = f->data;
    long done = 0;
    while (list_empty(&in->events)) {
        int r = wait_for(&in->wait, !(f->flags & O_NONBLOCK));
        if (r)
            return r;
    }
    while (!list_empty(&in->events)) {
        struct notify_event *e = container_of(in->events.next, struct notify_event, node);
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
    const struct notify_instance *in = f->data;
    return list_empty(&in->events) ? 0 : POLLIN | POLLRDNORM;
}

static long inotify_ioctl(struct file *f, uint64_t request, uint64_t arg)
{
    const struct notify_instance *in = f->data;
    int bytes = (int)in->bytes;
    return request == FIONREAD ? user_write(arg, &bytes, sizeof(bytes)) : -ENOTTY;
}

static void inotify_release(struct file *f)
{
    struct notify_instance *in = f->data;
    list_each_safe(struct notify_watch, n, &in->watches, of_instance)
        notify_remove(n, false);
    list_each_safe(struct notify_event, n, &in->events, node) {
        list_remove(&n->node);
        los_free(n);
    }
    los_free(in);
}

static void inotify_tell(const struct file *f, struct text *t)
{
    const struct notify_instance *in = f->data;
    list_each(const struct notify_watch, w, &in->watches, of_instance) {
        text_put(t, "inotify wd:%x ino:%lx sdev:%lx mask:%x ignored_mask:0 \n", (unsigned)w->wd,
                 w->inode->ino, device_of(w->inode), w->mask);
    }
}

static const struct file_ops inotify_ops = {
    .tell = inotify_tell,
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
    struct notify_instance *in = los_alloc(sizeof(*in));
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

static struct notify_watch *watch_of(struct notify_instance *in, const struct inode *i)
{
    list_each(struct notify_watch, w, &i->watches, of_inode) {
        if (w->instance == in)
            return w;
    }
    return NULL;
}

#define MASK_KEPT (IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK)

static long add_watch(struct notify_instance *in, struct inode *i, uint32_t mask)
{
    struct notify_watch *w = watch_of(in, i);
    if (w) {
        if (mask & IN_MASK_CREATE)
            return -EEXIST;
        w->mask = (mask & IN_MASK_ADD ? w->mask : 0) | (mask & MASK_KEPT);
        return w->wd;
    }
    w = in->watch_count < WATCHES_MAX ? los_alloc(sizeof(*w)) : NULL;
    if (!w)
        return -ENOSPC;
    *w = (struct notify_watch){
        .instance = in, .inode = i, .wd = in->next_wd++, .mask = mask & MASK_KEPT};
    list_init(&w->of_inode);
    list_init(&w->of_instance);
    list_append(&i->watches, &w->of_inode);
    list_append(&in->watches, &w->of_instance);
    in->watch_count++;
    notify_watches++;
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
    struct notify_instance *in = f->ops == &inotify_ops ? f->data : NULL;
    for (struct list *it = in ? in->watches.next : NULL; it && it != &in->watches; it = it->next) {
        struct notify_watch *w = container_of(it, struct notify_watch, of_instance);
        if (w->wd == wd) {
            notify_remove(w, true);
            return 0;
        }
    }
    return -EINVAL;
}
