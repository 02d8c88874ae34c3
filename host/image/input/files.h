// SPDX-License-Identifier: Apache-2.0
// Puts files and folders of the host into an image; programs bring their libraries along.
#ifndef HOST_IMAGE_INPUT_FILES_H
#define HOST_IMAGE_INPUT_FILES_H

#include "host/image/tree.h"

/* Copies SRC[:DST] into the tree as root:root, mtime 0, executable where it is; an ELF program's
 * interpreter and libraries follow. Without DST it must be a program and goes to /bin. *path is its
 * path in the image, owned by the caller. A folder goes to DST, or /<its name>, with all that is in
 * it; links stay links; then *path is NULL. */
int sh_files_add(struct sh_tree *tree, const char *source_and_target, char **path,
                 struct sh_error *err);

/* The folders every image has (/proc /sys /dev /tmp /run /etc /root), where they are missing, and
 * with `accounts` a minimal /etc/passwd, group and nsswitch.conf. */
int sh_files_skeleton(struct sh_tree *tree, bool accounts, struct sh_error *err);

/* Copies what is left to read of fd (`size` bytes, holes kept) into the spool as inode's content.
 */
int sh_files_spool(struct sh_tree *tree, struct sh_inode *inode, int fd, uint64_t size,
                   const char *name, struct sh_error *err);

#endif
