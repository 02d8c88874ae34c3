// SPDX-License-Identifier: Apache-2.0
// /proc and /sys: the tree of what fs/proc.def lists. Text is made at open.
#include "trusted/libos/fs/proc.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/proc/proc.h"

enum kind { DIR, SHOWN, LINKED, FDS_OF, TASKS_OF, CONSTANT };

static const struct entry {
    const char *path;
    enum kind kind;
    void (*show)(struct text *t);
    const char *text; /* without `show` */
} entries[] = {
#define FOLDER(path) {path, DIR, NULL, NULL},
#define SHOW(path, name) {path, SHOWN, proc_show_##name, NULL},
#define TEXT(path, text) {path, CONSTANT, NULL, text},
#define LINK(path, name) {path, LINKED, proc_show_##name, NULL},
#define NAMESPACE(path, text) {path, LINKED, NULL, text},
#define FDS(path) {path, FDS_OF, NULL, NULL},
#define TASKS(path) {path, TASKS_OF, NULL, NULL},
#include "trusted/libos/fs/proc.def"
};

static const struct inode_ops proc_ops;

static void put_entry(struct text *t, const struct entry *e)
{
    if (e->show)
        e->show(t);
    else
        text_put(t, "%s", e->text);
}

static struct inode *make_node(const struct entry *e, uint32_t mode)
{
    struct inode *i = inode_new(FS_PROC, mode);
    if (!i)
        return NULL;
    i->ops = &proc_ops;
    i->data = (void *)(uintptr_t)e;
    i->ino = (1ull << 40) + (e ? (uint64_t)(e - entries) : 1000);
    return i;
}

static struct inode *node_of(const struct entry *e)
{
    switch (e->kind) {
    case SHOWN:
    case CONSTANT: {
        struct inode *i = make_node(e, S_IFREG | 0444);
        if (i && strncmp(e->path, "PID/", 4) && strncmp(e->path, "TID/", 4))
            i->uid = i->gid = 0;
        return i;
    }
    case LINKED:
        return make_node(e, S_IFLNK | 0777);
    default:
        return make_node(e, S_IFDIR | 0555);
    }
}

/* The number that a name is, or -1. */
static int parse_number(const char *name)
{
    int v = 0;
    if (!*name)
        return -1;
    for (; *name; name++) {
        if (*name < '0' || *name > '9' || v > 100000000)
            return -1;
        v = v * 10 + *name - '0';
    }
    return v;
}

/* Is `path` directly below the directory `dir` ("" is /proc)? Then its last part. */
static const char *child_of(const char *dir, const char *path)
{
    size_t n = strlen(dir);
    if (n) {
        if (strncmp(path, dir, n) || path[n] != '/')
            return NULL;
        path += n + 1;
    }
    return strchr(path, '/') ? NULL : path;
}

static int lookup_fd(const char *name, struct inode **out)
{
    int fd = parse_number(name);
    if (fd < 0 || !fd_any(fd))
        return -ENOENT;
    struct inode *i = make_node(NULL, S_IFLNK | 0700);
    if (!i)
        return -ENOMEM;
    i->ino = (1ull << 41) + (uint64_t)fd;
    *out = i;
    return 0;
}

static int proc_lookup(struct dentry *dir, const char *name, struct inode **out, bool *keep)
{
    const struct entry *e = dir->inode->data;
    if (e && e->kind == FDS_OF)
        return lookup_fd(name, out);
    const char *base = e ? e->path : "";
    int pid = parse_number(name);
    if (e && e->kind == TASKS_OF) {
        if (!thread_find(current(), pid))
            return -ENOENT;
        base = "";
        name = "TID";
    } else if (pid == current()->pid && !*base) {
        name = "PID";
    } else if (!strcmp(name, "PID") || !strcmp(name, "TID") || !strcmp(name, "SYS")) {
        return -ENOENT;
    }
    for (size_t i = 0; i < ARRAY_COUNT(entries); i++) {
        const char *child = child_of(base, entries[i].path);
        if (!child || strcmp(child, name))
            continue;
        *out = node_of(&entries[i]);
        return *out ? 0 : -ENOMEM;
    }
    return -ENOENT;
}

static int list_numbers(struct listing *l, enum kind kind)
{
    char text[16];
    int r = 0;
    if (kind == TASKS_OF) {
        for (struct list *it = current()->threads.next; !r && it != &current()->threads;
             it = it->next) {
            int n = fmt(text, sizeof(text), "%d", container_of(it, struct thread, node)->tid);
            r = listing_add(l, text, (size_t)n, 1ull << 42, 4);
        }
        return r;
    }
    for (int fd = fd_next(0); !r && fd >= 0; fd = fd_next(fd + 1)) {
        int n = fmt(text, sizeof(text), "%d", fd);
        r = listing_add(l, text, (size_t)n, (1ull << 41) + (uint64_t)fd, 10);
    }
    return r;
}

static int proc_list(struct dentry *dir, struct listing *l)
{
    const struct entry *e = dir->inode->data;
    if (e && (e->kind == FDS_OF || e->kind == TASKS_OF))
        return list_numbers(l, e->kind);
    int r = 0;
    for (size_t i = 0; !r && i < ARRAY_COUNT(entries); i++) {
        const char *child = child_of(e ? e->path : "", entries[i].path);
        char text[16];
        if (!child || !strcmp(child, "TID") || !strcmp(child, "SYS"))
            continue;
        if (!strcmp(child, "PID")) {
            fmt(text, sizeof(text), "%d", current()->pid);
            child = text;
        }
        uint8_t type = entries[i].kind == SHOWN || entries[i].kind == CONSTANT ? 8
                       : entries[i].kind == LINKED                             ? 10
                                                                               : 4;
        r = listing_add(l, child, strlen(child), (1ull << 40) + i, type);
    }
    return r;
}

static struct file *fd_of(struct inode *i)
{
    return i->data ? NULL : fd_any((int)(i->ino - (1ull << 41)));
}

static long proc_readlink(struct inode *i, char *buf, size_t size)
{
    const struct entry *e = i->data;
    if (!e) {
        struct file *f = fd_of(i);
        if (!f)
            return -ENOENT;
        char *path = los_alloc(4096);
        if (!path)
            return -ENOMEM;
        file_path(f, path, 4096);
        size_t n = MIN(strlen(path), size);
        memcpy(buf, path, n);
        los_free(path);
        return (long)n;
    }
    struct text t = {0};
    put_entry(&t, e);
    size_t n = MIN(t.size, size);
    memcpy(buf, t.data ? t.data : "", n);
    los_free(t.data);
    return t.error ? t.error : (long)n;
}

static struct file *proc_follow(struct inode *i)
{
    struct file *f = i->data ? NULL : fd_of(i);
    if (f)
        file_get(f);
    return f;
}

static const struct file_ops proc_dir_ops = {0};

static int proc_open(struct file *f)
{
    const struct entry *e = f->inode->data;
    if ((f->inode->mode & S_IFMT) == S_IFDIR) {
        f->ops = &proc_dir_ops;
        return 0;
    }
    struct text t = {0};
    put_entry(&t, e);
    return text_open(f, &t);
}

static const struct inode_ops proc_ops = {
    .lookup = proc_lookup,
    .list = proc_list,
    .readlink = proc_readlink,
    .follow = proc_follow,
    .open = proc_open,
};

static int mount_at(const char *path, const struct entry *e)
{
    struct dentry *d;
    int r = tree_mkdir(path, 0555, &d);
    if (r)
        return r;
    struct inode *i = make_node(e, S_IFDIR | 0555);
    if (!i)
        return -ENOMEM;
    inode_put(d->inode);
    d->inode = i;
    return 0;
}

int proc_init(void)
{
    const struct entry *sys = entries;
    while (strcmp(sys->path, "SYS"))
        sys++;
    int r = mount_at("/proc", NULL);
    return r ? r : mount_at("/sys", sys);
}
