// SPDX-License-Identifier: Apache-2.0
// Pointers to content that was written again, kept aside: a table in memory. Else each random write
// to more than fits there would pull a block of FAN pointers along. The block that they belong in
// is clean meanwhile, and gets them whenever it is read; when it changes for another reason, or
// its turn comes (delta.c), they are dropped. delta.c keeps the table on the disk.
#include "trusted/volume/internal.h"

#define RUN 16u /* blocks in a row that are written again: their pointers' block goes with them */

static uint32_t *head_of(struct volume *v, uint64_t ino, uint64_t index)
{
    uint64_t h = (ino * 0x9e3779b97f4a7c15ull ^ index / FAN) * 0xbf58476d1ce4e5b9ull;
    return &v->heads[(h >> 32) & v->heads_mask];
}

size_t aside_init(struct volume *v, uint8_t *memory, size_t size)
{
    uint64_t room = v->super.blocks / 32, most = size / (sizeof(struct delta) + 4);
    uint32_t heads = 1;
    v->delta_room = (uint32_t)(room < most ? room : most);
    while (heads * 4 <= v->delta_room)
        heads *= 2;
    v->heads_mask = heads - 1;
    v->deltas = (struct delta *)memory;
    v->heads = (uint32_t *)(v->deltas + v->delta_room + 1); /* number 0: none */
    v->delta_used = 1;
    size = (uint8_t *)(v->heads + heads) - memory;
    memset(memory, 0, size);
    return size;
}

struct delta *aside_find(struct volume *v, uint64_t ino, uint64_t index)
{
    for (uint32_t i = *head_of(v, ino, index); i; i = v->deltas[i].next) {
        struct delta *d = &v->deltas[i];
        if (d->record.ino == ino && d->record.index == index)
            return d;
    }
    return NULL;
}

struct delta *aside_add(struct volume *v, uint64_t ino, uint64_t index)
{
    struct delta *d = aside_find(v, ino, index);
    if (!d) {
        uint32_t *head = head_of(v, ino, index), i = v->delta_free;
        if (!i && v->delta_used > v->delta_room)
            return NULL;
        if (!i)
            i = v->delta_used++;
        d = &v->deltas[i];
        v->delta_free = v->delta_free ? d->next : 0;
        *d = (struct delta){.record = {.ino = ino, .index = index}, .next = *head};
        *head = i;
        v->delta_count++;
    }
    v->delta_live += !d->record.ptr.place;
    return d;
}

void aside_drop(struct volume *v, struct node *n)
{
    for (uint32_t i = *head_of(v, n->ino, n->index * FAN); i; i = v->deltas[i].next) {
        struct delta *d = &v->deltas[i];
        if (d->record.ino != n->ino || d->record.index / FAN != n->index || !d->record.ptr.place)
            continue;
        struct node *content = node_find(v, n->ino, 0, d->record.index);
        if (content)
            content->aside = false;
        d->record.ptr = (struct ptr){0};
        d->fresh = true;
        v->delta_live--;
    }
}

void aside_apply(struct volume *v, struct node *n)
{
    for (uint32_t i = *head_of(v, n->ino, n->index * FAN); i; i = v->deltas[i].next) {
        const struct delta_record *r = &v->deltas[i].record;
        if (r->ino == n->ino && r->index / FAN == n->index && r->ptr.place)
            ((struct ptr *)n->data)[r->index % FAN] = r->ptr;
    }
}

/* Is room left for what a replay may need, which keeps nothing aside, and for the table itself? */
uint64_t aside_owed(const struct volume *v)
{
    return v->delta_count ? 4ull * v->delta_new + v->delta_room / 32 + OP_NODES : 0;
}

struct delta *aside_take(struct volume *v, const struct node *n)
{
    const struct node *before = n->index < RUN ? NULL : node_find(v, n->ino, 0, n->index - RUN);
    if (v->replaying || v->delta_count >= v->delta_max || n->ino == v->super.delta_ino ||
        (before && before->dirty) || map_available(v) < 2 * aside_owed(v) + 8 * OP_NODES)
        return NULL;
    struct delta *d = aside_add(v, n->ino, n->index);
    if (d) {
        d->fresh = true;
        v->delta_new++;
    }
    return d;
}

void aside_saved(struct volume *v)
{
    for (uint32_t i = 0; v->delta_count && i <= v->heads_mask; i++) {
        for (uint32_t *at = &v->heads[i], k; (k = *at);) {
            struct delta *d = &v->deltas[k];
            d->fresh = false;
            if (d->record.ptr.place) {
                at = &d->next;
                continue;
            }
            *at = d->next;
            *d = (struct delta){.next = v->delta_free};
            v->delta_free = k;
            v->delta_count--;
        }
    }
    v->delta_new = 0;
}
