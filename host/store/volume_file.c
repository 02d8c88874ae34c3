// SPDX-License-Identifier: Apache-2.0
// A volume's file or block device, for its owner's commands.
#include "host/store/volume_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/store/volume_copy.h"
#include "host/store/volume_owner.h"
#include "trusted/volume/crypt.h"

#define LOCK_TRIES 250
#define LOCK_PAUSE_US 20000
#define BLOCK 4096u
#define COPY_SIZE (1u << 20)

static int read_part(int fd, void *buf, size_t size, off_t from)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = pread(fd, (char *)buf + at, size - at, from + (off_t)at);
        if (n <= 0)
            return n ? -errno : -EIO;
        at += (size_t)n;
    }
    return 0;
}

/* What was written on trial lies over the file, block by block. */
static int read_blocks(void *ctx, uint64_t block, void *buf, uint32_t count)
{
    const struct sh_volume_file *f = ctx;
    off_t from = (off_t)(block * BLOCK);
    int r = read_part(f->fd, buf, (size_t)count * BLOCK, from);
    for (uint32_t i = 0; !r && f->trial >= 0 && i < count; i++) {
        off_t at = from + (off_t)i * BLOCK;
        if (lseek(f->trial, at, SEEK_DATA) == at)
            r = read_part(f->trial, (char *)buf + (size_t)i * BLOCK, BLOCK, at);
    }
    return r;
}

static int write_blocks(void *ctx, uint64_t block, const void *buf, uint32_t count)
{
    const struct sh_volume_file *f = ctx;
    size_t size = (size_t)count * BLOCK;
    int fd = f->trial < 0 ? f->fd : f->trial;
    for (size_t at = 0; at < size;) {
        ssize_t n = pwrite(fd, (const char *)buf + at, size - at, (off_t)(block * BLOCK + at));
        if (n <= 0)
            return n ? -errno : -EIO;
        at += (size_t)n;
    }
    return 0;
}

static int flush_blocks(void *ctx)
{
    const struct sh_volume_file *f = ctx;
    return f->trial < 0 && fdatasync(f->fd) ? -errno : 0;
}

static int random_bytes(void *ctx, void *buf, size_t size)
{
    return RAND_bytes(buf, (int)size) == 1 ? 0 : -EIO;
}

static int64_t now_ns(void *ctx)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static struct volume_disk disk_of(struct sh_volume_file *f)
{
    crypt_init(__builtin_cpu_supports("avx") && __builtin_cpu_supports("movbe"));
    return (struct volume_disk){.read_blocks = read_blocks,
                                .write_blocks = write_blocks,
                                .flush_blocks = flush_blocks,
                                .random_bytes = random_bytes,
                                .now_ns = now_ns,
                                .ctx = f,
                                .blocks = f->size / BLOCK};
}

int sh_volume_key(const char *file, uint8_t key[VOLUME_KEY_SIZE], struct sh_error *err)
{
    uint8_t more[VOLUME_KEY_SIZE + 1];
    cleanup_close int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, more, sizeof(more));
    if (n < 0)
        return sh_fail_errno(err, -errno, "cannot read the key %s", file);
    if (n != VOLUME_KEY_SIZE)
        return sh_fail(err, -EINVAL, "the key %s is not %u bytes long", file, VOLUME_KEY_SIZE);
    memcpy(key, more, VOLUME_KEY_SIZE);
    explicit_bzero(more, sizeof(more));
    return 0;
}

bool sh_volume_lock(int fd, bool shared)
{
    for (int tries = 0; tries < LOCK_TRIES; tries++) {
        if (!flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB))
            return true;
        if (errno != EWOULDBLOCK)
            return false;
        usleep(LOCK_PAUSE_US);
    }
    return false;
}

int sh_volume_file_open(struct sh_volume_file *f, const char *path, bool write,
                        struct sh_error *err)
{
    struct stat st;
    *f = (struct sh_volume_file){.path = path, .trial = -1};
    f->fd = open(path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (f->fd < 0)
        return sh_fail_errno(err, -errno, "cannot open the volume %s", path);
    if (!sh_volume_lock(f->fd, !write))
        return sh_fail(err, -EBUSY, "the volume %s is in use; stop the instance that uses it",
                       path);
    if (fstat(f->fd, &st))
        return sh_fail_errno(err, -errno, "cannot read the attributes of %s", path);
    f->size = (uint64_t)st.st_size;
    if (S_ISBLK(st.st_mode) && ioctl(f->fd, BLKGETSIZE64, &f->size))
        return sh_fail_errno(err, -errno, "cannot read the size of %s", path);
    f->memory = aligned_alloc(BLOCK, VOLUME_MEMORY);
    return f->memory ? 0 : sh_fail(err, -ENOMEM, "no memory");
}

int sh_volume_file_unlock(struct sh_volume_file *f, const char *key_file, bool write,
                          struct sh_error *err)
{
    uint8_t key[VOLUME_KEY_SIZE];
    struct volume_disk d = disk_of(f);
    int r = sh_volume_key(key_file, key, err);
    if (r)
        return r;
    r = volume_open(&d, key, write ? VOLUME_KEEP_WRITER : VOLUME_READ_ONLY, f->memory,
                    VOLUME_MEMORY, &f->volume);
    if (r == -EROFS) {
        f->trial = memfd_create("trial", MFD_CLOEXEC);
        r = f->trial < 0
                ? -errno
                : volume_open(&d, key, VOLUME_KEEP_WRITER, f->memory, VOLUME_MEMORY, &f->volume);
    }
    explicit_bzero(key, sizeof(key));
    return r ? sh_fail(err, r, "the volume %s: %s", f->path, volume_why_not(r)) : 0;
}

int sh_volume_file_format(struct sh_volume_file *f, const char *key_file, const char *name,
                          struct sh_error *err)
{
    uint8_t key[VOLUME_KEY_SIZE];
    struct volume_disk d = disk_of(f);
    int r = sh_volume_key(key_file, key, err);
    if (r)
        return r;
    struct volume *v;
    r = volume_start(&d, key, name, 0, f->memory, VOLUME_MEMORY, &v);
    if (!r)
        r = volume_close(v, NULL);
    explicit_bzero(key, sizeof(key));
    return r ? sh_fail(err, r, "the volume %s: %s", f->path, volume_why_not(r)) : 0;
}

/* Holes stay holes. */
int sh_volume_copy_file(int from, int to, uint64_t size)
{
    cleanup_free char *buf = sh_alloc(COPY_SIZE);
    for (off_t at = 0, end; (uint64_t)at < size; at = end) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0)
            break;
        end = lseek(from, data, SEEK_HOLE);
        for (off_t o = data; o < end;) {
            size_t part = (uint64_t)(end - o) < COPY_SIZE ? (size_t)(end - o) : COPY_SIZE;
            ssize_t n = pread(from, buf, part, o);
            if (n <= 0 || pwrite(to, buf, (size_t)n, o) != n)
                return n < 0 ? -errno : -EIO;
            o += n;
        }
    }
    return ftruncate(to, (off_t)size) || fsync(to) ? -errno : 0;
}

/* A name beside it, for what will replace it. */
static char *name_beside(const char *path)
{
    return sh_format("%s.new", path);
}

static int write_anew(struct sh_volume_file *f, const char *path, const char *key_file,
                      struct sh_error *err)
{
    struct volume_facts facts;
    struct sh_volume_file to = {.fd = -1};
    volume_facts(f->volume, &facts);
    cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)f->size))
        return sh_fail_errno(err, -errno, "cannot create %s", path);
    int r = sh_volume_file_open(&to, path, true, err);
    if (!r)
        r = sh_volume_file_format(&to, key_file, facts.name, err);
    if (!r)
        r = sh_volume_file_unlock(&to, key_file, true, err);
    if (!r)
        r = sh_volume_copy(f->volume, to.volume, err);
    int closed = sh_volume_file_close(&to, err);
    return r ? r : closed;
}

int sh_volume_rewrite(struct sh_volume_file *f, const char *key_file, struct sh_error *err)
{
    struct stat st;
    cleanup_free char *path = name_beside(f->path);
    if (fstat(f->fd, &st) || !S_ISREG(st.st_mode))
        return sh_fail(err, -EINVAL,
                       "%s is not a file: copy it to one first ('shelter volume backup')", f->path);
    int r = write_anew(f, path, key_file, err);
    if (!r && (chmod(path, st.st_mode & 0777) ||
               (!geteuid() && chown(path, st.st_uid, st.st_gid)) || rename(path, f->path)))
        r = sh_fail_errno(err, -errno, "cannot replace %s", f->path);
    if (r)
        unlink(path);
    return r;
}

int sh_volume_file_close(struct sh_volume_file *f, struct sh_error *err)
{
    int r = f->volume ? volume_close(f->volume, NULL) : 0;
    free(f->memory);
    if (f->fd >= 0 && f->trial >= 0)
        close(f->trial);
    if (f->fd >= 0)
        close(f->fd);
    *f = (struct sh_volume_file){.fd = -1, .trial = -1};
    return r ? sh_fail_errno(err, r, "the volume could not be closed in order") : 0;
}
