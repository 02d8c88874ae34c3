// SPDX-License-Identifier: Apache-2.0
// Facts of many families, each asked for since somebody else's test had an answer that was not
// Linux's.
#include "facts.h"

#include <arpa/inet.h>
#include <pthread.h>
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

/* Things whose end has come, or that never have anything to tell; on a memory file system. */
static void ends(void)
{
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                          "/dev/urandom"};
    struct epoll_event ev = {.events = EPOLLIN};
    struct rlimit limit, low;
    char names[1024], folder[] = "/dev/shm/ends.XXXXXX";
    int e = epoll_create1(0), back = open(".", O_RDONLY | O_DIRECTORY);

    for (long i = 0; i < COUNT(devices); i++)
        say("epoll_ctl", sys(epoll_ctl, e, EPOLL_CTL_ADD, open(devices[i], O_RDWR), &ev),
            devices[i]);
    if (!mkdtemp(folder) || chdir(folder))
        exit(1);
    mkdir("d", 0755);
    int d = open("d", O_RDONLY | O_DIRECTORY), again = open("d", O_RDONLY | O_DIRECTORY);
    say("getdents64", sys(getdents64, again, names, sizeof(names)) > 0, "a folder that is there");
    lseek(again, 0, SEEK_SET);
    rmdir("d");
    say("getdents64", sys(getdents64, d, names, sizeof(names)), "a folder that is gone");
    say("getdents64", sys(getdents64, again, names, sizeof(names)), "gone, read before");
    int f = open("f", O_RDWR | O_CREAT, 0600);
    say("ftruncate", sys(ftruncate, f, 65536), "a file");
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    low = (struct rlimit){16384, limit.rlim_max};
    setrlimit(RLIMIT_FSIZE, &low);
    say("pwrite64", sys(pwrite64, f, "x", 1, 20000), "within a file, behind RLIMIT_FSIZE");
    say("pwrite64", sys(pwrite64, f, names, 100, 16380), "over RLIMIT_FSIZE");
    say("pwrite64", sys(pwrite64, f, "x", 1, 16384), "at RLIMIT_FSIZE");
    say("ftruncate", sys(ftruncate, f, 30000), "to behind RLIMIT_FSIZE, less than it has");
    say("ftruncate", sys(ftruncate, f, 30001), "to behind RLIMIT_FSIZE, more than it has");
    setrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, SIG_DFL);
    close(e), close(d), close(again), close(f);
    unlink("f");
    if (fchdir(back) || rmdir(folder))
        exit(1);
    close(back);
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

static void file_systems(void)
{
    char b[64] = "", ten[64];
    struct stat st;
    struct {
        int free;
        unsigned long inodes;
        char names[12];
    } u = {-1, 0, "x"};
    stat(".", &st);
    say("ustat", sys(ustat, st.st_dev, &u), "of a folder's device");
    say("ustat", u.free > 0 && u.inodes > 0 && !u.names[0], "there is room, and no name");
    say("ustat", sys(ustat, -1, &u), "of none");
    say("ustat", sys(ustat, st.st_dev, 8), "to nowhere");
    say("sysfs", sys(sysfs, 3, 0, 0) > 3, "more than three");
    say("sysfs", sys(sysfs, 1, "ext0", 0), "a name that is none");
    say("sysfs", sys(sysfs, 1, 0, 0), "a name nowhere");
    say("sysfs", sys(sysfs, 4, 0, 0), "option 4");
    say("sysfs", sys(sysfs, 0, 0, 0), "option 0");
    say("sysfs", sys(sysfs, 2, 1000, b), "number 1000");
    say("sysfs", sys(sysfs, 2, 0, 8), "number 0, to nowhere");
    long n = sys(sysfs, 1, "tmpfs", 0);
    say("sysfs", n >= 0, "tmpfs has a number");
    say("sysfs", sys(sysfs, 2, n, ten), "its name again");
    say_text("sysfs", ten, "its name");
}

static void handles(void)
{
    static struct {
        unsigned size;
        int type;
        unsigned char bytes[128];
    } h, again, other;
    int mount = -1;
    const int fid = 0x200;
    put_file("handle", "x", 0600);
    put_file("another", "x", 0600);
    symlink("handle", "to_handle");
#define HANDLE(fd, path, to, flags) sys(name_to_handle_at, fd, path, to, &mount, flags)
    say("name_to_handle_at", HANDLE(AT_FDCWD, "handle", &h, 0), "no room");
    say("name_to_handle_at", h.size, "no room: so much is wanted");
    again.size = other.size = h.size;
    say("name_to_handle_at", HANDLE(AT_FDCWD, "handle", &h, 0), "room");
    say("name_to_handle_at", h.type, "its type");
    say("name_to_handle_at", mount >= 0, "its mount");
    HANDLE(AT_FDCWD, "to_handle", &again, AT_SYMLINK_FOLLOW);
    HANDLE(AT_FDCWD, "another", &other, 0);
    say("name_to_handle_at", !memcmp(&h, &again, sizeof(h)), "the same by a link");
    say("name_to_handle_at", !memcmp(&h, &other, sizeof(h)), "the same of another file");
    int fd = open("handle", O_RDONLY), link = open("to_handle", O_PATH | O_NOFOLLOW);
    say("name_to_handle_at", HANDLE(fd, "", &again, AT_EMPTY_PATH), "by a descriptor");
    say("name_to_handle_at", !memcmp(&h, &again, sizeof(h)), "by a descriptor: the same");
    say("name_to_handle_at", HANDLE(link, "", &other, AT_EMPTY_PATH), "of a link");
    say("name_to_handle_at", HANDLE(fd, "x", &other, 0), "below a file");
    say("name_to_handle_at", HANDLE(-1, "x", &other, 0), "below nothing");
    say("name_to_handle_at", HANDLE(-1, "", &other, AT_EMPTY_PATH), "of nothing");
    say("name_to_handle_at", HANDLE(AT_FDCWD, "", &other, 0), "an empty name");
    say("name_to_handle_at", HANDLE(AT_FDCWD, "missing", &other, 0), "what is missing");
    say("name_to_handle_at", HANDLE(AT_FDCWD, 8, &other, 0), "a name nowhere");
    say("name_to_handle_at", HANDLE(AT_FDCWD, "handle", 8, 0), "to nowhere");
    say("name_to_handle_at", sys(name_to_handle_at, AT_FDCWD, "handle", &h, 8, 0),
        "mount to nowhere");
    other.size = 129;
    say("name_to_handle_at", HANDLE(AT_FDCWD, "handle", &other, 0), "129 bytes");
    other.size = 128;
    say("name_to_handle_at", HANDLE(AT_FDCWD, "/proc/version", &other, 0), "of /proc");
    other.size = 128;
    say("name_to_handle_at", HANDLE(AT_FDCWD, "handle", &other, -1), "flags -1");
    since(6, 6);
    say("name_to_handle_at", HANDLE(AT_FDCWD, "handle", &other, fid), "AT_HANDLE_FID");
    facts_since = 0;
    say("open_by_handle_at", sys(open_by_handle_at, AT_FDCWD, &h, O_RDONLY), "nobody may");
    close(fd), close(link);
}

/* Namespaces as files: there is one of each kind. */
static void namespaces(void)
{
    static const struct {
        const char *name;
        int type;
    } kinds[] = {{"cgroup", 0x02000000}, {"ipc", 0x08000000}, {"mnt", 0x00020000},
                 {"net", 0x40000000},    {"pid", 0x20000000}, {"user", 0x10000000},
                 {"uts", 0x04000000}};
    struct stat st, again;
    unsigned uid = 7;
    for (long i = 0; i < COUNT(kinds); i++) {
        char path[64], text[64] = "";
        const char *name = kinds[i].name;
        snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
        int fd = open(path, O_RDONLY);
        say("open", fd_only(dup(fd)), "%s", path);
        say("ioctl", sys(ioctl, fd, 0xb703, 0), "NS_GET_NSTYPE: %s", name);
        say("ioctl", fd_only(sys(ioctl, fd, 0xb702, 0)), "NS_GET_PARENT: %s", name);
        say("ioctl", fd_only(sys(ioctl, fd, 0xb701, 0)), "NS_GET_USERNS: %s", name);
        say("ioctl", sys(ioctl, fd, 0xb704, &uid), "NS_GET_OWNER_UID: %s", name);
        say("ioctl", sys(ioctl, fd, 0xb7ff, 0), "no request: %s", name);
        say("setns", sys(setns, fd, 0), "%s", name);
        say("setns", sys(setns, fd, kinds[i].type), "%s, and it is", name);
        say("setns", sys(setns, fd, kinds[i].type == 0x20000 ? 0x4000000 : 0x20000),
            "%s, and it is another", name);
        say("read", read(fd, text, 8) < 0 ? -errno : 0, "%s", path);
        fstat(fd, &st);
        stat(path, &again);
        say("fstat", st.st_mode, "%s", path);
        say("fstat", st.st_ino == again.st_ino, "%s: its number is what stat says", path);
        long n = readlink(path, text, sizeof(text) - 1);
        say("readlink", n > 0 && strtoul(strchr(text, '[') + 1, NULL, 10) == st.st_ino,
            "%s: and the link's", path);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        char of_fd[64] = "";
        readlink(path, of_fd, sizeof(of_fd) - 1);
        say("readlink", !strcmp(text, of_fd), "%s: as of its descriptor", name);
        close(fd);
    }
    int null = open("/dev/null", O_RDWR);
    say("setns", sys(setns, null, 0), "no namespace");
    say("setns", sys(setns, -1, 0), "no descriptor");
    close(null);
}

/* A message arrives: a thread of the libc is told by bytes on a socket. */
static void told_by_socket(void)
{
    struct {
        void *cookie;
        int socket, notify, pad[12];
    } e = {NULL, -1, 2, {0}};
    char cookie[32] = "a cookie", got[64];
    struct timespec soon = {1, 0};
    long q = sys(mq_open, "facts-told", O_RDWR | O_CREAT | O_NONBLOCK, 0600, NULL);
    e.socket = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, 0);
    say("mq_notify", sys(mq_notify, q, &e), "a cookie nowhere");
    e.cookie = cookie;
    say("mq_notify", sys(mq_notify, q, &e), "to a socket");
    say("mq_notify", sys(mq_notify, q, &e), "to a socket, again");
    sys(mq_timedsend, q, "x", 1, 0, &soon);
    memset(got, 0, sizeof(got));
    say("recvfrom", recv(e.socket, got, sizeof(got), 0), "the cookie");
    say_text("recvfrom", got, "the cookie");
    say("recvfrom", got[31], "the cookie: why");
    say("recvfrom", recv(e.socket, got, sizeof(got), 0) < 0 ? -errno : 0, "no other");
    sys(mq_notify, q, &e);
    say("mq_notify", sys(mq_notify, q, NULL), "no more");
    say("recvfrom", recv(e.socket, got, sizeof(got), 0), "the cookie comes back");
    say("recvfrom", got[31], "the cookie that comes back: why");
    int socket_of = e.socket;
    e.socket = 999;
    say("mq_notify", sys(mq_notify, q, &e), "to no descriptor");
    e.socket = (int)q;
    say("mq_notify", sys(mq_notify, q, &e), "to no socket");
    e.notify = 3;
    say("mq_notify", sys(mq_notify, q, &e), "notify 3");
    close((int)q), close(socket_of);
    sys(mq_unlink, "facts-told");
}

/* What links of descriptors without a name say. */
static void names_of_descriptors(void)
{
    int fds[] = {(int)sys(eventfd2, 0, 0), (int)sys(epoll_create1, 0),
                 (int)sys(timerfd_create, 1, 0), (int)sys(inotify_init1, 0)};
    for (long i = 0; i < COUNT(fds); i++) {
        char path[64], text[64] = "";
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[i]);
        say("readlink", readlink(path, text, sizeof(text) - 1), "anonymous descriptor %ld", i);
        say_text("readlink", text, "anonymous descriptor %ld: text", i);
        close(fds[i]);
    }
}

static volatile int barrier_end, barrier_runs;
static void *compute(void *none)
{
    while (!barrier_end)
        barrier_runs = 1;
    return none;
}

/* Of membarrier's commands those for one process: QUERY 0, PRIVATE_EXPEDITED 8, to register 16. */
static void barriers(void)
{
    pthread_t t;
    int status, failed = 0;
    say("membarrier", sys(membarrier, 0, 0, 0) & 24, "what there is");
    say("membarrier", sys(membarrier, 0, 2, 0), "flags");
    say("membarrier", sys(membarrier, 3, 0, 0), "3");
    say("membarrier", sys(membarrier, 8, 0, 0), "not registered");
    say("membarrier", sys(membarrier, 16, 2, 0), "to register with flags");
    say("membarrier", sys(membarrier, 16, 0, 0), "to register");
    say("membarrier", sys(membarrier, 8, 0, 0), "alone");
    pthread_create(&t, NULL, compute, NULL);
    while (!barrier_runs)
        ;
    for (int i = 0; i < 50; i++)
        failed += sys(membarrier, 8, 0, 0) != 0;
    say("membarrier", failed, "beside one who computes: failed");
    barrier_end = 1;
    pthread_join(t, NULL);
    pid_t pid = fork();
    if (!pid)
        _exit(sys(membarrier, 8, 0, 0) == 0);
    waitpid(pid, &status, 0);
    say("membarrier", WEXITSTATUS(status), "a child has what its parent registered for");
}

static void windows(void)
{
    const long page = 4096;
    int fd = open("pages", O_RDWR | O_CREAT, 0600);
    ftruncate(fd, 4 * page);
    char *p = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *own = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 4; i++)
        p[i * page] = (char)('a' + i);
#define REMAP(at, size, prot, pg) sys(remap_file_pages, at, size, prot, pg, 0)
    say("remap_file_pages", REMAP(p, page, 0, 3), "the first page shows the last");
    say("remap_file_pages", p[0], "it does");
    p[0] = 'x';
    say("remap_file_pages", p[3 * page], "they are one");
    say("remap_file_pages", REMAP(p + page, 2 * page, 0, 0), "two pages");
    say("remap_file_pages", p[page] << 8 | p[2 * page], "two pages: what they show");
    say("remap_file_pages", REMAP(p, page, PROT_READ, 0), "with rights");
    say("remap_file_pages", REMAP(p, 0, 0, 0), "nothing");
    say("remap_file_pages", REMAP(own, page, 0, 0), "a private mapping");
    say("remap_file_pages", REMAP(8 * page, page, 0, 0), "no mapping");
    say("remap_file_pages", REMAP(p, page, 0, -1), "page -1");
    munmap(p, 4 * page), munmap(own, page);
    close(fd);
}

/* SECBIT_*: NOROOT 1, NO_SETUID_FIXUP 4, KEEP_CAPS 16, NO_CAP_AMBIENT_RAISE 64; each is locked by
 * the next bit. */
static void secure_bits(void)
{
    struct {
        unsigned version;
        int pid;
    } head = {0x20080522, 0};
    unsigned data[6];
    fflush(stdout);
    pid_t pid = fork();
    if (pid) {
        waitpid(pid, NULL, 0);
        return;
    }
    say("prctl", prctl(PR_GET_SECUREBITS), "securebits at first");
    say("prctl", sys(prctl, PR_SET_SECUREBITS, 1 << 12), "a bit that is none");
    say("prctl", sys(prctl, PR_SET_SECUREBITS, 64 | 16), "no ambient raise, keep");
    say("prctl", prctl(PR_GET_SECUREBITS), "what was set");
    say("prctl", prctl(PR_GET_KEEPCAPS), "KEEPCAPS is one of them");
    sys(capget, &head, data);
    data[2] |= 1u << 10;
    say("capset", sys(capset, &head, data), "NET_BIND_SERVICE is inherited");
    say("prctl", sys(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 10, 0, 0), "raise it");
    say("prctl", sys(prctl, PR_SET_SECUREBITS, 0), "none again");
    say("prctl", sys(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 10, 0, 0), "raise it now");
    say("prctl", sys(prctl, PR_SET_SECUREBITS, 4 | 8 | 32), "no fixup and its lock, keep's lock");
    say("prctl", sys(prctl, PR_SET_SECUREBITS, 8 | 32), "no fixup off");
    say("prctl", sys(prctl, PR_SET_SECUREBITS, 4 | 32), "the lock off");
    say("prctl", sys(prctl, PR_SET_KEEPCAPS, 1), "KEEPCAPS, locked");
    sys(setresuid, 1000, 1000, 1000);
    sys(capget, &head, data);
    say("capget", data[0], "without fixup another user has them");
    say("prctl", sys(prctl, PR_SET_SECUREBITS, 1 | 4 | 8 | 32), "no root, too");
    sys(setresuid, 0, 0, 0);
    char *args[] = {"asked", "caps", NULL};
    execv("/proc/self/exe", args);
    _exit(2);
}

/* What a program has that root executed for whom NOROOT holds. */
static int tell_caps(void)
{
    struct {
        unsigned version;
        int pid;
    } head = {0x20080522, 0};
    unsigned data[6] = {0};
    sys(capget, &head, data);
    say("capget", data[0], "no root: effective");
    say("capget", data[1], "no root: permitted");
    say("prctl", prctl(PR_GET_SECUREBITS), "securebits of an executed program");
    return 0;
}

static void many_groups(void)
{
    say("setgroups", sys(setgroups, 65537, 8), "65,537");
    say("setgroups", sys(setgroups, 65536, 8), "65,536, nowhere");
    say("setgroups", sys(setgroups, 0, 8), "none, nowhere");
}

static void entropy(void)
{
    int fd = open("/dev/urandom", O_RDONLY), bits = -1;
    say("ioctl", sys(ioctl, fd, 0x80045200, &bits), "RNDGETENTCNT");
    say("ioctl", bits, "RNDGETENTCNT: so many");
    say("ioctl", sys(ioctl, fd, 0x80045200, 8), "RNDGETENTCNT, to nowhere");
    for (int request = 1; request < 9; request++)
        say("ioctl",
            request == 3 || request == 4 || request == 6 ? sys(ioctl, fd, 0x5200 + request, 0) : 0,
            "urandom: request %d", request);
    close(fd);
}

/* O_CREAT by a link of /proc: to the file that it stands for. */
static void made_by_links(void)
{
    say("openat", fd_only(sys(openat, AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CREAT, 0600)),
        "O_CREAT of exe");
    say("openat",
        fd_only(sys(openat, AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CREAT | O_EXCL, 0600)),
        "O_CREAT, O_EXCL of exe");
    say("openat", fd_only(sys(openat, AT_FDCWD, "/proc/self/cwd", O_RDONLY | O_CREAT, 0600)),
        "O_CREAT of cwd");
    say("openat", fd_only(sys(openat, AT_FDCWD, "/proc/self/fd/999", O_RDONLY | O_CREAT, 0600)),
        "O_CREAT of no descriptor");
    say("openat", fd_only(sys(openat, AT_FDCWD, "/proc/self/fd/1", O_WRONLY | O_CREAT, 0600)),
        "O_CREAT of a descriptor");
}

static volatile int made_enough;
static void *make_through_link(void *wrong)
{
    for (int i = 0; i < 2000; i++) {
        unlink("far/made");
        int fd = open("to", O_CREAT | O_RDWR, 0600);
        *(int *)wrong += fd < 0;
        close(fd);
    }
    made_enough = 1;
    return NULL;
}

/* A file that a link to elsewhere makes is found from the link's folder; meanwhile other threads
 * find names from theirs. */
static void made_elsewhere_beside(void)
{
    char before[4096] = "", now[4096];
    int wrong = 0, missed = 0;
    pthread_t t;
    mkdir("far", 0700);
    symlink("far/made", "to");
    put_file("near", "x", 0600);
    (void)!getcwd(before, sizeof(before));
    pthread_create(&t, NULL, make_through_link, &wrong);
    while (!made_enough)
        missed += access("near", F_OK) || !getcwd(now, sizeof(now)) || strcmp(now, before);
    pthread_join(t, NULL);
    say("openat", wrong, "O_CREAT through a link: not made");
    say("access", missed, "beside O_CREAT through a link: not found");
}

/* What was written and then made executable runs, and can be written no more. */
static void written_then_run(void)
{
    static const unsigned char code[] = {0xb8, 7, 0, 0, 0, 0xc3}; /* mov $7, %eax; ret */
    unsigned char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int status;
    memcpy(p, code, sizeof(code));
    say("mprotect", sys(mprotect, p, 4096, PROT_READ | PROT_EXEC), "to be run");
    say("mprotect", ((int (*)(void))p)(), "it runs");
    pid_t pid = fork();
    if (!pid) {
        *(volatile unsigned char *)p = 0;
        _exit(0);
    }
    waitpid(pid, &status, 0);
    say("mprotect", WTERMSIG(status), "written to: the signal");
    say("mprotect", sys(mprotect, p, 4096, PROT_READ | PROT_WRITE), "to be written");
    p[1] = 8;
    say("mprotect", sys(mprotect, p, 4096, PROT_READ | PROT_EXEC), "to be run again");
    say("mprotect", ((int (*)(void))p)(), "it runs anew");
    munmap(p, 4096);
}

/* A file that is made by a link into another folder: one's own folder stays. */
static void made_elsewhere(void)
{
    char before[256] = "", after[256] = "";
    mkdir("elsewhere", 0700);
    symlink("elsewhere/made", "leads");
    sys(getcwd, before, sizeof(before));
    say("openat", fd_only(sys(openat, AT_FDCWD, "leads", O_CREAT | O_WRONLY, 0600)),
        "made by a link");
    sys(getcwd, after, sizeof(after));
    say("getcwd", !strcmp(before, after), "as before it");
    say("access", access("elsewhere/made", F_OK) ? -errno : 0, "it is where the link says");
}

/* An epoll in an epoll in an epoll: what is ready in the inmost is, for each of them. */
static void nested(void)
{
    int e[4], v = (int)sys(eventfd2, 0, O_NONBLOCK);
    struct {
        unsigned events;
        char data[8];
    } __attribute__((packed)) ev = {1, ""}, got;
    for (int i = 0; i < 4; i++) {
        e[i] = (int)sys(epoll_create1, 0);
        say("epoll_ctl", sys(epoll_ctl, e[i], 1, i ? e[i - 1] : v, &ev), "nested %d deep", i);
    }
    say("epoll_wait", sys(epoll_wait, e[3], &got, 1, 0), "nested: nothing is ready");
    sys(write, v, &(long){1}, 8);
    for (int i = 0; i < 4; i++)
        say("epoll_wait", sys(epoll_wait, e[i], &got, 1, 0), "nested %d deep: ready", i);
    say("epoll_ctl", sys(epoll_ctl, e[0], 1, e[3], &ev), "a circle");
    for (int i = 0; i < 4; i++)
        close(e[i]);
    close(v);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "caps"))
        return tell_caps();
    if (argc > 1)
        return sbrk(1 << 20) == (void *)-1;
    facts_begin();
    ends();
    corks();
    zero_device();
    asked_by_others();
    refused(AF_INET);
    refused(AF_INET6);
    aio_masks();
    exclusive();
    heaps();
    file_systems();
    handles();
    namespaces();
    told_by_socket();
    names_of_descriptors();
    barriers();
    windows();
    many_groups();
    secure_bits();
    entropy();
    made_by_links();
    made_elsewhere_beside();
    written_then_run();
    made_elsewhere();
    nested();
    facts_end();
    return 0;
}
