// SPDX-License-Identifier: Apache-2.0
// One operation: memory and room for it, the change, its record; and those of the log again.
#include "trusted/volume/internal.h"

uint64_t run_reserve(const struct volume *v)
{
    uint64_t n = v->super.blocks / 64;
    return n < 160 ? 160 : n > 4096 ? 4096 : n;
}

static uint32_t dirty_limit(const struct volume *v)
{
    return v->node_count < 8 * OP_NODES ? v->node_count - 2 * OP_NODES : v->node_count / 4 * 3;
}

/* Does what only the next commit gives back make the host's file much longer? */
static bool is_wasteful(const struct volume *v)
{
    uint64_t used = v->super.blocks - map_fixed(&v->super) - v->super.free;
    return v->waiting > 1024 && v->waiting > used / 16;
}

/* Few enough dirty nodes that a step finds clean ones; a replay may not commit. */
static int make_memory(struct volume *v)
{
    int r = 0;
    v->step++;
    if (v->dirty_other + v->dirty_content + v->sticky_count > dirty_limit(v))
        r = tree_write(v, 0, CLASS_MAP);
    else if (v->dirty_content > v->content_max / 2)
        r = tree_write(v, 0, CLASS_ABOVE);
    if (!r && (v->sticky_count > v->node_count / 8 || is_wasteful(v)) && !v->replaying)
        r = root_commit(v, false);
    return r;
}

/* Until not more than `most` pointers are kept aside. A block that cannot be read waits. */
static int merge_deltas(struct volume *v, uint32_t most)
{
    for (uint32_t n = 0; v->delta_live > most && n <= v->heads_mask; n++) {
        int r = make_memory(v);
        v->mutated = false;
        if (!r)
            r = delta_merge(v);
        if (r && (v->failed || v->mutated))
            return volume_fail(v, r, "the disk gave a wrong block in the middle of a change");
        if (!r && map_available(v) < 2 * OP_NODES)
            r = root_commit(v, false);
        if (r && v->failed)
            return r;
    }
    return 0;
}

static int make_room(struct volume *v, const struct op *op)
{
    bool frees;
    int r = 0;
    uint64_t need = op_need(v, op, &frees);
    if (v->replaying)
        return 0;
    if (!frees)
        need += run_reserve(v);
    while (!r && map_available(v) < need + aside_owed(v)) {
        if (v->waiting || v->delta_new)
            r = root_commit(v, false);
        else if (v->delta_live)
            r = merge_deltas(v, 0);
        else if (v->delta_count)
            r = root_commit(v, false);
        else
            return -ENOSPC;
    }
    return r;
}

int run_op(struct volume *v, struct op *op)
{
    if (v->failed)
        return v->failed;
    if (v->read_only)
        return -EROFS;
    for (;;) {
        int r = v->replaying ? 0 : merge_deltas(v, v->delta_max / 4 * 3);
        if (!r && v->delta_count && v->delta_count >= v->delta_max && !v->replaying)
            r = root_commit(v, false);
        if (!r)
            r = make_memory(v);
        if (!r)
            r = make_room(v, op);
        if (r)
            return r;
        v->mutated = false;
        r = op_apply(v, op);
        if (r < 0 && v->mutated)
            return volume_fail(v, r, "the disk gave a wrong block in the middle of a change");
        if (r < 0)
            return r;
        if (!r) {
            log_append(v, op);
            return 0;
        }
        r = v->replaying ? 0 : root_commit(v, false);
        if (r)
            return r;
    }
}

static int apply_record(struct volume *v)
{
    uint32_t at = 0;
    while (at < v->pending_size) {
        struct op op;
        size_t n = op_decode(&op, v->pending + at, v->pending_size - at);
        int r = n ? run_op(v, &op) : -EIO;
        if (r)
            return r;
        at += (uint32_t)n;
    }
    return 0;
}

int log_replay(struct volume *v, bool clean)
{
    int r;
    uint32_t end;
    log_start(v);
    if (clean)
        return 0;
    while (!(r = log_read(v, v->log_at, &end))) {
        v->replaying = true;
        r = apply_record(v);
        v->replaying = false;
        if (r)
            return volume_fail(v, r, "the log does not fit the volume");
        v->log_at = end;
        v->log_record++;
    }
    v->pending_size = 0;
    if (r == -ENOENT)
        r = log_look_behind(v, v->log_at);
    log_remember(v);
    return r;
}
