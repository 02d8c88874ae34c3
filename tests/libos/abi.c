// SPDX-License-Identifier: Apache-2.0
// One line a thing that programs rely on; the same line natively and on the LibOS.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/xattr.h>

static const char *dir;
static char path_buf[4][256];

static const char *at(int i, const char *name)
{
    snprintf(path_buf[i], sizeof(path_buf[i]), "%s/%s", dir, name);
    return path_buf[i];
}

static void say(const char *what, long r)
{
    if (r < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, r);
}

#define SAY(x) say(#x, (long)(x))

static void test_timerfd(void)
{
    struct itimerspec t = {.it_value = {0, 5000000}, .it_interval = {0, 1000000}};
    uint64_t n = 0;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    say("timerfd early", read(fd, &n, 8));
    timerfd_settime(fd, 0, &t, NULL);
    struct pollfd p = {fd, POLLIN, 0};
    say("timerfd poll", poll(&p, 1, 2000));
    say("timerfd read", read(fd, &n, 8));
    say("timerfd count", n > 0);
    memset(&t, 0, sizeof(t));
    t.it_value.tv_sec = 1;
    say("timerfd abs past", timerfd_settime(fd, TFD_TIMER_ABSTIME, &t, NULL));
    say("timerfd abs poll", poll(&p, 1, 2000));
    close(fd);
}

static void *poke(void *arg)
{
    uint64_t one = 1;
    usleep(5000);
    if (write(*(int *)arg, &one, 8) < 0)
        abort();
    return NULL;
}

static void test_epoll(void)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 7}, got[4];
    int outer = epoll_create1(0), inner = epoll_create1(EPOLL_CLOEXEC),
        e = eventfd(0, EFD_NONBLOCK), p[2];
    uint64_t n;
    pthread_t t;
    say("epoll self", epoll_ctl(outer, EPOLL_CTL_ADD, outer, &ev));
    say("epoll add inner", epoll_ctl(outer, EPOLL_CTL_ADD, inner, &ev));
    say("epoll loop", epoll_ctl(inner, EPOLL_CTL_ADD, outer, &ev));
    say("epoll add", epoll_ctl(inner, EPOLL_CTL_ADD, e, &ev));
    say("epoll again", epoll_ctl(inner, EPOLL_CTL_ADD, e, &ev));
    say("epoll none", epoll_wait(outer, got, 4, 0));
    pthread_create(&t, NULL, poke, &e);
    say("epoll nested wakes", epoll_wait(outer, got, 4, 2000));
    say("epoll data", got[0].data.u32);
    pthread_join(t, NULL);
    say("epoll inner", epoll_wait(inner, got, 4, 0));
    say("event read", read(e, &n, 8));
    say("event empty", read(e, &n, 8));
    int chain[6] = {e};
    for (int i = 1; i < 6; i++) {
        chain[i] = epoll_create1(0);
        say("epoll chain", epoll_ctl(chain[i], EPOLL_CTL_ADD, chain[i - 1], &ev));
    }
    if (pipe2(p, O_NONBLOCK))
        abort();
    ev.events = EPOLLIN | EPOLLET;
    epoll_ctl(outer, EPOLL_CTL_ADD, p[0], &ev);
    say("pipe write", write(p[1], "ab", 2));
    say("epoll edge", epoll_wait(outer, got, 4, 100));
    say("epoll edge again", epoll_wait(outer, got, 4, 0));
    say("pipe write", write(p[1], "ab", 2));
    say("epoll edge new", epoll_wait(outer, got, 4, 0));
    ev.events = EPOLLIN | EPOLLONESHOT;
    epoll_ctl(outer, EPOLL_CTL_MOD, p[0], &ev);
    say("epoll oneshot", epoll_wait(outer, got, 4, 0));
    say("epoll oneshot again", epoll_wait(outer, got, 4, 0));
    fd_set r;
    FD_ZERO(&r);
    FD_SET(p[0], &r);
    struct timespec ts = {0, 1000};
    say("pselect", pselect(p[0] + 1, &r, NULL, NULL, &ts, NULL));
    close(p[1]);
    struct pollfd pf = {p[0], POLLIN, 0};
    poll(&pf, 1, 0);
    say("pipe hup", pf.revents);
    char buf[8];
    say("pipe rest", read(p[0], buf, 8));
    say("pipe end", read(p[0], buf, 8));
}

static uint32_t word, word2;

static void *waiter(void *arg)
{
    long r = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    return (void *)r;
}

static void test_futex(void)
{
    struct timespec ts = {0, 2000000};
    pthread_t t[3];
    void *r;
    say("futex value", syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0));
    say("futex timeout", syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0));
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, waiter, NULL);
    usleep(30000);
    say("futex requeue", syscall(SYS_futex, &word, FUTEX_CMP_REQUEUE_PRIVATE, 1, 2, &word2, 0));
    say("futex wake", syscall(SYS_futex, &word2, FUTEX_WAKE_PRIVATE, 5, NULL, NULL, 0));
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], &r);
        say("futex woken", (long)r);
    }
    say("futex bitset", syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &ts, NULL, 0));
}

static pthread_mutex_t robust;

static void *dies(void *arg)
{
    pthread_mutex_lock(&robust);
    return NULL;
}

static void test_robust(void)
{
    pthread_mutexattr_t a;
    pthread_t t;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &a);
    pthread_create(&t, NULL, dies, NULL);
    pthread_join(t, NULL);
    printf("robust: %s\n", strerrorname_np(pthread_mutex_lock(&robust)));
}

static volatile sig_atomic_t hits;

static void on_hit(int sig)
{
    hits++;
}

static void *kicker(void *arg)
{
    usleep(10000);
    syscall(SYS_tgkill, getpid(), *(int *)arg, SIGUSR1);
    usleep(10000);
    return NULL;
}

static void test_signals(void)
{
    sigset_t set;
    siginfo_t info;
    struct timespec ts = {0, 2000000}, zero = {0, 0};
    int p[2], tid = (int)syscall(SYS_gettid);
    char c;
    pthread_t t;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    say("sigtimedwait none", sigtimedwait(&set, &info, &ts));
    raise(SIGUSR2);
    say("sigtimedwait", sigtimedwait(&set, &info, &zero) == SIGUSR2);
    say("sigtimedwait code", info.si_code);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    struct signalfd_siginfo si;
    say("signalfd empty", read(fd, &si, sizeof(si)));
    raise(SIGUSR2);
    struct pollfd pf = {fd, POLLIN, 0};
    say("signalfd poll", poll(&pf, 1, 100));
    say("signalfd read", read(fd, &si, sizeof(si)));
    say("signalfd signo", si.ssi_signo == SIGUSR2);
    close(fd);
    struct sigaction act = {.sa_handler = on_hit, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &act, NULL);
    if (pipe(p))
        abort();
    pthread_create(&t, NULL, kicker, &tid);
    struct pollfd none = {p[0], POLLIN, 0};
    say("poll is interrupted", poll(&none, 1, 5000));
    pthread_join(t, NULL);
    say("handler ran", hits);
    struct itimerval it = {{0, 0}, {0, 3000}};
    act.sa_flags = 0;
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &it, NULL);
    say("read is interrupted", read(p[0], &c, 1));
    timer_t timer;
    struct sigevent sev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    say("timer_create", timer_create(CLOCK_MONOTONIC, &sev, &timer));
    struct itimerspec its = {.it_value = {0, 2000000}};
    hits = 0;
    timer_settime(timer, 0, &its, NULL);
    for (int i = 0; i < 200 && !hits; i++)
        usleep(1000);
    say("timer fired", hits);
    say("cpu timer", timer_create(CLOCK_PROCESS_CPUTIME_ID, &sev, &timer));
    stack_t st = {.ss_sp = malloc(65536), .ss_size = 65536};
    say("altstack", sigaltstack(&st, NULL));
    say("kill 0", kill(getpid(), 0));
    say("kill none", kill(99999, 0));
}

static void exists(const char *file)
{
    char buf[4096];
    int fd = open(file, O_RDONLY);
    long n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));
    printf("%s: %s\n", file, n > 0 ? "there" : fd < 0 ? strerrorname_np(errno) : "empty");
    close(fd);
}

static void test_proc(void)
{
    static const char *const files[] = {"/proc/self/maps",
                                        "/proc/self/status",
                                        "/proc/self/stat",
                                        "/proc/self/statm",
                                        "/proc/self/cmdline",
                                        "/proc/self/comm",
                                        "/proc/self/limits",
                                        "/proc/self/mounts",
                                        "/proc/self/mountinfo",
                                        "/proc/self/environ",
                                        "/proc/self/cgroup",
                                        "/proc/self/oom_score_adj",
                                        "/proc/cpuinfo",
                                        "/proc/meminfo",
                                        "/proc/stat",
                                        "/proc/loadavg",
                                        "/proc/uptime",
                                        "/proc/version",
                                        "/proc/mounts",
                                        "/proc/filesystems",
                                        "/proc/sys/kernel/osrelease",
                                        "/proc/sys/kernel/hostname",
                                        "/proc/sys/kernel/pid_max",
                                        "/proc/sys/kernel/random/uuid",
                                        "/proc/sys/kernel/random/boot_id",
                                        "/proc/sys/kernel/ngroups_max",
                                        "/proc/sys/kernel/cap_last_cap",
                                        "/proc/sys/vm/overcommit_memory",
                                        "/proc/sys/vm/max_map_count",
                                        "/proc/sys/net/core/somaxconn",
                                        "/proc/sys/fs/file-max",
                                        "/proc/thread-self/status"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        exists(files[i]);
    char buf[4096];
    say("exe", readlink("/proc/self/exe", buf, sizeof(buf)) > 0);
    int fd = open("/dev/null", O_RDONLY), fd2;
    snprintf(buf, sizeof(buf), "/dev/fd/%d", fd);
    say("/dev/fd", (fd2 = open(buf, O_RDONLY)) >= 0);
    snprintf(buf, sizeof(buf), "/proc/self/fd/%d", fd);
    char link[64] = "";
    say("fd link", readlink(buf, link, sizeof(link) - 1));
    printf("fd link: %s\n", link);
    close(fd2);
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (d && readdir(d))
        n++;
    say("fds", n > 4);
    if (d)
        closedir(d);
}

static void test_sockets(void)
{
    int s[2], l = socket(AF_INET6, SOCK_STREAM, 0), c = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t size = sizeof(a);
    say("bind6", bind(l, (struct sockaddr *)&a, sizeof(a)));
    say("listen6", listen(l, 3));
    say("name6", getsockname(l, (struct sockaddr *)&a, &size));
    say("connect6", connect(c, (struct sockaddr *)&a, size));
    int v = 0, on = 1;
    size = sizeof(v);
    say("nodelay", setsockopt(c, 6, 1, &on, sizeof(on)));
    say("get nodelay", getsockopt(c, 6, 1, &v, &size) ? -1 : v != 0);
    say("so_type", getsockopt(c, SOL_SOCKET, SO_TYPE, &v, &size) ? -1 : v);
    say("so_error", getsockopt(c, SOL_SOCKET, SO_ERROR, &v, &size) ? -1 : v);
    say("acceptconn", getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &v, &size) ? -1 : v);
    say("socketpair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } u;
    char b = 'x';
    struct iovec iov = {&b, 1};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u.buf)};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &l, sizeof(int));
    say("sendmsg rights", sendmsg(s[0], &m, 0));
    memset(u.buf, 0, sizeof(u.buf));
    say("recvmsg rights", recvmsg(s[1], &m, MSG_CMSG_CLOEXEC));
    h = CMSG_FIRSTHDR(&m);
    int got = -1;
    if (h)
        memcpy(&got, CMSG_DATA(h), sizeof(int));
    say("passed listens", got < 0                                                 ? -1
                          : getsockopt(got, SOL_SOCKET, SO_ACCEPTCONN, &v, &size) ? -1
                                                                                  : v);
    struct ucred cr;
    size = sizeof(cr);
    say("peercred",
        getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &cr, &size) ? -1 : cr.pid == getpid());
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    strncpy(un.sun_path, at(0, "sock"), sizeof(un.sun_path) - 1);
    int us = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    say("unix bind", bind(us, (struct sockaddr *)&un, sizeof(un)));
    say("unix again", bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&un, sizeof(un)));
    int un2 = socket(AF_UNIX, SOCK_DGRAM, 0);
    memset(un.sun_path, 0, sizeof(un.sun_path));
    memcpy(un.sun_path, "\0abstract-x", 11);
    say("abstract", bind(un2, (struct sockaddr *)&un, 2 + 11));
}

static void test_files(void)
{
    char buf[128];
    struct stat st;
    struct statx sx;
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
    int fd = open(at(0, "f"), O_RDWR | O_CREAT | O_TRUNC, 0644);
    say("write", write(fd, "0123456789", 10));
    say("setlk", fcntl(fd, F_SETLK, &fl));
    say("getlk", fcntl(fd, F_GETLK, &fl) ? -1 : fl.l_type == F_UNLCK);
    say("statx", statx(AT_FDCWD, at(0, "f"), 0, STATX_BASIC_STATS, &sx) ? -1 : (long)sx.stx_size);
    say("link", link(at(0, "f"), at(1, "g")));
    say("nlink", stat(at(0, "f"), &st) ? -1 : (long)st.st_nlink);
    say("noreplace", renameat2(AT_FDCWD, at(0, "f"), AT_FDCWD, at(1, "g"), RENAME_NOREPLACE));
    say("symlink", symlink("f", at(0, "l")));
    say("rename same", rename(at(0, "f"), at(1, "f")));
    mkdir(at(0, "d"), 0755);
    say("rename dir over file", rename(at(0, "d"), at(1, "f")));
    say("rename into itself", rename(at(0, "d"), at(1, "d/x")));
    int t = open(dir, O_TMPFILE | O_RDWR, 0600);
    say("tmpfile", t >= 0 ? 0 : -1);
    if (t >= 0) {
        say("tmpfile write", write(t, "abc", 3));
        snprintf(buf, sizeof(buf), "/proc/self/fd/%d", t);
        say("tmpfile link", linkat(AT_FDCWD, buf, AT_FDCWD, at(0, "named"), AT_SYMLINK_FOLLOW));
    }
    int m = memfd_create("m", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    say("memfd", m >= 0 ? 0 : -1);
    say("memfd size", ftruncate(m, 8192));
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0);
    say("memfd map", p == MAP_FAILED ? -1 : 0);
    if (p != MAP_FAILED) {
        strcpy(p, "shared");
        msync(p, 8192, MS_SYNC);
        say("memfd read", pread(m, buf, 7, 0) == 7 && !strcmp(buf, "shared"));
    }
    say("seals", fcntl(m, F_GET_SEALS) >= 0);
    lseek(fd, 0, SEEK_SET);
    int o = open(at(0, "o"), O_RDWR | O_CREAT, 0600);
    say("sendfile", sendfile(o, fd, NULL, 5));
    off64_t in = 2, out = 0;
    say("copy_file_range", copy_file_range(fd, &in, o, &out, 4, 0));
    say("copied", pread(o, buf, 10, 0));
    say("fallocate", fallocate(o, 0, 0, 8192));
    say("punch", fallocate(o, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0 ||
                     errno == EOPNOTSUPP);
    say("lseek data", lseek(o, 0, SEEK_DATA) >= 0 || errno == ENXIO);
    say("setxattr", setxattr(at(0, "f"), "user.x", "v", 1, 0) == 0 || errno == ENOTSUP);
    say("getxattr none", getxattr(at(0, "f"), "user.none", buf, sizeof(buf)) < 0 &&
                             (errno == ENODATA || errno == ENOTSUP));
    say("access", faccessat(AT_FDCWD, at(0, "f"), R_OK, 0));
    say("utimens", utimensat(AT_FDCWD, at(0, "f"), (struct timespec[2]){{1, 2}, {3, 4}}, 0));
    say("mtime", stat(at(0, "f"), &st) ? -1 : st.st_mtim.tv_sec * 10 + st.st_mtim.tv_nsec);
    DIR *d = opendir(dir);
    int n = 0;
    while (d && readdir(d))
        n++;
    say("entries", n);
    say("dup3", dup3(fd, 200, O_CLOEXEC));
    say("cloexec", fcntl(200, F_GETFD));
    say("nonblock", fcntl(fd, F_SETFL, O_NONBLOCK));
    say("close_range", syscall(436, 190, 210, 0));
    say("closed", fcntl(200, F_GETFD));
}

static void test_memory(void)
{
    char *p = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 1, 16384);
    say("dontneed", madvise(p, 4096, MADV_DONTNEED) ? -1 : p[0]);
    say("free", madvise(p, 4096, MADV_FREE));
    say("hugepage", madvise(p, 16384, MADV_HUGEPAGE) == 0 || errno == EINVAL);
    char *q = mremap(p, 16384, 32768, MREMAP_MAYMOVE);
    say("mremap", q == MAP_FAILED ? -1 : q[8192]);
    say("shrink", mremap(q, 32768, 4096, 0) == q);
    unsigned char vec;
    say("mincore", mincore(q, 4096, &vec));
    say("mlock", mlock(q, 4096));
    say("msync", msync(q, 4096, MS_SYNC));
    say("bad mmap",
        mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
    say("noreplace", mmap(q, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
                          0) == MAP_FAILED
                         ? -1
                         : 0);
    void *b = sbrk(4096);
    say("brk", sbrk(0) == (char *)b + 4096);
    int fds[2];
    volatile uintptr_t low = 8;
    say("copy to nowhere", pipe((int *)low));
    if (pipe(fds) == 0)
        say("write from nowhere", write(fds[1], (void *)low, 4));
}

static void test_process(void)
{
    char name[16] = "";
    cpu_set_t cpus;
    struct rusage ru;
    struct sysinfo si;
    struct rlimit rl;
    struct timespec ts;
    prctl(PR_SET_NAME, "abi-test");
    say("name", prctl(PR_GET_NAME, name) ? -1 : strcmp(name, "abi-test"));
    say("dumpable", prctl(PR_SET_DUMPABLE, 0));
    say("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    say("pdeathsig", prctl(PR_SET_PDEATHSIG, SIGTERM));
    say("affinity", sched_getaffinity(0, sizeof(cpus), &cpus) ? -1 : CPU_COUNT(&cpus) > 0);
    say("set affinity", sched_setaffinity(0, sizeof(cpus), &cpus));
    say("getcpu", sched_getcpu() >= 0);
    say("rusage", getrusage(RUSAGE_SELF, &ru));
    say("rusage thread", getrusage(RUSAGE_THREAD, &ru));
    say("sysinfo", sysinfo(&si) ? -1 : si.totalram > 0 && si.procs > 0);
    say("prlimit", prlimit(0, RLIMIT_NOFILE, NULL, &rl));
    rl.rlim_cur = 100;
    say("set nofile", setrlimit(RLIMIT_NOFILE, &rl));
    say("dup over", dup2(0, 150));
    say("cpu clock", clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts));
    say("thread clock", clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts));
    say("getres", clock_getres(CLOCK_MONOTONIC, &ts));
    say("yield", sched_yield());
    say("policy", sched_getscheduler(0));
    say("priority", getpriority(PRIO_PROCESS, 0));
    say("prio max", sched_get_priority_max(SCHED_FIFO));
    say("umask", umask(077));
    say("personality", syscall(SYS_personality, 0xffffffff));
    say("getrandom", syscall(SYS_getrandom, name, 8, 0));
    say("pgrp", setpgid(0, 0) == 0 || errno == EPERM);
    say("times", syscall(SYS_times, NULL) > 0);
    say("no such call", syscall(600));
    say("io_uring", syscall(425, 1, NULL) < 0);
}

int main(int argc, char **argv)
{
    dir = argv[1];
    if (argc < 2 || (mkdir(dir, 0755) && errno != EEXIST))
        return 1;
    umask(022);
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_timerfd();
    test_epoll();
    test_futex();
    test_robust();
    test_signals();
    test_proc();
    test_sockets();
    test_files();
    test_memory();
    test_process();
    return 0;
}
