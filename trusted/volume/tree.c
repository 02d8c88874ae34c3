// SPDX-License-Identifier: Apache-2.0
// Trees of blocks: the inode table's and those of files. What changes moves to a new place, and
// with it all above it, once between two commits.
#include "trusted/volume/internal.h"

static bool is_zero(const uint8_t *data)
{
    const uint64_t *words = (const uint64_t *)data;
    for (unsigned i = 0; i < BLOCK_SIZE / 8; i++) {
        if (words[i])
            return false;
    }
    return true;
}

static int node_at(struct volume *v, uint64_t ino, unsigned level, uint64_t index, int flags,
                   struct node **out)
{
    bool fresh = level == 1 && !node_find(v, ino, level, index);
    int r = node_load(v, ino, level, index, flags, out);
    if (!r && fresh)
        aside_apply(v, *out);
    return r;
}

/* The tree of a file gets a level more; what was its top is its first node. */
static int grow_tree(struct volume *v, uint64_t ino)
{
    struct disk_inode *i = node_inode(v, ino);
    struct node *top;
    int r = ino == INO_TABLE ? 0 : tree_dirty(v, node_find(v, INO_TABLE, 0, ino / INODES));
    if (r)
        return r;
    struct ptr below = i->data;
    i->data = (struct ptr){0};
    i->levels++;
    if (!below.place)
        return 0;
    top = node_add(v, ino, i->levels, 0);
    if (!top)
        return -ENOMEM;
    *(struct ptr *)top->data = below;
    return tree_dirty(v, top);
}

static bool does_reach(unsigned levels, unsigned level, uint64_t index)
{
    return level <= levels && index >> 7 * (levels - level) == 0;
}

/* A node of a tree whose inode is in memory. */
static int find_below(struct volume *v, uint64_t ino, unsigned level, uint64_t index, int flags,
                      struct node **out)
{
    unsigned top;
    *out = NULL;
    for (;;) {
        top = node_inode(v, ino)->levels;
        if (top > LEVELS_MAX)
            return -EIO;
        if (does_reach(top, level, index))
            break;
        if (!(flags & TREE_MAKE))
            return -ENOENT;
        int r = top < LEVELS_MAX ? grow_tree(v, ino) : -EFBIG;
        if (r)
            return r;
    }
    for (unsigned l = top + 1; l-- > level;) {
        int r = node_at(v, ino, l, index >> 7 * (l - level), l == level ? flags : flags & TREE_MAKE,
                        out);
        if (r)
            return r;
    }
    return 0;
}

int tree_node(struct volume *v, uint64_t ino, unsigned level, uint64_t index, int flags,
              struct node **out)
{
    int r = ino == INO_TABLE ? 0 : find_below(v, INO_TABLE, 0, ino / INODES, 0, out);
    return r ? r : find_below(v, ino, level, index, flags, out);
}

int tree_xattr(struct volume *v, uint64_t ino, int flags, struct node **out)
{
    int r = find_below(v, INO_TABLE, 0, ino / INODES, 0, out);
    return r ? r : node_at(v, ino, LEVEL_XATTR, 0, flags, out);
}

int ino_get(struct volume *v, uint64_t ino, struct disk_inode **out, struct node **node)
{
    struct node *n;
    if (!ino || ino >= v->super.inodes)
        return -ENOENT;
    int r = find_below(v, INO_TABLE, 0, ino / INODES, 0, &n);
    if (r)
        return r;
    *out = node_inode(v, ino);
    if (node)
        *node = n;
    return 0;
}

static int dirty_one(struct volume *v, struct node *n)
{
    struct ptr *p = node_slot(v, n);
    int r = p->place ? map_is_new(v, p->place) : 0;
    if (!r) {
        uint32_t place;
        r = map_alloc(v, node_is_content(n), &place);
        if (!r && p->place)
            r = map_free(v, p->place);
        if (r)
            return r;
        node_inode(v, n->ino)->blocks += !p->place;
        p->place = place;
    }
    if (r < 0)
        return r;
    node_set_dirty(v, n);
    if (n->level == 1)
        aside_drop(v, n);
    return 0;
}

/* Content that is written again, and its pointer kept aside. 1: done, 0, -errno. */
static int dirty_aside(struct volume *v, struct node *n)
{
    struct node *above = node_is_content(n) && !n->dirty ? node_above(v, n) : NULL;
    if (!above || above->ino != n->ino || above->dirty || !node_slot(v, n)->place)
        return 0;
    struct delta *d = aside_take(v, n);
    int r = d ? dirty_one(v, n) : 0;
    if (!d || r)
        return r;
    n->aside = true;
    d->record.ptr = *node_slot(v, n);
    return 1;
}

int tree_dirty(struct volume *v, struct node *n)
{
    struct node *chain[2 * LEVELS_MAX + 4];
    unsigned count = 0;
    v->mutated = true;
    int r = dirty_aside(v, n);
    if (r)
        return r < 0 ? r : 0;
    for (struct node *at = n; at && !at->dirty; at = node_above(v, at))
        chain[count++] = at;
    while (count-- && !r)
        r = dirty_one(v, chain[count]);
    return r;
}

/* The pointer is emptied, its block given back. The one who holds the pointer is dirty. */
static int free_at(struct volume *v, struct ptr *p, uint64_t ino, unsigned level, uint64_t index)
{
    struct node *n = node_find(v, ino, level, index);
    int r = map_free(v, p->place);
    if (n && level == 1)
        aside_drop(v, n);
    if (n)
        node_drop(v, n);
    *p = (struct ptr){0};
    node_inode(v, ino)->blocks--;
    return r;
}

int tree_drop(struct volume *v, struct node *n)
{
    for (uint64_t ino = n->ino;;) {
        struct node *above = node_above(v, n);
        int r = tree_dirty(v, above);
        if (!r)
            r = free_at(v, node_slot(v, n), ino, n->level, n->index);
        if (r || above->ino != ino || !is_zero(above->data))
            return r;
        n = above;
    }
}

/* Content blocks index..end - 1 that hang on the same node. */
static int free_some(struct volume *v, uint64_t ino, uint64_t index, uint64_t end)
{
    struct node *table, *n;
    struct disk_inode *i;
    int r = ino_get(v, ino, &i, &table);
    if (!r)
        r = tree_dirty(v, table);
    if (!r && !i->levels)
        return free_at(v, &i->data, ino, 0, 0);
    if (!r)
        r = tree_node(v, ino, 1, index / FAN, 0, &n);
    if (r)
        return r;
    bool whole = index % FAN == 0 && end - index >= FAN;
    r = tree_dirty(v, whole ? node_above(v, n) : n);
    struct ptr *p = (struct ptr *)n->data;
    for (unsigned at = index % FAN; !r && at < FAN && index < end; at++, index++) {
        if (p[at].place)
            r = free_at(v, &p[at], ino, 0, index);
    }
    return r || !is_zero(n->data) ? r : tree_drop(v, n);
}

int tree_free(struct volume *v, uint64_t ino, uint64_t from, uint64_t end)
{
    for (;;) {
        int r = tree_next(v, ino, from, false, &from);
        if (r == -ENXIO || (!r && from >= end))
            return 0;
        if (!r && !v->replaying && v->sticky_count > v->node_count / 4)
            return 1;
        if (!r)
            r = free_some(v, ino, from, end);
        if (r)
            return r;
        from = (from / FAN + 1) * FAN;
    }
}

int tree_free_xattr(struct volume *v, uint64_t ino)
{
    struct node *table;
    struct disk_inode *i;
    int r = ino_get(v, ino, &i, &table);
    if (r || !i->xattr.place)
        return r;
    r = tree_dirty(v, table);
    return r ? r : free_at(v, &i->xattr, ino, LEVEL_XATTR, 0);
}

int tree_next(struct volume *v, uint64_t ino, uint64_t from, bool hole, uint64_t *index)
{
    for (;;) {
        struct disk_inode *i;
        struct node *n;
        v->step++;
        int r = ino_get(v, ino, &i, NULL);
        if (r || i->levels > LEVELS_MAX)
            return r ? r : -EIO;
        *index = from;
        if (from >> 7 * i->levels)
            return hole ? 0 : -ENXIO;
        const struct ptr *p = &i->data;
        unsigned level = i->levels; /* of what p points to */
        for (; level && p->place; level--) {
            r = node_at(v, ino, level, from >> 7 * level, 0, &n);
            if (r)
                return r;
            p = (const struct ptr *)n->data + (from >> 7 * (level - 1)) % FAN;
        }
        if (!p->place == hole)
            return 0;
        from = ((from >> 7 * level) + 1) << 7 * level;
    }
}

long tree_read(struct volume *v, uint64_t ino, uint64_t index, uint64_t count, uint8_t *buf)
{
    struct node *n;
    uint32_t got = 0;
    int r = tree_node(v, ino, 1, index / FAN, 0, &n);
    if (r)
        return r == -ENOENT ? 0 : r;
    const struct ptr *p = (const struct ptr *)n->data + index % FAN;
    while (got < count && got < IO_BLOCKS && index % FAN + got < FAN && p->place &&
           p[got].place == p->place + got && !node_find(v, ino, 0, index + got))
        got++;
    r = got ? block_get_run(v, p, got, buf) : 0;
    return r ? r : (long)got;
}

static int write_class(struct volume *v, struct list_node *l)
{
    while (l->next != l) {
        struct node *n = (struct node *)l->next, *above;
        struct ptr *p = n->aside ? &aside_find(v, n->ino, n->index)->record.ptr : node_slot(v, n);
        int r = block_put(v, p, n->data);
        if (r)
            return r;
        if (n->aside && (above = node_find(v, n->ino, 1, n->index / FAN)))
            ((struct ptr *)above->data)[n->index % FAN] = *p;
        node_set_clean(v, n);
    }
    return 0;
}

int tree_write(struct volume *v, unsigned first, unsigned end)
{
    int r = 0;
    for (unsigned c = first; c < end && !r; c++)
        r = write_class(v, &v->dirty[c]);
    return r ? r : block_write_out(v);
}
