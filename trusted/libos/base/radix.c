// SPDX-License-Identifier: Apache-2.0
// A sparse array of pointers: a tree of nodes of 64 places.
#include "trusted/libos/base/radix.h"

#include "trusted/libos/libos.h"

#define BITS 6u
#define FANOUT (1u << BITS)

struct node {
    void *slot[FANOUT];
};

#define HEIGHT_MASK 15u

static unsigned height_of(uint64_t root)
{
    return (unsigned)root & HEIGHT_MASK;
}

static struct node *node_of(uint64_t root)
{
    return (struct node *)(root & ~(uint64_t)HEIGHT_MASK);
}

static uint64_t root_of(const struct radix *r)
{
    return __atomic_load_n(&r->root, __ATOMIC_ACQUIRE);
}

static void *load_slot(void *const *slot)
{
    return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

/* The first index that a tree of this height cannot hold; 0: it holds all. */
static uint64_t height_capacity(unsigned height)
{
    return height * BITS >= 64 ? 0 : 1ull << (height * BITS);
}

static unsigned level_slot(uint64_t index, unsigned level)
{
    return (unsigned)(index >> (level * BITS)) & (FANOUT - 1);
}

void *radix_get(const struct radix *r, uint64_t index)
{
    uint64_t root = root_of(r), cap = height_capacity(height_of(root));
    if (!root || (cap && index >= cap))
        return NULL;
    const struct node *n = node_of(root);
    for (unsigned level = height_of(root) - 1; n && level > 0; level--)
        n = load_slot(&n->slot[level_slot(index, level)]);
    return n ? load_slot(&n->slot[level_slot(index, 0)]) : NULL;
}

void **radix_slot(struct radix *r, uint64_t index)
{
    uint64_t root = r->root;
    while (!root ||
           (height_capacity(height_of(root)) && index >= height_capacity(height_of(root)))) {
        struct node *top = los_alloc(sizeof(*top));
        if (!top)
            return NULL;
        top->slot[0] = node_of(root);
        root = (uint64_t)top | (height_of(root) + 1);
        __atomic_store_n(&r->root, root, __ATOMIC_RELEASE);
    }
    struct node *n = node_of(root);
    for (unsigned level = height_of(root) - 1; level > 0; level--) {
        void **slot = &n->slot[level_slot(index, level)];
        if (!*slot) {
            struct node *below = los_alloc(sizeof(*below));
            if (!below)
                return NULL;
            __atomic_store_n(slot, below, __ATOMIC_RELEASE);
        }
        n = *slot;
    }
    return &n->slot[level_slot(index, 0)];
}

void radix_put(void **slot, void *item)
{
    __atomic_store_n(slot, item, __ATOMIC_RELEASE);
}

static bool is_empty(const struct node *n)
{
    for (unsigned i = 0; i < FANOUT; i++) {
        if (n->slot[i])
            return false;
    }
    return true;
}

void radix_remove(struct radix *r, uint64_t index)
{
    struct node *path[HEIGHT_MASK], *n = node_of(r->root);
    unsigned height = height_of(r->root), level = height;
    if (!radix_get(r, index))
        return;
    while (level-- > 0) {
        path[level] = n;
        n = n->slot[level_slot(index, level)];
    }
    for (level = 0; level < height; level++) {
        path[level]->slot[level_slot(index, level)] = NULL;
        if (level + 1 == height || !is_empty(path[level]))
            return;
        los_free(path[level]);
    }
}

/* True if the node is empty afterwards. */
static bool clear_node(struct node *n, unsigned level, uint64_t base, uint64_t from,
                       void (*free_item)(void *))
{
    bool empty = true;
    for (unsigned i = 0; i < FANOUT; i++) {
        uint64_t first = base | (uint64_t)i << (level * BITS);
        uint64_t last = first | ((level ? height_capacity(level) : 1) - 1);
        if (!n->slot[i])
            continue;
        if (last < from) {
            empty = false;
        } else if (level == 0) {
            free_item(n->slot[i]);
            n->slot[i] = NULL;
        } else if (clear_node(n->slot[i], level - 1, first, from, free_item)) {
            los_free(n->slot[i]);
            n->slot[i] = NULL;
        } else {
            empty = false;
        }
    }
    return empty;
}

void radix_clear(struct radix *r, uint64_t from, void (*free_item)(void *))
{
    if (!r->root || !clear_node(node_of(r->root), height_of(r->root) - 1, 0, from, free_item))
        return;
    los_free(node_of(r->root));
    r->root = 0;
}

void *radix_next(const struct radix *r, uint64_t from, uint64_t *index)
{
    uint64_t root = root_of(r), cap = height_capacity(height_of(root));
    for (uint64_t i = from; root && (!cap || i < cap);) {
        /* Down to the leaf of i; an absent node skips all that it would hold. */
        const struct node *n = node_of(root), *below;
        unsigned level = height_of(root) - 1;
        while (level > 0 && (below = load_slot(&n->slot[level_slot(i, level)]))) {
            n = below;
            level--;
        }
        void *item = level == 0 ? load_slot(&n->slot[level_slot(i, 0)]) : NULL;
        if (item) {
            *index = i;
            return item;
        }
        uint64_t step = 1ull << (level * BITS);
        i = (i & ~(step - 1)) + step;
        if (!i)
            break;
    }
    return NULL;
}
