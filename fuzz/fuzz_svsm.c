// SPDX-License-Identifier: Apache-2.0
// An SVSM's manifest, bound as a report would bind it, so that what reads it is reached; with a
// quote beside it or not.
//
// Input: u8 what | bytes. what 1: with a quote.
#include "verifier/quote/svsm.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "verifier/judge/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shelter_verdict *v = sv_verdict_new(1750000000);
    struct sv_tpm_quote q = {.message = {(const uint8_t *)"m", 1},
                             .signature = {(const uint8_t *)"s", 1}};
    size_t n = size ? size - 1 : 0;
    uint8_t *all = malloc(SV_SVSM_NONCE_SIZE + n);
    struct sv_svsm s;

    if (!size || !v || !all || n > SV_SVSM_MANIFEST_MAX)
        goto out;
    memset(all, 0, SV_SVSM_NONCE_SIZE);
    memcpy(all + SV_SVSM_NONCE_SIZE, data + 1, n);
    SHA512(all, SV_SVSM_NONCE_SIZE + n, v->report_data);
    s.nonce = (struct sv_bytes){all, SV_SVSM_NONCE_SIZE};
    s.manifest = (struct sv_bytes){all + SV_SVSM_NONCE_SIZE, n};
    sv_svsm_judge(&s, 0, data[0] & 1 ? &q : NULL, v);
    if (data[0] & 1 && shelter_verdict_accepted(v))
        abort();
    free(shelter_verdict_json(v));
out:
    free(all);
    shelter_verdict_free(v);
    return 0;
}
