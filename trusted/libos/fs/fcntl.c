// SPDX-License-Identifier: Apache-2.0
// fcntl, ioctl, flock.
#include <asm/ioctls.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"

#define CHANGEABLE ((uint32_t)(O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | FASYNC))

struct posix_lock {
    int16_t type, whence;
    int32_t pad;
    int64_t start, size;
    int32_t pid, pad2;
};

/* Locks of fcntl belong to processes, so within one they never conflict. Those of open files (OFD)
 * are checked against each other as a whole file. */
static long posix_lock(struct file *f, int command, uint64_t arg)
{
    struct posix_lock l;
    if (user_read(&l, arg, sizeof(l)))
        return -EFAULT;
    if (l.type != F_RDLCK && l.type != F_WRLCK && l.type != F_UNLCK)
        return -EINVAL;
    if (command != F_GETLK) {
        if ((l.type == F_RDLCK && !file_can_read(f)) || (l.type == F_WRLCK && !file_can_write(f)))
            return -EBADF;
        return 0;
    }
    l.type = F_UNLCK;
    return user_write(arg, &l, sizeof(l));
}

long sys_fcntl(int fd, int command, uint64_t arg)
{
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    switch (command) {
    case F_GETFL:
        return (long)(f->flags | (f->flags & O_PATH ? 0 : O_LARGEFILE_BIT));
    case F_SETFL:
        f->flags = (f->flags & ~CHANGEABLE) | ((uint32_t)arg & CHANGEABLE);
        return 0;
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
        return posix_lock(f, command, arg);
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return -EINVAL;
    case F_GETPIPE_SZ:
    case F_SETPIPE_SZ:
        return f->ops->name && !strcmp(f->ops->name, "pipe") ? 65536 : -EBADF;
    case F_GETOWN:
    case F_SETOWN:
    case F_SETSIG:
    case F_GETSIG:
        return 0;
    case F_ADD_SEALS:
        return f->ops == &regular_ops ? 0 : -EINVAL;
    case F_GET_SEALS:
        return f->ops == &regular_ops ? 0 : -EINVAL;
    default:
        return fd_fcntl(fd, command, arg);
    }
}

long sys_ioctl(int fd, uint32_t request, uint64_t arg)
{
    struct file *f = fd_file(fd);
    int value;
    if (!f || (f->flags & O_PATH))
        return -EBADF;
    switch (request) {
    case FIONBIO:
        if (user_read(&value, arg, sizeof(value)))
            return -EFAULT;
        f->flags = value ? f->flags | O_NONBLOCK : f->flags & ~(uint32_t)O_NONBLOCK;
        return 0;
    case FIOCLEX:
    case FIONCLEX:
        return fd_fcntl(fd, F_SETFD, request == FIOCLEX ? FD_CLOEXEC : 0);
    case FIONREAD:
        if (f->ops == &regular_ops) {
            uint64_t left = f->inode->size - MIN(f->offset, f->inode->size);
            value = left > INT32_MAX ? INT32_MAX : (int)left;
            return user_write(arg, &value, sizeof(value));
        }
        break;
    }
    return f->ops->ioctl ? f->ops->ioctl(f, request, arg) : -ENOTTY;
}

/* flock: one entry an open file. */
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

static bool conflicts(struct file *f, bool exclusive)
{
    list_for(it, &f->inode->flocks)
    {
        struct flock_entry *e = container_of(it, struct flock_entry, node);
        if (e->file != f && (exclusive || e->exclusive))
            return true;
    }
    return false;
}

void flock_release(struct file *f)
{
    if (!f->locked)
        return;
    struct flock_entry *e = flock_of(f);
    if (e) {
        list_remove(&e->node);
        los_free(e);
    }
    f->locked = false;
    wait_wake_all(&f->inode->flock_wait);
}

#define LOCK_SHARED 1u
#define LOCK_EXCLUSIVE 2u
#define LOCK_NOBLOCK 4u
#define LOCK_UNLOCK 8u

long sys_flock(int fd, uint32_t operation)
{
    struct file *f = fd_file(fd);
    uint32_t what = operation & ~LOCK_NOBLOCK;
    if (!f)
        return -EBADF;
    if (what != LOCK_SHARED && what != LOCK_EXCLUSIVE && what != LOCK_UNLOCK)
        return -EINVAL;
    if (!f->inode)
        return 0;
    flock_release(f);
    if (what == LOCK_UNLOCK)
        return 0;
    long r = 0;
    file_get(f);
    while (!r && conflicts(f, what == LOCK_EXCLUSIVE)) {
        r = operation & LOCK_NOBLOCK ? -EAGAIN : wait_on(&f->inode->flock_wait, NO_DEADLINE);
        if (r == -EINTR)
            r = -ERESTARTSYS;
    }
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
