// SPDX-License-Identifier: Apache-2.0
// SM3 (GB/T 32905-2016) of a short message: what Hygon's firmware wants beside the report data.
#ifndef AGENT_SM3_H
#define AGENT_SM3_H

#include <stddef.h>
#include <stdint.h>

void agent_sm3(uint8_t out[32], const uint8_t *data, size_t size);

#endif
