// SPDX-License-Identifier: Apache-2.0
// What the kernel is answered.
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "trusted/guest/volume/server.h"

static uint64_t seconds_of(int64_t ns, uint32_t *rest)
{
    int64_t s = ns / 1000000000, r = ns % 1000000000;
    *rest = (uint32_t)(r < 0 ? r + 1000000000 : r);
    return (uint64_t)(r < 0 ? s - 1 : s);
}

void fill_attr(const struct volume_stat *st, struct fuse_attr *a)
{
    *a = (struct fuse_attr){.ino = st->ino,
                            .size = st->size,
                            .blocks = st->blocks * 8,
                            .mode = st->mode,
                            .nlink = st->nlink,
                            .uid = st->uid,
                            .gid = st->gid,
                            .rdev = st->rdev,
                            .blksize = 4096};
    a->atime = seconds_of(st->atime, &a->atimensec);
    a->mtime = seconds_of(st->mtime, &a->mtimensec);
    a->ctime = seconds_of(st->ctime, &a->ctimensec);
}

int fill_entry(struct server *s, uint64_t ino, struct fuse_entry_out *e)
{
    struct volume_stat st;
    int r = volume_stat(s->v, ino, &st);
    if (!r)
        r = known_add(s, ino);
    if (r)
        return r;
    *e = (struct fuse_entry_out){
        .nodeid = ino, .generation = st.generation, .entry_valid = FOREVER, .attr_valid = FOREVER};
    fill_attr(&st, &e->attr);
    return 0;
}

/* Without the lock of the inode, as only attributes are meant. */
void serve_changed(struct server *s, uint64_t ino)
{
    struct {
        struct fuse_out_header head;
        struct fuse_notify_inval_inode_out inode;
    } out = {{.len = sizeof(out), .error = FUSE_NOTIFY_INVAL_INODE}, {.ino = ino, .off = -1}};
    (void)!write(s->fuse_fd, &out, sizeof(out));
}

void serve_answer(struct server *s, uint64_t unique, int error, size_t size)
{
    struct fuse_out_header *h = (void *)s->out;
    *h = (struct fuse_out_header){
        .len = (uint32_t)(sizeof(*h) + size), .error = error, .unique = unique};
    while (write(s->fuse_fd, s->out, h->len) < 0 && errno == EINTR)
        ; /* another error: nobody waits for it any more */
}

void serve_tell(const char *line)
{
    (void)send(SERVER_CONTROL_FD, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
}
