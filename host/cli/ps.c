// SPDX-License-Identifier: Apache-2.0
// shelter ps: lists instances.
#include <errno.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/cli/instances.h"

struct view {
    bool all, quiet, whole, json;
    cJSON *list;
};

static void print_one(struct sh_store *store, const struct sh_instance *instance,
                      const struct view *v)
{
    const struct sh_instance_config *c = &instance->config;
    if (v->json) {
        cJSON_AddItemToArray(v->list, sh_instance_json(store, instance));
        return;
    }
    int digits = v->whole ? 32 : 12;
    if (v->quiet) {
        printf("%.*s\n", digits, c->id);
        return;
    }
    cleanup_free char *status = sh_instance_status_text(instance);
    cleanup_free char *ports = sh_instance_ports_text(c);
    cleanup_free char *command = sh_instance_command_text(c);
    if (!v->whole && strlen(command) > 30)
        strcpy(command + 27, "...");
    printf("%-*.*s %-18s %-16s %-8s %-28s %-30s %s\n", digits, digits, c->id, c->name, c->reference,
           c->tee, status, command, ports);
}

static int list_instances(const struct view *v)
{
    struct sh_store store;
    struct sh_error err = {0};
    struct sh_strings ids = {0};
    int status = 0;
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    if (sh_instance_list(&store, &ids, &err))
        status = sh_error_report(&err);
    if (!v->json && !v->quiet)
        printf("%-*s %-18s %-16s %-8s %-28s %-30s %s\n", v->whole ? 32 : 12, "ID", "NAME", "IMAGE",
               "TEE", "STATUS", "COMMAND", "PORTS");
    for (size_t i = ids.count; i-- > 0;) {
        struct sh_instance instance;
        struct sh_error one = {0};
        int r = sh_instance_open_id(&store, ids.v[i], &instance, &one);
        if (r == -ENOENT)
            continue; /* removed since we listed */
        if (r) {
            sh_error_report(&one);
            continue;
        }
        if (v->all || sh_instance_alive(&instance))
            print_one(&store, &instance, v);
        sh_instance_close(&instance);
    }
    if (v->json) {
        cleanup_free char *text = cJSON_Print(v->list);
        puts(text);
    }
    sh_strings_free(&ids);
    sh_store_close(&store);
    return status;
}

int cmd_ps(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_ps, argc, argv);
    struct view v = {0};
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_ps_option)o) {
        case SH_ps_all:
            v.all = true;
            break;
        case SH_ps_quiet:
            v.quiet = true;
            break;
        case SH_ps_no_trunc:
            v.whole = true;
            break;
        case SH_ps_json:
            v.json = true;
            break;
        case SH_ps_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    v.list = v.json ? cJSON_CreateArray() : NULL;
    int status = list_instances(&v);
    cJSON_Delete(v.list);
    return status;
}
