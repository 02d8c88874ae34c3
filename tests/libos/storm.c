// SPDX-License-Identifier: Apache-2.0
// Signals into threads at every point of calls and computations: registers, red zone and results of
// calls must be as if nothing had happened.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define WORKERS 4
#define ROUNDS 30000

static volatile int done;
static __thread volatile long handled;
static long total;
static pthread_t threads[WORKERS];

static void handler(int sig)
{
    char clobber[512];
    for (unsigned i = 0; i < sizeof(clobber); i++)
        clobber[i] = (char)sig;
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tpcmpeqd %%xmm7, %%xmm7"
                     :
                     : "r"(clobber)
                     : "xmm0", "xmm7");
    handled++;
    syscall(SYS_getppid);
}

/* A call with known values in every register that it must keep, and in the red zone. */
static int check_call(long nr, long want)
{
    uint64_t bad = 0;
    long result;
    __asm__ volatile("movq $0x1111, %%rbx\n\tmovq $0x2222, %%r12\n\tmovq $0x3333, %%r13\n\t"
                     "movq $0x4444, %%r14\n\tmovq $0x5555, %%r15\n\tmovq $0x6666, %%r8\n\t"
                     "movq $0x7777, %%r9\n\tmovq $0x8888, %%r10\n\tmovq %%rbx, %%xmm0\n\t"
                     "movq %%r12, %%xmm7\n\tmovq $0x9999, -64(%%rsp)\n\t"
                     "syscall\n\t"
                     "xor $0x1111, %%rbx\n\txor $0x2222, %%r12\n\txor $0x3333, %%r13\n\t"
                     "xor $0x4444, %%r14\n\txor $0x5555, %%r15\n\txor $0x6666, %%r8\n\t"
                     "xor $0x7777, %%r9\n\txor $0x8888, %%r10\n\t"
                     "or %%r12, %%rbx\n\tor %%r13, %%rbx\n\tor %%r14, %%rbx\n\tor %%r15, %%rbx\n\t"
                     "or %%r8, %%rbx\n\tor %%r9, %%rbx\n\tor %%r10, %%rbx\n\t"
                     "movq %%xmm0, %%r12\n\txor $0x1111, %%r12\n\tor %%r12, %%rbx\n\t"
                     "movq %%xmm7, %%r12\n\txor $0x2222, %%r12\n\tor %%r12, %%rbx\n\t"
                     "movq -64(%%rsp), %%r12\n\txor $0x9999, %%r12\n\tor %%r12, %%rbx\n\t"
                     "movq %%rbx, %1"
                     : "=a"(result), "=r"(bad)
                     : "a"(nr), "D"(0), "S"(0), "d"(0)
                     : "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0",
                       "xmm7", "memory");
    return bad == 0 && result == want;
}

static void *work(void *arg)
{
    long pid = getpid(), bad = 0;
    for (int i = 0; i < ROUNDS; i++) {
        bad += !check_call(SYS_getpid, pid); /* without the LibOS's lock */
        bad += !check_call(SYS_umask, 0);    /* with it */
        bad += !check_call(100000, -38);
    }
    __atomic_fetch_add(&total, handled, __ATOMIC_SEQ_CST);
    return (void *)bad;
}

static void *storm(void *arg)
{
    while (!done) {
        for (int i = 0; i < WORKERS; i++)
            pthread_kill(threads[i], SIGUSR1);
    }
    return NULL;
}

int main(void)
{
    struct sigaction a = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct itimerval t = {{0, 500}, {0, 500}};
    pthread_t s;
    long bad = 0;
    umask(0);
    sigaction(SIGUSR1, &a, NULL);
    sigaction(SIGALRM, &a, NULL);
    for (int i = 0; i < WORKERS; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    pthread_create(&s, NULL, storm, NULL);
    setitimer(ITIMER_REAL, &t, NULL);
    for (int i = 0; i < WORKERS; i++) {
        void *r;
        /* Joined threads are still signalled by the storm until it ends: so wait before joining. */
        while (pthread_tryjoin_np(threads[i], &r))
            usleep(1000);
        bad += (long)r;
        if (i == 0)
            done = 1, pthread_join(s, NULL);
    }
    printf("%ld wrong, %s\n", bad, total > 100 ? "many signals" : "few signals");
    return bad != 0;
}
