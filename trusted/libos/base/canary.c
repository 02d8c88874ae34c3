// SPDX-License-Identifier: Apache-2.0
// Stack canaries: what compiled code compares at GS before a function returns, one value a thread.
#include "trusted/libos/libos.h"

uint64_t canary_new(void)
{
    uint64_t canary;
    if (port_random(&canary, sizeof(canary)))
        stop("the processor gives no random numbers");
    return canary;
}
