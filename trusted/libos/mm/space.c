// SPDX-License-Identifier: Apache-2.0
// Address spaces: made, shared and given up.
#include "trusted/libos/mm/mm.h"

struct space *space_new(void)
{
    struct space *s = los_alloc(sizeof(*s));
    if (s)
        s->refs = 1;
    return s;
}
