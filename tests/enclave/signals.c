// SPDX-License-Identifier: Apache-2.0
// Signals find a thread that never makes a system call; vector registers survive every one of them;
// a fault is told with its address.
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

static volatile int alarms, kicks, stop, spoilt;
static void *volatile fault_at;
static sigjmp_buf back;

static void on_alarm(int sig)
{
    alarms++;
}

static void on_kick(int sig)
{
    kicks++;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
    fault_at = info->si_addr;
    siglongjmp(back, 1);
}

static void *spin(void *arg)
{
    uint64_t want = 0x0123456789abcdef, got = want;
    __asm__ volatile("movq %0, %%xmm7" : : "r"(want) : "xmm7");
    while (!stop && got == want)
        __asm__ volatile("movq %%xmm7, %0" : "=r"(got));
    spoilt |= got != want;
    return NULL;
}

int main(int argc, char **argv)
{
    int part = argc > 1 ? atoi(argv[1]) : 1;  /* of all that happens, where time is short */
    int us = argc > 2 ? atoi(argv[2]) : 2000; /* slower where each instruction is an exit */
    struct itimerval every = {{0, us}, {0, us}}, never = {{0, 0}, {0, 0}};
    struct sigaction act = {.sa_handler = on_alarm};
    pthread_t t;
    sigaction(SIGALRM, &act, NULL);
    act.sa_handler = on_kick;
    sigaction(SIGUSR1, &act, NULL);
    act.sa_sigaction = on_fault;
    act.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &act, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
    while (alarms < 50 / part)
        ;
    setitimer(ITIMER_REAL, &never, NULL);
    pthread_create(&t, NULL, spin, NULL);
    for (int i = 0; i < 200 / part; i++) {
        pthread_kill(t, SIGUSR1);
        usleep(200);
    }
    stop = 1;
    pthread_join(t, NULL);
    if (!sigsetjmp(back, 1))
        *(volatile int *)0x123456789008 = 1;
    printf("%s %s %p\n", kicks ? "kicked" : "not kicked", spoilt ? "spoilt" : "whole", fault_at);
    return 0;
}
