// SPDX-License-Identifier: Apache-2.0
// One question a line to the LibOS, for a host that lies about the answer: `probe WHAT...` prints
// what came back, and "spoilt" if bytes changed that the call had no business with.
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ROOM 4096
#define FILL 0xa7

static uint8_t area[3 * ROOM];
static uint8_t *const buf = area + ROOM;

static void guard(void)
{
    memset(area, FILL, sizeof(area));
}

/* The answer, and whether anything but buf[0..allowed) was written. */
static void say(const char *what, long r, size_t allowed)
{
    const char *spoilt = "";
    for (size_t i = 0; i < sizeof(area); i++) {
        if ((i < ROOM || i >= ROOM + allowed) && area[i] != FILL)
            spoilt = " spoilt";
    }
    if (r < 0)
        printf("%s %s%s\n", what, strerrorname_np(errno), spoilt);
    else
        printf("%s %ld%s\n", what, r, spoilt);
    fflush(stdout);
}

static void probe_read(void)
{
    guard();
    long r = read(0, buf, 100);
    say("read", r, r > 0 ? (size_t)r : 0);
}

static void probe_write(void)
{
    guard();
    say("write", write(2, "12345678", 8), 0);
}

static void probe_tty(void)
{
    guard();
    say("tcgets", ioctl(0, TCGETS, buf), 60);
    guard();
    say("winsize", ioctl(0, TIOCGWINSZ, buf), sizeof(struct winsize));
}

/* What the terminal is for the program, in one line: modes, window. */
static void probe_terminal(void)
{
    struct termios t = {0};
    struct winsize w = {0};
    if (tcgetattr(0, &t) || ioctl(0, TIOCGWINSZ, &w))
        printf("terminal %s\n", strerrorname_np(errno));
    else
        printf("terminal %x %x %x %dx%d\n", t.c_iflag, t.c_oflag, t.c_lflag, w.ws_row, w.ws_col);
    fflush(stdout);
}

static uint64_t now(clockid_t id)
{
    struct timespec ts = {0, 0};
    if (clock_gettime(id, &ts) || ts.tv_nsec < 0 || ts.tv_nsec >= 1000000000)
        return UINT64_MAX;
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void probe_clock(void)
{
    guard();
    static const clockid_t ids[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_PROCESS_CPUTIME_ID};
    long back = 0;
    for (int i = 0; i < 3; i++) {
        uint64_t last = 0;
        for (int n = 0; n < 2000; n++) {
            uint64_t t = now(ids[i]);
            back += i < 2 && t < last; /* processor time is the host's to tell */
            last = t;
        }
    }
    say("clock", back, 0);
}

static void probe_sleep(void)
{
    guard();
    struct timespec ts = {0, 3000000};
    uint64_t before = now(CLOCK_MONOTONIC);
    int r = nanosleep(&ts, NULL);
    say("sleep", r ? r : now(CLOCK_MONOTONIC) - before >= 3000000, 0);
}

static void probe_poll(void)
{
    struct pollfd p[2] = {{.fd = 0, .events = POLLIN}, {.fd = 1, .events = POLLOUT}};
    guard();
    long r = poll(p, 2, 5);
    say("poll", r, 0);
    say("events",
        (long)(p[0].revents & ~(POLLIN | POLLHUP | POLLERR)) |
            (p[1].revents & ~(POLLOUT | POLLHUP | POLLERR)),
        0);
}

/* A pipe never leaves the enclave, whatever the host says of waiting. */
static void *writer(void *arg)
{
    int *fd = arg;
    usleep(2000);
    for (char c = 'a'; c < 'k'; c++) {
        if (write(fd[1], &c, 1) != 1)
            abort();
        usleep(100);
    }
    close(fd[1]);
    return NULL;
}

static void probe_pipe(void)
{
    guard();
    int fd[2];
    char got[32] = "";
    size_t n = 0;
    pthread_t t;
    if (pipe(fd) || pthread_create(&t, NULL, writer, fd)) {
        say("pipe", -1, 0);
        return;
    }
    for (long r; (r = read(fd[0], got + n, 1)) > 0;)
        n += (size_t)r;
    pthread_join(t, NULL);
    printf("pipe %s\n", got);
    fflush(stdout);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long count;

static void *counter(void *arg)
{
    for (int i = 0; i < 300; i++) {
        pthread_mutex_lock(&lock);
        count++;
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void probe_threads(void)
{
    pthread_t t[4];
    int made = 0;
    count = 0;
    for (int i = 0; i < 4; i++)
        made += pthread_create(&t[made], NULL, counter, NULL) == 0;
    for (int i = 0; i < made; i++)
        pthread_join(t[i], NULL);
    printf("threads %s %s\n", made == 4 ? "all" : "not all",
           count == made * 300 ? "whole" : "lost");
    fflush(stdout);
}

/* Processes at the same addresses, each with its own content there, and pages that all have: nobody
 * may ever see another's. */
#define FAMILY 3
static int family_step(uint32_t *own, uint32_t mine, atomic_int *shared)
{
    for (int i = 0; i < 8 * ROOM / 4; i++) {
        if (own[i] != mine + (uint32_t)i)
            return 1;
    }
    atomic_fetch_add(shared, 1);
    return 0;
}

static int family_member(uint32_t mine, atomic_int *shared, int from, int to, bool spins)
{
    static uint32_t own[8 * ROOM / 4];
    int wrong = 0;
    char byte = 'x';
    for (int i = 0; i < 8 * ROOM / 4; i++)
        own[i] = mine + (uint32_t)i;
    for (int round = 0; round < 12 && !wrong; round++) {
        if (spins) { /* each in its turn, and nobody gives it up by a call */
            while (atomic_load(shared) % (FAMILY + 1) != (int)(mine >> 24) && !wrong)
                wrong = own[round] != mine + (uint32_t)round;
        } else if (read(from, &byte, 1) != 1) {
            return 2;
        }
        wrong += family_step(own, mine, shared);
        if (!spins && write(to, &byte, 1) != 1)
            return 3;
    }
    return wrong;
}

static void family(const char *name, bool spins)
{
    atomic_int *shared =
        mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int p[FAMILY + 1][2], status, wrong = 0, made = 0;
    for (int i = 0; i <= FAMILY; i++)
        wrong += pipe(p[i]) != 0;
    for (int i = 0; i < FAMILY; i++) {
        pid_t c = fork();
        if (!c)
            _exit(family_member((uint32_t)(i + 1) << 24, shared, p[i][0], p[i + 1][1], spins));
        made += c > 0;
    }
    if (made == FAMILY) {
        wrong += write(p[0][1], "x", 1) != 1; /* once round for each of the parent's */
        wrong += family_member(0, shared, p[FAMILY][0], p[0][1], spins);
    }
    while (wait(&status) > 0)
        wrong += status != 0;
    printf("%s %s\n", name, wrong || *shared != 12 * (FAMILY + 1) ? "mixed" : "whole");
    fflush(stdout);
}

static void probe_family(void)
{
    family("family", false);
}

static void probe_spinning(void)
{
    family("spinning", true);
}

static void probe_memory(void)
{
    guard();
    size_t size = 64 * ROOM;
    uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        say("mmap", -1, 0);
        return;
    }
    memset(p, 1, size);
    guard();
    say("mprotect", mprotect(p, size, PROT_READ), 0);
    say("munmap", munmap(p, size), 0);
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long dirty = 0;
    for (size_t i = 0; p != MAP_FAILED && i < size; i++)
        dirty += p[i] != 0;
    say("fresh", p == MAP_FAILED ? -1 : dirty, 0);
}

static void probe_socket(void)
{
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);
    inet_pton(AF_INET, "192.0.2.1", &far.sin_addr);
    guard();
    int s = socket(AF_INET, SOCK_STREAM, 0);
    long r = connect(s, (struct sockaddr *)&far, sizeof(far));
    say("connect", r, 0);
    if (r == 0) {
        say("send", send(s, area, 100, MSG_NOSIGNAL), 0);
        r = recv(s, buf, 100, 0);
        say("recv", r, r > 0 ? (size_t)r : 0);
        guard();
        r = getsockname(s, (struct sockaddr *)&name, &size);
        say("name", r ? r : name.ss_family, 0);
        say("peek", recv(s, buf, 10, MSG_PEEK), 10);
        int value = 0x5a5a5a5a;
        size = sizeof(value);
        r = getsockopt(s, IPPROTO_TCP, 11 /* TCP_INFO */, buf, (size = 100, &size));
        say("option", r, 100);
        guard();
        say("set", setsockopt(s, IPPROTO_TCP, 1, &value, sizeof(value)), 0);
        say("shutdown", shutdown(s, SHUT_WR), 0);
    }
    say("close", close(s), 0);
}

static void probe_available(void)
{
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(9)};
    inet_pton(AF_INET, "192.0.2.1", &far.sin_addr);
    guard();
    int s = socket(AF_INET, SOCK_STREAM, 0), n = 0;
    say("connect", connect(s, (struct sockaddr *)&far, sizeof(far)), 0);
    long r = ioctl(s, FIONREAD, &n);
    say("available", r ? r : n, 0);
}

/* What an interest set tells of a connection: once; then what is left of it. */
static void probe_epoll(void)
{
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = 77}, got[4] = {{0}};
    inet_pton(AF_INET, "192.0.2.1", &far.sin_addr);
    guard();
    int s = socket(AF_INET, SOCK_STREAM, 0), e = epoll_create1(0);
    say("connect", connect(s, (struct sockaddr *)&far, sizeof(far)), 0);
    say("add", epoll_ctl(e, EPOLL_CTL_ADD, s, &ev), 0);
    for (int i = 0; i < 2; i++) {
        long r = epoll_wait(e, got, 4, 30);
        say("epoll", r, 0);
        if (r > 0 &&
            (got[0].data.u64 != 77 || r > 1 || got[0].events & ~(EPOLLIN | EPOLLERR | EPOLLHUP)))
            puts("spoilt");
    }
}

static void probe_listen(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(18999)};
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    guard();
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    say("bind", bind(s, (struct sockaddr *)&any, sizeof(any)), 0);
    say("listen", listen(s, 5), 0);
    int c = accept(s, (struct sockaddr *)&peer, &size);
    say("accept", c < 0 ? c : (long)size, 0);
    close(c);
    close(s);
}

static void probe_datagram(void)
{
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct sockaddr_storage from;
    socklen_t size = sizeof(from);
    inet_pton(AF_INET, "192.0.2.1", &far.sin_addr);
    guard();
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    say("sendto", sendto(s, area, 50, MSG_NOSIGNAL, (struct sockaddr *)&far, sizeof(far)), 0);
    memset(&from, 0, sizeof(from));
    long r = recvfrom(s, buf, 100, MSG_DONTWAIT, (struct sockaddr *)&from, &size);
    say("recvfrom", r, r > 0 ? (size_t)r : 0);
    guard();
    say("from", from.ss_family == AF_INET ? (long)size : 0, 0);
    close(s);
}

static volatile sig_atomic_t seen[32];

static void on_signal(int sig)
{
    seen[sig & 31] = 1;
}

/* Handlers for all; then some calls out, so that the host can send. */
static void probe_signals(void)
{
    for (int sig = 1; sig < 32; sig++) {
        if (sig != SIGKILL && sig != SIGSTOP)
            signal(sig, on_signal);
    }
    for (int i = 0; i < 5; i++)
        usleep(1000);
    printf("signals");
    for (int sig = 1; sig < 32; sig++) {
        if (seen[sig])
            printf(" %d", sig);
    }
    printf("\n");
    fflush(stdout);
}

static void probe_file(void)
{
    uint8_t sum = 0, *p = malloc(1 << 20);
    long total = 0, r = -1;
    int fd = open("/data/numbers", O_RDONLY);
    while (fd >= 0 && (r = read(fd, p, 1 << 20)) > 0) {
        for (long i = 0; i < r; i++)
            sum = (uint8_t)(sum * 31 + p[i]);
        total += r;
    }
    guard();
    if (r < 0)
        say("file", r, 0);
    else
        printf("file %ld %u\n", total, sum);
    fflush(stdout);
    free(p);
}

/* What the entry code must not let in: rounding, precision, unmasked exceptions, the direction
 * flag. */
/* A folder of the host: a file of 5 bytes, a folder, a link to the file. */
static void probe_share(void)
{
    struct stat st;
    unsigned entries = 0, bad = 0;
    int fd = open("/share/file", O_RDWR);
    guard();
    long n = read(fd, buf, 100);
    say("read", n, n > 0 ? (size_t)n : 0);
    say("fstat", fstat(fd, &st), ROOM);
    close(fd);
    DIR *d = opendir("/share");
    for (struct dirent *e; d && (e = readdir(d)); entries++)
        bad += !*e->d_name || strchr(e->d_name, '/') != NULL;
    if (d)
        closedir(d);
    say("entries", d ? (long)entries : -1, ROOM);
    if (bad)
        puts("spoilt names");
    guard();
    n = readlink("/share/link", (char *)buf, 100);
    say("readlink", n, n > 0 ? (size_t)n : 0);
    fd = open("/share/new", O_RDWR | O_CREAT, 0644);
    say("write", write(fd, "12345678", 8), ROOM);
    say("sync", fsync(fd), ROOM);
    say("chmod", fchmod(fd, 0600), ROOM);
    say("truncate", ftruncate(fd, 3), ROOM);
    close(fd);
    say("mkdir", mkdir("/share/folder", 0755), ROOM);
    say("rename", rename("/share/new", "/share/folder/new"), ROOM);
    guard();
    n = pread(fd = open("/share/folder/new", O_RDONLY), buf, 100, 0);
    say("again", n, n > 0 ? (size_t)n : 0);
    close(fd);
    void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd = open("/share/file", O_RDONLY), 0);
    say("mmap", p == MAP_FAILED ? -1 : 0, ROOM);
    close(fd);
    say("unlink", unlink("/share/folder/new"), ROOM);
    say("rmdir", rmdir("/share/folder"), ROOM);
}

static void probe_state(void)
{
    volatile double one = 1, three = 3, zero = 0;
    volatile long double lone = 1, lthree = 3;
    unsigned mxcsr;
    unsigned short cw;
    char text[128];
    for (int i = 0; i < 20; i++) {
        usleep(100);
        __asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(cw));
        snprintf(text, sizeof(text), "%.17g %.17g %.20Lg", one / three, one / zero, lone / lthree);
    }
    printf("state %x %x %d %s\n", mxcsr & 0xffc0, cw, (int)(mxcsr >> 13 & 3), text);
    fflush(stdout);
}

static void probe_attestation(void)
{
    guard();
    int fd = open("/dev/attestation/quote", O_RDONLY);
    say("quote", fd < 0 ? fd : read(fd, buf, ROOM), ROOM);
    guard();
    fd = open("/dev/attestation/report", O_RDONLY);
    say("report", fd < 0 ? fd : read(fd, buf, ROOM), 432);
}

/* The local API: its status, or the errno of connecting. */
static void probe_agent(void)
{
    static const char request[] =
        "GET /aa/evidence?runtime_data=x HTTP/1.1\r\nHost: localhost:8006\r\n\r\n";
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(8006), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char answer[16] = "";
    guard();
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    long n = connect(fd, (void *)&a, sizeof(a));
    if (!n)
        n = write(fd, request, sizeof(request) - 1) < 0 ? -1 : read(fd, answer, 12);
    say("agent", n < 0 ? n : atoi(answer + 9), 599);
    close(fd);
}

static void probe_exit(void)
{
    _exit(7);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } probes[] = {
        {"read", probe_read},
        {"write", probe_write},
        {"tty", probe_tty},
        {"terminal", probe_terminal},
        {"clock", probe_clock},
        {"sleep", probe_sleep},
        {"poll", probe_poll},
        {"pipe", probe_pipe},
        {"threads", probe_threads},
        {"family", probe_family},
        {"spinning", probe_spinning},
        {"memory", probe_memory},
        {"socket", probe_socket},
        {"listen", probe_listen},
        {"datagram", probe_datagram},
        {"signals", probe_signals},
        {"file", probe_file},
        {"state", probe_state},
        {"attestation", probe_attestation},
        {"exit", probe_exit},
        {"agent", probe_agent},
        {"epoll", probe_epoll},
        {"available", probe_available},
        {"share", probe_share},
    };
    for (int i = 1; i < argc; i++) {
        for (size_t k = 0; k < sizeof(probes) / sizeof(probes[0]); k++) {
            if (!strcmp(argv[i], probes[k].name))
                probes[k].run();
        }
    }
    return 0;
}
