// SPDX-License-Identifier: Apache-2.0
// shelter logs: what a workload wrote, also after its end.
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>

#include "host/cli/cli.h"
#include "host/cli/instances.h"
#include "host/run/instance_log.h"
#include "lib/bytes.h"

#include <shelter/channel.h>

struct view {
    bool follow, stamps;
    const char *name;
    int64_t tail; /* -1: all */
    uint64_t since;
    uint64_t skip_lines; /* still to leave out */
    bool inside_line[2]; /* of stdout, stderr */
};

static bool is_shown(const struct view *v, const struct sh_log_record *r)
{
    return r->time >= v->since && r->stream >= SH_STREAM_OUT && r->stream <= SH_LOG_END;
}

static void print_stamp(FILE *out, uint64_t time_ns)
{
    time_t seconds = (time_t)(time_ns / 1000000000);
    struct tm tm;
    char text[32];
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    fprintf(out, "%s.%09" PRIu64 "Z ", text, time_ns % 1000000000);
}

/* What Shelter itself has to say, on stderr, on a line of its own. */
static void print_note(struct view *v, const struct sh_log_record *r)
{
    struct sh_error line = {0};
    fflush(stdout);
    if (v->inside_line[1] || (v->inside_line[0] && isatty(1) && isatty(2)))
        fputc('\n', stderr);
    v->inside_line[0] = v->inside_line[1] = false;
    if (v->stamps)
        print_stamp(stderr, r->time);
    if (r->stream == SH_LOG_LOST)
        sh_fail(&line, 0, "%" PRIu64 " bytes were not logged: the disk was full",
                r->size == 8 ? sh_le64(r->data) : 0);
    else
        sh_fail(&line, 0, "instance %s %.*s", v->name, (int)r->size, r->data);
    sh_error_report(&line);
}

/* Its supervisor could not write the last line. */
static void print_death(struct view *v, const struct sh_instance *i)
{
    char text[sizeof(i->state.error) + 16];
    int n = snprintf(text, sizeof(text), "is dead: %s", i->state.error);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct sh_log_record r = {SH_LOG_END, (uint64_t)now.tv_sec * 1000000000u, (uint32_t)n,
                              (const uint8_t *)text};
    print_note(v, &r);
}

static void print_record(struct view *v, const struct sh_log_record *r)
{
    if (r->stream > SH_STREAM_ERR) {
        print_note(v, r);
        return;
    }
    FILE *out = r->stream == SH_STREAM_OUT ? stdout : stderr;
    bool *inside = &v->inside_line[r->stream - SH_STREAM_OUT];
    const uint8_t *p = r->data, *end = p + r->size;
    while (p < end) {
        const uint8_t *stop = memchr(p, '\n', (size_t)(end - p));
        const uint8_t *next = stop ? stop + 1 : end;
        if (v->skip_lines) {
            v->skip_lines -= stop != NULL;
        } else if (!v->stamps) {
            fwrite(p, 1, (size_t)(end - p), out);
            *inside = end[-1] != '\n';
            return;
        } else {
            if (!*inside)
                print_stamp(out, r->time);
            fwrite(p, 1, (size_t)(next - p), out);
            *inside = !stop;
        }
        p = next;
    }
}

/* All lines, the last unfinished one included. */
static uint64_t count_lines(struct sh_log_reader *reader, const struct view *v)
{
    struct sh_log_record r;
    uint64_t lines = 0;
    bool inside = false;
    while (sh_log_read_next(reader, &r) == 1) {
        if (!is_shown(v, &r) || r.stream > SH_STREAM_ERR)
            continue;
        for (const uint8_t *p = r.data, *end = p + r.size; p < end;) {
            const uint8_t *stop = memchr(p, '\n', (size_t)(end - p));
            lines += stop != NULL;
            inside = !stop;
            p = stop ? stop + 1 : end;
        }
    }
    return lines + inside;
}

/* Sleeps until something is written, or half a second. */
static void wait_for_more(int notify)
{
    struct pollfd p = {.fd = notify, .events = POLLIN};
    char events[4096];
    if (notify < 0)
        usleep(100000);
    else if (poll(&p, 1, 500) > 0)
        (void)!read(notify, events, sizeof(events));
}

static int print_log(struct sh_instance *instance, struct view *v, struct sh_error *err)
{
    struct sh_log_reader reader;
    struct sh_log_record record;
    cleanup_close int notify = v->follow ? inotify_init1(IN_CLOEXEC | IN_NONBLOCK) : -1;
    cleanup_free char *dir = sh_format("/proc/self/fd/%d", instance->dir_fd);
    if (notify >= 0)
        inotify_add_watch(notify, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO);
    int r = sh_log_read_open(&reader, instance->dir_fd);
    if (!r && v->tail >= 0) {
        uint64_t lines = count_lines(&reader, v);
        v->skip_lines = lines > (uint64_t)v->tail ? lines - (uint64_t)v->tail : 0;
        sh_log_read_close(&reader);
        r = sh_log_read_open(&reader, instance->dir_fd);
    }
    if (r && r != -ENOENT)
        return sh_fail_errno(err, r, "cannot read the log of instance %s", instance->config.name);
    for (;;) {
        /* Asked before reading: what is written until it ends is then read. */
        sh_instance_refresh(instance);
        bool alive = sh_instance_alive(instance);
        if (r == -ENOENT)
            r = sh_log_read_open(&reader, instance->dir_fd);
        int more = 0;
        while (!r && (more = sh_log_read_next(&reader, &record)) == 1)
            if (is_shown(v, &record))
                print_record(v, &record);
        if (fflush(stdout) || fflush(stderr) || more < 0 || !v->follow || !alive) {
            if (more < 0)
                r = sh_fail(err, more, "the log of instance %s is damaged", instance->config.name);
            break;
        }
        wait_for_more(notify);
    }
    sh_log_read_close(&reader);
    if (instance->state.state == SH_STATE_DEAD)
        print_death(v, instance);
    return r == -ENOENT ? 0 : r;
}

static int parse_since(const char *text, uint64_t *since)
{
    static const char units[] = "smhd";
    static const unsigned seconds[] = {1, 60, 3600, 86400};
    time_t now = time(NULL), at;
    size_t digits = strspn(text, "0123456789");
    const char *unit = text[digits] && !text[digits + 1] ? strchr(units, text[digits]) : NULL;
    cleanup_free char *number = sh_format("%.*s", (int)digits, text);
    uint64_t n;
    if (!text[digits] && !sh_parse_number(text, 0, INT64_MAX, &n)) {
        at = (time_t)n;
    } else if (unit && !sh_parse_number(number, 0, 999999, &n)) {
        at = now - (time_t)(n * seconds[unit - units]);
    } else {
        const char *end;
        struct tm tm = {0};
        end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
        if (!end || (*end && strcmp(end, "Z")))
            return -EINVAL;
        at = timegm(&tm);
    }
    *since = at > 0 ? (uint64_t)at * 1000000000u : 0;
    return 0;
}

static int logs_one(struct sh_store *store, struct sh_instance *instance, void *context,
                    struct sh_error *err)
{
    struct view *v = context;
    v->name = instance->config.name;
    return print_log(instance, v, err);
}

int cmd_logs(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_logs, argc, argv);
    struct view v = {.tail = -1};
    uint64_t lines;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_logs_option)o) {
        case SH_logs_follow:
            v.follow = true;
            break;
        case SH_logs_timestamps:
            v.stamps = true;
            break;
        case SH_logs_tail:
            if (!strcmp(c.value, "all"))
                break;
            if (sh_parse_number(c.value, 0, INT64_MAX, &lines))
                return sh_cli_usage("logs", "--tail %s: write a number, or all", c.value);
            v.tail = (int64_t)lines;
            break;
        case SH_logs_since:
            if (parse_since(c.value, &v.since))
                return sh_cli_usage("logs",
                                    "--since %s: write 10m, 2h, seconds since 1970, or "
                                    "2026-01-31T12:00:00Z",
                                    c.value);
            break;
        case SH_logs_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    return sh_each_instance(c.args, 1, logs_one, &v);
}
