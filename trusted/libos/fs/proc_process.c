// SPDX-License-Identifier: Apache-2.0
// /proc: what is told of a process.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/proc.h"
#include "trusted/libos/fs/tty.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/proc/ptrace.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

static void put_area(struct text *t, const struct area *a)
{
    char path[256] = "";
    if (a->file)
        file_path(a->file, path, sizeof(path));
    else if (a->name)
        fmt(path, sizeof(path), "%s", a->name);
    text_put(t, "%08lx-%08lx %c%c%c%c %08lx 00:%02x %lu%s%s\n", a->start, a->end,
             a->prot & PORT_R ? 'r' : '-', a->prot & PORT_W ? 'w' : '-',
             a->prot & PORT_X ? 'x' : '-', a->shared ? 's' : 'p', a->file ? a->offset : 0,
             a->file ? 0x20 : 0, (a->file && a->file->inode) ? a->file->inode->ino : 0ul,
             path[0] ? "      " : "", path);
}

void proc_show_maps(struct text *t)
{
    const struct space *s = t->process->space;
    for (size_t i = 0; s && i < s->count; i++)
        put_area(t, s->areas[i]);
}

long proc_maps(char *out, size_t size)
{
    struct text t = {.process = current()};
    proc_show_maps(&t);
    size_t n = MIN(t.size, size);
    if (n)
        memcpy(out, t.data, n);
    los_free(t.data);
    return t.error ? t.error : (long)n;
}

/* Bytes of pages that are there. */
static uint64_t resident_size(const struct space *s)
{
    uint64_t index, count = 0;
    const struct leaf *leaf;
    for (uint64_t i = 0; s && (leaf = radix_next(&s->leaves, i, &index)); i = index + 1) {
        for (unsigned n = 0; n < ARRAY_COUNT(leaf->page); n++)
            count += leaf->page[n] != 0;
    }
    return count << PAGE_SHIFT;
}

static uint64_t mapped_size(const struct text *t)
{
    return t->process->space ? t->process->space->mapped_size : 0;
}

static const char *name_of(const struct text *t)
{
    return t->thread && t->thread->tid != t->process->pid ? t->thread->name : t->process->name;
}

static int id_of(const struct text *t)
{
    return t->thread ? t->thread->tid : t->process->pid;
}

static const char *state_of(const struct text *t)
{
    const struct thread *th = t->thread;
    return t->process->zombie                                ? "Z (zombie)"
           : t->process->stopped                             ? "T (stopped)"
           : th->tracee && th->tracee->status                ? "t (tracing stop)"
           : th == self()                                    ? "R (running)"
           : th->vforking                                    ? "D (disk sleep)"
           : __atomic_load_n(&th->resting, __ATOMIC_RELAXED) ? "S (sleeping)"
                                                             : "R (running)";
}

static void put_signals(struct text *t)
{
    const struct process *p = t->process;
    uint64_t ignored = 0, caught = 0;
    for (int i = 0; p->handlers && i < SIG_COUNT; i++) {
        uint64_t h = p->handlers->actions[i].handler;
        ignored |= h == SIG_IGNORE ? 1ull << i : 0;
        caught |= h > SIG_IGNORE ? 1ull << i : 0;
    }
    text_put(t,
             "SigQ:\t%u/%lu\nSigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\n"
             "SigCgt:\t%016lx\n",
             p->pending.count, p->limits[11].soft, t->thread ? t->thread->pending.set : 0,
             p->pending.set, t->thread ? t->thread->sig_mask : 0, ignored, caught);
}

static void put_sizes(struct text *t)
{
    uint64_t mapped = mapped_size(t) >> 10, there = resident_size(t->process->space) >> 10;
    text_put(
        t,
        "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t%8lu kB\nVmPin:\t       0 kB\nVmHWM:\t%8lu "
        "kB\nVmRSS:\t%8lu kB\nVmSwap:\t       0 kB\n",
        mapped, mapped, mm_locked_size(t->process->space, 0, UINT64_MAX) >> 10, there, there);
}

void proc_show_status(struct text *t)
{
    const struct process *p = t->process;
    const struct caps *c = &p->caps;
    text_put(t, "Name:\t%s\n", name_of(t));
    if (p->fs)
        text_put(t, "Umask:\t%04o\n", p->fs->umask);
    text_put(t,
             "State:\t%s\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\n"
             "TracerPid:\t%d\n",
             state_of(t), p->pid, id_of(t), process_parent(p),
             t->thread && t->thread->tracee ? t->thread->tracee->tracer->pid : 0);
    text_put(t, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t64\nGroups:\t", p->uid,
             p->euid, p->suid, p->fsuid, p->gid, p->egid, p->sgid, p->fsgid);
    for (uint32_t i = 0; i < p->group_count; i++)
        text_put(t, "%u ", p->groups[i]);
    if (!p->group_count)
        text_put(t, " ");
    text_put(t, "\nNStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n", p->pid, id_of(t), p->pgid,
             p->sid);
    if (p->space)
        put_sizes(t);
    text_put(t, "Threads:\t%u\n", MAX(p->thread_count, 1));
    put_signals(t);
    text_put(
        t, "CapInh:\t%016lx\nCapPrm:\t%016lx\nCapEff:\t%016lx\nCapBnd:\t%016lx\nCapAmb:\t%016lx\n",
        c->inheritable, c->permitted, c->effective, c->bounding, c->ambient);
    text_put(t, "NoNewPrivs:\t%d\nSeccomp:\t0\nSeccomp_filters:\t0\nCpus_allowed_list:\t",
             p->no_new_privs);
    text_put(t, port_info.cpu_count > 1 ? "0-%u\n" : "%u\n", port_info.cpu_count - 1);
    text_put(
        t, "Mems_allowed_list:\t0\nvoluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n");
}

void proc_show_stat(struct text *t)
{
    const struct process *p = t->process;
    const struct tty *terminal = tty_of_process(p);
    struct usage u = usage_of(p), c = p->children_usage;
    text_put(t, "%d (%s) %c %d %d %d %d %d 0 %lu 0 0 0 %lu %lu %lu %lu %d %d %u 0 %lu %lu %lu",
             id_of(t), name_of(t), state_of(t)[0], process_parent(p), p->pgid, p->sid,
             terminal ? (int)terminal->name->inode->rdev : 0, terminal ? terminal->pgid : -1,
             stats_sum(&stats.faults), (u.all - u.system) / (NS / 100), u.system / (NS / 100),
             (c.all - c.system) / (NS / 100), c.system / (NS / 100), 20 + p->nice, p->nice,
             MAX(p->thread_count, 1), p->start_time / (NS / 100), mapped_size(t),
             resident_size(p->space) >> PAGE_SHIFT);
    text_put(t, " %lu 0 0 0 0 0 %lu %lu 0 0 0 0 0 %d 0 0 %d 0 0 0 0 0 0 0 0 0 0 %d\n",
             p->limits[5].soft, t->thread ? t->thread->pending.set & 0x7fffffff : 0,
             t->thread ? t->thread->sig_mask & 0x7fffffff : 0, p->exit_signal,
             t->thread ? t->thread->policy : 0, p->zombie ? p->wait_status : 0);
}

/* What the process's memory holds there. */
static void put_memory(struct text *t, uint64_t start, uint64_t end)
{
    char part[256];
    while (t->process->space && start < end) {
        size_t n = MIN(end - start, sizeof(part));
        if (space_read(t->process->space, part, start, n))
            return;
        text_put_bytes(t, part, n);
        start += n;
    }
}

void proc_show_cmdline(struct text *t)
{
    put_memory(t, t->process->arg_start, t->process->arg_end);
}

void proc_show_environ(struct text *t)
{
    t->error = t->process->space ? 0 : -ESRCH;
    put_memory(t, t->process->env_start, t->process->env_end);
}

PRINT(comm, "%s\n", name_of(t))

int proc_store_comm(struct text *t, const char *value)
{
    if (t->process != current())
        return -EINVAL;
    size_t n = MIN(strlen(value), sizeof(t->thread->name) - 1);
    memset(t->thread->name, 0, sizeof(t->thread->name));
    memcpy(t->thread->name, value, n);
    if (t->thread->tid == t->process->pid)
        memcpy(t->process->name, t->thread->name, sizeof(t->process->name));
    return 0;
}

PRINT(oom_score_adj, "%d\n", t->process->oom_score_adj)
PRINT(oom_score, "%lu\n", oom_score(t->process))

int proc_store_oom_score_adj(struct text *t, const char *value)
{
    int sign = *value == '-' ? -1 : 1, v = 0;
    const char *at = value + (*value == '-');
    if (*at < '0' || *at > '9')
        return -EINVAL;
    for (; *at >= '0' && *at <= '9' && v <= 1000; at++)
        v = 10 * v + *at - '0';
    if ((*at && *at != '\n') || v > 1000)
        return -EINVAL;
    if (sign * v < 0 && !capable(CAP_SYS_RESOURCE))
        return -EACCES;
    t->process->oom_score_adj = sign * v;
    return 0;
}

void proc_show_statm(struct text *t)
{
    uint64_t mapped = mapped_size(t) >> PAGE_SHIFT,
             there = resident_size(t->process->space) >> PAGE_SHIFT;
    text_put(t, "%lu %lu 0 0 0 %lu 0\n", mapped, there, there);
}

void proc_show_timerslack(struct text *t)
{
    uint64_t slack = t->thread ? t->thread->timer_slack[0] : 0;
    text_put(t, "%lu\n", slack ? slack : SLACK_DEFAULT);
}

PRINT(personality, "%08x\n", t->process->personality)

void proc_show_children(struct text *t)
{
    list_each(struct process, p, &t->process->children, sibling)
        text_put(t, "%d ", p->pid);
}

/* Links: text of where they lead. */
PRINT(self, "%d", current()->pid)
PRINT(thread_self, "%d/task/%d", current()->pid, self()->tid)
PRINT(exe, "%s", t->process->exe)

static void put_place(struct text *t, struct dentry *d)
{
    char *path = t->process->fs ? los_alloc(4096) : NULL;
    int n = path ? dentry_path(d ? d : root_dentry, path, 4096) : 0;
    if (n > 0)
        text_put_bytes(t, path, (size_t)n);
    los_free(path);
}

void proc_show_cwd(struct text *t)
{
    put_place(t, t->process->fs ? t->process->fs->cwd : NULL);
}

void proc_show_root(struct text *t)
{
    put_place(t, t->process->fs ? t->process->fs->root : NULL);
}

PRINT(net, "self/net")
PRINT(mounts, "self/mounts")

/* Limits, as Linux names them. */
void proc_show_limits(struct text *t)
{
    static const char *const names[][2] = {
        {"Max cpu time", "seconds"},     {"Max file size", "bytes"},
        {"Max data size", "bytes"},      {"Max stack size", "bytes"},
        {"Max core file size", "bytes"}, {"Max resident set", "bytes"},
        {"Max processes", "processes"},  {"Max open files", "files"},
        {"Max locked memory", "bytes"},  {"Max address space", "bytes"},
        {"Max file locks", "locks"},     {"Max pending signals", "signals"},
        {"Max msgqueue size", "bytes"},  {"Max nice priority", ""},
        {"Max realtime priority", ""},   {"Max realtime timeout", "us"},
    };
    text_put(t, "%-26s%-21s%-21s%-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        const struct limit *l = &t->process->limits[i];
        const uint64_t values[2] = {l->soft, l->hard};
        text_put(t, "%-26s", names[i][0]);
        for (int k = 0; k < 2; k++) {
            char text[24];
            if (values[k] == UINT64_MAX)
                fmt(text, sizeof(text), "unlimited");
            else
                fmt(text, sizeof(text), "%lu", values[k]);
            text_put(t, "%-21s", text);
        }
        text_put(t, names[i][1][0] ? "%-10s\n" : "\n", names[i][1]);
    }
}

#define LEAF_SIZE (512 * PAGE_SIZE) /* what one leaf of mm/ tells of */

static uint64_t pages_there(const struct area *a)
{
    const struct space *s = a->space;
    uint64_t count = 0;
    for (uint64_t at = a->start; (at = page_next_leaf(s, at, a->end)) < a->end;) {
        uint64_t end = MIN((at & ~(LEAF_SIZE - 1)) + LEAF_SIZE, a->end);
        for (; at < end; at += PAGE_SIZE)
            count += page_state_of(s, at) != 0;
    }
    return count;
}

static void put_usage(struct text *t, uint64_t there, uint64_t anonymous, uint64_t locked)
{
    text_put(t,
             "Rss:            %8lu kB\nPss:            %8lu kB\nShared_Clean:          0 kB\n"
             "Shared_Dirty:          0 kB\nPrivate_Clean:         0 kB\nPrivate_Dirty:  %8lu kB\n",
             there, there, there);
    text_put(t,
             "Referenced:     %8lu kB\nAnonymous:      %8lu kB\nSwap:                  0 kB\n"
             "SwapPss:               0 kB\nLocked:         %8lu kB\n",
             there, anonymous, locked);
}

void proc_show_smaps(struct text *t)
{
    const struct space *s = t->process->space;
    for (size_t i = 0; s && i < s->count; i++) {
        const struct area *a = s->areas[i];
        uint64_t there = pages_there(a) << 2; /* kB */
        put_area(t, a);
        text_put(
            t,
            "Size:           %8lu kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n",
            (a->end - a->start) >> 10);
        put_usage(t, there, a->file ? 0 : there, a->locked ? there : 0);
    }
}

void proc_show_smaps_rollup(struct text *t)
{
    uint64_t kib = resident_size(t->process->space) >> 10;
    text_put(t, "00400000-7fffffffffff ---p 00000000 00:00 0      [rollup]\n");
    put_usage(t, kib, kib, 0);
}

void proc_show_auxv(struct text *t)
{
    t->error = t->process->space ? 0 : -ESRCH;
    put_memory(t, t->process->auxv_start, t->process->auxv_end);
}

/* What reached a disk is not known: the image's blocks are copied in before, volumes write later.
 */
void proc_show_io(struct text *t)
{
    uint64_t calls[2], bytes[2];
    memcpy(calls, t->process->moves, sizeof(calls));
    memcpy(bytes, t->process->moved, sizeof(bytes));
    list_each(const struct thread, th, &t->process->threads, node) {
        for (int i = 0; i < 2; i++) {
            calls[i] += th->moves[i];
            bytes[i] += th->moved[i];
        }
    }
    text_put(t,
             "rchar: %lu\nwchar: %lu\nsyscr: %lu\nsyscw: %lu\nread_bytes: 0\nwrite_bytes: "
             "0\ncancelled_write_bytes: 0\n",
             bytes[0], bytes[1], calls[0], calls[1]);
}
