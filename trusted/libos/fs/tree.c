// SPDX-License-Identifier: Apache-2.0
// The tree of names. Nodes of the image appear when looked up and stay; so do those made here.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/mounted.h"
#include "trusted/libos/mm/mm.h"

#define BUCKETS 512u
#define MOUNTED_NAMES_MAX 16384u /* that are in the tree; with their inodes about 6 MiB */
#define TRIM_BUCKETS 32u         /* looked into at once */

static struct list buckets[BUCKETS];
static uint32_t mounted_names;
struct dentry *root_dentry;

struct dentry *fs_root(void)
{
    struct dentry *d = current()->fs->root;
    return d ? d : root_dentry;
}

void fs_root_set(struct dentry *d)
{
    struct fs_context *fs = current()->fs;
    if (fs->root)
        dentry_put(fs->root);
    fs->root = d;
}

struct dentry *cwd_dentry(void)
{
    struct dentry *d = current()->fs->cwd;
    return d ? d : root_dentry;
}

void cwd_set(struct dentry *d)
{
    struct fs_context *fs = current()->fs;
    if (fs->cwd)
        dentry_put(fs->cwd);
    fs->cwd = d;
}

static struct list *name_bucket(const struct dentry *dir, const char *name, size_t size)
{
    uint64_t h = (uint64_t)dir >> 4;
    for (size_t i = 0; i < size; i++)
        h = (h ^ (uint8_t)name[i]) * 0x100000001b3ull;
    return &buckets[(h ^ h >> 29) % BUCKETS];
}

struct dentry *dentry_new(struct dentry *parent, const char *name, size_t size, struct inode *i)
{
    struct dentry *d = los_alloc(sizeof(*d));
    if (!d || !(d->name = los_alloc(size + 1))) {
        los_free(d);
        return NULL;
    }
    memcpy(d->name, name, size);
    list_init(&d->hash);
    list_init(&d->sibling);
    list_init(&d->children);
    d->refs = 1;
    d->inode = i; /* takes the reference */
    d->parent = parent;
    if (parent)
        dentry_get(parent);
    return d;
}

/* The root stays: that all walks begin there is no reason to write to it. Names of the tree stay
 * while the big lock is shared. */
void dentry_get(struct dentry *d)
{
    if (!d->root && !(d->kept && los_count_later(&d->refs, 1)))
        __atomic_fetch_add(&d->refs, 1, __ATOMIC_RELAXED);
}

static bool is_elsewhere(const struct dentry *d)
{
    return d->parent && d->parent->inode->mount;
}

/* A name in a folder that the host changes too. */
static bool is_live(const struct dentry *d)
{
    return is_elsewhere(d) && d->parent->inode->mount->live &&
           d->inode->mount == d->parent->inode->mount;
}

/* The tree has it no longer. */
static void forget_name(struct dentry *d)
{
    list_remove(&d->hash);
    list_remove(&d->sibling);
    d->kept = false;
    mounted_names -= is_elsewhere(d);
}

/* Live names are known while somebody uses them: what the host deletes must be able to go. */
static bool is_idle(const struct dentry *d)
{
    return d->kept && d->refs == 2 && !los_is_shared() && is_live(d) && list_empty(&d->children);
}

/* One of which the last reference goes is not in the tree: nobody can find it. */
void dentry_put(struct dentry *d)
{
    if (d && !d->root && d->kept && los_count_later(&d->refs, -1))
        return;
    while (d && !d->root) {
        struct dentry *parent = d->parent;
        if (is_idle(d)) {
            forget_name(d);
            d->refs--;
        }
        if (__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL))
            return;
        los_alone();
        list_remove(&d->sibling);
        list_remove(&d->hash);
        if (d->inode)
            inode_put(d->inode);
        los_free(d->name);
        los_free(d);
        d = parent;
    }
}

/* Takes a dentry out of the tree, and the tree's reference with it. */
static void drop_dentry(struct dentry *d)
{
    forget_name(d);
    dentry_put(d);
}

/* Names that are kept elsewhere are found again: when there are many, those that nobody uses go. */
static void trim_names(void)
{
    static unsigned hand;
    for (unsigned n = 0; mounted_names > MOUNTED_NAMES_MAX && n < TRIM_BUCKETS; n++) {
        struct list *bucket = &buckets[hand++ % BUCKETS];
        for (struct list *it = bucket->next; it != bucket; it = it->next) {
            struct dentry *d = container_of(it, struct dentry, hash);
            if (is_elsewhere(d) && __atomic_load_n(&d->refs, __ATOMIC_ACQUIRE) == 1 && !d->root) {
                drop_dentry(d); /* and perhaps more, of this bucket too */
                break;
            }
        }
    }
}

/* Puts a dentry into the tree, which holds a reference of its own. */
static void keep_dentry(struct dentry *d)
{
    if (is_elsewhere(d)) {
        mounted_names++;
        trim_names();
    }
    d->kept = true;
    dentry_get(d);
    list_append(&d->parent->children, &d->sibling);
    list_append(name_bucket(d->parent, d->name, strlen(d->name)), &d->hash);
}

static struct dentry *find_dentry(struct dentry *dir, const char *name, size_t size)
{
    list_each(struct dentry, d, name_bucket(dir, name, size), hash) {
        if (d->parent == dir && !strncmp(d->name, name, size) && !d->name[size])
            return d;
    }
    return NULL;
}

/* Is the name still that file? If not, it goes: who has it open goes on with what it has. */
static bool is_still_there(struct dentry *d)
{
    struct inode *i = NULL;
    bool stays;
    int r = d->parent->inode->ops->lookup(d->parent, d->name, &i, &stays);
    bool same = !r && i == d->inode;
    if (!r)
        inode_put(i);
    if (!same)
        drop_dentry(d);
    return same;
}

int dentry_lookup(struct dentry *dir, const char *name, size_t size, struct dentry **out)
{
    const struct inode *of = dir->inode;
    if (of->fs == FS_PROC || of->mount)
        call_alone();
    struct dentry *d = find_dentry(dir, name, size);
    if (!d && of->ops && of->ops->lookup && call_alone()) /* the tree grows alone */
        d = find_dentry(dir, name, size);
    if (d && d->inode && is_live(d) && !is_still_there(d))
        d = NULL;
    if (d) {
        if (!d->inode)
            return -ENOENT;
        dentry_get(d);
        *out = d;
        return 0;
    }
    if (!dir->inode->ops || !dir->inode->ops->lookup)
        return -ENOENT;
    char text[EROFS_NAME_MAX + 1];
    memcpy(text, name, size);
    text[size] = 0;
    struct inode *i;
    bool stays = false;
    int r = dir->inode->ops->lookup(dir, text, &i, &stays);
    if (r)
        return r;
    d = dentry_new(dir, name, size, i);
    if (!d) {
        inode_put(i);
        return -ENOMEM;
    }
    if (stays)
        keep_dentry(d);
    *out = d;
    return 0;
}

int dentry_link(struct dentry *dir, const char *name, size_t size, struct inode *i)
{
    struct dentry *d = find_dentry(dir, name, size);
    if (d && d->inode)
        return -EEXIST;
    int r = dir->inode->mount ? dir->inode->mount->ops->add_name(dir->inode, name, size, i) : 0;
    if (r)
        return r;
    inode_get(i);
    if (d) {
        d->inode = i; /* the place of a hidden name */
    } else {
        d = dentry_new(dir, name, size, i);
        if (!d) {
            inode_put(i);
            return -ENOMEM;
        }
        keep_dentry(d);
        dentry_put(d);
    }
    if ((i->mode & S_IFMT) == S_IFDIR)
        dir->inode->nlink++;
    inode_touch(dir->inode, true);
    return 0;
}

/* The image's name is hidden from now on. */
static void hide_name(struct dentry *dir, const char *name)
{
    struct dentry *hide = dentry_new(dir, name, strlen(name), NULL);
    if (!hide)
        stop("no memory to remove a name");
    keep_dentry(hide);
    dentry_put(hide);
}

/* Takes the name out; the dentry lives on for those who hold it, with its inode. */
void dentry_unlink(struct dentry *d)
{
    struct dentry *dir = d->parent;
    if ((d->inode->mode & S_IFMT) == S_IFDIR)
        dir->inode->nlink--;
    inode_touch(dir->inode, true);
    inode_touch(d->inode, false);
    if (dir->inode->has_lower)
        hide_name(dir, d->name);
    drop_dentry(d);
}

static bool is_dir(const struct dentry *d)
{
    return (d->inode->mode & S_IFMT) == S_IFDIR;
}

static void enter_dentry(struct dentry *d)
{
    list_append(&d->parent->children, &d->sibling);
    list_append(name_bucket(d->parent, d->name, strlen(d->name)), &d->hash);
    if (is_dir(d))
        d->parent->inode->nlink++;
    inode_touch(d->parent->inode, true);
}

static void leave_dentry(struct dentry *d)
{
    list_remove(&d->hash);
    list_remove(&d->sibling);
    if (is_dir(d))
        d->parent->inode->nlink--;
    inode_touch(d->parent->inode, true);
    inode_touch(d->inode, false);
}

int dentry_move(struct dentry *d, struct dentry *dir, const char *name)
{
    struct dentry *old = d->parent, *hidden = find_dentry(dir, name, strlen(name)), *hide = NULL;
    char *copy = los_strdup(name);
    if (old->inode->has_lower)
        hide = dentry_new(old, d->name, strlen(d->name), NULL);
    if (!d->kept || !copy || (old->inode->has_lower && !hide)) {
        los_free(copy);
        if (hide)
            dentry_put(hide);
        return d->kept ? -ENOMEM : -EXDEV;
    }
    leave_dentry(d);
    if (hidden)
        drop_dentry(hidden);
    los_free(d->name);
    d->name = copy;
    d->parent = dir;
    dentry_get(dir);
    enter_dentry(d);
    if (hide) {
        keep_dentry(hide);
        dentry_put(hide);
    }
    dentry_put(old);
    return 0;
}

int dentry_swap(struct dentry *a, struct dentry *b)
{
    struct dentry *parent = a->parent;
    char *name = a->name;
    if (!a->kept || !b->kept)
        return -EXDEV;
    leave_dentry(a);
    leave_dentry(b);
    a->name = b->name;
    a->parent = b->parent;
    b->name = name;
    b->parent = parent;
    enter_dentry(a);
    enter_dentry(b);
    return 0;
}

static bool is_child(struct dentry *dir, const char *name, size_t size)
{
    return find_dentry(dir, name, size) != NULL;
}

int dentry_list(struct dentry *dir, struct listing *l)
{
    struct listing lower = {0};
    int r = 0;
    if (dir->inode->ops && dir->inode->ops->list)
        r = dir->inode->ops->list(dir, &lower);
    for (size_t i = 0; !r && i < lower.count; i++) {
        struct listed *e = listing_at(&lower, i);
        size_t size = strlen(e->name);
        if (!is_child(dir, e->name, size))
            r = listing_add(l, e->name, size, e->ino, e->type);
    }
    listing_free(&lower);
    for (struct list *it = dir->children.next; !r && it != &dir->children; it = it->next) {
        struct dentry *d = container_of(it, struct dentry, sibling);
        if (d->inode)
            r = listing_add(l, d->name, strlen(d->name), d->inode->ino,
                            (uint8_t)(d->inode->mode >> 12 & 15));
    }
    return r;
}

bool dentry_empty(struct dentry *dir, int *error)
{
    struct listing l = {0};
    *error = dentry_list(dir, &l);
    bool empty = l.count == 0;
    listing_free(&l);
    return empty;
}

bool dentry_below(struct dentry *d, struct dentry *top)
{
    for (; d; d = d->parent) {
        if (d == top)
            return true;
    }
    return false;
}

bool dentry_removed(const struct dentry *d)
{
    return !d->kept && !d->root && d->inode && d->inode->fs != FS_PROC;
}

int dentry_path(struct dentry *d, char *buf, size_t size)
{
    size_t at = size - 1;
    buf[at] = 0;
    if (dentry_removed(d) && at > 10) {
        at -= 10;
        memcpy(buf + at, " (deleted)", 10);
    }
    const struct dentry *root = fs_root();
    for (; !d->root && d != root; d = d->parent) {
        size_t n = strlen(d->name);
        if (n + 1 > at)
            return -ENAMETOOLONG;
        at -= n;
        memcpy(buf + at, d->name, n);
        buf[--at] = '/';
    }
    if (at == size - 1 || buf[at] == ' ')
        buf[--at] = '/';
    memmove(buf, buf + at, size - at);
    return (int)(size - 1 - at);
}

int tree_init(void)
{
    uint64_t nid;
    for (unsigned i = 0; i < BUCKETS; i++)
        list_init(&buckets[i]);
    inode_init();
    int r = erofs_open(0, &nid);
    if (r)
        return r;
    struct inode *i = inode_of_image(nid);
    if (!i || (i->mode & S_IFMT) != S_IFDIR)
        return -EIO;
    root_dentry = dentry_new(NULL, "", 0, i);
    if (!root_dentry)
        return -ENOMEM;
    root_dentry->root = true;
    return 0;
}

int tree_mkdir(const char *path, uint32_t mode, struct dentry **out)
{
    struct dentry *d = root_dentry;
    while (*path == '/')
        path++;
    for (; *path;) {
        const char *end = path;
        while (*end && *end != '/')
            end++;
        size_t size = (size_t)(end - path);
        struct dentry *next;
        int r = dentry_lookup(d, path, size, &next);
        if (r == -ENOENT) {
            struct inode *i = inode_new(d->inode->fs, S_IFDIR | mode);
            r = i ? dentry_link(d, path, size, i) : -ENOMEM;
            if (i)
                inode_put(i);
            if (!r)
                r = dentry_lookup(d, path, size, &next);
        }
        if (r)
            return r;
        if ((next->inode->mode & S_IFMT) != S_IFDIR)
            return -ENOTDIR;
        d = next;
        for (path = end; *path == '/';)
            path++;
    }
    *out = d;
    return 0;
}

int tree_put(struct dentry *dir, const char *name, struct inode *i)
{
    if (!i)
        return -ENOMEM;
    struct dentry *d;
    size_t size = strlen(name);
    int r = dentry_lookup(dir, name, size, &d);
    if (!r) {
        dentry_unlink(d);
        dentry_put(d);
    }
    r = r && r != -ENOENT ? r : dentry_link(dir, name, size, i);
    inode_put(i);
    return r;
}
