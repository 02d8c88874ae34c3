// SPDX-License-Identifier: Apache-2.0
// What a volume tells of itself where the policy allows stats.
#include "trusted/volume/anchor.h"
#include "trusted/volume/volume.h"

#include <string.h>

void volume_count(const struct volume *v, const struct anchor_watch *watch, uint64_t now_ms,
                  uint64_t counts[VOLUME_COUNTS])
{
    struct volume_state now;
    struct volume_info info;
    memset(counts, 0, VOLUME_COUNTS * sizeof(*counts));
    volume_state(v, &now);
    volume_info(v, &info);
    counts[VOLUME_COUNT_SEQUENCE] = now.sequence;
    counts[VOLUME_COUNT_LOG] = now.log_count;
    counts[VOLUME_COUNT_PENDING] = volume_pending(v);
    counts[VOLUME_COUNT_FREE] = info.available * 4096;
    if (!watch || watch->mode == ANCHOR_NONE)
        return;
    counts[VOLUME_COUNT_ACKNOWLEDGED] = watch->acked.sequence;
    counts[VOLUME_COUNT_ACKNOWLEDGED_LOG] = watch->acked.log_count;
    counts[VOLUME_COUNT_SILENT] = now_ms - watch->heard;
    counts[VOLUME_COUNT_AWAY] = watch->away;
    counts[VOLUME_COUNT_LOST] = watch->lost;
}
