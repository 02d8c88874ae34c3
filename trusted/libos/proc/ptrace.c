// SPDX-License-Identifier: Apache-2.0
// ptrace: stops, who is told of them, and the requests of the tracer. There are no single steps:
// the flag for them does not outlive an exit of an enclave, and only its host could set it again.
#include <asm/signal.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/wait.h>
#include <asm/siginfo.h>

#include "trusted/libos/base/processor.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/mm/sites.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/proc/ptrace.h"

#define OPTIONS                                                                                    \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |      \
     PTRACE_O_TRACEEXEC | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL)
#define NO_STOP 1ul    /* SA_NOCLDSTOP */
#define USER_SIZE 928u /* struct user */
#define DEBUG_REGISTERS 848u

static struct tracee *attach_thread(struct thread *t, struct process *tracer, bool seized)
{
    struct tracee *e = los_alloc(sizeof(*e));
    void *xsave = e ? pages_alloc(XSTATE_PAGES) : NULL;
    if (!xsave) {
        los_free(e);
        return NULL;
    }
    *e = (struct tracee){.tracer = tracer,
                         .thread = t,
                         .tid = t->tid,
                         .seized = seized,
                         .call = (uint64_t)t->call_nr,
                         .xsave = xsave};
    t->tracee = e;
    list_append(&tracer->tracees, &e->node);
    return e;
}

static void free_tracee(struct tracee *e)
{
    if (e->thread)
        e->thread->tracee = NULL;
    list_remove(&e->node);
    if (e->xsave)
        pages_free(e->xsave, XSTATE_PAGES);
    los_free(e);
}

static void tell_tracer(const struct tracee *e, int code, int status)
{
    struct sig_item item = {
        .signo = SIGCHLD, .code = code, .pid = e->tid, .uid = e->uid, .value = (uint32_t)status};
    if (!(e->tracer->handlers->actions[SIGCHLD - 1].flags & NO_STOP))
        sig_send_item(e->tracer, NULL, &item);
    wait_wake_all(&e->tracer->child_wait);
}

/* Of a thread that ends so, perhaps since its process does. */
static int end_status(const struct thread *t, int wait_status)
{
    return t->process->exiting ? t->process->wait_status : wait_status;
}

/* ---- stops, of the calling thread ---- */

static bool must_go_on(const struct thread *t)
{
    const struct process *p = t->process;
    bool ends = p->exiting || (p->exec_thread && p->exec_thread != t);
    return !t->tracee || !t->tracee->status || (ends && !t->tracee->ending) ||
           ((t->pending.set | p->pending.set) & SIG_BIT(SIGKILL));
}

static struct sig_item event_info(const struct thread *t, int status)
{
    return (struct sig_item){.signo = SIGTRAP, .code = status, .pid = t->tid};
}

/* A stop that was listened to is over, or PTRACE_INTERRUPT asked: another stop, of no signal. */
static void tell_again(struct thread *t)
{
    struct tracee *e = t->tracee;
    e->listening = t->stop_wanted = e->reported = false;
    e->status = SIGTRAP | PTRACE_EVENT_STOP << 8;
    e->info = event_info(t, e->status);
    tell_tracer(e, CLD_TRAPPED, e->status);
}

void ptrace_continued(struct process *p)
{
    list_each(struct thread, t, &p->threads, node) {
        if (t->tracee && t->tracee->listening)
            t->stop_wanted = true;
    }
    wait_wake_all(&p->resume);
}

/* Until the tracer lets it go on, or it must end. What it is to go on with may have changed. */
static void stop_thread(struct thread *t, int status, const struct sig_item *info)
{
    struct tracee *e = t->tracee;
    struct waiter w = {0};
    t->stop_wanted = false;
    t->tracer_signal = 0;
    t->regs.rip = sites_virtual(t->regs.rip);
    t->rip_virtual = true;
    xstate_save(e->xsave, port_info.xfrm);
    e->status = status;
    e->reported = false;
    e->uid = t->process->uid;
    e->info = *info;
    tell_tracer(e, CLD_TRAPPED, status);
    wait_begin(&w, &t->process->resume);
    while (!must_go_on(t)) {
        if (e->listening && t->stop_wanted)
            tell_again(t);
        else
            wait_nap(NO_DEADLINE);
    }
    wait_end(&w);
    thread_set_fs(t, t->fs_base);
    if (t->tracee) {
        t->tracee->status = 0;
        xstate_load(t->tracee->xsave, port_info.xfrm);
    } else { /* it was left alone */
        xstate_load(t->xsave, port_info.xfrm);
        pages_free(t->xsave, XSTATE_PAGES);
        t->xsave = NULL;
    }
    call_residence();
}

static void stop_for_event(struct thread *t, int event, uint64_t message)
{
    struct sig_item info = event_info(t, SIGTRAP | event << 8);
    t->tracee->message = message;
    stop_thread(t, info.code, &info);
}

bool ptrace_signal(struct thread *t, struct sig_item *item)
{
    if (!t->tracee || item->signo == SIGKILL)
        return true;
    stop_thread(t, item->signo, item);
    int signo = t->tracer_signal;
    if (signo != item->signo)
        *item = (struct sig_item){.signo = signo, .pid = current()->pid, .uid = current()->uid};
    else if (t->tracee)
        *item = t->tracee->info;
    return signo;
}

void ptrace_group_stop(struct thread *t, int signo)
{
    struct sig_item none = {0}, info = event_info(t, signo | PTRACE_EVENT_STOP << 8);
    info.signo = signo;
    if (t->tracee->seized)
        stop_thread(t, info.code, &info);
    else
        stop_thread(t, signo, &none);
}

void ptrace_interrupt(struct thread *t)
{
    if (t->tracee && t->stop_wanted)
        stop_for_event(t, PTRACE_EVENT_STOP, 0);
}

static void stop_at_call(struct thread *t)
{
    int status = SIGTRAP | (t->tracee->options & PTRACE_O_TRACESYSGOOD ? 0x80 : 0);
    struct sig_item info = {.signo = SIGTRAP, .code = status, .pid = t->tid};
    stop_thread(t, status, &info);
    if (t->tracer_signal)
        sig_send_thread(t, t->tracer_signal, 0);
}

int64_t ptrace_call_begins(struct thread *t, int64_t nr)
{
    struct tracee *e = t->tracee;
    e->call = (uint64_t)nr;
    if (!e->calls)
        return nr;
    t->regs.rax = (uint64_t)-ENOSYS;
    stop_at_call(t);
    return t->tracee ? (int64_t)t->tracee->call : nr;
}

void ptrace_call_ends(struct thread *t)
{
    if (t->tracee->calls)
        stop_at_call(t);
}

void ptrace_cloned(struct thread *n, uint64_t flags, int exit_signal)
{
    struct thread *t = self();
    const struct tracee *e = t->tracee;
    int event = flags & CLONE_VFORK ? PTRACE_EVENT_VFORK : PTRACE_EVENT_FORK;
    if (!e || (flags & CLONE_UNTRACED))
        return;
    if (event == PTRACE_EVENT_FORK && exit_signal != SIGCHLD)
        event = PTRACE_EVENT_CLONE;
    bool wanted = e->options & 1u << event;
    struct tracee *c =
        wanted || (flags & CLONE_PTRACE) ? attach_thread(n, e->tracer, e->seized) : NULL;
    if (c) {
        struct sig_item item = {.signo = SIGSTOP};
        c->options = e->options;
        n->stop_wanted = e->seized;
        if (!e->seized)
            sig_send_item(n->process, n, &item);
    }
    if (wanted)
        stop_for_event(t, event, (uint64_t)n->tid);
}

void ptrace_vfork_done(struct thread *t, int pid)
{
    if (t->tracee && (t->tracee->options & PTRACE_O_TRACEVFORKDONE))
        stop_for_event(t, PTRACE_EVENT_VFORK_DONE, (uint64_t)pid);
}

void ptrace_execed(struct thread *t)
{
    struct tracee *e = t->tracee;
    if (!e)
        return;
    uint64_t old = (uint64_t)e->tid;
    e->tid = t->tid;
    t->regs.rax = (uint64_t)-ENOSYS; /* until the call's end */
    if (e->options & PTRACE_O_TRACEEXEC)
        stop_for_event(t, PTRACE_EVENT_EXEC, old);
    else if (!e->seized)
        sig_send_thread(t, SIGTRAP, 0);
}

/* ---- ends ---- */

void ptrace_thread_ending(struct thread *t, int wait_status)
{
    struct tracee *e = t->tracee;
    if (!e || e->ending || !(e->options & PTRACE_O_TRACEEXIT))
        return;
    e->ending = true;
    stop_for_event(t, PTRACE_EVENT_EXIT, (uint64_t)end_status(t, wait_status));
}

void ptrace_thread_ends(struct thread *t, int wait_status, bool last)
{
    struct tracee *e = t->tracee;
    const struct process *p = t->process;
    if (!e)
        return;
    if (e->tid == p->pid && e->tracer == p->parent) {
        free_tracee(e); /* wait4 tells it of its child */
        return;
    }
    t->tracee = NULL;
    e->thread = NULL;
    e->status = end_status(t, wait_status);
    e->reported = e->tid == p->pid && !last; /* the process's end comes later */
    list_each(struct tracee, leader, &e->tracer->tracees, node) {
        if (last && leader->tid == p->pid) {
            leader->status = e->status;
            leader->reported = false;
        }
    }
    tell_tracer(e, CLD_TRAPPED, e->status);
}

static void leave_alone(struct tracee *e, int signo)
{
    struct thread *t = e->thread;
    t->stop_wanted = false;
    if (e->status) {
        t->tracer_signal = signo;
        t->xsave = e->xsave;
        e->xsave = NULL;
    }
    free_tracee(e);
    wait_wake_all(&t->process->resume);
}

void ptrace_tracer_ends(struct process *p)
{
    list_each_safe(struct tracee, e, &p->tracees, node) {
        struct thread *t = e->thread;
        struct sig_item kill = {.signo = SIGKILL};
        bool ends = t && (e->options & PTRACE_O_EXITKILL);
        if (t)
            leave_alone(e, 0);
        else
            free_tracee(e);
        if (ends)
            sig_send_item(t->process, NULL, &kill);
    }
}

/* ---- news, for wait4 ---- */

static bool is_meant(const struct tracee *e, int type, int id)
{
    if (type == P_PGID && e->thread)
        return e->thread->process->pgid == id;
    return type == P_ALL || (type == P_PID && e->tid == id);
}

struct tracee *ptrace_find_news(int type, int id, bool *any)
{
    list_each(struct tracee, e, &current()->tracees, node) {
        if (!is_meant(e, type, id))
            continue;
        *any = true;
        if ((e->status || !e->thread) && !e->reported)
            return e;
    }
    return NULL;
}

void ptrace_take_news(struct tracee *e)
{
    e->reported = true;
    if (!e->thread)
        free_tracee(e);
}

/* ---- requests ---- */

/* Whom one attaches to while it stands still is one's own, standing still, when that returns. */
static void wait_stopped(int pid)
{
    struct waiter w = {0};
    const struct thread *t;
    wait_begin(&w, &current()->child_wait);
    while ((t = thread_find_any(pid)) && t->tracee && t->tracee->tracer == current() &&
           !t->tracee->status && !current()->exiting &&
           !((self()->pending.set | current()->pending.set) & SIG_BIT(SIGKILL)))
        wait_nap(NO_DEADLINE);
    wait_end(&w);
}

static long attach_other(int pid, uint64_t options, bool seize)
{
    struct thread *t = thread_find_any(pid);
    struct process *p = t ? t->process : NULL;
    if (!t)
        return -ESRCH;
    if (p == current() || t->tracee || p->exiting || !process_may_inspect(p))
        return -EPERM;
    struct tracee *e = attach_thread(t, current(), seize);
    if (!e)
        return -ENOMEM;
    e->options = (uint32_t)options;
    if (seize)
        return 0;
    struct sig_item item = {.signo = SIGSTOP, .pid = current()->pid, .uid = current()->uid};
    bool stood = p->stopped;
    if (stood) { /* it goes on, to the stop that its tracer hears of; this SIGCONT is lost */
        struct sig_item cont = {.signo = SIGCONT};
        sig_send_item(p, NULL, &cont);
    }
    sig_send_item(p, t, &item);
    if (stood)
        wait_stopped(pid);
    return 0;
}

static long go_on(struct tracee *e, int64_t request, uint64_t signo)
{
    struct thread *t = e->thread;
    if (signo > SIG_COUNT)
        return -EIO;
    e->calls = request == PTRACE_SYSCALL;
    e->listening = false;
    t->tracer_signal = (int32_t)signo;
    e->status = 0;
    wait_wake_all(&t->process->resume);
    return 0;
}

/* struct user: registers, and debug registers of which there are none. */
static long move_user_word(struct tracee *e, uint64_t at, uint64_t data, bool write)
{
    uint64_t regs[PTRACE_REGS], none = 0;
    if (at % 8 || at > USER_SIZE - 8)
        return -EIO;
    ptrace_registers(e, regs);
    bool known = at / 8 < PTRACE_REGS;
    if (!write)
        return user_write(data, known ? &regs[at / 8] : &none, 8);
    if (!known)
        return at >= DEBUG_REGISTERS && !data ? 0 : -EIO;
    regs[at / 8] = data;
    return ptrace_set_registers(e, regs);
}

static long move_registers(struct tracee *e, uint64_t addr, bool write)
{
    uint64_t regs[PTRACE_REGS];
    ptrace_registers(e, regs);
    if (!write)
        return user_write(addr, regs, sizeof(regs));
    return user_read(regs, addr, sizeof(regs)) ? -EFAULT : ptrace_set_registers(e, regs);
}

static long move_siginfo(struct tracee *e, uint64_t addr, bool write)
{
    uint8_t raw[128];
    if (!e->info.signo)
        return -EINVAL; /* the stop is of no signal */
    if (write) {
        if (user_read(raw, addr, sizeof(raw)))
            return -EFAULT;
        siginfo_parse(raw, &e->info);
        return 0;
    }
    siginfo_build(raw, &e->info);
    return user_write(addr, raw, sizeof(raw));
}

static long move_mask(struct tracee *e, uint64_t size, uint64_t addr, bool write)
{
    uint64_t mask = e->thread->sig_mask;
    if (size != sizeof(mask))
        return -EINVAL;
    if (!write)
        return user_write(addr, &mask, sizeof(mask));
    if (user_read(&mask, addr, sizeof(mask)))
        return -EFAULT;
    sig_set_mask(e->thread, mask);
    return 0;
}

static long move_word(struct tracee *e, uint64_t addr, uint64_t data, bool write)
{
    uint64_t word;
    struct space *s = e->thread->process->space;
    if (write)
        return space_poke(s, addr, &data, sizeof(data)) ? -EIO : 0;
    return space_read(s, &word, addr, sizeof(word)) ? -EIO : user_write(data, &word, sizeof(word));
}

static long handle_stopped(struct tracee *e, int64_t request, uint64_t addr, uint64_t data)
{
    switch (request) {
    case PTRACE_PEEKTEXT:
    case PTRACE_PEEKDATA:
        return move_word(e, addr, data, false);
    case PTRACE_POKETEXT:
    case PTRACE_POKEDATA:
        return move_word(e, addr, data, true);
    case PTRACE_PEEKUSR:
    case PTRACE_POKEUSR:
        return move_user_word(e, addr, data, request == PTRACE_POKEUSR);
    case PTRACE_GETREGS:
    case PTRACE_SETREGS:
        return move_registers(e, data, request == PTRACE_SETREGS);
    case PTRACE_GETFPREGS:
    case PTRACE_SETFPREGS:
        return ptrace_float_registers(e, data, request == PTRACE_SETFPREGS);
    case PTRACE_GETREGSET:
    case PTRACE_SETREGSET:
        return ptrace_register_set(e, addr, data, request == PTRACE_SETREGSET);
    case PTRACE_GETSIGINFO:
    case PTRACE_SETSIGINFO:
        return move_siginfo(e, data, request == PTRACE_SETSIGINFO);
    case PTRACE_GETSIGMASK:
    case PTRACE_SETSIGMASK:
        return move_mask(e, addr, data, request == PTRACE_SETSIGMASK);
    case PTRACE_GETEVENTMSG:
        return user_write(data, &e->message, sizeof(e->message));
    case PTRACE_SETOPTIONS:
        if (data & ~(uint64_t)OPTIONS)
            return -EINVAL;
        e->options = (uint32_t)data;
        return 0;
    case PTRACE_CONT:
    case PTRACE_SYSCALL:
        return go_on(e, request, data);
    case PTRACE_LISTEN:
        if (!e->seized || e->status >> 8 != PTRACE_EVENT_STOP)
            return -EIO;
        e->listening = true;
        return 0;
    case PTRACE_DETACH:
        if (data > SIG_COUNT)
            return -EIO;
        leave_alone(e, (int)data);
        return 0;
    default:
        return -EIO;
    }
}

long sys_ptrace(int64_t request, int pid, uint64_t addr, uint64_t data)
{
    if (!port_info.debug)
        return -EPERM;
    if (request == PTRACE_TRACEME) {
        if (self()->tracee || !current()->parent)
            return -EPERM;
        return attach_thread(self(), current()->parent, false) ? 0 : -ENOMEM;
    }
    if (request == PTRACE_SEIZE && (addr || (data & ~(uint64_t)OPTIONS)))
        return -EIO;
    if (request == PTRACE_ATTACH || request == PTRACE_SEIZE)
        return attach_other(pid, request == PTRACE_SEIZE ? data : 0, request == PTRACE_SEIZE);
    struct thread *t = thread_find_any(pid);
    struct tracee *e = t ? t->tracee : NULL;
    if (!e || e->tracer != current())
        return -ESRCH;
    if (request == PTRACE_KILL) {
        struct sig_item kill = {.signo = SIGKILL};
        sig_send_item(t->process, NULL, &kill);
        return 0;
    }
    if (request == PTRACE_INTERRUPT) {
        if (!e->seized)
            return -EIO;
        t->stop_wanted = true;
        sig_wake_for_mask(t);
        wait_wake_all(&t->process->resume);
        return 0;
    }
    return e->status && !e->listening ? handle_stopped(e, request, addr, data) : -ESRCH;
}
