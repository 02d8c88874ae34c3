// SPDX-License-Identifier: Apache-2.0
// What happens to files, told to inotify's watches.
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
    if (tell)
        queue_event(w->instance, w->wd, IN_IGNORED, 0, NULL);
    list_remove(&w->of_inode);
    list_remove(&w->of_instance);
    w->instance->watch_count--;
    notify_watches--;
    los_free(w);
}

static void tell_watches(struct inode *i, const struct inode *about, uint32_t what, uint32_t cookie,
                         const char *name)
{
    bool dir = (about->mode & S_IFMT) == S_IFDIR && !(what & NOTIFY_DELETE_SELF) &&
               (name || !(what & NOTIFY_MOVE_SELF));
    list_for_safe(it, nx, &i->watches)
    {
        struct notify_watch *w = container_of(it, struct notify_watch, of_inode);
        if (!(w->mask & what))
            continue;
        queue_event(w->instance, w->wd, what | (dir ? IN_ISDIR : 0), cookie, name);
        if (w->mask & IN_ONESHOT)
            notify_remove(w, true);
    }
}

void notify_inode(struct inode *i, uint32_t what)
{
    if (notify_watches)
        tell_watches(i, i, what, 0, NULL);
}

void notify_name(struct dentry *d, uint32_t what, uint32_t cookie)
{
    if (notify_watches && d->parent && d->inode && d->kept)
        tell_watches(d->parent->inode, d->inode, what, cookie, d->name);
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
    tell_watches(i, i, NOTIFY_DELETE_SELF, 0, NULL);
    list_for_safe(it, nx, &i->watches)
        notify_remove(container_of(it, struct notify_watch, of_inode), true);
}
