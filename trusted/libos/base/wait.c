// SPDX-License-Identifier: Apache-2.0
// Waiting. What ends a wait is trusted state under the lock; the host's wake-ups are hints.
#include "trusted/libos/base/claim.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/outside.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/tsc.h"

void wait_queue_init(struct wait_queue *q)
{
    list_init(&q->waiters);
    q->lock = (struct lock){0};
}

void wait_clear(void)
{
    __atomic_store_n(&self()->woken, false, __ATOMIC_SEQ_CST);
}

static bool is_woken(const struct thread *t)
{
    return __atomic_load_n(&t->woken, __ATOMIC_SEQ_CST);
}

static void join_queue(struct waiter *w, struct wait_queue *q, bool one)
{
    w->thread = self();
    w->woken = NULL;
    w->one = one;
    wait_clear();
    lock_take(&q->lock, RANK_QUEUE);
    w->queue = q;
    list_append(&q->waiters, &w->node);
    lock_give(&q->lock);
}

void wait_begin(struct waiter *w, struct wait_queue *q)
{
    join_queue(w, q, false);
}

void wait_begin_one(struct waiter *w, struct wait_queue *q)
{
    join_queue(w, q, true);
}

void wait_end(struct waiter *w)
{
    for (;;) {
        struct wait_queue *q = __atomic_load_n(&w->queue, __ATOMIC_ACQUIRE);
        lock_take(&q->lock, RANK_QUEUE);
        bool there = q == w->queue; /* a futex may be moved to another queue */
        if (there)
            list_remove(&w->node);
        lock_give(&q->lock);
        if (there)
            return;
    }
}

void wait_wake_thread(struct thread *t)
{
    __atomic_store_n(&t->woken, true, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&t->sleeping, __ATOMIC_SEQ_CST))
        los_wake_later(t);
}

/* Who waits looks at what it waits for, under the lock of the object, after it is on the queue; who
 * wakes has that lock. So one of them sees the other. */
#ifdef LIBOS_UNIT
__attribute__((no_sanitize("thread")))
#endif
static bool
nobody_waits(const struct wait_queue *q)
{
    return *(struct list *volatile const *)&q->waiters.next == &q->waiters;
}

void wait_wake_events(struct wait_queue *q, uint32_t events)
{
    if (nobody_waits(q))
        return;
    bool one = false; /* of those of whom one is enough: best ourselves, who need no wake-up */
    bool seen = false;
    lock_take(&q->lock, RANK_QUEUE);
    list_each(struct waiter, w, &q->waiters, node) {
        if (w->one && w->thread == self())
            wait_wake_thread(w->thread);
        one = one || (w->one && w->thread && is_woken(w->thread));
    }
    list_each(struct waiter, w, &q->waiters, node) {
        if (!w->thread) {
            if (!w->one || !seen)
                seen = (w->woken(w, events) && w->one) || seen;
            continue;
        }
        if (!w->one || !one)
            wait_wake_thread(w->thread);
        one = one || w->one;
    }
    lock_give(&q->lock);
}

bool wait_has_sleeper(struct wait_queue *q)
{
    bool any = false;
    lock_take(&q->lock, RANK_QUEUE);
    list_each(const struct waiter, w, &q->waiters, node) {
        any = any || (w->thread && !is_woken(w->thread));
    }
    lock_give(&q->lock);
    return any;
}

void wait_wake_all(struct wait_queue *q)
{
    wait_wake_events(q, UINT32_MAX);
}

/* What a call sleeps is nobody's processor time (proc/usage.c). */
static int sleep_outside(struct thread *t, struct port_wait *w, uint64_t deadline)
{
    uint64_t before = tsc_now();
    int r = port_wait(t, w, deadline);
    t->asleep += tsc_now() - before;
    return r;
}

static int sleep_until_woken(struct port_wait *w, uint64_t deadline)
{
    struct thread *t = self();
    space_tidy();
    for (bool ask = w;; ask = false) {
        async_tell();
        if (is_woken(t) && !ask)
            return 0;
        if (sig_interrupts(t) && !is_woken(t))
            return -EINTR;
        bool late = deadline != NO_DEADLINE && clock_now() >= deadline;
        if (late && !ask)
            return -ETIMEDOUT;
        /* First this, then the look: who wakes does it the other way round. */
        __atomic_store_n(&t->sleeping, true, __ATOMIC_SEQ_CST);
        uint64_t until = late || is_woken(t) ? 0 : deadline;
        residence_idle();
        los_unlock();
        t->resting = true;
        int r = until || w ? sleep_outside(t, w, until) : 0;
        t->resting = false;
        los_relock();
        __atomic_store_n(&t->sleeping, false, __ATOMIC_SEQ_CST);
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

void wait_nap_outside(struct port_wait *w, uint64_t deadline)
{
    struct thread *t = self();
    __atomic_store_n(&t->sleeping, true, __ATOMIC_SEQ_CST);
    residence_idle();
    los_unlock();
    int r = sleep_outside(t, w, deadline);
    los_lock();
    __atomic_store_n(&t->sleeping, false, __ATOMIC_SEQ_CST);
    if (w && !r)
        outside_apply(w);
}

void wait_nap(uint64_t deadline)
{
    wait_nap_outside(NULL, deadline);
}

#define TURN_SPINS 100u
static struct wait_queue turns = {{&turns.waiters, &turns.waiters}, {0}}; /* rarely anybody */

static bool try_turn(struct turn *turn)
{
    struct thread *none = NULL;
    return __atomic_compare_exchange_n(&turn->holder, &none, self(), false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static void wait_turn(struct turn *turn)
{
    struct thread *t = self();
    struct waiter w;
    wait_begin(&w, &turns);
    for (;;) {
        wait_clear();
        __atomic_store_n(&turn->wanted, 1, __ATOMIC_SEQ_CST);
        if (try_turn(turn))
            break;
        __atomic_store_n(&t->sleeping, true, __ATOMIC_SEQ_CST);
        residence_idle();
        los_unlock();
        if (!is_woken(t))
            sleep_outside(t, NULL, NO_DEADLINE);
        los_relock();
        __atomic_store_n(&t->sleeping, false, __ATOMIC_SEQ_CST);
    }
    wait_end(&w);
}

bool turn_take(struct turn *turn)
{
    struct thread *t = self();
    if (__atomic_load_n(&turn->holder, __ATOMIC_RELAXED) == t)
        return false;
    unsigned spins = 0;
    while (!try_turn(turn) && ++spins < TURN_SPINS)
        __builtin_ia32_pause();
    if (spins == TURN_SPINS) {
        wait_turn(turn);
        call_residence();
    }
    t->turns[t->turns[0] != NULL] = turn;
    return true;
}

void turn_give(struct turn *turn)
{
    struct thread *t = self();
    t->turns[t->turns[1] == turn] = NULL;
    __atomic_store_n(&turn->holder, NULL, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&turn->wanted, __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&turn->wanted, 0, __ATOMIC_SEQ_CST);
        wait_wake_all(&turns);
    }
}

void turn_give_all(void)
{
    for (unsigned i = 0; i < ARRAY_COUNT(self()->turns); i++) {
        if (self()->turns[i])
            turn_give(self()->turns[i]);
    }
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

int wait_for_locked(struct wait_queue *q, struct lock *lock, bool may_wait)
{
    struct waiter w = {0};
    if (!may_wait)
        return -EAGAIN;
    wait_begin(&w, q);
    lock_give(lock);
    int r = wait_sleep(NO_DEADLINE);
    wait_end(&w);
    lock_take(lock, RANK_OBJECT);
    return r == -EINTR ? -ERESTARTSYS : r;
}
