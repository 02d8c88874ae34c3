// SPDX-License-Identifier: Apache-2.0
// Volumes mounted: their disks are calls out, their inodes are those of the tree.
#include "trusted/libos/fs/volume.h"

#include <asm/signal.h>
#include <asm/statfs.h>

#include "trusted/libos/mm/mm.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"
#include "trusted/volume/crypt.h"
#include "trusted/volume/volume.h"

#define COMMIT_NS 5000000000ull /* what nobody synced is on the disk after so long */

struct volume_mount {
    struct mount mount;
    struct volume *v;
    uint32_t number; /* of its file */
    const char *name;
    uint8_t *space;
    uint8_t *vectors; /* the program's vector registers while the volume's code runs */
    struct radix inodes;
    bool flushing;
    struct wait_queue flushed;
    struct timer timer;
    struct volume_keeper *keeper; /* NULL: nobody remembers its states */
};

static struct volume_mount mounts[VOLUMES_MAX];
static uint32_t mount_count;

static struct volume_mount *volume_of(const struct inode *i)
{
    return container_of(i->mount, struct volume_mount, mount);
}

/* ---- the disk ---- */

static int move_blocks(uint32_t number, uint64_t block, void *in, const void *out, uint32_t count)
{
    uint64_t size = (uint64_t)count << PAGE_SHIFT, offset = block << PAGE_SHIFT;
    for (uint64_t at = 0; at < size; at += PORT_VOLUME_MAX) {
        uint32_t part = (uint32_t)MIN(size - at, PORT_VOLUME_MAX);
        int r = in ? port_volume_read(number, offset + at, (uint8_t *)in + at, part)
                   : port_volume_write(number, offset + at, (const uint8_t *)out + at, part);
        if (r)
            return r;
    }
    return 0;
}

static int disk_read(void *ctx, uint64_t block, void *buf, uint32_t count)
{
    return move_blocks(((struct volume_mount *)ctx)->number, block, buf, NULL, count);
}

static int disk_write(void *ctx, uint64_t block, const void *buf, uint32_t count)
{
    return move_blocks(((struct volume_mount *)ctx)->number, block, NULL, buf, count);
}

static int disk_flush(void *ctx)
{
    return port_volume_flush(((struct volume_mount *)ctx)->number);
}

static void disk_discard(void *ctx, uint64_t block, uint64_t count)
{
    port_volume_discard(((struct volume_mount *)ctx)->number, block << PAGE_SHIFT,
                        count << PAGE_SHIFT);
}

static int disk_random(void *ctx, void *buf, size_t size)
{
    return port_random(buf, size);
}

static int64_t disk_now(void *ctx)
{
    return (int64_t)clock_real();
}

/* ---- the cipher's registers, which may hold the program's values ---- */

static const _Alignas(64) uint8_t initial_state[576] = {[24] = 0x80, [25] = 0x1f}; /* MXCSR */

static __attribute__((noinline)) void vectors_begin(struct volume_mount *m)
{
    uint32_t low = (uint32_t)port_info.xfrm, high = (uint32_t)(port_info.xfrm >> 32);
    __asm__ volatile("xsave64 (%0)" : : "r"(m->vectors), "a"(low), "d"(high) : "memory");
    __asm__ volatile("xrstor64 (%0)" : : "r"(initial_state), "a"(low), "d"(high) : "memory");
}

static __attribute__((noinline)) void vectors_end(struct volume_mount *m)
{
    uint32_t low = (uint32_t)port_info.xfrm, high = (uint32_t)(port_info.xfrm >> 32);
    __asm__ volatile("xrstor64 (%0)" : : "r"(m->vectors), "a"(low), "d"(high) : "memory");
}

/* One call of the volume: begin, the call, end with its result. */
static struct volume *begin_call(struct volume_mount *m)
{
    vectors_begin(m);
    return m->v;
}

static int64_t end_call(struct volume_mount *m, int64_t r)
{
    vectors_end(m);
    return r;
}

/* ---- freshness ---- */

#define MS 1000000ull
#define RELEASE_NS (10 * NS) /* for the anchor to hear that the volume is closed */

static struct wait_queue heard = {.waiters = {&heard.waiters, &heard.waiters}};
struct wait_queue volume_asks = {.waiters = {&volume_asks.waiters, &volume_asks.waiters}};

static bool is_lost(const struct volume_mount *m)
{
    return m->keeper && m->keeper->watch.lost;
}

/* Before a change of a program's own: 0; -EAWAY: later; -EIO. */
static int may_change(const struct volume_mount *m)
{
    int r = m->keeper ? anchor_may_change(&m->keeper->watch, clock_now() / MS) : 0;
    return r == -EAGAIN ? -EAWAY : r;
}

static struct volume_mount *kept_mount(const struct volume_keeper *k)
{
    for (uint32_t i = 0; i < mount_count; i++) {
        if (mounts[i].keeper == k)
            return &mounts[i];
    }
    return NULL;
}

bool volume_durable(const struct volume_keeper *k, struct volume_state *out)
{
    const struct volume_mount *m = kept_mount(k);
    if (k->watch.closing)
        *out = k->last;
    else if (m)
        volume_state(m->v, out);
    return k->watch.closing || m;
}

void volume_heard(struct volume_keeper *k, const struct volume_state *state)
{
    struct volume_mount *m = kept_mount(k);
    if (state && m && !k->watch.closing)
        volume_anchored(m->v, state);
    wait_wake_all(&heard);
}

long volume_wait_change(void)
{
    wait_for(&heard, true);
    return -ERESTARTSYS;
}

static bool is_killed(void)
{
    return current()->exiting || (self()->pending.set | current()->pending.set) & SIG_BIT(SIGKILL);
}

/* Until the anchor has what is on the disk now. No signal begins it anew: a write may stand before
 * it. */
static int await_anchor(struct volume_mount *m)
{
    struct volume_state state;
    struct volume_keeper *k = m->keeper;
    struct waiter w = {0};
    int r = 0;
    volume_state(m->v, &state);
    wait_begin(&w, &heard);
    while (!anchor_has(&k->watch, &state)) {
        r = is_killed() ? -EINTR : may_change(m);
        if (r && r != -EAWAY)
            break;
        k->watch.wanted = true;
        wait_wake_all(&volume_asks);
        wait_nap(NO_DEADLINE);
    }
    wait_end(&w);
    call_residence();
    return r == -EAWAY ? 0 : r;
}

/* The anchor hears of the last state, if it can be had in time. */
static void release_anchor(struct volume_keeper *k, const struct volume_state *last)
{
    uint64_t deadline = clock_now() + RELEASE_NS;
    struct waiter w = {0};
    k->last = *last;
    k->watch.closing = true;
    wait_wake_all(&volume_asks);
    wait_begin(&w, &heard);
    while (k->watch.closing && !k->watch.lost && clock_now() < deadline)
        wait_nap(deadline);
    wait_end(&w);
}

/* ---- inodes ---- */

static const struct inode_ops volume_ops;
static void end_inode(struct inode *i);

static void adopt_inode(struct inode *i, struct volume_mount *m, uint64_t ino)
{
    i->mount = &m->mount;
    i->ino = ino;
    i->ops = &volume_ops;
}

/* The inode of a number, counted; the same as long as somebody refers to it. */
static int inode_of(struct volume_mount *m, uint64_t ino, struct inode **out)
{
    struct volume_stat st;
    struct inode *i = radix_get(&m->inodes, ino);
    *out = i;
    if (i) {
        inode_get(i);
        return 0;
    }
    int r = (int)end_call(m, volume_stat(begin_call(m), ino, &st));
    void **slot = r ? NULL : radix_slot(&m->inodes, ino);
    if (r)
        return r;
    i = slot ? inode_new(FS_VOLUME, st.mode) : NULL;
    if (!i)
        return -ENOMEM;
    adopt_inode(i, m, ino);
    i->uid = st.uid;
    i->gid = st.gid;
    i->nlink = st.nlink;
    i->rdev = st.rdev;
    i->size = st.size;
    i->atime = mount_time(st.atime);
    i->mtime = mount_time(st.mtime);
    i->ctime = mount_time(st.ctime);
    *slot = i;
    *out = i;
    return 0;
}

static void refresh_times(struct inode *i)
{
    struct volume_mount *m = volume_of(i);
    struct volume_stat st;
    if (end_call(m, volume_stat(begin_call(m), i->ino, &st)))
        return;
    i->mtime = mount_time(st.mtime);
    i->ctime = mount_time(st.ctime);
}

static int lookup_name(struct dentry *dir, const char *name, struct inode **out, bool *keep)
{
    struct volume_mount *m = volume_of(dir->inode);
    uint64_t ino;
    struct volume_name n = {name, strlen(name)};
    int r = (int)end_call(m, volume_lookup(begin_call(m), dir->inode->ino, n, &ino));
    *keep = true;
    return r ? r : inode_of(m, ino, out);
}

static int list_one(void *arg, struct volume_name name, uint64_t ino, uint32_t mode, uint64_t next)
{
    return listing_add(arg, name.text, name.size, ino, (uint8_t)(mode >> 12));
}

static int list_names(struct dentry *dir, struct listing *l)
{
    struct volume_mount *m = volume_of(dir->inode);
    return (int)end_call(m, volume_list(begin_call(m), dir->inode->ino, 0, list_one, l));
}

static long read_link(struct inode *i, char *buf, size_t size)
{
    struct volume_mount *m = volume_of(i);
    return (long)end_call(m, volume_read(begin_call(m), i->ino, 0, buf, size));
}

static const struct inode_ops volume_ops = {.lookup = lookup_name,
                                            .list = list_names,
                                            .readlink = read_link,
                                            .refresh = refresh_times,
                                            .ended = end_inode};

/* ---- contents ---- */

static long fetch_bytes(struct inode *i, void *buf, uint64_t offset, uint64_t size)
{
    struct volume_mount *m = volume_of(i);
    return (long)end_call(m, volume_read(begin_call(m), i->ino, offset, buf, size));
}

static int put_bytes(struct inode *i, const void *buf, uint64_t offset, uint64_t size)
{
    struct volume_mount *m = volume_of(i);
    return (int)end_call(m, volume_write(begin_call(m), i->ino, offset, buf, size));
}

static int save_bytes(struct inode *i, const void *buf, uint64_t offset, uint64_t size)
{
    int r = may_change(volume_of(i));
    return r ? r : put_bytes(i, buf, offset, size);
}

static int set_size(struct inode *i, uint64_t size)
{
    struct volume_mount *m = volume_of(i);
    struct volume_change c = {.what = VOLUME_SET_SIZE, .size = size};
    int r = may_change(m);
    return r ? r : (int)end_call(m, volume_set(begin_call(m), i->ino, &c));
}

static int punch_hole(struct inode *i, uint64_t start, uint64_t to)
{
    struct volume_mount *m = volume_of(i);
    int r = may_change(m);
    return r ? r : (int)end_call(m, volume_punch(begin_call(m), i->ino, start, to - start));
}

/* Blocks are given out when they are written, and a block that is written again needs another one;
 * so all that can be said is that there is room now. */
static int check_room(struct inode *i, uint64_t start, uint64_t to)
{
    struct volume_info info;
    volume_info(volume_of(i)->v, &info);
    return (page_up(to) - start) >> PAGE_SHIFT > info.available ? -ENOSPC : 0;
}

/* Changed through a mapping: to the volume. Without mappings the pages are not needed any more. */
static int flush_pages(struct inode *i)
{
    struct volume_mount *m = volume_of(i);
    uint64_t index;
    int r = 0;
    const uint8_t *page;
    uint8_t *now = m->mount.bounce, *copy = now + PAGE_SIZE;
    for (uint64_t from = 0; i->written && !r && (page = radix_next(&i->pages, from, &index));
         from = index + 1) {
        uint64_t at = index << PAGE_SHIFT;
        if (at >= i->size)
            break;
        size_t size = MIN(PAGE_SIZE, i->size - at);
        memcpy(copy, page, PAGE_SIZE);
        r = mount_page(i, index, now);
        if (!r && memcmp(now, copy, size))
            r = put_bytes(i, copy, at, size);
    }
    if (!r && list_empty(&i->maps)) {
        object_drop(i, 0, UINT64_MAX);
        i->written = false;
    }
    return r;
}

/* Mapped pages go to the volume first. */
static int64_t find_data(struct inode *i, uint64_t offset, bool hole)
{
    struct volume_mount *m = volume_of(i);
    int r = flush_pages(i);
    return r ? r : end_call(m, volume_seek(begin_call(m), i->ino, offset, hole));
}

/* 0 where the volume refuses. */
static uint64_t count_blocks(const struct inode *i)
{
    struct volume_mount *m = volume_of(i);
    struct volume_stat st;
    return end_call(m, volume_stat(begin_call(m), i->ino, &st)) ? 0 : st.blocks * 8;
}

/* ---- names ---- */

static int add_name(struct inode *dir, const char *name, size_t size, struct inode *i)
{
    struct volume_mount *m = volume_of(dir);
    struct volume_name n = {name, size}, link = {i->target, i->target ? strlen(i->target) : 0};
    int r = may_change(m);
    if (r)
        return r;
    if (i->mount)
        return i->mount == dir->mount
                   ? (int)end_call(m, volume_link(begin_call(m), i->ino, dir->ino, n))
                   : -EXDEV;
    uint64_t ino;
    struct volume_owner owner = {i->uid, i->gid};
    r = (int)end_call(m,
                      volume_make(begin_call(m), dir->ino, n, i->mode, owner, i->rdev, link, &ino));
    if (r)
        return r;
    void **slot = radix_slot(&m->inodes, ino);
    if (!slot)
        return -ENOMEM; /* it is there, and looked up when there is memory again */
    adopt_inode(i, m, ino);
    *slot = i;
    refresh_times(i);
    return 0;
}

static int add_nameless(struct inode *dir, struct inode *i)
{
    struct volume_name none = {0};
    struct inode like = *dir;
    uint64_t ino;
    struct volume_mount *m = volume_of(&like);
    int r = may_change(m);
    if (r)
        return r;
    r = (int)end_call(m, volume_make(begin_call(m), 0, none, i->mode,
                                     (struct volume_owner){i->uid, i->gid}, 0, none, &ino));
    void **slot = r ? NULL : radix_slot(&m->inodes, ino);
    if (!slot)
        return r ? r : -ENOMEM;
    adopt_inode(i, m, ino);
    *slot = i;
    return 0;
}

static int drop_name(struct inode *dir, const char *name, const struct inode *i)
{
    struct volume_mount *m = volume_of(dir);
    struct volume_name n = {name, strlen(name)};
    int r = may_change(m);
    return r ? r : (int)end_call(m, volume_remove(begin_call(m), dir->ino, n));
}

static int move_name(struct inode *dir, const char *name, struct inode *to, const char *new_name,
                     bool exchange)
{
    struct volume_mount *m = volume_of(dir);
    struct volume_name a = {name, strlen(name)}, b = {new_name, strlen(new_name)};
    int r = may_change(m);
    return r ? r
             : (int)end_call(m, volume_rename(begin_call(m), dir->ino, a, to->ino, b, exchange));
}

/* ---- attributes ---- */

static int change_attributes(struct inode *i)
{
    struct volume_mount *m = volume_of(i);
    struct volume_change c = {.what = VOLUME_SET_MODE | VOLUME_SET_UID | VOLUME_SET_GID |
                                      VOLUME_SET_ATIME | VOLUME_SET_MTIME | VOLUME_SET_CTIME,
                              .mode = i->mode,
                              .uid = i->uid,
                              .gid = i->gid,
                              .atime = mount_ns(i->atime),
                              .mtime = mount_ns(i->mtime),
                              .ctime = mount_ns(i->ctime)};
    struct volume_stat st;
    int r = may_change(m);
    if (!r)
        r = (int)end_call(m, volume_set(begin_call(m), i->ino, &c));
    if (!r || end_call(m, volume_stat(begin_call(m), i->ino, &st)))
        return r;
    i->mode = st.mode;
    i->uid = st.uid;
    i->gid = st.gid;
    i->atime = mount_time(st.atime);
    i->mtime = mount_time(st.mtime);
    i->ctime = mount_time(st.ctime);
    return r;
}

static long use_attr(struct inode *i, enum attr_use what, const char *name, void *value,
                     size_t size, int flags)
{
    struct volume_mount *m = volume_of(i);
    struct volume_name n = {name, name ? strlen(name) : 0};
    int r = what == ATTR_SET || what == ATTR_REMOVE ? may_change(m) : 0;
    if (r)
        return r;
    struct volume *v = begin_call(m);
    switch (what) {
    case ATTR_GET:
        return (long)end_call(m, volume_xattr_get(v, i->ino, n, value, size));
    case ATTR_SET:
        return (long)end_call(m, volume_xattr_set(v, i->ino, n, value ? value : "", size, flags));
    case ATTR_REMOVE:
        return (long)end_call(m, volume_xattr_set(v, i->ino, n, NULL, 0, 0));
    default:
        return (long)end_call(m, volume_xattr_list(v, i->ino, value, size));
    }
}

static void end_inode(struct inode *i)
{
    struct volume_mount *m = volume_of(i);
    if (i->nlink)
        flush_pages(i);
    else
        end_call(m, volume_forget(begin_call(m), i->ino));
    void **slot = radix_slot(&m->inodes, i->ino);
    if (slot)
        *slot = NULL;
}

static void tell_room(const struct inode *i, struct statfs *s)
{
    struct volume_info info;
    volume_info(volume_of(i)->v, &info);
    s->f_type = 0x53484c54; /* SHLT */
    s->f_blocks = (long)info.blocks;
    s->f_bfree = (long)info.free;
    s->f_bavail = (long)info.available;
    s->f_files = (long)(info.files + info.available);
    s->f_ffree = (long)info.available;
}

const char *volume_counts(uint32_t index, uint64_t counts[VOLUME_COUNTS])
{
    const struct volume_mount *m = &mounts[index];
    if (index >= mount_count)
        return NULL;
    volume_count(m->v, m->keeper ? &m->keeper->watch : NULL, clock_now() / MS, counts);
    return m->name;
}

/* ---- durable ---- */

static int flush_all_pages(struct volume_mount *m)
{
    uint64_t index;
    struct inode *i;
    int r = 0;
    for (uint64_t from = 0; (i = radix_next(&m->inodes, from, &index)); from = index + 1) {
        int one = i->page_count && i->nlink ? flush_pages(i) : 0;
        r = r ? r : one;
    }
    return r;
}

/* The flush itself takes long: without the lock. Whoever syncs meanwhile waits for it, and then
 * mostly finds all done. */
static int sync_one(struct volume_mount *m)
{
    while (m->flushing)
        wait_on(&m->flushed, NO_DEADLINE);
    if (is_lost(m))
        return -EIO;
    int r = (int)end_call(m, volume_sync_begin(begin_call(m)));
    if (r != 1)
        return r;
    m->flushing = true;
    los_unlock();
    int flushed = port_volume_flush(m->number);
    los_lock();
    m->flushing = false;
    r = (int)end_call(m, volume_sync_end(begin_call(m), flushed));
    wait_wake_all(&m->flushed);
    return r;
}

static int sync_volumes(struct inode *i)
{
    int r = 0;
    for (uint32_t k = 0; k < mount_count; k++) {
        if (i && i->mount != &mounts[k].mount)
            continue;
        int one = i ? flush_pages(i) : flush_all_pages(&mounts[k]);
        if (!one)
            one = sync_one(&mounts[k]);
        if (!one && mounts[k].keeper && mounts[k].keeper->watch.mode == ANCHOR_STRICT)
            one = await_anchor(&mounts[k]);
        r = r ? r : one;
    }
    return r;
}

int volume_sync_all(void)
{
    return sync_volumes(NULL);
}

static const struct mount_ops mount_table = {.fetch = fetch_bytes,
                                             .save = save_bytes,
                                             .set_size = set_size,
                                             .punch = punch_hole,
                                             .allocate = check_room,
                                             .find = find_data,
                                             .count_blocks = count_blocks,
                                             .add_name = add_name,
                                             .drop_name = drop_name,
                                             .move_name = move_name,
                                             .add_nameless = add_nameless,
                                             .change = change_attributes,
                                             .make_durable = sync_volumes,
                                             .use_attr = use_attr,
                                             .tell_room = tell_room};

static void commit_later(struct timer *t)
{
    struct volume_mount *m = container_of(t, struct volume_mount, timer);
    if (!is_lost(m) && !flush_all_pages(m) && volume_pending(m->v))
        end_call(m, volume_sync(begin_call(m)));
    timer_set(t, clock_now() + COMMIT_NS);
}

/* What is lost is another one's now: nothing more is written there. */
static int close_mount(struct volume_mount *m)
{
    struct volume_state last;
    int r = 0;
    if (is_lost(m)) {
        begin_call(m);
        volume_abandon(m->v);
        return (int)end_call(m, -EIO);
    }
    r = flush_all_pages(m);
    int closed = (int)end_call(m, volume_close(begin_call(m), &last));
    if (!closed && m->keeper)
        release_anchor(m->keeper, &last);
    return r ? r : closed;
}

int volume_unmount_all(void)
{
    int r = 0;
    while (mount_count) {
        struct volume_mount *m = &mounts[mount_count - 1];
        while (m->flushing)
            wait_on(&m->flushed, NO_DEADLINE);
        timer_cancel(&m->timer);
        int one = close_mount(m);
        if (one)
            log_line("shelter: volume %s could not be closed in order (errno %d)", m->name, -one);
        r = r ? r : one;
        mount_count--;
    }
    return r;
}

/* ---- mounting ---- */

static int ask_keeper(void *ctx, const struct volume_state *found)
{
    struct volume_mount *m = ctx;
    return m->keeper ? m->keeper->judge(m->keeper, found) : 0;
}

static int open_disk(struct volume_mount *m, const uint8_t key[32], bool read_only)
{
    int64_t size = port_volume_size(m->number);
    struct volume_disk d = {.read_blocks = disk_read,
                            .write_blocks = disk_write,
                            .flush_blocks = disk_flush,
                            .discard_blocks = disk_discard,
                            .random_bytes = disk_random,
                            .now_ns = disk_now,
                            .judge_found = ask_keeper,
                            .writer = m->keeper ? m->keeper->writer : 0,
                            .ctx = m,
                            .blocks = (uint64_t)size >> PAGE_SHIFT};
    if (size < 0)
        return size == -ENOENT ? -ENOENT : -EIO;
    uint8_t *memory = m->space = pages_alloc(VOLUME_MEMORY >> PAGE_SHIFT);
    m->mount.bounce = pages_alloc(MOUNT_CHUNK >> PAGE_SHIFT);
    m->vectors = pages_alloc(page_up(port_info.xsave_size) >> PAGE_SHIFT);
    if (!memory || !m->mount.bounce || !m->vectors)
        return -ENOMEM;
    begin_call(m);
    return (int)end_call(m, volume_start(&d, key, m->name, read_only ? VOLUME_READ_ONLY : 0, memory,
                                         VOLUME_MEMORY, &m->v));
}

static void free_memory(struct volume_mount *m)
{
    if (m->space)
        pages_free(m->space, VOLUME_MEMORY >> PAGE_SHIFT);
    if (m->mount.bounce)
        pages_free(m->mount.bounce, MOUNT_CHUNK >> PAGE_SHIFT);
    if (m->vectors)
        pages_free(m->vectors, page_up(port_info.xsave_size) >> PAGE_SHIFT);
}

int volume_mount(uint32_t number, const char *name, const uint8_t key[32], bool read_only,
                 struct volume_keeper *keeper, struct inode **root)
{
    if (mount_count == VOLUMES_MAX)
        return -ENOSPC;
    struct volume_mount *m = &mounts[mount_count];
    memset(m, 0, sizeof(*m));
    m->mount.ops = &mount_table;
    m->mount.number = mount_count;
    m->number = number;
    m->name = name;
    m->keeper = keeper;
    wait_queue_init(&m->flushed);
    m->timer.fire = commit_later;
    crypt_init(port_info.xfrm & 4);
    int r = open_disk(m, key, read_only);
    if (!r)
        r = inode_of(m, VOLUME_ROOT, root);
    if (r && m->v) {
        begin_call(m);
        volume_abandon(m->v);
        end_call(m, 0);
    }
    if (r && r != -ESTALE) /* whoever judged said why */
        log_line("shelter: volume %s: %s (errno %d)", name, volume_why_not(r), -r);
    if (r) {
        free_memory(m);
        return r;
    }
    mount_count++;
    timer_set(&m->timer, clock_now() + COMMIT_NS);
    return 0;
}
