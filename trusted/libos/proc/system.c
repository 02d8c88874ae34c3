// SPDX-License-Identifier: Apache-2.0
// What the system is: uname, limits, usage, scheduling, prctl, entropy.
#include <linux/prctl.h>
#include <linux/sysinfo.h>
#include <linux/utsname.h>

#include "lib/settings.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/time/time.h"

long sys_uname(uint64_t to)
{
    struct new_utsname u = {0};
    fmt(u.sysname, sizeof(u.sysname), "Linux");
    fmt(u.nodename, sizeof(u.nodename), "%s", uts.hostname);
    fmt(u.release, sizeof(u.release), "6.1.0-shelter");
    fmt(u.version, sizeof(u.version), "#1 SMP");
    fmt(u.machine, sizeof(u.machine), "x86_64");
    fmt(u.domainname, sizeof(u.domainname), "%s", uts.domainname);
    return user_write(to, &u, sizeof(u));
}

static long set_name(char *to, uint64_t from, uint64_t size)
{
    char name[65] = {0};
    if (current()->euid)
        return -EPERM;
    if (size > 64)
        return -EINVAL;
    if (user_read(name, from, size))
        return -EFAULT;
    memcpy(to, name, sizeof(name));
    return 0;
}

long sys_sethostname(uint64_t name, int size)
{
    return set_name(uts.hostname, name, size);
}

long sys_setdomainname(uint64_t name, int size)
{
    return set_name(uts.domainname, name, size);
}

long sys_getrlimit(uint32_t resource, uint64_t to)
{
    if (resource >= ARRAY_COUNT(current()->limits))
        return -EINVAL;
    return user_write(to, &current()->limits[resource], sizeof(struct limit));
}

static long set_limit(uint64_t resource, uint64_t from)
{
    struct limit l;
    if (user_read(&l, from, sizeof(l)))
        return -EFAULT;
    if (l.soft > l.hard)
        return -EINVAL;
    if (l.hard > current()->limits[resource].hard && current()->euid)
        return -EPERM;
    current()->limits[resource] = l;
    return 0;
}

long sys_setrlimit(uint32_t resource, uint64_t from)
{
    return resource < ARRAY_COUNT(current()->limits) ? set_limit(resource, from) : -EINVAL;
}

long sys_prlimit64(int pid, uint32_t resource, uint64_t from, uint64_t to)
{
    if (resource >= ARRAY_COUNT(current()->limits))
        return -EINVAL;
    if (pid && pid != current()->pid)
        return -ESRCH;
    struct limit old = current()->limits[resource];
    long r = from ? set_limit(resource, from) : 0;
    if (!r && to)
        r = user_write(to, &old, sizeof(old));
    return r;
}

long sys_getrusage(int who, uint64_t to)
{
    uint64_t usage[18] = {0};
    uint64_t ns = port_clock(who == 1 ? PORT_CLOCK_THREAD : PORT_CLOCK_CPU);
    if (who < -1 || who > 1)
        return -EINVAL;
    if (who != -1) {
        usage[0] = ns / NS;
        usage[1] = ns % NS / 1000;
        usage[4] = stats.committed_peak / 1024;
        usage[8] = stats.faults;
    }
    return user_write(to, usage, sizeof(usage));
}

long sys_times(uint64_t to)
{
    uint64_t ticks[4] = {port_clock(PORT_CLOCK_CPU) / (NS / 100)};
    if (to && user_write(to, ticks, sizeof(ticks)))
        return -EFAULT;
    return (long)(clock_now() / (NS / 100));
}

long sys_sysinfo(uint64_t to)
{
    uint64_t total = settings.memory ? settings.memory : 4ull << 30;
    struct sysinfo s = {
        .uptime = (long)((clock_now() - current()->start_time) / NS),
        .totalram = total,
        .freeram = total - MIN(total, stats.committed),
        .procs = 1,
        .mem_unit = 1,
    };
    return user_write(to, &s, sizeof(s));
}

long sys_sched_yield(void)
{
    port_thread_yield();
    return 0;
}

static bool known(int pid)
{
    return pid == 0 || pid == current()->pid || thread_find(current(), pid);
}

long sys_sched_setparam(int pid, uint64_t param)
{
    return known(pid) ? 0 : -ESRCH;
}

long sys_sched_getparam(int pid, uint64_t to)
{
    int priority = 0;
    return known(pid) ? user_write(to, &priority, sizeof(priority)) : -ESRCH;
}

long sys_sched_setscheduler(int pid, int policy, uint64_t param)
{
    return !known(pid) ? -ESRCH : policy == 0 ? 0 : -EPERM;
}

long sys_sched_getscheduler(int pid)
{
    return known(pid) ? 0 : -ESRCH;
}

long sys_sched_get_priority_max(int policy)
{
    return policy == 1 || policy == 2 ? 99 : (uint32_t)policy <= 6 ? 0 : -EINVAL;
}

long sys_sched_get_priority_min(int policy)
{
    return policy == 1 || policy == 2 ? 1 : (uint32_t)policy <= 6 ? 0 : -EINVAL;
}

long sys_sched_setaffinity(int pid, uint32_t size, uint64_t from)
{
    return known(pid) ? 0 : -ESRCH;
}

long sys_sched_getaffinity(int pid, uint32_t size, uint64_t to)
{
    uint64_t mask[16] = {0};
    if (!known(pid))
        return -ESRCH;
    if (size < 8 || size % 8)
        return -EINVAL;
    for (uint32_t i = 0; i < port_info.cpu_count; i++)
        mask[i / 64] |= 1ull << i % 64;
    size = MIN(size, (uint32_t)sizeof(mask));
    size = MIN(size, (port_info.cpu_count + 63) / 64 * 8);
    return user_write(to, mask, size) ? -EFAULT : (long)size;
}

long sys_getcpu(uint64_t cpu, uint64_t node)
{
    uint32_t zero = 0;
    if ((cpu && user_write(cpu, &zero, 4)) || (node && user_write(node, &zero, 4)))
        return -EFAULT;
    return 0;
}

long sys_getpriority(int which, int who)
{
    return 20;
}

long sys_setpriority(int which, int who, int priority)
{
    return 0;
}

long sys_personality(uint32_t persona)
{
    return persona == 0xffffffff || persona == 0 ? 0 : -EINVAL;
}

long sys_prctl(int option, uint64_t arg2, uint64_t arg3, uint64_t arg4, uint64_t arg5)
{
    struct thread *t = self();
    switch (option) {
    case PR_SET_NAME: {
        char name[16] = {0};
        if (user_string(name, arg2, sizeof(name)) == -EFAULT)
            return -EFAULT;
        name[15] = 0;
        memcpy(t->name, name, sizeof(name));
        return 0;
    }
    case PR_GET_NAME:
        return user_write(arg2, t->name, sizeof(t->name));
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
        return arg2 <= 40 ? 0 : -EINVAL;
    default:
        return -EINVAL;
    }
}

#define GRND_ALL 7u

long sys_getrandom(uint64_t to, uint64_t size, uint32_t flags)
{
    uint8_t buf[256];
    uint64_t done = 0;
    size = MIN(size, 32ul << 20);
    if (flags & ~(uint32_t)GRND_ALL)
        return -EINVAL;
    while (done < size) {
        size_t n = MIN(size - done, sizeof(buf));
        if (port_random(buf, n))
            return -EIO;
        if (user_write(to + done, buf, n))
            return done ? (long)done : -EFAULT;
        done += n;
    }
    memset(buf, 0, sizeof(buf));
    return (long)done;
}

/* Threads of an enclave cannot be made to pass a barrier from here. */
long sys_membarrier(int command, uint32_t flags, int cpu)
{
    return command == 0 ? 0 : -EINVAL;
}
