// SPDX-License-Identifier: Apache-2.0
// Waiting. What ends a wait is trusted state under the lock; the host's wake-ups are hints.
#include "trusted/libos/base/claim.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/outside.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/signal/signal.h"

void wait_queue_init(struct wait_queue *q)
{
    list_init(&q->waiters);
}

void wait_begin(struct waiter *w, struct wait_queue *q)
{
    w->thread = self();
    w->woken = NULL;
    w->one = false;
    w->thread->woken = false;
    list_append(&q->waiters, &w->node);
}

void wait_end(struct waiter *w)
{
    list_remove(&w->node);
}

void wait_wake_thread(struct thread *t)
{
    t->woken = true;
    if (t->sleeping)
        los_wake_later(t);
}

void wait_wake_events(struct wait_queue *q, uint32_t events)
{
    bool one = false; /* of those of whom one is enough: best ourselves, who need no wake-up */
    list_for(it, &q->waiters)
    {
        struct waiter *w = container_of(it, struct waiter, node);
        if (w->one && w->thread == self())
            wait_wake_thread(w->thread);
        one = one || (w->one && w->thread->woken);
    }
    list_for(it, &q->waiters)
    {
        struct waiter *w = container_of(it, struct waiter, node);
        if (!w->thread)
            w->woken(w, events);
        else if (!w->one || !one)
            wait_wake_thread(w->thread);
        one = one || w->one;
    }
}

void wait_wake_all(struct wait_queue *q)
{
    wait_wake_events(q, UINT32_MAX);
}

static int sleep_until_woken(struct port_wait *w, uint64_t deadline)
{
    struct thread *t = self();
    for (bool ask = w;; ask = false) {
        async_tell();
        if (t->woken && !ask)
            return 0;
        if (sig_interrupts(t) && !t->woken)
            return -EINTR;
        bool late = deadline != NO_DEADLINE && clock_now() >= deadline;
        if (late && !ask)
            return -ETIMEDOUT;
        uint64_t until = late || t->woken ? 0 : deadline;
        t->sleeping = true;
        residence_idle();
        los_unlock();
        int r = port_wait(t, w, until);
        los_lock();
        t->sleeping = false;
        if (!w)
            continue;
        /* Who waits for something inside has no use for an error of the host's. */
        if (r < 0 && r != -EINTR && r != -ETIMEDOUT)
            return claim_status(r);
        if (!r)
            outside_apply(w);
        w->items += w->changes; /* they are made */
        w->changes = 0;
    }
}

int wait_sleep_outside(struct port_wait *w, uint64_t deadline)
{
    int r = sleep_until_woken(w, deadline);
    return residence_take() ? -EINTR : r;
}

int wait_sleep(uint64_t deadline)
{
    return wait_sleep_outside(NULL, deadline);
}

void wait_nap(uint64_t deadline)
{
    struct thread *t = self();
    t->sleeping = true;
    residence_idle();
    los_unlock();
    port_wait(t, NULL, deadline);
    los_lock();
    t->sleeping = false;
}

int wait_on(struct wait_queue *q, uint64_t deadline)
{
    struct waiter w = {0};
    wait_begin(&w, q);
    int r = wait_sleep(deadline);
    wait_end(&w);
    return r;
}

int wait_for(struct wait_queue *q, bool may_wait)
{
    int r = may_wait ? wait_on(q, NO_DEADLINE) : -EAGAIN;
    return r == -EINTR ? -ERESTARTSYS : r;
}
