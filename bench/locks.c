// SPDX-License-Identifier: Apache-2.0
// Threads on separate objects: how many operations a second one, two and eight of them reach, and
// how long a small call waits behind another thread's big ones. bench/bench-locks runs it natively
// and in the enclave. One line a measurement: name, threads, operations a second (the best of many
// short slices, since others use the machine too), ns of processor time an operation (the least).
//
//   locks [SLICES [NAME]]
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 8
#define SLICE_NS 20000000ull

struct work {
    int zero, file, pipe[2], pair[2], event, listener, epoll;
    struct sockaddr_in addr;
    uint32_t word;
    char name[32];
    char buf[4096];
    const struct op *op;
    atomic_ulong count;
    uint64_t cpu; /* ns, of the slice */
    char pad[64];
};

static atomic_int go, done;

static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static void do_getppid(struct work *w)
{
    syscall(SYS_getppid);
}

static void do_clock(struct work *w)
{
    struct timespec t;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
}

static void do_zero(struct work *w)
{
    check(read(w->zero, w->buf, 1) == 1, "zero");
}

static void do_pread(struct work *w)
{
    check(pread(w->file, w->buf, 4096, 0) == 4096, "pread");
}

static void do_pwrite(struct work *w)
{
    check(pwrite(w->file, w->buf, 4096, 0) == 4096, "pwrite");
}

static void do_pipe(struct work *w)
{
    check(write(w->pipe[1], w->buf, 64) == 64 && read(w->pipe[0], w->buf, 64) == 64, "pipe");
}

static void do_pair(struct work *w)
{
    check(write(w->pair[1], w->buf, 64) == 64 && read(w->pair[0], w->buf, 64) == 64, "pair");
}

static void do_event(struct work *w)
{
    uint64_t v = 1;
    check(write(w->event, &v, 8) == 8 && read(w->event, &v, 8) == 8, "eventfd");
}

static void do_watch(struct work *w)
{
    struct epoll_event e = {.events = EPOLLIN};
    check(epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->event, &e) == 0, "epoll_ctl");
    check(epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->event, NULL) == 0, "epoll_ctl");
}

static void do_futex(struct work *w)
{
    syscall(SYS_futex, &w->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    syscall(SYS_futex, &w->word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0); /* it is 0 */
}

static void do_map(struct work *w)
{
    char *m = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(m != MAP_FAILED, "mmap");
    for (unsigned at = 0; at < 65536; at += 4096)
        m[at] = 1;
    munmap(m, 65536);
}

static void do_open(struct work *w)
{
    close(open(w->name, O_RDONLY));
}

static void do_accept(struct work *w)
{
    int a = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), b;
    connect(a, (struct sockaddr *)&w->addr, sizeof(w->addr));
    b = accept(w->listener, NULL, NULL);
    check(b >= 0 && send(a, w->buf, 64, 0) == 64 && recv(b, w->buf, 64, 0) == 64, "accept");
    struct linger l = {1, 0}; /* no TIME_WAIT natively */
    setsockopt(a, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
    close(a);
    close(b);
}

static const struct op {
    const char *name;
    void (*run)(struct work *w);
} ops[] = {
    {"getppid", do_getppid},         {"clock_gettime", do_clock}, {"read zero", do_zero},
    {"pread 4 KiB", do_pread},       {"pwrite 4 KiB", do_pwrite}, {"pipe", do_pipe},
    {"socketpair", do_pair},         {"eventfd", do_event},       {"futex", do_futex},
    {"mmap+touch+munmap", do_map},   {"open+close", do_open},     {"accept+send+recv", do_accept},
    {"epoll_ctl add+del", do_watch},
};
#define OP_COUNT (sizeof(ops) / sizeof(ops[0]))

static void prepare(struct work *w)
{
    snprintf(w->name, sizeof(w->name), "/tmp/locks.%p", (void *)w);
    w->zero = open("/dev/zero", O_RDONLY);
    w->file = open(w->name, O_RDWR | O_CREAT, 0600);
    check(w->file >= 0 && ftruncate(w->file, 0) == 0, "file");
    check(pwrite(w->file, w->buf, 4096, 0) == 4096, "file");
    check(pipe(w->pipe) == 0, "pipe");
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, w->pair) == 0, "socketpair");
    w->event = eventfd(0, 0);
    w->epoll = epoll_create1(0);
    w->listener = socket(AF_INET, SOCK_STREAM, 0);
    w->addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(w->addr);
    check(bind(w->listener, (struct sockaddr *)&w->addr, size) == 0, "bind");
    check(listen(w->listener, 16) == 0, "listen");
    getsockname(w->listener, (struct sockaddr *)&w->addr, &size);
}

static void *run(void *arg)
{
    struct work *w = arg;
    while (!atomic_load_explicit(&go, memory_order_relaxed))
        __builtin_ia32_pause();
    uint64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    while (!atomic_load_explicit(&done, memory_order_relaxed)) {
        w->op->run(w);
        atomic_store_explicit(&w->count, w->count + 1, memory_order_relaxed);
    }
    w->cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
    return NULL;
}

/* Operations a second; *cpu: ns of processor time an operation. */
static double slice(struct work *works, const struct op *op, int threads, double *cpu)
{
    pthread_t t[THREADS_MAX];
    unsigned long count = 0;
    uint64_t used = 0;
    go = done = 0;
    for (int i = 0; i < threads; i++) {
        works[i].op = op;
        works[i].count = 0;
        check(pthread_create(&t[i], NULL, run, &works[i]) == 0, "thread");
    }
    uint64_t start = now_ns();
    go = 1;
    struct timespec nap = {0, SLICE_NS};
    nanosleep(&nap, NULL);
    done = 1;
    for (int i = 0; i < threads; i++) {
        pthread_join(t[i], NULL);
        count += works[i].count;
        used += works[i].cpu;
    }
    *cpu = (double)used / (double)(count ? count : 1);
    return (double)count * 1e9 / (double)(now_ns() - start);
}

static void measure(struct work *works, const struct op *op, int slices)
{
    static const int threads[] = {1, 2, 8};
    double best[3] = {0}, least[3] = {1e18, 1e18, 1e18}, cpu;
    for (int s = 0; s < slices; s++) {
        for (int i = 0; i < 3; i++) {
            double r = slice(works, op, threads[i], &cpu);
            best[i] = r > best[i] ? r : best[i];
            least[i] = cpu < least[i] ? cpu : least[i];
        }
    }
    for (int i = 0; i < 3; i++)
        printf("%s\t%d\t%.0f\t%.0f\n", op->name, threads[i], best[i], least[i]);
    fflush(stdout);
}

/* ---- the longest wait ---- */

#define BIG (64ul << 20)

static void *read_big(void *arg)
{
    int *file = arg;
    char *b = malloc(BIG);
    memset(b, 1, BIG);
    while (!done)
        check(pread(*file, b, BIG, 0) == (ssize_t)BIG, "big pread");
    free(b);
    return NULL;
}

static void *write_big(void *arg)
{
    int *file = arg;
    char *b = malloc(BIG);
    memset(b, 1, BIG);
    while (!done)
        check(pwrite(*file, b, BIG, 0) == (ssize_t)BIG, "big pwrite");
    free(b);
    return NULL;
}

static void *map_big(void *arg)
{
    while (!done) {
        char *b = mmap(NULL, BIG / 4, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        check(b != MAP_FAILED, "big mmap");
        munmap(b, BIG / 4);
    }
    return NULL;
}

/* In ns: the 99th of 100 and the longest of all. */
static void wait_behind(const char *name, void *(*big)(void *), int *file)
{
    static uint64_t waits[400000];
    unsigned n = 0;
    int fds[2];
    char c = 0;
    pthread_t t;
    done = 0;
    check(pipe(fds) == 0 && pthread_create(&t, NULL, big, file) == 0, "wait");
    struct timespec nap = {0, 200000000};
    nanosleep(&nap, NULL);
    uint64_t end = now_ns() + 2000000000ull;
    while (now_ns() < end && n < 400000) {
        uint64_t start = now_ns();
        check(write(fds[1], &c, 1) == 1 && read(fds[0], &c, 1) == 1, "wait");
        waits[n++] = now_ns() - start;
    }
    done = 1;
    pthread_join(t, NULL);
    close(fds[0]);
    close(fds[1]);
    uint64_t most = 0, slow = 0, sum = 0;
    for (unsigned i = 0; i < n; i++) {
        most = waits[i] > most ? waits[i] : most;
        sum += waits[i];
        slow += waits[i] > 5000000 ? waits[i] : 0;
    }
    printf("%s: longest, us\t1\t%.0f\n%s: mean, ns\t1\t%.0f\n%s: over 5 ms, of 1000\t1\t%.0f\n",
           name, (double)most / 1e3, name, (double)sum / n, name, (double)slow * 1000 / 2e9);
    fflush(stdout);
}

static struct work works[THREADS_MAX];

static void remove_files(void)
{
    for (int i = 0; i < THREADS_MAX; i++)
        unlink(works[i].name);
}

int main(int argc, char **argv)
{
    int slices = argc > 1 ? atoi(argv[1]) : 8;
    const char *only = argc > 2 ? argv[2] : NULL;
    for (int i = 0; i < THREADS_MAX; i++)
        prepare(&works[i]);
    atexit(remove_files);
    for (unsigned i = 0; i < OP_COUNT; i++) {
        if (!only || !strcmp(only, ops[i].name))
            measure(works, &ops[i], slices);
    }
    if (only && strcmp(only, "wait"))
        return 0;
    int file = open("/tmp/locks.big", O_RDWR | O_CREAT, 0600);
    unlink("/tmp/locks.big");
    check(ftruncate(file, BIG) == 0, "big file");
    wait_behind("beside 64 MiB pwrite", write_big, &file);
    wait_behind("beside 64 MiB pread", read_big, &file);
    wait_behind("beside 16 MiB mmap", map_big, &file);
    return 0;
}
