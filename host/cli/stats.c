// SPDX-License-Identifier: Apache-2.0
// shelter stats: counts of a running instance, where its policy allows them.
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "host/cli/cli.h"
#include "host/cli/instances.h"
#include "host/run/allowed.h"
#include "host/run/control.h"

const char sh_usage_stats[] =
    "Usage: shelter stats [--json] INSTANCE...\n"
    "\n"
    "Shows counts of running instances, where the image's policy allows it (--allow stats at build).\n"
    "Of an enclave: calls_out, syscalls, committed_bytes and peak_bytes are its own; aex and the\n"
    "leaves are what the host saw. Of a VM: memory and CPU time of the guest.\n"
    "\n"
    "      --json             as JSON, one object a name\n";

struct request {
    bool json;
};

static void print_text(const char *name, const cJSON *counts)
{
    const cJSON *item;
    printf("%s\n", name);
    cJSON_ArrayForEach(item, counts)
    {
        if (cJSON_IsNumber(item))
            printf("  %-20s %.0f\n", item->string, item->valuedouble);
    }
}

static int stats_one(struct sh_store *store, struct sh_instance *instance, void *context,
                     struct sh_error *err)
{
    struct request *q = context;
    const struct sh_instance_config *c = &instance->config;
    cleanup_free char *answer = NULL;
    if (!sh_instance_alive(instance))
        return sh_fail(err, -ESRCH, "instance %s is not running", c->name);
    int r = c->debug ? 0 : sh_policy_need(c->policy, SH_POLICY_STATS, "stats", err);
    if (!r)
        r = sh_control_request(instance, SH_FRAME_STATS, NULL, 0, &answer, err);
    if (r)
        return r;
    cJSON *counts = cJSON_Parse(answer);
    if (!cJSON_IsObject(counts)) {
        cJSON_Delete(counts);
        return sh_fail(err, -EBADMSG, "the guest of instance %s answers nonsense", c->name);
    }
    if (q->json) {
        cJSON_AddStringToObject(counts, "instance", c->name);
        cleanup_free char *text = cJSON_Print(counts);
        puts(text ? text : "{}");
    } else {
        print_text(c->name, counts);
    }
    cJSON_Delete(counts);
    return 0;
}

int cmd_stats(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    struct request q = {0};
    int c;
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
        if (c == 'h')
            return sh_cli_help("stats");
        if (c != 'j')
            return sh_cli_usage("stats", "there is no option %s", argv[optind - 1]);
        q.json = true;
    }
    if (optind == argc)
        return sh_cli_usage("stats", "name an instance");
    return sh_each_instance(argv + optind, (size_t)(argc - optind), stats_one, &q);
}
