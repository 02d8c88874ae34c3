// SPDX-License-Identifier: Apache-2.0
// Finds what an enclave must replace in the programs of an image, and writes sites.bin.
#ifndef HOST_IMAGE_WRITE_SITES_H
#define HOST_IMAGE_WRITE_SITES_H

#include <shelter/sites.h>

#include "host/base/progress.h"
#include "host/image/tree.h"

/* What is known of an ELF file's code. Addresses are the file's own (p_vaddr). */
struct sh_code {
    const uint8_t *data;
    size_t size;
    bool fixed; /* ET_EXEC: addresses in instructions are absolute */
    struct sh_code_segment {
        uint64_t start, end, offset; /* executable bytes that are in the file */
    } * segments;
    size_t segment_count;
    /* Ranges that unwind information or function symbols say are code: ascending, disjoint. */
    struct sh_code_range {
        uint64_t start, end;
        bool pads; /* may have landing pads of exceptions, whose places are not known */
    } * ranges;
    size_t range_count;
    uint64_t *labels; /* addresses of symbols and starts of ranges, in no order */
    size_t label_count;
};

/* Reads the headers. A file that is no x86-64 ELF program or library, or is broken, has no code. */
void sh_code_read(struct sh_code *c, const uint8_t *data, size_t size);
void sh_code_free(struct sh_code *c);

struct sh_site_list {
    struct sh_site *v;
    size_t count;
};

/* Finds the sites of one file: see <shelter/sites.h>. Ascending; owned by the caller. */
void sh_sites_find_in(const uint8_t *data, size_t size, struct sh_site_list *out);

/* Writes sites.bin for a tree that sh_erofs_write has numbered: *data_size bytes and their hash
 * tree. Nothing is written, and *data_size is 0, when no program has a site. */
int sh_sites_write(const struct sh_tree *tree, int dir_fd, struct sh_progress *progress,
                   uint64_t *data_size, uint8_t hash[32], struct sh_error *err);

#endif
