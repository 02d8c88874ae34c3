// SPDX-License-Identifier: Apache-2.0
// Blocks of trees in memory: so many and no more, the oldest clean one makes room.
#include "trusted/volume/internal.h"

static void list_init(struct list_node *l)
{
    l->prev = l->next = l;
}

static void list_take(struct list_node *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
}

static void list_add(struct list_node *l, struct list_node *n)
{
    n->prev = l->prev;
    n->next = l;
    l->prev->next = n;
    l->prev = n;
}

bool node_is_content(const struct node *n)
{
    return n->level == 0 && n->ino != INO_TABLE && n->ino < INO_BEFORE;
}

/* Below before above: a parent is written after what it points to. */
static unsigned class_of(const struct node *n)
{
    unsigned level = n->level == LEVEL_XATTR ? 0 : n->level;
    return n->ino == INO_MAP     ? CLASS_MAP + level
           : n->ino == INO_TABLE ? CLASS_TABLE + level
                                 : level;
}

static struct list_node *home_of(struct volume *v, const struct node *n)
{
    if (n->dirty)
        return &v->dirty[class_of(n)];
    if (n->sticky)
        return &v->sticky;
    return node_is_content(n) ? &v->content : &v->other;
}

static struct node **bucket_of(struct volume *v, uint64_t ino, unsigned level, uint64_t index)
{
    uint64_t h = (ino * 16 + level) * 0x9e3779b97f4a7c15ull ^ index;
    h *= 0xbf58476d1ce4e5b9ull;
    return &v->hash[(h >> 32) & v->hash_mask];
}

int node_init(struct volume *v, uint8_t *memory, size_t size)
{
    uint32_t hash = 64;
    list_init(&v->unused);
    list_init(&v->content);
    list_init(&v->other);
    list_init(&v->sticky);
    for (unsigned i = 0; i < CLASSES; i++)
        list_init(&v->dirty[i]);
    uint64_t each = BLOCK_SIZE + sizeof(struct node) + 2 * sizeof(struct node *);
    v->node_count = (uint32_t)(size / each);
    if (v->node_count < 3 * OP_NODES)
        return -ENOMEM;
    while (hash * 2 <= v->node_count)
        hash *= 2;
    v->hash_mask = hash - 1;
    v->nodes = (struct node *)(memory + (size_t)v->node_count * BLOCK_SIZE);
    v->hash = (struct node **)(v->nodes + v->node_count);
    memset(v->nodes, 0, v->node_count * sizeof(struct node) + hash * sizeof(struct node *));
    for (uint32_t i = 0; i < v->node_count; i++) {
        v->nodes[i].data = memory + (size_t)i * BLOCK_SIZE;
        list_add(&v->unused, &v->nodes[i].list);
    }
    v->content_max = v->node_count / 4;
    v->step = 1;
    return 0;
}

void node_touch(struct volume *v, struct node *n)
{
    n->used = v->step;
    if (n->dirty || n->sticky)
        return;
    list_take(&n->list);
    list_add(home_of(v, n), &n->list);
}

struct node *node_find(struct volume *v, uint64_t ino, unsigned level, uint64_t index)
{
    for (struct node *n = *bucket_of(v, ino, level, index); n; n = n->chain) {
        if (n->ino == ino && n->index == index && n->level == level) {
            node_touch(v, n);
            return n;
        }
    }
    return NULL;
}

void node_drop(struct volume *v, struct node *n)
{
    struct node **at = bucket_of(v, n->ino, n->level, n->index);
    while (*at != n)
        at = &(*at)->chain;
    *at = n->chain;
    node_set_clean(v, n);
    if (node_is_content(n))
        v->content_count--;
    v->sticky_count -= n->sticky;
    n->sticky = false;
    list_take(&n->list);
    list_add(&v->unused, &n->list);
}

/* Nodes of this step stand at the list's end. */
static struct node *oldest_of(struct volume *v, struct list_node *l)
{
    struct node *n = (struct node *)l->next;
    return l->next == l || n->used == v->step ? NULL : n;
}

struct node *node_add(struct volume *v, uint64_t ino, unsigned level, uint64_t index)
{
    struct node key = {.ino = ino, .level = (uint8_t)level}, *old = NULL, *n;
    bool content = node_is_content(&key);
    if (content && v->content_count >= v->content_max)
        old = oldest_of(v, &v->content);
    if (!old && v->unused.next == &v->unused) {
        old = content ? oldest_of(v, &v->content) : oldest_of(v, &v->other);
        if (!old)
            old = content ? oldest_of(v, &v->other) : oldest_of(v, &v->content);
        if (!old)
            return NULL;
    }
    if (old)
        node_drop(v, old);
    n = (struct node *)v->unused.prev;
    list_take(&n->list);
    n->ino = ino;
    n->level = (uint8_t)level;
    n->index = index;
    n->used = v->step;
    n->sticky = ino == INO_BEFORE;
    v->sticky_count += n->sticky;
    if (content)
        v->content_count++;
    memset(n->data, 0, BLOCK_SIZE);
    struct node **at = bucket_of(v, ino, level, index);
    n->chain = *at;
    *at = n;
    list_add(home_of(v, n), &n->list);
    return n;
}

static uint32_t *dirty_count(struct volume *v, const struct node *n)
{
    return node_is_content(n) ? &v->dirty_content : &v->dirty_other;
}

void node_set_dirty(struct volume *v, struct node *n)
{
    if (n->dirty)
        return;
    n->dirty = true;
    ++*dirty_count(v, n);
    list_take(&n->list);
    list_add(home_of(v, n), &n->list);
}

void node_set_clean(struct volume *v, struct node *n)
{
    if (!n->dirty)
        return;
    n->dirty = n->aside = false;
    --*dirty_count(v, n);
    list_take(&n->list);
    list_add(home_of(v, n), &n->list);
}

struct disk_inode *node_inode(struct volume *v, uint64_t ino)
{
    if (ino == INO_TABLE)
        return &v->super.table;
    return (struct disk_inode *)node_find(v, INO_TABLE, 0, ino / INODES)->data + ino % INODES;
}

struct node *node_above(struct volume *v, const struct node *n)
{
    unsigned top = n->ino == INO_MAP ? MAP_TOP : node_inode(v, n->ino)->levels;
    if (n->level < top)
        return node_find(v, n->ino, n->level + 1u, n->index / FAN);
    bool in_super = n->ino == INO_MAP || n->ino == INO_TABLE;
    return in_super ? NULL : node_find(v, INO_TABLE, 0, n->ino / INODES);
}

struct ptr *node_slot(struct volume *v, const struct node *n)
{
    struct node *above = node_above(v, n);
    if (above && above->ino == n->ino)
        return (struct ptr *)above->data + n->index % FAN;
    if (n->ino == INO_MAP)
        return &v->super.map[n->index];
    struct disk_inode *i = node_inode(v, n->ino);
    return n->level == LEVEL_XATTR ? &i->xattr : &i->data;
}

int node_load(struct volume *v, uint64_t ino, unsigned level, uint64_t index, int flags,
              struct node **out)
{
    struct node *n = node_find(v, ino, level, index);
    *out = n;
    if (n)
        return 0;
    struct node key = {.ino = ino, .level = (uint8_t)level, .index = index};
    const struct ptr *p = node_slot(v, &key);
    if (!p->place && !(flags & TREE_MAKE))
        return -ENOENT;
    n = node_add(v, ino, level, index);
    if (!n)
        return -ENOMEM;
    int r = p->place && !(flags & TREE_WHOLE) ? block_get(v, p, n->data) : 0;
    if (r)
        node_drop(v, n);
    else
        *out = n;
    return r;
}
