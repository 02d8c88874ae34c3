// SPDX-License-Identifier: Apache-2.0
// Signals by name.
#include "host/base/signal_name.h"

#include <errno.h>
#include <string.h>

#define RTMIN 34u /* glibc's, as programs inside see it */
#define SIGNAL_MAX 64u

int sh_signal_parse(const char *text, uint32_t *signal, struct sh_error *err)
{
    const char *name = strncasecmp(text, "SIG", 3) ? text : text + 3;
    uint64_t number = 0;
    if (!strncasecmp(name, "RTMIN+", 6) &&
        !sh_parse_number(name + 6, 0, SIGNAL_MAX - RTMIN, &number))
        number += RTMIN;
    else if (sh_parse_number(text, 1, SIGNAL_MAX, &number))
        number = 0;
    for (uint32_t i = 1; !number && i < 32; i++) {
        const char *known = sigabbrev_np((int)i);
        if (known && !strcasecmp(known, name))
            number = i;
    }
    if (!number)
        return sh_fail(err, -EINVAL,
                       "there is no signal '%.40s'; use a name such as TERM, or a number", text);
    *signal = (uint32_t)number;
    return 0;
}
