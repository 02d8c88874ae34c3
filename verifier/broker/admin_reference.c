// SPDX-License-Identifier: Apache-2.0
// Operations on references: set, propose, approve.
//
// Who may only change things proposes; another person approves what they saw, by its digest.
#include "verifier/broker/admin_parts.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verifier/broker/launch.h"
#include "verifier/broker/policy.h"
#include "verifier/judge/policy.h"

static const char *find_lack(const cJSON *list)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, list) if (sv_reference_lack(entry)) return sv_reference_lack(entry);
    return NULL;
}

// Whether the reference's own text and its launch rules are any.
static bool check_reference(const struct sb_reference *r, const cJSON *rules, struct sb_refusal *no)
{
    char why[200] = "";
    cJSON *top = sv_json_read_text(r->json, why, sizeof(why));
    const cJSON *list = sv_json_get(top, "references");
    const char *lack = find_lack(list);
    struct sh_manifest m;
    uint8_t *bytes = NULL;
    int rc;

    if (!cJSON_IsObject(top))
        sb_refuse(no, 400, "malformed", "\"reference\" cannot be read: %s", why);
    else if (!cJSON_IsArray(list) || !list->child)
        sb_refuse(no, 400, "malformed", "there are no reference values in it");
    else if (lack)
        sb_refuse(no, 400, "malformed", "%s", lack);
    cJSON_Delete(top);
    if (no->status)
        return false;
    if (sb_launch_rules_check(rules, why, sizeof(why)))
        return sb_refuse(no, 400, "malformed", "\"launch\": %s", why);
    rc = sb_launch_manifest(r->json, &m, &bytes);
    free(bytes);
    if (rc == -ENOENT && !sb_launch_any(rules))
        return sb_refuse(no, 400, "malformed",
                         "it lacks the image's manifest, so nobody could tell what a host chose; "
                         "guests that are not Shelter's need \"insecure_any\"");
    if (rc && rc != -ENOENT)
        return sb_refuse(no, 400, "malformed", "the manifest in it is not that of its image");
    return true;
}

// Whom a proposal and an approval are by: an operator's name, wherever they come from.
static const char *person(const struct sb_asker *a)
{
    return *a->name ? a->name : a->who;
}

static cJSON *tell_reference(const struct sb_reference *r, bool pending)
{
    cJSON *o = cJSON_CreateObject();
    char digest[97];

    sb_reference_digest(r, digest);
    cJSON_AddStringToObject(o, "image", r->image);
    cJSON_AddStringToObject(o, "sha384", digest);
    cJSON_AddBoolToObject(o, "pending", pending);
    return o;
}

// The same again is no change; another one under its name needs "replace".
static cJSON *keep_reference(const struct sb_asker *a, const struct sb_reference *r, bool replace,
                             bool propose, struct sb_refusal *no)
{
    char digest[97];
    int rc;

    sb_reference_digest(r, digest);
    if (propose) {
        struct sb_proposal old;

        rc = replace ? -ENOENT : sb_proposal_get(a->store, r->name, &old);
        if (!rc)
            sb_proposal_free(&old);
        if (!rc)
            return sb_refuse_store(no, -EEXIST, "proposal", r->name);
        rc = sb_proposal_put(a->store, r, person(a));
        return rc ? sb_refuse_store(no, rc, "proposal", r->name)
                  : sb_changed(a, "reference-proposed", NULL, r->name, r->image,
                               tell_reference(r, true), no);
    }
    rc = sb_reference_put(a->store, r->name, r->image, r->json, r->launch, replace);
    if (rc == -EEXIST && sb_reference_known(a->store, r->name, digest))
        return tell_reference(r, false);
    return rc ? sb_refuse_store(no, rc, "reference", r->name)
              : sb_changed(a, "reference-set", NULL, r->name, r->image, tell_reference(r, false),
                           no);
}

cJSON *sb_do_reference_set(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const cJSON *rules = sv_json_get(args, "launch");
    cJSON *none = rules ? NULL : cJSON_CreateObject(), *o = NULL;
    char *launch = cJSON_PrintUnformatted(rules ? rules : none);
    struct sb_reference r = {(char *)(uintptr_t)sv_json_text(args, "name"),
                             (char *)(uintptr_t)sv_json_text(args, "image"),
                             (char *)(uintptr_t)sv_json_text(args, "reference"), launch};
    bool propose = cJSON_IsTrue(sv_json_get(args, "propose")) || !(a->may & SB_MAY_RULE);

    if (!launch)
        sb_refuse(no, 500, "internal", "out of memory");
    else if (!sb_name_ok(r.name))
        sb_refuse(no, 400, "malformed",
                  "'%.150s' is not a valid name: a name has 1 to 128 bytes, no control characters, "
                  "and is not "
                  "made of hexadecimal digits as an identity is; use --name",
                  r.name);
    else if (!sb_image_id_ok(r.image))
        sb_refuse(no, 400, "malformed", "\"image\" is an identity of 96 hexadecimal digits");
    else if (strlen(r.json) > SB_JSON_SIZE_MAX)
        sb_refuse(no, 413, "too-large", "\"reference\" has 4 MiB at most");
    else if (check_reference(&r, rules ? rules : none, no))
        o = keep_reference(a, &r, cJSON_IsTrue(sv_json_get(args, "replace")), propose, no);
    free(launch);
    cJSON_Delete(none);
    return o;
}

cJSON *sb_do_reference_remove(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *name = sv_json_text(args, "name");
    int rc = sb_reference_delete(a->store, name);

    return rc ? sb_refuse_store(no, rc, "reference", name)
              : sb_changed(a, "reference-removed", NULL, name, NULL, cJSON_CreateObject(), no);
}

cJSON *sb_do_proposal(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *name = sv_json_text(args, "name");
    struct sb_proposal p;
    cJSON *o, *reference, *launch;
    int rc = sb_proposal_get(a->store, name, &p);

    if (rc)
        return sb_refuse_store(no, rc, "proposal", name);
    o = tell_reference(&p.reference, true);
    reference = sv_json_read_text(p.reference.json, NULL, 0);
    launch = sv_json_read_text(p.reference.launch, NULL, 0);
    cJSON_AddStringToObject(o, "name", p.reference.name);
    cJSON_AddStringToObject(o, "proposer", p.who);
    cJSON_AddItemToObject(o, "reference", reference ? reference : cJSON_CreateNull());
    cJSON_AddItemToObject(o, "launch", launch ? launch : cJSON_CreateNull());
    sb_proposal_free(&p);
    return o;
}

cJSON *sb_do_reference_approve(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *name = sv_json_text(args, "name"), *digest = sv_json_text(args, "sha384");
    struct sb_proposal p;
    cJSON *o;
    int rc = sb_proposal_get(a->store, name, &p);

    if (rc)
        return sb_refuse_store(no, rc, "proposal", name);
    o = tell_reference(&p.reference, false);
    if (!strcmp(p.who, person(a)))
        sb_refuse(no, 403, "own-proposal", "who proposed a reference does not approve it");
    else if ((rc = sb_proposal_approve(a->store, name, digest, person(a))) == -EBUSY)
        sb_refuse(no, 409, "changed",
                  "the proposal is not the one of this digest: look at it again ('proposal')");
    else if (rc)
        sb_refuse_store(no, rc, "proposal", name);
    if (no->status) {
        cJSON_Delete(o);
        o = NULL;
    } else {
        o = sb_changed(a, "reference-approved", NULL, name, p.reference.image, o, no);
    }
    sb_proposal_free(&p);
    return o;
}

cJSON *sb_do_reference_reject(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *name = sv_json_text(args, "name");
    int rc = sb_proposal_delete(a->store, name);

    return rc ? sb_refuse_store(no, rc, "proposal", name)
              : sb_changed(a, "reference-rejected", NULL, name, NULL, cJSON_CreateObject(), no);
}
