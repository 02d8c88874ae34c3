// SPDX-License-Identifier: Apache-2.0
// shelter inspect: everything about an instance or an image.
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/cli/instances.h"
#include "host/image/inspect.h"
#include "lib/hex.h"

const char sh_usage_inspect[] =
    "Usage: shelter inspect [--json] [--type instance|image] NAME...\n"
    "\n"
    "Shows an instance, or where there is none of that name an image. For an instance: its state, the\n"
    "TEE and whether it is simulated, the launch measurement and the digest of its launch config.\n"
    "\n"
    "      --json             as JSON, one object a name\n"
    "      --type TYPE        only instances, or only images\n";

static void print_measurement(const cJSON *measurement)
{
    const cJSON *field, *item;
    int number = 0;
    cJSON_ArrayForEach(field, measurement)
    {
        if (cJSON_IsString(field))
            printf("%-13s %s\n", field->string, field->valuestring);
        else if (cJSON_IsNumber(field))
            printf("%-13s %d\n", field->string, field->valueint);
        cJSON_ArrayForEach(item, field)
        {
            printf("%s%-*d %s\n", field->string, 13 - (int)strlen(field->string), number++,
                   cJSON_IsString(item) ? item->valuestring : "-");
        }
    }
}

static void print_instance(struct sh_store *store, const struct sh_instance *i)
{
    const struct sh_instance_config *c = &i->config;
    cleanup_free char *status = sh_instance_status_text(i);
    cleanup_free char *command = sh_instance_command_text(c);
    cleanup_free char *ports = sh_instance_ports_text(c);
    char size[16], time[32];
    sh_format_size(size, sizeof(size), c->memory);
    sh_format_time(time, sizeof(time), c->created);
    printf("instance      %s\nname          %s\nstate         %s\n", c->id, c->name, status);
    if (i->state.error[0])
        printf("error         %s\n", i->state.error);
    printf("image         %s\n              %s\ncommand       %s\n", c->reference, c->image, command);
    printf("created       %s\ntee           %s%s\n", time, c->tee,
           c->simulated ? " (simulated: it protects nothing)" : "");
    print_measurement(i->state.measurement);
    printf("launch config %s\nmemory        %s\ncpus          %u\nnetwork       %s\n",
           c->launch_digest, size, c->cpus, c->network ? "user" : "none");
    if (*ports)
        printf("ports         %s\n", ports);
    for (size_t k = 0; k < c->mount_count; k++)
        printf("mount         %s -> %s%s (untrusted: the host's folder)\n", c->mounts[k].source,
               c->mounts[k].target, c->mounts[k].read_only ? ", read-only" : "");
    if (i->state.child_pid)
        printf("process       %d, supervised by %d\n", i->state.child_pid, i->state.supervisor_pid);
    printf("folder        %s/instances/%s\n", store->path, c->id);
}

static int inspect_one(struct sh_store *store, const char *name, bool json, char type)
{
    struct sh_error err = {0};
    struct sh_instance instance;
    int r = type == 'm' ? -ENOENT : sh_instance_open(store, name, &instance, &err);
    if (!r) {
        if (json) {
            cJSON *root = sh_instance_json(store, &instance);
            cleanup_free char *text = cJSON_Print(root);
            puts(text);
            cJSON_Delete(root);
        } else {
            print_instance(store, &instance);
        }
        sh_instance_close(&instance);
        return 0;
    }
    if (r != -ENOENT || type == 'n')
        return sh_error_report(&err);
    return sh_inspect_image(store, name, json);
}

int cmd_inspect(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"type", required_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bool json = false;
    char type = 0;
    int c, status = 0;
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
        if (c == 'h')
            return sh_cli_help("inspect");
        if (c == '?' || c == ':')
            return sh_cli_usage("inspect", "%s: no such option, or its value is missing",
                                argv[optind - 1]);
        json |= c == 'j';
        if (c == 't' && !strcmp(optarg, "instance"))
            type = 'n';
        else if (c == 't' && !strcmp(optarg, "image"))
            type = 'm';
        else if (c == 't')
            return sh_cli_usage("inspect", "--type %s: write instance or image", optarg);
    }
    if (optind == argc)
        return sh_cli_usage("inspect", "name an instance or an image");
    struct sh_store store;
    struct sh_error err = {0};
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    for (; optind < argc; optind++) {
        int code = inspect_one(&store, argv[optind], json, type);
        status = status ? status : code;
    }
    sh_store_close(&store);
    return status;
}
