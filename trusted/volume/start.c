// SPDX-License-Identifier: Apache-2.0
// Volumes as they are mounted: made where there is none yet, as large as their disk.
#include "trusted/volume/internal.h"

#define SCAN_BLOCKS 2u /* all zeros: there is no volume yet */

static bool is_blank(const struct volume_disk *disk, void *memory)
{
    const uint8_t *bytes = memory;
    if (disk->read_blocks(disk->ctx, 0, memory, SCAN_BLOCKS))
        return false;
    for (size_t i = 0; i < SCAN_BLOCKS * BLOCK_SIZE; i++) {
        if (bytes[i])
            return false;
    }
    return true;
}

int volume_start(const struct volume_disk *disk, const uint8_t key[VOLUME_KEY_SIZE],
                 const char *name, int flags, void *memory, size_t size, struct volume **out)
{
    int r = 0;
    if (disk->blocks < SCAN_BLOCKS || size < VOLUME_MEMORY_MIN)
        return -EINVAL;
    if (!(flags & VOLUME_READ_ONLY) && is_blank(disk, memory)) {
        r = disk->judge_found ? disk->judge_found(disk->ctx, NULL) : 0;
        if (!r)
            r = volume_create(disk, key, name, memory, size);
    }
    if (!r)
        r = volume_open(disk, key, flags, memory, size, out);
    if (r || flags & VOLUME_READ_ONLY || disk->blocks <= volume_blocks(*out))
        return r;
    r = volume_grow(*out, disk->blocks);
    if (r)
        volume_abandon(*out);
    return r;
}

const char *volume_why_not(int r)
{
    return r == -EKEYREJECTED
               ? "its key does not open it: another volume's file, another key, or a "
                 "disk that was changed"
           : r == -EUCLEAN   ? "a record of its log that was acknowledged is damaged; restore it"
           : r == -EOVERFLOW ? "its file is shorter than it was"
           : r == -EPROTO    ? "it was made by another version"
           : r == -EROFS     ? "it was not closed in order: open it for writing before"
           : r == -EINVAL    ? "its file is too small: 16 MiB at least"
           : r == -ENOMEM    ? "it does not fit in the memory of -m"
           : r == -ENOENT    ? "the host brought no file for it (-v NAME:FILE)"
                             : "its disk gives errors or wrong blocks";
}
