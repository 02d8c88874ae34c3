// SPDX-License-Identifier: Apache-2.0
// A CoRIM of somebody else's: what is read can be written, and read again as the same.
#include <stdint.h>
#include <stdlib.h>

#include "verifier/judge/corim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[120];
    cJSON *top = sv_corim_read(data, size, 1000, why, sizeof(why)), *again;
    uint8_t *out = NULL;
    size_t n;

    if (top && !sv_corim_write(top, &out, &n, why, sizeof(why))) {
        again = sv_corim_read(out, n, 1000, why, sizeof(why));
        if (!again || !cJSON_Compare(top, again, true))
            abort();
        cJSON_Delete(again);
        free(out);
    }
    cJSON_Delete(top);
    return 0;
}
