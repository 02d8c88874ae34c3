// SPDX-License-Identifier: Apache-2.0
// How processor time divides: what the program's calls and faults took is the system's, the rest
// the user's.
//
// All of it is what the host says of a thread, but for the first milliseconds, of which those count
// that it did not sleep. Its parts are counted inside, since the thread was
// asked last: each call that is alone and each fault is measured, of the short ones that share the
// big lock one in USAGE_EACH, for all of them.
#include "trusted/libos/time/time.h"

void usage_start(struct thread *t)
{
    t->usage_seen.tsc = tsc_now();
}

/* all * part / whole, where part <= whole. */
static uint64_t share_of(uint64_t all, uint64_t part, uint64_t whole)
{
    for (; whole >> 32; whole >>= 1)
        part >>= 1;
    if (!whole)
        return 0;
    return all >> 32 ? (all >> 20) * part / whole << 20 : all * part / whole;
}

#define BRIEF 4000000u /* ns: so little is not worth a question */

struct usage usage_of_thread(struct thread *t)
{
    uint64_t now = tsc_now(), calls = t->system_counts - t->usage_seen.calls;
    uint64_t whole = now - t->usage_seen.tsc - (t->asleep - t->usage_seen.asleep);
    uint64_t all = t->usage.all ? BRIEF : tsc_span(whole);
    if (!all || all >= BRIEF)
        all = port_thread_clock(t);
    if (all <= t->usage.all)
        return t->usage;
    t->usage.system += share_of(all - t->usage.all, MIN(calls, whole), whole);
    t->usage.all = all;
    t->usage_seen.tsc = now;
    t->usage_seen.calls = t->system_counts;
    t->usage_seen.asleep = t->asleep;
    return t->usage;
}

struct usage usage_of(const struct process *p)
{
    struct usage u = p->usage;
    list_each(struct thread, t, &p->threads, node)
        usage_add(&u, usage_of_thread(t));
    return u;
}

/* It never goes back, although a brief thread that ended has less in the sum than the host said
 * of it. */
uint64_t usage_all(struct process *p)
{
    uint64_t all = p->usage.all, most = __atomic_load_n(&p->usage_most, __ATOMIC_RELAXED);
    list_each(struct thread, t, &p->threads, node)
        all += port_thread_clock(t);
    while (all > most && !__atomic_compare_exchange_n(&p->usage_most, &most, all, false,
                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return MAX(all, most);
}

void usage_add(struct usage *to, struct usage u)
{
    to->all += u.all;
    to->system += u.system;
}

void usage_fill(struct usage u, uint64_t to[4])
{
    uint64_t user = u.all - u.system;
    to[0] = user / NS;
    to[1] = user % NS / 1000;
    to[2] = u.system / NS;
    to[3] = u.system % NS / 1000;
}
