// SPDX-License-Identifier: Apache-2.0
// The root image and the image's sets of data: blocks of files that the host holds, checked against
// the manifest's root hashes. They lie in one space of addresses, each in a window of its own: the
// root image first, then the data.
//
// root.img is an erofs of root_size bytes and then its dm-verity tree (version 1, SHA-256, 4 KiB
// blocks, no salt, no superblock): the level nearest the root first, the data blocks' hashes last.
//
//   +----------------------+---------+---------+-------------------------+
//   | data block 0, 1, ... | level n | ...     | level 0: 128 hashes a   |
//   |                      | 1 block |         | block, of the data      |
//   +----------------------+---------+---------+-------------------------+
//
// A block is copied in, then hashed, then used; so the host cannot change it in between. What was
// checked stays in a bounded cache. A wrong block is -EIO, always; it never enters the cache.
#ifndef LIBOS_IMAGE_H
#define LIBOS_IMAGE_H

#include <shelter/manifest.h>

#include "trusted/libos/libos.h"

/* Who shares the big lock finds blocks and adds them; they are only given back by who has it
 * exclusively (image_trim). */
struct image_block {
    struct list node; /* ring of the cache, or of nothing */
    uint64_t index;
    uint8_t *data; /* PAGE_SIZE bytes */
    uint32_t pins; /* of who has the big lock exclusively */
    bool used;     /* since the clock's hand passed */
};

#define IMAGE_WINDOW 50u /* bits of a byte's offset in its window */
#define IMAGES (1u + SH_DATA_MAX)

/* number: 0 is the root image. size: bytes of the erofs, from the measured manifest. 0 or -EINVAL.
 */
int image_open(uint32_t number, uint64_t size, const uint8_t root_hash[32], uint64_t cache_pages);
/* 0: there is no such image. */
uint64_t image_size(uint32_t number);

/* More blocks are kept than should be? Makes room, alone. */
bool image_trim_is_due(void);
void image_trim(void);

/* The checked data block, pinned: give it back with image_put. 0, -EIO, -ENOMEM. */
int image_get(uint64_t index, struct image_block **out);
void image_put(struct image_block *b);

/* Bytes of an erofs. All of them or an error. Whole blocks go straight there and are not cached:
 * they are pages of mappings, or become pages of files. */
int image_read(uint64_t offset, void *buf, size_t size);

/* sites.bin (<shelter/sites.h>) is kept and checked in the same way. `size`: bytes before its
 * tree. */
int image_sites_open(uint64_t size, const uint8_t root_hash[32]);
int image_sites_read(uint64_t offset, void *buf, size_t size);

#endif
