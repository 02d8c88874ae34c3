// SPDX-License-Identifier: Apache-2.0
// Compares measurements with reference values.
#include "verifier/judge/claim.h"
#include "verifier/judge/policy.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <stdio.h>
#include <string.h>

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

// PCR4 is what the firmware started, PCR12 the command line given to it. (PCR7 names who may sign
// what is started, not what it is.)
static bool names_boot(const cJSON *measurement)
{
    return sv_json_get(measurement, "tpm_pcr4") && sv_json_get(measurement, "tpm_pcr12");
}

// An entry without a measurement that identifies the code references nothing.
static bool entry_holds(const cJSON *measurement, const struct shelter_verdict *v)
{
    const cJSON *want;
    bool identifies = false;
    char first[24];

    sv_reference_holds(measurement, v, first, &want);
    if (want)
        return false;
    if (v->type == SHELTER_EVIDENCE_NITRO)
        return names_boot(measurement);
    cJSON_ArrayForEach(want, measurement)
    {
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
    if (!strcmp(tee, "nitro") && !names_boot(measurement))
        return "a reference for NitroTPM names tpm_pcr4 and tpm_pcr12";
    return NULL;
}

static void refuse_reference(struct shelter_verdict *v, const cJSON *list, int candidates)
{
    const char *plural = candidates == 1 ? "" : "s";
    struct sv_difference d;
    char text[160];
    cJSON *o;

    if (!sv_reference_nearest(list, v, &d)) {
        sv_refuse(v, SHELTER_R_REFERENCE, "%d reference value%s for this TEE", candidates, plural);
        return;
    }
    sv_difference_text(&d, text, sizeof(text));
    sv_refuse(v, SHELTER_R_REFERENCE, "%d reference value%s for this TEE; %s", candidates, plural,
              text);
    o = cJSON_AddObjectToObject(v->claims, "reference_differs");
    cJSON_AddStringToObject(o, "field", d.field);
    if (d.number) {
        cJSON_AddNumberToObject(o, "event", d.number);
        cJSON_AddStringToObject(o, "what", d.what);
        cJSON_AddStringToObject(o, "found", d.have_what);
    }
    cJSON_AddStringToObject(o, "expected", d.want);
    cJSON_AddStringToObject(o, "got", d.have);
    cJSON_AddStringToObject(o, "probably", d.probably);
}

static bool find_entry(const cJSON *list, const struct shelter_verdict *v, int *candidates)
{
    const cJSON *entry;

    *candidates = 0;
    cJSON_ArrayForEach(entry, list)
    {
        if (!sv_reference_is_for(entry, v))
            continue;
        ++*candidates;
        if (entry_holds(sv_json_get(entry, "measurement"), v))
            return true;
    }
    return false;
}

bool sv_reference_matches(const char *text, const struct shelter_verdict *v)
{
    cJSON *root = sv_json_read_text(text, NULL, 0);
    const cJSON *list = sv_json_get(root, "references");
    int candidates;
    bool found = cJSON_IsArray(list) && find_entry(list, v, &candidates);

    cJSON_Delete(root);
    return found;
}

bool sv_reference_judge(const char *text, struct shelter_verdict *v)
{
    cJSON *root = sv_json_read_text(text, NULL, 0);
    const cJSON *list = sv_json_get(root, "references");
    int candidates;
    bool found = cJSON_IsArray(list) && find_entry(list, v, &candidates);

    if (!cJSON_IsArray(list))
        sv_refuse(v, SHELTER_R_REFERENCE_FILE, "no array \"references\"");
    else if (!found)
        refuse_reference(v, list, candidates);
    cJSON_Delete(root);
    return found;
}
