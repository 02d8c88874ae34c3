// SPDX-License-Identifier: Apache-2.0
// Which blocks are in use. A block that the last commit used is not given out again before the
// next one: until then its bitmap stands beside the changed one (INO_BEFORE).
#include "trusted/volume/internal.h"

static uint64_t group_size(const struct volume *v, uint64_t group)
{
    uint64_t left = v->super.blocks - group * GROUP_BLOCKS;
    return left < GROUP_BLOCKS ? left : GROUP_BLOCKS;
}

bool map_reserved(const struct volume *v, uint64_t place)
{
    return place % GROUP_BLOCKS < GROUP_RESERVED || place < LOG_START + v->super.log_blocks;
}

uint64_t map_fixed(const struct super *s)
{
    return (s->blocks + GROUP_BLOCKS - 1) / GROUP_BLOCKS * GROUP_RESERVED + LOG_START -
           GROUP_RESERVED + s->log_blocks;
}

uint64_t map_available(const struct volume *v)
{
    return v->super.free - v->waiting;
}

/* The first of the two blocks that a node of the map has. */
static uint64_t fixed_place(unsigned level, uint64_t index)
{
    return (index << 7 * level) * GROUP_BLOCKS + GROUP_MAP + 2 * level;
}

static bool test_bit(const uint64_t *map, uint64_t bit)
{
    return map[bit / 64] >> bit % 64 & 1;
}

static void new_group(const struct volume *v, struct node *n)
{
    uint64_t *map = (uint64_t *)n->data;
    for (uint64_t i = 0; i < GROUP_RESERVED || (!n->index && map_reserved(v, i)); i++)
        map[i / 64] |= 1ull << i % 64;
}

static void count_group(struct volume *v, uint64_t group, const uint64_t *map,
                        const uint64_t *before)
{
    uint64_t n = 0, size = group_size(v, group);
    for (uint64_t i = 0; i < size; i += 64) {
        uint64_t clear = ~(map[i / 64] | (before ? before[i / 64] : 0));
        if (size - i < 64)
            clear &= (1ull << (size - i)) - 1;
        n += count_bits(clear);
    }
    v->group_free[group] = (uint16_t)n;
}

int map_load(struct volume *v, uint64_t group, struct node **out)
{
    struct node *n = NULL;
    int r = 0;
    for (unsigned level = MAP_TOP + 1; level-- && !r;)
        r = node_load(v, INO_MAP, level, group >> 7 * level, TREE_MAKE, &n);
    if (!r && !node_slot(v, n)->place)
        new_group(v, n);
    if (!r && v->group_free[group] == GROUP_UNKNOWN) {
        const struct node *b = node_find(v, INO_BEFORE, 0, group);
        count_group(v, group, (uint64_t *)n->data, b ? (uint64_t *)b->data : NULL);
    }
    *out = n;
    return r;
}

/* A group's bitmap to change, and as the last commit has it. */
static int change_group(struct volume *v, uint64_t group, uint64_t **map, uint64_t **before)
{
    struct node *n, *b;
    int r = map_load(v, group, &n);
    if (r)
        return r;
    b = node_find(v, INO_BEFORE, 0, group);
    if (!b) {
        b = node_add(v, INO_BEFORE, 0, group);
        if (!b)
            return -ENOMEM;
        memcpy(b->data, n->data, BLOCK_SIZE);
        v->mutated = true;
        /* To the other one of its blocks. */
        for (struct node *at = n; at && !at->dirty; at = node_above(v, at)) {
            struct ptr *p = node_slot(v, at);
            uint64_t fixed = fixed_place(at->level, at->index);
            p->place = (uint32_t)(p->place == fixed ? fixed + 1 : fixed);
            node_set_dirty(v, at);
        }
    }
    *map = (uint64_t *)n->data;
    *before = (uint64_t *)b->data;
    return 0;
}

/* The first bit from `from` on that is clear in both; `size` if there is none. */
static uint64_t find_clear(const uint64_t *map, const uint64_t *before, uint64_t from,
                           uint64_t size)
{
    while (from < size) {
        uint64_t used = (map[from / 64] | before[from / 64]) >> from % 64;
        if (~used) {
            uint64_t at = from + (uint64_t)__builtin_ctzll(~used);
            if (at / 64 == from / 64)
                return at < size ? at : size;
        }
        from = (from / 64 + 1) * 64;
    }
    return size;
}

static int alloc_in(struct volume *v, uint64_t group, uint64_t from, uint32_t *place)
{
    uint64_t *map, *before, size = group_size(v, group);
    struct node *n;
    int r = v->group_free[group] == GROUP_UNKNOWN ? map_load(v, group, &n) : 0;
    if (r)
        return r;
    if (!v->group_free[group])
        return -ENOSPC;
    r = change_group(v, group, &map, &before);
    if (r)
        return r;
    uint64_t bit = find_clear(map, before, from, size);
    if (bit == size)
        bit = find_clear(map, before, 0, from);
    if (bit >= size || test_bit(map, bit) || test_bit(before, bit))
        return -EIO;
    map[bit / 64] |= 1ull << bit % 64;
    v->group_free[group]--;
    v->super.free--;
    *place = (uint32_t)(group * GROUP_BLOCKS + bit);
    return 0;
}

/* Content and what stands above it in places of their own, so that each is written in runs. */
int map_alloc(struct volume *v, bool content, uint32_t *place)
{
    uint64_t *cursor = content ? &v->content_cursor : &v->cursor;
    if (*cursor >= v->super.blocks)
        *cursor = 0;
    uint64_t group = *cursor / GROUP_BLOCKS, from = *cursor % GROUP_BLOCKS;
    for (uint64_t tries = 0; tries < v->groups; tries++) {
        int r = alloc_in(v, group, from, place);
        if (!r)
            *cursor = *place + 1ull;
        if (r != -ENOSPC)
            return r;
        group = (group + 1) % v->groups;
        from = 0;
    }
    return -ENOSPC;
}

int map_free(struct volume *v, uint32_t place)
{
    uint64_t *map, *before, group = place / GROUP_BLOCKS, bit = place % GROUP_BLOCKS;
    if (place >= v->super.blocks || map_reserved(v, place))
        return -EIO;
    int r = change_group(v, group, &map, &before);
    if (r)
        return r;
    if (!test_bit(map, bit))
        return -EIO;
    map[bit / 64] &= ~(1ull << bit % 64);
    v->super.free++;
    if (test_bit(before, bit))
        v->waiting++;
    else
        v->group_free[group]++;
    return 0;
}

int map_is_new(struct volume *v, uint32_t place)
{
    const struct node *b = node_find(v, INO_BEFORE, 0, place / GROUP_BLOCKS);
    return b && !test_bit((const uint64_t *)b->data, place % GROUP_BLOCKS);
}

#define DISCARD_MIN 64u /* blocks in a row that are worth a hole in the host's file */

static void give_back(struct volume *v, uint64_t group, const uint64_t *map, const uint64_t *before)
{
    uint64_t run = 0, freed = 0;
    for (uint64_t i = 0; i <= GROUP_BLOCKS; i++) {
        bool now_free = i < GROUP_BLOCKS && test_bit(before, i) && !test_bit(map, i);
        freed += now_free;
        if (now_free) {
            run++;
            continue;
        }
        if (run >= DISCARD_MIN && v->disk.discard_blocks)
            v->disk.discard_blocks(v->disk.ctx, group * GROUP_BLOCKS + i - run, run);
        run = 0;
    }
    v->group_free[group] = (uint16_t)(v->group_free[group] + freed);
}

static void set_cursors(struct volume *v, uint64_t group)
{
    v->content_cursor = group * GROUP_BLOCKS;
    v->cursor = v->content_cursor + group_size(v, group) / 4 * 3;
}

void map_start_where(struct volume *v, unsigned eighths)
{
    for (uint64_t g = 0; g < v->groups; g++) {
        if (v->group_free[g] == GROUP_UNKNOWN ||
            v->group_free[g] >= group_size(v, g) / 8 * eighths) {
            set_cursors(v, g);
            break;
        }
    }
}

void map_committed(struct volume *v)
{
    while (v->sticky.next != &v->sticky) {
        struct node *b = (struct node *)v->sticky.next;
        const struct node *n = node_find(v, INO_MAP, 0, b->index);
        if (n)
            give_back(v, b->index, (uint64_t *)n->data, (uint64_t *)b->data);
        else
            v->group_free[b->index] = GROUP_UNKNOWN;
        node_drop(v, b);
    }
    v->waiting = 0;
    /* From the front again, where there is room enough to write in a row: the file stays short. */
    map_start_where(v, 1);
}

void map_init(struct volume *v)
{
    v->groups = (uint32_t)((v->super.blocks + GROUP_BLOCKS - 1) / GROUP_BLOCKS);
    for (uint32_t i = 0; i < v->groups; i++)
        v->group_free[i] = GROUP_UNKNOWN;
    set_cursors(v, 0);
    v->waiting = 0;
}
