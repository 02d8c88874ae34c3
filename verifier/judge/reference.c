// SPDX-License-Identifier: Apache-2.0
// Compares measurements with reference values.
#include "verifier/judge/claim.h"
#include "verifier/judge/policy.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <string.h>

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

// "rtmr": [..] goes register by register, where null leaves one out (RTMR0 depends on memory and
// devices, RTMR3 on what the guest extends). Any other array lists alternatives.
static bool array_holds(const struct shelter_verdict *v, const cJSON *want, const char *name)
{
    const cJSON *item;
    char number[8] = "rtmr0";

    if (!strcmp(name, "rtmr")) {
        if (v->type != SHELTER_EVIDENCE_TDX || cJSON_GetArraySize(want) > 4)
            return false;
        cJSON_ArrayForEach(item, want)
        {
            if (!cJSON_IsNull(item) && !sv_claim_is(v, number, item))
                return false;
            number[4]++;
        }
        return true;
    }
    cJSON_ArrayForEach(item, want) if (sv_claim_is(v, name, item)) return true;
    return false;
}

// What `shelter measure` calls by longer names than the report's fields have.
static const char *claim_name(const char *name)
{
    return !strcmp(name, "isv_prod_id") ? "isvprodid" : !strcmp(name, "isv_svn") ? "isvsvn" : name;
}

// MRTD is the firmware, which every image has: the kernel is in RTMR1, command line (with the
// image's identity) and initramfs in RTMR2. Both are demanded.
static bool names_kernel(const cJSON *measurement)
{
    const cJSON *list = sv_json_get(measurement, "rtmr");

    for (int i = 1; i <= 2; i++) {
        const char name[] = {'r', 't', 'm', 'r', (char)('0' + i), 0};
        const cJSON *item = sv_json_get(measurement, name);

        if (!item)
            item = cJSON_GetArrayItem(list, i);
        if (!item || cJSON_IsNull(item))
            return false;
    }
    return true;
}

// An entry without a measurement that identifies the code references nothing.
static bool entry_holds(const cJSON *measurement, const struct shelter_verdict *v)
{
    const cJSON *want;
    bool identifies = false;

    cJSON_ArrayForEach(want, measurement)
    {
        const char *name = claim_name(want->string);

        if (cJSON_IsArray(want) ? !array_holds(v, want, name) : !sv_claim_is(v, name, want))
            return false;
        for (const struct sv_measurement *m = sv_measurements; m->claim; m++)
            identifies |= m->kind != SV_MEASUREMENT_PART && !strcmp(want->string, m->claim);
    }
    return identifies && (v->type != SHELTER_EVIDENCE_TDX || names_kernel(measurement));
}

const char *sv_reference_lack(const cJSON *entry)
{
    const cJSON *measurement = sv_json_get(entry, "measurement");
    const char *tee = sv_json_text(entry, "tee");

    if ((!strcmp(tee, "tdx") || !strcmp(tee, "tdx-sim")) && !names_kernel(measurement))
        return "a reference for TDX names RTMR1 and RTMR2 beside MRTD, which is the firmware alone";
    return NULL;
}

bool sv_reference_judge(const char *text, struct shelter_verdict *v)
{
    cJSON *root = sv_json_read_text(text, NULL, 0);
    const cJSON *list = sv_json_get(root, "references"), *entry;
    bool found = false;
    int candidates = 0;

    if (!cJSON_IsArray(list)) {
        sv_refuse(v, SHELTER_R_REFERENCE_FILE, "no array \"references\"");
        cJSON_Delete(root);
        return false;
    }
    cJSON_ArrayForEach(entry, list)
    {
        const cJSON *tee = sv_json_get(entry, "tee");
        const cJSON *measurement = sv_json_get(entry, "measurement");

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
