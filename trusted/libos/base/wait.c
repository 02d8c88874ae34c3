// SPDX-License-Identifier: Apache-2.0
// Waiting. What ends a wait is trusted state under the lock; the host's wake-ups are hints.
#include "trusted/libos/base/claim.h"
#include "trusted/libos/libos.h"
#include "trusted/libos/signal/signal.h"

void wait_queue_init(struct wait_queue *q)
{
    list_init(&q->waiters);
    q->events = 0;
}

void wait_begin(struct waiter *w, struct wait_queue *q)
{
    w->thread = self();
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

void wait_wake_all(struct wait_queue *q)
{
    q->events++;
    list_for(it, &q->waiters) wait_wake_thread(container_of(it, struct waiter, node)->thread);
}

bool wait_wake_one(struct wait_queue *q)
{
    list_for(it, &q->waiters)
    {
        struct thread *t = container_of(it, struct waiter, node)->thread;
        if (t->woken)
            continue;
        wait_wake_thread(t);
        return true;
    }
    return false;
}

int wait_sleep_handles(struct port_wait *items, uint32_t count, uint64_t deadline)
{
    struct thread *t = self();
    for (;;) {
        if (t->woken)
            return 0;
        if (sig_interrupts(t))
            return -EINTR;
        if (deadline != NO_DEADLINE && clock_now() >= deadline)
            return -ETIMEDOUT;
        t->sleeping = true;
        los_unlock();
        int r = port_wait(t, items, count, deadline);
        los_lock();
        t->sleeping = false;
        /* Who waits for something inside has no use for an error of the host's. */
        if (r < 0 && count && r != -EINTR && r != -ETIMEDOUT)
            return claim_status(r);
        for (uint32_t i = 0; r == 0 && i < count; i++) {
            if (items[i].ready)
                return 0;
        }
    }
}

int wait_sleep(uint64_t deadline)
{
    return wait_sleep_handles(NULL, 0, deadline);
}

int wait_on(struct wait_queue *q, uint64_t deadline)
{
    struct waiter w;
    wait_begin(&w, q);
    int r = wait_sleep(deadline);
    wait_end(&w);
    return r;
}
