// SPDX-License-Identifier: Apache-2.0
// Inodes that the kernel knows: a file without names goes when it has forgotten it. A table that
// grows with the kernel's own of inodes, and by 16 bytes each.
#include <errno.h>
#include <stdlib.h>

#include "trusted/guest/volume/server.h"

#define ROOM_FIRST 1024u

/* Its place, or the free one where it would be. */
static struct known *find_known(struct known *table, size_t room, uint64_t ino)
{
    size_t at = (size_t)(ino * 0x9e3779b97f4a7c15ull >> 20) & (room - 1);
    while (table[at].ino && table[at].ino != ino)
        at = (at + 1) & (room - 1);
    return &table[at];
}

static int grow_table(struct server *s)
{
    size_t room = s->known_room ? 2 * s->known_room : ROOM_FIRST;
    struct known *table = calloc(room, sizeof(*table));
    if (!table)
        return -ENOMEM;
    for (size_t i = 0; i < s->known_room; i++) {
        if (s->known[i].ino)
            *find_known(table, room, s->known[i].ino) = s->known[i];
    }
    free(s->known);
    s->known = table;
    s->known_room = room;
    return 0;
}

int known_add(struct server *s, uint64_t ino)
{
    if (2 * s->known_count >= s->known_room && grow_table(s))
        return -ENOMEM;
    struct known *k = find_known(s->known, s->known_room, ino);
    s->known_count += !k->ino;
    k->ino = ino;
    k->count++;
    return 0;
}

/* What stands behind a place that becomes free moves up, so that it is found. */
static void remove_known(struct server *s, struct known *k)
{
    size_t mask = s->known_room - 1, at = (size_t)(k - s->known);
    k->ino = 0;
    s->known_count--;
    for (at = (at + 1) & mask; s->known[at].ino; at = (at + 1) & mask) {
        struct known moved = s->known[at];
        s->known[at].ino = 0;
        *find_known(s->known, s->known_room, moved.ino) = moved;
    }
}

void known_forget(struct server *s, uint64_t ino, uint64_t count)
{
    struct known *k = s->known_room && ino ? find_known(s->known, s->known_room, ino) : NULL;
    if (!k || !k->ino)
        return;
    k->count -= count < k->count ? count : k->count;
    if (k->count)
        return;
    remove_known(s, k);
    if (!s->read_only)
        volume_forget(s->v, ino);
}
