// SPDX-License-Identifier: Apache-2.0
// What is gathered of a directory.
#include "trusted/libos/fs/file.h"

int listing_add(struct listing *l, const char *name, size_t size, uint64_t ino, uint8_t type)
{
    if (l->count == l->room * LISTING_PART) {
        struct listed **parts = los_realloc(l->parts, (l->room + 1) * sizeof(struct listed *));
        if (!parts)
            return -ENOMEM;
        l->parts = parts;
        parts[l->room] = los_alloc(LISTING_PART * sizeof(struct listed));
        if (!parts[l->room])
            return -ENOMEM;
        l->room++;
    }
    char *copy = los_alloc(size + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, name, size);
    *listing_at(l, l->count++) = (struct listed){copy, ino, type};
    return 0;
}

void listing_free(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        los_free(listing_at(l, i)->name);
    for (size_t i = 0; i < l->room; i++)
        los_free(l->parts[i]);
    los_free(l->parts);
    *l = (struct listing){0};
}
