// SPDX-License-Identifier: Apache-2.0
// The requests of FUSE, each as calls of the volume.
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trusted/guest/volume/server.h"

#define CAPABILITY "security.capability"
#define FOREVER (1ull << 40) /* seconds: nobody else changes the volume */
#define DOTS 2u              /* places before the volume's own: . and .. */

static int64_t ns_of(uint64_t s, uint32_t rest)
{
    int64_t ns;
    if (__builtin_mul_overflow((int64_t)s, 1000000000, &ns) ||
        __builtin_add_overflow(ns, rest % 1000000000, &ns))
        return (int64_t)s < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

static uint64_t seconds_of(int64_t ns, uint32_t *rest)
{
    int64_t s = ns / 1000000000, r = ns % 1000000000;
    *rest = (uint32_t)(r < 0 ? r + 1000000000 : r);
    return (uint64_t)(r < 0 ? s - 1 : s);
}

static void fill_attr(const struct volume_stat *st, struct fuse_attr *a)
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

/* The kernel knows the inode once more. */
static long answer_entry(struct server *s, const struct request *q, uint64_t ino)
{
    struct fuse_entry_out *e = q->out;
    struct volume_stat st;
    int r = volume_stat(s->v, ino, &st);
    if (!r)
        r = known_add(s, ino);
    if (r)
        return r;
    *e = (struct fuse_entry_out){
        .nodeid = ino, .generation = st.generation, .entry_valid = FOREVER, .attr_valid = FOREVER};
    fill_attr(&st, &e->attr);
    return sizeof(*e);
}

static long answer_attr(struct server *s, const struct request *q)
{
    struct fuse_attr_out *a = q->out;
    struct volume_stat st;
    int r = volume_stat(s->v, q->node, &st);
    if (r)
        return r;
    *a = (struct fuse_attr_out){.attr_valid = FOREVER};
    fill_attr(&st, &a->attr);
    return sizeof(*a);
}

/* The text behind `head` bytes of the argument, with its NUL; after `before` when that is not NULL.
 * size 0: there is none. */
static struct volume_name text_at(const struct request *q, size_t head,
                                  const struct volume_name *before)
{
    size_t at = head + (before ? before->size + 1 : 0);
    const char *text = (const char *)q->arg + at;
    size_t n = at < q->size ? strnlen(text, q->size - at) : 0;
    return at < q->size && n < q->size - at ? (struct volume_name){text, n}
                                            : (struct volume_name){"", 0};
}

static long look_up(struct server *s, const struct request *q)
{
    uint64_t ino;
    int r = volume_lookup(s->v, q->node, text_at(q, 0, NULL), &ino);
    if (r == -ENOENT) { /* which the kernel may remember */
        *(struct fuse_entry_out *)q->out = (struct fuse_entry_out){.entry_valid = FOREVER};
        return sizeof(struct fuse_entry_out);
    }
    return r ? r : answer_entry(s, q, ino);
}

static long forget_one(struct server *s, const struct request *q)
{
    known_forget(s, q->node, ((const struct fuse_forget_in *)q->arg)->nlookup);
    return NO_ANSWER;
}

static long forget_many(struct server *s, const struct request *q)
{
    const struct fuse_batch_forget_in *in = (const void *)q->arg;
    const struct fuse_forget_one *one = (const void *)(in + 1);
    size_t count = (q->size - sizeof(*in)) / sizeof(*one);
    for (size_t i = 0; i < count && i < in->count; i++)
        known_forget(s, one[i].nodeid, one[i].nlookup);
    return NO_ANSWER;
}

/* What a write by somebody without the right to it takes away. The kernel leaves it to us, and its
 * own attributes as they were. */
static int drop_privileges(struct server *s, uint64_t ino)
{
    struct volume_stat st;
    struct volume_name name = {CAPABILITY, sizeof(CAPABILITY) - 1};
    int r = volume_stat(s->v, ino, &st);
    uint32_t drop = S_ISUID | (st.mode & S_IXGRP ? S_ISGID : 0);
    if (!r && st.mode & drop) {
        struct volume_change c = {.what = VOLUME_SET_MODE, .mode = st.mode & 07777 & ~drop};
        r = volume_set(s->v, ino, &c);
        serve_changed(s, ino);
    }
    if (!r)
        r = volume_xattr_set(s->v, ino, name, NULL, 0, 0);
    return r == -ENODATA ? 0 : r;
}

static long set_attr(struct server *s, const struct request *q)
{
    _Static_assert(FATTR_MODE == VOLUME_SET_MODE && FATTR_UID == VOLUME_SET_UID &&
                       FATTR_GID == VOLUME_SET_GID && FATTR_SIZE == VOLUME_SET_SIZE &&
                       FATTR_ATIME == VOLUME_SET_ATIME && FATTR_MTIME == VOLUME_SET_MTIME,
                   "the same bits");
    const struct fuse_setattr_in *in = (const void *)q->arg;
    int64_t now = disk_now();
    struct volume_change c = {
        .what = in->valid & (VOLUME_SET_CTIME - 1),
        .mode = in->mode & 07777,
        .uid = in->uid,
        .gid = in->gid,
        .size = in->size,
        .atime = in->valid & FATTR_ATIME_NOW ? now : ns_of(in->atime, in->atimensec),
        .mtime = in->valid & FATTR_MTIME_NOW ? now : ns_of(in->mtime, in->mtimensec),
        .ctime = in->valid & FATTR_CTIME ? ns_of(in->ctime, in->ctimensec) : now};
    int r = in->valid & FATTR_KILL_SUIDGID ? drop_privileges(s, q->node) : 0;
    if (!r && (c.what || in->valid & FATTR_CTIME)) {
        c.what |= VOLUME_SET_CTIME;
        r = volume_set(s->v, q->node, &c);
    }
    return r ? r : answer_attr(s, q);
}

static long read_link(struct server *s, const struct request *q)
{
    return volume_read(s->v, q->node, 0, q->out, VOLUME_LINK_MAX);
}

static const struct volume_name no_name;

/* A directory with S_ISGID hands on its group, and to directories this bit. */
static long make_inode(struct server *s, const struct request *q, struct volume_name name,
                       uint32_t mode, uint32_t rdev, struct volume_name link)
{
    struct volume_stat parent;
    struct volume_owner owner = {q->uid, q->gid};
    uint64_t ino, dir = q->opcode == FUSE_TMPFILE ? 0 : q->node;
    int r = volume_stat(s->v, q->node, &parent);
    if (r)
        return r;
    if (parent.mode & S_ISGID) {
        owner.gid = parent.gid;
        mode |= S_ISDIR(mode) ? S_ISGID : 0;
    }
    r = volume_make(s->v, dir, name, mode, owner, rdev, link, &ino);
    return r ? r : answer_entry(s, q, ino);
}

static long make_node(struct server *s, const struct request *q)
{
    const struct fuse_mknod_in *in = (const void *)q->arg;
    return make_inode(s, q, text_at(q, sizeof(*in), NULL), in->mode, in->rdev, no_name);
}

static long make_dir(struct server *s, const struct request *q)
{
    const struct fuse_mkdir_in *in = (const void *)q->arg;
    uint32_t mode = S_IFDIR | (in->mode & 07777);
    return make_inode(s, q, text_at(q, sizeof(*in), NULL), mode, 0, no_name);
}

static long make_link(struct server *s, const struct request *q)
{
    struct volume_name name = text_at(q, 0, NULL), to = text_at(q, 0, &name);
    return to.size ? make_inode(s, q, name, S_IFLNK | 0777, 0, to) : -ENOENT;
}

/* An entry, and that it is open: there are no handles of files. */
static long create_file(struct server *s, const struct request *q)
{
    const struct fuse_create_in *in = (const void *)q->arg;
    struct fuse_open_out *open = (void *)((struct fuse_entry_out *)q->out + 1);
    long n =
        make_inode(s, q, text_at(q, sizeof(*in), NULL), S_IFREG | (in->mode & 07777), 0, no_name);
    if (n < 0)
        return n;
    *open = (struct fuse_open_out){.open_flags = FOPEN_KEEP_CACHE};
    return n + (long)sizeof(*open);
}

static long remove_name(struct server *s, const struct request *q)
{
    return volume_remove(s->v, q->node, text_at(q, 0, NULL));
}

static long rename_name(struct server *s, const struct request *q)
{
    bool plain = q->opcode == FUSE_RENAME;
    const struct fuse_rename2_in *in = (const void *)q->arg; /* FUSE_RENAME's is its beginning */
    size_t head = plain ? sizeof(struct fuse_rename_in) : sizeof(*in);
    struct volume_name from = text_at(q, head, NULL), name = text_at(q, head, &from);
    uint32_t flags = plain ? 0 : in->flags; /* NOREPLACE: the kernel has looked */
    if (flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    return volume_rename(s->v, q->node, from, in->newdir, name, flags & RENAME_EXCHANGE);
}

static long add_link(struct server *s, const struct request *q)
{
    const struct fuse_link_in *in = (const void *)q->arg;
    int r = volume_link(s->v, in->oldnodeid, q->node, text_at(q, sizeof(*in), NULL));
    return r ? r : answer_entry(s, q, in->oldnodeid);
}

static long read_file(struct server *s, const struct request *q)
{
    const struct fuse_read_in *in = (const void *)q->arg;
    return in->size > SERVER_DATA_MAX ? -EINVAL
                                      : volume_read(s->v, q->node, in->offset, q->out, in->size);
}

static long write_file(struct server *s, const struct request *q)
{
    const struct fuse_write_in *in = (const void *)q->arg;
    if (in->size > SERVER_DATA_MAX || in->size > q->size - sizeof(*in))
        return -EINVAL;
    int r = in->write_flags & FUSE_WRITE_KILL_SUIDGID ? drop_privileges(s, q->node) : 0;
    if (!r)
        r = volume_write(s->v, q->node, in->offset, in + 1, in->size);
    *(struct fuse_write_out *)q->out = (struct fuse_write_out){.size = in->size};
    return r ? r : (long)sizeof(struct fuse_write_out);
}

static long stat_fs(struct server *s, const struct request *q)
{
    struct volume_info i;
    volume_info(s->v, &i);
    *(struct fuse_statfs_out *)q->out =
        (struct fuse_statfs_out){.st = {.blocks = i.blocks,
                                        .bfree = i.free,
                                        .bavail = i.available,
                                        .files = i.files + i.available,
                                        .ffree = i.available,
                                        .bsize = 4096,
                                        .namelen = VOLUME_NAME_MAX,
                                        .frsize = 4096}};
    return sizeof(struct fuse_statfs_out);
}

static long ask_sync(struct server *s, const struct request *q)
{
    if (s->read_only)
        return 0;
    sync_ask(s, q->unique);
    return NO_ANSWER;
}

/* A value or all names, or how large that is where the kernel has no room for it. */
static long read_xattr(struct server *s, const struct request *q)
{
    const struct fuse_getxattr_in *in = (const void *)q->arg;
    uint32_t room = in->size < SERVER_DATA_MAX ? in->size : SERVER_DATA_MAX;
    struct volume_name name = text_at(q, sizeof(*in), NULL);
    long n = q->opcode == FUSE_LISTXATTR ? volume_xattr_list(s->v, q->node, q->out, room)
                                         : volume_xattr_get(s->v, q->node, name, q->out, room);
    if (n < 0 || in->size)
        return n;
    *(struct fuse_getxattr_out *)q->out = (struct fuse_getxattr_out){.size = (uint32_t)n};
    return sizeof(struct fuse_getxattr_out);
}

/* ACLs are the LibOS's neither. */
static bool is_acl(struct volume_name name)
{
    return name.size > 7 && !memcmp(name.text, "system.", 7);
}

static long set_xattr(struct server *s, const struct request *q)
{
    const struct fuse_setxattr_in *in =
        (const void *)q->arg; /* its first 8 bytes: no SETXATTR_EXT */
    struct volume_name name = text_at(q, FUSE_COMPAT_SETXATTR_IN_SIZE, NULL);
    size_t at = FUSE_COMPAT_SETXATTR_IN_SIZE + name.size + 1;
    if (!name.size || at > q->size || in->size > q->size - at)
        return -EINVAL;
    if (is_acl(name))
        return -EOPNOTSUPP;
    return volume_xattr_set(s->v, q->node, name, q->arg + at, in->size, (int)(in->flags & 3));
}

static long remove_xattr(struct server *s, const struct request *q)
{
    return volume_xattr_set(s->v, q->node, text_at(q, 0, NULL), NULL, 0, 0);
}

static long allocate_room(struct server *s, const struct request *q)
{
    const struct fuse_fallocate_in *in = (const void *)q->arg;
    uint64_t end;
    struct volume_stat st;
    struct volume_info info;
    if (in->mode & ~(uint32_t)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        return -EOPNOTSUPP;
    if (__builtin_add_overflow(in->offset, in->length, &end) || end > INT64_MAX)
        return -EFBIG;
    int r = volume_stat(s->v, q->node, &st);
    if (!r && in->mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
        r = volume_punch(s->v, q->node, in->offset, in->length);
    } else if (!r) { /* blocks are given out when they are written: is there room now? */
        volume_info(s->v, &info);
        r = in->length / 4096 > info.available ? -ENOSPC : 0;
    }
    struct volume_change c = {.what = VOLUME_SET_SIZE, .size = end};
    if (!r && !(in->mode & FALLOC_FL_KEEP_SIZE) && end > st.size)
        r = volume_set(s->v, q->node, &c);
    return r;
}

static long seek_file(struct server *s, const struct request *q)
{
    const struct fuse_lseek_in *in = (const void *)q->arg;
    int64_t at = volume_seek(s->v, q->node, in->offset, in->whence == SEEK_HOLE);
    *(struct fuse_lseek_out *)q->out = (struct fuse_lseek_out){.offset = (uint64_t)at};
    return at < 0 ? (long)at : (long)sizeof(struct fuse_lseek_out);
}

/* Without FUSE_ASYNC_DIO: after such writes the kernel leaves old pages in its cache. */
static long start_session(struct server *s, const struct request *q)
{
    static const uint64_t wanted = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_PARALLEL_DIROPS |
                                   FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_HANDLE_KILLPRIV_V2;
    const struct fuse_init_in *in = (const void *)q->arg;
    if (in->major != FUSE_KERNEL_VERSION || in->minor < 31)
        return -EPROTO;
    *(struct fuse_init_out *)q->out =
        (struct fuse_init_out){.major = FUSE_KERNEL_VERSION,
                               .minor = FUSE_KERNEL_MINOR_VERSION,
                               .max_readahead = in->max_readahead,
                               .flags = (uint32_t)(wanted & in->flags),
                               .max_background = 64,
                               .congestion_threshold = 48,
                               .max_write = SERVER_DATA_MAX,
                               .time_gran = 1,
                               .max_pages = SERVER_DATA_MAX / 4096};
    return sizeof(struct fuse_init_out);
}

static long open_dir(struct server *s, const struct request *q)
{
    *(struct fuse_open_out *)q->out = (struct fuse_open_out){0};
    return sizeof(struct fuse_open_out);
}

/* A list that grows by entries: a name that stays is seen once, whatever comes and goes meanwhile.
 */
struct page {
    uint8_t *out;
    size_t room, used;
    uint64_t next; /* of the last entry's place */
    size_t whole;  /* bytes before those that share it: they come all or not at all */
};

static int put_entry(void *arg, struct volume_name name, uint64_t ino, uint32_t mode, uint64_t next)
{
    struct page *p = arg;
    size_t size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + name.size);
    struct fuse_dirent *d = (struct fuse_dirent *)(p->out + p->used);
    if (next != p->next)
        p->whole = p->used;
    p->next = next;
    if (p->used + size > p->room) {
        p->used = p->whole;
        return 1;
    }
    memset(d, 0, size);
    d->ino = ino;
    d->off = next + DOTS;
    d->namelen = (uint32_t)name.size;
    d->type = mode >> 12 & 15;
    memcpy(d->name, name.text, name.size);
    p->used += size;
    return 0;
}

static long read_dir(struct server *s, const struct request *q)
{
    const struct fuse_read_in *in = (const void *)q->arg;
    uint64_t from = in->offset;
    struct page p = {.out = q->out,
                     .room = in->size < SERVER_DATA_MAX ? in->size : SERVER_DATA_MAX};
    struct volume_stat st;
    int r = volume_stat(s->v, q->node, &st);
    if (!r && from < 1)
        r = put_entry(&p, (struct volume_name){".", 1}, st.ino, st.mode, 1 - (uint64_t)DOTS);
    if (!r && from < DOTS)
        r = put_entry(&p, (struct volume_name){"..", 2}, st.parent, st.mode, 0);
    if (!r)
        r = volume_list(s->v, q->node, from < DOTS ? 0 : from - DOTS, put_entry, &p);
    return r < 0 ? r : (long)p.used;
}

/* What is not here is -ENOSYS, which the kernel remembers: it opens files without asking, and ends
 * requests without interrupting them. */
static const struct {
    long (*handle)(struct server *s, const struct request *q);
    uint32_t size; /* of the argument, at least */
    bool changes;
} table[] = {
    [FUSE_LOOKUP] = {look_up, 1, false},
    [FUSE_FORGET] = {forget_one, sizeof(struct fuse_forget_in), false},
    [FUSE_GETATTR] = {answer_attr, 0, false},
    [FUSE_SETATTR] = {set_attr, sizeof(struct fuse_setattr_in), true},
    [FUSE_READLINK] = {read_link, 0, false},
    [FUSE_SYMLINK] = {make_link, 2, true},
    [FUSE_MKNOD] = {make_node, sizeof(struct fuse_mknod_in) + 1, true},
    [FUSE_MKDIR] = {make_dir, sizeof(struct fuse_mkdir_in) + 1, true},
    [FUSE_UNLINK] = {remove_name, 1, true},
    [FUSE_RMDIR] = {remove_name, 1, true},
    [FUSE_RENAME] = {rename_name, sizeof(struct fuse_rename_in) + 2, true},
    [FUSE_LINK] = {add_link, sizeof(struct fuse_link_in) + 1, true},
    [FUSE_READ] = {read_file, sizeof(struct fuse_read_in), false},
    [FUSE_WRITE] = {write_file, sizeof(struct fuse_write_in), true},
    [FUSE_STATFS] = {stat_fs, 0, false},
    [FUSE_FSYNC] = {ask_sync, 0, false},
    [FUSE_SETXATTR] = {set_xattr, FUSE_COMPAT_SETXATTR_IN_SIZE + 1, true},
    [FUSE_GETXATTR] = {read_xattr, sizeof(struct fuse_getxattr_in) + 1, false},
    [FUSE_LISTXATTR] = {read_xattr, sizeof(struct fuse_getxattr_in), false},
    [FUSE_REMOVEXATTR] = {remove_xattr, 1, true},
    [FUSE_INIT] = {start_session, 16, false},
    [FUSE_OPENDIR] = {open_dir, 0, false},
    [FUSE_READDIR] = {read_dir, sizeof(struct fuse_read_in), false},
    [FUSE_FSYNCDIR] = {ask_sync, 0, false},
    [FUSE_CREATE] = {create_file, sizeof(struct fuse_create_in) + 1, true},
    [FUSE_BATCH_FORGET] = {forget_many, sizeof(struct fuse_batch_forget_in), false},
    [FUSE_FALLOCATE] = {allocate_room, sizeof(struct fuse_fallocate_in), true},
    [FUSE_RENAME2] = {rename_name, sizeof(struct fuse_rename2_in) + 2, true},
    [FUSE_LSEEK] = {seek_file, sizeof(struct fuse_lseek_in), false},
    [FUSE_SYNCFS] = {ask_sync, 0, false},
    [FUSE_TMPFILE] = {create_file, sizeof(struct fuse_create_in), true},
};

bool handle_changes(uint32_t opcode)
{
    return opcode < sizeof(table) / sizeof(table[0]) && table[opcode].changes;
}

long handle_request(struct server *s, const struct request *q)
{
    uint32_t opcode = q->opcode;
    if (opcode >= sizeof(table) / sizeof(table[0]) || !table[opcode].handle)
        return -ENOSYS;
    if (q->size < table[opcode].size)
        return -EINVAL;
    if (table[opcode].changes && s->read_only)
        return -EROFS;
    return table[opcode].handle(s, q);
}
