// SPDX-License-Identifier: Apache-2.0
// A small printf for traces, /proc and last words: %d %u %x %X %o %c %s %p, l and z, width, '-',
// '0',
// '.N'.
#include "trusted/libos/libos.h"

struct out {
    char *at;
    size_t left; /* without the NUL */
    size_t total;
};

static void put_char(struct out *o, char c)
{
    o->total++;
    if (o->left) {
        *o->at++ = c;
        o->left--;
    }
}

static void put_text(struct out *o, const char *s, size_t size, int width, bool left, char pad)
{
    int fill = width > (int)size ? width - (int)size : 0;
    for (int i = 0; !left && i < fill; i++)
        put_char(o, pad);
    for (size_t i = 0; i < size; i++)
        put_char(o, s[i]);
    for (int i = 0; left && i < fill; i++)
        put_char(o, ' ');
}

#define UPPER 32u /* of a base */

static size_t put_digits(char buf[24], uint64_t v, unsigned base)
{
    size_t n = 24;
    do {
        buf[--n] = (base & UPPER ? "0123456789ABCDEF" : "0123456789abcdef")[v % (base & ~UPPER)];
        v /= base & ~UPPER;
    } while (v);
    return n;
}

static void put_number(struct out *o, uint64_t v, unsigned base, bool minus, int width, bool left,
                       char pad)
{
    char buf[24];
    size_t at = put_digits(buf, v, base);
    if (minus && pad == '0') {
        put_char(o, '-');
        width--;
        minus = false;
    }
    if (minus)
        buf[--at] = '-';
    put_text(o, buf + at, 24 - at, width, left, pad);
}

int fmtv(char *text, size_t size, const char *f, va_list args)
{
    struct out o = {text, size ? size - 1 : 0, 0};
    for (; *f; f++) {
        if (*f != '%') {
            put_char(&o, *f);
            continue;
        }
        bool left = false, wide = false;
        char pad = ' ';
        int width = 0, precision = -1;
        for (f++; *f == '-' || *f == '0'; f++) {
            if (*f == '-')
                left = true;
            else
                pad = '0';
        }
        for (; *f >= '0' && *f <= '9'; f++)
            width = width * 10 + *f - '0';
        if (*f == '.') {
            f++;
            if (*f == '*') {
                precision = va_arg(args, int);
                f++;
            } else {
                for (precision = 0; *f >= '0' && *f <= '9'; f++)
                    precision = precision * 10 + *f - '0';
            }
        }
        for (; *f == 'l' || *f == 'z'; f++)
            wide = true;
        uint64_t v;
        const char *s;
        char c;
        switch (*f) {
        case 'd':
            v = wide ? (uint64_t)va_arg(args, long) : (uint64_t)va_arg(args, int);
            put_number(&o, (int64_t)v < 0 ? -v : v, 10, (int64_t)v < 0, width, left, pad);
            break;
        case 'u':
        case 'x':
        case 'X':
        case 'o':
            v = wide ? va_arg(args, unsigned long) : va_arg(args, unsigned);
            put_number(&o, v,
                       *f == 'u'   ? 10
                       : *f == 'x' ? 16
                       : *f == 'X' ? 16 | UPPER
                                   : 8,
                       false, width, left, pad);
            break;
        case 'p':
            put_char(&o, '0');
            put_char(&o, 'x');
            put_number(&o, (uint64_t)va_arg(args, void *), 16, false, width, left, pad);
            break;
        case 'c':
            c = (char)va_arg(args, int);
            put_text(&o, &c, 1, width, left, ' ');
            break;
        case 's':
            s = va_arg(args, const char *);
            put_text(&o, s, precision >= 0 ? strnlen(s, (size_t)precision) : strlen(s), width, left,
                     ' ');
            break;
        case 0:
            f--;
            break;
        default:
            put_char(&o, *f);
        }
    }
    if (size)
        *o.at = 0;
    return (int)o.total;
}

int fmt(char *text, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = fmtv(text, size, format, args);
    va_end(args);
    return n;
}

static void log_args(const char *prefix, const char *format, va_list args)
{
    char line[512];
    int n = fmt(line, sizeof(line) - 1, "%s", prefix);
    int m = fmtv(line + n, sizeof(line) - 1 - (size_t)n, format, args);
    size_t size = MIN((size_t)(n + m), sizeof(line) - 2);
    line[size++] = '\n';
    port_log(line, (uint32_t)size);
}

void log_line(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_args("", format, args);
    va_end(args);
}

void stop(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_args("shelter: ", format, args);
    va_end(args);
    port_stop();
}

#ifndef LIBOS_UNIT
/* Called by compiled code, and by Debian's mbedTLS, whose canaries are at FS (agent/call.c). */
void __stack_chk_fail(void);
void __stack_chk_fail(void)
{
    stop("a stack canary is broken: something wrote beyond an object on the stack, before 0x%lx",
         (uint64_t)__builtin_return_address(0));
}
#endif
