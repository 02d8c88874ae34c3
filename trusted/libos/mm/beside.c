// SPDX-License-Identifier: Apache-2.0
// How memory changes beside other threads that use it, where its addresses are one process's alone:
//
//   1 areas    under space.list each is marked `changing`: who meets it makes itself alone, and so
//              waits until all is done
//   2 pages    2 MiB after 2 MiB, under their lock of the family: what goes is taken from their
//              states, then it is asked who relies on them
//   3 frames   nobody does: they go, or get their new rights
//      or      somebody does: the states are put back, and the caller does all of it alone
//   4 areas    go, or get their new rights
//
// Who relies on memory of the program (mm_ready) first tells so in its struct thread, then looks at
// the states; who takes something from the states does it in the other order. So one of them sees
// the other.
#include "trusted/libos/mm/mm.h"

#define SPINS 500u

static bool has_one_user(const struct space *s)
{
    return s->refs == 1 && s->family->count == 1;
}

/* ---- areas ---- */

/* With the list's lock. */
static bool may_change(uint64_t start, uint64_t end)
{
    const struct space *s = space();
    for (size_t i = area_index(start); i < s->count && s->areas[i]->start < end; i++) {
        const struct area *a = s->areas[i];
        if (a->file || a->sealed || a->changing)
            return false;
    }
    return true;
}

static void mark_areas(uint64_t start, uint64_t end, bool changing)
{
    for (size_t i = area_index(start); i < space()->count && space()->areas[i]->start < end; i++)
        space()->areas[i]->changing = changing;
}

/* False: it must be done alone. */
static bool begin_change(uint64_t start, uint64_t end, bool covered)
{
    struct space *s = space();
    if (!los_is_shared() || !has_one_user(s))
        return false;
    lock_take(&s->list, RANK_AREAS);
    bool ok = may_change(start, end) && (!covered || area_covers(start, end)) &&
              !area_split(start) && !area_split(end);
    if (ok)
        mark_areas(start, end, true);
    lock_give(&s->list);
    return ok;
}

/* ---- pages ---- */

static bool is_used(uint64_t start, uint64_t end)
{
    list_each(const struct thread, t, &current()->threads, node) {
        if (t != self() && __atomic_load_n(&t->uses_high, __ATOMIC_ACQUIRE) > start &&
            __atomic_load_n(&t->uses_low, __ATOMIC_ACQUIRE) < end)
            return true;
    }
    return false;
}

/* Leaves only `kept` of the states of pages in one leaf; what they were. False: somebody relies on
 * them, or they are not simply the process's. */
static bool take_from_states(uint64_t start, uint64_t end, uint8_t kept, uint8_t was[512])
{
    struct leaf *leaf = page_leaf(space(), start);
    uint8_t *page = leaf->page + page_slot(start);
    size_t count = (end - start) >> PAGE_SHIFT;
    bool used = true;
    memcpy(was, page, count);
    for (size_t i = 0; i < count; i++) {
        if (was[i] & (PAGE_COMMON | PAGE_OBJECT | PAGE_CLEAN))
            return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (was[i] & ~kept)
            __atomic_exchange_n(&page[i], was[i] & kept, __ATOMIC_SEQ_CST);
    }
    for (unsigned spin = 0; spin < SPINS && (used = is_used(start, end)); spin++)
        __builtin_ia32_pause();
    for (size_t i = 0; used && i < count; i++)
        __atomic_store_n(&page[i], was[i], __ATOMIC_RELEASE);
    return !used;
}

static size_t run_of(const uint8_t *was, size_t i, size_t count)
{
    size_t n = i;
    while (n < count && !was[n] == !was[i])
        n++;
    return n - i;
}

/* `rights` below 0: they go. 0, -EAGAIN: it must be done alone, -ENOMEM. */
static int change_leaf(uint64_t start, uint64_t end, int rights)
{
    uint8_t was[512], kept = rights < 0 ? 0 : (uint8_t)(PAGE_THERE | rights);
    size_t count = (end - start) >> PAGE_SHIFT, n;
    int r = take_from_states(start, end, kept, was) ? 0 : -EAGAIN;
    for (size_t i = 0; !r && i < count; i += n) {
        uint64_t at = start + (i << PAGE_SHIFT);
        n = run_of(was, i, count);
        if (!was[i])
            continue;
        if (rights < 0)
            frame_remove(at, n);
        else if (!(r = frame_protect(at, n, rights)))
            r = page_state_set(space(), at, n, kept);
    }
    return r;
}

static bool look_at_areas(uint64_t start, uint64_t end)
{
    lock_take(&space()->list, RANK_AREAS);
    bool ok = may_change(start, end);
    lock_give(&space()->list);
    return ok;
}

/* `look`: the areas were not marked. */
static int change_pages(uint64_t start, uint64_t end, int rights, bool look)
{
    struct space *s = space();
    int r = 0;
    for (uint64_t at = start, next; !r && (at = page_next_leaf(s, at, end)) < end; at = next) {
        struct lock *l = page_lock(at);
        next = MIN((at | ((1ul << 21) - 1)) + 1, end);
        lock_take(l, RANK_FAMILY);
        if (look && !look_at_areas(at, next))
            r = -EAGAIN;
        if (!r)
            r = change_leaf(at, next, rights);
        lock_give(l);
    }
    return r;
}

bool unmap_beside(uint64_t start, uint64_t end)
{
    struct space *s = space();
    if (!begin_change(start, end, false))
        return false;
    int r = change_pages(start, end, -1, false);
    lock_take(&s->list, RANK_AREAS);
    if (r)
        mark_areas(start, end, false);
    else
        area_drop(start, end);
    lock_give(&s->list);
    return !r;
}

int protect_beside(uint64_t start, uint64_t end, int prot)
{
    struct space *s = space();
    if (!begin_change(start, end, true))
        return -EAGAIN;
    int r = change_pages(start, end, page_rights(prot), false);
    lock_take(&s->list, RANK_AREAS);
    mark_areas(start, end, false);
    for (size_t i = area_index(start); !r && i < s->count && s->areas[i]->start < end; i++)
        s->areas[i]->prot = prot;
    area_merge(start, end);
    lock_give(&s->list);
    return r;
}

bool empty_beside(uint64_t start, uint64_t end)
{
    /* What may not be emptied is refused also where there is no page yet. */
    return los_is_shared() && has_one_user(space()) && look_at_areas(start, end) &&
           !change_pages(start, end, -1, true);
}
