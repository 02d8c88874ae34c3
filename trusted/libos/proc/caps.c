// SPDX-License-Identifier: Apache-2.0
// Capabilities: root begins with those that a container has; what a program drops is gone.
#include <linux/securebits.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/proc/proc.h"

/* CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT
 * MKNOD AUDIT_WRITE SETFCAP */
#define CONTAINER 0xa80425fbull
#define BITS_THAT_LOCK 0xaau

bool capable(int capability)
{
    return current()->caps.effective >> capability & 1;
}

void caps_start(struct process *p)
{
    p->caps = (struct caps){.bounding = CONTAINER};
    caps_exec(p);
    p->dumpable = true;
}

/* A program of root gets what may be had; others what is ambient. */
void caps_exec(struct process *p)
{
    struct caps *c = &p->caps;
    bool plain = c->secured & SECBIT_NOROOT, root = !plain && (p->euid == 0 || p->uid == 0);
    c->permitted = root ? c->bounding | c->inheritable : c->ambient;
    c->effective = !plain && p->euid == 0 ? c->permitted : c->ambient;
    if (root)
        c->ambient = 0;
    c->keep = false;
}

void caps_new_ids(struct process *p, bool was_root, bool was_effective)
{
    struct caps *c = &p->caps;
    bool root = !p->uid || !p->euid || !p->suid;
    if (c->secured & SECBIT_NO_SETUID_FIXUP)
        return;
    if (was_root && !root) {
        if (!c->keep)
            c->permitted = c->effective = 0;
        c->ambient = 0;
    }
    if (was_effective && p->euid)
        c->effective = 0;
    if (!was_effective && !p->euid)
        c->effective = c->permitted;
}

/* Rights over others' files go and come with root as the owner of files. */
void caps_new_fsuid(struct process *p, uint32_t old)
{
    const uint64_t files = 1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE |
                           1ull << CAP_DAC_READ_SEARCH | 1ull << CAP_FOWNER | 1ull << CAP_FSETID |
                           1ull << CAP_MKNOD;
    if (p->caps.secured & SECBIT_NO_SETUID_FIXUP)
        return;
    if (!old && p->fsuid)
        p->caps.effective &= ~files;
    if (old && !p->fsuid)
        p->caps.effective |= p->caps.permitted & files;
}

/* How many words each set has, 0 for a version that is none; the one to use is told then. */
static int words_of(uint64_t header, uint32_t head[2])
{
    if (user_read(head, header, 8))
        return -EFAULT;
    if (head[0] == _LINUX_CAPABILITY_VERSION_1)
        return 1;
    if (head[0] == _LINUX_CAPABILITY_VERSION_2 || head[0] == _LINUX_CAPABILITY_VERSION_3)
        return 2;
    head[0] = _LINUX_CAPABILITY_VERSION_3;
    return user_write(header, head, 4) ? -EFAULT : 0;
}

long sys_capget(uint64_t header, uint64_t to)
{
    uint32_t head[2], data[6] = {0};
    int words = words_of(header, head);
    if (words <= 0)
        return words ? words : to ? -EINVAL : 0;
    if ((int)head[1] < 0)
        return -EINVAL;
    struct thread *t = head[1] ? thread_find_any((int)head[1]) : self();
    if (!t)
        return -ESRCH;
    const struct caps *c = &t->process->caps;
    const uint64_t sets[3] = {c->effective, c->permitted, c->inheritable};
    for (int i = 0; i < words * 3; i++)
        data[i] = (uint32_t)(sets[i % 3] >> (i / 3 * 32));
    return to && user_write(to, data, (size_t)words * 12) ? -EFAULT : 0;
}

long sys_capset(uint64_t header, uint64_t from)
{
    uint32_t head[2], data[6] = {0};
    int words = words_of(header, head);
    if (words <= 0)
        return words ? words : -EINVAL;
    if (head[1] && (int)head[1] != self()->tid && (int)head[1] != current()->pid)
        return -EPERM;
    if (user_read(data, from, (size_t)words * 12))
        return -EFAULT;
    uint64_t sets[3];
    for (int i = 0; i < 3; i++)
        sets[i] = (data[i] | (uint64_t)data[3 + i] << 32) & ((1ull << 41) - 1);
    struct caps *c = &current()->caps;
    uint64_t may_inherit = c->inheritable | (capable(CAP_SETPCAP) ? c->bounding : c->permitted);
    if ((sets[1] & ~c->permitted) || (sets[0] & ~sets[1]) ||
        (sets[2] & ~(may_inherit | c->permitted)))
        return -EPERM;
    c->effective = sets[0];
    c->permitted = sets[1];
    c->inheritable = sets[2];
    c->ambient &= c->permitted & c->inheritable;
    return 0;
}

long caps_secure_bits(void)
{
    const struct caps *c = &current()->caps;
    return c->secured | (c->keep ? SECBIT_KEEP_CAPS : 0);
}

/* A bit that is locked stays, and what locks it too. */
long caps_secure(uint64_t bits)
{
    struct caps *c = &current()->caps;
    uint64_t now = (uint64_t)caps_secure_bits(), locked = now & BITS_THAT_LOCK;
    if (((now ^ bits) & locked >> 1) || (locked & ~bits) || bits > UINT8_MAX ||
        !capable(CAP_SETPCAP))
        return -EPERM;
    c->keep = bits & SECBIT_KEEP_CAPS;
    c->secured = (uint8_t)(bits & ~(uint64_t)SECBIT_KEEP_CAPS);
    return 0;
}

long caps_prctl(int option, uint64_t arg, uint64_t arg2)
{
    struct caps *c = &current()->caps;
    switch (option) {
    case PRCTL_BOUNDING_READ:
        return arg > CAP_LAST ? -EINVAL : (long)(c->bounding >> arg & 1);
    case PRCTL_BOUNDING_DROP:
        if (!capable(CAP_SETPCAP))
            return -EPERM;
        if (arg > CAP_LAST)
            return -EINVAL;
        c->bounding &= ~(1ull << arg);
        return 0;
    case PRCTL_AMBIENT:
        if (arg == 4) { /* clear all */
            c->ambient = 0;
            return arg2 ? -EINVAL : 0;
        }
        if (arg < 1 || arg > 3 || arg2 > CAP_LAST)
            return -EINVAL;
        if (arg == 1)
            return (long)(c->ambient >> arg2 & 1);
        if (arg == 2 && (!(c->permitted & c->inheritable & 1ull << arg2) ||
                         (c->secured & SECBIT_NO_CAP_AMBIENT_RAISE)))
            return -EPERM;
        c->ambient = arg == 2 ? c->ambient | 1ull << arg2 : c->ambient & ~(1ull << arg2);
        return 0;
    default:
        return -EINVAL;
    }
}
