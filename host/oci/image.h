// SPDX-License-Identifier: Apache-2.0
// The image that a container runs. The annotation io.shelter.image names one that was built before:
// only that has reference values known in advance. Any other rootfs is converted and measured here,
// one time for the same layers; such images are tagged shelter-oci/KEY.
#ifndef HOST_OCI_IMAGE_H
#define HOST_OCI_IMAGE_H

#include "host/oci/bundle.h"

/* The reference for sh_image_open, owned by the caller; NULL with the sentence. May take as long as
 * a build. */
char *oci_image_of(const struct oci_bundle *b, struct sh_error *err);

/* Would exec(2) find the program in the rootfs? -ENOENT or -EACCES in the words of runc, by which
 * engines choose their exit status. */
int oci_image_check_program(const struct oci_bundle *b, struct sh_error *err);

#endif
