// SPDX-License-Identifier: Apache-2.0
// Nice values and priorities of input and output: remembered and told; the host schedules.
#include <linux/resource.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/proc/proc.h"

#define NICE_MIN (-20)
#define NICE_MAX 19

/* Is p one of those that `which` (PRIO_*) and `who` name? who 0: the caller's own. */
static bool is_meant(const struct process *p, int which, int who)
{
    switch (which) {
    case PRIO_PROCESS: {
        struct thread *t = who ? thread_find_any(who) : NULL;
        return who ? t && t->process == p : p == current();
    }
    case PRIO_PGRP:
        return p->pgid == (who ? who : current()->pgid);
    default:
        return p->uid == (who ? (uint32_t)who : current()->uid);
    }
}

long sys_getpriority(int which, int who)
{
    long best = -ESRCH;
    if (which < PRIO_PROCESS || which > PRIO_USER)
        return -EINVAL;
    list_each(const struct process, p, &processes, node) {
        if (!p->zombie && is_meant(p, which, who))
            best = MAX(best, 20 - p->nice);
    }
    return best;
}

static int set_nice(struct process *p, int nice)
{
    const struct process *me = current();
    if (me->euid != p->uid && me->euid != p->euid && !capable(CAP_SYS_NICE))
        return -EPERM;
    if (nice < p->nice && !capable(CAP_SYS_NICE))
        return -EACCES;
    p->nice = nice;
    return 0;
}

long sys_setpriority(int which, int who, int priority)
{
    int nice = MIN(MAX(priority, NICE_MIN), NICE_MAX), result = -ESRCH;
    if (which < PRIO_PROCESS || which > PRIO_USER)
        return -EINVAL;
    list_each(struct process, p, &processes, node) {
        if (p->zombie || !is_meant(p, which, who))
            continue;
        int r = set_nice(p, nice);
        if (result == -ESRCH || !result)
            result = r;
    }
    return result;
}

#define IOPRIO_PROCESS 1
#define IOPRIO_USER 3
#define CLASS_NONE 0u
#define CLASS_REAL_TIME 1u
#define CLASS_BEST_EFFORT 2u
#define CLASS_IDLE 3u
#define CLASS_SHIFT 13
#define LEVELS 8u
#define IOPRIO_SET 0x10000u /* in process.ioprio: somebody chose */

/* IOPRIO_WHO_PROCESS, _PGRP, _USER are PRIO_* and one. */
long sys_ioprio_get(int which, int who)
{
    long best = -ESRCH;
    if (which < IOPRIO_PROCESS || which > IOPRIO_USER)
        return -EINVAL;
    list_each(const struct process, p, &processes, node) {
        uint32_t own = CLASS_BEST_EFFORT << CLASS_SHIFT | (uint32_t)(p->nice - NICE_MIN) / 5;
        long is = p->ioprio & IOPRIO_SET ? p->ioprio & ~IOPRIO_SET : own;
        if (!p->zombie && is_meant(p, which - 1, who))
            best = best < 0 ? is : MIN(best, is);
    }
    return best;
}

long sys_ioprio_set(int which, int who, int ioprio)
{
    uint32_t class = (uint32_t)ioprio >> CLASS_SHIFT & 7, level = (uint32_t)ioprio & (LEVELS - 1);
    long result = -ESRCH;
    if (class > CLASS_IDLE || (class == CLASS_NONE && level))
        return -EINVAL;
    if (class == CLASS_REAL_TIME && !capable(CAP_SYS_NICE) && !capable(CAP_SYS_ADMIN))
        return -EPERM;
    if (which < IOPRIO_PROCESS || which > IOPRIO_USER)
        return -EINVAL;
    list_each(struct process, p, &processes, node) {
        if (p->zombie || !is_meant(p, which - 1, who))
            continue;
        bool may = current()->euid == p->uid || current()->uid == p->uid || capable(CAP_SYS_NICE);
        result = may ? 0 : -EPERM;
        if (!may)
            break;
        p->ioprio = IOPRIO_SET | ((uint32_t)ioprio & 0xffff);
    }
    return result;
}
