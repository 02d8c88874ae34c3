// SPDX-License-Identifier: Apache-2.0
// What is in a file afterwards: short and failed writes, holes, ranges, locks, seals, moves between files.
#include "facts.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static char *edge; /* one good page, then nothing */
static char buf[65536];

static void show(const char *call, int fd, const char *when)
{
    char text[80] = {0};
    long n = pread(fd, text, 40, 0);
    for (long i = 0; i < n; i++)
        if (text[i] < 32 || text[i] > 126)
            text[i] = text[i] ? '?' : '.';
    say_text(call, text, "%s: content", when);
    struct stat st;
    fstat(fd, &st);
    say(call, st.st_size, "%s: size", when);
    say(call, st.st_blocks, "%s: blocks", when);
    say(call, lseek(fd, 0, SEEK_CUR), "%s: place", when);
}

static void bad_writes(void)
{
    memset(edge, 'e', 4096);
    for (int good = 0; good < 9; good += 2) {
        for (long at = 0; at < 12; at += 5) {
            for (int how = 0; how < 5; how++) {
                put_file("f", "0123456789abcdef", 0644);
                int fd = open("f", O_RDWR | (how == 4 ? O_APPEND : 0));
                lseek(fd, at, SEEK_SET);
                struct iovec v[3] = {{edge + 4096 - good, (size_t)good}, {edge + 4096, 8}, {"zz", 2}};
                struct iovec w[3] = {{"ab", 2}, {edge + 4096 - good, (size_t)good + 4}, {"cd", 2}};
                char name[64];
                snprintf(name, sizeof(name), "%d good bytes at %ld, way %d", good, at, how);
                long r = how == 0   ? sys(write, fd, edge + 4096 - good, 12)
                         : how == 1 ? sys(writev, fd, v, 3)
                         : how == 2 ? sys(writev, fd, w, 3)
                         : how == 3 ? sys(pwrite64, fd, edge + 4096 - good, 12, at)
                                    : sys(write, fd, edge + 4096 - good, 12);
                say("write", r, "%s", name);
                show("write", fd, name);
                lseek(fd, 0, SEEK_SET);
                r = how == 0   ? sys(read, fd, edge + 4096 - good, 12)
                    : how == 1 ? sys(readv, fd, v, 2)
                               : sys(pread64, fd, edge + 4096 - good, 12, at);
                say("read", r, "%s", name);
                say("read", lseek(fd, 0, SEEK_CUR), "%s: place", name);
                close(fd);
            }
        }
    }
    for (long size = 4090; size < 12300; size += 4095) { /* over a border of pages */
        int fd = open("big", O_RDWR | O_CREAT | O_TRUNC, 0600);
        char *page = mmap(NULL, 16384, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(page + 8192, 8192);
        say("pwrite64", sys(pwrite64, fd, page, size, 100L), "%ld bytes of which 8192 are there, at 100", size);
        show("pwrite64", fd, "then");
        int p[2];
        pipe2(p, O_NONBLOCK);
        say("write", sys(write, p[1], page, size), "pipe: %ld bytes of which 8192 are there", size);
        say("read", sys(read, p[0], page + 4096, 16384), "pipe: into 4096 that are there");
        close(p[0]);
        close(p[1]);
        munmap(page, 8192);
        close(fd);
    }
}

static void holes(void)
{
    for (int script = 0; script < 64; script++) {
        int fd = open("h", O_RDWR | O_CREAT | O_TRUNC, 0600);
        char name[40];
        snprintf(name, sizeof(name), "script %d", script);
        memset(buf, 'x', sizeof(buf));
        pwrite(fd, buf, 4096 * 4, 4096 * (script & 1));
        if (script & 2)
            say("fallocate", sys(fallocate, fd, 3, 5000L, 6000L), "%s: punch", name);
        if (script & 4)
            say("ftruncate", sys(ftruncate, fd, 100000L), "%s: grow", name);
        if (script & 8)
            say("fallocate", sys(fallocate, fd, 0, 30000L, 5000L), "%s: allocate", name);
        if (script & 16)
            say("fallocate", sys(fallocate, fd, 1, 40000L, 5000L), "%s: allocate, keep size", name);
        if (script & 32)
            say("ftruncate", sys(ftruncate, fd, 9000L), "%s: cut", name);
        show("fallocate", fd, name);
        for (long at = 0; at < 110000; at += 4096 * 3 + 1) {
            say("lseek", sys(lseek, fd, at, SEEK_DATA), "%s: SEEK_DATA %ld", name, at);
            say("lseek", sys(lseek, fd, at, SEEK_HOLE), "%s: SEEK_HOLE %ld", name, at);
        }
        unsigned sum = 0;
        for (long n, at = 0; (n = pread(fd, buf, sizeof(buf), at)) > 0; at += n)
            for (long i = 0; i < n; i++)
                sum = sum * 31 + (unsigned char)buf[i];
        say("pread64", sum % 1000003, "%s: sum", name);
        close(fd);
    }
}

static void locks(void)
{
    put_file("l", "0123456789abcdef0123456789abcdef", 0644);
    int a = open("l", O_RDWR), b = open("l", O_RDWR), c = open("l", O_RDWR);
    int fds[3] = {a, b, c};
    unsigned seed = 1;
    for (int step = 0; step < 400; step++) {
        seed = seed * 1103515245 + 12345;
        unsigned x = seed >> 8;
        struct flock l = {.l_type = (short)(x % 3), .l_whence = SEEK_SET, .l_start = (x >> 2) % 30, .l_len = (x >> 7) % 12};
        int who = (int)((x >> 11) % 3), command = (x >> 13) % 4 == 0 ? F_SETLK : (x >> 13) % 4 == 3 ? F_OFD_GETLK : F_OFD_SETLK;
        if (command == F_OFD_GETLK)
            l.l_type &= 1;
        long r = sys(fcntl, fds[who], command, &l);
        say("fcntl", r, "lock step %d", step);
        if (command == F_OFD_GETLK) {
            say("fcntl", l.l_type, "lock step %d: type", step);
            if (l.l_type != F_UNLCK) {
                say("fcntl", l.l_start, "lock step %d: start", step);
                say("fcntl", l.l_len, "lock step %d: size", step);
                say("fcntl", l.l_pid > 0 ? 1 : l.l_pid, "lock step %d: whose", step);
            }
        }
    }
    struct flock l = {.l_type = F_WRLCK};
    close(dup(a));
    say("fcntl", sys(fcntl, b, F_OFD_GETLK, &l), "after a close of any descriptor");
    close(c);
    for (int whence = -1; whence < 5; whence++)
        for (long start = -40; start < 50; start += 30)
            for (long size = -35; size < 40; size += 35) {
                struct flock q = {.l_type = F_RDLCK, .l_whence = (short)whence, .l_start = start, .l_len = size};
                say("fcntl", sys(fcntl, a, F_SETLK, &q), "F_SETLK whence %d start %ld size %ld", whence, start, size);
            }
    l = (struct flock){.l_type = F_WRLCK, .l_start = INT64_MAX, .l_len = INT64_MAX};
    say("fcntl", sys(fcntl, a, F_SETLK, &l), "F_SETLK behind all");
    say("flock", sys(flock, a, LOCK_SH), "one");
    say("flock", sys(flock, b, LOCK_SH | LOCK_NB), "another");
    say("flock", sys(flock, b, LOCK_EX | LOCK_NB), "alone, though shared");
    say("flock", sys(flock, a, LOCK_UN), "given up");
    say("flock", sys(flock, b, LOCK_EX | LOCK_NB), "alone");
    close(b);
    say("flock", sys(flock, a, LOCK_EX | LOCK_NB), "the other was closed");
    close(a);
}

static void seals(void)
{
    for (unsigned s = 0; s < 64; s++) {
        int fd = memfd_create("m", MFD_ALLOW_SEALING);
        ftruncate(fd, 8192);
        say("fcntl", sys(fcntl, fd, F_ADD_SEALS, s & 31), "seals %u", s & 31);
        say("fcntl", sys(fcntl, fd, F_GET_SEALS), "seals %u: told", s & 31);
        say("write", sys(write, fd, "abc", 3), "seals %u", s & 31);
        say("pwrite64", sys(pwrite64, fd, "abc", 3, 8190L), "seals %u, over the end", s & 31);
        say("ftruncate", sys(ftruncate, fd, 4096L), "seals %u, less", s & 31);
        say("ftruncate", sys(ftruncate, fd, 20000L), "seals %u, more", s & 31);
        say("fallocate", sys(fallocate, fd, 3, 0L, 4096L), "seals %u, punch", s & 31);
        say("fallocate", sys(fallocate, fd, 0, 0L, 40960L), "seals %u, more", s & 31);
        say("mmap", address_only(sys(mmap, 0, 4096L, 3, MAP_SHARED, fd, 0L)), "seals %u, shared and writable", s & 31);
        long m = sys(mmap, 0, 4096L, 1, MAP_SHARED, fd, 0L);
        say("mmap", address_only(m), "seals %u, shared", s & 31);
        if (m > 0)
            say("mprotect", sys(mprotect, m, 4096L, 3), "seals %u, a shared mapping", s & 31);
        say("mmap", address_only(sys(mmap, 0, 4096L, 3, MAP_PRIVATE, fd, 0L)), "seals %u, private", s & 31);
        say("fcntl", sys(fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK), "seals %u, one more", s & 31);
        close(fd);
    }
}

static void attributes(void)
{
    static const char *const names[] = {"user.a", "user.", "user", "trusted.a", "security.a", "system.a", "other.a", "", "user.a.b.c", "system.posix_acl_access", "security.capability"};
    static const char *const files[] = {"f", "dir", "link", "fifo", "missing", "sticky"};
    mkdir("dir", 0755);
    mkdir("sticky", 01777);
    symlink("f", "link");
    mkfifo("fifo", 0600);
    put_file("f", "x", 0644);
    since(6, 6);
    for (long n = 0; n < COUNT(names); n++)
        for (long f = 0; f < COUNT(files); f++) {
            if (!strcmp(names[n], "system.posix_acl_access") || !strcmp(names[n], "security.capability"))
                continue; /* their values have a form */
            for (int flags = 0; flags < 5; flags++)
                say("setxattr", sys(setxattr, files[f], names[n], "value", 5, flags), "%s of %s, flags %d", names[n], files[f], flags);
            say("lsetxattr", sys(lsetxattr, files[f], names[n], "value", 5, 0), "%s of %s", names[n], files[f]);
            for (long size = 0; size < 8; size += 3)
                say("getxattr", sys(getxattr, files[f], names[n], buf, size), "%s of %s, size %ld", names[n], files[f], size);
            say("lgetxattr", sys(lgetxattr, files[f], names[n], buf, 10), "%s of %s", names[n], files[f]);
            say("removexattr", sys(removexattr, files[f], names[n]), "%s of %s", names[n], files[f]);
            say("removexattr", sys(removexattr, files[f], names[n]), "%s of %s, again", names[n], files[f]);
        }
    sys(setxattr, "f", "user.one", "1", 1, 0);
    sys(setxattr, "f", "user.two", "", 0, 0);
    for (long size = 0; size < 24; size += 3)
        say("listxattr", sys(listxattr, "f", buf, size), "size %ld", size);
    say("setxattr", sys(setxattr, "f", "user.big", buf, 65537, 0), "65537 bytes");
    memset(buf, 'n', 300);
    memcpy(buf, "user.", 5);
    for (int n = 250; n < 260; n++) {
        buf[n] = 0;
        say("setxattr", sys(setxattr, "f", buf, "v", 1, 0), "a name of %d", n);
        buf[n] = 'n';
    }
    since(0, 0);
}

static void moves(void)
{
    for (int k = 0; k < 40; k++) {
        int p[2], q[2], in, out;
        loff_t from = k, to = k / 2;
        put_file("i", "abcdefghijklmnopqrstuvwxyz0123456789", 0644);
        put_file("o", "................................", 0644);
        in = open("i", O_RDONLY);
        out = open("o", O_RDWR);
        pipe2(p, O_NONBLOCK);
        pipe2(q, O_NONBLOCK);
        say("splice", sys(splice, in, k & 1 ? &from : NULL, p[1], NULL, k, 0), "file to pipe, %d", k);
        say("splice", from, "file to pipe, %d: offset", k);
        say("tee", sys(tee, p[0], q[1], k / 2, 0), "%d", k);
        say("splice", sys(splice, p[0], NULL, out, k & 2 ? &to : NULL, k / 3 + 1, SPLICE_F_NONBLOCK), "pipe to file, %d", k);
        say("splice", sys(splice, q[0], NULL, p[1], NULL, 5, SPLICE_F_NONBLOCK), "pipe to pipe, %d", k);
        show("splice", out, "pipe to file");
        long n = read(p[0], buf, 100);
        buf[n > 0 ? n : 0] = 0;
        say_text("splice", buf, "%d: what is left in the pipe", k);
        from = k / 4;
        say("sendfile", sys(sendfile, out, in, k & 1 ? &from : NULL, 7L), "%d", k);
        show("sendfile", out, "then");
        from = k;
        to = 40;
        say("copy_file_range", sys(copy_file_range, in, k & 1 ? &from : NULL, out, k & 2 ? &to : NULL, 9L, 0), "%d", k);
        show("copy_file_range", out, "then");
        say("copy_file_range", sys(copy_file_range, out, &(loff_t){0}, out, &(loff_t){k}, 9L, 0), "%d, in itself", k);
        close(p[0]); close(p[1]); close(q[0]); close(q[1]); close(in); close(out);
    }
    int p[2];
    pipe2(p, O_NONBLOCK);
    for (long size = 1; size < 4000000; size = size * 3 + 1) {
        say("fcntl", sys(fcntl, p[1], F_SETPIPE_SZ, size), "F_SETPIPE_SZ %ld", size);
        say("fcntl", sys(fcntl, p[0], F_GETPIPE_SZ), "F_GETPIPE_SZ after %ld", size);
    }
    memset(buf, 'p', sizeof(buf));
    fcntl(p[1], F_SETPIPE_SZ, 8192);
    say("write", sys(write, p[1], buf, 60000), "into a pipe of 8192");
    say("fcntl", sys(fcntl, p[1], F_SETPIPE_SZ, 4096), "F_SETPIPE_SZ below what is in it");
    say("read", sys(read, p[0], buf, 5000), "");
    say("write", sys(write, p[1], buf, 5000), "");
    close(p[0]);
    say("write", sys(write, p[1], buf, 10), "nobody reads");
    say("splice", sys(splice, open("i", O_RDONLY), NULL, p[1], NULL, 3, 0), "nobody reads");
}

int main(void)
{
    facts_begin();
    signal(SIGPIPE, SIG_IGN);
    edge = mmap(NULL, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(edge + 4096, 4096);
    bad_writes();
    holes();
    locks();
    seals();
    attributes();
    moves();
    facts_end();
    return 0;
}
