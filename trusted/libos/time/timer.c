// SPDX-License-Identifier: Apache-2.0
// Timers: a sorted list, and a thread of the LibOS that sleeps until the first.
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/time/time.h"

static struct list timers = {&timers, &timers};
static struct thread *clerk;
static struct wait_queue changed;

static bool run_due(void)
{
    uint64_t now = clock_now();
    bool fired = false;
    while (!list_empty(&timers)) {
        struct timer *t = container_of(timers.next, struct timer, node);
        if (t->deadline > now)
            break;
        list_remove(&t->node);
        t->armed = false;
        t->fire(t);
        fired = true;
    }
    return fired;
}

static void serve_timers(struct thread *t)
{
    for (;;) {
        /* A timer that is due again at once must not keep the lock from its own program. */
        if (run_due()) {
            los_unlock();
            port_thread_yield();
            los_lock();
        }
        uint64_t next = NO_DEADLINE;
        if (!list_empty(&timers))
            next = container_of(timers.next, struct timer, node)->deadline;
        wait_on(&changed, next);
    }
}

void timer_cancel(struct timer *t)
{
    if (t->armed)
        list_remove(&t->node);
    t->armed = false;
}

void timer_set(struct timer *t, uint64_t deadline)
{
    timer_cancel(t);
    t->deadline = deadline;
    t->armed = true;
    struct list *at = timers.next;
    while (at != &timers && container_of(at, struct timer, node)->deadline <= deadline)
        at = at->next;
    list_append(at, &t->node); /* before it */
    if (!clerk) {
        wait_queue_init(&changed);
        clerk = thread_service(serve_timers);
    }
    if (timers.next == &t->node)
        wait_wake_all(&changed);
}

#define LOOK_MIN 1000000ul   /* ns: how often processor time is looked at, at most */
#define LOOK_IDLE 50000000ul /* ... of a program that does nothing */
#define IDLE_PART 20u

static void look_in(struct interval_timer *t, uint64_t left)
{
    timer_set(&t->timer, deadline_in(MAX(left, LOOK_MIN)));
}

/* By the timer's clock; whose process or thread ended, its time stands. */
static uint64_t time_of(const struct interval_timer *t)
{
    uint64_t now = t->seen;
    if (!t->cpu)
        return clock_now();
    clock_of(t->cpu, &now);
    return now;
}

bool interval_due(struct interval_timer *t)
{
    if (!t->cpu)
        return true;
    uint64_t now = time_of(t), left = t->due - MIN(t->due, now);
    if (!left) {
        t->seen = now;
        return true;
    }
    bool idle = now - MIN(now, t->seen) < LOOK_MIN / IDLE_PART;
    t->seen = now;
    look_in(t, idle ? MAX(left, LOOK_IDLE) : left);
    return false;
}

void interval_set(struct interval_timer *t, uint64_t first, uint64_t interval)
{
    t->interval = interval;
    t->expirations = 0;
    t->waits = false;
    if (first == NO_DEADLINE) {
        timer_cancel(&t->timer);
        return;
    }
    if (t->cpu) {
        uint64_t now = clock_now();
        t->seen = time_of(t);
        t->due = t->seen + (first - MIN(now, first));
    }
    timer_set(&t->timer, first);
}

/* Counts what is due; the next is later than now. */
static uint64_t pass_due(struct interval_timer *t)
{
    uint64_t now = time_of(t), *at = t->cpu ? &t->due : &t->timer.deadline;
    if (*at <= now) {
        uint64_t n = t->interval ? (now - *at) / t->interval + 1 : 1;
        t->expirations += n;
        *at += n * t->interval;
    }
    return *at - MIN(*at, now);
}

void interval_left(struct interval_timer *t, uint64_t *left, uint64_t *interval)
{
    uint64_t now = time_of(t);
    uint64_t at = t->cpu ? t->due : t->timer.deadline;
    *interval = t->interval;
    *left = t->waits ? pass_due(t) : t->timer.armed ? (at > now ? at - now : 1) : 0;
}

void interval_advance(struct interval_timer *t)
{
    uint64_t left = pass_due(t);
    t->waits = false;
    if (t->interval && t->cpu)
        look_in(t, left);
    else if (t->interval)
        timer_set(&t->timer, t->timer.deadline);
}
