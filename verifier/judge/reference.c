// SPDX-License-Identifier: Apache-2.0
// Compares measurements with reference values.
#include "verifier/judge/policy.h"

#include <strings.h>

// What alone identifies the code; an entry without one of these references nothing.
static const char *const strong[] = {"mrenclave", "mrtd", "launch_digest", "measurement",
                                     "measure"};

static bool tee_matches(const char *tee, const struct shelter_verdict *v)
{
    switch (v->type) {
    case SHELTER_EVIDENCE_SGX: // the simulator measures as hardware does
        return !strcmp(tee, "sgx") || !strcmp(tee, "sgx-sim");
    case SHELTER_EVIDENCE_TDX: // the simulated TD boots differently
        return !strcmp(tee, v->simulated ? "tdx-sim" : "tdx");
    case SHELTER_EVIDENCE_SNP:
        return !strcmp(tee, v->simulated ? "snp-sim" : "snp");
    case SHELTER_EVIDENCE_CSV:
        return !strcmp(tee, "csv");
    default:
        return false;
    }
}

static bool text_equal(const cJSON *have, const cJSON *want)
{
    if (cJSON_IsNumber(have) && cJSON_IsNumber(want))
        return have->valuedouble == want->valuedouble;
    return cJSON_IsString(have) && cJSON_IsString(want) && want->valuestring[0] &&
           !strcasecmp(have->valuestring, want->valuestring);
}

// "rtmr": [..] goes register by register, where null leaves one out (RTMR0 depends on memory and
// devices, RTMR3 on what the guest extends). Any other array lists alternatives.
static bool array_holds(const cJSON *have, const cJSON *want, const char *name)
{
    const cJSON *item;
    int i = 0;

    if (!strcmp(name, "rtmr")) {
        if (!cJSON_IsArray(have) || cJSON_GetArraySize(want) > 4)
            return false;
        cJSON_ArrayForEach(item, want)
        {
            if (!cJSON_IsNull(item) && !text_equal(cJSON_GetArrayItem(have, i), item))
                return false;
            i++;
        }
        return true;
    }
    cJSON_ArrayForEach(item, want) if (text_equal(have, item)) return true;
    return false;
}

// What `shelter measure` calls by longer names than the report's fields have.
static const char *claim_name(const char *name)
{
    return !strcmp(name, "isv_prod_id") ? "isvprodid" : !strcmp(name, "isv_svn") ? "isvsvn" : name;
}

static bool entry_holds(const cJSON *measurement, const struct shelter_verdict *v)
{
    const cJSON *want;
    bool identifies = false;

    cJSON_ArrayForEach(want, measurement)
    {
        const cJSON *have = cJSON_GetObjectItemCaseSensitive(v->claims, claim_name(want->string));

        if (!have || cJSON_IsNull(want))
            return false;
        if (cJSON_IsArray(want) ? !array_holds(have, want, want->string) : !text_equal(have, want))
            return false;
        for (size_t i = 0; i < sizeof(strong) / sizeof(strong[0]); i++)
            identifies |= !strcmp(want->string, strong[i]);
    }
    return identifies;
}

bool sv_reference_judge(const char *text, struct shelter_verdict *v)
{
    cJSON *root = cJSON_Parse(text);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "references"), *entry;
    bool found = false;
    int candidates = 0;

    if (!cJSON_IsArray(list)) {
        sv_refuse(v, SHELTER_R_REFERENCE_FILE, "no array \"references\"");
        cJSON_Delete(root);
        return false;
    }
    cJSON_ArrayForEach(entry, list)
    {
        const cJSON *tee = cJSON_GetObjectItemCaseSensitive(entry, "tee");
        const cJSON *measurement = cJSON_GetObjectItemCaseSensitive(entry, "measurement");

        if (!cJSON_IsString(tee) || !cJSON_IsObject(measurement) ||
            !tee_matches(tee->valuestring, v))
            continue;
        candidates++;
        if (entry_holds(measurement, v)) {
            found = true;
            break;
        }
    }
    cJSON_Delete(root);
    if (!found)
        sv_refuse(v, SHELTER_R_REFERENCE, "%d reference value%s for this TEE", candidates,
                  candidates == 1 ? "" : "s");
    return found;
}
