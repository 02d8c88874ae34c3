// SPDX-License-Identifier: Apache-2.0
// Inodes that the kernel knows: a file without names goes when it has forgotten it. Pages of
// counts, by the inodes' numbers.
#include <errno.h>
#include <stdlib.h>

#include "trusted/guest/volume/server.h"

#define IN_PAGE 512u

int known_add(struct server *s, uint64_t ino)
{
    size_t at = ino / IN_PAGE;
    if (at >= s->known_pages) {
        uint64_t **more = realloc(s->known, 2 * (at + 1) * sizeof(*more));
        if (!more)
            return -ENOMEM;
        for (s->known = more; s->known_pages < 2 * (at + 1); s->known_pages++)
            more[s->known_pages] = NULL;
    }
    if (!s->known[at])
        s->known[at] = calloc(IN_PAGE, sizeof(**s->known));
    if (!s->known[at])
        return -ENOMEM;
    s->known[at][ino % IN_PAGE]++;
    return 0;
}

void known_forget(struct server *s, uint64_t ino, uint64_t count)
{
    uint64_t *page = ino / IN_PAGE < s->known_pages ? s->known[ino / IN_PAGE] : NULL;
    if (!page || !page[ino % IN_PAGE])
        return;
    uint64_t *k = &page[ino % IN_PAGE];
    *k -= count < *k ? count : *k;
    if (!*k && !s->read_only)
        volume_forget(s->v, ino);
}
