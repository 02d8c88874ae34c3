// SPDX-License-Identifier: Apache-2.0
// The table of operations, and what all of them need.
#include "verifier/broker/admin_parts.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hex.h"
#include "lib/sha2.h"
#include "verifier/broker/policy.h"

#define ID_SHOWN 12 // digits of an identity that `images` shows, and that are enough here

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

cJSON *sb_refuse(struct sb_refusal *no, int status, const char *code, const char *format, ...)
{
    va_list ap;

    no->status = status;
    snprintf(no->code, sizeof(no->code), "%s", code);
    va_start(ap, format);
    vsnprintf(no->detail, sizeof(no->detail), format, ap);
    va_end(ap);
    return NULL;
}

cJSON *sb_refuse_store(struct sb_refusal *no, int rc, const char *what, const char *name)
{
    if (rc == -EEXIST)
        return sb_refuse(no, 409, "exists",
                         "the broker has a %s '%s' already; --replace changes it", what, name);
    if (rc == -ENOENT)
        return sb_refuse(no, 404, "not-found",
                         "the broker has no %s '%s'; see 'shelter broker list'", what, name);
    if (rc == -ENOKEY)
        return sb_refuse(no, 409, "sealed",
                         "the broker's resources are under a passphrase; name its file in "
                         "$SHELTER_BROKER_PASSPHRASE_FILE");
    if (rc == -EBADMSG)
        return sb_refuse(no, 500, "store", "the broker's database is damaged at the %s '%s'", what,
                         name);
    return sb_refuse(no, rc == -EBUSY || rc == -ENOSPC ? 503 : 500, "store",
                     "cannot read or change %s '%s' in the broker's database: %s", what, name,
                     strerror(-rc));
}

cJSON *sb_changed(const struct sb_asker *a, const char *code, const char *resource,
                  const char *reference, const char *image, cJSON *o, struct sb_refusal *no)
{
    struct sb_entry e = {.time_ms = a->now_ms,
                         .event = "admin",
                         .outcome = "changed",
                         .code = code,
                         .peer = a->who,
                         .resource = resource,
                         .reference = reference,
                         .image = image};

    if (!sb_log_add(a->store, &e))
        return o;
    cJSON_Delete(o);
    return sb_refuse(no, 500, "store", "cannot write the broker's audit log");
}

cJSON *sb_wrap_json(const char *name, char *json, struct sb_refusal *no)
{
    cJSON *o = cJSON_CreateObject(), *inner = sv_json_read_text(json, NULL, 0);

    free(json);
    if (inner && cJSON_AddItemToObject(o, name, inner))
        return o;
    cJSON_Delete(o);
    return sb_refuse(no, 500, "internal", "out of memory");
}

// --- Roles and names ---

unsigned sb_role_may(const char *role)
{
    static const struct {
        const char *name;
        unsigned may;
    } roles[] = {{"reader", SB_MAY_READ},
                 {"operator", SB_MAY_READ | SB_MAY_CHANGE},
                 {"approver", SB_MAY_READ | SB_MAY_APPROVE},
                 {"admin", SB_MAY_ALL}};

    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (!strcmp(roles[i].name, role))
            return roles[i].may;
    return 0;
}

void sb_credential_digest(const char *credential, char out[65])
{
    uint8_t digest[32];

    sh_sha256(digest, credential, strlen(credential));
    sh_hex(out, digest, sizeof(digest));
}

static bool is_hex(const char *text)
{
    return strspn(text, "0123456789abcdef") == strlen(text);
}

bool sb_name_ok(const char *name)
{
    size_t size = strlen(name);

    if (!size || size > 128 || (size >= ID_SHOWN && is_hex(name)) || !strcmp(name, "any"))
        return false;
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    return true;
}

bool sb_find_identity(struct sb_store *st, const char *image, char id[SB_IMAGE_ID_SIZE],
                      struct sb_refusal *no)
{
    struct sb_references all;
    bool by_id = strlen(image) >= ID_SHOWN && is_hex(image), found = false, several = false;
    int rc;

    if (by_id && sb_image_id_ok(image)) {
        snprintf(id, SB_IMAGE_ID_SIZE, "%s", image);
        return true;
    }
    rc = sb_reference_all(st, &all);
    if (rc)
        return sb_refuse_store(no, rc, "reference", image);
    for (size_t i = 0; i < all.count; i++) {
        if (by_id ? strncmp(all.v[i].image, image, strlen(image)) : strcmp(all.v[i].name, image))
            continue;
        several = several || (found && strcmp(id, all.v[i].image));
        snprintf(id, SB_IMAGE_ID_SIZE, "%s", all.v[i].image);
        found = true;
    }
    sb_references_free(&all);
    if (several)
        sb_refuse(no, 409, "ambiguous", "'%s' begins several identities; give more of it", image);
    else if (!found)
        sb_refuse(no, 404, "not-found",
                  "the broker has no reference '%s'; add it first, or give an identity of 96 "
                  "digits ('shelter images --no-trunc')",
                  image);
    return found && !several;
}
