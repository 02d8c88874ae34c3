// SPDX-License-Identifier: Apache-2.0
// Judges a token by a resource's policy.
#include "verifier/broker/policy.h"
#include "verifier/judge/policy.h"
#include "verifier/base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_string_list(const cJSON *list)
{
    const cJSON *item;

    if (!cJSON_IsArray(list))
        return false;
    cJSON_ArrayForEach(item, list) if (!cJSON_IsString(item)) return false;
    return true;
}

static bool list_has_text(const cJSON *list, const char *text)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list) if (text && !strcmp(item->valuestring, text)) return true;
    return false;
}

static bool member_ok(const cJSON *item)
{
    const char *name = item->string;

    if (!strcmp(name, "images") || !strcmp(name, "tee") || !strcmp(name, "tcb_status"))
        return is_string_list(item);
    if (!strcmp(name, "simulated") || !strcmp(name, "allow"))
        return cJSON_IsBool(item);
    if (!strcmp(name, "launch"))
        return cJSON_IsString(item) &&
               (!strcmp(item->valuestring, "checked") || !strcmp(item->valuestring, "any"));
    return !strcmp(name, "claims") && cJSON_IsObject(item);
}

static cJSON *parse_policy(const char *text, char *why, size_t why_size)
{
    cJSON *policy = cJSON_Parse(text);
    const cJSON *item;

    if (!cJSON_IsObject(policy)) {
        snprintf(why, why_size, "the policy is no JSON object");
        cJSON_Delete(policy);
        return NULL;
    }
    cJSON_ArrayForEach(item, policy)
    {
        if (member_ok(item) && sv_json_get(policy, item->string) == item)
            continue;
        snprintf(why, why_size, "policy member \"%.40s\" is unknown, repeated or malformed",
                 item->string);
        cJSON_Delete(policy);
        return NULL;
    }
    return policy;
}

int sb_policy_check(const char *text, char *why, size_t why_size)
{
    cJSON *policy = parse_policy(text, why, why_size);

    if (!policy)
        return -EINVAL;
    cJSON_Delete(policy);
    return 0;
}

static bool claims_hold(const cJSON *want, const cJSON *payload, char *why, size_t why_size)
{
    struct shelter_verdict trial = {.judged = true,
                                    .signatures_valid = true,
                                    .claims = (cJSON *)(uintptr_t)sv_json_get(payload, "claims")};
    struct sv_policy policy;
    bool ok;

    if (!trial.claims) {
        snprintf(why, why_size, "the token has no claims");
        return false;
    }
    sv_policy_default(&policy);
    policy.claims = want;
    sv_policy_claims(&policy, &trial);
    ok = trial.refusal_count == 0;
    if (!ok)
        snprintf(why, why_size, "%s", trial.refusal[0].sentence);
    return ok;
}

static bool claim_is_listed(const cJSON *list, const cJSON *payload, const char *name, char *why,
                            size_t why_size)
{
    const char *have = cJSON_GetStringValue(sv_json_get(payload, name));

    if (!list || list_has_text(list, have))
        return true;
    snprintf(why, why_size, "the resource's policy does not list %s \"%s\"", name,
             have ? have : "");
    return false;
}

int sb_policy_judge(const char *text, const cJSON *payload, char *why, size_t why_size)
{
    cJSON *policy = parse_policy(text ? text : "{}", why, why_size);
    const cJSON *images, *launch, *claims;
    bool ok = false;

    if (!policy)
        return -EPERM;
    images = sv_json_get(policy, "images");
    launch = sv_json_get(policy, "launch");
    claims = sv_json_get(policy, "claims");
    if (cJSON_IsFalse(sv_json_get(policy, "allow")))
        snprintf(why, why_size, "the resource's policy allows nobody");
    else if (!cJSON_IsFalse(sv_json_get(payload, "simulated")) &&
             cJSON_IsFalse(sv_json_get(policy, "simulated")))
        snprintf(why, why_size, "the resource's policy refuses simulated TEEs");
    else if (!(launch && !strcmp(launch->valuestring, "any")) &&
             !cJSON_IsTrue(sv_json_get(payload, "launch_checked")))
        snprintf(why, why_size, "the launch config was not judged, and the policy demands it");
    else if (images &&
             !list_has_text(images, cJSON_GetStringValue(sv_json_get(payload, "image"))) &&
             !list_has_text(images, cJSON_GetStringValue(sv_json_get(payload, "reference"))))
        snprintf(why, why_size, "the resource's policy does not list this image");
    else
        ok = claim_is_listed(sv_json_get(policy, "tee"), payload, "tee", why, why_size) &&
             claim_is_listed(sv_json_get(policy, "tcb_status"), payload, "tcb-status", why,
                             why_size) &&
             (!claims || claims_hold(claims, payload, why, why_size));
    cJSON_Delete(policy);
    return ok ? 0 : -EPERM;
}
