// SPDX-License-Identifier: Apache-2.0
// Files of volumes and of data (-v NAME:FILE).
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
struct sh_instance_config;
/* The files of an image's volumes in their order into c->volumes, from what was given; one that is
 * not there is made, where the image says how large. Each volume must have one, none may be left
 * over; those of its data that do not lie in its folder into c->data. */
int sh_volumes_match(const struct sh_settings *s, const struct sh_manifest *m,
                     const struct sh_strings *given, struct sh_instance_config *c,
                     struct sh_error *err);

/* Opens and locks them, where the back end wants descriptors; in each case sh_volumes_close. */
int sh_volumes_open(struct sh_launch_spec *spec, struct sh_error *err);
void sh_volumes_close(struct sh_launch_spec *spec);

#endif
