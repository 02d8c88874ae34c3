// SPDX-License-Identifier: Apache-2.0
// Numbers as text, read in one way by everybody: decimal digits only, within bounds. No sign, no
// blank, no prefix, nothing behind.
#ifndef LIB_NUMBER_H
#define LIB_NUMBER_H

#include <errno.h>
#include <stdint.h>

/* 0; -EINVAL: not a number; -ERANGE: not from min to max. Leading zeros are allowed. */
static inline int sh_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    uint64_t n = 0;
    if (!*text)
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *text - '0', &n))
            return -ERANGE;
    }
    if (n < min || n > max)
        return -ERANGE;
    *value = n;
    return 0;
}

/* A port of TCP or UDP; min is 0 where 0 means "any", else 1. */
static inline int sh_parse_port(const char *text, uint16_t min, uint16_t *port)
{
    uint64_t n;
    int r = sh_parse_number(text, min, UINT16_MAX, &n);
    if (!r)
        *port = (uint16_t)n;
    return r;
}

#endif
