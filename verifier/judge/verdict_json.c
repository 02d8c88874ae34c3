// SPDX-License-Identifier: Apache-2.0
// The verdict as JSON, with an appraisal in the shape of an EAR (draft-ietf-rats-ear, AR4SI).
#include "verifier/base/bytes.h"
#include "verifier/quote/verdict.h"

static const char *const type_names[] = {"unknown", "sgx", "tdx", "snp", "csv", "nitro"};

// AR4SI tiers
enum {
    NONE = 0,
    AFFIRMING = 2,
    APPROVED_BOOT = 3,
    WARNING = 32,
    CONTRA = 96,
    UNRECOGNIZED = 97,
    CRYPTO = 99
};

static bool refused_between(const struct shelter_verdict *v, enum shelter_reason first,
                            enum shelter_reason last)
{
    for (size_t i = 0; i < v->refusal_count; i++)
        if (v->refusal[i].reason >= first && v->refusal[i].reason <= last)
            return true;
    return false;
}

static int rate_hardware(const struct shelter_verdict *v)
{
    if (v->simulated)
        return UNRECOGNIZED;
    if (!v->signatures_valid)
        return CRYPTO;
    if (!v->judged)
        return NONE;
    if (refused_between(v, SHELTER_R_TCB_REVOKED, SHELTER_R_TCB_NOT_SUPPORTED))
        return CONTRA;
    return refused_between(v, SHELTER_R_TCB_STATUS, SHELTER_R_TCB_EVAL_NUMBER) ||
                   refused_between(v, SHELTER_R_SNP_TCB_FLOOR, SHELTER_R_SNP_TCB_FLOOR)
               ? WARNING
               : AFFIRMING;
}

static int rate_executables(const struct shelter_verdict *v)
{
    if (refused_between(v, SHELTER_R_REFERENCE, SHELTER_R_REFERENCE))
        return CONTRA;
    return cJSON_GetObjectItemCaseSensitive(v->claims, "reference_matched") ? APPROVED_BOOT : NONE;
}

static int rate_configuration(const struct shelter_verdict *v)
{
    if (v->debug || refused_between(v, SHELTER_R_SEPT_VE, SHELTER_R_SERVTD) ||
        refused_between(v, SHELTER_R_SNP_VMPL, SHELTER_R_SNP_ABI))
        return v->debug ? CONTRA : WARNING;
    return v->signatures_valid ? AFFIRMING : NONE;
}

static cJSON *make_ear(const struct shelter_verdict *v)
{
    cJSON *root = cJSON_CreateObject(), *id, *cpu, *vector;
    int h = rate_hardware(v), e = rate_executables(v), c = rate_configuration(v);
    const char *status = "none";

    if (shelter_verdict_accepted(v))
        status = v->simulated ? "warning" : "affirming";
    else if (v->judged)
        status = "contraindicated";
    cJSON_AddStringToObject(root, "eat_profile", "tag:github.com,2023:veraison/ear");
    cJSON_AddNumberToObject(root, "iat", (double)v->time);
    id = cJSON_AddObjectToObject(root, "ear.verifier-id");
    cJSON_AddStringToObject(id, "developer", "shelter");
    cJSON_AddStringToObject(id, "build", SHELTER_VERSION);
    cpu = cJSON_AddObjectToObject(cJSON_AddObjectToObject(root, "submods"), "cpu0");
    cJSON_AddStringToObject(cpu, "ear.status", status);
    vector = cJSON_AddObjectToObject(cpu, "ear.trustworthiness-vector");
    cJSON_AddNumberToObject(vector, "instance-identity",
                            v->simulated || !v->signatures_valid ? UNRECOGNIZED : AFFIRMING);
    cJSON_AddNumberToObject(vector, "configuration", c);
    cJSON_AddNumberToObject(vector, "executables", e);
    cJSON_AddNumberToObject(vector, "hardware", h);
    return root;
}

char *shelter_verdict_json(const struct shelter_verdict *v)
{
    cJSON *root = cJSON_CreateObject(), *list;
    bool ok = shelter_verdict_accepted(v);
    char when[32], *text;

    sv_time_format(v->time, when);
    cJSON_AddStringToObject(root, "type", type_names[v->type]);
    cJSON_AddStringToObject(root, "time", when);
    cJSON_AddStringToObject(root, "signatures", v->signatures_valid ? "valid" : "invalid");
    if (v->tcb_status[0])
        cJSON_AddStringToObject(root, "tcb_status", v->tcb_status);
    else
        cJSON_AddNullToObject(root, "tcb_status");
    cJSON_AddItemToObject(root, "advisories", cJSON_Duplicate(v->advisories, true));
    cJSON_AddStringToObject(root, "verdict", ok ? "accept" : "reject");
    cJSON_AddBoolToObject(root, "judged", v->judged);
    cJSON_AddStringToObject(root, "reason",
                            ok                 ? ""
                            : v->refusal_count ? v->refusal[0].sentence
                                               : "");
    cJSON_AddStringToObject(root, "reason_code", shelter_reason_code(shelter_verdict_reason(v)));
    list = cJSON_AddArrayToObject(root, "refusals");
    for (size_t i = 0; i < v->refusal_count; i++) {
        cJSON *item = cJSON_CreateObject();

        cJSON_AddStringToObject(item, "code", shelter_reason_code(v->refusal[i].reason));
        cJSON_AddStringToObject(item, "reason", v->refusal[i].sentence);
        cJSON_AddItemToArray(list, item);
    }
    cJSON_AddBoolToObject(root, "simulated", v->simulated);
    cJSON_AddBoolToObject(root, "debug", v->debug);
    if (v->root[0])
        cJSON_AddStringToObject(root, "root", v->root);
    cJSON_AddItemToObject(root, "claims", cJSON_Duplicate(v->claims, true));
    cJSON_AddItemToObject(root, "ear", make_ear(v));
    text = cJSON_Print(root);
    cJSON_Delete(root);
    return text;
}
