// SPDX-License-Identifier: Apache-2.0
// shelter broker identity: certificates that workloads have, and taking them back.
#include "host/cli/broker.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "host/cli/cli.h"
#include "verifier/base/json.h"
#include "verifier/broker/ca.h"

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

static int list_certificates(struct sb_store *st, bool json, struct sh_error *err)
{
    cleanup_free char *text = NULL;
    int r = sb_certificate_list(st, time(NULL), &text);
    if (r)
        return sh_fail_errno(err, r, "cannot read the broker's database");
    if (json) {
        puts(text);
        return 0;
    }
    cJSON *all = cJSON_Parse(text);
    const cJSON *o;
    cJSON_ArrayForEach(o, all) print_certificate(o);
    cJSON_Delete(all);
    return 0;
}

static int revoke_certificates(struct sb_store *st, const char *name, struct sh_error *err)
{
    int count = 0;
    int r = sb_certificate_revoke(st, name, time(NULL), &count);
    if (r)
        return sh_fail_errno(err, r, "cannot write the broker's database");
    if (!count)
        return sh_fail(err, -ENOENT, "'%s' has no certificate that is not revoked", name);
    printf("%d revoked\n", count);
    return sh_broker_log_change(st, "identity-revoked", name, NULL, NULL, err);
}

static int print_pem(struct sb_store *st, bool crl, struct sh_error *err)
{
    cleanup_free char *pem = NULL;
    int r = crl ? sb_ca_crl(st, time(NULL), &pem) : sb_ca_certificate(st, NULL, &pem);
    if (r == -ENOENT)
        return sh_fail(err, r,
                       "this broker has no identities; 'shelter broker add-identity' makes one");
    if (r)
        return sh_fail_errno(err, r, "cannot read the broker's database");
    fputs(pem, stdout);
    return 0;
}

int cmd_broker_identity(int argc, char **argv)
{
    static const char *const actions[] = {"ls", "revoke", "ca", "crl"};
    struct sh_cli c = sh_cli_start(SH_VERB_broker_identity, argc, argv);
    struct sh_error err = {0};
    struct sb_store *st = NULL;
    const char *dir_option = NULL;
    bool json = false;
    size_t action = 0;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        if (o == SH_broker_identity_json)
            json = true;
        else
            dir_option = c.value;
    if (c.status >= 0)
        return c.status;
    while (action < 4 && strcmp(c.args[0], actions[action]))
        action++;
    if (action == 4)
        return sh_cli_usage(c.shown, "say ls, revoke, ca or crl");
    if ((action == 1) != (c.count > 1) || (json && action))
        return sh_cli_usage(c.shown, action == 1 ? "name an identity or a serial number"
                                                 : "only revoke takes a name, only ls --json");
    cleanup_free char *dir = sh_broker_dir(dir_option);
    int r = sh_broker_open(dir, &st, &err);
    if (!r)
        r = action == 0   ? list_certificates(st, json, &err)
            : action == 1 ? revoke_certificates(st, c.args[1], &err)
                          : print_pem(st, action == 3, &err);
    sb_store_close(st);
    return r ? sh_error_report(&err) : 0;
}
