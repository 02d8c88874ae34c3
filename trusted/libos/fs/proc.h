// SPDX-License-Identifier: Apache-2.0
// The text of files in /proc and /sys, and who writes it (fs/proc.def). Called with the big lock
// held.
#ifndef LIBOS_FS_PROC_H
#define LIBOS_FS_PROC_H

#include "trusted/libos/libos.h"

struct file;

/* Text that grows; zeroed is empty. `data` is its owner's to free. */
struct text {
    char *data;
    size_t size, room;
    int error; /* -ENOMEM: something lacks */
};
/* Appends one line or a part of it, of at most 511 bytes; an error is kept in *t. */
__attribute__((format(printf, 2, 3))) void text_put(struct text *t, const char *format, ...);
/* f, which has been opened, reads what *t holds; takes its memory. 0 or -ENOMEM (t->error too). */
int text_open(struct file *f, struct text *t);

#define SHOW(path, name) void proc_show_##name(struct text *t);
#define LINK SHOW
#include "trusted/libos/fs/proc.def"

#endif
