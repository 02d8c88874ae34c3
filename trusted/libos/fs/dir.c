// SPDX-License-Identifier: Apache-2.0
// Directories: listing, and changing what names there are.
#include <linux/fs.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/notify.h"
#include "trusted/libos/fs/mounted.h"

static bool is_dir(const struct inode *i)
{
    return (i->mode & S_IFMT) == S_IFDIR;
}

/* The directory's entries as of the first call: offset counts them. */
static int snapshot_names(struct file *f)
{
    if (f->listing)
        return 0;
    f->listing = los_alloc(sizeof(*f->listing));
    if (!f->listing)
        return -ENOMEM;
    struct dentry *d = f->dentry, *up = d->parent ? d->parent : d;
    int r = listing_add(f->listing, ".", 1, d->inode->ino, 4);
    if (!r)
        r = listing_add(f->listing, "..", 2, up->inode->ino, 4);
    if (!r)
        r = dentry_list(d, f->listing);
    if (!r)
        return 0;
    listing_free(f->listing); /* a part of it is none */
    los_free(f->listing);
    f->listing = NULL;
    return r;
}

struct dirent64 {
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
} __attribute__((packed));
#define DIRENT_HEAD 19u

/* `old`: getdents has no type before the name, but behind it, at the entry's end. */
long dir_tell_names(int fd, uint64_t to, uint32_t size, bool old)
{
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    if (!f->dentry || !is_dir(f->inode) || (f->flags & O_PATH))
        return -ENOTDIR;
    if (dentry_removed(f->dentry))
        return -ENOENT;
    int r = snapshot_names(f);
    if (r)
        return r;
    uint64_t at = to, left = size;
    _Alignas(8) char buf[DIRENT_HEAD + EROFS_NAME_MAX + 16];
    struct dirent64 *e = (struct dirent64 *)buf;
    for (; f->offset < f->listing->count; f->offset++) {
        const struct listed *item = listing_at(f->listing, f->offset);
        size_t n = strlen(item->name);
        size_t item_size = (DIRENT_HEAD + n + 1 + 7) & ~7ul;
        if (item_size > left)
            break;
        memset(buf, 0, item_size); /* as long in both forms */
        e->ino = item->ino;
        e->off = (int64_t)f->offset + 1;
        e->reclen = (uint16_t)item_size;
        buf[old ? item_size - 1 : DIRENT_HEAD - 1] = (char)item->type;
        memcpy(old ? e->name - 1 : e->name, item->name, n);
        if (user_write(at, buf, item_size))
            return -EFAULT;
        at += item_size;
        left -= item_size;
    }
    if (at == to && f->offset < f->listing->count)
        return -EINVAL;
    return (long)(at - to);
}

long sys_getcwd(uint64_t to, uint64_t size)
{
    if (dentry_removed(cwd_dentry()))
        return -ENOENT;
    char *buf = los_alloc(4096);
    if (!buf)
        return -ENOMEM;
    static const char outside[] = "(unreachable)"; /* of the caller's root */
    size_t skip = dentry_below(cwd_dentry(), fs_root()) ? 0 : sizeof(outside) - 1;
    memcpy(buf, outside, skip);
    long n = dentry_path(cwd_dentry(), buf + skip, 4096 - skip);
    n += n < 0 ? 0 : (long)skip;
    if (n >= 0 && (uint64_t)n + 1 > size)
        n = -ERANGE;
    if (n >= 0)
        n = user_write(to, buf, (size_t)n + 1) ? -EFAULT : n + 1;
    los_free(buf);
    return n;
}

static long change_cwd(struct dentry *d)
{
    if (!is_dir(d->inode))
        return -ENOTDIR;
    if (!inode_allowed(d->inode, 1))
        return -EACCES;
    dentry_get(d);
    cwd_set(d);
    return 0;
}

long sys_chdir(uint64_t path)
{
    struct walk w;
    int r = walk_user(AT_FDCWD, path, WALK_FOLLOW | WALK_DIRECTORY, &w);
    if (r)
        return r;
    long n = change_cwd(w.dentry);
    walk_end(&w);
    return n;
}

long sys_fchdir(int fd)
{
    struct file *f = fd_any(fd);
    if (!f)
        return -EBADF;
    return f->dentry ? change_cwd(f->dentry) : -ENOTDIR;
}

long sys_chroot(uint64_t path)
{
    struct walk w;
    int r = walk_user(AT_FDCWD, path, WALK_FOLLOW | WALK_DIRECTORY, &w);
    if (r)
        return r;
    r = !inode_allowed(w.dentry->inode, 1) ? -EACCES : !capable(CAP_SYS_CHROOT) ? -EPERM : 0;
    if (!r) {
        dentry_get(w.dentry);
        fs_root_set(w.dentry);
    }
    walk_end(&w);
    return r;
}

/* Whether the name is there is said before that the directory may not be changed. */
static int refuse_change(const struct walk *w, bool new, int error)
{
    struct dentry *there;
    int r = dentry_lookup(w->dentry, w->last, strlen(w->last), &there);
    if (!r)
        dentry_put(there);
    return !r && new ? -EEXIST : r == -ENOENT && !new ? r : error;
}

/* The directory of a name to be changed, which must not be / . or .. */
static int refuse_proc(const struct walk *w, bool makes)
{
    struct dentry *d;
    int r = dentry_lookup(w->dentry, w->last, strlen(w->last), &d);
    if (r)
        return r;
    dentry_put(d);
    return makes ? -EEXIST : -EPERM;
}

static int check_parent(const struct walk *w, int dots)
{
    int r = 0;
    if (!w->last[0])
        r = dots;
    else if (w->dentry->inode->fs == FS_PROC)
        r = refuse_proc(w, dots == -EEXIST);
    else if ((r = inode_judge(w->dentry->inode, 3)))
        r = refuse_change(w, dots == -EEXIST, r);
    else if (!w->dentry->inode->nlink || (!w->dentry->kept && !w->dentry->root))
        r = -ENOENT;
    return r;
}

static int parent_of(int dirfd, uint64_t path, struct walk *w, int dots)
{
    int r = walk_user(dirfd, path, WALK_PARENT, w);
    if (r)
        return r;
    r = check_parent(w, dots);
    if (r)
        walk_end(w);
    return r;
}

/* May the name be made? Only folders' names may end with a slash. */
static int check_new(const struct walk *w, bool folder)
{
    struct dentry *there;
    int r = dentry_lookup(w->dentry, w->last, strlen(w->last), &there);
    if (!r)
        dentry_put(there);
    return !r ? -EEXIST : r == -ENOENT && (folder || !w->slash) ? 0 : r;
}

static int make_entry(struct walk *w, struct inode *i)
{
    if (!i)
        return -ENOMEM;
    struct dentry *there;
    int r = check_new(w, is_dir(i));
    if (!r)
        r = dentry_link(w->dentry, w->last, strlen(w->last), i);
    if (!r && i->refs > 2) /* it had names before */
        notify_inode(i, NOTIFY_ATTRIB);
    if (!r && !dentry_lookup(w->dentry, w->last, strlen(w->last), &there)) {
        notify_name(there, NOTIFY_CREATE, 0);
        dentry_put(there);
    }
    inode_put(i);
    return r;
}

static long make_node(int dirfd, uint64_t path, uint32_t mode, uint32_t rdev)
{
    struct walk w;
    int r = parent_of(dirfd, path, &w, -EEXIST);
    if (r)
        return r;
    struct inode *i = inode_make(w.dentry->inode, mode & (S_IFMT | 07777));
    if (i)
        i->rdev = rdev;
    r = make_entry(&w, i);
    walk_end(&w);
    return r;
}

long sys_mkdirat(int dirfd, uint64_t path, uint32_t mode)
{
    return make_node(dirfd, path, S_IFDIR | (mode & 01777), 0);
}

long sys_mknodat(int dirfd, uint64_t path, uint32_t mode, uint32_t rdev)
{
    uint32_t type = mode & S_IFMT ? mode & S_IFMT : S_IFREG;
    if (type == S_IFDIR)
        return -EPERM;
    if (type != S_IFREG && type != S_IFCHR && type != S_IFBLK && type != S_IFIFO &&
        type != S_IFSOCK)
        return -EINVAL;
    if ((type == S_IFCHR || type == S_IFBLK) && !capable(CAP_MKNOD))
        return -EPERM;
    return make_node(dirfd, path, type | (mode & 07777), rdev);
}

long sys_symlinkat(uint64_t target, int dirfd, uint64_t path)
{
    char *text = los_alloc(4096);
    if (!text)
        return -ENOMEM;
    long n = user_string(text, target, 4096);
    if (n <= 0) {
        los_free(text);
        return n ? n : -ENOENT;
    }
    struct walk w;
    int r = parent_of(dirfd, path, &w, -EEXIST);
    if (!r) {
        struct inode *i = inode_make(w.dentry->inode, S_IFLNK | 0777);
        if (i) {
            i->target = los_strdup(text);
            i->size = (uint64_t)n;
        }
        r = make_entry(&w, i);
        walk_end(&w);
    }
    los_free(text);
    return r;
}

long sys_linkat(int from_fd, uint64_t from, int to_fd, uint64_t to, int flags)
{
    struct walk old, w;
    struct inode *i = NULL;
    int r;
    if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (flags & AT_EMPTY_PATH) { /* of an open file, as those of O_TMPFILE */
        struct file *f = fd_any(from_fd);
        char first = 0;
        if (user_read(&first, from, 1))
            return -EFAULT;
        if (!first) {
            if (!f && from_fd != AT_FDCWD)
                return -EBADF;
            if (!f || !f->inode)
                return f ? -EXDEV : -EPERM;
            i = f->inode;
            inode_get(i);
        }
    }
    if (!i) {
        r = walk_user(from_fd, from, flags & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0, &old);
        if (r)
            return r;
        i = old.file ? old.file->inode : old.dentry->inode;
        if (i)
            inode_get(i);
        walk_end(&old);
        if (!i)
            return -EXDEV;
    }
    r = i->fs == FS_PROC || i->fs == FS_DATA ? -EXDEV : parent_of(to_fd, to, &w, -EEXIST);
    if (!r && (is_dir(i) || (!i->nlink && !i->linkable))) {
        r = check_new(&w, false);
        r = r ? r : is_dir(i) ? -EPERM : -ENOENT;
        walk_end(&w);
    }
    if (!r) {
        inode_get(i);
        r = make_entry(&w, i);
        if (!r) {
            i->nlink++;
            inode_touch(i, false);
        }
        walk_end(&w);
    }
    inode_put(i);
    return r;
}

static int check_empty(struct dentry *d)
{
    int error;
    bool empty = dentry_empty(d, &error);
    return error ? error : empty ? 0 : -ENOTEMPTY;
}

static void unlink_dentry_quietly(struct dentry *d)
{
    struct inode *i = d->inode;
    i->nlink -= is_dir(i) ? MIN(i->nlink, 2) : MIN(i->nlink, 1);
    dentry_unlink(d);
}

static void unlink_dentry(struct dentry *d)
{
    bool last = d->refs == 2 &&
                d->inode->refs == 1; /* the tree's and the caller's, and nobody has it open */
    if (!is_dir(d->inode))
        notify_inode(d->inode, NOTIFY_ATTRIB);
    if (last && d->inode->nlink <= (is_dir(d->inode) ? 2u : 1u))
        notify_gone(d->inode);
    notify_name(d, NOTIFY_DELETE, 0);
    unlink_dentry_quietly(d);
}

/* Who may take this name out of its directory? */
static int check_removable(const struct dentry *d)
{
    const struct inode *dir = d->parent->inode;
    uint32_t uid = current()->fsuid;
    return (dir->mode & 01000) && !capable(CAP_FOWNER) && uid != d->inode->uid && uid != dir->uid
               ? -EPERM
               : 0;
}

static long remove_name(int dirfd, uint64_t path, bool directory)
{
    struct walk w;
    int r = parent_of(dirfd, path, &w, directory ? -EINVAL : -EISDIR);
    if (r == -EINVAL && directory && w.dots != 1)
        r = w.dots ? -ENOTEMPTY : -EBUSY; /* .. and / */
    if (r)
        return r;
    struct dentry *d;
    r = dentry_lookup(w.dentry, w.last, strlen(w.last), &d);
    if (!r) {
        if ((r = check_removable(d)))
            ;
        else if (directory != is_dir(d->inode))
            r = directory ? -ENOTDIR : -EISDIR;
        else if (w.slash && !directory)
            r = -ENOTDIR;
        else if (directory)
            r = d->inode->fs != w.dentry->inode->fs && d->inode->fs == FS_PROC ? -EBUSY
                                                                               : check_empty(d);
        if (!r && w.dentry->inode->mount)
            r = w.dentry->inode->mount->ops->drop_name(w.dentry->inode, w.last, d->inode);
        if (!r)
            unlink_dentry(d);
        dentry_put(d);
    }
    walk_end(&w);
    return r;
}

long sys_unlinkat(int dirfd, uint64_t path, int flags)
{
    if (flags & ~AT_REMOVEDIR)
        return -EINVAL;
    return remove_name(dirfd, path, flags & AT_REMOVEDIR);
}

static int check_replaceable(struct dentry *from, struct dentry *to)
{
    if (is_dir(from->inode))
        return is_dir(to->inode) ? check_empty(to) : -ENOTDIR;
    return is_dir(to->inode) ? -EISDIR : 0;
}

/* With whoever keeps the names, if they are kept elsewhere. */
static int move_elsewhere(const struct dentry *from, const struct walk *w, bool exchange)
{
    struct inode *dir = from->parent->inode, *to = w->dentry->inode;
    return to->mount ? to->mount->ops->move_name(dir, from->name, to, w->last, exchange) : 0;
}

/* RENAME_EXCHANGE: both names stay, each with the other's inode. */
static int exchange_entries(struct dentry *a, struct walk *w)
{
    struct dentry *b;
    int r = dentry_lookup(w->dentry, w->last, strlen(w->last), &b);
    if (r)
        return r;
    r = w->slash && !is_dir(b->inode) ? -ENOTDIR : check_removable(b);
    if (!r && a != b && (dentry_below(a, b) || dentry_below(b, a)))
        r = -EINVAL;
    if (!r && a != b)
        r = move_elsewhere(a, w, true);
    if (!r && a != b)
        r = dentry_swap(a, b);
    if (!r && a != b) {
        uint32_t cookie = notify_cookie();
        notify_name(a, NOTIFY_MOVED_FROM, cookie);
        notify_name(b, NOTIFY_MOVED_TO, cookie);
        cookie = notify_cookie();
        notify_name(b, NOTIFY_MOVED_FROM, cookie);
        notify_name(a, NOTIFY_MOVED_TO, cookie);
    }
    dentry_put(b);
    return r;
}

static int leave_whiteout(struct dentry *dir, const char *name)
{
    struct inode *i = inode_make(dir->inode, S_IFCHR);
    int r = i ? dentry_link(dir, name, strlen(name), i) : -ENOMEM;
    if (i)
        inode_put(i);
    return r;
}

static int move_entry(struct dentry *from, struct walk *old, struct walk *w, unsigned flags)
{
    struct dentry *to = NULL;
    int r = dentry_lookup(w->dentry, w->last, strlen(w->last), &to);
    if (!r) {
        if (to->inode == from->inode)
            r = 1;
        else if (!(r = check_removable(to)) && !(r = check_replaceable(from, to)) &&
                 !(r = move_elsewhere(from, w, false)))
            unlink_dentry_quietly(to);
        if (r)
            dentry_put(to);
        if (r)
            return r == 1 ? 0 : r;
    } else if (r != -ENOENT || (r = move_elsewhere(from, w, false))) {
        return r;
    }
    uint32_t cookie = notify_cookie();
    notify_name(from, NOTIFY_MOVED_FROM, cookie);
    r = dentry_move(from, w->dentry, w->last);
    if (!r)
        notify_name(from, NOTIFY_MOVED_TO, cookie);
    if (!r && old->dentry == w->dentry)
        notify_name(from, NOTIFY_RENAME, 0);
    if (to) {
        notify_inode(to->inode, NOTIFY_ATTRIB);
        dentry_put(to);
    }
    if (!r)
        notify_inode(from->inode, NOTIFY_MOVE_SELF);
    return !r && (flags & RENAME_WHITEOUT) ? leave_whiteout(old->dentry, old->last) : r;
}

/* What names and places say against it, in Linux's order. */
static int check_rename(struct dentry *from, const struct walk *a, const struct walk *b,
                        unsigned flags)
{
    struct dentry *to = NULL;
    bool exchange = flags & RENAME_EXCHANGE;
    int r = dentry_lookup(b->dentry, b->last, strlen(b->last), &to);
    bool above = !r && dentry_below(a->dentry, to);
    if (!r)
        dentry_put(to);
    if (!r && (flags & RENAME_NOREPLACE))
        return -EEXIST;
    if (r && (exchange || r != -ENOENT))
        return r;
    if (!is_dir(from->inode) && (a->slash || (b->slash && !exchange)))
        return -ENOTDIR;
    if (is_dir(from->inode) && dentry_below(b->dentry, from))
        return -EINVAL;
    return above && !exchange ? -ENOTEMPTY : check_removable(from);
}

long sys_renameat2(int old_fd, uint64_t old, int new_fd, uint64_t new, uint32_t flags)
{
    struct walk a, b;
    struct dentry *from = NULL;
    if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
        return -EINVAL;
    if ((flags & RENAME_EXCHANGE) && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)))
        return -EINVAL;
    if ((flags & RENAME_WHITEOUT) && !capable(CAP_MKNOD))
        return -EPERM;
    int r = walk_user(old_fd, old, WALK_PARENT, &a);
    if (r)
        return r;
    r = walk_user(new_fd, new, WALK_PARENT, &b);
    if (!r) {
        int dots = flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
        r = a.last[0] && !b.last[0] ? dots : check_parent(&a, -EBUSY);
        if (!r)
            r = check_parent(&b, dots);
        if (!r)
            r = dentry_lookup(a.dentry, a.last, strlen(a.last), &from);
        if (!r)
            r = check_rename(from, &a, &b, flags);
        if (!r && (a.dentry->inode->fs != b.dentry->inode->fs ||
                   a.dentry->inode->mount != b.dentry->inode->mount))
            r = -EXDEV;
        if (!r)
            r = flags & RENAME_EXCHANGE ? exchange_entries(from, &b)
                                        : move_entry(from, &a, &b, flags);
        if (from)
            dentry_put(from);
        walk_end(&b);
    }
    walk_end(&a);
    return r;
}
