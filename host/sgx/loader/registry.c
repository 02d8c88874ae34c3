// SPDX-License-Identifier: Apache-2.0
// The threads that enter the enclave, one a TCS, and how to reach one that may be anywhere: in the
// enclave, waiting in a call, on its way.
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <linux/futex.h>

#include "host/sgx/loader/loader.h"

#define KICK SIGUSR1
#define FLUSH SIGUSR2

static __thread struct loader_thread *current;

struct loader_thread *loader_thread_find(uint64_t tcs)
{
    for (struct loader_thread *t = loader.threads; t; t = t->next) {
        if (t->tcs == tcs)
            return t;
    }
    return NULL;
}

struct loader_thread *loader_thread_new(uint64_t tcs)
{
    struct loader_thread *t = calloc(1, sizeof(*t));
    if (!t || !(t->slot = loader.hooks->make_slot())) {
        free(t);
        return NULL;
    }
    t->event = -1;
    t->tcs = tcs;
    t->next = loader.threads;
    while (!atomic_compare_exchange_weak(&loader.threads, &t->next, t))
        ;
    return t;
}

void loader_thread_bind(struct loader_thread *t)
{
    current = t;
}

void loader_thread_wake(struct loader_thread *t)
{
    uint64_t one = 1;
    t->token = 1;
    if (t->polling)
        (void)!write(t->event, &one, sizeof(one));
    else
        syscall(SYS_futex, &t->token, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void send_signal(const struct loader_thread *t, int sig)
{
    if (t->running && t->tid)
        syscall(SYS_tgkill, getpid(), t->tid, sig);
}

void loader_thread_kick(struct loader_thread *t)
{
    send_signal(t, KICK);
}

void loader_threads_flush(const struct loader_thread *but)
{
    for (struct loader_thread *t = loader.threads; t; t = t->next) {
        if (t != but)
            send_signal(t, FLUSH);
    }
}

/* Found at the AEP, the thread was inside: it enters again, at CSSA 1, instead of going on. */
static bool enter_again(void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    if (!current || r[REG_RAX] != SGX_ERESUME || r[REG_RBX] != (greg_t)current->tcs ||
        r[REG_RCX] != r[REG_RIP])
        return false;
    r[REG_RAX] = SGX_EENTER;
    return true;
}

/* Elsewhere the signal only interrupts a system call. */
static void on_kick(int sig, siginfo_t *info, void *context)
{
    if (enter_again(context)) {
        current->kicked = true;
        loader.counts.kicks++;
    }
}

/* The vDSO leaves #BP and #DB of the enclave to a handler (Linux, arch/x86/entry/vdso/extable.c).
 * One of the loader's own ends it. */
static void on_trap(int sig, siginfo_t *info, void *context)
{
    if (!enter_again(context))
        abort();
}

/* The exit was all that was wanted: ERESUME follows. */
static void on_flush(int sig)
{
}

int loader_kicks_init(void)
{
    struct sigaction act = {.sa_sigaction = on_kick, .sa_flags = SA_SIGINFO};
    struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    struct sigaction flush = {.sa_handler = on_flush, .sa_flags = SA_RESTART};
    const struct sgx_driver *driver = loader.options.driver;
    int r = driver->sigaction(FLUSH, &flush, NULL);
    if (!r)
        r = driver->sigaction(SIGTRAP, &trap, NULL);
    return r ? r : driver->sigaction(KICK, &act, NULL);
}

/* A running thread of the program, made to look into its slot's word once `bits` are in it. */
static void tell_program(size_t word, uint64_t bits)
{
    struct loader_thread *t = loader.threads;
    while (t && (!t->running || t->service))
        t = t->next;
    if (!t)
        return;
    __atomic_fetch_or((uint64_t *)((uint8_t *)t->slot + word), bits, __ATOMIC_SEQ_CST);
    loader_thread_wake(t);
    loader_thread_kick(t);
}

void loader_signal(int sig)
{
    if (sig >= 1 && sig <= 64)
        tell_program(offsetof(struct sh_slot, signals), 1ull << (sig - 1));
}

void loader_control_here(void)
{
    tell_program(offsetof(struct sh_slot, control), 1);
}
