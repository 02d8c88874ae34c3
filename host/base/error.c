// SPDX-License-Identifier: Apache-2.0
// The sentence that the user reads when something fails.
#include "host/base/error.h"

#include <stdio.h>
#include <string.h>

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

int sh_error_report(const struct sh_error *err)
{
    char line[sizeof(err->text)];
    size_t n = 0;
    for (const char *p = err->text; *p; p++)
        line[n++] = (unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p;
    line[n] = 0;
    fprintf(stderr, "shelter: %s\n", line);
    return err->status ? err->status : SH_EXIT_FAILURE;
}
