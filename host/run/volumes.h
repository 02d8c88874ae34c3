// SPDX-License-Identifier: Apache-2.0
// Files of volumes (-v NAME:FILE).
#ifndef HOST_RUN_VOLUMES_H
#define HOST_RUN_VOLUMES_H

#include "host/base/error.h"
#include "host/base/util.h"

/* "NAME:FILE", where NAME has no slash: the file of a volume, as NAME=FILE with an absolute path.
 */
bool sh_is_volume(const char *text);
int sh_volume_parse(const char *text, struct sh_strings *volumes, struct sh_error *err);

#endif
