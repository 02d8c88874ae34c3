// SPDX-License-Identifier: Apache-2.0
// The line the user will read when this guest cannot go on.
#include "trusted/guest/guest.h"

#include <stdio.h>

int guest_fail(struct guest_error *e, int code, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    e->status = GUEST_EXIT_OWN;
    vsnprintf(e->text, sizeof(e->text), format, ap);
    va_end(ap);
    for (char *p = e->text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    return code;
}
