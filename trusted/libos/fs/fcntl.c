// SPDX-License-Identifier: Apache-2.0
// fcntl and ioctl.
#include <asm/ioctls.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/lock.h"
#include "trusted/libos/fs/notify.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"

#define CHANGEABLE ((uint32_t)(O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | FASYNC))
#define F_CREATED_QUERY_ 1028

static long owner_call(struct file *f, int command, uint64_t arg)
{
    int32_t o[2];
    switch (command) {
    case F_SETOWN:
        if ((int)arg == INT32_MIN)
            return -EINVAL;
        return (int)arg < 0 ? file_set_owner(f, 2, -(int)arg) : file_set_owner(f, 1, (int)arg);
    case F_GETOWN:
        return f->owner_type == 2 ? -f->owner : f->owner;
    case F_SETOWN_EX:
        return user_read(o, arg, sizeof(o)) ? -EFAULT : file_set_owner(f, o[0], o[1]);
    default:
        o[0] = f->owner ? f->owner_type : 0;
        o[1] = f->owner;
        return user_write(arg, o, sizeof(o));
    }
}

#define SEALS_ALL 63u

static long add_seals(struct file *f, uint32_t seals)
{
    if (!file_can_write(f))
        return -EPERM;
    if (seals & ~SEALS_ALL)
        return -EINVAL;
    if (f->ops != &regular_ops || f->inode->fs != FS_TMP)
        return -EINVAL;
    if (f->inode->seals & 1)
        return -EPERM;
    if ((seals & F_SEAL_WRITE) && area_writes(f->inode))
        return -EBUSY;
    f->inode->seals |= seals;
    return 0;
}

static long set_flags(int fd, struct file *f, uint32_t flags)
{
    if (((f->flags ^ flags) & flags & O_NOATIME) && f->inode && !capable(CAP_FOWNER) &&
        current()->fsuid != f->inode->uid)
        return -EPERM;
    bool direct = f->ops == &regular_ops || f->ops->pipe;
    if ((flags & O_DIRECT) && !direct)
        return -EINVAL;
    if (((f->flags ^ flags) & FASYNC)) {
        int r = async_set(fd, f, flags & FASYNC);
        if (r)
            return r;
    }
    uint32_t old = __atomic_load_n(&f->flags, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&f->flags, &old, (old & ~CHANGEABLE) | (flags & CHANGEABLE),
                                        false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
    return 0;
}

/* What is about the descriptor, or about whether to wait, goes beside others. */
static bool goes_beside(const struct file *f, int command, uint64_t arg)
{
    if (command == F_SETFL)
        return !((f->flags ^ (uint32_t)arg) & CHANGEABLE & ~(uint32_t)O_NONBLOCK);
    return command == F_GETFL || command == F_GETFD || command == F_SETFD || command == F_DUPFD ||
           command == F_DUPFD_CLOEXEC;
}

long sys_fcntl(int fd, int command, uint64_t arg)
{
    struct file *f = fd_any(fd);
    if (f && !goes_beside(f, command, arg) && call_alone())
        f = fd_any(fd);
    if (!f)
        return -EBADF;
    if (command == F_GETFL)
        return (long)file_flags(f);
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC || command == F_GETFD ||
        command == F_SETFD)
        return fd_fcntl(fd, command, arg);
    if (f->flags & O_PATH)
        return -EBADF;
    switch (command) {
    case F_SETFL:
        return set_flags(fd, f, (uint32_t)arg);
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return lock_fcntl(f, command, arg);
    case F_GETPIPE_SZ:
    case F_SETPIPE_SZ:
        return pipe_fcntl(f, command, arg);
    case F_GETOWN:
    case F_SETOWN:
    case F_GETOWN_EX:
    case F_SETOWN_EX:
        return owner_call(f, command, arg);
    case F_GETSIG:
        return f->owner_signal;
    case F_SETSIG:
        if (arg > SIG_COUNT)
            return -EINVAL;
        f->owner_signal = (int32_t)arg;
        return 0;
    case F_GETLEASE:
        return lease_get(f);
    case F_SETLEASE:
        return lease_set(fd, f, (int)arg);
    case F_ADD_SEALS:
        return add_seals(f, (uint32_t)arg);
    case F_GET_SEALS:
        return f->ops == &regular_ops && f->inode->fs == FS_TMP ? (long)f->inode->seals : -EINVAL;
    case F_CREATED_QUERY_:
        return f->made;
    case F_GET_RW_HINT: {
        uint64_t none = 0;
        return user_write(arg, &none, sizeof(none));
    }
    case F_NOTIFY:
        return f->inode && (f->inode->mode & S_IFMT) == S_IFDIR
                   ? notify_signals(fd, f, (uint32_t)arg)
                   : -ENOTDIR;
    default:
        return -EINVAL;
    }
}

/* FIONBIO, beside others. */
static long set_nonblock(int fd, uint64_t arg)
{
    int value;
    if (user_read(&value, arg, sizeof(value)))
        return -EFAULT;
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    if (value)
        __atomic_fetch_or(&f->flags, O_NONBLOCK, __ATOMIC_RELAXED);
    else
        __atomic_fetch_and(&f->flags, ~(uint32_t)O_NONBLOCK, __ATOMIC_RELAXED);
    return 0;
}

long sys_ioctl(int fd, uint32_t request, uint64_t arg)
{
    struct file *f = fd_file(fd);
    int value;
    bool beside = request == FIONBIO || request == FIOCLEX || request == FIONCLEX;
    if (f && !beside && call_alone())
        f = fd_file(fd);
    if (!f)
        return -EBADF;
    switch (request) {
    case FIONBIO:
        return set_nonblock(fd, arg);
    case FIOCLEX:
    case FIONCLEX:
        return fd_fcntl(fd, F_SETFD, request == FIOCLEX ? FD_CLOEXEC : 0);
    case FIOASYNC:
        if (user_read(&value, arg, sizeof(value)))
            return -EFAULT;
        if (value && !f->ops->name)
            return -ENOTTY;
        if (!value != !(f->flags & FASYNC)) {
            int r = async_set(fd, f, value);
            if (r)
                return r;
        }
        f->flags = value ? f->flags | FASYNC : f->flags & ~(uint32_t)FASYNC;
        return 0;
    case FIOQSIZE: {
        uint32_t type = f->inode ? f->inode->mode & S_IFMT : 0;
        if (type != S_IFREG && type != S_IFDIR)
            return -ENOTTY;
        return user_write(arg, &f->inode->size, 8);
    }
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
