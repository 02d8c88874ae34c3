// SPDX-License-Identifier: Apache-2.0
// A trapped system call: done here, or passed on through a gate.
#include "host/sgx/foreign/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

uint64_t fgn_gate_out[FGN_GATES];

static pthread_mutex_t big_lock = PTHREAD_MUTEX_INITIALIZER;

void fgn_lock(void)
{
    pthread_mutex_lock(&big_lock);
}

void fgn_unlock(void)
{
    pthread_mutex_unlock(&big_lock);
}

/* --- the program's memory -------------------------------------------------------------------- */

static ssize_t copy_some(void *here, uint64_t there, size_t size, long number)
{
    struct iovec local = {here, size}, remote = {(void *)there, size};
    return fgn_raw6(number, fgn_raw3(SYS_getpid, 0, 0, 0), (long)&local, 1, (long)&remote, 1, 0);
}

int fgn_copy_in(void *to, uint64_t from, size_t size)
{
    return copy_some(to, from, size, SYS_process_vm_readv) == (ssize_t)size ? 0 : -EFAULT;
}

int fgn_copy_out(uint64_t to, const void *from, size_t size)
{
    return copy_some((void *)from, to, size, SYS_process_vm_writev) == (ssize_t)size ? 0 : -EFAULT;
}

int fgn_copy_path(char *to, uint64_t from, size_t size)
{
    size_t done = 0;
    while (done < size) {
        size_t part = 4096 - (from + done) % 4096;
        if (part > size - done)
            part = size - done;
        if (fgn_copy_in(to + done, from + done, part) != 0)
            return -EFAULT;
        if (memchr(to + done, 0, part) != NULL)
            return 0;
        done += part;
    }
    return -ENAMETOOLONG;
}

/* --- gates ----------------------------------------------------------------------------------- */

/* Each place that a call came from has its own; false: there are no more. */
bool fgn_pass(ucontext_t *uc)
{
    greg_t *r = uc->uc_mcontext.gregs;
    uint64_t out = (uint64_t)r[REG_RIP];
    size_t at = (out ^ out >> 12) % FGN_GATES;
    for (size_t i = 0; i < FGN_GATES; i++, at = (at + 1) % FGN_GATES) {
        uint64_t none = 0;
        if (__atomic_load_n(&fgn_gate_out[at], __ATOMIC_ACQUIRE) == out ||
            __atomic_compare_exchange_n(&fgn_gate_out[at], &none, out, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE) ||
            none == out) {
            r[REG_RIP] = (greg_t)(fgn_gates + at * FGN_GATE_SIZE);
            return true;
        }
    }
    return false;
}

uint64_t fgn_gate_outside(uint64_t rip)
{
    uint64_t in = rip - (uint64_t)fgn_gates;
    if (in >= (uint64_t)FGN_GATES * FGN_GATE_SIZE)
        return rip;
    uint64_t out = fgn_gate_out[in / FGN_GATE_SIZE];
    return in % FGN_GATE_SIZE == 0 ? out - 2 : out;
}

/* --- dispatch -------------------------------------------------------------------------------- */

static long end_thread(struct fgn_thread *t)
{
    if (!t->sibling) {
        sim_detach();
        t->ending = true;
    }
    return FGN_PASS;
}

static long dispatch(struct fgn_thread *t, ucontext_t *uc, long number, const long a[6])
{
    switch (number) {
    case SYS_rt_sigaction:
        return fgn_sigaction(t, a);
    case SYS_rt_sigprocmask:
        return fgn_sigprocmask(t, uc, a);
    case SYS_sigaltstack:
        return fgn_sigaltstack(t, uc, a);
    case SYS_ioctl:
        return fgn_ioctl(a);
    case SYS_mmap:
        return fgn_mmap(a);
    case SYS_mprotect:
    case SYS_pkey_mprotect:
        return fgn_mprotect(a);
    case SYS_munmap:
        return fgn_munmap(a);
    case SYS_mremap:
        return fgn_mremap(a);
    case SYS_clone:
    case SYS_clone3:
    case SYS_fork:
    case SYS_vfork:
        return fgn_clone(t, uc, number, a);
    case SYS_execve:
    case SYS_execveat:
        return fgn_execve(t, uc, number, a);
    case SYS_exit:
        return end_thread(t);
    case SYS_exit_group:
        fgn_count_all();
        return FGN_PASS;
    default:
        return fgn_path_call(number, a);
    }
}

void fgn_call(struct fgn_thread *t, ucontext_t *uc)
{
    greg_t *r = uc->uc_mcontext.gregs;
    const long a[6] = {r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]};
    long number = r[REG_RAX];
    long ret = dispatch(t, uc, number, a);
    if (ret == FGN_PASS) {
        if (fgn_pass(uc))
            return;
        ret = fgn_raw6(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
    r[REG_RAX] = ret;
}
