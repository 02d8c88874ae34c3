// SPDX-License-Identifier: Apache-2.0
// UTF-8: what may go into JSON, and what may come out of a text file.
#include "host/base/utf8.h"

#include "host/base/util.h"

size_t sh_utf8_size(const void *data, size_t left)
{
    const uint8_t *p = data;
    size_t n = 0;
    if (*p < 0x80)
        return 1;
    if (*p >= 0xc2 && *p < 0xe0)
        n = 2;
    else if (*p >= 0xe0 && *p < 0xf0)
        n = 3;
    else if (*p >= 0xf0 && *p < 0xf5)
        n = 4;
    if (!n || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, and what is beyond U+10FFFF. */
    if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
        (*p == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

size_t sh_utf8_encode(char out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000 && (c < 0xd800 || c > 0xdfff)) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    if (c >= 0x10000 && c < 0x110000) {
        out[0] = (char)(0xf0 | c >> 18);
        out[1] = (char)(0x80 | (c >> 12 & 0x3f));
        out[2] = (char)(0x80 | (c >> 6 & 0x3f));
        out[3] = (char)(0x80 | (c & 0x3f));
        return 4;
    }
    return 0;
}

char *sh_utf8_clean(const void *data, size_t size)
{
    struct sh_buffer b = {0};
    const uint8_t *p = data;
    for (size_t i = 0; i < size;) {
        size_t n = sh_utf8_size(p + i, size - i);
        if (n)
            sh_buffer_add(&b, p + i, n);
        else
            sh_buffer_add(&b, "\xef\xbf\xbd", 3);
        i += n ? n : 1;
    }
    sh_buffer_add(&b, "", 1);
    return (char *)b.data;
}
