// SPDX-License-Identifier: Apache-2.0
// Takes single files out of a root image, by inode number: for debuggers.
#ifndef HOST_IMAGE_EXTRACT_H
#define HOST_IMAGE_EXTRACT_H

#include "host/base/util.h"

/* Copies the regular file `nid` of the root image to `to`. The image is our own, and still every
 * number is checked. 0, or -errno with the sentence. */
int sh_extract(int root_fd, uint64_t root_size, uint64_t nid, int to, struct sh_error *err);

#endif
