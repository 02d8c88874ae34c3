// SPDX-License-Identifier: Apache-2.0
// What the system is: uname, limits, usage, scheduling, prctl, entropy.
#include <linux/prctl.h>
#include <linux/sysinfo.h>
#include <linux/utsname.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/time/time.h"

long sys_uname(const uint64_t *a)
{
    struct new_utsname u = {0};
    fmt(u.sysname, sizeof(u.sysname), "Linux");
    fmt(u.nodename, sizeof(u.nodename), "%s", process.hostname);
    fmt(u.release, sizeof(u.release), "6.1.0-shelter");
    fmt(u.version, sizeof(u.version), "#1 SMP");
    fmt(u.machine, sizeof(u.machine), "x86_64");
    fmt(u.domainname, sizeof(u.domainname), "%s", process.domainname);
    return user_write(a[0], &u, sizeof(u));
}

static long set_name(char *to, uint64_t from, uint64_t size)
{
    char name[65] = {0};
    if (process.euid)
        return -EPERM;
    if (size > 64)
        return -EINVAL;
    if (user_read(name, from, size))
        return -EFAULT;
    memcpy(to, name, sizeof(name));
    return 0;
}

long sys_sethostname(const uint64_t *a)
{
    return set_name(process.hostname, a[0], a[1]);
}

long sys_setdomainname(const uint64_t *a)
{
    return set_name(process.domainname, a[0], a[1]);
}

long sys_getrlimit(const uint64_t *a)
{
    if (a[0] >= ARRAY_COUNT(process.limits))
        return -EINVAL;
    return user_write(a[1], &process.limits[a[0]], sizeof(struct limit));
}

static long set_limit(uint64_t resource, uint64_t from)
{
    struct limit l;
    if (user_read(&l, from, sizeof(l)))
        return -EFAULT;
    if (l.soft > l.hard)
        return -EINVAL;
    if (l.hard > process.limits[resource].hard && process.euid)
        return -EPERM;
    process.limits[resource] = l;
    return 0;
}

long sys_setrlimit(const uint64_t *a)
{
    return a[0] < ARRAY_COUNT(process.limits) ? set_limit(a[0], a[1]) : -EINVAL;
}

long sys_prlimit64(const uint64_t *a)
{
    if (a[1] >= ARRAY_COUNT(process.limits))
        return -EINVAL;
    if ((int)a[0] && (int)a[0] != process.pid)
        return -ESRCH;
    struct limit old = process.limits[a[1]];
    long r = a[2] ? set_limit(a[1], a[2]) : 0;
    if (!r && a[3])
        r = user_write(a[3], &old, sizeof(old));
    return r;
}

long sys_getrusage(const uint64_t *a)
{
    uint64_t usage[18] = {0};
    uint64_t ns = port_clock((int)a[0] == 1 ? PORT_CLOCK_THREAD : PORT_CLOCK_CPU);
    if ((int)a[0] < -1 || (int)a[0] > 1)
        return -EINVAL;
    if ((int)a[0] != -1) {
        usage[0] = ns / NS;
        usage[1] = ns % NS / 1000;
        usage[4] = stats.committed_peak / 1024;
        usage[8] = stats.faults;
    }
    return user_write(a[1], usage, sizeof(usage));
}

long sys_times(const uint64_t *a)
{
    uint64_t ticks[4] = {port_clock(PORT_CLOCK_CPU) / (NS / 100)};
    if (a[0] && user_write(a[0], ticks, sizeof(ticks)))
        return -EFAULT;
    return (long)(clock_now() / (NS / 100));
}

long sys_sysinfo(const uint64_t *a)
{
    uint64_t total = port_info.memory_size ? port_info.memory_size : 4ull << 30;
    struct sysinfo s = {
        .uptime = (long)((clock_now() - process.start_time) / NS),
        .totalram = total,
        .freeram = total - MIN(total, stats.committed),
        .procs = 1,
        .mem_unit = 1,
    };
    return user_write(a[0], &s, sizeof(s));
}

long sys_sched_yield(const uint64_t *a)
{
    port_thread_yield();
    return 0;
}

static bool known(uint64_t pid)
{
    return (int)pid == 0 || (int)pid == process.pid || thread_find((int)pid);
}

long sys_sched_setparam(const uint64_t *a)
{
    return known(a[0]) ? 0 : -ESRCH;
}

long sys_sched_getparam(const uint64_t *a)
{
    int priority = 0;
    return known(a[0]) ? user_write(a[1], &priority, sizeof(priority)) : -ESRCH;
}

long sys_sched_setscheduler(const uint64_t *a)
{
    return !known(a[0]) ? -ESRCH : (int)a[1] == 0 ? 0 : -EPERM;
}

long sys_sched_getscheduler(const uint64_t *a)
{
    return known(a[0]) ? 0 : -ESRCH;
}

long sys_sched_get_priority_max(const uint64_t *a)
{
    return a[0] == 1 || a[0] == 2 ? 99 : a[0] <= 6 ? 0 : -EINVAL;
}

long sys_sched_get_priority_min(const uint64_t *a)
{
    return a[0] == 1 || a[0] == 2 ? 1 : a[0] <= 6 ? 0 : -EINVAL;
}

long sys_sched_setaffinity(const uint64_t *a)
{
    return known(a[0]) ? 0 : -ESRCH;
}

long sys_sched_getaffinity(const uint64_t *a)
{
    uint64_t mask[16] = {0};
    if (!known(a[0]))
        return -ESRCH;
    if (a[1] < 8 || a[1] % 8)
        return -EINVAL;
    for (uint32_t i = 0; i < port_info.cpu_count; i++)
        mask[i / 64] |= 1ull << i % 64;
    uint64_t size = MIN(a[1], sizeof(mask));
    size = MIN(size, (port_info.cpu_count + 63) / 64 * 8);
    return user_write(a[2], mask, size) ? -EFAULT : (long)size;
}

long sys_getcpu(const uint64_t *a)
{
    uint32_t zero = 0;
    if ((a[0] && user_write(a[0], &zero, 4)) || (a[1] && user_write(a[1], &zero, 4)))
        return -EFAULT;
    return 0;
}

long sys_getpriority(const uint64_t *a)
{
    return 20;
}

long sys_setpriority(const uint64_t *a)
{
    return 0;
}

long sys_personality(const uint64_t *a)
{
    return (uint32_t)a[0] == 0xffffffff || a[0] == 0 ? 0 : -EINVAL;
}

long sys_prctl(const uint64_t *a)
{
    struct thread *t = self();
    switch ((int)a[0]) {
    case PR_SET_NAME: {
        char name[16] = {0};
        if (user_string(name, a[1], sizeof(name)) == -EFAULT)
            return -EFAULT;
        name[15] = 0;
        memcpy(t->name, name, sizeof(name));
        return 0;
    }
    case PR_GET_NAME:
        return user_write(a[1], t->name, sizeof(t->name));
    case PR_SET_DUMPABLE:
    case PR_SET_KEEPCAPS:
    case PR_SET_TIMERSLACK:
    case PR_SET_NO_NEW_PRIVS:
    case PR_SET_PDEATHSIG:
        return 0;
    case PR_SET_VMA:
        return -EINVAL;
    case PR_GET_DUMPABLE:
    case PR_GET_KEEPCAPS:
        return 0;
    case PR_GET_NO_NEW_PRIVS:
        return 1;
    case PR_GET_TIMERSLACK:
        return 50000;
    case PR_CAPBSET_READ:
        return a[1] <= 40 ? 0 : -EINVAL;
    default:
        return -EINVAL;
    }
}

#define GRND_ALL 7u

long sys_getrandom(const uint64_t *a)
{
    uint8_t buf[256];
    uint64_t done = 0, size = MIN(a[1], 32ul << 20);
    if (a[2] & ~(uint64_t)GRND_ALL)
        return -EINVAL;
    while (done < size) {
        size_t n = MIN(size - done, sizeof(buf));
        if (port_random(buf, n))
            return -EIO;
        if (user_write(a[0] + done, buf, n))
            return done ? (long)done : -EFAULT;
        done += n;
    }
    memset(buf, 0, sizeof(buf));
    return (long)done;
}

/* Threads of an enclave cannot be made to pass a barrier from here. */
long sys_membarrier(const uint64_t *a)
{
    return a[0] == 0 ? 0 : -EINVAL;
}
