// SPDX-License-Identifier: Apache-2.0
// Answers of the quoting service.
#include "host/attest/aesm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sh_aesm_answer a;
    for (unsigned answer = 15; answer <= 17; answer++) {
        if (sh_aesm_parse(data, size, answer, &a) || !a.bytes.data)
            continue;
        if (a.bytes.data < data || a.bytes.data + a.bytes.size > data + size)
            __builtin_trap();
    }
    return 0;
}
