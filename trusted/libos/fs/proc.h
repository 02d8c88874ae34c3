// SPDX-License-Identifier: Apache-2.0
// The text of files in /proc and /sys, and who writes it (fs/proc.def). Called with the big lock
// held.
#ifndef LIBOS_FS_PROC_H
#define LIBOS_FS_PROC_H

#include "trusted/libos/libos.h"

/* Text that grows; zeroed is empty. `data` is its owner's to free. What is told of a process is of
 * `process` (a zombie has no space, files, fs and handlers) and of its `thread`, which is NULL for
 * a zombie. */
struct text {
    char *data;
    size_t size, room;
    int error; /* -ENOMEM: something lacks */
    struct process *process;
    struct thread *thread;
};
/* Appends one line or a part of it, of at most 511 bytes; an error is kept in *t. */
__attribute__((format(printf, 2, 3))) void text_put(struct text *t, const char *format, ...);
void text_put_bytes(struct text *t, const void *bytes, size_t n);

/* fs/proc_ns.c: the namespace of that path in proc.def, opened; NULL: no memory. */
struct file *proc_open_namespace(const char *path);

/* A file whose text is no more than that. */
#define PRINT(name, ...)                                                                           \
    void proc_show_##name(struct text *t)                                                          \
    {                                                                                              \
        text_put(t, __VA_ARGS__);                                                                  \
    }

#define SHOW(path, name) void proc_show_##name(struct text *t);
#define LINK SHOW
#define PRIVATE(path, mode, name) SHOW(path, name)
#define STORE(path, name) SHOW(path, name) int proc_store_##name(struct text *t, const char *value);
#include "trusted/libos/fs/proc.def"

#endif
