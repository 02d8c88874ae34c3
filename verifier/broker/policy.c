// SPDX-License-Identifier: Apache-2.0
// Judges a token by a resource's policy.
#include "verifier/broker/policy.h"
#include "verifier/broker/foreign.h"
#include "verifier/broker/pointer.h"
#include "verifier/judge/policy.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

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

    if (!strcmp(name, "images"))
        return is_string_list(item) || (cJSON_IsString(item) && !strcmp(item->valuestring, "any"));
    if (!strcmp(name, "tee") || !strcmp(name, "tcb_status") || !strcmp(name, "freshness"))
        return is_string_list(item);
    if (!strcmp(name, "simulated") || !strcmp(name, "allow") || !strcmp(name, "once"))
        return cJSON_IsBool(item);
    if (!strcmp(name, "launch"))
        return cJSON_IsString(item) &&
               (!strcmp(item->valuestring, "checked") || !strcmp(item->valuestring, "any"));
    if (!strcmp(name, "tokens"))
        return is_string_list(item);
    if (!strcmp(name, "where"))
        return sb_where_ok(item);
    return !strcmp(name, "claims") && cJSON_IsObject(item);
}

static cJSON *parse_policy(const char *text, size_t size, char *why, size_t why_size)
{
    char wrong[120] = "";
    cJSON *policy = sv_json_read(text, size, SV_JSON_VALUES_MAX, wrong, sizeof(wrong));
    const cJSON *item;

    if (!cJSON_IsObject(policy)) {
        snprintf(why, why_size, "the policy is not a JSON object%s%s", *wrong ? ": " : "", wrong);
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

int sb_policy_check(const char *text, size_t size, char *why, size_t why_size)
{
    cJSON *policy = parse_policy(text, size, why, why_size);

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

bool sb_image_id_ok(const char *text)
{
    return strlen(text) == 96 && strspn(text, "0123456789abcdef") == 96;
}

bool sb_policy_once(const char *text)
{
    char why[200];
    cJSON *policy = parse_policy(text, strlen(text), why, sizeof(why));
    bool once = !policy || cJSON_IsTrue(sv_json_get(policy, "once"));

    cJSON_Delete(policy);
    return once;
}

// 1: it names this image; 0: it names none; -EPERM: it names others. Who shows another service's
// token is no image, whatever runs there: "any" image does not mean it.
static int names_image(const cJSON *policy, const char *image, char *why, size_t why_size)
{
    const size_t prefix = sizeof(SB_TOKEN_IMAGE) - 1;
    const cJSON *images = sv_json_get(policy, "images"), *tokens = sv_json_get(policy, "tokens");
    bool foreign = !strncmp(image, SB_TOKEN_IMAGE, prefix);

    if (!images && !tokens)
        return 0;
    if (foreign ? list_has_text(tokens, image + prefix)
                : cJSON_IsString(images) || list_has_text(images, image))
        return 1;
    snprintf(why, why_size,
             foreign ? "the resource's policy does not list this token's issuer"
                     : "the resource's policy does not list this image");
    return -EPERM;
}

int sb_policy_names(const char *text, const char *image, char *why, size_t why_size)
{
    cJSON *policy = text ? parse_policy(text, strlen(text), why, why_size) : NULL;
    int rc = !text ? 0 : policy ? names_image(policy, image, why, why_size) : -EPERM;

    if (rc >= 0 && cJSON_IsFalse(sv_json_get(policy, "allow"))) {
        snprintf(why, why_size, "the resource's policy allows nobody");
        rc = -EPERM;
    }
    cJSON_Delete(policy);
    return rc;
}

// Each volume of the image must be kept as fresh as one of these words.
static bool volumes_hold(const cJSON *words, const cJSON *payload, char *why, size_t why_size)
{
    const cJSON *volumes = sv_json_get(payload, "volumes"), *v;

    if (words && !cJSON_IsArray(volumes)) {
        snprintf(why, why_size,
                 "the policy demands freshness, and the image's volumes are not known");
        return false;
    }
    if (words)
        cJSON_ArrayForEach(v, volumes) if (!list_has_text(words, sv_json_text(v, "freshness")))
        {
            snprintf(why, why_size, "the policy does not list freshness \"%s\" (volume \"%s\")",
                     sv_json_text(v, "freshness"), sv_json_text(v, "name"));
            return false;
        }
    return true;
}

static bool conditions_hold(const cJSON *policy, const cJSON *payload, char *why, size_t why_size)
{
    const cJSON *claims = sv_json_get(policy, "claims"), *where = sv_json_get(policy, "where"),
                *token = sb_is_foreign(payload) ? sv_json_get(payload, "token") : payload;

    if (!cJSON_IsFalse(sv_json_get(payload, "simulated")) &&
        cJSON_IsFalse(sv_json_get(policy, "simulated"))) {
        snprintf(why, why_size, "the resource's policy refuses simulated TEEs");
        return false;
    }
    return claim_is_listed(sv_json_get(policy, "tee"), payload, "tee", why, why_size) &&
           claim_is_listed(sv_json_get(policy, "tcb_status"), payload, "tcb-status", why,
                           why_size) &&
           volumes_hold(sv_json_get(policy, "freshness"), payload, why, why_size) &&
           (!claims || claims_hold(claims, payload, why, why_size)) &&
           (!where || sb_where_holds(where, token, why, why_size));
}

// One policy: 1 or 0 as names_image, or -EPERM. *launch: NULL, or what it says of the launch
// config.
static int judge_one(const char *text, const cJSON *payload, char launch[8], char *why,
                     size_t why_size)
{
    cJSON *policy = parse_policy(text, strlen(text), why, why_size);
    int named =
        policy ? sb_policy_names(text, sv_json_text(payload, "image"), why, why_size) : -EPERM;

    if (named >= 0 && !conditions_hold(policy, payload, why, why_size))
        named = -EPERM;
    snprintf(launch, 8, "%s", sv_json_text(policy, "launch"));
    cJSON_Delete(policy);
    return named;
}

int sb_policy_judge(const char *wide, const char *own, const cJSON *payload, char *why,
                    size_t why_size)
{
    char launch_wide[8] = "", launch_own[8] = "";
    int named = 0, one = wide ? judge_one(wide, payload, launch_wide, why, why_size) : 0;

    if (one < 0)
        return one;
    named |= one;
    one = own ? judge_one(own, payload, launch_own, why, why_size) : 0;
    if (one < 0)
        return one;
    named |= one;
    // "any" of one is no leave where the other says "checked"; silence of both is "checked".
    if (!cJSON_IsTrue(sv_json_get(payload, "launch_checked")) &&
        (!strcmp(launch_wide, "checked") || !strcmp(launch_own, "checked") ||
         (strcmp(launch_wide, "any") && strcmp(launch_own, "any")))) {
        snprintf(why, why_size, "the launch config was not judged, and the policy demands it");
        return -EPERM;
    }
    if (!named)
        snprintf(why, why_size,
                 "no policy gives this resource to an image: the operator names one by 'shelter "
                 "broker policy' or add-resource --image");
    return named ? 0 : -EPERM;
}
