// SPDX-License-Identifier: Apache-2.0
// Text that grows.
#include "trusted/libos/fs/proc.h"

void text_put_bytes(struct text *t, const void *bytes, size_t n)
{
    if (t->size + n > t->room) {
        size_t room = MAX(t->room * 2, t->size + n + 4096);
        char *data = t->error ? NULL : los_realloc(t->data, room);
        if (!data) {
            t->error = -ENOMEM;
            return;
        }
        t->data = data;
        t->room = room;
    }
    memcpy(t->data + t->size, bytes, n);
    t->size += n;
}

void text_put(struct text *t, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    size_t n = (size_t)fmtv(line, sizeof(line), format, args);
    va_end(args);
    text_put_bytes(t, line, MIN(n, sizeof(line) - 1));
}
