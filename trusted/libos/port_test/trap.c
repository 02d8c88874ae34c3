// SPDX-License-Identifier: Apache-2.0
// Port `test`: program code is interrupted by host signals. Its system calls arrive as SIGSYS
// through Syscall User Dispatch, faults as SIGSEGV and the like. As the enclave's first stage does,
// the handler only saves the registers and lets the thread go on in the LibOS, on the LibOS's
// stack.
#include <asm/prctl.h>
#include <asm/signal.h>
#include <asm/siginfo.h>
#include <asm/sigcontext.h>
#include <asm/ucontext.h>
#include <linux/prctl.h>

#include "trusted/libos/entry/entry.h"
#include "trusted/libos/port_test/host.h"

#define KICK_SIGNAL 40
#define SI_FROM_KERNEL 0x80
#define FLAGS_CLEARED 0x40500ul /* TF, DF, AC */
#define FLAG_TF 0x100ul

extern const char __executable_start[], etext[];

static bool in_libos(uint64_t rip)
{
    return rip >= (uint64_t)__executable_start && rip < (uint64_t)etext;
}

static bool in_resume(uint64_t rip)
{
    return rip >= (uint64_t)los_resume_start && rip < (uint64_t)los_resume_end;
}

static void save_regs(struct regs *r, const struct sigcontext *c)
{
    *r = (struct regs){
        .r15 = c->r15,
        .r14 = c->r14,
        .r13 = c->r13,
        .r12 = c->r12,
        .r11 = c->r11,
        .r10 = c->r10,
        .r9 = c->r9,
        .r8 = c->r8,
        .rdi = c->rdi,
        .rsi = c->rsi,
        .rbp = c->rbp,
        .rbx = c->rbx,
        .rdx = c->rdx,
        .rcx = c->rcx,
        .rax = c->rax,
        .rflags = c->eflags,
        .rsp = c->rsp,
        .rip = c->rip,
    };
}

/* The interrupted thread goes on in the LibOS when the handler returns. */
static void redirect_entry(struct thread *t, struct sigcontext *c)
{
    c->rip = (uint64_t)los_trap_entry;
    c->rsp = t->stack_top;
    c->eflags &= ~FLAGS_CLEARED;
}

static void end_broken(struct sigcontext *c, int sig)
{
    log_line("shelter: signal %d inside the LibOS at +0x%lx (addr 0x%lx)", sig,
             (unsigned long)c->rip - (unsigned long)__executable_start, (unsigned long)c->cr2);
    port_exit(125);
}

static void handle_signal(int sig, siginfo_t *info, struct ucontext *uc)
{
    struct thread *t = self();
    struct sigcontext *c = &uc->uc_mcontext;
    bool asynchronous = sig == KICK_SIGNAL || sig == SIGTERM || sig == SIGINT || sig == SIGHUP ||
                        sig == SIGQUIT || sig == SIGWINCH;
    if (asynchronous) {
        if (sig != KICK_SIGNAL)
            los_host_signal(sig);
        __atomic_store_n(&t->kicked, 1, __ATOMIC_SEQ_CST);
        if (in_resume(c->rip)) {
            t->trap = (struct trap){.kind = TRAP_KICK};
            redirect_entry(t, c);
        } else if (!in_libos(c->rip)) {
            save_regs(&t->regs, c);
            t->trap = (struct trap){.kind = TRAP_KICK};
            redirect_entry(t, c);
        }
        return;
    }
    if (sig == SIGTRAP && in_resume(c->rip)) { /* the program steps itself; a call ends that */
        c->eflags &= ~FLAG_TF;
        return;
    }
    if (sig == SIGTRAP && (c->rip == (uint64_t)los_fast || c->rip == (uint64_t)los_fast_cpuid)) {
        save_regs(&t->regs, c);
        los_fast_stepped(t, c->rip == (uint64_t)los_fast_cpuid);
        redirect_entry(t, c);
        return;
    }
    if (in_libos(c->rip))
        end_broken(c, sig);
    save_regs(&t->regs, c);
    if (sig == SIGSYS)
        t->trap = (struct trap){.kind = TRAP_SYSCALL};
    else
        t->trap = (struct trap){.kind = TRAP_FAULT,
                                .vector = (uint32_t)c->trapno,
                                .error = (uint32_t)c->err,
                                .addr = c->cr2};
    redirect_entry(t, c);
}

__asm__(".text\n"
        ".type host_restorer, @function\n"
        "host_restorer:\n"
        "mov $15, %eax\n" /* rt_sigreturn */
        "syscall\n");
void host_restorer(void);

struct host_sigaction {
    void (*handler)(int, siginfo_t *, struct ucontext *);
    uint64_t flags;
    void (*restorer)(void);
    uint64_t mask;
};

void host_traps_init(void)
{
    static const int signals[] = {SIGSYS,  SIGSEGV, SIGBUS, SIGILL,  SIGFPE,   SIGTRAP,
                                  SIGTERM, SIGINT,  SIGHUP, SIGQUIT, SIGWINCH, KICK_SIGNAL};
    struct host_sigaction a = {handle_signal, SA_SIGINFO | SA_ONSTACK | 0x04000000 /* RESTORER */,
                               host_restorer, ~0ull};
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        host_call(__NR_rt_sigaction, signals[i], &a, NULL, 8);
    struct host_sigaction ignore = {(void *)1, 0, NULL, 0};
    host_call(__NR_rt_sigaction, SIGPIPE, &ignore, NULL, 8);
}

/* GS changes on the way, and the canary with it. */
__attribute__((no_stack_protector)) void host_thread_init(struct thread *t)
{
    struct port_thread *p = t->port;
    stack_t s = {.ss_sp = p->alt_stack, .ss_size = ALT_STACK_SIZE};
    host_call(__NR_arch_prctl, ARCH_SET_GS, t);
    host_call(__NR_sigaltstack, &s, NULL);
    long r = host_call(__NR_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON,
                       __executable_start, etext - __executable_start, NULL);
    if (r) {
        log_line("libos-test: this kernel has no Syscall User Dispatch (errno %ld)", -r);
        host_call(__NR_exit_group, 125);
    }
}

void port_thread_kick(struct thread *t)
{
    struct port_thread *p = t->port;
    __atomic_store_n(&t->kicked, 1, __ATOMIC_SEQ_CST);
    host_call(__NR_tgkill, host_call(__NR_getpid), p->tid, KICK_SIGNAL);
}
