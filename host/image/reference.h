// SPDX-License-Identifier: Apache-2.0
// reference.json: the values that a verifier should expect of an image.
#ifndef HOST_IMAGE_REFERENCE_H
#define HOST_IMAGE_REFERENCE_H

#include "host/base/util.h"

/* Writes dir_fd/reference.json for the image with this id, from dir_fd/base. */
int sh_reference_write(int dir_fd, const char *id, struct sh_error *err);

#endif
