// SPDX-License-Identifier: Apache-2.0
// Locks that are held on files, for the calls that take them. With the big lock held exclusively.
#ifndef LIBOS_FS_LOCK_H
#define LIBOS_FS_LOCK_H

#include "trusted/libos/fs/file.h"

/* As /proc/locks names them. */
enum lock_kind { LOCK_FLOCK, LOCK_POSIX, LOCK_OFD, LOCK_LEASE };

/* Bytes start..last; of flock and leases all. The owner is the process (LOCK_POSIX), or the open
 * file. */
struct lock_range {
    struct list node;  /* inode.flocks, inode.ranges */
    struct list every; /* of all that are held; empty until it is */
    enum lock_kind kind;
    struct inode *inode;
    const void *owner;
    const struct file *file; /* by which it was taken; may be gone: never looked into */
    int pid;                 /* who took it; -1: LOCK_OFD */
    uint64_t start, last;
    bool exclusive;
};

/* Who waits, for which; also for /proc/locks. */
struct blocked {
    struct list node;
    const struct lock_range *want, *by; /* by: only its address */
    const void *owner;                  /* by's */
};
extern struct list lock_blocked;
extern struct list lock_every; /* the newest first */

/* fs/lease.c gives it; of inode.leases. */
struct lease {
    struct lease *next; /* of inode.leases */
    struct file *file;  /* whose it is; not counted: it ends with it */
    int fd, type;
    int asked; /* what it is to become: F_RDLCK, F_UNLCK; equal to type: nobody asked */
    uint64_t deadline;
    struct lock_range held; /* for /proc/locks */
};
/* f's, or NULL. */
struct lease *lock_lease_of(const struct file *f);
/* It is freed; who waits for it wakes. Exclusively. */
void lock_lease_end(struct inode *i, struct lease *l);

/* All of f's bytes, or what of them the caller changes: a lock that this thread asks for. */
struct lock_range lock_ask(struct file *f, enum lock_kind kind, bool exclusive);
/* It is held from now on; it is in no list of the inode's yet. */
void lock_hold(struct lock_range *r);

/* Of *r's kin (flocks, or ranges): one of another owner that does not go with it, or NULL. */
struct lock_range *lock_conflict(const struct lock_range *r);
/* The first of the same owner in these bytes, or NULL. */
struct lock_range *lock_own(const struct lock_range *r);
/* Takes the bytes of *r out of what its owner holds. *spare becomes the rest where one is cut in
 * two, and is NULL then; NULL where none can be. */
void lock_cut(const struct lock_range *r, struct lock_range **spare);
/* Adds r, which then is the inode's; and makes one of it and of those beside it. */
void lock_insert(struct lock_range *r);
void lock_join(struct lock_range *r);
/* All of *r's owner and kin. */
void lock_drop(const struct lock_range *r);

/* fs/lease.c. Exclusively. */
/* F_SETLEASE and F_GETLEASE. -EACCES, -EAGAIN, -EINVAL, -ENOMEM. */
long lease_set(int fd, struct file *f, int type);
int lease_get(const struct file *f);

#endif
