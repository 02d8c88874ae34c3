// SPDX-License-Identifier: Apache-2.0
// Port `sgx`: what happened to the interrupted code, read from the SSA alone.
//
// Runs at CSSA 1, on a stack of its own, and takes nothing from the host but the fact that it was
// entered. If the program was interrupted, its registers go to struct thread, and the SSA is
// changed so that ERESUME goes on in the LibOS, on the LibOS's stack: the extended state stays the
// program's. If the LibOS was interrupted, it goes on where it was.
#include "trusted/libos/entry/entry.h"
#include "trusted/libos/port_sgx/sgx.h"

#define FLAGS_CLEARED 0x40500ull /* TF, DF, AC */
#define FLAG_TF 0x100ull

struct sgx_gprsgx *sgx_registers(struct port_thread *p)
{
    return (struct sgx_gprsgx *)(p->ssa + SH_ENCLAVE_SSA_PAGES * PAGE_SIZE) - 1;
}

static void save_regs(struct regs *r, const struct sgx_gprsgx *g)
{
    *r = (struct regs){
        .r15 = g->r15,
        .r14 = g->r14,
        .r13 = g->r13,
        .r12 = g->r12,
        .r11 = g->r11,
        .r10 = g->r10,
        .r9 = g->r9,
        .r8 = g->r8,
        .rdi = g->rdi,
        .rsi = g->rsi,
        .rbp = g->rbp,
        .rbx = g->rbx,
        .rdx = g->rdx,
        .rcx = g->rcx,
        .rax = g->rax,
        .rflags = g->rflags,
        .rsp = g->rsp,
        .rip = g->rip,
    };
}

static void redirect_entry(struct thread *t, struct sgx_gprsgx *g)
{
    g->rip = (uint64_t)los_trap_entry;
    g->rsp = t->stack_top;
    g->rflags &= ~FLAGS_CLEARED;
    g->gsbase = (uint64_t)t;
}

/* The vDSO is the program's code, wherever it stands. */
static bool in_libos(uint64_t rip)
{
    return rip - (uint64_t)sgx_image_start < (uint64_t)(sgx_image_end - sgx_image_start) &&
           rip - (uint64_t)sgx_vdso >= (uint64_t)(sgx_vdso_end - sgx_vdso);
}

static bool in_resume(uint64_t rip)
{
    return rip >= (uint64_t)los_resume_start && rip < (uint64_t)los_resume_end;
}

static uint32_t end_broken(struct port_thread *p, const struct sgx_gprsgx *g)
{
    const struct sgx_exinfo *ex = (const struct sgx_exinfo *)g - 1;
    uint64_t stack = p->thread ? p->thread->stack_top - KSTACK_SIZE : 0;
    if (p->slot) {
        p->slot->args[3] = ex->maddr < stack && ex->maddr >= stack - PAGE_SIZE;
        p->slot->args[0] = SGX_EXIT_VECTOR(g->exitinfo);
        p->slot->args[1] = g->rip;
        p->slot->args[2] = ex->maddr;
    }
    return SH_OUT_BROKEN;
}

/* The instruction was fetched a moment ago, so that it can be read. */
static bool is_syscall(const struct sgx_gprsgx *g)
{
    const uint8_t *p = (const uint8_t *)g->rip;
    return g->rip >= SH_ENCLAVE_LOWEST && g->rip < SH_ENCLAVE_IMAGE - 1 && p[0] == 0x0f &&
           p[1] == 0x05;
}

static void handle_exception(struct thread *t, struct sgx_gprsgx *g, uint32_t vector)
{
    const struct sgx_exinfo *ex = (const struct sgx_exinfo *)g - 1;
    save_regs(&t->regs, g);
    if (vector == SGX_VECTOR_UD && is_syscall(g)) {
        t->regs.rip += 2;
        t->regs.rcx = t->regs.rip;
        t->regs.r11 = t->regs.rflags;
        t->trap = (struct trap){.kind = TRAP_SYSCALL};
    } else {
        bool has_code = vector == SGX_VECTOR_PF || vector == SGX_VECTOR_GP;
        t->trap = (struct trap){.kind = TRAP_FAULT,
                                .vector = vector,
                                .error = has_code ? ex->errcd : 0,
                                .addr = vector == SGX_VECTOR_PF ? ex->maddr : 0};
    }
    redirect_entry(t, g);
}

/* The host entered without an exception: somebody wants this thread to look at its signals. */
static void handle_interrupt(struct port_thread *p, struct thread *t, struct sgx_gprsgx *g)
{
    if (__atomic_exchange_n(&p->slot->control, 0, __ATOMIC_SEQ_CST))
        los_host_control();
    uint64_t set = __atomic_exchange_n(&p->slot->signals, 0, __ATOMIC_SEQ_CST);
    for (int sig = 1; sig <= SIG_COUNT; sig++) {
        if (set >> (sig - 1) & 1)
            los_host_signal(sig);
    }
    __atomic_store_n(&t->kicked, 1, __ATOMIC_SEQ_CST);
    bool resuming = in_resume(g->rip);
    if (in_libos(g->rip) && !resuming)
        return;
    if (!resuming)
        save_regs(&t->regs, g);
    t->trap = (struct trap){.kind = TRAP_KICK};
    redirect_entry(t, g);
}

/* The program steps itself (TF), and comes in or goes out; a call ends the stepping. */
static bool is_stepped(struct thread *t, struct sgx_gprsgx *g)
{
    if (in_resume(g->rip)) {
        g->rflags &= ~FLAG_TF;
        t->regs.rflags &= ~FLAG_TF; /* should it begin again */
        return true;
    }
    if (g->rip != (uint64_t)los_fast && g->rip != (uint64_t)los_fast_cpuid)
        return false;
    save_regs(&t->regs, g);
    los_fast_stepped(t, g->rip == (uint64_t)los_fast_cpuid);
    redirect_entry(t, g);
    return true;
}

/* With AEX-Notify a page fault that the kernel has resolved is told as well, and looks as one that
 * it has not. The LibOS simply goes on, or begins its way back again, no longer notified: the fault
 * comes again if it was real. Faults of the program are for mm_fault, but where it used a page of
 * the LibOS (its patched calls do): there, the second time without a call in between is real. */
static bool may_be_resolved(struct port_thread *p, const struct sgx_gprsgx *g)
{
    const struct sgx_exinfo *ex = (const struct sgx_exinfo *)g - 1;
    if (in_libos(g->rip))
        return true;
    if (ex->maddr < SH_ENCLAVE_IMAGE || ex->maddr >= SH_ENCLAVE_SIZE)
        return false;
    struct sgx_missed now = {g->rip, ex->maddr, p->thread->syscalls}, *last = &p->missed;
    bool again = last->rip == now.rip && last->addr == now.addr && last->syscalls == now.syscalls;
    *last = now;
    return !again;
}

uint32_t sgx_exception(struct port_thread *p)
{
    struct sgx_gprsgx *g = sgx_registers(p);
    struct thread *t = p->thread;
    uint32_t info = g->exitinfo;
    g->exitinfo = 0; /* told once, however often the host enters */
    if (g->aexnotify && t) {
        g->aexnotify = 0; /* all ways from here lead to the LibOS; los_resume asks again */
        if ((info & SGX_EXIT_VALID) && SGX_EXIT_VECTOR(info) == VECTOR_PF && may_be_resolved(p, g))
            info = 0;
        if (!(info & SGX_EXIT_VALID))
            stats_count_of(t, notifications); /* GS is not the thread's here */
    }
    if (!(info & SGX_EXIT_VALID)) {
        if (t && p->slot)
            handle_interrupt(p, t, g);
        return SH_OUT_RESUME;
    }
    if (g->rip == (uint64_t)sgx_enclu_site) {
        g->rax = UINT64_MAX;
        g->rip += 5;
        return SH_OUT_RESUME;
    }
    if (t && SGX_EXIT_VECTOR(info) == VECTOR_DB && is_stepped(t, g))
        return SH_OUT_RESUME;
    if (in_libos(g->rip) || !t) {
        g->exitinfo = info;
        return end_broken(p, g);
    }
    handle_exception(t, g, SGX_EXIT_VECTOR(info));
    return SH_OUT_RESUME;
}
