// SPDX-License-Identifier: Apache-2.0
// Bytes as base64 text.
#include "lib/base64.h"

#include <asm/errno.h>

#define DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

size_t sh_base64(char *out, const void *data, size_t size, enum sh_base64 kind)
{
    const char *digits = kind == SH_BASE64 ? DIGITS "+/" : DIGITS "-_";
    const uint8_t *p = data;
    char *at = out;
    for (; size; p += 3) {
        size_t n = size < 3 ? size : 3;
        uint32_t v = (uint32_t)p[0] << 16;
        if (n > 1)
            v |= (uint32_t)p[1] << 8;
        if (n > 2)
            v |= p[2];
        for (unsigned k = 0; k < 4; k++) {
            if (k <= n)
                *at++ = digits[v >> (18 - 6 * k) & 63];
            else if (kind == SH_BASE64)
                *at++ = '=';
        }
        size -= n;
    }
    *at = 0;
    return (size_t)(at - out);
}

static int digit_value(int c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

long sh_unbase64url(void *out, size_t out_size, const char *text, size_t size)
{
    uint8_t *p = out;
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;
    if (size % 4 == 1)
        return -EBADMSG;
    for (size_t i = 0; i < size; i++) {
        int d = digit_value((uint8_t)text[i]);
        if (d < 0)
            return -EBADMSG;
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have < 8)
            continue;
        if (n >= out_size)
            return -E2BIG;
        have -= 8;
        p[n++] = (uint8_t)(bits >> have);
        bits &= (1u << have) - 1;
    }
    return bits ? -EBADMSG : (long)n;
}
