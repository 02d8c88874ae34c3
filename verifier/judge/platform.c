// SPDX-License-Identifier: Apache-2.0
// Which machines a relying party trusts, by name and by kind. Evidence says what runs on a CPU that
// its vendor made; whether somebody sits beside it with an interposer only its owner can say.
#include "verifier/judge/policy.h"
#include "verifier/judge/claim.h"
#include "verifier/base/json.h"

#include <errno.h>

// A chip_id that the report masks is the one of its VCEK.
static const struct {
    const char *name, *claim, *else_claim;
    size_t size;
} ids[] = {
    {"ppid", "ppid", NULL, 16},
    {"platform_instance_id", "platform_instance_id", NULL, 16},
    {"chip_id", "chip_id", "vcek_chip_id", 64},
};
#define ID_COUNT (sizeof(ids) / sizeof(ids[0]))

// A shorter chip_id (Turin's has 8 bytes) ends in zeros, as in the report.
static bool read_id(const cJSON *item, size_t size, uint8_t out[64])
{
    const char *text = cJSON_GetStringValue(item);
    size_t n = text ? strlen(text) / 2 : 0;

    memset(out, 0, 64);
    return n && (n == size || (size == 64 && n >= 8 && n < size)) && !sh_unhex(out, n, text) &&
           !sv_all_zero(out, n);
}

static int read_lists(const cJSON *lists)
{
    const cJSON *list, *item;
    uint8_t id[64];

    if (!cJSON_IsObject(lists))
        return -EBADMSG;
    cJSON_ArrayForEach(list, lists)
    {
        size_t i = 0;

        while (i < ID_COUNT && strcmp(list->string, ids[i].name))
            i++;
        if (i == ID_COUNT || !cJSON_IsArray(list))
            return -EBADMSG;
        cJSON_ArrayForEach(item, list) if (!read_id(item, ids[i].size, id)) return -EBADMSG;
    }
    return 0;
}

int sv_policy_read_platforms(const cJSON *item)
{
    const cJSON *lists;

    if (!cJSON_IsObject(item))
        return -EBADMSG;
    cJSON_ArrayForEach(
        lists, item) if ((strcmp(lists->string, "allow") && strcmp(lists->string, "deny")) ||
                         read_lists(lists)) return -EBADMSG;
    return 0;
}

// What says something of a machine. A name that is misspelt would refuse nothing, so others are
// errors.
static const char *const kinds[] = {
    "fmspc",         "pceid",      "sgx_type",     "dynamic_platform", "cached_keys",
    "smt_enabled",   "qe_svn",     "pce_svn",      "pck_pcesvn",       "tcb_evaluation_number",
    "tee_tcb_svn",   "tcb_status", "mrseam",       "product",          "csp_id",
    "signing_key",   "vmpl",       "cpuid_fam_id", "cpuid_mod_id",     "cpuid_step",
    "tcb_bl",        "tcb_tee",    "tcb_snp",      "tcb_ucode",        "tcb_fmc",
    "chip_id_masked"};

static bool is_kind(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (!strcmp(kinds[i], name))
            return true;
    return false;
}

static bool is_value(const cJSON *item)
{
    return cJSON_IsString(item) || cJSON_IsNumber(item) || cJSON_IsBool(item);
}

static int read_claims(const cJSON *claims)
{
    const cJSON *want, *item;

    if (!cJSON_IsObject(claims) || !claims->child)
        return -EBADMSG;
    cJSON_ArrayForEach(want, claims)
    {
        if (!is_kind(want->string))
            return -EBADMSG;
        if (is_value(want))
            continue;
        if (!want->child || (!cJSON_IsArray(want) && !cJSON_IsObject(want)))
            return -EBADMSG;
        cJSON_ArrayForEach(item, want)
        {
            bool bound = cJSON_IsObject(want);

            if (bound ? !cJSON_IsNumber(item) ||
                            (strcmp(item->string, "min") && strcmp(item->string, "max"))
                      : !is_value(item))
                return -EBADMSG;
        }
    }
    return 0;
}

static const char *const tees[] = {"", "sgx", "tdx", "snp", "csv", "nitro"};

int sv_policy_read_refuse(const cJSON *list)
{
    const cJSON *entry, *item;
    int64_t until;

    if (!cJSON_IsArray(list))
        return -EBADMSG;
    cJSON_ArrayForEach(entry, list)
    {
        if (!cJSON_IsObject(entry) || (!sv_json_get(entry, "claims") && !sv_json_get(entry, "tee")))
            return -EBADMSG;
        cJSON_ArrayForEach(item, entry)
        {
            const char *text = cJSON_GetStringValue(item);
            bool tee = false;

            for (size_t i = 1; text && i < sizeof(tees) / sizeof(tees[0]); i++)
                tee |= !strcmp(text, tees[i]);
            if (!strcmp(item->string, "claims")  ? read_claims(item) != 0
                : !strcmp(item->string, "tee")   ? !tee
                : !strcmp(item->string, "until") ? !text || !sv_time_parse(text, &until)
                                                 : strcmp(item->string, "why") || !text)
                return -EBADMSG;
        }
    }
    return 0;
}

// Does the evidence name itself by one of these?
static bool is_listed(const struct shelter_verdict *v, const cJSON *lists)
{
    const cJSON *list, *item;

    for (size_t i = 0; i < ID_COUNT; i++) {
        const struct sv_field *f = sv_field_find(v, ids[i].claim);
        uint8_t id[64];

        if ((!f || sv_all_zero(f->data, f->size)) && ids[i].else_claim)
            f = sv_field_find(v, ids[i].else_claim);
        list = f ? sv_json_get(lists, ids[i].name) : NULL;
        cJSON_ArrayForEach(item, list) if (read_id(item, ids[i].size, id) &&
                                           !memcmp(id, f->data, f->size)) return true;
    }
    return false;
}

static bool is_refused(const struct shelter_verdict *v, const cJSON *entry)
{
    const char *tee = sv_json_text(entry, "tee"), *until = sv_json_text(entry, "until");
    const cJSON *want;
    int64_t end;

    if (*tee && strcmp(tee, tees[v->type]))
        return false;
    if (*until && sv_time_parse(until, &end) && v->time >= end)
        return false;
    cJSON_ArrayForEach(want, sv_json_get(entry, "claims"))
    {
        // The one word of a verdict that is no claim.
        if (!strcmp(want->string, "tcb_status")) {
            const cJSON *item, *list = cJSON_IsArray(want) ? want : NULL;
            bool held = cJSON_IsString(want) && !strcmp(want->valuestring, v->tcb_status);

            cJSON_ArrayForEach(item, list) held |=
                cJSON_IsString(item) && !strcmp(item->valuestring, v->tcb_status);
            if (!held)
                return false;
        } else if (!sv_policy_claim_holds(v, want)) {
            return false;
        }
    }
    return true;
}

void sv_policy_platform(const struct sv_policy *p, struct shelter_verdict *v)
{
    const cJSON *allow = sv_json_get(p->platforms, "allow"), *entry;

    if (is_listed(v, sv_json_get(p->platforms, "deny")))
        sv_refuse(v, SHELTER_R_PLATFORM, "it is on the list \"deny\"");
    else if (allow && !is_listed(v, allow))
        sv_refuse(v, SHELTER_R_PLATFORM, "it is not on the list \"allow\"");
    cJSON_ArrayForEach(entry, p->refuse)
    {
        const char *why = sv_json_text(entry, "why"), *until = sv_json_text(entry, "until");

        if (is_refused(v, entry))
            sv_refuse(v, SHELTER_R_REFUSED_CPU, "%s%s%s", *why ? why : "its claims are listed",
                      *until ? ", until " : "", until);
    }
}
