// SPDX-License-Identifier: Apache-2.0
// What is known of a file: stat, statx, access, readlink, statfs.
#include <asm/stat.h>
#include <asm/statfs.h>

#include "lib/settings.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/image.h"
#include "trusted/libos/fs/mounted.h"
#include "trusted/libos/mm/mm.h"

#define DEVICE 0x20u /* st_dev of everything but /proc */

/* What stat says of a file without inode: a pipe, a socket, an event. */
static struct inode nameless_inode(const struct file *f)
{
    struct inode i = {
        .ino = (uint64_t)f >> 4, .nlink = 1, .uid = current()->euid, .gid = current()->egid};
    const char *name = f->ops->name ? f->ops->name : "";
    i.mode = !strcmp(name, "pipe")     ? S_IFIFO | 0600
             : !strcmp(name, "socket") ? S_IFSOCK | 0777
                                       : 0600;
    return i;
}

uint64_t device_of(const struct inode *i)
{
    return i->fs == FS_PROC   ? DEVICE + 1
           : i->mount         ? DEVICE + (i->mount->live ? 32 : 2) + i->mount->number
           : i->fs == FS_DATA ? DEVICE + 16 + erofs_number(i->lower.nid)
                              : DEVICE;
}

static int put_stat(uint64_t to, struct inode *i)
{
    struct time t[3];
    inode_times(i, t);
    struct stat s = {
        .st_dev = device_of(i),
        .st_ino = i->ino,
        .st_nlink = i->nlink,
        .st_mode = i->mode,
        .st_uid = i->uid,
        .st_gid = i->gid,
        .st_rdev = i->rdev,
        .st_size = (long)__atomic_load_n(&i->size, __ATOMIC_ACQUIRE),
        .st_blksize = PAGE_SIZE,
        .st_blocks = (long)data_blocks(i),
        .st_atime = (unsigned long)t[0].s,
        .st_atime_nsec = t[0].ns,
        .st_mtime = (unsigned long)t[1].s,
        .st_mtime_nsec = t[1].ns,
        .st_ctime = (unsigned long)t[2].s,
        .st_ctime_nsec = t[2].ns,
    };
    return user_write(to, &s, sizeof(s));
}

static int put_statx(uint64_t to, struct inode *i)
{
    struct time t[3];
    inode_times(i, t);
#define STAMP(t)                                                                                   \
    {                                                                                              \
        .tv_sec = (t).s, .tv_nsec = (t).ns                                                         \
    }
    struct statx s = {
        .stx_mask = STATX_BASIC_STATS | (i->fs == FS_TMP ? STATX_BTIME : 0),
        .stx_blksize = PAGE_SIZE,
        .stx_nlink = i->nlink,
        .stx_uid = i->uid,
        .stx_gid = i->gid,
        .stx_mode = (uint16_t)i->mode,
        .stx_ino = i->ino,
        .stx_size = __atomic_load_n(&i->size, __ATOMIC_ACQUIRE),
        .stx_blocks = data_blocks(i),
        .stx_atime = STAMP(t[0]),
        .stx_ctime = STAMP(t[2]),
        .stx_btime =
            i->fs == FS_TMP ? (struct statx_timestamp)STAMP(i->btime) : (struct statx_timestamp){0},
        .stx_mtime = STAMP(t[1]),
        .stx_rdev_major = i->rdev >> 8 & 0xfff,
        .stx_rdev_minor = (i->rdev & 0xff) | (i->rdev >> 12 & 0xfff00),
        .stx_dev_minor = (uint32_t)device_of(i),
    };
    return user_write(to, &s, sizeof(s));
}

typedef int put_fn(uint64_t to, struct inode *i);

static long of_fd(int fd, uint64_t to, put_fn *put)
{
    struct file *f = fd_any(fd);
    if (f && f->inode && f->inode->mount && call_alone())
        f = fd_any(fd);
    if (f)
        mount_refresh(f->inode);
    if (!f)
        return -EBADF;
    if (f->inode)
        return put(to, f->inode);
    struct inode i = nameless_inode(f);
    return put(to, &i);
}

static long of_path(int dirfd, uint64_t path, int flags, uint64_t to, put_fn *put)
{
    if (flags & AT_EMPTY_PATH) {
        char first = 0;
        if (path && user_read(&first, path, 1))
            return -EFAULT;
        if (!first)
            return dirfd == AT_FDCWD ? put(to, cwd_dentry()->inode) : of_fd(dirfd, to, put);
    }
    struct walk w;
    int r = walk_user(dirfd, path, flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW, &w);
    if (r)
        return r;
    if (w.file) {
        struct inode i = w.file->inode ? *w.file->inode : nameless_inode(w.file);
        r = put(to, &i);
    } else {
        if (w.dentry->inode->mount)
            call_alone();
        r = put(to, w.dentry->inode);
    }
    walk_end(&w);
    return r;
}

long sys_fstat(int fd, uint64_t to)
{
    return of_fd(fd, to, put_stat);
}

#define STAT_FLAGS (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)

long sys_newfstatat(int dirfd, uint64_t path, uint64_t to, int flags)
{
    return flags & ~STAT_FLAGS ? -EINVAL : of_path(dirfd, path, flags, to, put_stat);
}

long sys_statx(int dirfd, uint64_t path, int flags, uint32_t mask, uint64_t to)
{
    if ((mask & STATX__RESERVED) || (flags & ~STAT_FLAGS) ||
        (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
        return -EINVAL;
    return of_path(dirfd, path, flags, to, put_statx);
}

/* With the real ids, as access(2) has it, or the effective ones. */
static int judge_access(const struct inode *i, int mask, int flags)
{
    const struct process *p = current();
    uint64_t caps = p->uid ? 0 : p->caps.permitted;
    return (flags & AT_EACCESS) || i->fs == FS_DATA          ? inode_judge(i, mask)
           : inode_allowed_as(i, mask, p->uid, p->gid, caps) ? 0
                                                             : -EACCES;
}

long sys_faccessat2(int dirfd, uint64_t path, int mask, int flags)
{
    struct walk w;
    char first = 1;
    if ((mask & ~7) || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
        return -EINVAL;
    if ((flags & AT_EMPTY_PATH) && user_read(&first, path, 1))
        return -EFAULT;
    if (!first && dirfd != AT_FDCWD) {
        struct file *f = fd_any(dirfd);
        return !f ? -EBADF : !f->inode ? 0 : judge_access(f->inode, mask, flags);
    }
    int r = first ? walk_user(dirfd, path, flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW, &w)
                  : walk_path(AT_FDCWD, ".", 0, &w);
    if (r)
        return r;
    if (!w.file)
        r = judge_access(w.dentry->inode, mask, flags);
    walk_end(&w);
    return r;
}

long sys_readlinkat(int dirfd, uint64_t path, uint64_t to, int size)
{
    if (size <= 0)
        return -EINVAL;
    struct walk w = {0};
    char first;
    if (user_read(&first, path, 1))
        return -EFAULT;
    struct file *f = fd_any(dirfd);
    bool of_fd_itself =
        !first && f && f->dentry && (f->flags & O_PATH) && (f->inode->mode & S_IFMT) == S_IFLNK;
    int r = of_fd_itself ? 0 : walk_user(dirfd, path, 0, &w);
    if (r)
        return r;
    struct inode *i = of_fd_itself ? f->inode : w.dentry->inode;
    char *buf = los_alloc(4096);
    long n = -EINVAL;
    if (!buf)
        n = -ENOMEM;
    else if ((i->mode & S_IFMT) == S_IFLNK && i->target)
        n = fmt(buf, 4096, "%s", i->target);
    else if ((i->mode & S_IFMT) == S_IFLNK && i->ops && i->ops->readlink)
        n = i->ops->readlink(i, buf, 4096);
    if (n > size)
        n = size;
    if (n > 0 && user_write(to, buf, (size_t)n))
        n = -EFAULT;
    los_free(buf);
    walk_end(&w);
    return n;
}

/* Files take what programs leave: what is told to be free can be written. */
static long put_statfs(uint64_t to, const struct inode *i)
{
    enum fs_kind fs = i ? i->fs : FS_NONE;
    uint64_t total = (settings.memory ? settings.memory : 1ull << 30) >> PAGE_SHIFT;
    uint64_t left = MIN(memory_for_files(), total);
    bool disk = fs == FS_ROOT || fs == FS_TMP;
    struct statfs s = {
        .f_type = fs == FS_PROC   ? 0x9fa0
                  : fs == FS_ROOT ? 0x794c7630
                  : fs == FS_TMP  ? 0x01021994
                                  : 0x09041934,
        .f_bsize = PAGE_SIZE,
        .f_frsize = PAGE_SIZE,
        .f_blocks = disk ? (long)total : 0,
        .f_bfree = disk ? (long)left : 0,
        .f_bavail = disk ? (long)left : 0,
        .f_files = disk ? 1 << 20 : 0,
        .f_ffree = disk ? 1 << 20 : 0,
        .f_namelen = EROFS_NAME_MAX,
        .f_flags = 0x420, /* ST_VALID, ST_NOATIME: reading leaves no trace */
    };
    if (i && i->mount)
        i->mount->ops->tell_room(i, &s);
    if (fs == FS_DATA) {
        s.f_type = 0xe0f5e1e2; /* erofs */
        s.f_blocks = (long)(image_size(erofs_number(i->lower.nid)) >> PAGE_SHIFT);
    }
    if (i && inode_is_fixed(i))
        s.f_flags |= 1; /* ST_RDONLY */
    return user_write(to, &s, sizeof(s));
}

long sys_statfs(uint64_t path, uint64_t to)
{
    struct walk w;
    int r = walk_user(AT_FDCWD, path, WALK_FOLLOW, &w);
    if (r)
        return r;
    long n = put_statfs(to, w.file ? NULL : w.dentry->inode);
    walk_end(&w);
    return n;
}

long sys_fstatfs(int fd, uint64_t to)
{
    struct file *f = fd_any(fd);
    return f ? put_statfs(to, f->inode) : -EBADF;
}

struct ustat_ { /* struct ustat of the kernel */
    int32_t free;
    uint64_t free_inodes;
    char names[12];
};

long sys_ustat(uint32_t device, uint64_t to)
{
    struct ustat_ u = {.free_inodes = 1 << 20};
    if (device != DEVICE)
        return -EINVAL;
    u.free = (int32_t)(memory_for_files() >> PAGE_SHIFT);
    return user_write(to, &u, sizeof(u));
}

/* Kinds of file systems by number, those of /proc/filesystems. */
long sys_sysfs(int option, uint64_t arg, uint64_t to)
{
    static const char kinds[][8] = {"proc", "tmpfs", "sysfs", "cgroup2", "erofs"};
    char name[16];
    switch (option) {
    case 1: {
        long n = user_string(name, arg, sizeof(name));
        for (uint32_t i = 0; n >= 0 && i < ARRAY_COUNT(kinds); i++) {
            if (!strcmp(name, kinds[i]))
                return i;
        }
        return n == -EFAULT ? n : -EINVAL;
    }
    case 2:
        if (arg >= ARRAY_COUNT(kinds))
            return -EINVAL;
        return user_write(to, kinds[arg], strlen(kinds[arg]) + 1);
    case 3:
        return ARRAY_COUNT(kinds);
    default:
        return -EINVAL;
    }
}

#define HANDLE_MAX 128u
#define HANDLE_FID 0x200 /* AT_HANDLE_FID: only to tell files apart */

/* Handles tell files apart and where they are mounted; nobody may open one (open_by_handle_at). */
long sys_name_to_handle_at(int dirfd, uint64_t path, uint64_t handle, uint64_t mount_id, int flags)
{
    struct {
        uint32_t size;
        int32_t type;
        uint64_t ino;
        uint32_t generation;
    } h = {.size = 12, .type = 1};
    uint32_t room;
    int32_t mount;
    struct walk w;
    bool itself = flags & AT_EMPTY_PATH;
    char first = 0;
    if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH | HANDLE_FID))
        return -EINVAL;
    if (itself && user_read(&first, path, 1))
        return -EFAULT;
    const struct inode *i;
    if (itself && !first) {
        const struct file *f = dirfd == AT_FDCWD ? NULL : fd_any(dirfd);
        if (!f && dirfd != AT_FDCWD)
            return -EBADF;
        i = f ? f->inode : cwd_dentry()->inode;
    } else {
        int r = walk_user(dirfd, path, flags & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0, &w);
        if (r)
            return r;
        i = w.file ? w.file->inode : w.dentry->inode;
    }
    bool known = i && (i->fs != FS_PROC || (flags & HANDLE_FID));
    h.ino = i ? i->ino : 0;
    mount = i ? (int32_t)device_of(i) : 0;
    if (!(itself && !first))
        walk_end(&w);
    if (user_read(&room, handle, sizeof(room)))
        return -EFAULT;
    if (room > HANDLE_MAX)
        return -EINVAL;
    if (!known)
        return -EOPNOTSUPP;
    bool fits = room >= h.size;
    if (user_write(mount_id, &mount, sizeof(mount)) || user_write(handle, &h, fits ? 20 : 8))
        return -EFAULT;
    return fits ? 0 : -EOVERFLOW;
}
