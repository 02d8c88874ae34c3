// SPDX-License-Identifier: Apache-2.0
// A trapped system call: done here, or passed on through a gate.
#include "host/sgx/foreign/foreign.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

static long end_thread(struct fgn_thread *t)
{
    if (!t->sibling) {
        sim_detach();
        t->ending = true;
        if (fgn_thread_none_left())
            sgxsim_epc_leave();
    }
    return FGN_PASS;
}

/* A child of vfork that is traced stops at the next call that is trapped, and its tracer waits in
 * vfork. Where its execve is the next thing that happens, it may be traced. */
static long trace_me(struct fgn_thread *t)
{
    if (!t->sibling)
        return FGN_PASS;
    t->to_be_traced = true;
    return 0;
}

static long dispatch_call(struct fgn_thread *t, ucontext_t *uc, long number, const long a[6])
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
    case SYS_madvise:
        return fgn_madvise(a);
    case SYS_clone:
    case SYS_clone3:
    case SYS_fork:
    case SYS_vfork:
        return fgn_clone(t, uc, number, a);
    case SYS_execve:
    case SYS_execveat:
        return fgn_execve(t, uc, number, a);
    case SYS_ptrace:
        return trace_me(t);
    case SYS_exit:
        return end_thread(t);
    case SYS_seccomp:
    case SYS_prctl:
        return fgn_own_filter(number, a);
    case SYS_exit_group:
        if (!t->sibling) /* what it counts is its parent's */
            fgn_count_all();
        return FGN_PASS;
    default:
        return fgn_path_call(number, a);
    }
}

void fgn_call(struct fgn_thread *t, siginfo_t *info, ucontext_t *uc)
{
    greg_t *r = uc->uc_mcontext.gregs;
    uint64_t outside = fgn_gate_outside((uint64_t)r[REG_RIP]);
    if (outside != (uint64_t)r[REG_RIP]) { /* passed on, and a filter of the program's traps it */
        info->si_call_addr = (void *)outside;
        fgn_deliver(SIGSYS, info, uc);
        return;
    }
    const long a[6] = {r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]};
    long number = r[REG_RAX];
    long ret = dispatch_call(t, uc, number, a);
    if (ret == FGN_PASS) {
        if (fgn_pass(uc))
            return;
        ret = fgn_raw6(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
    r[REG_RAX] = ret;
}
