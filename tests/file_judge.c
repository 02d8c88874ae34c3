// SPDX-License-Identifier: Apache-2.0
// Random calls on files, judged: by a copy in memory (file), or by another file system on which the
// same calls are made (tree). Runs anywhere: natively, in an enclave, in a VM.
//   file-judge file DIRECTORY SEED COUNT
//   file-judge tree DIRECTORY REFERENCE SEED COUNT PROCESSES
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <linux/falloc.h>

static uint64_t state, seed;
static unsigned long step;

static uint64_t roll(uint64_t below)
{
    uint64_t z = state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (z ^ z >> 31) % below;
}

static _Noreturn void bad(const char *what, long got, long want)
{
    printf("seed %lu, step %lu: %s: %ld, not %ld (%s)\n", (unsigned long)seed, step, what, got,
           want, strerror(errno));
    exit(1);
}

static void must(const char *what, bool good)
{
    if (!good)
        bad(what, -1, 0);
}

/* ---- file: one file and a copy of it ---- */

#define MAX_SIZE 700000u

static uint8_t model[MAX_SIZE], buf[MAX_SIZE];
static size_t size;
static int fd;
static uint8_t *kept; /* a mapping that outlives many calls */
static size_t kept_size;
static char path[500];

static void pick_range(size_t limit, size_t *at, size_t *n)
{
    static const size_t sizes[] = {1, 17, 512, 4096, 10000, 65536, 140000};
    *n = roll(sizes[roll(7)]) + 1;
    *at = roll(limit + 1);
    if (roll(3) == 0)
        *at &= ~(size_t)4095;
    if (*at + *n > MAX_SIZE)
        *n = MAX_SIZE - *at;
}

static void fill(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)roll(256);
}

static void grow_to(size_t end)
{
    if (end > size)
        size = end;
}

static void check_read(size_t at, size_t n)
{
    ssize_t want = at >= size ? 0 : (ssize_t)(n < size - at ? n : size - at);
    ssize_t got = pread(fd, buf, n, (off_t)at);
    if (got != want)
        bad("read", got, want);
    for (ssize_t i = 0; i < got; i++)
        if (buf[i] != model[at + (size_t)i])
            bad("a byte that was read", (long)at + i, model[at + (size_t)i]);
}

static void do_write(size_t at, size_t n)
{
    static const int flags[] = {0, 0, 0, RWF_DSYNC, RWF_SYNC};
    fill(model + at, n);
    if (at > size)
        memset(model + size, 0, at - size);
    struct iovec v[2] = {{model + at, n / 2}, {model + at + n / 2, n - n / 2}};
    ssize_t r = pwritev2(fd, v, 2, (off_t)at, flags[roll(5)]);
    if (r != (ssize_t)n)
        bad("write", r, (long)n);
    grow_to(at + n);
}

static void do_map(bool write)
{
    size_t page = size ? roll(size) & ~(size_t)4095 : 0, n = roll(30000) + 1;
    if (!size)
        return;
    n = n < size - page ? n : size - page;
    uint8_t *p = mmap(NULL, n, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, fd, (off_t)page);
    must("mmap", p != MAP_FAILED);
    if (memcmp(p, model + page, n))
        bad("what is mapped at", (long)page, (long)n);
    if (write) {
        fill(model + page, n);
        memcpy(p, model + page, n);
        if (roll(2))
            must("msync", !msync(p, n, MS_SYNC));
    }
    must("munmap", !munmap(p, n));
}

static void do_truncate(size_t to)
{
    must("ftruncate", !ftruncate(fd, (off_t)to));
    if (to > size)
        memset(model + size, 0, to - size);
    size = to;
}

static void do_fallocate(size_t at, size_t n)
{
    static const int modes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
    int mode = modes[roll(5)];
    if (fallocate(fd, mode, (off_t)at, (off_t)n)) {
        if (errno != EOPNOTSUPP)
            bad("fallocate", errno, mode);
        return;
    }
    if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        for (size_t i = at; i < at + n && i < size; i++)
            model[i] = 0;
    if (!(mode & FALLOC_FL_KEEP_SIZE) && at + n > size) {
        memset(model + size, 0, at + n - size);
        size = at + n;
    }
}

static void do_copy(size_t at, size_t n)
{
    size_t to = roll(MAX_SIZE - n + 1);
    if (at + n > size || (to < at + n && at < to + n))
        return;
    loff_t in = (loff_t)at, out = (loff_t)to;
    while (n) {
        ssize_t r = copy_file_range(fd, &in, fd, &out, n, 0);
        if (r <= 0) {
            if (r < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EXDEV))
                return;
            bad("copy_file_range", r, (long)n);
        }
        if ((size_t)out - (size_t)r > size)
            memset(model + size, 0, (size_t)out - (size_t)r - size);
        memcpy(model + out - r, model + in - r, (size_t)r);
        grow_to((size_t)out);
        n -= (size_t)r;
    }
}

/* What lies in a hole must be zeros; data and holes must follow each other. */
static void do_seek(size_t at)
{
    /* A kernel without kernel/patches/0005 asks a FUSE server before it has all. */
    must("fsync", !getenv("JUDGE_SYNC_BEFORE_SEEK") || !fsync(fd));
    off_t data = lseek(fd, (off_t)at, SEEK_DATA);
    if (at >= size && (data != -1 || errno != ENXIO))
        bad("SEEK_DATA behind the end", data, -1);
    if (at >= size)
        return;
    size_t end = data < 0 ? size : (size_t)data;
    for (size_t i = at; i < end; i++)
        if (model[i])
            bad("a hole with data at", (long)i, (long)at);
    off_t hole = data < 0 ? (off_t)size : lseek(fd, data, SEEK_HOLE);
    if (hole < 0 || (size_t)hole > size)
        bad("SEEK_HOLE", hole, (long)size);
}

static void do_sync(void)
{
    switch (roll(6)) {
    case 0:
        must("fsync", !fsync(fd));
        break;
    case 1:
        must("fdatasync", !fdatasync(fd));
        break;
    case 2:
        must("syncfs", !syncfs(fd));
        break;
    case 3:
        must("sync_file_range",
             !sync_file_range(fd, 0, 0,
                              SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                  SYNC_FILE_RANGE_WAIT_AFTER));
        break;
    default:
        close(fd);
        fd = open(path, O_RDWR | (roll(3) ? 0 : O_DSYNC));
        must("open", fd >= 0);
    }
}

/* Through a mapping made long before: as far as the file goes now. */
static void do_keep(void)
{
    size_t n = kept_size < size ? kept_size : size;
    if (kept && memcmp(kept, model, n))
        bad("what a kept mapping shows", (long)n, (long)size);
    if (kept && n) {
        size_t at = roll(n), count = roll(5000) + 1;
        count = count < n - at ? count : n - at;
        fill(model + at, count);
        memcpy(kept + at, model + at, count);
        return;
    }
    if (kept)
        munmap(kept, kept_size);
    kept = NULL;
    kept_size = size;
    if (!size)
        return;
    kept = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must("mmap", kept != MAP_FAILED);
}

static void do_unkeep(void)
{
    if (kept)
        munmap(kept, kept_size);
    kept = NULL;
}

/* Past the page cache, where the file system can. */
static void do_direct(size_t at)
{
    static uint8_t block[16384] __attribute__((aligned(4096)));
    int d = open(path, O_RDWR | O_DIRECT);
    if (d < 0 && errno == EINVAL)
        return;
    must("open, O_DIRECT", d >= 0);
    at &= ~(size_t)4095;
    if (at + sizeof(block) > MAX_SIZE)
        at = 0;
    if (roll(2)) {
        fill(block, sizeof(block));
        ssize_t r = pwrite(d, block, sizeof(block), (off_t)at);
        if (r != (ssize_t)sizeof(block))
            bad("direct write", r, sizeof(block));
        if (at > size)
            memset(model + size, 0, at - size);
        memcpy(model + at, block, sizeof(block));
        grow_to(at + sizeof(block));
    } else {
        ssize_t want = at >= size ? 0 : (ssize_t)(size - at), r;
        want = want < (ssize_t)sizeof(block) ? want : (ssize_t)sizeof(block);
        r = pread(d, block, sizeof(block), (off_t)at);
        if (r != want || memcmp(block, model + at, (size_t)want))
            bad("direct read", r, want);
    }
    close(d);
}

/* The file loses its name, and gets it again; or another one for a while. */
static void do_names(void)
{
    char other[600], self[40];
    snprintf(other, sizeof(other), "%s.other", path);
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    switch (roll(3)) {
    case 0:
        must("rename", !rename(path, other) && !rename(other, path));
        break;
    case 1:
        must("link", !link(path, other) && !unlink(path) && !rename(other, path));
        break;
    default:
        must("link", !link(path, other) && !unlink(path));
        must("link of a descriptor", !linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW));
        must("unlink", !unlink(other));
    }
}

/* What another process writes through a mapping of its own is seen here. */
static void do_child(size_t at, size_t n)
{
    int status;
    if (at >= size)
        return;
    n = n < size - at ? n : size - at;
    fill(model + at, n);
    pid_t child = fork();
    if (!child) {
        int f = open(path, O_RDWR);
        uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
        must("mmap in a child", p != MAP_FAILED && !memcmp(p, model, at));
        memcpy(p + at, model + at, n);
        _exit(0);
    }
    must("a child", child > 0 && waitpid(child, &status, 0) == child && !status);
    check_read(at, n);
}

static int judge_file(const char *dir, unsigned long count)
{
    size_t at, n;
    struct stat st;
    snprintf(path, sizeof(path), "%s/judged.%lu", dir, (unsigned long)seed);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    must(path, fd >= 0);
    for (step = 0; step < count; step++) {
        pick_range(size, &at, &n);
        switch (roll(18)) {
        case 0 ... 2:
            do_write(at, n);
            break;
        case 3 ... 4:
            check_read(at, n);
            break;
        case 5:
            do_map(true);
            break;
        case 6:
            do_map(false);
            break;
        case 7:
            do_truncate(roll(3) ? at : roll(MAX_SIZE));
            break;
        case 8:
            do_fallocate(at, n);
            break;
        case 9:
            do_copy(at, n);
            break;
        case 10:
            do_seek(at);
            break;
        case 11 ... 13:
            do_keep();
            break;
        case 14:
            do_direct(at);
            break;
        case 15:
            do_names();
            break;
        case 16:
            if (roll(8))
                do_unkeep();
            else
                do_child(at, n);
            break;
        default:
            do_sync();
        }
        must("fstat", !fstat(fd, &st));
        if ((size_t)st.st_size != size)
            bad("st_size", st.st_size, (long)size);
        if (step % 50 == 49)
            check_read(0, MAX_SIZE);
    }
    check_read(0, MAX_SIZE);
    do_unkeep();
    close(fd);
    return unlink(path) ? 1 : 0;
}

/* ---- tree: two trees on which the same is done ---- */

#define NAMES 14u

static int roots[2];

/* A path below the root, of one to three names. */
static void pick_path(char *out)
{
    unsigned depth = 1 + (unsigned)roll(3);
    *out = 0;
    for (unsigned i = 0; i < depth; i++)
        sprintf(out + strlen(out), "%s%c%s", i ? "/" : "", 'a' + (char)roll(NAMES),
                roll(20) ? "" : "-long-name-of-a-file-that-takes-its-room");
}

static long result_of(long r)
{
    return r < 0 ? -errno : r;
}

static long open_and(int root, const char *p, int what, uint64_t at)
{
    char text[3000];
    int f = openat(root, p,
                   (what == 0   ? O_RDWR | O_CREAT
                    : what == 1 ? O_RDONLY
                                : O_RDWR) |
                       O_NONBLOCK,
                   0640);
    if (f < 0)
        return -errno;
    long r = 0;
    if (what == 0) {
        memset(text, (int)(at % 251), sizeof(text));
        r = result_of(pwrite(f, text, 1 + at % sizeof(text), (off_t)(at % 100000)));
    } else if (what == 1) {
        r = result_of(pread(f, text, sizeof(text), (off_t)(at % 100000)));
        for (long i = 0; i < r && r > 0; i++)
            at = at * 31 + (uint8_t)text[i];
        r = r < 0 ? r : (long)(at >> 8);
    } else {
        r = result_of(ftruncate(f, (off_t)(at % 200000)));
    }
    close(f);
    return r;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static long list_dir(int root, const char *p)
{
    int f = openat(root, p, O_RDONLY | O_DIRECTORY);
    if (f < 0)
        return -errno;
    DIR *d = fdopendir(f);
    char *names[200];
    uint64_t hash = 5381;
    size_t n = 0;
    for (struct dirent *e; (e = readdir(d)) && n < 200;) {
        names[n] = malloc(strlen(e->d_name) + 8);
        sprintf(names[n++], "%s %d", e->d_name, e->d_type);
    }
    closedir(d);
    qsort(names, n, sizeof(*names), by_name);
    for (size_t i = 0; i < n; i++) {
        for (char *c = names[i]; *c; c++)
            hash = hash * 33 + (uint8_t)*c;
        free(names[i]);
    }
    return (long)(hash >> 2);
}

static long stat_one(int root, const char *p)
{
    struct stat st;
    if (fstatat(root, p, &st, AT_SYMLINK_NOFOLLOW))
        return -errno;
    bool dir = S_ISDIR(st.st_mode);
    return (long)((st.st_mode * 31ul + (dir ? 0 : st.st_nlink)) * 31 +
                  (dir ? 0 : (size_t)st.st_size));
}

static long xattr_one(int root, const char *p, uint64_t what)
{
    char full[700], value[300];
    snprintf(full, sizeof(full), "/proc/self/fd/%d/%s", root, p);
    memset(value, 'v', sizeof(value));
    if (what % 3 == 0)
        return result_of(setxattr(full, "user.judged", value, what % 300, 0));
    if (what % 3 == 1)
        return result_of(getxattr(full, "user.judged", value, sizeof(value)));
    return result_of(removexattr(full, "user.judged"));
}

static long one_call(int root, unsigned call, const char *a, const char *b, uint64_t arg)
{
    char text[400];
    switch (call) {
    case 0 ... 3:
        return open_and(root, a, 0, arg);
    case 4:
        return open_and(root, a, 1, arg);
    case 5:
        return open_and(root, a, 2, arg);
    case 6 ... 7:
        return result_of(mkdirat(root, a, 0750));
    case 8:
        return result_of(unlinkat(root, a, 0));
    case 9:
        return result_of(unlinkat(root, a, AT_REMOVEDIR));
    case 10:
        return result_of(renameat(root, a, root, b));
    case 11:
        return result_of(renameat2(root, a, root, b, 1 + (unsigned)arg % 2));
    case 12:
        return result_of(linkat(root, a, root, b, 0));
    case 13:
        return result_of(symlinkat(a, root, b));
    case 14: {
        long n = result_of(readlinkat(root, a, text, sizeof(text)));
        for (long i = 0; i < n; i++)
            arg = arg * 31 + (uint8_t)text[i];
        return n < 0 ? n : (long)(arg >> 8);
    }
    case 15:
        return list_dir(root, a);
    case 16:
        return result_of(fchmodat(root, a, (mode_t)(arg % 010000), 0));
    case 17:
        return result_of(mknodat(root, a, S_IFIFO | 0600, 0));
    case 18:
        return xattr_one(root, a, arg);
    default:
        return stat_one(root, a);
    }
}

static int judge_tree(unsigned long count)
{
    char a[200], b[200];
    for (step = 0; step < count; step++) {
        pick_path(a);
        pick_path(b);
        unsigned call = (unsigned)roll(22);
        uint64_t arg = roll(1ull << 40);
        long want = one_call(roots[1], call, a, b, arg), got = one_call(roots[0], call, a, b, arg);
        if (got != want && !(call == 18 && want == -EOPNOTSUPP)) {
            printf("call %u, %s %s: ", call, a, b);
            bad("answer", got, want);
        }
        if (step % 500 == 499)
            must("syncfs", !syncfs(roots[0]));
    }
    return 0;
}

static int open_root(const char *dir, unsigned process)
{
    snprintf(path, sizeof(path), "%s/tree.%u", dir, process);
    must(path, !mkdir(path, 0755) || errno == EEXIST);
    int f = open(path, O_RDONLY | O_DIRECTORY);
    must(path, f >= 0);
    return f;
}

int main(int argc, char **argv)
{
    int status = 0, one;
    setvbuf(stdout, NULL, _IOLBF, 0);
    umask(0);
    if (argc == 5 && !strcmp(argv[1], "file")) {
        state = seed = strtoul(argv[3], NULL, 0);
        return judge_file(argv[2], strtoul(argv[4], NULL, 0));
    }
    if (argc != 7 || strcmp(argv[1], "tree"))
        return 2;
    for (unsigned p = 0; p < (unsigned)atoi(argv[6]); p++) {
        if (fork())
            continue;
        state = seed = strtoul(argv[4], NULL, 0) + p;
        roots[0] = open_root(argv[2], p);
        roots[1] = open_root(argv[3], p);
        exit(judge_tree(strtoul(argv[5], NULL, 0)));
    }
    while (wait(&one) > 0)
        status = status || one;
    return status;
}
