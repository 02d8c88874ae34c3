// SPDX-License-Identifier: Apache-2.0
// /proc: what programs look up there about themselves and the machine. Text is made at open.
#include "lib/settings.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/time/time.h"

/* Text that grows. */
struct text {
    char *data;
    size_t size, room;
    int error;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    size_t n = (size_t)fmtv(line, sizeof(line), format, args);
    n = MIN(n, sizeof(line) - 1);
    va_end(args);
    if (t->size + n > t->room) {
        size_t room = MAX(t->room * 2, t->size + n + 4096);
        char *data = t->error ? NULL : los_realloc(t->data, room);
        if (!data) {
            t->error = -ENOMEM;
            return;
        }
        t->data = data;
        t->room = room;
    }
    memcpy(t->data + t->size, line, n);
    t->size += n;
}

static uint64_t total_memory(void)
{
    return settings.memory ? settings.memory : 4ull << 30;
}

static void put_maps(struct text *t)
{
    for (size_t i = 0; i < space()->count; i++) {
        const struct area *a = space()->areas[i];
        char path[256] = "";
        if (a->file)
            file_path(a->file, path, sizeof(path));
        else if (a->name)
            fmt(path, sizeof(path), "%s", a->name);
        put(t, "%08lx-%08lx %c%c%c%c %08lx 00:%02x %lu%s%s\n", a->start, a->end,
            a->prot & PORT_R ? 'r' : '-', a->prot & PORT_W ? 'w' : '-',
            a->prot & PORT_X ? 'x' : '-', a->shared ? 's' : 'p', a->file ? a->offset : 0,
            a->file ? 0x20 : 0, (a->file && a->file->inode) ? a->file->inode->ino : 0ul,
            path[0] ? "      " : "", path);
    }
}

long proc_maps(char *out, size_t size)
{
    struct text t = {0};
    put_maps(&t);
    size_t n = MIN(t.size, size);
    if (n)
        memcpy(out, t.data, n);
    los_free(t.data);
    return t.error ? t.error : (long)n;
}

static void put_status(struct text *t)
{
    put(t, "Name:\t%s\nUmask:\t%04o\nState:\tR (running)\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\n",
        current()->name, current()->fs->umask, current()->pid, current()->pid, process_parent(current()));
    put(t, "TracerPid:\t0\nUid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t64\n", current()->uid,
        current()->euid, current()->suid, current()->euid, current()->gid, current()->egid, current()->sgid,
        current()->egid);
    put(t, "VmPeak:\t%lu kB\nVmSize:\t%lu kB\nVmHWM:\t%lu kB\nVmRSS:\t%lu kB\nThreads:\t%u\n",
        space()->mapped_size >> 10, space()->mapped_size >> 10, stats.committed_peak >> 10,
        stats.committed >> 10, current()->thread_count);
    put(t, "CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t0\nCpus_allowed_list:\t0-%u\n",
        port_info.cpu_count - 1);
}

static void put_stat(struct text *t)
{
    uint64_t cpu = port_clock(PORT_CLOCK_CPU) / (NS / 100);
    put(t, "%d (%s) R %d %d %d 0 -1 0 %lu 0 0 0 %lu 0 0 0 20 0 %u 0 %lu %lu %lu", current()->pid,
        current()->name, process_parent(current()), current()->pgid, current()->sid, stats.faults, cpu,
        current()->thread_count, current()->start_time / (NS / 100), space()->mapped_size,
        stats.committed >> PAGE_SHIFT);
    put(t, " 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
}

static void put_strings(struct text *t, uint64_t start, uint64_t end)
{
    char c;
    for (; start < end && !user_read(&c, start, 1); start++)
        put(t, "%c", c);
}

static void put_cmdline(struct text *t)
{
    put_strings(t, current()->arg_start, current()->arg_end);
}

static void put_environ(struct text *t)
{
    put_strings(t, current()->env_start, current()->env_end);
}

static void put_comm(struct text *t)
{
    put(t, "%s\n", current()->name);
}

static void put_limits(struct text *t)
{
    static const char *const names[] = {"Max cpu time",   "Max file size",      "Max data size",
                                        "Max stack size", "Max core file size", "Max resident set",
                                        "Max processes",  "Max open files"};
    put(t, "%-26s%-21s%-21s%-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        put(t, "%-26s%-21lu%-21lu\n", names[i], current()->limits[i].soft, current()->limits[i].hard);
}

static void put_statm(struct text *t)
{
    put(t, "%lu %lu 0 0 0 %lu 0\n", space()->mapped_size >> PAGE_SHIFT, stats.committed >> PAGE_SHIFT,
        stats.committed >> PAGE_SHIFT);
}

static void put_cpuinfo(struct text *t)
{
    for (uint32_t i = 0; i < port_info.cpu_count; i++)
        put(t,
            "processor\t: %u\nvendor_id\t: unknown\ncpu family\t: 6\nmodel name\t: enclave\n"
            "siblings\t: %u\ncore id\t\t: %u\ncpu cores\t: %u\nfpu\t\t: yes\n\n",
            i, port_info.cpu_count, i, port_info.cpu_count);
}

static void put_meminfo(struct text *t)
{
    uint64_t total = total_memory() >> 10, used = MIN(stats.committed >> 10, total);
    put(t, "MemTotal:       %lu kB\nMemFree:        %lu kB\nMemAvailable:   %lu kB\n", total,
        total - used, total - used);
    put(t,
        "Buffers:        0 kB\nCached:         0 kB\nSwapTotal:      0 kB\nSwapFree:       0 kB\n");
}

static void put_uptime(struct text *t)
{
    uint64_t ns = clock_now() - current()->start_time;
    put(t, "%lu.%02lu 0.00\n", ns / NS, ns % NS / (NS / 100));
}

static void put_loadavg(struct text *t)
{
    put(t, "0.00 0.00 0.00 1/1 %d\n", current()->pid);
}

static void put_system_stat(struct text *t)
{
    put(t, "cpu  0 0 0 0 0 0 0 0 0 0\n");
    for (uint32_t i = 0; i < port_info.cpu_count; i++)
        put(t, "cpu%u 0 0 0 0 0 0 0 0 0 0\n", i);
    put(t, "btime %lu\nprocesses 1\n", (clock_real() - clock_now()) / NS);
}

static void put_version(struct text *t)
{
    put(t, "Linux version 6.1.0-shelter\n");
}

static void put_mounts(struct text *t)
{
    put(t, "shelter / overlay rw 0 0\nproc /proc proc rw 0 0\ntmpfs /dev tmpfs rw 0 0\n");
}

static void put_filesystems(struct text *t)
{
    put(t, "nodev\tproc\nnodev\ttmpfs\n\terofs\n");
}

static void put_one(struct text *t)
{
    put(t, "1\n");
}

static void put_somaxconn(struct text *t)
{
    put(t, "4096\n");
}

static void put_pid_max(struct text *t)
{
    put(t, "4194304\n");
}

static void put_osrelease(struct text *t)
{
    put(t, "6.1.0-shelter\n");
}

static void put_65536(struct text *t)
{
    put(t, "65536\n");
}

static void put_last_capability(struct text *t)
{
    put(t, "40\n");
}

static void put_zero(struct text *t)
{
    put(t, "0\n");
}

static void put_cgroup(struct text *t)
{
    put(t, "0::/\n");
}

static void put_random_uuid(struct text *t)
{
    uint8_t b[16];
    if (port_random(b, sizeof(b)))
        return;
    b[6] = (b[6] & 15) | 64;
    b[8] = (b[8] & 63) | 128;
    for (int i = 0; i < 16; i++)
        put(t, "%02x%s", b[i], i == 3 || i == 5 || i == 7 || i == 9 ? "-" : "");
    put(t, "\n");
}

static void put_hostname(struct text *t)
{
    put(t, "%s\n", uts.hostname);
}

/* Links: text of where they lead. */
static void link_self(struct text *t)
{
    put(t, "%d", current()->pid);
}

static void link_exe(struct text *t)
{
    put(t, "%s", current()->exe);
}

static void link_cwd(struct text *t)
{
    char *path = los_alloc(4096);
    if (path && dentry_path(cwd_dentry(), path, 4096) >= 0)
        put(t, "%s", path);
    los_free(path);
}

static void link_root(struct text *t)
{
    put(t, "/");
}

static void link_mounts(struct text *t)
{
    put(t, "self/mounts");
}

enum kind { DIR, FILE_, LINK, FDS, FDINFO, TASKS };

static const struct entry {
    const char *path; /* below /proc; those of the process below "self" */
    enum kind kind;
    void (*put)(struct text *t);
} entries[] = {
    {"self", LINK, link_self},
    {"thread-self", LINK, link_self},
    {"mounts", LINK, link_mounts},
    {"cpuinfo", FILE_, put_cpuinfo},
    {"meminfo", FILE_, put_meminfo},
    {"uptime", FILE_, put_uptime},
    {"loadavg", FILE_, put_loadavg},
    {"stat", FILE_, put_system_stat},
    {"version", FILE_, put_version},
    {"filesystems", FILE_, put_filesystems},
    {"sys", DIR, NULL},
    {"sys/vm", DIR, NULL},
    {"sys/vm/overcommit_memory", FILE_, put_one},
    {"sys/vm/max_map_count", FILE_, put_65536},
    {"sys/fs", DIR, NULL},
    {"sys/fs/file-max", FILE_, put_65536},
    {"sys/kernel", DIR, NULL},
    {"sys/kernel/osrelease", FILE_, put_osrelease},
    {"sys/kernel/ngroups_max", FILE_, put_65536},
    {"sys/kernel/cap_last_cap", FILE_, put_last_capability},
    {"sys/kernel/pid_max", FILE_, put_pid_max},
    {"sys/kernel/hostname", FILE_, put_hostname},
    {"sys/kernel/random", DIR, NULL},
    {"sys/kernel/random/uuid", FILE_, put_random_uuid},
    {"sys/kernel/random/boot_id", FILE_, put_random_uuid},
    {"sys/net", DIR, NULL},
    {"sys/net/core", DIR, NULL},
    {"sys/net/core/somaxconn", FILE_, put_somaxconn},
    {"PID", DIR, NULL},
    {"PID/exe", LINK, link_exe},
    {"PID/cwd", LINK, link_cwd},
    {"PID/root", LINK, link_root},
    {"PID/maps", FILE_, put_maps},
    {"PID/stat", FILE_, put_stat},
    {"PID/statm", FILE_, put_statm},
    {"PID/status", FILE_, put_status},
    {"PID/cmdline", FILE_, put_cmdline},
    {"PID/environ", FILE_, put_environ},
    {"PID/comm", FILE_, put_comm},
    {"PID/limits", FILE_, put_limits},
    {"PID/mounts", FILE_, put_mounts},
    {"PID/mountinfo", FILE_, put_mounts},
    {"PID/cgroup", FILE_, put_cgroup},
    {"PID/oom_score_adj", FILE_, put_zero},
    {"PID/fd", FDS, NULL},
    {"PID/task", TASKS, NULL},
    {"TID", DIR, NULL},
    {"TID/stat", FILE_, put_stat},
    {"TID/status", FILE_, put_status},
    {"TID/comm", FILE_, put_comm},
};

static const struct inode_ops proc_ops;

static struct inode *node(const struct entry *e, uint32_t mode)
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
    case FILE_:
        return node(e, S_IFREG | 0444);
    case LINK:
        return node(e, S_IFLNK | 0777);
    default:
        return node(e, S_IFDIR | 0555);
    }
}

/* The number that a name is, or -1. */
static int number(const char *name)
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
    int fd = number(name);
    if (fd < 0 || !fd_any(fd))
        return -ENOENT;
    struct inode *i = node(NULL, S_IFLNK | 0700);
    if (!i)
        return -ENOMEM;
    i->ino = (1ull << 41) + (uint64_t)fd;
    *out = i;
    return 0;
}

static int proc_lookup(struct dentry *dir, const char *name, struct inode **out, bool *keep)
{
    const struct entry *e = dir->inode->data;
    if (e && e->kind == FDS)
        return lookup_fd(name, out);
    const char *base = e ? e->path : "";
    int pid = number(name);
    if (e && e->kind == TASKS) {
        if (!thread_find(current(), pid))
            return -ENOENT;
        base = "";
        name = "TID";
    } else if (pid == current()->pid && !*base) {
        name = "PID";
    } else if (!strcmp(name, "PID") || !strcmp(name, "TID")) {
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
    if (kind == TASKS) {
        for (struct list *it = current()->threads.next; !r && it != &current()->threads; it = it->next) {
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
    if (e && (e->kind == FDS || e->kind == TASKS))
        return list_numbers(l, e->kind);
    int r = 0;
    for (size_t i = 0; !r && i < ARRAY_COUNT(entries); i++) {
        const char *child = child_of(e ? e->path : "", entries[i].path);
        char text[16];
        if (!child || !strcmp(child, "TID"))
            continue;
        if (!strcmp(child, "PID")) {
            fmt(text, sizeof(text), "%d", current()->pid);
            child = text;
        }
        uint8_t type = entries[i].kind == FILE_ ? 8 : entries[i].kind == LINK ? 10 : 4;
        r = listing_add(l, child, strlen(child), (1ull << 40) + i, type);
    }
    return r;
}

static struct file *fd_of(struct inode *i)
{
    return i->data ? NULL   : fd_any((int)(i->ino - (1ull << 41)));
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
    e->put(&t);
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

static long text_read(struct file *f, struct io *io, uint64_t offset)
{
    struct text *t = f->data;
    if (offset >= t->size)
        return 0;
    size_t n = MIN(io->left, t->size - offset);
    int r = io_put(io, t->data + offset, n);
    return r ? r : (long)n;
}

static long text_write(struct file *f, struct io *io, uint64_t offset)
{
    return -EACCES;
}

static void text_release(struct file *f)
{
    struct text *t = f->data;
    los_free(t->data);
    los_free(t);
}

static const struct file_ops text_ops = {
    .read = text_read,
    .write = text_write,
    .release = text_release,
};
static const struct file_ops proc_dir_ops = {0};

static int proc_open(struct file *f)
{
    const struct entry *e = f->inode->data;
    if ((f->inode->mode & S_IFMT) == S_IFDIR) {
        f->ops = &proc_dir_ops;
        return 0;
    }
    struct text *t = los_alloc(sizeof(*t));
    if (!t)
        return -ENOMEM;
    e->put(t);
    if (t->error) {
        los_free(t->data);
        los_free(t);
        return -ENOMEM;
    }
    f->data = t;
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

int proc_init(void)
{
    struct dentry *d;
    int r = tree_mkdir("/proc", 0555, &d);
    if (r)
        return r;
    struct inode *i = node(NULL, S_IFDIR | 0555);
    if (!i)
        return -ENOMEM;
    inode_put(d->inode);
    d->inode = i;
    return 0;
}
