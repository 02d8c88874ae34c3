// SPDX-License-Identifier: Apache-2.0
// Locks that are held on files: flock's, one an open file; and fcntl's ranges, of the process or of
// an open file (OFD).
#include "trusted/libos/fs/lock.h"

#include "trusted/libos/proc/proc.h"

struct list lock_every = {&lock_every, &lock_every};
struct list lock_blocked = {&lock_blocked, &lock_blocked};

struct lock_range lock_ask(struct file *f, enum lock_kind kind, bool exclusive)
{
    bool process = kind == LOCK_POSIX;
    return (struct lock_range){.kind = kind,
                               .inode = f->inode,
                               .owner = process ? (const void *)current() : f,
                               .file = f,
                               .pid = kind == LOCK_OFD ? -1 : current()->pid,
                               .last = INT64_MAX,
                               .exclusive = exclusive};
}

void lock_hold(struct lock_range *r)
{
    list_init(&r->node);
    list_append(lock_every.next, &r->every); /* before it */
}

static void end_lock(struct lock_range *r)
{
    list_remove(&r->node);
    list_remove(&r->every);
    los_free(r);
}

static struct list *kin_of(const struct lock_range *r)
{
    return r->kind == LOCK_FLOCK ? &r->inode->flocks : &r->inode->ranges;
}

static struct lock_range *find_lock(const struct lock_range *r, bool own)
{
    list_each(struct lock_range, o, kin_of(r), node) {
        if ((o->owner == r->owner) == own && o->start <= r->last && r->start <= o->last &&
            (own || o->exclusive || r->exclusive))
            return o;
    }
    return NULL;
}

struct lock_range *lock_conflict(const struct lock_range *r)
{
    return find_lock(r, false);
}

struct lock_range *lock_own(const struct lock_range *r)
{
    return find_lock(r, true);
}

void lock_cut(const struct lock_range *r, struct lock_range **spare)
{
    list_each_safe(struct lock_range, o, kin_of(r), node) {
        if (o->owner != r->owner || o->start > r->last || r->start > o->last)
            continue;
        bool head = o->start<r->start, tail = o->last> r->last;
        if (head && tail) {
            struct lock_range *rest = *spare;
            *spare = NULL;
            *rest = *o;
            rest->start = r->last + 1;
            list_append(o->node.next, &rest->node); /* behind it */
            list_append(o->every.next, &rest->every);
            o->last = r->start - 1;
        } else if (head) {
            o->last = r->start - 1;
        } else if (tail) {
            o->start = r->last + 1;
        } else {
            end_lock(o);
        }
    }
}

/* Owners in the order in which they came, each one's ranges by their start; alike neighbours become
 * one. So F_GETLK names the lock that Linux names. */
void lock_insert(struct lock_range *r)
{
    struct list *kin = kin_of(r), *at = kin;
    bool mine = false;
    list_each(struct lock_range, o, kin, node) {
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
    lock_hold(r);
    list_append(at, &r->node); /* before it */
}

void lock_join(struct lock_range *r)
{
    list_each_safe(struct lock_range, o, kin_of(r), node) {
        if (o == r || o->owner != r->owner || o->exclusive != r->exclusive)
            continue;
        if (o->last + 1 != r->start && r->last + 1 != o->start)
            continue;
        r->start = MIN(r->start, o->start);
        r->last = MAX(r->last, o->last);
        r->file = o->file;
        end_lock(o);
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
    list_remove(&l->held.every);
    los_free(l);
    wait_wake_all(&i->flock_wait);
}

void lock_drop(const struct lock_range *r)
{
    if (!lock_own(r))
        return;
    lock_cut(r, NULL);
    wait_wake_all(&r->inode->flock_wait);
}

bool lock_is_held(const struct file *f)
{
    return f->inode && !list_empty(&f->inode->ranges);
}

/* POSIX: closing any descriptor of a file gives up what the process locked in it. */
void lock_closed(struct file *f)
{
    struct lock_range all = lock_ask(f, LOCK_POSIX, false);
    if (f->inode)
        lock_drop(&all);
}

void lock_release(struct file *f)
{
    struct lock_range flocks = lock_ask(f, LOCK_FLOCK, false),
                      ranges = lock_ask(f, LOCK_OFD, false);
    struct lease *l = lock_lease_of(f);
    if (f->locked)
        lock_drop(&flocks);
    if (f->ranged)
        lock_drop(&ranges);
    if (l)
        lock_lease_end(f->inode, l);
}
