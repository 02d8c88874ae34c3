// SPDX-License-Identifier: Apache-2.0
// flock and the locks of fcntl, whose waiting is here.
#include "trusted/libos/calls.h"
#include "trusted/libos/fs/lock.h"
#include "trusted/libos/proc/proc.h"

#define LOCK_SHARED 1u
#define LOCK_EXCLUSIVE 2u
#define LOCK_NOBLOCK 4u
#define LOCK_UNLOCK 8u
#define LOCK_MANDATORY 32u /* has been nothing for long: told and forgotten */

/* Would it wait for one that waits, perhaps in a row, for it? As far as Linux looks. */
static bool is_deadlock(const void *owner, const void *by)
{
    for (int depth = 0; depth < 10 && by && by != owner; depth++) {
        const void *next = NULL;
        list_each(const struct blocked, b, &lock_blocked, node) {
            if (b->want->owner == by)
                next = b->owner;
        }
        by = next;
    }
    return by == owner;
}

static long wait_lock(const struct lock_range *want, const struct lock_range *held)
{
    struct blocked b = {.want = want, .by = held, .owner = held->owner};
    if (want->kind == LOCK_POSIX && is_deadlock(want->owner, b.owner))
        return -EDEADLK;
    list_append(&lock_blocked, &b.node);
    long r = wait_for(&want->inode->flock_wait, true);
    list_remove(&b.node);
    return r;
}

/* Gives up what its owner has of these bytes, and takes them unless it is to `unlock`. */
static long change_lock(struct file *f, const struct lock_range *want, bool unlock, bool wait)
{
    const struct lock_range *by, *own;
    file_get(f);
    long r = 0;
    while (!r && !unlock && (by = lock_conflict(want)))
        r = wait ? wait_lock(want, by) : -EAGAIN;
    struct lock_range *held = r ? NULL : los_alloc(sizeof(*held));
    struct lock_range *spare = held ? los_alloc(sizeof(*spare)) : NULL;
    if (!r && !spare)
        r = -ENOLCK;
    if (!r) {
        if (!unlock) {
            *held = *want;
            own = lock_own(want);
            if (own && own->exclusive == want->exclusive)
                held->file = own->file; /* it only grows */
        }
        lock_cut(want, &spare);
        if (!unlock) {
            lock_insert(held);
            lock_join(held);
            held = NULL;
        }
        wait_wake_all(&want->inode->flock_wait);
    }
    los_free(held);
    los_free(spare);
    file_put(f);
    return r;
}

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
    struct lock_range want = lock_ask(f, LOCK_FLOCK, what == LOCK_EXCLUSIVE);
    lock_drop(&want); /* a change of its kind begins with nothing */
    f->locked = what != LOCK_UNLOCK;
    return f->locked ? change_lock(f, &want, false, !(operation & LOCK_NOBLOCK)) : 0;
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

long lock_fcntl(struct file *f, int command, uint64_t arg)
{
    struct user_range u;
    bool ofd = command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
    bool get = command == F_GETLK || command == F_OFD_GETLK;
    struct lock_range r = lock_ask(f, ofd ? LOCK_OFD : LOCK_POSIX, false);
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
                               : u.type == F_UNLCK ? lock_own(&r)
                                                   : lock_conflict(&r);
        u.type = F_UNLCK;
        if (o)
            u = (struct user_range){
                .type = o->exclusive ? F_WRLCK : F_RDLCK,
                .start = (int64_t)o->start,
                .size = o->last == INT64_MAX ? 0 : (int64_t)(o->last - o->start + 1),
                .pid = o->pid};
        return user_write(arg, &u, sizeof(u));
    }
    if ((u.type == F_RDLCK && !file_can_read(f)) || (u.type == F_WRLCK && !file_can_write(f)))
        return -EBADF;
    if (!f->inode)
        return 0;
    f->ranged = f->ranged || ofd;
    return change_lock(f, &r, u.type == F_UNLCK, command == F_SETLKW || command == F_OFD_SETLKW);
}
