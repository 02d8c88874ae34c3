// SPDX-License-Identifier: Apache-2.0
// Opening files by name: open, openat, openat2, creat, and links of /proc that stand for files.
#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/notify.h"
#include "trusted/libos/fs/mounted.h"
#include "trusted/libos/mm/mm.h"

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
        f->ops = &regular_ops;
        return 0;
    default:
        return -ENXIO;
    }
}

/* Whoever makes a file may use it whatever its mode says. Not a flag that programs have. */
#define OPEN_MADE (1u << 31)

static int check_access(struct inode *i, uint32_t flags)
{
    uint32_t type = i->mode & S_IFMT;
    bool write = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
    if (flags & (O_PATH | OPEN_MADE))
        return 0;
    if (type == S_IFLNK)
        return -ELOOP;
    if (flags & OPEN_EXEC)
        return type == S_IFREG && inode_allowed(i, 1) && !(i->mount && i->mount->no_execute)
                   ? 0
                   : -EACCES;
    if ((flags & O_NOATIME) && !capable(CAP_FOWNER) && current()->fsuid != i->uid)
        return -EPERM;
    if (type == S_IFDIR && (write || (flags & O_CREAT)))
        return -EISDIR;
    int mask = ((flags & O_ACCMODE) != O_WRONLY ? 4 : 0) | (write || (flags & O_TRUNC) ? 2 : 0);
    return inode_judge(i, mask);
}

/* What opening does beside others: to make the open file, and no more. */
static bool opens_plainly(const struct inode *i)
{
    uint32_t type = i->mode & S_IFMT;
    return !i->mount && !i->leases && !(i->ops && i->ops->open) &&
           (type == S_IFDIR || type == S_IFREG);
}

int file_open_dentry(struct dentry *d, uint32_t flags, struct file **out)
{
    struct inode *i = d->inode;
    if ((flags & O_TRUNC) || !opens_plainly(i))
        call_alone();
    int r = check_access(i, flags);
    if (r)
        return r;
    if ((flags & O_DIRECTORY) && !(flags & OPEN_MADE) && (i->mode & S_IFMT) != S_IFDIR)
        return -ENOTDIR;
    if (i->leases && !(flags & O_PATH)) { /* the name is counted */
        dentry_get(d);
        r = lease_break(i, (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC),
                        !(flags & O_NONBLOCK));
        dentry_put(d);
        if (r)
            return r;
    }
    struct file *f =
        file_new(&path_ops, flags & ~(uint32_t)(O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC | OPEN_MADE |
                                                OPEN_EXEC | O_LARGEFILE_BIT));
    if (!f)
        return -ENOMEM;
    f->inode = i;
    f->dentry = d;
    f->made = flags & OPEN_MADE;
    dentry_get(d);
    if (!(flags & O_PATH)) {
        uint32_t type = i->mode & S_IFMT;
        if ((flags & O_DIRECT) && type != S_IFREG && type != S_IFCHR)
            r = -EINVAL;
        else
            r = i->ops && i->ops->open ? i->ops->open(f) : open_special(f);
        f->flags &= ~(uint32_t)O_NOCTTY; /* only of the opening */
        if (!r && (flags & O_TRUNC) && f->ops == &regular_ops)
            r = data_truncate(i, 0);
        if (r) {
            f->ops = &path_ops;
            file_put(f);
            return r;
        }
    }
    if (!(flags & O_PATH)) {
        notify_file(f, NOTIFY_OPEN);
        if (flags & O_TRUNC)
            notify_file(f, NOTIFY_MODIFY);
    }
    *out = f;
    return 0;
}

/* A name in /proc/self/fd: Linux opens what is there anew; what has no name of its own (an event, a
 * pipe) here is the same open file. Takes the reference. */
static int file_reopen(struct file *f, uint32_t flags, struct file **out)
{
    int r = 0;
    uint32_t type = f->inode ? f->inode->mode & S_IFMT : 0;
    if (f->dentry && type != S_IFSOCK) {
        r = file_open_dentry(f->dentry, flags, out);
        file_put(f);
    } else if (f->ops->name && !(flags & O_PATH) &&
               (!strncmp(f->ops->name, "anon_inode", 10) || !strcmp(f->ops->name, "socket"))) {
        r = -ENXIO;
        file_put(f);
    } else {
        *out = f;
    }
    return r;
}

static int create_file(struct walk *w, uint32_t mode, struct dentry **out)
{
    struct dentry *dir = w->dentry;
    if (dir->inode->fs == FS_PROC || !dir->inode->nlink)
        return -ENOENT;
    int r = inode_judge(dir->inode, 3);
    if (r)
        return r;
    struct inode *i = inode_make(dir->inode, S_IFREG | (mode & 07777));
    if (!i)
        return -ENOMEM;
    r = dentry_link(dir, w->last, strlen(w->last), i);
    inode_put(i);
    if (!r)
        r = dentry_lookup(dir, w->last, strlen(w->last), out);
    if (!r)
        notify_name(*out, NOTIFY_CREATE, 0);
    return r;
}

/* One turn of O_CREAT: finds or makes the last name below *base. A link there is read into `path`,
 * and *base moved to where it stands: 1. */
static int create_step(struct dentry **base, char *path, uint32_t flags, uint32_t mode, int how,
                       struct file **out)
{
    struct walk w;
    struct dentry *d = NULL;
    bool made = false;
    int r = walk_from(*base, path, WALK_PARENT | how, &w);
    if (r)
        return r;
    if (!w.last[0] || w.slash) {
        walk_end(&w);
        return !w.last[0] && (flags & O_EXCL) ? -EEXIST : -EISDIR;
    }
    r = dentry_lookup(w.dentry, w.last, strlen(w.last), &d);
    if (r == -ENOENT && call_alone()) /* another may have made it */
        r = dentry_lookup(w.dentry, w.last, strlen(w.last), &d);
    if (r == -ENOENT) {
        r = create_file(&w, mode, &d);
        made = !r;
    } else if (!r && (flags & O_EXCL)) {
        r = -EEXIST;
    }
    bool link = !r && (d->inode->mode & S_IFMT) == S_IFLNK && !(flags & O_NOFOLLOW);
    struct file *magic = NULL;
    if (link && d->inode->ops && d->inode->ops->follow) {
        call_alone();
        magic = d->inode->ops->follow(d->inode);
    }
    if ((magic || (link && d->inode->magic)) &&
        (how & (WALK_NO_MAGIC | WALK_NO_LINKS | WALK_BENEATH | WALK_IN_ROOT))) {
        r = how & (WALK_NO_MAGIC | WALK_NO_LINKS) ? -ELOOP : -EXDEV;
        if (magic)
            file_put(magic);
    } else if (magic) {
        r = file_reopen(magic, flags, out);
    } else if (link) {
        long n = how & WALK_NO_LINKS ? -ELOOP : inode_link_text(d->inode, path, 4096);
        r = n < 0 ? (int)n : 1;
        dentry_get(w.dentry);
        dentry_put(*base);
        *base = w.dentry;
    } else if (!r) {
        r = file_open_dentry(d, made ? (flags & ~(uint32_t)O_TRUNC) | OPEN_MADE : flags, out);
    }
    if (d)
        dentry_put(d);
    walk_end(&w);
    return r;
}

/* O_CREAT: the name may be a link to a file that is not there yet. */
static int open_create(struct dentry *base, const char *path, uint32_t flags, uint32_t mode,
                       int how, struct file **out)
{
    char *text = los_alloc(4096);
    int r = text ? 1 : -ENOMEM;
    if (text)
        fmt(text, 4096, "%s", path);
    dentry_get(base);
    for (unsigned links = 0; r == 1; links++)
        r = links > 40 ? -ELOOP : create_step(&base, text, flags, mode, how, out);
    dentry_put(base);
    los_free(text);
    return r;
}

static int open_temporary(struct dentry *base, const char *path, uint32_t flags, uint32_t mode,
                          int how, struct file **out)
{
    struct walk w;
    int r = walk_from(base, path, WALK_FOLLOW | WALK_DIRECTORY | how, &w);
    if (r)
        return r;
    struct inode *dir = w.file || !w.dentry ? NULL : w.dentry->inode;
    struct inode *i = NULL;
    struct dentry *d = NULL;
    if (!dir || dir->fs == FS_PROC)
        r = -EOPNOTSUPP;
    else if ((r = inode_judge(dir, 3)))
        ;
    else if (!(i = inode_make(dir, S_IFREG | (mode & 07777))) ||
             !(d = dentry_new(w.dentry, "#tmp", 4, i)))
        r = -ENOMEM;
    if (!r) {
        i->nlink = 0;
        i->linkable = !(flags & O_EXCL);
        r = !dir->mount                     ? 0
            : dir->mount->ops->add_nameless ? dir->mount->ops->add_nameless(dir, i)
                                            : -EOPNOTSUPP;
    }
    if (!r) {
        r = file_open_dentry(d, flags | OPEN_MADE, out);
    }
    if (d)
        dentry_put(d);
    else if (i)
        inode_put(i);
    walk_end(&w);
    return r;
}

#define TMPFILE_BIT ((uint32_t)O_TMPFILE & ~(uint32_t)O_DIRECTORY)

static int open_below(struct dentry *base, const char *path, uint32_t flags, uint32_t mode, int how,
                      struct file **out)
{
    if (flags & O_PATH)
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    if ((flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
        return -EINVAL;
    if ((flags & TMPFILE_BIT) && (!(flags & O_DIRECTORY) || (flags & O_ACCMODE) == O_RDONLY))
        return -EINVAL;
    if (flags & TMPFILE_BIT)
        return open_temporary(base, path, flags, mode, how, out);
    if (flags & O_CREAT)
        return open_create(base, path, flags, mode, how, out);
    struct walk w;
    int r = walk_from(base, path, (flags & O_NOFOLLOW ? 0 : WALK_FOLLOW) | how, &w);
    if (r)
        return r;
    if (w.file) {
        r = file_reopen(w.file, flags, out);
        w.file = NULL;
    } else {
        r = file_open_dentry(w.dentry, flags, out);
    }
    walk_end(&w);
    return r;
}

static int open_at(int dirfd, const char *path, uint32_t flags, uint32_t mode, int how,
                   struct file **out)
{
    struct dentry *base;
    *out = NULL;
    if (!*path)
        return -ENOENT;
    /* Where an absolute path is none, it counts from the directory too. */
    int r = walk_start(dirfd, how & (WALK_IN_ROOT | WALK_BENEATH) ? "." : path, &base);
    if (r)
        return r;
    r = open_below(base, path, flags, mode, how, out);
    dentry_put(base);
    return r;
}

int file_open(const char *path, uint32_t flags, uint32_t mode, struct file **out)
{
    return open_at(AT_FDCWD, path, flags, mode, 0, out);
}

/* What programs may say; other bits are the LibOS's own. */
#define OPEN_FLAGS                                                                                 \
    ((uint64_t)(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK |        \
                O_DSYNC | FASYNC | O_DIRECT | O_LARGEFILE_BIT | O_DIRECTORY | O_NOFOLLOW |         \
                O_NOATIME | O_CLOEXEC | O_SYNC | O_PATH | O_TMPFILE))

static long do_open(int dirfd, uint64_t path, uint32_t flags, uint32_t mode, int how)
{
    char *text = los_alloc(4096);
    if (!text)
        return -ENOMEM;
    struct file *f;
    long r = user_string(text, path, 4096);
    if (flags & TMPFILE_BIT)
        call_alone();
    if (r >= 0)
        r = open_at(dirfd, text, flags & (uint32_t)OPEN_FLAGS, mode, how, &f);
    if (!r)
        r = fd_install(f, flags & O_CLOEXEC, 0);
    los_free(text);
    return r;
}

long sys_openat(int dirfd, uint64_t path, uint32_t flags, uint32_t mode)
{
    return do_open(dirfd, path, flags, mode, 0);
}

#define HOW_MAX 4096u
#define RESOLVE_ALL 63u

static int how_of(uint64_t resolve)
{
    static const int bits[] = {WALK_NO_XDEV, WALK_NO_MAGIC, WALK_NO_LINKS | WALK_NO_MAGIC,
                               WALK_BENEATH, WALK_IN_ROOT};
    int how = 0;
    for (unsigned i = 0; i < ARRAY_COUNT(bits); i++)
        how |= resolve >> i & 1 ? bits[i] : 0;
    return how;
}

static int check_how(const struct open_how *h)
{
    bool makes = h->flags & (O_CREAT | TMPFILE_BIT);
    if ((h->flags & ~OPEN_FLAGS) || (h->resolve & ~(uint64_t)RESOLVE_ALL))
        return -EINVAL;
    if ((h->resolve & 24) == 24 || (!makes && h->mode) || (h->mode & ~07777ull))
        return -EINVAL;
    if ((h->flags & O_PATH) &&
        (h->flags & ~(uint64_t)(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)))
        return -EINVAL;
    if ((h->resolve & 32) && (makes || (h->flags & O_TRUNC)))
        return -EAGAIN;
    return 0;
}

long sys_openat2(int dirfd, uint64_t path, uint64_t how, uint64_t size)
{
    struct open_how h;
    if (size < sizeof(h))
        return -EINVAL;
    if (size > HOW_MAX)
        return -E2BIG;
    if (user_read(&h, how, sizeof(h)))
        return -EFAULT;
    for (uint64_t at = sizeof(h); at < size; at++) {
        uint8_t more;
        if (user_read(&more, how + at, 1))
            return -EFAULT;
        if (more)
            return -E2BIG;
    }
    int r = check_how(&h);
    return r ? r : do_open(dirfd, path, (uint32_t)h.flags, (uint32_t)h.mode, how_of(h.resolve));
}
