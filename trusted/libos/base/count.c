// SPDX-License-Identifier: Apache-2.0
// The counters' parts: threads that run side by side count in different ones.
#include "trusted/libos/libos.h"

static struct stats *parts[SHARES]; /* beside `stats`; by share */

struct stats *stats_part(uint32_t share)
{
    _Static_assert(sizeof(struct stats) <= PAGE_SIZE, "one page each");
    struct stats **part = &parts[share % SHARES];
    if (!*part)
        *part = page_alloc();
    return *part ? *part : &stats;
}

uint64_t stats_sum(const uint64_t *counter)
{
    uint64_t sum = __atomic_load_n(counter, __ATOMIC_RELAXED);
    size_t at = (size_t)(counter - (const uint64_t *)&stats);
    for (unsigned i = 0; i < SHARES; i++) {
        if (parts[i])
            sum += __atomic_load_n((const uint64_t *)parts[i] + at, __ATOMIC_RELAXED);
    }
    return sum;
}
