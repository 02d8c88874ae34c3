// SPDX-License-Identifier: Apache-2.0
// The files of volumes: blocks that only the enclave can read.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/fs.h>

#include "host/sgx/loader/loader.h"

static struct {
    int fd;
    uint64_t size;
} volumes[LOADER_VOLUMES_MAX];

#define LOCK_TRIES 250 /* of 20 ms */

/* A run that has just ended gives back its memory for a while, and its lock at the end. */
static bool lock_file(int fd, bool shared)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (!flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB))
            return true;
        if (errno != EWOULDBLOCK)
            return false;
        usleep(20000);
    }
    return false;
}

static int open_one(unsigned number, const char *path, struct sh_error *err)
{
    struct stat st;
    bool read_only = !strncmp(path, "ro:", 3);
    path += read_only ? 3 : 0;
    int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (fd < 0)
        return sh_fail(err, -errno, "the volume's file %s cannot be opened: %s", path,
                       strerror(errno));
    if (!lock_file(fd, read_only)) {
        close(fd);
        return sh_fail(err, -EBUSY, "the volume's file %s is used by another shelter", path);
    }
    bool good = !fstat(fd, &st) && (S_ISBLK(st.st_mode) || S_ISREG(st.st_mode));
    uint64_t size = good ? (uint64_t)st.st_size : 0;
    if (good && S_ISBLK(st.st_mode))
        good = !ioctl(fd, BLKGETSIZE64, &size);
    if (!good) {
        close(fd);
        return sh_fail(err, -EINVAL, "%s is neither a file nor a block device", path);
    }
    volumes[number].fd = fd; /* for good; the lock goes with the process */
    volumes[number].size = size;
    return 0;
}

int loader_volumes_open(struct sh_error *err)
{
    int r = 0;
    for (unsigned i = 0; !r && i < loader.options.volume_count; i++)
        r = open_one(i, loader.options.volumes[i], err);
    return r;
}

static int volume_fd(uint64_t number)
{
    return number < loader.options.volume_count ? volumes[number].fd : -ENOENT;
}

int64_t call_volume_size(struct loader_thread *t, struct sh_slot *s, uint64_t number)
{
    return number < loader.options.volume_count ? (int64_t)volumes[number].size : -ENOENT;
}

int64_t call_volume_read(struct loader_thread *t, struct sh_slot *s, uint64_t number,
                         uint64_t offset, uint64_t size)
{
    int fd = volume_fd(number);
    size = size < SH_SLOT_A_SIZE ? size : SH_SLOT_A_SIZE;
    ssize_t r = fd < 0 ? 0 : pread(fd, s->a, size, (off_t)offset);
    s->size_a = r > 0 ? (uint64_t)r : 0;
    return fd < 0 ? fd : r < 0 ? -errno : r;
}

int64_t call_volume_write(struct loader_thread *t, struct sh_slot *s, uint64_t number,
                          uint64_t offset)
{
    int fd = volume_fd(number);
    uint64_t size = s->size_a < SH_SLOT_A_SIZE ? s->size_a : SH_SLOT_A_SIZE;
    ssize_t r = fd < 0 ? 0 : pwrite(fd, s->a, size, (off_t)offset);
    return fd < 0 ? fd : r < 0 ? -errno : r;
}

int64_t call_volume_flush(struct loader_thread *t, struct sh_slot *s, uint64_t number)
{
    int fd = volume_fd(number);
    return fd < 0 ? fd : fdatasync(fd) ? -errno : 0;
}

int64_t call_volume_discard(struct loader_thread *t, struct sh_slot *s, uint64_t number,
                            uint64_t offset, uint64_t size)
{
    int fd = volume_fd(number);
    if (fd < 0)
        return fd;
    int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    return fallocate(fd, mode, (off_t)offset, (off_t)size) ? -errno : 0;
}
