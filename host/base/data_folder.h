// SPDX-License-Identifier: Apache-2.0
// Where Shelter keeps what lasts.
#ifndef HOST_BASE_DATA_FOLDER_H
#define HOST_BASE_DATA_FOLDER_H

#include "host/base/error.h"

/* The absolute path of the folder NAME: what the environment's VARIABLE says, else as root
 * /var/lib/NAME, else $XDG_DATA_HOME/NAME, else ~/.local/share/NAME. Owned by the caller; NULL with
 * a sentence. Root's does not follow XDG_DATA_HOME, and a line on stderr says so: under `sudo -E`
 * that is the folder of a user, whom root's files would shut out. Podman does the same. */
char *sh_data_folder(const char *variable, const char *name, struct sh_error *err);

#endif
