// SPDX-License-Identifier: Apache-2.0
// shelter broker policy: what resources demand, and what it comes to for one image.
#include "host/cli/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "host/cli/cli.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"
#include "verifier/broker/policy.h"

#define POLICY_SIZE_MAX (64u << 10)
#define ID_SHOWN 12 // digits of an identity that `images` shows, and that are enough here

static bool is_hex(const char *text)
{
    return strspn(text, "0123456789abcdef") == strlen(text);
}

bool sh_broker_name_ok(const char *name)
{
    size_t size = strlen(name);
    if (!size || size > 128 || (size >= ID_SHOWN && is_hex(name)) || !strcmp(name, "any"))
        return false;
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    return true;
}

int sh_broker_identity(struct sb_store *st, const char *image, char id[SB_IMAGE_ID_SIZE],
                       struct sh_error *err)
{
    struct sb_references all;
    bool by_id = strlen(image) >= ID_SHOWN && is_hex(image), found = false;
    int r = 0;
    if (by_id && sb_image_id_ok(image)) {
        snprintf(id, SB_IMAGE_ID_SIZE, "%s", image);
        return 0;
    }
    r = sb_reference_all(st, &all);
    if (r)
        return sh_fail_errno(err, r, "cannot read the broker's database");
    for (size_t i = 0; !r && i < all.count; i++) {
        if (by_id ? strncmp(all.v[i].image, image, strlen(image)) : strcmp(all.v[i].name, image))
            continue;
        if (found && strcmp(id, all.v[i].image))
            r = sh_fail(err, -EINVAL, "'%s' begins several identities; give more of it", image);
        snprintf(id, SB_IMAGE_ID_SIZE, "%s", all.v[i].image);
        found = true;
    }
    sb_references_free(&all);
    if (!r && !found)
        r = sh_fail(err, -ENOENT,
                    "the broker has no reference '%s'; add it first, or give an identity of 96 "
                    "digits ('shelter images --no-trunc')",
                    image);
    return r;
}

int sh_broker_bind_images(struct sb_store *st, cJSON *images, struct sh_error *err)
{
    int count = cJSON_GetArraySize(images), r = 0;
    for (int i = 0; !r && i < count; i++) {
        char id[SB_IMAGE_ID_SIZE] = "";
        const char *name = cJSON_GetStringValue(cJSON_GetArrayItem(images, i));
        r = sh_broker_identity(st, name, id, err);
        if (!r && strcmp(id, name))
            fprintf(stderr, "'%s' is image %s\n", name, id);
        if (!r)
            cJSON_ReplaceItemInArray(images, i, cJSON_CreateString(id));
    }
    return r;
}

/* Whoever reads a list wants names; a policy has identities. */
static void print_names(struct sb_store *st, const char *image)
{
    struct sb_references all;
    const char *between = " (now ";
    if (sb_reference_all(st, &all))
        return;
    for (size_t i = 0; i < all.count; i++)
        if (!strcmp(all.v[i].image, image)) {
            printf("%s%s", between, all.v[i].name);
            between = ", ";
        }
    if (*between == ',')
        putchar(')');
    sb_references_free(&all);
}

static int set_policy(struct sb_store *st, const char *path, const char *file, struct sh_error *err)
{
    cleanup_free uint8_t *text = NULL;
    size_t size;
    char why[240] = "";
    int r = sh_read_file(AT_FDCWD, strcmp(file, "-") ? file : "/dev/stdin", POLICY_SIZE_MAX, &text,
                         &size, err);
    if (r)
        return r;
    if (sb_policy_check((const char *)text, size, why, sizeof(why)))
        return sh_fail(err, -EINVAL, "%s: %s", file, why);
    cJSON *policy = sv_json_read(text, size, SV_JSON_VALUES_MAX, NULL, 0);
    cJSON *images = cJSON_GetObjectItemCaseSensitive(policy, "images");
    r = cJSON_IsArray(images) ? sh_broker_bind_images(st, images, err) : 0;
    cleanup_free char *bound = r ? NULL : cJSON_PrintUnformatted(policy);
    cJSON_Delete(policy);
    if (!r)
        r = bound ? sh_broker_store_error(sb_policy_put(st, path, bound), "policy", path, err)
                  : sh_fail(err, -ENOMEM, "no memory for the policy");
    return r ? r : sh_broker_log_change(st, "policy-set", path, NULL, NULL, err);
}

/* --- explain --- */

/* Everything but "images", one line each; what the policy says for this image: 1, 0 or -EPERM. */
static int explain_one(const char *text, const char *whose, const char *image)
{
    char why[240] = "";
    int named = sb_policy_names(text, image, why, sizeof(why));
    if (!text) {
        printf("policy of %s: there is none\n", whose);
        return 0;
    }
    printf("policy of %s: %s\n", whose,
           named < 0 ? why
           : named   ? "gives it to this image"
                     : "names no image");
    cJSON *policy = named < 0 ? NULL : sv_json_read_text(text, NULL, 0);
    const cJSON *item;
    cJSON_ArrayForEach(item, policy)
    {
        cleanup_free char *value = cJSON_PrintUnformatted(item);
        if (strcmp(item->string, "images") && strcmp(item->string, "allow"))
            printf("  demands %s: %s\n", item->string, value);
    }
    cJSON_Delete(policy);
    return named;
}

/* Which references let this image attest; the number of them. */
static int explain_references(struct sb_store *st, const char *image)
{
    struct sb_references all;
    int count = 0;
    if (sb_reference_all(st, &all))
        return 0;
    for (size_t i = 0; i < all.count; i++)
        if (!strcmp(all.v[i].image, image)) {
            count++;
            printf("reference '%s' lets it attest, launch %s\n", all.v[i].name, all.v[i].launch);
        }
    if (!count)
        puts("no reference lets it attest");
    sb_references_free(&all);
    return count;
}

/* Exit status 0: it can get it, where the demands are met; 1: it cannot. */
static int explain(struct sb_store *st, const struct sh_cli *c, int *status, struct sh_error *err)
{
    const char *path = c->args[2];
    char id[SB_IMAGE_ID_SIZE];
    cleanup_free char *own = NULL, *wide = NULL;
    cleanup_free uint8_t *secret = NULL;
    size_t size;
    if (!sb_path_ok(path) && !sb_identity_ok(path))
        return sh_fail(err, -EINVAL, "'%s' is no resource; give REPOSITORY/TYPE/TAG", path);
    int r = sh_broker_identity(st, c->args[1], id, err);
    if (r)
        return r;
    int rc = sb_policy_get(st, "*", &wide), rc_own = sb_policy_get(st, path, &own);
    if ((rc && rc != -ENOENT) || (rc_own && rc_own != -ENOENT))
        return sh_fail(err, -EIO, "cannot read the broker's database");
    rc = sb_resource_get(st, path, &secret, &size);
    if (!rc)
        explicit_bzero(secret, size);
    rc = rc == -ENOKEY ? 0 : rc; /* it is there */
    printf("image %s", id);
    print_names(st, id);
    putchar('\n');
    bool attests = explain_references(st, id) > 0;
    int by_wide = explain_one(wide, "'*'", id), by_own = explain_one(own, path, id);
    bool given = attests && by_wide >= 0 && by_own >= 0 && (by_wide || by_own) && !rc;
    if (by_wide == 0 && by_own == 0)
        puts("no policy names an image, so nobody gets it");
    if (rc)
        printf("there is no resource %s\n", path);
    puts(given ? "answer: given, where all demands are met" : "answer: refused");
    *status = given ? 0 : 1;
    return 0;
}

/* --- the verb --- */

static int show_policy(struct sb_store *st, const char *path, struct sh_error *err)
{
    cleanup_free char *text = NULL;
    int r =
        sh_broker_store_error(sb_policy_get(st, path, &text), "policy of its own for", path, err);
    if (!r)
        puts(text);
    return r;
}

static int run_policy(struct sb_store *st, const struct sh_cli *c, bool removes, int *status,
                      struct sh_error *err)
{
    const char *path = c->args[0];
    if (!strcmp(path, "explain"))
        return explain(st, c, status, err);
    if (removes && c->count > 1)
        return sh_fail(err, -EINVAL, "policy takes a FILE or --remove, not both");
    if (strcmp(path, "*") && !sb_path_ok(path) && !sb_identity_ok(path))
        return sh_fail(err, -EINVAL, "'%s' is no resource; give REPOSITORY/TYPE/TAG or '*'", path);
    if (c->count == 2)
        return set_policy(st, path, c->args[1], err);
    if (!removes)
        return show_policy(st, path, err);
    int r = sh_broker_store_error(sb_policy_delete(st, path), "policy", path, err);
    return r ? r : sh_broker_log_change(st, "policy-removed", path, NULL, NULL, err);
}

int cmd_broker_policy(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_policy, argc, argv);
    struct sh_error err = {0};
    struct sb_store *st = NULL;
    const char *dir_option = NULL;
    bool removes = false;
    int status = 0;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        if (o == SH_broker_policy_dir)
            dir_option = c.value;
        else
            removes = true;
    if (c.status >= 0)
        return c.status;
    bool explains = !strcmp(c.args[0], "explain");
    if (explains && (c.count != 3 || removes))
        return sh_cli_usage(c.shown, "explain takes an IMAGE and a REPOSITORY/TYPE/TAG");
    if (!explains && c.count > 2)
        return sh_cli_usage(c.shown, "'%s' is too much", c.args[2]);
    cleanup_free char *dir = sh_broker_dir(dir_option);
    int r = sh_broker_open(dir, &st, &err);
    if (!r)
        r = run_policy(st, &c, removes, &status, &err);
    sb_store_close(st);
    return r ? sh_error_report(&err) : status;
}
