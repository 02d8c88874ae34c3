// SPDX-License-Identifier: Apache-2.0
// dm-verity hash trees: where the digests stand, and the check of one block.
#include "lib/verity.h"

#include <errno.h>

#include "lib/bytes.h"
#include "lib/sha2.h"

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

uint64_t sh_verity_hash_block(const struct sh_verity *v, unsigned level, uint64_t block)
{
    for (unsigned i = 0; i <= level; i++)
        block /= SH_VERITY_FANOUT;
    return v->level_start[level] + block;
}

int sh_verity_check(const struct sh_verity *v, const uint8_t root[SH_VERITY_DIGEST], uint64_t block,
                    const uint8_t *data, const uint8_t *const path[])
{
    uint8_t digest[SH_VERITY_DIGEST];
    if (block >= v->data_blocks)
        return -EBADMSG;
    sh_sha256(digest, data, SH_VERITY_BLOCK);
    for (unsigned i = 0; i < v->level_count; i++) {
        const uint8_t *want = path[i] + block % SH_VERITY_FANOUT * SH_VERITY_DIGEST;
        if (!sh_equal_ct(digest, want, sizeof(digest)))
            return -EBADMSG;
        sh_sha256(digest, path[i], SH_VERITY_BLOCK);
        block /= SH_VERITY_FANOUT;
    }
    return sh_equal_ct(digest, root, sizeof(digest)) ? 0 : -EBADMSG;
}
