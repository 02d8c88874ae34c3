// SPDX-License-Identifier: Apache-2.0
// The one entry from program code: system calls, faults, kicks; and the one way back.
#include <asm/signal.h>
#include <asm/siginfo.h>

#include "trusted/libos/entry/entry.h"
#include "trusted/libos/entry/offsets.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/volume.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/mm/sites.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/proc/ptrace.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

#define FLAG_TF 0x100ul

_Static_assert(offsetof(struct thread, canary) == CANARY, "CANARY");
_Static_assert(offsetof(struct thread, stack_top) == STACK, "STACK");
_Static_assert(offsetof(struct thread, kicked) == KICKED, "KICKED");
_Static_assert(offsetof(struct thread, regs) == REGS, "REGS");
_Static_assert(offsetof(struct thread, regs.rflags) == REGS_FLAGS, "REGS_FLAGS");
_Static_assert(offsetof(struct thread, regs.rip) == REGS_RIP, "REGS_RIP");
_Static_assert(offsetof(struct thread, notify) == NOTIFY, "NOTIFY");
_Static_assert(offsetof(struct thread, touch_code) == TOUCH_CODE, "TOUCH_CODE");
_Static_assert(offsetof(struct thread, touch_stack) == TOUCH_STACK, "TOUCH_STACK");

/* `addr`, if it can be used so, else a place that always can. With the lock held, which keeps it so
 * but for what another thread of the program unmaps before we are there (the port begins anew
 * then). */
static uint64_t check_usable(struct thread *t, uint64_t addr, uint8_t right)
{
    if (addr < port_info.user_start || addr >= port_info.user_end || !(page_state(addr) & right))
        return (uint64_t)&t->touch_stack;
    return addr;
}

/* After an interruption: see entry.S. */
static void prepare_touch(struct thread *t)
{
    t->touch_stack = check_usable(t, t->regs.rsp, PORT_W);
    t->touch_code = check_usable(t, t->regs.rip, PORT_R);
}

/* Nothing is pending, and nobody waits for the addresses: most calls end so. */
static bool leaves_as_it_came(struct thread *t)
{
    const struct process *p = t->process;
    if (!los_is_shared() || __atomic_load_n(&t->kicked, __ATOMIC_SEQ_CST) || sig_is_due(t) ||
        async_is_due())
        return false;
    if (p->exiting || p->exec_thread || p->stopped || t->regs.rsp >> 47 || t->regs.rip >> 47)
        return false;
    return residence_leave();
}

static void settle_return(struct thread *t)
{
    los_upgrade();
    do {
        __atomic_store_n(&t->kicked, 0, __ATOMIC_SEQ_CST);
        if (t->process->exiting || (t->process->exec_thread && t->process->exec_thread != t))
            thread_exit(t, 0);
        oom_wait();
        call_residence();
        async_tell();
        ptrace_interrupt(t);
        sig_deliver(t);
        if (t->process->stopped)
            process_wait_stopped(t->process);
        /* A handler or a frame may name any address; the way back can only go to one that exists.
         */
        if (t->regs.rsp >> 47)
            sig_fault(t, SIGBUS, SI_KERNEL, 0);
        while (t->regs.rip >> 47)
            sig_fault(t, SIGSEGV, SI_KERNEL, 0);
    } while (t->kicked || !residence_leave());
}

void los_return(struct thread *t)
{
    thread_leave_lender(t);
    if (!leaves_as_it_came(t))
        settle_return(t);
    if (t->rip_virtual) {
        t->rip_virtual = false;
        t->regs.rip = sites_real(t->regs.rip);
    }
    if (t->touch_code)
        prepare_touch(t);
    los_unlock();
    los_resume(t);
}

/* From los_resume: somebody wants this thread to look at its signals. */
void los_kicked(struct thread *t)
{
    t->call_shared = true;
    los_share();
    residence_enter(false);
    los_return(t);
}

static void system_call(struct thread *t)
{
    struct regs *r = &t->regs;
    uint64_t a[6] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9};
    int64_t nr = (int64_t)r->rax;
    const struct call_entry *e = call_entry(nr);
    bool watched = tracing || t->tracee;
    t->syscalls++;
    call_count(nr, e);
    if (e && e->format[0] == '!' && !watched) {
        r->rax = (uint64_t)call_handle(nr, a);
        los_resume(t);
    }
    t->call_shared = e && e->shared && !watched;
    los_relock();
    residence_enter(true);
    call_residence();
    unsigned weight = usage_weight(t);
    uint64_t began = weight ? usage_begin(t) : 0;
    if (!los_is_shared()) {
        file_reap();
        space_tidy();
    }
    t->call_nr = nr;
    t->restart_rip = r->rip - 2;
    if (t->tracee) {
        nr = ptrace_call_begins(t, nr);
        memcpy(a, (uint64_t[]){r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9}, sizeof(a));
        t->call_nr = nr;
    }
    if (tracing)
        trace_enter(t, nr, a);
    long result = call_handle(nr, a);
    if (result == -EAWAY)
        result = volume_wait_change();
    if (tracing)
        trace_call(t, nr, a, result);
    r->rax = (uint64_t)result;
    if (result != -ERESTARTSYS && result != -ERESTARTNOHAND)
        t->call_nr = -1;
    if (t->tracee)
        ptrace_call_ends(t);
    if (weight)
        usage_end(t, began, weight);
}

/* An instruction that needs a file's page at two of its addresses would fault for ever: each takes
 * it away from the other. The most that one needs otherwise are some forty pages. */
#define STUCK_COUNT 256u
static void end_stuck(struct thread *t)
{
    bool same = !memcmp(&t->stuck_regs, &t->regs, sizeof(t->regs));
    t->stuck_count = same ? t->stuck_count + (t->stuck_addr != t->trap.addr) : 0;
    t->stuck_addr = t->trap.addr;
    t->stuck_regs = t->regs;
    if (t->stuck_count < STUCK_COUNT)
        return;
    log_line(
        "shelter: one instruction of the program needs a page of a file at two addresses, which"
        " no enclave has at once; it is ended");
    los_upgrade();
    process_exit(SIGBUS);
}

static void page_fault(struct thread *t)
{
    int access = t->trap.error & PF_FETCH ? PORT_X : t->trap.error & PF_WRITE ? PORT_W : PORT_R;
    struct mm_fault f = {SIGSEGV, SI_KERNEL};
    stats_count(page_faults);
    end_stuck(t);
    if (t->trap.addr < port_info.user_start || t->trap.addr >= port_info.user_end)
        f.code = 1; /* SEGV_MAPERR */
    else if (mm_fault(t->trap.addr, access, &f) == 0)
        return;
    los_upgrade();
    sig_fault(t, f.signo, f.code, t->trap.addr);
}

/* What Linux's programs know as #GP, and an enclave as #UD (SDM, volume 3, illegal instructions
 * inside an enclave): IN, OUT, INS, OUTS, INT n, RDPMC; behind prefixes. */
static bool is_privileged(uint64_t rip)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                       0x66, 0x67, 0xf0, 0xf2, 0xf3};
    uint8_t c = 0;
    bool prefix = true;
    for (unsigned n = 0; prefix && n < 15; n++) {
        if (user_read(&c, rip++, 1))
            return false;
        prefix = c >> 4 == 4; /* REX */
        for (size_t i = 0; i < sizeof(prefixes); i++)
            prefix |= c == prefixes[i];
    }
    if (c == 0x0f)
        return !user_read(&c, rip, 1) && c == 0x33;
    return (c & 0xf4) == 0xe4 || (c & 0xfc) == 0x6c || c == 0xcd;
}

static void handle_fault(struct thread *t)
{
    uint64_t rip = t->regs.rip;
    stats_count(faults);
    t->call_nr = -1;
    switch (t->trap.vector) {
    case VECTOR_PF:
        page_fault(t);
        break;
    case VECTOR_DE:
        sig_fault(t, SIGFPE, FPE_INTDIV, rip);
        break;
    case VECTOR_MF:
    case VECTOR_XM:
        sig_fault(t, SIGFPE, FPE_FLTINV, rip);
        break;
    case VECTOR_UD:
        if (cpuid_emulate(t))
            break;
        if (is_privileged(rip))
            sig_fault(t, SIGSEGV, SI_KERNEL, 0);
        else
            sig_fault(t, SIGILL, ILL_ILLOPN, rip);
        break;
    case VECTOR_BP:
        sig_fault(t, SIGTRAP, SI_KERNEL, 0);
        break;
    case VECTOR_DB:
        sig_fault(t, SIGTRAP, TRAP_TRACE, rip);
        break;
    case VECTOR_AC:
        sig_fault(t, SIGBUS, BUS_ADRALN, 0);
        break;
    default: /* #GP and what we do not know */
        sig_fault(t, SIGSEGV, SI_KERNEL, 0);
    }
}

/* A patched call site: as after `syscall`, but no exception happened. */
void los_fast_call(struct thread *t)
{
    system_call(t);
    los_return(t);
}

void los_fast_cpuid_call(struct thread *t)
{
    t->syscalls++; /* for the port, which tells by it that the program went on */
    cpuid_answer(&t->regs);
    los_resume(t);
}

void los_fast_stepped(struct thread *t, bool cpuid)
{
    struct regs *r = &t->regs;
    if (!cpuid) {
        r->rip = r->rcx;
        r->rflags &= ~FLAG_TF;
        t->trap = (struct trap){.kind = TRAP_SYSCALL};
    } else {
        r->rip = r->rdx;
        cpuid_answer(r);
        t->trap = (struct trap){.kind = TRAP_FAULT, .vector = VECTOR_DB};
    }
}

static void handle_interrupt(struct thread *t)
{
    t->call_shared = t->trap.kind == TRAP_KICK || t->trap.vector == VECTOR_PF;
    los_relock();
    residence_enter(true);
    call_residence();
    if (t->tracee)
        t->tracee->call = UINT64_MAX;
    t->touch_code = t->notify != NULL;
    t->regs.rip = sites_virtual(t->regs.rip);
    t->rip_virtual = true;
}

void los_trap(struct thread *t)
{
    switch (t->trap.kind) {
    case TRAP_SYSCALL:
        system_call(t);
        break;
    case TRAP_FAULT: {
        handle_interrupt(t);
        uint64_t began = usage_begin(t);
        handle_fault(t);
        usage_end(t, began, 1);
        break;
    }
    case TRAP_KICK:
        handle_interrupt(t);
        stats_count(kicks);
        break;
    default:
        stop("the port reported a trap of kind %d", (int)t->trap.kind);
    }
    los_return(t);
}
