// SPDX-License-Identifier: Apache-2.0
// Time: clocks that do not go back, deadlines, timers.
#ifndef LIBOS_TIME_H
#define LIBOS_TIME_H

#include "trusted/libos/libos.h"
#include "trusted/libos/time/tsc.h"

#define NS 1000000000ul

struct timespec64 {
    int64_t s, ns;
};

/* Reads a timespec of the program, an instant of that clock or CLOCK_FROM_NOW: the deadline on the
 * monotonic clock; NO_DEADLINE where there is none (0). -EFAULT, or -EINVAL if malformed. */
#define CLOCK_FROM_NOW INT32_MAX
int deadline_from_user(uint64_t timespec, int clock, uint64_t *deadline);
int timespec_from_user(uint64_t timespec, uint64_t *ns); /* likewise, but 0 is -EFAULT */
/* ns from now as a deadline, without overflow. */
uint64_t deadline_in(uint64_t ns);
/* Of a timespec; -EINVAL if malformed. Saturates. */
int timespec_ns(const struct timespec64 *t, uint64_t *ns);
int clock_read(int id, uint64_t *ns); /* CLOCK_*; -EINVAL */
/* A clock of processor time that means the same whoever asks: by the number of its process or
 * thread, never 0. Others: themselves. */
int clock_by_number(int id);
int clock_of_process(int pid); /* such a one */
/* Of such a clock; -EINVAL: nobody has the number any more. */
int clock_of(int id, uint64_t *ns);
/* An absolute time of that clock as a deadline of the monotonic one. */
uint64_t clock_deadline(int id, uint64_t ns);

/* What all threads have seen at least, raised in steps: most readers write nothing that others
 * read. Each thread remembers what it saw itself. So a clock never goes back in a thread, and
 * between threads by less than a step, whatever counters the host gives to its processors. */
#define CLOCK_STEP_NS 16384u
extern struct clock_seen {
    _Alignas(64) uint64_t ns;
} clock_seen[2]; /* by enum port_clock */

TSC_INLINE uint64_t clock_not_back(enum port_clock which, uint64_t now)
{
    uint64_t *last = &self()->last_clock[which], *seen = &clock_seen[which].ns;
    uint64_t all = __atomic_load_n(seen, __ATOMIC_SEQ_CST);
    now = MIN(now, 1ull << 62);
    now = MAX(MAX(now, *last), all);
    while (now - MIN(now, all) >= CLOCK_STEP_NS &&
           !__atomic_compare_exchange_n(seen, &all, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        continue;
    return *last = now;
}

/* A timer calls `fire` under the lock, on a thread of the LibOS, at or after its deadline. */
struct timer {
    struct list node;
    uint64_t deadline;
    void (*fire)(struct timer *t);
    bool armed;
};
void timer_set(struct timer *t, uint64_t deadline);
void timer_cancel(struct timer *t);

/* One that repeats: setitimer, timer_create, timerfd. */
struct interval_timer {
    struct timer timer;
    uint64_t interval;
    uint64_t expirations; /* not yet reported */
    bool waits;           /* it has fired, and is armed again when somebody has heard of that */
    int cpu; /* if of processor time: whose (clock_by_number); `due` and `seen` are that clock's,
              * the timer only looks */
    uint64_t due, seen;
};
void interval_set(struct interval_timer *t, uint64_t first, uint64_t interval); /* 0: disarm */
void interval_left(struct interval_timer *t, uint64_t *left, uint64_t *interval);
/* From `fire`: has its time come? If not (processor time passes slower), it looks again later. */
bool interval_due(struct interval_timer *t);
/* From `fire`, or when it need not wait any more: counts what is due and arms for the next one. */
void interval_advance(struct interval_timer *t);
/* The signal of a timer of timer_create is taken: how often it was due meanwhile. */
void timers_taken(struct process *p, struct sig_item *item);
int itimerspec_read(uint64_t from, int clock, bool absolute, uint64_t *first, uint64_t *interval);
int itimerspec_write(uint64_t to, struct interval_timer *t);
int timers_limit(struct process *p); /* its RLIMIT_CPU is new. 0 or -ENOMEM */
void timers_reset(void);             /* exec: those of timer_create end */
void timers_free(struct process *p); /* all end with the process */

/* proc/usage.c. Alone but for usage_all; as many calls out as there are threads. */
void usage_start(struct thread *t); /* a new thread */
struct usage usage_of(const struct process *p);
struct usage usage_of_thread(struct thread *t);
uint64_t usage_all(struct process *p); /* the sum; never less than before */
void usage_add(struct usage *to, struct usage u);
void usage_fill(struct usage u, uint64_t to[4]); /* ru_utime, ru_stime */

/* Measures a call or fault of the calling thread; weight: for how many it stands, 0: not at all. */
#define USAGE_EACH 16u
static inline unsigned usage_weight(const struct thread *t)
{
    return !t->call_shared ? 1 : t->syscalls % USAGE_EACH ? 0 : USAGE_EACH;
}
static inline uint64_t usage_begin(const struct thread *t)
{
    return tsc_now() - t->asleep;
}
static inline void usage_end(struct thread *t, uint64_t began, unsigned weight)
{
    uint64_t counts = tsc_now() - t->asleep - began;
    t->system_counts += counts >> 16 ? counts : counts * weight; /* a long one is one */
}

#endif
