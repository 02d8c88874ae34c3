// SPDX-License-Identifier: Apache-2.0
// Another process's memory: process_vm_readv and process_vm_writev, for who may look into it.
#include <linux/uio.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"

struct side {
    uint64_t iov, count; /* those that follow */
    uint64_t addr, left; /* of the first */
};

static int check_side(const struct side *s)
{
    struct iovec v;
    if (s->count > UIO_MAXIOV)
        return -EINVAL;
    for (uint64_t i = 0; i < s->count; i++) {
        if (user_read(&v, s->iov + i * sizeof(v), sizeof(v)))
            return -EFAULT;
        if ((int64_t)v.iov_len < 0)
            return -EINVAL;
    }
    return 0;
}

/* The next bytes; false: there are none. */
static bool next_range(struct side *s)
{
    while (!s->left && s->count) {
        struct iovec v;
        if (user_read(&v, s->iov, sizeof(v)))
            return false;
        s->addr = (uint64_t)v.iov_base;
        s->left = v.iov_len;
        s->iov += sizeof(v);
        s->count--;
    }
    return s->left;
}

/* Page by page through the LibOS. The result is what was moved before the first that could not be.
 */
static long move_bytes(struct space *other, struct side *mine, struct side *theirs, bool out)
{
    long moved = 0;
    uint8_t *part = page_alloc();
    int r = part ? 0 : -ENOMEM;
    while (!r && next_range(mine) && next_range(theirs)) {
        uint64_t n =
            MIN(MIN(mine->left, theirs->left), PAGE_SIZE - (theirs->addr & (PAGE_SIZE - 1)));
        n = MIN(n, PAGE_SIZE - (mine->addr & (PAGE_SIZE - 1)));
        r = out ? user_read(part, mine->addr, n) : space_read(other, part, theirs->addr, n);
        if (!r)
            r = out ? space_write(other, theirs->addr, part, n) : user_write(mine->addr, part, n);
        if (r)
            break;
        mine->addr += n;
        mine->left -= n;
        theirs->addr += n;
        theirs->left -= n;
        moved += (long)n;
    }
    if (part)
        page_free(part);
    return moved ? moved : r;
}

long process_vm_move(int pid, const uint64_t range[4], uint64_t flags, bool out)
{
    struct side mine = {.iov = range[0], .count = range[1]};
    struct side theirs = {.iov = range[2], .count = range[3]};
    int r = flags ? -EINVAL : check_side(&mine);
    if (r || (r = check_side(&theirs)))
        return r;
    struct process *p = process_find(pid);
    const struct thread *t = p ? NULL : thread_find_any(pid);
    p = t ? t->process : p;
    if (!theirs.count || !mine.count)
        return 0;
    if (!p || !p->space)
        return -ESRCH;
    if (!process_may_inspect(p))
        return -EPERM;
    return move_bytes(p->space, &mine, &theirs, out);
}
