// SPDX-License-Identifier: Apache-2.0
// Changing a file's attributes and size.
#include <linux/falloc.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/notify.h"
#include "trusted/libos/fs/volume.h"

/* The inode that a (dirfd, path) or descriptor names, counted. NULL with 0: a pipe or socket, whose
 * mode and times nobody looks at. */
struct place {
    struct inode *inode;
    struct dentry *dentry; /* by which it was found, or NULL */
};

static void place_set(struct place *p, struct inode *i, struct dentry *d)
{
    *p = (struct place){i, d};
    if (i)
        inode_get(i);
    if (d)
        dentry_get(d);
}

static void place_put(struct place *p)
{
    inode_put(p->inode);
    if (p->dentry)
        dentry_put(p->dentry);
}

static void place_notify(const struct place *p, uint32_t what)
{
    if (p->dentry)
        notify_dentry(p->dentry, what);
    else
        notify_inode(p->inode, what);
}

static int place_of_file(struct file *f, struct place *out)
{
    place_set(out, f->inode, f->dentry);
    return !f->inode && f->ops->name && !strncmp(f->ops->name, "anon_inode", 10) ? -EOPNOTSUPP : 0;
}

static int place_of_fd(int fd, bool path_too, struct place *out)
{
    struct file *f = path_too ? fd_any(fd) : fd_file(fd);
    return f ? place_of_file(f, out) : -EBADF;
}

static int place_at(int dirfd, uint64_t path, int flags, struct place *out)
{
    struct walk w;
    char first = 1;
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if ((flags & AT_EMPTY_PATH) && user_read(&first, path, 1))
        return -EFAULT;
    if (!first && dirfd != AT_FDCWD)
        return place_of_fd(dirfd, true, out);
    int r = first ? walk_user(dirfd, path, flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW, &w)
                  : walk_path(AT_FDCWD, ".", 0, &w);
    if (r)
        return r;
    if (w.file) {
        r = place_of_file(w.file, out);
    } else {
        place_set(out, w.dentry->inode, w.dentry);
    }
    walk_end(&w);
    return r;
}

static bool owns_inode(const struct inode *i)
{
    return capable(CAP_FOWNER) || current()->fsuid == i->uid;
}

/* Of attributes that were changed just now. */
static int keep_change(struct inode *i)
{
    i->ctime = time_now();
    return i->mount ? i->mount->ops->change(i) : 0;
}

/* Takes the reference. */
static long change_mode(struct place *p, uint32_t mode)
{
    int r = 0;
    struct inode *i = p->inode;
    if (!i)
        return 0;
    if ((i->mode & S_IFMT) == S_IFLNK) {
        r = -EOPNOTSUPP;
    } else if (inode_is_fixed(i) || i->fs == FS_PROC || !owns_inode(i)) {
        r = inode_is_fixed(i) ? -EROFS : -EPERM;
    } else {
        i->mode = (i->mode & S_IFMT) | (mode & 07777);
        if (!capable(CAP_FSETID) && !in_group(i->gid))
            i->mode &= ~(uint32_t)02000;
        r = keep_change(i);
        place_notify(p, NOTIFY_ATTRIB);
    }
    place_put(p);
    return r;
}

long sys_fchmodat2(int dirfd, uint64_t path, uint32_t mode, int flags)
{
    struct place p;
    int r = place_at(dirfd, path, flags, &p);
    return r ? r : change_mode(&p, mode);
}

long sys_fchmod(int fd, uint32_t mode)
{
    struct place p;
    int r = place_of_fd(fd, false, &p);
    return r ? r : change_mode(&p, mode);
}

/* Takes the reference. */
static long change_owner(struct place *p, uint32_t uid, uint32_t gid)
{
    int r = 0;
    struct inode *i = p->inode;
    if (!i)
        return 0;
    bool gives = (uid != UINT32_MAX && uid != i->uid) ||
                 (gid != UINT32_MAX && gid != i->gid && !in_group(gid));
    bool asks = uid != UINT32_MAX || gid != UINT32_MAX;
    if (inode_is_fixed(i)) {
        r = -EROFS;
    } else if (i->fs == FS_PROC ||
               (!capable(CAP_CHOWN) && asks && (gives || current()->fsuid != i->uid))) {
        r = -EPERM;
    } else {
        i->uid = uid != UINT32_MAX ? uid : i->uid;
        i->gid = gid != UINT32_MAX ? gid : i->gid;
        if ((i->mode & S_IFMT) != S_IFDIR) {
            i->mode &= ~(i->mode & 010 ? (uint32_t)06000 : (uint32_t)04000);
            data_drop_capability(i);
        }
        r = keep_change(i);
        place_notify(p, NOTIFY_ATTRIB);
    }
    place_put(p);
    return r;
}

long sys_fchownat(int dirfd, uint64_t path, uint32_t uid, uint32_t gid, int flags)
{
    struct place p;
    int r = place_at(dirfd, path, flags, &p);
    return r ? r : change_owner(&p, uid, gid);
}

long sys_fchown(int fd, uint32_t uid, uint32_t gid)
{
    struct place p;
    int r = place_of_fd(fd, false, &p);
    return r ? r : change_owner(&p, uid, gid);
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

/* Whoever may write may say "now"; only the owner may say when. Takes the reference. */
static long change_times(struct place *p, const int64_t t[4])
{
    bool now = t[1] == UTIME_NOW_NS && t[3] == UTIME_NOW_NS;
    bool nothing = t[1] == UTIME_OMIT_NS && t[3] == UTIME_OMIT_NS;
    struct time a, m;
    struct inode *i = p->inode;
    int r = 0;
    if (!i)
        return 0;
    if (!nothing && inode_is_fixed(i))
        r = -EROFS;
    else if (!nothing && (i->fs == FS_PROC || !owns_inode(i)))
        r = now && i->fs != FS_PROC ? inode_judge(i, 2) : -EPERM;
    a = i->atime;
    m = i->mtime;
    if (!r)
        r = set_time(&a, t[0], t[1]);
    if (!r)
        r = set_time(&m, t[2], t[3]);
    if (!r && !nothing) {
        i->atime = a;
        i->mtime = m;
        r = keep_change(i);
        place_notify(p, NOTIFY_ATTRIB);
    }
    place_put(p);
    return r;
}

static bool times_valid(const int64_t t[4])
{
    for (int k = 1; k < 4; k += 2) {
        if (t[k] != UTIME_NOW_NS && t[k] != UTIME_OMIT_NS && (t[k] < 0 || t[k] > 999999999))
            return false;
    }
    return true;
}

static long change_times_at(int dirfd, uint64_t path, const int64_t t[4], int flags)
{
    struct place p;
    if (!times_valid(t))
        return -EINVAL;
    if (t[1] == UTIME_OMIT_NS && t[3] == UTIME_OMIT_NS) /* Linux does not even look */
        return 0;
    if (!path && flags)
        return -EINVAL;
    int r = !path && dirfd != AT_FDCWD ? place_of_fd(dirfd, false, &p)
                                       : place_at(dirfd, path, flags, &p);
    return r ? r : change_times(&p, t);
}

long sys_utimensat(int dirfd, uint64_t path, uint64_t times, int flags)
{
    int64_t t[4] = {0, UTIME_NOW_NS, 0, UTIME_NOW_NS};
    if (times && user_read(t, times, sizeof(t)))
        return -EFAULT;
    return change_times_at(dirfd, path, t, flags);
}

/* utimes and futimesat: microseconds */
long sys_futimesat(int dirfd, uint64_t path, uint64_t times)
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
    return change_times_at(dirfd, path, t, 0);
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
    return path ? change_times_at(AT_FDCWD, path, t, 0) : -EFAULT;
}

static long set_size(struct inode *i, int64_t size)
{
    if ((i->mode & S_IFMT) == S_IFDIR)
        return -EISDIR;
    if ((i->mode & S_IFMT) != S_IFREG)
        return -EINVAL;
    int r = data_limit(i, (uint64_t)size);
    if (!r)
        r = data_truncate(i, (uint64_t)size);
    return r;
}

long sys_truncate(uint64_t path, int64_t size)
{
    struct walk w;
    if (size < 0)
        return -EINVAL;
    int r = walk_user(AT_FDCWD, path, WALK_FOLLOW, &w);
    if (r)
        return r;
    struct inode *i = w.file ? w.file->inode : w.dentry->inode;
    bool dir = i && (i->mode & S_IFMT) == S_IFDIR;
    long n = -EINVAL;
    if (i)
        n = dir || !(r = inode_judge(i, 2)) ? 0 : r;
    if (!n)
        n = lease_break(i, true, true); /* the walk counts it */
    if (!n)
        n = set_size(i, size);
    if (!n && w.dentry)
        notify_dentry(w.dentry, NOTIFY_MODIFY);
    walk_end(&w);
    return n;
}

long sys_ftruncate(int fd, int64_t size)
{
    if (size < 0)
        return -EINVAL;
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    if (!f->inode || !file_can_write(f) || f->ops != &regular_ops)
        return -EINVAL;
    long r = set_size(f->inode, size);
    if (!r)
        notify_file(f, NOTIFY_MODIFY);
    return r;
}

/* As tmpfs: no ranges are moved; zeroing in place only on the root's overlay. */
static bool fallocate_knows(const struct file *f, uint32_t mode)
{
    return !(mode & ~FALLOC_FL_KEEP_SIZE) || mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) ||
           ((mode & ~FALLOC_FL_KEEP_SIZE) == FALLOC_FL_ZERO_RANGE && f->inode &&
            f->inode->fs == FS_ROOT);
}

static bool fallocate_exists(uint32_t mode)
{
    uint32_t what = mode & ~FALLOC_FL_KEEP_SIZE;
    return what == 0 || what == 64 ||
           (what == FALLOC_FL_PUNCH_HOLE && (mode & FALLOC_FL_KEEP_SIZE)) ||
           what == FALLOC_FL_ZERO_RANGE ||
           ((what == 8 || what == 32) && !(mode & FALLOC_FL_KEEP_SIZE));
}

long sys_fallocate(int fd, uint32_t mode, int64_t offset, int64_t size)
{
    struct file *f = fd_file(fd);
    uint64_t start = (uint64_t)offset, end = start + (uint64_t)size;
    if (!f)
        return -EBADF;
    if (offset < 0 || size <= 0)
        return -EINVAL;
    if (!fallocate_exists(mode))
        return -EOPNOTSUPP;
    if (!file_can_write(f))
        return -EBADF;
    if (f->ops != &regular_ops)
        return f->ops->pipe ? -ESPIPE : -ENODEV;
    if (end > INT64_MAX)
        return -EFBIG;
    if (!fallocate_knows(f, mode))
        return -EOPNOTSUPP;
    bool grows = !(mode & FALLOC_FL_KEEP_SIZE) && end > f->inode->size;
    int r = 0;
    if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        r = data_punch(f->inode, start, end);
    if (!r && grows)
        r = data_limit(f->inode, end);
    if (!r && !(mode & FALLOC_FL_PUNCH_HOLE))
        r = data_allocate(f->inode, start, end);
    if (!r && grows)
        r = data_truncate(f->inode, end);
    if (!r) {
        data_drop_rights(f->inode);
        notify_file(f, NOTIFY_MODIFY);
    }
    return r;
}

static bool has_pages(const struct file *f)
{
    uint32_t type = f->inode ? f->inode->mode & S_IFMT : 0;
    return f->ops == &regular_ops || (type == S_IFDIR && f->inode->fs != FS_PROC);
}

/* The file may be closed meanwhile. */
static long sync_file(struct file *f)
{
    if (!f->inode || !f->inode->mount)
        return 0; /* memory: it is as safe as it will be */
    file_get(f);
    long r = mount_sync(f->inode);
    file_put(f);
    return r;
}

long sys_fsync(int fd)
{
    struct file *f = fd_file(fd);
    return !f ? -EBADF : has_pages(f) ? sync_file(f) : -EINVAL;
}

long sys_sync(void)
{
    volume_sync_all();
    return 0;
}

long sys_syncfs(int fd)
{
    struct file *f = fd_file(fd);
    return f ? sync_file(f) : -EBADF;
}

#define SYNC_RANGE_ALL 7u
#define SYNC_RANGE_WAIT 5u /* before or after */

long sys_sync_file_range(int fd, int64_t offset, int64_t size, uint32_t flags)
{
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    if ((flags & ~SYNC_RANGE_ALL) || offset < 0 || size < 0 || offset + (uint64_t)size > INT64_MAX)
        return -EINVAL;
    if (f->ops->stream || !f->inode || (f->inode->mode & S_IFMT) == S_IFCHR)
        return -ESPIPE;
    return flags & SYNC_RANGE_WAIT ? sync_file(f) : 0;
}

#define ADVICE_MAX 5

long sys_fadvise64(int fd, int64_t offset, int64_t size, int advice)
{
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    if (f->ops->pipe)
        return -ESPIPE;
    return size < 0 || (unsigned)advice > ADVICE_MAX ? -EINVAL : 0;
}

long sys_readahead(int fd, int64_t offset, uint64_t size)
{
    struct file *f = fd_file(fd);
    if (!f || !file_can_read(f))
        return -EBADF;
    return f->ops == &regular_ops ? 0 : -EINVAL;
}

/* How many pages of a range are in memory: struct cachestat. None is ever written back or evicted
 * by us. */
long sys_cachestat(int fd, uint64_t range, uint64_t to, uint32_t flags)
{
    const struct file *f = fd_file(fd);
    uint64_t where[2], counts[5] = {0}, index;
    if (!f)
        return -EBADF;
    if (user_read(where, range, sizeof(where)))
        return -EFAULT;
    if (flags)
        return -EINVAL;
    uint64_t last = where[1] ? (where[0] + where[1] - 1) >> PAGE_SHIFT : UINT64_MAX;
    for (uint64_t i = where[0] >> PAGE_SHIFT; f->inode && i <= last; i = index + 1) {
        if (!radix_next(&f->inode->pages, i, &index) || index > last)
            break;
        counts[0]++;
    }
    return user_write(to, counts, sizeof(counts));
}

long sys_umask(uint32_t mask)
{
    uint32_t old = current()->fs->umask;
    current()->fs->umask = mask & 0777;
    return old;
}
