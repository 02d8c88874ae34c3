// SPDX-License-Identifier: Apache-2.0
// Signals come here first: what the processor and the filter raised is ours, the rest is given to
// the program in a frame on its own stack, as the kernel would have made it.
#include "host/sgx/foreign/foreign.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIG_COUNT 65
#define SA_RESTORER_FLAG 0x04000000ul
#define SS_AUTODISARM_FLAG (1u << 31)
#define RED_ZONE 128
#define KICK_BIT (1ull << (SIM_KICK - 1))
#define NEVER (1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1))
#define FLAGS_DF 0x400u
#define FLAGS_TF 0x100u
#define FLAGS_RF 0x10000u

static struct fgn_action actions[SIG_COUNT];
static __thread struct fgn_thread *self;
static uint64_t our_handler; /* fgn_handler */

uint64_t *fgn_mask(ucontext_t *uc)
{
    return (uint64_t *)&uc->uc_sigmask;
}

static bool is_sync(int sig)
{
    return (FGN_SYNC >> (sig - 1) & 1) != 0;
}

static bool has_handler(const struct fgn_action *act)
{
    return act->handler != (uint64_t)SIG_DFL && act->handler != (uint64_t)SIG_IGN;
}

static long set_action(int sig, uint64_t handler, uint64_t flags)
{
    struct fgn_action act = {.handler = handler,
                             .flags = flags | SA_RESTORER_FLAG,
                             .restorer = (uint64_t)fgn_restore,
                             .mask = ~FGN_SYNC};
    return fgn_raw4(SYS_rt_sigaction, sig, &act, NULL, 8);
}

static long install_handler(int sig, uint64_t flags)
{
    return set_action(sig, our_handler,
                      SA_SIGINFO | SA_ONSTACK |
                          (flags & (SA_RESTART | SA_NOCLDSTOP | SA_NOCLDWAIT)));
}

/* --- delivery -------------------------------------------------------------------------------- */

struct frame {
    uint64_t restorer;
    uint8_t context[FGN_UCONTEXT_SIZE];
    siginfo_t info;
};

static bool is_on_stack(const stack_t *stack, uint64_t rsp)
{
    return (stack->ss_flags & SS_DISABLE) == 0 && rsp - (uint64_t)stack->ss_sp <= stack->ss_size;
}

void fgn_signal_thread(struct fgn_thread *t)
{
    self = t;
}

/* The next one of it ends the program, as if nobody had a handler. */
void fgn_signal_default(int sig)
{
    set_action(sig, (uint64_t)SIG_DFL, 0);
}

/* Ends of it, as if nobody had a handler. */
static void die_of(int sig, const siginfo_t *info)
{
    set_action(sig, (uint64_t)SIG_DFL, 0);
    /* What a leaf raised, or somebody sent, does not come again by itself. */
    fgn_raw4(SYS_rt_tgsigqueueinfo, fgn_pid, self->tid, sig, info);
}

/* The state of the vector registers that a handler begins with. */
static void reset_vectors(uint8_t *fp)
{
    uint64_t keep = 1ull << 9, state; /* PKRU */
    const uint32_t mxcsr = 0x1f80;
    memcpy(&state, fp + 512, 8);
    state &= keep;
    memcpy(fp + 512, &state, 8);
    memcpy(fp + 24, &mxcsr, 4);
}

static uint64_t push_frame(const struct fgn_action *act, const siginfo_t *info, ucontext_t *uc)
{
    greg_t *r = uc->uc_mcontext.gregs;
    stack_t *stack = &self->program_stack;
    uint64_t sp = (uint64_t)r[REG_RSP] - RED_ZONE;
    uint32_t size;
    if ((act->flags & SA_ONSTACK) != 0 && (stack->ss_flags & SS_DISABLE) == 0 &&
        !is_on_stack(stack, (uint64_t)r[REG_RSP]))
        sp = (uint64_t)stack->ss_sp + stack->ss_size;
    uint8_t *fp = (uint8_t *)uc->uc_mcontext.fpregs;
    memcpy(&size, fp + 468, 4); /* of the whole, with the kernel's second magic number */
    sp = (sp - size) & ~63ull;
    memcpy((void *)sp, fp, size);
    struct frame *f = (struct frame *)(((sp - sizeof(*f)) & ~15ull) - 8);
    f->restorer = act->restorer;
    memcpy(f->context, uc, FGN_UCONTEXT_SIZE);
    memcpy(&f->info, info, sizeof(f->info));
    ucontext_t *theirs = (ucontext_t *)f->context;
    theirs->uc_mcontext.fpregs = (fpregset_t)sp;
    theirs->uc_mcontext.gregs[REG_RIP] = (greg_t)fgn_gate_outside((uint64_t)r[REG_RIP]);
    if ((stack->ss_flags & (int)SS_AUTODISARM_FLAG) != 0)
        stack->ss_flags = SS_DISABLE;
    reset_vectors(fp);
    return (uint64_t)f;
}

void fgn_deliver(int sig, siginfo_t *info, ucontext_t *uc)
{
    struct fgn_action act = actions[sig];
    greg_t *r = uc->uc_mcontext.gregs;
    if (!has_handler(&act)) {
        if (is_sync(sig) && (act.handler == (uint64_t)SIG_DFL || info->si_code > 0))
            die_of(sig, info);
        return;
    }
    if (is_sync(sig) && (self->hidden >> (sig - 1) & 1) != 0 && info->si_code > 0) {
        die_of(sig, info); /* raised while it was blocked */
        return;
    }
    if ((act.flags & SA_RESETHAND) != 0)
        actions[sig].handler = (uint64_t)SIG_DFL;
    uint64_t f = push_frame(&act, info, uc);
    r[REG_RIP] = (greg_t)act.handler;
    r[REG_RSP] = (greg_t)f;
    r[REG_RDI] = sig;
    r[REG_RSI] = (greg_t)(f + offsetof(struct frame, info));
    r[REG_RDX] = (greg_t)(f + offsetof(struct frame, context));
    r[REG_RAX] = 0;
    r[REG_EFL] &= ~(greg_t)(FLAGS_DF | FLAGS_TF | FLAGS_RF);
    uint64_t mask = *fgn_mask(uc) | act.mask;
    if ((act.flags & SA_NODEFER) == 0)
        mask |= 1ull << (sig - 1);
    *fgn_mask(uc) = mask & ~(FGN_SYNC | KICK_BIT);
}

static const struct sim_foreign foreign = {.deliver = fgn_deliver};

/* What was ignored stays so; the processor's signals are ours. */
int fgn_signals_start(void (*to)(int, siginfo_t *, void *))
{
    our_handler = (uint64_t)to;
    sim_foreign = &foreign;
    for (int sig = 1; sig < SIG_COUNT; sig++) {
        if (sig == SIGKILL || sig == SIGSTOP)
            continue;
        fgn_raw4(SYS_rt_sigaction, sig, NULL, &actions[sig], 8);
        if (is_sync(sig) || sig == SIM_KICK) {
            long ret = install_handler(sig, sig == SIM_KICK ? SA_RESTART : 0);
            if (ret != 0)
                return (int)ret;
        }
    }
    return 0;
}

/* --- calls ----------------------------------------------------------------------------------- */

long fgn_sigaction(struct fgn_thread *t, const long a[6])
{
    int sig = (int)a[0];
    struct fgn_action act;
    if (a[3] != 8 || sig <= 0 || sig >= SIG_COUNT)
        return -EINVAL;
    if (a[1] != 0 && fgn_copy_in(&act, (uint64_t)a[1], sizeof(act)) != 0)
        return -EFAULT;
    if (a[1] != 0 && (sig == SIGKILL || sig == SIGSTOP))
        return -EINVAL;
    if (sig == SIGKILL || sig == SIGSTOP || sig == SIM_KICK)
        return FGN_PASS;
    struct fgn_action old = actions[sig];
    long ret = 0;
    if (a[1] != 0) {
        if (!t->sibling) /* a child of vfork shares our table, but not the kernel's */
            actions[sig] = act;
        if (is_sync(sig))
            ret = 0;
        else if (has_handler(&act))
            ret = t->sibling ? 0 : install_handler(sig, act.flags);
        else
            ret = set_action(sig, act.handler, act.flags & ~(uint64_t)SA_RESTORER_FLAG);
    }
    if (ret == 0 && a[2] != 0)
        ret = fgn_copy_out((uint64_t)a[2], &old, sizeof(old));
    return ret;
}

long fgn_sigprocmask(struct fgn_thread *t, ucontext_t *uc, const long a[6])
{
    uint64_t *mask = fgn_mask(uc), old = *mask | t->hidden, now = old, set;
    if (a[3] != 8)
        return -EINVAL;
    if (a[1] != 0) {
        if (fgn_copy_in(&set, (uint64_t)a[1], 8) != 0)
            return -EFAULT;
        if (a[0] == SIG_BLOCK)
            now = old | set;
        else if (a[0] == SIG_UNBLOCK)
            now = old & ~set;
        else if (a[0] == SIG_SETMASK)
            now = set;
        else
            return -EINVAL;
        now &= ~NEVER;
        t->hidden = now & (FGN_SYNC | KICK_BIT);
        *mask = now & ~(FGN_SYNC | KICK_BIT);
    }
    return a[2] != 0 ? fgn_copy_out((uint64_t)a[2], &old, 8) : 0;
}

long fgn_sigaltstack(struct fgn_thread *t, ucontext_t *uc, const long a[6])
{
    uint64_t rsp = (uint64_t)uc->uc_mcontext.gregs[REG_RSP];
    stack_t old = t->program_stack, now;
    bool on = is_on_stack(&old, rsp);
    if (a[0] != 0) {
        if (fgn_copy_in(&now, (uint64_t)a[0], sizeof(now)) != 0)
            return -EFAULT;
        int mode = now.ss_flags & (int)~SS_AUTODISARM_FLAG;
        if (on)
            return -EPERM;
        if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
            return -EINVAL;
        if (mode == SS_DISABLE)
            now = (stack_t){.ss_flags = SS_DISABLE};
        else if (now.ss_size < 2048)
            return -ENOMEM;
        now.ss_flags &= ~SS_ONSTACK;
        t->program_stack = now;
    }
    if (on)
        old.ss_flags |= SS_ONSTACK;
    return a[1] != 0 ? fgn_copy_out((uint64_t)a[1], &old, sizeof(old)) : 0;
}
