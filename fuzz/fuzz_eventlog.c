// SPDX-License-Identifier: Apache-2.0
// CCEL event logs.
#include <shelter/verify.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t rtmr[4][48];
    char why[128];

    shelter_event_log_replay(data, size, rtmr, why, sizeof(why));
    return 0;
}
