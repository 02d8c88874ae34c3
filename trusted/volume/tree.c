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

static struct disk_inode *inode_in(struct node *table, uint64_t ino)
{
    return (struct disk_inode *)table->data + ino % INODES;
}

/* Where the pointer to n stands: in its parent, an inode, or the super (parent NULL). */
static struct ptr *slot_of(struct volume *v, const struct node *n, struct node *parent)
{
    if (!parent)
        return &v->super.inode_table;
    if (parent->ino == INO_TABLE && n->ino != INO_TABLE) {
        struct disk_inode *i = inode_in(parent, n->ino);
        return n->level == LEVEL_XATTR ? &i->xattr : &i->data;
    }
    return (struct ptr *)parent->data + n->index % FAN;
}

/* The node of a pointer: in memory, read, or new. */
static int node_at(struct volume *v, uint64_t ino, unsigned level, uint64_t index,
                   struct node *parent, int flags, struct node **out)
{
    struct node *n = node_find(v, ino, level, index);
    *out = n;
    if (n)
        return 0;
    struct node key = {.ino = ino, .level = (uint8_t)level, .index = index};
    const struct ptr *p = slot_of(v, &key, parent);
    if (!p->place && !(flags & TREE_MAKE))
        return -ENOENT;
    n = node_add(v, ino, level, index);
    if (!n)
        return -ENOMEM;
    int r = p->place && !(flags & TREE_WHOLE) ? block_get(v, p, n->data) : 0;
    if (r) {
        node_drop(v, n);
        return r;
    }
    if (level == 1)
        aside_apply(v, n);
    *out = n;
    return 0;
}

/* The tree of a file gets a level more; what was its top is its first node. */
static int grow_tree(struct volume *v, uint64_t ino, struct node *table, unsigned levels)
{
    int r = table ? tree_dirty(v, table) : 0;
    struct node *top, *old = node_find(v, ino, levels, 0);
    struct ptr *p = table ? &inode_in(table, ino)->data : &v->super.inode_table;
    if (r)
        return r;
    struct ptr below = *p;
    *p = (struct ptr){0};
    if (table)
        inode_in(table, ino)->levels++;
    else
        v->super.inode_levels++;
    if (!below.place)
        return 0;
    top = node_add(v, ino, levels + 1, 0);
    if (!top)
        return -ENOMEM;
    *(struct ptr *)top->data = below;
    r = tree_dirty(v, top);
    if (!r && old && old->dirty)
        old->parent = top;
    return r;
}

static bool does_reach(unsigned levels, unsigned level, uint64_t index)
{
    return level <= levels && index >> 7 * (levels - level) == 0;
}

/* A node of a tree whose top pointer stands in the inode `ino` of `table`, or in the super (NULL).
 */
static int find_below(struct volume *v, uint64_t ino, struct node *table, unsigned level,
                      uint64_t index, int flags, struct node **out)
{
    struct node *n = table;
    unsigned top;
    for (;;) {
        top = table ? inode_in(table, ino)->levels : v->super.inode_levels;
        if (top > LEVELS_MAX)
            return -EIO;
        if (does_reach(top, level, index))
            break;
        if (!(flags & TREE_MAKE))
            return -ENOENT;
        int r = top < LEVELS_MAX ? grow_tree(v, ino, table, top) : -EFBIG;
        if (r)
            return r;
    }
    for (unsigned l = top + 1; l-- > level;) {
        int r = node_at(v, ino, l, index >> 7 * (l - level), n,
                        l == level ? flags : flags & TREE_MAKE, &n);
        if (r)
            return r;
    }
    *out = n;
    return 0;
}

int tree_node(struct volume *v, uint64_t ino, unsigned level, uint64_t index, int flags,
              struct node **out)
{
    struct node *table = NULL;
    *out = NULL;
    int r = ino == INO_TABLE ? 0 : find_below(v, INO_TABLE, NULL, 0, ino / INODES, 0, &table);
    return r ? r : find_below(v, ino, table, level, index, flags, out);
}

int tree_xattr(struct volume *v, uint64_t ino, int flags, struct node **out)
{
    struct node *table;
    int r = tree_node(v, INO_TABLE, 0, ino / INODES, 0, &table);
    return r ? r : node_at(v, ino, LEVEL_XATTR, 0, table, flags, out);
}

int ino_get(struct volume *v, uint64_t ino, struct disk_inode **out, struct node **node)
{
    struct node *n;
    if (!ino || ino >= v->super.inodes)
        return -ENOENT;
    int r = tree_node(v, INO_TABLE, 0, ino / INODES, 0, &n);
    if (r)
        return r;
    *out = inode_in(n, ino);
    if (node)
        *node = n;
    return 0;
}

/* In memory, as everything above a node that this step has touched. NULL: the super. */
static struct node *parent_of(struct volume *v, const struct node *n)
{
    struct node *table = NULL;
    unsigned levels = v->super.inode_levels;
    if (n->ino != INO_TABLE) {
        table = node_find(v, INO_TABLE, 0, n->ino / INODES);
        levels = inode_in(table, n->ino)->levels;
    }
    if (n->level == LEVEL_XATTR || n->level == levels)
        return table;
    return node_find(v, n->ino, n->level + 1, n->index / FAN);
}

uint64_t tree_place(struct volume *v, const struct node *n)
{
    return slot_of(v, n, parent_of(v, n))->place;
}

static int dirty_one(struct volume *v, struct node *n, struct node *parent)
{
    struct ptr *p = slot_of(v, n, parent);
    int r = p->place ? map_is_new(v, p->place) : 0;
    if (!r) {
        uint32_t place;
        r = map_alloc(v, node_is_content(n), &place);
        if (!r && p->place)
            r = map_free(v, p->place);
        if (r)
            return r;
        if (!p->place && n->ino != INO_TABLE)
            inode_in(node_find(v, INO_TABLE, 0, n->ino / INODES), n->ino)->blocks++;
        p->place = place;
    }
    if (r < 0)
        return r;
    node_set_dirty(v, n, parent);
    if (n->level == 1)
        aside_drop(v, n);
    return 0;
}

/* Content that is written again, and its pointer kept aside. 1: done, 0, -errno. */
static int dirty_aside(struct volume *v, struct node *n)
{
    struct node *parent = node_is_content(n) && !n->dirty ? parent_of(v, n) : NULL;
    if (!parent || parent->ino != n->ino || parent->dirty || !slot_of(v, n, parent)->place)
        return 0;
    struct delta *d = aside_take(v, n);
    int r = d ? dirty_one(v, n, parent) : 0;
    if (!d || r)
        return r;
    n->parent = NULL;
    d->record.ptr = *slot_of(v, n, parent);
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
    for (struct node *at = n; at && !at->dirty; at = parent_of(v, at))
        chain[count++] = at;
    while (count--) {
        r = dirty_one(v, chain[count], parent_of(v, chain[count]));
        if (r)
            return r;
    }
    return 0;
}

/* The pointer is emptied, its block given back. The one who holds the pointer is dirty. */
static int free_at(struct volume *v, struct ptr *p, uint64_t ino, unsigned level, uint64_t index)
{
    struct node *n = node_find(v, ino, level, index);
    struct disk_inode *i = inode_in(node_find(v, INO_TABLE, 0, ino / INODES), ino);
    int r = map_free(v, p->place);
    if (n && level == 1)
        aside_drop(v, n);
    if (n)
        node_drop(v, n);
    *p = (struct ptr){0};
    i->blocks--;
    return r;
}

/* Nodes above content block `index` that have become empty are given back, lowest first. */
static int prune_empty(struct volume *v, uint64_t ino, uint64_t index, struct node *n)
{
    while (n && n->ino == ino && is_zero(n->data)) {
        struct node *parent = parent_of(v, n);
        int r = parent->dirty ? 0 : tree_dirty(v, parent);
        if (!r)
            r = free_at(v, slot_of(v, n, parent), ino, n->level, n->index);
        if (r)
            return r;
        n = parent;
    }
    return 0;
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
    r = whole ? tree_dirty(v, parent_of(v, n)) : tree_dirty(v, n);
    struct ptr *p = (struct ptr *)n->data;
    for (unsigned at = index % FAN; !r && at < FAN && index < end; at++, index++) {
        if (p[at].place)
            r = free_at(v, &p[at], ino, 0, index);
    }
    return r ? r : prune_empty(v, ino, index - 1, n);
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

/* Is block *index data? 1, 0 with *index behind the hole, or -errno. */
static int probe_block(struct volume *v, uint64_t ino, unsigned levels, uint64_t *index)
{
    struct node *n;
    struct disk_inode *i;
    int r = ino_get(v, ino, &i, &n);
    if (r)
        return r;
    const struct ptr *p = &i->data;
    for (unsigned level = levels; level && p->place; level--) {
        r = node_at(v, ino, level, *index >> 7 * level, n, 0, &n);
        if (r)
            return r;
        uint64_t at = *index >> 7 * (level - 1);
        p = (const struct ptr *)n->data + at % FAN;
        /* Holes side by side in this node are passed in a row. */
        while (!p->place && at % FAN < FAN - 1) {
            *index = ++at << 7 * (level - 1);
            p++;
        }
        if (!p->place) {
            *index = (at + 1) << 7 * (level - 1);
            return 0;
        }
    }
    if (p->place)
        return 1;
    *index = 1ull << 7 * levels;
    return 0;
}

int tree_next(struct volume *v, uint64_t ino, uint64_t from, bool hole, uint64_t *index)
{
    struct disk_inode *i;
    for (;;) {
        v->step++;
        int r = ino_get(v, ino, &i, NULL);
        if (r)
            return r;
        unsigned levels = i->levels;
        if (levels > LEVELS_MAX)
            return -EIO;
        uint64_t at = from;
        r = from >> 7 * levels ? 0 : probe_block(v, ino, levels, &at);
        *index = from;
        if (r < 0)
            return r;
        if (hole && (!r || at != from))
            return 0;
        if (!hole && from >> 7 * levels)
            return -ENXIO;
        *index = at;
        if (!hole && r)
            return 0;
        from = hole ? from + 1 : at;
    }
}

long tree_read(struct volume *v, uint64_t ino, uint64_t index, uint32_t count, uint8_t *buf)
{
    struct node *n;
    struct disk_inode *i;
    struct ptr run[IO_BLOCKS];
    uint32_t got = 0;
    int r = ino_get(v, ino, &i, NULL);
    if (r)
        return r;
    bool one = count == 1 || !i->levels || node_find(v, ino, 0, index);
    r = tree_node(v, ino, one ? 0 : 1, one ? index : index / FAN, 0, &n);
    if (r == -ENOENT || (!r && one)) {
        if (r)
            memset(buf, 0, BLOCK_SIZE);
        else
            memcpy(buf, n->data, BLOCK_SIZE);
        return 1;
    }
    if (r)
        return r;
    const struct ptr *p = (const struct ptr *)n->data + index % FAN;
    if (!p->place) {
        memset(buf, 0, BLOCK_SIZE);
        return 1;
    }
    while (got < count && got < IO_BLOCKS && index % FAN + got < FAN &&
           p[got].place == p->place + got && !(got && node_find(v, ino, 0, index + got))) {
        run[got] = p[got];
        got++;
    }
    r = block_get_run(v, run, got, buf);
    return r ? r : (long)got;
}

static int write_class(struct volume *v, struct list_node *l)
{
    while (l->next != l) {
        struct node *n = (struct node *)l->next, *above;
        bool aside = !n->parent && node_is_content(n);
        struct ptr *p = aside               ? &aside_find(v, n->ino, n->index)->record.ptr
                        : n->ino == INO_MAP ? map_slot(v, n, n->parent)
                                            : slot_of(v, n, n->parent);
        int r = block_put(v, p, n->data);
        if (r)
            return r;
        if (aside && (above = node_find(v, n->ino, 1, n->index / FAN)))
            *slot_of(v, n, above) = *p;
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
