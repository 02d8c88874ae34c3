// SPDX-License-Identifier: Apache-2.0
// Mapping and unmapping; where things go in the address space.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"

#define LOW_END (1ul << 31)

static uint64_t find_gap(uint64_t size, uint64_t low, uint64_t high)
{
    uint64_t addr = high > low ? area_find_gap(size, low, high) : 0;
    return addr && place_is_free(addr, addr + size) ? addr : 0;
}

/* What a thread maps lies apart from what others do, in 2 MiB with another lock: so each can fault
 * and unmap beside them. */
#define LANE (33ul << 21)
#define LANE_PART 64u
static uint64_t find_in_lane(const struct slab *slab, uint64_t size)
{
    uint64_t past = current()->thread_count > 1 ? self()->share * LANE : 0;
    if (size > LANE / LANE_PART || past + LANE > slab->high - slab->low)
        return 0;
    return find_gap(size, slab->high - past - LANE, slab->high - past);
}

/* Where the caller did not insist: where it would like, or by kind. `more`: new addresses, if need
 * be; alone. */
static uint64_t choose_place(const struct map_request *r, uint64_t size, bool more)
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
    if (!addr)
        addr = find_in_lane(&s->slabs[s->slab_count - 1], size);
    for (uint32_t n = s->slab_count; !addr && n-- > 0;)
        addr = find_gap(size, s->slabs[n].low, s->slabs[n].high);
    if (!addr && more && place_more(size))
        addr = find_gap(size, s->slabs[s->slab_count - 1].low, s->slabs[s->slab_count - 1].high);
    return addr;
}

static int put_area(const struct map_request *r, uint64_t addr, uint64_t size, bool locked)
{
    struct area a = {
        .start = addr,
        .end = addr + size,
        .prot = r->prot,
        .shared = r->file && (r->flags & MM_SHARED),
        .file = r->file,
        .offset = r->offset,
        .name = r->name,
        .locked = locked,
        .grows = r->flags & MM_GROWS,
        .write_ok =
            r->file && file_can_write(r->file) && !(r->file->inode && (r->file->inode->seals & 24)),
    };
    int e = area_add(a);
    if (!e)
        area_merge(addr, addr + size);
    return e;
}

/* Memory without a file, in addresses that the space has. 0: it must be done alone. */
static int64_t map_beside(const struct map_request *r, uint64_t size)
{
    struct space *s = space();
    if (!los_is_shared() || r->file || (r->flags & ~(MM_LOW | MM_NOREPLACE)) || s->refs > 1 ||
        s->family->count > 1 || s->family->leftovers)
        return 0;
    lock_take(&s->list, RANK_AREAS);
    uint64_t addr = r->flags & MM_NOREPLACE ? r->addr : choose_place(r, size, false);
    bool may = addr && !s->lock_future && place_is_own(addr, size) &&
               area_free_range(addr, addr + size) && !put_area(r, addr, size, false);
    lock_give(&s->list);
    return may ? (int64_t)addr : 0;
}

int64_t mm_map(const struct map_request *r)
{
    uint64_t size = page_up(r->size), addr;
    if (!r->size || size < r->size || size > port_info.user_end)
        return r->size ? -ENOMEM : -EINVAL;
    int64_t beside = map_beside(r, size);
    if (beside)
        return beside;
    call_upgrade();
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
        addr = choose_place(r, size, true);
        if (!addr)
            return -ENOMEM;
    }
    bool locked = (r->flags & MM_LOCKED) || space()->lock_future;
    if (locked && mm_may_lock(size, 0))
        return -EAGAIN;
    int e = place_take(addr, addr + size, r->flags & (MM_FIXED | MM_JOIN));
    if (e)
        return e;
    if (r->flags & MM_PLACE)
        return (int64_t)addr;
    e = put_area(r, addr, size, locked);
    if (e)
        return e;
    e = residence_settle(space(), addr, addr + size);
    if (e)
        mm_unmap(addr, size);
    if (!e && locked && space()->lock_future != LOCK_ON_FAULT)
        mm_populate_locked(addr, addr + size); /* as much as there is memory for */
    return e ? e : (int64_t)addr;
}

int mm_unsealed(uint64_t start, uint64_t end)
{
    struct space *s = space();
    int r = 0;
    lock_take(&s->list, RANK_AREAS);
    for (size_t i = area_index(start); !r && i < s->count && s->areas[i]->start < end; i++)
        r = s->areas[i]->sealed ? -EPERM : 0;
    lock_give(&s->list);
    return r;
}

/* All its pages go; a file's own may live on. */
void area_clear(struct area *a, bool goes)
{
    for (uint64_t at = a->start; a->shared && (at = page_next_leaf(a->space, at, a->end)) < a->end;
         at += PAGE_SIZE)
        object_unmap(a, at, goes);
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
        area_clear(space()->areas[i], true);
    area_drop(addr, end);
    return 0;
}
