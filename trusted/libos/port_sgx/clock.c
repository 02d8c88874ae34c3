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

/* The program's processor time is the host's to tell: it alone sees when we run. */
static uint64_t ask_clock(enum port_clock which)
{
    int64_t r = SGX_CALL(.nr = SH_CALL_CLOCK, .args = {which});
    return r < 0 ? 0 : (uint64_t)r;
}

uint64_t port_clock(enum port_clock which)
{
    uint64_t monotonic, realtime, now = tsc_now();
    if (which > PORT_CLOCK_MONOTONIC)
        return ask_clock(which);
    if (!tsc_read(now, &monotonic, &realtime)) {
        uint64_t told = ask_clock(which);
        sgx_clock_take(sgx_self()->slot, now);
        if (!tsc_read(tsc_now(), &monotonic, &realtime))
            return told;
    }
    return which == PORT_CLOCK_MONOTONIC ? monotonic : realtime;
}
