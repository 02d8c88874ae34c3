// SPDX-License-Identifier: Apache-2.0
// shelter inspect: everything about an instance or an image.
#include <errno.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/cli/instances.h"
#include "host/image/inspect.h"
#include "host/image/settings.h"
#include "host/image/write/reference_read.h"
#include "host/store/base_files.h"
#include "lib/hex.h"
#include "verifier/base/json_read.h"
#include "verifier/judge/corim.h"

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

/* What runs, or will: by the image's manifest and the instance's launch config. NULL where one is
 * gone. */
static cJSON *read_settings(struct sh_store *store, const struct sh_instance *i)
{
    cJSON *settings = NULL;
    struct sh_image image;
    struct sh_error ignored = {0};
    cleanup_free uint8_t *launch = NULL;
    size_t size;
    if (sh_image_open(store, i->config.image, &image, &ignored))
        return NULL;
    if (!sh_read_file(i->dir_fd, "launch", SH_LAUNCH_SIZE_MAX, &launch, &size, &ignored))
        settings = sh_settings_json(&image.manifest, launch, size);
    sh_image_close(&image);
    return settings;
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
    printf("image         %s\n              %s\ncommand       %s\n", c->reference, c->image,
           command);
    printf("created       %s\ntee           %s%s\n", time, c->tee,
           c->simulated ? " (simulated: it protects nothing)" : "");
    print_measurement(i->state.measurement);
    const char *network = !c->network ? "none" : c->host_loopback ? "host-loopback" : "user";
    printf("launch config %s\nmemory        %s\ncpus          %u\nnetwork       %s\n",
           c->launch_digest, size, c->cpus, network);
    if (*ports)
        printf("ports         %s\n", ports);
    for (size_t k = 0; k < c->mount_count; k++)
        printf("mount         %s -> %s%s (untrusted: the host's folder)\n", c->mounts[k].source,
               c->mounts[k].target, c->mounts[k].read_only ? ", read-only" : "");
    if (i->state.child_pid)
        printf("process       %d, supervised by %d\n", i->state.child_pid, i->state.supervisor_pid);
    printf("folder        %s/instances/%s\n", store->path, c->id);
    cJSON *settings = read_settings(store, i);
    if (settings) {
        puts("\nSettings: what image and launch config say together");
        sh_print_lines(settings);
    }
    cJSON_Delete(settings);
}

static int inspect_one(struct sh_store *store, const char *name, bool json, char type)
{
    struct sh_error err = {0};
    struct sh_instance instance;
    int r = type == 'm' ? -ENOENT : sh_instance_open(store, name, &instance, &err);
    if (!r) {
        if (json) {
            cJSON *root = sh_instance_json(store, &instance);
            cJSON *settings = read_settings(store, &instance);
            if (settings)
                cJSON_AddItemToObject(root, "settings", settings);
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
    if (!type && sh_no_such_name(store, name, &err))
        return sh_error_report(&err);
    return sh_inspect_image(store, name, json);
}

static int print_sbom(struct sh_store *store, const char *name)
{
    struct sh_error err = {0};
    struct sh_image image;
    cleanup_free char *text = NULL;
    int r = sh_image_open(store, name, &image, &err);
    if (r)
        return sh_error_report(&err);
    r = sh_base_sbom(image.dir_fd, name, &text, &err);
    sh_image_close(&image);
    if (r)
        return sh_error_report(&err);
    fputs(text, stdout);
    return 0;
}

/* Its reference values, computed as ever, as CBOR. */
static int print_corim(const char *name)
{
    struct sh_error err = {0};
    cleanup_free char *json = NULL;
    cleanup_free uint8_t *out = NULL;
    size_t size = 0;
    char why[120] = "";
    int r = sh_image_reference(name, NULL, &json, &err);
    cJSON *top = r ? NULL : sv_json_read_text(json, why, sizeof(why));
    if (!r && sv_corim_write(top, &out, &size, why, sizeof(why)))
        r = sh_fail(&err, -EINVAL, "cannot write the reference values of '%s': %s", name, why);
    cJSON_Delete(top);
    if (!r && (fwrite(out, 1, size, stdout) != size || fflush(stdout)))
        r = sh_fail(&err, -EIO, "cannot write the reference values");
    return r ? sh_error_report(&err) : 0;
}

int cmd_inspect(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_inspect, argc, argv);
    bool json = false, sbom = false, corim = false;
    char type = 0;
    int status = 0;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_inspect_option)o) {
        case SH_inspect_json:
            json = true;
            break;
        case SH_inspect_sbom:
            sbom = true;
            break;
        case SH_inspect_corim:
            corim = true;
            break;
        case SH_inspect_type:
            if (strcmp(c.value, "instance") && strcmp(c.value, "image"))
                return sh_cli_usage("inspect", "--type %s: write instance or image", c.value);
            type = c.value[1]; /* 'n' or 'm' */
            break;
        case SH_inspect_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    if (corim && (c.count > 1 || sbom || json))
        return sh_cli_usage("inspect", "--corim is for one image, and stands alone");
    struct sh_store store;
    struct sh_error err = {0};
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    for (int i = 0; i < c.count; i++) {
        int code = sbom    ? print_sbom(&store, c.args[i])
                   : corim ? print_corim(c.args[i])
                           : inspect_one(&store, c.args[i], json, type);
        status = status ? status : code;
    }
    sh_store_close(&store);
    return status;
}
