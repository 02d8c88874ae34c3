// SPDX-License-Identifier: Apache-2.0
// Files of volumes (-v NAME:FILE).
#ifndef HOST_RUN_VOLUMES_H
#define HOST_RUN_VOLUMES_H

#include "host/base/error.h"
#include "host/base/util.h"
#include "host/launch/launch.h"

/* "NAME:FILE", where NAME has no slash: the file of a volume, as NAME=FILE with an absolute path.
 */
bool sh_is_volume(const char *text);
int sh_volume_parse(const char *text, struct sh_strings *volumes, struct sh_error *err);

struct sh_settings;
/* The files of an image's volumes in their order, from what was given; one that is not there is
 * made, where the image says how large. Each volume must have one, and none may be left over. */
int sh_volumes_match(const struct sh_settings *s, const struct sh_strings *given,
                     struct sh_strings *out, struct sh_error *err);

/* Opens and locks them, where the back end wants descriptors; in each case sh_volumes_close. */
int sh_volumes_open(struct sh_launch_spec *spec, struct sh_error *err);
void sh_volumes_close(struct sh_launch_spec *spec);

#endif
