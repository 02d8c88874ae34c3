// SPDX-License-Identifier: Apache-2.0
// Directories that are read: each as it was when it was opened or rewound, so that a program sees
// every name once, whatever changes meanwhile.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trusted/guest/volume/server.h"

#define LISTINGS_MAX 65536u

static int make_room(void **p, size_t *room, size_t need, size_t size)
{
    size_t more = *room ? 2 * *room : 256;
    while (more < need)
        more *= 2;
    if (need <= *room)
        return 0;
    void *bigger = realloc(*p, more * size);
    if (!bigger)
        return -ENOMEM;
    *p = bigger;
    *room = more;
    return 0;
}

static int add_name(void *arg, struct volume_name name, uint64_t ino, uint32_t mode)
{
    struct listing *l = arg;
    if (l->names_size + name.size + 1 > UINT32_MAX ||
        make_room((void **)&l->entries, &l->room, l->count + 1, sizeof(*l->entries)) ||
        make_room((void **)&l->names, &l->names_room, l->names_size + name.size + 1, 1))
        return -ENOMEM;
    l->entries[l->count++] = (struct listed){ino, mode, (uint32_t)l->names_size};
    memcpy(l->names + l->names_size, name.text, name.size);
    l->names[l->names_size + name.size] = 0;
    l->names_size += name.size + 1;
    return 0;
}

static int fill_listing(struct server *s, struct listing *l)
{
    struct volume_stat st;
    l->count = l->names_size = 0;
    int r = volume_stat(s->v, l->dir, &st);
    l->parent = r ? 0 : st.parent;
    return r ? r : volume_list(s->v, l->dir, add_name, l);
}

static void drop_listing(struct listing *l)
{
    free(l->entries);
    free(l->names);
    *l = (struct listing){0};
}

long dir_open(struct server *s, const struct request *q)
{
    size_t at = 0;
    while (at < s->listing_count && s->listings[at].used)
        at++;
    if (at == LISTINGS_MAX)
        return -ENFILE;
    if (at == s->listing_count) {
        size_t more = at ? 2 * at : 16;
        struct listing *bigger = realloc(s->listings, more * sizeof(*bigger));
        if (!bigger)
            return -ENOMEM;
        memset(bigger + at, 0, (more - at) * sizeof(*bigger));
        s->listings = bigger;
        s->listing_count = more;
    }
    s->listings[at] = (struct listing){.dir = q->node, .used = true};
    int r = fill_listing(s, &s->listings[at]);
    if (r) {
        drop_listing(&s->listings[at]);
        return r;
    }
    *(struct fuse_open_out *)q->out = (struct fuse_open_out){.fh = at};
    return sizeof(struct fuse_open_out);
}

static struct listing *listing_of(struct server *s, uint64_t fh, uint64_t node)
{
    bool good = fh < s->listing_count && s->listings[fh].used && s->listings[fh].dir == node;
    return good ? &s->listings[fh] : NULL;
}

long dir_release(struct server *s, const struct request *q)
{
    struct listing *l = listing_of(s, ((const struct fuse_release_in *)q->arg)->fh, q->node);
    if (l)
        drop_listing(l);
    return 0;
}

/* The entry number `at`: 0 is ".", 1 "..". */
static const char *entry_at(const struct listing *l, uint64_t at, uint64_t *ino, uint32_t *mode)
{
    static const char *const dots[] = {".", ".."};
    *mode = 040000;
    *ino = at ? l->parent : l->dir;
    if (at < 2)
        return dots[at];
    *ino = l->entries[at - 2].ino;
    *mode = l->entries[at - 2].mode;
    return l->names + l->entries[at - 2].at;
}

/* The kernel takes this for what the name means now: none of what the name meant once. */
static void fill_plus(struct server *s, const struct listing *l, struct volume_name name,
                      uint64_t ino, struct fuse_entry_out *e)
{
    uint64_t now;
    if (volume_lookup(s->v, l->dir, name, &now) || now != ino || fill_entry(s, ino, e))
        *e = (struct fuse_entry_out){0};
}

long dir_read(struct server *s, const struct request *q, bool plus)
{
    const struct fuse_read_in *in = (const void *)q->arg;
    struct listing *l = listing_of(s, in->fh, q->node);
    size_t head = plus ? sizeof(struct fuse_entry_out) : 0, used = 0;
    size_t room = in->size < SERVER_DATA_MAX ? in->size : SERVER_DATA_MAX;
    int r = !l ? -EBADF : in->offset ? 0 : fill_listing(s, l);
    if (r)
        return r;
    for (uint64_t at = in->offset; at < l->count + 2; at++) {
        uint64_t ino;
        uint32_t mode;
        const char *name = entry_at(l, at, &ino, &mode);
        size_t n = strlen(name), size = head + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + n);
        uint8_t *out = (uint8_t *)q->out + used;
        if (used + size > room)
            break;
        memset(out, 0, size);
        if (plus && at >= 2)
            fill_plus(s, l, (struct volume_name){name, n}, ino, (struct fuse_entry_out *)out);
        struct fuse_dirent *d = (struct fuse_dirent *)(out + head);
        d->ino = ino;
        d->off = at + 1;
        d->namelen = (uint32_t)n;
        d->type = mode >> 12 & 15;
        memcpy(d->name, name, n);
        used += size;
    }
    return (long)used;
}
