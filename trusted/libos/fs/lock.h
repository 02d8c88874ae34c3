// SPDX-License-Identifier: Apache-2.0
// Locks that are held on files, for the calls that take them. With the big lock held exclusively.
#ifndef LIBOS_FS_LOCK_H
#define LIBOS_FS_LOCK_H

#include "trusted/libos/fs/file.h"

struct flock_entry {
    struct list node;
    struct file *file;
    bool exclusive;
};

/* Bytes start..last. The owner is the process, or the open file. */
struct lock_range {
    struct list node;
    const void *owner;
    uint64_t start, last;
    bool exclusive;
};

/* fs/lease.c gives it; of inode.leases. */
struct lease {
    struct lease *next; /* of inode.leases */
    struct file *file;  /* whose it is; not counted: it ends with it */
    int fd, type;
    int asked; /* what it is to become: F_RDLCK, F_UNLCK; equal to type: nobody asked */
    uint64_t deadline;
};
/* f's, or NULL. */
struct lease *lock_lease_of(const struct file *f);
/* It is freed; who waits for it wakes. Exclusively. */
void lock_lease_end(struct inode *i, struct lease *l);

/* Has another open file a lock that does not go with this one? */
bool lock_flock_conflicts(struct file *f, bool exclusive);
/* Gives up f's, if it has one, and wakes who waits. */
void lock_flock_release(struct file *f);

/* One of another owner that does not go with *r, or NULL. */
struct lock_range *lock_range_conflict(struct inode *i, const struct lock_range *r);
/* The first of the same owner in these bytes, or NULL. */
struct lock_range *lock_range_own(struct inode *i, const struct lock_range *r);
/* Takes the bytes of *r out of what its owner holds. *spare becomes the rest where one is cut in
 * two, and is NULL then; NULL where none can be. */
void lock_range_cut(struct inode *i, const struct lock_range *r, struct lock_range **spare);
/* Adds r, which then is the inode's; and makes one of it and of those beside it. */
void lock_range_insert(struct inode *i, struct lock_range *r);
void lock_range_join(struct inode *i, struct lock_range *r);

/* fs/lease.c. Exclusively. */
/* F_SETLEASE and F_GETLEASE. -EACCES, -EAGAIN, -EINVAL, -ENOMEM. */
long lease_set(int fd, struct file *f, int type);
int lease_get(const struct file *f);

#endif
