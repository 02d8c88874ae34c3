// SPDX-License-Identifier: Apache-2.0
// Clocks by the vDSO beside the same by system calls: vdso COUNT. One line for each question.
#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say(const char *what, int good)
{
    printf("%s %s\n", good ? "ok" : "WRONG", what);
}

static long long ns(struct timespec t)
{
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static long long by_call(int clock)
{
    struct timespec t;
    syscall(SYS_clock_gettime, clock, &t);
    return ns(t);
}

static long long by_libc(int clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return ns(t);
}

/* In one thread no clock goes back, whichever way it is read. */
static void order(const char *name, int clock)
{
    int good = 1;
    for (int i = 0; i < 100; i++) {
        long long a = by_call(clock), b = by_libc(clock), c = by_call(clock);
        good = good && a <= b && b <= c && c - a < 1000000000;
    }
    say(name, good);
}

static void wall(void)
{
    int good = 1;
    for (int i = 0; i < 100; i++) {
        struct timeval tv;
        struct timezone zone = {7, 7};
        time_t stored;
        long long a = by_call(CLOCK_REALTIME);
        good = good && !gettimeofday(&tv, i & 1 ? (void *)&zone : NULL);
        time_t t = time(&stored);
        long long at = tv.tv_sec * 1000000ll + tv.tv_usec, b = by_call(CLOCK_REALTIME);
        good = good && a / 1000 <= at && at <= b / 1000 && t == stored && tv.tv_sec <= t &&
               t <= b / 1000000000 && time(NULL) >= t;
#ifdef __GLIBC__ /* musl leaves it as it was */
        good = good && zone.tz_minuteswest == (i & 1 ? 0 : 7);
#endif
    }
    say("gettimeofday, time", good);
}

static void others(void)
{
    struct timespec t = {-1, -1};
    say("a clock that it leaves to the call",
        !clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) && t.tv_sec >= 0);
    errno = 0;
    say("no such clock", clock_gettime(77, &t) == -1 && errno == EINVAL);
    errno = 0;
    say("another process's clock",
        clock_gettime((int)(~99999u << 3) | 2, &t) == -1 && errno == EINVAL);
}

static sigjmp_buf back;
static void *fault_at;
static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    fault_at = info->si_addr;
    siglongjmp(back, 1);
}

static void fault(void)
{
    struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &a, NULL);
    void *volatile bad = (void *)0x1000;
    if (!sigsetjmp(back, 1))
        clock_gettime(CLOCK_MONOTONIC, bad);
    say("a pointer to nothing is the program's fault", fault_at == bad);
    signal(SIGSEGV, SIG_DFL);
}

/* It is interrupted where it stands, not when it next makes a call. */
static volatile int ticks, back_steps;
static long long last;
static void on_tick(int sig)
{
    (void)sig;
    long long now = by_libc(CLOCK_MONOTONIC);
    back_steps += now < last;
    last = now;
    ticks++;
}

static void interrupted(void)
{
    struct itimerval each = {{0, 2000}, {0, 2000}};
    signal(SIGALRM, on_tick);
    setitimer(ITIMER_REAL, &each, NULL);
    long long start = by_libc(CLOCK_MONOTONIC);
    while (ticks < 50 && by_libc(CLOCK_MONOTONIC) - start < 20000000000ll)
        continue;
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    say("signals while it reads nothing but clocks", ticks >= 50 && !back_steps);
}

static volatile int stop;
static void *read_clocks(void *arg)
{
    long long before = 0;
    while (!stop) {
        long long now = by_libc(CLOCK_MONOTONIC);
        *(int *)arg |= now < before;
        before = now;
    }
    return NULL;
}

/* By less than a step (time.h) it may differ between threads. */
static void threads(void)
{
    pthread_t t[3];
    int bad[3] = {0}, good = 1;
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, read_clocks, &bad[i]);
    int status = 0;
    pid_t child = fork();
    if (!child)
        _exit(by_libc(CLOCK_REALTIME) > 0 ? 5 : 1);
    waitpid(child, &status, 0);
    usleep(50000);
    stop = 1;
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], NULL);
        good = good && !bad[i];
    }
    say("threads that read nothing but clocks, and a fork", good && WEXITSTATUS(status) == 5);
}

static int find(struct dl_phdr_info *info, size_t size, void *found)
{
    (void)size;
    if (strstr(info->dlpi_name, "linux-vdso"))
        *(int *)found = info->dlpi_phnum;
    return 0;
}

int main(int argc, char **argv)
{
    int found = 0;
    order("CLOCK_REALTIME", CLOCK_REALTIME);
    order("CLOCK_MONOTONIC", CLOCK_MONOTONIC);
    order("CLOCK_MONOTONIC_RAW", CLOCK_MONOTONIC_RAW);
    order("CLOCK_BOOTTIME", CLOCK_BOOTTIME);
    order("CLOCK_TAI", CLOCK_TAI);
    wall();
    others();
    fault();
    interrupted();
    threads();
    dl_iterate_phdr(find, &found);
#ifdef __GLIBC__ /* musl does not list it */
    say("the dynamic linker lists it", found > 0);
#endif
    struct timeval tv;
    for (int i = 0; i < (argc > 1 ? atoi(argv[1]) : 0); i++) {
        by_libc(CLOCK_MONOTONIC);
        gettimeofday(&tv, NULL);
        time(NULL);
    }
    return 0;
}
