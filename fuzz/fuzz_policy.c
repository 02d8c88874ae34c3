// SPDX-License-Identifier: Apache-2.0
// Policy files and reference values.
#include "verifier/judge/policy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shelter_verdict v = {.type = SHELTER_EVIDENCE_SGX};
    char *text = strndup((const char *)data, size), why[128];
    struct sv_policy p;

    v.claims = cJSON_CreateObject();
    sv_claim_text(&v, "mrenclave", "00");
    if (text) {
        if (!sv_policy_parse(text, &p, why, sizeof(why)))
            sv_policy_claims(&p, &v);
        sv_policy_free(&p);
        sv_reference_judge(text, &v);
    }
    cJSON_Delete(v.claims);
    free(text);
    return 0;
}
