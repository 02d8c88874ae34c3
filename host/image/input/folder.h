// SPDX-License-Identifier: Apache-2.0
// A root file system that lies in a folder of this machine: an unpacked image, a container's
// bundle.
#ifndef HOST_IMAGE_INPUT_FOLDER_H
#define HOST_IMAGE_INPUT_FOLDER_H

#include "host/image/tree.h"

struct sh_progress;

/* Copies what is below `path` into the tree as it is there: owners, modes, times, extended
 * attributes, hard links, devices. Other file systems that are mounted below stay empty folders;
 * sockets are left out, since they mean nothing without their process. No symbolic link is
 * followed. -ENOTDIR where it is no folder. */
int sh_folder_read(struct sh_tree *tree, const char *path, struct sh_progress *progress,
                   struct sh_error *err);

#endif
