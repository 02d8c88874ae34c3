// SPDX-License-Identifier: Apache-2.0
// Descriptors: small numbers for open files.
#include "trusted/libos/fs/file.h"

#include "trusted/libos/calls.h"
#include "trusted/libos/mm/mm.h"

#define FD_MAX 65536

/* Places change under the lock, or alone; who looks needs none. The array grows alone. */
struct fd_table {
    struct lock lock; /* RANK_OBJECT */
    uint32_t refs;
    int room;
    struct fd {
        struct file *file;
        bool cloexec;
    } * fds;
};

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
        if (t->fds[fd].file)
            file_get(t->fds[fd].file);
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
    return fd >= 0 && fd < t->room ? __atomic_load_n(&t->fds[fd].file, __ATOMIC_ACQUIRE) : NULL;
}

static void put_file(struct fd *fd, struct file *f, bool cloexec)
{
    fd->cloexec = cloexec;
    __atomic_store_n(&fd->file, f, __ATOMIC_RELEASE);
}

struct file *fd_any(int fd)
{
    return fd_file_of(own_table(), fd);
}

bool fd_hold(struct file *f)
{
    if (current()->thread_count == 1 && own_table()->refs == 1)
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
    struct fd *fds = los_realloc(t->fds, (size_t)n * sizeof(*fds));
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
    int fd = lowest;
    lock_take(&t->lock, RANK_OBJECT);
    while (fd_any(fd)) /* those of O_PATH have their place too */
        fd++;
    int r = fd >= fd_limit() ? -EMFILE : fd < t->room ? fd : -ENFILE;
    if (r >= 0)
        put_file(&t->fds[fd], f, cloexec);
    lock_give(&t->lock);
    return r;
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
    lock_take(&t->lock, RANK_OBJECT);
    bool ours = t->fds[fd].file == f; /* nobody closed it just now */
    if (ours)
        put_file(&t->fds[fd], NULL, false);
    lock_give(&t->lock);
    if (!ours)
        return -EBADF;
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
        if (t->fds[fd].file && t->fds[fd].cloexec)
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
        struct file *f = t->fds[fd].file;
        t->fds[fd].file = NULL;
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

#define CLOSE_RANGE_UNSHARE_BIT 2u
#define CLOSE_RANGE_CLOEXEC_BIT 4u

long sys_close_range(uint32_t first, uint32_t last, uint32_t flags)
{
    if (first > last || (flags & ~(CLOSE_RANGE_UNSHARE_BIT | CLOSE_RANGE_CLOEXEC_BIT)))
        return -EINVAL;
    struct fd_table *t = flags & CLOSE_RANGE_UNSHARE_BIT ? fd_table_own(own_table()) : own_table();
    if (!t)
        return -ENOMEM;
    current()->files = t;
    for (int fd = first < FD_MAX ? (int)first : FD_MAX; fd < t->room && (uint32_t)fd <= last;
         fd++) {
        if (!t->fds[fd].file)
            continue;
        if (flags & CLOSE_RANGE_CLOEXEC_BIT)
            t->fds[fd].cloexec = true;
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
    lock_take(&t->lock, RANK_OBJECT);
    old = t->fds[to].file;
    put_file(&t->fds[to], f, cloexec);
    lock_give(&t->lock);
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
    long r;
    switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        if ((int)arg < 0 || (int)arg >= fd_limit())
            return -EINVAL;
        file_get(f);
        return fd_install(f, command == F_DUPFD_CLOEXEC, (int)arg);
    case F_GETFD:
    case F_SETFD:
        lock_take(&t->lock, RANK_OBJECT);
        r = command == F_GETFD && t->fds[fd].cloexec ? FD_CLOEXEC : 0;
        if (command == F_SETFD && t->fds[fd].file == f) /* nobody closed it just now */
            t->fds[fd].cloexec = arg & FD_CLOEXEC;
        lock_give(&t->lock);
        return r;
    default:
        return -EINVAL;
    }
}
