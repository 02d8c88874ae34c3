// SPDX-License-Identifier: Apache-2.0
// shelter doctor
#include <string.h>

#include "host/cli/cli.h"
#include "host/cli/doctor.h"
#include "host/launch/launch.h"
#include "verifier/base/json.h"

static void print_checks(const cJSON *checks)
{
    const cJSON *c;
    cJSON_ArrayForEach(c, checks)
    {
        const cJSON *remedy = sv_json_get(c, "remedy");
        printf("  %s %-16s %s\n", cJSON_IsTrue(sv_json_get(c, "ok")) ? "ok" : "--",
               cJSON_GetObjectItem(c, "what")->valuestring,
               cJSON_GetObjectItem(c, "detail")->valuestring);
        if (remedy)
            printf("     %-16s to do: %s\n", "", remedy->valuestring);
    }
}

static void print_plain(const cJSON *root)
{
    const cJSON *t;
    puts("host");
    print_checks(cJSON_GetObjectItem(root, "host"));
    cJSON_ArrayForEach(t, sv_json_get(root, "tees"))
    {
        bool usable = cJSON_IsTrue(sv_json_get(t, "usable"));
        bool simulated = cJSON_IsTrue(sv_json_get(t, "simulated"));
        printf("%s: %s%s\n", cJSON_GetObjectItem(t, "tee")->valuestring,
               usable ? "usable" : "not usable", simulated ? " (simulated: protects nothing)" : "");
        print_checks(cJSON_GetObjectItem(t, "checks"));
    }
}

/* {"tee", "simulated", "usable", "checks": [...]} for each back end. */
static cJSON *ask_tees(bool *usable)
{
    cJSON *list = cJSON_CreateArray();
    const struct sh_backend *b;
    for (size_t i = 0; (b = sh_backend_at(i)); i++) {
        cJSON *t = cJSON_CreateObject(), *checks = cJSON_CreateArray();
        bool ok = b->check_host(checks);
        cJSON_AddStringToObject(t, "tee", b->name);
        cJSON_AddBoolToObject(t, "simulated", b->simulated);
        cJSON_AddBoolToObject(t, "usable", ok);
        cJSON_AddItemToObject(t, "checks", checks);
        cJSON_AddItemToArray(list, t);
        *usable |= ok;
    }
    return list;
}

int cmd_doctor(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_doctor, argc, argv);
    bool json = false, usable = false;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_doctor_option)o) {
        case SH_doctor_json:
            json = true;
            break;
        case SH_doctor_end:
            break;
        }
    if (c.status >= 0)
        return c.status;

    cJSON *root = cJSON_CreateObject(), *tees = ask_tees(&usable);
    cJSON_AddBoolToObject(root, "usable", usable);
    cJSON_AddItemToObject(root, "tees", tees);
    cJSON_AddItemToObject(root, "host", sh_doctor_host());
    if (json) {
        char *text = cJSON_Print(root);
        puts(text);
        free(text);
    } else {
        print_plain(root);
    }
    cJSON_Delete(root);
    return usable ? 0 : 1;
}
