// SPDX-License-Identifier: Apache-2.0
// Mapping and unmapping; where things go in the address space.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/mm/sites.h"

#define LOW_END (1ul << 31)

static uint64_t find_gap(uint64_t size, uint64_t low, uint64_t high)
{
    uint64_t addr = high > low ? area_find_gap(size, low, high) : 0;
    return addr && place_is_free(addr, addr + size) ? addr : 0;
}

/* Where the caller did not insist: where it would like, or by kind. */
static uint64_t choose_place(const struct map_request *r, uint64_t size)
{
    const struct space *s = space();
    uint64_t addr = page_down(r->addr);
    if (addr >= port_info.user_start && addr < port_info.user_end &&
        size <= port_info.user_end - addr && area_free_range(addr, addr + size) &&
        place_is_free(addr, addr + size))
        return addr;
    if (r->flags & MM_LOW)
        return find_gap(size, port_info.user_start, LOW_END);
    addr = 0;
    if (r->file && !(r->flags & MM_SHARED))
        addr = find_gap(size, s->code_start, s->code_end);
    for (uint32_t n = s->slab_count; !addr && n-- > 0;)
        addr = find_gap(size, s->slabs[n].low, s->slabs[n].high);
    if (!addr && place_more(size))
        addr = find_gap(size, s->slabs[s->slab_count - 1].low, s->slabs[s->slab_count - 1].high);
    return addr;
}

int64_t mm_map(const struct map_request *r)
{
    uint64_t size = page_up(r->size), addr;
    if (!r->size || size < r->size || size > port_info.user_end)
        return r->size ? -ENOMEM : -EINVAL;
    if (r->flags & (MM_FIXED | MM_NOREPLACE)) {
        addr = r->addr;
        if (addr & (PAGE_SIZE - 1))
            return -EINVAL;
        if (addr < port_info.user_start || addr >= port_info.user_end ||
            size > port_info.user_end - addr)
            return addr < port_info.user_start ? -EPERM : -ENOMEM;
        if (!area_free_range(addr, addr + size)) {
            if (r->flags & MM_NOREPLACE)
                return -EEXIST;
            int e = mm_unmap(addr, size);
            if (e)
                return e;
        }
    } else {
        addr = choose_place(r, size);
        if (!addr)
            return -ENOMEM;
    }
    bool locked = (r->flags & MM_LOCKED) || space()->lock_future;
    if (locked && mm_may_lock(size, 0))
        return -EAGAIN;
    int e = place_take(addr, addr + size, r->flags & (MM_FIXED | MM_JOIN));
    if (e)
        return e;
    struct area a = {
        .start = addr,
        .end = addr + size,
        .prot = r->prot,
        .shared = r->file && (r->flags & MM_SHARED),
        .file = r->file,
        .offset = r->offset,
        .name = r->name,
        .locked = locked,
        .write_ok =
            r->file && file_can_write(r->file) && !(r->file->inode && (r->file->inode->seals & 24)),
    };
    e = area_add(a);
    if (e)
        return e;
    area_merge(addr, addr + size);
    e = residence_settle(space(), addr, addr + size);
    if (!e && locked && space()->lock_future != LOCK_ON_FAULT)
        mm_populate_locked(addr, addr + size); /* as much as there is memory for */
    return e ? e : (int64_t)addr;
}

int mm_unsealed(uint64_t start, uint64_t end)
{
    for (size_t i = area_index(start); i < space()->count && space()->areas[i]->start < end; i++) {
        if (space()->areas[i]->sealed)
            return -EPERM;
    }
    return 0;
}

/* All its pages go; a file's own may live on. */
void area_clear(struct area *a)
{
    for (uint64_t at = a->start; a->shared && (at = page_next_leaf(a->space, at, a->end)) < a->end;
         at += PAGE_SIZE)
        object_unmap(a, at);
    page_remove(a->start, a->end);
}

int mm_unmap(uint64_t addr, uint64_t size)
{
    uint64_t end = addr + page_up(size);
    if ((addr & (PAGE_SIZE - 1)) || !size || end <= addr || addr < port_info.user_start ||
        end > port_info.user_end)
        return -EINVAL;
    int r = mm_unsealed(addr, end);
    if (!r)
        r = area_split(addr);
    if (!r)
        r = area_split(end);
    if (r)
        return r;
    for (size_t i = area_index(addr); i < space()->count && space()->areas[i]->start < end; i++)
        area_clear(space()->areas[i]);
    area_drop(addr, end);
    return 0;
}
