// SPDX-License-Identifier: Apache-2.0
// mbedTLS's random callback: what the CPU gives, and no generator of mbedTLS's between.
#include "trusted/agent/client.h"

int agent_rng(void *unused, unsigned char *out, size_t size)
{
    return agent_os_random(out, size) ? -1 : 0;
}
