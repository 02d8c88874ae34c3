// SPDX-License-Identifier: Apache-2.0
// File types, as <linux/stat.h> has them.
#ifndef LIBOS_MODE_H
#define LIBOS_MODE_H

#include <linux/stat.h>
#ifndef S_IFMT /* <linux/stat.h> leaves them to a libc when it sees one */
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFLNK 0120000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000
#define S_ISUID 0004000
#define S_ISGID 0002000
#endif

#endif
