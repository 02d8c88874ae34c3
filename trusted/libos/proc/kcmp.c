// SPDX-License-Identifier: Apache-2.0
// kcmp: do two processes, or two descriptors, have the same object behind them?
#include <linux/kcmp.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/proc/proc.h"

/* 0: the same; 1, 2: an order that says nothing of addresses to who does not know the secret. */
static long compare_objects(const void *a, const void *b)
{
    static uint64_t secret;
    if (!secret && port_random(&secret, sizeof(secret)))
        return -EIO;
    uint64_t x = (uint64_t)a * (secret | 1), y = (uint64_t)b * (secret | 1);
    return a == b ? 0 : x < y ? 1 : 2;
}

static struct process *find_inspected(int pid)
{
    struct thread *t = thread_find_any(pid);
    return t ? t->process : process_find(pid);
}

long sys_kcmp(int pid1, int pid2, int type, uint64_t index1, uint64_t index2)
{
    const struct process *p = find_inspected(pid1), *q = find_inspected(pid2);
    if (!p || !q || p->zombie || q->zombie)
        return -ESRCH;
    if (!process_may_inspect(p) || !process_may_inspect(q))
        return -EPERM;
    switch (type) {
    case KCMP_FILE: {
        const struct file *f = index1 <= INT32_MAX ? fd_file_of(p->files, (int)index1) : NULL;
        const struct file *g = index2 <= INT32_MAX ? fd_file_of(q->files, (int)index2) : NULL;
        return f && g ? compare_objects(f, g) : -EBADF;
    }
    case KCMP_VM:
        return compare_objects(p->space, q->space);
    case KCMP_FILES:
        return compare_objects(p->files, q->files);
    case KCMP_FS:
        return compare_objects(p->fs, q->fs);
    case KCMP_SIGHAND:
        return compare_objects(p->handlers, q->handlers);
    case KCMP_IO: /* who never chose has none; else each its own */
        return p->ioprio || q->ioprio ? compare_objects(p, q) : 0;
    case KCMP_SYSVSEM: /* what is to be undone is never shared, and mostly nothing */
        return 0;
    default:
        return -EINVAL;
    }
}
