// SPDX-License-Identifier: Apache-2.0
// shelter broker policy: what resources demand, and what it comes to for one image.
#include "host/cli/broker.h"
#include "host/cli/broker_hsm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "host/cli/cli.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"
#include "verifier/broker/policy.h"

#define POLICY_SIZE_MAX (64u << 10)
static cJSON *path_args(const char *path)
{
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "path", path);
    return args;
}

static int set_policy(struct sh_broker *b, const char *path, const char *file, struct sh_error *err)
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
    cJSON *args = path_args(path);
    cJSON_AddItemToObject(args, "policy", sv_json_read(text, size, SV_JSON_VALUES_MAX, NULL, 0));
    return sh_broker_do(b, "policy-set", args, NULL, err);
}

static int show_policy(struct sh_broker *b, const char *path, struct sh_error *err)
{
    cJSON *answer = NULL;
    int r = sh_broker_do(b, "policy", path_args(path), &answer, err);
    cleanup_free char *text = r ? NULL : cJSON_PrintUnformatted(sv_json_get(answer, "policy"));
    if (text)
        puts(text);
    cJSON_Delete(answer);
    return r;
}

/* Exit status 0: it can get it, where the demands are met; 1: it cannot. */
static int explain(struct sh_broker *b, const struct sh_cli *c, int *status, struct sh_error *err)
{
    cJSON *answer = NULL, *args = path_args(c->args[2]);
    const cJSON *line;
    cJSON_AddStringToObject(args, "image", c->args[1]);
    int r = sh_broker_do(b, "explain", args, &answer, err);
    cJSON_ArrayForEach(line, sv_json_get(answer, "lines")) puts(cJSON_GetStringValue(line));
    *status = cJSON_IsTrue(sv_json_get(answer, "given")) ? 0 : 1;
    cJSON_Delete(answer);
    return r;
}

static int run_policy(struct sh_broker *b, const struct sh_cli *c, bool removes, int *status,
                      struct sh_error *err)
{
    const char *path = c->args[0];
    if (!strcmp(path, "explain"))
        return explain(b, c, status, err);
    if (removes && c->count > 1)
        return sh_fail(err, -EINVAL, "policy takes a FILE or --remove, not both");
    if (c->count == 2)
        return set_policy(b, path, c->args[1], err);
    return removes ? sh_broker_do(b, "policy-remove", path_args(path), NULL, err)
                   : show_policy(b, path, err);
}

int cmd_broker_policy(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_policy, argc, argv);
    struct sh_error err = {0};
    struct sh_broker b = {0};
    const char *keys = NULL;
    bool removes = false;
    int status = 0;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        if (o == SH_broker_policy_hsm_keys)
            keys = c.value;
        else
            removes = !sh_broker_option(&b, o, c.value) || removes;
    if (c.status >= 0)
        return c.status;
    bool explains = !strcmp(c.args[0], "explain");
    if (explains && (c.count != 3 || removes))
        return sh_cli_usage(c.shown, "explain takes an IMAGE and a REPOSITORY/TYPE/TAG");
    if (!explains && c.count > 2)
        return sh_cli_usage(c.shown, "unexpected argument '%s'", c.args[2]);
    if (keys && !explains)
        return sh_cli_usage(c.shown, "--hsm-keys is for explain");
    int r = sh_broker_connect(&b, &err);
    if (!r && keys)
        r = b.st ? sh_hsm_keys(keys, &b.hsm_keys, &err)
                 : sh_fail(&err, -EINVAL,
                           "the broker at %s knows its own keys: leave out --hsm-keys", b.url);
    if (!r)
        r = run_policy(&b, &c, removes, &status, &err);
    sh_broker_close(&b);
    return r ? sh_error_report(&err) : status;
}
