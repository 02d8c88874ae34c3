// SPDX-License-Identifier: Apache-2.0
// shelter stats: counts of a running instance, where its policy allows them.
#include <errno.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "host/cli/cli.h"
#include "host/cli/instances.h"
#include "host/run/allowed.h"
#include "host/run/control.h"
#include "verifier/base/json_read.h"

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
    int r = c->debug ? 0 : sh_request_need(c->requests, SH_POLICY_STATS, "stats", err);
    if (!r)
        r = sh_control_request(instance, SH_FRAME_STATS, NULL, 0, &answer, err);
    if (r)
        return r;
    cJSON *counts = sv_json_read_text(answer, NULL, 0);
    if (!cJSON_IsObject(counts)) {
        cJSON_Delete(counts);
        return sh_fail(err, -EBADMSG, "the guest of instance %s sent an invalid answer", c->name);
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
    struct sh_cli c = sh_cli_start(SH_VERB_stats, argc, argv);
    struct request q = {0};
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_stats_option)o) {
        case SH_stats_json:
            q.json = true;
            break;
        case SH_stats_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    return sh_each_instance(c.args, (size_t)c.count, stats_one, &q);
}
