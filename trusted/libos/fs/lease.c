// SPDX-License-Identifier: Apache-2.0
// Leases on files (F_SETLEASE): who has one hears of an open or truncate that does not go with it,
// and that waits until he gives it up, or for LEASE_BREAK_NS.
#include "trusted/libos/fs/lock.h"

#include <asm/poll.h>

#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/time/time.h"

#define LEASE_BREAK_NS (45 * NS) /* /proc/sys/fs/lease-break-time */
#define BAND_MSG 3               /* POLL_MSG of siginfo_t */

int lease_get(const struct file *f)
{
    const struct lease *l = lock_lease_of(f);
    return l ? l->asked : F_UNLCK;
}

/* Does any other open file of any process go against a lease of this type? */
static bool is_open_otherwise(const struct file *f, int type)
{
    if (type == F_RDLCK && area_writes(f->inode))
        return true;
    list_each(const struct process, p, &processes, node) {
        for (int fd = -1; p->files && (fd = fd_next_of(p->files, fd + 1)) >= 0;) {
            const struct file *o = fd_file_of(p->files, fd);
            if (o != f && o->inode == f->inode && !(o->flags & O_PATH) &&
                (type == F_WRLCK || file_can_write(o)))
                return true;
        }
    }
    return false;
}

static long check_lease(const struct file *f, int type)
{
    struct inode *i = f->inode;
    if (i && current()->fsuid != i->uid && !capable(CAP_LEASE))
        return -EACCES;
    if (f->ops != &regular_ops || (type != F_RDLCK && type != F_WRLCK && type != F_UNLCK))
        return -EINVAL;
    if (type == F_UNLCK)
        return lock_lease_of(f) ? 0 : -EAGAIN;
    if ((type == F_RDLCK && file_can_write(f)) || is_open_otherwise(f, type))
        return -EAGAIN;
    const struct lease *mine = lock_lease_of(f);
    for (const struct lease *l = i->leases; l; l = l->next) {
        if (l != mine && (type == F_WRLCK || l->asked == F_UNLCK))
            return -EAGAIN;
    }
    return type == F_WRLCK && wait_has_sleeper(&i->flock_wait) ? -EAGAIN : 0; /* who opens it */
}

long lease_set(int fd, struct file *f, int type)
{
    long r = check_lease(f, type);
    struct lease *l = r ? NULL : lock_lease_of(f);
    if (r)
        return r;
    if (type == F_UNLCK) {
        lock_lease_end(f->inode, l);
        return 0;
    }
    if (!l) {
        l = los_alloc(sizeof(*l));
        if (!l)
            return -ENOMEM;
        *l = (struct lease){.next = f->inode->leases, .file = f};
        f->inode->leases = l;
        l->held = lock_ask(f, LOCK_LEASE, false);
        lock_hold(&l->held);
    }
    l->fd = fd;
    if (l->asked == l->type) /* else it is still asked for that */
        l->asked = type;
    l->type = type;
    l->held.exclusive = type == F_WRLCK;
    if (!f->owner)
        file_set_owner(f, 1, current()->pid);
    wait_wake_all(&f->inode->flock_wait);
    return 0;
}

/* Asks all that do not go with this; those that were asked too long ago end. True: one is left. */
static bool ask_leases(struct inode *i, bool write)
{
    bool left = false;
    for (struct lease *l = i->leases, *next; l; l = next) {
        int wanted = write ? F_UNLCK : F_RDLCK;
        next = l->next;
        if (l->type == F_RDLCK && !write)
            continue;
        if (l->asked != l->type && clock_now() >= l->deadline) {
            lock_lease_end(i, l);
            continue;
        }
        left = true;
        if (l->asked == F_UNLCK || l->asked == wanted)
            continue;
        if (l->asked == l->type)
            l->deadline = clock_now() + LEASE_BREAK_NS;
        l->asked = wanted;
        async_signal(l->file, l->fd, BAND_MSG, POLLIN | POLLRDNORM | POLLMSG);
    }
    return left;
}

int lease_break(struct inode *i, bool write, bool wait)
{
    int r = 0;
    while (!r && i->leases && ask_leases(i, write)) {
        if (!wait)
            return -EAGAIN;
        uint64_t deadline = NO_DEADLINE;
        for (const struct lease *l = i->leases; l; l = l->next)
            deadline = l->asked != l->type ? MIN(deadline, l->deadline) : deadline;
        r = wait_on(&i->flock_wait, deadline);
        r = r == -EINTR ? -ERESTARTSYS : 0;
    }
    return r;
}
