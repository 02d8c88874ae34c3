// SPDX-License-Identifier: Apache-2.0
// Tar headers (POSIX.1-2017 pax interchange format; GNU long names are read too). Pure.
//
//   [pax header | records] header | contents, each padded to 512 bytes; two zero blocks end it
#ifndef COPY_TAR_H
#define COPY_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAR_BLOCK 512u
#define TAR_NAME_MAX 4096u
#define TAR_EXTRA_MAX 65536u /* records of one pax header, or one GNU long name */
#define COPY_TAR_HEAD_MAX (4 * TAR_NAME_MAX)

struct tar_entry {
    char type; /* '0' file, '1' hard link, '2' symlink, '3' '4' device, '5' folder, '6' fifo;
                  'x' 'g' pax records, 'L' 'K' GNU long names; 0: the end */
    uint32_t mode, uid, gid, major, minor;
    uint64_t size; /* of what follows */
    int64_t mtime;
    char name[TAR_NAME_MAX], link[TAR_NAME_MAX];
    uint8_t capability[64]; /* security.capability */
    size_t capability_size;
};

/* Writes the header, with a pax header before it where ustar's fields do not hold it.
 * out takes COPY_TAR_HEAD_MAX bytes. Returns the size, a multiple of 512. */
size_t tar_write(uint8_t *out, const struct tar_entry *e);

/* Reads one header block. 0 or -EBADMSG. */
int tar_read(struct tar_entry *e, const uint8_t block[TAR_BLOCK]);

/* What pax records say of the next entry; has_* tell which fields. 0 or -EBADMSG. */
struct tar_extra {
    bool has_name, has_link, has_size, has_uid, has_gid, has_mtime;
    struct tar_entry e;
};
int tar_pax(struct tar_extra *x, const uint8_t *data, size_t size);
void tar_apply(struct tar_entry *e, const struct tar_extra *x);

/* A name as it may be unpacked: relative, without "." parts, never "..". "" is the folder itself.
 * 0 or -EBADMSG. */
int tar_clean(char *name);

#endif
