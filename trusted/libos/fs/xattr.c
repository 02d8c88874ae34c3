// SPDX-License-Identifier: Apache-2.0
// Extended attributes: kept with the inode, in memory. user., trusted. and security. as Linux gives
// rights to them; of system. only what says that there are no ACLs.
#include <linux/xattr.h>
#include <linux/limits.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/notify.h"
#include "trusted/libos/fs/volume.h"

static struct xattr *find_xattr(const struct inode *i, const char *name)
{
    list_each(struct xattr, x, &i->xattrs, node) {
        if (!strcmp(x->name, name))
            return x;
    }
    return NULL;
}

static bool starts_with(const char *s, const char *with)
{
    return !strncmp(s, with, strlen(with));
}

/* May it be written (or read)? -EOPNOTSUPP for a kind that nobody has. */
static int check_permitted(const struct inode *i, const char *name, bool write)
{
    uint32_t type = i->mode & S_IFMT, uid = current()->fsuid;
    if (starts_with(name, "trusted."))
        return !capable(CAP_SYS_ADMIN) ? (write ? -EPERM : -ENODATA) : name[8] ? 0 : -EINVAL;
    if (starts_with(name, "security."))
        return write && !capable(strcmp(name, "security.capability") ? CAP_SYS_ADMIN : CAP_SETFCAP)
                   ? -EPERM
               : name[9] ? 0
                         : -EINVAL;
    if (!starts_with(name, "user."))
        return -EOPNOTSUPP;
    if (type != S_IFREG && type != S_IFDIR)
        return write ? -EPERM : -ENODATA;
    if (!name[5])
        return -EINVAL;
    if (write && type == S_IFDIR && (i->mode & 01000) && !capable(CAP_FOWNER) && uid != i->uid)
        return -EPERM;
    return inode_judge(i, write ? 2 : 4);
}

static int read_name(uint64_t from, char name[XATTR_NAME_MAX + 1])
{
    long n = user_string(name, from, XATTR_NAME_MAX + 1);
    return n == -EFAULT ? -EFAULT : n <= 0 ? -ERANGE : 0;
}

static long set_xattr(struct inode *i, const char *name, uint64_t from, uint64_t size, int flags)
{
    struct xattr *x = find_xattr(i, name);
    if (x && (flags & XATTR_CREATE))
        return -EEXIST;
    if (!x && (flags & XATTR_REPLACE))
        return -ENODATA;
    uint8_t *value = los_alloc(size ? size : 1);
    if (!value)
        return -ENOSPC;
    if (user_read(value, from, size)) {
        los_free(value);
        return -EFAULT;
    }
    if (!x) {
        x = los_alloc(sizeof(*x) + strlen(name) + 1);
        if (!x) {
            los_free(value);
            return -ENOSPC;
        }
        memcpy(x->name, name, strlen(name));
        list_init(&x->node);
        list_append(&i->xattrs, &x->node);
    }
    los_free(x->value);
    x->value = value;
    x->size = size;
    i->ctime = time_now();
    notify_inode(i, NOTIFY_ATTRIB);
    return 0;
}

static long get_xattr(const struct inode *i, const char *name, uint64_t to, uint64_t size)
{
    const struct xattr *x = find_xattr(i, name);
    if (!x)
        return -ENODATA;
    if (!size)
        return (long)x->size;
    if (x->size > size)
        return -ERANGE;
    return user_write(to, x->value, x->size) ? -EFAULT : (long)x->size;
}

static bool is_listed(const char *name)
{
    return !starts_with(name, "trusted.") || capable(CAP_SYS_ADMIN);
}

static long list_xattrs(const struct inode *i, uint64_t to, uint64_t size)
{
    uint64_t done = 0;
    list_each(const struct xattr, x, &i->xattrs, node) {
        size_t n = strlen(x->name) + 1;
        if (!is_listed(x->name))
            continue;
        if (size && done + n > size)
            return -ERANGE;
        if (size && user_write(to + done, x->name, n))
            return -EFAULT;
        done += n;
    }
    return (long)done;
}

static long drop_xattr(struct inode *i, const char *name)
{
    struct xattr *x = find_xattr(i, name);
    if (!x)
        return -ENODATA;
    list_remove(&x->node);
    los_free(x->value);
    los_free(x);
    i->ctime = time_now();
    notify_inode(i, NOTIFY_ATTRIB);
    return 0;
}

static long list_elsewhere(struct inode *i, uint64_t to, uint64_t size)
{
    char *names = page_alloc();
    uint64_t done = 0;
    if (!names)
        return -ENOMEM;
    long n = i->mount->ops->use_attr(i, ATTR_LIST, NULL, names, PAGE_SIZE, 0);
    for (const char *at = names; n > 0 && at < names + n; at += strlen(at) + 1) {
        size_t part = strlen(at) + 1;
        if (!is_listed(at))
            continue;
        if (size && (done + part > size || user_write(to + done, at, part))) {
            n = done + part > size ? -ERANGE : -EFAULT;
            break;
        }
        done += part;
    }
    page_free(names);
    return n < 0 ? n : (long)done;
}

/* Those of a volume are kept there; other mounts have none. */
static long use_elsewhere(struct inode *i, const struct xattr_request *q, const char *name)
{
    if (!i->mount->ops->use_attr)
        return -EOPNOTSUPP;
    if (q->kind == XATTR_LIST)
        return list_elsewhere(i, q->value, MIN(q->size, XATTR_LIST_MAX));
    uint64_t size = MIN(q->size, PAGE_SIZE);
    if (q->kind == XATTR_SET && q->size > PAGE_SIZE)
        return -ENOSPC;
    uint8_t *value = page_alloc();
    if (!value)
        return -ENOMEM;
    long r = q->kind == XATTR_SET && user_read(value, q->value, size) ? -EFAULT : 0;
    if (!r && q->kind == XATTR_SET)
        r = i->mount->ops->use_attr(i, ATTR_SET, name, value, size, q->flags);
    else if (!r && q->kind == XATTR_REMOVE)
        r = i->mount->ops->use_attr(i, ATTR_REMOVE, name, NULL, 0, 0);
    else if (!r)
        r = i->mount->ops->use_attr(i, ATTR_GET, name, value, size, 0);
    if (r > 0 && q->kind == XATTR_GET && size && user_write(q->value, value, (size_t)r))
        r = -EFAULT;
    page_free(value);
    if (!r && q->kind != XATTR_GET) {
        i->ops->refresh(i);
        notify_inode(i, NOTIFY_ATTRIB);
    }
    return r;
}

static long with_inode(struct inode *i, const struct xattr_request *q, const char *name)
{
    if (q->kind == XATTR_LIST)
        return i->mount ? use_elsewhere(i, q, name)
                        : list_xattrs(i, q->value, MIN(q->size, XATTR_LIST_MAX));
    int r = q->kind != XATTR_GET && inode_is_fixed(i)
                ? -EROFS
                : check_permitted(i, name, q->kind != XATTR_GET);
    if (r)
        return r;
    if (i->mount)
        return use_elsewhere(i, q, name);
    if (q->kind == XATTR_GET)
        return get_xattr(i, name, q->value, MIN(q->size, XATTR_SIZE_MAX));
    if (i->fs == FS_PROC)
        return -EOPNOTSUPP;
    return q->kind == XATTR_SET ? set_xattr(i, name, q->value, q->size, q->flags)
                                : drop_xattr(i, name);
}

static long check_request(const struct xattr_request *q, char name[XATTR_NAME_MAX + 1])
{
    if (q->kind == XATTR_LIST)
        return 0;
    if (q->kind == XATTR_SET && (q->flags & ~(XATTR_CREATE | XATTR_REPLACE)))
        return -EINVAL;
    int r = read_name(q->name, name);
    return r ? r : q->kind == XATTR_SET && q->size > XATTR_SIZE_MAX ? -E2BIG : 0;
}

long xattr_of_path(uint64_t path, int follow, const struct xattr_request *q)
{
    struct walk w;
    char name[XATTR_NAME_MAX + 1];
    long r = check_request(q, name);
    if (!r)
        r = walk_user(AT_FDCWD, path, follow, &w);
    if (r)
        return r;
    struct inode *i = w.file ? w.file->inode : w.dentry->inode;
    r = i ? with_inode(i, q, name) : -EOPNOTSUPP;
    walk_end(&w);
    return r;
}

long xattr_of_fd(int fd, const struct xattr_request *q)
{
    struct file *f = fd_file(fd);
    char name[XATTR_NAME_MAX + 1];
    if (!f)
        return -EBADF;
    long r = check_request(q, name);
    if (r)
        return r;
    if (f->inode)
        return with_inode(f->inode, q, name);
    return q->kind == XATTR_LIST ? 0 : q->kind == XATTR_GET ? -ENODATA : -EPERM;
}
