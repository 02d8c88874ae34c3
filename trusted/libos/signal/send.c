// SPDX-License-Identifier: Apache-2.0
// Sending signals and keeping those that wait.
#include <asm/signal.h>

#include "lib/settings.h"
#include "trusted/libos/entry/entry.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

#define QUEUE_MAX 1024u
#define UNMASKABLE (SIG_BIT(SIGKILL) | SIG_BIT(SIGSTOP))

static uint64_t from_host;

void sig_set_mask(struct thread *t, uint64_t mask)
{
    t->sig_mask = mask & ~UNMASKABLE;
}

void sig_queue_init(struct sig_queue *q)
{
    q->set = 0;
    q->count = 0;
    list_init(&q->items);
}

void sig_queue_clear(struct sig_queue *q)
{
    list_each_safe(struct sig_item, i, &q->items, node) {
        list_remove(&i->node);
        los_free(i);
    }
    sig_queue_init(q);
}

static bool ignored_by_default(int signo)
{
    return signo == SIGCHLD || signo == SIGURG || signo == SIGWINCH || signo == SIGCONT;
}

bool sig_spares_first(const struct process *p, const struct sig_item *item)
{
    return p->pid == 1 && p->handlers->actions[item->signo - 1].handler == SIG_DEFAULT;
}

static bool is_dropped(const struct process *p, const struct thread *t, const struct sig_item *item,
                       uint64_t blocked)
{
    int signo = item->signo;
    uint64_t h = p->handlers->actions[signo - 1].handler;
    bool ignored = h == SIG_IGNORE || (h == SIG_DEFAULT && ignored_by_default(signo)) ||
                   sig_spares_first(p, item);
    return ignored && !(blocked & SIG_BIT(signo)) && !(t && t->tracee);
}

void sig_wake_for_mask(struct thread *t)
{
    __atomic_store_n(&t->kicked, 1, __ATOMIC_SEQ_CST);
    if (t->sleeping)
        los_wake_later(t);
    else if (t != self())
        port_thread_kick(t);
}

static struct thread *who_takes(struct process *p, int signo)
{
    struct thread *first = NULL;
    list_each(struct thread, t, &p->threads, node) {
        if (!(t->sig_mask & SIG_BIT(signo)) || (t->wait_set & SIG_BIT(signo))) {
            if (t->sleeping || t == self())
                return t;
            first = first ? first : t;
        }
    }
    return first;
}

static void forget_signal(struct sig_queue *q, uint64_t set)
{
    list_each_safe(struct sig_item, i, &q->items, node) {
        if (!(set & SIG_BIT(i->signo)))
            continue;
        list_remove(&i->node);
        los_free(i);
        q->count--;
    }
    q->set &= ~set;
}

/* Going on takes back what would stop, and the other way round (signal(7)); the end needs it to go
 * on. */
static void before_send(struct process *p, int signo)
{
    uint64_t stops = SIG_BIT(SIGSTOP) | SIG_BIT(SIGTSTP) | SIG_BIT(SIGTTIN) | SIG_BIT(SIGTTOU);
    uint64_t forget = signo == SIGCONT                         ? stops
                      : signo < 32 && (stops & SIG_BIT(signo)) ? SIG_BIT(SIGCONT)
                                                               : 0;
    if (forget) {
        forget_signal(&p->pending, forget);
        list_each(struct thread, t, &p->threads, node)
            forget_signal(&t->pending, forget);
    }
    if (signo == SIGCONT || signo == SIGKILL)
        process_continue(p);
}

static struct list watches = {&watches, &watches};

void sig_watch(struct sig_watch *w)
{
    list_append(&watches, &w->node);
}

static void wake_watches(int signo)
{
    list_each(struct sig_watch, w, &watches, node) {
        if (w->set & SIG_BIT(signo))
            wait_wake_all(&w->wait);
    }
}

int sig_send_item(struct process *p, struct thread *t, const struct sig_item *item)
{
    int signo = item->signo;
    struct sig_queue *q = t ? &t->pending : &p->pending;
    struct thread *target = t ? t : who_takes(p, signo);
    uint64_t blocked = target ? target->sig_mask | target->wait_set : UINT64_MAX;
    stats_count(signals);
    if (p->zombie || !p->handlers)
        return 0;
    before_send(p, signo);
    if (is_dropped(p, target, item, blocked))
        return 0;
    if (signo < 32 && (q->set & SIG_BIT(signo)))
        return 0; /* ordinary signals do not queue */
    bool full =
        q->count >= MIN(QUEUE_MAX, current()->limits[11].soft) && signo >= 32; /* SIGPENDING */
    struct sig_item *copy = full ? NULL : los_alloc(sizeof(*copy));
    if (!copy && item->code) /* kill's come without who sent them */
        return -EAGAIN;
    q->set |= SIG_BIT(signo);
    if (copy) {
        *copy = *item;
        list_append(&q->items, &copy->node);
        q->count++;
    }
    wake_watches(signo);
    if (target && (!(target->sig_mask & SIG_BIT(signo)) || (target->wait_set & SIG_BIT(signo))))
        sig_wake_for_mask(target);
    return 1;
}

void sig_send_thread(struct thread *t, int signo, int code)
{
    struct sig_item item = {
        .signo = signo, .code = code, .pid = current()->pid, .uid = current()->uid};
    sig_send_item(t->process, t, &item);
}

void sig_send_group(int32_t pgid, int signo)
{
    struct sig_item item = {.signo = signo, .code = 0x80 /* SI_KERNEL */};
    list_each(struct process, p, &processes, node) {
        if (pgid && p->pgid == pgid)
            sig_send_item(p, NULL, &item);
    }
}

static bool take_from(struct sig_queue *q, uint64_t set, struct sig_item *out)
{
    set &= q->set;
    if (!set)
        return false;
    /* Faults first, then the lowest number, as Linux does. */
    uint64_t faults = SIG_BIT(SIGSEGV) | SIG_BIT(SIGBUS) | SIG_BIT(SIGILL) | SIG_BIT(SIGTRAP) |
                      SIG_BIT(SIGFPE) | SIG_BIT(SIGSYS);
    int signo = __builtin_ctzll(set & faults ? set & faults : set) + 1;
    struct sig_item *found = NULL;
    bool more = false;
    list_each(struct sig_item, i, &q->items, node) {
        if (i->signo != signo)
            continue;
        more = found != NULL;
        if (more)
            break;
        found = i;
    }
    if (!more)
        q->set &= ~SIG_BIT(signo);
    *out = found ? *found : (struct sig_item){.signo = signo};
    if (found) {
        list_remove(&found->node);
        los_free(found);
        q->count--;
    }
    return true;
}

bool sig_take(struct thread *t, uint64_t set, struct sig_item *out)
{
    bool any = take_from(&t->pending, set, out) || take_from(&t->process->pending, set, out);
    if (any)
        timers_taken(t->process, out);
    return any;
}

void los_host_signal(int sig)
{
    if (sig >= 1 && sig <= SIG_COUNT)
        __atomic_fetch_or(&from_host, SIG_BIT(sig), __ATOMIC_SEQ_CST);
}

void sig_collect(void)
{
    control_collect();
    if (!__atomic_load_n(&from_host, __ATOMIC_RELAXED))
        return;
    uint64_t set = __atomic_exchange_n(&from_host, 0, __ATOMIC_SEQ_CST) & settings.signals;
    set &= ~SIG_BIT(SIGKILL);                             /* a host that wants an end makes it */
    if (settings.terminal && (set & SIG_BIT(SIGWINCH))) { /* for who is in its foreground */
        set &= ~SIG_BIT(SIGWINCH);
        stdio_resize();
    }
    for (int signo = 1; signo <= SIG_COUNT; signo++) {
        struct sig_item item = {.signo = signo, .code = 0x80 /* SI_KERNEL */};
        if (set & SIG_BIT(signo))
            sig_send_item(&first_process, NULL, &item);
    }
}

static bool host_wants(void)
{
    return __atomic_load_n(&from_host, __ATOMIC_RELAXED) || control_is_due();
}

bool sig_is_due(const struct thread *t)
{
    return host_wants() || t->restore_mask || t->call_nr >= 0 ||
           ((t->pending.set | t->process->pending.set) & ~t->sig_mask);
}

bool sig_interrupts(struct thread *t)
{
    if (t->service)
        return false;
    if (host_wants()) {
        los_upgrade();
        sig_collect();
    }
    uint64_t pending = t->pending.set | t->process->pending.set;
    if (t->process->exec_thread && t->process->exec_thread != t)
        return true;
    return t->process->exiting || t->dead || t->stop_wanted ||
           (pending & (~t->sig_mask | t->wait_set));
}
