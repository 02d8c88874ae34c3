// SPDX-License-Identifier: Apache-2.0
// Who the process is: pids, users, groups, capabilities. One process, so most of it stands still.
#include "trusted/libos/calls.h"
#include "trusted/libos/proc/proc.h"

#define KEEP UINT32_MAX

long sys_getpid(const uint64_t *a)
{
    return process.pid;
}
long sys_getppid(const uint64_t *a)
{
    return process.ppid;
}
long sys_getpgrp(const uint64_t *a)
{
    return process.pgid;
}
long sys_getuid(const uint64_t *a)
{
    return process.uid;
}
long sys_geteuid(const uint64_t *a)
{
    return process.euid;
}
long sys_getgid(const uint64_t *a)
{
    return process.gid;
}
long sys_getegid(const uint64_t *a)
{
    return process.egid;
}

static bool me(uint64_t pid)
{
    return (int)pid == 0 || (int)pid == process.pid;
}

long sys_getpgid(const uint64_t *a)
{
    return me(a[0]) ? process.pgid : -ESRCH;
}
long sys_getsid(const uint64_t *a)
{
    return me(a[0]) ? process.sid : -ESRCH;
}

long sys_setpgid(const uint64_t *a)
{
    if (!me(a[0]))
        return -ESRCH;
    return me(a[1]) ? 0 : -EPERM;
}

long sys_setsid(const uint64_t *a)
{
    return -EPERM; /* it leads its group already */
}

/* May this process take that id? Root any, others one they have. */
static bool may(uint32_t id, uint32_t a, uint32_t b, uint32_t c)
{
    return id == KEEP || process.euid == 0 || id == a || id == b || id == c;
}

static long set_three(uint32_t *real, uint32_t *effective, uint32_t *saved, uint32_t r, uint32_t e,
                      uint32_t s)
{
    if (!may(r, *real, *effective, *saved) || !may(e, *real, *effective, *saved) ||
        !may(s, *real, *effective, *saved))
        return -EPERM;
    *real = r == KEEP ? *real : r;
    *effective = e == KEEP ? *effective : e;
    *saved = s == KEEP ? *saved : s;
    return 0;
}

static long set_user(uint32_t r, uint32_t e, uint32_t s)
{
    return set_three(&process.uid, &process.euid, &process.suid, r, e, s);
}

static long set_group(uint32_t r, uint32_t e, uint32_t s)
{
    return set_three(&process.gid, &process.egid, &process.sgid, r, e, s);
}

long sys_setuid(const uint64_t *a)
{
    uint32_t id = (uint32_t)a[0];
    return process.euid == 0 ? set_user(id, id, id) : set_user(KEEP, id, KEEP);
}
long sys_setgid(const uint64_t *a)
{
    uint32_t id = (uint32_t)a[0];
    return process.euid == 0 ? set_group(id, id, id) : set_group(KEEP, id, KEEP);
}
long sys_setreuid(const uint64_t *a)
{
    return set_user((uint32_t)a[0], (uint32_t)a[1], (uint32_t)a[1]);
}
long sys_setregid(const uint64_t *a)
{
    return set_group((uint32_t)a[0], (uint32_t)a[1], (uint32_t)a[1]);
}
long sys_setresuid(const uint64_t *a)
{
    return set_user((uint32_t)a[0], (uint32_t)a[1], (uint32_t)a[2]);
}
long sys_setresgid(const uint64_t *a)
{
    return set_group((uint32_t)a[0], (uint32_t)a[1], (uint32_t)a[2]);
}

static long put_three(const uint64_t *a, uint32_t x, uint32_t y, uint32_t z)
{
    return user_write(a[0], &x, 4) || user_write(a[1], &y, 4) || user_write(a[2], &z, 4) ? -EFAULT
                                                                                         : 0;
}

long sys_getresuid(const uint64_t *a)
{
    return put_three(a, process.uid, process.euid, process.suid);
}
long sys_getresgid(const uint64_t *a)
{
    return put_three(a, process.gid, process.egid, process.sgid);
}

long sys_getgroups(const uint64_t *a)
{
    uint32_t n = process.group_count;
    if (!(int)a[0])
        return n;
    if ((int)a[0] < (int)n)
        return -EINVAL;
    return user_write(a[1], process.groups, n * 4) ? -EFAULT : (long)n;
}

long sys_setgroups(const uint64_t *a)
{
    if (process.euid)
        return -EPERM;
    if (a[0] > ARRAY_COUNT(process.groups))
        return -EINVAL;
    if (user_read(process.groups, a[1], a[0] * 4))
        return -EFAULT;
    process.group_count = (uint32_t)a[0];
    return 0;
}

#define CAPABILITY_VERSION_3 0x20080522u

long sys_capget(const uint64_t *a)
{
    uint32_t head[2];
    if (user_read(head, a[0], sizeof(head)))
        return -EFAULT;
    if (head[0] != CAPABILITY_VERSION_3) {
        head[0] = CAPABILITY_VERSION_3;
        return user_write(a[0], head, 4) ? -EFAULT : a[1] ? -EINVAL : 0;
    }
    uint32_t data[6] = {0};
    if (!a[1])
        return 0;
    return user_write(a[1], data, sizeof(data)) ? -EFAULT : 0;
}

long sys_capset(const uint64_t *a)
{
    return process.euid ? -EPERM : 0;
}

long sys_wait4(const uint64_t *a)
{
    return -ECHILD;
}
