// SPDX-License-Identifier: Apache-2.0
// Namespaces as files (/proc/PID/ns/*): there is one of each kind, and all processes are in it.
#include <linux/nsfs.h>
#include <linux/sched.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/proc.h"

#define INO_FIRST 4026531840ul /* as the links tell */

static long ns_ioctl(struct file *f, uint64_t request, uint64_t arg);

static const struct kind {
    const char *path;
    int type; /* CLONE_NEW* */
    struct file_ops ops;
} kinds[] = {
#define NAMESPACE(path, text, type)                                                                \
    {path, type, {.name = (path) + 7 /* PID/ns/ */, .ioctl = ns_ioctl}},
#define FOLDER(path)
#define NAMESPACES(path)
#define SHOW(path, name)
#define PRIVATE(path, mode, name)
#define STORE(path, name)
#define LINK(path, name)
#define TEXT(path, text)
#define FDS(path)
#define FDINFO(path)
#define TASKS(path)
#include "trusted/libos/fs/proc.def"
};

static const struct kind *kind_of(const struct file *f)
{
    return f->ops->ioctl == ns_ioctl ? container_of(f->ops, struct kind, ops) : NULL;
}

static struct file *open_kind(const struct kind *k)
{
    struct inode *i = inode_new(FS_NONE, S_IFREG | 0444);
    struct file *f = i ? file_new(&k->ops, O_RDONLY) : NULL;
    if (!f) {
        if (i)
            inode_put(i);
        return NULL;
    }
    i->ino = INO_FIRST;
    f->inode = i;
    return f;
}

struct file *proc_open_namespace(const char *path)
{
    for (size_t n = 0; n < ARRAY_COUNT(kinds); n++) {
        if (!strcmp(kinds[n].path, path))
            return open_kind(&kinds[n]);
    }
    return NULL;
}

/* ioctl_nsfs(2). What is above the only user namespace is nobody's to see. */
static long ns_ioctl(struct file *f, uint64_t request, uint64_t arg)
{
    const struct kind *k = kind_of(f);
    bool user = k->type == CLONE_NEWUSER;
    uint32_t owner = 0;
    struct file *n;
    switch (request) {
    case NS_GET_USERNS:
        if (user)
            return -EPERM;
        n = proc_open_namespace("PID/ns/user");
        return n ? fd_install(n, true, 0) : -ENOMEM;
    case NS_GET_PARENT:
        return user || k->type == CLONE_NEWPID ? -EPERM : -EINVAL;
    case NS_GET_NSTYPE:
        return k->type;
    case NS_GET_OWNER_UID:
        return user ? user_write(arg, &owner, sizeof(owner)) : -EINVAL;
    default:
        return -ENOTTY;
    }
}

/* Nobody may go to another, and there is none; but what is asked for must be one. */
long sys_setns(int fd, int type)
{
    const struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    const struct kind *k = kind_of(f);
    bool may_be = k && (!type || type == k->type) && k->type != CLONE_NEWUSER; /* one is in it */
    return may_be ? -EPERM : -EINVAL;
}
