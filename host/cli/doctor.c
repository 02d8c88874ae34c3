// SPDX-License-Identifier: Apache-2.0
// shelter doctor
#include <getopt.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/cli/doctor.h"
#include "host/launch/launch.h"

const char sh_usage_doctor[] =
    "Usage: shelter doctor [--json]\n"
    "\n"
    "Tells for each TEE what this host has and lacks, and what to do about it. The first run may\n"
    "take five seconds longer: it boots a guest under KVM to see whether that really works.\n"
    "\n"
    "      --json   as JSON: usable, tees (tee, simulated, usable, checks), host (checks); a "
    "check\n"
    "               has what, ok, detail and, where something lacks, remedy\n"
    "\n"
    "Exit status: 0 when at least one TEE or simulation is usable, else 1.\n";

static void print_checks(const cJSON *checks)
{
    const cJSON *c;
    cJSON_ArrayForEach(c, checks)
    {
        const cJSON *remedy = cJSON_GetObjectItem(c, "remedy");
        printf("  %s %-16s %s\n", cJSON_IsTrue(cJSON_GetObjectItem(c, "ok")) ? "ok" : "--",
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
    cJSON_ArrayForEach(t, cJSON_GetObjectItem(root, "tees"))
    {
        bool usable = cJSON_IsTrue(cJSON_GetObjectItem(t, "usable"));
        bool simulated = cJSON_IsTrue(cJSON_GetObjectItem(t, "simulated"));
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
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    bool json = false, usable = false;
    int c;
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'h')
            return sh_cli_help("doctor");
        if (c != 'j')
            return sh_cli_usage("doctor", "there is no option '%s'", argv[optind - 1]);
        json = true;
    }
    if (optind != argc)
        return sh_cli_usage("doctor", "'%s' is one argument too many", argv[optind]);

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
