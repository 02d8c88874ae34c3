// SPDX-License-Identifier: Apache-2.0
// Reads root file system archives and image layers into a tree.
#ifndef HOST_IMAGE_INPUT_TAR_H
#define HOST_IMAGE_INPUT_TAR_H

#include "host/image/tree.h"

struct sh_progress;

/* Where an archive's bytes come from. `read` gives the next bytes (at most `size`), 0 at the end,
 * or a -errno after setting err. */
struct sh_source {
    int (*read)(struct sh_source *s, void *buffer, size_t size, struct sh_error *err);
    const char *name; /* for sentences */
    bool outside;     /* its bytes are input, and not made of such */
};

/* A file, from its current position on; `done` counts. */
struct sh_file_source {
    struct sh_source source;
    int fd;
    uint64_t done;
};
void sh_file_source(struct sh_file_source *s, int fd, const char *name);

/* Unpacks a tar (plain, gzip, zstd, xz, bzip2) into the tree. `layer`: whiteouts hide what older
 * layers have, and absolute links among parents lead to where they do inside the root; otherwise
 * such parents are refused. Names that lead out of the root are refused always. */
int sh_tar_read(struct sh_tree *tree, struct sh_source *source, bool layer,
                struct sh_progress *progress, struct sh_error *err);

/* Opens a root file system tar ("-": standard input) and reads it. */
int sh_tar_rootfs(struct sh_tree *tree, const char *file, struct sh_progress *progress,
                  struct sh_error *err);

/* An archive of an image is a tar too, and as a root file system it would be one of layers that
 * nobody unpacked: -EINVAL, with what to write instead. */
int sh_tar_refuse_image(struct sh_tree *tree, const char *file, struct sh_error *err);

#endif
