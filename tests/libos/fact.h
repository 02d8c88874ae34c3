// SPDX-License-Identifier: Apache-2.0
// For programs that print what they see, a line a fact.
#ifndef TESTS_LIBOS_FACT_H
#define TESTS_LIBOS_FACT_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 1, 2))) static void fact(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

static const char *err(long r)
{
    return r < 0 ? strerrorname_np(errno) : "0";
}

#endif
