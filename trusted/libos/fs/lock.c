// SPDX-License-Identifier: Apache-2.0
// Locks that are held on files: flock's, one an open file; and fcntl's ranges, of the process or of
// an open file (OFD).
#include "trusted/libos/fs/lock.h"

static struct flock_entry *flock_of(struct file *f)
{
    list_each(struct flock_entry, e, &f->inode->flocks, node) {
        if (e->file == f)
            return e;
    }
    return NULL;
}

bool lock_flock_conflicts(struct file *f, bool exclusive)
{
    list_each(struct flock_entry, e, &f->inode->flocks, node) {
        if (e->file != f && (exclusive || e->exclusive))
            return true;
    }
    return false;
}

void lock_flock_release(struct file *f)
{
    struct flock_entry *e = f->locked ? flock_of(f) : NULL;
    if (!e)
        return;
    list_remove(&e->node);
    los_free(e);
    f->locked = false;
    wait_wake_all(&f->inode->flock_wait);
}

struct lock_range *lock_range_conflict(struct inode *i, const struct lock_range *r)
{
    list_each(struct lock_range, o, &i->ranges, node) {
        if (o->owner != r->owner && o->start <= r->last && r->start <= o->last &&
            (o->exclusive || r->exclusive))
            return o;
    }
    return NULL;
}

struct lock_range *lock_range_own(struct inode *i, const struct lock_range *r)
{
    list_each(struct lock_range, o, &i->ranges, node) {
        if (o->owner == r->owner && o->start <= r->last && r->start <= o->last)
            return o;
    }
    return NULL;
}

/* Takes start..last out of what the owner holds. `spare` becomes the rest where one is cut in two.
 */
void lock_range_cut(struct inode *i, const struct lock_range *r, struct lock_range **spare)
{
    list_each_safe(struct lock_range, o, &i->ranges, node) {
        if (o->owner != r->owner || o->start > r->last || r->start > o->last)
            continue;
        bool head = o->start<r->start, tail = o->last> r->last;
        if (head && tail) {
            struct lock_range *rest = *spare;
            *spare = NULL;
            *rest = (struct lock_range){.owner = o->owner,
                                        .start = r->last + 1,
                                        .last = o->last,
                                        .exclusive = o->exclusive};
            list_init(&rest->node);
            list_append(o->node.next, &rest->node); /* behind it */
            o->last = r->start - 1;
        } else if (head) {
            o->last = r->start - 1;
        } else if (tail) {
            o->start = r->last + 1;
        } else {
            list_remove(&o->node);
            los_free(o);
        }
    }
}

/* Owners in the order in which they came, each one's ranges by their start; alike neighbours become
 * one. So F_GETLK names the lock that Linux names. */
void lock_range_insert(struct inode *i, struct lock_range *r)
{
    struct list *at = &i->ranges;
    bool mine = false;
    list_each(struct lock_range, o, &i->ranges, node) {
        if (o->owner == r->owner) {
            mine = true;
            if (o->start > r->start) {
                at = &o->node;
                break;
            }
        } else if (mine) {
            at = &o->node;
            break;
        }
    }
    list_append(at, &r->node); /* before it */
}

void lock_range_join(struct inode *i, struct lock_range *r)
{
    list_each_safe(struct lock_range, o, &i->ranges, node) {
        if (o == r || o->owner != r->owner || o->exclusive != r->exclusive)
            continue;
        if (o->last + 1 != r->start && r->last + 1 != o->start)
            continue;
        r->start = MIN(r->start, o->start);
        r->last = MAX(r->last, o->last);
        list_remove(&o->node);
        los_free(o);
    }
}

struct lease *lock_lease_of(const struct file *f)
{
    struct lease *l = f->inode ? f->inode->leases : NULL;
    while (l && l->file != f)
        l = l->next;
    return l;
}

void lock_lease_end(struct inode *i, struct lease *l)
{
    struct lease **at = &i->leases;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    los_free(l);
    wait_wake_all(&i->flock_wait);
}

static void end_own_lease(struct file *f)
{
    struct lease *l = lock_lease_of(f);
    if (l)
        lock_lease_end(f->inode, l);
}

static void range_drop(struct inode *i, const void *owner)
{
    struct lock_range all = {.owner = owner, .last = INT64_MAX};
    if (list_empty(&i->ranges))
        return;
    lock_range_cut(i, &all, NULL);
    wait_wake_all(&i->flock_wait);
}

bool lock_is_held(const struct file *f)
{
    return f->inode && !list_empty(&f->inode->ranges);
}

/* POSIX: closing any descriptor of a file gives up what the process locked in it. */
void lock_closed(struct file *f)
{
    if (f->inode)
        range_drop(f->inode, current());
}

void lock_release(struct file *f)
{
    lock_flock_release(f);
    if (f->ranged)
        range_drop(f->inode, f);
    end_own_lease(f);
}
