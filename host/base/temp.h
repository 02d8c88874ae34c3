// SPDX-License-Identifier: Apache-2.0
// A file that shows under its name only when all of it is there. Until then it stands beside it
// under a name that nobody can foresee, made for us and never through a link that somebody left
// there.
#ifndef HOST_BASE_TEMP_H
#define HOST_BASE_TEMP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "host/base/error.h"

struct sh_temp {
    int fd;     /* for writing; -1: not open */
    int dir_fd; /* the caller's, below which the names are */
    char *path; /* what it will be called */
    char *name; /* what it is called now; for whoever must remove it after a signal */
};

/* 0 or -errno; then either sh_temp_commit or sh_temp_drop must follow. The mode is less the umask.
 */
int sh_temp_open(struct sh_temp *t, int dir_fd, const char *path, mode_t mode);

/* Gives it its name in place of what is there; `sync`: once it is on the disk. Closes it. 0, or
 * -errno: then it is removed. */
int sh_temp_commit(struct sh_temp *t, bool sync);

/* Removes and closes it; nothing where it is not open. */
void sh_temp_drop(struct sh_temp *t);

/* A whole file so, on the disk: a reader sees the old or the new one. */
int sh_write_file(int dir_fd, const char *path, const void *data, size_t size, mode_t mode,
                  struct sh_error *err);

/* Likewise, without waiting for the disk: what is worth nothing once the machine went down. */
int sh_write_passing(int dir_fd, const char *path, const void *data, size_t size, mode_t mode,
                     struct sh_error *err);

#endif
