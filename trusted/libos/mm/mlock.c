// SPDX-License-Identifier: Apache-2.0
// Locked memory. Nothing is ever swapped out by us, and what the host does with EPC pages is
// encrypted: so locking brings the pages in, and is counted and limited as Linux does it.
#include <linux/mman.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/mm/mm.h"

#define RLIMIT_MEMLOCK 8

/* The main stack is as large as it may grow; Linux counts what it has grown to. */
static bool is_stack(const struct area *a)
{
    return a->name && !strcmp(a->name, "[stack]");
}

uint64_t mm_locked_size(struct space *s, uint64_t start, uint64_t end)
{
    uint64_t size = 0;
    lock_take(&s->list, RANK_AREAS);
    for (size_t i = s == space() ? area_index(start) : 0; i < s->count; i++) {
        const struct area *a = s->areas[i];
        if (a->start >= end)
            break;
        if (a->locked && a->end > start && !is_stack(a))
            size += MIN(a->end, end) - MAX(a->start, start);
    }
    lock_give(&s->list);
    return size;
}

int mm_may_lock(uint64_t size, uint64_t again)
{
    uint64_t limit = current()->limits[RLIMIT_MEMLOCK].soft;
    if (capable(CAP_IPC_LOCK))
        return 0;
    if (!limit)
        return -EPERM;
    return page_down(limit) < size ||
                   mm_locked_size(space(), 0, UINT64_MAX) - again > page_down(limit) - size
               ? -ENOMEM
               : 0;
}

int mm_populate_locked(uint64_t start, uint64_t end)
{
    int r = 0;
    for (size_t i = area_index(start); !r && i < space()->count; i++) {
        struct area *a = space()->areas[i];
        uint64_t from = MAX(a->start, start), to = MIN(a->end, end);
        if (a->start >= end)
            break;
        if (a->locked && (!a->prot || page_populate(a, from, (to - from) >> PAGE_SHIFT) ||
                          !page_state(to - PAGE_SIZE))) /* behind the end of its file */
            r = -ENOMEM;
    }
    return r;
}

/* Marks what is mapped there; -ENOMEM if not all of it is, after what stands before the hole. */
static int mark_range(uint64_t start, uint64_t end, bool locked)
{
    int r = start < end ? area_split(start) : 0;
    if (!r && start < end)
        r = area_split(end);
    for (uint64_t at = start; !r && at < end;) {
        struct area *a = area_find(at);
        if (!a) {
            r = -ENOMEM;
        } else {
            a->locked = locked;
            at = a->end;
        }
    }
    area_merge(start, end);
    return r;
}

/* The pages that a range touches. -EINVAL: it goes round the end. */
static int pages_of(uint64_t addr, uint64_t size, uint64_t *start, uint64_t *end)
{
    *start = page_down(addr);
    *end = *start + page_up(size + (addr & (PAGE_SIZE - 1)));
    return *end < *start ? -EINVAL : 0;
}

long sys_mlock2(uint64_t addr, uint64_t size, uint32_t flags)
{
    uint64_t start, end;
    if (flags & ~(uint32_t)MLOCK_ONFAULT)
        return -EINVAL;
    int wrong = pages_of(addr, size, &start, &end);
    int r = mm_may_lock(end - start, wrong ? 0 : mm_locked_size(space(), start, end));
    if (!r)
        r = wrong ? wrong : mark_range(start, end, true);
    return r || flags ? r : mm_populate_locked(start, end);
}

long sys_munlock(uint64_t addr, uint64_t size)
{
    uint64_t start, end;
    int r = pages_of(addr, size, &start, &end);
    return r ? r : mark_range(start, end, false);
}

static uint64_t mapped_size(void)
{
    uint64_t size = 0;
    for (size_t i = 0; i < space()->count; i++) {
        const struct area *a = space()->areas[i];
        size += is_stack(a) ? 0 : a->end - a->start;
    }
    return size;
}

long sys_mlockall(uint32_t flags)
{
    if (!flags || (flags & ~(uint32_t)(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) ||
        flags == MCL_ONFAULT)
        return -EINVAL;
    bool all = flags & MCL_CURRENT, now = !(flags & MCL_ONFAULT);
    int r = mm_may_lock(all ? mapped_size() : 0, mm_locked_size(space(), 0, UINT64_MAX));
    if (r)
        return r;
    space()->lock_future = !(flags & MCL_FUTURE) ? LOCK_NOTHING : now ? LOCK_NOW : LOCK_ON_FAULT;
    for (size_t i = 0; all && i < space()->count; i++) { /* as much as there is memory for */
        struct area *a = space()->areas[i];
        a->locked = true;
        if (now && a->prot && !is_stack(a))
            page_populate(a, a->start, (a->end - a->start) >> PAGE_SHIFT);
    }
    area_merge(0, UINT64_MAX);
    return 0;
}

long sys_munlockall(void)
{
    space()->lock_future = LOCK_NOTHING;
    for (size_t i = 0; i < space()->count; i++)
        space()->areas[i]->locked = false;
    area_merge(0, UINT64_MAX);
    return 0;
}
