// SPDX-License-Identifier: Apache-2.0
// shelter broker log: who got what, when, on which evidence.
#include "host/cli/broker.h"

#include <errno.h>
#include <getopt.h>
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

static int show(struct sb_store *st, bool follow, int64_t count, bool json, struct sh_error *err)
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

int sh_broker_log(int argc, char **argv)
{
    static const struct option longs[] = {
        {"dir", required_argument, NULL, 'd'}, {"follow", no_argument, NULL, 'f'},
        {"json", no_argument, NULL, 'j'},      {"lines", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},      {NULL, 0, NULL, 0}};
    const char *dir_option = NULL;
    bool follow = false, json = false;
    int64_t count = -1;
    struct sh_error err = {0};
    char *end = "";
    int c;
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "fhn:", longs, NULL)) != -1) {
        switch (c) {
        case 'd':
            dir_option = optarg;
            break;
        case 'f':
            follow = true;
            break;
        case 'j':
            json = true;
            break;
        case 'n':
            count = strtoll(optarg, &end, 10);
            break;
        case 'h':
            return sh_cli_help("broker");
        default:
            return sh_cli_usage("broker", "unknown option or missing value");
        }
        if (c == 'n' && (*end || end == optarg || count < 0))
            return sh_cli_usage("broker", "-n takes a number of entries");
    }
    if (optind != argc)
        return sh_cli_usage("broker", "'%s' is one argument too many", argv[optind]);
    cleanup_free char *dir = sh_broker_dir(dir_option);
    struct sb_store *st = NULL;
    int r = sh_broker_open(dir, false, &st, &err);
    if (!r)
        r = show(st, follow, count, json, &err);
    sb_store_close(st);
    return r ? sh_error_report(&err) : 0;
}
