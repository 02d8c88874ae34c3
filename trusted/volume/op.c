// SPDX-License-Identifier: Apache-2.0
// Operations: what changes a volume, as records. A call makes one and applies it; if that went
// well, the record goes to the log. After a power cut the log's records are applied again, to the
// state that they were applied to at first; so they give the same.
//
//            name    new_name   a[0]  a[1]            a[2]            a[3]  a[4..6]     data
//   MAKE     yes                dir   mode|rdev<<32   uid|gid<<32                       link's text
//   LINK     yes                dir   ino
//   REMOVE   yes                dir
//   RENAME   yes     yes        dir   new dir         exchange
//   FORGET                      ino
//   WRITE                       ino   offset                                            bytes
//   PUNCH                       ino   offset          size
//   SET                         ino   what|mode<<32   uid|gid<<32     size  a, m, ctime
//   XATTR    yes                ino   flags           remove                            value
#include "trusted/volume/internal.h"

#include "lib/bytes.h"

size_t op_size(const struct op *op)
{
    return OP_HEAD + op->name.size + op->new_name.size + op->size;
}

static uint8_t *append_bytes(uint8_t *out, const void *data, size_t size)
{
    if (size)
        memcpy(out, data, size);
    return out + size;
}

void op_encode(struct op *op, uint8_t *out)
{
    op->name_size = (uint8_t)op->name.size;
    op->new_name_size = (uint8_t)op->new_name.size;
    out = append_bytes(out, op, OP_HEAD);
    out = append_bytes(out, op->name.text, op->name.size);
    out = append_bytes(out, op->new_name.text, op->new_name.size);
    append_bytes(out, op->data, op->size);
}

size_t op_decode(struct op *op, const uint8_t *data, size_t size)
{
    struct sh_reader r = sh_reader(data, size);
    const uint8_t *head = sh_read(&r, OP_HEAD);
    *op = (struct op){0};
    if (!head)
        return 0;
    memcpy(op, head, OP_HEAD);
    op->name = (struct volume_name){(const char *)sh_read(&r, op->name_size), op->name_size};
    op->new_name =
        (struct volume_name){(const char *)sh_read(&r, op->new_name_size), op->new_name_size};
    op->data = sh_read(&r, op->size);
    return r.failed ? 0 : r.at;
}

/* The name that a file without names has among the orphans. */
struct orphan {
    char text[16];
};
static struct volume_name orphan_name(struct orphan *o, uint64_t ino)
{
    for (unsigned i = 0; i < 16; i++)
        o->text[i] = "0123456789abcdef"[ino >> (60 - 4 * i) & 15];
    return (struct volume_name){o->text, 16};
}

static int add_orphan(struct volume *v, uint64_t ino, uint32_t mode)
{
    struct orphan o;
    return dir_add(v, INO_ORPHANS, orphan_name(&o, ino), ino, mode);
}

static int remove_orphan(struct volume *v, uint64_t ino)
{
    struct orphan o;
    return dir_replace(v, INO_ORPHANS, orphan_name(&o, ino), 0, 0);
}

/* A directory that still has a name, and in it no such name. */
static int may_add(struct volume *v, uint64_t dir, struct volume_name name)
{
    struct disk_inode *i;
    uint64_t ino;
    uint32_t type;
    int r = ino_get(v, dir, &i, NULL);
    if (r)
        return r;
    if ((i->mode & TYPE_MASK) != TYPE_DIR)
        return -ENOTDIR;
    if (!i->nlink || dir == INO_ORPHANS)
        return -ENOENT;
    r = dir_find(v, dir, name, &ino, &type);
    return r == -ENOENT ? 0 : r ? r : -EEXIST;
}

static int add_links(struct volume *v, uint64_t ino, int count)
{
    struct disk_inode *i;
    int r = ino_change(v, ino, &i);
    if (r)
        return r;
    i->nlink = (uint32_t)((int64_t)i->nlink + count);
    i->ctime = v->now_ns;
    return 0;
}

static int op_make(struct volume *v, struct op *op)
{
    struct disk_inode *i;
    uint64_t dir = op->a[0], *ino = &op->result;
    uint32_t mode = (uint32_t)op->a[1];
    struct volume_owner owner = {(uint32_t)op->a[2], (uint32_t)(op->a[2] >> 32)};
    bool is_dir = (mode & TYPE_MASK) == TYPE_DIR;
    int r = dir ? may_add(v, dir, op->name) : is_dir ? -EINVAL : 0;
    if (!r)
        r = ino_new(v, mode, owner, ino);
    if (!r && op->size)
        r = ino_write(v, *ino, 0, op->data, op->size);
    if (!r)
        r = ino_change(v, *ino, &i);
    if (r)
        return r;
    i->rdev = (uint32_t)(op->a[1] >> 32);
    if (!dir) {
        i->nlink = 0;
        return add_orphan(v, *ino, mode);
    }
    if (is_dir)
        i->next = dir;
    r = dir_add(v, dir, op->name, *ino, mode);
    return r || !is_dir ? r : add_links(v, dir, 1);
}

static int op_link(struct volume *v, struct op *op)
{
    struct disk_inode *i;
    uint64_t dir = op->a[0], ino = op->a[1];
    int r = may_add(v, dir, op->name);
    if (!r)
        r = ino_get(v, ino, &i, NULL);
    if (!r && (!i->mode || (i->mode & TYPE_MASK) == TYPE_DIR))
        r = i->mode ? -EPERM : -ENOENT;
    if (r)
        return r;
    uint32_t mode = i->mode;
    if (!i->nlink)
        r = remove_orphan(v, ino);
    if (!r)
        r = add_links(v, ino, 1);
    return r ? r : dir_add(v, dir, op->name, ino, mode);
}

/* An inode has lost a name. */
static int lost_name(struct volume *v, uint64_t ino, uint32_t mode, uint64_t dir)
{
    struct disk_inode *i;
    int r = add_links(v, ino, (mode & TYPE_MASK) == TYPE_DIR ? -2 : -1);
    if (!r && (mode & TYPE_MASK) == TYPE_DIR)
        r = add_links(v, dir, -1);
    if (!r)
        r = ino_get(v, ino, &i, NULL);
    return r || i->nlink ? r : add_orphan(v, ino, mode);
}

static int must_be_empty(struct volume *v, uint64_t ino, uint32_t type)
{
    int r = type == TYPE_DIR ? dir_find_any(v, ino, &ino) : 0;
    return r == 1 ? -ENOTEMPTY : r;
}

static int op_remove(struct volume *v, struct op *op)
{
    uint64_t ino;
    uint32_t type;
    int r = dir_find(v, op->a[0], op->name, &ino, &type);
    if (!r)
        r = must_be_empty(v, ino, type);
    if (!r)
        r = dir_replace(v, op->a[0], op->name, 0, 0);
    return r ? r : lost_name(v, ino, type, op->a[0]);
}

/* A directory that moves from one to another. */
static int update_moved(struct volume *v, uint64_t ino, uint32_t type, uint64_t from, uint64_t to)
{
    struct disk_inode *i;
    int r = ino_change(v, ino, &i);
    if (r)
        return r;
    i->ctime = v->now_ns;
    if (type != TYPE_DIR || from == to)
        return 0;
    i->next = to;
    r = add_links(v, from, -1);
    return r ? r : add_links(v, to, 1);
}

static int op_rename(struct volume *v, struct op *op)
{
    uint64_t ino, there = 0, dir = op->a[0], to = op->a[1];
    uint32_t type, there_type = 0;
    bool exchange = op->a[2];
    int r = dir_find(v, dir, op->name, &ino, &type);
    if (!r)
        r = may_add(v, to, op->new_name);
    if (!r && exchange)
        r = -ENOENT;
    if (r == -EEXIST)
        r = dir_find(v, to, op->new_name, &there, &there_type);
    if (r || ino == there)
        return r;
    if (there && !exchange)
        r = must_be_empty(v, there, there_type);
    if (r)
        return r;
    if (there)
        r = dir_replace(v, to, op->new_name, ino, type);
    else
        r = dir_add(v, to, op->new_name, ino, type);
    if (!r)
        r = update_moved(v, ino, type, dir, to);
    if (!r && exchange) {
        r = dir_replace(v, dir, op->name, there, there_type);
        return r ? r : update_moved(v, there, there_type, to, dir);
    }
    if (!r)
        r = dir_replace(v, dir, op->name, 0, 0);
    return r || !there ? r : lost_name(v, there, there_type, to);
}

static int op_forget(struct volume *v, struct op *op)
{
    struct disk_inode *i;
    uint64_t ino = op->a[0];
    int r = ino_get(v, ino, &i, NULL);
    if (!r && (!i->mode || i->nlink))
        r = -EIO; /* or who forgets orphans one after the other would not come to an end */
    if (!r)
        r = ino_delete(v, ino);
    return r ? r : remove_orphan(v, ino);
}

static int set_size(struct volume *v, uint64_t ino, uint64_t size)
{
    struct disk_inode *i;
    int r = ino_get_file(v, ino, &i);
    if (!r && size > FILE_BLOCKS_MAX * BLOCK_SIZE)
        r = -EFBIG;
    if (!r && size < i->size)
        r = ino_punch(v, ino, size, FILE_BLOCKS_MAX * BLOCK_SIZE - size);
    if (!r)
        r = ino_change(v, ino, &i);
    if (r)
        return r;
    i->size = size;
    i->mtime = v->now_ns;
    return 0;
}

static int op_set(struct volume *v, struct op *op)
{
    struct disk_inode *i;
    uint32_t what = (uint32_t)op->a[1], mode = (uint32_t)(op->a[1] >> 32);
    int r = ino_get(v, op->a[0], &i, NULL);
    if (!r && !i->mode)
        r = -ENOENT;
    if (!r && (what & VOLUME_SET_SIZE))
        r = set_size(v, op->a[0], op->a[3]);
    if (!r)
        r = ino_change(v, op->a[0], &i);
    if (r)
        return r;
    if (what & VOLUME_SET_MODE)
        i->mode = (i->mode & TYPE_MASK) | (mode & 07777);
    if (what & VOLUME_SET_UID)
        i->uid = (uint32_t)op->a[2];
    if (what & VOLUME_SET_GID)
        i->gid = (uint32_t)(op->a[2] >> 32);
    if (what & VOLUME_SET_ATIME)
        i->atime = (int64_t)op->a[4];
    if (what & VOLUME_SET_MTIME)
        i->mtime = (int64_t)op->a[5];
    i->ctime = what & VOLUME_SET_CTIME ? (int64_t)op->a[6] : v->now_ns;
    return 0;
}

static int op_content(struct volume *v, struct op *op)
{
    struct disk_inode *i;
    int r = ino_get_file(v, op->a[0], &i);
    if (r)
        return r;
    if (op->type == OP_WRITE)
        return ino_write(v, op->a[0], op->a[1], op->data, op->size);
    if (op->a[1] > FILE_BLOCKS_MAX * BLOCK_SIZE || op->a[2] > FILE_BLOCKS_MAX * BLOCK_SIZE)
        return -EFBIG;
    return ino_punch(v, op->a[0], op->a[1], op->a[2]);
}

int op_apply(struct volume *v, struct op *op)
{
    v->now_ns = op->now;
    switch (op->type) {
    case OP_MAKE:
        return op_make(v, op);
    case OP_LINK:
        return op_link(v, op);
    case OP_REMOVE:
        return op_remove(v, op);
    case OP_RENAME:
        return op_rename(v, op);
    case OP_FORGET:
        return op_forget(v, op);
    case OP_WRITE:
    case OP_PUNCH:
        return op_content(v, op);
    case OP_SET:
        return op_set(v, op);
    case OP_XATTR:
        return xattr_put(v, op->a[0], op->name, op->a[2] ? NULL : op->data, op->size,
                         (int)op->a[1]);
    default:
        return -EIO;
    }
}

uint64_t op_need(struct volume *v, const struct op *op, bool *frees)
{
    struct disk_inode *i;
    uint64_t need = 64;
    *frees = op->type == OP_REMOVE || op->type == OP_FORGET || op->type == OP_PUNCH ||
             (op->type == OP_XATTR && op->a[2]);
    if (op->type == OP_WRITE)
        need += op->size / BLOCK_SIZE + 2;
    if (op->type == OP_SET && (op->a[1] & VOLUME_SET_SIZE) && !ino_get(v, op->a[0], &i, NULL))
        *frees = op->a[3] < i->size;
    return need;
}
