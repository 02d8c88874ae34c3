// SPDX-License-Identifier: Apache-2.0
// Port `sgx`: time. RDTSC is a processor's instruction that SGX2 enclaves have; the host is asked
// only when what it said of the counter is a while ago.
#include "trusted/libos/port_sgx/sgx.h"
#include "trusted/libos/time/tsc.h"

/* Each word once. */
static struct tsc_claim claim_of(struct sh_slot *slot)
{
    volatile struct sh_slot *s = slot;
    return (struct tsc_claim){s->tsc, s->monotonic, s->realtime};
}

void sgx_clock_init(struct sh_slot *slot, uint64_t hz)
{
    struct tsc_claim claim = claim_of(slot);
    tsc_init(hz, &claim);
}

void sgx_clock_take(struct sh_slot *slot, uint64_t before)
{
    struct tsc_claim claim = claim_of(slot);
    tsc_take(&claim, before, tsc_now());
}

#define CLOCK_OF_THREAD 3 /* of SH_CALL_CLOCK; below: enum port_clock */

/* The program's processor time is the host's to tell: it alone sees when we run. */
static uint64_t ask_clock(uint64_t which, uint64_t tcs)
{
    int64_t r = SGX_CALL(.nr = SH_CALL_CLOCK, .args = {which, tcs});
    return r < 0 ? 0 : (uint64_t)r;
}

uint64_t port_thread_clock(struct thread *t)
{
    const struct port_thread *p = t->port;
    return p && !t->lender ? ask_clock(CLOCK_OF_THREAD, p->tcs) : 0;
}

uint64_t port_clock(enum port_clock which)
{
    uint64_t monotonic, realtime, now = tsc_now();
    if (which > PORT_CLOCK_MONOTONIC)
        return ask_clock(which, 0);
    if (!tsc_read(now, &monotonic, &realtime)) {
        uint64_t answer = ask_clock(which, 0);
        sgx_clock_take(sgx_self()->slot, now);
        if (!tsc_read(tsc_now(), &monotonic, &realtime))
            return answer;
    }
    return which == PORT_CLOCK_MONOTONIC ? monotonic : realtime;
}
