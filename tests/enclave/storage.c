// SPDX-License-Identifier: Apache-2.0
// Uses a folder as programs use a disk, and says what went wrong: every call's result is compared.
//   storage make DIR | look DIR | append DIR COUNT | count DIR | full DIR | locks DIR | names DIR
//   COUNT | sync DIR KIND | synced DIR KIND | punch DIR | grow DIR COUNT
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef RWF_DSYNC
#define RWF_DSYNC 2
#endif

static void must(int line, int good, const char *what)
{
    if (good)
        return;
    printf("line %d: %s: %s\n", line, what, strerror(errno));
    exit(1);
}
#define MUST(x) must(__LINE__, (x), #x)

static void make_mapped(void)
{
    int fd = open("mapped", O_RDWR | O_CREAT, 0600);
    MUST(fd >= 0 && !ftruncate(fd, 20000));
    char *p = mmap(NULL, 20000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), back[8];
    MUST(p != MAP_FAILED);
    strcpy(p + 9000, "by map");
    MUST(pread(fd, back, 7, 9000) == 7 && !strcmp(back, "by map"));
    MUST(pwrite(fd, "by write", 9, 100) == 9 && !strcmp(p + 100, "by write"));
    MUST(!msync(p, 20000, MS_SYNC));
    strcpy(p + 15000, "unsynced");
    MUST(!munmap(p, 20000) && !close(fd));
}

static void make(void)
{
    char big[100000];
    struct stat st;
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)(i * 7 + i / 256);
    int fd = open("file", O_RDWR | O_CREAT | O_EXCL, 0640);
    MUST(fd >= 0 && write(fd, big, sizeof(big)) == sizeof(big));
    MUST(!fsync(fd) && !fchmod(fd, 04711) && !close(fd));
    MUST(!mkdir("dir", 0755) && !symlink("../file", "dir/link") && !link("file", "dir/hard"));
    MUST(open("file", O_CREAT | O_EXCL | O_RDWR, 0600) < 0 && errno == EEXIST);
    MUST(rmdir("dir") < 0 && errno == ENOTEMPTY);
    MUST(!stat("dir/link", &st) && st.st_nlink == 2 && st.st_size == sizeof(big));
    MUST(!mkdir("dir/sub", 0700) && !rename("dir/sub", "moved"));
    fd = open("new", O_WRONLY | O_CREAT, 0600);
    MUST(fd >= 0 && write(fd, "new", 3) == 3 && !close(fd));
    fd = open("old", O_WRONLY | O_CREAT, 0600);
    MUST(fd >= 0 && write(fd, "old!", 4) == 4 && !close(fd));
    MUST(!rename("new", "old") && stat("new", &st) < 0 && !stat("old", &st) && st.st_size == 3);
    MUST(!setxattr("old", "user.kind", "value", 5, 0));
    fd = open("sparse", O_RDWR | O_CREAT, 0600);
    MUST(fd >= 0 && pwrite(fd, "end", 3, 10 << 20) == 3);
    MUST(lseek(fd, 0, SEEK_DATA) == 10 << 20 && lseek(fd, 0, SEEK_HOLE) == 0);
    MUST(!fstat(fd, &st) && st.st_blocks < 200);
    MUST(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10 << 20, 4096));
    struct iovec v = {"sync", 4};
    MUST(pwritev2(fd, &v, 1, 0, RWF_DSYNC) == 4 && !sync_file_range(fd, 0, 4, 7) && !close(fd));
    fd = open(".", O_TMPFILE | O_RDWR, 0600);
    MUST(fd >= 0 && write(fd, "tmp", 3) == 3);
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    MUST(!linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) && !close(fd));
    fd = open("gone", O_RDWR | O_CREAT, 0600);
    MUST(fd >= 0 && !unlink("gone") && write(fd, "x", 1) == 1 && pread(fd, path, 2, 0) == 1);
    struct timespec times[2] = {{1000, 5}, {2000000000, 7}};
    MUST(!utimensat(AT_FDCWD, "old", times, 0) && !chown("old", 12, 34));
    make_mapped();
    int d = open(".", O_RDONLY | O_DIRECTORY);
    MUST(d >= 0 && !fsync(d));
}

static void look(void)
{
    char big[100000], text[64];
    struct stat st;
    struct statfs fs;
    int fd = open("dir/link", O_RDONLY);
    MUST(fd >= 0 && read(fd, big, sizeof(big)) == sizeof(big) && !close(fd));
    for (size_t i = 0; i < sizeof(big); i++)
        MUST(big[i] == (char)(i * 7 + i / 256));
    MUST(!stat("dir/hard", &st) && st.st_nlink == 2 && st.st_mode == (S_IFREG | 04711));
    MUST(!stat("moved", &st) && S_ISDIR(st.st_mode) && !stat("dir", &st) && st.st_nlink == 2);
    MUST(!stat("old", &st) && st.st_size == 3 && st.st_uid == 12 && st.st_gid == 34);
    MUST(st.st_mtim.tv_sec == 2000000000 && st.st_mtim.tv_nsec == 7 && st.st_atim.tv_sec == 1000);
    MUST(getxattr("old", "user.kind", text, sizeof(text)) == 5 && !memcmp(text, "value", 5));
    MUST(!stat("sparse", &st) && st.st_size == (10 << 20) + 3);
    fd = open("named", O_RDONLY);
    MUST(fd >= 0 && read(fd, text, 9) == 3 && !memcmp(text, "tmp", 3) && !close(fd));
    fd = open("mapped", O_RDONLY);
    MUST(fd >= 0 && pread(fd, text, 7, 9000) == 7 && !strcmp(text, "by map"));
    MUST(pread(fd, text, 9, 100) == 9 && !strcmp(text, "by write"));
    MUST(pread(fd, text, 9, 15000) == 9 && !strcmp(text, "unsynced"));
    MUST(stat("gone", &st) < 0 && errno == ENOENT);
    MUST(!statfs(".", &fs) && fs.f_blocks > fs.f_bfree && fs.f_bavail > 0);
}

/* Lines of 8 bytes, each acknowledged on stdout when it is durable. */
static void append(int count)
{
    int fd = open("lines", O_WRONLY | O_CREAT | O_APPEND, 0600);
    MUST(fd >= 0);
    for (int i = 0; i < count; i++) {
        struct stat st;
        char text[16];
        MUST(!fstat(fd, &st));
        snprintf(text, sizeof(text), "%07d\n", (int)(st.st_size / 8));
        MUST(write(fd, text, 8) == 8 && !fdatasync(fd));
        MUST(write(1, text, 8) == 8);
    }
}

static void count(void)
{
    char text[9] = "";
    int fd = open("lines", O_RDONLY), n = 0;
    for (; fd >= 0 && read(fd, text, 8) == 8; n++)
        MUST(atoi(text) == n);
    printf("%d\n", n);
}

static void full(void)
{
    static char buf[65536];
    int fd = open("filler", O_WRONLY | O_CREAT, 0600);
    MUST(fd >= 0);
    while (write(fd, buf, sizeof(buf)) == sizeof(buf))
        continue;
    MUST(errno == ENOSPC && !fsync(fd) && !close(fd) && !unlink("filler"));
    fd = open("filler", O_WRONLY | O_CREAT, 0600);
    MUST(fd >= 0 && write(fd, buf, sizeof(buf)) == sizeof(buf) && !fsync(fd));
    MUST(!unlink("filler"));
}

/* Locks of a range, as databases take them: how = F_SETLK of a process, F_OFD_SETLK of a
 * descriptor. */
static int lock_range(int fd, int how, short type, off_t at, off_t size)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = size};
    return fcntl(fd, how, &l);
}

static void locks(void)
{
    int status, fd = open("locked", O_RDWR | O_CREAT, 0600), other = open("locked", O_RDWR);
    MUST(fd >= 0 && other >= 0 && !ftruncate(fd, 10000));
    MUST(!flock(fd, LOCK_EX) && flock(other, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK);
    MUST(!flock(fd, LOCK_SH) && !flock(other, LOCK_SH | LOCK_NB) && !flock(other, LOCK_UN));
    MUST(!lock_range(fd, F_OFD_SETLK, F_WRLCK, 0, 100));
    MUST(lock_range(other, F_OFD_SETLK, F_RDLCK, 50, 100) < 0 && errno == EAGAIN);
    MUST(!lock_range(other, F_OFD_SETLK, F_WRLCK, 100, 100));
    MUST(!lock_range(fd, F_SETLK, F_WRLCK, 5000, 1000));
    if (!fork()) {
        int mine = open("locked", O_RDWR);
        struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 5500, .l_len = 1};
        MUST(mine >= 0 && flock(mine, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
        MUST(lock_range(mine, F_SETLK, F_WRLCK, 5999, 10) < 0 && errno == EAGAIN);
        MUST(!fcntl(mine, F_GETLK, &l) && l.l_type == F_WRLCK && l.l_pid == getppid());
        MUST(!lock_range(mine, F_SETLK, F_WRLCK, 6000, 10));
        MUST(lock_range(mine, F_OFD_SETLK, F_RDLCK, 150, 1) < 0 && errno == EAGAIN);
        _exit(0);
    }
    MUST(wait(&status) > 0 && !status);
    MUST(!lock_range(fd, F_SETLK, F_WRLCK, 6000, 10)); /* the child's went with it */
    MUST(!close(other) && lock_range(fd, F_OFD_SETLK, F_WRLCK, 0, 10000) == 0 && !close(fd));
    MUST(!unlink("locked"));
}

/* A directory of so many names: each is there once, and can be found, renamed over and removed. */
static void names(int count)
{
    char name[32], over[32];
    unsigned char *seen = calloc((size_t)count, 1);
    struct stat st;
    MUST(seen && !mkdir("names", 0755) && !chdir("names"));
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "name-%d", i);
        int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
        MUST(fd >= 0 && !close(fd));
    }
    for (int i = 0; i < count; i += 100) {
        snprintf(name, sizeof(name), "name-%d", i);
        snprintf(over, sizeof(over), "name-%d", i + 1);
        MUST(!rename(name, over) && stat(name, &st) < 0 && !stat(over, &st));
    }
    DIR *d = opendir(".");
    MUST(d);
    for (struct dirent *e; (errno = 0, e = readdir(d));)
        if (e->d_name[0] == 'n')
            MUST(seen[atoi(e->d_name + 5)]++ == 0);
    MUST(!errno);
    closedir(d);
    for (int i = 0; i < count; i++) {
        MUST(seen[i] == (i % 100 != 0));
        snprintf(name, sizeof(name), "name-%d", i);
        MUST(unlink(name) == (seen[i] ? 0 : -1));
    }
    MUST(!chdir("..") && !rmdir("names"));
    free(seen);
}

/* One change and the one call that makes it durable; what was changed has the kind's name. */
static void sync_by(const char *kind)
{
    char other[64];
    struct iovec v = {"durable", 7};
    bool direct = !strcmp(kind, "dsync") || !strcmp(kind, "osync");
    int d = open(".", O_RDONLY | O_DIRECTORY), flags = !strcmp(kind, "dsync") ? O_DSYNC : O_SYNC;
    int fd = open(kind, O_RDWR | O_CREAT | (direct ? flags : 0), 0600);
    snprintf(other, sizeof(other), "%s-old", kind);
    MUST(d >= 0 && fd >= 0);
    if (direct) {
        MUST(write(fd, "durable", 7) == 7);
    } else if (!strcmp(kind, "rwf")) {
        MUST(pwritev2(fd, &v, 1, 0, RWF_DSYNC) == 7);
    } else if (!strcmp(kind, "msync")) {
        MUST(!ftruncate(fd, 7));
        char *p = mmap(NULL, 7, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        MUST(p != MAP_FAILED);
        memcpy(p, "durable", 7);
        MUST(!msync(p, 7, MS_SYNC));
    } else if (!strcmp(kind, "dir")) { /* names: made, renamed over, and gone */
        MUST(write(fd, "durable", 7) == 7 && !rename(kind, other) && !link(other, kind));
        MUST(!unlink(other) && !fsync(d));
    } else {
        MUST(write(fd, "durable, and more", 17) == 17 && !ftruncate(fd, 7) && !fchmod(fd, 0640));
        MUST(!strcmp(kind, "fsync")       ? !fsync(fd)
             : !strcmp(kind, "fdatasync") ? !fdatasync(fd)
             : !strcmp(kind, "syncfs")    ? !syncfs(d)
                                          : (sync(), !strcmp(kind, "sync")));
    }
    printf("%s\n", kind);
}

static void look_synced(const char *kind)
{
    char text[32], other[64];
    int fd = open(kind, O_RDONLY);
    snprintf(other, sizeof(other), "%s-old", kind);
    MUST(fd >= 0 && read(fd, text, sizeof(text)) == 7 && !memcmp(text, "durable", 7));
    MUST(access(other, F_OK) < 0);
}

/* Who may write to a file of another owner, but not set its mode, takes its setuid bits away. */
static void write_privileged(void)
{
    struct statx st;
    int status, fd = open("privileged", O_RDWR | O_CREAT | O_TRUNC, 0600);
    MUST(fd >= 0 && write(fd, "text", 4) == 4 && !fchmod(fd, 06777));
    pid_t child = fork();
    if (!child)
        _exit(setgid(4321) || setuid(4321) || pwrite(fd, "T", 1, 0) != 1);
    MUST(waitpid(child, &status, 0) == child && !status);
    /* The mode alone: Linux's FUSE asks for all when it asks for the size, too. */
    MUST(!statx(fd, "", AT_EMPTY_PATH, STATX_MODE, &st) && (st.stx_mode & 07777) == 0777);
    MUST(!unlink("privileged") && !close(fd));
}

/* The first 16 MiB of the file `big`, which is larger, become a hole: fallocate -p. */
static void punch(void)
{
    struct stat before, after;
    char byte;
    int fd = open("big", O_RDWR);
    MUST(fd >= 0 && !fstat(fd, &before) && before.st_size > 16 << 20);
    MUST(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 16 << 20));
    MUST(!fsync(fd) && !fstat(fd, &after) && after.st_size == before.st_size);
    MUST(after.st_blocks <= before.st_blocks - (16 << 20) / 512);
    MUST(lseek(fd, 0, SEEK_DATA) == 16 << 20 && pread(fd, &byte, 1, 5000000) == 1 && !byte);
}

/* Makes the file larger in every way, until it may end. */
static _Noreturn void make_larger(int fd, const volatile bool *ended, pid_t parent)
{
    static char bytes[300000];
    for (off_t at = 0, i = 0; !*ended && getppid() == parent; i++) {
        off_t n = i % 4 ? 5000 : (off_t)sizeof(bytes); /* a write of several requests, or of one */
        if (i % 4 < 2)
            MUST(pwrite(fd, bytes, (size_t)n, at) == n);
        else
            MUST(!(i % 4 == 2 ? fallocate(fd, 0, at, n) : ftruncate(fd, at + n)));
        at += n;
        if (at > 20000000) /* who looks holds this lock */
            MUST(!flock(fd, LOCK_EX) && !ftruncate(fd, at = 0) && !flock(fd, LOCK_UN));
    }
    exit(0);
}

/* The end that lseek gives can be read and mapped at once (else SIGBUS), while another process
 * makes the file larger. fstat's size cannot in the VM (docs/volumes.md). */
static void grow(int count)
{
    int status, fd = open("grows", O_RDWR | O_CREAT | O_TRUNC, 0600), own = open("grows", O_RDWR);
    volatile bool *ended =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t parent = getpid(), pid = fork();
    MUST(ended != MAP_FAILED && fd >= 0 && own >= 0 && pid >= 0);
    if (!pid)
        make_larger(fd, ended, parent);
    for (int i = 0; i < count;) {
        MUST(!flock(own, LOCK_SH));
        off_t last = lseek(own, 0, SEEK_END) - 1;
        char c = 1;
        if (last >= 0 && i++ % 2) {
            MUST(pread(own, &c, 1, last) == 1 && !c);
        } else if (last >= 0) {
            volatile char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, own, last & ~(off_t)4095);
            MUST(p != MAP_FAILED && !p[last % 4096] && !munmap((void *)p, 4096));
        }
        MUST(!flock(own, LOCK_UN));
    }
    *ended = true;
    MUST(waitpid(pid, &status, 0) == pid && !status);
    MUST(!close(own) && !close(fd) && !unlink("grows"));
}

int main(int argc, char **argv)
{
    if (argc < 3 || chdir(argv[2]))
        return 2;
    if (!strcmp(argv[1], "make")) {
        write_privileged();
        make();
    } else if (!strcmp(argv[1], "look"))
        look();
    else if (!strcmp(argv[1], "append") && argc == 4)
        append(atoi(argv[3]));
    else if (!strcmp(argv[1], "count"))
        count();
    else if (!strcmp(argv[1], "full"))
        full();
    else if (!strcmp(argv[1], "locks"))
        locks();
    else if (!strcmp(argv[1], "sync") && argc == 4)
        sync_by(argv[3]);
    else if (!strcmp(argv[1], "synced") && argc == 4)
        look_synced(argv[3]);
    else if (!strcmp(argv[1], "names") && argc == 4)
        names(atoi(argv[3]));
    else if (!strcmp(argv[1], "grow") && argc == 4)
        grow(atoi(argv[3]));
    else if (!strcmp(argv[1], "punch"))
        punch();
    else
        return 2;
    return 0;
}
