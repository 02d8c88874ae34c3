// SPDX-License-Identifier: Apache-2.0
// The time that deadlines are kept by.
#include "trusted/guest/serve.h"

long guest_now_ms(void)
{
    return (long)sh_now_ms();
}
