// SPDX-License-Identifier: Apache-2.0
// Writes and reads the log of an instance.
#include "host/run/instance_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include "lib/bytes.h"

#define HEAD_SIZE 16u
#define MAGIC_SIZE 8u
#define RECORD_SIZE_MAX (1u << 20)

/* The head at `at` when a whole record stands there, else false. */
static bool record_at(int fd, uint64_t at, uint64_t file_size, uint8_t head[HEAD_SIZE])
{
    if (file_size < at + HEAD_SIZE || sh_pread_all(fd, head, HEAD_SIZE, (off_t)at))
        return false;
    uint32_t size = sh_le32(head + 4);
    return size <= RECORD_SIZE_MAX && file_size - at - HEAD_SIZE >= size;
}

static uint64_t size_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) ? 0 : (uint64_t)st.st_size;
}

static bool magic_ok(int fd)
{
    char magic[MAGIC_SIZE];
    return !sh_pread_all(fd, magic, sizeof(magic), 0) && !memcmp(magic, SH_LOG_MAGIC, MAGIC_SIZE);
}

static void start_file(struct sh_log *log, bool replace)
{
    log->fd = openat(log->dir_fd, "log",
                     O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (replace ? O_TRUNC : 0), 0600);
    if (log->fd < 0)
        return;
    uint64_t end = size_of(log->fd);
    log->size = MAGIC_SIZE;
    if (end >= MAGIC_SIZE && magic_ok(log->fd)) {
        uint8_t head[HEAD_SIZE];
        while (record_at(log->fd, log->size, end, head))
            log->size += HEAD_SIZE + sh_le32(head + 4);
    } else if (sh_pwrite_all(log->fd, SH_LOG_MAGIC, MAGIC_SIZE, 0)) {
        close(log->fd);
        log->fd = -1;
        return;
    }
    if (ftruncate(log->fd, (off_t)log->size)) {
        close(log->fd);
        log->fd = -1;
    }
}

void sh_log_open(struct sh_log *log, int dir_fd)
{
    *log = (struct sh_log){.dir_fd = dir_fd, .fd = -1, .size_max = SH_LOG_SIZE_MAX};
    start_file(log, false);
}

/* Appends one record whole or not at all. */
static int append_record(struct sh_log *log, uint8_t stream, const void *data, size_t size)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint8_t head[HEAD_SIZE] = {stream};
    sh_put_le32(head + 4, (uint32_t)size);
    sh_put_le64(head + 8, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
    struct iovec v[2] = {{head, sizeof(head)}, {(void *)(uintptr_t)data, size}};
    ssize_t n = pwritev(log->fd, v, 2, (off_t)log->size);
    if (n == (ssize_t)(sizeof(head) + size)) {
        log->size += (uint64_t)n;
        return 0;
    }
    int code = n < 0 ? -errno : -ENOSPC;
    if (ftruncate(log->fd, (off_t)log->size))
        code = -errno;
    return code;
}

void sh_log_add(struct sh_log *log, uint8_t stream, const void *data, size_t size)
{
    if (!size)
        return;
    if (log->lost) {
        if (sh_now_ms() < log->retry_at) {
            log->lost += size;
            return;
        }
        if (log->fd < 0)
            start_file(log, false);
    }
    int r = log->fd < 0 ? -EIO : 0;
    if (!r && log->size + HEAD_SIZE + size > log->size_max && log->size > MAGIC_SIZE) {
        close(log->fd);
        log->fd = -1;
        if (renameat(log->dir_fd, "log", log->dir_fd, "log.1"))
            r = -errno;
        start_file(log, true);
        r = log->fd < 0 ? -EIO : r;
    }
    if (!r && log->lost) {
        uint8_t lost[8];
        sh_put_le64(lost, log->lost);
        r = append_record(log, SH_LOG_LOST, lost, sizeof(lost));
        if (!r)
            log->lost = 0;
    }
    if (!r)
        r = append_record(log, stream, data, size);
    if (r) {
        log->lost += size;
        log->retry_at = sh_now_ms() + 1000;
    }
}

void sh_log_close(struct sh_log *log)
{
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
}

static int open_part(struct sh_log_reader *r, bool old)
{
    int fd = openat(r->dir_fd, old ? "log.1" : "log", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    if (r->fd >= 0)
        close(r->fd);
    r->fd = fd;
    r->old = old;
    r->at = 0;
    return 0;
}

int sh_log_read_open(struct sh_log_reader *r, int dir_fd)
{
    *r = (struct sh_log_reader){.dir_fd = dir_fd, .fd = -1};
    int code = open_part(r, true);
    return code == -ENOENT ? open_part(r, false) : code;
}

/* True when the file that is read is no longer `log`: the writer began a new one. */
static bool is_rotated(const struct sh_log_reader *r)
{
    struct stat mine, now;
    return !fstat(r->fd, &mine) && !fstatat(r->dir_fd, "log", &now, AT_SYMLINK_NOFOLLOW) &&
           mine.st_ino != now.st_ino;
}

int sh_log_read_next(struct sh_log_reader *r, struct sh_log_record *record)
{
    for (;;) {
        if (!r->at) {
            if (size_of(r->fd) < MAGIC_SIZE)
                return 0;
            if (!magic_ok(r->fd))
                return -EBADMSG;
            r->at = MAGIC_SIZE;
        }
        bool replaced = is_rotated(r); /* asked first: what was written before it is then seen */
        uint8_t head[HEAD_SIZE];
        if (!record_at(r->fd, r->at, size_of(r->fd), head)) {
            if ((!r->old && !replaced) || open_part(r, false))
                return 0;
            continue;
        }
        uint32_t size = sh_le32(head + 4);
        r->data.size = 0;
        uint8_t *space = r->data.capacity < size + 1u ? NULL : r->data.data;
        if (!space) {
            r->data.data = space = sh_realloc_array(r->data.data, size + 1u, 1);
            r->data.capacity = size + 1u;
        }
        if (sh_pread_all(r->fd, space, size, (off_t)(r->at + HEAD_SIZE)))
            return 0;
        *record = (struct sh_log_record){head[0], sh_le64(head + 8), size, space};
        r->at += HEAD_SIZE + size;
        return 1;
    }
}

void sh_log_read_close(struct sh_log_reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    sh_buffer_free(&r->data);
    r->fd = -1;
}
