// SPDX-License-Identifier: Apache-2.0
// shelter doctor
#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/cli/doctor.h"

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

bool sh_doctor_check(cJSON *checks, const char *what, bool ok, const char *remedy,
                     const char *detail, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, detail);
    vsnprintf(text, sizeof(text), detail, ap);
    va_end(ap);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "what", what);
    cJSON_AddBoolToObject(o, "ok", ok);
    cJSON_AddStringToObject(o, "detail", text);
    if (!ok && remedy)
        cJSON_AddStringToObject(o, "remedy", remedy);
    cJSON_AddItemToArray(checks, o);
    return ok;
}

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

    cJSON *root = cJSON_CreateObject(), *tees = sh_doctor_tees();
    const cJSON *t;
    cJSON_ArrayForEach(t, tees) usable |= cJSON_IsTrue(cJSON_GetObjectItem(t, "usable"));
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
