// SPDX-License-Identifier: Apache-2.0
// The volume's disk: a virtio disk of the host, past the kernel's page cache.
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>

#include "lib/io.h"
#include "trusted/guest/volume/server.h"

#define BLOCK 4096u

/* The volume's own memory is aligned, as O_DIRECT wants it. */
static int read_blocks(void *ctx, uint64_t block, void *buf, uint32_t count)
{
    return sh_pread_all(((struct server *)ctx)->disk_fd, buf, (size_t)count * BLOCK,
                        (off_t)(block * BLOCK));
}

static int write_blocks(void *ctx, uint64_t block, const void *buf, uint32_t count)
{
    return sh_pwrite_all(((struct server *)ctx)->disk_fd, buf, (size_t)count * BLOCK,
                         (off_t)(block * BLOCK));
}

static int flush_blocks(void *ctx)
{
    return fdatasync(((struct server *)ctx)->disk_fd) ? -EIO : 0;
}

static void discard_blocks(void *ctx, uint64_t block, uint64_t count)
{
    uint64_t range[2] = {block * BLOCK, count * BLOCK};
    (void)ioctl(((struct server *)ctx)->disk_fd, BLKDISCARD, range);
}

/* At most 256 bytes, which come whole (getrandom(2)). */
static int random_bytes(void *ctx, void *buf, size_t size)
{
    return getrandom(buf, size, 0) == (ssize_t)size ? 0 : -EIO;
}

int64_t disk_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int64_t now_ns(void *ctx)
{
    return disk_now();
}

struct volume_disk disk_of(struct server *s)
{
    off_t size = lseek(s->disk_fd, 0, SEEK_END);
    return (struct volume_disk){.read_blocks = read_blocks,
                                .write_blocks = write_blocks,
                                .flush_blocks = flush_blocks,
                                .discard_blocks = discard_blocks,
                                .random_bytes = random_bytes,
                                .now_ns = now_ns,
                                .ctx = s,
                                .blocks = size < 0 ? 0 : (uint64_t)size / BLOCK};
}
