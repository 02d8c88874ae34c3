// SPDX-License-Identifier: Apache-2.0
// The clock from the time stamp counter: anchors, and the rate between them.
#include "trusted/libos/time/tsc.h"

#include "trusted/libos/time/time.h"

#define HZ_MIN 100000000ull
#define HZ_MAX 10000000000ull
#define CLAIM_MAX (1ull << 62)
#define BEHIND_MAX (1u << 20) /* counts that another processor's counter may lag */
#define RATE_SHIFT 32
#define RATE_TOLERANCE 256u /* of a part */
#define SPAN_FIRST 16u      /* of a second: the first anchor is soon followed by another */
#define BASE_MIN 32u        /* of a second: what a rate is measured over, up to a second */
#define DOUBTS_MAX 3u
#define CATCH_UP 512u /* the part by which we slow down to let the host's clock catch up */

/* At counter value `tsc` our clock stood at `monotonic`, the host's at `host`. */
struct anchor {
    uint64_t tsc, monotonic, host, realtime;
    uint64_t rate; /* ns a count, shifted by RATE_SHIFT */
    uint64_t span; /* counts that it is good for */
    struct {
        uint64_t tsc, host, rate; /* where the rate is measured from, and what came out last */
    } base;
    /* A rate that the first one does not allow: followed when it was claimed so often in a row. */
    uint64_t doubtful;
    unsigned doubts;
};

/* Two copies, so that nobody waits for a writer that was interrupted: the one that `sequence`'s low
 * bit names is whole. */
static struct anchor anchors[2];
static uint64_t sequence;
static uint32_t writing;
static uint64_t first_rate, second; /* the first claim's rate; counts a second */

static struct anchor current_anchor(void)
{
    for (;;) {
        uint64_t s = __atomic_load_n(&sequence, __ATOMIC_ACQUIRE);
        struct anchor a = anchors[s & 1];
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&sequence, __ATOMIC_RELAXED) == s)
            return a;
    }
}

static void publish_anchor(const struct anchor *a)
{
    uint64_t s = sequence;
    for (unsigned i = 0; i < 2; i++) {
        anchors[(s + 1) & 1] = *a;
        s++;
        __atomic_store_n(&sequence, s, __ATOMIC_SEQ_CST);
    }
}

static uint64_t scale_counts(uint64_t counts, uint64_t rate)
{
    return (uint64_t)(((unsigned __int128)counts * rate) >> RATE_SHIFT);
}

/* Counts since the anchor; one that lags a little is at it. */
static bool counts_since(const struct anchor *a, uint64_t now, uint64_t *counts)
{
    *counts = now >= a->tsc ? now - a->tsc : 0;
    return now >= a->tsc || a->tsc - now <= BEHIND_MAX;
}

void tsc_init(uint64_t hz, const struct tsc_claim *claim)
{
    bool good = hz >= HZ_MIN && hz <= HZ_MAX;
    first_rate = good ? (NS << RATE_SHIFT) / hz : 0;
    second = good ? hz : 0;
    struct anchor a = {.tsc = MIN(claim->tsc, tsc_now()),
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
    return scale_counts(counts, first_rate);
}

bool tsc_read(uint64_t now, uint64_t *monotonic, uint64_t *realtime)
{
    struct anchor a = current_anchor();
    uint64_t counts;
    if (!counts_since(&a, now, &counts) || counts > a.span || !a.rate)
        return false;
    uint64_t ns = scale_counts(counts, a.rate);
    *monotonic = a.monotonic + ns;
    *realtime = a.realtime + ns;
    return true;
}

static bool is_near(uint64_t rate, uint64_t to)
{
    uint64_t slack = to / RATE_TOLERANCE;
    return rate >= to - slack && rate <= to + slack;
}

/* ns over counts; 0 if it is nothing to go by. */
static uint64_t rate_of(struct anchor *a, uint64_t ns, uint64_t counts)
{
    while (ns >> 31) {
        ns >>= 1;
        counts >>= 1;
    }
    uint64_t rate = counts ? (ns << RATE_SHIFT) / counts : 0;
    if (rate < (NS << RATE_SHIFT) / HZ_MAX || rate > (NS << RATE_SHIFT) / HZ_MIN)
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
    second = (NS << RATE_SHIFT) / rate;
    return rate;
}

static void measure_rate(struct anchor *a)
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
    struct anchor a = current_anchor();
    uint64_t tsc = MIN(MAX(claim->tsc, before), after);
    if (!counts_since(&a, tsc, &counts))
        counts = 0; /* the counter was reset: the claim alone counts */
    uint64_t own = MIN(a.monotonic + scale_counts(counts, a.rate), CLAIM_MAX);
    a.tsc = tsc;
    a.host = MIN(claim->monotonic, CLAIM_MAX);
    a.monotonic = MAX(own, a.host);
    a.realtime = MIN(claim->realtime, CLAIM_MAX);
    measure_rate(&a);
    /* What we are ahead goes within a second, or as fast as that may be. */
    uint64_t ahead = MIN(a.monotonic - a.host, NS / CATCH_UP);
    a.rate = a.base.rate - scale_counts(a.base.rate, (ahead << RATE_SHIFT) / NS);
    publish_anchor(&a);
    __atomic_store_n(&writing, 0, __ATOMIC_RELEASE);
}

uint64_t tsc_host_time(uint64_t monotonic)
{
    struct anchor a = current_anchor();
    return monotonic > a.monotonic ? a.host + MIN(monotonic - a.monotonic, CLAIM_MAX) : a.host;
}
