// SPDX-License-Identifier: Apache-2.0
// What all operations need: refusals, the log, roles, names.
#include "verifier/broker/admin_parts.h"
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
                         "the broker already has a %s '%s'; --replace changes it", what, name);
    if (rc == -ENOENT)
        return sb_refuse(no, 404, "not-found",
                         "the broker has no %s '%s'; see 'shelter broker list'", what, name);
    if (rc == -ENOKEY)
        return sb_refuse(no, 409, "sealed",
                         "the broker's resources are encrypted with a passphrase; name its file in "
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
