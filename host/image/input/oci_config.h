// SPDX-License-Identifier: Apache-2.0
// An image configuration (OCI image-spec 1.1, config.md), which docker archives have too.
#ifndef HOST_IMAGE_INPUT_OCI_CONFIG_H
#define HOST_IMAGE_INPUT_OCI_CONFIG_H

#include <cjson/cJSON.h>

#include "host/image/input/config.h"

/* Takes over its "config" part. `name` is the input's, for sentences. -EINVAL when it is for
 * another machine than linux/amd64, -EBADMSG when it is malformed. */
int sh_oci_config(const cJSON *image, const char *name, struct sh_config *config,
                  struct sh_error *err);

#endif
