// SPDX-License-Identifier: Apache-2.0
// /proc and /sys: the tree of what fs/proc.def lists. Text is made when a file is read from its
// beginning.
#include "trusted/libos/fs/proc.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/proc/proc.h"

enum kind { DIR, SHOWN, LINKED, FDS_OF, FDINFO_OF, TASKS_OF, CONSTANT };

static const struct entry {
    const char *path;
    enum kind kind;
    uint16_t mode; /* 0: as its kind has it */
    bool private;
    void (*show)(struct text *t);
    int (*store)(struct text *t, const char *value); /* or NULL */
    const char *text;                                /* without `show` */
} entries[] = {
#define FOLDER(path) {path, DIR, 0, false, NULL, NULL, NULL},
#define NAMESPACES(path) {path, DIR, 0511, true, NULL, NULL, NULL},
#define SHOW(path, name) {path, SHOWN, 0, false, proc_show_##name, NULL, NULL},
#define PRIVATE(path, mode, name) {path, SHOWN, mode, true, proc_show_##name, NULL, NULL},
#define STORE(path, name) {path, SHOWN, 0644, false, proc_show_##name, proc_store_##name, NULL},
#define TEXT(path, text) {path, CONSTANT, 0, false, NULL, NULL, text},
#define LINK(path, name) {path, LINKED, 0, true, proc_show_##name, NULL, NULL},
#define NAMESPACE(path, text, type) {path, LINKED, 0, true, NULL, NULL, text},
#define FDS(path) {path, FDS_OF, 0500, true, NULL, NULL, NULL},
#define FDINFO(path) {path, FDINFO_OF, 0, true, NULL, NULL, NULL},
#define TASKS(path) {path, TASKS_OF, 0, false, NULL, NULL, NULL},
#include "trusted/libos/fs/proc.def"
};

/* An inode's number says whose it is: of nobody (0), a process, or a thread below task/; and which
 * entry, or which descriptor. */
#define INO_PROC (1ull << 48)
#define INO_THREAD (1ull << 47)
#define INO_WHO(id) ((uint64_t)(id) << 24)
#define INO_FD (1u << 22)
#define INO_FDINFO (1u << 23)

static const struct inode_ops proc_ops;

static uint32_t place_of(const struct inode *i)
{
    return i->ino & 0xffffff;
}

static const struct entry *entry_of(const struct inode *i)
{
    return place_of(i) < ARRAY_COUNT(entries) ? &entries[place_of(i)] : NULL;
}

static bool entry_is(const struct inode *i, enum kind kind)
{
    const struct entry *e = entry_of(i);
    return e && e->kind == kind;
}

/* Whose node it is: into t. False: it is gone. */
static bool find_subject(const struct inode *i, struct text *t)
{
    int id = (int)(i->ino >> 24 & 0x7fffff);
    t->process = !id ? current() : i->ino & INO_THREAD ? NULL : process_find(id);
    t->thread = !id ? self() : i->ino & INO_THREAD ? thread_find_any(id) : NULL;
    if (id && t->process && !t->process->zombie)
        t->thread = container_of(t->process->threads.next, struct thread, node);
    if (!t->process)
        t->process = t->thread ? t->thread->process : process_find(id); /* a zombie's last thread */
    return t->process;
}

int proc_process_of(const struct inode *i)
{
    const struct entry *e = i->fs == FS_PROC ? entry_of(i) : NULL;
    return e && e->kind == DIR && !strcmp(e->path, "PID") && !(i->ino & INO_THREAD)
               ? (int)(i->ino >> 24 & 0x7fffff)
               : 0;
}

static bool may_look(const struct inode *i, const struct text *t)
{
    const struct entry *e = entry_of(i);
    return (e && !e->private) || !(i->ino >> 24 & 0x7fffff) || process_may_inspect(t->process);
}

static int number_of(const struct inode *i)
{
    return (int)(place_of(i) & (INO_FD - 1));
}

/* The descriptor that the node stands for, or NULL. */
static struct file *fd_of(const struct inode *i, const struct text *t)
{
    return t->process->files ? fd_file_of(t->process->files, number_of(i)) : NULL;
}

static struct inode *make_node(uint64_t who, uint32_t place)
{
    const struct entry *e = place < ARRAY_COUNT(entries) ? &entries[place] : NULL;
    struct text t;
    uint32_t mode = !e                    ? place & INO_FD ? S_IFLNK | 0700 : S_IFREG | 0444
                    : e->kind == LINKED   ? S_IFLNK | 0777
                    : e->kind == SHOWN    ? S_IFREG | 0444
                    : e->kind == CONSTANT ? S_IFREG | 0444
                                          : S_IFDIR | 0555;
    struct inode *i = inode_new(FS_PROC, e && e->mode ? (mode & S_IFMT) | e->mode : mode);
    if (!i)
        return NULL;
    i->ops = &proc_ops;
    i->magic = e && e->kind == LINKED && !strncmp(e->path, "PID/", 4);
    i->ino = INO_PROC | who | place;
    bool there = find_subject(i, &t), own = who && there && t.process->dumpable;
    i->uid = own ? t.process->euid : 0;
    i->gid = own ? t.process->egid : 0;
    return i;
}

/* The number that a name is, or -1. */
static int parse_number(const char *name)
{
    int v = 0;
    if (!*name || (name[0] == '0' && name[1]))
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

/* Below /proc there is no name like these; threads have no threads. */
static bool is_hidden(uint64_t who, const char *base, const char *child)
{
    return *base ? (who & INO_THREAD) && !strcmp(child, "task")
                 : !strcmp(child, "PID") || !strcmp(child, "SYS");
}

static int find_entry(const char *base, const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(entries); i++) {
        const char *child = child_of(base, entries[i].path);
        if (child && !strcmp(child, name))
            return (int)i;
    }
    return -1;
}

static bool has_thread(const struct process *p, int tid)
{
    return thread_find(p, tid) || (p->zombie && tid == p->pid);
}

/* What a name in `dir` stands for: whose, and its place. 0 or -ENOENT. */
static int look_up(const struct inode *dir, const struct text *t, const char *name, uint64_t *who,
                   int *place)
{
    const struct entry *e = entry_of(dir);
    enum kind kind = e ? e->kind : DIR;
    int number = parse_number(name);
    *who = dir->ino & (INO_PROC - 1) & ~0xffffffull;
    if (kind == FDS_OF || kind == FDINFO_OF) {
        if (!may_look(dir, t))
            return -EACCES;
        *place = (int)(kind == FDS_OF ? INO_FD : INO_FDINFO) | number;
        return number >= 0 && t->process->files && fd_file_of(t->process->files, number) ? 0
                                                                                         : -ENOENT;
    }
    if (kind == TASKS_OF ? number > 0 && has_thread(t->process, number)
                         : !e && number > 0 && process_find(number)) {
        *who = INO_WHO(number) | (kind == TASKS_OF ? INO_THREAD : 0);
        *place = find_entry("", "PID");
        return 0;
    }
    const char *base = e ? e->path : "";
    *place = kind == TASKS_OF || is_hidden(*who, base, name) ? -1 : find_entry(base, name);
    return *place < 0 ? -ENOENT : 0;
}

static int proc_lookup(struct dentry *dir, const char *name, struct inode **out, bool *keep)
{
    struct text t;
    uint64_t who;
    int place,
        r = find_subject(dir->inode, &t) ? look_up(dir->inode, &t, name, &who, &place) : -ENOENT;
    if (r)
        return r;
    *out = make_node(who, (uint32_t)place);
    return *out ? 0 : -ENOMEM;
}

static int list_number(struct listing *l, int number, uint64_t ino, uint8_t type)
{
    char text[16];
    int n = fmt(text, sizeof(text), "%d", number);
    return listing_add(l, text, (size_t)n, INO_PROC | ino, type);
}

static int list_numbers(struct listing *l, enum kind kind, const struct process *p)
{
    int r = 0;
    if (kind == TASKS_OF) {
        if (p->zombie)
            r = list_number(l, p->pid, INO_THREAD | INO_WHO(p->pid), 4);
        list_each(struct thread, t, &p->threads, node) {
            int tid = t->tid;
            r = r ? r : list_number(l, tid, INO_THREAD | INO_WHO(tid), 4);
        }
        return r;
    }
    for (int fd = -1; !r && p->files && (fd = fd_next_of(p->files, fd + 1)) >= 0;)
        r = list_number(l, fd,
                        INO_WHO(p->pid) | (kind == FDS_OF ? INO_FD : INO_FDINFO) | (uint32_t)fd,
                        kind == FDS_OF ? 10 : 8);
    return r;
}

static int proc_list(struct dentry *dir, struct listing *l)
{
    const struct entry *e = entry_of(dir->inode);
    const char *base = e ? e->path : "";
    uint64_t who = dir->inode->ino & (INO_PROC - 1) & ~0xffffffull;
    struct text t;
    int r = 0;
    if (!find_subject(dir->inode, &t))
        return -ENOENT;
    if (!may_look(dir->inode, &t) && !entry_is(dir->inode, FDS_OF))
        return -EACCES;
    if (e && (e->kind == FDS_OF || e->kind == FDINFO_OF || e->kind == TASKS_OF))
        return list_numbers(l, e->kind, t.process);
    for (size_t i = 0; !r && i < ARRAY_COUNT(entries); i++) {
        const char *child = child_of(base, entries[i].path);
        enum kind kind = entries[i].kind;
        if (child && !is_hidden(who, base, child))
            r = listing_add(l, child, strlen(child), INO_PROC | who | i,
                            kind == SHOWN || kind == CONSTANT ? 8
                            : kind == LINKED                  ? 10
                                                              : 4);
    }
    if (!e)
        list_each(struct process, p, &processes, node) {
            int pid = p->pid;
            r = r ? r : list_number(l, pid, INO_WHO(pid), 4);
        }
    return r;
}

/* 0, -ENOMEM; -ESRCH: who it is about is gone. */
static int make_text(const struct inode *i, struct text *t)
{
    const struct entry *e = entry_of(i);
    if (!find_subject(i, t))
        return -ESRCH;
    if (!may_look(i, t))
        return -EACCES;
    if (t->process->zombie && e && e->kind == LINKED)
        return -ENOENT;
    if (e && e->show) {
        e->show(t);
    } else if (e) {
        text_put(t, "%s", e->text);
    } else {
        const struct file *f = fd_of(i, t);
        if (!f)
            return -ENOENT;
        text_put(t, "pos:\t%lu\nflags:\t0%o\nmnt_id:\t20\nino:\t%lu\n", f->offset,
                 fd_flags_of(t->process->files, number_of(i)), f->inode ? f->inode->ino : 0);
        lock_tell(f, t);
        if (f->ops->tell)
            f->ops->tell(f, t);
    }
    return t->error;
}

static long proc_readlink(struct inode *i, char *buf, size_t size)
{
    struct text t = {0};
    char *path = NULL;
    int r = 0;
    if (entry_of(i)) {
        r = make_text(i, &t);
    } else if (!find_subject(i, &t) || !fd_of(i, &t)) {
        r = -ENOENT;
    } else if (!may_look(i, &t)) {
        r = -EACCES;
    } else if (!(path = los_alloc(4096))) {
        r = -ENOMEM;
    } else {
        file_path(fd_of(i, &t), path, 4096);
        t.size = strlen(path);
    }
    size_t n = MIN(t.size, size);
    if (!r && n)
        memcpy(buf, path ? path : t.data, n);
    los_free(path);
    los_free(t.data);
    return r ? r : (long)n;
}

static struct file *proc_follow(struct inode *i)
{
    struct text t;
    const struct entry *e = entry_of(i);
    if ((!(place_of(i) & INO_FD) && !(e && e->kind == LINKED && !e->show)) ||
        !find_subject(i, &t) || !may_look(i, &t))
        return NULL;
    if (e)
        return proc_open_namespace(e->path);
    struct file *f = fd_of(i, &t);
    if (f)
        file_get(f);
    return f;
}

static void text_release(struct file *f)
{
    struct text *t = f->data;
    los_free(t->data);
    los_free(t);
}

static long text_read(struct file *f, struct io *io, uint64_t offset)
{
    struct text *t = f->data;
    if (!offset) { /* from the beginning: as it is now */
        struct text now = {0};
        int r = make_text(f->inode, &now);
        if (r) {
            los_free(now.data);
            return r;
        }
        los_free(t->data);
        *t = now;
    }
    if (offset >= t->size)
        return 0;
    size_t n = MIN(io->left, t->size - offset);
    int r = io_put(io, t->data + offset, n);
    return r ? r : (long)n;
}

static long text_write(struct file *f, struct io *io, uint64_t offset)
{
    const struct entry *e = entry_of(f->inode);
    char value[64];
    struct text t;
    size_t n = MIN(io->left, sizeof(value) - 1);
    if (!e || !e->store)
        return -EACCES;
    if (io_get(io, value, n))
        return -EFAULT;
    value[n] = 0;
    int r = find_subject(f->inode, &t) && !t.process->zombie ? e->store(&t, value) : -ESRCH;
    return r ? r : (long)n;
}

static const struct file_ops text_ops = {
    .read = text_read,
    .write = text_write,
    .release = text_release,
};
static const struct file_ops proc_dir_ops = {0};

static int proc_open(struct file *f)
{
    struct text t, *empty;
    if (!find_subject(f->inode, &t))
        return -ESRCH;
    bool folder = (f->inode->mode & S_IFMT) == S_IFDIR;
    if ((!folder || entry_is(f->inode, FDINFO_OF)) && !may_look(f->inode, &t))
        return -EACCES;
    if (folder) {
        f->ops = &proc_dir_ops;
        return 0;
    }
    empty = los_alloc(sizeof(*empty));
    if (!empty)
        return -ENOMEM;
    f->data = empty;
    f->ops = &text_ops;
    return 0;
}

static const struct inode_ops proc_ops = {
    .lookup = proc_lookup,
    .list = proc_list,
    .readlink = proc_readlink,
    .follow = proc_follow,
    .open = proc_open,
};

static int mount_at(const char *path, uint32_t place)
{
    struct dentry *d;
    int r = tree_mkdir(path, 0555, &d);
    if (r)
        return r;
    struct inode *i = make_node(0, place);
    if (!i)
        return -ENOMEM;
    i->mode = S_IFDIR | 0555;
    inode_put(d->inode);
    d->inode = i;
    return 0;
}

int proc_init(void)
{
    int r = mount_at("/proc", ARRAY_COUNT(entries));
    return r ? r : mount_at("/sys", (uint32_t)find_entry("", "SYS"));
}
