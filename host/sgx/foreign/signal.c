// SPDX-License-Identifier: Apache-2.0
// The handler of every signal: what the processor and the filter raised is ours, the rest the
// program's.
#include "host/sgx/foreign/foreign.h"

#include <errno.h>
#include <sys/syscall.h>

#define SYS_SECCOMP_CODE 1

/* The C library's, for each thread that it makes. */
void __ctype_init(void);

static bool is_ours(uint64_t rip)
{
    return rip >= FGN_BASE && rip < FGN_END;
}

static __attribute__((noinline)) void handle_signal(struct fgn_thread *t, int sig, siginfo_t *info,
                                                    ucontext_t *uc, uint64_t base[2], uint64_t fs)
{
    int saved = errno;
    if (t->unready) {
        t->unready = false;
        __ctype_init();
        fgn_lock();
        sgxsim_epc_keep();
        fgn_unlock();
    }
    if (fgn_counts_pid != fgn_pid)
        fgn_count_anew();
    fgn_signal_thread(t);
    if (sig == SIGSYS && info->si_code == SYS_SECCOMP_CODE)
        fgn_call(t, info, uc);
    else if (fgn_cpuid_trap(sig, uc))
        ;
    else
        sim_handle_signal(sim_self, sig, info, uc, base, fs);
    errno = saved;
}

/* A thread's first signal came on its own stack. Ours is set as it returns; what was raised happens
 * again there. True: that is all. */
__attribute__((no_stack_protector)) static bool adopt_stack(struct fgn_thread *t, int sig,
                                                            const siginfo_t *info, ucontext_t *uc)
{
    greg_t *r = uc->uc_mcontext.gregs;
    t->fresh = false;
    if (uc->uc_stack.ss_sp != t->stack)
        t->program_stack = uc->uc_stack;
    uc->uc_stack = (stack_t){.ss_sp = t->stack, .ss_size = 0x60000};
    if (sig == SIGSYS && info->si_code == SYS_SECCOMP_CODE) {
        r[REG_RIP] -= 2;
        return true;
    }
    return (FGN_SYNC >> (sig - 1) & 1) != 0 && info->si_code > 0;
}

/* FS is the program's or an enclave's here. */
__attribute__((no_stack_protector)) void fgn_handler(int sig, siginfo_t *info, void *ctx)
{
    uint64_t base[2], fs, flags = __builtin_ia32_readeflags_u64();
    ucontext_t *uc = ctx;
    if ((flags & RFLAGS_AC) != 0)
        __builtin_ia32_writeeflags_u64(flags & ~RFLAGS_AC);
    __asm__ volatile("rdfsbase %0" : "=r"(base[0]));
    __asm__ volatile("rdgsbase %0" : "=r"(base[1]));
    fs = base[0];
    struct fgn_thread *t = fgn_thread_find((int)fgn_raw3(SYS_gettid, 0, 0, 0), fs);
    if (t == NULL)
        fgn_raw3(SYS_exit_group, 125, 0, 0); /* no memory, and no way to say so */
    if (t->fresh && adopt_stack(t, sig, info, uc))
        return;
    t->program_fs = fs;
    __asm__ volatile("wrfsbase %0" : : "r"(t->lib_fs));
    if ((FGN_SYNC >> (sig - 1) & 1) != 0 && is_ours((uint64_t)uc->uc_mcontext.gregs[REG_RIP]) &&
        fs == t->lib_fs && info->si_code > 0 && sig != SIGTRAP && sig != SIGILL)
        fgn_signal_default(sig); /* a fault of ours, or of a stack that it gave us */
    else
        handle_signal(t, sig, info, uc, base, fs);
    __asm__ volatile("wrfsbase %0" : : "r"(base[0]));
    __asm__ volatile("wrgsbase %0" : : "r"(base[1]));
}
