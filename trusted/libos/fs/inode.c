// SPDX-License-Identifier: Apache-2.0
// Inodes: made new, or from the image.
#include "trusted/libos/fs/mounted.h"
#include "trusted/libos/fs/notify.h"

#include "lib/settings.h"
#include "trusted/libos/mm/mm.h"

static struct radix by_nid; /* those of the image, so that hard links share one */
static uint64_t next_id = 1ull << 32;

static void forget_inode(void *i)
{
}

void inode_init(void)
{
    radix_clear(&by_nid, 0, forget_inode);
}

struct time time_now(void)
{
    uint64_t ns = clock_real();
    return (struct time){(int64_t)(ns / 1000000000u), (uint32_t)(ns % 1000000000u)};
}

void inode_touch(struct inode *i, bool content)
{
    struct time now = time_now();
    lock_take(&i->lock, RANK_INODE);
    i->ctime = now;
    if (content)
        i->mtime = now;
    lock_give(&i->lock);
    if (i->ops && i->ops->refresh)
        i->ops->refresh(i);
}

void inode_times(struct inode *i, struct time to[3])
{
    lock_take(&i->lock, RANK_INODE);
    to[0] = i->atime;
    to[1] = i->mtime;
    to[2] = i->ctime;
    lock_give(&i->lock);
}

static struct inode *inode_blank(enum fs_kind fs, uint32_t mode)
{
    struct inode *i = los_alloc(sizeof(*i));
    if (!i)
        return NULL;
    i->fs = fs;
    i->refs = 1;
    i->mode = mode;
    i->nlink = (mode & S_IFMT) == S_IFDIR ? 2 : 1;
    list_init(&i->maps);
    list_init(&i->flocks);
    list_init(&i->ranges);
    list_init(&i->xattrs);
    list_init(&i->watches);
    i->seals = 1; /* F_SEAL_SEAL: only memfd_create takes it away */
    wait_queue_init(&i->flock_wait);
    wait_queue_init(&i->wait);
    return i;
}

struct inode *inode_new(enum fs_kind fs, uint32_t mode)
{
    struct inode *i = inode_blank(fs, mode);
    if (!i)
        return NULL;
    i->ino = next_id++;
    i->uid = current()->fsuid;
    i->gid = current()->fsgid;
    i->btime = i->atime = i->mtime = i->ctime = time_now();
    return i;
}

bool in_group(uint32_t gid)
{
    for (uint32_t g = 0; g < current()->group_count; g++) {
        if (current()->groups[g] == gid)
            return true;
    }
    return gid == current()->fsgid;
}

struct inode *inode_make(const struct inode *dir, uint32_t mode)
{
    bool is_dir = (mode & S_IFMT) == S_IFDIR;
    struct inode *i =
        inode_new(dir->fs, mode & ~((mode & S_IFMT) == S_IFLNK ? 0 : current()->fs->umask));
    if (i && (dir->mode & 02000)) {
        i->gid = dir->gid;
        if (is_dir)
            i->mode |= 02000;
        else if ((mode & 02010) == 02010 && !capable(CAP_FSETID) && !in_group(i->gid))
            i->mode &= ~(uint32_t)02000;
    }
    return i;
}

long inode_link_text(struct inode *i, char *buf, size_t size)
{
    if (i->target)
        return fmt(buf, size, "%s", i->target);
    if (!i->ops || !i->ops->readlink)
        return -EINVAL;
    long n = i->ops->readlink(i, buf, size - 1);
    if (n >= 0)
        buf[n] = 0;
    return n;
}

static int image_lookup(struct dentry *dir, const char *name, struct inode **out, bool *keep)
{
    uint64_t nid;
    int r = erofs_lookup(&dir->inode->lower, name, (uint32_t)strlen(name), &nid);
    if (r)
        return r;
    *keep = true;
    *out = inode_of_image(nid);
    return *out ? 0 : -EIO;
}

static int list_one(void *arg, const char *name, uint32_t size, uint64_t nid, uint8_t type)
{
    /* erofs numbers file types as fs_types.h does; DT_* are the mode's bits. */
    static const uint8_t types[] = {0, 8, 4, 2, 6, 1, 12, 10};
    return listing_add(arg, name, size, nid, type < sizeof(types) ? types[type] : 0);
}

static int image_list(struct dentry *dir, struct listing *l)
{
    return erofs_list(&dir->inode->lower, list_one, l);
}

static long image_readlink(struct inode *i, char *buf, size_t size)
{
    size_t n = MIN(size, i->lower.size);
    int r = erofs_read(&i->lower, 0, buf, n);
    return r ? r : (long)n;
}

static const struct inode_ops image_ops = {
    .lookup = image_lookup,
    .list = image_list,
    .readlink = image_readlink,
};

struct inode *inode_of_image(uint64_t nid)
{
    struct inode *i = radix_get(&by_nid, nid);
    if (i) {
        inode_get(i);
        return i;
    }
    struct erofs_node n;
    if (erofs_node(nid, &n))
        return NULL;
    void **slot = radix_slot(&by_nid, nid);
    i = slot ? inode_blank(erofs_number(nid) ? FS_DATA : FS_ROOT, n.mode) : NULL;
    if (!i)
        return NULL;
    i->ops = &image_ops;
    i->ino = nid;
    i->uid = n.uid;
    i->gid = n.gid;
    i->nlink = n.nlink;
    i->size = i->lower_size = n.size;
    i->rdev = n.rdev;
    i->mtime = i->atime = i->ctime = (struct time){(int64_t)n.mtime, n.mtime_ns};
    i->has_lower = true;
    i->lower = n;
    *slot = i;
    return i;
}

void inode_get(struct inode *i)
{
    __atomic_fetch_add(&i->refs, 1, __ATOMIC_RELAXED);
}

static void free_xattrs(struct inode *i)
{
    list_each_safe(struct xattr, x, &i->xattrs, node) {
        list_remove(&x->node);
        los_free(x->value);
        los_free(x);
    }
}

void inode_put(struct inode *i)
{
    /* An inode of the image that still has a name keeps what was changed in it. */
    if (__atomic_sub_fetch(&i->refs, 1, __ATOMIC_ACQ_REL) || (i->has_lower && i->nlink))
        return;
    los_alone();
    notify_gone(i);
    if (i->ops && i->ops->ended)
        i->ops->ended(i);
    if (i->has_lower)
        *radix_slot(&by_nid, i->lower.nid) = NULL;
    object_drop(i, 0, UINT64_MAX);
    free_xattrs(i);
    los_free(i->target);
    los_free(i);
}

bool inode_allowed_as(const struct inode *i, int mask, uint32_t uid, uint32_t gid, uint64_t caps)
{
    if (caps >> CAP_DAC_OVERRIDE & 1)
        return !(mask & 1) || (i->mode & 0111) || (i->mode & S_IFMT) == S_IFDIR;
    unsigned bits = i->mode & 7;
    if (i->uid == uid)
        bits = i->mode >> 6 & 7;
    else if (i->gid == gid || in_group(i->gid))
        bits = i->mode >> 3 & 7;
    return ((unsigned)mask & ~bits) == 0;
}

bool inode_is_fixed(const struct inode *i)
{
    return i->fs == FS_DATA || (i->fs == FS_ROOT && settings.read_only) ||
           (i->mount && i->mount->read_only);
}

int inode_judge(const struct inode *i, int mask)
{
    uint32_t kind = i->mode & S_IFMT;
    bool content = kind == S_IFREG || kind == S_IFDIR || kind == S_IFLNK;
    return (mask & 2) && content && inode_is_fixed(i) ? -EROFS
           : inode_allowed(i, mask)                   ? 0
                                                      : -EACCES;
}

bool inode_allowed(const struct inode *i, int mask)
{
    return inode_allowed_as(i, mask, current()->fsuid, current()->fsgid, current()->caps.effective);
}
