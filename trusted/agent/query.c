// SPDX-License-Identifier: Apache-2.0
// Percent-decoding of a query's parameters.
#include "trusted/agent/query.h"

#include <asm/errno.h>
#include <string.h>

#include "lib/hex.h"

static int decode_percent(const uint8_t *text, size_t size, uint8_t *out, size_t out_size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++, n++) {
        int c = text[i];
        if (n >= out_size)
            return -E2BIG;
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            c = size - i < 3 ? -1 : sh_hex_byte(text + i + 1);
            if (c < 0)
                return -EINVAL;
            i += 2;
        }
        out[n] = (uint8_t)c;
    }
    return (int)n;
}

int agent_query_get(struct sh_view query, const char *name, uint8_t *out, size_t out_size)
{
    size_t name_size = strlen(name);
    for (size_t at = 0; at < query.size;) {
        const uint8_t *p = query.data + at;
        size_t size = 0;
        while (at + size < query.size && p[size] != '&')
            size++;
        if (size > name_size && !memcmp(p, name, name_size) && p[name_size] == '=')
            return decode_percent(p + name_size + 1, size - name_size - 1, out, out_size);
        at += size + 1;
    }
    return -ENOENT;
}

bool agent_query_known(struct sh_view query, const char *const *names)
{
    unsigned seen = 0;
    for (size_t at = 0; at < query.size;) {
        const uint8_t *p = query.data + at;
        size_t size = 0, i = 0;
        while (at + size < query.size && p[size] != '&')
            size++;
        while (names[i] && !(size > strlen(names[i]) && !memcmp(p, names[i], strlen(names[i])) &&
                             p[strlen(names[i])] == '='))
            i++;
        if (!names[i] || seen & 1u << i)
            return false;
        seen |= 1u << i;
        at += size + 1;
    }
    return true;
}
