// SPDX-License-Identifier: Apache-2.0
// Extended attributes: one block an inode, entries one after the other.
#include "trusted/volume/internal.h"

struct attr {
    uint8_t name_size, zero;
    uint16_t value_size;
};
struct attr_block {
    uint16_t used, zero;
    uint8_t data[BLOCK_SIZE - 4];
};

static uint8_t *next_attr(struct attr_block *b, size_t *at, struct attr *a)
{
    uint8_t *p = b->data + *at;
    if (*at + sizeof(*a) > b->used)
        return NULL;
    memcpy(a, p, sizeof(*a));
    if (*at + sizeof(*a) + a->name_size + a->value_size > b->used)
        return NULL;
    *at += sizeof(*a) + a->name_size + a->value_size;
    return p;
}

static uint8_t *find_attr(struct attr_block *b, struct volume_name name, struct attr *a)
{
    uint8_t *p;
    for (size_t at = 0; (p = next_attr(b, &at, a));) {
        if (a->name_size == name.size && !memcmp(p + sizeof(*a), name.text, name.size))
            return p;
    }
    return NULL;
}

/* -ENODATA: it has none at all. */
static int get_attrs(struct volume *v, uint64_t ino, struct attr_block **out)
{
    struct disk_inode *i;
    struct node *n;
    int r = ino_get(v, ino, &i, NULL);
    if (!r && !i->mode)
        r = -ENOENT;
    if (r || !i->xattr.place)
        return r ? r : -ENODATA;
    r = tree_xattr(v, ino, 0, &n);
    if (r)
        return r;
    *out = (struct attr_block *)n->data;
    return (*out)->used > sizeof((*out)->data) ? -EIO : 0;
}

static int read_attrs(struct volume *v, uint64_t ino, struct attr_block **out)
{
    v->step++;
    return v->failed ? v->failed : get_attrs(v, ino, out);
}

long volume_xattr_get(struct volume *v, uint64_t ino, struct volume_name name, void *value,
                      size_t size)
{
    struct attr_block *b;
    struct attr a;
    int r = read_attrs(v, ino, &b);
    if (r)
        return r;
    const uint8_t *p = find_attr(b, name, &a);
    if (!p)
        return -ENODATA;
    if (size && size < a.value_size)
        return -ERANGE;
    if (size)
        memcpy(value, p + sizeof(a) + a.name_size, a.value_size);
    return a.value_size;
}

long volume_xattr_list(struct volume *v, uint64_t ino, char *buf, size_t size)
{
    struct attr_block *b;
    struct attr a;
    const uint8_t *p;
    size_t total = 0;
    int r = read_attrs(v, ino, &b);
    if (r)
        return r == -ENODATA ? 0 : r;
    for (size_t at = 0; (p = next_attr(b, &at, &a)); total += a.name_size + 1u) {
        if (!size)
            continue;
        if (total + a.name_size + 1u > size)
            return -ERANGE;
        memcpy(buf + total, p + sizeof(a), a.name_size);
        buf[total + a.name_size] = 0;
    }
    return (long)total;
}

/* flags: what must be so before. */
static int judge_flags(bool there, int flags)
{
    if (there && (flags & VOLUME_XATTR_CREATE))
        return -EEXIST;
    return !there && (flags & VOLUME_XATTR_REPLACE) ? -ENODATA : 0;
}

int xattr_put(struct volume *v, uint64_t ino, struct volume_name name, const void *value,
              size_t size, int flags)
{
    struct attr_block *b;
    struct attr a;
    struct node *n;
    struct disk_inode *i;
    bool remove = !value;
    int r = get_attrs(v, ino, &b);
    if (r && r != -ENODATA)
        return r;
    uint8_t *old = r ? NULL : find_attr(b, name, &a);
    size_t free = old ? sizeof(a) + a.name_size + a.value_size : 0;
    size_t used = r ? 0 : b->used, need = remove ? 0 : sizeof(a) + name.size + size;
    r = judge_flags(old, flags);
    if (!r && used - free + need > sizeof(b->data))
        r = -ENOSPC;
    if (!r)
        r = ino_change(v, ino, &i);
    if (!r)
        r = tree_xattr(v, ino, TREE_MAKE, &n);
    if (!r)
        r = tree_dirty(v, n);
    if (r)
        return r;
    b = (struct attr_block *)n->data;
    if (old) {
        size_t behind = (size_t)(b->data + used - old) - free;
        memmove(old, old + free, behind);
        memset(old + behind, 0, free);
        used -= free;
    }
    if (!remove) {
        uint8_t *to = b->data + used;
        a = (struct attr){(uint8_t)name.size, 0, (uint16_t)size};
        memcpy(to, &a, sizeof(a));
        memcpy(to + sizeof(a), name.text, name.size);
        memcpy(to + sizeof(a) + name.size, value, size);
    }
    b->used = (uint16_t)(used + need);
    i->ctime = v->now_ns;
    return b->used ? 0 : tree_free_xattr(v, ino);
}
