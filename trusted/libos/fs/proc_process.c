// SPDX-License-Identifier: Apache-2.0
// /proc: what the calling process sees of itself.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/proc.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"
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
    for (size_t i = 0; i < space()->count; i++)
        put_area(t, space()->areas[i]);
}

long proc_maps(char *out, size_t size)
{
    struct text t = {0};
    proc_show_maps(&t);
    size_t n = MIN(t.size, size);
    if (n)
        memcpy(out, t.data, n);
    los_free(t.data);
    return t.error ? t.error : (long)n;
}

static void put_signals(struct text *t)
{
    uint64_t ignored = 0, caught = 0;
    for (int i = 0; i < SIG_COUNT; i++) {
        uint64_t h = current()->handlers->actions[i].handler;
        ignored |= h == SIG_IGNORE ? 1ull << i : 0;
        caught |= h > SIG_IGNORE ? 1ull << i : 0;
    }
    text_put(t,
             "SigQ:\t%u/"
             "%lu\nSigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%"
             "016lx\n",
             current()->pending.count, current()->limits[11].soft, self()->pending.set,
             current()->pending.set, self()->sig_mask, ignored, caught);
}

void proc_show_status(struct text *t)
{
    const struct process *p = current();
    const struct caps *c = &p->caps;
    text_put(t,
             "Name:\t%s\nUmask:\t%04o\nState:\tR "
             "(running)\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n",
             p->name, p->fs->umask, p->pid, p->pid, process_parent(p));
    text_put(t, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t64\nGroups:\t", p->uid,
             p->euid, p->suid, p->euid, p->gid, p->egid, p->sgid, p->egid);
    for (uint32_t i = 0; i < p->group_count; i++)
        text_put(t, "%u ", p->groups[i]);
    text_put(t, "\nNStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n", p->pid, p->pid, p->pgid,
             p->sid);
    text_put(
        t,
        "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t       0 kB\nVmHWM:\t%8lu kB\nVmRSS:\t%8lu "
        "kB\nVmSwap:\t       0 kB\n"
        "Threads:\t%u\n",
        space()->mapped_size >> 10, space()->mapped_size >> 10, stats.committed_peak >> 10,
        stats.committed >> 10, p->thread_count);
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
    uint64_t cpu = port_clock(PORT_CLOCK_CPU) / (NS / 100);
    text_put(t, "%d (%s) R %d %d %d 0 -1 0 %lu 0 0 0 %lu 0 0 0 20 0 %u 0 %lu %lu %lu",
             current()->pid, current()->name, process_parent(current()), current()->pgid,
             current()->sid, stats_sum(&stats.faults), cpu, current()->thread_count,
             current()->start_time / (NS / 100), space()->mapped_size,
             stats.committed >> PAGE_SHIFT);
    text_put(t, " 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
}

static void put_strings(struct text *t, uint64_t start, uint64_t end)
{
    char c;
    for (; start < end && !user_read(&c, start, 1); start++)
        text_put(t, "%c", c);
}

void proc_show_cmdline(struct text *t)
{
    put_strings(t, current()->arg_start, current()->arg_end);
}

void proc_show_environ(struct text *t)
{
    put_strings(t, current()->env_start, current()->env_end);
}

void proc_show_comm(struct text *t)
{
    text_put(t, "%s\n", current()->name);
}

void proc_show_statm(struct text *t)
{
    text_put(t, "%lu %lu 0 0 0 %lu 0\n", space()->mapped_size >> PAGE_SHIFT,
             stats.committed >> PAGE_SHIFT, stats.committed >> PAGE_SHIFT);
}

/* Links: text of where they lead. */
void proc_show_self(struct text *t)
{
    text_put(t, "%d", current()->pid);
}

void proc_show_exe(struct text *t)
{
    text_put(t, "%s", current()->exe);
}

void proc_show_cwd(struct text *t)
{
    char *path = los_alloc(4096);
    if (path && dentry_path(cwd_dentry(), path, 4096) >= 0)
        text_put(t, "%s", path);
    los_free(path);
}

void proc_show_root(struct text *t)
{
    text_put(t, "/");
}

void proc_show_mounts(struct text *t)
{
    text_put(t, "self/mounts");
}

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
        const struct limit *l = &current()->limits[i];
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
    uint64_t count = 0;
    for (uint64_t at = a->start; (at = page_next_leaf(space(), at, a->end)) < a->end;) {
        uint64_t end = MIN((at & ~(LEAF_SIZE - 1)) + LEAF_SIZE, a->end);
        for (; at < end; at += PAGE_SIZE)
            count += page_state(at) != 0;
    }
    return count;
}

void proc_show_smaps(struct text *t)
{
    for (size_t i = 0; i < space()->count; i++) {
        const struct area *a = space()->areas[i];
        uint64_t there = pages_there(a) << 2; /* kB */
        put_area(t, a);
        text_put(
            t,
            "Size:           %8lu kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n",
            (a->end - a->start) >> 10);
        text_put(t,
                 "Rss:            %8lu kB\nPss:            %8lu kB\nShared_Clean:          0 "
                 "kB\nShared_Dirty:          0 kB\n",
                 there, there);
        text_put(t,
                 "Private_Clean:         0 kB\nPrivate_Dirty:  %8lu kB\nReferenced:     %8lu "
                 "kB\nAnonymous:      %8lu kB\n",
                 there, there, a->file ? 0 : there);
        text_put(
            t, "Swap:                  0 kB\nSwapPss:               0 kB\nLocked:                0 "
               "kB\n");
    }
}

void proc_show_smaps_rollup(struct text *t)
{
    uint64_t kib = stats.committed >> 10;
    text_put(
        t,
        "00400000-7fffffffffff ---p 00000000 00:00 0      [rollup]\nRss:            %8lu kB\nPss:  "
        "          %8lu kB\n"
        "Private_Dirty:  %8lu kB\nSwap:                  0 kB\n",
        kib, kib, kib);
}

void proc_show_auxv(struct text *t)
{
    put_strings(t, current()->auxv_start, current()->auxv_end);
}

void proc_show_io(struct text *t)
{
    text_put(t, "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: "
                "0\ncancelled_write_bytes: 0\n");
}

/* id, parent, device, root, place, options - type, source, options */
void proc_show_mountinfo(struct text *t)
{
    static const char *const mounts[][3] = {
        {"/", "overlay", "overlay"}, {"/proc", "proc", "proc"},
        {"/dev", "tmpfs", "tmpfs"},  {"/dev/shm", "tmpfs", "shm"},
        {"/sys", "sysfs", "sysfs"},  {"/sys/fs/cgroup", "cgroup2", "cgroup"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(mounts); i++)
        text_put(t, "%lu %d 0:%lu / %s rw,relatime - %s %s rw\n", 20 + i, i ? 20 : 1, 32 + i,
                 mounts[i][0], mounts[i][1], mounts[i][2]);
}
