// SPDX-License-Identifier: Apache-2.0
// Evidence of every kind and shape, judged without collateral: nothing made by a fuzzer is
// accepted.
#include <shelter/verify.h>

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum shelter_evidence_type types[] = {SHELTER_EVIDENCE_AUTO, SHELTER_EVIDENCE_CSV};

    for (int i = 0; i < 2; i++) {
        struct shelter_verify_request rq = {.size = sizeof(rq),
                                            .evidence = data,
                                            .evidence_size = size,
                                            .type = types[i],
                                            .time = 1750000000};
        struct shelter_verdict *v;

        if (!size || shelter_verify(&rq, &v))
            continue;
        if (shelter_verdict_accepted(v))
            abort();
        free(shelter_verdict_json(v));
        shelter_verdict_free(v);
    }
    return 0;
}
