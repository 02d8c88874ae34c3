// SPDX-License-Identifier: Apache-2.0
// A volume's files into another volume: what a new master key needs.
#ifndef HOST_STORE_VOLUME_COPY_H
#define HOST_STORE_VOLUME_COPY_H

#include "host/base/error.h"
#include "trusted/volume/volume.h"

/* All of `from` into the empty volume `to`: names, links, owners, modes, times, attributes, holes.
 * Inode numbers may differ. 0 or -errno with the sentence. */
int sh_volume_copy(struct volume *from, struct volume *to, struct sh_error *err);

#endif
