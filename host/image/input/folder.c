// SPDX-License-Identifier: Apache-2.0
// Copies a folder of this machine into a tree. Entries come in the order of their names, so that
// the same folder gives the same image.
#include "host/image/input/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <search.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "host/base/progress.h"
#include "host/image/input/files.h"

/* A file that has several names. */
struct known_file {
    dev_t device;
    ino_t number;
    struct sh_inode *inode;
};

struct folder_reader {
    struct sh_tree *tree;
    void *known; /* tsearch(3) of struct known_file */
    struct sh_progress *progress;
    struct sh_error *err;
};

static int compare_files(const void *a, const void *b)
{
    const struct known_file *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x->device < y->device ? -1 : x->device > y->device;
}

static int compare_names(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void set_attributes(struct sh_inode *inode, const struct stat *st)
{
    inode->mode = (inode->mode & S_IFMT) | (S_ISLNK(inode->mode) ? 0777 : st->st_mode & 07777);
    inode->uid = st->st_uid;
    inode->gid = st->st_gid;
    inode->mtime = st->st_mtim.tv_sec;
    inode->mtime_nsec = (uint32_t)st->st_mtim.tv_nsec;
}

/* Those of overlayfs itself say how it merged its layers; nobody sees them through the merge. */
static int read_xattrs(struct folder_reader *r, const char *path, struct sh_inode *inode)
{
    ssize_t size = llistxattr(path, NULL, 0);
    if (size <= 0)
        return size && errno != ENOTSUP ? sh_fail_errno(r->err, -errno, "cannot read %s", path) : 0;
    cleanup_free char *names = sh_alloc((size_t)size);
    size = llistxattr(path, names, (size_t)size);
    for (const char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
        char value[XATTR_SIZE_MAX];
        ssize_t n = lgetxattr(path, name, value, sizeof(value));
        if (!strncmp(name, "trusted.overlay.", 16) || !strncmp(name, "user.overlay.", 13) || n < 0)
            continue;
        int code = sh_tree_xattr(inode, name, value, (size_t)n, r->err);
        if (code)
            return code;
    }
    return 0;
}

static int read_link(struct folder_reader *r, const FTSENT *e, struct sh_inode *inode)
{
    char target[PATH_MAX];
    ssize_t n = readlink(e->fts_accpath, target, sizeof(target) - 1);
    if (n <= 0)
        return sh_fail_errno(r->err, n ? -errno : -EBADMSG, "cannot read the link %s", e->fts_path);
    target[n] = 0;
    inode->target = sh_strdup(target);
    return 0;
}

static int read_content(struct folder_reader *r, const FTSENT *e, struct sh_inode *inode)
{
    struct stat st;
    cleanup_close int fd =
        open(e->fts_accpath, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st))
        return sh_fail_errno(r->err, -errno, "cannot open %s", e->fts_path);
    if (!S_ISREG(st.st_mode))
        return sh_fail(r->err, -EBUSY, "%s changed while it was read; build again", e->fts_path);
    sh_progress_show(r->progress, "reading the root file system", r->tree->spool_size, 0);
    return sh_files_spool(r->tree, inode, fd, (uint64_t)st.st_size, e->fts_path, r->err);
}

static int fill_node(struct folder_reader *r, const FTSENT *e, struct sh_inode *inode)
{
    const struct stat *st = e->fts_statp;
    int code = 0;
    set_attributes(inode, st);
    if (S_ISLNK(st->st_mode))
        code = read_link(r, e, inode);
    else if (S_ISREG(st->st_mode))
        code = read_content(r, e, inode);
    else if (!S_ISFIFO(st->st_mode)) /* as erofs and the kernel have it */
        inode->device = (minor(st->st_rdev) & 0xff) | (major(st->st_rdev) & 0xfff) << 8 |
                        (minor(st->st_rdev) & 0xfff00) << 12;
    return code ? code : read_xattrs(r, e->fts_accpath, inode);
}

/* The inode of an earlier name, or where to put that of this first one. */
static struct known_file *find_known(struct folder_reader *r, const struct stat *st)
{
    struct known_file *k = sh_alloc(sizeof(*k));
    *k = (struct known_file){.device = st->st_dev, .number = st->st_ino};
    void *node = tsearch(k, &r->known, compare_files);
    if (!node)
        abort(); /* out of memory, as in sh_alloc */
    struct known_file *found = *(struct known_file **)node;
    if (found != k)
        free(k);
    return found;
}

static int add_node(struct folder_reader *r, const FTSENT *e, struct sh_inode *folder)
{
    const struct stat *st = e->fts_statp;
    struct known_file *k = st->st_nlink > 1 ? find_known(r, st) : NULL;
    if (k && k->inode)
        return sh_tree_link(r->tree, folder, e->fts_name, k->inode, r->err);
    struct sh_inode *inode = sh_tree_inode(r->tree, st->st_mode & S_IFMT);
    int code = fill_node(r, e, inode);
    if (!code)
        code = sh_tree_link(r->tree, folder, e->fts_name, inode, r->err);
    if (code)
        sh_tree_inode_drop(inode);
    else if (k)
        k->inode = inode;
    return code;
}

static int add_folder(struct folder_reader *r, FTSENT *e, struct sh_inode *parent)
{
    struct sh_inode *made = r->tree->root;
    int code = parent ? sh_tree_add_folder(r->tree, parent, e->fts_name, &made, r->err) : 0;
    e->fts_pointer = made;
    if (code)
        return code;
    set_attributes(made, e->fts_statp);
    return read_xattrs(r, e->fts_accpath, made);
}

static int add_entry(struct folder_reader *r, FTSENT *e)
{
    struct sh_inode *parent = e->fts_level > 0 ? e->fts_parent->fts_pointer : NULL;
    switch (e->fts_info) {
    case FTS_D:
        return add_folder(r, e, parent);
    case FTS_DP:
        return 0;
    case FTS_F:
    case FTS_SL:
    case FTS_SLNONE:
    case FTS_DEFAULT:
        return S_ISSOCK(e->fts_statp->st_mode) ? 0 : add_node(r, e, parent);
    default:
        return sh_fail_errno(r->err, e->fts_errno ? -e->fts_errno : -ELOOP, "cannot read %s",
                             e->fts_path);
    }
}

int sh_folder_read(struct sh_tree *tree, const char *path, struct sh_progress *progress,
                   struct sh_error *err)
{
    struct folder_reader r = {.tree = tree, .progress = progress, .err = err};
    char *const paths[] = {(char *)path, NULL};
    struct stat st;
    if (stat(path, &st) || !S_ISDIR(st.st_mode))
        return sh_fail(err, -ENOTDIR, "%s is not a folder", path);
    tree->layer++;
    tree->strict_links = false;
    FTS *walk =
        fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV | FTS_COMFOLLOW, compare_names);
    if (!walk)
        return sh_fail_errno(err, -errno, "cannot read %s", path);
    int code = 0;
    errno = 0;
    for (FTSENT *e; !code && (e = fts_read(walk));)
        code = add_entry(&r, e);
    if (!code && errno)
        code = sh_fail_errno(err, -errno, "cannot read %s", path);
    fts_close(walk);
    tdestroy(r.known, free);
    return code;
}
