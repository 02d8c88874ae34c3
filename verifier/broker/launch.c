// SPDX-License-Identifier: Apache-2.0
// Judges a launch config by a reference's rules.
#include "verifier/broker/launch.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hex.h"
#include "lib/sha2.h"

#define FREE                                                                                       \
    (1u << SH_LAUNCH_MEMORY | 1u << SH_LAUNCH_CPUS | 1u << SH_LAUNCH_BROKER |                      \
     1u << SH_LAUNCH_NETWORK | 1u << SH_LAUNCH_PORT | 1u << SH_LAUNCH_TTY)

bool sb_launch_any(const cJSON *rules)
{
    return cJSON_IsTrue(sv_json_get(rules, "insecure_any"));
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

// An image that says nothing: for references to guests of others, which come without a manifest and
// only with insecure_any. Debug and folders of the host are refused all the same.
static const uint8_t nothing[] = {'S', 'H', 'L', 'T', 'R', 'M', 'A', 'N', 1, 0, 0,        0, 72, 0,
                                  0,   0,   1,   0,   0,   0,   32,  0,   0, 0, [56] = 2, 0, 0,  0,
                                  8,   0,   0,   0,   0,   16,  0,   0,   0, 0, 0,        0};

static int make_settings(struct sh_settings *s, const struct sh_manifest *m, const char *text,
                         size_t size, void **arena, const char **why)
{
    size_t room = sh_settings_size(m, size);

    *arena = malloc(room);
    return sh_settings_make(s, m, text, size, *arena, *arena ? room : 0, why);
}

// What was chosen of one key: a list of strings, empty where the image says the same. NULL: out of
// memory.
static cJSON *chosen_list(const struct sh_string_list *now, const struct sh_string_list *built)
{
    bool same = now->count == built->count;

    for (size_t i = 0; same && i < now->count; i++)
        same = !strcmp(now->items[i], built->items[i]);
    return same ? cJSON_CreateArray() : cJSON_CreateStringArray(now->items, (int)now->count);
}

static bool add_text(cJSON *list, const char *text)
{
    cJSON *item = cJSON_CreateString(text);

    return item && cJSON_AddItemToArray(list, item);
}

// HOSTNAME and TERM follow from other keys unless somebody says otherwise.
static bool follows(const struct sh_settings *s, const char *entry)
{
    return (!strncmp(entry, "HOSTNAME=", 9) && !strcmp(entry + 9, s->hostname)) ||
           (s->terminal && !strcmp(entry, "TERM=xterm"));
}

static cJSON *chosen_env(const struct sh_settings *s, const struct sh_settings *built)
{
    cJSON *list = cJSON_CreateArray();
    bool ok = list;

    for (size_t i = 0; ok && i < s->env.count; i++) {
        bool same = follows(s, s->env.items[i]);

        for (size_t k = 0; !same && k < built->env.count; k++)
            same = !strcmp(s->env.items[i], built->env.items[k]);
        ok = same || add_text(list, s->env.items[i]);
    }
    if (ok)
        return list;
    cJSON_Delete(list);
    return NULL;
}

static cJSON *chosen_shares(const struct sh_settings *s)
{
    cJSON *list = cJSON_CreateArray();
    bool ok = list;
    char text[4200];

    for (size_t i = 0; ok && i < s->share_count; i++) {
        snprintf(text, sizeof(text), SH_LAUNCH_MOUNT_FORMAT, s->shares[i].tag,
                 s->shares[i].read_only ? "ro" : "rw", s->shares[i].path);
        ok = add_text(list, text);
    }
    if (ok)
        return list;
    cJSON_Delete(list);
    return NULL;
}

/* "0644 /path SHA256": a policy names contents by their digest. */
static cJSON *chosen_files(const struct sh_settings *s)
{
    cJSON *list = cJSON_CreateArray();
    bool ok = list;
    char text[4300], hex[65];
    uint8_t digest[32];

    for (size_t i = 0; ok && i < s->file_count; i++) {
        const struct sh_file *f = &s->files[i];
        sh_sha256(digest, f->data, f->size);
        sh_hex(hex, digest, sizeof(digest));
        snprintf(text, sizeof(text), "%04o %s/%s %s", f->mode, f->folder[1] ? f->folder : "",
                 f->name, hex);
        ok = add_text(list, text);
    }
    if (ok)
        return list;
    cJSON_Delete(list);
    return NULL;
}

static cJSON *chosen_ports(const struct sh_settings *s)
{
    cJSON *list = cJSON_CreateArray();
    bool ok = list;
    char text[16];

    for (size_t i = 0; ok && i < s->port_count; i++) {
        const char *protocol = sh_protocol_name(s->ports[i].protocol);

        if (s->ports[i].port)
            snprintf(text, sizeof(text), SH_LAUNCH_PORT_FORMAT, protocol, s->ports[i].port);
        else
            snprintf(text, sizeof(text), "%s " SH_LAUNCH_PORT_ALL, protocol);
        ok = add_text(list, text);
    }
    if (ok)
        return list;
    cJSON_Delete(list);
    return NULL;
}

static cJSON *chosen_limits(const struct sh_settings *s, const struct sh_settings *built)
{
    cJSON *list = cJSON_CreateArray();
    bool ok = list;
    char text[64];

    for (unsigned i = 0; ok && i < SH_SETTINGS_LIMITS; i++) {
        const struct sh_limit *l = &s->limits[i], *was = &built->limits[i];

        if (l->soft == was->soft && l->hard == was->hard)
            continue;
        snprintf(text, sizeof(text), SH_LAUNCH_LIMIT_FORMAT, i, (unsigned long long)l->soft,
                 (unsigned long long)l->hard);
        ok = add_text(list, text);
    }
    if (ok)
        return list;
    cJSON_Delete(list);
    return NULL;
}

static cJSON *chosen_text(const char *now, const char *built)
{
    return strcmp(now, built) ? cJSON_CreateStringArray(&now, 1) : cJSON_CreateArray();
}

static cJSON *chosen_number(uint64_t now, uint64_t built)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)now);
    return chosen_text(now == built ? "" : text, "");
}

static cJSON *chosen(enum sh_launch_key key, const struct sh_settings *s,
                     const struct sh_settings *built)
{
    switch (key) {
    case SH_LAUNCH_ARG:
        return chosen_list(&s->args, &built->args);
    case SH_LAUNCH_ENV:
        return chosen_env(s, built);
    case SH_LAUNCH_WORKDIR:
        return chosen_text(s->workdir, built->workdir);
    case SH_LAUNCH_USER:
        return chosen_text(s->user, built->user);
    case SH_LAUNCH_HOSTNAME:
        return chosen_text(s->hostname, built->hostname);
    case SH_LAUNCH_TTY:
        return chosen_text(s->terminal ? "1" : "", "");
    case SH_LAUNCH_STDIN:
        return chosen_text(s->input ? "1" : "", "");
    case SH_LAUNCH_MOUNT:
        return chosen_shares(s);
    case SH_LAUNCH_FILE:
        return chosen_files(s);
    case SH_LAUNCH_READONLY:
        return chosen_text(s->read_only ? "1" : "", "");
    case SH_LAUNCH_LIMIT:
        return chosen_limits(s, built);
    case SH_LAUNCH_NETWORK:
        return chosen_text(s->network, built->network);
    case SH_LAUNCH_PORT:
        return chosen_ports(s);
    case SH_LAUNCH_BROKER:
        return chosen_text(s->broker, built->broker);
    case SH_LAUNCH_MEMORY:
        return chosen_number(s->memory, built->memory);
    case SH_LAUNCH_CPUS:
        return chosen_number(s->cpus, built->cpus);
    default:
        return chosen_text(s->debug ? "1" : "", "");
    }
}

static bool list_has_value(const cJSON *value, const cJSON *list)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list) if (cJSON_Compare(value, item, true)) return true;
    return false;
}

static bool rule_holds(const cJSON *rule, enum sh_launch_key key, const cJSON *values)
{
    const cJSON *value;

    if (cJSON_IsTrue(rule))
        return true;
    if (!cJSON_IsArray(rule))
        return false;
    if (key == SH_LAUNCH_ARG)
        return list_has_value(values, rule);
    cJSON_ArrayForEach(value, values) if (!list_has_value(value, rule)) return false;
    return true;
}

static int judge_key(const cJSON *rules, enum sh_launch_key key, const struct sh_settings *s,
                     const struct sh_settings *built, char *why, size_t why_size)
{
    const cJSON *rule = sv_json_get(rules, sh_launch_words[key]);
    cJSON *values = chosen(key, s, built);
    bool ok =
        values && (!cJSON_GetArraySize(values) ||
                   (key != SH_LAUNCH_DEBUG && ((!rule && FREE >> key & 1) || sb_launch_any(rules) ||
                                               rule_holds(rule, key, values))));

    cJSON_Delete(values);
    if (ok)
        return 0;
    snprintf(why, why_size, "the host chose \"%s\"%s", sh_launch_words[key],
             rule ? ", which is none of the values that the reference allows"
                  : ", which the reference does not allow");
    return -EPERM;
}

int sb_launch_manifest(const char *reference, struct sh_manifest *m, uint8_t **bytes)
{
    cJSON *top = sv_json_read_text(reference, NULL, 0);
    const char *hex = cJSON_GetStringValue(sv_json_get(top, "manifest"));
    size_t size = hex ? strlen(hex) / 2 : 0;
    uint8_t digest[SH_SHA384_SIZE], want[SH_SHA384_SIZE];
    int rc = hex ? 0 : -ENOENT;

    *bytes = NULL;
    if (!rc && (size > SH_MANIFEST_SIZE_MAX || !(*bytes = malloc(size + 1))))
        rc = size > SH_MANIFEST_SIZE_MAX ? -EBADMSG : -ENOMEM;
    if (!rc && sh_unhex(*bytes, size, hex))
        rc = -EBADMSG;
    if (!rc) {
        sh_sha384(digest, *bytes, size);
        if (sh_unhex(want, sizeof(want), sv_json_text(top, "image")) ||
            memcmp(digest, want, sizeof(want)) || sh_manifest_parse(m, *bytes, size))
            rc = -EBADMSG;
    }
    cJSON_Delete(top);
    if (rc) {
        free(*bytes);
        *bytes = NULL;
    }
    return rc;
}

int sb_launch_judge(const cJSON *rules, const struct sh_manifest *manifest, const char *text,
                    size_t size, char *why, size_t why_size)
{
    struct sh_manifest none;
    struct sh_settings s, built;
    const char *reason = "";
    void *arena = NULL, *own = NULL;
    int rc = 0;

    if (!manifest && !sb_launch_any(rules)) {
        snprintf(why, why_size,
                 "the reference lacks its image's manifest; add it again from the image");
        return -ENOENT;
    }
    if (!manifest) {
        sh_manifest_parse(&none, nothing, sizeof(nothing));
        manifest = &none;
    }
    rc = make_settings(&built, manifest, SH_LAUNCH_EMPTY, strlen(SH_LAUNCH_EMPTY), &own, &reason);
    if (!rc)
        rc = make_settings(&s, manifest, text, size, &arena, &reason);
    if (rc)
        snprintf(why, why_size, "%s", reason);
    for (int k = 0; !rc && k < SH_LAUNCH_KEY_COUNT; k++)
        rc = judge_key(rules, (enum sh_launch_key)k, &s, &built, why, why_size);
    free(arena);
    free(own);
    return rc;
}

bool sb_launch_is_ours(const char *init_data)
{
    return strstr(init_data, "\"shelter.launch\"") != NULL;
}
