// SPDX-License-Identifier: Apache-2.0
// Locks of files: flock's, one an open file; and fcntl's ranges, of the process or of an open file
// (OFD).
#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/proc/proc.h"

struct flock_entry {
    struct list node;
    struct file *file;
    bool exclusive;
};

static struct flock_entry *flock_of(struct file *f)
{
    list_for(it, &f->inode->flocks)
    {
        struct flock_entry *e = container_of(it, struct flock_entry, node);
        if (e->file == f)
            return e;
    }
    return NULL;
}

static bool flock_conflicts(struct file *f, bool exclusive)
{
    list_for(it, &f->inode->flocks)
    {
        struct flock_entry *e = container_of(it, struct flock_entry, node);
        if (e->file != f && (exclusive || e->exclusive))
            return true;
    }
    return false;
}

static void flock_release(struct file *f)
{
    struct flock_entry *e = f->locked ? flock_of(f) : NULL;
    if (!e)
        return;
    list_remove(&e->node);
    los_free(e);
    f->locked = false;
    wait_wake_all(&f->inode->flock_wait);
}

#define LOCK_SHARED 1u
#define LOCK_EXCLUSIVE 2u
#define LOCK_NOBLOCK 4u
#define LOCK_UNLOCK 8u
#define LOCK_MANDATORY 32u /* has been nothing for long: told and forgotten */

long sys_flock(int fd, uint32_t operation)
{
    struct file *f = fd_file(fd);
    uint32_t what = operation & ~LOCK_NOBLOCK;
    if (operation & LOCK_MANDATORY)
        return 0;
    if (what != LOCK_SHARED && what != LOCK_EXCLUSIVE && what != LOCK_UNLOCK)
        return -EINVAL;
    if (!f)
        return -EBADF;
    if (!f->inode)
        return 0;
    flock_release(f);
    if (what == LOCK_UNLOCK)
        return 0;
    long r = 0;
    file_get(f);
    while (!r && flock_conflicts(f, what == LOCK_EXCLUSIVE))
        r = wait_for(&f->inode->flock_wait, !(operation & LOCK_NOBLOCK));
    struct flock_entry *e = r ? NULL : los_alloc(sizeof(*e));
    if (!r && !e)
        r = -ENOLCK;
    if (!r) {
        e->file = f;
        e->exclusive = what == LOCK_EXCLUSIVE;
        list_append(&f->inode->flocks, &e->node);
        f->locked = true;
    }
    file_put(f);
    return r;
}

/* Bytes start..last. The owner is the process, or the open file. */
struct range {
    struct list node;
    const void *owner;
    uint64_t start, last;
    bool exclusive;
};

struct user_range {
    int16_t type, whence;
    int32_t pad;
    int64_t start, size;
    int32_t pid, pad2;
};

static int range_parse(const struct file *f, const struct user_range *u, struct range *r)
{
    int64_t base, size = u->size;
    switch (u->whence) {
    case 0:
        base = 0;
        break;
    case 1:
        base = (int64_t)f->offset;
        break;
    case 2:
        base = f->inode ? (int64_t)f->inode->size : 0;
        break;
    default:
        return -EINVAL;
    }
    int64_t start, last = INT64_MAX;
    if (__builtin_add_overflow(base, u->start, &start))
        return -EOVERFLOW;
    if (start < 0)
        return -EINVAL;
    if (size > 0 && __builtin_add_overflow(start, size - 1, &last))
        return -EOVERFLOW;
    if (size < 0) {
        last = start - 1;
        if (__builtin_add_overflow(start, size, &start) || start < 0)
            return -EINVAL;
    }
    if (u->type != F_RDLCK && u->type != F_WRLCK && u->type != F_UNLCK)
        return -EINVAL;
    r->start = (uint64_t)start;
    r->last = (uint64_t)last;
    r->exclusive = u->type == F_WRLCK;
    return 0;
}

static struct range *range_conflict(struct inode *i, const struct range *r)
{
    list_for(it, &i->ranges)
    {
        struct range *o = container_of(it, struct range, node);
        if (o->owner != r->owner && o->start <= r->last && r->start <= o->last &&
            (o->exclusive || r->exclusive))
            return o;
    }
    return NULL;
}

/* Takes start..last out of what the owner holds. `spare` becomes the rest where one is cut in two.
 */
static void range_cut(struct inode *i, const struct range *r, struct range **spare)
{
    list_for_safe(it, nx, &i->ranges)
    {
        struct range *o = container_of(it, struct range, node);
        if (o->owner != r->owner || o->start > r->last || r->start > o->last)
            continue;
        bool head = o->start<r->start, tail = o->last> r->last;
        if (head && tail) {
            struct range *rest = *spare;
            *spare = NULL;
            *rest = (struct range){.owner = o->owner,
                                   .start = r->last + 1,
                                   .last = o->last,
                                   .exclusive = o->exclusive};
            list_init(&rest->node);
            list_append(it->next, &rest->node); /* behind it */
            o->last = r->start - 1;
        } else if (head) {
            o->last = r->start - 1;
        } else if (tail) {
            o->start = r->last + 1;
        } else {
            list_remove(it);
            los_free(o);
        }
    }
}

/* Owners in the order in which they came, each one's ranges by their start; alike neighbours become
 * one. So F_GETLK names the lock that Linux names. */
static void range_insert(struct inode *i, struct range *r)
{
    struct list *at = &i->ranges;
    bool mine = false;
    list_for(it, &i->ranges)
    {
        const struct range *o = container_of(it, struct range, node);
        if (o->owner == r->owner) {
            mine = true;
            if (o->start > r->start) {
                at = it;
                break;
            }
        } else if (mine) {
            at = it;
            break;
        }
    }
    list_append(at, &r->node); /* before it */
}

static void range_join(struct inode *i, struct range *r)
{
    list_for_safe(it, nx, &i->ranges)
    {
        struct range *o = container_of(it, struct range, node);
        if (o == r || o->owner != r->owner || o->exclusive != r->exclusive)
            continue;
        if (o->last + 1 != r->start && r->last + 1 != o->start)
            continue;
        r->start = MIN(r->start, o->start);
        r->last = MAX(r->last, o->last);
        list_remove(it);
        los_free(o);
    }
}

/* Who waits for whose range. */
struct blocked {
    struct list node;
    const void *owner, *by;
};
static struct list blocked = {&blocked, &blocked};

/* Would it wait for one that waits, perhaps in a row, for it? As far as Linux looks. */
static bool is_deadlock(const void *owner, const void *by)
{
    for (int depth = 0; depth < 10 && by && by != owner; depth++) {
        const void *next = NULL;
        list_for(it, &blocked)
        {
            const struct blocked *b = container_of(it, struct blocked, node);
            if (b->owner == by)
                next = b->by;
        }
        by = next;
    }
    return by == owner;
}

static long wait_range(struct inode *i, const struct range *want, const struct range *held,
                       bool by_process)
{
    struct blocked b = {.owner = want->owner, .by = held->owner};
    if (by_process && is_deadlock(b.owner, b.by))
        return -EDEADLK;
    list_append(&blocked, &b.node);
    long r = wait_for(&i->flock_wait, true);
    list_remove(&b.node);
    return r;
}

static long range_set(struct file *f, const struct range *want, bool unlock, bool wait)
{
    struct inode *i = f->inode;
    const struct range *held_by;
    file_get(f);
    long r = 0;
    while (!r && !unlock && (held_by = range_conflict(i, want)))
        r = wait ? wait_range(i, want, held_by, want->owner != f) : -EAGAIN;
    struct range *held = r ? NULL : los_alloc(sizeof(*held));
    struct range *spare = held ? los_alloc(sizeof(*spare)) : NULL;
    if (!r && !spare)
        r = -ENOLCK;
    if (!r) {
        range_cut(i, want, &spare);
        if (!unlock) {
            *held = *want;
            list_init(&held->node);
            range_insert(i, held);
            range_join(i, held);
            held = NULL;
        }
        if (want->owner == f)
            f->ranged = true;
        wait_wake_all(&i->flock_wait);
    }
    los_free(held);
    los_free(spare);
    file_put(f);
    return r;
}

/* Of a lock that belongs to an open file: -1 (fcntl(2)). */
static int owner_pid(const void *owner)
{
    list_for(it, &processes)
    {
        const struct process *p = container_of(it, struct process, node);
        if (p == owner)
            return p->pid;
    }
    return -1;
}

long lock_fcntl(struct file *f, int command, uint64_t arg)
{
    struct user_range u;
    bool ofd = command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
    bool get = command == F_GETLK || command == F_OFD_GETLK;
    struct range r = {.owner = ofd ? (const void *)f : current()};
    if (user_read(&u, arg, sizeof(u)))
        return -EFAULT;
    if (ofd && u.pid)
        return -EINVAL;
    if (get && u.type != F_RDLCK && u.type != F_WRLCK)
        return -EINVAL;
    int e = range_parse(f, &u, &r);
    if (e)
        return e;
    if (get) {
        struct range *o = f->inode ? range_conflict(f->inode, &r) : NULL;
        u.type = F_UNLCK;
        if (o)
            u = (struct user_range){
                .type = o->exclusive ? F_WRLCK : F_RDLCK,
                .start = (int64_t)o->start,
                .size = o->last == INT64_MAX ? 0 : (int64_t)(o->last - o->start + 1),
                .pid = owner_pid(o->owner)};
        return user_write(arg, &u, sizeof(u));
    }
    if ((u.type == F_RDLCK && !file_can_read(f)) || (u.type == F_WRLCK && !file_can_write(f)))
        return -EBADF;
    if (!f->inode)
        return 0;
    return range_set(f, &r, u.type == F_UNLCK, command == F_SETLKW || command == F_OFD_SETLKW);
}

static void range_drop(struct inode *i, const void *owner)
{
    struct range all = {.owner = owner, .last = INT64_MAX};
    if (list_empty(&i->ranges))
        return;
    range_cut(i, &all, NULL);
    wait_wake_all(&i->flock_wait);
}

/* POSIX: closing any descriptor of a file gives up what the process locked in it. */
bool lock_is_held(const struct file *f)
{
    return f->inode && !list_empty(&f->inode->ranges);
}

void lock_closed(struct file *f)
{
    if (f->inode)
        range_drop(f->inode, current());
}

void lock_release(struct file *f)
{
    flock_release(f);
    if (f->ranged)
        range_drop(f->inode, f);
}
