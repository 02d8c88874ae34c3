// SPDX-License-Identifier: Apache-2.0
// Faults as signals with their addresses, the alternate stack, masks, timers, interrupted and
// restarted calls, a signal into a thread that only computes, vector registers across handlers.
#define _GNU_SOURCE
#include <errno.h>
#include <immintrin.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile int got, on_alt, spin;
static void *volatile address;
static char alt[65536];

static void fault(int sig, siginfo_t *info, void *context)
{
    char here;
    got = sig;
    address = info->si_addr;
    on_alt = &here > alt && &here < alt + sizeof(alt);
    siglongjmp(back, 1);
}

static void note(int sig)
{
    got = sig;
}

static void stop_spinning(int sig)
{
    got = sig;
    spin = 0;
}

static void *spinner(void *arg)
{
    while (spin)
        continue;
    return NULL;
}

static void set(int sig, void (*handler)(int), int flags)
{
    struct sigaction a = {.sa_handler = handler, .sa_flags = flags};
    sigaction(sig, &a, NULL);
}

static void alarm_in(int us)
{
    struct itimerval t = {{0, 0}, {0, us}};
    setitimer(ITIMER_REAL, &t, NULL);
}

static void *write_later(void *arg)
{
    usleep(150000);
    if (write(*(int *)arg, "x", 1) != 1)
        abort();
    return NULL;
}

static void faults(void)
{
    static const int kinds[] = {SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTRAP};
    struct sigaction a = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t s = {.ss_sp = alt, .ss_size = sizeof(alt)};
    sigaltstack(&s, NULL);
    for (int i = 0; i < 5; i++)
        sigaction(kinds[i], &a, NULL);
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!sigsetjmp(back, 1))
        *(volatile int *)0x1234 = 1;
    printf("unmapped %d %p %d\n", got, address, on_alt);
    if (!sigsetjmp(back, 1))
        page[5] = 1;
    printf("read-only %d %d\n", got, (char *)address == page + 5);
    if (!sigsetjmp(back, 1))
        ((void (*)(void))page)();
    printf("no execute %d %d\n", got, address == page);
    if (!sigsetjmp(back, 1)) {
        volatile int zero = 0;
        zero = 1 / zero;
    }
    printf("divide %d\n", got);
    if (!sigsetjmp(back, 1))
        __asm__ volatile("ud2");
    printf("undefined %d\n", got);
    if (!sigsetjmp(back, 1))
        __asm__ volatile("int3");
    printf("breakpoint %d\n", got);
}

int main(void)
{
    int fd[2];
    char c;
    sigset_t set10;
    pthread_t t;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (pipe(fd))
        return 1;
    faults();
    sigemptyset(&set10);
    sigaddset(&set10, SIGUSR1);
    set(SIGUSR1, note, 0);
    sigprocmask(SIG_BLOCK, &set10, NULL);
    got = 0;
    kill(getpid(), SIGUSR1);
    printf("blocked %d\n", got);
    sigprocmask(SIG_UNBLOCK, &set10, NULL);
    printf("unblocked %d\n", got);
    set(SIGALRM, note, 0);
    alarm_in(30000);
    long n = read(fd[0], &c, 1);
    printf("interrupted %ld %d\n", n, n < 0 && errno == EINTR);
    set(SIGALRM, note, SA_RESTART);
    alarm_in(30000);
    pthread_create(&t, NULL, write_later, &fd[1]);
    n = read(fd[0], &c, 1);
    printf("restarted %ld %c %d\n", n, c, got);
    pthread_join(t, NULL);
    set(SIGUSR2, stop_spinning, 0);
    spin = 1;
    pthread_create(&t, NULL, spinner, NULL);
    usleep(10000);
    pthread_kill(t, SIGUSR2);
    pthread_join(t, NULL);
    printf("into a computing thread %d\n", got);
    __m128 v = _mm_set1_ps(3.5f);
    got = 0;
    alarm_in(20000);
    while (got != SIGALRM)
        __asm__ volatile("" : "+x"(v));
    printf("registers kept %g\n", v[3]);
    signal(SIGTERM, SIG_DFL);
    raise(SIGTERM);
    return 0;
}
