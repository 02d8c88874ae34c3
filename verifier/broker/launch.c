// SPDX-License-Identifier: Apache-2.0
// Judges a launch config by a reference's rules.
#include "verifier/broker/launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FREE                                                                                       \
    (1u << SH_LAUNCH_MEMORY | 1u << SH_LAUNCH_CPUS | 1u << SH_LAUNCH_BROKER |                      \
     1u << SH_LAUNCH_NETWORK | 1u << SH_LAUNCH_PORT | 1u << SH_LAUNCH_TTY)

static const cJSON *get(const cJSON *rules, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(rules, key);
}

bool sb_launch_any(const cJSON *rules)
{
    return cJSON_IsTrue(get(rules, "insecure_any"));
}

static bool all_strings(const cJSON *list)
{
    const cJSON *item;

    if (!cJSON_IsArray(list))
        return false;
    cJSON_ArrayForEach(item, list) if (!cJSON_IsString(item)) return false;
    return true;
}

static bool rule_ok(const cJSON *rule)
{
    const cJSON *item;

    if (cJSON_IsTrue(rule))
        return strcmp(rule->string, "debug");
    if (!strcmp(rule->string, "debug") || !cJSON_IsArray(rule))
        return false;
    if (strcmp(rule->string, "arg"))
        return all_strings(rule);
    cJSON_ArrayForEach(item, rule) if (!all_strings(item)) return false;
    return true;
}

int sb_launch_rules_check(const cJSON *rules, char *why, size_t why_size)
{
    const cJSON *rule;

    if (!cJSON_IsObject(rules)) {
        snprintf(why, why_size, "launch rules are a JSON object");
        return -EINVAL;
    }
    cJSON_ArrayForEach(rule, rules)
    {
        int k = 0;

        while (k < SH_LAUNCH_KEY_COUNT && strcmp(rule->string, sh_launch_words[k]))
            k++;
        if (!strcmp(rule->string, "insecure_any") && cJSON_IsBool(rule))
            continue;
        if (k == SH_LAUNCH_KEY_COUNT || !rule_ok(rule)) {
            snprintf(why, why_size, "launch rule \"%.40s\" is unknown or malformed", rule->string);
            return -EINVAL;
        }
    }
    return 0;
}

// The values of one key, decoded. NULL when out of memory.
static cJSON *values_of(const char *text, size_t size, enum sh_launch_key key)
{
    cJSON *list = cJSON_CreateArray();
    char *value = malloc(size + 1);
    size_t count = sh_launch_count(text, size, key);

    for (size_t i = 0; list && value && i < count; i++)
        if (sh_launch_get(text, size, key, i, value, size + 1) >= 0)
            cJSON_AddItemToArray(list, cJSON_CreateString(value));
    free(value);
    if (!list || (size_t)cJSON_GetArraySize(list) != count) {
        cJSON_Delete(list);
        return NULL;
    }
    return list;
}

static bool among(const cJSON *value, const cJSON *list)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list) if (cJSON_Compare(value, item, true)) return true;
    return false;
}

static bool holds(const cJSON *rule, enum sh_launch_key key, const cJSON *values)
{
    const cJSON *value;

    if (cJSON_IsTrue(rule))
        return true;
    if (!cJSON_IsArray(rule))
        return false;
    if (key == SH_LAUNCH_ARG)
        return among(values, rule);
    cJSON_ArrayForEach(value, values) if (!among(value, rule)) return false;
    return true;
}

int sb_launch_judge(const cJSON *rules, const char *text, size_t size, char *why, size_t why_size)
{
    if (sh_launch_check(text, size)) {
        snprintf(why, why_size, "init-data is no launch config in canonical form");
        return -EBADMSG;
    }
    for (int k = 0; k < SH_LAUNCH_KEY_COUNT; k++) {
        const char *word = sh_launch_words[k];
        const cJSON *rule = get(rules, word);
        cJSON *values;
        bool ok;

        if (!sh_launch_count(text, size, (enum sh_launch_key)k))
            continue;
        if (k != SH_LAUNCH_DEBUG && ((!rule && FREE >> k & 1) || sb_launch_any(rules)))
            continue;
        values = rule && k != SH_LAUNCH_DEBUG ? values_of(text, size, (enum sh_launch_key)k) : NULL;
        ok = values && holds(rule, (enum sh_launch_key)k, values);
        cJSON_Delete(values);
        if (!ok) {
            snprintf(why, why_size, "the host chose \"%s\"%s", word,
                     rule ? ", which is none of the values that the reference allows"
                          : ", which the reference does not allow");
            return -EPERM;
        }
    }
    return 0;
}
