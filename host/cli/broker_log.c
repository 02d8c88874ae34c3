// SPDX-License-Identifier: Apache-2.0
// shelter broker log: who got what, when, on which evidence.
#include "host/cli/broker.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "host/cli/cli.h"
#include "lib/hex.h"

#define FOLLOW_MS 200

struct printer {
    bool json;
    struct sb_cursor at;
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

/* What others wrote does not move the cursor, and cannot pass for a line of ours. */
static void print_text(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7f || *p == '\\')
            printf("\\x%02x", *p);
        else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) /* control characters of Latin 1 */
            printf("\\u%04x", *++p);
        else
            putchar(*p);
}

static void print_member(const char *before, const char *text, int size_max)
{
    if (!*text)
        return;
    cleanup_free char *part = sh_format("%.*s", size_max, text);
    fputs(before, stdout);
    print_text(part);
}

static void print_entry(const struct sb_entry *e, void *arg)
{
    struct printer *p = arg;
    char when[40];
    if (p->json) {
        cleanup_free char *text = sb_entry_json(e);
        puts(text ? text : "{}");
        return;
    }
    format_time(e->time_ms, when);
    printf("%s  %-8s %-7s", when, e->event, e->outcome);
    print_member("  ", e->peer, 64);
    print_member("  ", e->tee, 8);
    print_member("  ", e->reference, 136);
    print_member("  image ", e->image, 12);
    print_member("  measurement ", e->measurement, 16);
    print_member("  evidence ", e->evidence, 16);
    print_member("  ", e->resource, 404);
    if (strcmp(e->code, "ok")) {
        print_member("  ", e->code, 48);
        print_member(": ", e->detail, 320);
    }
    if (e->count > 1)
        printf("  %lld times", (long long)e->count);
    putchar('\n');
}

/* "ID:HASH" as an earlier check printed it. */
static bool parse_known(const char *text, int64_t *id, uint8_t hash[SB_CHAIN_SIZE])
{
    const char *colon = strchr(text, ':');
    cleanup_free char *number = colon ? strndup(text, (size_t)(colon - text)) : NULL;
    uint64_t n;
    if (!number || sh_parse_number(number, 1, INT64_MAX, &n) ||
        strlen(colon + 1) != 2 * SB_CHAIN_SIZE || sh_unhex(hash, SB_CHAIN_SIZE, colon + 1))
        return false;
    *id = (int64_t)n;
    return true;
}

static int check_log(struct sb_store *st, const char *known, struct sh_error *err)
{
    uint8_t want[SB_CHAIN_SIZE] = {0}, hash[SB_CHAIN_SIZE];
    char why[200] = "", hex[2 * SB_CHAIN_SIZE + 1];
    int64_t known_id = 0, id = 0;
    if (*known && !parse_known(known, &known_id, want))
        return sh_fail(err, -EINVAL, "--check takes ID:HASH as an earlier check printed it");
    int r = sb_log_check(st, known_id, want, &id, hash, why, sizeof(why));
    if (r)
        return sh_fail(err, r, "%s", *why ? why : strerror(-r));
    sh_hex(hex, hash, sizeof(hash));
    printf("%lld:%s\n", (long long)id, hex);
    return 0;
}

static int show_log(struct sb_store *st, bool follow, int64_t count, bool json,
                    struct sh_error *err)
{
    struct printer p = {.json = json};
    char why[300] = "";
    int r = count >= 0 ? sb_log_tail(st, count, &p.at) : 0;
    while (!r) {
        r = sb_log_read(st, &p.at, print_entry, &p, why, sizeof(why));
        if (fflush(stdout)) /* whoever read us is gone */
            return 0;
        if (!follow || r)
            break;
        nanosleep(&(struct timespec){.tv_nsec = FOLLOW_MS * 1000000l}, NULL);
    }
    if (*why)
        return sh_fail(err, r, "%s", why);
    return r ? sh_fail_errno(err, r, "cannot read the broker's audit log") : 0;
}

int cmd_broker_log(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_log, argc, argv);
    const char *dir_option = NULL, *check = NULL;
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
        case SH_broker_log_check:
            check = c.value ? c.value : "";
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
        r = check ? check_log(st, check, &err) : show_log(st, follow, count, json, &err);
    sb_store_close(st);
    return r ? sh_error_report(&err) : 0;
}
