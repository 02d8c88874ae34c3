// SPDX-License-Identifier: Apache-2.0
// Delivering signals on the way back to the program.
#include <asm/signal.h>

#include "trusted/libos/mm/sites.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/proc/ptrace.h"
#include "trusted/libos/signal/signal.h"

void sig_temporary_mask(struct thread *t, uint64_t mask)
{
    if (!t->restore_mask)
        t->sig_saved_mask = t->sig_mask;
    t->restore_mask = true;
    sig_set_mask(t, mask);
}

static void act_by_default(struct thread *t, int signo)
{
    switch (signo) {
    case SIGCHLD:
    case SIGURG:
    case SIGWINCH:
    case SIGCONT:
        return;
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
        if (group_is_orphaned(t->process->pgid)) /* no shell would make it go on */
            return;
        __attribute__((fallthrough));
    case SIGSTOP:
        if (t->tracee)
            ptrace_group_stop(t, signo);
        else if (t->process != &first_process) /* nobody would make it go on */
            process_stop(signo);
        return;
    default:
        process_exit(signo);
    }
}

/* The interrupted call's outcome, now that it is known whether a handler runs. */
static void settle_call(struct thread *t, const struct sig_action *handler)
{
    if (t->call_nr < 0)
        return;
    int64_t result = (int64_t)t->regs.rax;
    if (result == -ERESTARTSYS || result == -ERESTARTNOHAND) {
        if (handler && (result == -ERESTARTNOHAND || !(handler->flags & SA_RESTART))) {
            t->regs.rax = (uint64_t)-EINTR;
        } else {
            t->regs.rax = (uint64_t)t->call_nr;
            t->regs.rip = sites_virtual(t->restart_rip);
            t->rip_virtual = true;
        }
    }
    t->call_nr = -1;
}

static bool run_action(struct thread *t, const struct sig_item *item);

static void take_signal(struct thread *t, struct sig_item *item)
{
    if (!sig_spares_first(current(), item) && ptrace_signal(t, item))
        run_action(t, item);
}

/* There is no room for a handler's frame: a fault, which may have a handler on another stack. */
static bool bad_stack(struct thread *t, int signo)
{
    struct sig_item item = {.signo = SIGSEGV, .code = 0x80};
    if (signo == SIGSEGV || (t->sig_mask & SIG_BIT(SIGSEGV)) || !run_action(t, &item))
        process_exit(SIGSEGV);
    return true;
}

/* Runs one handler; false if the signal had none. */
static bool run_action(struct thread *t, const struct sig_item *item)
{
    struct sig_action *a = &current()->handlers->actions[item->signo - 1];
    if (a->handler == SIG_IGNORE)
        return false;
    if (a->handler == SIG_DEFAULT) {
        act_by_default(t, item->signo);
        return false;
    }
    struct sig_action action = *a;
    settle_call(t, &action);
    t->regs.rip = sites_virtual(t->regs.rip);
    if (action.flags & SA_RESETHAND)
        a->handler = SIG_DEFAULT;
    uint64_t mask = t->restore_mask ? t->sig_saved_mask : t->sig_mask;
    t->restore_mask = false;
    if (frame_push(t, &action, item, mask))
        return bad_stack(t, item->signo);
    mask = t->sig_mask | action.mask;
    sig_set_mask(t, action.flags & SA_NODEFER ? mask : mask | SIG_BIT(item->signo));
    return true;
}

void sig_deliver(struct thread *t)
{
    struct sig_item item;
    sig_collect();
    while (sig_take(t, ~t->sig_mask, &item))
        take_signal(t, &item);
    settle_call(t, NULL);
    if (t->restore_mask) {
        t->restore_mask = false;
        sig_set_mask(t, t->sig_saved_mask);
        while (sig_take(t, ~t->sig_mask, &item))
            take_signal(t, &item);
    }
}

void sig_fault(struct thread *t, int signo, int code, uint64_t addr)
{
    struct sig_item item = {.signo = signo, .code = code, .value = addr};
    if (tracing)
        log_line("[%d] --- fault %u: signal %d code %d addr 0x%lx rip 0x%lx", t->tid,
                 t->trap.vector, signo, code, addr, t->regs.rip);
    t->call_nr = -1;
    if (!ptrace_signal(t, &item))
        return;
    signo = item.signo;
    if ((t->sig_mask & SIG_BIT(signo)) || !run_action(t, &item))
        process_exit(signo);
}
