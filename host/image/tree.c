// SPDX-License-Identifier: Apache-2.0
// A root file system in memory: names, folders, links, whiteouts.
#include "host/image/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

#include <shelter/erofs.h>

#define LINKS_MAX 40
#define DEPTH_MAX 1024

int sh_tree_init(struct sh_tree *t, int dir_fd, struct sh_error *err)
{
    *t = (struct sh_tree){.layer = 1};
    t->spool_fd = openat(dir_fd, "spool", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (t->spool_fd < 0)
        return sh_fail_errno(err, -errno, "cannot create a temporary file in the store");
    unlinkat(dir_fd, "spool", 0);
    t->root = sh_tree_inode(t, S_IFDIR | 0755);
    t->root->parent = t->root;
    return 0;
}

struct sh_inode *sh_tree_inode(struct sh_tree *t, uint32_t mode)
{
    struct sh_inode *i = sh_alloc(sizeof(*i));
    i->mode = mode;
    t->inode_count++;
    return i;
}

void sh_tree_inode_drop(struct sh_inode *i)
{
    for (size_t k = 0; k < i->xattr_count; k++)
        free(i->xattrs[k].data);
    free(i->xattrs);
    free(i->entries);
    free(i->index);
    free(i->target);
    free(i);
}

static void drop_entry(struct sh_entry *e);

/* Depth is bounded by DEPTH_MAX, which sh_tree_parent keeps. */
static void drop_entries(struct sh_inode *folder)
{
    for (size_t k = 0; k < folder->entry_count; k++)
        drop_entry(&folder->entries[k]);
    folder->entry_count = 0;
}

/* Takes one name from an inode. */
static void drop_name(struct sh_inode *inode)
{
    if (S_ISDIR(inode->mode)) {
        drop_entries(inode);
        sh_tree_inode_drop(inode);
    } else if (--inode->link_count == 0) {
        sh_tree_inode_drop(inode);
    }
}

static void drop_entry(struct sh_entry *e)
{
    free(e->name);
    drop_name(e->inode);
}

void sh_tree_free(struct sh_tree *t)
{
    if (t->root) {
        drop_entries(t->root);
        sh_tree_inode_drop(t->root);
        close(t->spool_fd);
    }
    *t = (struct sh_tree){0};
}

/* --- names of a folder --- */

/* Small folders are searched from end to end; larger ones have a hash table: open addressing,
 * linear probing, GONE where an entry was removed. */
#define INDEX_FROM 16
#define GONE UINT32_MAX

static uint64_t hash_of(const char *name)
{
    /* Names come from archives: nobody shall be able to choose colliding ones. */
    static uint64_t seed;
    if (!seed && getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        seed = (uint64_t)getpid();
    seed |= 1;
    uint64_t h = seed;
    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 0x100000001b3;
    return (h ^ h >> 29) * 0xbf58476d1ce4e5b9 >> 16;
}

static void drop_index(struct sh_inode *folder)
{
    free(folder->index);
    folder->index = NULL;
    folder->index_size = folder->index_used = 0;
}

/* The slot that holds entry number `k`, whose name is given. */
static size_t slot_of(const struct sh_inode *folder, const char *name, size_t k)
{
    size_t s = hash_of(name) & (folder->index_size - 1);
    while (folder->index[s] != k + 1)
        s = (s + 1) & (folder->index_size - 1);
    return s;
}

static void index_add(struct sh_inode *folder, size_t k)
{
    size_t s = hash_of(folder->entries[k].name) & (folder->index_size - 1);
    while (folder->index[s])
        s = (s + 1) & (folder->index_size - 1);
    folder->index[s] = (uint32_t)k + 1;
    folder->index_used++;
}

/* Makes the table, or a larger one, when the entries (and one more) ask for it. */
static void prepare_index(struct sh_inode *folder)
{
    size_t want = folder->entry_count + 1;
    if (folder->index ? (folder->index_used + 1) * 3 < folder->index_size * 2 : want <= INDEX_FROM)
        return;
    drop_index(folder);
    if (want <= INDEX_FROM)
        return;
    folder->index_size = 4 * INDEX_FROM;
    while (folder->index_size < 3 * want)
        folder->index_size *= 2;
    folder->index = sh_alloc(folder->index_size * sizeof(*folder->index));
    for (size_t k = 0; k < folder->entry_count; k++)
        index_add(folder, k);
}

struct sh_entry *sh_tree_entry(struct sh_inode *folder, const char *name)
{
    prepare_index(folder);
    if (!folder->index) {
        for (size_t k = 0; k < folder->entry_count; k++)
            if (!strcmp(folder->entries[k].name, name))
                return &folder->entries[k];
        return NULL;
    }
    for (size_t s = hash_of(name);; s++) {
        uint32_t k = folder->index[s & (folder->index_size - 1)];
        if (!k)
            return NULL;
        if (k != GONE && !strcmp(folder->entries[k - 1].name, name))
            return &folder->entries[k - 1];
    }
}

void sh_tree_remove(struct sh_inode *folder, const char *name)
{
    struct sh_entry *e = sh_tree_entry(folder, name);
    if (!e)
        return;
    size_t k = (size_t)(e - folder->entries), last = folder->entry_count - 1;
    if (folder->index)
        folder->index[slot_of(folder, e->name, k)] = GONE;
    drop_entry(e);
    if (k != last) {
        if (folder->index)
            folder->index[slot_of(folder, folder->entries[last].name, last)] = (uint32_t)k + 1;
        *e = folder->entries[last];
    }
    folder->entry_count--;
}

static int by_name(const void *a, const void *b)
{
    const struct sh_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

void sh_tree_sort(struct sh_inode *folder)
{
    drop_index(folder);
    if (folder->entry_count)
        qsort(folder->entries, folder->entry_count, sizeof(*folder->entries), by_name);
}

int sh_tree_link(struct sh_tree *t, struct sh_inode *folder, const char *name,
                 struct sh_inode *inode, struct sh_error *err)
{
    if (strlen(name) > SH_EROFS_NAME_MAX)
        return sh_fail(err, -ENAMETOOLONG, "the name '%.40s...' is longer than 255 bytes", name);
    if (t->inode_count > SH_TREE_INODES_MAX)
        return sh_fail(err, -E2BIG, "the root file system has more than %u files",
                       SH_TREE_INODES_MAX);
    if (!S_ISDIR(inode->mode))
        inode->link_count++; /* first: the name may be the last one of this very inode */
    struct sh_entry *there = sh_tree_entry(folder, name);
    if (there) {
        drop_name(there->inode);
        there->inode = inode;
        there->layer = t->layer;
        return 0;
    }
    /* Room grows by doubling: the capacity is the power of two that holds the count. */
    size_t n = folder->entry_count;
    if ((n & (n - 1)) == 0)
        folder->entries =
            sh_realloc_array(folder->entries, n ? 2 * n : 1, sizeof(*folder->entries));
    folder->entries[folder->entry_count++] = (struct sh_entry){sh_strdup(name), inode, t->layer};
    if (folder->index)
        index_add(folder, n);
    return 0;
}

int sh_tree_add_folder(struct sh_tree *t, struct sh_inode *folder, const char *name,
                       struct sh_inode **made, struct sh_error *err)
{
    struct sh_entry *e = sh_tree_entry(folder, name);
    if (e && S_ISDIR(e->inode->mode)) {
        e->layer = t->layer;
        *made = e->inode;
        return 0;
    }
    struct sh_inode *i = sh_tree_inode(t, S_IFDIR | 0755);
    i->parent = folder;
    int r = sh_tree_link(t, folder, name, i, err);
    if (r) {
        sh_tree_inode_drop(i);
        return r;
    }
    *made = i;
    return 0;
}

/* --- paths --- */

struct walk {
    struct sh_tree *t;
    const char *path; /* as the archive has it, for the sentence */
    struct sh_inode *at;
    unsigned links, depth;
    bool make;
    bool lenient; /* sh_tree_find: as chroot would, no sentences */
};

/* The next component of *p, skipping slashes and "."; its length, 0 at the end. */
static size_t next_name(const char **p, const char **name)
{
    for (;;) {
        while (**p == '/')
            (*p)++;
        *name = *p;
        while (**p && **p != '/')
            (*p)++;
        size_t n = (size_t)(*p - *name);
        if (n != 1 || **name != '.')
            return n;
    }
}

static int enter_name(struct walk *w, const char *name, struct sh_error *err);

/* Follows a symbolic link among the parents, inside the root. */
static int follow_link(struct walk *w, const char *target, struct sh_error *err)
{
    if (++w->links > LINKS_MAX)
        return sh_fail(err, -ELOOP, "'%s' goes through a loop of symbolic links", w->path);
    if (*target == '/') {
        if (w->t->strict_links && !w->lenient)
            return sh_fail(err, -EXDEV,
                           "'%s' goes through a symbolic link to '%s', out of the root file system",
                           w->path, target);
        w->at = w->t->root;
    }
    bool make = w->make;
    w->make = false; /* a link names a folder that exists */
    const char *p = target, *name;
    int r = 0;
    for (size_t n; !r && (n = next_name(&p, &name)) != 0;) {
        cleanup_free char *part = sh_format("%.*s", (int)n, name);
        r = enter_name(w, part, err);
    }
    w->make = make;
    return r;
}

static int enter_name(struct walk *w, const char *name, struct sh_error *err)
{
    if (!strcmp(name, "..")) {
        if (w->at == w->t->root && !w->lenient)
            return sh_fail(err, -EXDEV, "'%s' leads out of the root file system", w->path);
        w->at = w->at->parent;
        return 0;
    }
    if (++w->depth > DEPTH_MAX)
        return sh_fail(err, -ENAMETOOLONG, "'%.60s...' has more than %d folders", w->path,
                       DEPTH_MAX);
    struct sh_entry *e = sh_tree_entry(w->at, name);
    if (!e && w->make) {
        struct sh_inode *made;
        int r = sh_tree_add_folder(w->t, w->at, name, &made, err);
        if (!r)
            w->at = made;
        return r;
    }
    if (!e)
        return sh_fail(err, -ENOENT, "'%s' goes through '%s', which is not there", w->path, name);
    if (S_ISLNK(e->inode->mode))
        return follow_link(w, e->inode->target, err);
    if (!S_ISDIR(e->inode->mode))
        return sh_fail(err, -ENOTDIR, "'%s' goes through '%s', which is not a folder", w->path,
                       name);
    w->at = e->inode;
    return 0;
}

int sh_tree_parent(struct sh_tree *t, const char *path, bool make, struct sh_inode **folder,
                   char **name, struct sh_error *err)
{
    struct walk w = {.t = t, .path = path, .at = t->root, .make = make};
    const char *p = path, *part;
    *name = NULL;
    if (*p == '/')
        return sh_fail(err, -EXDEV, "'%s' is an absolute name; names must be inside the root",
                       path);
    cleanup_free char *last = sh_strdup("");
    for (size_t n; (n = next_name(&p, &part)) != 0;) {
        if (n == 2 && !memcmp(part, "..", 2))
            return sh_fail(err, -EXDEV, "'%s' has '..' in it, which may lead out of the root",
                           path);
        if (*last) {
            int r = enter_name(&w, last, err);
            if (r)
                return r;
        }
        free(last);
        last = sh_format("%.*s", (int)n, part);
    }
    *folder = w.at;
    *name = sh_take_ptr(last);
    return 0;
}

struct sh_inode *sh_tree_find(struct sh_tree *t, const char *path)
{
    struct sh_error ignored = {0};
    struct walk w = {.t = t, .path = path, .at = t->root, .lenient = true};
    const char *p = path, *part;
    cleanup_free char *last = NULL;
    for (size_t n; (n = next_name(&p, &part)) != 0;) {
        if (last && enter_name(&w, last, &ignored))
            return NULL;
        free(last);
        last = sh_format("%.*s", (int)n, part);
    }
    for (;;) {
        if (!last)
            return w.at;
        if (!strcmp(last, ".."))
            return w.at->parent;
        struct sh_entry *e = sh_tree_entry(w.at, last);
        if (!e)
            return NULL;
        if (!S_ISLNK(e->inode->mode))
            return e->inode;
        if (++w.links > LINKS_MAX)
            return NULL;
        /* The link's own parents, then its last name. */
        if (*e->inode->target == '/')
            w.at = t->root;
        p = e->inode->target;
        free(last);
        last = NULL;
        for (size_t n; (n = next_name(&p, &part)) != 0;) {
            if (last && enter_name(&w, last, &ignored))
                return NULL;
            free(last);
            last = sh_format("%.*s", (int)n, part);
        }
    }
}

/* --- whiteouts --- */

void sh_tree_opaque(struct sh_tree *t, struct sh_inode *folder)
{
    size_t kept = 0;
    if (folder->swept == t->layer)
        return; /* what came since is of this layer: marks may be repeated as often as they like */
    folder->swept = t->layer;
    drop_index(folder);
    for (size_t k = 0; k < folder->entry_count; k++) {
        struct sh_entry *e = &folder->entries[k];
        bool keep = e->layer == t->layer;
        if (S_ISDIR(e->inode->mode)) {
            sh_tree_opaque(t, e->inode);
            keep = keep || e->inode->entry_count;
        }
        if (keep)
            folder->entries[kept++] = *e;
        else
            drop_entry(e);
    }
    folder->entry_count = kept;
}

void sh_tree_whiteout(struct sh_tree *t, struct sh_inode *folder, const char *name)
{
    struct sh_entry *e = sh_tree_entry(folder, name);
    if (!e)
        return;
    if (S_ISDIR(e->inode->mode)) {
        sh_tree_opaque(t, e->inode);
        if (e->inode->entry_count)
            return;
    }
    if (e->layer != t->layer)
        sh_tree_remove(folder, name);
}

/* --- attributes and content --- */

static const struct {
    const char *prefix;
    uint8_t index;
    bool whole;
} kinds[] = {
    {"user.", SH_EROFS_XATTR_USER, false},
    {"security.", SH_EROFS_XATTR_SECURITY, false},
    {"trusted.", SH_EROFS_XATTR_TRUSTED, false},
    {"system.posix_acl_access", SH_EROFS_XATTR_ACL_ACCESS, true},
    {"system.posix_acl_default", SH_EROFS_XATTR_ACL_DEFAULT, true},
};

static int compare_xattr(const void *a, const void *b)
{
    const struct sh_xattr *x = a, *y = b;
    if (x->index != y->index)
        return x->index - y->index;
    size_t n = x->name_size < y->name_size ? x->name_size : y->name_size;
    int r = n ? memcmp(x->data, y->data, n) : 0;
    return r ? r : x->name_size - y->name_size;
}

int sh_tree_xattr(struct sh_inode *inode, const char *name, const void *value, size_t size,
                  struct sh_error *err)
{
    uint8_t index = 0;
    const char *rest = "";
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]) && !index; k++) {
        size_t n = strlen(kinds[k].prefix);
        if (kinds[k].whole ? !strcmp(name, kinds[k].prefix) : !strncmp(name, kinds[k].prefix, n)) {
            index = kinds[k].index;
            rest = name + n;
        }
    }
    /* Overlay's own marks would make files of the image disappear in the guest. */
    if (!index || !strncmp(name, "trusted.overlay.", 16) || (!*rest && strchr(name, 0)[-1] == '.'))
        return 0;
    if (strlen(rest) > 255 || size > 65535 || inode->xattr_count >= 256)
        return sh_fail(err, -E2BIG, "the extended attribute %.60s is too large", name);
    struct sh_xattr x = {index, (uint8_t)strlen(rest), (uint16_t)size, NULL};
    x.data = sh_alloc(x.name_size + size);
    memcpy(x.data, rest, x.name_size);
    if (size)
        memcpy(x.data + x.name_size, value, size);
    for (size_t k = 0; k < inode->xattr_count; k++) {
        if (!compare_xattr(&inode->xattrs[k], &x)) {
            free(inode->xattrs[k].data);
            inode->xattrs[k] = x;
            return 0;
        }
    }
    inode->xattrs = sh_realloc_array(inode->xattrs, inode->xattr_count + 1, sizeof(x));
    inode->xattrs[inode->xattr_count++] = x;
    qsort(inode->xattrs, inode->xattr_count, sizeof(x), compare_xattr);
    return 0;
}

int sh_tree_reserve(struct sh_tree *t, uint64_t size, uint64_t *offset, struct sh_error *err)
{
    uint64_t start = (t->spool_size + 4095) & ~4095ull;
    if (size > 1ull << 44 || start + size > 1ull << 44)
        return sh_fail(err, -EFBIG, "the root file system is larger than 16 TiB");
    if (size && ftruncate(t->spool_fd, (off_t)(start + size)))
        return sh_fail_errno(err, -errno, "cannot write the root file system");
    *offset = start;
    t->spool_size = start + size;
    return 0;
}
