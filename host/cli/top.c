// SPDX-License-Identifier: Apache-2.0
// shelter top: what running instances use, again and again.
#include <math.h>
#include <string.h>
#include <time.h>

#include "host/cli/cli.h"
#include "host/run/observe.h"

struct view {
    uint64_t interval, rounds; /* seconds; rounds 0: without end */
    bool json;
};

static double value_of(const cJSON *o, const char *a, const char *b)
{
    const cJSON *inner = a ? cJSON_GetObjectItemCaseSensitive(o, a) : o;
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(inner, b);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static const cJSON *find_instance(const cJSON *list, const char *id)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, list)
    {
        const cJSON *its = cJSON_GetObjectItemCaseSensitive(one, "id");
        if (cJSON_IsString(its) && !strcmp(its->valuestring, id))
            return one;
    }
    return NULL;
}

/* Each second since the sight before; NAN: not known. */
static double rate_of(const cJSON *now, const cJSON *before, double seconds, const char *a,
                      const char *b)
{
    return before && seconds > 0 ? (value_of(now, a, b) - value_of(before, a, b)) / seconds : NAN;
}

static void print_number(double value, int width, const char *unit)
{
    if (isnan(value))
        printf(" %*s", width, "-");
    else
        printf(" %*.*f%s", width - (int)strlen(unit), *unit ? 1 : 0, value, unit);
}

static void print_one(const cJSON *one, const cJSON *before, double seconds)
{
    const double mib = 1 << 20;
    printf("%-18s %-8s", cJSON_GetObjectItemCaseSensitive(one, "instance")->valuestring,
           cJSON_GetObjectItemCaseSensitive(one, "tee")->valuestring);
    print_number(100 * rate_of(one, before, seconds, NULL, "cpu_seconds"), 8, "%");
    print_number(value_of(one, NULL, "memory_bytes") / mib, 11, "M");
    print_number(value_of(one, "stats", "committed_bytes") / mib, 11, "M");
    print_number(rate_of(one, before, seconds, "stats", "syscalls"), 11, "");
    print_number(rate_of(one, before, seconds, "stats", "calls_out"), 11, "");
    print_number(rate_of(one, before, seconds, "stats", "aex"), 9, "");
    print_number(value_of(one, NULL, "processes"), 10, "");
    putchar('\n');
}

static void print_all(const cJSON *now, const cJSON *before, double seconds)
{
    const cJSON *one;
    if (isatty(1))
        fputs("\033[H\033[J", stdout);
    printf("%-18s %-8s %8s %11s %11s %11s %11s %9s %10s\n", "NAME", "TEE", "CPU", "MEMORY",
           "ENCLAVE", "SYSCALLS/S", "CALLSOUT/S", "AEX/S", "PROCESSES");
    cJSON_ArrayForEach(one, now)
    {
        const char *id = cJSON_GetObjectItemCaseSensitive(one, "id")->valuestring;
        print_one(one, find_instance(before, id), seconds);
    }
}

static int watch_instances(struct sh_store *store, const struct view *v, struct sh_error *err)
{
    cJSON *before = NULL, *now = NULL;
    struct timespec last = {0}, t;
    int r = 0;
    /* A rate needs two sights, so the first is shown at once and says only what has no time. */
    for (uint64_t i = 0; !r && (!v->rounds || i < v->rounds); i++) {
        if (i)
            sleep((unsigned)v->interval);
        r = sh_observe_all(store, &now, err);
        clock_gettime(CLOCK_MONOTONIC, &t);
        double seconds =
            (double)(t.tv_sec - last.tv_sec) + (double)(t.tv_nsec - last.tv_nsec) / 1e9;
        if (!r && v->json) {
            cleanup_free char *text = cJSON_PrintUnformatted(now);
            puts(text);
        } else if (!r) {
            print_all(now, before, seconds);
        }
        if (fflush(stdout)) /* a reader that is gone */
            r = -EPIPE;
        cJSON_Delete(before);
        before = now;
        last = t;
    }
    cJSON_Delete(before);
    return r == -EPIPE ? 0 : r;
}

int cmd_top(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_top, argc, argv);
    struct view v = {.interval = 2};
    struct sh_error err = {0};
    struct sh_store store;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_top_option)o) {
        case SH_top_interval:
            if (sh_parse_number(c.value, 1, 3600, &v.interval))
                return sh_cli_usage(c.shown, "--interval is a number of seconds, 1 to 3600");
            break;
        case SH_top_count:
            if (sh_parse_number(c.value, 1, UINT32_MAX, &v.rounds))
                return sh_cli_usage(c.shown, "--count is a number, at least 1");
            break;
        case SH_top_json:
            v.json = true;
            break;
        case SH_top_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    int r = watch_instances(&store, &v, &err);
    sh_store_close(&store);
    return r ? sh_error_report(&err) : 0;
}
