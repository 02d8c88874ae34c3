// SPDX-License-Identifier: Apache-2.0
// shelter broker add-resource, add-reference.
#include "host/cli/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <cjson/cJSON.h>

#include "host/base/split.h"
#include "host/cli/cli.h"
#include "host/image/settings.h"
#include "host/image/write/reference.h"
#include "host/image/write/reference_read.h"
#include "lib/hex.h"
#include "lib/manifest.h"
#include "lib/sha2.h"
#include "verifier/broker/ca.h"
#include "verifier/broker/launch.h"
#include "verifier/broker/policy.h"
#include "verifier/judge/policy.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

/* --- add-resource --- */

struct resource {
    const char *path, *file;
    cJSON *images; /* names and identities; "any" alone */
    bool replace, once;
};

/* The policy of --image. One that is there is the operator's, and stays without --replace. */
static int put_policy(struct sb_store *st, const struct resource *q, struct sh_error *err)
{
    const cJSON *first = cJSON_GetArrayItem(q->images, 0);
    bool any = cJSON_IsString(first) && !strcmp(first->valuestring, "any");
    cleanup_free char *old = NULL;
    if (!first)
        return 0;
    if (any && cJSON_GetArraySize(q->images) > 1)
        return sh_fail(err, -EINVAL, "--image any stands alone");
    int r = any ? 0 : sh_broker_bind_images(st, q->images, err);
    if (r)
        return r;
    r = sb_policy_get(st, q->path, &old);
    if (!r && !q->replace)
        return sh_broker_store_error(-EEXIST, "policy of", q->path, err);
    cJSON *policy = cJSON_CreateObject();
    if (any)
        cJSON_AddStringToObject(policy, "images", "any");
    else
        cJSON_AddItemReferenceToObject(policy, "images", q->images);
    if (q->once)
        cJSON_AddTrueToObject(policy, "once");
    cleanup_free char *text = cJSON_PrintUnformatted(policy);
    cJSON_Delete(policy);
    r = sh_broker_store_error(sb_policy_put(st, q->path, text), "policy", q->path, err);
    return r ? r : sh_broker_log_change(st, "policy-set", q->path, NULL, NULL, err);
}

/* A secret that nobody can get is most likely a step forgotten. */
static void warn_unnamed(struct sb_store *st, const char *path)
{
    cleanup_free char *own = NULL, *wide = NULL;
    char why[200];
    static const char nobody[] = "";
    sb_policy_get(st, path, &own);
    sb_policy_get(st, "*", &wide);
    if (!sb_policy_names(own, nobody, why, sizeof(why)) &&
        !sb_policy_names(wide, nobody, why, sizeof(why)))
        fprintf(
            stderr,
            "shelter: note: no policy gives %s to an image yet; name one by --image or 'shelter "
            "broker policy'\n",
            path);
}

static int put_resource(struct sb_store *st, const struct resource *q, struct sh_error *err)
{
    cleanup_free uint8_t *data = NULL, *old = NULL;
    size_t size, old_size = 0;
    int r = sh_read_file(AT_FDCWD, q->file, SB_RESOURCE_SIZE_MAX, &data, &size, err);
    if (r)
        return r;
    if (sb_store_sealed(st) && !sb_store_unlocked(st))
        return sh_broker_store_error(-ENOKEY, "resource", q->path, err);
    bool there = !sb_resource_get(st, q->path, &old, &old_size);
    if (there)
        explicit_bzero(old, old_size);
    if (there && !q->replace)
        r = sh_broker_store_error(-EEXIST, "resource", q->path, err);
    if (!r) /* first, so that it is never there without it */
        r = put_policy(st, q, err);
    if (!r)
        r = sh_broker_store_error(sb_resource_put(st, q->path, data, size, q->replace), "resource",
                                  q->path, err);
    explicit_bzero(data, size);
    if (!r)
        warn_unnamed(st, q->path);
    return r ? r : sh_broker_log_change(st, "resource-set", q->path, NULL, NULL, err);
}

/* What is kept of an identity, under its name. */
static int put_identity(struct sb_store *st, const struct resource *q, const cJSON *about,
                        struct sh_error *err)
{
    cleanup_free char *text = cJSON_PrintUnformatted(about), *ca = NULL;
    cleanup_free char *domain = sh_strdup(q->path + strlen("spiffe://"));
    cleanup_free uint8_t *old = NULL;
    struct sb_identity parsed;
    char why[120] = "";
    size_t old_size;
    domain[strcspn(domain, "/")] = 0;
    if (sb_identity_parse(text, &parsed, why, sizeof(why)))
        return sh_fail(err, -EINVAL, "%s: %s", q->path, why);
    if (!q->replace && !sb_resource_get(st, q->path, &old, &old_size))
        return sh_broker_store_error(-EEXIST, "identity", q->path, err);
    int r = sb_ca_certificate(st, domain, &ca);
    if (r == -EEXIST)
        return sh_fail(err, r,
                       "this broker's identities are of another trust domain; 'shelter broker "
                       "identity ca' shows its certificate");
    r = sh_broker_store_error(r, "authority", domain, err);
    if (!r)
        r = put_policy(st, q, err);
    if (!r)
        r = sh_broker_store_error(sb_resource_put(st, q->path, text, strlen(text), q->replace),
                                  "identity", q->path, err);
    if (!r)
        warn_unnamed(st, q->path);
    return r ? r : sh_broker_log_change(st, "identity-set", q->path, NULL, NULL, err);
}

int cmd_broker_add_identity(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_add_identity, argc, argv);
    const char *dir_option = NULL;
    struct sh_error err = {0};
    struct resource q = {.images = cJSON_CreateArray()};
    cJSON *about = cJSON_CreateObject(), *dns = cJSON_AddArrayToObject(about, "dns");
    uint64_t seconds = SB_SECONDS_USUAL;
    bool number_ok = true;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_broker_add_identity_option)o) {
        case SH_broker_add_identity_dir:
            dir_option = c.value;
            break;
        case SH_broker_add_identity_image:
            cJSON_AddItemToArray(q.images, cJSON_CreateString(c.value));
            break;
        case SH_broker_add_identity_dns:
            cJSON_AddItemToArray(dns, cJSON_CreateString(c.value));
            break;
        case SH_broker_add_identity_seconds:
            number_ok = !sh_parse_number(c.value, SB_SECONDS_MIN, SB_SECONDS_MAX, &seconds);
            break;
        case SH_broker_add_identity_replace:
            q.replace = true;
            break;
        case SH_broker_add_identity_end:
            break;
        }
    int status = c.status;
    cJSON_AddNumberToObject(about, "seconds", (double)seconds);
    if (status < 0 && !number_ok)
        status = sh_cli_usage(c.shown, "a certificate lives 60 seconds to 30 days");
    if (status < 0 && !sb_identity_ok(c.args[0]))
        status = sh_cli_usage(c.shown, "'%s' is no spiffe://TRUST-DOMAIN/PATH", c.args[0]);
    if (status < 0) {
        cleanup_free char *dir = sh_broker_dir(dir_option);
        struct sb_store *st = NULL;
        q.path = c.args[0];
        int r = sh_broker_open(dir, &st, &err);
        if (!r)
            r = put_identity(st, &q, about, &err);
        sb_store_close(st);
        status = r ? sh_error_report(&err) : 0;
    }
    cJSON_Delete(about);
    cJSON_Delete(q.images);
    return status;
}

int cmd_broker_add_resource(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_add_resource, argc, argv);
    const char *dir_option = NULL;
    struct sh_error err = {0};
    struct resource q = {.images = cJSON_CreateArray()};
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_broker_add_resource_option)o) {
        case SH_broker_add_resource_dir:
            dir_option = c.value;
            break;
        case SH_broker_add_resource_image:
            cJSON_AddItemToArray(q.images, cJSON_CreateString(c.value));
            break;
        case SH_broker_add_resource_replace:
            q.replace = true;
            break;
        case SH_broker_add_resource_once:
            q.once = true;
            break;
        case SH_broker_add_resource_end:
            break;
        }
    int status = c.status;
    if (status < 0 && q.once && !cJSON_GetArraySize(q.images))
        status = sh_cli_usage(c.shown, "--once is part of the policy that --image makes; name one");
    if (status < 0 && !sb_path_ok(c.args[0]))
        status = sh_cli_usage(c.shown,
                              "'%s' is no resource; give REPOSITORY/TYPE/TAG of letters, "
                              "digits, '.', '_' and '-'",
                              c.args[0]);
    if (status < 0) {
        cleanup_free char *dir = sh_broker_dir(dir_option);
        struct sb_store *st = NULL;
        q.path = c.args[0];
        q.file = c.count > 1 && strcmp(c.args[1], "-") ? c.args[1] : "/dev/stdin";
        int r = sh_broker_open(dir, &st, &err);
        if (!r)
            r = put_resource(st, &q, &err);
        sb_store_close(st);
        status = r ? sh_error_report(&err) : 0;
    }
    cJSON_Delete(q.images);
    return status;
}

/* --- add-reference --- */

struct source {
    uint8_t *json;
    size_t size;
    bool computed; /* from the image's own files: its identity is known */
};

/* An image's values are computed from its files; a file is believed, as whoever names it does. */
static int read_source(const char *from, const struct sh_strings *firmware, struct source *s,
                       struct sh_error *err)
{
    struct stat st;
    s->computed = !sh_is_path(from) || (!stat(from, &st) && S_ISDIR(st.st_mode));
    if (!s->computed)
        return sh_read_file(AT_FDCWD, from, SB_JSON_SIZE_MAX, &s->json, &s->size, err);
    int r = sh_image_reference(from, firmware, (char **)&s->json, err);
    s->size = r ? 0 : strlen((char *)s->json);
    return r;
}

static const char *find_lack(const cJSON *list)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, list) if (sv_reference_lack(entry)) return sv_reference_lack(entry);
    return NULL;
}

/* The identity: computed of an image; of a file what the admin gave, else the file's own digest.
 * What a file says of itself is nobody's word: it could name another image. */
static int find_identity(const struct source *s, const char *given, char out[SB_IMAGE_ID_SIZE],
                         struct sh_error *err)
{
    char why[120] = "it is no JSON object";
    cJSON *top = sv_json_read(s->json, s->size, SV_JSON_VALUES_MAX, why, sizeof(why));
    const cJSON *list = sv_json_get(top, "references");
    const char *image = sv_json_string(top, "image");
    uint8_t digest[48];
    int r = 0;
    if (!cJSON_IsObject(top)) {
        r = sh_fail(err, -EINVAL, "it cannot be read: %s", why);
    } else if (!cJSON_IsArray(list) || !cJSON_GetArraySize(list)) {
        r = sh_fail(err, -EINVAL,
                    "there are no reference values in it; was it built on a machine "
                    "without firmware and kernel?");
    } else if (find_lack(list)) {
        r = sh_fail(err, -EINVAL, "%s", find_lack(list));
    } else if (s->computed && given) {
        r = sh_fail(err, -EINVAL, "--identity is for a file; an image has its own");
    } else if (s->computed && image && sb_image_id_ok(image)) {
        snprintf(out, SB_IMAGE_ID_SIZE, "%s", image);
    } else if (given) {
        snprintf(out, SB_IMAGE_ID_SIZE, "%s", given);
    } else {
        sh_sha384(digest, s->json, s->size);
        sh_hex(out, digest, sizeof(digest));
    }
    cJSON_Delete(top);
    return r;
}

/* "KEY" or "KEY=VALUE" into the rules; arg's value is a command line. */
static int add_rule(cJSON *rules, const char *text, struct sh_error *err)
{
    const char *equals = strchr(text, '=');
    cleanup_free char *key = equals ? strndup(text, (size_t)(equals - text)) : sh_strdup(text);
    cJSON *rule = cJSON_GetObjectItemCaseSensitive(rules, key), *value;
    if (!equals) {
        cJSON_DeleteItemFromObjectCaseSensitive(rules, key);
        cJSON_AddTrueToObject(rules, key);
        return 0;
    }
    if (cJSON_IsTrue(rule))
        return 0;
    if (!rule)
        rule = cJSON_AddArrayToObject(rules, key);
    if (strcmp(key, "arg")) {
        value = cJSON_CreateString(equals + 1);
    } else {
        struct sh_strings words = {0};
        int r = sh_split(equals + 1, &words, err);
        value = cJSON_CreateArray();
        for (size_t i = 0; !r && i < words.count; i++)
            cJSON_AddItemToArray(value, cJSON_CreateString(words.v[i]));
        sh_strings_free(&words);
        if (r) {
            cJSON_Delete(value);
            return r;
        }
    }
    cJSON_AddItemToArray(rule, value);
    return 0;
}

/* What the manifest in the reference says of the launch. A locked image runs its own command;
 * whoever left its input open at build meant the host's. */
static int check_manifest(const struct source *s, cJSON *rules, struct sh_error *err)
{
    struct sh_manifest m;
    cleanup_free uint8_t *bytes = NULL;
    int r = sb_launch_manifest((const char *)s->json, &m, &bytes);
    if (r == -ENOENT && sb_launch_any(rules))
        return 0;
    if (r == -ENOENT)
        return sh_fail(
            err, r,
            "it lacks the image's manifest, so nobody could tell what a host chose; name "
            "the image, or for guests that are not Shelter's add --insecure-any-launch");
    if (r)
        return sh_fail(err, r, "the manifest in it is not that of its image");
    struct sh_settings settings;
    cleanup_free void *arena = NULL;
    r = sh_settings_read(&m, NULL, 0, &settings, &arena, err);
    if (r)
        return r;
    if (settings.locked && !cJSON_HasObjectItem(rules, "stdin"))
        cJSON_AddTrueToObject(rules, "stdin");
    return 0;
}

struct reference {
    const char *from, *name, *identity;
    struct sh_strings firmware;
    cJSON *rules;
    bool replace;
};

/* A folder is called by its last part; a name in the store by itself. */
static const char *find_name(const char *from)
{
    const char *slash = sh_is_path(from) ? strrchr(from, '/') : NULL;
    return slash && slash[1] ? slash + 1 : from;
}

/* The same again is no change; another one under its name needs --replace. */
static int keep_reference(struct sb_store *st, const struct reference *q, const char *image,
                          const char *json, struct sh_error *err)
{
    cleanup_free char *text = cJSON_PrintUnformatted(q->rules);
    struct sb_reference own = {(char *)(uintptr_t)q->name, (char *)(uintptr_t)image,
                               (char *)(uintptr_t)json, text};
    char digest[97];
    int r = sb_reference_put(st, q->name, image, json, text, q->replace);
    sb_reference_digest(&own, digest);
    if (r == -EEXIST && sb_reference_known(st, q->name, digest))
        return 0;
    r = sh_broker_store_error(r, "reference", q->name, err);
    return r ? r : sh_broker_log_change(st, "reference-set", NULL, q->name, image, err);
}

static int put_reference(const char *dir, struct reference *q, struct sh_error *err)
{
    struct source s = {0};
    struct sb_store *st = NULL;
    char image[SB_IMAGE_ID_SIZE], why[200] = "";
    if (sb_launch_rules_check(q->rules, why, sizeof(why)))
        return sh_fail(err, -EINVAL,
                       "%s; keys are arg, env, workdir, user, hostname, tty, stdin, "
                       "mount, network, port, broker, memory, cpus",
                       why);
    int r = read_source(q->from, &q->firmware, &s, err);
    if (!r && !s.computed && !q->name)
        r = sh_fail(err, -EINVAL, "a file has no name of its own; give one by --name");
    if (!r && !q->name)
        q->name = find_name(q->from);
    if (!r && !sh_broker_name_ok(q->name))
        r = sh_fail(err, -EINVAL,
                    "'%s' is no name: it has 1 to 128 bytes, no control characters, and is not "
                    "made of hexadecimal digits as an identity is; use --name",
                    q->name);
    if (!r)
        r = find_identity(&s, q->identity, image, err);
    if (!r)
        r = check_manifest(&s, q->rules, err);
    if (!r)
        r = sh_broker_open(dir, &st, err);
    if (!r)
        r = keep_reference(st, q, image, (const char *)s.json, err);
    if (!r)
        printf("%s\n", image);
    sb_store_close(st);
    free(s.json);
    return r;
}

int cmd_broker_add_reference(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_add_reference, argc, argv);
    const char *dir_option = NULL;
    struct sh_error err = {0};
    struct reference q = {.rules = cJSON_CreateObject()};
    int status = -1;
    for (int o; status < 0 && (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_broker_add_reference_option)o) {
        case SH_broker_add_reference_firmware:
            status = sh_reference_firmware(&q.firmware, c.value, &err) ? sh_error_report(&err) : -1;
            break;
        case SH_broker_add_reference_dir:
            dir_option = c.value;
            break;
        case SH_broker_add_reference_name:
            q.name = c.value;
            break;
        case SH_broker_add_reference_identity:
            q.identity = c.value;
            break;
        case SH_broker_add_reference_replace:
            q.replace = true;
            break;
        case SH_broker_add_reference_allow:
            status = add_rule(q.rules, c.value, &err) ? sh_error_report(&err) : -1;
            break;
        case SH_broker_add_reference_insecure_any_launch:
            if (!cJSON_HasObjectItem(q.rules, "insecure_any"))
                cJSON_AddTrueToObject(q.rules, "insecure_any");
            break;
        case SH_broker_add_reference_end:
            break;
        }
    if (status < 0)
        status = c.status;
    if (status < 0 && q.identity && !sb_image_id_ok(q.identity))
        status = sh_cli_usage(c.shown, "an identity has 96 hexadecimal digits");
    if (status < 0) {
        cleanup_free char *dir = sh_broker_dir(dir_option);
        q.from = c.args[0];
        status = put_reference(dir, &q, &err) ? sh_error_report(&err) : 0;
    }
    cJSON_Delete(q.rules);
    sh_strings_free(&q.firmware);
    return status;
}
