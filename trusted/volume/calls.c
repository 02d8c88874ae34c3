// SPDX-License-Identifier: Apache-2.0
// The calls on files and names.
#include "trusted/volume/internal.h"

static bool is_name(struct volume_name n)
{
    if (!n.size || n.size > VOLUME_NAME_MAX || (n.text[0] == '.' && n.size == 1) ||
        (n.text[0] == '.' && n.size == 2 && n.text[1] == '.'))
        return false;
    for (size_t i = 0; i < n.size; i++) {
        if (!n.text[i] || n.text[i] == '/')
            return false;
    }
    return true;
}

/* The types of operations with names come first; a file may be made without one. */
static int run_now(struct volume *v, struct op *op)
{
    if (op->type <= OP_RENAME && !is_name(op->name) && (op->type != OP_MAKE || op->a[0]))
        return op->name.size > VOLUME_NAME_MAX ? -ENAMETOOLONG : -EINVAL;
    if (op->type == OP_RENAME && !is_name(op->new_name))
        return op->new_name.size > VOLUME_NAME_MAX ? -ENAMETOOLONG : -EINVAL;
    op->now = v->disk.now_ns(v->disk.ctx);
    return run_op(v, op);
}

static int begin_read(struct volume *v)
{
    v->step++;
    return v->failed;
}

static int read_inode(struct volume *v, uint64_t ino, struct disk_inode **out)
{
    int r = begin_read(v);
    return r ? r : ino_get(v, ino, out, NULL);
}

int volume_lookup(struct volume *v, uint64_t dir, struct volume_name name, uint64_t *ino)
{
    uint32_t type;
    int r = begin_read(v);
    if (name.size > VOLUME_NAME_MAX)
        return -ENAMETOOLONG;
    return r ? r : is_name(name) ? dir_find(v, dir, name, ino, &type) : -ENOENT;
}

int volume_stat(struct volume *v, uint64_t ino, struct volume_stat *out)
{
    struct disk_inode *i;
    int r = read_inode(v, ino, &i);
    if (!r && !i->mode)
        r = -ENOENT;
    if (r)
        return r;
    *out = (struct volume_stat){.ino = ino,
                                .size = i->size,
                                .blocks = i->blocks,
                                .mode = i->mode,
                                .uid = i->uid,
                                .gid = i->gid,
                                .nlink = i->nlink,
                                .rdev = i->rdev,
                                .generation = i->generation,
                                .atime = i->atime,
                                .mtime = i->mtime,
                                .ctime = i->ctime,
                                .btime = i->btime,
                                .parent = (i->mode & TYPE_MASK) == TYPE_DIR ? i->next : 0};
    return 0;
}

int volume_make(struct volume *v, uint64_t dir, struct volume_name name, uint32_t mode,
                struct volume_owner owner, uint32_t rdev, struct volume_name link, uint64_t *ino)
{
    struct op op = {.type = OP_MAKE,
                    .name = name,
                    .a = {dir, mode | (uint64_t)rdev << 32, owner.uid | (uint64_t)owner.gid << 32},
                    .data = link.text,
                    .size = (uint32_t)link.size};
    if (!dir)
        op.name.size = 0;
    if (!(mode & TYPE_MASK) || (link.size && (mode & TYPE_MASK) != TYPE_LINK))
        return -EINVAL;
    if (link.size > VOLUME_LINK_MAX)
        return -ENAMETOOLONG;
    int r = run_now(v, &op);
    *ino = op.result;
    return r;
}

int volume_link(struct volume *v, uint64_t ino, uint64_t dir, struct volume_name name)
{
    struct op op = {.type = OP_LINK, .name = name, .a = {dir, ino}};
    return run_now(v, &op);
}

int volume_remove(struct volume *v, uint64_t dir, struct volume_name name)
{
    struct op op = {.type = OP_REMOVE, .name = name, .a = {dir}};
    return run_now(v, &op);
}

int volume_rename(struct volume *v, uint64_t dir, struct volume_name name, uint64_t to,
                  struct volume_name new_name, bool exchange)
{
    struct op op = {
        .type = OP_RENAME, .name = name, .new_name = new_name, .a = {dir, to, exchange}};
    return run_now(v, &op);
}

int volume_forget(struct volume *v, uint64_t ino)
{
    struct op op = {.type = OP_FORGET, .a = {ino}};
    struct disk_inode *i;
    int r = read_inode(v, ino, &i);
    return r || !i->mode || i->nlink || ino <= INO_ORPHANS || ino == v->super.delta_ino
               ? r
               : run_now(v, &op);
}

int volume_list(struct volume *v, uint64_t dir, uint64_t from, volume_each *each_name, void *arg)
{
    int r = begin_read(v);
    return r ? r : dir_list(v, dir, from, each_name, arg);
}

long volume_read(struct volume *v, uint64_t ino, uint64_t offset, void *buf, size_t size)
{
    struct disk_inode *i;
    int r = read_inode(v, ino, &i);
    if (!r && (i->mode & TYPE_MASK) == TYPE_DIR)
        r = -EISDIR;
    return r ? r : ino_read(v, ino, offset, buf, size);
}

int volume_write(struct volume *v, uint64_t ino, uint64_t offset, const void *buf, size_t size)
{
    struct op op = {.type = OP_WRITE, .a = {ino, offset}, .data = buf, .size = (uint32_t)size};
    if (size > VOLUME_WRITE_MAX)
        return -EINVAL;
    return size ? run_now(v, &op) : 0;
}

int volume_punch(struct volume *v, uint64_t ino, uint64_t offset, uint64_t size)
{
    struct op op = {.type = OP_PUNCH, .a = {ino, offset, size}};
    return size ? run_now(v, &op) : 0;
}

int64_t volume_seek(struct volume *v, uint64_t ino, uint64_t offset, bool hole)
{
    struct disk_inode *i;
    uint64_t index;
    int r = read_inode(v, ino, &i);
    if (r || offset >= i->size)
        return r ? r : -ENXIO;
    uint64_t size = i->size;
    r = tree_next(v, ino, offset / BLOCK_SIZE, hole, &index);
    if (r)
        return r;
    uint64_t at = index * BLOCK_SIZE;
    if (at < offset)
        at = offset;
    if (at < size)
        return (int64_t)at;
    return hole ? (int64_t)size : -ENXIO;
}

int volume_set(struct volume *v, uint64_t ino, const struct volume_change *c)
{
    struct op op = {.type = OP_SET,
                    .a = {ino, c->what | (uint64_t)c->mode << 32, c->uid | (uint64_t)c->gid << 32,
                          c->size, (uint64_t)c->atime, (uint64_t)c->mtime, (uint64_t)c->ctime}};
    return run_now(v, &op);
}

int volume_xattr_set(struct volume *v, uint64_t ino, struct volume_name name, const void *value,
                     size_t size, int flags)
{
    struct op op = {.type = OP_XATTR,
                    .name = name,
                    .a = {ino, (uint64_t)(value ? flags : VOLUME_XATTR_REPLACE), !value},
                    .data = value,
                    .size = (uint32_t)size};
    if (!name.size || name.size > VOLUME_NAME_MAX)
        return -ERANGE;
    return size > BLOCK_SIZE ? -ENOSPC : run_now(v, &op);
}
