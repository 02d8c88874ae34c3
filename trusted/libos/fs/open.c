// SPDX-License-Identifier: Apache-2.0
// Open files.
#include "trusted/libos/fs/file.h"

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/epoll.h"

struct file *file_new(const struct file_ops *ops, uint32_t flags)
{
    struct file *f = los_alloc(sizeof(*f));
    if (!f)
        return NULL;
    f->ops = ops;
    f->flags = flags;
    f->refs = 1;
    list_init(&f->watchers);
    return f;
}

void file_get(struct file *f)
{
    f->refs++;
}

void file_put(struct file *f)
{
    if (--f->refs)
        return;
    epoll_forget(f);
    flock_release(f);
    if (f->ops->release)
        f->ops->release(f);
    if (f->listing) {
        listing_free(f->listing);
        los_free(f->listing);
    }
    if (f->dentry)
        dentry_put(f->dentry);
    else if (f->inode)
        inode_put(f->inode);
    los_free(f);
}

bool file_can_read(const struct file *f)
{
    return (f->flags & O_ACCMODE) != O_WRONLY && !(f->flags & O_PATH);
}

bool file_can_write(const struct file *f)
{
    return (f->flags & O_ACCMODE) != O_RDONLY && !(f->flags & O_PATH);
}

static bool is_regular(const struct file *f)
{
    return f->inode && (f->inode->mode & S_IFMT) == S_IFREG && f->ops == &regular_ops;
}

bool file_can_map(const struct file *f)
{
    return is_regular(f) || (f->inode && (f->inode->mode & S_IFMT) == S_IFCHR);
}

bool file_map_source(struct file *f, int prot)
{
    return is_regular(f);
}

int file_read_page(struct file *f, uint64_t offset, void *buf)
{
    if (offset >= page_up(f->inode->size))
        return -EIO;
    int r = data_page(f->inode, offset >> PAGE_SHIFT, buf);
    uint64_t n = f->inode->size - MIN(offset, f->inode->size);
    if (!r && n < PAGE_SIZE)
        memset((char *)buf + n, 0, PAGE_SIZE - n);
    return r;
}

int file_write_page(struct file *f, uint64_t offset, const void *buf)
{
    if (offset >= f->inode->size)
        return 0; /* truncated meanwhile */
    struct io_vec v;
    struct io io = io_one(&v, (uint64_t)buf, MIN(PAGE_SIZE, f->inode->size - offset), true);
    long r = data_write(f->inode, &io, offset);
    return r < 0 ? (int)r : 0;
}

long file_read_at(struct file *f, uint64_t offset, void *buf, size_t size)
{
    struct io_vec v;
    struct io io = io_one(&v, (uint64_t)buf, size, true);
    return f->ops->read ? f->ops->read(f, &io, offset) : -EINVAL;
}

void file_path(struct file *f, char *buf, size_t size)
{
    if (!f->dentry)
        fmt(buf, size, f->ops->stream && !f->inode ? "%s" : "%s:[%lu]",
            f->ops->name ? f->ops->name : "anon", f->inode ? f->inode->ino : 0);
    else if (dentry_path(f->dentry, buf, size) < 0)
        fmt(buf, size, "?");
}

static const struct file_ops directory_ops = {0};
static const struct file_ops path_ops = {0};

static int open_special(struct file *f)
{
    switch (f->inode->mode & S_IFMT) {
    case S_IFDIR:
        f->ops = &directory_ops;
        return 0;
    case S_IFCHR:
        return dev_open(f);
    case S_IFIFO:
        return fifo_open(f);
    case S_IFREG:
        f->ops = f->inode->file_ops ? f->inode->file_ops : &regular_ops;
        return 0;
    default:
        return -ENXIO;
    }
}

static int check_access(struct inode *i, uint32_t flags)
{
    uint32_t type = i->mode & S_IFMT;
    bool write = (flags & O_ACCMODE) != O_RDONLY;
    if (flags & O_PATH)
        return 0;
    if (type == S_IFLNK)
        return -ELOOP;
    if (type == S_IFDIR && (write || (flags & O_CREAT)))
        return -EISDIR;
    int mask = ((flags & O_ACCMODE) != O_WRONLY ? 4 : 0) | (write || (flags & O_TRUNC) ? 2 : 0);
    return inode_allowed(i, mask) ? 0 : -EACCES;
}

int file_open_dentry(struct dentry *d, uint32_t flags, struct file **out)
{
    struct inode *i = d->inode;
    int r = check_access(i, flags);
    if (r)
        return r;
    if ((flags & O_DIRECTORY) && (i->mode & S_IFMT) != S_IFDIR)
        return -ENOTDIR;
    struct file *f =
        file_new(&path_ops, flags & ~(uint32_t)(O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY | O_CLOEXEC));
    if (!f)
        return -ENOMEM;
    f->inode = i;
    f->dentry = d;
    dentry_get(d);
    if (!(flags & O_PATH)) {
        r = i->ops && i->ops->open ? i->ops->open(f) : open_special(f);
        if (!r && (flags & O_TRUNC) && f->ops == &regular_ops)
            r = data_truncate(i, 0);
        if (r) {
            f->ops = &path_ops;
            file_put(f);
            return r;
        }
    }
    *out = f;
    return 0;
}

static int create(struct walk *w, uint32_t mode, struct dentry **out)
{
    struct dentry *dir = w->dentry;
    if (w->slash)
        return -EISDIR;
    if (dir->inode->fs == FS_PROC || !dir->inode->nlink)
        return -ENOENT;
    if (!inode_allowed(dir->inode, 3))
        return -EACCES;
    struct inode *i = inode_new(dir->inode->fs, S_IFREG | (mode & ~current()->fs->umask & 07777));
    if (!i)
        return -ENOMEM;
    int r = dentry_link(dir, w->last, strlen(w->last), i);
    inode_put(i);
    return r ? r : dentry_lookup(dir, w->last, strlen(w->last), out);
}

/* O_CREAT: the name may be a link to a file that is not there yet. */
static int open_create(int dirfd, const char *path, uint32_t flags, uint32_t mode, int depth,
                       struct file **out)
{
    struct walk w;
    int r = walk_path(dirfd, path, WALK_PARENT, &w);
    if (r)
        return r;
    if (!w.last[0]) {
        walk_end(&w);
        return flags & O_EXCL ? -EEXIST : -EISDIR;
    }
    struct dentry *d = NULL;
    bool made = false;
    r = dentry_lookup(w.dentry, w.last, strlen(w.last), &d);
    if (r == -ENOENT) {
        r = create(&w, mode, &d);
        made = !r;
    } else if (!r && (flags & O_EXCL)) {
        r = -EEXIST;
    } else if (!r && (d->inode->mode & S_IFMT) == S_IFLNK && !(flags & O_NOFOLLOW)) {
        struct walk t;
        r = walk_path(dirfd, path, WALK_FOLLOW, &t);
        if (!r && t.file) {
            *out = t.file;
            t.file = NULL;
            walk_end(&t);
            dentry_put(d);
            walk_end(&w);
            return 0;
        }
        if (!r) {
            dentry_put(d);
            d = t.dentry;
            t.dentry = NULL;
            walk_end(&t);
        } else if (r == -ENOENT && d->inode->target && depth < 40) {
            char *target = los_strdup(d->inode->target);
            struct dentry *old = cwd_dentry();
            dentry_get(old);
            dentry_get(w.dentry);
            cwd_set(w.dentry); /* a relative target starts where the link stands */
            r = target ? open_create(AT_FDCWD, target, flags, mode, depth + 1, out) : -ENOMEM;
            cwd_set(old);
            los_free(target);
            dentry_put(d);
            walk_end(&w);
            return r;
        }
    }
    if (!r)
        r = file_open_dentry(d, made ? (flags & ~(uint32_t)O_TRUNC) | O_PATH : flags, out);
    if (!r && made) { /* whoever makes a file may use it whatever its mode says */
        (*out)->flags = flags & ~(uint32_t)(O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC | O_PATH);
        (*out)->ops = &regular_ops;
    }
    if (d)
        dentry_put(d);
    walk_end(&w);
    return r;
}

static int open_temporary(int dirfd, const char *path, uint32_t flags, uint32_t mode,
                          struct file **out)
{
    struct walk w;
    if ((flags & O_ACCMODE) == O_RDONLY)
        return -EINVAL;
    int r = walk_path(dirfd, path, WALK_FOLLOW | WALK_DIRECTORY, &w);
    if (r)
        return r;
    struct inode *i = inode_new(w.dentry->inode->fs, S_IFREG | (mode & ~current()->fs->umask & 07777));
    struct dentry *d = i ? dentry_new(w.dentry, "#tmp", 4, i) : NULL;
    if (d) {
        i->nlink = 0;
        r = file_open_dentry(d, flags & ~(uint32_t)O_TMPFILE, out);
        dentry_put(d);
    } else {
        r = -ENOMEM;
    }
    walk_end(&w);
    return r;
}

static int open_at(int dirfd, const char *path, uint32_t flags, uint32_t mode, struct file **out)
{
    if ((flags & O_TMPFILE) == O_TMPFILE)
        return open_temporary(dirfd, path, flags, mode, out);
    if ((flags & O_CREAT) && !(flags & O_PATH))
        return open_create(dirfd, path, flags, mode, 0, out);
    struct walk w;
    int r = walk_path(dirfd, path, flags & O_NOFOLLOW ? 0 : WALK_FOLLOW, &w);
    if (r)
        return r;
    if (w.file) {
        *out = w.file;
        w.file = NULL;
    } else {
        r = file_open_dentry(w.dentry, flags, out);
    }
    walk_end(&w);
    return r;
}

int file_open(const char *path, uint32_t flags, uint32_t mode, struct file **out)
{
    return open_at(AT_FDCWD, path, flags, mode, out);
}

static long do_open(int dirfd, uint64_t path, uint32_t flags, uint32_t mode)
{
    char *text = los_alloc(4096);
    if (!text)
        return -ENOMEM;
    struct file *f;
    long r = user_string(text, path, 4096);
    if (r >= 0)
        r = open_at(dirfd, text, flags, mode, &f);
    if (!r)
        r = fd_install(f, flags & O_CLOEXEC, 0);
    los_free(text);
    return r;
}

long sys_openat(int dirfd, uint64_t path, uint32_t flags, uint32_t mode)
{
    return do_open(dirfd, path, flags, mode);
}

long sys_open(uint64_t path, uint32_t flags, uint32_t mode)
{
    return do_open(AT_FDCWD, path, flags, mode);
}

long sys_creat(uint64_t path, uint32_t mode)
{
    return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
