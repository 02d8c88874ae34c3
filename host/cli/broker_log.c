// SPDX-License-Identifier: Apache-2.0
// shelter broker log: who got what, when, on which evidence.
#include "host/cli/broker.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "host/cli/cli.h"

#define FOLLOW_MS 200

struct printer {
    bool json;
    int64_t last;
    bool failed;
};

static void format_time(int64_t ms, char out[40])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char text[24];
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, 40, "%s.%03dZ", text, (int)(ms % 1000));
}

static void print_json(const struct sb_entry *e, const char *when)
{
    const struct {
        const char *name, *value;
    } members[] = {{"event", e->event},
                   {"outcome", e->outcome},
                   {"code", e->code},
                   {"detail", e->detail},
                   {"peer", e->peer},
                   {"session", e->session},
                   {"tee", e->tee},
                   {"image", e->image},
                   {"reference", e->reference},
                   {"measurement", e->measurement},
                   {"evidence", e->evidence},
                   {"resource", e->resource}};
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "id", (double)e->id);
    cJSON_AddStringToObject(o, "time", when);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        cJSON_AddStringToObject(o, members[i].name, members[i].value);
    cleanup_free char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    puts(text ? text : "{}");
}

static void print_entry(const struct sb_entry *e, void *arg)
{
    struct printer *p = arg;
    char when[40];
    p->last = e->id;
    format_time(e->time_ms, when);
    if (p->json) {
        print_json(e, when);
        return;
    }
    printf("%s  %-8s %-7s  %s", when, e->event, e->outcome, e->peer);
    if (*e->tee)
        printf("  %s", e->tee);
    if (*e->reference)
        printf("  %s", e->reference);
    if (*e->image)
        printf("  image %.12s", e->image);
    if (*e->measurement)
        printf("  measurement %.16s", e->measurement);
    if (*e->evidence)
        printf("  evidence %.16s", e->evidence);
    if (*e->resource)
        printf("  %s", e->resource);
    if (strcmp(e->code, "ok"))
        printf("  %s%s%s", e->code, *e->detail ? ": " : "", e->detail);
    putchar('\n');
}

static int show_log(struct sb_store *st, bool follow, int64_t count, bool json,
                    struct sh_error *err)
{
    struct printer p = {.json = json, .last = count >= 0 ? sb_log_tail(st, count) : 0};
    int r;
    do {
        r = sb_log_read(st, p.last, print_entry, &p);
        if (fflush(stdout)) /* whoever read us is gone */
            return 0;
        if (follow && !r)
            nanosleep(&(struct timespec){.tv_nsec = FOLLOW_MS * 1000000l}, NULL);
    } while (follow && !r);
    return r ? sh_fail_errno(err, r, "cannot read the broker's audit log") : 0;
}

int cmd_broker_log(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_log, argc, argv);
    const char *dir_option = NULL;
    bool follow = false, json = false;
    uint64_t lines;
    int64_t count = -1;
    struct sh_error err = {0};
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_broker_log_option)o) {
        case SH_broker_log_dir:
            dir_option = c.value;
            break;
        case SH_broker_log_follow:
            follow = true;
            break;
        case SH_broker_log_json:
            json = true;
            break;
        case SH_broker_log_lines:
            if (sh_parse_number(c.value, 0, INT64_MAX, &lines))
                return sh_cli_usage(c.shown, "-n takes a number of entries");
            count = (int64_t)lines;
            break;
        case SH_broker_log_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    cleanup_free char *dir = sh_broker_dir(dir_option);
    struct sb_store *st = NULL;
    int r = sh_broker_open(dir, &st, &err);
    if (!r)
        r = show_log(st, follow, count, json, &err);
    sb_store_close(st);
    return r ? sh_error_report(&err) : 0;
}
