// SPDX-License-Identifier: Apache-2.0
// Policies, priorities, affinity: what a program chooses is remembered and told; the host
// schedules.
#include <linux/sched.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/time/time.h"

#define SLICE_NS 3000000

static struct thread *find_scheduled(int id)
{
    return id ? thread_find_any(id) : self();
}

/* Its own user's threads, and with CAP_SYS_NICE all. */
static bool may_schedule(const struct process *p)
{
    uint32_t me = current()->euid;
    return me == p->euid || me == p->uid || capable(CAP_SYS_NICE);
}

static bool is_ordinary(int policy)
{
    return policy == SCHED_NORMAL || policy == SCHED_BATCH || policy == SCHED_IDLE;
}

/* Only ordinary policies: others need CAP_SYS_NICE, which a container has not. */
static long set_policy(int id, int policy, int priority)
{
    if (id < 0)
        return -EINVAL;
    struct thread *t = find_scheduled(id);
    if (!t)
        return -ESRCH;
    policy &= ~SCHED_RESET_ON_FORK;
    bool real_time = policy == SCHED_FIFO || policy == SCHED_RR;
    if (!is_ordinary(policy) && !real_time)
        return -EINVAL;
    if (real_time ? priority < 1 || priority > 99 : priority != 0)
        return -EINVAL;
    if (real_time || !may_schedule(t->process) ||
        (t->policy == SCHED_IDLE && policy != SCHED_IDLE && !capable(CAP_SYS_NICE)))
        return -EPERM;
    t->policy = policy;
    return 0;
}

long sys_sched_setscheduler(int pid, int policy, uint64_t param)
{
    int priority;
    if (!param || policy < 0)
        return -EINVAL;
    if (user_read(&priority, param, sizeof(priority)))
        return -EFAULT;
    return set_policy(pid, policy, priority);
}

long sys_sched_setparam(int pid, uint64_t param)
{
    int priority;
    struct thread *t = pid < 0 ? NULL : find_scheduled(pid);
    if (!param || pid < 0)
        return -EINVAL;
    if (user_read(&priority, param, sizeof(priority)))
        return -EFAULT;
    return t ? set_policy(pid, t->policy, priority) : -ESRCH;
}

long sys_sched_getparam(int pid, uint64_t to)
{
    int priority = 0;
    if (!to || pid < 0)
        return -EINVAL;
    return find_scheduled(pid) ? user_write(to, &priority, sizeof(priority)) : -ESRCH;
}

long sys_sched_getscheduler(int pid)
{
    const struct thread *t = pid < 0 ? NULL : find_scheduled(pid);
    return pid < 0 ? -EINVAL : t ? t->policy : -ESRCH;
}

long sys_sched_get_priority_max(int policy)
{
    return policy == SCHED_FIFO || policy == SCHED_RR        ? 99
           : is_ordinary(policy) || policy == SCHED_DEADLINE ? 0
                                                             : -EINVAL;
}

long sys_sched_get_priority_min(int policy)
{
    return policy == SCHED_FIFO || policy == SCHED_RR        ? 1
           : is_ordinary(policy) || policy == SCHED_DEADLINE ? 0
                                                             : -EINVAL;
}

long sys_sched_rr_get_interval(int pid, uint64_t to)
{
    struct timespec64 slice = {0, SLICE_NS};
    if (pid < 0)
        return -EINVAL;
    return !find_scheduled(pid) ? -ESRCH : user_write(to, &slice, sizeof(slice));
}

/* struct sched_attr, its first version. */
struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

long sys_sched_setattr(int pid, uint64_t from, uint32_t flags)
{
    struct attr a;
    if (!from || pid < 0 || flags)
        return -EINVAL;
    if (user_read(&a, from, sizeof(a)))
        return -EFAULT;
    if (a.size && a.size < sizeof(a))
        return -E2BIG;
    if (a.size > sizeof(a) + 8 || (int)a.policy < 0 || (a.flags & ~1ull))
        return -EINVAL;
    long r = set_policy(pid, (int)a.policy, (int)a.priority);
    if (!r && a.nice < find_scheduled(pid)->process->nice && !capable(CAP_SYS_NICE))
        r = -EPERM;
    if (!r)
        find_scheduled(pid)->process->nice = MIN(MAX(a.nice, -20), 19);
    return r;
}

long sys_sched_getattr(int pid, uint64_t to, uint32_t size, uint32_t flags)
{
    if (!to || pid < 0 || size < sizeof(struct attr) || size > PAGE_SIZE || flags)
        return -EINVAL;
    const struct thread *t = find_scheduled(pid);
    if (!t)
        return -ESRCH;
    struct attr a = {.size = sizeof(a), .policy = (uint32_t)t->policy, .nice = t->process->nice};
    return user_write(to, &a, sizeof(a));
}

static uint64_t all_processors(void)
{
    return port_info.cpu_count >= 64 ? UINT64_MAX : (1ull << port_info.cpu_count) - 1;
}

long sys_sched_setaffinity(int pid, uint32_t size, uint64_t from)
{
    uint64_t mask = 0;
    if (user_read(&mask, from, MIN(size, 8)))
        return -EFAULT;
    struct thread *t = find_scheduled(pid);
    if (!t)
        return -ESRCH;
    if (!may_schedule(t->process))
        return -EPERM;
    if (port_info.cpu_count <= 64 && !(mask & all_processors()))
        return -EINVAL;
    t->affinity = mask & all_processors();
    return 0;
}

long sys_sched_getaffinity(int pid, uint32_t size, uint64_t to)
{
    uint64_t mask[16] = {0};
    uint32_t need = (port_info.cpu_count + 63) / 64 * 8;
    if (size < need || size % 8)
        return -EINVAL;
    const struct thread *t = find_scheduled(pid);
    if (!t)
        return -ESRCH;
    for (uint32_t i = 0; i < port_info.cpu_count; i++)
        mask[i / 64] |= 1ull << i % 64;
    if (t->affinity)
        mask[0] = t->affinity;
    size = MIN(MIN(size, (uint32_t)sizeof(mask)), need);
    return user_write(to, mask, size) ? -EFAULT : (long)size;
}

/* The lowest that the thread may run on: nobody inside knows where it does. */
long sys_getcpu(uint64_t cpu, uint64_t node)
{
    uint32_t zero = 0, at = self()->affinity ? (uint32_t)__builtin_ctzll(self()->affinity) : 0;
    if ((cpu && user_write(cpu, &at, 4)) || (node && user_write(node, &zero, 4)))
        return -EFAULT;
    return 0;
}
