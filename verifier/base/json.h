// SPDX-License-Identifier: Apache-2.0
// Members of JSON objects that somebody else wrote: what is missing or of another type reads as
// NULL, "" or false. Names count by case; the object may be NULL.
#ifndef VERIFIER_BASE_JSON_H
#define VERIFIER_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

static inline const cJSON *sv_json_get(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

// A string member, or NULL.
static inline const char *sv_json_string(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(sv_json_get(object, name));
}

// A string member, or "".
static inline const char *sv_json_text(const cJSON *object, const char *name)
{
    const char *text = sv_json_string(object, name);

    return text ? text : "";
}

// A whole number from 0 to max; false where there is none. No more than 2^53 is exact.
static inline bool sv_json_number(const cJSON *object, const char *name, uint64_t max,
                                  uint64_t *out)
{
    const cJSON *item = sv_json_get(object, name);

    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble > (double)max ||
        item->valuedouble != (double)(uint64_t)item->valuedouble)
        return false;
    *out = (uint64_t)item->valuedouble;
    return true;
}

#endif
