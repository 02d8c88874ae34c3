// SPDX-License-Identifier: Apache-2.0
// Images as one file: what `save` writes and `load` reads.
//
// A pax tar of these members, in this order, nothing else:
//
//   shelter.json    {"version": 1, "id": ..., "tags": [...]}
//   manifest  reference.json  base/vmlinux  base/bzImage  base/initramfs  [base/enclave
//   base/enclave.sig  base/enclave-debug.sig]  root.img  [sites.bin]  [data-NAME.img ...]
#ifndef HOST_IMAGE_TRANSFER_H
#define HOST_IMAGE_TRANSFER_H

#include "host/store/store.h"

struct sh_progress;

/* Writes an image with all its tags to fd. */
int sh_image_save(struct sh_store *store, const char *reference, int fd,
                  struct sh_progress *progress, struct sh_error *err);

/* Reads one from fd (it may be compressed), checks every byte of it against its identity, and puts
 * it into the store. `wanted` (or NULL): full tags that it gets, wherever they point now; without
 * them those that it brings, but for such as point to another image here (a note says so). tags:
 * those that it got. Its reference values are computed again; `firmware` (or NULL) as
 * for sh_reference_compute. `name` is for sentences, `max_size` in bytes as
 * for sh_budget_start. */
int sh_image_load(struct sh_store *store, int fd, const char *name,
                  const struct sh_strings *firmware, const struct sh_strings *wanted,
                  uint64_t max_size, struct sh_progress *progress, char id[SH_ID_TEXT_SIZE],
                  struct sh_strings *tags, struct sh_error *err);

#endif
