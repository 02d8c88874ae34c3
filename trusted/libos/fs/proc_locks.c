// SPDX-License-Identifier: Apache-2.0
// /proc/locks, and what /proc/PID/fdinfo says of locks.
#include "trusted/libos/fs/lock.h"
#include "trusted/libos/fs/proc.h"

static void put_lock(struct text *t, unsigned id, const char *arrow, const struct lock_range *r)
{
    static const char *const kinds[] = {"FLOCK  ADVISORY ", "POSIX  ADVISORY ", "OFDLCK ADVISORY ",
                                        "LEASE  ACTIVE   "};
    const char *kind = kinds[r->kind], *type = r->exclusive ? "WRITE" : "READ";
    const struct lease *l = r->kind == LOCK_LEASE ? container_of(r, struct lease, held) : NULL;
    if (l && l->asked != l->type) {
        kind = "LEASE  BREAKING ";
        type = l->asked == F_UNLCK ? "UNLCK" : "READ";
    }
    text_put(t, "%u: %s%s %s %d 00:%02lx:%lu %lu ", id, arrow, kind, type, r->pid,
             device_of(r->inode), r->inode->ino, r->start);
    text_put(t, r->last == INT64_MAX ? "EOF\n" : "%lu\n", r->last);
}

void proc_show_locks(struct text *t)
{
    unsigned id = 0;
    list_each(const struct lock_range, r, &lock_every, every) {
        put_lock(t, ++id, "", r);
        list_each(const struct blocked, b, &lock_blocked, node) {
            if (b->by == r)
                put_lock(t, id, "-> ", b->want);
        }
    }
}

static void tell_list(const struct list *of, const struct file *f, struct text *t, unsigned *id)
{
    list_each(const struct lock_range, r, of, node) {
        if (r->file != f || (r->owner != f && r->owner != t->process))
            continue;
        text_put(t, "lock:\t");
        put_lock(t, ++*id, "", r);
    }
}

void lock_tell(const struct file *f, struct text *t)
{
    unsigned id = 0;
    const struct lease *l = lock_lease_of(f);
    if (!f->inode)
        return;
    tell_list(&f->inode->flocks, f, t, &id);
    tell_list(&f->inode->ranges, f, t, &id);
    if (l) {
        text_put(t, "lock:\t");
        put_lock(t, ++id, "", &l->held);
    }
}
