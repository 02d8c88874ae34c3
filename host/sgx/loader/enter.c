// SPDX-License-Identifier: Apache-2.0
// Threads that enter the enclave: one a TCS. What an exit asks for, kicks and wake-ups.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <linux/futex.h>

#include "host/sgx/loader/hostile.h"
#include "host/sgx/loader/loader.h"

#define KICK SIGUSR1
#define FLUSH SIGUSR2
#define STACK_SIZE (256u << 10)
#define BUSY_MAX 20000 /* tries, of 50 us each */

static __thread struct loader_thread *current;
/* In a hostile run several threads enter one TCS. Who comes in at CSSA 0 has it; who finds another's
 * interrupt there must leave, since to resume it would be to run on that one's stack. */
static __thread bool entering, lost;
static __thread unsigned busy;

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
    if (!t)
        return NULL;
    if (loader.options.hostile)
        t->slot = hostile_slot();
    else
        t->slot = mmap(NULL, sizeof(*t->slot), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                       -1, 0);
    if (!t->slot || t->slot == MAP_FAILED) {
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

static bool contested(struct loader_thread *t, uint64_t out, const struct sgx_enclave_run *run,
                      int *next)
{
    bool faulted = run->function == SGX_EENTER && run->exception_vector == SGX_VECTOR_GP;
    if (faulted && (entering || !t->kicked) && ++busy < 1000) {
        usleep(20);
        *next = SGX_EENTER;
        return true;
    }
    lost = (faulted && entering) || (run->function == SGX_EEXIT && entering &&
                                     (out == SH_OUT_RESUME || out == SH_OUT_REFUSED));
    *next = 0;
    if (lost)
        loader_thread_wake(t); /* it may have taken a wake-up with it */
    if (!lost && entering) {
        t->tid = (int)syscall(SYS_gettid);
        busy = 0;
    }
    entering = run->function == SGX_EEXIT && out == SH_OUT_CALL;
    return lost;
}

/* The enclave is stuck: nothing of it can be believed, and nobody else will say why. */
static _Noreturn void broken(const struct loader_thread *t, const char *what)
{
    struct sh_error err = {0};
    sh_fail(&err, -EIO, "the enclave %s (vector %u at %#llx, address %#llx)", what,
            (unsigned)t->slot->args[0], (unsigned long long)t->slot->args[1],
            (unsigned long long)t->slot->args[2]);
    loader_fail(&err);
}

static void clear_alignment_check(void)
{
    __asm__ volatile("pushfq; andq $~0x40000, (%%rsp); popfq" : : : "cc", "memory");
}

/* An exception: let the enclave look at it. A fault of EENTER itself: a kick came while its handler
 * was at work, and there is no third frame; it will hear of it later. */
static int take_exception(struct loader_thread *t, struct sgx_enclave_run *run)
{
    if (run->function == SGX_EENTER) {
        if (!atomic_exchange(&t->kicked, false) || run->exception_vector != SGX_VECTOR_GP) {
            t->slot->args[0] = run->exception_vector;
            t->slot->args[1] = 0;
            t->slot->args[2] = run->exception_addr;
            broken(t, "cannot be entered");
        }
        return SGX_ERESUME;
    }
    loader.counts.exceptions++;
    if (loader.options.verbose)
        dprintf(2, "exception %u error %#x addr %#llx\n", run->exception_vector,
                run->exception_error_code, (unsigned long long)run->exception_addr);
    loader_has_started();
    return SGX_EENTER;
}

static int serve(struct loader_thread *t, uint64_t out, struct sgx_enclave_run *run)
{
    int next;
    if (loader.options.hostile && contested(t, out, run, &next))
        return next;
    if (run->function != SGX_EEXIT)
        return take_exception(t, run);
    switch ((enum sh_out)out) {
    case SH_OUT_CALL:
        if (loader.options.hostile)
            hostile_call(t, loader_call);
        else
            loader_call(t);
        return SGX_EENTER;
    case SH_OUT_RESUME:
        return SGX_ERESUME;
    case SH_OUT_END:
        return 0;
    case SH_OUT_BROKEN:
        broken(t, "failed inside itself");
    default:
        broken(t, "refused to be entered");
    }
}

static int on_exit_of_enclave(long rdi, long rsi, long rdx, long rsp, long r8, long r9,
                              struct sgx_enclave_run *run)
{
    struct loader_thread *t = current;
    clear_alignment_check();
    int next = loader.options.attack ? attack_exit(t, (uint64_t)rdi, run) : 0;
    if (next)
        return next;
    next = serve(t, (uint64_t)rdi, run);
    if (next && loader.options.attack)
        attack_arm(t);
    return next;
}

bool loader_thread_run(struct loader_thread *t)
{
    uint64_t slot = (uint64_t)t->slot;
    struct sgx_enclave_run run = {
        .tcs = t->tcs, .user_handler = (uint64_t)on_exit_of_enclave, .user_data = (uint64_t)t};
    current = t;
    if (!loader.options.hostile || !t->tid)
        t->tid = (int)syscall(SYS_gettid);
    if (loader.options.attack)
        attack_arm(t);
    if (loader.options.hostile) {
        slot = hostile_slot_address(t);
        hostile_next = on_exit_of_enclave;
        run.user_handler = (uint64_t)hostile_handler;
    }
    entering = true;
    lost = false;
    int r = sgx_enter(loader.enclave.driver->entry(), &run, SGX_EENTER, slot, 0, 0);
    if (r) {
        struct sh_error err = {0};
        sh_fail_errno(&err, r, "cannot enter the enclave");
        loader_fail(&err);
    }
    return !lost;
}

static void *thread_main(void *arg)
{
    struct loader_thread *t = arg;
    if (loader_thread_run(t))
        t->running = false;
    return NULL;
}

int loader_thread_spawn(uint64_t tcs, bool service)
{
    pthread_attr_t attr;
    pthread_t id;
    struct loader_thread *t = loader_thread_find(tcs);
    if (!t)
        t = loader_thread_new(tcs);
    if (!t)
        return -ENOMEM;
    /* The TCS is used again: its last thread is on its way out. */
    for (int tries = 0; t->running; tries++) {
        if (tries == BUSY_MAX)
            return -EAGAIN;
        usleep(50);
    }
    t->service = service;
    t->running = true;
    t->token = t->polling = 0;
    t->slot->signals = t->slot->control = 0;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    int r = pthread_create(&id, &attr, thread_main, t);
    pthread_attr_destroy(&attr);
    if (r)
        t->running = false;
    return -r;
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

void loader_thread_kick(struct loader_thread *t)
{
    if (t->running && t->tid)
        syscall(SYS_tgkill, getpid(), t->tid, KICK);
}

/* Found at the AEP, the thread was inside: it enters again, at CSSA 1, instead of going on.
 * Elsewhere the signal only interrupts a system call. */
static void on_kick(int sig, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    if (current && r[REG_RAX] == SGX_ERESUME && r[REG_RBX] == (greg_t)current->tcs &&
        r[REG_RCX] == r[REG_RIP]) {
        current->kicked = true;
        loader.counts.kicks++;
        r[REG_RAX] = SGX_EENTER;
    }
}

/* The exit was all that was wanted: ERESUME follows. */
static void on_flush(int sig)
{
}

void loader_threads_flush(const struct loader_thread *but)
{
    for (struct loader_thread *t = loader.threads; t; t = t->next) {
        if (t != but && t->running && t->tid)
            syscall(SYS_tgkill, getpid(), t->tid, FLUSH);
    }
}

int loader_kicks_init(void)
{
    struct sigaction act = {.sa_sigaction = on_kick, .sa_flags = SA_SIGINFO};
    struct sigaction flush = {.sa_handler = on_flush, .sa_flags = SA_RESTART};
    int r = loader.options.driver->sigaction(FLUSH, &flush, NULL);
    return r ? r : loader.options.driver->sigaction(KICK, &act, NULL);
}

/* One that may be anywhere: in the enclave, waiting in a call, on its way. */
static void make_look(struct loader_thread *t)
{
    loader_thread_wake(t);
    loader_thread_kick(t);
}

static struct loader_thread *of_program(void)
{
    struct loader_thread *t = loader.threads;
    while (t && (!t->running || t->service))
        t = t->next;
    return t;
}

void loader_signal(int sig)
{
    struct loader_thread *t = of_program();
    if (sig < 1 || sig > 64 || !t)
        return;
    __atomic_fetch_or(&t->slot->signals, 1ull << (sig - 1), __ATOMIC_SEQ_CST);
    make_look(t);
}

void loader_control_here(void)
{
    struct loader_thread *t = of_program();
    if (!t)
        return;
    __atomic_store_n(&t->slot->control, 1, __ATOMIC_SEQ_CST);
    make_look(t);
}
