// SPDX-License-Identifier: Apache-2.0
// The files of an OCI layout or a docker archive, in a folder or in a tar, read with their digests.
#ifndef HOST_IMAGE_INPUT_BLOBS_H
#define HOST_IMAGE_INPUT_BLOBS_H

#include <cjson/cJSON.h>

#include "host/image/input/tar.h"

#define SH_BLOB_JSON_MAX (4u << 20) /* what the OCI distribution specification asks of all */
#define SH_DIGEST_TEXT_MAX 136u     /* "sha512:" and 128 digits */

struct sh_blobs {
    const char *name;       /* for sentences */
    int dir_fd;             /* the folder, or -1 */
    struct sh_tree archive; /* the tar's files */
};

/* Opens a folder, or unpacks a tar into a spool in work_fd; `budget` may be NULL. */
int sh_blobs_open(struct sh_blobs *b, const char *path, bool folder, int work_fd,
                  struct sh_budget *budget, struct sh_progress *progress, struct sh_error *err);
void sh_blobs_close(struct sh_blobs *b);

/* "sha256:<64 hex digits>" or sha512's. */
bool sh_digest_ok(const char *digest);

/* "blobs/sha256/<digits>"; owned by the caller. */
char *sh_blob_path(const char *digest);

/* Reads a JSON file; with a digest, refuses other bytes. */
int sh_blobs_json(struct sh_blobs *b, const char *path, const char *digest, cJSON **json,
                  struct sh_error *err);

/* Unpacks a layer into the tree. `digest` is of the file as it is, `diff_id` of the tar inside;
 * each may be NULL; `size` < 0: not known. Other bytes are refused. */
int sh_blobs_layer(struct sh_blobs *b, const char *path, const char *digest, int64_t size,
                   const char *diff_id, struct sh_tree *tree, struct sh_progress *progress,
                   struct sh_error *err);

#endif
