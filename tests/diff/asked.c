// SPDX-License-Identifier: Apache-2.0
// Facts of many families, each asked for since somebody else's test had an answer that was not
// Linux's.
#include "facts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

/* UDP_CORK: parts are kept while it is on, and go when it ends. Too much is told, whoever is there.
 */
static void corks(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    static char big[131072];
    char b[64];
    int on = 1, off = 0, r = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0),
        s = socket(AF_INET, SOCK_DGRAM, 0);
    bind(r, (void *)&a, n);
    getsockname(r, (void *)&a, &n);
    say("sendto", sys(sendto, s, big, sizeof(big), 0, &a, n), "too much, to somebody");
    a.sin_port ^= 1;
    say("sendto", sys(sendto, s, big, sizeof(big), 0, &a, n), "too much, to nobody");
    say("sendto", sys(sendto, s, big, 65508, 0, &a, n), "one byte too much, to nobody");
    a.sin_port ^= 1;
    connect(s, (void *)&a, n);
    say("sendto", sys(sendto, s, big, sizeof(big), 0, 0, 0), "too much, connected");
    n = sizeof(on);
    say("getsockopt", sys(getsockopt, s, 17, 1, &on, &n), "UDP_CORK");
    say("getsockopt", on, "UDP_CORK: off");
    on = 5;
    say("setsockopt", sys(setsockopt, s, 17, 1, &on, 4), "UDP_CORK");
    say("setsockopt", sys(setsockopt, s, 17, 1, &on, 2), "UDP_CORK: 2 bytes");
    say("getsockopt", (sys(getsockopt, s, 17, 1, &on, &n), on), "UDP_CORK: on");
    say("sendto", sys(sendto, s, "one ", 4, 0, 0, 0), "UDP_CORK: first");
    say("recvfrom", sys(recvfrom, r, b, sizeof(b), 0, 0, 0), "UDP_CORK: nothing yet");
    say("sendto", sys(sendto, s, "two", 3, 0, 0, 0), "UDP_CORK: second");
    say("setsockopt", sys(setsockopt, s, 17, 1, &off, 4), "UDP_CORK: ends");
    memset(b, 0, sizeof(b));
    say("recvfrom", sys(recvfrom, r, b, sizeof(b), 0, 0, 0), "UDP_CORK: ended");
    say_text("recvfrom", b, "UDP_CORK: bytes");
    say("setsockopt", sys(setsockopt, s, 17, 1, &off, 4), "UDP_CORK: nothing was kept");
    say("recvfrom", sys(recvfrom, r, b, sizeof(b), 0, 0, 0), "UDP_CORK: nothing more");
    close(r), close(s);
}

/* /dev/zero is memory: shared by who is forked, and no more than it was opened for. */
static void zero_device(void)
{
    int fd = open("/dev/zero", O_RDONLY), rw = open("/dev/zero", O_RDWR);
    char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    say("mprotect", sys(mprotect, p, 4096, PROT_WRITE), "/dev/zero, shared, read only");
    say("mmap", address_only(sys(mmap, NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0)),
        "/dev/zero, shared, read only: write");
    say("mmap", address_only(sys(mmap, NULL, 4096, PROT_WRITE, MAP_PRIVATE, fd, 0)),
        "/dev/zero, private, read only: write");
    volatile char *q = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, rw, 0);
    q[7] = 1;
    pid_t pid = fork();
    if (!pid) {
        q[7] = 42;
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    say("mmap", q[7], "/dev/zero, shared: a child's write");
    close(fd), close(rw);
    put_file("for-advice", "x", 0644);
    fd = open("for-advice", O_RDWR);
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    say("madvise", sys(madvise, p, 4096, MADV_FREE), "FREE: a file's, private");
    close(fd);
}

/* What LTP found that nothing here asked. */
static void asked_by_others(void)
{
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, rest[6];
    } args = {.flags = CLONE_FILES, .exit_signal = SIGCHLD};
    int fd = open("/", O_PATH);
    long pid = sys(clone3, &args, sizeof(args));
    if (!pid) {
        int r = (int)sys(close_range, fd, fd, 2 /* UNSHARE */);
        _exit(r || fcntl(fd, F_GETFD) >= 0);
    }
    int status;
    waitpid((pid_t)pid, &status, 0);
    say("close_range", status, "UNSHARE: of a child that shares");
    say("fcntl", sys(fcntl, fd, F_GETFD), "UNSHARE: the parent's is open");
    close(fd);
    args.flags = CLONE_PIDFD;
    args.pidfd = 8;
    say("clone3", sys(clone3, &args, sizeof(args)), "a bad address for the pidfd");
    since(6, 10);
    say("fcntl", sys(fcntl, open("made", O_CREAT | O_RDWR, 0600), 1028),
        "F_CREATED_QUERY: it was made");
    say("fcntl", sys(fcntl, open("made", O_CREAT | O_RDWR, 0600), 1028),
        "F_CREATED_QUERY: it was there");
    say("fcntl", sys(fcntl, open("made", O_RDWR), 1028), "F_CREATED_QUERY: opened");
    facts_since = 0;
    int zero = open("/dev/zero", O_RDONLY), full = open("/dev/full", O_RDONLY), p[2];
    pipe(p);
    since(6, 7);
    say("splice", sys(splice, zero, NULL, p[1], NULL, 1009, 0), "/dev/zero");
    say("splice", sys(splice, full, NULL, p[1], NULL, 1009, 0), "/dev/full");
    facts_since = 0;
    static char much[200000] __attribute__((aligned(4096)));
    struct {
        char *base;
        size_t size;
    } iov = {much, sizeof(much)};
    read(p[0], much, 65536);
    say("vmsplice", sys(vmsplice, p[1], &iov, 1, 0), "more than there is room for");
    say("vmsplice", sys(vmsplice, p[1], &iov, 1, 2), "NONBLOCK: no room");
    read(p[0], much, 65536);
    iov.base = (void *)8;
    say("vmsplice", sys(vmsplice, p[1], &iov, 1, 0), "a bad address");
    say("vmsplice", sys(vmsplice, p[1], &iov, 0, 0), "nothing");
    int key = 0x5e117,
        *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int id = semget(key, 3, IPC_CREAT | 0200), seg = shmget(key, 100, IPC_CREAT | 0200);
    fflush(stdout);
    pid = fork();
    if (!pid) {
        setresuid(1000, 1000, 1000);
        say("semget", sys(semget, key, 4, 0600), "a user: too many");
        say("semget", sys(semget, key, 3, 0600), "a user: no right");
        say("semget", sys(semget, key, 9, IPC_CREAT | IPC_EXCL | 0600), "a user: it is there");
        say("shmget", sys(shmget, key, 200, 0600), "a user: too large");
        say("shmget", sys(shmget, key, 100, 0600), "a user: no right");
        _exit(0);
    }
    waitpid((pid_t)pid, NULL, 0);
    semctl(id, 0, IPC_RMID);
    shmctl(seg, IPC_RMID, NULL);
    say("futex", sys(futex, word, 1, 1, NULL, NULL, 0), "WAKE: a shared word");
    munmap(word, 4096);
    say("futex", sys(futex, word, 1, 1, NULL, NULL, 0), "WAKE: a shared word that is not there");
    say("futex", sys(futex, word, 129, 1, NULL, NULL, 0), "WAKE: a private word that is not there");
    say("futex", sys(futex, word, 10, 1, 1, NULL, -1),
        "WAKE_BITSET: a shared word that is not there");
    say("futex", sys(futex, word, 4, 1, 1, word, 0),
        "CMP_REQUEUE: a shared word that is not there");
    for (int i = 0; i < 2; i++) {
        pid = fork();
        if (!pid) {
            say("kcmp", sys(kcmp, getpid(), getppid(), 5, 0, 0), "IO of parent and child");
            _exit(0);
        }
        waitpid((pid_t)pid, NULL, 0);
    }
    prctl(PR_SET_TIMERSLACK, 70000);
    pid = fork();
    if (!pid) {
        say("prctl", sys(prctl, PR_GET_TIMERSLACK), "a child's timer slack");
        prctl(PR_SET_TIMERSLACK, 0);
        say("prctl", sys(prctl, PR_GET_TIMERSLACK), "a child's default timer slack");
        _exit(0);
    }
    waitpid((pid_t)pid, NULL, 0);
    pid = fork();
    if (!pid) {
        pause();
        _exit(0);
    }
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld", pid);
    fd = open(path, O_RDONLY | O_DIRECTORY);
    say("pidfd_send_signal", sys(pidfd_send_signal, fd, 0, NULL, 0), "0: directory of a process");
    siginfo_t said = {.si_signo = SIGUSR2, .si_code = SI_QUEUE};
    say("pidfd_send_signal", sys(pidfd_send_signal, fd, SIGTERM, &said, 0), "another number");
    say("pidfd_send_signal", sys(pidfd_send_signal, fd, SIGTERM, 8, 0), "bad info");
    say("pidfd_send_signal", sys(pidfd_send_signal, fd, SIGTERM, NULL, 0),
        "directory of a process");
    close(fd);
    waitpid((pid_t)pid, &status, 0);
    say("wait4", status, "ended by it");
    pid = fork();
    if (!pid) {
        pause();
        _exit(0);
    }
    siginfo_t info;
    fd = (int)sys(pidfd_open, pid, O_NONBLOCK);
    say("waitid", sys(waitid, 3, fd, &info, WEXITED, NULL), "a pidfd that does not wait: it runs");
    say("waitid", sys(waitid, 3, fd, &info, WEXITED | WNOHANG, NULL), "WNOHANG: it runs");
    kill((pid_t)pid, SIGKILL);
    usleep(100000);
    say("waitid", sys(waitid, 3, fd, &info, WEXITED, NULL), "a pidfd that does not wait: it ended");
    close(fd);
    int timer;
    sys(timer_create, CLOCK_REALTIME, NULL, &timer);
    say("timer_settime", sys(timer_settime, timer, 0, NULL, NULL), "nothing");
    say("arch_prctl", sys(arch_prctl, 0x1011, 0), "ARCH_GET_CPUID");
    close(zero), close(full), close(p[0]), close(p[1]);
}

/* IP_RECVERR: what nobody took comes back. */
static void refused(int family)
{
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    void *a = family == AF_INET ? (void *)&a4 : (void *)&a6;
    socklen_t size = family == AF_INET ? sizeof(a4) : sizeof(a6);
    int level = family == AF_INET ? 0 : 41, name = family == AF_INET ? 11 : 25, on = 1;
    int s = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0), error;
    static char much[4000], b[4000], control[256];
    bind(s, a, size); /* for a port that nobody has */
    getsockname(s, a, &size);
    close(s);
    const char *is = family == AF_INET ? "IPv4" : "IPv6";
    for (int how = 0; how < 4; how++) {
        s = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        setsockopt(s, level, name, &on, how < 2 ? 0 : sizeof(on));
        if (how & 1)
            connect(s, a, size);
        struct sockaddr_in6 from = {0};
        struct iovec v = {b, sizeof(b)};
        struct msghdr m = {&from, sizeof(from), &v, 1, control, sizeof(control), 0};
        struct pollfd p = {s, POLLIN | POLLOUT};
        say("recvmsg", sys(recvmsg, s, &m, MSG_ERRQUEUE), "%s, %d: errors: none", is, how);
        say("sendto", sys(sendto, s, "hello", 5, 0, a, size), "%s, %d: to nobody", is, how);
        usleep(20000);
        poll(&p, 1, 0);
        say("poll", p.revents, "%s, %d: after it", is, how);
        m.msg_controllen = sizeof(control);
        say("recvmsg", sys(recvmsg, s, &m, MSG_ERRQUEUE), "%s, %d: errors: one", is, how);
        if (how >= 2) {
            struct cmsghdr *c = CMSG_FIRSTHDR(&m);
            say("recvmsg", m.msg_flags, "%s, %d: flags", is, how);
            say("recvmsg", m.msg_namelen, "%s, %d: size of the address", is, how);
            say("recvmsg", !memcmp(&from, a, size), "%s, %d: where it was sent", is, how);
            say("recvmsg", !memcmp(b, "hello", 5), "%s, %d: what was sent", is, how);
            say("recvmsg", c ? (long)c->cmsg_len : -1, "%s, %d: control: size", is, how);
            say("recvmsg", c ? c->cmsg_level * 1000 + c->cmsg_type : -1, "%s, %d: control: type",
                is, how);
            unsigned char *e = c ? CMSG_DATA(c) : (void *)b;
            say("recvmsg", e[0], "%s, %d: error", is, how);
            say("recvmsg", e[4] * 10000 + e[5] * 100 + e[6], "%s, %d: origin, type, code", is, how);
            say("recvmsg", e[16], "%s, %d: family of who said so", is, how);
            say("recvmsg", family == AF_INET ? e[20] : e[16 + 8 + 15], "%s, %d: who said so", is,
                how);
        }
        socklen_t n = sizeof(error);
        getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &n);
        say("getsockopt", error, "%s, %d: SO_ERROR", is, how);
        say("recvmsg", sys(recvmsg, s, &m, MSG_ERRQUEUE), "%s, %d: errors: no more", is, how);
        say("sendto", sys(sendto, s, much, sizeof(much), 0, a, size), "%s, %d: much", is, how);
        usleep(20000);
        say("recvfrom", sys(recvfrom, s, b, sizeof(b), 0, 0, 0), "%s, %d: hears of it", is, how);
        say("recvmsg", sys(recvmsg, s, &m, MSG_ERRQUEUE), "%s, %d: errors: bytes of much", is, how);
        close(s);
    }
}

/* EPOLLEXCLUSIVE: of those who sleep in epolls of their own each event wakes one; else all. */
static void exclusive(void)
{
    for (int how = 0; how < 2; how++) {
        int data[2], told[2], status;
        char got[16];
        pipe(data);
        pipe(told);
        for (int i = 0; i < 4; i++) {
            if (fork() == 0) {
                int e = epoll_create1(0);
                struct epoll_event ev = {.events = EPOLLIN | (how ? EPOLLEXCLUSIVE : 0)};
                epoll_ctl(e, EPOLL_CTL_ADD, data[0], &ev);
                (void)!write(told[1], "r", 1);
                if (epoll_wait(e, &ev, 1, 1500) == 1)
                    (void)!write(told[1], "w", 1);
                _exit(0);
            }
        }
        for (int i = 0; i < 4; i++)
            (void)!read(told[0], got, 1);
        usleep(300000);
        fcntl(told[0], F_SETFL, O_NONBLOCK);
        for (int event = 0; event < 2; event++) {
            (void)!write(data[1], "x", 1);
            usleep(300000);
            say("epoll_wait", sys(read, told[0], got, 16), "%s: woken by event %d",
                how ? "EXCLUSIVE" : "all", event);
        }
        while (wait(&status) > 0)
            continue;
        close(data[0]), close(data[1]), close(told[0]), close(told[1]);
    }
}

static void aio_masks(void)
{
    unsigned long id = 0, set = 0;
    struct {
        unsigned long *set, size;
    } mask = {&set, 8}, wrong = {&set, 4}, nowhere = {(void *)8, 8};
    char events[64];
    struct timespec none = {0, 0}, bad = {0, -1};
    sys(io_setup, 4, &id);
    say("io_pgetevents", sys(io_pgetevents, id, 0, 1, events, &none, NULL), "no mask");
    say("io_pgetevents", sys(io_pgetevents, id, 0, 1, events, &none, &mask), "a mask");
    say("io_pgetevents", sys(io_pgetevents, id, 0, 1, events, &none, &wrong), "a mask of 4 bytes");
    say("io_pgetevents", sys(io_pgetevents, id, 0, 1, events, &none, &nowhere), "a mask nowhere");
    say("io_pgetevents", sys(io_pgetevents, id, 0, 1, events, &none, 8), "nowhere");
    say("io_pgetevents", sys(io_pgetevents, id, 0, 1, events, &bad, &mask), "bad time");
    say("io_pgetevents", sys(io_pgetevents, id, 2, 1, events, &none, &mask), "least above most");
    say("io_pgetevents", sys(io_pgetevents, 8, 0, 1, events, &none, &mask), "no context");
    sys(io_destroy, id);
}

/* A heap grows, wherever the program that has it was put. */
static void heaps(void)
{
    int failed = 0, status;
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        if (!pid) {
            char *args[] = {"asked", "heap", NULL};
            execv("/proc/self/exe", args);
            _exit(2);
        }
        waitpid(pid, &status, 0);
        failed += status != 0;
    }
    say("brk", failed, "programs whose heap does not grow");
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return sbrk(1 << 20) == (void *)-1;
    facts_begin();
    corks();
    zero_device();
    asked_by_others();
    refused(AF_INET);
    refused(AF_INET6);
    aio_masks();
    exclusive();
    heaps();
    facts_end();
    return 0;
}
