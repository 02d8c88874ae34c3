// SPDX-License-Identifier: Apache-2.0
// The verdict object: refusals in order, claims, and what callers may ask of it.
#include "verifier/quote/verdict.h"
#include "verifier/base/bytes.h"
#include "verifier/base/json.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { NONE, FORM, SIG, TIME, TCB, POLICY, LACK };

static const struct {
    const char *code, *sentence;
    enum kind kind;
} reasons[] = {
#define SHELTER_REASON(id, code, kind, sentence) {code, sentence, kind},
#include <shelter/verify_reasons.h>
#undef SHELTER_REASON
};

const char *shelter_reason_code(enum shelter_reason reason)
{
    return (unsigned)reason < SHELTER_R_COUNT ? reasons[reason].code : "unknown";
}

const char *shelter_reason_sentence(enum shelter_reason reason)
{
    return (unsigned)reason < SHELTER_R_COUNT ? reasons[reason].sentence : "unknown reason";
}

int sv_refuse(struct shelter_verdict *v, enum shelter_reason reason, const char *fmt, ...)
{
    struct sv_refusal *r;
    int used;

    if (reasons[reason].kind == SIG || reasons[reason].kind == FORM)
        v->signatures_valid = false;
    if (reasons[reason].kind == LACK)
        v->judged = false;
    if (v->refusal_count == SV_REFUSAL_MAX) {
        v->truncated_list = true;
        return -1;
    }
    r = &v->refusal[v->refusal_count++];
    r->reason = reason;
    used = snprintf(r->sentence, sizeof(r->sentence), "%s", reasons[reason].sentence);
    if (fmt) {
        va_list ap;

        used += snprintf(r->sentence + used, sizeof(r->sentence) - (size_t)used, ": ");
        va_start(ap, fmt);
        vsnprintf(r->sentence + used, sizeof(r->sentence) - (size_t)used, fmt, ap);
        va_end(ap);
    }
    return -1;
}

const struct sv_field *sv_field_find(const struct shelter_verdict *v, const char *name)
{
    for (size_t i = 0; i < v->field_count; i++)
        if (!strcmp(v->field[i].name, name))
            return &v->field[i];
    return NULL;
}

bool sv_field_is(const struct shelter_verdict *v, const char *name, const void *data, size_t size)
{
    const struct sv_field *f = sv_field_find(v, name);

    return f && f->size == size && !memcmp(f->data, data, size);
}

void sv_claim_hex(struct shelter_verdict *v, const char *name, const void *data, size_t size)
{
    char text[2 * sizeof(v->field[0].data) + 1];
    struct sv_field *f = &v->field[v->field_count];

    if (size > sizeof(f->data) || strlen(name) >= sizeof(f->name) || v->field_count == SV_FIELD_MAX)
        return;
    v->field_count++;
    strcpy(f->name, name);
    f->size = (uint8_t)size;
    memcpy(f->data, data, size);
    sh_hex(text, data, size);
    cJSON_AddStringToObject(v->claims, name, text);
}

void sv_claim_number(struct shelter_verdict *v, const char *name, uint64_t value)
{
    // Beyond 2^53 a JSON number is no longer exact in many readers: then it is text.
    if (value <= (1ull << 53)) {
        cJSON_AddNumberToObject(v->claims, name, (double)value);
    } else {
        char text[24];

        snprintf(text, sizeof(text), "0x%" PRIx64, value);
        cJSON_AddStringToObject(v->claims, name, text);
    }
}

void sv_claim_text(struct shelter_verdict *v, const char *name, const char *value)
{
    cJSON_AddStringToObject(v->claims, name, value);
}

void sv_claim_bool(struct shelter_verdict *v, const char *name, bool value)
{
    cJSON_AddBoolToObject(v->claims, name, value);
}

void sv_advisory_add(struct shelter_verdict *v, const char *name)
{
    const cJSON *have;

    cJSON_ArrayForEach(have, v->advisories) if (!strcmp(have->valuestring, name)) return;
    cJSON_AddItemToArray(v->advisories, cJSON_CreateString(name));
}

void sv_advisory_add_all(struct shelter_verdict *v, const cJSON *ids)
{
    const cJSON *id;

    cJSON_ArrayForEach(id, ids) if (cJSON_IsString(id)) sv_advisory_add(v, id->valuestring);
}

void shelter_verdict_free(struct shelter_verdict *v)
{
    if (!v)
        return;
    cJSON_Delete(v->claims);
    cJSON_Delete(v->advisories);
    free(v->event_log);
    free(v);
}

bool shelter_verdict_accepted(const struct shelter_verdict *v)
{
    return v->refusal_count == 0 && v->judged && v->signatures_valid;
}

bool shelter_verdict_judged(const struct shelter_verdict *v)
{
    return v->judged;
}

bool shelter_verdict_simulated(const struct shelter_verdict *v)
{
    return v->simulated;
}

bool shelter_verdict_debug(const struct shelter_verdict *v)
{
    return v->debug;
}

bool shelter_verdict_signatures_valid(const struct shelter_verdict *v)
{
    return v->signatures_valid;
}

enum shelter_evidence_type shelter_verdict_type(const struct shelter_verdict *v)
{
    return v->type;
}

const char *shelter_verdict_tcb_status(const struct shelter_verdict *v)
{
    return v->tcb_status;
}

enum shelter_reason shelter_verdict_reason(const struct shelter_verdict *v)
{
    return v->refusal_count ? v->refusal[0].reason : SHELTER_R_OK;
}

size_t shelter_verdict_refusal_count(const struct shelter_verdict *v)
{
    return v->refusal_count;
}

enum shelter_reason shelter_verdict_refusal(const struct shelter_verdict *v, size_t i,
                                            const char **sentence)
{
    if (i >= v->refusal_count)
        return SHELTER_R_OK;
    if (sentence)
        *sentence = v->refusal[i].sentence;
    return v->refusal[i].reason;
}

const char *shelter_verdict_advisory(const struct shelter_verdict *v, size_t i)
{
    const cJSON *id = i <= INT_MAX ? cJSON_GetArrayItem(v->advisories, (int)i) : NULL;

    return id ? id->valuestring : NULL;
}

const uint8_t *shelter_verdict_report_data(const struct shelter_verdict *v)
{
    return v->have_report_data ? v->report_data : NULL;
}

char *shelter_verdict_claim(const struct shelter_verdict *v, const char *name)
{
    const cJSON *claim = sv_json_get(v->claims, name);

    if (cJSON_IsString(claim))
        return strdup(claim->valuestring);
    return claim ? cJSON_PrintUnformatted(claim) : NULL;
}
