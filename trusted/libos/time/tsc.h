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

/* The clocks at counter value `now`. False: a new claim is due (at most a second after the last).
 * Any thread, without locks. */
bool tsc_read(uint64_t now, uint64_t *monotonic, uint64_t *realtime);

/* What so many counts are in ns, by the first claim; 0: nobody knows. */
uint64_t tsc_span(uint64_t counts);

/* A new claim, made between two values of the counter that the caller read itself. Monotonic time
 * goes on from where it is, or jumps forward to the claim; the rate follows, within 1/256 of the
 * first. */
void tsc_take(const struct tsc_claim *claim, uint64_t before, uint64_t after);

/* A moment of our monotonic clock on the host's, for the deadlines it is given. */
uint64_t tsc_host_time(uint64_t monotonic);

static inline uint64_t tsc_now(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

#endif
