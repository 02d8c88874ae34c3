// SPDX-License-Identifier: Apache-2.0
// Directories that are read, from one place to the next: a name that stays is seen once, whatever
// comes and goes meanwhile.
#include <string.h>

#include "trusted/guest/volume/server.h"

#define DOTS 2u /* places before the volume's own: . and .. */

/* An answer that grows by entries. */
struct page {
    const struct request *q;
    size_t head, room, used; /* head: bytes before each entry */
    uint64_t next;           /* of the last entry's place */
    size_t whole;            /* bytes before those that share it: they come all or not at all */
};

static int put_entry(struct page *p, struct volume_name name, uint64_t ino, uint32_t mode,
                     uint64_t next)
{
    size_t size = p->head + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + name.size);
    uint8_t *out = (uint8_t *)p->q->out + p->used;
    struct fuse_dirent *d = (struct fuse_dirent *)(out + p->head);
    if (next != p->next)
        p->whole = p->used;
    p->next = next;
    if (p->used + size > p->room) {
        p->used = p->whole;
        return 1;
    }
    memset(out, 0, size);
    d->ino = ino;
    d->off = next;
    d->namelen = (uint32_t)name.size;
    d->type = mode >> 12 & 15;
    memcpy(d->name, name.text, name.size);
    p->used += size;
    return 0;
}

static int put_name(void *arg, struct volume_name name, uint64_t ino, uint32_t mode, uint64_t next)
{
    return put_entry(arg, name, ino, mode, next + DOTS);
}

/* What is asked of each entry beside its name. */
static void fill_heads(struct server *s, struct page *p)
{
    const struct fuse_dirent *d;
    for (size_t at = 0; at < p->used; at += p->head + FUSE_DIRENT_SIZE(d)) {
        struct fuse_entry_out *e = (void *)((uint8_t *)p->q->out + at);
        d = (const void *)((uint8_t *)e + p->head);
        if (d->off > DOTS && fill_entry(s, d->ino, e))
            *e = (struct fuse_entry_out){0};
    }
}

long dir_read(struct server *s, const struct request *q)
{
    const struct fuse_read_in *in = (const void *)q->arg;
    struct page p = {.q = q,
                     .head = q->opcode == FUSE_READDIRPLUS ? sizeof(struct fuse_entry_out) : 0,
                     .room = in->size < SERVER_DATA_MAX ? in->size : SERVER_DATA_MAX};
    struct volume_stat st;
    int r = volume_stat(s->v, q->node, &st);
    if (!r && in->offset < 1)
        r = put_entry(&p, (struct volume_name){".", 1}, st.ino, st.mode, 1);
    if (!r && in->offset < DOTS)
        r = put_entry(&p, (struct volume_name){"..", 2}, st.parent, st.mode, DOTS);
    if (!r)
        r = volume_list(s->v, q->node, in->offset < DOTS ? 0 : in->offset - DOTS, put_name, &p);
    if (p.head)
        fill_heads(s, &p);
    return r < 0 ? r : (long)p.used;
}
