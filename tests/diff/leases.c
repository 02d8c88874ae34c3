// SPDX-License-Identifier: Apache-2.0
// Leases, directory signals, processor time, barriers of all, pidfds that tell, memory that grows
// down.
#include "facts.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>

#ifndef DN_MULTISHOT
#define DN_MULTISHOT 0x80000000
#endif

static sigset_t waited;

/* The next of our signals within a second, with its code and whether si_fd is `fd`. */
static void say_signal(const char *call, int fd, const char *what)
{
    siginfo_t info;
    struct timespec t = {1, 0};
    int s = sigtimedwait(&waited, &info, &t);
    say(call, s < 0 ? -errno : s, "%s: signal", what);
    if (s > 0 && s != SIGIO) {
        say(call, info.si_code, "%s: code", what);
        say(call, info.si_fd == fd, "%s: its descriptor", what);
        say(call, info.si_band, "%s: band", what);
    }
}

static bool no_signal(void)
{
    struct timespec t = {0, 50000000};
    return sigtimedwait(&waited, NULL, &t) < 0;
}

static const int how[] = {O_RDONLY, O_WRONLY, O_RDWR};
static const char *how_name[] = {"reads", "writes", "both"};
static const int types[] = {F_RDLCK, F_WRLCK, F_UNLCK, 3};

static void who_may_lease(void)
{
    put_file("leased", "text", 0644);
    mkdir("folder", 0755);
    for (int mine = 0; mine < 3; mine++) {
        for (int other = -1; other < 3; other++) {
            int a = open("leased", how[mine]), b = other < 0 ? -1 : open("leased", how[other]);
            for (int t = 0; t < 4; t++) {
                say("fcntl", sys(fcntl, a, F_SETLEASE, types[t]), "F_SETLEASE %d: %s, other %s",
                    types[t],
                    how_name[mine], other < 0 ? "none" : how_name[other]);
                say("fcntl", sys(fcntl, a, F_GETLEASE, 0), "F_GETLEASE after %d: %s, other %s",
                    types[t],
                    how_name[mine], other < 0 ? "none" : how_name[other]);
            }
            close(a);
            close(b);
        }
    }
    int d = open("folder", O_RDONLY), p[2], e = open("leased", O_PATH);
    pipe(p);
    say("fcntl", sys(fcntl, p[0], F_SETLEASE, F_RDLCK), "F_SETLEASE: pipe");
    say("fcntl", sys(fcntl, e, F_SETLEASE, F_RDLCK), "F_SETLEASE: O_PATH");
    say("fcntl", sys(fcntl, 99, F_SETLEASE, F_RDLCK), "F_SETLEASE: none");
    close(d), close(p[0]), close(p[1]), close(e);
    int a = open("leased", O_RDONLY), b = dup(a);
    say("fcntl", sys(fcntl, a, F_SETLEASE, F_RDLCK), "F_SETLEASE: with a dup");
    say("fcntl", sys(fcntl, b, F_GETLEASE, 0), "F_GETLEASE: of the dup");
    close(a);
    say("fcntl", sys(fcntl, b, F_GETLEASE, 0), "F_GETLEASE: of the dup, the first is closed");
    close(b);
    a = open("leased", O_RDONLY);
    say("fcntl", sys(fcntl, a, F_GETLEASE, 0), "F_GETLEASE: opened again");
    b = open("leased", O_RDONLY);
    say("fcntl", sys(fcntl, a, F_SETLEASE, F_RDLCK), "F_SETLEASE: one of two");
    say("fcntl", sys(fcntl, b, F_SETLEASE, F_RDLCK), "F_SETLEASE: both of two");
    say("fcntl", sys(fcntl, b, F_SETLEASE, F_WRLCK), "F_SETLEASE: more, beside another");
    close(a);
    say("fcntl", sys(fcntl, b, F_SETLEASE, F_WRLCK), "F_SETLEASE: more, alone");
    say("fcntl", sys(fcntl, b, F_SETLEASE, F_RDLCK), "F_SETLEASE: less");
    close(b);
}

/* A child opens against the lease; the parent hears, and gives it up or less. */
static void break_lease(int type, int flags, int answer, const char *what)
{
    int status, fd = open("leased", O_RDONLY);
    fcntl(fd, F_SETSIG, SIGRTMIN + 1);
    say("fcntl", sys(fcntl, fd, F_SETLEASE, type), "%s: F_SETLEASE", what);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        close(fd);
        long r = flags < 0 ? truncate("leased", 2) : open("leased", flags);
        _exit(r < 0 ? errno : 0);
    }
    bool waits = !(flags >= 0 && (flags & O_NONBLOCK));
    if (!waits)
        waitpid(pid, &status, 0);
    say_signal("fcntl", fd, what);
    say("fcntl", sys(fcntl, fd, F_GETLEASE, 0), "%s: F_GETLEASE while it is asked for", what);
    say("fcntl", waits ? waitpid(pid, &status, WNOHANG) : 0, "%s: it waits", what);
    say("fcntl", sys(fcntl, fd, F_SETLEASE, F_WRLCK), "%s: wanted again", what);
    if (answer >= 0)
        say("fcntl", sys(fcntl, fd, F_SETLEASE, answer), "%s: the answer", what);
    else
        close(fd);
    if (waits)
        waitpid(pid, &status, 0);
    say("fcntl", -WEXITSTATUS(status), "%s: how it opened", what);
    if (answer >= 0)
        say("fcntl", sys(fcntl, fd, F_GETLEASE, 0), "%s: F_GETLEASE after", what);
    close(fd);
}

static void break_leases(void)
{
    break_lease(F_WRLCK, O_RDONLY, F_RDLCK, "lease W, read, less");
    break_lease(F_WRLCK, O_RDONLY, F_UNLCK, "lease W, read, none");
    break_lease(F_WRLCK, O_WRONLY, F_UNLCK, "lease W, write, none");
    break_lease(F_WRLCK, O_RDWR, -1, "lease W, both, closed");
    break_lease(F_WRLCK, -1, F_UNLCK, "lease W, truncate, none");
    break_lease(F_RDLCK, O_WRONLY, F_UNLCK, "lease R, write, none");
    break_lease(F_RDLCK, O_RDWR, -1, "lease R, both, closed");
    break_lease(F_RDLCK, -1, F_UNLCK, "lease R, truncate, none");
    break_lease(F_WRLCK, O_RDONLY | O_NONBLOCK, F_UNLCK, "lease W, read at once");
    break_lease(F_RDLCK, O_WRONLY | O_NONBLOCK, F_UNLCK, "lease R, write at once");
    int fd = open("leased", O_RDONLY);
    say("fcntl", sys(fcntl, fd, F_SETLEASE, F_RDLCK), "lease R: F_SETLEASE");
    say("open", fd_only(sys(open, "leased", O_RDONLY)), "lease R: reads");
    say("open", fd_only(sys(open, "leased", O_PATH)), "lease R: O_PATH");
    say("fcntl", no_signal(), "lease R: nobody is told");
    close(fd);
}

static void folder_signals(void)
{
    static const struct {
        unsigned mask;
        const char *name;
    } kinds[] = {{DN_ACCESS, "access"}, {DN_MODIFY, "modify"}, {DN_CREATE, "create"},
                 {DN_DELETE, "delete"}, {DN_ATTRIB, "attrib"}};
    mkdir("watched", 0755);
    for (long k = 0; k < COUNT(kinds); k++) {
        int d = open("watched", O_RDONLY | O_DIRECTORY);
        fcntl(d, F_SETSIG, SIGRTMIN + 1);
        say("fcntl", sys(fcntl, d, F_NOTIFY, kinds[k].mask), "F_NOTIFY %s", kinds[k].name);
        int f = open("watched/x", O_RDWR | O_CREAT, 0644);
        char c;
        write(f, "x", 1);
        pread(f, &c, 1, 0);
        fchmod(f, 0600);
        close(f);
        unlink("watched/x");
        say_signal("fcntl", d, kinds[k].name);
        say("fcntl", no_signal(), "F_NOTIFY %s: once", kinds[k].name);
        close(d);
    }
    int d = open("watched", O_RDONLY | O_DIRECTORY);
    fcntl(d, F_SETSIG, SIGRTMIN + 1);
    say("fcntl", sys(fcntl, d, F_NOTIFY, DN_CREATE | DN_MULTISHOT), "F_NOTIFY: again and again");
    for (int i = 0; i < 3; i++) {
        put_file("watched/y", "y", 0600);
        unlink("watched/y");
        say_signal("fcntl", d, "again and again");
    }
    say("fcntl", sys(fcntl, d, F_NOTIFY, 0), "F_NOTIFY: no more");
    put_file("watched/y", "y", 0600);
    say("fcntl", no_signal(), "F_NOTIFY: no more: nothing comes");
    say("fcntl", sys(fcntl, d, F_NOTIFY, DN_DELETE), "F_NOTIFY: before it is closed");
    close(d);
    unlink("watched/y");
    say("fcntl", no_signal(), "F_NOTIFY: closed: nothing comes");
    int f = open("leased", O_RDONLY);
    say("fcntl", sys(fcntl, f, F_NOTIFY, DN_MODIFY), "F_NOTIFY: a file");
    close(f);
}

/* Times are told by what they must be, since they differ. */
static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static volatile unsigned long counted;

/* Until so much processor time has passed: of that the system's, in hundredths. */
static double share_of_system(bool calls)
{
    struct rusage a, b;
    double system, all;
    getrusage(RUSAGE_SELF, &a);
    do {
        for (int i = 0; i < (calls ? 1000 : 10000000); i++) {
            if (calls)
                sys(times, 0);
            else
                counted++;
        }
        getrusage(RUSAGE_SELF, &b);
        system = seconds(b.ru_stime) - seconds(a.ru_stime);
        all = system + seconds(b.ru_utime) - seconds(a.ru_utime);
    } while (all < 0.5);
    return 100 * system / all;
}

static void processor_time(void)
{
    struct rusage a;
    say("getrusage", share_of_system(true) > 10, "many calls: system time passed");
    double share = 100;
    for (int i = 0; i < 8 && share >= 50; i++) /* a busy machine may stop it in a call */
        share = share_of_system(false);
    say("getrusage", share < 50, "few calls: less system time");
    pid_t pid = fork();
    if (!pid) {
        for (int i = 0; i < 300000; i++)
            sys(times, 0);
        _exit(0);
    }
    struct rusage c;
    wait4(pid, NULL, 0, &c);
    say("wait4", seconds(c.ru_stime) > 0, "a child with many calls: its system time");
    getrusage(RUSAGE_CHILDREN, &a);
    say("getrusage", seconds(a.ru_stime) >= seconds(c.ru_stime), "that of children has it");
    struct tms t;
    times(&t);
    say("times", t.tms_stime > 0, "system time");
}

static volatile int runs, ends;
static void *count(void *none)
{
    while (!ends)
        runs = 1;
    return none;
}

static void barriers(void)
{
    pthread_t t;
    int p[2];
    char c;
    const long global = 1, expedited = 2, reg = 4;
    say("membarrier", sys(membarrier, 0, 0, 0) & 7, "those of all processes");
    say("membarrier", sys(membarrier, global, 0, 0), "GLOBAL");
    say("membarrier", sys(membarrier, expedited, 0, 0), "GLOBAL_EXPEDITED, not registered");
    say("membarrier", sys(membarrier, reg, 0, 0), "to register for GLOBAL_EXPEDITED");
    say("membarrier", sys(membarrier, expedited, 0, 0), "GLOBAL_EXPEDITED");
    say("membarrier", sys(membarrier, global, 1, 0), "GLOBAL with flags");
    since(6, 3);
    say("membarrier", sys(membarrier, 1 << 9, 0, 0) & 4, "what is registered");
    since(0, 0);
    pthread_create(&t, NULL, count, NULL);
    while (!runs)
        ;
    pipe(p);
    pid_t pid = fork();
    if (!pid) {
        write(p[1], "x", 1);
        for (;;)
            counted++;
    }
    read(p[0], &c, 1);
    long failed = 0;
    for (int i = 0; i < 20; i++)
        failed += sys(membarrier, global, 0, 0) != 0 || sys(membarrier, expedited, 0, 0) != 0;
    say("membarrier", failed, "beside a thread and a process that compute: failed");
    ends = 1;
    pthread_join(t, NULL);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

struct pid_info {
    uint64_t mask, cgroup;
    uint32_t pid, tgid, ppid, ids[8];
    int32_t code;
};

static void pidfds(void)
{
    struct pid_info i = {0};
    uint64_t big[16];
    const unsigned long get = _IOWR(0xff, 11, struct pid_info);
    since(6, 13);
    pid_t pid = fork();
    if (!pid) {
        pause();
        _exit(0);
    }
    int fd = (int)sys(pidfd_open, pid, 0);
    say("ioctl", sys(ioctl, fd, get, &i), "PIDFD_GET_INFO");
    say("ioctl", (i.mask & 3) == 3 && i.pid == (uint32_t)pid && i.tgid == i.pid &&
        i.ppid == (uint32_t)getpid(),
        "PIDFD_GET_INFO: ids");
    say("ioctl", i.ids[0] == getuid() && i.ids[3] == getegid() && i.ids[6] == geteuid(),
        "PIDFD_GET_INFO: users");
    say("ioctl", sys(ioctl, fd, get, 0), "PIDFD_GET_INFO: nowhere");
    say("ioctl", sys(ioctl, fd, get, 8), "PIDFD_GET_INFO: a bad place");
    since(6, 17);
    say("ioctl", sys(ioctl, fd, _IOWR(0xff, 11, uint64_t), &i), "PIDFD_GET_INFO: too small");
    since(6, 13);
    memset(big, 0xff, sizeof(big));
    big[0] = 0;
    say("ioctl", sys(ioctl, fd, _IOC(_IOC_READ | _IOC_WRITE, 0xff, 11, 128), big),
        "PIDFD_GET_INFO: larger");
    say("ioctl", (long)big[15], "PIDFD_GET_INFO: larger: the rest");
    say("ioctl", sys(ioctl, fd, _IOWR(0xff, 99, struct pid_info), &i), "a pidfd's unknown");
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    i.mask = 0;
    say("ioctl", sys(ioctl, fd, get, &i), "PIDFD_GET_INFO: it is gone");
    since(6, 15);
    i.mask = 8;
    say("ioctl", sys(ioctl, fd, get, &i), "PIDFD_GET_INFO: it is gone: EXIT");
    say("ioctl", i.code, "PIDFD_GET_INFO: it is gone: its status");
    say("ioctl", (long)(i.mask & 11), "PIDFD_GET_INFO: it is gone: mask");
    close(fd);
    pid = fork();
    if (!pid)
        _exit(5);
    siginfo_t ended;
    waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT);
    fd = (int)sys(pidfd_open, pid, 0);
    waitpid(pid, NULL, 0);
    i.mask = 8;
    say("ioctl", sys(ioctl, fd, get, &i), "PIDFD_GET_INFO: opened behind its end: EXIT");
    say("ioctl", i.code, "PIDFD_GET_INFO: opened behind its end: its status");
    since(0, 0);
    close(fd);
}

/* In a child, since it may end it: 0, or the signal. */
static long touch_in_child(volatile char *p, bool write)
{
    int status;
    pid_t pid = fork();
    if (!pid) {
        for (int s = 1; s < 32; s++)
            signal(s, SIG_DFL);
        if (write)
            *p = 1;
        else
            (void)*p;
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void grows_down(void)
{
    const long page = 4096, room = 16 << 20;
    char *p = mmap(NULL, 2 * room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    munmap(p, 2 * room);
    char *top = p + room + room / 2;
    char *m = mmap(top - page, page, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
    say("mmap", m == top - page, "MAP_GROWSDOWN");
    say("mmap", touch_in_child(m - 1, true), "MAP_GROWSDOWN: a byte below");
    say("mmap", touch_in_child(m - 64 * page, true), "MAP_GROWSDOWN: 64 pages below");
    say("mmap", touch_in_child(m - 100 * page, false), "MAP_GROWSDOWN: read 100 pages below");
    say("mmap", touch_in_child(m - 12 * (1 << 20), true),
        "MAP_GROWSDOWN: beyond the stack's limit");
    m[-5 * page] = 7;
    say("mincore", mprotect(m - 5 * page, page, PROT_READ) ? -errno : 0,
        "MAP_GROWSDOWN: it is mapped");
    char *below = mmap(m - 400 * page, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
        -1, 0);
    say("mmap", below == m - 400 * page, "MAP_GROWSDOWN: a neighbour");
    say("mmap", touch_in_child(m - 50 * page, true), "MAP_GROWSDOWN: far from the neighbour");
    say("mmap", touch_in_child(m - 200 * page, true), "MAP_GROWSDOWN: near the neighbour");
    int fd = open("leased", O_RDWR);
    say("mmap", address_only(sys(mmap, 0, page, PROT_READ, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0)),
        "MAP_GROWSDOWN: a file");
    say("mmap", address_only(sys(mmap, 0, page, PROT_READ, MAP_SHARED |
        MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0)),
        "MAP_GROWSDOWN: shared");
    close(fd);
}

/* What a child sees of a page, by its own loads: 0, a byte, or minus the signal. */
static long seen_by_child(const volatile unsigned char *p)
{
    int status;
    pid_t pid = fork();
    if (!pid) {
        for (int s = 1; s < 32; s++)
            signal(s, SIG_DFL);
        _exit(*p);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? -1000 - WTERMSIG(status) : WEXITSTATUS(status);
}

static void forks_and_advice(void)
{
    const long page = 4096;
    unsigned char *m = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
        -1, 0);
    memset(m, 7, 8 * page);
    say("madvise", sys(madvise, m + page, page, MADV_DONTFORK), "DONTFORK");
    say("madvise", sys(madvise, m + 2 * page, page, MADV_WIPEONFORK), "WIPEONFORK");
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 0; i < 4; i++)
            say("fork", seen_by_child(m + i * page), "turn %d: page %d of a child", turn, i);
        say("fork", m[page] * 100 + m[2 * page], "turn %d: the parent has its own", turn);
    }
    mprotect(m + page, 2 * page, PROT_READ);
    for (int i = 0; i < 4; i++)
        say("fork", seen_by_child(m + i * page), "read only: page %d of a child", i);
    say("fork", m[page] * 100 + m[2 * page], "read only: the parent has its own");
    say("madvise", sys(madvise, m + page, page, MADV_DOFORK), "DOFORK");
    say("madvise", sys(madvise, m + 2 * page, page, MADV_KEEPONFORK), "KEEPONFORK");
    for (int i = 0; i < 4; i++)
        say("fork", seen_by_child(m + i * page), "again: page %d of a child", i);
    int fd = open("leased", O_RDWR);
    ftruncate(fd, 4 * page);
    unsigned char *f = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    memset(f, 9, 4 * page);
    say("madvise", sys(madvise, f, page, MADV_WIPEONFORK), "WIPEONFORK of a file");
    say("madvise", sys(madvise, f + page, page, MADV_REMOVE), "REMOVE");
    say("madvise", f[0] * 100 + f[page], "REMOVE: what is there");
    say("madvise", sys(madvise, m, page, MADV_REMOVE), "REMOVE of no file");
    munmap(m + 5 * page, page);
    say("madvise", sys(madvise, m, 8 * page, MADV_WILLNEED), "WILLNEED over a hole");
    say("madvise", sys(madvise, m, 8 * page, MADV_DONTFORK), "DONTFORK over a hole");
    mprotect(m, page, PROT_NONE);
    say("madvise", sys(madvise, m, page, 22), "POPULATE_READ of what cannot be read");
    say("madvise", sys(madvise, m + 4 * page, 2 * page, 22), "POPULATE_READ over a hole");
    close(fd);
}

static void moves(void)
{
    const long page = 4096;
    unsigned char *m = mmap(NULL, 16 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
        -1, 0);
    for (int i = 0; i < 16; i++)
        m[i * page] = (unsigned char)i;
    long r = sys(mremap, m + page, page, page, 7 /* MAYMOVE, FIXED, DONTUNMAP */, m + 8 * page);
    say("mremap", r == (long)(m + 8 * page), "DONTUNMAP: moved");
    say("mremap", m[page] * 100 + m[8 * page], "DONTUNMAP: what is there");
    say("mremap", sys(mremap, m + page, page, 2 * page, 7, m + 8 * page), "DONTUNMAP: and larger");
    say("mremap", sys(mremap, m + page, page, page, 4, 0), "DONTUNMAP: alone");
    r = sys(mremap, m + 3 * page, page, page, 5, 0);
    say("mremap", address_only(r), "DONTUNMAP: anywhere");
    say("mremap", r > 0 ? *(unsigned char *)r * 100 + m[3 * page] : 0,
        "DONTUNMAP: anywhere: what is there");
    mprotect(m + 5 * page, page, PROT_READ);
    r = sys(mremap, m + 4 * page, 4 * page, page, 0, 0);
    say("mremap", r == (long)(m + 4 * page), "smaller, over several mappings");
    say("mremap", sys(write, -1, 0, 0) == -EBADF && msync(m + 5 * page, page,
        MS_ASYNC) < 0 ? -errno : 0,
        "smaller: the rest is gone");
    say("mremap", sys(mremap, m + 9 * page, 0, page, 1, 0), "of size 0");
    munmap(m + 12 * page, page);
    say("mprotect", sys(mprotect, m + 11 * page, 3 * page, PROT_NONE), "over a hole");
    int fd = open("leased", O_RDWR);
    say("mprotect", sys(write, fd, m + 11 * page, 1), "over a hole: what is before it");
    say("mprotect", sys(write, fd, m + 13 * page, 1), "over a hole: what is behind it");
    close(fd);
}

static void own_ranges(void)
{
    int fd = open("leased", O_RDWR);
    struct flock l = {.l_type = F_WRLCK, .l_start = 10, .l_len = 5};
    say("fcntl", sys(fcntl, fd, F_OFD_SETLK, &l), "F_OFD_SETLK");
    l = (struct flock){.l_type = F_UNLCK, .l_start = 0, .l_len = 12};
    since(6, 6);
    say("fcntl", sys(fcntl, fd, F_OFD_GETLK, &l), "F_OFD_GETLK of F_UNLCK: one's own");
    say("fcntl", l.l_type * 10000 + l.l_start * 100 + l.l_len, "F_OFD_GETLK of F_UNLCK: which");
    say("fcntl", l.l_pid, "F_OFD_GETLK of F_UNLCK: whose");
    l = (struct flock){.l_type = F_UNLCK, .l_start = 20, .l_len = 12};
    say("fcntl", sys(fcntl, fd, F_OFD_GETLK, &l), "F_OFD_GETLK of F_UNLCK: none");
    say("fcntl", l.l_type, "F_OFD_GETLK of F_UNLCK: none: type");
    since(0, 0);
    close(fd);
}

int main(void)
{
    facts_begin();
    sigemptyset(&waited);
    sigaddset(&waited, SIGIO);
    sigaddset(&waited, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &waited, NULL);
    who_may_lease();
    break_leases();
    folder_signals();
    processor_time();
    barriers();
    pidfds();
    grows_down();
    forks_and_advice();
    moves();
    own_ranges();
    facts_end();
    return 0;
}
