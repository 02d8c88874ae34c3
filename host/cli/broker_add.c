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
#include "verifier/broker/launch.h"
#include "verifier/broker/policy.h"
#include "verifier/base/json.h"

/* --- add-resource --- */

static int put_resource(struct sb_store *st, const char *path, const char *file, cJSON *images,
                        struct sh_error *err)
{
    cleanup_free uint8_t *data = NULL;
    size_t size;
    int r = sh_read_file(AT_FDCWD, file, SB_RESOURCE_SIZE_MAX, &data, &size, err);
    if (r)
        return r;
    if (cJSON_GetArraySize(images)) { /* first, so that it is never there without it */
        cJSON *policy = cJSON_CreateObject();
        cJSON_AddItemReferenceToObject(policy, "images", images);
        cleanup_free char *text = cJSON_PrintUnformatted(policy);
        cJSON_Delete(policy);
        r = sh_broker_store_error(sb_policy_put(st, path, text), "policy", path, err);
        if (!r)
            r = sh_broker_log_change(st, "policy-set", path, NULL, NULL, err);
    }
    if (!r)
        r = sh_broker_store_error(sb_resource_put(st, path, data, size), "resource", path, err);
    explicit_bzero(data, size);
    return r ? r : sh_broker_log_change(st, "resource-set", path, NULL, NULL, err);
}

int cmd_broker_add_resource(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_add_resource, argc, argv);
    const char *dir_option = NULL;
    struct sh_error err = {0};
    cJSON *images = cJSON_CreateArray();
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_broker_add_resource_option)o) {
        case SH_broker_add_resource_dir:
            dir_option = c.value;
            break;
        case SH_broker_add_resource_image:
            cJSON_AddItemToArray(images, cJSON_CreateString(c.value));
            break;
        case SH_broker_add_resource_end:
            break;
        }
    int status = c.status;
    if (status < 0 && !sb_path_ok(c.args[0]))
        status = sh_cli_usage(c.shown,
                              "'%s' is no resource; give REPOSITORY/TYPE/TAG of letters, "
                              "digits, '.', '_' and '-'",
                              c.args[0]);
    if (status < 0) {
        cleanup_free char *dir = sh_broker_dir(dir_option);
        struct sb_store *st = NULL;
        const char *file = c.count > 1 && strcmp(c.args[1], "-") ? c.args[1] : "/dev/stdin";
        int r = sh_broker_open(dir, &st, &err);
        if (!r)
            r = put_resource(st, c.args[0], file, images, &err);
        sb_store_close(st);
        status = r ? sh_error_report(&err) : 0;
    }
    cJSON_Delete(images);
    return status;
}

/* --- add-reference --- */

struct source {
    uint8_t *json;
    size_t size;
};

/* An image's values are computed from its files; a file is believed, as whoever names it does. */
static int read_source(const char *from, const struct sh_strings *firmware, struct source *s,
                       struct sh_error *err)
{
    struct stat st;
    if (!stat(from, &st) && !S_ISDIR(st.st_mode))
        return sh_read_file(AT_FDCWD, from, SB_JSON_SIZE_MAX, &s->json, &s->size, err);
    int r = sh_image_reference(from, firmware, (char **)&s->json, err);
    s->size = r ? 0 : strlen((char *)s->json);
    return r;
}

/* The image's identity, or where the file names none, its own digest. */
static int find_identity(const struct source *s, char out[104], struct sh_error *err)
{
    cJSON *top = cJSON_Parse((const char *)s->json);
    const cJSON *list = sv_json_get(top, "references");
    const char *image = sv_json_string(top, "image");
    uint8_t digest[48];
    int r = 0;
    if (!cJSON_IsArray(list) || !cJSON_GetArraySize(list)) {
        r = sh_fail(err, -EINVAL,
                    "there are no reference values in it; was it built on a machine "
                    "without firmware and kernel?");
    } else if (image && strlen(image) == 96 && strspn(image, "0123456789abcdef") == 96) {
        snprintf(out, 104, "%s", image);
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
static int check_manifest(const struct source *s, const char *image, cJSON *rules,
                          struct sh_error *err)
{
    struct sh_manifest m;
    cleanup_free uint8_t *bytes = NULL;
    int r = sb_launch_manifest((const char *)s->json, image, &m, &bytes);
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

static int put_reference(const char *dir, const char *from, const struct sh_strings *firmware,
                         const char *name, cJSON *rules, struct sh_error *err)
{
    struct source s = {0};
    struct sb_store *st = NULL;
    char image[104], why[200] = "";
    if (sb_launch_rules_check(rules, why, sizeof(why)))
        return sh_fail(err, -EINVAL,
                       "%s; keys are arg, env, workdir, user, hostname, tty, stdin, "
                       "mount, network, port, broker, memory, cpus",
                       why);
    int r = read_source(from, firmware, &s, err);
    if (!r)
        r = find_identity(&s, image, err);
    if (!r)
        r = check_manifest(&s, image, rules, err);
    if (!r)
        r = sh_broker_open(dir, &st, err);
    if (!r) {
        cleanup_free char *text = cJSON_PrintUnformatted(rules);
        r = sh_broker_store_error(sb_reference_put(st, name, image, (const char *)s.json, text),
                                  "reference", name, err);
        if (!r)
            r = sh_broker_log_change(st, "reference-set", NULL, name, image, err);
    }
    sb_store_close(st);
    free(s.json);
    return r;
}

int cmd_broker_add_reference(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_add_reference, argc, argv);
    const char *dir_option = NULL, *name = NULL;
    struct sh_error err = {0};
    cJSON *rules = cJSON_CreateObject();
    struct sh_strings firmware = {0};
    int status = -1;
    for (int o; status < 0 && (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_broker_add_reference_option)o) {
        case SH_broker_add_reference_firmware:
            status = sh_reference_firmware(&firmware, c.value, &err) ? sh_error_report(&err) : -1;
            break;
        case SH_broker_add_reference_dir:
            dir_option = c.value;
            break;
        case SH_broker_add_reference_name:
            name = c.value;
            break;
        case SH_broker_add_reference_allow:
            status = add_rule(rules, c.value, &err) ? sh_error_report(&err) : -1;
            break;
        case SH_broker_add_reference_insecure_any_launch:
            if (!cJSON_HasObjectItem(rules, "insecure_any"))
                cJSON_AddTrueToObject(rules, "insecure_any");
            break;
        case SH_broker_add_reference_end:
            break;
        }
    if (status < 0)
        status = c.status;
    if (status < 0 && name && (!*name || strlen(name) > 128))
        status = sh_cli_usage(c.shown, "a name has 1 to 128 bytes");
    if (status < 0) {
        cleanup_free char *dir = sh_broker_dir(dir_option);
        const char *slash = strrchr(c.args[0], '/');
        const char *given = name ? name : slash && slash[1] ? slash + 1 : c.args[0];
        status = strlen(given) > 128 ? sh_cli_usage(c.shown, "the name is too long; use --name")
                 : put_reference(dir, c.args[0], &firmware, given, rules, &err)
                     ? sh_error_report(&err)
                     : 0;
    }
    cJSON_Delete(rules);
    sh_strings_free(&firmware);
    return status;
}
