// SPDX-License-Identifier: Apache-2.0
// Cases at which servers failed once, and what lies beside them, that no table of other families
// holds: signals and their timers, locks as /proc tells of them, sockets, files.
#include "facts.h"

#include <arpa/inet.h>
#include <limits.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <utime.h>

static int end_of(int pid)
{
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* ---- timers and signals ---- */

static void say_overrun(const char *call, long n, const char *what)
{
    say(call, n == INT_MAX ? INT_MAX : n > 1000 ? 1000 : n, "%s", what);
}

static void timers(void)
{
    static const int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    struct timespec second = {1, 0}, none = {0}, nap = {0, 55000000};
    siginfo_t info;
    sigset_t set;
    uint64_t times;
    int t;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (long i = 0; i < COUNT(clocks); i++) {
        struct itimerspec at = {.it_value = {0, 1}, .it_interval = {0, 1}};
        sys(timer_create, clocks[i], &ev, &t);
        sys(timer_settime, t, TIMER_ABSTIME, &at, 0);
        say("rt_sigtimedwait", sys(rt_sigtimedwait, &set, &info, &second, 8) > 0, "each ns");
        say_overrun("timer_settime", info.si_overrun, "each ns: overrun");
        say("timer_getoverrun", sys(timer_getoverrun, t) == info.si_overrun, "as the signal had");
        /* One whose signal is pending is gone all the same, and its place may be another's. */
        nanosleep(&(struct timespec){0, 2000000}, NULL);
        sys(timer_delete, t);
        while (sys(rt_sigtimedwait, &set, &info, &none, 8) > 0)
            continue;
        say("timer_create", sys(timer_create, clocks[i], &ev, &t), "after one that was pending");
        at.it_value.tv_sec = at.it_interval.tv_sec = 1000;
        say("timer_settime", sys(timer_settime, t, 0, &at, 0), "after one that was pending");
        sys(timer_delete, t);
    }
    struct itimerspec often = {.it_value = {0, 10000000}, .it_interval = {0, 10000000}}, now;
    sys(timer_create, CLOCK_MONOTONIC, &ev, &t);
    sys(timer_settime, t, 0, &often, 0);
    nanosleep(&nap, NULL);
    say("timer_gettime", sys(timer_gettime, t, &now), "blocked for long");
    say("timer_gettime", now.it_value.tv_nsec > 0 && now.it_value.tv_nsec <= 10000000,
        "blocked for long: the next");
    sys(rt_sigtimedwait, &set, &info, &none, 8);
    say("timer_settime", info.si_overrun >= 4, "blocked for long: overrun");
    say("rt_sigtimedwait", sys(rt_sigtimedwait, &set, &info, &none, 8), "blocked: only one came");
    say("timer_settime", sys(timer_settime, t, 0, &often, 0), "again");
    say("timer_getoverrun", sys(timer_getoverrun, t), "none yet");
    sys(timer_delete, t);

    int f = timerfd_create(CLOCK_MONOTONIC, 0);
    clock_gettime(CLOCK_MONOTONIC, &now.it_value);
    now.it_value.tv_sec -= 1;
    now.it_interval = (struct timespec){0, 300000000};
    timerfd_settime(f, TFD_TIMER_ABSTIME, &now, NULL);
    say("read", sys(read, f, &times, 8), "timerfd: set to a second ago");
    say("read", times, "timerfd: each 300 ms since a second ago");
    close(f);
}

static volatile int got;
static void note(int s)
{
    got = s;
}

static void note_and_end(int s, siginfo_t *i, void *context)
{
    _exit(40 + (s == SIGSEGV) + 2 * (i->si_code == SI_KERNEL));
}

/* The frame does not fit on an alternate stack that cannot be written. */
static int on_bad_stack(int flags)
{
    int pid = fork();
    if (!pid) {
        void *p = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        struct sigaction there = {.sa_sigaction = note_and_end,
                                  .sa_flags = SA_ONSTACK | SA_SIGINFO};
        struct sigaction segv = {.sa_sigaction = note_and_end, .sa_flags = flags | SA_SIGINFO};
        sigaltstack(&(stack_t){.ss_sp = p, .ss_size = 65536}, NULL);
        sigaction(SIGUSR1, &there, NULL);
        sigaction(SIGSEGV, &segv, NULL);
        raise(SIGUSR1);
        _exit(1);
    }
    return end_of(pid);
}

static void signals(void)
{
    struct sigaction children = {.sa_handler = note, .sa_flags = SA_NOCLDWAIT};
    struct rlimit few = {4, 256};
    struct timespec none = {0};
    sigset_t set;
    siginfo_t info;
    int status, pid;
    say("sigaltstack", on_bad_stack(0), "cannot be written: SIGSEGV elsewhere");
    say("sigaltstack", on_bad_stack(SA_ONSTACK), "cannot be written: SIGSEGV there, too");

    signal(SIGUSR1, note);
    pid = fork();
    if (!pid) {
        got = 0;
        pause();
        _exit(got);
    }
    usleep(50000);
    got = 0;
    say("kill", sys(kill, -1, SIGUSR1), "-1");
    say("kill", got, "-1: not the caller");
    say("kill", end_of(pid), "-1: the child");
    signal(SIGUSR1, SIG_DFL);

    sigaction(SIGCHLD, &children, NULL);
    got = 0;
    if (!fork())
        _exit(3);
    usleep(50000);
    say("wait4", sys(wait4, -1, &status, 0, 0), "SA_NOCLDWAIT");
    say("rt_sigaction", got, "SA_NOCLDWAIT: the signal comes");
    children.sa_flags = SA_NOCLDSTOP;
    sigaction(SIGCHLD, &children, NULL);
    got = 0;
    if (!(pid = fork())) {
        raise(SIGSTOP);
        _exit(3);
    }
    usleep(50000);
    say("rt_sigaction", got, "SA_NOCLDSTOP: stopped");
    kill(pid, SIGCONT);
    say("wait4", end_of(pid), "SA_NOCLDSTOP: ended");
    say("rt_sigaction", got, "SA_NOCLDSTOP: ended");
    signal(SIGCHLD, SIG_IGN);
    if (!fork())
        _exit(0);
    say("wait4", sys(wait4, -1, &status, 0, 0), "SIGCHLD is ignored");
    signal(SIGCHLD, SIG_DFL);

    /* kill's come beyond the limit, without who sent them. */
    sigemptyset(&set);
    for (int s = SIGRTMIN; s <= SIGRTMIN + 1; s++)
        sigaddset(&set, s);
    sigprocmask(SIG_BLOCK, &set, NULL);
    setrlimit(RLIMIT_SIGPENDING, &few);
    for (int i = 0; i < 10; i++)
        status = sys(rt_sigqueueinfo, getpid(), SIGRTMIN, &(siginfo_t){.si_code = SI_QUEUE});
    say("rt_sigqueueinfo", status, "beyond RLIMIT_SIGPENDING");
    say("kill", sys(kill, getpid(), SIGRTMIN + 1), "beyond RLIMIT_SIGPENDING");
    sigdelset(&set, SIGRTMIN);
    say("rt_sigtimedwait", sys(rt_sigtimedwait, &set, &info, &none, 8) - SIGRTMIN, "kill's");
    say("rt_sigtimedwait", info.si_code * 100 + info.si_pid, "kill's: from nobody");
    say("rt_sigtimedwait", sys(rt_sigtimedwait, &set, &info, &none, 8), "kill's: one");
    few.rlim_cur = 256;
    setrlimit(RLIMIT_SIGPENDING, &few);
}

/* ---- locks in /proc ---- */

static ino_t locked_files[3];

/* Without pids and inodes; of our own files. */
static void say_lock(char *line, const char *when, const char *where)
{
    char kind[20], how[20], type[20], start[30], end[30], text[128];
    int id, pid, own = 0;
    unsigned long inode;
    char *arrow = strstr(line, "-> ");
    if (arrow)
        memmove(arrow, arrow + 3, strlen(arrow + 3) + 1);
    if (sscanf(line, "%d: %19s %19s %19s %d %*x:%*x:%lu %29s %29s", &id, kind, how, type, &pid,
               &inode, start, end) != 8)
        return say_text("read", line, "%s: %s: a line", when, where);
    for (int i = 0; i < 3; i++)
        own = own || locked_files[i] == inode;
    snprintf(text, sizeof(text), "%d %s%s %s %s, of %s, %s %s", *where == '/' ? 0 : id,
             arrow ? "-> " : "", kind, how, type,
             pid == getpid() ? "this" : pid < 0 ? "none" : "another", start, end);
    if (own)
        say_text("read", text, "%s: %s", when, where);
}

static void say_locks(const char *when)
{
    char line[300], path[64];
    FILE *f;
    for (int fd = 3; fd < 16; fd++) {
        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        if (!(f = fopen(path, "r")))
            continue;
        while (fgets(line, sizeof(line), f)) {
            if (!strncmp(line, "lock:\t", 6))
                say_lock(line + 6, when, "fdinfo");
        }
        fclose(f);
    }
    f = fopen("/proc/locks", "r");
    while (f && fgets(line, sizeof(line), f))
        say_lock(line, when, "/proc/locks");
    if (f)
        fclose(f);
}

static void locks(void)
{
    int a = open("locked", O_CREAT | O_RDWR, 0644), b = open("locked", O_RDWR);
    int c = open("flocked", O_CREAT | O_RDWR, 0644), d = open("leased", O_CREAT | O_RDONLY, 0644);
    struct flock l = {.l_type = F_WRLCK, .l_start = 10, .l_len = 5};
    const int files[] = {a, c, d};
    struct stat s;
    cpu_set_t one;
    for (int i = 0; i < 3; i++)
        locked_files[i] = fstat(files[i], &s) ? 0 : s.st_ino;
    sched_getaffinity(0, sizeof(one), &one);
    for (int i = 0, found = 0; i < CPU_SETSIZE; i++) { /* Linux has a list a processor */
        if (CPU_ISSET(i, &one) && found++)
            CPU_CLR(i, &one);
    }
    sched_setaffinity(0, sizeof(one), &one);
    fcntl(a, F_SETLK, &l);
    say_locks("a range");
    l.l_start = 15;
    fcntl(b, F_SETLK, &l);
    say_locks("a range beside it, by another file");
    l = (struct flock){.l_type = F_RDLCK};
    fcntl(b, F_SETLK, &l);
    say_locks("all, shared");
    l = (struct flock){.l_type = F_UNLCK, .l_start = 5, .l_len = 5};
    fcntl(a, F_SETLK, &l);
    say_locks("with a gap");
    l = (struct flock){.l_type = F_RDLCK, .l_start = 5, .l_len = 5};
    fcntl(a, F_OFD_SETLK, &l);
    say_locks("the file's");
    flock(b, LOCK_SH);
    flock(c, LOCK_EX);
    say_locks("flock");
    fcntl(d, F_SETLEASE, F_RDLCK);
    say_locks("a lease");
    signal(SIGIO, SIG_IGN);
    int pid = fork();
    if (!pid) {
        say_locks("seen by a child");
        l = (struct flock){.l_type = F_WRLCK, .l_len = 1};
        fcntl(a, F_SETLKW, &l);
        _exit(0);
    }
    usleep(200000);
    say_locks("a child waits");
    kill(pid, SIGKILL);
    end_of(pid);
    if (!(pid = fork())) {
        close(a), close(b), close(c), close(d);
        flock(open("flocked", O_RDWR), LOCK_SH);
        _exit(0);
    }
    usleep(200000);
    say_locks("a child waits for a flock");
    close(a);
    say_locks("one is closed");
    close(b), close(c), close(d);
    end_of(pid);
    say_locks("all are closed");
}

/* ---- sockets ---- */

static long send_control(int fd, int level, int type, const void *data, size_t size, void *to,
                         socklen_t to_size)
{
    char control[64] __attribute__((aligned(8))) = {0};
    struct iovec io = {"x", 1};
    struct msghdr m = {.msg_name = to,
                       .msg_namelen = to_size,
                       .msg_iov = &io,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){CMSG_LEN(size), level, type};
    memcpy(CMSG_DATA(c), data, size);
    return sys(sendmsg, fd, &m, MSG_DONTWAIT);
}

static void say_cred(int fd, const char *what)
{
    char control[128] __attribute__((aligned(8))), b[8];
    struct iovec io = {b, sizeof(b)};
    struct msghdr m = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    long r = sys(recvmsg, fd, &m, MSG_DONTWAIT);
    const struct cmsghdr *c = r > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    struct ucred u = {0, -2, -2};
    if (c && c->cmsg_type == SCM_CREDENTIALS)
        memcpy(&u, CMSG_DATA(c), sizeof(u));
    say("recvmsg", r, "credentials: %s", what);
    say("recvmsg", u.pid == getpid(), "credentials: %s: pid", what);
    say("recvmsg", u.uid, "credentials: %s: uid", what);
    say("recvmsg", u.gid, "credentials: %s: gid", what);
}

static void credentials(int type)
{
    struct ucred of[] = {{getpid(), 0, 0},   {getpid(), 77, 0},  {getpid(), 0, 5},
                         {getppid(), 0, 0}, {999999, 0, 0}, {getpid(), -1, -1}};
    int v[2], on = 1;
    socketpair(AF_UNIX, type, 0, v);
    setsockopt(v[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
    sys(sendto, v[0], "x", 1, 0, 0, 0);
    say_cred(v[1], "none given");
    for (long i = 0; i < COUNT(of); i++) {
        long r = send_control(v[0], SOL_SOCKET, SCM_CREDENTIALS, &of[i], sizeof(of[i]), NULL, 0);
        say("sendmsg", r, "type %d, credentials %ld", type, i);
        if (r > 0)
            say_cred(v[1], "given");
    }
    say("sendmsg", send_control(v[0], SOL_SOCKET, SCM_CREDENTIALS, &of[0], 8, NULL, 0),
        "credentials: 8 bytes");
    setresuid(65534, 65534, 0);
    for (int i = 0; i < 3; i++)
        say("sendmsg", send_control(v[0], SOL_SOCKET, SCM_CREDENTIALS, &of[i], 12, NULL, 0),
            "a user with root saved, credentials %d", i);
    setresuid(0, 0, 0);
    close(v[0]), close(v[1]);
}

static struct sockaddr_in address4(const char *text, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, text, &a.sin_addr);
    return a;
}

static struct sockaddr_in6 address6(const char *text, int port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    inet_pton(AF_INET6, text, &a.sin6_addr);
    return a;
}

static int port_of(int fd)
{
    struct sockaddr_in6 a;
    socklen_t n = sizeof(a);
    getsockname(fd, (void *)&a, &n);
    return ntohs(a.sin6_port); /* as of IPv4 */
}

static void say_from(int fd, const char *what)
{
    struct sockaddr_in6 a = {0};
    socklen_t n = sizeof(a);
    char b[8], text[64];
    say("recvfrom", sys(recvfrom, fd, b, sizeof(b), MSG_DONTWAIT, &a, &n), "%s", what);
    const void *bytes = a.sin6_family == AF_INET ? (void *)&((struct sockaddr_in *)&a)->sin_addr
                                                 : (void *)&a.sin6_addr;
    say_text("recvfrom", inet_ntop(a.sin6_family, bytes, text, sizeof(text)) ? text : "none",
             "%s: from", what);
}

/* What is sent comes from the address that is named. */
static void sources(void)
{
    static const char *const from[] = {"127.0.0.5", "0.0.0.0", "192.0.2.1", "224.0.0.1"};
    int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in any = address4("0.0.0.0", 0), to;
    struct sockaddr_in6 any6 = address6("::", 0), to6;
    bind(s, (void *)&any, sizeof(any));
    to = address4("127.0.0.1", port_of(s));
    for (long i = 0; i < COUNT(from); i++) {
        struct in_pktinfo p = {.ipi_spec_dst = address4(from[i], 0).sin_addr};
        say("sendmsg", send_control(c, 0, IP_PKTINFO, &p, sizeof(p), &to, sizeof(to)),
            "IP_PKTINFO %s", from[i]);
        say_from(s, from[i]);
    }
    say("sendmsg", send_control(c, 0, IP_PKTINFO, &to, 8, &to, sizeof(to)), "IP_PKTINFO: 8 bytes");
    close(s), close(c);
    s = socket(AF_INET6, SOCK_DGRAM, 0), c = socket(AF_INET6, SOCK_DGRAM, 0);
    bind(s, (void *)&any6, sizeof(any6));
    to6 = address6("::1", port_of(s));
    struct in6_pktinfo p = {.ipi6_addr = address6("::1", 0).sin6_addr};
    say("sendmsg", send_control(c, 41, IPV6_PKTINFO, &p, sizeof(p), &to6, sizeof(to6)),
        "IPV6_PKTINFO ::1");
    say_from(s, "IPV6_PKTINFO ::1");
    p.ipi6_addr = address6("2001:db8::1", 0).sin6_addr;
    say("sendmsg", send_control(c, 41, IPV6_PKTINFO, &p, sizeof(p), &to6, sizeof(to6)),
        "IPV6_PKTINFO of others");
    close(s), close(c);
}

static void mapped(int type, int only)
{
    int s = socket(AF_INET6, type, 0), c = socket(AF_INET, type, 0);
    int six = socket(AF_INET6, type, 0);
    struct sockaddr_in6 any = address6("::", 0);
    setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
    setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
    bind(s, (void *)&any, sizeof(any));
    if (type == SOCK_STREAM)
        listen(s, 5);
    struct sockaddr_in to = address4("127.0.0.1", port_of(s));
    struct sockaddr_in6 dressed = address6("::ffff:127.0.0.1", port_of(s));
    say("connect", sys(connect, c, &to, sizeof(to)), "type %d, IPv4 to IPv6, only %d", type, only);
    if (type == SOCK_DGRAM)
        say("sendto", sys(sendto, six, "x", 1, 0, &dressed, sizeof(dressed)), "mapped, only %d",
            only);
    say("connect", sys(connect, six, &dressed, sizeof(dressed)), "type %d, mapped, only %d", type,
        only);
    close(s), close(c), close(six);
}

static void streams(void)
{
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), f;
    struct linger now = {1, 0};
    struct tcp_info info = {0};
    socklen_t n = sizeof(info);
    char b[8];
    listen(l, 5);
    struct sockaddr_in to = address4("127.0.0.1", port_of(l));
    say("getsockopt", sys(getsockopt, c, 6, TCP_INFO, &info, &n), "TCP_INFO");
    say("getsockopt", info.tcpi_state, "TCP_INFO: new");
    connect(c, (void *)&to, sizeof(to));
    f = accept(l, NULL, NULL);
    sys(getsockopt, c, 6, TCP_INFO, &info, &n);
    say("getsockopt", info.tcpi_state, "TCP_INFO: connected");
    say("getsockopt", info.tcpi_snd_mss > 1000, "TCP_INFO: what fits into a packet");
    sys(sendto, f, "abc", 3, 0, 0, 0);
    close(c);
    say("recvfrom", sys(recvfrom, f, b, 8, 0, 0, 0), "closed with bytes that nobody read");
    say("sendto", sys(sendto, f, "x", 1, MSG_NOSIGNAL, 0, 0), "... and sent");
    struct pollfd p = {f, POLLIN | POLLOUT | POLLRDHUP};
    poll(&p, 1, 0);
    say("poll", p.revents, "... and polled");
    close(f);
    c = socket(AF_INET, SOCK_STREAM, 0);
    connect(c, (void *)&to, sizeof(to));
    f = accept(l, NULL, NULL);
    setsockopt(c, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(c);
    say("recvfrom", sys(recvfrom, f, b, 8, 0, 0, 0), "SO_LINGER 0, closed");
    say("recvfrom", sys(recvfrom, f, b, 8, 0, 0, 0), "SO_LINGER 0, closed: then");
    poll(&p, 1, 0);
    say("poll", p.revents, "SO_LINGER 0, closed");
    n = 4;
    say("getsockopt", sys(getsockopt, l, SOL_SOCKET, SO_SNDBUFFORCE, b, &n), "SO_SNDBUFFORCE");
    say("getsockopt", sys(getsockopt, l, SOL_SOCKET, SO_RCVBUFFORCE, b, &n), "SO_RCVBUFFORCE");
    struct ifreq q = {.ifr_ifindex = 99};
    say("ioctl", sys(ioctl, l, SIOCGIFNAME, &q), "SIOCGIFNAME 99");
    q.ifr_ifindex = 1;
    say("ioctl", sys(ioctl, l, SIOCGIFNAME, &q), "SIOCGIFNAME 1");
    say_text("ioctl", q.ifr_name, "SIOCGIFNAME 1");
    say("ioctl", sys(ioctl, l, SIOCGIFFLAGS, &q), "SIOCGIFFLAGS");
    say("ioctl", q.ifr_flags, "SIOCGIFFLAGS lo");
    say("ioctl", sys(ioctl, l, SIOCGIFMTU, &q), "SIOCGIFMTU");
    say("ioctl", q.ifr_mtu, "SIOCGIFMTU lo");
    close(f), close(l);
}

static long answer(int s, const void *q, size_t size, char *b, size_t room)
{
    sys(sendto, s, q, size, 0, 0, 0);
    long n = sys(recvfrom, s, b, room, 0, 0, 0);
    const struct nlmsghdr *h = (void *)b;
    return n < (long)sizeof(*h)             ? -EIO
           : h->nlmsg_type == NLMSG_ERROR ? ((struct nlmsgerr *)NLMSG_DATA(h))->error
                                          : h->nlmsg_type;
}

static void interfaces(void)
{
    static char b[16384];
    struct {
        struct nlmsghdr h;
        struct ifinfomsg i;
    } q = {{sizeof(q), RTM_GETLINK, NLM_F_REQUEST, 5, 0}, {.ifi_index = 1}};
    int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    say("sendto", answer(s, &q, sizeof(q), b, sizeof(b)), "RTM_GETLINK 1");
    q.i.ifi_index = 77;
    say("sendto", answer(s, &q, sizeof(q), b, sizeof(b)), "RTM_GETLINK 77");
    q.h.nlmsg_type = RTM_NEWLINK;
    q.h.nlmsg_flags |= NLM_F_ACK;
    q.i.ifi_index = 1;
    say("sendto", answer(s, &q, sizeof(q), b, sizeof(b)), "RTM_NEWLINK");
    for (int kind = RTM_GETLINK; kind <= RTM_GETROUTE; kind += 4) {
        q.h = (struct nlmsghdr){sizeof(q), kind, NLM_F_REQUEST | NLM_F_DUMP, 7, 0};
        q.i = (struct ifinfomsg){.ifi_family = AF_INET};
        long r = answer(s, &q, sizeof(q), b, sizeof(b));
        const struct nlmsghdr *h = (void *)b;
        bool whole = h->nlmsg_seq == 7 && h->nlmsg_flags & NLM_F_MULTI;
        say("sendto", r > 0 && whole, "dump %d", kind);
        for (long n = 1; h->nlmsg_type != NLMSG_DONE && n > 0;)
            n = sys(recvfrom, s, b, sizeof(b), MSG_DONTWAIT, 0, 0);
    }
    close(s);
}

/* ---- files ---- */

static void say_mode(const char *path, const char *what)
{
    struct stat s;
    say("stat", lstat(path, &s) ? -errno : (long)(s.st_mode & 07777), "mode: %s", what);
    say("stat", s.st_gid, "group: %s", what);
}

static void by_nobody(void)
{
    setresgid(65534, 65534, 65534);
    setresuid(65534, 65534, 65534);
    close(open("group/y", O_CREAT | O_WRONLY, 02775));
    say_mode("group/y", "S_ISGID, executable, of another group");
    close(open("group/z", O_CREAT | O_WRONLY, 02745));
    say_mode("group/z", "S_ISGID, of another group");
    chmod("group/y", 02755);
    say_mode("group/y", "S_ISGID by chmod, of another group");
    say("chown", sys(chown, "group/y", -1, 65534), "to one's own group");
    int f = open("group/y", O_RDWR);
    fchmod(f, 06755);
    say_mode("group/y", "of one's own group");
    sys(write, f, "x", 1);
    say_mode("group/y", "written");
    fchmod(f, 06755);
    ftruncate(f, 100);
    say_mode("group/y", "truncated");
    fchmod(f, 06755);
    fallocate(f, 0, 0, 10);
    say_mode("group/y", "allocated");
    fchmod(f, 06755);
    fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10);
    say_mode("group/y", "punched");
    fchmod(f, 06745);
    sys(write, f, "x", 1);
    say_mode("group/y", "written, not executable by the group");
    fchmod(f, 06755);
    fchown(f, -1, -1);
    say_mode("group/y", "given to who has it");
    say("unlink", sys(unlink, "sticky/root"), "sticky");
    say("rename", sys(rename, "sticky/root", "sticky/x"), "sticky");
    say("rename", sys(rename, "sticky/mine", "sticky/root"), "sticky: over another's");
    say("unlink", sys(unlink, "sticky/mine"), "sticky: one's own");
    struct utimbuf u = {1, 1};
    say("utime", sys(utime, "sticky/root", 0), "who may write: now");
    say("utime", sys(utime, "sticky/root", &u), "who may write: a time");
    say("open", fd_only(sys(open, "sticky/root", O_RDONLY | O_NOATIME)), "O_NOATIME: another's");
}

static void rights(void)
{
    mkdir("group", 0777);
    chown("group", 0, 77);
    chmod("group", 02777);
    close(open("group/f", O_CREAT | O_WRONLY, 0644));
    say_mode("group/f", "in a setgid directory");
    mkdir("group/d", 0755);
    say_mode("group/d", "a directory in a setgid directory");
    symlink("x", "group/l");
    say_mode("group/l", "a link in a setgid directory");
    close(open("group/x", O_CREAT | O_WRONLY, 02755));
    say_mode("group/x", "S_ISGID in a setgid directory");
    mkdir("sticky", 01777);
    chmod("sticky", 01777);
    put_file("sticky/root", "", 0666);
    put_file("sticky/mine", "", 0666);
    chown("sticky/mine", 65534, 0);
    int pid = fork();
    if (!pid) {
        by_nobody();
        exit(0);
    }
    end_of(pid);
    say("open", fd_only(sys(open, "sticky/root", O_RDONLY | O_NOATIME)), "O_NOATIME");

    /* A capability goes with what it was given for. */
    int cap[5] = {0x02000001, 0x400}, f = open("capable", O_CREAT | O_RDWR, 0755);
    for (int i = 0; i < 4; i++) {
        static const char *const how[] = {"written", "truncated", "allocated", "chown"};
        say("setxattr", sys(setxattr, "capable", "security.capability", cap, 20, 0), "capability");
        if (i == 0)
            sys(write, f, "x", 1);
        else if (i == 1)
            ftruncate(f, 10);
        else if (i == 2)
            fallocate(f, 0, 0, 100);
        else
            fchown(f, 5, 5);
        say("getxattr", sys(getxattr, "capable", "security.capability", cap, 20), "capability: %s",
            how[i]);
    }
    close(f);
}

/* What goes with a descriptor when its name changes. */
static void names(void)
{
    char path[64], text[4096];
    int f = open("first", O_CREAT | O_RDWR, 0644);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", f);
    for (int i = 0; i < 2; i++) {
        if (i)
            unlink("second");
        else
            rename("first", "second");
        long n = readlink(path, text, sizeof(text) - 1);
        text[n > 0 ? n : 0] = 0;
        say_text("readlink", strrchr(text, '/') ? strrchr(text, '/') : text, "fd, %s",
                 i ? "unlinked" : "renamed");
    }
    say("open", fd_only(sys(open, path, O_RDONLY)), "by descriptor, unlinked");
    say("linkat", sys(linkat, AT_FDCWD, path, AT_FDCWD, "back", AT_SYMLINK_FOLLOW), "unlinked");
    close(f);
    mkdir("gone", 0755);
    chdir("gone");
    rmdir("../gone");
    say("getcwd", sys(getcwd, text, sizeof(text)), "removed");
    say("open", fd_only(sys(open, "x", O_CREAT | O_RDWR, 0644)), "in what is removed");
    say("mkdir", sys(mkdir, "x", 0755), "in what is removed");
    say("open", fd_only(sys(open, ".", O_RDONLY)), "what is removed");
    say("chdir", sys(chdir, ".."), "out of what is removed");
    chdir(facts_folder);
    mkdir("e", 0755);
    put_file("e/in", "", 0644);
    put_file("file", "", 0644);
    say("renameat2", sys(renameat2, AT_FDCWD, "e", AT_FDCWD, "file", 2), "exchange");
    say("renameat2", sys(renameat2, AT_FDCWD, "file", AT_FDCWD, "file/in", 2), "exchange: below");
    say("renameat2", sys(renameat2, AT_FDCWD, "file/in", AT_FDCWD, "file", 2), "exchange: above");
    say("renameat2", sys(renameat2, AT_FDCWD, "e", AT_FDCWD, "none", 2), "exchange: none");
    say("renameat2", sys(renameat2, AT_FDCWD, "e", AT_FDCWD, "white", 4), "whiteout");
    struct stat s = {0};
    say("stat", lstat("e", &s) ? -errno : (long)s.st_mode, "whiteout");
    say("stat", s.st_rdev, "whiteout: device");
}

int main(void)
{
    facts_begin();
    timers();
    signals();
    locks();
    credentials(SOCK_STREAM);
    credentials(SOCK_DGRAM);
    sources();
    for (int i = 0; i < 4; i++)
        mapped(i & 1 ? SOCK_DGRAM : SOCK_STREAM, i / 2);
    streams();
    interfaces();
    rights();
    names();
    facts_end();
}
