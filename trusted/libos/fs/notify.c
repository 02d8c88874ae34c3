// SPDX-License-Identifier: Apache-2.0
// What happens to files, told to inotify's watches.
#include <asm/poll.h>
#include <linux/inotify.h>

#include "trusted/libos/fs/notify.h"

#define EVENTS_MAX 16384u /* /proc/sys/fs/inotify/max_queued_events */

uint32_t notify_watches;
static uint32_t cookies;

bool notify_wanted(void)
{
    return notify_watches;
}

uint32_t notify_cookie(void)
{
    return notify_watches ? ++cookies : 0;
}

static struct notify_event *last_event(const struct notify_instance *in)
{
    return list_empty(&in->events) ? NULL
                                   : container_of(in->events.prev, struct notify_event, node);
}

static void queue_event(struct notify_instance *in, int32_t wd, uint32_t mask, uint32_t cookie,
                        const char *name)
{
    size_t n = name ? strlen(name) + 1 : 0, size = (n + 15) & ~15ul;
    const struct notify_event *last = last_event(in);
    if (last && last->wd == wd && last->mask == mask && last->cookie == cookie &&
        last->name_size == size && (!name || !strcmp(last->name, name)))
        return; /* the same again tells nothing */
    bool full = in->event_count >= EVENTS_MAX;
    if (full && last && (last->mask & IN_Q_OVERFLOW))
        return;
    struct notify_event *e = los_alloc(sizeof(*e) + (full ? 0 : size));
    if (!e)
        return;
    *e = (struct notify_event){.wd = full ? -1 : wd,
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

void notify_remove(struct notify_watch *w, bool tell)
{
    if (tell && w->instance)
        queue_event(w->instance, w->wd, IN_IGNORED, 0, NULL);
    list_remove(&w->of_inode);
    list_remove(w->instance ? &w->of_instance : &w->watcher.node);
    if (w->instance)
        w->instance->watch_count--;
    notify_watches--;
    los_free(w);
}

#define BAND_MSG 3 /* POLL_MSG of siginfo_t */

static void forget_signals(struct watcher *w)
{
    notify_remove(container_of(w, struct notify_watch, watcher), false);
}

static uint32_t mask_of(uint32_t what)
{
    static const uint32_t masks[] = {NOTIFY_ACCESS,
                                     NOTIFY_MODIFY,
                                     NOTIFY_CREATE | NOTIFY_MOVED_TO,
                                     NOTIFY_DELETE | NOTIFY_MOVED_FROM,
                                     NOTIFY_RENAME,
                                     NOTIFY_ATTRIB};
    uint32_t mask = 0;
    for (unsigned n = 0; n < ARRAY_COUNT(masks); n++)
        mask |= what >> n & 1 ? masks[n] : 0;
    return mask;
}

long notify_signals(int fd, struct file *f, uint32_t what)
{
    struct notify_watch *w = NULL;
    uint32_t mask = mask_of(what);
    list_each(struct notify_watch, o, &f->inode->watches, of_inode) {
        w = o->file == f ? o : w;
    }
    if (!mask) {
        if (w)
            notify_remove(w, false);
        return 0;
    }
    if (!w) {
        w = los_alloc(sizeof(*w));
        if (!w)
            return -ENOMEM;
        *w = (struct notify_watch){.inode = f->inode, .file = f, .watcher.forget = forget_signals};
        list_init(&w->of_inode);
        list_init(&w->of_instance);
        list_append(&f->inode->watches, &w->of_inode);
        list_append(&f->watchers, &w->watcher.node);
        notify_watches++;
    }
    w->fd = fd;
    w->mask |= mask;
    if (what & DN_MULTISHOT)
        w->mask &= ~(uint32_t)IN_ONESHOT;
    else
        w->mask |= IN_ONESHOT;
    if (!f->owner)
        file_set_owner(f, 1, current()->pid);
    return 0;
}

static void tell_watches(struct inode *i, const struct inode *about, uint32_t what, uint32_t cookie,
                         const char *name, bool unlinked)
{
    bool dir = (about->mode & S_IFMT) == S_IFDIR && !(what & NOTIFY_DELETE_SELF) &&
               (name || !(what & NOTIFY_MOVE_SELF));
    list_each_safe(struct notify_watch, w, &i->watches, of_inode) {
        if (!(w->mask & what) || (unlinked && (w->mask & IN_EXCL_UNLINK)))
            continue;
        if (w->instance)
            queue_event(w->instance, w->wd, what | (dir ? IN_ISDIR : 0), cookie, name);
        else
            async_signal(w->file, w->fd, BAND_MSG, POLLIN | POLLRDNORM | POLLMSG);
        if (w->mask & IN_ONESHOT)
            notify_remove(w, true);
    }
}

void notify_inode(struct inode *i, uint32_t what)
{
    if (notify_watches)
        tell_watches(i, i, what, 0, NULL, false);
}

void notify_name(struct dentry *d, uint32_t what, uint32_t cookie)
{
    if (notify_watches && d->parent && d->inode && (d->kept || !d->inode->linkable))
        tell_watches(d->parent->inode, d->inode, what, cookie, d->name, !d->kept);
}

void notify_dentry(struct dentry *d, uint32_t what)
{
    if (!notify_watches)
        return;
    notify_name(d, what, 0);
    notify_inode(d->inode, what);
}

void notify_file(struct file *f, uint32_t what)
{
    if (!notify_watches || !f->dentry || !f->inode)
        return;
    los_alone();
    notify_dentry(f->dentry, what);
}

void notify_gone(struct inode *i)
{
    if (!notify_watches)
        return;
    tell_watches(i, i, NOTIFY_DELETE_SELF, 0, NULL, false);
    list_each_safe(struct notify_watch, n, &i->watches, of_inode)
        notify_remove(n, true);
}
