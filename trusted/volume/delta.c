// SPDX-License-Identifier: Apache-2.0
// What is kept aside (aside.c) on the disk: records in a file of its own, behind each other, a
// later one instead of an earlier; and merged with the blocks that it belongs in.
#include "trusted/volume/internal.h"

#define RECORD sizeof(struct delta_record)
#define BATCH (VOLUME_WRITE_MAX / RECORD)

static int make_file(struct volume *v)
{
    struct disk_inode *i;
    int r = ino_new(v, TYPE_FILE, (struct volume_owner){0, 0}, &v->super.delta_ino);
    if (!r)
        r = ino_change(v, v->super.delta_ino, &i);
    if (r)
        return r;
    i->nlink = 0;
    v->super.files--;
    return 0;
}

static int append_records(struct volume *v, uint32_t count)
{
    struct super *s = &v->super;
    v->step++;
    int r = count
                ? ino_write(v, s->delta_ino, s->delta_records * RECORD, v->pending, count * RECORD)
                : 0;
    s->delta_records += count;
    return r ? r : tree_write(v, 0, CLASS_ABOVE);
}

int delta_save(struct volume *v, bool last)
{
    struct super *s = &v->super;
    struct delta_record *batch = (struct delta_record *)v->pending; /* which a commit empties */
    uint32_t count = 0;
    bool anew = s->delta_records + v->delta_count > (last ? v->delta_live : 2 * v->delta_room);
    int r = v->delta_count && !s->delta_ino ? make_file(v) : 0;
    if (anew) { /* in a row, as far as it can be: so it is read at the next open */
        s->delta_records = 0;
        map_start_where(v, 7);
    }
    for (uint32_t i = 1; !r && v->delta_count && i < v->delta_used; i++) {
        const struct delta *d = &v->deltas[i];
        if (anew ? !d->record.ptr.place : !d->fresh)
            continue;
        batch[count++] = d->record;
        if (count == BATCH) {
            r = append_records(v, count);
            count = 0;
        }
    }
    if (!r)
        r = append_records(v, count);
    return r ? r : tree_write(v, 0, CLASS_MAP);
}

static int take_record(struct volume *v, const struct delta_record *r)
{
    struct delta *d = aside_find(v, r->ino, r->index);
    if (!r->ptr.place && !d)
        return 0;
    if (!r->ino || r->ino == v->super.delta_ino)
        return -EIO;
    if (r->ptr.place)
        d = aside_add(v, r->ino, r->index);
    else
        v->delta_live -= d->record.ptr.place != 0;
    if (!d)
        return -ENOMEM;
    d->record = *r;
    return 0;
}

int delta_load(struct volume *v)
{
    const struct delta_record *records = (const struct delta_record *)v->pending;
    uint32_t left = v->super.delta_records;
    if (left > 2 * v->delta_room)
        return -ENOMEM;
    for (uint64_t at = 0; left; v->step++) {
        uint32_t count = left < PENDING_MAX / RECORD ? left : PENDING_MAX / RECORD;
        long n = ino_read(v, v->super.delta_ino, at, v->pending, count * RECORD);
        if (n != (long)(count * RECORD))
            return n < 0 ? (int)n : -EIO;
        for (uint32_t i = 0; i < count; i++) {
            int r = take_record(v, &records[i]);
            if (r)
                return r;
        }
        left -= count;
        at += count * RECORD;
    }
    aside_saved(v);
    return 0;
}

int delta_merge(struct volume *v)
{
    for (uint32_t i = v->heads[v->delta_cursor++ & v->heads_mask]; i; i = v->deltas[i].next) {
        const struct delta_record *d = &v->deltas[i].record;
        struct node *n;
        if (!d->ptr.place)
            continue;
        v->step++;
        int r = tree_node(v, d->ino, 1, d->index / FAN, 0, &n);
        if (!r)
            r = tree_dirty(v, n);
        if (r)
            return r;
    }
    return 0;
}
