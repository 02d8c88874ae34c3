// SPDX-License-Identifier: Apache-2.0
// shelter broker operator, proposal: who may use the admin API; references that wait for approval.
#include "host/cli/broker.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "verifier/base/json.h"

static void print_json(const cJSON *o)
{
    cleanup_free char *text = cJSON_PrintUnformatted(o);
    puts(text ? text : "");
}

/* An action's place among the words, or -1. */
static int find_action(const char *const words[], const char *word)
{
    for (int i = 0; words[i]; i++)
        if (!strcmp(words[i], word))
            return i;
    return -1;
}

static void print_operators(const cJSON *all)
{
    const cJSON *o;
    cJSON_ArrayForEach(o, all)
    {
        time_t ends = (time_t)sv_json_get(o, "ends")->valuedouble;
        struct tm tm;
        char text[40] = "";
        gmtime_r(&ends, &tm);
        if (ends)
            strftime(text, sizeof(text), "  until %Y-%m-%dT%H:%M:%SZ", &tm);
        printf("%s  %s%s\n", sv_json_text(o, "name"), sv_json_text(o, "role"), text);
    }
}

int cmd_broker_operator(int argc, char **argv)
{
    static const char *const actions[] = {"ls", "add", "remove", NULL}, *const operations[] = {
                                                                            "operators",
                                                                            "operator-add",
                                                                            "operator-remove"};
    struct sh_cli c = sh_cli_start(SH_VERB_broker_operator, argc, argv);
    struct sh_error err = {0};
    struct sh_broker b = {0};
    const char *role = NULL, *days_text = NULL;
    uint64_t days = 0;
    bool json = false;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        if (o == SH_broker_operator_role)
            role = c.value;
        else if (o == SH_broker_operator_days)
            days_text = c.value;
        else if (!sh_broker_option(&b, o, c.value))
            json = true;
    if (c.status >= 0)
        return c.status;
    int action = find_action(actions, c.args[0]);
    if (action < 0)
        return sh_cli_usage(c.shown, "say ls, add or remove");
    if ((action == 0) == (c.count > 1))
        return sh_cli_usage(c.shown, action ? "name the operator" : "ls takes no name");
    if ((action == 1) != (role != NULL) || (days_text && action != 1) || (json && action))
        return sh_cli_usage(c.shown, "add takes --role, and may take --days; ls may take --json");
    if (days_text && sh_parse_number(days_text, 1, 3650, &days))
        return sh_cli_usage(c.shown, "--days is 1 to 3650");
    cJSON *args = cJSON_CreateObject(), *answer = NULL;
    if (action)
        cJSON_AddStringToObject(args, "name", c.args[1]);
    if (role)
        cJSON_AddStringToObject(args, "role", role);
    if (days)
        cJSON_AddNumberToObject(args, "days", (double)days);
    int r = sh_broker_connect(&b, &err);
    if (r)
        cJSON_Delete(args);
    else
        r = sh_broker_do(&b, operations[action], args, &answer, &err);
    const cJSON *all = sv_json_get(answer, "operators");
    if (!r && json)
        print_json(all);
    else if (!r && !action)
        print_operators(all);
    else if (!r && action == 1)
        puts(sv_json_text(answer, "credential"));
    cJSON_Delete(answer);
    sh_broker_close(&b);
    return r ? sh_error_report(&err) : 0;
}

int cmd_broker_proposal(int argc, char **argv)
{
    static const char *const actions[] = {"ls", "show", "approve", "reject", NULL},
                             *const operations[] = {"list", "proposal", "reference-approve",
                                                    "reference-reject"};
    struct sh_cli c = sh_cli_start(SH_VERB_broker_proposal, argc, argv);
    struct sh_error err = {0};
    struct sh_broker b = {0};
    bool json = false;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        json = !sh_broker_option(&b, o, c.value) || json;
    if (c.status >= 0)
        return c.status;
    int action = find_action(actions, c.args[0]);
    if (action < 0)
        return sh_cli_usage(c.shown, "say ls, show, approve or reject");
    if (c.count != (action == 2 ? 3 : action ? 2 : 1) || (json && action))
        return sh_cli_usage(c.shown,
                            "ls takes nothing or --json, show and reject a NAME, approve a "
                            "NAME and the SHA384 that show prints");
    cJSON *args = cJSON_CreateObject(), *answer = NULL;
    const cJSON *o;
    if (action)
        cJSON_AddStringToObject(args, "name", c.args[1]);
    if (action == 2)
        cJSON_AddStringToObject(args, "sha384", c.args[2]);
    int r = sh_broker_connect(&b, &err);
    if (r)
        cJSON_Delete(args);
    else
        r = sh_broker_do(&b, operations[action], args, &answer, &err);
    const cJSON *all = sv_json_get(answer, "proposals");
    if (!r && action == 1) {
        cleanup_free char *text = cJSON_Print(answer);
        puts(text ? text : "");
    } else if (!r && json) {
        print_json(all);
    } else if (!r && !action) {
        cJSON_ArrayForEach(o, all) printf("%s  image %.12s  by %s\n", sv_json_text(o, "name"),
                                          sv_json_text(o, "image"), sv_json_text(o, "proposer"));
    }
    cJSON_Delete(answer);
    sh_broker_close(&b);
    return r ? sh_error_report(&err) : 0;
}
