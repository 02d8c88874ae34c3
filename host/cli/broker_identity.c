// SPDX-License-Identifier: Apache-2.0
// shelter broker identity: certificates that workloads have, and taking them back.
#include "host/cli/broker.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "host/cli/cli.h"
#include "verifier/base/json.h"

static void print_certificate(const cJSON *o)
{
    time_t ends = (time_t)sv_json_get(o, "ends")->valuedouble;
    struct tm tm;
    char text[24];
    gmtime_r(&ends, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    printf("%s  %s  until %s  image %.12s at %s%s\n", sv_json_text(o, "serial"),
           sv_json_text(o, "id"), text, sv_json_text(o, "image"), sv_json_text(o, "peer"),
           sv_json_get(o, "revoked")->valuedouble > 0 ? "  revoked" : "");
}

static int list_certificates(struct sh_broker *b, bool json, struct sh_error *err)
{
    cJSON *answer = NULL;
    int r = sh_broker_do(b, "certificates", NULL, &answer, err);
    const cJSON *all = sv_json_get(answer, "certificates"), *o;
    cleanup_free char *text = json && !r ? cJSON_PrintUnformatted(all) : NULL;
    if (text)
        puts(text);
    else
        cJSON_ArrayForEach(o, all) print_certificate(o);
    cJSON_Delete(answer);
    return r;
}

static int revoke_certificates(struct sh_broker *b, const char *name, struct sh_error *err)
{
    cJSON *answer = NULL, *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "name", name);
    int r = sh_broker_do(b, "identity-revoke", args, &answer, err);
    if (!r)
        printf("%d revoked\n", sv_json_get(answer, "revoked")->valueint);
    cJSON_Delete(answer);
    return r;
}

static int print_pem(struct sh_broker *b, const char *which, struct sh_error *err)
{
    cJSON *answer = NULL;
    int r = sh_broker_do(b, "authority", NULL, &answer, err);
    fputs(sv_json_text(answer, which), stdout);
    cJSON_Delete(answer);
    return r;
}

int cmd_broker_identity(int argc, char **argv)
{
    static const char *const actions[] = {"ls", "revoke", "ca", "crl"};
    struct sh_cli c = sh_cli_start(SH_VERB_broker_identity, argc, argv);
    struct sh_error err = {0};
    struct sh_broker b = {0};
    bool json = false;
    size_t action = 0;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        if (!sh_broker_option(&b, o, c.value))
            json = true;
    if (c.status >= 0)
        return c.status;
    while (action < 4 && strcmp(c.args[0], actions[action]))
        action++;
    if (action == 4)
        return sh_cli_usage(c.shown, "say ls, revoke, ca or crl");
    if ((action == 1) != (c.count > 1) || (json && action))
        return sh_cli_usage(c.shown, action == 1 ? "name an identity or a serial number"
                                                 : "only revoke takes a name, only ls --json");
    int r = sh_broker_connect(&b, &err);
    if (!r)
        r = action == 0   ? list_certificates(&b, json, &err)
            : action == 1 ? revoke_certificates(&b, c.args[1], &err)
                          : print_pem(&b, actions[action], &err);
    sh_broker_close(&b);
    return r ? sh_error_report(&err) : 0;
}
