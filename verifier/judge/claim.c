// SPDX-License-Identifier: Apache-2.0
// Compares one claim with what somebody demands.
#include "verifier/judge/claim.h"
#include "verifier/base/bytes.h"
#include "verifier/base/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct sv_measurement sv_measurements[] = {
#define MEASUREMENT(claim, kind) {#claim, SV_MEASUREMENT_##kind},
#include "verifier/judge/measurements.def"
#undef MEASUREMENT
    {NULL, SV_MEASUREMENT_PART},
};

const char *sv_measurement_of(const cJSON *claims)
{
    for (const struct sv_measurement *m = sv_measurements; m->claim; m++)
        if (m->kind == SV_MEASUREMENT_CODE && *sv_json_text(claims, m->claim))
            return sv_json_text(claims, m->claim);
    return "";
}

// A whole number: JSON's own, exact or not written by us, or the text that sv_claim_number writes.
static bool number_of(const cJSON *item, uint64_t *out)
{
    char *end;

    if (cJSON_IsNumber(item)) {
        if (!(item->valuedouble >= 0 && item->valuedouble < 18446744073709551616.0))
            return false;
        *out = (uint64_t)item->valuedouble;
        return (double)*out == item->valuedouble;
    }
    if (!cJSON_IsString(item) || strncmp(item->valuestring, "0x", 2) || !item->valuestring[2] ||
        strspn(item->valuestring + 2, "0123456789abcdefABCDEF") != strlen(item->valuestring + 2))
        return false;
    errno = 0;
    *out = strtoull(item->valuestring + 2, &end, 16);
    return !errno && !*end;
}

static bool is_hex(const char *text)
{
    size_t n = strlen(text);

    return n && n % 2 == 0 && strspn(text, "0123456789abcdefABCDEF") == n;
}

static bool text_is(const char *have, const char *want)
{
    return is_hex(have) && is_hex(want) ? !strcasecmp(have, want) : !strcmp(have, want);
}

bool sv_claim_is(const struct shelter_verdict *v, const char *name, const cJSON *want)
{
    const struct sv_field *field = sv_field_find(v, name);
    const cJSON *have = sv_json_get(v->claims, name);
    uint8_t bytes[sizeof(field->data)];
    uint64_t a, b;

    if (field)
        return cJSON_IsString(want) && !sh_unhex(bytes, field->size, want->valuestring) &&
               !memcmp(bytes, field->data, field->size);
    if (number_of(have, &a) && number_of(want, &b))
        return a == b;
    if (cJSON_IsString(have) && cJSON_IsString(want))
        return text_is(have->valuestring, want->valuestring);
    return have && !cJSON_IsNull(want) && cJSON_Compare(have, want, true);
}

bool sv_claim_at_least(const struct shelter_verdict *v, const char *name, const cJSON *min)
{
    const cJSON *have = sv_json_get(v->claims, name);
    uint64_t a, b;

    return !sv_field_find(v, name) && number_of(have, &a) && number_of(min, &b) && a >= b;
}

bool sv_claim_at_most(const struct shelter_verdict *v, const char *name, const cJSON *max)
{
    const cJSON *have = sv_json_get(v->claims, name);
    uint64_t a, b;

    return !sv_field_find(v, name) && number_of(have, &a) && number_of(max, &b) && a <= b;
}
