// SPDX-License-Identifier: Apache-2.0
// Requests to the quoting service that sgx-sim plays: any bytes have one answer, that is well
// formed and no more than a client takes.
#include <stdlib.h>

#include "host/attest/aesm.h"
#include "host/attest/aesm_serve.h"
#include "host/attest/sim_tee.h"

/* The quoting enclave is the harness's: it signs everything. */
void sh_sim_qe_target(struct sgx_targetinfo *target)
{
    *target = (struct sgx_targetinfo){0};
}

int sh_sim_qe_report(const struct sgx_targetinfo *target, const uint8_t data[64],
                     struct sgx_report *report)
{
    *report = (struct sgx_report){.miscselect = target->miscselect, .report_data = {data[0]}};
    return 0;
}

int sh_sim_qe_quote_sgx(const char *dir, const struct sgx_report *report, uint8_t *out,
                        struct sh_error *err)
{
    for (unsigned i = 0; i < 4600; i++)
        out[i] = (uint8_t)i;
    return 4600;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sh_buffer out = {0};
    struct sh_aesm_answer a;
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
