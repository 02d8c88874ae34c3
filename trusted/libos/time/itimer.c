// SPDX-License-Identifier: Apache-2.0
// alarm, setitimer, timer_create: timers that send signals.
#include <asm/signal.h>
#include <linux/time.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

#define TIMER_COUNT 64
#define SIGEV_SIGNAL_ 0
#define SIGEV_NONE_ 1
#define SIGEV_THREAD_ 2 /* the libc makes the thread: a signal, for us */
#define SIGEV_THREAD_ID_ 4
#define SI_TIMER_CODE (-2)

struct posix_timer {
    struct interval_timer it;
    struct timer_set *set;
    bool used;
    int id, clock, signo, notify, tid;
    uint64_t value;
    int overrun;
};

/* Of one process; made when the first is set. */
struct timer_set {
    struct process *process;
    struct interval_timer interval[3]; /* ITIMER_REAL, _VIRTUAL, _PROF */
    struct interval_timer limit;       /* RLIMIT_CPU */
    struct posix_timer posix[TIMER_COUNT];
};

static struct timer_set *timers_make(struct process *p)
{
    if (!p->timers && (p->timers = los_alloc(sizeof(*p->timers)))) {
        p->timers->process = p;
        for (int i = 0; i < TIMER_COUNT; i++)
            p->timers->posix[i].set = p->timers;
    }
    return p->timers;
}

static const int interval_signals[3] = {SIGALRM, SIGVTALRM, SIGPROF};

static void fire_interval(struct timer_set *s, int which)
{
    struct sig_item item = {.signo = interval_signals[which], .code = 0x80};
    if (!interval_due(&s->interval[which]))
        return;
    interval_advance(&s->interval[which]);
    sig_send_item(s->process, NULL, &item);
}

static void fire_real(struct timer *t)
{
    fire_interval(container_of(t, struct timer_set, interval[0].timer), 0);
}

static void fire_virtual(struct timer *t)
{
    fire_interval(container_of(t, struct timer_set, interval[1].timer), 1);
}

static void fire_prof(struct timer *t)
{
    fire_interval(container_of(t, struct timer_set, interval[2].timer), 2);
}

/* Time in the LibOS is not told from the program's own: ITIMER_VIRTUAL counts both, as ITIMER_PROF.
 */
static void arm_timer(struct timer_set *s, int which, uint64_t left, uint64_t interval)
{
    static void (*const fire[3])(struct timer * t) = {fire_real, fire_virtual, fire_prof};
    s->interval[which].timer.fire = fire[which];
    s->interval[which].cpu = which ? clock_by_number(CLOCK_PROCESS_CPUTIME_ID) : 0;
    interval_set(&s->interval[which], left ? deadline_in(left) : NO_DEADLINE, interval);
}

static uint64_t timeval_usec(const int64_t tv[2])
{
    return (uint64_t)tv[0] * NS + (uint64_t)tv[1] * 1000;
}

static long put_itimer(int which, uint64_t to)
{
    uint64_t left, interval;
    struct timer_set *s = timers_make(current());
    if (!s)
        return -ENOMEM;
    interval_left(&s->interval[which], &left, &interval);
    uint64_t v[4] = {interval / NS, interval % NS / 1000, left / NS, left % NS / 1000};
    if (left && !v[2] && !v[3])
        v[3] = 1;
    return user_write(to, v, sizeof(v));
}

long sys_setitimer(int which, uint64_t new, uint64_t old)
{
    int64_t v[4] = {0};
    if (which < 0 || which > 2)
        return -EINVAL;
    if (new &&user_read(v, new, sizeof(v)))
        return -EFAULT;
    for (int i = 0; i < 4; i++) {
        if (v[i] < 0 || v[i] > (i & 1 ? 999999 : (1l << 32)))
            return -EINVAL;
    }
    if (old) {
        long r = put_itimer(which, old);
        if (r)
            return r;
    }
    struct timer_set *s = timers_make(current());
    if (!s)
        return -ENOMEM;
    arm_timer(s, which, timeval_usec(v + 2), timeval_usec(v));
    return 0;
}

long sys_getitimer(int which, uint64_t to)
{
    return which < 0 || which > 2 ? -EINVAL : put_itimer(which, to);
}

long sys_alarm(uint32_t seconds)
{
    uint64_t left, interval, s = seconds;
    struct timer_set *set = timers_make(current());
    if (!set)
        return 0;
    interval_left(&set->interval[0], &left, &interval);
    arm_timer(set, 0, s * NS, 0);
    return (long)((left + NS - 1) / NS);
}

#define CPU 0 /* RLIMIT_CPU, in seconds */
#define SECONDS_MAX (1ull << 33)

/* The soft limit is told each second; the hard one ends it. */
static void fire_cpu_limit(struct timer *t)
{
    struct timer_set *s = container_of(t, struct timer_set, limit.timer);
    const struct limit *l = &s->process->limits[CPU];
    struct sig_item item = {.signo = SIGXCPU, .code = 0x80};
    if (!interval_due(&s->limit))
        return;
    if (s->limit.seen / NS >= l->hard)
        item.signo = SIGKILL;
    interval_advance(&s->limit);
    sig_send_item(s->process, NULL, &item);
}

int timers_limit(struct process *p)
{
    uint64_t seconds = p->limits[CPU].soft, now = 0;
    bool none = seconds > SECONDS_MAX;
    struct timer_set *s = none && !p->timers ? NULL : timers_make(p);
    if (!s)
        return none ? 0 : -ENOMEM;
    s->limit.timer.fire = fire_cpu_limit;
    s->limit.cpu = clock_of_process(p->pid);
    clock_of(s->limit.cpu, &now);
    uint64_t end = MAX(seconds, 1) * NS;
    interval_set(&s->limit, none ? NO_DEADLINE : deadline_in(end - MIN(now, end)), NS);
    return 0;
}

static void fire_posix(struct timer *timer)
{
    struct posix_timer *p = container_of(timer, struct posix_timer, it.timer);
    if (!interval_due(&p->it))
        return;
    struct sig_item item = {
        .signo = p->signo, .code = SI_TIMER_CODE, .value = p->value, .timer_id = p->id};
    struct thread *t = p->notify == SIGEV_THREAD_ID_ ? thread_find(p->set->process, p->tid) : NULL;
    bool to = p->notify != SIGEV_NONE_ && (t || p->notify != SIGEV_THREAD_ID_);
    if (p->notify == SIGEV_NONE_ || (to && sig_send_item(p->set->process, t, &item) > 0))
        p->it.waits = p->it.interval;
    else
        interval_advance(&p->it);
}

void timers_taken(struct process *of, struct sig_item *item)
{
    struct posix_timer *p = of->timers && item->code == SI_TIMER_CODE
                                ? &of->timers->posix[(uint32_t)item->timer_id % TIMER_COUNT]
                                : NULL;
    if (!p || !p->it.waits)
        return;
    interval_advance(&p->it);
    item->overrun = p->overrun = (int)MIN(p->it.expirations - 1, INT32_MAX);
    p->it.expirations = 0;
}

struct user_sigevent {
    uint64_t value;
    int32_t signo, notify, tid, pad[11];
};

long sys_timer_create(int clock, uint64_t event, uint64_t id_to)
{
    struct user_sigevent e = {.signo = SIGALRM, .notify = SIGEV_SIGNAL_};
    uint64_t now;
    int id = 0;
    bool cpu = clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID || clock < 0;
    if (clock_read(clock, &now))
        return -EINVAL;
    if (clock >= 4 && clock <= 6) /* raw and coarse clocks have none */
        return -EOPNOTSUPP;
    struct timer_set *s = timers_make(current());
    if (!s)
        return -EAGAIN;
    while (id < TIMER_COUNT && s->posix[id].used)
        id++;
    if (id == TIMER_COUNT)
        return -EAGAIN;
    e.value = (uint64_t)id;
    if (event && user_read(&e, event, sizeof(e)))
        return -EFAULT;
    if (e.notify != SIGEV_NONE_ && (e.signo < 1 || e.signo > SIG_COUNT))
        return -EINVAL;
    if (e.notify != SIGEV_SIGNAL_ && e.notify != SIGEV_NONE_ && e.notify != SIGEV_THREAD_ &&
        (e.notify != SIGEV_THREAD_ID_ || !thread_find(current(), e.tid)))
        return -EINVAL;
    if (user_write(id_to, &id, sizeof(id)))
        return -EFAULT;
    s->posix[id] = (struct posix_timer){.it.timer.fire = fire_posix,
                                        .it.cpu = cpu ? clock_by_number(clock) : 0,
                                        .set = s,
                                        .used = true,
                                        .id = id,
                                        .clock = clock,
                                        .signo = e.signo,
                                        .notify = e.notify,
                                        .tid = e.tid,
                                        .value = e.value};
    return 0;
}

static struct posix_timer *posix_timer(int id)
{
    struct timer_set *s = current()->timers;
    return s && id >= 0 && id < TIMER_COUNT && s->posix[id].used ? &s->posix[id] : NULL;
}

/* struct itimerspec: interval, value. Shared with timerfd. */
int itimerspec_read(uint64_t from, int clock, bool absolute, uint64_t *first, uint64_t *interval)
{
    struct timespec64 ts[2];
    uint64_t ns;
    if (user_read(ts, from, sizeof(ts)))
        return -EFAULT;
    int r = timespec_ns(&ts[0], interval);
    if (!r)
        r = timespec_ns(&ts[1], &ns);
    if (r)
        return r;
    *first = !ns ? NO_DEADLINE : absolute ? clock_deadline(clock, ns) : deadline_in(ns);
    return 0;
}

int itimerspec_write(uint64_t to, struct interval_timer *t)
{
    uint64_t left, interval;
    interval_left(t, &left, &interval);
    uint64_t v[4] = {interval / NS, interval % NS, left / NS, left % NS};
    return user_write(to, v, sizeof(v));
}

long sys_timer_settime(int id, int flags, uint64_t new, uint64_t old)
{
    struct posix_timer *p = posix_timer(id);
    uint64_t first, interval;
    if (!p || !new)
        return -EINVAL;
    int r = itimerspec_read(new, p->clock, flags & 1, &first, &interval);
    if (!r && old)
        r = itimerspec_write(old, &p->it);
    if (!r) {
        interval_set(&p->it, first, interval);
        p->overrun = 0;
    }
    return r;
}

long sys_timer_gettime(int id, uint64_t to)
{
    struct posix_timer *p = posix_timer(id);
    return p ? itimerspec_write(to, &p->it) : -EINVAL;
}

long sys_timer_getoverrun(int id)
{
    struct posix_timer *p = posix_timer(id);
    return p ? p->overrun : -EINVAL;
}

/* Its signal may still be pending: taking it must not arm it again. */
static void end_posix(struct posix_timer *p)
{
    interval_set(&p->it, NO_DEADLINE, 0);
    p->used = false;
}

long sys_timer_delete(int id)
{
    struct posix_timer *p = posix_timer(id);
    if (!p)
        return -EINVAL;
    end_posix(p);
    return 0;
}

void timers_reset(void)
{
    struct timer_set *s = current()->timers;
    for (int i = 0; s && i < TIMER_COUNT; i++) {
        end_posix(&s->posix[i]);
    }
}

void timers_free(struct process *p)
{
    struct timer_set *s = p->timers;
    if (!s)
        return;
    for (int i = 0; i < TIMER_COUNT; i++)
        timer_cancel(&s->posix[i].it.timer);
    for (int i = 0; i < 3; i++)
        timer_cancel(&s->interval[i].timer);
    timer_cancel(&s->limit.timer);
    p->timers = NULL;
    los_free(s);
}
