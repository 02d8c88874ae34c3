// SPDX-License-Identifier: Apache-2.0
// Temporary names: random, exclusive, renamed when the file is whole.
#include "host/base/temp.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>

#include "host/base/util.h"

#define TRIES 8 /* each is one of 2^64 names */

int sh_temp_open(struct sh_temp *t, int dir_fd, const char *path, mode_t mode)
{
    uint64_t number;
    *t = (struct sh_temp){.fd = -1, .dir_fd = dir_fd, .path = sh_strdup(path)};
    int r = -EEXIST;
    for (int i = 0; r == -EEXIST && i < TRIES; i++) {
        free(sh_take_ptr(t->name));
        if (getrandom(&number, sizeof(number), 0) != sizeof(number)) {
            r = -EIO;
            break;
        }
        t->name = sh_format("%s.%016llx.tmp", path, (unsigned long long)number);
        t->fd = openat(dir_fd, t->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        r = t->fd < 0 ? -errno : 0;
    }
    if (r)
        sh_temp_drop(t);
    return r;
}

int sh_temp_commit(struct sh_temp *t, bool sync)
{
    int r = sync && fsync(t->fd) ? -errno : 0;
    if (!r && renameat(t->dir_fd, t->name, t->dir_fd, t->path))
        r = -errno;
    if (!r)
        free(sh_take_ptr(t->name));
    sh_temp_drop(t);
    return r;
}

void sh_temp_drop(struct sh_temp *t)
{
    if (t->fd >= 0) {
        if (t->name)
            unlinkat(t->dir_fd, t->name, 0);
        close(sh_take_fd(&t->fd));
    }
    free(sh_take_ptr(t->name));
    free(sh_take_ptr(t->path));
}

static int write_whole(int dir_fd, const char *path, const void *data, size_t size, mode_t mode,
                       bool sync, struct sh_error *err)
{
    struct sh_temp temp;
    int r = sh_temp_open(&temp, dir_fd, path, mode);
    if (!r && (r = sh_write_all(temp.fd, data, size)))
        sh_temp_drop(&temp);
    else if (!r)
        r = sh_temp_commit(&temp, sync);
    return r ? sh_fail_errno(err, r, "cannot write %s", path) : 0;
}

int sh_write_file(int dir_fd, const char *path, const void *data, size_t size, mode_t mode,
                  struct sh_error *err)
{
    return write_whole(dir_fd, path, data, size, mode, true, err);
}

int sh_write_passing(int dir_fd, const char *path, const void *data, size_t size, mode_t mode,
                     struct sh_error *err)
{
    return write_whole(dir_fd, path, data, size, mode, false, err);
}
