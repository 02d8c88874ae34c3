// SPDX-License-Identifier: Apache-2.0
// /proc: what programs look up there about themselves and the machine. Text is made at open.
#include "lib/settings.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"
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

static void put_area(struct text *t, const struct area *a)
{
    char path[256] = "";
    if (a->file)
        file_path(a->file, path, sizeof(path));
    else if (a->name)
        fmt(path, sizeof(path), "%s", a->name);
    put(t, "%08lx-%08lx %c%c%c%c %08lx 00:%02x %lu%s%s\n", a->start, a->end,
        a->prot & PORT_R ? 'r' : '-', a->prot & PORT_W ? 'w' : '-', a->prot & PORT_X ? 'x' : '-',
        a->shared ? 's' : 'p', a->file ? a->offset : 0, a->file ? 0x20 : 0,
        (a->file && a->file->inode) ? a->file->inode->ino : 0ul, path[0] ? "      " : "", path);
}

static void put_maps(struct text *t)
{
    for (size_t i = 0; i < space()->count; i++)
        put_area(t, space()->areas[i]);
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

static void put_signals(struct text *t)
{
    uint64_t ignored = 0, caught = 0;
    for (int i = 0; i < SIG_COUNT; i++) {
        uint64_t h = current()->handlers->actions[i].handler;
        ignored |= h == SIG_IGNORE ? 1ull << i : 0;
        caught |= h > SIG_IGNORE ? 1ull << i : 0;
    }
    put(t,
        "SigQ:\t%u/"
        "%lu\nSigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%"
        "016lx\n",
        current()->pending.count, current()->limits[11].soft, self()->pending.set,
        current()->pending.set, self()->sig_mask, ignored, caught);
}

static void put_status(struct text *t)
{
    const struct process *p = current();
    const struct caps *c = &p->caps;
    put(t,
        "Name:\t%s\nUmask:\t%04o\nState:\tR "
        "(running)\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n",
        p->name, p->fs->umask, p->pid, p->pid, process_parent(p));
    put(t, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t64\nGroups:\t", p->uid, p->euid,
        p->suid, p->euid, p->gid, p->egid, p->sgid, p->egid);
    for (uint32_t i = 0; i < p->group_count; i++)
        put(t, "%u ", p->groups[i]);
    put(t, "\nNStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n", p->pid, p->pid, p->pgid, p->sid);
    put(t,
        "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t       0 kB\nVmHWM:\t%8lu kB\nVmRSS:\t%8lu "
        "kB\nVmSwap:\t       0 kB\n"
        "Threads:\t%u\n",
        space()->mapped_size >> 10, space()->mapped_size >> 10, stats.committed_peak >> 10,
        stats.committed >> 10, p->thread_count);
    put_signals(t);
    put(t, "CapInh:\t%016lx\nCapPrm:\t%016lx\nCapEff:\t%016lx\nCapBnd:\t%016lx\nCapAmb:\t%016lx\n",
        c->inheritable, c->permitted, c->effective, c->bounding, c->ambient);
    put(t, "NoNewPrivs:\t%d\nSeccomp:\t0\nSeccomp_filters:\t0\nCpus_allowed_list:\t",
        p->no_new_privs);
    put(t, port_info.cpu_count > 1 ? "0-%u\n" : "%u\n", port_info.cpu_count - 1);
    put(t, "Mems_allowed_list:\t0\nvoluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n");
}

static void put_stat(struct text *t)
{
    uint64_t cpu = port_clock(PORT_CLOCK_CPU) / (NS / 100);
    put(t, "%d (%s) R %d %d %d 0 -1 0 %lu 0 0 0 %lu 0 0 0 20 0 %u 0 %lu %lu %lu", current()->pid,
        current()->name, process_parent(current()), current()->pgid, current()->sid,
        stats_sum(&stats.faults), cpu, current()->thread_count, current()->start_time / (NS / 100),
        space()->mapped_size, stats.committed >> PAGE_SHIFT);
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

static void put_statm(struct text *t)
{
    put(t, "%lu %lu 0 0 0 %lu 0\n", space()->mapped_size >> PAGE_SHIFT,
        stats.committed >> PAGE_SHIFT, stats.committed >> PAGE_SHIFT);
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

static void put_uuid(struct text *t, const uint8_t random[16])
{
    uint8_t b[16];
    memcpy(b, random, sizeof(b));
    b[6] = (b[6] & 15) | 64;
    b[8] = (b[8] & 63) | 128;
    for (int i = 0; i < 16; i++)
        put(t, "%02x%s", b[i], i == 3 || i == 5 || i == 7 || i == 9 ? "-" : "");
    put(t, "\n");
}

static void put_random_uuid(struct text *t)
{
    uint8_t b[16];
    if (!port_random(b, sizeof(b)))
        put_uuid(t, b);
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

/* Limits, as Linux names them. */
static void put_limits(struct text *t)
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
    put(t, "%-26s%-21s%-21s%-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        const struct limit *l = &current()->limits[i];
        const uint64_t values[2] = {l->soft, l->hard};
        put(t, "%-26s", names[i][0]);
        for (int k = 0; k < 2; k++) {
            char text[24];
            if (values[k] == UINT64_MAX)
                fmt(text, sizeof(text), "unlimited");
            else
                fmt(text, sizeof(text), "%lu", values[k]);
            put(t, "%-21s", text);
        }
        put(t, names[i][1][0] ? "%-10s\n" : "\n", names[i][1]);
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

static void put_smaps(struct text *t)
{
    for (size_t i = 0; i < space()->count; i++) {
        const struct area *a = space()->areas[i];
        uint64_t there = pages_there(a) << 2; /* kB */
        put_area(t, a);
        put(t,
            "Size:           %8lu kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n",
            (a->end - a->start) >> 10);
        put(t,
            "Rss:            %8lu kB\nPss:            %8lu kB\nShared_Clean:          0 "
            "kB\nShared_Dirty:          0 kB\n",
            there, there);
        put(t,
            "Private_Clean:         0 kB\nPrivate_Dirty:  %8lu kB\nReferenced:     %8lu "
            "kB\nAnonymous:      %8lu kB\n",
            there, there, a->file ? 0 : there);
        put(t, "Swap:                  0 kB\nSwapPss:               0 kB\nLocked:                0 "
               "kB\n");
    }
}

static void put_smaps_rollup(struct text *t)
{
    uint64_t kib = stats.committed >> 10;
    put(t,
        "00400000-7fffffffffff ---p 00000000 00:00 0      [rollup]\nRss:            %8lu kB\nPss:  "
        "          %8lu kB\n"
        "Private_Dirty:  %8lu kB\nSwap:                  0 kB\n",
        kib, kib, kib);
}

static void put_auxv(struct text *t)
{
    put_strings(t, current()->auxv_start, current()->auxv_end);
}

static void put_io(struct text *t)
{
    put(t, "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: "
           "0\ncancelled_write_bytes: 0\n");
}

/* id, parent, device, root, place, options - type, source, options */
static void put_mountinfo(struct text *t)
{
    static const char *const mounts[][3] = {
        {"/", "overlay", "overlay"}, {"/proc", "proc", "proc"},
        {"/dev", "tmpfs", "tmpfs"},  {"/dev/shm", "tmpfs", "shm"},
        {"/sys", "sysfs", "sysfs"},  {"/sys/fs/cgroup", "cgroup2", "cgroup"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(mounts); i++)
        put(t, "%lu %d 0:%lu / %s rw,relatime - %s %s rw\n", 20 + i, i ? 20 : 1, 32 + i,
            mounts[i][0], mounts[i][1], mounts[i][2]);
}

/* The limit of -m, and the processors of --cpus: runtimes size themselves by these. */
static void put_memory_max(struct text *t)
{
    if (settings.memory)
        put(t, "%lu\n", settings.memory);
    else
        put(t, "max\n");
}

static void put_memory_current(struct text *t)
{
    put(t, "%lu\n", stats.committed);
}

static void put_memory_peak(struct text *t)
{
    put(t, "%lu\n", stats.committed_peak);
}

static void put_memory_stat(struct text *t)
{
    put(t,
        "anon %lu\nfile 0\nkernel 0\nshmem 0\ninactive_anon 0\nactive_anon %lu\ninactive_file "
        "0\nactive_file 0\n",
        stats.committed, stats.committed);
}

static void put_cpu_max(struct text *t)
{
    put(t, "%u 100000\n", port_info.cpu_count * 100000);
}

static void put_cpu_stat(struct text *t)
{
    uint64_t us = port_clock(PORT_CLOCK_CPU) / 1000;
    put(t,
        "usage_usec %lu\nuser_usec %lu\nsystem_usec 0\nnr_periods 0\nnr_throttled "
        "0\nthrottled_usec 0\n",
        us, us);
}

static void put_cpu_list(struct text *t)
{
    put(t, port_info.cpu_count > 1 ? "0-%u\n" : "%u\n", port_info.cpu_count - 1);
}

static void put_node_meminfo(struct text *t)
{
    uint64_t total = total_memory() >> 10, used = MIN(stats.committed >> 10, total);
    put(t,
        "Node 0 MemTotal:       %lu kB\nNode 0 MemFree:        %lu kB\nNode 0 MemUsed:        %lu "
        "kB\n",
        total, total - used, used);
}

static void put_pids(struct text *t)
{
    list_for(it, &processes) put(t, "%d\n", container_of(it, struct process, node)->pid);
}

static void put_file_nr(struct text *t)
{
    put(t, "%u\t0\t%u\n", 256, 65536);
}

static void put_domainname(struct text *t)
{
    put(t, "%s\n", uts.domainname);
}

static void put_boot_id(struct text *t)
{
    static uint8_t id[16];
    static bool known;
    if (!known)
        known = !port_random(id, sizeof(id));
    put_uuid(t, id);
}

enum kind { DIR, FILE_, LINK, FDS, FDINFO, TASKS, TEXT };

#define RELEASE "6.1.0-shelter"

static const struct entry {
    const char *path; /* below /proc; those of a process below "PID", those of /sys below "SYS" */
    enum kind kind;
    void (*put)(struct text *t);
    const char *text; /* TEXT */
} entries[] = {
    {"self", LINK, link_self, NULL},
    {"thread-self", LINK, link_self, NULL},
    {"mounts", LINK, link_mounts, NULL},
    {"cpuinfo", FILE_, put_cpuinfo, NULL},
    {"meminfo", FILE_, put_meminfo, NULL},
    {"uptime", FILE_, put_uptime, NULL},
    {"loadavg", FILE_, put_loadavg, NULL},
    {"stat", FILE_, put_system_stat, NULL},
    {"version", TEXT, NULL, "Linux version " RELEASE " #1 SMP\n"},
    {"filesystems", TEXT, NULL,
     "nodev\tproc\nnodev\ttmpfs\nnodev\tsysfs\nnodev\tcgroup2\n\terofs\n"},
    {"cgroups", TEXT, NULL,
     "#subsys_name\thierarchy\tnum_"
     "cgroups\tenabled\ncpuset\t0\t1\t1\ncpu\t0\t1\t1\nmemory\t0\t1\t1\npids\t0\t1\t1\n"},
    {"vmstat", TEXT, NULL,
     "nr_free_pages 0\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault 0\npgmajfault 0\noom_kill "
     "0\n"},
    {"diskstats", TEXT, NULL, ""},
    {"partitions", TEXT, NULL, "major minor  #blocks  name\n\n"},
    {"swaps", TEXT, NULL, "Filename\tType\tSize\tUsed\tPriority\n"},
    {"modules", TEXT, NULL, ""},
    {"cmdline", TEXT, NULL, "\n"},
    {"devices", TEXT, NULL, "Character devices:\n  1 mem\n  5 /dev/tty\n\nBlock devices:\n"},
    {"sys", DIR, NULL, NULL},
    {"sys/vm", DIR, NULL, NULL},
    {"sys/vm/overcommit_memory", TEXT, NULL, "1\n"},
    {"sys/vm/overcommit_ratio", TEXT, NULL, "50\n"},
    {"sys/vm/max_map_count", TEXT, NULL, "65530\n"},
    {"sys/vm/swappiness", TEXT, NULL, "0\n"},
    {"sys/vm/mmap_min_addr", TEXT, NULL, "65536\n"},
    {"sys/vm/nr_hugepages", TEXT, NULL, "0\n"},
    {"sys/vm/min_free_kbytes", TEXT, NULL, "0\n"},
    {"sys/vm/overcommit_kbytes", TEXT, NULL, "0\n"},
    {"sys/vm/vfs_cache_pressure", TEXT, NULL, "100\n"},
    {"sys/vm/dirty_ratio", TEXT, NULL, "20\n"},
    {"sys/vm/dirty_background_ratio", TEXT, NULL, "10\n"},
    {"sys/vm/zone_reclaim_mode", TEXT, NULL, "0\n"},
    {"sys/vm/panic_on_oom", TEXT, NULL, "0\n"},
    {"sys/fs", DIR, NULL, NULL},
    {"sys/fs/file-nr", FILE_, put_file_nr, NULL},
    {"sys/fs/file-max", TEXT, NULL, "65536\n"},
    {"sys/fs/nr_open", TEXT, NULL, "1048576\n"},
    {"sys/fs/pipe-max-size", TEXT, NULL, "1048576\n"},
    {"sys/fs/aio-max-nr", TEXT, NULL, "65536\n"},
    {"sys/fs/aio-nr", TEXT, NULL, "0\n"},
    {"sys/fs/protected_hardlinks", TEXT, NULL, "0\n"},
    {"sys/fs/protected_symlinks", TEXT, NULL, "0\n"},
    {"sys/fs/lease-break-time", TEXT, NULL, "45\n"},
    {"sys/fs/inotify", DIR, NULL, NULL},
    {"sys/fs/inotify/max_queued_events", TEXT, NULL, "16384\n"},
    {"sys/fs/inotify/max_user_instances", TEXT, NULL, "128\n"},
    {"sys/fs/inotify/max_user_watches", TEXT, NULL, "65536\n"},
    {"sys/fs/epoll", DIR, NULL, NULL},
    {"sys/fs/epoll/max_user_watches", TEXT, NULL, "1048576\n"},
    {"sys/fs/mqueue", DIR, NULL, NULL},
    {"sys/fs/mqueue/msg_default", TEXT, NULL, "10\n"},
    {"sys/fs/mqueue/msg_max", TEXT, NULL, "10\n"},
    {"sys/fs/mqueue/msgsize_default", TEXT, NULL, "8192\n"},
    {"sys/fs/mqueue/msgsize_max", TEXT, NULL, "8192\n"},
    {"sys/fs/mqueue/queues_max", TEXT, NULL, "256\n"},
    {"sys/kernel", DIR, NULL, NULL},
    {"sys/kernel/hostname", FILE_, put_hostname, NULL},
    {"sys/kernel/domainname", FILE_, put_domainname, NULL},
    {"sys/kernel/ostype", TEXT, NULL, "Linux\n"},
    {"sys/kernel/osrelease", TEXT, NULL, "" RELEASE "\n"},
    {"sys/kernel/version", TEXT, NULL, "#1 SMP\n"},
    {"sys/kernel/ngroups_max", TEXT, NULL, "65536\n"},
    {"sys/kernel/cap_last_cap", TEXT, NULL, "40\n"},
    {"sys/kernel/pid_max", TEXT, NULL, "4194304\n"},
    {"sys/kernel/threads-max", TEXT, NULL, "65536\n"},
    {"sys/kernel/tainted", TEXT, NULL, "0\n"},
    {"sys/kernel/randomize_va_space", TEXT, NULL, "2\n"},
    {"sys/kernel/shmmax", TEXT, NULL, "18446744073692774399\n"},
    {"sys/kernel/shmall", TEXT, NULL, "18446744073692774399\n"},
    {"sys/kernel/shmmni", TEXT, NULL, "4096\n"},
    {"sys/kernel/msgmax", TEXT, NULL, "8192\n"},
    {"sys/kernel/msgmnb", TEXT, NULL, "16384\n"},
    {"sys/kernel/msgmni", TEXT, NULL, "4096\n"},
    {"sys/kernel/sem", TEXT, NULL, "32000\t1024000000\t500\t32000\n"},
    {"sys/kernel/core_pattern", TEXT, NULL, "core\n"},
    {"sys/kernel/core_uses_pid", TEXT, NULL, "0\n"},
    {"sys/kernel/perf_event_paranoid", TEXT, NULL, "4\n"},
    {"sys/kernel/kptr_restrict", TEXT, NULL, "2\n"},
    {"sys/kernel/dmesg_restrict", TEXT, NULL, "1\n"},
    {"sys/kernel/sched_child_runs_first", TEXT, NULL, "0\n"},
    {"sys/kernel/panic", TEXT, NULL, "0\n"},
    {"sys/kernel/printk", TEXT, NULL, "4\t4\t1\t7\n"},
    {"sys/kernel/unprivileged_userns_clone", TEXT, NULL, "0\n"},
    {"sys/kernel/numa_balancing", TEXT, NULL, "0\n"},
    {"sys/kernel/random", DIR, NULL, NULL},
    {"sys/kernel/random/uuid", FILE_, put_random_uuid, NULL},
    {"sys/kernel/random/boot_id", FILE_, put_boot_id, NULL},
    {"sys/kernel/random/entropy_avail", TEXT, NULL, "256\n"},
    {"sys/kernel/random/poolsize", TEXT, NULL, "256\n"},
    {"sys/kernel/yama", DIR, NULL, NULL},
    {"sys/kernel/yama/ptrace_scope", TEXT, NULL, "3\n"},
    {"sys/user", DIR, NULL, NULL},
    {"sys/user/max_user_namespaces", TEXT, NULL, "0\n"},
    {"sys/net", DIR, NULL, NULL},
    {"sys/net/core", DIR, NULL, NULL},
    {"sys/net/core/somaxconn", TEXT, NULL, "4096\n"},
    {"sys/net/core/rmem_max", TEXT, NULL, "212992\n"},
    {"sys/net/core/wmem_max", TEXT, NULL, "212992\n"},
    {"sys/net/core/rmem_default", TEXT, NULL, "212992\n"},
    {"sys/net/core/wmem_default", TEXT, NULL, "212992\n"},
    {"sys/net/core/netdev_max_backlog", TEXT, NULL, "1000\n"},
    {"sys/net/core/optmem_max", TEXT, NULL, "131072\n"},
    {"sys/net/ipv4", DIR, NULL, NULL},
    {"sys/net/ipv4/ip_local_port_range", TEXT, NULL, "32768\t60999\n"},
    {"sys/net/ipv4/ip_unprivileged_port_start", TEXT, NULL, "0\n"},
    {"sys/net/ipv4/ip_nonlocal_bind", TEXT, NULL, "0\n"},
    {"sys/net/ipv4/ip_forward", TEXT, NULL, "0\n"},
    {"sys/net/ipv4/tcp_keepalive_time", TEXT, NULL, "7200\n"},
    {"sys/net/ipv4/tcp_keepalive_intvl", TEXT, NULL, "75\n"},
    {"sys/net/ipv4/tcp_keepalive_probes", TEXT, NULL, "9\n"},
    {"sys/net/ipv4/tcp_fin_timeout", TEXT, NULL, "60\n"},
    {"sys/net/ipv4/tcp_syncookies", TEXT, NULL, "1\n"},
    {"sys/net/ipv4/tcp_max_syn_backlog", TEXT, NULL, "4096\n"},
    {"sys/net/ipv4/tcp_rmem", TEXT, NULL, "4096\t131072\t6291456\n"},
    {"sys/net/ipv4/tcp_wmem", TEXT, NULL, "4096\t16384\t4194304\n"},
    {"sys/net/ipv4/tcp_fastopen", TEXT, NULL, "0\n"},
    {"sys/net/ipv4/tcp_tw_reuse", TEXT, NULL, "2\n"},
    {"sys/net/ipv4/tcp_congestion_control", TEXT, NULL, "cubic\n"},
    {"sys/net/ipv6", DIR, NULL, NULL},
    {"sys/net/ipv6/conf", DIR, NULL, NULL},
    {"sys/net/ipv6/conf/all", DIR, NULL, NULL},
    {"sys/net/ipv6/conf/all/disable_ipv6", TEXT, NULL, "0\n"},
    {"PID", DIR, NULL, NULL},
    {"PID/exe", LINK, link_exe, NULL},
    {"PID/cwd", LINK, link_cwd, NULL},
    {"PID/root", LINK, link_root, NULL},
    {"PID/maps", FILE_, put_maps, NULL},
    {"PID/smaps", FILE_, put_smaps, NULL},
    {"PID/smaps_rollup", FILE_, put_smaps_rollup, NULL},
    {"PID/stat", FILE_, put_stat, NULL},
    {"PID/statm", FILE_, put_statm, NULL},
    {"PID/status", FILE_, put_status, NULL},
    {"PID/cmdline", FILE_, put_cmdline, NULL},
    {"PID/environ", FILE_, put_environ, NULL},
    {"PID/comm", FILE_, put_comm, NULL},
    {"PID/limits", FILE_, put_limits, NULL},
    {"PID/io", FILE_, put_io, NULL},
    {"PID/auxv", FILE_, put_auxv, NULL},
    {"PID/mountinfo", FILE_, put_mountinfo, NULL},
    {"PID/mounts", TEXT, NULL,
     "overlay / overlay rw 0 0\nproc /proc proc rw 0 0\ntmpfs /dev tmpfs rw 0 0\nshm /dev/shm "
     "tmpfs rw 0 0\nsysfs /sys sysfs ro 0 0\ncgroup /sys/fs/cgroup cgroup2 ro 0 0\n"},
    {"PID/cgroup", TEXT, NULL, "0::/\n"},
    {"PID/oom_score_adj", TEXT, NULL, "0\n"},
    {"PID/oom_score", TEXT, NULL, "0\n"},
    {"PID/oom_adj", TEXT, NULL, "0\n"},
    {"PID/loginuid", TEXT, NULL, "4294967295"},
    {"PID/sessionid", TEXT, NULL, "4294967295"},
    {"PID/schedstat", TEXT, NULL, "0 0 0\n"},
    {"PID/timerslack_ns", TEXT, NULL, "50000\n"},
    {"PID/wchan", TEXT, NULL, "0"},
    {"PID/setgroups", TEXT, NULL, "allow\n"},
    {"PID/uid_map", TEXT, NULL, "         0          0 4294967295\n"},
    {"PID/gid_map", TEXT, NULL, "         0          0 4294967295\n"},
    {"PID/coredump_filter", TEXT, NULL, "00000033\n"},
    {"PID/ns", DIR, NULL, NULL},
    {"PID/ns/cgroup", LINK, NULL, "cgroup:[4026531840]"},
    {"PID/ns/ipc", LINK, NULL, "ipc:[4026531840]"},
    {"PID/ns/mnt", LINK, NULL, "mnt:[4026531840]"},
    {"PID/ns/net", LINK, NULL, "net:[4026531840]"},
    {"PID/ns/pid", LINK, NULL, "pid:[4026531840]"},
    {"PID/ns/user", LINK, NULL, "user:[4026531840]"},
    {"PID/ns/uts", LINK, NULL, "uts:[4026531840]"},
    {"PID/ns/time", LINK, NULL, "time:[4026531840]"},
    {"PID/fd", FDS, NULL, NULL},
    {"PID/task", TASKS, NULL, NULL},
    {"TID", DIR, NULL, NULL},
    {"TID/stat", FILE_, put_stat, NULL},
    {"TID/status", FILE_, put_status, NULL},
    {"TID/comm", FILE_, put_comm, NULL},
    {"TID/cgroup", TEXT, NULL, "0::/\n"},
    {"SYS", DIR, NULL, NULL},
    {"SYS/devices", DIR, NULL, NULL},
    {"SYS/devices/system", DIR, NULL, NULL},
    {"SYS/devices/system/cpu", DIR, NULL, NULL},
    {"SYS/devices/system/cpu/online", FILE_, put_cpu_list, NULL},
    {"SYS/devices/system/cpu/possible", FILE_, put_cpu_list, NULL},
    {"SYS/devices/system/cpu/present", FILE_, put_cpu_list, NULL},
    {"SYS/devices/system/cpu/offline", TEXT, NULL, "\n"},
    {"SYS/devices/system/cpu/isolated", TEXT, NULL, "\n"},
    {"SYS/devices/system/cpu/kernel_max", TEXT, NULL, "511\n"},
    {"SYS/devices/system/node", DIR, NULL, NULL},
    {"SYS/devices/system/node/node0", DIR, NULL, NULL},
    {"SYS/devices/system/node/online", TEXT, NULL, "0\n"},
    {"SYS/devices/system/node/possible", TEXT, NULL, "0\n"},
    {"SYS/devices/system/node/has_cpu", TEXT, NULL, "0\n"},
    {"SYS/devices/system/node/has_memory", TEXT, NULL, "0\n"},
    {"SYS/devices/system/node/has_normal_memory", TEXT, NULL, "0\n"},
    {"SYS/devices/system/node/node0/cpulist", FILE_, put_cpu_list, NULL},
    {"SYS/devices/system/node/node0/meminfo", FILE_, put_node_meminfo, NULL},
    {"SYS/devices/system/node/node0/distance", TEXT, NULL, "10\n"},
    {"SYS/fs", DIR, NULL, NULL},
    {"SYS/fs/cgroup", DIR, NULL, NULL},
    {"SYS/fs/cgroup/cgroup.controllers", TEXT, NULL, "cpuset cpu memory pids\n"},
    {"SYS/fs/cgroup/cgroup.type", TEXT, NULL, "domain\n"},
    {"SYS/fs/cgroup/cgroup.subtree_control", TEXT, NULL, "\n"},
    {"SYS/fs/cgroup/cgroup.procs", FILE_, put_pids, NULL},
    {"SYS/fs/cgroup/cgroup.events", TEXT, NULL, "populated 1\nfrozen 0\n"},
    {"SYS/fs/cgroup/memory.max", FILE_, put_memory_max, NULL},
    {"SYS/fs/cgroup/memory.current", FILE_, put_memory_current, NULL},
    {"SYS/fs/cgroup/memory.peak", FILE_, put_memory_peak, NULL},
    {"SYS/fs/cgroup/memory.stat", FILE_, put_memory_stat, NULL},
    {"SYS/fs/cgroup/memory.high", TEXT, NULL, "max\n"},
    {"SYS/fs/cgroup/memory.low", TEXT, NULL, "0\n"},
    {"SYS/fs/cgroup/memory.min", TEXT, NULL, "0\n"},
    {"SYS/fs/cgroup/memory.swap.max", TEXT, NULL, "0\n"},
    {"SYS/fs/cgroup/memory.swap.current", TEXT, NULL, "0\n"},
    {"SYS/fs/cgroup/memory.events", TEXT, NULL, "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n"},
    {"SYS/fs/cgroup/cpu.max", FILE_, put_cpu_max, NULL},
    {"SYS/fs/cgroup/cpu.stat", FILE_, put_cpu_stat, NULL},
    {"SYS/fs/cgroup/cpu.weight", TEXT, NULL, "100\n"},
    {"SYS/fs/cgroup/cpuset.cpus.effective", FILE_, put_cpu_list, NULL},
    {"SYS/fs/cgroup/cpuset.cpus", FILE_, put_cpu_list, NULL},
    {"SYS/fs/cgroup/cpuset.mems.effective", TEXT, NULL, "0\n"},
    {"SYS/fs/cgroup/pids.max", TEXT, NULL, "max\n"},
    {"SYS/kernel", DIR, NULL, NULL},
    {"SYS/kernel/mm", DIR, NULL, NULL},
    {"SYS/kernel/mm/transparent_hugepage", DIR, NULL, NULL},
    {"SYS/kernel/mm/transparent_hugepage/enabled", TEXT, NULL, "always madvise [never]\n"},
    {"SYS/kernel/mm/transparent_hugepage/defrag", TEXT, NULL,
     "always defer defer+madvise madvise [never]\n"},
    {"SYS/kernel/mm/transparent_hugepage/shmem_enabled", TEXT, NULL,
     "always within_size advise [never] deny force\n"},
    {"SYS/kernel/mm/transparent_hugepage/hpage_pmd_size", TEXT, NULL, "2097152\n"},
    {"SYS/kernel/mm/hugepages", DIR, NULL, NULL},
    {"SYS/class", DIR, NULL, NULL},
    {"SYS/class/net", DIR, NULL, NULL},
    {"SYS/block", DIR, NULL, NULL},
};

static const struct inode_ops proc_ops;

static void put_entry(struct text *t, const struct entry *e)
{
    if (e->put)
        e->put(t);
    else
        put(t, "%s", e->text);
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
    case FILE_:
    case TEXT: {
        struct inode *i = make_node(e, S_IFREG | 0444);
        if (i && strncmp(e->path, "PID/", 4) && strncmp(e->path, "TID/", 4))
            i->uid = i->gid = 0;
        return i;
    }
    case LINK:
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
    if (e && e->kind == FDS)
        return lookup_fd(name, out);
    const char *base = e ? e->path : "";
    int pid = parse_number(name);
    if (e && e->kind == TASKS) {
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
    if (kind == TASKS) {
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
    if (e && (e->kind == FDS || e->kind == TASKS))
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
        uint8_t type = entries[i].kind == FILE_ || entries[i].kind == TEXT ? 8
                       : entries[i].kind == LINK                           ? 10
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
    put_entry(t, e);
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
