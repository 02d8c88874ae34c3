// SPDX-License-Identifier: Apache-2.0
// shelter broker: what its verbs share; keys, lists and removals.
#include "host/base/data_folder.h"
#include "host/cli/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "host/cli/cli.h"
#include "verifier/broker/jose.h"
#include "verifier/broker/server.h"

#include "verifier/base/json.h"

static int show_text(char *text, const char *what, struct sh_error *err)
{
    if (!text)
        return sh_fail(err, -ENOMEM, "cannot print %s", what);
    fputs(text, stdout);
    if (*text && text[strlen(text) - 1] != '\n')
        putchar('\n');
    free(text);
    return 0;
}

static int print_key(struct sb_store *st, bool jwks, struct sh_error *err)
{
    if (!jwks)
        return show_text(sb_key_pem(sb_store_key(st), false), "the key", err);
    cJSON *set = cJSON_CreateObject();
    cJSON_AddItemToArray(cJSON_AddArrayToObject(set, "keys"),
                         sb_jwk_public(sb_store_token_key(st)));
    char *text = cJSON_Print(set);
    cJSON_Delete(set);
    return show_text(text, "the key", err);
}

static void print_list(const cJSON *all)
{
    const cJSON *o;
    cJSON_ArrayForEach(o, sv_json_get(all, "resources"))
        printf("resource   %s  %d bytes  version %d\n", sv_json_text(o, "path"),
               cJSON_GetObjectItemCaseSensitive(o, "size")->valueint,
               cJSON_GetObjectItemCaseSensitive(o, "version")->valueint);
    cJSON_ArrayForEach(o, sv_json_get(all, "references"))
    {
        cleanup_free char *rules =
            cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(o, "launch"));
        printf("reference  %s  image %.12s  launch %s%s%s\n", sv_json_text(o, "name"),
               sv_json_text(o, "image"), rules,
               *sv_json_text(o, "approver") ? "  approved by " : "", sv_json_text(o, "approver"));
    }
    cJSON_ArrayForEach(o, sv_json_get(all, "proposals"))
        printf("proposal   %s  image %.12s  by %s\n", sv_json_text(o, "name"),
               sv_json_text(o, "image"), sv_json_text(o, "proposer"));
    cJSON_ArrayForEach(o, sv_json_get(all, "policies"))
    {
        cleanup_free char *rules =
            cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(o, "policy"));
        printf("policy     %s  %s\n", sv_json_text(o, "path"), rules);
    }
}

int cmd_broker_list(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_list, argc, argv);
    struct sh_error err = {0};
    struct sh_broker b = {0};
    cJSON *all = NULL;
    bool json = false;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        json = !sh_broker_option(&b, o, c.value) || json;
    if (c.status >= 0)
        return c.status;
    int r = sh_broker_connect(&b, &err);
    if (!r)
        r = sh_broker_do(&b, "list", NULL, &all, &err);
    if (!r && json)
        r = show_text(cJSON_PrintUnformatted(all), "the list", &err);
    else if (!r)
        print_list(all);
    cJSON_Delete(all);
    sh_broker_close(&b);
    return r ? sh_error_report(&err) : 0;
}

/* An operation on the one thing that the verb names. */
static int do_one(enum sh_verb_id verb, int argc, char **argv, const char *operation,
                  const char *member)
{
    struct sh_cli c = sh_cli_start(verb, argc, argv);
    struct sh_broker b = {0};
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        sh_broker_option(&b, o, c.value);
    if (c.status >= 0)
        return c.status;
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, member, c.args[0]);
    return sh_broker_once(&b, operation, args);
}

int cmd_broker_remove_resource(int argc, char **argv)
{
    return do_one(SH_VERB_broker_remove_resource, argc, argv, "resource-remove", "path");
}

int cmd_broker_remove_reference(int argc, char **argv)
{
    return do_one(SH_VERB_broker_remove_reference, argc, argv, "reference-remove", "name");
}

static int init_broker(const char *dir, const char *passphrase, struct sh_error *err)
{
    char why[300] = "";
    struct sb_store *st = NULL;
    const char *slash = strrchr(dir, '/');
    cleanup_free char *parent = slash && slash != dir ? strndup(dir, (size_t)(slash - dir)) : NULL;
    int r = parent ? sh_make_dirs(parent, 0755, err) : 0;
    if (r)
        return r;
    r = sb_store_open(dir, true, &st, why, sizeof(why));
    if (r)
        return sh_fail(err, r, "%s", why[0] ? why : strerror(-r));
    if (passphrase)
        r = sh_broker_passphrase(st, passphrase, sb_store_seal, err);
    if (!r)
        r = sh_broker_log_change(st, "init", err);
    sb_store_close(st);
    return r;
}

int cmd_broker_init(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_init, argc, argv);
    struct sh_error err = {0};
    const char *dir_option = NULL, *passphrase = getenv(SH_PASSPHRASE_FILE);
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        *(o == SH_broker_init_dir ? &dir_option : &passphrase) = c.value;
    if (c.status >= 0)
        return c.status;
    cleanup_free char *dir = sh_broker_dir(dir_option);
    return init_broker(dir, passphrase, &err) ? sh_error_report(&err) : 0;
}

static int change_passphrase(struct sb_store *st, const char *file, struct sh_error *err)
{
    if (sb_store_sealed(st) && !sb_store_unlocked(st))
        return sh_broker_store_error(-ENOKEY, "", "", err);
    int r = sh_broker_passphrase(st, file, sb_store_reseal, err);
    return r ? r : sh_broker_log_change(st, "passphrase-changed", err);
}

int cmd_broker_key(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_key, argc, argv);
    struct sh_error err = {0};
    struct sb_store *st = NULL;
    const char *dir_option = NULL;
    bool jwks = false;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        if (o == SH_broker_key_dir)
            dir_option = c.value;
        else
            jwks = true;
    if (c.status >= 0)
        return c.status;
    cleanup_free char *dir = sh_broker_dir(dir_option);
    int r = sh_broker_open(dir, &st, &err);
    if (!r)
        r = print_key(st, jwks, &err);
    sb_store_close(st);
    return r ? sh_error_report(&err) : 0;
}

int cmd_broker_passphrase(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_passphrase, argc, argv);
    struct sh_error err = {0};
    struct sb_store *st = NULL;
    const char *dir_option = NULL;
    while (sh_cli_next(&c) >= 0)
        dir_option = c.value;
    if (c.status >= 0)
        return c.status;
    cleanup_free char *dir = sh_broker_dir(dir_option);
    int r = sh_broker_open(dir, &st, &err);
    if (!r)
        r = change_passphrase(st, c.args[0], &err);
    sb_store_close(st);
    return r ? sh_error_report(&err) : 0;
}

/* Its verbs of two words were found before. */
int cmd_broker(int argc, char **argv)
{
    struct sh_cli c = sh_cli_plain(SH_VERB_broker, argc, argv);
    if (c.status >= 0)
        return c.status;
    if (!c.count)
        return sh_cli_usage("broker", "what should the broker do?");
    return sh_cli_usage("broker", "there is no 'broker %s'", c.args[0]);
}
