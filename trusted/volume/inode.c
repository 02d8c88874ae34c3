// SPDX-License-Identifier: Apache-2.0
// Inodes made and given back; contents of files.
#include "trusted/volume/internal.h"

#define SIZE_MAX_FILE (FILE_BLOCKS_MAX * BLOCK_SIZE)

int ino_change(struct volume *v, uint64_t ino, struct disk_inode **out)
{
    struct node *n;
    int r = ino_get(v, ino, out, &n);
    return r ? r : tree_dirty(v, n);
}

int ino_get_file(struct volume *v, uint64_t ino, struct disk_inode **out)
{
    int r = ino_get(v, ino, out, NULL);
    if (r || !(*out)->mode)
        return r ? r : -ENOENT;
    if (((*out)->mode & TYPE_MASK) == TYPE_DIR)
        return -EISDIR;
    return ((*out)->mode & TYPE_MASK) == TYPE_FILE ? 0 : -EINVAL;
}

/* A place in the table: of an inode given back, or behind the last. */
static int take_place(struct volume *v, uint64_t *ino, struct disk_inode **out)
{
    struct node *n;
    *ino = v->super.free_inode;
    if (*ino) {
        int r = ino_change(v, *ino, out);
        if (!r && (*out)->mode)
            r = -EIO;
        if (!r)
            v->super.free_inode = (*out)->next;
        return r;
    }
    *ino = v->super.inodes;
    int r = tree_node(v, INO_TABLE, 0, *ino / INODES, TREE_MAKE, &n);
    if (!r)
        r = tree_dirty(v, n);
    if (r)
        return r;
    v->super.inodes++;
    *out = (struct disk_inode *)n->data + *ino % INODES;
    return 0;
}

int ino_new(struct volume *v, uint32_t mode, struct volume_owner owner, uint64_t *ino)
{
    struct disk_inode *i;
    int r = take_place(v, ino, &i);
    if (r)
        return r;
    *i = (struct disk_inode){.mode = mode,
                             .uid = owner.uid,
                             .gid = owner.gid,
                             .nlink = (mode & TYPE_MASK) == TYPE_DIR ? 2 : 1,
                             .generation = i->generation + 1,
                             .atime = v->now_ns,
                             .mtime = v->now_ns,
                             .ctime = v->now_ns,
                             .btime = v->now_ns};
    v->super.files++;
    return 0;
}

int ino_delete(struct volume *v, uint64_t ino)
{
    struct disk_inode *i;
    int r = tree_free(v, ino, 0, FILE_BLOCKS_MAX);
    if (r)
        return r;
    r = tree_free_xattr(v, ino);
    if (!r)
        r = ino_change(v, ino, &i);
    if (r)
        return r;
    if (i->blocks)
        return -EIO;
    *i = (struct disk_inode){.generation = i->generation, .next = v->super.free_inode};
    v->super.free_inode = ino;
    v->super.files--;
    return 0;
}

/* The blocks at both ends of a change, which keep some of their bytes, are read before anything is
 * changed: one that the disk has spoilt then spoils nothing else. */
static int read_ends(struct volume *v, uint64_t ino, uint64_t offset, uint64_t end)
{
    struct node *n;
    int r = 0;
    if (offset % BLOCK_SIZE)
        r = tree_node(v, ino, 0, offset / BLOCK_SIZE, 0, &n);
    if ((!r || r == -ENOENT) && end % BLOCK_SIZE)
        r = tree_node(v, ino, 0, end / BLOCK_SIZE, 0, &n);
    return r == -ENOENT ? 0 : r;
}

/* Zeros in a block that is there; a hole stays one. */
static int clear_part(struct volume *v, uint64_t ino, uint64_t offset, size_t size)
{
    struct node *n;
    int r = tree_node(v, ino, 0, offset / BLOCK_SIZE, 0, &n);
    if (r)
        return r == -ENOENT ? 0 : r;
    r = tree_dirty(v, n);
    if (!r)
        memset(n->data + offset % BLOCK_SIZE, 0, size);
    return r;
}

int ino_write(struct volume *v, uint64_t ino, uint64_t offset, const void *buf, size_t size)
{
    struct disk_inode *i;
    const uint8_t *from = buf;
    if (offset > SIZE_MAX_FILE || size > SIZE_MAX_FILE - offset)
        return -EFBIG;
    int r = read_ends(v, ino, offset, offset + size);
    for (uint64_t at = offset, left = size; !r && left;) {
        struct node *n;
        size_t in = at % BLOCK_SIZE, part = left < BLOCK_SIZE - in ? left : BLOCK_SIZE - in;
        int flags = TREE_MAKE | (part == BLOCK_SIZE ? TREE_WHOLE : 0);
        r = tree_node(v, ino, 0, at / BLOCK_SIZE, flags, &n);
        if (!r)
            r = tree_dirty(v, n);
        if (!r)
            memcpy(n->data + in, from, part);
        from += part;
        at += part;
        left -= part;
    }
    if (!r)
        r = ino_change(v, ino, &i);
    if (r)
        return r;
    if (offset + size > i->size)
        i->size = offset + size;
    i->mtime = i->ctime = v->now_ns;
    return 0;
}

long ino_read(struct volume *v, uint64_t ino, uint64_t offset, void *buf, size_t size)
{
    struct disk_inode *i;
    uint8_t *to = buf;
    int r = ino_get(v, ino, &i, NULL);
    if (r)
        return r;
    if (offset >= i->size)
        return 0;
    if (size > i->size - offset)
        size = i->size - offset;
    for (size_t left = size, part; left; left -= part) {
        struct node *n;
        size_t in = offset % BLOCK_SIZE;
        v->step++;
        long whole = in || left < 2 * BLOCK_SIZE
                         ? 0
                         : tree_read(v, ino, offset / BLOCK_SIZE, left / BLOCK_SIZE, to);
        part = left < BLOCK_SIZE - in ? left : BLOCK_SIZE - in;
        r = whole ? 0 : tree_node(v, ino, 0, offset / BLOCK_SIZE, 0, &n);
        if (whole < 0 || (r && r != -ENOENT))
            return whole < 0 ? whole : r;
        if (whole)
            part = (size_t)whole * BLOCK_SIZE;
        else if (r)
            memset(to, 0, part);
        else
            memcpy(to, n->data + in, part);
        to += part;
        offset += part;
    }
    return (long)size;
}

int ino_punch(struct volume *v, uint64_t ino, uint64_t offset, uint64_t size)
{
    struct disk_inode *i;
    uint64_t end = offset + size;
    uint64_t first = (offset + BLOCK_SIZE - 1) / BLOCK_SIZE, last = end / BLOCK_SIZE;
    uint64_t head = first * BLOCK_SIZE < end ? first * BLOCK_SIZE : end;
    int r = read_ends(v, ino, offset, end);
    if (!r && offset < head)
        r = clear_part(v, ino, offset, head - offset);
    if (!r && head < end && end % BLOCK_SIZE)
        r = clear_part(v, ino, end - end % BLOCK_SIZE, end % BLOCK_SIZE);
    if (!r && first < last)
        r = tree_free(v, ino, first, last);
    if (r)
        return r;
    r = ino_change(v, ino, &i);
    if (!r)
        i->mtime = i->ctime = v->now_ns;
    return r;
}
