// SPDX-License-Identifier: Apache-2.0
// shelter broker add-resource, add-identity, add-reference.
#include "host/cli/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "host/base/split.h"
#include "host/cli/cli.h"
#include "host/image/settings.h"
#include "host/image/write/reference.h"
#include "host/image/write/reference_read.h"
#include "lib/base64.h"
#include "lib/hex.h"
#include "lib/manifest.h"
#include "lib/sha2.h"
#include "verifier/broker/admin.h"
#include "verifier/broker/ca.h"
#include "verifier/broker/launch.h"
#include "verifier/broker/policy.h"
#include "verifier/judge/corim.h"
#include "verifier/judge/policy.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

/* --- add-resource --- */

static int put_resource(struct sh_broker *b, const char *file, cJSON *args, struct sh_error *err)
{
    cleanup_free uint8_t *data = NULL;
    size_t size;
    int r = sh_read_file(AT_FDCWD, file, SB_RESOURCE_SIZE_MAX, &data, &size, err);
    if (r) {
        cJSON_Delete(args);
        return r;
    }
    size_t room = SH_BASE64_ROOM(size);
    cleanup_free char *text = sh_alloc(room);
    sh_base64(text, data, size, SH_BASE64URL);
    /* A reference, so that the one copy can be wiped. */
    cJSON_AddItemToObject(args, "data", cJSON_CreateStringReference(text));
    r = sh_broker_do(b, "resource-set", args, NULL, err);
    explicit_bzero(text, room);
    explicit_bzero(data, size);
    return r;
}

int cmd_broker_add_identity(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_add_identity, argc, argv);
    struct sh_broker b = {0};
    cJSON *args = cJSON_CreateObject(), *images = cJSON_AddArrayToObject(args, "images"),
          *dns = cJSON_AddArrayToObject(args, "dns");
    uint64_t seconds = SB_SECONDS_USUAL;
    bool number_ok = true;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_broker_add_identity_option)o) {
        case SH_broker_add_identity_dir:
        case SH_broker_add_identity_url:
        case SH_broker_add_identity_credential:
        case SH_broker_add_identity_broker_key:
            sh_broker_option(&b, o, c.value);
            break;
        case SH_broker_add_identity_image:
            cJSON_AddItemToArray(images, cJSON_CreateString(c.value));
            break;
        case SH_broker_add_identity_dns:
            cJSON_AddItemToArray(dns, cJSON_CreateString(c.value));
            break;
        case SH_broker_add_identity_seconds:
            number_ok = !sh_parse_number(c.value, SB_SECONDS_MIN, SB_SECONDS_MAX, &seconds);
            break;
        case SH_broker_add_identity_replace:
            cJSON_AddTrueToObject(args, "replace");
            break;
        case SH_broker_add_identity_end:
            break;
        }
    int status = c.status;
    if (status < 0 && !number_ok)
        status = sh_cli_usage(c.shown, "a certificate is valid for 60 seconds to 30 days");
    if (status < 0 && !sb_identity_ok(c.args[0]))
        status =
            sh_cli_usage(c.shown, "'%s' is not of the form spiffe://TRUST-DOMAIN/PATH", c.args[0]);
    if (status >= 0) {
        cJSON_Delete(args);
        return status;
    }
    cJSON_AddNumberToObject(args, "seconds", (double)seconds);
    cJSON_AddStringToObject(args, "id", c.args[0]);
    return sh_broker_once(&b, "identity-set", args);
}

int cmd_broker_add_resource(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_add_resource, argc, argv);
    struct sh_broker b = {0};
    struct sh_error err = {0};
    cJSON *args = cJSON_CreateObject(), *images = cJSON_AddArrayToObject(args, "images");
    bool once = false;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_broker_add_resource_option)o) {
        case SH_broker_add_resource_dir:
        case SH_broker_add_resource_url:
        case SH_broker_add_resource_credential:
        case SH_broker_add_resource_broker_key:
            sh_broker_option(&b, o, c.value);
            break;
        case SH_broker_add_resource_image:
            cJSON_AddItemToArray(images, cJSON_CreateString(c.value));
            break;
        case SH_broker_add_resource_replace:
            cJSON_AddTrueToObject(args, "replace");
            break;
        case SH_broker_add_resource_once:
            once = cJSON_AddTrueToObject(args, "once");
            break;
        case SH_broker_add_resource_end:
            break;
        }
    int status = c.status;
    if (status < 0 && once && !images->child)
        status = sh_cli_usage(c.shown, "--once is part of the policy that --image makes; name one");
    if (status < 0 && !sb_path_ok(c.args[0]))
        status = sh_cli_usage(c.shown,
                              "'%s' is not a resource; give REPOSITORY/TYPE/TAG of letters, "
                              "digits, '.', '_' and '-'",
                              c.args[0]);
    if (status >= 0) {
        cJSON_Delete(args);
        return status;
    }
    cJSON_AddStringToObject(args, "path", c.args[0]);
    int r = sh_broker_connect(&b, &err);
    if (r)
        cJSON_Delete(args);
    else
        r = put_resource(&b, c.count > 1 && strcmp(c.args[1], "-") ? c.args[1] : "/dev/stdin", args,
                         &err);
    sh_broker_close(&b);
    return r ? sh_error_report(&err) : 0;
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
    char why[120] = "";
    int r = 0;
    if (!s->computed) {
        r = sh_read_file(AT_FDCWD, from, SB_JSON_SIZE_MAX, &s->json, &s->size, err);
        if (!r && sv_corim_to_json(&s->json, &s->size, (int64_t)time(NULL), why, sizeof(why)))
            r = sh_fail(err, -EINVAL, "%s: %s", from, why);
        return r;
    }
    r = sh_image_reference(from, firmware, (char **)&s->json, err);
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
    char why[120] = "it is not a JSON object";
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
    cJSON *rules; /* taken by keep_reference */
    bool replace, propose;
};

/* A folder is called by its last part; a name in the store by itself. */
static const char *find_name(const char *from)
{
    const char *slash = sh_is_path(from) ? strrchr(from, '/') : NULL;
    return slash && slash[1] ? slash + 1 : from;
}

static int keep_reference(struct sh_broker *b, struct reference *q, const char *image,
                          const char *json, struct sh_error *err)
{
    cJSON *args = cJSON_CreateObject(), *answer = NULL;
    cJSON_AddStringToObject(args, "name", q->name);
    cJSON_AddStringToObject(args, "image", image);
    cJSON_AddStringToObject(args, "reference", json);
    cJSON_AddItemToObject(args, "launch", q->rules);
    cJSON_AddBoolToObject(args, "replace", q->replace);
    cJSON_AddBoolToObject(args, "propose", q->propose);
    q->rules = NULL;
    int r = sh_broker_do(b, "reference-set", args, &answer, err);
    if (cJSON_IsTrue(sv_json_get(answer, "pending")))
        fprintf(stderr,
                "shelter: note: '%s' is proposed; it counts once another operator approves it\n",
                q->name);
    cJSON_Delete(answer);
    return r;
}

static int put_reference(struct sh_broker *b, struct reference *q, struct sh_error *err)
{
    struct source s = {0};
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
    if (!r && !sb_name_ok(q->name))
        r = sh_fail(err, -EINVAL,
                    "'%s' is not a valid name: a name has 1 to 128 bytes, no control characters, "
                    "and is not "
                    "made of hexadecimal digits as an identity is; use --name",
                    q->name);
    if (!r)
        r = find_identity(&s, q->identity, image, err);
    if (!r)
        r = check_manifest(&s, q->rules, err);
    if (!r)
        r = sh_broker_connect(b, err);
    if (!r)
        r = keep_reference(b, q, image, (const char *)s.json, err);
    if (!r)
        printf("%s\n", image);
    sh_broker_close(b);
    free(s.json);
    return r;
}

int cmd_broker_add_reference(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_add_reference, argc, argv);
    struct sh_broker b = {0};
    struct sh_error err = {0};
    struct reference q = {.rules = cJSON_CreateObject()};
    int status = -1;
    for (int o; status < 0 && (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_broker_add_reference_option)o) {
        case SH_broker_add_reference_firmware:
            status = sh_reference_firmware(&q.firmware, c.value, &err) ? sh_error_report(&err) : -1;
            break;
        case SH_broker_add_reference_dir:
        case SH_broker_add_reference_url:
        case SH_broker_add_reference_credential:
        case SH_broker_add_reference_broker_key:
            sh_broker_option(&b, o, c.value);
            break;
        case SH_broker_add_reference_propose:
            q.propose = true;
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
        q.from = c.args[0];
        status = put_reference(&b, &q, &err) ? sh_error_report(&err) : 0;
    }
    cJSON_Delete(q.rules);
    sh_strings_free(&q.firmware);
    return status;
}
