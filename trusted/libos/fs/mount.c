// SPDX-License-Identifier: Apache-2.0
// What is put into the tree of names while the LibOS starts, whatever the image holds there.
#include "trusted/libos/fs/file.h"

int tree_mount(const char *path, struct inode *i)
{
    struct walk w;
    struct dentry *made;
    if (!i)
        return -ENOMEM;
    int r = walk_path(AT_FDCWD, path, WALK_FOLLOW | WALK_DIRECTORY, &w);
    if (r == -ENOENT && !(r = tree_mkdir(path, 0755, &made)))
        r = walk_path(AT_FDCWD, path, WALK_FOLLOW | WALK_DIRECTORY, &w);
    if (r) {
        inode_put(i);
        return r;
    }
    if (w.dentry->root) {
        inode_put(i);
        r = -EBUSY;
    } else {
        r = tree_put(w.dentry->parent, w.dentry->name, i);
    }
    walk_end(&w);
    return r;
}

int tree_put_file(const char *directory, const char *name, uint32_t mode, const void *data,
                  size_t size)
{
    struct dentry *dir;
    struct io_vec v;
    struct io io = io_one(&v, (uint64_t)data, size, true);
    int r = tree_mkdir(directory, 0755, &dir);
    struct inode *i = r ? NULL : inode_new(FS_TMP, S_IFREG | mode);
    if (!i)
        return r ? r : -ENOMEM;
    long n = size ? data_write(i, &io, 0) : 0;
    if (n == (long)size)
        return tree_put(dir, name, i);
    inode_put(i);
    return n < 0 ? (int)n : -ENOSPC;
}
