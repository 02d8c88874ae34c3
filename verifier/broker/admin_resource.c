// SPDX-License-Identifier: Apache-2.0
// Operations on resources, policies, identities and volumes.
#include "verifier/broker/admin_parts.h"
#include "verifier/base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base64.h"
#include "verifier/broker/ca.h"
#include "verifier/broker/policy.h"

// A copy of the images with identities for names, and o's "bound" with each that was a name. NULL
// with no filled.
static cJSON *bind_images(const struct sb_asker *a, const cJSON *images, cJSON *o,
                          struct sb_refusal *no)
{
    cJSON *ids = cJSON_CreateArray(), *bound = NULL;
    const cJSON *item;

    cJSON_ArrayForEach(item, images)
    {
        char id[SB_IMAGE_ID_SIZE] = "";

        if (!cJSON_IsString(item))
            sb_refuse(no, 400, "malformed", "\"images\" holds names and identities");
        if (!cJSON_IsString(item) || !sb_find_identity(a->store, item->valuestring, id, no)) {
            cJSON_Delete(ids);
            return NULL;
        }
        if (strcmp(id, item->valuestring)) {
            bound = bound ? bound : cJSON_AddObjectToObject(o, "bound");
            cJSON_AddStringToObject(bound, item->valuestring, id);
        }
        cJSON_AddItemToArray(ids, cJSON_CreateString(id));
    }
    return ids;
}

// The policy of "images" and "once". One that is there is the operator's, and stays without
// "replace". False with no filled.
static bool put_policy(const struct sb_asker *a, const char *path, const cJSON *args, cJSON *o,
                       struct sb_refusal *no)
{
    const cJSON *images = sv_json_get(args, "images"), *first = images ? images->child : NULL;
    bool any = cJSON_IsString(first) && !strcmp(first->valuestring, "any");
    cJSON *policy, *ids = NULL;
    char *old = NULL, *text;
    int rc;

    if (images && !cJSON_IsArray(images))
        return sb_refuse(no, 400, "malformed", "\"images\" is an array of names and identities");
    if (cJSON_IsTrue(sv_json_get(args, "once")) && !first)
        return sb_refuse(no, 400, "malformed", "\"once\" is part of a policy that names images");
    if (!first)
        return true;
    if (any && first->next)
        return sb_refuse(no, 400, "malformed", "--image any stands alone");
    if (!any && !(ids = bind_images(a, images, o, no)))
        return false;
    rc = sb_policy_get(a->store, path, &old);
    free(old);
    if (!rc && !cJSON_IsTrue(sv_json_get(args, "replace"))) {
        cJSON_Delete(ids);
        return sb_refuse_store(no, -EEXIST, "policy of", path);
    }
    policy = cJSON_CreateObject();
    if (any)
        cJSON_AddStringToObject(policy, "images", "any");
    else
        cJSON_AddItemToObject(policy, "images", ids);
    if (cJSON_IsTrue(sv_json_get(args, "once")))
        cJSON_AddTrueToObject(policy, "once");
    text = cJSON_PrintUnformatted(policy);
    cJSON_Delete(policy);
    rc = text ? sb_policy_put(a->store, path, text) : -ENOMEM;
    free(text);
    if (rc)
        return sb_refuse_store(no, rc, "policy", path);
    return sb_changed(a, "policy-set", path, NULL, NULL, o, no);
}

// A secret that nobody can get is most likely a step forgotten.
static void note_unnamed(const struct sb_asker *a, const char *path, cJSON *o)
{
    char *own = NULL, *wide = NULL, why[200], note[600];
    static const char nobody[] = "";

    sb_policy_get(a->store, path, &own);
    sb_policy_get(a->store, "*", &wide);
    if (!sb_policy_names(own, nobody, why, sizeof(why)) &&
        !sb_policy_names(wide, nobody, why, sizeof(why))) {
        snprintf(note, sizeof(note),
                 "no policy gives %s to an image yet; name one by --image or 'shelter broker "
                 "policy'",
                 path);
        cJSON_AddStringToObject(o, "note", note);
    }
    free(own);
    free(wide);
}

// What a resource or identity of this path is replaced by. False with no filled.
static bool may_write(const struct sb_asker *a, const char *what, const char *path,
                      const cJSON *args, struct sb_refusal *no)
{
    uint8_t *old = NULL;
    size_t size = 0;
    bool there = !sb_resource_get(a->store, path, &old, &size);

    if (there)
        OPENSSL_cleanse(old, size);
    free(old);
    if (there && !cJSON_IsTrue(sv_json_get(args, "replace")))
        return sb_refuse_store(no, -EEXIST, what, path);
    return true;
}

// A resource or an identity, and its policy first, so that it is never there without one. The
// answer, or NULL with *no.
static cJSON *put_with_policy(const struct sb_asker *a, const char *what, const char *path,
                              const void *data, size_t size, const cJSON *args,
                              struct sb_refusal *no)
{
    bool replace = cJSON_IsTrue(sv_json_get(args, "replace")), good;
    int64_t version = 0;
    char change[32];
    cJSON *o;

    if (sb_store_sealed(a->store) && !sb_store_unlocked(a->store))
        return sb_refuse_store(no, -ENOKEY, what, path);
    o = cJSON_CreateObject();
    good = may_write(a, what, path, args, no) && put_policy(a, path, args, o, no);
    if (good) {
        int rc = sb_resource_put(a->store, path, data, size, replace);

        good = !rc || sb_refuse_store(no, rc, what, path);
    }
    if (!good) {
        cJSON_Delete(o);
        return NULL;
    }
    if (!sb_resource_version(a->store, path, &version))
        cJSON_AddNumberToObject(o, "version", (double)version);
    note_unnamed(a, path, o);
    snprintf(change, sizeof(change), "%s-set", what);
    return sb_changed(a, change, path, NULL, NULL, o, no);
}

cJSON *sb_do_resource_set(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *path = sv_json_text(args, "path"), *text = sv_json_string(args, "data");
    size_t length = text ? strlen(text) : 0;
    uint8_t *data;
    long size;
    cJSON *o;

    if (!sb_path_ok(path))
        return sb_refuse(no, 400, "malformed",
                         "'%.200s' is not a resource; give REPOSITORY/TYPE/TAG of letters, digits, "
                         "'.', '_' and '-'",
                         path);
    data = malloc(length + 1);
    size = data && text ? sh_unbase64url(data, length + 1, text, length) : -1;
    if (size < 0 || size > SB_RESOURCE_SIZE_MAX) {
        free(data);
        return sb_refuse(no, size < 0 ? 400 : 413, "malformed",
                         "\"data\" is base64url of 1 MiB at most");
    }
    o = put_with_policy(a, "resource", path, data, (size_t)size, args, no);
    OPENSSL_cleanse(data, length + 1);
    free(data);
    return o;
}

cJSON *sb_do_resource_remove(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *path = sv_json_text(args, "path");
    int count, rc = sb_resource_delete(a->store, path);

    if (rc)
        return sb_refuse_store(no, rc, "resource", path);
    if (sb_identity_ok(path)) // and with it every certificate of that name
        rc = sb_certificate_revoke(a->store, path, a->now_ms / 1000, &count);
    return rc ? sb_refuse_store(no, rc, "certificates of", path)
              : sb_changed(a, "resource-removed", path, NULL, NULL, cJSON_CreateObject(), no);
}

// --- Policies ---

static bool is_policy_path(const char *path, struct sb_refusal *no)
{
    if (!strcmp(path, "*") || sb_path_ok(path) || sb_identity_ok(path))
        return true;
    return sb_refuse(no, 400, "malformed",
                     "'%.200s' is not a resource; give REPOSITORY/TYPE/TAG or '*'", path);
}

cJSON *sb_do_policy_get(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *path = sv_json_text(args, "path");
    char *text = NULL;
    int rc;

    if (!is_policy_path(path, no))
        return NULL;
    rc = sb_policy_get(a->store, path, &text);
    return rc ? sb_refuse_store(no, rc, "policy of its own for", path)
              : sb_wrap_json("policy", text, no);
}

cJSON *sb_do_policy_set(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *path = sv_json_text(args, "path");
    cJSON *policy, *images, *ids, *o;
    char *text = cJSON_PrintUnformatted(sv_json_get(args, "policy")), why[240] = "";
    bool bad = !text || sb_policy_check(text, strlen(text), why, sizeof(why));
    int rc = 0;

    free(text);
    if (!is_policy_path(path, no))
        return NULL;
    if (bad)
        return sb_refuse(no, 400, "policy", "%s", *why ? why : "\"policy\" is a policy");
    o = cJSON_CreateObject();
    policy = cJSON_Duplicate(sv_json_get(args, "policy"), true);
    images = cJSON_GetObjectItemCaseSensitive(policy, "images");
    if (cJSON_IsArray(images)) {
        ids = bind_images(a, images, o, no);
        if (ids)
            cJSON_ReplaceItemInObjectCaseSensitive(policy, "images", ids);
        bad = !ids;
    }
    text = bad ? NULL : cJSON_PrintUnformatted(policy);
    cJSON_Delete(policy);
    if (text)
        rc = sb_policy_put(a->store, path, text);
    if (rc || (!text && !no->status))
        sb_refuse_store(no, rc ? rc : -ENOMEM, "policy", path);
    free(text);
    if (!no->status)
        return sb_changed(a, "policy-set", path, NULL, NULL, o, no);
    cJSON_Delete(o);
    return NULL;
}

cJSON *sb_do_policy_remove(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *path = sv_json_text(args, "path");
    int rc;

    if (!is_policy_path(path, no))
        return NULL;
    rc = sb_policy_delete(a->store, path);
    return rc ? sb_refuse_store(no, rc, "policy", path)
              : sb_changed(a, "policy-removed", path, NULL, NULL, cJSON_CreateObject(), no);
}

// --- Identities ---

// The authority of the identity's trust domain; the first identity makes it.
static bool have_authority(const struct sb_asker *a, const char *id, struct sb_refusal *no)
{
    char domain[SB_IDENTITY_MAX + 1], *pem = NULL;
    int rc;

    snprintf(domain, sizeof(domain), "%s", id + strlen("spiffe://"));
    domain[strcspn(domain, "/")] = 0;
    rc = sb_ca_certificate(a->store, domain, &pem);
    free(pem);
    if (rc == -EEXIST)
        sb_refuse(no, 409, "trust-domain",
                  "this broker's identities are of another trust domain; 'shelter broker identity "
                  "ca' shows its certificate");
    else if (rc)
        sb_refuse_store(no, rc, "authority", domain);
    return !rc;
}

cJSON *sb_do_identity_set(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *id = sv_json_text(args, "id");
    const cJSON *dns = sv_json_get(args, "dns"), *seconds = sv_json_get(args, "seconds");
    cJSON *about, *o = NULL;
    struct sb_identity parsed;
    char *text, why[120] = "";

    if (!sb_identity_ok(id))
        return sb_refuse(no, 400, "malformed",
                         "'%.200s' is not of the form spiffe://TRUST-DOMAIN/PATH", id);
    about = cJSON_CreateObject();
    cJSON_AddItemToObject(about, "dns", dns ? cJSON_Duplicate(dns, true) : cJSON_CreateArray());
    cJSON_AddItemToObject(about, "seconds",
                          seconds ? cJSON_Duplicate(seconds, true)
                                  : cJSON_CreateNumber(SB_SECONDS_USUAL));
    text = cJSON_PrintUnformatted(about);
    cJSON_Delete(about);
    if (!text || sb_identity_parse(text, &parsed, why, sizeof(why)))
        sb_refuse(no, 400, "malformed", "%s: %s", id, why);
    else if (may_write(a, "identity", id, args, no) && have_authority(a, id, no))
        o = put_with_policy(a, "identity", id, text, strlen(text), args, no);
    free(text);
    return o;
}

cJSON *sb_do_identity_revoke(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *name = sv_json_text(args, "name");
    int count = 0, rc = sb_certificate_revoke(a->store, name, a->now_ms / 1000, &count);
    cJSON *o;

    if (rc)
        return sb_refuse_store(no, rc, "certificates of", name);
    if (!count)
        return sb_refuse(no, 404, "not-found", "'%s' has no certificate that is not revoked", name);
    o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "revoked", count);
    return sb_changed(a, "identity-revoked", name, NULL, NULL, o, no);
}

// --- Volumes ---

static int reset_row(struct sb_volume *v, void *arg)
{
    if (!*v->memory)
        return -ENOENT;
    snprintf(v->memory, sizeof(v->memory), "reset");
    v->lease[0] = 0;
    return 0;
}

static int set_row(struct sb_volume *v, void *arg)
{
    if (!*v->memory)
        snprintf(v->memory, sizeof(v->memory), "never");
    snprintf(v->second, sizeof(v->second), "%s", (const char *)arg);
    return 0;
}

static bool is_volume_path(const char *path, struct sb_refusal *no)
{
    return sb_path_ok(path) ||
           sb_refuse(no, 400, "malformed", "a volume is named by its key: REPOSITORY/TYPE/TAG");
}

cJSON *sb_do_volume_set(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *path = sv_json_text(args, "path"), *second = sv_json_text(args, "second");
    bool fence = !strcmp(second, "fence");
    int rc;

    if (!is_volume_path(path, no))
        return NULL;
    if (!fence && strcmp(second, "refuse"))
        return sb_refuse(no, 400, "malformed", "\"second\" is refuse or fence");
    rc = sb_volume_change(a->store, path, set_row, (void *)(uintptr_t)second);
    return rc ? sb_refuse_store(no, rc, "volume", path)
              : sb_changed(a, fence ? "volume-second-fences" : "volume-second-refused", path, NULL,
                           NULL, cJSON_CreateObject(), no);
}

cJSON *sb_do_volume_reset(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *path = sv_json_text(args, "path");
    bool fresh = cJSON_IsTrue(sv_json_get(args, "new"));
    int rc;

    if (!is_volume_path(path, no))
        return NULL;
    rc = fresh ? sb_volume_delete(a->store, path)
               : sb_volume_change(a->store, path, reset_row, NULL);
    return rc ? sb_refuse_store(no, rc, "volume", path)
              : sb_changed(a, fresh ? "volume-forgotten" : "volume-reset", path, NULL, NULL,
                           cJSON_CreateObject(), no);
}
