// SPDX-License-Identifier: Apache-2.0
// Open files.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/notify.h"

const struct file_ops directory_ops = {0};

struct file *file_new(const struct file_ops *ops, uint32_t flags)
{
    struct file *f = los_alloc(sizeof(*f));
    if (!f)
        return NULL;
    f->ops = ops;
    f->flags = flags;
    f->refs = 1;
    list_init(&f->watchers);
    list_init(&f->ending);
    return f;
}

void file_get(struct file *f)
{
    __atomic_fetch_add(&f->refs, 1, __ATOMIC_RELAXED);
}

static void file_end(struct file *f)
{
    if (f->inode && !(f->flags & O_PATH))
        notify_file(f, file_can_write(f) ? NOTIFY_CLOSE_WRITE : NOTIFY_CLOSE);
    while (!list_empty(&f->watchers)) {
        struct watcher *w = container_of(f->watchers.next, struct watcher, node);
        w->forget(w);
    }
    if (f->async)
        f->async->forget(f->async);
    lock_release(f);
    if (f->ops->release)
        f->ops->release(f);
    if (f->listing) {
        listing_free(f->listing);
        los_free(f->listing);
    }
    if (f->dentry)
        dentry_put(f->dentry);
    else if (f->inode)
        inode_put(f->inode);
    los_free(f);
}

/* A file that ends may be the last to hold others (sockets in the queue of a socket), and those
 * others: as many as there are, one after another and none within another. Alone. */
static void end_in_turn(struct file *f)
{
    static struct list ending = {&ending, &ending};
    static bool busy;
    list_remove(&f->ending);
    list_append(&ending, &f->ending);
    if (busy)
        return;
    busy = true;
    while (!list_empty(&ending)) {
        struct list *node = ending.next;
        list_remove(node);
        file_end(container_of(node, struct file, ending));
    }
    busy = false;
}

/* Whoever found it just before and has it watched counts it, and puts it once more afterwards. */
#ifdef LIBOS_UNIT
__attribute__((no_sanitize("thread")))
#endif
static bool
is_watched(const struct file *f)
{
    return *(struct list *volatile const *)&f->watchers.next != &f->watchers;
}

/* Likewise. */
#ifdef LIBOS_UNIT
__attribute__((no_sanitize("thread")))
#endif
static void
unwatch_beside(struct file *f)
{
    if (f->unwatch)
        f->unwatch(f);
}

/* Nobody hears of its end, and nothing goes with it but a little memory. */
static bool ends_quietly(const struct file *f)
{
    const struct inode *i = f->inode;
    return (f->ops == &regular_ops || f->ops == &directory_ops) && i && f->dentry && !i->mount &&
           i->nlink && f->dentry->kept && !f->locked && !f->ranged && !f->async && !i->leases &&
           !is_watched(f) && !notify_wanted();
}

/* Its end is told to others at once, and the rest can wait. */
static bool leaves_beside(struct file *f)
{
    return f->ops->leave && !f->inode && !f->async && !is_watched(f) && f->ops->leave(f);
}

#define QUIET_MAX 256u /* then they end alone */
#define QUIET_STEP 32u

/* Those of threads that share a counter of the big lock. */
static struct quiet {
    _Alignas(64) struct lock lock; /* RANK_OBJECT */
    struct list files;
    uint32_t count;
} quiets[SHARES];
static bool any_quiet; /* set while the lock is shared, cleared alone */

void file_reap(void)
{
    if (!__atomic_load_n(&any_quiet, __ATOMIC_RELAXED))
        return;
    any_quiet = false;
    for (unsigned n = 0; n < SHARES; n++) {
        struct quiet *q = &quiets[n];
        for (q->count = 0; q->files.next && !list_empty(&q->files);) {
            struct file *f = container_of(q->files.next, struct file, ending);
            list_remove(&f->ending);
            f->quiet = false;
            if (!f->refs) /* else somebody found it before its place was taken, and counted it */
                end_in_turn(f);
        }
    }
}

/* Beside others: those that nobody can have found in their places since before these were taken.
 * Whoever did so and counted one makes it stay. */
static void reap_beside(struct quiet *q)
{
    struct list mine;
    uint64_t oldest = los_oldest();
    list_init(&mine);
    lock_take(&q->lock, RANK_OBJECT);
    list_each_safe(struct file, f, &q->files, ending) {
        if (__atomic_load_n(&f->refs, __ATOMIC_ACQUIRE) ||
            __atomic_load_n(&f->left, __ATOMIC_ACQUIRE) >= oldest || !ends_quietly(f))
            continue;
        list_remove(&f->ending);
        list_append(&mine, &f->ending);
        q->count--;
    }
    lock_give(&q->lock);
    while (!list_empty(&mine)) {
        struct file *f = container_of(mine.next, struct file, ending);
        list_remove(&f->ending);
        file_end(f);
    }
}

static void leave_to_reap(struct file *f)
{
    struct quiet *q = &quiets[self()->share % SHARES];
    if (__atomic_exchange_n(&f->quiet, true, __ATOMIC_SEQ_CST))
        return;
    lock_take(&q->lock, RANK_OBJECT);
    if (!q->files.next)
        list_init(&q->files);
    list_append(&q->files, &f->ending);
    uint32_t count = ++q->count;
    lock_give(&q->lock);
    if (!__atomic_load_n(&any_quiet, __ATOMIC_RELAXED))
        __atomic_store_n(&any_quiet, true, __ATOMIC_RELAXED);
    if (count % QUIET_STEP == 0)
        reap_beside(q);
    if (count >= QUIET_MAX) {
        los_alone();
        file_reap();
    }
}

/* Before the reference goes: whoever sees that the last one went sees this too. */
static void note_left(struct file *f)
{
    uint64_t now = los_time(), before = __atomic_load_n(&f->left, __ATOMIC_RELAXED);
    while (before < now && !__atomic_compare_exchange_n(&f->left, &before, now, false,
                                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        continue;
}

void file_put(struct file *f)
{
    if (los_is_shared())
        note_left(f);
    if (__atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL))
        return;
    if (los_is_shared()) { /* who found it in its place just before may count it again */
        unwatch_beside(f);
        bool quietly = ends_quietly(f) || leaves_beside(f);
        leave_to_reap(f);
        if (!quietly && los_alone()) /* who goes on to touch the program's memory does so before */
            file_reap();
        return;
    }
    end_in_turn(f);
}

uint32_t file_flags(const struct file *f)
{
    return f->flags | (f->dentry && !(f->flags & O_PATH) ? O_LARGEFILE_BIT : 0);
}

bool file_can_read(const struct file *f)
{
    return (f->flags & O_ACCMODE) != O_WRONLY && !(f->flags & O_PATH);
}

bool file_can_write(const struct file *f)
{
    return (f->flags & O_ACCMODE) != O_RDONLY && !(f->flags & O_PATH);
}

static bool is_regular(const struct file *f)
{
    return f->inode && (f->inode->mode & S_IFMT) == S_IFREG && f->ops == &regular_ops;
}

bool file_can_map(const struct file *f)
{
    return is_regular(f) || (f->inode && f->inode->rdev == 0x105); /* /dev/zero */
}

bool file_map_source(struct file *f, int prot)
{
    return is_regular(f);
}

int file_read_page(struct file *f, uint64_t offset, void *buf)
{
    if (offset >= page_up(f->inode->size))
        return -EIO;
    int r = data_page(f->inode, offset >> PAGE_SHIFT, buf);
    uint64_t n = f->inode->size - MIN(offset, f->inode->size);
    if (!r && n < PAGE_SIZE)
        memset((char *)buf + n, 0, PAGE_SIZE - n);
    return r;
}

long file_read_at(struct file *f, uint64_t offset, void *buf, size_t size)
{
    struct io_vec v;
    struct io io = io_one(&v, (uint64_t)buf, size, true);
    return f->ops->read ? f->ops->read(f, &io, offset) : -EINVAL;
}

void file_path(struct file *f, char *buf, size_t size)
{
    const char *name = f->ops->name ? f->ops->name : "anon";
    if (!f->dentry && !strncmp(name, "anon_inode", 10)) /* anon_inode:[eventfd] */
        fmt(buf, size, "%s", name);
    else if (!f->dentry)
        fmt(buf, size, "%s:[%lu]", name, f->inode ? f->inode->ino : 0);
    else if (dentry_path(f->dentry, buf, size) < 0)
        fmt(buf, size, "?");
}
