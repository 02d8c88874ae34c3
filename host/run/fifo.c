// SPDX-License-Identifier: Apache-2.0
// A byte queue that grows on demand.
#include "host/run/fifo.h"

#include <string.h>

void sh_fifo_add(struct sh_fifo *f, const void *data, size_t size)
{
    if (!size)
        return;
    if (f->head && f->capacity - f->head - f->size < size) {
        memmove(f->data, f->data + f->head, f->size);
        f->head = 0;
    }
    if (f->capacity - f->head - f->size < size) {
        size_t want = f->capacity ? f->capacity : 4096;
        while (want - f->size < size)
            want *= 2;
        f->data = sh_realloc_array(f->data, want, 1);
        f->capacity = want;
    }
    memcpy(f->data + f->head + f->size, data, size);
    f->size += size;
}

void sh_fifo_drop(struct sh_fifo *f, size_t size)
{
    f->head += size;
    f->size -= size;
    if (f->size)
        return;
    f->head = 0;
    if (f->capacity > 65536)
        sh_fifo_free(f);
}

void sh_fifo_free(struct sh_fifo *f)
{
    free(f->data);
    *f = (struct sh_fifo){0};
}
