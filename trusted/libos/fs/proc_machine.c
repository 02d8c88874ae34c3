// SPDX-License-Identifier: Apache-2.0
// /proc, /sys and its control groups: what a process sees of the machine.
#include "lib/settings.h"
#include "trusted/libos/fs/proc.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/ipc.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/time/time.h"

static uint64_t total_memory(void)
{
    return settings.memory ? settings.memory : 4ull << 30;
}

void proc_show_cpuinfo(struct text *t)
{
    for (uint32_t i = 0; i < port_info.cpu_count; i++)
        text_put(t,
                 "processor\t: %u\nvendor_id\t: unknown\ncpu family\t: 6\nmodel name\t: enclave\n"
                 "siblings\t: %u\ncore id\t\t: %u\ncpu cores\t: %u\nfpu\t\t: yes\n\n",
                 i, port_info.cpu_count, i, port_info.cpu_count);
}

void proc_show_meminfo(struct text *t)
{
    uint64_t total = total_memory() >> 10, used = MIN(stats.committed >> 10, total);
    text_put(t, "MemTotal:       %lu kB\nMemFree:        %lu kB\nMemAvailable:   %lu kB\n", total,
             total - used, total - used);
    text_put(
        t,
        "Buffers:        0 kB\nCached:         0 kB\nSwapTotal:      0 kB\nSwapFree:       0 kB\n");
}

void proc_show_vmstat(struct text *t)
{
    uint64_t used = stats.committed >> PAGE_SHIFT, total = total_memory() >> PAGE_SHIFT;
    text_put(t,
             "nr_free_pages %lu\nnr_anon_pages %lu\npgpgin %lu\npgpgout 0\npswpin 0\npswpout 0\n"
             "pgfault %lu\npgmajfault 0\noom_kill %lu\n",
             total - MIN(used, total), used, stats_sum(&stats.root_blocks) * 4,
             stats_sum(&stats.page_faults), oom_kills());
}

void proc_show_uptime(struct text *t)
{
    uint64_t ns = clock_now(); /* as start times of processes count */
    text_put(t, "%lu.%02lu 0.00\n", ns / NS, ns % NS / (NS / 100));
}

PRINT(loadavg, "0.00 0.00 0.00 1/1 %d\n", current()->pid)

void proc_show_system_stat(struct text *t)
{
    text_put(t, "cpu  0 0 0 0 0 0 0 0 0 0\n");
    for (uint32_t i = 0; i < port_info.cpu_count; i++)
        text_put(t, "cpu%u 0 0 0 0 0 0 0 0 0 0\n", i);
    text_put(t, "btime %lu\nprocesses 1\n", (clock_real() - clock_now()) / NS);
}

static void put_uuid(struct text *t, const uint8_t random[16])
{
    uint8_t b[16];
    memcpy(b, random, sizeof(b));
    b[6] = (b[6] & 15) | 64;
    b[8] = (b[8] & 63) | 128;
    for (int i = 0; i < 16; i++)
        text_put(t, "%02x%s", b[i], i == 3 || i == 5 || i == 7 || i == 9 ? "-" : "");
    text_put(t, "\n");
}

void proc_show_random_uuid(struct text *t)
{
    uint8_t b[16];
    if (!port_random(b, sizeof(b)))
        put_uuid(t, b);
}

void proc_show_boot_id(struct text *t)
{
    static uint8_t id[16];
    static bool known;
    if (!known)
        known = !port_random(id, sizeof(id));
    put_uuid(t, id);
}

PRINT(hostname, "%s\n", uts.hostname)
PRINT(domainname, "%s\n", uts.domainname)
PRINT(file_nr, "%u\t0\t%u\n", 256, 65536)

/* The limit of -m, and the processors of --cpus: runtimes size themselves by these. */
void proc_show_memory_max(struct text *t)
{
    if (settings.memory)
        text_put(t, "%lu\n", settings.memory);
    else
        text_put(t, "max\n");
}

PRINT(memory_current, "%lu\n", stats.committed)
PRINT(memory_peak, "%lu\n", stats.committed_peak)
PRINT(memory_events, "low 0\nhigh 0\nmax 0\noom %lu\noom_kill %lu\n", oom_kills(), oom_kills())
PRINT(memory_stat,
      "anon %lu\nfile 0\nkernel 0\nshmem 0\ninactive_anon 0\nactive_anon %lu\ninactive_file "
      "0\nactive_file 0\n",
      stats.committed, stats.committed)
PRINT(cpu_max, "%u 100000\n", port_info.cpu_count * 100000)

void proc_show_cpu_stat(struct text *t)
{
    uint64_t us = port_clock(PORT_CLOCK_CPU) / 1000;
    text_put(t,
             "usage_usec %lu\nuser_usec %lu\nsystem_usec 0\nnr_periods 0\nnr_throttled "
             "0\nthrottled_usec 0\n",
             us, us);
}

PRINT(cpu_list, port_info.cpu_count > 1 ? "0-%u\n" : "%u\n", port_info.cpu_count - 1)

void proc_show_node_meminfo(struct text *t)
{
    uint64_t total = total_memory() >> 10, used = MIN(stats.committed >> 10, total);
    text_put(
        t,
        "Node 0 MemTotal:       %lu kB\nNode 0 MemFree:        %lu kB\nNode 0 MemUsed:        %lu "
        "kB\n",
        total, total - used, used);
}

void proc_show_pids(struct text *t)
{
    list_each(struct process, p, &processes, node)
        text_put(t, "%d\n", p->pid);
}

/* System V's objects. */
static void put_lines(struct text *t, const char *head,
                      void (*line)(unsigned index, char *out, size_t size))
{
    char out[256];
    text_put(t, "%s\n", head);
    for (unsigned i = 0; i < IPC_IDS_MAX; i++) {
        out[0] = 0;
        line(i, out, sizeof(out));
        text_put_bytes(t, out, strlen(out));
    }
}

void proc_show_sysvipc_msg(struct text *t)
{
    put_lines(t,
              "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  "
              "cgid      "
              "stime      rtime      ctime",
              msg_line);
}

void proc_show_sysvipc_sem(struct text *t)
{
    put_lines(
        t, "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime",
        sem_line);
}

void proc_show_sysvipc_shm(struct text *t)
{
    put_lines(t,
              "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  "
              "cuid  cgid      "
              "atime      dtime      ctime                   rss                  swap",
              shm_line);
}
