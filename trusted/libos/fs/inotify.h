// SPDX-License-Identifier: Apache-2.0
// Telling inotify what happens to files. Without watches each of these is one comparison.
#ifndef LIBOS_INOTIFY_H
#define LIBOS_INOTIFY_H

#include "trusted/libos/fs/file.h"

/* The bits of inotify(7). */
#define NOTIFY_ACCESS 0x1u
#define NOTIFY_MODIFY 0x2u
#define NOTIFY_ATTRIB 0x4u
#define NOTIFY_CLOSE_WRITE 0x8u
#define NOTIFY_CLOSE 0x10u /* of what was not open for writing */
#define NOTIFY_OPEN 0x20u
#define NOTIFY_MOVED_FROM 0x40u
#define NOTIFY_MOVED_TO 0x80u
#define NOTIFY_CREATE 0x100u
#define NOTIFY_DELETE 0x200u
#define NOTIFY_DELETE_SELF 0x400u
#define NOTIFY_MOVE_SELF 0x800u

bool notify_wanted(void);     /* does anybody watch anything? */
uint32_t notify_cookie(void); /* one for both halves of a move */
/* To the watches of the directory, by name. */
void notify_name(struct dentry *d, uint32_t what, uint32_t cookie);
/* To the watches of the file itself. */
void notify_inode(struct inode *i, uint32_t what);
/* Both. */
void notify_dentry(struct dentry *d, uint32_t what);
void notify_file(struct file *f, uint32_t what);
/* Nothing names or uses the file any more: its watches end. */
void notify_gone(struct inode *i);

#endif
