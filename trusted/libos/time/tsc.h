// SPDX-License-Identifier: Apache-2.0
// A clock from the time stamp counter, for ports whose host keeps the time: reading it asks nobody.
//
// The processor counts; what a count is worth is the host's claim, and so is the time of day. A
// claim is taken at the start and again at bounded intervals, so a host can make time run wrong, as
// it could by answering each question, but never backwards: time/clock.c sees to that.
#ifndef LIBOS_TSC_H
#define LIBOS_TSC_H

#include <stdbool.h>
#include <stdint.h>

/* The host's clocks in ns and the counter, as it says they stood at one moment. */
struct tsc_claim {
    uint64_t tsc, monotonic, realtime;
};

/* hz: the counter's frequency; one that cannot be, or 0, makes tsc_read always ask. Once, first. */
void tsc_init(uint64_t hz, const struct tsc_claim *claim);

/* What so many counts are in ns, by the first claim; 0: nobody knows. */
uint64_t tsc_span(uint64_t counts);

/* A new claim, made between two values of the counter that the caller read itself. Monotonic time
 * goes on from where it is, or jumps forward to the claim; the rate follows, within 1/256 of the
 * first. */
void tsc_take(const struct tsc_claim *claim, uint64_t before, uint64_t after);

/* A moment of our monotonic clock on the host's, for the deadlines it is given. */
uint64_t tsc_host_time(uint64_t monotonic);

#define TSC_BEHIND_MAX (1u << 20) /* counts that another processor's counter may lag */
#define TSC_RATE_SHIFT 32

/* At counter value `tsc` our clock stood at `monotonic`, the host's at `host`. */
struct tsc_anchor {
    uint64_t tsc, monotonic, host, realtime;
    uint64_t rate; /* ns a count, shifted by TSC_RATE_SHIFT */
    uint64_t span; /* counts that it is good for */
    struct {
        uint64_t tsc, host, rate; /* where the rate is measured from, and what came out last */
    } base;
    /* A rate that the first one does not allow: followed when it was claimed so often in a row. */
    uint64_t doubtful;
    unsigned doubts;
};

/* Two copies, so that nobody waits for a writer that was interrupted: the one that the sequence's
 * low bit names is whole. */
extern struct tsc_anchor tsc_anchors[2];
extern uint64_t tsc_sequence;

#define TSC_INLINE static inline __attribute__((always_inline)) /* time/vdso.c calls nothing */

TSC_INLINE struct tsc_anchor tsc_anchor(void)
{
    for (;;) {
        uint64_t s = __atomic_load_n(&tsc_sequence, __ATOMIC_ACQUIRE);
        struct tsc_anchor a = tsc_anchors[s & 1];
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&tsc_sequence, __ATOMIC_RELAXED) == s)
            return a;
    }
}

TSC_INLINE uint64_t tsc_scale(uint64_t counts, uint64_t rate)
{
    return (uint64_t)(((unsigned __int128)counts * rate) >> TSC_RATE_SHIFT);
}

/* Counts since the anchor; one that lags a little is at it. */
TSC_INLINE bool tsc_since(const struct tsc_anchor *a, uint64_t now, uint64_t *counts)
{
    *counts = now >= a->tsc ? now - a->tsc : 0;
    return now >= a->tsc || a->tsc - now <= TSC_BEHIND_MAX;
}

/* The clocks at counter value `now`. False: a new claim is due (at most a second after the last).
 * Any thread, without locks. */
TSC_INLINE bool tsc_read(uint64_t now, uint64_t *monotonic, uint64_t *realtime)
{
    struct tsc_anchor a = tsc_anchor();
    uint64_t counts;
    if (!tsc_since(&a, now, &counts) || counts > a.span || !a.rate)
        return false;
    uint64_t ns = tsc_scale(counts, a.rate);
    *monotonic = a.monotonic + ns;
    *realtime = a.realtime + ns;
    return true;
}

TSC_INLINE uint64_t tsc_now(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

#endif
