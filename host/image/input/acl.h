// SPDX-License-Identifier: Apache-2.0
// POSIX ACLs of archives, in the form that file systems keep them.
#ifndef HOST_IMAGE_INPUT_ACL_H
#define HOST_IMAGE_INPUT_ACL_H

#include <archive_entry.h>

#include "host/image/tree.h"

/* Turns an entry's POSIX.1e ACLs, if it has any, into system.posix_acl_* attributes. */
int sh_acl_take(struct sh_inode *inode, struct archive_entry *e, struct sh_error *err);

#endif
