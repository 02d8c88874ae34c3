// SPDX-License-Identifier: Apache-2.0
// What the system is: uname, limits, usage, scheduling, prctl, entropy.
#include <linux/personality.h>
#include <linux/membarrier.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <linux/sysinfo.h>
#include <linux/utsname.h>
#include <asm/resource.h>

#include "lib/settings.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/time/time.h"

long sys_uname(uint64_t to)
{
    struct new_utsname u = {0};
    fmt(u.sysname, sizeof(u.sysname), "Linux");
    fmt(u.nodename, sizeof(u.nodename), "%s", uts.hostname);
    fmt(u.release, sizeof(u.release),
        current()->personality & UNAME26 ? "2.6.61-shelter" : KERNEL_RELEASE);
    fmt(u.version, sizeof(u.version), "#1 SMP");
    fmt(u.machine, sizeof(u.machine), "x86_64");
    fmt(u.domainname, sizeof(u.domainname), "%s", uts.domainname);
    return user_write(to, &u, sizeof(u));
}

long sys_getrlimit(uint32_t resource, uint64_t to)
{
    if (resource >= ARRAY_COUNT(current()->limits))
        return -EINVAL;
    return user_write(to, &current()->limits[resource], sizeof(struct limit));
}

#define NOFILE_MAX (1u << 20) /* /proc/sys/fs/nr_open */

static long set_limit(struct process *p, uint64_t resource, uint64_t from)
{
    struct limit l;
    if (user_read(&l, from, sizeof(l)))
        return -EFAULT;
    if (l.soft > l.hard)
        return -EINVAL;
    if (resource == RLIMIT_NOFILE && l.hard > NOFILE_MAX)
        return -EPERM;
    if (l.hard > p->limits[resource].hard && !capable(CAP_SYS_RESOURCE))
        return -EPERM;
    p->limits[resource] = l;
    return resource == RLIMIT_CPU ? timers_limit(p) : 0;
}

long sys_setrlimit(uint32_t resource, uint64_t from)
{
    return resource < ARRAY_COUNT(current()->limits) ? set_limit(current(), resource, from)
                                                     : -EINVAL;
}

/* Whose ids are all the caller's, or anybody's (prlimit(2)). */
static bool may_limit(const struct process *p)
{
    const struct process *me = current();
    return p == me || capable(CAP_SYS_RESOURCE) ||
           (me->uid == p->uid && me->uid == p->euid && me->uid == p->suid && me->gid == p->gid &&
            me->gid == p->egid && me->gid == p->sgid);
}

long sys_prlimit64(int pid, uint32_t resource, uint64_t from, uint64_t to)
{
    if (resource >= ARRAY_COUNT(current()->limits))
        return -EINVAL;
    struct thread *t = pid ? thread_find_any(pid) : self();
    if (!t)
        return -ESRCH;
    if (!may_limit(t->process))
        return -EPERM;
    struct limit old = t->process->limits[resource];
    long r = from ? set_limit(t->process, resource, from) : 0;
    if (!r && to)
        r = user_write(to, &old, sizeof(old));
    return r;
}

long sys_getrusage(int who, uint64_t to)
{
    uint64_t usage[18] = {0};
    if (who < -1 || who > 1)
        return -EINVAL;
    usage_fill(who == 1    ? usage_of_thread(self())
               : who == -1 ? current()->children_usage
                           : usage_of(current()),
               usage);
    if (who != -1) {
        usage[4] = stats.committed_peak / 1024;
        usage[8] = stats_sum(&stats.faults);
    }
    return user_write(to, usage, sizeof(usage));
}

long sys_times(uint64_t to)
{
    struct usage u = usage_of(current()), c = current()->children_usage;
    uint64_t ticks[4] = {u.all - u.system, u.system, c.all - c.system, c.system};
    for (unsigned i = 0; i < ARRAY_COUNT(ticks); i++)
        ticks[i] /= NS / 100;
    if (to && user_write(to, ticks, sizeof(ticks)))
        return -EFAULT;
    return (long)(clock_now() / (NS / 100));
}

long sys_sysinfo(uint64_t to)
{
    uint64_t total = settings.memory ? settings.memory : 4ull << 30;
    struct sysinfo s = {
        .uptime = (long)(clock_now() / NS),
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

long sys_personality(uint32_t persona)
{
    uint32_t old = current()->personality;
    if (persona != 0xffffffff)
        current()->personality = persona;
    return old;
}

static long set_thread_name(struct thread *t, uint64_t from)
{
    char name[16] = {0};
    if (user_string(name, from, sizeof(name)) == -EFAULT)
        return -EFAULT;
    name[15] = 0;
    memcpy(t->name, name, sizeof(name));
    if (t->tid == current()->pid)
        memcpy(current()->name, name, sizeof(name));
    return 0;
}

static long set_flag(bool *flag, uint64_t value)
{
    if (value > 1)
        return -EINVAL;
    *flag = value;
    return 0;
}

long sys_prctl(int option, uint64_t arg2, uint64_t arg3, uint64_t arg4, uint64_t arg5)
{
    struct thread *t = self();
    bool rest = arg3 || arg4 || arg5;
    switch (option) {
    case PR_SET_NAME:
        return set_thread_name(t, arg2);
    case PR_GET_NAME:
        return user_write(arg2, t->name, sizeof(t->name));
    case PR_SET_DUMPABLE:
        return set_flag(&current()->dumpable, arg2);
    case PR_GET_DUMPABLE:
        return current()->dumpable;
    case PR_SET_KEEPCAPS:
        return caps_secure_bits() & 1 << SECURE_KEEP_CAPS_LOCKED
                   ? -EPERM
                   : set_flag(&current()->caps.keep, arg2);
    case PR_GET_KEEPCAPS:
        return current()->caps.keep;
    case PR_SET_NO_NEW_PRIVS:
        if (arg2 != 1 || rest)
            return -EINVAL;
        current()->no_new_privs = true;
        return 0;
    case PR_GET_NO_NEW_PRIVS:
        return arg2 || rest ? -EINVAL : current()->no_new_privs;
    case PR_SET_TIMERSLACK:
        t->timer_slack[0] = (int64_t)arg2 > 0 ? arg2 : t->timer_slack[1];
        return 0;
    case PR_GET_TIMERSLACK:
        return t->timer_slack[0] ? (long)t->timer_slack[0] : (long)SLACK_DEFAULT;
    case PR_SET_PDEATHSIG:
        if (arg2 > SIG_COUNT)
            return -EINVAL;
        current()->death_signal = (int)arg2;
        return 0;
    case PR_GET_PDEATHSIG:
        return user_write(arg2, &current()->death_signal, sizeof(int));
    case PR_SET_CHILD_SUBREAPER:
        current()->subreaper = arg2;
        return 0;
    case PR_GET_CHILD_SUBREAPER: {
        int is = current()->subreaper;
        return user_write(arg2, &is, sizeof(is));
    }
    case PR_GET_TIMING:
    case PR_GET_SECCOMP:
        return 0;
    case PR_GET_SECUREBITS:
        return caps_secure_bits();
    case PR_SET_SECUREBITS:
        return caps_secure(arg2);
    case PR_SET_TIMING:
        return arg2 ? -EINVAL : 0;
    case PR_SET_THP_DISABLE: /* there are none */
        return rest ? -EINVAL : 0;
    case PR_GET_THP_DISABLE:
        return arg2 || rest ? -EINVAL : 0;
    case PRCTL_BOUNDING_READ:
    case PRCTL_BOUNDING_DROP:
    case PRCTL_AMBIENT:
        return caps_prctl(option, arg2, arg3);
    default:
        return -EINVAL;
    }
}

#define GRND_ALL 7u
#define GRND_SOURCES 6u /* RANDOM, INSECURE: one of them */

#define RANDOM_PIECE (64ul << 10) /* then others get the big lock */

long sys_getrandom(uint64_t to, uint64_t size, uint32_t flags)
{
    uint8_t buf[256];
    uint64_t done = 0;
    size = MIN(size, 32ul << 20);
    if ((flags & ~(uint32_t)GRND_ALL) || (flags & GRND_SOURCES) == GRND_SOURCES)
        return -EINVAL;
    while (done < size) {
        size_t n = MIN(size - done, sizeof(buf));
        if (port_random(buf, n))
            return -EIO;
        if (user_write(to + done, buf, n))
            return done ? (long)done : -EFAULT;
        done += n;
        if (done % RANDOM_PIECE == 0 && done < size)
            call_pause();
    }
    memset(buf, 0, sizeof(buf));
    return (long)done;
}

/* All threads of the process have what the others wrote before: those that run its code are made
 * to come in, as before a fork. */
static int pass_barrier(struct space *s)
{
    if (!s->barriers)
        return -EPERM;
    int r = residence_hold(s);
    residence_release();
    return r;
}

/* Barriers that the processor or others' code would have to keep (SYNC_CORE, RSEQ) are not there.
 */
#define REGISTRATIONS (1 << 9) /* MEMBARRIER_CMD_GET_REGISTRATIONS */

long sys_membarrier(int command, uint32_t flags, int cpu)
{
    if (flags)
        return -EINVAL;
    switch (command) {
    case MEMBARRIER_CMD_QUERY:
        return MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED |
               MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED |
               MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED | REGISTRATIONS;
    case REGISTRATIONS:
        return (space()->barriers ? MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED : 0) |
               (space()->global_barriers ? MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED : 0);
    case MEMBARRIER_CMD_GLOBAL:
    case MEMBARRIER_CMD_GLOBAL_EXPEDITED:
        return residence_pass_all(command == MEMBARRIER_CMD_GLOBAL_EXPEDITED);
    case MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
        space()->global_barriers = true;
        return 0;
    case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
        space()->barriers = true;
        return 0;
    case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
        return pass_barrier(space());
    default:
        return -EINVAL;
    }
}
