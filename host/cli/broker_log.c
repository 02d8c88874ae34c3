// SPDX-License-Identifier: Apache-2.0
// shelter broker log: who got what, when, on which evidence.
#include "host/cli/broker.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "host/cli/cli.h"
#include "verifier/base/json.h"

#define FOLLOW_MS 200
#define COUNT_MAX 10000 /* entries of one answer over the network */

struct printer {
    bool json, asked; /* asked: a broker elsewhere, before */
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

/* U+200E, 200F, 202A to 202E, 2066 to 2069 change the direction of what follows; 2028 and 2029 end
 * a line. */
static bool turns_text(const unsigned char *p)
{
    if (p[0] != 0xe2 || (p[1] | 1) != 0x81 || (p[2] & 0xc0) != 0x80)
        return false;
    unsigned c = (p[1] & 1u) << 6 | (p[2] & 0x3f);
    return c == 0x0e || c == 0x0f || (c >= 0x28 && c <= 0x2e) || (c >= 0x66 && c <= 0x69);
}

/* What others wrote does not move the cursor, and cannot pass for a line of ours. */
static void print_text(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7f || *p == '\\') {
            printf("\\x%02x", *p);
        } else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) { /* control characters of Latin 1 */
            printf("\\u%04x", *++p);
        } else if (*p == 0xd8 && p[1] == 0x9c) { /* U+061C, which changes the direction too */
            printf("\\u061c");
            p++;
        } else if (turns_text(p)) {
            printf("\\u20%02x", (p[1] & 1u) << 6 | (p[2] & 0x3f));
            p += 2;
        } else {
            putchar(*p);
        }
    }
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

static int check_log(struct sh_broker *b, const char *known, struct sh_error *err)
{
    cJSON *answer = NULL, *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "known", known);
    int r = sh_broker_do(b, "log-check", args, &answer, err);
    if (!r)
        puts(sv_json_text(answer, "last"));
    cJSON_Delete(answer);
    return r;
}

static int64_t parse_time(const char *text)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    return rest ? (int64_t)timegm(&tm) * 1000 + (*rest == '.' ? atoi(rest + 1) : 0) : 0;
}

/* An entry that came as JSON. */
static void print_json(const cJSON *o, struct printer *p)
{
    struct sb_entry e = {.time_ms = parse_time(sv_json_text(o, "time"))};
    const cJSON *count = sv_json_get(o, "count");
    if (p->json) {
        cleanup_free char *text = cJSON_PrintUnformatted(o);
        puts(text ? text : "{}");
        return;
    }
#define TEXT(member) e.member = sv_json_text(o, #member);
    SB_ENTRY_MEMBERS(TEXT)
#undef TEXT
    e.count = cJSON_IsNumber(count) ? (int64_t)count->valuedouble : 0;
    print_entry(&e, p);
}

/* Where the broker is elsewhere: the last entries, and what comes behind them. */
static int read_elsewhere(struct sh_broker *b, struct printer *p, int64_t count, char why[300],
                          struct sh_error *err)
{
    cJSON *answer = NULL, *args = cJSON_CreateObject();
    const cJSON *entry;
    cJSON_AddNumberToObject(args, "count", (double)(p->asked || count < 0 ? COUNT_MAX : count));
    if (p->asked) {
        cJSON_AddNumberToObject(args, "chain", (double)p->at.chain);
        cJSON_AddNumberToObject(args, "refusals", (double)p->at.refusals);
    }
    int r = sh_broker_do(b, "log", args, &answer, err);
    uint64_t chain = 0, refusals = 0;
    if (!r && (!sv_json_number(answer, "chain", INT64_MAX, &chain) ||
               !sv_json_number(answer, "refusals", INT64_MAX, &refusals)))
        r = sh_fail(err, -EPROTO, "the broker's answer does not say where to continue");
    p->asked = true;
    p->at = (struct sb_cursor){(int64_t)chain, (int64_t)refusals};
    cJSON_ArrayForEach(entry, sv_json_get(answer, "entries")) print_json(entry, p);
    snprintf(why, 300, "%s", sv_json_text(answer, "damaged"));
    cJSON_Delete(answer);
    return r;
}

static int show_log(struct sh_broker *b, bool follow, int64_t count, bool json,
                    struct sh_error *err)
{
    static const struct timespec here = {.tv_nsec = FOLLOW_MS * 1000000l},
                                 elsewhere = {.tv_sec = 1};
    struct printer p = {.json = json};
    char why[300] = "";
    int r = b->st && count >= 0 ? sb_log_tail(b->st, count, &p.at) : 0;
    while (!r && !*why) {
        if (!b->st)
            r = read_elsewhere(b, &p, count, why, err);
        else if ((r = sb_log_read(b->st, &p.at, print_entry, &p, why, sizeof(why))) && !*why)
            sh_fail_errno(err, r, "cannot read the broker's audit log");
        if (fflush(stdout)) /* whoever read us is gone */
            return 0;
        if (!follow || r)
            break;
        nanosleep(b->st ? &here : &elsewhere, NULL);
    }
    return *why ? sh_fail(err, -EBADMSG, "%s", why) : r;
}

int cmd_broker_log(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_log, argc, argv);
    struct sh_broker b = {0};
    const char *check = NULL;
    bool follow = false, json = false;
    uint64_t lines;
    int64_t count = -1;
    struct sh_error err = {0};
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_broker_log_option)o) {
        case SH_broker_log_dir:
        case SH_broker_log_url:
        case SH_broker_log_credential:
        case SH_broker_log_broker_key:
            sh_broker_option(&b, o, c.value);
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
    int r = sh_broker_connect(&b, &err);
    if (!r && !b.st && count > COUNT_MAX)
        r = sh_fail(&err, -EINVAL, "-n takes up to %d entries of a broker elsewhere", COUNT_MAX);
    if (!r)
        r = check ? check_log(&b, check, &err) : show_log(&b, follow, count, json, &err);
    sh_broker_close(&b);
    return r ? sh_error_report(&err) : 0;
}
