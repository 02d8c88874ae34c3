// SPDX-License-Identifier: Apache-2.0
// Holds evidence against one entry of reference values, register by register.
#include "verifier/judge/claim.h"
#include "verifier/judge/policy.h"
#include "verifier/base/json.h"

#include <stdio.h>
#include <string.h>

static bool tee_matches(const char *tee, const struct shelter_verdict *v)
{
    switch (v->type) {
    case SHELTER_EVIDENCE_SGX: // the simulator measures as hardware does
        return !strcmp(tee, "sgx") || !strcmp(tee, "sgx-sim");
    case SHELTER_EVIDENCE_TDX: // the simulated TD boots differently
        return !strcmp(tee, v->tee_simulated ? "tdx-sim" : "tdx");
    case SHELTER_EVIDENCE_SNP:
        return !strcmp(tee, v->tee_simulated ? "snp-sim" : "snp");
    case SHELTER_EVIDENCE_CSV:
        return !strcmp(tee, "csv");
    case SHELTER_EVIDENCE_NITRO:
        return !v->tee_simulated && !strcmp(tee, "nitro");
    default:
        return false;
    }
}

// One register or field: an array lists alternatives.
static bool field_holds(const struct shelter_verdict *v, const cJSON *want, const char *name)
{
    const cJSON *item;

    if (!cJSON_IsArray(want))
        return sv_claim_is(v, name, want);
    cJSON_ArrayForEach(item, want) if (sv_claim_is(v, name, item)) return true;
    return false;
}

// What `shelter measure` calls by longer names than the report's fields have.
static const char *claim_name(const char *name)
{
    return !strcmp(name, "isv_prod_id") ? "isvprodid" : !strcmp(name, "isv_svn") ? "isvsvn" : name;
}

static void note_field(bool holds, const char *name, const cJSON *want, int *count, char first[24],
                       const cJSON **first_want)
{
    *count += holds;
    if (holds || *first_want)
        return;
    snprintf(first, 24, "%s", name);
    *first_want = want;
}

// "rtmr": [..] goes register by register, where null leaves one out (RTMR0 depends on memory and
// devices, RTMR3 on what the guest extends).
int sv_reference_holds(const cJSON *measurement, const struct shelter_verdict *v, char first[24],
                       const cJSON **first_want)
{
    const cJSON *want, *item;
    int count = 0;

    *first_want = NULL;
    cJSON_ArrayForEach(want, measurement)
    {
        const char *name = claim_name(want->string);
        char number[8] = "rtmr0";

        if (strcmp(name, "rtmr") || !cJSON_IsArray(want)) {
            note_field(field_holds(v, want, name), name, want, &count, first, first_want);
            continue;
        }
        if (v->type != SHELTER_EVIDENCE_TDX || cJSON_GetArraySize(want) > 4)
            note_field(false, name, want, &count, first, first_want);
        else
            cJSON_ArrayForEach(item, want)
            {
                if (!cJSON_IsNull(item))
                    note_field(sv_claim_is(v, number, item), number, item, &count, first,
                               first_want);
                number[4]++;
            }
    }
    return count;
}

bool sv_reference_is_for(const cJSON *entry, const struct shelter_verdict *v)
{
    const char *tee = sv_json_string(entry, "tee");

    return tee && cJSON_IsObject(sv_json_get(entry, "measurement")) && tee_matches(tee, v);
}
