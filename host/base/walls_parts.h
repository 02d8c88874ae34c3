// SPDX-License-Identifier: Apache-2.0
// What walls.c and walls_view.c share; not for use elsewhere.
#ifndef HOST_BASE_WALLS_PARTS_H
#define HOST_BASE_WALLS_PARTS_H

#include "host/base/walls.h"

/* Namespaces of mounts, System V IPC and host name. These and the next: 0 or -errno. */
int sh_walls_leave_files(void);
/* A tmpfs with nothing in it, `flags` and `options` as of mount(2), is the current folder. */
int sh_walls_enter_empty(unsigned long flags, const char *options);
/* The current folder, where a file system is mounted, becomes the root. */
int sh_walls_become_root(void);

#endif
