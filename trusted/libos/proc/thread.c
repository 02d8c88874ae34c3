// SPDX-License-Identifier: Apache-2.0
// Threads: their stacks, their first and last steps.
#include <asm/prctl.h>
#include <asm/signal.h>

#include "trusted/libos/base/processor.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/entry/entry.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/entry/session.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"
#include "trusted/libos/time/tsc.h"

static struct list zombies = {&zombies, &zombies}; /* until the port lets go of their stacks */

/* Below each stack one page is never there: what runs over it faults, and ends everything. */
static struct list stacks = {&stacks, &stacks}; /* not in use; their lowest bytes are the node */

static uint64_t stack_new(void)
{
    if (list_empty(&stacks)) {
        uint8_t *p = pages_guarded(KSTACK_SIZE >> PAGE_SHIFT);
        return p ? (uint64_t)p + KSTACK_SIZE : 0;
    }
    struct list *node = stacks.next;
    list_remove(node);
    return (uint64_t)node + KSTACK_SIZE;
}

void thread_free(struct thread *t)
{
    if (t->xsave)
        pages_free(t->xsave, XSTATE_PAGES);
    los_end_share(t);
    void *stack = (void *)(t->stack_top - KSTACK_SIZE);
    memset(stack, 0, KSTACK_SIZE);
    list_append(&stacks, stack);
    los_free(t);
}

static void reap_threads(void)
{
    list_each_safe(struct thread, t, &zombies, node) {
        if (!__atomic_load_n(&t->gone, __ATOMIC_ACQUIRE) ||
            __atomic_load_n(&t->pins, __ATOMIC_ACQUIRE))
            continue;
        list_remove(&t->node);
        if (!t->fixed)
            thread_free(t);
    }
}

void thread_init(struct thread *t, uint64_t stack_top)
{
    t->self = t;
    t->stack_top = stack_top;
    t->fast = los_fast;
    t->fast_cpuid = los_fast_cpuid;
    t->call_nr = -1;
    list_init(&t->node);
    los_new_share(t);
    sig_queue_init(&t->pending);
    usage_start(t);
}

struct thread *thread_new(void)
{
    reap_threads();
    struct thread *t = los_alloc(sizeof(*t));
    uint64_t stack_top = t ? stack_new() : 0;
    if (!stack_top) {
        los_free(t);
        return NULL;
    }
    thread_init(t, stack_top);
    t->stats = stats_part(t->share);
    t->canary = canary_new();
    return t;
}

struct thread *thread_service(void (*service)(struct thread *t))
{
    struct thread *t = thread_new();
    if (!t)
        return NULL;
    t->process = &first_process;
    t->service = service;
    t->tid = -1;
    t->sig_mask = UINT64_MAX;
    if (port_thread_start(t)) {
        thread_free(t);
        return NULL;
    }
    return t;
}

void thread_set_fs(struct thread *t, uint64_t base)
{
    t->fs_base = base;
#ifndef LIBOS_UNIT
    __asm__ volatile("wrfsbase %0" : : "r"(base));
#endif
}

void thread_read_fs(struct thread *t)
{
#ifndef LIBOS_UNIT
    __asm__ volatile("rdfsbase %0" : "=r"(t->fs_base));
#endif
}

#ifndef LIBOS_UNIT
void los_thread_main(struct thread *t)
{
    /* The host may start a thread twice, or one it was never asked for: the port refuses the
     * second, and this flag is the last word. */
    if (__atomic_exchange_n(&t->started, true, __ATOMIC_SEQ_CST))
        stop("a thread was started twice");
    if (t->service) {
        los_lock();
        t->service(t);
        stop("a service thread ended");
    }
    thread_set_fs(t, t->fs_base);
    if (t->xsave)
        xstate_load(t->xsave, port_info.xfrm);
    los_lock();
    if (t->xsave)
        pages_free(t->xsave, XSTATE_PAGES);
    t->xsave = NULL;
    residence_begin();
    if (t->session)
        session_begin(t);
    if (t->set_tid && !residence_take())
        user_write(t->set_tid, &t->tid, sizeof(t->tid));
    los_return(t);
}
#endif

void thread_leave_lender(struct thread *t)
{
    struct thread *lender = t->lender;
    if (!lender || t->process->vfork_waiter == lender || t->process->exiting)
        return;
    t->lender = NULL;
    t->started = false;
    t->set_tid = 0;
    los_unlock();
    port_thread_return(lender, NULL);
}

/* Until n leaves; the caller starts it then where it goes on, if there is a place for it. */
static bool lend_once(struct thread *t, struct thread *n)
{
    uint64_t before = tsc_now();
    t->borrower = n;
    n->lender = t;
    n->port = t->port; /* signals may come for it from now on */
    n->notify = t->notify;
    residence_idle();
    los_unlock();
    port_thread_lend(t, n);
    los_lock();
    t->asleep += tsc_now() - before;
    return !t->borrower || !port_thread_start(n);
}

void thread_lend(struct thread *n)
{
    struct thread *t = self();
    while (!lend_once(t, n)) { /* the program is in place, but cannot run */
        n->process->exiting = true;
        n->process->wait_status = SIGKILL;
    }
    t->borrower = NULL;
    thread_set_fs(t, t->fs_base);
    xstate_load(t->xsave, port_info.xfrm);
    pages_free(t->xsave, XSTATE_PAGES);
    t->xsave = NULL;
}

void thread_bury(struct thread *t)
{
    struct thread *lender = t->lender;
    list_append(&zombies, &t->node);
    if (lender)
        lender->borrower = NULL;
    struct thread *left = lender ? NULL : los_wake_left();
    los_unlock();
    if (lender)
        port_thread_return(lender, &t->gone);
    if (left)
        los_wake_at_end(left);
    port_thread_exit(&t->gone);
}

long sys_set_tid_address(uint64_t addr)
{
    self()->clear_tid = addr;
    return self()->tid;
}

long sys_set_robust_list(uint64_t head, uint64_t size)
{
    if (size != 24)
        return -EINVAL;
    self()->robust_list = head;
    return 0;
}

long sys_get_robust_list(int pid, uint64_t to, uint64_t size_to)
{
    struct thread *t = pid ? thread_find_any(pid) : self();
    uint64_t size = 24;
    if (!t)
        return -ESRCH;
    if (!process_may_inspect(t->process))
        return -EPERM;
    int r = user_write(to, &t->robust_list, 8);
    return r ? r : user_write(size_to, &size, 8);
}

long sys_arch_prctl(int option, uint64_t arg)
{
    struct thread *t = self();
    switch (option) {
    case ARCH_SET_FS:
        if (arg >> 47)
            return -EPERM;
        thread_set_fs(t, arg);
        return 0;
    case ARCH_GET_GS: /* nobody could set it */
        return user_write(arg, &(uint64_t){0}, 8);
    case ARCH_SET_GS:
        return arg >> 47 ? -EPERM : -EOPNOTSUPP;
    case ARCH_GET_CPUID: /* it can be asked, and nothing makes it fault */
        return 1;
    case ARCH_SET_CPUID:
        return -ENODEV;
    case ARCH_GET_FS:
        thread_read_fs(t);
        return user_write(arg, &t->fs_base, 8);
    default: /* gs is how entry code finds its thread */
        return -EINVAL;
    }
}
