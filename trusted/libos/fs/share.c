// SPDX-License-Identifier: Apache-2.0
// Folders of the host: each question is a call out, each answer a stranger's.
#include "trusted/libos/fs/share.h"

#include <asm/statfs.h>
#include <linux/fs.h>

#include <shelter/share.h>

#include "lib/settings.h"
#include "trusted/libos/base/claim.h"
#include "trusted/libos/fs/mounted.h"
#include "trusted/libos/mm/mm.h"

#define LIST_MAX 1000000u /* names of one folder: a host that never ends is believed no more */
#define TEXT_MAX 4096u    /* of a link */

/* A file that the host may be asked about. */
struct share_node {
    uint32_t number;
    uint32_t mode, uid, gid; /* as the host said last, as is the rest */
    int64_t atime, mtime;
    uint64_t blocks;
};

static struct radix nodes; /* inodes, by their node's number */
static const struct inode_ops share_ops;

/* ---- questions ---- */

/* How many bytes of A were filled: `room` at most; or -errno. */
static long ask_host(const struct sh_share_request *q, const void *data, size_t size, void *out,
                     size_t room)
{
    uint32_t filled = (uint32_t)room;
    long r = claim_count(port_share(q, data, (uint32_t)size, out, &filled), MOUNT_CHUNK);
    return r < 0 ? r : out ? (long)filled : r;
}

static struct share_node *node_of(const struct inode *i)
{
    return i->data;
}

/* A question about i, whose answer is no more than that it is done. */
static int ask_done(struct sh_share_request q, const struct inode *i, const void *data, size_t size)
{
    if (!node_of(i))
        return -EPERM;
    q.node = node_of(i)->number;
    return claim_status(ask_host(&q, data, size, NULL, 0));
}

static int ask_stat_of(const struct sh_share_request *q, const void *data, size_t size,
                       struct sh_share_stat *st)
{
    long r = ask_host(q, data, size, st, sizeof(*st));
    return r < 0 ? (int)r : r == sizeof(*st) && st->size <= INT64_MAX ? 0 : -EIO;
}

static int ask_stat(struct sh_share_request q, const struct inode *i, const void *data, size_t size,
                    struct sh_share_stat *st)
{
    if (!node_of(i))
        return -EPERM;
    q.node = node_of(i)->number;
    return ask_stat_of(&q, data, size, st);
}

static void forget_node(uint32_t number)
{
    ask_host(&(struct sh_share_request){.op = SH_SHARE_FORGET, .node = number}, NULL, 0, NULL, 0);
}

/* ---- inodes ---- */

/* Whose type it has. Rights beyond the ordinary ones are not the host's to give. */
static void take_stat(struct inode *i, const struct sh_share_stat *st)
{
    struct share_node *n = node_of(i);
    i->ino = st->ino;
    i->mode = (i->mode & S_IFMT) | (st->mode & 01777);
    i->uid = st->uid;
    i->gid = st->gid;
    i->nlink = st->nlink;
    __atomic_store_n(&i->size, st->size, __ATOMIC_RELEASE);
    i->atime = mount_time(st->atime);
    i->mtime = mount_time(st->mtime);
    i->ctime = mount_time(st->ctime);
    if (n)
        *n = (struct share_node){n->number, i->mode,   st->uid,   st->gid,
                                 st->atime, st->mtime, st->blocks};
}

/* What is mapped read-only shows what the file was; not longer than it is mapped. */
static void drop_old_pages(struct inode *i)
{
    if (i->page_count && list_empty(&i->maps))
        object_drop(i, 0, UINT64_MAX);
}

static void refresh_inode(struct inode *i)
{
    struct sh_share_stat st;
    drop_old_pages(i);
    if (!ask_stat((struct sh_share_request){.op = SH_SHARE_STAT}, i, NULL, 0, &st) &&
        (st.mode & S_IFMT) == (i->mode & S_IFMT))
        take_stat(i, &st);
}

/* i becomes the host's file, whose number is in *st. Its type is i's. */
static int adopt_inode(struct inode *i, struct mount *m, const struct sh_share_stat *st)
{
    struct share_node *n = st->node ? los_alloc(sizeof(*n)) : NULL;
    void **slot = n ? radix_slot(&nodes, st->node) : NULL;
    if (st->node && !slot) {
        los_free(n);
        return -ENOMEM;
    }
    i->mount = m;
    i->ops = &share_ops;
    if (n) {
        n->number = st->node;
        i->data = n;
        *slot = i;
    }
    take_stat(i, st);
    return 0;
}

static bool is_known(uint32_t type)
{
    return type == S_IFREG || type == S_IFDIR || type == S_IFLNK;
}

/* The inode of a file that the host names, counted: the same as long as somebody has it. */
static int inode_of(struct mount *m, const struct sh_share_stat *st, struct inode **out)
{
    uint32_t type = st->mode & S_IFMT;
    struct inode *i = st->node ? radix_get(&nodes, st->node) : NULL;
    if (st->node >= SH_SHARE_NODES || is_known(type) != (st->node != 0))
        return -EIO;
    if (i && (i->mount != m || (i->mode & S_IFMT) != type))
        return -EIO;
    if (i) {
        inode_get(i);
        drop_old_pages(i);
        take_stat(i, st);
    } else {
        i = inode_new(FS_SHARE, type);
        int r = i ? adopt_inode(i, m, st) : -ENOMEM;
        if (r) {
            if (i)
                inode_put(i);
            forget_node(st->node);
            return r;
        }
    }
    *out = i;
    return 0;
}

static void end_inode(struct inode *i)
{
    struct share_node *n = node_of(i);
    void **slot = n ? radix_slot(&nodes, n->number) : NULL;
    if (slot)
        *slot = NULL;
    if (n)
        forget_node(n->number);
    los_free(n);
}

static int lookup_name(struct dentry *dir, const char *name, struct inode **out, bool *keep)
{
    struct sh_share_stat st;
    struct sh_share_request q = {.op = SH_SHARE_LOOKUP};
    int r = ask_stat(q, dir->inode, name, strlen(name), &st);
    *keep = true;
    return r ? r : inode_of(dir->inode->mount, &st, out);
}

/* A name that a folder can have. */
static bool is_name(const char *name, size_t size)
{
    bool dots = size <= 2 && name[0] == '.' && (size == 1 || name[1] == '.');
    for (size_t n = 0; n < size; n++) {
        if (!name[n] || name[n] == '/')
            return false;
    }
    return size && !dots;
}

/* One answer's entries; *next is where the following one begins. How many, or -errno. */
static long take_entries(struct listing *l, const uint8_t *at, size_t size, uint64_t *next)
{
    struct sh_share_entry e;
    long count = 0;
    for (; size >= sizeof(e); count++) {
        memcpy(&e, at, sizeof(e));
        const char *name = (const char *)at + sizeof(e);
        if (e.name_size > size - sizeof(e) || !is_name(name, e.name_size) || e.type > 15)
            return -EIO;
        int r = listing_add(l, name, e.name_size, e.ino, e.type);
        if (r)
            return r;
        *next = e.next;
        at += sizeof(e) + e.name_size;
        size -= sizeof(e) + e.name_size;
    }
    return size ? -EIO : count;
}

static int list_names(struct dentry *dir, struct listing *l)
{
    struct inode *i = dir->inode;
    struct sh_share_request q = {.op = SH_SHARE_LIST, .node = node_of(i)->number};
    uint8_t *buf = i->mount->bounce;
    long n;
    do {
        n = ask_host(&q, NULL, 0, buf, MOUNT_CHUNK);
        if (n > 0)
            n = take_entries(l, buf, (size_t)n, &q.offset);
    } while (n > 0 && l->count <= LIST_MAX);
    return n > 0 ? -EIO : (int)n;
}

static long read_link(struct inode *i, char *buf, size_t size)
{
    struct sh_share_request q = {.op = SH_SHARE_TEXT, .node = node_of(i)->number};
    long n = ask_host(&q, NULL, 0, buf, MIN(size, TEXT_MAX - 1));
    for (long at = 0; at < n; at++) {
        if (!buf[at])
            return -EIO;
    }
    return n ? n : -EIO;
}

static int open_share(struct file *f)
{
    uint32_t type = f->inode->mode & S_IFMT;
    f->ops = type == S_IFDIR ? &directory_ops : &regular_ops;
    return type == S_IFDIR || type == S_IFREG ? 0 : -ENXIO;
}

static const struct inode_ops share_ops = {.lookup = lookup_name,
                                           .list = list_names,
                                           .readlink = read_link,
                                           .open = open_share,
                                           .refresh = refresh_inode,
                                           .ended = end_inode};

/* ---- contents ---- */

static long fetch_bytes(struct inode *i, void *buf, uint64_t offset, uint64_t size)
{
    struct sh_share_request q = {
        .op = SH_SHARE_READ, .node = node_of(i)->number, .offset = offset, .size = size};
    return ask_host(&q, NULL, 0, buf, size);
}

static int save_bytes(struct inode *i, const void *buf, uint64_t offset, uint64_t size)
{
    struct sh_share_request q = {.op = SH_SHARE_WRITE, .node = node_of(i)->number};
    for (uint64_t done = 0; done < size;) {
        q.offset = offset + done;
        long n = claim_count(ask_host(&q, (const uint8_t *)buf + done, size - done, NULL, 0),
                             size - done);
        if (n <= 0)
            return n ? (int)n : -EIO;
        done += (uint64_t)n;
    }
    return 0;
}

static int set_size(struct inode *i, uint64_t size)
{
    return ask_done((struct sh_share_request){.op = SH_SHARE_RESIZE, .size = size}, i, NULL, 0);
}

/* It does not say where there are holes: all is data. */
static int64_t find_data(struct inode *i, uint64_t offset, bool hole)
{
    return (int64_t)(hole ? i->size : offset);
}

static uint64_t count_blocks(const struct inode *i)
{
    return node_of(i) ? node_of(i)->blocks : 0;
}

static int make_durable(struct inode *i)
{
    return ask_done((struct sh_share_request){.op = SH_SHARE_SYNC}, i, NULL, 0);
}

/* ---- names and attributes ---- */

/* Two texts in the buffer: their size together. */
static size_t join_texts(struct mount *m, const char *a, size_t a_size, const char *b)
{
    size_t b_size = b ? MIN(strlen(b), TEXT_MAX) : 0;
    memcpy(m->bounce, a, a_size);
    memcpy(m->bounce + a_size, b ? b : "", b_size);
    return a_size + b_size;
}

static int add_name(struct inode *dir, const char *name, size_t size, struct inode *i)
{
    struct sh_share_stat st;
    struct sh_share_request q = {.op = SH_SHARE_MAKE, .mode = i->mode, .size = size};
    if (i->mount || i->fs != FS_SHARE)
        return i->mount == dir->mount ? -EPERM : -EXDEV;
    if (!is_known(i->mode & S_IFMT) || (i->mode & 06000))
        return -EPERM;
    size_t all = join_texts(dir->mount, name, size, i->target);
    int r = ask_stat(q, dir, dir->mount->bounce, all, &st);
    if (r)
        return r;
    if (!st.node || st.node >= SH_SHARE_NODES || radix_get(&nodes, st.node) ||
        (st.mode & S_IFMT) != (i->mode & S_IFMT))
        return -EIO; /* a new file is none that we know */
    return adopt_inode(i, dir->mount, &st);
}

static int drop_name(struct inode *dir, const char *name, const struct inode *i)
{
    struct sh_share_request q = {.op = SH_SHARE_REMOVE, .mode = i->mode & S_IFMT};
    return ask_done(q, dir, name, strlen(name));
}

static int move_name(struct inode *dir, const char *name, struct inode *to, const char *new_name,
                     bool exchange)
{
    struct sh_share_request q = {.op = SH_SHARE_RENAME,
                                 .to = node_of(to)->number,
                                 .what = exchange ? RENAME_EXCHANGE : 0,
                                 .size = strlen(name)};
    size_t all = join_texts(dir->mount, name, q.size, new_name);
    return ask_done(q, dir, dir->mount->bounce, all);
}

/* Who owns it, and rights beyond the ordinary ones, are not the program's to say: as in a VM. */
static int change_attributes(struct inode *i)
{
    const struct share_node *n = node_of(i);
    struct sh_share_stat st;
    struct sh_share_request q = {.op = SH_SHARE_CHANGE,
                                 .mode = i->mode & 01777,
                                 .atime = mount_ns(i->atime),
                                 .mtime = mount_ns(i->mtime)};
    if (n && i->mode != n->mode)
        q.what |= SH_SHARE_SET_MODE;
    if (n && (q.atime != n->atime || q.mtime != n->mtime))
        q.what |= SH_SHARE_SET_TIMES;
    bool allowed = n && i->uid == n->uid && i->gid == n->gid && !(i->mode & 06000);
    int r = allowed ? ask_stat(q, i, NULL, 0, &st) : -EPERM;
    if (!r && (st.mode & S_IFMT) == (i->mode & S_IFMT))
        take_stat(i, &st);
    else
        refresh_inode(i);
    return r;
}

static void tell_room(const struct inode *i, struct statfs *s)
{
    struct sh_share_room room = {0};
    struct sh_share_request q = {.op = SH_SHARE_ROOM, .node = node_of(i) ? node_of(i)->number : 0};
    s->f_type = 0x01021997; /* V9FS_MAGIC: what it is in a VM */
    if (ask_host(&q, NULL, 0, &room, sizeof(room)) != sizeof(room))
        return;
    s->f_bsize = s->f_frsize = (long)(room.block_size ? room.block_size : PAGE_SIZE);
    s->f_blocks = (long)room.blocks;
    s->f_bfree = (long)room.free;
    s->f_bavail = (long)room.available;
    s->f_files = (long)room.files;
    s->f_ffree = (long)room.files_free;
}

static const struct mount_ops mount_table = {.fetch = fetch_bytes,
                                             .save = save_bytes,
                                             .set_size = set_size,
                                             .find = find_data,
                                             .count_blocks = count_blocks,
                                             .add_name = add_name,
                                             .drop_name = drop_name,
                                             .move_name = move_name,
                                             .change = change_attributes,
                                             .make_durable = make_durable,
                                             .tell_room = tell_room};

/* ---- mounting ---- */

/* Files of the image are not covered, unless its owner said so. */
static int check_place(const struct sh_share *s)
{
    struct walk w;
    int error = 0, r = walk_path(AT_FDCWD, s->path, WALK_FOLLOW | WALK_DIRECTORY, &w);
    if (r)
        return r == -ENOENT ? 0 : r;
    bool free = s->cover || dentry_empty(w.dentry, &error);
    walk_end(&w);
    return error ? error : free ? 0 : -ENOTEMPTY;
}

static int mount_share(struct mount *m, const struct sh_share *s, uint32_t number)
{
    struct sh_share_stat st;
    struct sh_share_request q = {.op = SH_SHARE_STAT, .node = number + 1};
    struct inode *root;
    *m = (struct mount){.ops = &mount_table,
                        .number = number,
                        .bounce = pages_alloc(MOUNT_CHUNK >> PAGE_SHIFT),
                        .live = true,
                        .no_execute = true,
                        .read_only = s->read_only};
    if (!m->bounce)
        return -ENOMEM;
    int r = ask_stat_of(&q, NULL, 0, &st);
    if (!r && (st.mode & S_IFMT) != S_IFDIR)
        r = -ENOTDIR;
    st.node = q.node;
    if (!r)
        r = inode_of(m, &st, &root);
    return r ? r : tree_mount(s->path, root);
}

/* "share7": the host's folder 7. */
static uint32_t number_of(const struct sh_share *s)
{
    uint32_t n = 0;
    for (const char *c = s->tag; *c; c++)
        n = *c >= '0' && *c <= '9' ? n * 10 + (uint32_t)(*c - '0') : n;
    return n;
}

int share_mount_all(void)
{
    struct mount *mounts = los_alloc((settings.share_count + 1) * sizeof(*mounts));
    for (size_t i = 0; i < settings.share_count; i++) {
        const struct sh_share *s = &settings.shares[i];
        int r = mounts ? check_place(s) : -ENOMEM;
        if (r == -ENOTEMPTY)
            log_line("shelter: the image has files at %s that a folder of the host would cover; "
                     "build it with --mount %s:cover",
                     s->path, s->path);
        if (!r)
            r = mount_share(&mounts[i], s, number_of(s));
        if (r && r != -ENOTEMPTY)
            log_line("shelter: the host's folder cannot be shown at %s (errno %d)", s->path, -r);
        if (r)
            return r;
    }
    return 0;
}
