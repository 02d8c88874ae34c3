// SPDX-License-Identifier: Apache-2.0
// The clock from the time stamp counter: anchors, and the rate between them.
#include "trusted/libos/time/tsc.h"

#include "trusted/libos/time/time.h"

#define HZ_MIN 100000000ull
#define HZ_MAX 10000000000ull
#define CLAIM_MAX (1ull << 62)
#define RATE_TOLERANCE 256u /* of a part */
#define SPAN_FIRST 16u      /* of a second: the first anchor is soon followed by another */
#define BASE_MIN 32u        /* of a second: what a rate is measured over, up to a second */
#define DOUBTS_MAX 3u
#define CATCH_UP 512u /* the part by which we slow down to let the host's clock catch up */

struct tsc_anchor tsc_anchors[2];
uint64_t tsc_sequence;
static uint32_t writing;
static uint64_t first_rate, second; /* the first claim's rate; counts a second */

static void publish_anchor(const struct tsc_anchor *a)
{
    uint64_t s = tsc_sequence;
    for (unsigned i = 0; i < 2; i++) {
        tsc_anchors[(s + 1) & 1] = *a;
        s++;
        __atomic_store_n(&tsc_sequence, s, __ATOMIC_SEQ_CST);
    }
}

void tsc_init(uint64_t hz, const struct tsc_claim *claim)
{
    bool good = hz >= HZ_MIN && hz <= HZ_MAX;
    first_rate = good ? (NS << TSC_RATE_SHIFT) / hz : 0;
    second = good ? hz : 0;
    struct tsc_anchor a = {.tsc = MIN(claim->tsc, tsc_now()),
                           .monotonic = MIN(claim->monotonic, CLAIM_MAX),
                           .host = MIN(claim->monotonic, CLAIM_MAX),
                           .realtime = MIN(claim->realtime, CLAIM_MAX),
                           .rate = first_rate,
                           .span = second / SPAN_FIRST};
    a.base.tsc = a.tsc;
    a.base.host = a.host;
    a.base.rate = a.rate;
    publish_anchor(&a);
}

uint64_t tsc_span(uint64_t counts)
{
    return tsc_scale(counts, first_rate);
}

static bool is_near(uint64_t rate, uint64_t to)
{
    uint64_t slack = to / RATE_TOLERANCE;
    return rate >= to - slack && rate <= to + slack;
}

/* ns over counts; 0 if it is nothing to go by. */
static uint64_t rate_of(struct tsc_anchor *a, uint64_t ns, uint64_t counts)
{
    while (ns >> 31) {
        ns >>= 1;
        counts >>= 1;
    }
    uint64_t rate = counts ? (ns << TSC_RATE_SHIFT) / counts : 0;
    if (rate < (NS << TSC_RATE_SHIFT) / HZ_MAX || rate > (NS << TSC_RATE_SHIFT) / HZ_MIN)
        return 0;
    if (is_near(rate, first_rate)) {
        a->doubts = 0;
        return rate;
    }
    /* One interruption of the host between two readings must not spoil the run: neither the first
     * time nor later. */
    a->doubts = a->doubts && is_near(rate, a->doubtful) ? a->doubts + 1 : 1;
    a->doubtful = rate;
    if (a->doubts < DOUBTS_MAX)
        return 0;
    a->doubts = 0;
    first_rate = rate;
    second = (NS << TSC_RATE_SHIFT) / rate;
    return rate;
}

static void measure_rate(struct tsc_anchor *a)
{
    uint64_t counts = a->tsc - a->base.tsc;
    if (a->tsc < a->base.tsc || a->host < a->base.host || counts > 16 * second) {
        counts = UINT64_MAX; /* nothing to measure: from here on */
    } else if (counts >= second / BASE_MIN) {
        uint64_t rate = rate_of(a, a->host - a->base.host, counts);
        a->base.rate = rate ? rate : a->base.rate;
        a->span = a->doubts ? second / SPAN_FIRST : second;
    }
    if (counts >= second || a->doubts) {
        a->base.tsc = a->tsc;
        a->base.host = a->host;
    }
}

void tsc_take(const struct tsc_claim *claim, uint64_t before, uint64_t after)
{
    uint64_t counts;
    if (!first_rate || __atomic_exchange_n(&writing, 1, __ATOMIC_ACQUIRE))
        return; /* another thread is about to say the same */
    struct tsc_anchor a = tsc_anchor();
    uint64_t tsc = MIN(MAX(claim->tsc, before), after);
    if (!tsc_since(&a, tsc, &counts))
        counts = 0; /* the counter was reset: the claim alone counts */
    uint64_t own = MIN(a.monotonic + tsc_scale(counts, a.rate), CLAIM_MAX);
    a.tsc = tsc;
    a.host = MIN(claim->monotonic, CLAIM_MAX);
    a.monotonic = MAX(own, a.host);
    a.realtime = MIN(claim->realtime, CLAIM_MAX);
    measure_rate(&a);
    /* What we are ahead goes within a second, or as fast as that may be. */
    uint64_t ahead = MIN(a.monotonic - a.host, NS / CATCH_UP);
    a.rate = a.base.rate - tsc_scale(a.base.rate, (ahead << TSC_RATE_SHIFT) / NS);
    publish_anchor(&a);
    __atomic_store_n(&writing, 0, __ATOMIC_RELEASE);
}

uint64_t tsc_host_time(uint64_t monotonic)
{
    struct tsc_anchor a = tsc_anchor();
    return monotonic > a.monotonic ? a.host + MIN(monotonic - a.monotonic, CLAIM_MAX) : a.host;
}
