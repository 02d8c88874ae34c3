// SPDX-License-Identifier: Apache-2.0
// What is gathered of a directory.
#include "trusted/libos/fs/file.h"

int listing_add(struct listing *l, const char *name, size_t size, uint64_t ino, uint8_t type)
{
    if (l->count == l->room) {
        size_t room = l->room ? l->room * 2 : 32;
        struct listed *items = los_realloc(l->items, room * sizeof(*items));
        if (!items)
            return -ENOMEM;
        l->items = items;
        l->room = room;
    }
    char *copy = los_alloc(size + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, name, size);
    l->items[l->count++] = (struct listed){copy, ino, type};
    return 0;
}

void listing_free(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        los_free(l->items[i].name);
    los_free(l->items);
    *l = (struct listing){0};
}
