// SPDX-License-Identifier: Apache-2.0
// Requests to the quoting service that sgx-sim plays: any bytes have one answer, that is well
// formed and no more than a client takes.
#include <stdlib.h>

#include "host/attest/aesm.h"
#include "host/attest/aesm_serve.h"
#include "host/sgx/sim/sgxsim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool on;
    struct sh_buffer out = {0};
    struct sh_aesm_answer a;
    if (!on && sgxsim_power_on(NULL) != 0)
        abort();
    on = true;
    sh_aesm_answer("/nonexistent", data, size, &out);
    if (!out.size || out.size > SH_AESM_MESSAGE_MAX)
        abort();
    /* The field's number is the request's, or "not supported". */
    int read = 0;
    for (unsigned answer = 1; answer < 32; answer++)
        read += !sh_aesm_parse(out.data, out.size, answer, &a);
    if (read != 1)
        abort();
    sh_buffer_free(&out);
    return 0;
}
