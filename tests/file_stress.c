// SPDX-License-Identifier: Apache-2.0
// Many processes at once in one tree: files written, mapped, cut, moved, linked, removed under each
// other's hands. Nobody knows what a file should hold, so its words say it: each is zero, or what
// its inode number and its place make. At the end counts of links and names must agree.
//   file-stress DIRECTORY SEED COUNT PROCESSES
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <linux/falloc.h>

#define NAMES 9u /* of each level: few, so that they meet */
#define WORDS 60000u
#define CHUNK 20000u /* words of one call at most */
#define KEPT 6u      /* descriptors that a process keeps open */
#define INODES 4000u

static uint64_t state, seed;
static unsigned long step;
static uint64_t words[CHUNK + 512] __attribute__((aligned(4096)));
static int kept[KEPT];

static uint64_t roll(uint64_t below)
{
    uint64_t z = state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (z ^ z >> 31) % below;
}

static _Noreturn void bad(const char *what, const char *where, long got)
{
    printf("seed %lu, process %d, step %lu: %s: %s: %ld (%s)\n", (unsigned long)seed, getpid(),
           step, what, where, got, strerror(errno));
    exit(1);
}

/* What a call among others' may say. */
static long may_fail(const char *what, long r)
{
    static const int good[] = {ENOENT, EEXIST, ENOTDIR, EISDIR,     ENOTEMPTY, ELOOP,
                               EINVAL, ENOSPC, EMLINK,  EOPNOTSUPP, ENODATA,   EBUSY,
                               ENXIO,  EPERM,  ESTALE,  EAGAIN,     ETXTBSY};
    for (size_t i = 0; r < 0 && i < sizeof(good) / sizeof(good[0]); i++) {
        if (errno == good[i])
            return r;
    }
    if (r < 0)
        bad(what, "an error that it cannot have", r);
    return r;
}

static uint64_t word_of(uint64_t ino, uint64_t at)
{
    return (ino << 32 | at) * 0x9e3779b97f4a7c15ull | 1;
}

static void check_words(const char *how, uint64_t ino, uint64_t at, const uint64_t *w, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (w[i] && w[i] != word_of(ino, at + i))
            bad("a word that nobody wrote", how, (long)(at + i));
    }
}

static void pick_path(char *out)
{
    unsigned depth = 1 + (unsigned)roll(3);
    *out = 0;
    for (unsigned i = 0; i < depth; i++)
        sprintf(out + strlen(out), "%s%c", i ? "/" : "", 'a' + (char)roll(NAMES));
}

static void write_words(int fd, uint64_t ino, uint64_t at, size_t count)
{
    for (size_t i = 0; i < count; i++)
        words[i] = word_of(ino, at + i);
    may_fail("write", pwrite(fd, words, count * 8, (off_t)(at * 8)));
}

static void read_words(int fd, uint64_t ino, uint64_t at, size_t count)
{
    long n = may_fail("read", pread(fd, words, count * 8, (off_t)(at * 8)));
    if (n > 0)
        check_words("read", ino, at, words, (size_t)n / 8);
}

/* Nobody may cut the file meanwhile: who cuts, locks it for himself. Others make it larger: through
 * FUSE fstat gives their size before it can be mapped, lseek does not. */
static void map_words(int fd, uint64_t ino, bool write)
{
    if (flock(fd, LOCK_SH | LOCK_NB))
        return;
    uint64_t *p = MAP_FAILED;
    long end = may_fail("lseek", lseek(fd, 0, SEEK_END));
    size_t size = end < 0 ? 0 : (size_t)end & ~(size_t)7;
    if (size)
        p = mmap(NULL, size, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
    if (p != MAP_FAILED) {
        uint64_t from = roll(size / 8), n = roll(size / 8 - from) + 1;
        check_words("mapped", ino, from, p + from, n);
        for (uint64_t i = from; write && i < from + n; i++)
            p[i] = word_of(ino, i);
        if (write && roll(3) == 0)
            may_fail("msync", msync(p, size, roll(2) ? MS_SYNC : MS_ASYNC));
        munmap(p, size);
    }
    flock(fd, LOCK_UN);
}

static void cut_file(int fd, uint64_t at)
{
    if (flock(fd, LOCK_EX | LOCK_NB))
        return;
    may_fail("ftruncate", ftruncate(fd, (off_t)(at * 8)));
    flock(fd, LOCK_UN);
}

static void make_room(int fd, uint64_t at, size_t count)
{
    static const int modes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_ZERO_RANGE};
    may_fail("fallocate", fallocate(fd, modes[roll(4)], (off_t)(at * 8), (off_t)(count * 8)));
}

static void use_file(int fd)
{
    struct stat st;
    uint64_t at = roll(WORDS), count = roll(roll(4) ? 600 : CHUNK) + 1;
    if (fstat(fd, &st))
        bad("fstat", "an open file", -1);
    if (!S_ISREG(st.st_mode))
        return;
    switch (roll(12)) {
    case 0 ... 3:
        write_words(fd, st.st_ino, at, count);
        break;
    case 4 ... 5:
        read_words(fd, st.st_ino, at, count);
        break;
    case 6 ... 7:
        map_words(fd, st.st_ino, roll(2));
        break;
    case 8:
        cut_file(fd, at);
        break;
    case 9:
        make_room(fd, at, count);
        break;
    case 10:
        may_fail("fsync", roll(2) ? fsync(fd) : fdatasync(fd));
        break;
    default:
        may_fail("lseek", lseek(fd, (off_t)at * 8, roll(2) ? SEEK_DATA : SEEK_HOLE));
    }
}

static void open_one(const char *p)
{
    unsigned k = (unsigned)roll(KEPT);
    int flags = O_RDWR | O_NONBLOCK | (roll(3) ? O_CREAT : 0) | (roll(5) ? 0 : O_DSYNC);
    if (kept[k] >= 0)
        close(kept[k]);
    kept[k] = (int)may_fail("open",
                            roll(12) ? open(p, flags, 0644) : open(".", O_TMPFILE | O_RDWR, 0644));
    if (kept[k] >= 0)
        use_file(kept[k]);
}

static void list_one(const char *p)
{
    DIR *d = opendir(p);
    struct dirent *e;
    if (!d)
        return (void)may_fail("opendir", -1);
    while (errno = 0, e = readdir(d))
        ;
    if (errno)
        may_fail("readdir", -1);
    closedir(d);
}

static void one_step(void)
{
    char a[50], b[50], proc[50];
    struct stat st;
    pick_path(a);
    pick_path(b);
    unsigned k = (unsigned)roll(KEPT);
    switch (roll(26)) {
    case 0 ... 4:
        return open_one(a);
    case 5 ... 11:
        if (kept[k] >= 0)
            use_file(kept[k]);
        return;
    case 12 ... 13:
        may_fail("mkdir", mkdir(a, 0755));
        return;
    case 14 ... 15:
        may_fail("unlink", unlink(a));
        return;
    case 16:
        may_fail("rmdir", rmdir(a));
        return;
    case 17 ... 18:
        may_fail("rename", rename(a, b));
        return;
    case 19:
        may_fail("exchange", renameat2(AT_FDCWD, a, AT_FDCWD, b, 1 + (unsigned)roll(2)));
        return;
    case 20:
        may_fail("link", link(a, b));
        return;
    case 21:
        may_fail("symlink", symlink(a, b));
        return;
    case 22:
        list_one(a);
        return;
    case 23: /* what lost its name, or never had one, gets another */
        snprintf(proc, sizeof(proc), "/proc/self/fd/%d", kept[k]);
        if (kept[k] >= 0)
            may_fail("link of a descriptor",
                     linkat(AT_FDCWD, proc, AT_FDCWD, a, AT_SYMLINK_FOLLOW));
        return;
    case 24:
        may_fail("setxattr", roll(2) ? setxattr(a, "user.stress", a, strlen(a), 0)
                                     : removexattr(a, "user.stress"));
        return;
    default:
        may_fail("stat", lstat(a, &st));
        may_fail("chmod", chmod(b, 0600 + (mode_t)roll(0200)));
    }
}

static struct counted {
    uint64_t ino;
    unsigned long links, found;
} counted[INODES];

/* Every name once: what it names holds its own words, and has so many links as there are names. */
static void walk(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    unsigned folders = 0;
    struct stat st;
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d)
        bad("a directory cannot be read", name, -1);
    for (struct dirent *e; (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
            bad("a name without a file", e->d_name, -1);
        if (st.st_ino != e->d_ino)
            bad("a name and its inode number", e->d_name, (long)e->d_ino);
        if (S_ISDIR(st.st_mode)) {
            folders++;
            walk(fd, e->d_name);
            continue;
        }
        struct counted *c = counted;
        while (c->ino && c->ino != st.st_ino && c < counted + INODES - 1)
            c++;
        c->ino = st.st_ino;
        c->links = st.st_nlink;
        c->found++;
        int f = S_ISREG(st.st_mode) ? openat(fd, e->d_name, O_RDONLY) : -1;
        for (uint64_t w = 0; f >= 0 && w * 8 < (uint64_t)st.st_size; w += CHUNK)
            read_words(f, st.st_ino, w, CHUNK);
        close(f);
    }
    if (fstat(fd, &st) || (st.st_nlink != 1 && st.st_nlink != 2 + folders)) /* 1: not kept */
        bad("a directory's links", name, (long)st.st_nlink);
    closedir(d);
}

int main(int argc, char **argv)
{
    int status = 0, one;
    setvbuf(stdout, NULL, _IOLBF, 0);
    umask(0);
    if (argc != 5 || (mkdir(argv[1], 0755) && errno != EEXIST) || chdir(argv[1]))
        return 2;
    seed = strtoul(argv[2], NULL, 0);
    for (unsigned p = 0; p < (unsigned)atoi(argv[4]); p++) {
        if (fork())
            continue;
        state = seed * 1000 + p;
        memset(kept, -1, sizeof(kept));
        for (step = 0; step < strtoul(argv[3], NULL, 0); step++)
            one_step();
        exit(0);
    }
    while (wait(&one) > 0) {
        status = status || one;
        if (WIFSIGNALED(one))
            printf("seed %lu: a process was killed by signal %d\n", (unsigned long)seed,
                   WTERMSIG(one));
    }
    if (status)
        return 1;
    walk(AT_FDCWD, ".");
    unsigned names = 0;
    for (struct counted *c = counted; c->ino; c++) {
        names += c->found;
        if (c->links != c->found)
            bad("links and names do not agree", "inode", (long)c->ino);
    }
    printf("%u names\n", names);
    return 0;
}
