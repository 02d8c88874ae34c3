// SPDX-License-Identifier: Apache-2.0
// Into the enclave and out of it: what an exit asks for.
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/futex.h>

#include "host/sgx/loader/loader.h"

#define STACK_SIZE (256u << 10)
#define BUSY_MAX 20000 /* tries, of 50 us each */

/* The enclave is stuck: nothing of it can be believed, and nobody else will say why. */
static _Noreturn void fail_broken(const struct loader_thread *t, const char *what)
{
    struct sh_error err = {0};
    sh_fail(&err, -EIO, "the enclave %s (vector %u at %#llx, address %#llx)", what,
            (unsigned)t->slot->args[0], (unsigned long long)t->slot->args[1],
            (unsigned long long)t->slot->args[2]);
    loader_fail(&err);
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
            fail_broken(t, "cannot be entered");
        }
        return SGX_ERESUME;
    }
    loader.counts.exceptions++;
    loader_has_started();
    return SGX_EENTER;
}

/* SH_START_END_WAKES. */
static void wake_at_end(const struct sh_slot *s)
{
    struct loader_thread *other = loader_thread_find(s->args[0]);
    if (s->call == SH_CALL_WAKE && s->result == -ENOSYS && other)
        loader_thread_wake(other);
}

int loader_serve_exit(struct loader_thread *t, uint64_t out, struct sgx_enclave_run *run)
{
    if (run->function != SGX_EEXIT)
        return take_exception(t, run);
    switch ((enum sh_out)out) {
    case SH_OUT_CALL:
        loader.hooks->serve_call(t);
        return SGX_EENTER;
    case SH_OUT_RESUME:
        return SGX_ERESUME;
    case SH_OUT_END:
        wake_at_end(t->slot);
        t->inside = false;
        t->running = false; /* the TCS is free */
        return 0;
    case SH_OUT_CHANGED: {
        struct sh_error err = {0};
        sh_fail(&err, -EPERM,
                "the enclave found itself changed: base/enclave is not the one that was measured; "
                "build or load the image again");
        loader_fail(&err);
    }
    case SH_OUT_BROKEN:
        fail_broken(t, t->slot->args[3] ? "overran its own stack" : "failed inside itself");
    default:
        fail_broken(t, "refused to be entered");
    }
}

static int on_exit_of_enclave(long rdi, long rsi, long rdx, long rsp, long r8, long r9,
                              struct sgx_enclave_run *run)
{
    __asm__ volatile("pushfq; andq $~0x40000, (%%rsp); popfq" : : : "cc", "memory"); /* AC */
    return loader.hooks->serve_exit((struct loader_thread *)run->user_data, (uint64_t)rdi, run);
}

struct sh_slot *loader_make_slot(void)
{
    void *p = mmap(NULL, sizeof(struct sh_slot), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

int loader_enter(struct loader_thread *t, struct sgx_enclave_run *run)
{
    t->tid = (int)syscall(SYS_gettid);
    return sgx_enter(loader.enclave.driver->entry(), run, SGX_EENTER, (uint64_t)t->slot, 0, 0);
}

void loader_thread_run(struct loader_thread *t)
{
    struct sgx_enclave_run run = {
        .tcs = t->tcs, .user_handler = (uint64_t)on_exit_of_enclave, .user_data = (uint64_t)t};
    struct sh_error err = {0};
    loader_thread_bind(t);
    loader_rings_inside(t);
    int r = loader.hooks->enter(t, &run);
    if (!r)
        return;
    sh_fail_errno(&err, r, "cannot enter the enclave");
    loader_fail(&err);
}

static void *thread_main(void *arg)
{
    struct loader_thread *t = arg;
    for (;;) {
        loader_thread_run(t);
        while (!atomic_exchange(&t->turn, 0))
            syscall(SYS_futex, &t->turn, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    }
    return NULL;
}

static int give_turn(struct loader_thread *t)
{
    t->turn = 1;
    syscall(SYS_futex, &t->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return 0;
}

static int make_host_thread(struct loader_thread *t)
{
    pthread_attr_t attr;
    pthread_t id;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    int r = pthread_create(&id, &attr, thread_main, t);
    pthread_attr_destroy(&attr);
    t->made = !r;
    return -r;
}

int loader_thread_spawn(uint64_t tcs, bool service)
{
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
    int r = t->made ? give_turn(t) : make_host_thread(t);
    if (r)
        t->running = false;
    return r;
}
