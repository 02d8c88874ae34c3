// SPDX-License-Identifier: Apache-2.0
// A sparse array of pointers: a tree of nodes of 64 places.
#include "trusted/libos/base/radix.h"

#include "trusted/libos/libos.h"

#define BITS 6u
#define FANOUT (1u << BITS)

struct node {
    void *slot[FANOUT];
};

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
    uint64_t cap = height_capacity(r->height);
    if (!r->height || (cap && index >= cap))
        return NULL;
    struct node *n = r->root;
    for (unsigned level = r->height - 1; n && level > 0; level--)
        n = n->slot[level_slot(index, level)];
    return n ? n->slot[level_slot(index, 0)] : NULL;
}

void **radix_slot(struct radix *r, uint64_t index)
{
    while (!r->height || (height_capacity(r->height) && index >= height_capacity(r->height))) {
        struct node *top = los_alloc(sizeof(*top));
        if (!top)
            return NULL;
        top->slot[0] = r->root;
        r->root = top;
        r->height++;
    }
    struct node *n = r->root;
    for (unsigned level = r->height - 1; level > 0; level--) {
        void **slot = &n->slot[level_slot(index, level)];
        if (!*slot && !(*slot = los_alloc(sizeof(struct node))))
            return NULL;
        n = *slot;
    }
    return &n->slot[level_slot(index, 0)];
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
    if (!r->height || !clear_node(r->root, r->height - 1, 0, from, free_item))
        return;
    los_free(r->root);
    r->root = NULL;
    r->height = 0;
}

void *radix_next(const struct radix *r, uint64_t from, uint64_t *index)
{
    uint64_t cap = height_capacity(r->height);
    for (uint64_t i = from; r->height && (!cap || i < cap);) {
        /* Down to the leaf of i; an absent node skips all that it would hold. */
        struct node *n = r->root;
        unsigned level = r->height - 1;
        while (level > 0 && n->slot[level_slot(i, level)])
            n = n->slot[level_slot(i, level--)];
        if (level == 0 && n->slot[level_slot(i, 0)]) {
            *index = i;
            return n->slot[level_slot(i, 0)];
        }
        uint64_t step = 1ull << (level * BITS);
        i = (i & ~(step - 1)) + step;
        if (!i)
            break;
    }
    return NULL;
}
