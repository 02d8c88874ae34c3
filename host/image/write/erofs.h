// SPDX-License-Identifier: Apache-2.0
// Writes a tree as an erofs root image with its dm-verity tree (<shelter/erofs.h> has the format).
#ifndef HOST_IMAGE_WRITE_EROFS_H
#define HOST_IMAGE_WRITE_EROFS_H

#include "host/store/sink.h"
#include "host/image/tree.h"

struct sh_erofs_result {
    uint64_t root_size; /* bytes of erofs; the hash tree starts there */
    uint64_t image_size;
    uint8_t root_hash[SH_VERITY_DIGEST];
    uint64_t inode_count;
};

struct sh_progress; /* host/base/progress.h */

/* The result depends on the tree alone. Writes the inodes' writer fields. fd is an empty file. */
int sh_erofs_write(struct sh_tree *tree, int fd, struct sh_progress *progress,
                   struct sh_erofs_result *result, struct sh_error *err);

#endif
