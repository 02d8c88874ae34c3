// SPDX-License-Identifier: Apache-2.0
// bench-sgx: one kind of system call many times. Prints nanoseconds a call, the least of seven
// rounds.
//
//   sgx_calls KIND COUNT [FILE]
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 7

static int fd;
static const char *path = "/proc/self/exe";
static char buf[4096];

/* Not libc's: the instruction stands in the program itself. */
static long raw(long nr)
{
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(nr) : "rcx", "r11", "memory");
    return r;
}

static void none(void)
{
    __asm__ volatile("");
}

static void call_getppid(void)
{
    getppid();
}

static void call_raw(void)
{
    raw(SYS_getppid);
}

static void call_clock(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
}

static void call_zero(void)
{
    if (read(fd, buf, 1) != 1)
        exit(1);
}

static void call_pread(void)
{
    if (pread(fd, buf, sizeof(buf), 4096) != sizeof(buf))
        exit(1);
}

static void call_pwrite(void)
{
    if (pwrite(fd, buf, sizeof(buf), 4096) != sizeof(buf))
        exit(1);
}

static void call_open(void)
{
    close(open(path, O_RDONLY));
}

static const struct {
    const char *name;
    void (*call)(void);
    const char *file;
    int flags;
} kinds[] = {
    {"none", none, NULL, 0},
    {"getppid", call_getppid, NULL, 0},
    {"raw", call_raw, NULL, 0},
    {"clock", call_clock, NULL, 0},
    {"zero", call_zero, "/dev/zero", O_RDONLY},
    {"pread", call_pread, "", O_RDONLY},
    {"pwrite", call_pwrite, "/tmp/bench-sgx.tmp", O_RDWR | O_CREAT | O_TRUNC},
    {"open", call_open, NULL, 0},
};

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

int main(int argc, char **argv)
{
    long count = argc > 2 ? atol(argv[2]) : 0;
    double best = 1e18;
    size_t k = 0;
    if (argc > 3)
        path = argv[3];
    while (k < sizeof(kinds) / sizeof(kinds[0]) && (argc < 2 || strcmp(argv[1], kinds[k].name)))
        k++;
    if (k == sizeof(kinds) / sizeof(kinds[0]))
        return 2;
    if (kinds[k].file)
        fd = open(kinds[k].file[0] ? kinds[k].file : path, kinds[k].flags, 0600);
    if (fd < 0)
        return 1;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now();
        for (long i = 0; i < count / ROUNDS; i++)
            kinds[k].call();
        double ns = (now() - start) / (double)(count / ROUNDS ? count / ROUNDS : 1);
        best = ns < best ? ns : best;
    }
    if (kinds[k].flags & O_CREAT)
        unlink(kinds[k].file);
    printf("%.1f\n", best);
    return 0;
}
