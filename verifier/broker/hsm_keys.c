// SPDX-License-Identifier: Apache-2.0
// Reads the operator's list of keys in tokens.
#include "verifier/broker/hsm_keys.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool take_algorithms(const cJSON *list, struct sb_hsm_key *k)
{
    const size_t max = sizeof(k->algorithms) / sizeof(k->algorithms[0]) - 1;
    const cJSON *item;
    size_t n = 0;

    if (!cJSON_IsArray(list) || !list->child)
        return false;
    cJSON_ArrayForEach(item, list)
    {
        const char *name = cJSON_GetStringValue(item);

        if (!name || n == max || !(k->algorithms[n++] = sb_pkcs11_find(name)))
            return false;
    }
    return true;
}

static int take_key(const cJSON *o, struct sb_hsm_keys *keys, char *why, size_t why_size)
{
    const char *path = sv_json_text(o, "path"), *uri = sv_json_text(o, "key");
    struct sb_hsm_key *k = &keys->key[keys->count];

    if (keys->count == SB_HSM_KEYS_MAX) {
        snprintf(why, why_size, "there are more than %d keys", SB_HSM_KEYS_MAX);
        return -E2BIG;
    }
    if (sb_hsm_keys_find(keys, path)) {
        snprintf(why, why_size, "two keys have the path %s", path);
        return -EEXIST;
    }
    if (cJSON_GetArraySize(o) != 3 || !sb_path_ok(path) || strlen(uri) >= sizeof(k->uri) ||
        !sb_pkcs11_uri_ok(uri) || !take_algorithms(sv_json_get(o, "algorithms"), k)) {
        snprintf(why, why_size,
                 "key %zu is not {\"path\": \"REPOSITORY/TYPE/TAG\", \"key\": \"pkcs11:token=...;"
                 "object=...?module-path=/...&pin-source=...\", \"algorithms\": [...]} with ES256, "
                 "ES384, RS256, PS256, RSA-OAEP, RSA-OAEP-256 or A256KW",
                 keys->count + 1);
        return -EINVAL;
    }
    snprintf(k->path, sizeof(k->path), "%s", path);
    snprintf(k->uri, sizeof(k->uri), "%s", uri);
    keys->count++;
    return 0;
}

int sb_hsm_keys_parse(const char *text, size_t size, struct sb_hsm_keys **out, char *why,
                      size_t why_size)
{
    cJSON *root = sv_json_read(text, size, SV_JSON_VALUES_MAX, why, why_size);
    const cJSON *list = sv_json_get(root, "keys"), *item;
    struct sb_hsm_keys *keys = calloc(1, sizeof(*keys));
    int rc = !keys ? -ENOMEM : !root ? -EINVAL : 0;

    if (!rc && (!cJSON_IsArray(list) || cJSON_GetArraySize(root) != 1)) {
        snprintf(why, why_size, "it is not {\"keys\": [...]}");
        rc = -EINVAL;
    }
    if (!rc)
        cJSON_ArrayForEach(item, list) if (!rc) rc = take_key(item, keys, why, why_size);
    cJSON_Delete(root);
    if (rc) {
        free(keys);
        keys = NULL;
    }
    *out = keys;
    return rc;
}

const struct sb_hsm_key *sb_hsm_keys_find(const struct sb_hsm_keys *keys, const char *path)
{
    for (size_t i = 0; keys && i < keys->count; i++)
        if (!strcmp(keys->key[i].path, path))
            return &keys->key[i];
    return NULL;
}
