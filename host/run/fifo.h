// SPDX-License-Identifier: Apache-2.0
// A byte queue that grows on demand; who fills it keeps the bound.
#ifndef HOST_RUN_FIFO_H
#define HOST_RUN_FIFO_H

#include "host/base/util.h"

struct sh_fifo {
    uint8_t *data;
    size_t head; /* first byte that was not taken yet */
    size_t size; /* bytes waiting */
    size_t capacity;
};

void sh_fifo_add(struct sh_fifo *f, const void *data, size_t size);

/* The waiting bytes, in one piece; valid until the next add. */
static inline const uint8_t *sh_fifo_peek(const struct sh_fifo *f)
{
    return f->data + f->head;
}

/* Drops the first `size` bytes (at most f->size). A big buffer that ran empty is given back. */
void sh_fifo_drop(struct sh_fifo *f, size_t size);

void sh_fifo_free(struct sh_fifo *f);

#endif
