// SPDX-License-Identifier: Apache-2.0
// Clocks. Time comes from the port and may be a claim: it never goes back here, and wall time moves
// with monotonic time unless the host sets it forward.
#include <linux/time.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/time/time.h"

struct clock_seen clock_seen[2];

static uint64_t never_back(enum port_clock which)
{
    return clock_not_back(which, port_clock(which));
}

uint64_t clock_now(void)
{
    return never_back(PORT_CLOCK_MONOTONIC);
}

uint64_t clock_real(void)
{
    return never_back(PORT_CLOCK_REALTIME);
}

/* Clocks of a process or thread by its number (clock_getcpuclockid(3)): ~number, which of them in
 * bits 0 and 1, bit 2: of a thread. 0: the caller's own. */
#define OF_PROCESS(number) ((int)(~(uint32_t)(number) << 3) | 2)

static struct thread *thread_of_clock(int id)
{
    int who = ~(id >> 3);
    return who ? thread_find_any(who) : self();
}

int clock_of(int id, uint64_t *ns)
{
    struct thread *t = thread_of_clock(id);
    if ((id & 3) == 3 || !t)
        return -EINVAL;
    *ns = id & 4 ? port_thread_clock(t) : usage_all(t->process);
    return 0;
}

int clock_read(int id, uint64_t *ns)
{
    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI:
        *ns = clock_real();
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        *ns = clock_now();
        return 0;
    case CLOCK_PROCESS_CPUTIME_ID:
        *ns = usage_all(current());
        return 0;
    case CLOCK_THREAD_CPUTIME_ID:
        *ns = port_thread_clock(self());
        return 0;
    default:
        if ((id & 4) && thread_of_clock(id) && thread_of_clock(id)->process != current())
            return -EINVAL;
        return id < 0 ? clock_of(id, ns) : -EINVAL;
    }
}

int clock_of_process(int pid)
{
    return OF_PROCESS(pid);
}

int clock_by_number(int id)
{
    bool own = id < 0 && !~(id >> 3);
    if (id == CLOCK_THREAD_CPUTIME_ID || (own && (id & 4)))
        return OF_PROCESS(self()->tid) | 4;
    return id == CLOCK_PROCESS_CPUTIME_ID || own ? OF_PROCESS(current()->pid) : id;
}

uint64_t deadline_in(uint64_t ns)
{
    uint64_t now = clock_now();
    return ns > NO_DEADLINE - 1 - now ? NO_DEADLINE - 1 : now + ns;
}

uint64_t clock_deadline(int id, uint64_t ns)
{
    uint64_t now = 0;
    if (id == CLOCK_MONOTONIC || id == CLOCK_BOOTTIME || clock_read(id, &now))
        return ns;
    uint64_t mono = clock_now(); /* what is past is as long past there */
    return ns > now ? deadline_in(ns - now) : mono - MIN(mono, now - ns);
}

int timespec_ns(const struct timespec64 *t, uint64_t *ns)
{
    if (t->s < 0 || t->ns < 0 || t->ns >= (int64_t)NS)
        return -EINVAL;
    if ((uint64_t)t->s > (1ull << 62) / NS)
        *ns = 1ull << 62;
    else
        *ns = (uint64_t)t->s * NS + (uint64_t)t->ns;
    return 0;
}

int timespec_from_user(uint64_t from, uint64_t *ns)
{
    struct timespec64 ts;
    return user_read(&ts, from, sizeof(ts)) ? -EFAULT : timespec_ns(&ts, ns);
}

int deadline_from_user(uint64_t from, int clock, uint64_t *deadline)
{
    uint64_t ns;
    int r = from ? timespec_from_user(from, &ns) : 0;
    *deadline = NO_DEADLINE;
    if (from && !r)
        *deadline = clock == CLOCK_FROM_NOW ? deadline_in(ns) : clock_deadline(clock, ns);
    return r;
}

static long put_time(uint64_t to, uint64_t ns)
{
    struct timespec64 ts = {(int64_t)(ns / NS), (int64_t)(ns % NS)};
    return user_write(to, &ts, sizeof(ts));
}

long sys_clock_gettime(int clock, uint64_t to)
{
    uint64_t ns;
    int r = clock_read(clock, &ns);
    return r ? r : put_time(to, ns);
}

#define COARSE_NS 4000000 /* a tick at 250 Hz, as kernels say */

long sys_clock_getres(int clock, uint64_t to)
{
    uint64_t ns;
    int r = clock_read(clock, &ns);
    bool coarse = clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE;
    return r || !to ? r : put_time(to, coarse ? COARSE_NS : 1);
}

long sys_clock_settime(int clock, uint64_t from)
{
    uint64_t ns;
    int r = clock != CLOCK_REALTIME ? -EINVAL : timespec_from_user(from, &ns);
    return r ? r : -EPERM;
}

int64_t clock_seconds(void)
{
    return (int64_t)(clock_real() / NS);
}

long sys_gettimeofday(uint64_t to, uint64_t zone_to)
{
    uint64_t ns = clock_real();
    int64_t tv[2] = {(int64_t)(ns / NS), (int64_t)(ns % NS / 1000)};
    int zone[2] = {0, 0};
    if ((to && user_write(to, tv, sizeof(tv))) ||
        (zone_to && user_write(zone_to, zone, sizeof(zone))))
        return -EFAULT;
    return 0;
}

long sys_time(uint64_t to)
{
    int64_t s = clock_seconds();
    return to && user_write(to, &s, sizeof(s)) ? -EFAULT : s;
}

static long sleep_until(uint64_t deadline, uint64_t remain)
{
    struct wait_queue never;
    wait_queue_init(&never);
    int r = wait_on(&never, deadline);
    if (r == -EINTR && remain) {
        uint64_t now = clock_now();
        if (put_time(remain, deadline > now ? deadline - now : 0))
            return -EFAULT;
    }
    return r == -ETIMEDOUT ? 0 : r;
}

long sys_nanosleep(uint64_t timeout, uint64_t remain)
{
    uint64_t ns;
    int r = timespec_from_user(timeout, &ns);
    return r ? r : sleep_until(deadline_in(ns), remain);
}

long sys_clock_nanosleep(int clock, int flags, uint64_t timeout, uint64_t remain)
{
    uint64_t ns, now;
    int r = clock_read(clock, &now);
    if (r)
        return r;
    bool sleeps = clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME ||
                  clock == CLOCK_TAI || clock == CLOCK_PROCESS_CPUTIME_ID || clock < 0;
    if (!sleeps)
        return -EOPNOTSUPP;
    if ((r = timespec_from_user(timeout, &ns)))
        return r;
    if (flags & TIMER_ABSTIME)
        return sleep_until(clock_deadline(clock, ns), 0);
    return sleep_until(deadline_in(ns), remain);
}
