// SPDX-License-Identifier: Apache-2.0
// Operations on operators. A credential is random, told once, and kept as a digest only.
#include "verifier/broker/admin_parts.h"
#include "verifier/base/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/rand.h>

#include "lib/base64.h"

#define DAYS_MAX 3650
#define DAY 86400

// [a-z0-9._-], beginning with a letter: it stands in the log and in a cookie, and is never 64
// hexadecimal digits.
static bool is_operator_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");

    return n && !name[n] && n < SB_OPERATOR_NAME_MAX && name[0] >= 'a' && name[0] <= 'z';
}

cJSON *sb_do_whoami(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    static const char *const words[] = {"read", "change", "approve", "rule"};
    cJSON *o = cJSON_CreateObject(), *may;

    cJSON_AddStringToObject(o, "name", a->name);
    may = cJSON_AddArrayToObject(o, "may");
    for (unsigned i = 0; i < 4; i++)
        if (a->may & 1u << i)
            cJSON_AddItemToArray(may, cJSON_CreateString(words[i]));
    return o;
}

cJSON *sb_do_operators(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    char *json = NULL;
    int rc = sb_operator_list(a->store, &json);

    return rc ? sb_refuse_store(no, rc, "operators", "") : sb_wrap_json("operators", json, no);
}

cJSON *sb_do_operator_add(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    char credential[SB_CREDENTIAL_SIZE] = "sba_", digest[65], detail[100];
    struct sb_operator row = {.ends = 0};
    uint64_t days = 0;
    uint8_t secret[32];
    cJSON *o;
    int rc;

    if (!is_operator_name(sv_json_text(args, "name")))
        return sb_refuse(no, 400, "malformed",
                         "an operator's name is made of a-z, 0-9, '.', '_' and '-', begins with a "
                         "letter and has up to 63");
    if (!sb_role_may(sv_json_text(args, "role")))
        return sb_refuse(no, 400, "malformed", "a role is reader, operator, approver or admin");
    if (sv_json_get(args, "days") && (!sv_json_number(args, "days", DAYS_MAX, &days) || !days))
        return sb_refuse(no, 400, "malformed", "\"days\" is 1 to 3650");
    snprintf(row.name, sizeof(row.name), "%s", sv_json_text(args, "name"));
    snprintf(row.role, sizeof(row.role), "%s", sv_json_text(args, "role"));
    row.ends = days ? a->now_ms / 1000 + (int64_t)days * DAY : 0;
    if (RAND_priv_bytes(secret, sizeof(secret)) != 1)
        return sb_refuse(no, 503, "internal", "no random bytes");
    sh_base64(credential + 4, secret, sizeof(secret), SH_BASE64URL);
    OPENSSL_cleanse(secret, sizeof(secret));
    sb_credential_digest(credential, digest);
    rc = sb_operator_add(a->store, &row, digest);
    o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "credential", credential);
    OPENSSL_cleanse(credential, sizeof(credential));
    snprintf(detail, sizeof(detail), "operator %s: %s", row.name, row.role);
    if (!rc)
        return sb_changed(a, "operator-added", detail, NULL, NULL, o, no);
    cJSON_Delete(o);
    return rc == -EEXIST ? sb_refuse(no, 409, "exists", "there is an operator '%s'", row.name)
                         : sb_refuse_store(no, rc, "operator", row.name);
}

cJSON *sb_do_operator_remove(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *name = sv_json_text(args, "name");
    char detail[100];
    int rc = sb_operator_remove(a->store, name);

    if (rc)
        return sb_refuse_store(no, rc, "operator", name);
    snprintf(detail, sizeof(detail), "operator %.64s", name);
    return sb_changed(a, "operator-removed", detail, NULL, NULL, cJSON_CreateObject(), no);
}
