// SPDX-License-Identifier: Apache-2.0
// Reads the subset of erofs that `shelter build` writes: uncompressed, flat or flat with an inline
// tail, 4 KiB blocks. Format: Linux, Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h.
//
// The bytes are the image builder's, already checked against the manifest; a broken image still
// must not break the LibOS, so every offset and length is bounded. Errors are -EIO.
#ifndef LIBOS_EROFS_H
#define LIBOS_EROFS_H

#include <stdint.h>

#define EROFS_NAME_MAX 255u

struct erofs_node {
    uint64_t nid;
    uint32_t mode, uid, gid, nlink, rdev;
    uint64_t size, mtime;
    uint32_t mtime_ns;
    /* where the data is: whole blocks from `block` on, then perhaps a tail behind the inode */
    uint64_t block;
    uint64_t inline_at; /* byte offset in the image; 0: no tail */
};

/* number: of the image (image.h). Numbers of nodes say of which they are. */
int erofs_open(uint32_t number, uint64_t *root_nid);
/* Of which image it is. */
uint32_t erofs_number(uint64_t nid);
int erofs_node(uint64_t nid, struct erofs_node *out);

/* Bytes of a file; offset + size <= node size. */
int erofs_read(const struct erofs_node *n, uint64_t offset, void *buf, uint64_t size);

/* The image's block that holds the file's block `index` whole, or -ENOENT if that is the tail. */
int64_t erofs_block(const struct erofs_node *n, uint64_t index);

/* 0 with *nid, -ENOENT, -EIO. The name has `size` bytes. */
int erofs_lookup(const struct erofs_node *dir, const char *name, uint32_t size, uint64_t *nid);

/* Calls `each` for every entry but . and .. until it returns nonzero, and returns that. */
typedef int erofs_each(void *arg, const char *name, uint32_t size, uint64_t nid, uint8_t type);
int erofs_list(const struct erofs_node *dir, erofs_each *each, void *arg);

#endif
