// SPDX-License-Identifier: Apache-2.0
// Devices: null, zero, full, random, urandom, tty, ptmx, and the links in /dev.

#include <linux/random.h>

#include "trusted/libos/fs/tty.h"
#include "trusted/libos/mm/mm.h"

#define SLAVES 136u /* major number of /dev/pts/N */
#define RDEV(major, minor) ((uint32_t)(major) << 8 | (uint32_t)(minor))

static long null_read(struct file *f, struct io *io, uint64_t offset)
{
    return 0;
}

static long null_write(struct file *f, struct io *io, uint64_t offset)
{
    return (long)io->left;
}

static long zero_read(struct file *f, struct io *io, uint64_t offset)
{
    long done = 0;
    while (io->left) {
        uint64_t n = MIN(io->left, PIECE_SIZE);
        int r = io_zero(io, n);
        if (r)
            return done ? done : r;
        done += (long)n;
        if (io->left)
            call_pause();
    }
    return done;
}

static long full_write(struct file *f, struct io *io, uint64_t offset)
{
    return -ENOSPC;
}

static long random_read(struct file *f, struct io *io, uint64_t offset)
{
    uint8_t buf[256];
    long done = 0;
    while (io->left) {
        size_t n = MIN(io->left, sizeof(buf));
        int r = port_random(buf, n);
        if (!r)
            r = io_put(io, buf, n);
        if (r)
            return done ? done : r;
        done += (long)n;
    }
    memset(buf, 0, sizeof(buf));
    return done;
}

static int64_t no_seek(struct file *f, int64_t offset, int whence)
{
    return 0;
}

static const struct file_ops null_ops = {
    .read = null_read, .write = null_write, .seek = no_seek, .unwatched = true, .shared = true};
static const struct file_ops zero_ops = {
    .read = zero_read, .write = null_write, .seek = no_seek, .unwatched = true, .shared = true};
static const struct file_ops full_ops = {
    .read = zero_read, .write = full_write, .seek = no_seek, .unwatched = true, .shared = true};
/* How much entropy is there: always enough. Nobody may say how much comes with what is written. */
static long random_ioctl(struct file *f, uint64_t request, uint64_t arg)
{
    int32_t bits = 256;
    switch (request) {
    case RNDGETENTCNT:
        return user_write(arg, &bits, sizeof(bits));
    case RNDADDTOENTCNT:
    case RNDADDENTROPY:
    case RNDZAPENTCNT:
    case RNDCLEARPOOL:
    case RNDRESEEDCRNG:
        return -EPERM;
    default:
        return -EINVAL;
    }
}

static const struct file_ops random_ops = {.read = random_read,
                                           .write = null_write,
                                           .ioctl = random_ioctl,
                                           .seek = no_seek,
                                           .shared = true};

static const struct file_ops urandom_ops = {.read = random_read,
                                            .write = null_write,
                                            .ioctl = random_ioctl,
                                            .seek = no_seek,
                                            .unwatched = true,
                                            .shared = true};

static const struct device {
    const char *name;
    uint32_t rdev, mode;
    const struct file_ops *ops;
    int (*open)(struct file *f); /* NULL: ops are all */
} devices[] = {
    {"null", RDEV(1, 3), 0666, &null_ops, NULL},
    {"zero", RDEV(1, 5), 0666, &zero_ops, NULL},
    {"full", RDEV(1, 7), 0666, &full_ops, NULL},
    {"random", RDEV(1, 8), 0666, &random_ops, NULL},
    {"urandom", RDEV(1, 9), 0666, &urandom_ops, NULL},
    {"tty", RDEV(5, 0), 0666, .ops = &null_ops, .open = pty_open_current},
    {"ptmx", RDEV(5, 2), 0666, .ops = &null_ops, .open = pty_open_master},
};

int dev_open(struct file *f)
{
    if ((f->inode->rdev >> 8 & 0xfff) == SLAVES)
        return pty_open_slave(f);
    for (size_t i = 0; i < ARRAY_COUNT(devices); i++) {
        if (devices[i].rdev != f->inode->rdev)
            continue;
        f->ops = devices[i].ops;
        return devices[i].open ? devices[i].open(f) : 0;
    }
    return -ENXIO;
}

int dev_init(void)
{
    static const char *const links[][2] = {{"fd", "/proc/self/fd"},
                                           {"stdin", "/proc/self/fd/0"},
                                           {"stdout", "/proc/self/fd/1"},
                                           {"stderr", "/proc/self/fd/2"}};
    struct dentry *dev, *d;
    int r = tree_mount("/dev", inode_new(FS_TMP, S_IFDIR | 0755)); /* nothing of the image's */
    if (!r)
        r = tree_mkdir("/dev", 0755, &dev);
    if (!r)
        dev->inode->fs = FS_TMP;
    for (size_t i = 0; !r && i < ARRAY_COUNT(devices); i++) {
        struct inode *n = inode_new(FS_TMP, S_IFCHR | devices[i].mode);
        if (n)
            n->rdev = devices[i].rdev;
        r = tree_put(dev, devices[i].name, n);
    }
    for (size_t i = 0; !r && i < ARRAY_COUNT(links); i++) {
        struct inode *n = inode_new(FS_TMP, S_IFLNK | 0777);
        if (n) {
            n->target = los_strdup(links[i][1]);
            n->size = strlen(links[i][1]);
        }
        r = tree_put(dev, links[i][0], n);
    }
    if (!r)
        r = tree_mkdir("/dev/shm", 01777, &d);
    if (!r)
        r = tree_mkdir("/dev/pts", 0755, &d);
    if (!r)
        r = tree_mkdir("/dev/mqueue", 01777, &d);
    if (!r)
        r = tree_mkdir("/tmp", 01777, &d);
    if (!r)
        r = attestation_init(dev);
    return r;
}
