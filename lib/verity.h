// SPDX-License-Identifier: Apache-2.0
// dm-verity hash trees: version 1, SHA-256, blocks of 4 KiB, no salt, no superblock.
//
// The tree follows the data: the level nearest the root first, the digests of the data blocks last.
// A block of level 0 holds the digests of 128 data blocks, one of level i those of 128 blocks of
// level i - 1, zero-padded at the end. The root digest is that of the one block on top. (One data
// block alone has no tree: its digest is the root.)
#ifndef LIB_VERITY_H
#define LIB_VERITY_H

#include <stdint.h>

#define SH_VERITY_BLOCK 4096u
#define SH_VERITY_DIGEST 32u
#define SH_VERITY_FANOUT (SH_VERITY_BLOCK / SH_VERITY_DIGEST)
#define SH_VERITY_LEVELS_MAX 5u /* enough for 2^32 blocks, 16 TiB */

struct sh_verity {
    uint64_t data_blocks;
    unsigned level_count;
    uint64_t level_start[SH_VERITY_LEVELS_MAX]; /* first block, counted from the data's start */
    uint64_t level_blocks[SH_VERITY_LEVELS_MAX];
    uint64_t total_blocks; /* data and tree */
};

/* Computes where everything is. 0, or -EINVAL when data_blocks is 0 or above 2^32. */
int sh_verity_init(struct sh_verity *v, uint64_t data_blocks);

#endif
