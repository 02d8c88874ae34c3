// SPDX-License-Identifier: Apache-2.0
// dm-verity hash trees: where the digests stand.
#include "lib/verity.h"

#include <errno.h>

int sh_verity_init(struct sh_verity *v, uint64_t data_blocks)
{
    *v = (struct sh_verity){.data_blocks = data_blocks};
    if (!data_blocks || data_blocks > 1ull << 32)
        return -EINVAL;
    for (uint64_t below = data_blocks; below > 1;) {
        below = (below + SH_VERITY_FANOUT - 1) / SH_VERITY_FANOUT;
        v->level_blocks[v->level_count++] = below;
    }
    v->total_blocks = data_blocks;
    for (unsigned i = v->level_count; i-- > 0;) {
        v->level_start[i] = v->total_blocks;
        v->total_blocks += v->level_blocks[i];
    }
    return 0;
}
