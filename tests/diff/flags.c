// SPDX-License-Identifier: Apache-2.0
// Every bit of every argument that holds flags, numbers of commands, and the like: what is known is taken,
// what is not known is refused as Linux refuses it.
#include "facts.h"

#include <linux/futex.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

static char buf[8192];
static struct stat st;
static struct statx sx;

static void fresh(void)
{
    static const char *const gone[] = {"n", "n2", "new", "newdir/x"};
    for (long i = 0; i < COUNT(gone); i++)
        unlink(gone[i]);
    rmdir("new");
    rmdir("n");
    rmdir("f");
    rmdir("g");
    unlink("f");
    unlink("g");
    put_file("f", "0123456789abcdef", 0644);
    put_file("g", "ABCDEFGH", 0644);
}

/* `%s` of each bit and of nothing, of all. */
static const char *bit_name(int bit, char text[16])
{
    if (bit < 0)
        return "0";
    snprintf(text, 16, "bit %d", bit);
    return text;
}

#define EACH_BIT(bit, flag)                                                                        \
    for (int bit = -1; bit < 32; bit++)                                                            \
        for (unsigned flag = bit < 0 ? 0 : 1u << bit, once_ = 1; once_; once_ = 0)

static void bits_of_open(void)
{
    static const char *const targets[] = {"f", "dir", "link", "linkdir", "dangling", "missing", "fifo", "dir/", "f/", "f/x", "loop"};
    char t[16];
    for (long i = 0; i < COUNT(targets); i++) {
        EACH_BIT(bit, flag) {
            fresh();
            unlink("missing");
            unlink("nowhere");
            if (i == 6 && flag != O_NONBLOCK && !(flag & (O_PATH | O_RDWR)))
                flag |= O_NONBLOCK;
            say("open", fd_only(sys(open, targets[i], flag, 0644)), "%s of %s", bit_name(bit, t), targets[i]);
        }
        for (int acc = 0; acc < 4; acc++) {
            static const unsigned more[] = {O_CREAT, O_CREAT | O_EXCL, O_TRUNC, O_DIRECTORY, O_NOFOLLOW, O_PATH | O_NOFOLLOW, O_CREAT | O_DIRECTORY,
                                            O_PATH | O_CREAT, O_TMPFILE, O_APPEND | O_TRUNC, O_CREAT | O_NOFOLLOW, O_PATH | O_DIRECTORY};
            for (long m = 0; m < COUNT(more); m++) {
                fresh();
                unlink("missing");
                unlink("nowhere");
                long fd = sys(open, targets[i], (unsigned)acc | more[m] | O_NONBLOCK, 0640);
                if (more[m] == (O_CREAT | O_DIRECTORY))
                    since(6, 4);
                say("open", fd < 0 ? fd : 0, "access %d, %o of %s", acc, more[m], targets[i]);
                if (fd >= 0) {
                    say("open", sys(fcntl, fd, F_GETFL), "access %d, %o of %s: F_GETFL", acc, more[m], targets[i]);
                    fstat((int)fd, &st);
                    say("open", st.st_mode, "access %d, %o of %s: mode", acc, more[m], targets[i]);
                    close((int)fd);
                }
                since(0, 0);
            }
        }
    }
}

static void bits_of_paths(void)
{
    char t[16];
    static const char *const targets[] = {"f", "link", "dangling", "missing", "", "dir"};
    for (long i = 0; i < COUNT(targets); i++) {
        const char *p = targets[i];
        EACH_BIT(bit, flag) {
            fresh();
            say("newfstatat", sys(newfstatat, AT_FDCWD, p, &st, flag), "%s of '%s'", bit_name(bit, t), p);
            say("statx", sys(statx, AT_FDCWD, p, flag, STATX_BASIC_STATS, &sx), "%s of '%s'", bit_name(bit, t), p);
            say("faccessat2", sys(faccessat2, AT_FDCWD, p, R_OK, flag), "%s of '%s'", bit_name(bit, t), p);
            say("fchownat", sys(fchownat, AT_FDCWD, p, -1, -1, flag), "%s of '%s'", bit_name(bit, t), p);
            say("utimensat", sys(utimensat, AT_FDCWD, p, NULL, flag), "%s of '%s'", bit_name(bit, t), p);
            since(6, 6);
            say("fchmodat2", sys(fchmodat2, AT_FDCWD, p, 0700, flag), "%s of '%s'", bit_name(bit, t), p);
            since(0, 0);
            say("linkat", sys(linkat, AT_FDCWD, p, AT_FDCWD, "n", flag), "%s of '%s'", bit_name(bit, t), p);
            unlink("n");
            since(6, 13);
            int d = open(p, O_PATH | O_NOFOLLOW);
            if (i == 0)
                say("linkat", sys(linkat, d, "", AT_FDCWD, "n2", flag), "%s of an O_PATH descriptor", bit_name(bit, t));
            close(d);
            since(0, 0);
            unlink("n2");
            if (i < 4)
                say("unlinkat", sys(unlinkat, AT_FDCWD, p, flag), "%s of '%s'", bit_name(bit, t), p);
            symlink("f", "link");
            symlink("nowhere", "dangling");
            mkdir("dir", 0755);
            fresh();
            say("renameat2", sys(renameat2, AT_FDCWD, p, AT_FDCWD, "n", flag), "%s of '%s' to what is not there", bit_name(bit, t), p);
            rename("n", p);
            fresh();
            say("renameat2", sys(renameat2, AT_FDCWD, p, AT_FDCWD, "g", flag), "%s of '%s' to a file", bit_name(bit, t), p);
            if (*p && access(p, F_OK) && lstat(p, &st))
                rename("g", p);
            unlink("f");
            symlink("f", "link");
            symlink("nowhere", "dangling");
            unlink("dir");
            mkdir("dir", 0755);
            fresh();
        }
    }
    EACH_BIT(bit, flag)
        say("statx", sys(statx, AT_FDCWD, "f", 0, flag, &sx), "mask %s", bit_name(bit, t));
    EACH_BIT(bit, flag)
        say("access", sys(access, "f", flag), "mode %s", bit_name(bit, t));
    EACH_BIT(bit, flag) {
        say("mknod", sys(mknod, "n", flag, 0), "mode %s", bit_name(bit, t));
        if (lstat("n", &st) == 0)
            say("mknod", st.st_mode, "mode %s: what it is", bit_name(bit, t));
        unlink("n");
        say("mkdir", sys(mkdir, "n", flag), "mode %s", bit_name(bit, t));
        stat("n", &st);
        say("mkdir", st.st_mode, "mode %s: what it is", bit_name(bit, t));
        rmdir("n");
        say("chmod", sys(chmod, "f", flag), "mode %s", bit_name(bit, t));
        stat("f", &st);
        say("chmod", st.st_mode, "mode %s: what it is", bit_name(bit, t));
        chmod("f", 0644);
        say("chmod", sys(chmod, "dir", flag | 0700), "directory, mode %s", bit_name(bit, t));
        stat("dir", &st);
        say("chmod", st.st_mode, "directory, mode %s: what it is", bit_name(bit, t));
        chmod("dir", 0755);
        long old = sys(umask, flag);
        say("umask", sys(umask, old), "%s", bit_name(bit, t));
    }
    for (unsigned type = 0; type < 16; type++) {
        say("mknod", sys(mknod, "n", type << 12 | 0600, 0x103), "type %u", type);
        unlink("n");
    }
    umask(022);
}

static void bits_of_openat2(void)
{
    char t[16];
    symlink("../../x", "dir/linkout");
    symlink("/dev/null", "dir/linkabs");
    symlink("../f", "dir/linkup");
    struct open_how h;
    for (int bit = -1; bit < 64; bit++) {
        h = (struct open_how){.flags = bit < 0 ? 0 : 1ull << bit};
        say("openat2", fd_only(sys(openat2, AT_FDCWD, "f", &h, sizeof(h))), "flags %s", bit_name(bit, t));
        h = (struct open_how){.resolve = bit < 0 ? 0 : 1ull << bit};
        say("openat2", fd_only(sys(openat2, AT_FDCWD, "f", &h, sizeof(h))), "resolve %s", bit_name(bit, t));
        h = (struct open_how){.mode = bit < 0 ? 0 : 1ull << bit};
        say("openat2", fd_only(sys(openat2, AT_FDCWD, "f", &h, sizeof(h))), "mode %s without O_CREAT", bit_name(bit, t));
        h.flags = O_CREAT | O_RDWR;
        say("openat2", fd_only(sys(openat2, AT_FDCWD, "n", &h, sizeof(h))), "mode %s with O_CREAT", bit_name(bit, t));
        unlink("n");
    }
    static const char *const paths[] = {"f", "/dev/null", "link", "dir/../f", "../x", "/proc/self/fd/0", "dir/linkout", "dir/linkabs", "dir/linkup", "/proc/self/exe", "missing", "./f"};
    for (long i = 0; i < COUNT(paths); i++) {
        for (unsigned r = 0; r < 64; r++) {
            h = (struct open_how){.flags = O_RDONLY | O_NONBLOCK, .resolve = r};
            say("openat2", fd_only(sys(openat2, AT_FDCWD, paths[i], &h, sizeof(h))), "resolve 0x%x of %s", r, paths[i]);
        }
    }
    char big[64] = {0};
    for (long size = 0; size <= 64; size += 8)
        say("openat2", fd_only(sys(openat2, AT_FDCWD, "f", big, size)), "size %ld", size);
    big[40] = 1;
    say("openat2", fd_only(sys(openat2, AT_FDCWD, "f", big, 64)), "size 64, not zero behind");
}

static void bits_of_descriptors(void)
{
    char t[16];
    uint64_t set = 1;
    int p[2], fd;
    EACH_BIT(bit, flag) {
        const char *b = bit_name(bit, t);
        say("eventfd2", fd_only(sys(eventfd2, 0, flag)), "%s", b);
        say("epoll_create1", fd_only(sys(epoll_create1, flag)), "%s", b);
        say("inotify_init1", fd_only(sys(inotify_init1, flag)), "%s", b);
        say("signalfd4", fd_only(sys(signalfd4, -1, &set, 8, flag)), "%s", b);
        say("timerfd_create", fd_only(sys(timerfd_create, CLOCK_MONOTONIC, flag)), "%s", b);
        if (flag != 4)
            say("memfd_create", fd_only(sys(memfd_create, "m", flag)), "%s", b);
        if (flag != 0x80) { /* O_NOTIFICATION_PIPE: as the kernel was configured */
            long r = sys(pipe2, p, flag);
            say("pipe2", r, "%s", b);
            if (!r) {
                say("pipe2", sys(fcntl, p[1], F_GETFL), "%s: F_GETFL", b);
                say("pipe2", sys(fcntl, p[1], F_GETFD), "%s: F_GETFD", b);
                close(p[0]);
                close(p[1]);
            }
        }
        say("dup3", fd_only(sys(dup3, 1, 77, flag)), "%s", b);
        say("pidfd_open", fd_only(sys(pidfd_open, getpid(), flag & ~0x80u)), "%s", b);
        fd = dup(1);
        say("close_range", sys(close_range, fd, fd, flag), "%s", b);
        say("close_range", sys(fcntl, fd, F_GETFD), "%s: then", b);
        close(fd);
        for (int type = 1; type <= 2; type++) {
            say("socket", fd_only(sys(socket, AF_UNIX, type | flag, 0)), "unix type %d, %s", type, b);
            say("socket", fd_only(sys(socket, AF_INET, type | flag, 0)), "inet type %d, %s", type, b);
        }
        int s[2];
        long r = sys(socketpair, AF_UNIX, SOCK_STREAM | flag, 0, s);
        say("socketpair", r, "%s", b);
        if (!r) {
            close(s[0]);
            close(s[1]);
        }
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s);
        struct msghdr m = {0};
        struct iovec v = {buf, 4};
        m.msg_iov = &v;
        m.msg_iovlen = 1;
        say("sendto", sys(sendto, s[0], "abcd", 4, flag | MSG_NOSIGNAL, NULL, 0), "%s", b);
        say("recvfrom", sys(recvfrom, s[1], buf, 4, flag | MSG_DONTWAIT, NULL, NULL), "%s", b);
        say("sendmsg", sys(sendmsg, s[0], &m, flag | MSG_NOSIGNAL), "%s", b);
        say("recvmsg", sys(recvmsg, s[1], &m, flag | MSG_DONTWAIT), "%s", b);
        say("recvmsg", m.msg_flags, "%s: msg_flags", b);
        close(s[0]);
        close(s[1]);
    }
    say("memfd_create", fd_only(sys(memfd_create, NULL, 0)), "no name");
    for (int n = 240; n < 260; n++) {
        memset(buf, 'x', (size_t)n);
        buf[n] = 0;
        say("memfd_create", fd_only(sys(memfd_create, buf, 0)), "name of %d", n);
    }
    for (int domain = 0; domain < 48; domain++) {
        if (domain == AF_INET || domain == AF_INET6 || domain == AF_UNIX)
            for (int type = 0; type < 12; type++)
                for (int protocol = 0; protocol < 20; protocol++)
                    if (!(type == 3 || (protocol != 0 && type != 1 && type != 2)))
                        say("socket", fd_only(sys(socket, domain, type, protocol)), "domain %d type %d protocol %d", domain, type, protocol);
    }
}

static void bits_of_memory(void)
{
    char t[16];
    int fd;
    fresh();
    fd = open("f", O_RDWR);
    ftruncate(fd, 8192);
    EACH_BIT(bit, flag) {
        const char *b = bit_name(bit, t);
        static const int types[] = {MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, 0};
        for (int k = 0; k < 4; k++) {
            if (flag == MAP_HUGETLB || (flag & 0xf) || flag == MAP_FIXED || flag == MAP_FIXED_NOREPLACE || flag == MAP_GROWSDOWN || flag == MAP_32BIT)
                continue;
            long r = sys(mmap, 0, 4096, 3, types[k] | MAP_ANONYMOUS | flag, -1, 0);
            say("mmap", address_only(r), "anonymous, type %d, %s", types[k], b);
            if (r > 0)
                munmap((void *)r, 4096);
            if (flag == MAP_ANONYMOUS)
                continue;
            r = sys(mmap, 0, 4096, 3, types[k] | flag, fd, 0);
            say("mmap", address_only(r), "file, type %d, %s", types[k], b);
            if (r > 0)
                munmap((void *)r, 4096);
        }
        if (flag != PROT_GROWSDOWN && flag != PROT_GROWSUP) {
            char *m = mmap(0, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            say("mprotect", sys(mprotect, m, 4096, flag), "%s", b);
            munmap(m, 8192);
            if (flag & ~7u) { /* rights that nobody knows are ignored by mmap */
                long r = sys(mmap, 0, 4096, flag | 1, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                say("mmap", address_only(r), "prot %s", b);
                if (r > 0)
                    munmap((void *)r, 4096);
            }
        }
        char *m = mmap(0, 16384, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        say("msync", sys(msync, m, 4096, flag), "%s", b);
        say("mlock2", sys(mlock2, m, 4096, flag), "%s", b);
        say("munlock", sys(munlock, m, 4096), "after mlock2 %s", b);
        if (flag != 2 && flag != 4) {
            long r = sys(mremap, m, 4096, 4096, flag, 0);
            say("mremap", address_only(r), "same size, %s", b);
        }
        if (flag & ~7u)
            say("mlockall", sys(mlockall, flag), "%s", b);
        munmap(m, 16384);
        say("getrandom", sys(getrandom, buf, 8, flag), "%s", b);
        say("membarrier", sys(membarrier, 0, flag, 0) < 0 ? -EINVAL : 0, "query, flags %s", b);
    }
    close(fd);
    for (int advice = -2; advice < 130; advice++) {
        if (advice == 100 || advice == 101 || (advice > 25 && advice < 99) || advice == 12 || advice == 13 || advice == 25)
            continue; /* merging of pages: as the kernel was configured */
        for (int k = 0; k < 3; k++) {
            fd = open("f", O_RDWR);
            char *m = mmap(0, 8192, 3, k ? MAP_SHARED : MAP_PRIVATE, k == 2 ? fd : -1, 0);
            if (k < 2)
                m = mmap(0, 8192, 3, (k ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
            if (advice >= 102)
                since(6, 13);
            if (advice == 25 || advice == 24)
                since(6, 1);
            if (advice == 14 || advice == 15)
                ; /* huge pages: answered though there are none */
            else
                say("madvise", sys(madvise, m, 4096, advice), "advice %d of %s", advice, k == 0 ? "private" : k == 1 ? "shared" : "a file");
            since(0, 0);
            munmap(m, 8192);
            close(fd);
        }
    }
    for (int advice = -1; advice < 10; advice++) {
        fd = open("f", O_RDONLY);
        say("fadvise64", sys(fadvise64, fd, 0, 0, advice), "advice %d", advice);
        say("fadvise64", sys(fadvise64, fd, 0, -1, advice), "advice %d, size -1", advice);
        close(fd);
    }
    for (int f = 0; f < 16; f++) {
        fd = open("f", O_RDWR);
        say("sync_file_range", sys(sync_file_range, fd, 0, 100, f), "flags %d", f);
        say("sync_file_range", sys(sync_file_range, fd, -1L, 100, f), "flags %d at -1", f);
        close(fd);
    }
}

static void bits_of_contents(void)
{
    char t[16];
    EACH_BIT(bit, flag) {
        fresh();
        const char *b = bit_name(bit, t);
        int fd = open("f", O_RDWR), p[2], q[2];
        struct iovec v = {buf, 4};
        if (flag != 0x40 && flag != 0x80 && flag != 0x100)
            say("preadv2", sys(preadv2, fd, &v, 1, 0L, 0L, flag), "%s", b);
        if (flag != 0x40 && flag != 0x80 && flag != 0x100 && flag != 0x20)
            say("pwritev2", sys(pwritev2, fd, &v, 1, 0L, 0L, flag), "%s", b);
        pipe2(p, O_NONBLOCK);
        pipe2(q, O_NONBLOCK);
        write(p[1], "abcdefgh", 8);
        say("splice", sys(splice, p[0], NULL, q[1], NULL, 4L, flag), "%s", b);
        say("tee", sys(tee, p[0], q[1], 4L, flag), "%s", b);
        say("vmsplice", sys(vmsplice, q[1], &v, 1, flag), "%s", b);
        close(p[0]); close(p[1]); close(q[0]); close(q[1]);
        int g = open("g", O_RDONLY);
        say("copy_file_range", sys(copy_file_range, g, NULL, fd, NULL, 4L, flag), "%s", b);
        close(g);
        for (unsigned keep = 0; keep < 2; keep++) {
            ftruncate(fd, 16384);
            say("fallocate", sys(fallocate, fd, flag | keep, 4096L, 4096L), "mode %s%s", b, keep ? " and KEEP_SIZE" : "");
            fstat(fd, &st);
            say("fallocate", st.st_size, "mode %s%s: size", b, keep ? " and KEEP_SIZE" : "");
            say("fallocate", sys(fallocate, fd, flag | keep, 16000L, 4096L), "mode %s%s, over the end", b, keep ? " and KEEP_SIZE" : "");
            fstat(fd, &st);
            say("fallocate", st.st_size, "mode %s%s, over the end: size", b, keep ? " and KEEP_SIZE" : "");
        }
        close(fd);
    }
    for (int w = -1; w < 10; w++) {
        int fd = open("f", O_RDWR);
        say("lseek", sys(lseek, fd, 3L, w), "whence %d", w);
        close(fd);
    }
}

static void numbers(void)
{
    struct timespec ts;
    struct itimerspec its = {{0}};
    struct itimerval itv = {{0}};
    for (int id = -8; id < 20; id++) {
        if (id < -1)
            continue; /* clocks of processes by number */
        if (id == 10 || id == 8 || id == 9)
            continue;
        say("clock_gettime", sys(clock_gettime, id, &ts), "clock %d", id);
        say("clock_getres", sys(clock_getres, id, &ts), "clock %d", id);
        if (id != 5 && id != 6)
            say("clock_getres", id == 4 || sys(clock_getres, id, &ts) < 0 ? 0 : ts.tv_nsec, "clock %d: ns", id);
        ts = (struct timespec){0, 1000};
        if (id != 2) /* of processor time, which does not pass asleep */
            say("clock_nanosleep", sys(clock_nanosleep, id, 0, &ts, NULL), "clock %d", id);
        say("timerfd_create", fd_only(sys(timerfd_create, id, 0)), "clock %d", id);
        int timer;
        struct sigevent e = {.sigev_notify = SIGEV_NONE};
        long r = sys(timer_create, id, &e, &timer);
        say("timer_create", r, "clock %d", id);
        if (!r) {
            say("timer_settime", sys(timer_settime, timer, 0, &its, NULL), "clock %d", id);
            say("timer_gettime", sys(timer_gettime, timer, &its), "clock %d", id);
            say("timer_getoverrun", sys(timer_getoverrun, timer), "clock %d", id);
            say("timer_delete", sys(timer_delete, timer), "clock %d", id);
            say("timer_delete", sys(timer_delete, timer), "clock %d, again", id);
        }
        ts = (struct timespec){1, 0};
        say("clock_settime", sys(clock_settime, id, &ts), "clock %d", id);
    }
    char t[16];
    EACH_BIT(bit, flag) {
        const char *b = bit_name(bit, t);
        int timer, fd = (int)sys(timerfd_create, CLOCK_MONOTONIC, 0);
        struct sigevent e = {.sigev_notify = SIGEV_NONE};
        sys(timer_create, CLOCK_MONOTONIC, &e, &timer);
        say("timerfd_settime", sys(timerfd_settime, fd, flag, &its, NULL), "%s", b);
        say("timer_settime", sys(timer_settime, timer, flag, &its, NULL), "%s", b);
        ts = (struct timespec){0, 100};
        say("clock_nanosleep", sys(clock_nanosleep, CLOCK_MONOTONIC, flag, &ts, NULL), "%s", b);
        sys(timer_delete, timer);
        close(fd);
        if (bit < 6) {
            e = (struct sigevent){.sigev_notify = (int)flag, .sigev_signo = SIGUSR1};
            long r = sys(timer_create, CLOCK_MONOTONIC, &e, &timer);
            say("timer_create", r, "notify %s", b);
            if (!r)
                sys(timer_delete, timer);
        }
        unsigned word = 0;
        if (bit >= 0)
            say("waitid", sys(waitid, 0, 0, buf, flag, NULL), "options %s", b);
        say("wait4", sys(wait4, -1, NULL, flag, NULL), "options %s", b);
        since(5, 16);
        say("futex_waitv", sys(futex_waitv, &word, 1, flag, NULL, 0), "flags %s", b);
        since(0, 0);
    }
    for (int which = -1; which < 5; which++) {
        say("getitimer", sys(getitimer, which, &itv), "%d", which);
        say("setitimer", sys(setitimer, which, &itv, NULL), "%d", which);
    }
    for (int op = 0; op < 20; op++) {
        unsigned word = 0, word2 = 0;
        struct timespec now = {0, 1000};
        static const unsigned with[] = {0, FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME, FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME};
        for (int k = 0; k < 4; k++) {
            if (op >= 6 && op != 9 && op != 10 && op < 14)
                continue; /* priority inheritance */
            if ((op == 3 || op == 4 || op == 5))
                say("futex", sys(futex, &word, op | with[k], 1, 1L, &word2, 0), "op %d, flags 0x%x", op, with[k]);
            else
                say("futex", sys(futex, &word, op | with[k], 1, &now, &word2, 1), "op %d, flags 0x%x, another value", op, with[k]);
            struct timespec soon = {0, op == 9 ? 1 : 1000};
            if (op == 0 || op == 9)
                say("futex", sys(futex, &word, op | with[k], 0, &soon, &word2, 1), "op %d, flags 0x%x, this value", op, with[k]);
            say("futex", sys(futex, (char *)&word + 1, op | with[k], 1, &now, &word2, 1), "op %d, flags 0x%x, unaligned", op, with[k]);
            if (op == 0 || op == 9 || op == 3 || op == 4)
                say("futex", sys(futex, 64L, op | with[k], 1, op < 3 || op == 9 ? (long)&now : 1L, &word2, 1), "op %d, flags 0x%x, bad address", op, with[k]);
        }
    }
    for (unsigned op = 0; op < 8; op++)
        for (unsigned cmp = 0; cmp < 8; cmp++) {
            unsigned word = 0, word2 = 5;
            say("futex", sys(futex, &word, FUTEX_WAKE_OP, 1, 1L, &word2, (op << 28 | cmp << 24 | 3 << 12 | 5)), "wake op %u compare %u", op, cmp);
            say("futex", word2, "wake op %u compare %u: the word", op, cmp);
        }
    for (int how = -1; how < 5; how++) {
        uint64_t set = 0;
        say("rt_sigprocmask", sys(rt_sigprocmask, how, &set, NULL, 8), "how %d", how);
    }
    for (long size = 0; size < 20; size++) {
        uint64_t set[4] = {0};
        say("rt_sigprocmask", sys(rt_sigprocmask, 0, set, NULL, size), "size %ld", size);
        say("rt_sigpending", sys(rt_sigpending, set, size), "size %ld", size);
        say("rt_sigaction", sys(rt_sigaction, SIGUSR1, NULL, buf, size), "size %ld", size);
        say("signalfd4", fd_only(sys(signalfd4, -1, set, size, 0)), "size %ld", size);
        struct timespec now = {0, 0};
        set[0] = 1ull << 40;
        say("rt_sigtimedwait", sys(rt_sigtimedwait, set, NULL, &now, size), "size %ld", size);
    }
    for (int sig = -2; sig < 70; sig++) {
        if (sig == 32 || sig == 33)
            continue;
        struct { uint64_t h, f, r, m; } act = {0};
        say("rt_sigaction", sys(rt_sigaction, sig, NULL, &act, 8), "signal %d: read", sig);
        act.h = 1;
        say("rt_sigaction", sys(rt_sigaction, sig, &act, NULL, 8), "signal %d: ignore", sig);
        say("kill", sys(kill, getpid(), sig == SIGKILL || sig == SIGSTOP ? 0 : sig), "signal %d, ignored", sig);
        say("tgkill", sys(tgkill, getpid(), gettid(), sig == SIGKILL || sig == SIGSTOP ? 0 : sig), "signal %d, ignored", sig);
        say("tkill", sys(tkill, gettid(), sig == SIGKILL || sig == SIGSTOP ? 0 : sig), "signal %d, ignored", sig);
        act.h = 0;
        sys(rt_sigaction, sig, &act, NULL, 8);
    }
    for (int option = 0; option < 80; option++) {
        static const int skip[] = {PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_MM, PR_SET_SECUREBITS, PR_CAPBSET_DROP, PR_SET_TSC, PR_GET_TSC, PR_SET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS, PR_SET_NAME, PR_GET_NAME,
                                   PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL, PR_SCHED_CORE, PR_SET_IO_FLUSHER, PR_GET_IO_FLUSHER, PR_SET_SYSCALL_USER_DISPATCH, PR_MCE_KILL_GET, PR_MCE_KILL, 31, 32,
                                   65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER, PR_SET_DUMPABLE};
        int s = 0;
        for (long k = 0; k < COUNT(skip); k++)
            s |= skip[k] == option;
        if (s)
            continue;
        int out = 0;
        long r = sys(prctl, option, option == 2 || option == 5 || option == 9 || option == 11 || option == 19 || option == 25 ? (long)&out : 0L, 0, 0, 0);
        say("prctl", r, "option %d", option);
    }
    for (int policy = -1; policy < 10; policy++) {
        struct sched_param p = {0};
        if (policy == 7)
            continue; /* SCHED_EXT, since 6.12 */
        say("sched_get_priority_max", sys(sched_get_priority_max, policy), "%d", policy);
        say("sched_get_priority_min", sys(sched_get_priority_min, policy), "%d", policy);
        say("sched_setscheduler", sys(sched_setscheduler, 0, policy, &p), "policy %d, priority 0", policy);
        p.sched_priority = 5;
        say("sched_setscheduler", sys(sched_setscheduler, 0, policy, &p), "policy %d, priority 5", policy);
        p.sched_priority = 0;
        sys(sched_setscheduler, 0, 0, &p);
    }
    for (int which = -1; which < 5; which++) {
        say("getpriority", sys(getpriority, which, 0), "which %d", which);
        if (which != 2) /* whoever else is root here */
            say("setpriority", sys(setpriority, which, 0, 0), "which %d", which);
    }
    for (int res = -1; res < 20; res++) {
        uint64_t v[2];
        say("getrlimit", sys(getrlimit, res, v), "%d", res);
        say("prlimit64", sys(prlimit64, 0, res, NULL, v), "%d", res);
        uint64_t w[2] = {5, 4};
        say("setrlimit", sys(setrlimit, res, w), "%d, soft above hard", res);
    }
    for (int who = -3; who < 4; who++)
        say("getrusage", sys(getrusage, who, buf), "who %d", who);
    for (int code = 0x1000; code < 0x1010; code++)
        if (code != 0x1001 && code != 0x1002)
            say("arch_prctl", sys(arch_prctl, code, buf) < 0 ? -EINVAL : 0, "0x%x", code);
    for (long size = 0; size < 48; size += 4) {
        say("set_robust_list", sys(set_robust_list, 0L, size), "size %ld", size);
        say("sched_getattr", sys(sched_getattr, 0, buf, size, 0) < 0 ? sys(sched_getattr, 0, buf, size, 0) : 0, "size %ld", size);
    }
    static const struct { int level, name; } options[] = {{1, 1}, {1, 2}, {1, 3}, {1, 4}, {1, 5}, {1, 6}, {1, 9}, {1, 10}, {1, 11}, {1, 13}, {1, 15}, {1, 16}, {1, 17}, {1, 18}, {1, 19}, {1, 20}, {1, 21}, {1, 29}, {1, 30}, {1, 36}, {1, 38}, {1, 39}, {1, 999}, {6, 1}, {6, 2}, {6, 4}, {6, 5}, {6, 6}, {6, 7}, {6, 8}, {6, 9}, {6, 12}, {6, 18}, {6, 999}, {0, 1}, {0, 2}, {0, 8}, {0, 999}, {41, 26}, {41, 999}, {17, 1}, {17, 999}, {99, 1}};
    for (long i = 0; i < COUNT(options); i++) {
        for (int k = 0; k < 3; k++) {
            static const int domains[] = {AF_UNIX, AF_INET, AF_INET};
            int s = socket(domains[k], k == 2 ? SOCK_DGRAM : SOCK_STREAM, 0), v[64] = {0};
            unsigned n = sizeof(int);
            const char *what = k == 0 ? "unix" : k == 1 ? "tcp" : "udp";
            say("getsockopt", sys(getsockopt, s, options[i].level, options[i].name, v, &n), "%s level %d option %d", what, options[i].level, options[i].name);
            v[0] = 1;
            say("setsockopt", sys(setsockopt, s, options[i].level, options[i].name, v, 4), "%s level %d option %d to 1", what, options[i].level, options[i].name);
            say("setsockopt", sys(setsockopt, s, options[i].level, options[i].name, v, 1), "%s level %d option %d, size 1", what, options[i].level, options[i].name);
            n = -1;
            say("getsockopt", sys(getsockopt, s, options[i].level, options[i].name, v, &n), "%s level %d option %d, size -1", what, options[i].level, options[i].name);
            close(s);
        }
    }
}

int main(void)
{
    facts_begin();
    signal(SIGPIPE, SIG_IGN);
    fresh();
    mkdir("dir", 0755);
    symlink("f", "link");
    symlink("dir", "linkdir");
    symlink("nowhere", "dangling");
    symlink("loop", "loop");
    mkfifo("fifo", 0600);
    bits_of_open();
    bits_of_paths();
    bits_of_openat2();
    bits_of_descriptors();
    bits_of_memory();
    bits_of_contents();
    numbers();
    facts_end();
    return 0;
}
