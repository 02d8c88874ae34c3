// SPDX-License-Identifier: Apache-2.0
// Whole transfers over descriptors.
#include "lib/io.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

/* After a transfer of n: 1 to go on, 0 at the end, -errno. */
static int judge_transfer(ssize_t n)
{
    return n > 0 || (n < 0 && errno == EINTR) ? 1 : n ? -errno : 0;
}

int sh_write_all(int fd, const void *data, size_t size)
{
    int go = 1;
    for (size_t at = 0; at < size;) {
        ssize_t n = write(fd, (const uint8_t *)data + at, size - at);
        if ((go = judge_transfer(n)) <= 0)
            return go ? go : -ENODATA;
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

ssize_t sh_read_up_to(int fd, void *data, size_t size)
{
    size_t at = 0;
    int go = 1;
    while (at < size && go > 0) {
        ssize_t n = read(fd, (uint8_t *)data + at, size - at);
        go = judge_transfer(n);
        at += n > 0 ? (size_t)n : 0;
    }
    return go < 0 ? go : (ssize_t)at;
}

int sh_read_all(int fd, void *data, size_t size)
{
    ssize_t n = sh_read_up_to(fd, data, size);
    return n < 0 ? (int)n : (size_t)n < size ? -ENODATA : 0;
}

int sh_pread_all(int fd, void *data, size_t size, off_t offset)
{
    int go = 1;
    for (size_t at = 0; at < size;) {
        ssize_t n = pread(fd, (uint8_t *)data + at, size - at, offset + (off_t)at);
        if ((go = judge_transfer(n)) <= 0)
            return go ? go : -ENODATA;
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int sh_pwrite_all(int fd, const void *data, size_t size, off_t offset)
{
    int go = 1;
    for (size_t at = 0; at < size;) {
        ssize_t n = pwrite(fd, (const uint8_t *)data + at, size - at, offset + (off_t)at);
        if ((go = judge_transfer(n)) <= 0)
            return go ? go : -ENODATA;
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int sh_move_by(int fd, void *data, size_t size, short events, int64_t deadline_ms)
{
    for (size_t at = 0; at < size;) {
        struct pollfd p = {.fd = fd, .events = events};
        int64_t left = deadline_ms - sh_now_ms();
        int r = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return r ? -errno : -ETIMEDOUT;
        uint8_t *here = (uint8_t *)data + at;
        ssize_t n = events == POLLIN ? read(fd, here, size - at) : write(fd, here, size - at);
        if (n < 0 && errno == EAGAIN)
            continue;
        if ((r = judge_transfer(n)) <= 0)
            return r ? r : -EPIPE;
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int64_t sh_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
