// SPDX-License-Identifier: Apache-2.0
// Reads a policy file. Unknown members are errors: a misspelt demand must not be a silent one.
#include "verifier/judge/policy.h"
#include "verifier/base/json_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void sv_policy_default(struct sv_policy *p)
{
    *p = (struct sv_policy){
        .status_mask = 1u << SV_TCB_UP_TO_DATE | 1u << SV_TCB_SW_HARDENING,
        .require_sept_ve = true,
        .allow_smt = true,
        .allow_entrysign = true,
        .allow_badram = true,
        .csv_require_es = true,
    };
}

struct reader {
    char *why;
    size_t why_size;
    int rc;
};

static void set_bad_value(struct reader *r, const char *name)
{
    if (!r->rc)
        snprintf(r->why, r->why_size, "policy member \"%s\" is unknown or malformed", name);
    r->rc = -EBADMSG;
}

static void read_bool(struct reader *r, const cJSON *item, bool *out)
{
    if (!cJSON_IsBool(item))
        set_bad_value(r, item->string);
    *out = cJSON_IsTrue(item);
}

static void read_number(struct reader *r, const cJSON *item, uint32_t max, uint32_t *out)
{
    if (!cJSON_IsNumber(item) || item->valuedouble < 0 || item->valuedouble > max)
        set_bad_value(r, item->string);
    else
        *out = (uint32_t)item->valuedouble;
}

// "major.minor" or "major.minor.build"
static void read_version(struct reader *r, const cJSON *item, int parts, uint32_t *out)
{
    const char *at = cJSON_IsString(item) ? item->valuestring : "";

    *out = 0;
    for (int i = 0; i < 3; i++) {
        char *end = (char *)at;
        unsigned long part = i < parts && *at >= '0' && *at <= '9' ? strtoul(at, &end, 10) : 0;

        if (part > 255 || (i < parts && (end == at || *end != (i == parts - 1 ? 0 : '.')))) {
            set_bad_value(r, item->string);
            return;
        }
        at = *end ? end + 1 : end;
        *out = *out << 8 | (uint32_t)part;
    }
}

static void read_statuses(struct reader *r, const cJSON *list, uint32_t *mask)
{
    const cJSON *item;

    *mask = 0;
    if (!cJSON_IsArray(list)) {
        set_bad_value(r, list->string);
        return;
    }
    cJSON_ArrayForEach(item, list)
    {
        int status = SV_TCB_UP_TO_DATE;

        while (status < SV_TCB_REVOKED &&
               !(cJSON_IsString(item) &&
                 !strcmp(item->valuestring, sv_tcb_status_name((enum sv_tcb_status)status))))
            status++;
        // Revoked and unsupported TCBs cannot be accepted by any policy.
        if (status == SV_TCB_REVOKED)
            set_bad_value(r, "tcb_status");
        else
            *mask |= 1u << status;
    }
}

static void read_floor(struct reader *r, const cJSON *list, struct sv_policy *p)
{
    const cJSON *product, *part;

    if (!cJSON_IsObject(list)) {
        set_bad_value(r, "min_tcb");
        return;
    }
    cJSON_ArrayForEach(product, list)
    {
        int at = SV_SNP_MILAN;

        while (at <= SV_SNP_TURIN &&
               strcmp(product->string, sv_snp_product_name((enum sv_snp_product)at)))
            at++;
        if (at > SV_SNP_TURIN || !cJSON_IsObject(product)) {
            set_bad_value(r, product->string);
            return;
        }
        p->have_floor[at] = true;
        cJSON_ArrayForEach(part, product)
        {
            struct sv_snp_tcb *t = &p->floor[at];
            uint32_t value = 0;

            read_number(r, part, 255, &value);
            if (!strcmp(part->string, "bl"))
                t->bl = (uint8_t)value;
            else if (!strcmp(part->string, "tee"))
                t->tee = (uint8_t)value;
            else if (!strcmp(part->string, "snp"))
                t->snp = (uint8_t)value;
            else if (!strcmp(part->string, "ucode"))
                t->ucode = (uint8_t)value;
            else if (!strcmp(part->string, "fmc"))
                t->fmc = (uint8_t)value;
            else
                set_bad_value(r, part->string);
        }
    }
}

static void read_snp(struct reader *r, const cJSON *snp, struct sv_policy *p)
{
    const cJSON *item;

    if (!cJSON_IsObject(snp)) { // members of an array have no names
        set_bad_value(r, "snp");
        return;
    }
    cJSON_ArrayForEach(item, snp)
    {
        if (!strcmp(item->string, "vmpl_max"))
            read_number(r, item, 3, &p->vmpl_max);
        else if (!strcmp(item->string, "allow_smt"))
            read_bool(r, item, &p->allow_smt);
        else if (!strcmp(item->string, "allow_entrysign"))
            read_bool(r, item, &p->allow_entrysign);
        else if (!strcmp(item->string, "allow_badram"))
            read_bool(r, item, &p->allow_badram);
        else if (!strcmp(item->string, "min_abi"))
            read_version(r, item, 2, &p->min_abi);
        else if (!strcmp(item->string, "min_firmware"))
            read_version(r, item, 3, &p->min_firmware);
        else if (!strcmp(item->string, "min_tcb"))
            read_floor(r, item, p);
        else
            set_bad_value(r, item->string);
    }
}

static void read_csv(struct reader *r, const cJSON *csv, struct sv_policy *p)
{
    const cJSON *item;

    if (!cJSON_IsObject(csv)) { // members of an array have no names
        set_bad_value(r, "csv");
        return;
    }
    cJSON_ArrayForEach(item, csv)
    {
        if (!strcmp(item->string, "require_es"))
            read_bool(r, item, &p->csv_require_es);
        else if (!strcmp(item->string, "require_nosend"))
            read_bool(r, item, &p->csv_require_nosend);
        else
            set_bad_value(r, item->string);
    }
}

static void read_nitro(struct reader *r, const cJSON *nitro, struct sv_policy *p)
{
    const cJSON *item;

    if (!cJSON_IsObject(nitro)) { // members of an array have no names
        set_bad_value(r, "nitro");
        return;
    }
    cJSON_ArrayForEach(item, nitro)
    {
        if (!strcmp(item->string, "allow"))
            read_bool(r, item, &p->allow_nitro);
        else if (!strcmp(item->string, "max_age"))
            read_number(r, item, 1u << 30, &p->nitro_age);
        else
            set_bad_value(r, item->string);
    }
    p->have_nitro_age = cJSON_GetObjectItemCaseSensitive(nitro, "max_age");
}

static void read_nvidia(struct reader *r, const cJSON *nvidia, struct sv_policy *p)
{
    const cJSON *item;

    p->demand_gpu = p->need_rim = true;
    p->min_gpus = 1;
    if (!cJSON_IsObject(nvidia)) { // members of an array have no names
        set_bad_value(r, "nvidia");
        return;
    }
    cJSON_ArrayForEach(item, nvidia)
    {
        if (!strcmp(item->string, "min_devices"))
            read_number(r, item, 16, &p->min_gpus);
        else if (!strcmp(item->string, "require_rim"))
            read_bool(r, item, &p->need_rim);
        else
            set_bad_value(r, item->string);
    }
}

int sv_policy_parse(const char *text, struct sv_policy *p, char *why, size_t why_size)
{
    struct reader r = {why, why_size, 0};
    char wrong[120] = "";
    const cJSON *item;

    sv_policy_default(p);
    p->json = sv_json_read_text(text, wrong, sizeof(wrong));
    if (!cJSON_IsObject(p->json)) {
        snprintf(why, why_size, "the policy is not a JSON object%s%s", *wrong ? ": " : "", wrong);
        return -EBADMSG;
    }
    cJSON_ArrayForEach(item, p->json)
    {
        const char *name = item->string;

        if (!strcmp(name, "tcb_status"))
            read_statuses(&r, item, &p->status_mask);
        else if (!strcmp(name, "min_tcb_evaluation_number"))
            read_number(&r, item, 1u << 30, &p->min_evaluation_number);
        else if (!strcmp(name, "allow_debug"))
            read_bool(&r, item, &p->allow_debug);
        else if (!strcmp(name, "require_sept_ve_disable"))
            read_bool(&r, item, &p->require_sept_ve);
        else if (!strcmp(name, "allow_migration"))
            read_bool(&r, item, &p->allow_migration);
        else if (!strcmp(name, "snp"))
            read_snp(&r, item, p);
        else if (!strcmp(name, "csv"))
            read_csv(&r, item, p);
        else if (!strcmp(name, "nitro"))
            read_nitro(&r, item, p);
        else if (!strcmp(name, "nvidia"))
            read_nvidia(&r, item, p);
        else if (!strcmp(name, "platforms") && !sv_policy_read_platforms(item))
            p->platforms = item;
        else if (!strcmp(name, "refuse") && !sv_policy_read_refuse(item))
            p->refuse = item;
        else if (!strcmp(name, "events") && !sv_policy_read_events(item))
            p->events = item;
        else if (!strcmp(name, "claims") && cJSON_IsObject(item))
            p->claims = item;
        else
            set_bad_value(&r, name);
    }
    return r.rc;
}

void sv_policy_free(struct sv_policy *p)
{
    cJSON_Delete(p->json);
    p->json = NULL;
}
