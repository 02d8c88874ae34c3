// SPDX-License-Identifier: Apache-2.0
// What the log holds behind the last commit, done again.
#include "trusted/volume/internal.h"

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
