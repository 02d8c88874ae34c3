// SPDX-License-Identifier: Apache-2.0
// Mapping and unmapping; where things go in the address space.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/mm/sites.h"

#define CODE_WINDOW (1ul << 30) /* mappings of files; rel32 reaches across it */
#define LOW_END (1ul << 31)

static uint64_t random_below(uint64_t limit)
{
    uint64_t v;
    if (port_random(&v, sizeof(v)))
        stop("no entropy from the processor");
    return v % limit;
}

/* Code window in the third quarter, other mappings grow down from the top, both at random. */
void mm_init(void)
{
    uint64_t start = port_info.user_start, size = port_info.user_end - start;
    space()->code_start = page_down(start + size / 2 + random_below(size / 4 - CODE_WINDOW));
    space()->code_end = space()->code_start + CODE_WINDOW;
    space()->map_top = page_down(port_info.user_end - random_below(size / 16));
    space()->brk_start = space()->brk = space()->brk_limit = 0;
}

static uint64_t choose(const struct map_request *r, uint64_t size)
{
    uint64_t addr = page_down(r->addr);
    if (addr >= port_info.user_start && addr < port_info.user_end &&
        size <= port_info.user_end - addr && area_free_range(addr, addr + size))
        return addr;
    if (r->flags & MM_LOW)
        return area_find_gap(size, port_info.user_start, LOW_END);
    addr = 0;
    if (r->file && !(r->flags & MM_SHARED))
        addr = area_find_gap(size, space()->code_start, space()->code_end);
    if (!addr)
        addr = area_find_gap(size, space()->code_end, space()->map_top);
    if (!addr)
        addr = area_find_gap(size, port_info.user_start + (1ul << 32), space()->code_start);
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
        addr = choose(r, size);
        if (!addr)
            return -ENOMEM;
    }
    struct area a = {
        .start = addr,
        .end = addr + size,
        .prot = r->prot,
        .shared = r->file && (r->flags & MM_SHARED),
        .file = r->file,
        .offset = r->offset,
        .name = r->name,
        .write_ok = r->file && file_can_write(r->file),
    };
    int e = area_add(a);
    if (e)
        return e;
    area_merge(addr, addr + size);
    return (int64_t)addr;
}

int mm_unmap(uint64_t addr, uint64_t size)
{
    uint64_t end = addr + page_up(size);
    if ((addr & (PAGE_SIZE - 1)) || !size || end <= addr || addr < port_info.user_start ||
        end > port_info.user_end)
        return -EINVAL;
    int r = area_split(addr);
    if (!r)
        r = area_split(end);
    if (r)
        return r;
    for (size_t i = area_index(addr); i < space()->count && space()->areas[i]->start < end; i++) {
        area_write_back(space()->areas[i], addr, end);
        page_remove(space()->areas[i]->start, space()->areas[i]->end);
    }
    area_drop(addr, end);
    return 0;
}

void mm_reset(void)
{
    while (space()->count)
        mm_unmap(space()->areas[0]->start, space()->areas[0]->end - space()->areas[0]->start);
    radix_clear(&space()->leaves, 0, los_free);
    sites_reset();
    mm_init();
}
