// SPDX-License-Identifier: Apache-2.0
// An exec request's payload: whatever it says, its strings lie inside it.
#include <stdlib.h>
#include <string.h>

#include "lib/exec.h"
#include "trusted/guest/channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sh_exec x;
    if (sh_exec_parse(&x, data, size))
        return 0;
    const char *p = x.args;
    for (size_t i = 0; i < (size_t)x.head.arg_count + x.head.env_count + 2; i++)
        p += strlen(p) + 1;
    if (p != (const char *)data + size)
        abort();
    return 0;
}
