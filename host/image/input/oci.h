// SPDX-License-Identifier: Apache-2.0
// OCI image layouts (image-spec 1.1) and docker archives, as inputs of a build.
#ifndef HOST_IMAGE_INPUT_OCI_H
#define HOST_IMAGE_INPUT_OCI_H

#include "host/image/input/config.h"
#include "host/image/tree.h"

struct sh_progress;

/* Reads "oci:DIR[:TAG]", "oci-archive:FILE[:TAG]" or "docker-archive:FILE[:TAG]": its layers into
 * the tree, its configuration (for linux/amd64) into config. work_fd is for temporary files. */
int sh_oci_read(const char *reference, struct sh_tree *tree, struct sh_config *config, int work_fd,
                struct sh_progress *progress, struct sh_error *err);

#endif
