// SPDX-License-Identifier: Apache-2.0
// Descriptors: small numbers for open files.
#include <linux/close_range.h>

#include "trusted/libos/fs/file.h"

#include "trusted/libos/calls.h"
#include "trusted/libos/mm/mm.h"

#define FD_MAX 65536

/* A place is one word, which changes at once: the file, and whether it closes on exec. The array
 * grows alone. */
#define CLOEXEC 1ul
struct fd_table {
    uint32_t refs;
    int room;
    uint64_t *fds;
};

static uint64_t place_word(struct file *f, bool cloexec)
{
    return (uint64_t)f | (cloexec ? CLOEXEC : 0);
}

static struct file *word_file(uint64_t word)
{
    return (struct file *)(word & ~CLOEXEC);
}

static uint64_t place_now(const struct fd_table *t, int fd)
{
    return __atomic_load_n(&t->fds[fd], __ATOMIC_ACQUIRE);
}

static bool place_change(struct fd_table *t, int fd, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(&t->fds[fd], &from, to, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}

static struct fd_table *own_table(void)
{
    return current()->files;
}

struct fd_table *fd_table_new(void)
{
    struct fd_table *t = los_alloc(sizeof(*t));
    if (t)
        t->refs = 1;
    return t;
}

struct fd_table *fd_table_copy(const struct fd_table *from)
{
    struct fd_table *t = fd_table_new();
    if (!t || !from->room)
        return t;
    t->fds = los_alloc((size_t)from->room * sizeof(*t->fds));
    if (!t->fds) {
        los_free(t);
        return NULL;
    }
    t->room = from->room;
    memcpy(t->fds, from->fds, (size_t)t->room * sizeof(*t->fds));
    for (int fd = 0; fd < t->room; fd++) {
        if (t->fds[fd])
            file_get(word_file(t->fds[fd]));
    }
    return t;
}

struct fd_table *fd_table_own(struct fd_table *t)
{
    struct fd_table *copy = t->refs > 1 ? fd_table_copy(t) : t;
    if (copy && copy != t)
        t->refs--;
    return copy;
}

struct fd_table *fd_table_get(struct fd_table *t)
{
    t->refs++;
    return t;
}

static int fd_limit(void)
{
    uint64_t soft = current()->limits[7].soft; /* RLIMIT_NOFILE */
    return soft < FD_MAX ? (int)soft : FD_MAX;
}

struct file *fd_file_of(const struct fd_table *t, int fd)
{
    return fd >= 0 && fd < t->room ? word_file(place_now(t, fd)) : NULL;
}

uint32_t fd_flags_of(const struct fd_table *t, int fd)
{
    uint64_t word = place_now(t, fd);
    const struct file *f = word_file(word);
    return file_flags(f) | (word & CLOEXEC ? O_CLOEXEC : 0);
}

struct file *fd_any(int fd)
{
    return fd_file_of(own_table(), fd);
}

bool fd_alone(void)
{
    return current()->thread_count == 1 && own_table()->refs == 1;
}

bool fd_hold(struct file *f)
{
    if (fd_alone())
        return false;
    file_get(f);
    return true;
}

void fd_release(struct file *f, bool held)
{
    if (held)
        file_put(f);
}

struct file *fd_file(int fd)
{
    struct file *f = fd_any(fd);
    return f && !(f->flags & O_PATH) ? f : NULL;
}

static int grow_table(int fd)
{
    struct fd_table *t = own_table();
    if (fd < t->room)
        return 0;
    int n = t->room ? t->room : 64;
    while (n <= fd)
        n *= 2;
    uint64_t *fds = los_realloc(t->fds, (size_t)n * sizeof(*fds));
    if (!fds)
        return -ENOMEM;
    memset(fds + t->room, 0, (size_t)(n - t->room) * sizeof(*fds));
    t->fds = fds;
    t->room = n;
    return 0;
}

/* The lowest free place from `lowest` on, which is f's now; -EMFILE; -ENFILE: the table must grow.
 */
static int take_place(struct file *f, bool cloexec, int lowest)
{
    struct fd_table *t = own_table();
    for (int fd = lowest;; fd++) {
        if (fd >= fd_limit())
            return -EMFILE;
        if (fd >= t->room)
            return -ENFILE;
        if (!place_now(t, fd) && place_change(t, fd, 0, place_word(f, cloexec)))
            return fd;
    }
}

int fd_install(struct file *f, bool cloexec, int lowest)
{
    int r;
    while ((r = take_place(f, cloexec, lowest)) == -ENFILE) {
        call_alone();
        if ((r = grow_table(MAX(own_table()->room, lowest))))
            break;
    }
    if (r < 0)
        file_put(f);
    return r;
}

int fd_close(int fd)
{
    struct fd_table *t = own_table();
    struct file *f = fd_any(fd);
    if (f && lock_is_held(f) && los_alone())
        f = fd_any(fd);
    if (!f)
        return -EBADF;
    uint64_t word;
    do {
        word = place_now(t, fd);
        if (word_file(word) != f) /* somebody closed it just now */
            return -EBADF;
    } while (!place_change(t, fd, word, 0));
    lock_closed(f);
    file_put(f);
    return 0;
}

int fd_next_of(const struct fd_table *t, int from)
{
    for (int fd = from; fd < t->room; fd++) {
        if (fd_file_of(t, fd))
            return fd;
    }
    return -1;
}

void fd_close_exec(void)
{
    const struct fd_table *t = own_table();
    for (int fd = 0; fd < t->room; fd++) {
        if (t->fds[fd] & CLOEXEC)
            fd_close(fd);
    }
}

void fd_close_all(void)
{
    if (own_table()->refs > 1)
        return;
    for (int fd = -1; (fd = fd_next_of(own_table(), fd + 1)) >= 0;)
        fd_close(fd);
}

void fd_table_put(struct fd_table *t)
{
    if (--t->refs)
        return;
    for (int fd = 0; fd < t->room; fd++) {
        struct file *f = word_file(t->fds[fd]);
        t->fds[fd] = 0;
        if (f)
            file_put(f);
    }
    los_free(t->fds);
    los_free(t);
}

long sys_close(int fd)
{
    return fd_close(fd);
}

long sys_close_range(uint32_t first, uint32_t last, uint32_t flags)
{
    if (first > last || (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)))
        return -EINVAL;
    struct fd_table *t = flags & CLOSE_RANGE_UNSHARE ? fd_table_own(own_table()) : own_table();
    if (!t)
        return -ENOMEM;
    current()->files = t;
    for (int fd = first < FD_MAX ? (int)first : FD_MAX; fd < t->room && (uint32_t)fd <= last;
         fd++) {
        if (!t->fds[fd])
            continue;
        if (flags & CLOSE_RANGE_CLOEXEC)
            t->fds[fd] |= CLOEXEC;
        else
            fd_close(fd);
    }
    return 0;
}

long sys_dup(int fd)
{
    struct file *f = fd_any(fd);
    if (!f)
        return -EBADF;
    file_get(f);
    return fd_install(f, false, 0);
}

static long dup_to(int from, int to, bool cloexec)
{
    struct fd_table *t = own_table();
    if (to >= t->room)
        los_alone(); /* the table grows */
    struct file *f = fd_any(from), *old;
    if (!f || to < 0 || to >= fd_limit())
        return -EBADF;
    int r = grow_table(to);
    if (r)
        return r;
    file_get(f);
    old = word_file(__atomic_exchange_n(&t->fds[to], place_word(f, cloexec), __ATOMIC_SEQ_CST));
    if (old) {
        if (lock_is_held(old))
            los_alone();
        lock_closed(old);
        file_put(old);
    }
    return to;
}

long sys_dup2(int from, int to)
{
    if (from == to)
        return fd_any(from) ? from : -EBADF;
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
    struct fd_table *t = own_table();
    struct file *f = fd_any(fd);
    uint64_t word;
    switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        if ((int)arg < 0 || (int)arg >= fd_limit())
            return -EINVAL;
        file_get(f);
        return fd_install(f, command == F_DUPFD_CLOEXEC, (int)arg);
    case F_GETFD:
        return place_now(t, fd) & CLOEXEC ? FD_CLOEXEC : 0;
    case F_SETFD:
        do
            word = place_now(t, fd);
        while (word_file(word) == f && /* nobody closed it just now */
               !place_change(t, fd, word, place_word(f, arg & FD_CLOEXEC)));
        return 0;
    default:
        return -EINVAL;
    }
}
