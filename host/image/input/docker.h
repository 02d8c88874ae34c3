// SPDX-License-Identifier: Apache-2.0
// Docker archives: what `docker save` and `podman save` write.
#ifndef HOST_IMAGE_INPUT_DOCKER_H
#define HOST_IMAGE_INPUT_DOCKER_H

#include "host/image/input/blobs.h"
#include "host/image/input/config.h"

/* Reads the image with this tag (NULL: the only one) out of an opened archive. */
int sh_docker_read(struct sh_blobs *b, const char *tag, struct sh_tree *tree,
                   struct sh_config *config, struct sh_progress *progress, struct sh_error *err);

#endif
