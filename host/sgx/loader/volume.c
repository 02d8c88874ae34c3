// SPDX-License-Identifier: Apache-2.0
// The files of volumes: blocks that only the enclave can read.
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/fs.h>

#include "host/sgx/loader/loader.h"

static uint64_t sizes[LOADER_VOLUMES_MAX];

/* Of a file or device; whoever started us has looked what it is. */
static int find_size(int fd, uint64_t *size)
{
    struct stat st;
    if (fstat(fd, &st))
        return -errno;
    *size = (uint64_t)st.st_size;
    return S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, size) ? -errno : 0;
}

int loader_volumes_open(struct sh_error *err)
{
    for (unsigned i = 0; i < loader.options.volume_count; i++) {
        int fd = loader.options.volumes[i], r = find_size(fd, &sizes[i]);
        if (r)
            return sh_fail_errno(err, r, "--volume %d", fd);
    }
    return 0;
}

static int volume_fd(uint64_t number)
{
    return number < loader.options.volume_count ? loader.options.volumes[number] : -ENOENT;
}

int64_t call_volume_size(struct loader_thread *t, struct sh_slot *s, uint64_t number)
{
    return number < loader.options.volume_count ? (int64_t)sizes[number] : -ENOENT;
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
