// SPDX-License-Identifier: Apache-2.0
// Descriptors: small numbers for open files.
#include "trusted/libos/fs/file.h"

#include "trusted/libos/calls.h"

#define FD_MAX 65536

static struct fd {
    struct file *file;
    bool cloexec;
} * table;
static int room;

static int limit(void)
{
    uint64_t soft = process.limits[7].soft; /* RLIMIT_NOFILE */
    return soft < FD_MAX ? (int)soft : FD_MAX;
}

struct file *fd_file(int fd)
{
    return fd >= 0 && fd < room ? table[fd].file : NULL;
}

static int grow(int fd)
{
    if (fd < room)
        return 0;
    int n = room ? room : 64;
    while (n <= fd)
        n *= 2;
    struct fd *t = los_realloc(table, (size_t)n * sizeof(*t));
    if (!t)
        return -ENOMEM;
    memset(t + room, 0, (size_t)(n - room) * sizeof(*t));
    table = t;
    room = n;
    return 0;
}

int fd_install(struct file *f, bool cloexec, int lowest)
{
    int fd = lowest;
    while (fd < room && table[fd].file)
        fd++;
    int r = fd >= limit() ? -EMFILE : grow(fd);
    if (r) {
        file_put(f);
        return r;
    }
    table[fd] = (struct fd){f, cloexec};
    return fd;
}

int fd_close(int fd)
{
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    table[fd].file = NULL;
    file_put(f);
    return 0;
}

int fd_next(int from)
{
    for (int fd = from; fd < room; fd++) {
        if (table[fd].file)
            return fd;
    }
    return -1;
}

void fd_close_exec(void)
{
    for (int fd = 0; fd < room; fd++) {
        if (table[fd].file && table[fd].cloexec)
            fd_close(fd);
    }
}

void fd_close_all(void)
{
    for (int fd = 0; fd < room; fd++)
        fd_close(fd);
    los_free(table);
    table = NULL;
    room = 0;
}

long sys_close(int fd)
{
    return fd_close(fd);
}

#define CLOSE_RANGE_UNSHARE_BIT 2u
#define CLOSE_RANGE_CLOEXEC_BIT 4u

long sys_close_range(uint32_t first, uint32_t last, uint32_t flags)
{
    if (first > last || (flags & ~(CLOSE_RANGE_UNSHARE_BIT | CLOSE_RANGE_CLOEXEC_BIT)))
        return -EINVAL;
    for (int fd = first < FD_MAX ? (int)first : FD_MAX; fd < room && (uint32_t)fd <= last; fd++) {
        if (!table[fd].file)
            continue;
        if (flags & CLOSE_RANGE_CLOEXEC_BIT)
            table[fd].cloexec = true;
        else
            fd_close(fd);
    }
    return 0;
}

long sys_dup(int fd)
{
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    file_get(f);
    return fd_install(f, false, 0);
}

static long dup_to(int from, int to, bool cloexec)
{
    struct file *f = fd_file(from);
    if (!f || to < 0 || to >= limit())
        return -EBADF;
    int r = grow(to);
    if (r)
        return r;
    file_get(f);
    struct file *old = table[to].file;
    table[to] = (struct fd){f, cloexec};
    if (old)
        file_put(old);
    return to;
}

long sys_dup2(int from, int to)
{
    if (from == to)
        return fd_file(from) ? from : -EBADF;
    return dup_to(from, to, false);
}

long sys_dup3(int from, int to, uint32_t flags)
{
    if (from == to || (flags & ~(uint32_t)O_CLOEXEC))
        return -EINVAL;
    return dup_to(from, to, flags & O_CLOEXEC);
}

/* fcntl's part that is about the descriptor, not the file. */
long fd_fcntl(int fd, int command, uint64_t arg)
{
    struct file *f = fd_file(fd);
    switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        if ((int)arg < 0 || (int)arg >= limit())
            return -EINVAL;
        file_get(f);
        return fd_install(f, command == F_DUPFD_CLOEXEC, (int)arg);
    case F_GETFD:
        return table[fd].cloexec ? FD_CLOEXEC : 0;
    case F_SETFD:
        table[fd].cloexec = arg & FD_CLOEXEC;
        return 0;
    default:
        return -EINVAL;
    }
}
