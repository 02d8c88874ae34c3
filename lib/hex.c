// SPDX-License-Identifier: Apache-2.0
// Bytes as hexadecimal text.
#include "lib/hex.h"

#include <errno.h>

void sh_hex(char *out, const void *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;
    for (size_t i = 0; i < size; i++) {
        *out++ = digits[p[i] >> 4];
        *out++ = digits[p[i] & 15];
    }
    *out = 0;
}

int sh_hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int sh_hex_byte(const void *text)
{
    const uint8_t *p = text;
    int high = sh_hex_digit(p[0]);
    int low = high < 0 ? -1 : sh_hex_digit(p[1]);
    return low < 0 ? -1 : high << 4 | low;
}

int sh_unhex(void *out, size_t size, const char *text)
{
    uint8_t *p = out;
    for (size_t i = 0; i < size; i++) {
        int byte = sh_hex_byte(text);
        if (byte < 0)
            return -EINVAL;
        p[i] = (uint8_t)byte;
        text += 2;
    }
    return *text ? -EINVAL : 0;
}
