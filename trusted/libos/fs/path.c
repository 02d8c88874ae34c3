// SPDX-License-Identifier: Apache-2.0
// From a path to a place in the tree.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"

#define LINKS_MAX 40
#define PATH_SIZE 4096u

static bool is_dir(const struct dentry *d)
{
    return (d->inode->mode & S_IFMT) == S_IFDIR;
}

int walk_start(int dirfd, const char *path, struct dentry **out)
{
    if (*path == '/') {
        *out = fs_root();
    } else if (dirfd == AT_FDCWD) {
        *out = cwd_dentry();
    } else {
        struct file *f = fd_any(dirfd);
        if (!f)
            return -EBADF;
        if (!f->dentry || !is_dir(f->dentry))
            return -ENOTDIR;
        *out = f->dentry;
    }
    dentry_get(*out);
    return 0;
}

/* One component of what is left to walk; `rest` is moved behind it and its slashes. */
static const char *next_component(const char **rest, size_t *size, bool *slash)
{
    const char *name = *rest;
    while (**rest && **rest != '/')
        (*rest)++;
    *size = (size_t)(*rest - name);
    *slash = **rest == '/';
    while (**rest == '/')
        (*rest)++;
    return name;
}

/* Puts a link's text before what is left. Both buffers have PATH_SIZE bytes. */
static int expand_link(struct inode *link, const char *rest, bool slash, char *to)
{
    if (!link->target && !(link->ops && link->ops->readlink))
        return -EINVAL;
    char *text = los_alloc(PATH_SIZE);
    if (!text)
        return -ENOMEM;
    long n;
    if (link->target)
        n = fmt(text, PATH_SIZE, "%s", link->target);
    else
        n = link->ops->readlink(link, text, PATH_SIZE - 1);
    size_t left = strlen(rest);
    int r = 0;
    if (n <= 0) {
        r = n ? (int)n : -ENOENT;
    } else if ((size_t)n + left + 2 > PATH_SIZE) {
        r = -ENAMETOOLONG;
    } else {
        if (slash)
            text[n++] = '/';
        memcpy(text + n, rest, left + 1);
        memcpy(to, text, (size_t)n + left + 1);
    }
    los_free(text);
    return r;
}

static struct dentry *go_up(struct dentry *d)
{
    struct dentry *parent = d->root || !d->parent || d == fs_root() ? d : d->parent;
    dentry_get(parent);
    return parent;
}

/* openat2: may a walk that began at `base` go to d? */
static int check_confined(const struct dentry *base, const struct dentry *d, int flags)
{
    return (flags & WALK_NO_XDEV) && (d->inode->fs != base->inode->fs) ? -EXDEV : 0;
}

static int step_into(struct dentry *at, const char *name, size_t size, struct dentry **out)
{
    if (!is_dir(at))
        return -ENOTDIR;
    if (!inode_allowed(at->inode, 1))
        return -EACCES;
    if (size == 1 && name[0] == '.') {
        dentry_get(at);
        *out = at;
        return 0;
    }
    if (size == 2 && name[0] == '.' && name[1] == '.') {
        *out = go_up(at);
        return 0;
    }
    return size > EROFS_NAME_MAX ? -ENAMETOOLONG : dentry_lookup(at, name, size, out);
}

static bool is_dots(const char *name, size_t size)
{
    return name[0] == '.' && (size == 1 || (size == 2 && name[1] == '.'));
}

/* Where a path that begins with / goes on. */
static int to_root(struct dentry *base, int flags, struct dentry **at)
{
    struct dentry *root = flags & WALK_IN_ROOT ? base : fs_root();
    if (flags & WALK_BENEATH)
        return -EXDEV;
    dentry_get(root);
    dentry_put(*at);
    *at = root;
    return check_confined(base, root, flags);
}

static int walk_components(char *path, int flags, struct dentry *base, struct dentry **at,
                           struct walk *w)
{
    const char *rest = path;
    int links = 0;
    if (*rest == '/') {
        int r = to_root(base, flags, at);
        if (r)
            return r;
    }
    while (*rest == '/')
        rest++;
    while (*rest) {
        size_t size;
        bool slash;
        const char *name = next_component(&rest, &size, &slash);
        bool last = !*rest;
        if (last)
            w->slash = slash;
        w->dots = last && is_dots(name, size) ? (unsigned)size : 0;
        if (last && (flags & WALK_PARENT) && !is_dots(name, size)) {
            if (!is_dir(*at))
                return -ENOTDIR;
            if (!inode_allowed((*at)->inode, 1))
                return -EACCES;
            if (size > EROFS_NAME_MAX)
                return -ENAMETOOLONG;
            memcpy(w->last, name, size);
            w->last[size] = 0;
            return 0;
        }
        struct dentry *next;
        bool parent = size == 2 && name[0] == '.' && name[1] == '.';
        if (parent && *at == base && (flags & WALK_BENEATH))
            return -EXDEV;
        if (parent && *at == base && (flags & WALK_IN_ROOT))
            continue;
        int r = step_into(*at, name, size, &next);
        if (!r && (r = check_confined(base, next, flags)))
            dentry_put(next);
        if (r)
            return r;
        bool link = (next->inode->mode & S_IFMT) == S_IFLNK;
        if (link && (!last || slash || (flags & WALK_FOLLOW))) {
            struct file *f = NULL;
            if (flags & WALK_NO_LINKS) {
                dentry_put(next);
                return -ELOOP;
            }
            if (next->inode->ops && next->inode->ops->follow)
                f = next->inode->ops->follow(next->inode);
            if ((f || next->inode->magic) &&
                (flags & (WALK_NO_MAGIC | WALK_BENEATH | WALK_IN_ROOT))) {
                if (f)
                    file_put(f);
                dentry_put(next);
                return flags & WALK_NO_MAGIC ? -ELOOP : -EXDEV;
            }
            if (f && f->dentry) {
                dentry_put(next);
                next = f->dentry;
                dentry_get(next);
                file_put(f);
            } else if (f) {
                dentry_put(next);
                w->file = f;
                return last ? 0 : -ENOTDIR;
            } else {
                r = ++links > LINKS_MAX ? -ELOOP : expand_link(next->inode, rest, slash, path);
                dentry_put(next);
                if (r)
                    return r;
                rest = path;
                if (*rest == '/') {
                    r = to_root(base, flags, at);
                    if (r)
                        return r;
                    while (*rest == '/')
                        rest++;
                }
                continue;
            }
        }
        dentry_put(*at);
        *at = next;
    }
    if ((w->slash || (flags & WALK_DIRECTORY)) && !(flags & WALK_PARENT) && !is_dir(*at))
        return -ENOTDIR;
    return 0;
}

int walk_from(struct dentry *base, const char *path, int flags, struct walk *w)
{
    *w = (struct walk){0};
    if (!*path)
        return -ENOENT;
    size_t size = strlen(path) + 1;
    if (size > PATH_SIZE)
        return -ENAMETOOLONG;
    dentry_get(base);
    w->dentry = base;
    char *buf = los_alloc(PATH_SIZE);
    if (!buf) {
        walk_end(w);
        return -ENOMEM;
    }
    memcpy(buf, path, size);
    int r = walk_components(buf, flags, base, &w->dentry, w);
    los_free(buf);
    if (r)
        walk_end(w);
    return r;
}

int walk_path(int dirfd, const char *path, int flags, struct walk *w)
{
    struct dentry *base;
    *w = (struct walk){0};
    if (!*path)
        return -ENOENT;
    int r = walk_start(dirfd, path, &base);
    if (r)
        return r;
    r = walk_from(base, path, flags, w);
    dentry_put(base);
    return r;
}

int walk_user(int dirfd, uint64_t path, int flags, struct walk *w)
{
    char *buf = los_alloc(PATH_SIZE);
    if (!buf)
        return -ENOMEM;
    long n = user_string(buf, path, PATH_SIZE);
    int r = n < 0 ? (int)n : walk_path(dirfd, buf, flags, w);
    los_free(buf);
    call_residence(); /* the walk may have been alone */
    return r;
}

void walk_end(struct walk *w)
{
    if (w->dentry)
        dentry_put(w->dentry);
    if (w->file)
        file_put(w->file);
    w->dentry = NULL;
    w->file = NULL;
}
