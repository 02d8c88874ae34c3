// SPDX-License-Identifier: Apache-2.0
// What walls.c and walls_view.c share; not for use elsewhere.
#ifndef HOST_BASE_WALLS_PARTS_H
#define HOST_BASE_WALLS_PARTS_H

#include "host/base/walls.h"

/* A tmpfs with nothing in it, `flags` and `options` as of mount(2), is the current folder. This and
 * the next: 0 or -errno. */
int sh_walls_enter_empty(unsigned long flags, const char *options);
/* The current folder, where a file system is mounted, becomes the root. */
int sh_walls_become_root(void);

#endif
