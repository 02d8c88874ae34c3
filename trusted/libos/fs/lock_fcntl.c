// SPDX-License-Identifier: Apache-2.0
// flock and the locks of fcntl, whose waiting is here.
#include "trusted/libos/calls.h"
#include "trusted/libos/fs/lock.h"
#include "trusted/libos/proc/proc.h"

long sys_flock(int fd, uint32_t operation)
{
    struct file *f = fd_file(fd);
    uint32_t what = operation & ~LOCK_NB;
    if (operation & LOCK_MAND)
        return 0;
    if (what != LOCK_SH && what != LOCK_EX && what != LOCK_UN)
        return -EINVAL;
    if (!f)
        return -EBADF;
    if (!f->inode)
        return 0;
    lock_flock_release(f);
    if (what == LOCK_UN)
        return 0;
    long r = 0;
    file_get(f);
    while (!r && lock_flock_conflicts(f, what == LOCK_EX))
        r = wait_for(&f->inode->flock_wait, !(operation & LOCK_NB));
    struct flock_entry *e = r ? NULL : los_alloc(sizeof(*e));
    if (!r && !e)
        r = -ENOLCK;
    if (!r) {
        e->file = f;
        e->exclusive = what == LOCK_EX;
        list_append(&f->inode->flocks, &e->node);
        f->locked = true;
    }
    file_put(f);
    return r;
}

struct user_range {
    int16_t type, whence;
    int32_t pad;
    int64_t start, size;
    int32_t pid, pad2;
};

static int range_parse(const struct file *f, const struct user_range *u, struct lock_range *r)
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
        list_each(const struct blocked, b, &blocked, node) {
            if (b->owner == by)
                next = b->by;
        }
        by = next;
    }
    return by == owner;
}

static long wait_range(struct inode *i, const struct lock_range *want,
                       const struct lock_range *held, bool by_process)
{
    struct blocked b = {.owner = want->owner, .by = held->owner};
    if (by_process && is_deadlock(b.owner, b.by))
        return -EDEADLK;
    list_append(&blocked, &b.node);
    long r = wait_for(&i->flock_wait, true);
    list_remove(&b.node);
    return r;
}

static long range_set(struct file *f, const struct lock_range *want, bool unlock, bool wait)
{
    struct inode *i = f->inode;
    const struct lock_range *held_by;
    file_get(f);
    long r = 0;
    while (!r && !unlock && (held_by = lock_range_conflict(i, want)))
        r = wait ? wait_range(i, want, held_by, want->owner != f) : -EAGAIN;
    struct lock_range *held = r ? NULL : los_alloc(sizeof(*held));
    struct lock_range *spare = held ? los_alloc(sizeof(*spare)) : NULL;
    if (!r && !spare)
        r = -ENOLCK;
    if (!r) {
        lock_range_cut(i, want, &spare);
        if (!unlock) {
            *held = *want;
            list_init(&held->node);
            lock_range_insert(i, held);
            lock_range_join(i, held);
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
    list_each(const struct process, p, &processes, node) {
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
    struct lock_range r = {.owner = ofd ? (const void *)f : current()};
    if (user_read(&u, arg, sizeof(u)))
        return -EFAULT;
    if (ofd && u.pid)
        return -EINVAL;
    if (get && u.type != F_RDLCK && u.type != F_WRLCK && !(ofd && u.type == F_UNLCK))
        return -EINVAL;
    int e = range_parse(f, &u, &r);
    if (e)
        return e;
    if (get) {
        struct lock_range *o = !f->inode           ? NULL
                               : u.type == F_UNLCK ? lock_range_own(f->inode, &r)
                                                   : lock_range_conflict(f->inode, &r);
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
