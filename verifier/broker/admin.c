// SPDX-License-Identifier: Apache-2.0
// The table of operations.
#include "verifier/broker/admin_parts.h"

#include <string.h>

static const struct operation {
    const char *name;
    unsigned may;
    const char *members; // that it takes, each behind a space
    cJSON *(*act)(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no);
} operations[] = {
    {"whoami", 0, "", sb_do_whoami},
    {"list", SB_MAY_READ, "", sb_do_list},
    {"attested", SB_MAY_READ, "", sb_do_attested},
    {"log", SB_MAY_READ, " count search chain refusals", sb_do_log},
    {"log-check", SB_MAY_READ, " known", sb_do_log_check},
    {"volumes", SB_MAY_READ, " path", sb_do_volumes},
    {"certificates", SB_MAY_READ, "", sb_do_certificates},
    {"authority", SB_MAY_READ, "", sb_do_authority},
    {"policy", SB_MAY_READ, " path", sb_do_policy_get},
    {"explain", SB_MAY_READ, " image path", sb_do_explain},
    {"proposal", SB_MAY_READ, " name", sb_do_proposal},
    {"resource-set", SB_MAY_CHANGE, " path data images once replace", sb_do_resource_set},
    {"resource-remove", SB_MAY_CHANGE, " path", sb_do_resource_remove},
    {"policy-set", SB_MAY_CHANGE, " path policy", sb_do_policy_set},
    {"policy-remove", SB_MAY_CHANGE, " path", sb_do_policy_remove},
    {"identity-set", SB_MAY_CHANGE, " id images dns seconds replace", sb_do_identity_set},
    {"identity-revoke", SB_MAY_CHANGE, " name", sb_do_identity_revoke},
    {"volume-set", SB_MAY_CHANGE, " path second", sb_do_volume_set},
    {"volume-reset", SB_MAY_CHANGE, " path new", sb_do_volume_reset},
    {"reference-set", SB_MAY_CHANGE, " name image reference launch replace propose",
     sb_do_reference_set},
    {"reference-remove", SB_MAY_CHANGE | SB_MAY_APPROVE, " name", sb_do_reference_remove},
    {"reference-approve", SB_MAY_APPROVE, " name sha384", sb_do_reference_approve},
    {"reference-reject", SB_MAY_CHANGE | SB_MAY_APPROVE, " name", sb_do_reference_reject},
    {"operators", SB_MAY_RULE, "", sb_do_operators},
    {"operator-add", SB_MAY_RULE, " name role days", sb_do_operator_add},
    {"operator-remove", SB_MAY_RULE, " name", sb_do_operator_remove},
};

static bool has_member(const char *members, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = members; *p; p += 1 + strcspn(p + 1, " "))
        if (!strncmp(p + 1, name, n) && (p[1 + n] == ' ' || !p[1 + n]))
            return n;
    return false;
}

cJSON *sb_admin_do(const struct sb_asker *a, const char *operation, const cJSON *args,
                   struct sb_refusal *no)
{
    const struct operation *o = NULL;
    const cJSON *item;

    *no = (struct sb_refusal){.status = 0};
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
        if (!strcmp(operations[i].name, operation))
            o = &operations[i];
    if (!o)
        return sb_refuse(no, 404, "no-such-operation", "there is no operation of this name");
    // Any of several, where an operation is for more than one.
    if (o->may && !(o->may & a->may))
        return sb_refuse(no, 403, "role", "your role may not do '%s'", operation);
    cJSON_ArrayForEach(item, args) if (!has_member(o->members, item->string)) return sb_refuse(
        no, 400, "malformed", "'%s' takes no member of this name", operation);
    return o->act(a, args, no);
}
