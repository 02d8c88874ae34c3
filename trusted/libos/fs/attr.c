// SPDX-License-Identifier: Apache-2.0
// Changing a file's attributes and size.
#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"

/* The inode that a (dirfd, path) or descriptor names, counted. */
static int inode_at(int dirfd, uint64_t path, int flags, struct inode **out)
{
    if (!path || (flags & AT_EMPTY_PATH)) {
        char first = 0;
        if (path && user_read(&first, path, 1))
            return -EFAULT;
        if (!first) {
            struct file *f = fd_file(dirfd);
            if (!f)
                return -EBADF;
            if (!f->inode)
                return -EINVAL;
            inode_get(f->inode);
            *out = f->inode;
            return 0;
        }
    }
    struct walk w;
    int r = walk_user(dirfd, path, flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW, &w);
    if (r)
        return r;
    *out = w.file ? w.file->inode : w.dentry->inode;
    if (*out)
        inode_get(*out);
    walk_end(&w);
    return *out ? 0 : -EINVAL;
}

static bool owns(const struct inode *i)
{
    return current()->euid == 0 || current()->euid == i->uid;
}

static long change_mode(int dirfd, uint64_t path, uint32_t mode, int flags)
{
    struct inode *i;
    int r = inode_at(dirfd, path, flags, &i);
    if (r)
        return r;
    if (i->fs == FS_PROC || !owns(i)) {
        r = -EPERM;
    } else {
        i->mode = (i->mode & S_IFMT) | (mode & 07777);
        inode_touch(i, false);
    }
    inode_put(i);
    return r;
}

long sys_chmod(uint64_t path, uint32_t mode)
{
    return change_mode(AT_FDCWD, path, mode, 0);
}

long sys_fchmod(int fd, uint32_t mode)
{
    return change_mode(fd, 0, mode, 0);
}

long sys_fchmodat(int dirfd, uint64_t path, uint32_t mode)
{
    return path ? change_mode(dirfd, path, mode, 0) : -EFAULT;
}

static long change_owner(int dirfd, uint64_t path, uint32_t uid, uint32_t gid, int flags)
{
    struct inode *i;
    int r = inode_at(dirfd, path, flags, &i);
    if (r)
        return r;
    bool gives = (uid != UINT32_MAX && uid != i->uid) || (gid != UINT32_MAX && gid != current()->egid);
    if (i->fs == FS_PROC || (current()->euid && (gives || !owns(i)))) {
        r = -EPERM;
    } else {
        i->uid = uid != UINT32_MAX ? uid : i->uid;
        i->gid = gid != UINT32_MAX ? gid : i->gid;
        if ((i->mode & S_IFMT) == S_IFREG)
            i->mode &= ~(uint32_t)06000;
        inode_touch(i, false);
    }
    inode_put(i);
    return r;
}

long sys_chown(uint64_t path, uint32_t uid, uint32_t gid)
{
    return change_owner(AT_FDCWD, path, uid, gid, 0);
}

long sys_lchown(uint64_t path, uint32_t uid, uint32_t gid)
{
    return change_owner(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

long sys_fchown(int fd, uint32_t uid, uint32_t gid)
{
    return change_owner(fd, 0, uid, gid, 0);
}

long sys_fchownat(int dirfd, uint64_t path, uint32_t uid, uint32_t gid, int flags)
{
    if (!path)
        return -EFAULT;
    return change_owner(dirfd, path, uid, gid, flags);
}

#define UTIME_NOW_NS 0x3fffffff
#define UTIME_OMIT_NS 0x3ffffffe

static int set_time(struct time *t, int64_t s, int64_t ns)
{
    if (ns == UTIME_OMIT_NS)
        return 0;
    if (ns == UTIME_NOW_NS) {
        *t = time_now();
        return 0;
    }
    if (ns < 0 || ns > 999999999)
        return -EINVAL;
    *t = (struct time){s, (uint32_t)ns};
    return 0;
}

static long change_times(int dirfd, uint64_t path, const int64_t t[4], int flags)
{
    struct inode *i;
    int r = inode_at(dirfd, path, flags, &i);
    if (r)
        return r;
    if (i->fs == FS_PROC || !owns(i))
        r = -EPERM;
    if (!r)
        r = set_time(&i->atime, t[0], t[1]);
    if (!r)
        r = set_time(&i->mtime, t[2], t[3]);
    if (!r)
        i->ctime = time_now();
    inode_put(i);
    return r;
}

long sys_utimensat(int dirfd, uint64_t path, uint64_t times, int flags)
{
    int64_t t[4] = {0, UTIME_NOW_NS, 0, UTIME_NOW_NS};
    if (times && user_read(t, times, sizeof(t)))
        return -EFAULT;
    return change_times(dirfd, path, t, flags);
}

/* utimes and futimesat: microseconds */
static long microseconds(int dirfd, uint64_t path, uint64_t times)
{
    int64_t t[4] = {0, UTIME_NOW_NS, 0, UTIME_NOW_NS};
    if (times) {
        if (user_read(t, times, sizeof(t)))
            return -EFAULT;
        if (t[1] < 0 || t[1] > 999999 || t[3] < 0 || t[3] > 999999)
            return -EINVAL;
        t[1] *= 1000;
        t[3] *= 1000;
    }
    return change_times(dirfd, path, t, 0);
}

long sys_utimes(uint64_t path, uint64_t times)
{
    return path ? microseconds(AT_FDCWD, path, times) : -EFAULT;
}

long sys_futimesat(int dirfd, uint64_t path, uint64_t times)
{
    return microseconds(dirfd, path, times);
}

long sys_utime(uint64_t path, uint64_t times)
{
    int64_t t[4] = {0, UTIME_NOW_NS, 0, UTIME_NOW_NS}, s[2];
    if (times) {
        if (user_read(s, times, sizeof(s)))
            return -EFAULT;
        t[0] = s[0];
        t[2] = s[1];
        t[1] = t[3] = 0;
    }
    return path ? change_times(AT_FDCWD, path, t, 0) : -EFAULT;
}

static long set_size(struct inode *i, int64_t size)
{
    if (size < 0)
        return -EINVAL;
    if ((i->mode & S_IFMT) == S_IFDIR)
        return -EISDIR;
    if ((i->mode & S_IFMT) != S_IFREG || i->file_ops != &regular_ops)
        return -EINVAL;
    return data_truncate(i, (uint64_t)size);
}

long sys_truncate(uint64_t path, int64_t size)
{
    struct walk w;
    int r = walk_user(AT_FDCWD, path, WALK_FOLLOW, &w);
    if (r)
        return r;
    long n = -EINVAL;
    if (!w.file)
        n = inode_allowed(w.dentry->inode, 2) ? set_size(w.dentry->inode, size) : -EACCES;
    walk_end(&w);
    return n;
}

long sys_ftruncate(int fd, int64_t size)
{
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    if (!f->inode || !file_can_write(f))
        return -EINVAL;
    return set_size(f->inode, size);
}

#define FALLOC_KEEP_SIZE 1u
#define FALLOC_PUNCH_HOLE 2u
#define FALLOC_ZERO_RANGE 16u

long sys_fallocate(int fd, uint32_t mode, int64_t offset, int64_t size)
{
    struct file *f = fd_file(fd);
    uint64_t start = (uint64_t)offset, end;
    if (!f || !file_can_write(f))
        return -EBADF;
    if (f->ops != &regular_ops)
        return f->ops->stream ? -ESPIPE : -ENODEV;
    if (offset < 0 || size <= 0 || __builtin_add_overflow(start, (uint64_t)size, &end))
        return -EINVAL;
    if (mode & ~(FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE))
        return -EOPNOTSUPP;
    if (mode & (FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE)) {
        int r = data_punch(f->inode, start, end);
        if (r)
            return r;
    }
    if (!(mode & FALLOC_KEEP_SIZE) && end > f->inode->size)
        return data_truncate(f->inode, end);
    return 0;
}

/* Files are memory: what was written is as safe as it will be. */
long sys_fsync(int fd)
{
    struct file *f = fd_file(fd);
    return !f ? -EBADF : f->ops->stream ? -EINVAL : 0;
}

long sys_sync(void)
{
    return 0;
}

long sys_syncfs(int fd)
{
    return fd_file(fd) ? 0 : -EBADF;
}

long sys_fadvise64(int fd, int64_t offset, int64_t size, int advice)
{
    struct file *f = fd_file(fd);
    return !f ? -EBADF : f->ops->stream ? -ESPIPE : 0;
}

long sys_readahead(int fd, int64_t offset, uint64_t size)
{
    return fd_file(fd) ? 0 : -EBADF;
}

long sys_umask(uint32_t mask)
{
    uint32_t old = current()->fs->umask;
    current()->fs->umask = mask & 0777;
    return old;
}
