// SPDX-License-Identifier: Apache-2.0
// The launch config: what passes the check is canonical, and its values can be read and written
// back.
#include <stdio.h>
#include <stdlib.h>

#include "tests/launch_values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Canonical means: written again from its values, it is the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[SH_LAUNCH_SIZE_MAX + 4096], value[SH_LAUNCH_SIZE_MAX];
    if (sh_launch_check(data, size))
        return 0;
    size_t at = (size_t)sprintf(text, "%s", SH_LAUNCH_HEAD);
    for (int key = 0; key < SH_LAUNCH_KEY_COUNT; key++) {
        size_t count = sh_launch_count(data, size, (enum sh_launch_key)key);
        for (size_t i = 0; i < count; i++) {
            int n = sh_launch_get(data, size, (enum sh_launch_key)key, i, value, sizeof(value));
            if (n < 0 || (size_t)n != strlen(value))
                abort();
            at += (size_t)sprintf(text + at, "%s ", sh_launch_words[key]);
            for (int k = 0; k < n; k++) {
                unsigned char c = (unsigned char)value[k];
                bool plain = c >= 0x20 && c <= 0x7e && c != '%' && c != '\'';
                at += (size_t)sprintf(text + at, plain ? "%c" : "%%%02X", c);
            }
            text[at++] = '\n';
        }
    }
    at += (size_t)sprintf(text + at, "%s", SH_LAUNCH_TAIL);
    if (at != size || memcmp(text, data, size))
        abort();
    return 0;
}
