// SPDX-License-Identifier: Apache-2.0
// Folders of the host for the enclave (<shelter/share.h>), served by a process outside the walls of
// the loader, whose questions it believes no more than a stranger's: names are parts of a path, no
// link is followed, and what it sees of this machine are these folders. Root's is whoever owns
// them.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/base/util.h"
#include "host/base/walls.h"
#include "host/sgx/outside/outside.h"

#define NODES_MAX 16384u
#define BUCKETS 4096u
#define TEXT_MAX 4096u

static const struct outside_options *options;

/* --- nodes: the files that the enclave may speak of --- */

struct node {
    int fd;             /* + 1, O_PATH; 0: there is none */
    int reader, writer; /* + 1; 0: not opened yet */
    unsigned share, next;
    dev_t dev;
    ino_t ino;
};

static struct node nodes[NODES_MAX]; /* by number; 1 to share_count are the shares' own */
static unsigned buckets[BUCKETS], last;
static int proc_fds; /* /proc/self/fd: a file that is known is opened anew there */

struct entry64 { /* getdents64(2) */
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};

static int64_t or_errno(int64_t r)
{
    return r < 0 ? -errno : r;
}

static struct node *find_node(uint32_t number)
{
    return number && number < NODES_MAX && nodes[number].fd ? &nodes[number] : NULL;
}

static void close_one(int *fd)
{
    if (*fd)
        close(*fd - 1);
    *fd = 0;
}

static void forget_node(uint32_t number)
{
    struct node *n = number > options->share_count ? find_node(number) : NULL;
    if (!n)
        return;
    for (unsigned *at = &buckets[n->ino % BUCKETS]; *at; at = &nodes[*at].next) {
        if (*at == number) {
            *at = n->next;
            break;
        }
    }
    close_one(&n->fd);
    close_one(&n->reader);
    close_one(&n->writer);
}

/* The number of that file; takes *fd where it is a new one. */
static int64_t number_of(int *fd, unsigned share, const struct stat *st)
{
    unsigned *bucket = &buckets[st->st_ino % BUCKETS], i;
    for (i = *bucket; i; i = nodes[i].next) {
        if (nodes[i].dev == st->st_dev && nodes[i].ino == st->st_ino && nodes[i].share == share)
            return i;
    }
    for (i = 0; i < NODES_MAX; i++) {
        last = last + 1 < NODES_MAX ? last + 1 : options->share_count + 1;
        if (!nodes[last].fd)
            break;
    }
    if (i == NODES_MAX)
        return -ENFILE;
    nodes[last] = (struct node){.fd = sh_take_fd(fd) + 1,
                                .share = share,
                                .next = *bucket,
                                .dev = st->st_dev,
                                .ino = st->st_ino};
    *bucket = last;
    return last;
}

/* The node's file, opened anew: for what O_PATH does not do. A descriptor to be kept. */
static int reopen_node(const struct node *n, int flags)
{
    char name[16];
    snprintf(name, sizeof(name), "%d", n->fd - 1);
    int fd = openat(proc_fds, name, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static int data_fd(struct node *n, bool write)
{
    int *slot = write ? &n->writer : &n->reader;
    int fd = *slot ? *slot - 1 : reopen_node(n, write ? O_WRONLY : O_RDONLY);
    if (fd >= 0)
        *slot = fd + 1;
    return fd;
}

/* --- answers: how many bytes of `out` (SH_SLOT_A_SIZE) are filled, or -errno --- */

static int64_t ns_of(struct timespec t)
{
    int64_t ns;
    return __builtin_mul_overflow((int64_t)t.tv_sec, 1000000000, &ns) ? 0 : ns + t.tv_nsec;
}

static struct timespec timespec_of(int64_t ns)
{
    int64_t s = ns / 1000000000, rest = ns % 1000000000;
    return (struct timespec){s - (rest < 0), rest + (rest < 0 ? 1000000000 : 0)};
}

static int64_t tell_stat(uint32_t node, const struct stat *st, void *out)
{
    struct sh_share_stat s = {.node = node,
                              .mode = st->st_mode,
                              .uid = st->st_uid,
                              .gid = st->st_gid,
                              .nlink = (uint32_t)st->st_nlink,
                              .ino = st->st_ino,
                              .size = (uint64_t)st->st_size,
                              .blocks = (uint64_t)st->st_blocks,
                              .atime = ns_of(st->st_atim),
                              .mtime = ns_of(st->st_mtim),
                              .ctime = ns_of(st->st_ctim)};
    memcpy(out, &s, sizeof(s));
    return sizeof(s);
}

static int64_t stat_node(uint32_t number, void *out)
{
    struct stat st;
    return fstat(nodes[number].fd - 1, &st) ? -errno : tell_stat(number, &st, out);
}

static bool is_part(const char *name)
{
    return *name && strlen(name) <= SH_SHARE_NAME_MAX && !strchr(name, '/') && strcmp(name, ".") &&
           strcmp(name, "..");
}

/* A file, folder or link gets a number. */
static int64_t look_up(const struct node *dir, const char *name, void *out)
{
    struct stat st;
    cleanup_close int fd = openat(dir->fd - 1, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int64_t number = 0;
    if (fd < 0 || fstat(fd, &st))
        return -errno;
    if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode))
        number = number_of(&fd, dir->share, &st);
    return number < 0 ? number : tell_stat((uint32_t)number, &st, out);
}

/* The kernel's entries, `size` bytes, as ours, which are not longer; without . and .. */
static int64_t tell_entries(const char *from, long size, uint8_t *out)
{
    size_t filled = 0;
    for (const struct entry64 *d; size > 0; size -= d->reclen, from += d->reclen) {
        d = (const struct entry64 *)from;
        struct sh_share_entry e = {d->ino, (uint64_t)d->off, d->type, (uint8_t)strlen(d->name)};
        if (!is_part(d->name))
            continue;
        memcpy(out + filled, &e, sizeof(e));
        memcpy(out + filled + sizeof(e), d->name, e.name_size);
        filled += sizeof(e) + e.name_size;
    }
    return (int64_t)filled;
}

static int64_t list_folder(const struct node *dir, uint64_t from, void *out)
{
    _Alignas(8) char buf[SH_SLOT_A_SIZE / 2];
    cleanup_close int fd = reopen_node(dir, O_RDONLY | O_DIRECTORY);
    int64_t filled = 0;
    if (fd < 0)
        return fd;
    if (lseek(fd, (off_t)from, SEEK_SET) < 0)
        return -errno;
    for (long n = 1; n > 0 && !filled;) { /* . and .. may be all of it */
        n = syscall(SYS_getdents64, fd, buf, sizeof(buf));
        filled = n < 0 ? -errno : tell_entries(buf, n, out);
    }
    return filled;
}

static int64_t read_file(struct node *n, uint64_t offset, uint64_t size, void *out)
{
    int fd = data_fd(n, false);
    size = size < SH_SLOT_A_SIZE ? size : SH_SLOT_A_SIZE;
    return fd < 0 ? fd : or_errno(pread(fd, out, size, (off_t)offset));
}

static int64_t tell_room(const struct node *n, void *out)
{
    struct statvfs v;
    if (fstatvfs(n->fd - 1, &v))
        return -errno;
    struct sh_share_room room = {v.f_frsize, v.f_blocks, v.f_bfree,
                                 v.f_bavail, v.f_files,  v.f_favail};
    memcpy(out, &room, sizeof(room));
    return sizeof(room);
}

/* --- changes: 0, a count, or -errno --- */

static int64_t write_file(struct node *n, uint64_t offset, const void *data, size_t size)
{
    int fd = data_fd(n, true);
    return fd < 0 ? fd : or_errno(pwrite(fd, data, size, (off_t)offset));
}

static int64_t resize_file(struct node *n, uint64_t size)
{
    int fd = data_fd(n, true);
    return fd < 0 ? fd : or_errno(ftruncate(fd, (off_t)size));
}

static int64_t sync_node(const struct node *n)
{
    cleanup_close int fd = n->writer ? -1 : reopen_node(n, O_RDONLY);
    int at = n->writer ? n->writer - 1 : fd;
    return at < 0 ? at : or_errno(fsync(at));
}

static int64_t change_node(const struct node *n, const struct sh_share_request *q)
{
    struct stat st;
    char name[16];
    struct timespec times[] = {timespec_of(q->atime), timespec_of(q->mtime)};
    snprintf(name, sizeof(name), "%d", n->fd - 1);
    if (fstat(n->fd - 1, &st) || S_ISLNK(st.st_mode))
        return -EOPNOTSUPP;
    if ((q->what & SH_SHARE_SET_MODE) && fchmodat(proc_fds, name, q->mode & 01777, 0))
        return -errno;
    return q->what & SH_SHARE_SET_TIMES ? or_errno(utimensat(proc_fds, name, times, 0)) : 0;
}

static int64_t make_entry(const struct node *dir, const char *name, uint32_t mode, const char *text)
{
    int at = dir->fd - 1, fd;
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return or_errno(mkdirat(at, name, mode & 01777));
    case S_IFLNK:
        return strlen(text) < TEXT_MAX ? or_errno(symlinkat(text, at, name)) : -ENAMETOOLONG;
    case S_IFREG:
        fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode & 0777);
        return fd < 0 ? -errno : or_errno(close(fd));
    default:
        return -EPERM;
    }
}

static int64_t rename_entry(const struct node *from, const char *name, const struct node *to,
                            const char *new_name, uint32_t what)
{
    if (!to || to->share != from->share)
        return -EXDEV;
    what &= RENAME_NOREPLACE | RENAME_EXCHANGE;
    return !is_part(new_name) ? -EINVAL
                              : or_errno(renameat2(from->fd - 1, name, to->fd - 1, new_name, what));
}

/* What asks about, or changes, a name in a folder; `rest` is behind the name. */
static int64_t answer_name(const struct sh_share_request *q, const struct node *dir,
                           const char *name, const char *rest, void *out)
{
    int64_t r;
    switch (q->op) {
    case SH_SHARE_LOOKUP:
        return look_up(dir, name, out);
    case SH_SHARE_MAKE:
        r = make_entry(dir, name, q->mode, rest);
        return r ? r : look_up(dir, name, out);
    case SH_SHARE_REMOVE:
        return or_errno(unlinkat(dir->fd - 1, name, S_ISDIR(q->mode) ? AT_REMOVEDIR : 0));
    default:
        return rename_entry(dir, name, find_node(q->to), rest, q->what);
    }
}

static int64_t answer_node(const struct sh_share_request *q, struct node *n, const void *data,
                           size_t size, void *out)
{
    int64_t r;
    switch (q->op) {
    case SH_SHARE_STAT:
        return stat_node(q->node, out);
    case SH_SHARE_LIST:
        return list_folder(n, q->offset, out);
    case SH_SHARE_READ:
        return read_file(n, q->offset, q->size, out);
    case SH_SHARE_WRITE:
        return write_file(n, q->offset, data, size);
    case SH_SHARE_RESIZE:
        return resize_file(n, q->size);
    case SH_SHARE_CHANGE:
        r = change_node(n, q);
        return r ? r : stat_node(q->node, out);
    case SH_SHARE_TEXT:
        return or_errno(readlinkat(n->fd - 1, "", out, TEXT_MAX));
    case SH_SHARE_SYNC:
        return sync_node(n);
    case SH_SHARE_ROOM:
        return tell_room(n, out);
    case SH_SHARE_FORGET:
        forget_node(q->node);
        return 0;
    default:
        return -ENOSYS;
    }
}

static bool is_change(uint32_t op)
{
    return op == SH_SHARE_WRITE || op == SH_SHARE_RESIZE || op == SH_SHARE_CHANGE ||
           op == SH_SHARE_MAKE || op == SH_SHARE_REMOVE || op == SH_SHARE_RENAME;
}

/* `data` has a NUL behind it. */
static int64_t answer_question(const struct sh_share_request *q, const char *data, size_t size,
                               void *out)
{
    struct node *n = find_node(q->node);
    bool two = q->op == SH_SHARE_MAKE || q->op == SH_SHARE_RENAME;
    char name[SH_SHARE_NAME_MAX + 1] = "";
    if (!n)
        return -ESTALE;
    if (is_change(q->op) && options->shares[n->share].read_only)
        return -EROFS;
    if (!two && q->op != SH_SHARE_LOOKUP && q->op != SH_SHARE_REMOVE)
        return answer_node(q, n, data, size, out);
    uint64_t name_size = two ? q->size : size;
    if (name_size > size || name_size > SH_SHARE_NAME_MAX)
        return -EINVAL;
    memcpy(name, data, name_size);
    return is_part(name) ? answer_name(q, n, name, data + name_size, out) : -EINVAL;
}

/* --- the process --- */

/* One question. False: nobody will ask any more. */
static bool serve_one(int fd)
{
    static struct {
        struct sh_share_request q;
        char data[SH_SLOT_A_SIZE + 1];
    } m;
    static struct {
        int64_t result;
        uint8_t data[SH_SLOT_A_SIZE];
    } a;
    ssize_t n = recv(fd, &m, sizeof(m) - 1, 0);
    if (n < 0 && errno == EINTR)
        return true;
    if (n < (ssize_t)sizeof(m.q))
        return false;
    size_t size = (size_t)n - sizeof(m.q);
    m.data[size] = 0;
    a.result = answer_question(&m.q, m.data, size, a.data);
    size = a.result > 0 && m.q.op != SH_SHARE_WRITE ? (size_t)a.result : 0;
    return send(fd, &a, sizeof(a.result) + size, MSG_NOSIGNAL) > 0;
}

static void raise_walls(void)
{
    struct sh_wall_view view = {0};
    const char *folders[OUTSIDE_SHARES_MAX];
    size_t count = 0;
    uid_t uid = SH_WALL_UID_FIRST + options->number;
    gid_t gid = uid;
    for (unsigned i = 0; i < options->share_count; i++) {
        const struct outside_share *s = &options->shares[i];
        if (!s->folder)
            continue;
        folders[count++] = s->folder;
        sh_wall_view_add(&view, s->folder, s->read_only ? SH_WALL_READ : SH_WALL_WRITE);
    }
    sh_wall_owner_of(folders, count, &uid, &gid);
    (void)sh_wall_files_view(&view, uid);
    (void)sh_wall_network();
    (void)sh_wall_user(uid, gid, false);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)sh_wall_landlock_view(&view, 0);
    (void)sh_wall_seccomp_foreign();
    sh_wall_view_free(&view);
}

/* The first answer: 0, or -errno of the share with that number. */
static _Noreturn void serve_questions(int fd)
{
    struct rlimit most;
    int32_t first[2] = {0, 0};
    outside_begin("shelter-shares", fd);
    umask(0); /* modes are as the program asked */
    if (!getrlimit(RLIMIT_NOFILE, &most)) {
        most.rlim_cur = most.rlim_max;
        setrlimit(RLIMIT_NOFILE, &most);
    }
    proc_fds = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    raise_walls();
    for (unsigned i = 0; !first[0] && i < options->share_count; i++) {
        const char *folder = options->shares[i].folder;
        if (!folder) /* a number that is none */
            continue;
        int at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        first[0] = at < 0 ? -errno : 0;
        first[1] = (int32_t)i;
        nodes[i + 1] = (struct node){.fd = at + 1, .share = i};
    }
    last = options->share_count;
    (void)send(fd, first, sizeof(first), MSG_NOSIGNAL);
    while (!first[0] && serve_one(fd))
        ;
    _exit(0);
}

/* --- the enclave's side --- */

static struct outside_process shares = {.fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

int outside_shares_open(const struct outside_options *o, struct sh_error *err)
{
    int32_t first[2];
    options = o;
    if (!options->share_count)
        return 0;
    pid_t pid = outside_fork(&shares.fd, err);
    if (pid < 0)
        return pid;
    if (pid == 0)
        serve_questions(shares.fd);
    if (recv(shares.fd, first, sizeof(first), 0) != sizeof(first))
        return sh_fail(err, -EIO, "the process of the shared folders ended unexpectedly");
    if (!first[0])
        return 0;
    return sh_fail_errno(err, first[0], "cannot share %s", options->shares[first[1]].folder);
}

int64_t outside_share(const struct sh_share_request *q, const void *data, size_t size, void *out)
{
    const struct iovec question[] = {{(void *)q, sizeof(*q)}, {(void *)data, size}};
    return shares.fd < 0 ? -ENOENT : outside_ask(&shares, question, out, SH_SLOT_A_SIZE, NULL);
}
