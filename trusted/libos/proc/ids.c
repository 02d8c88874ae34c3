// SPDX-License-Identifier: Apache-2.0
// Who a process is: numbers, groups and sessions, users, capabilities.
#include "trusted/libos/calls.h"
#include "trusted/libos/proc/proc.h"

#define KEEP UINT32_MAX

static struct process *find_process(int pid)
{
    return pid ? process_find(pid) : current();
}

long sys_getpgid(int pid)
{
    const struct process *p = find_process(pid);
    return p ? p->pgid : -ESRCH;
}
long sys_getsid(int pid)
{
    const struct process *p = find_process(pid);
    return p ? p->sid : -ESRCH;
}

static bool group_exists(int pgid, int sid)
{
    list_each(const struct process, p, &processes, node) {
        if (p->pgid == pgid && p->sid == sid)
            return true;
    }
    return false;
}

long sys_setpgid(int pid, int pgid)
{
    struct process *p = find_process(pid);
    if (pgid < 0)
        return -EINVAL;
    if (!p || (p != current() && p->parent != current()))
        return -ESRCH;
    if (p != current() && p->execed)
        return -EACCES;
    if (p->sid == p->pid || p->sid != current()->sid)
        return -EPERM;
    pgid = pgid ? pgid : p->pid;
    if (pgid != p->pid && !group_exists(pgid, p->sid))
        return -EPERM;
    p->pgid = pgid;
    return 0;
}

long sys_setsid(void)
{
    struct process *me = current();
    list_each(struct process, p, &processes, node) {
        if (p->pgid == me->pid)
            return -EPERM; /* it leads a group, or led one that is still there */
    }
    me->sid = me->pgid = me->pid;
    me->no_terminal = false;
    return me->sid;
}

/* May this process take that id? With the capability any, others one they have. */
static bool may_become(uint32_t id, uint32_t a, uint32_t b, uint32_t c, int capability)
{
    return id == KEEP || capable(capability) || id == a || id == b || id == c;
}

static long set_three(uint32_t *real, uint32_t *effective, uint32_t *saved, uint32_t r, uint32_t e,
                      uint32_t s, int capability)
{
    if (!may_become(r, *real, *effective, *saved, capability) ||
        !may_become(e, *real, *effective, *saved, capability) ||
        !may_become(s, *real, *effective, *saved, capability))
        return -EPERM;
    *real = r == KEEP ? *real : r;
    *effective = e == KEEP ? *effective : e;
    *saved = s == KEEP ? *saved : s;
    return 0;
}

/* Whoever may have had others' rights is not looked into, and its parent sends it nothing at its
 * end (commit_creds of Linux). */
static void hide_if(bool changed)
{
    if (changed) {
        current()->dumpable = false;
        current()->death_signal = 0;
    }
}

long sys_setresuid(uint32_t r, uint32_t e, uint32_t s)
{
    struct process *p = current();
    bool was_root = !p->uid || !p->euid || !p->suid, was_effective = !p->euid;
    uint32_t euid = p->euid, fsuid = p->fsuid;
    long result = set_three(&p->uid, &p->euid, &p->suid, r, e, s, CAP_SETUID);
    if (!result) {
        p->fsuid = p->euid;
        caps_new_ids(p, was_root, was_effective);
        hide_if(p->euid != euid || p->fsuid != fsuid);
    }
    return result;
}

long sys_setresgid(uint32_t r, uint32_t e, uint32_t s)
{
    struct process *p = current();
    uint32_t egid = p->egid, fsgid = p->fsgid;
    long result = set_three(&p->gid, &p->egid, &p->sgid, r, e, s, CAP_SETGID);
    if (!result) {
        p->fsgid = p->egid;
        hide_if(p->egid != egid || p->fsgid != fsgid);
    }
    return result;
}

long sys_setuid(uint32_t uid)
{
    uint32_t id = uid;
    if (id == KEEP)
        return -EINVAL;
    return capable(CAP_SETUID) ? sys_setresuid(id, id, id) : sys_setresuid(KEEP, id, KEEP);
}
long sys_setgid(uint32_t gid)
{
    uint32_t id = gid;
    if (id == KEEP)
        return -EINVAL;
    return capable(CAP_SETGID) ? sys_setresgid(id, id, id) : sys_setresgid(KEEP, id, KEEP);
}
long sys_setreuid(uint32_t real, uint32_t effective)
{
    const struct process *p = current();
    bool moves = real != KEEP || (effective != KEEP && effective != p->uid);
    if (!capable(CAP_SETUID) && real != KEEP && real != p->uid && real != p->euid)
        return -EPERM;
    return sys_setresuid(real, effective, moves ? (effective != KEEP ? effective : p->euid) : KEEP);
}
long sys_setregid(uint32_t real, uint32_t effective)
{
    const struct process *p = current();
    bool moves = real != KEEP || (effective != KEEP && effective != p->gid);
    if (!capable(CAP_SETGID) && real != KEEP && real != p->gid && real != p->egid)
        return -EPERM;
    return sys_setresgid(real, effective, moves ? (effective != KEEP ? effective : p->egid) : KEEP);
}
static long put_three(uint64_t to, uint64_t to2, uint64_t to3, uint32_t x, uint32_t y, uint32_t z)
{
    return user_write(to, &x, 4) || user_write(to2, &y, 4) || user_write(to3, &z, 4) ? -EFAULT : 0;
}

long sys_getresuid(uint64_t real, uint64_t effective, uint64_t saved)
{
    return put_three(real, effective, saved, current()->uid, current()->euid, current()->suid);
}
long sys_getresgid(uint64_t real, uint64_t effective, uint64_t saved)
{
    return put_three(real, effective, saved, current()->gid, current()->egid, current()->sgid);
}

#define GROUPS_MAX 65536u

long sys_getgroups(int count, uint64_t to)
{
    uint32_t n = current()->group_count;
    if (!count)
        return n;
    if (count < 0 || count < (int)n)
        return -EINVAL;
    return user_write(to, current()->groups, n * 4) ? -EFAULT : (long)n;
}

long sys_setgroups(uint32_t count, uint64_t from)
{
    if (!capable(CAP_SETGID))
        return -EPERM;
    uint32_t last;
    if (count > GROUPS_MAX)
        return -EINVAL;
    if (count > ARRAY_COUNT(current()->groups)) /* more than anybody has are not remembered */
        return user_read(&last, from + (count - 1) * 4ul, 4) ? -EFAULT : -ENOMEM;
    if (user_read(current()->groups, from, count * 4))
        return -EFAULT;
    current()->group_count = count;
    return 0;
}

/* The old one is told, whether the new one is taken or refused. */
long sys_setfsuid(uint32_t uid)
{
    struct process *p = current();
    uint32_t old = p->fsuid;
    if (uid != KEEP && (uid == old || may_become(uid, p->uid, p->euid, p->suid, CAP_SETUID))) {
        p->fsuid = uid;
        caps_new_fsuid(p, old);
        hide_if(uid != old);
    }
    return old;
}
long sys_setfsgid(uint32_t gid)
{
    struct process *p = current();
    uint32_t old = p->fsgid;
    if (gid != KEEP && (gid == old || may_become(gid, p->gid, p->egid, p->sgid, CAP_SETGID)))
        hide_if((p->fsgid = gid) != old);
    return old;
}
