// SPDX-License-Identifier: Apache-2.0
// The clock that deadlines are by.
#ifndef VERIFIER_BROKER_CLOCK_H
#define VERIFIER_BROKER_CLOCK_H

#include <stdint.h>
#include <time.h>

// Monotonic, in ms.
static inline int64_t sb_clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#endif
