// SPDX-License-Identifier: Apache-2.0
// The sentence that the user reads when something fails.
#include "host/base/error.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void set_text(struct sh_error *err, const char *suffix, const char *format, va_list ap)
{
    if (err->text[0])
        return;
    vsnprintf(err->text, sizeof(err->text), format, ap);
    if (suffix) {
        size_t n = strlen(err->text);
        snprintf(err->text + n, sizeof(err->text) - n, ": %s", suffix);
    }
}

int sh_fail(struct sh_error *err, int code, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    set_text(err, NULL, format, ap);
    va_end(ap);
    return code;
}

int sh_fail_errno(struct sh_error *err, int code, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    set_text(err, strerror(-code), format, ap);
    va_end(ap);
    return code;
}

static bool as_json;

void sh_log_as_json(void)
{
    as_json = true;
}

/* `line` has no control characters; what is not ASCII becomes ?. */
static void write_json(const char *level, const char *line)
{
    char when[32];
    time_t now = time(NULL);
    struct tm tm;
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    fprintf(stderr, "{\"time\":\"%s\",\"level\":\"%s\",\"msg\":\"", when, level);
    for (; *line; line++)
        fprintf(stderr, "%s%c", *line == '"' || *line == '\\' ? "\\" : "",
                (unsigned char)*line < 0x80 ? *line : '?');
    fputs("\"}\n", stderr);
}

void sh_log_line(const char *level, const char *text)
{
    char line[sizeof(((struct sh_error *)0)->text)];
    size_t n = 0;
    for (; *text && n + 1 < sizeof(line); text++)
        line[n++] = (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text;
    line[n] = 0;
    if (as_json)
        write_json(level, line);
    else
        fprintf(stderr, "shelter: %s%s\n", strcmp(level, "warning") ? "" : "warning: ", line);
}

int sh_error_report(const struct sh_error *err)
{
    sh_log_line("error", err->text);
    return err->status ? err->status : SH_EXIT_FAILURE;
}
