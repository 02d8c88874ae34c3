// SPDX-License-Identifier: Apache-2.0
// The time that deadlines are kept by.
#include <time.h>

#include "trusted/guest/serve.h"

long guest_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
