// SPDX-License-Identifier: Apache-2.0
// Reads sites.bin (<shelter/sites.h>) piece by piece: who has few programs mapped reads few blocks.
#ifndef LIB_SITES_H
#define LIB_SITES_H

#include <stddef.h>
#include <stdint.h>

#include <shelter/sites.h>

/* Copies `size` bytes at `offset`, both inside the file. 0 or -errno. */
typedef int sh_sites_read(void *arg, uint64_t offset, void *buf, size_t size);

struct sh_sites {
    sh_sites_read *source;
    void *arg;
    uint32_t file_count, site_count;
};

/* Judges the head. `size`: bytes before the hash tree. 0, -EBADMSG or what `source` said. */
int sh_sites_open(struct sh_sites *s, uint64_t size, sh_sites_read *source, void *arg);

/* Finds a file's sites: numbers first .. first + count - 1, at most SH_SITES_OF_FILE_MAX. 0,
 * -ENOENT when it has none, -EBADMSG, or what `source` said. */
int sh_sites_find(const struct sh_sites *s, uint64_t nid, uint32_t *first, uint32_t *count);

/* Reads and judges `count` sites of one file from number `first` on. 0, -EBADMSG or what `source`
 * said; `out` is to be used only after 0. */
int sh_sites_get(const struct sh_sites *s, uint32_t first, uint32_t count, struct sh_site *out);

#endif
