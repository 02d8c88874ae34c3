// SPDX-License-Identifier: Apache-2.0
// RA-TLS certificates.
#include <shelter/verify.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shelter_verify_request rq = {.size = sizeof(rq), .time = 1750000000};
    struct shelter_verdict *v;
    const void *evidence;
    size_t evidence_size;
    if (shelter_verify_certificate(data, size, &rq, &v))
        return 0;
    if (shelter_verdict_accepted(v))
        __builtin_trap();
    shelter_verdict_free(v);
    shelter_certificate_evidence(data, size, &evidence, &evidence_size);
    return 0;
}
