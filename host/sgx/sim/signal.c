// SPDX-License-Identifier: Apache-2.0
// Signals: the exceptions of enclaves (and of ENCLU itself), and the interrupts that make AEXs.
//
// A handler may find this thread in five places:
//   enclave    in ELRANGE: an exception or interrupt of the enclave
//   slot       in a jump block or early in entry.S: FS may be the enclave's, registers half saved
//   simulator  in C code on the simulator's stack, in the middle of a leaf
//   commit     the leaf has happened, and its result is being loaded from struct sim_thread
//   host       anywhere else
// Interrupts are taken at once in enclave, commit and host; in slot and simulator they are sent
// again with all of them blocked, and sim_trap unblocks them once the leaf has happened.
#include "host/sgx/sim/sim.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_USER_DISPATCH
#define SYS_USER_DISPATCH 2
#endif
#define SIG_COUNT 65
#define FP_MAGIC1 0x46505853u

enum place { PLACE_HOST, PLACE_ENCLAVE, PLACE_SLOT, PLACE_SIMULATOR, PLACE_COMMIT };

static struct sigaction actions[SIG_COUNT]; /* of the program */
static pthread_mutex_t actions_lock = PTHREAD_MUTEX_INITIALIZER;

const struct sim_foreign *sim_foreign;

static bool is_sync(int sig)
{
    return sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE || sig == SIGTRAP ||
           sig == SIGSYS;
}

static bool is_within(uint64_t p, const void *begin, const void *end)
{
    return p >= (uint64_t)begin && p < (uint64_t)end;
}

/* --- registers of the frame ------------------------------------------------------------------ */

static const uint8_t gregs[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                REG_R12, REG_R13, REG_R14, REG_R15, REG_EFL, REG_RIP};

static void load_context(struct sim_thread *t, const ucontext_t *uc, uint64_t fs, uint64_t gs)
{
    uint64_t *r = (uint64_t *)&t->r;
    for (size_t i = 0; i < sizeof(gregs); i++)
        r[i] = (uint64_t)uc->uc_mcontext.gregs[gregs[i]];
    t->r.fs = fs;
    t->r.gs = gs;
}

static void store_context(const struct sim_thread *t, ucontext_t *uc)
{
    const uint64_t *r = (const uint64_t *)&t->r;
    for (size_t i = 0; i < sizeof(gregs); i++)
        uc->uc_mcontext.gregs[gregs[i]] = (greg_t)r[i];
}

/* --- the program's handlers ------------------------------------------------------------------ */

/* Runs the program's handler as the kernel would have; without one, for an exception, dies of it.
 */
static void deliver_signal(int sig, siginfo_t *info, ucontext_t *uc)
{
    if (sim_foreign != NULL) {
        sim_foreign->deliver(sig, info, uc);
        return;
    }
    struct sigaction act = actions[sig];
    if ((act.sa_flags & SA_SIGINFO) == 0 &&
        (act.sa_handler == SIG_DFL || act.sa_handler == SIG_IGN)) {
        if (is_sync(sig)) {
            struct sigaction dfl = {.sa_handler = SIG_DFL};
            sigaction(sig, &dfl, NULL);
            if (info->si_code <= 0) /* sent, not raised: it will not come again by itself */
                syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), sig, info);
        }
        return;
    }
    sigset_t mask = uc->uc_sigmask, before;
    for (int s = 1; s < SIG_COUNT; s++) {
        if (sigismember(&act.sa_mask, s) == 1)
            sigaddset(&mask, s);
    }
    if ((act.sa_flags & SA_NODEFER) == 0)
        sigaddset(&mask, sig);
    sigprocmask(SIG_SETMASK, &mask, &before);
    if ((act.sa_flags & SA_SIGINFO) != 0)
        act.sa_sigaction(sig, info, uc);
    else
        act.sa_handler(sig);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* A signal that the kernel would have raised at the AEP, since no fix-up covers it. */
static void raise_fault(struct sim_thread *t, ucontext_t *uc)
{
    siginfo_t info = {.si_signo = t->raise, .si_code = SI_KERNEL};
    int sig = t->raise;
    t->raise = 0;
    info.si_addr = (void *)t->addr;
    uc->uc_mcontext.gregs[REG_TRAPNO] = t->vector;
    uc->uc_mcontext.gregs[REG_ERR] = t->error;
    deliver_signal(sig, &info, uc);
}

/* --- inside an enclave ----------------------------------------------------------------------- */

/* Byte by byte: the third may be on a page that is not there, if the first two are something else.
 */
static bool is_enclu(const volatile uint8_t *p)
{
    return p[0] == 0x0f && p[1] == 0x01 && p[2] == 0xd7;
}

/* How a processor refuses ENCLU: #UD without SGX; #GP or #PF (of its operand, not of the fetch)
 * where SGX is there but not ours, as in many virtual machines. */
static bool is_refused(int sig, const ucontext_t *uc)
{
    const greg_t *r = uc->uc_mcontext.gregs;
    if (sig == SIGSEGV)
        return r[REG_TRAPNO] != SGX_VECTOR_PF || (r[REG_ERR] & SGX_PF_I) == 0;
    return sig == SIGILL;
}

/* A host RIP whose bytes can be looked at: a wild jump is a SIGSEGV too, but one of the fetch,
 * which `refused` has sorted out, or to an address that no page can have. */
static bool in_reach(uint64_t rip)
{
    return rip >= SIM_LOWEST && rip < 1ull << 47;
}

static bool is_there(const struct sgxsim *dev, uint64_t rip)
{
    return rip - dev->base >= dev->size ||
           (sim_page(dev, rip - dev->base)->state & (PAGE_EVICTED | PAGE_LEAVING)) == 0;
}

static bool is_enclave_enclu(const struct sim_thread *t, uint64_t rip)
{
    uint64_t offset = rip - t->dev->base;
    return offset <= t->dev->size - 3 && sim_frame(t->dev, offset) != NULL &&
           is_enclu(sim_frame(t->dev, offset));
}

/* The byte at rip, or 0 (of an instruction that is legal) where the enclave has no page. */
static uint8_t code_at(const struct sim_thread *t, uint64_t rip)
{
    uint64_t offset = rip - t->dev->base;
    const uint8_t *p = offset < t->dev->size ? sim_frame(t->dev, offset) : NULL;
    return p != NULL ? *p : 0;
}

static bool is_prefix(uint8_t c)
{
    static const uint8_t all[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};
    return memchr(all, c, sizeof(all)) != NULL || c >> 4 == 4; /* REX */
}

/* #UD inside, #GP outside (SDM 36.4, table of illegal instructions), as far as a user's #GP shows
 * it: IN, OUT, INS, OUTS, INT n, RDPMC, and CPUID where the kernel lets it fault. */
static bool is_illegal(const struct sim_thread *t, uint64_t rip)
{
    uint8_t c = code_at(t, rip);
    for (unsigned i = 0; i < 14 && is_prefix(c); i++)
        c = code_at(t, ++rip);
    if (c == 0x0f)
        return code_at(t, rip + 1) == 0xa2 || code_at(t, rip + 1) == 0x33;
    return (c & 0xf4) == 0xe4 || (c & 0xfc) == 0x6c || c == 0xcd;
}

/* The access that a #PF's error code tells of. */
static uint32_t access_of(uint32_t error)
{
    return error & (SGX_PF_W | SGX_PF_I);
}

static bool wants_notify(const struct sim_thread *t)
{
    return (t->tcs->flags & SGX_TCS_AEXNOTIFY) != 0 && (t->gpr->aexnotify & 1) != 0;
}

/* #PF by the enclave's code: true if it may simply go on. */
static bool page_fault(struct sim_thread *t, const ucontext_t *uc, const siginfo_t *info)
{
    struct sgxsim *dev = t->dev;
    uint64_t addr = (uint64_t)info->si_addr;
    uint32_t error = (uint32_t)uc->uc_mcontext.gregs[REG_ERR];
    t->addr = addr;
    t->error = error;
    if (addr - dev->base >= dev->size)
        return false;
    error = access_of(error);
    sim_lock(dev);
    if (sim_epc_lags(dev, addr - dev->base)) { /* no fault on a processor */
        sim_epc_catch_up(dev);
        sim_unlock(dev);
        return true;
    }
    enum sim_fault_result result = sim_page_fault(dev, addr, &error);
    sim_unlock(dev);
    t->error = error;
    if (result == SIM_FAULT_SIGNAL)
        return false;
    /* The kernel has resolved it; to the enclave it was an AEX and an ERESUME. */
    SIM_COUNT(dev, aex_fault);
    if (wants_notify(t)) {
        t->vector = SGX_VECTOR_PF; /* the processor cannot know what the kernel makes of it */
        t->error = (uint32_t)uc->uc_mcontext.gregs[REG_ERR];
        sim_aex(t, sim_exitinfo(t->dev, t->vector));
        return true;
    }
    SIM_COUNT(dev, aex);
    SIM_COUNT(dev, eresume);
    return true;
}

static void single_step(struct sim_thread *t)
{
    uint64_t rip = t->r.rip, tcs = t->tcs_addr;
    if (t->step_over != NULL && t->step_over(t->step_arg, rip)) {
        t->r.rflags &= ~RFLAGS_TF;
        t->r.rflags |= t->step != NULL ? RFLAGS_TF : 0; /* POPF may have changed it */
        return;
    }
    SIM_COUNT(t->dev, aex_interrupt);
    sim_aex(t, 0);
    if (t->step != NULL)
        t->r.rax = t->step(t->step_arg, tcs, rip);
}

static void take_exception(struct sim_thread *t, int sig, siginfo_t *info, ucontext_t *uc)
{
    unsigned trap = (unsigned)uc->uc_mcontext.gregs[REG_TRAPNO];
    t->addr = 0;
    t->error = (uint32_t)uc->uc_mcontext.gregs[REG_ERR];
    if (sig == SIGSYS) { /* `syscall` is #UD inside; the kernel has stepped over it */
        t->r.rip -= 2;
        trap = SGX_VECTOR_UD;
        t->error = 0;
    } else if (is_refused(sig, uc) && !is_there(t->dev, t->r.rip)) {
        return; /* the instruction has left meanwhile: its fetch will bring it back */
    } else if (is_refused(sig, uc) && is_enclave_enclu(t, t->r.rip)) {
        t->insn = 3;
        sim_enclu(t);
        return;
    } else if (trap == SGX_VECTOR_GP && is_illegal(t, t->r.rip)) {
        trap = SGX_VECTOR_UD;
        t->error = 0;
    } else if (sig == SIGTRAP && trap == SGX_VECTOR_DB && t->step != NULL) {
        single_step(t);
        return;
    } else if (trap == SGX_VECTOR_PF && page_fault(t, uc, info)) {
        return;
    }
    t->vector = trap;
    sim_fault(t);
}

/* --- handlers -------------------------------------------------------------------------------- */

static void set_frame(struct sim_thread *t, ucontext_t *uc)
{
    uint32_t magic;
    t->frame = (uint8_t *)uc->uc_mcontext.fpregs;
    t->xrstor = NULL;
    memcpy(&magic, t->frame + 464, 4);
    if (magic != FP_MAGIC1)
        _exit(125); /* no XSAVE frame: not a kernel that we run on */
}

/* Back to where the state in t->r belongs. */
static void resume_context(struct sim_thread *t, ucontext_t *uc, uint64_t base[2])
{
    store_context(t, uc);
    base[0] = t->r.fs;
    base[1] = t->r.gs;
    if (t->raise != 0)
        raise_fault(t, uc);
}

static void defer_signal(struct sim_thread *t, int sig, siginfo_t *info, ucontext_t *uc)
{
    if (t->pending == 0)
        t->saved_mask = uc->uc_sigmask;
    for (int s = 1; s < SIG_COUNT; s++) {
        if (!is_sync(s))
            sigaddset(&uc->uc_sigmask, s);
    }
    syscall(SYS_rt_tgsigqueueinfo, getpid(), t->tid, sig, info);
    t->pending = 1;
}

/* The leaf has happened: the signals that waited for it come once its result is in place. */
static void deliver_deferred(struct sim_thread *t, ucontext_t *uc)
{
    if (t->pending != 0)
        uc->uc_sigmask = t->saved_mask;
    t->leave_by_trap = 0;
}

static void handle_sync(struct sim_thread *t, enum place place, int sig, siginfo_t *info,
                        ucontext_t *uc, uint64_t base[2])
{
    uint64_t rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    if (place == PLACE_ENCLAVE) {
        load_context(t, uc, base[0], base[1]);
        set_frame(t, uc);
        take_exception(t, sig, info, uc);
        resume_context(t, uc, base);
    } else if (sig == SIGILL && rip == (uint64_t)sim_trap) {
        deliver_deferred(t, uc);
        resume_context(t, uc, base);
    } else if (sig == SIGTRAP && place == PLACE_COMMIT) {
        resume_context(t, uc, base); /* single step within our own way out */
    } else if (sig == SIGTRAP && place == PLACE_SLOT) {
        return; /* … and in */
    } else if (place == PLACE_HOST && is_refused(sig, uc) && in_reach(rip) &&
               is_enclu((const uint8_t *)rip)) {
        if (t == NULL && sim_attach() == 0) /* its first; FS is its own */
            t = sim_self;
        if (t == NULL) {
            deliver_signal(sig, info, uc);
            return;
        }
        if (sim_foreign != NULL)
            sim_show_thread(t); /* a clone hides it */
        load_context(t, uc, base[0], base[1]);
        t->host_fs = base[0];
        t->host_gs = base[1];
        set_frame(t, uc);
        deliver_deferred(t, uc);
        t->insn = 3;
        sim_enclu(t);
        resume_context(t, uc, base);
    } else if (sig == SIGSYS && info->si_code == SYS_USER_DISPATCH &&
               sim_device_at(rip - 2) == NULL) {
        /* Where an enclave once was there is something else now: let it. */
        sim_unguard();
        uc->uc_mcontext.gregs[REG_RIP] -= 2;
    } else {
        deliver_signal(sig, info, uc);
    }
}

static void handle_async(struct sim_thread *t, enum place place, int sig, siginfo_t *info,
                         ucontext_t *uc, uint64_t base[2])
{
    if (place == PLACE_SLOT || place == PLACE_SIMULATOR) {
        defer_signal(t, sig, info, uc);
        return;
    }
    if (place == PLACE_COMMIT) {
        resume_context(t, uc, base);
        place = t->inside ? PLACE_ENCLAVE : PLACE_HOST;
    }
    if (place == PLACE_ENCLAVE) {
        load_context(t, uc, base[0], base[1]);
        set_frame(t, uc);
        SIM_COUNT(t->dev, aex_interrupt);
        sim_aex(t, 0);
        resume_context(t, uc, base);
    }
    if (sig != SIM_KICK)
        deliver_signal(sig, info, uc);
}

static enum place find_place(const struct sim_thread *t, const ucontext_t *uc, uint64_t fs)
{
    uint64_t rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    uint64_t rsp = (uint64_t)uc->uc_mcontext.gregs[REG_RSP];
    if (is_within(rip, sim_commit_begin, sim_commit_end) ||
        is_within(rip, t->code, (uint8_t *)t->code + SGX_PAGE_SIZE))
        return PLACE_COMMIT;
    if (is_within(rip, sim_trans_begin, sim_trans_end) ||
        is_within(rip, sim_aep + 1, sim_aep_enclu) ||
        is_within(rip, sim_foreign_aep + 1, sim_foreign_enclu))
        return PLACE_SLOT;
    if (t->inside && rip - t->dev->base < t->dev->size)
        return PLACE_ENCLAVE;
    if (t->inside && sim_slots_contain(t->dev, rip))
        return PLACE_SLOT;
    if (fs == t->lib_fs && rsp - (t->stack_top - 0x40000) < 0x40000)
        return PLACE_SIMULATOR;
    return PLACE_HOST;
}

__attribute__((noinline)) void sim_handle_signal(struct sim_thread *t, int sig, siginfo_t *info,
                                                 ucontext_t *uc, uint64_t base[2], uint64_t fs)
{
    int saved = errno;
    enum place place = t != NULL ? find_place(t, uc, fs) : PLACE_HOST;
    if (is_sync(sig))
        handle_sync(t, place, sig, info, uc, base);
    else
        handle_async(t, place, sig, info, uc, base);
    errno = saved;
}

/* FS may be the enclave's here: nothing that needs TLS before it is ours. A thread that was cloned
 * from one that had entered an enclave carries its parent's ES until it enters one itself; it is
 * told by its FS, and by being nowhere near an enclave. */
__attribute__((no_stack_protector)) static void signal_handler(int sig, siginfo_t *info, void *ctx)
{
    uint64_t base[2], fs, flags = __builtin_ia32_readeflags_u64();
    if ((flags & RFLAGS_AC) != 0) /* the kernel leaves it as the enclave had it */
        __builtin_ia32_writeeflags_u64(flags & ~RFLAGS_AC);
    struct sim_thread *t = sim_thread_by_es();
    __asm__ volatile("rdfsbase %0" : "=r"(base[0]));
    __asm__ volatile("rdgsbase %0" : "=r"(base[1]));
    fs = base[0];
    if (t != NULL && fs != t->host_fs && find_place(t, ctx, fs) == PLACE_HOST)
        t = NULL;
    if (t != NULL) {
        __asm__ volatile("wrfsbase %0" : : "r"(t->host_fs));
        __asm__ volatile("wrgsbase %0" : : "r"(t->host_gs));
    }
    sim_handle_signal(t, sig, info, ctx, base, fs);
    if (t != NULL || base[0] != fs) {
        __asm__ volatile("wrfsbase %0" : : "r"(base[0]));
        __asm__ volatile("wrgsbase %0" : : "r"(base[1]));
    }
}

static int install_handler(int sig, int flags)
{
    struct sigaction act = {.sa_sigaction = signal_handler};
    act.sa_flags = SA_SIGINFO | SA_ONSTACK | (flags & (SA_RESTART | SA_NOCLDSTOP | SA_NOCLDWAIT));
    sigfillset(&act.sa_mask);
    for (int s = 1; s < SIG_COUNT; s++) {
        if (is_sync(s))
            sigdelset(&act.sa_mask, s); /* a second fault must not be lost in a blocked signal */
    }
    return sigaction(sig, &act, NULL) == 0 ? 0 : -errno;
}

static bool has_handler(const struct sigaction *act)
{
    return (act->sa_flags & SA_SIGINFO) != 0 ||
           (act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN);
}

/* At each open: the program's handlers, old and new, come behind ours. */
int sim_signals_init(void)
{
    int ret = 0;
    if (sim_foreign != NULL)
        return 0; /* they come to it */
    pthread_mutex_lock(&actions_lock);
    for (int sig = 1; ret == 0 && sig < SIG_COUNT; sig++) {
        struct sigaction now;
        if (sig == SIGKILL || sig == SIGSTOP || sigaction(sig, NULL, &now) != 0 ||
            now.sa_sigaction == signal_handler)
            continue;
        if (!is_sync(sig) && sig != SIM_KICK && !has_handler(&now))
            continue;
        actions[sig] = now;
        ret = install_handler(sig, sig == SIM_KICK ? SA_RESTART : now.sa_flags);
    }
    pthread_mutex_unlock(&actions_lock);
    return ret;
}

int sgxsim_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
    int ret = 0;
    if (sig <= 0 || sig >= SIG_COUNT || sig == SIM_KICK)
        return -EINVAL;
    pthread_mutex_lock(&actions_lock);
    if (old != NULL)
        *old = actions[sig];
    if (act != NULL) {
        actions[sig] = *act;
        if (is_sync(sig))
            ret = 0;
        else if (has_handler(act))
            ret = install_handler(sig, act->sa_flags);
        else
            ret = sigaction(sig, act, NULL) == 0 ? 0 : -errno;
    }
    pthread_mutex_unlock(&actions_lock);
    return ret;
}

void sim_kick(const struct sim_thread *t)
{
    syscall(SYS_tgkill, getpid(), t->tid, SIM_KICK);
}
