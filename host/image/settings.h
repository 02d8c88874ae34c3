// SPDX-License-Identifier: Apache-2.0
// What an image's manifest and a launch config mean together (lib/settings.h), for this side.
#ifndef HOST_IMAGE_SETTINGS_H
#define HOST_IMAGE_SETTINGS_H

#include <cjson/cJSON.h>

#include "host/base/util.h"
#include "lib/settings.h"

/* The settings that a TEE will run with. launch NULL: of a host that chooses nothing. What they
 * point to is in *arena, which the caller frees, also after a failure. 0, or -errno with the TEE's
 * own reason. */
int sh_settings_read(const struct sh_manifest *m, const void *launch, size_t launch_size,
                     struct sh_settings *settings, void **arena, struct sh_error *err);

/* The same as a JSON object; {"refused": "why"} where the TEE would refuse it. */
cJSON *sh_settings_json(const struct sh_manifest *m, const void *launch, size_t launch_size);

#endif
