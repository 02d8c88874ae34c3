// SPDX-License-Identifier: Apache-2.0
// shelter images
#include <string.h>
#include <time.h>

#include "host/cli/cli.h"
#include "host/image/inspect.h"

static void format_age(char *out, size_t out_size, int64_t created)
{
    int64_t s = (int64_t)time(NULL) - created;
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    size_t u = 0;
    s = s < 0 ? 0 : s;
    while (u < 3 && s < 2 * units[u].seconds)
        u++;
    long long n = s / units[u].seconds;
    snprintf(out, out_size, "%lld %s%s ago", n, units[u].name, n == 1 ? "" : "s");
}

struct row {
    struct sh_image image;
    uint64_t size;
    int64_t created;
};

static cJSON *json_row(const struct row *row, const struct sh_tags *tags)
{
    char time[32];
    cJSON *o = cJSON_CreateObject(), *names;
    cJSON_AddStringToObject(o, "id", row->image.id);
    names = cJSON_AddArrayToObject(o, "tags");
    for (size_t i = 0; i < tags->count; i++)
        if (!strcmp(tags->v[i].id, row->image.id))
            cJSON_AddItemToArray(names, cJSON_CreateString(tags->v[i].name));
    cJSON_AddNumberToObject(o, "size", (double)row->size);
    sh_format_time(time, sizeof(time), row->created);
    cJSON_AddStringToObject(o, "created", time);
    cJSON_AddItemToObject(o, "command", sh_image_command_json(&row->image.manifest));
    return o;
}

static void print_row(const struct row *row, const struct sh_tags *tags, bool whole)
{
    char size[16], when[32];
    cleanup_free char *command = sh_image_command_line(&row->image.manifest);
    sh_format_size(size, sizeof(size), row->size);
    format_age(when, sizeof(when), row->created);
    if (!whole && strlen(command) > 40)
        strcpy(command + 37, "...");
    bool any = false;
    for (size_t i = 0; i <= tags->count; i++) {
        if (i < tags->count ? strcmp(tags->v[i].id, row->image.id) : any)
            continue;
        any = true;
        printf("%-24s %-*.*s %-16s %8s  %s\n", i < tags->count ? tags->v[i].name : "-",
               whole ? 96 : SH_ID_SHORT, whole ? 96 : SH_ID_SHORT, row->image.id, when, size,
               command);
    }
}

int cmd_images(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_images, argc, argv);
    bool json = false, quiet = false, whole = false;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_images_option)o) {
        case SH_images_json:
            json = true;
            break;
        case SH_images_quiet:
            quiet = true;
            break;
        case SH_images_no_trunc:
            whole = true;
            break;
        case SH_images_end:
            break;
        }
    if (c.status >= 0)
        return c.status;

    struct sh_store store;
    struct sh_error err = {0};
    struct sh_strings ids = {0};
    struct sh_tags tags = {0};
    int r = sh_store_open(&store, &err);
    if (r)
        return sh_error_report(&err);
    r = sh_store_images(&store, &ids, &err);
    if (!r)
        r = sh_store_all_tags(&store, &tags, &err);
    cJSON *list = json ? cJSON_CreateArray() : NULL;
    if (!r && !json && !quiet)
        printf("%-24s %-*s %-16s %8s  %s\n", "TAG", whole ? 96 : SH_ID_SHORT, "ID", "CREATED",
               "SIZE", "COMMAND");
    for (size_t i = 0; !r && i < ids.count; i++) {
        struct row row = {0};
        struct sh_error one = {0};
        if (quiet && !json) {
            printf("%.*s\n", whole ? 96 : SH_ID_SHORT, ids.v[i]);
            continue;
        }
        /* One damaged or vanishing image must not hide the others. */
        if (sh_image_open(&store, ids.v[i], &row.image, &one) ||
            sh_image_stat(&row.image, &row.size, &row.created, &one))
            sh_error_report(&one);
        else if (json)
            cJSON_AddItemToArray(list, json_row(&row, &tags));
        else
            print_row(&row, &tags, whole);
        sh_image_close(&row.image);
    }
    if (!r && json) {
        cleanup_free char *text = cJSON_Print(list);
        puts(text);
    }
    cJSON_Delete(list);
    sh_tags_free(&tags);
    sh_strings_free(&ids);
    sh_store_close(&store);
    return r ? sh_error_report(&err) : 0;
}
