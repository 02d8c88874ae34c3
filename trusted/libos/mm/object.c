// SPDX-License-Identifier: Apache-2.0
// A file's own pages. Each is at one place: in the zone, or at the address of a shared mapping,
// where all mappings with that address have it. Another address takes it away; who used it there
// faults and takes it back. So every way to a file's bytes leads to the same ones.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"

static const _Alignas(4096) uint8_t zeros[PAGE_SIZE];

/* Where the area has page `index`; 0: not in it. */
static uint64_t address_in(const struct area *a, uint64_t index)
{
    uint64_t first = a->offset >> PAGE_SHIFT;
    uint64_t count = (a->end - a->start) >> PAGE_SHIFT;
    return index >= first && index - first < count ? a->start + ((index - first) << PAGE_SHIFT) : 0;
}

void object_map_add(struct area *a)
{
    list_init(&a->mapped);
    if (a->file && a->file->inode)
        list_append(&a->file->inode->maps, &a->mapped);
}

void object_map_remove(struct area *a)
{
    list_remove(&a->mapped);
}

/* Private copies that nobody changed follow the file: they are made again when they are used. */
static bool drop_clean(struct inode *i, uint64_t index, bool only_look)
{
    struct frame_gone gone = {0};
    list_each(const struct area, a, &i->maps, mapped) {
        uint64_t addr = a->shared ? 0 : address_in(a, index);
        if (!addr)
            continue;
        if (only_look)
            return true;
        if (page_state_of(a->space, addr) & PAGE_CLEAN)
            page_drop(a->space, addr, &gone);
    }
    frame_gone_end(&gone);
    return false;
}

int object_follow(struct inode *i, uint64_t index)
{
    uint64_t addr = (uint64_t)radix_get(&i->pages, index);
    if (!object_is_mapped((void *)addr))
        return 0;
    if (los_is_shared())
        return -EAGAIN;
    list_each(const struct area, a, &i->maps, mapped) {
        uint8_t state = page_state_of(a->space, addr);
        if (a->shared && address_in(a, index) == addr && (state & PAGE_OBJECT))
            page_state_set(a->space, addr, 1, state & (uint8_t)~PORT_W);
    }
    int rights = frame_rights(addr);
    return rights & PORT_W ? frame_protect(addr, 1, rights & ~PORT_W) : 0;
}

/* Nobody has the page at this address any more. True if somebody had. */
static bool forget_at(struct inode *i, uint64_t index, uint64_t addr)
{
    bool had = false;
    list_each(struct area, a, &i->maps, mapped) {
        if (!a->shared || address_in(a, index) != addr ||
            !(page_state_of(a->space, addr) & PAGE_OBJECT))
            continue;
        page_state_set(a->space, addr, 1, 0);
        had = true;
    }
    return had;
}

int object_home(struct inode *i, uint64_t index)
{
    void **slot = radix_slot(&i->pages, index);
    uint64_t addr = slot ? (uint64_t)*slot : 0;
    if (!addr || !object_is_mapped(*slot))
        return 0;
    void *page = page_alloc();
    if (!page)
        return -ENOMEM;
    int r = frame_protect(addr, 1, PORT_R); /* nobody changes it meanwhile */
    if (r) {
        page_free(page);
        return r;
    }
    memcpy(page, (const void *)addr, PAGE_SIZE);
    forget_at(i, index, addr);
    frame_remove(addr, 1);
    *slot = page;
    return 0;
}

/* The content of a page that is nowhere yet, to the frame. */
static int bring_page(struct area *a, uint64_t addr, uint64_t index, int prot)
{
    struct inode *i = a->file->inode;
    if (!i->mount && (!i->has_lower || index << PAGE_SHIFT >= i->lower_size)) {
        if (frame_rights(addr) < 0)
            return frame_add(addr, 1, prot, OWNER_OBJECT);
        return frame_put(addr, zeros, prot, OWNER_OBJECT);
    }
    void *page = page_alloc();
    int r = page ? data_page(i, index, page) : -ENOMEM;
    if (!r)
        r = frame_put(addr, page, prot, OWNER_OBJECT);
    if (page)
        page_free(page);
    return r;
}

bool object_is_at(const struct area *a, uint64_t addr)
{
    uint64_t index = (a->offset + (addr - a->start)) >> PAGE_SHIFT;
    return a->file && a->file->inode && (uint64_t)radix_get(&a->file->inode->pages, index) == addr;
}

int object_map(struct area *a, uint64_t addr, bool write)
{
    struct inode *i = a->file->inode;
    uint64_t index = (a->offset + (addr - a->start)) >> PAGE_SHIFT;
    int prot = page_rights(a->prot);
    if (index << PAGE_SHIFT >= page_up(i->size))
        return -EIO;
    if ((prot & PORT_W) && drop_clean(i, index, !write))
        prot &= ~PORT_W; /* the first store drops them */
    i->written = i->written || (prot & PORT_W);
    void **slot = radix_slot(&i->pages, index);
    int r = slot ? page_state_set(space(), addr, 1, 0) : -ENOMEM;
    if (!r && *slot && object_is_mapped(*slot) && (uint64_t)*slot != addr)
        r = object_home(i, index);
    if (r)
        return r;
    if ((uint64_t)*slot == addr) {
        r = frame_protect(addr, 1, prot);
    } else if (*slot) {
        r = frame_put(addr, *slot, prot, OWNER_OBJECT);
        if (!r)
            page_free(*slot);
    } else {
        r = bring_page(a, addr, index, prot);
        i->page_count += !r;
    }
    if (r)
        return r;
    *slot = (void *)addr;
    return page_state_set(space(), addr, 1, (uint8_t)(PAGE_THERE | PAGE_OBJECT | prot));
}

static bool mapped_elsewhere(struct inode *i, uint64_t index, uint64_t addr)
{
    list_each(const struct area, a, &i->maps, mapped) {
        if (a->shared && address_in(a, index) == addr &&
            (page_state_of(a->space, addr) & PAGE_OBJECT))
            return true;
    }
    return false;
}

void object_unmap(struct area *a, uint64_t addr, bool goes)
{
    struct inode *i = a->file->inode;
    uint64_t index = (a->offset + (addr - a->start)) >> PAGE_SHIFT;
    if (!(page_state_of(a->space, addr) & PAGE_OBJECT))
        return;
    page_state_set(a->space, addr, 1, 0);
    if (mapped_elsewhere(i, index, addr))
        return;
    /* Nobody will ever read it again: no name, no other open file, no other mapping. */
    bool last = goes && !i->nlink && i->refs == 1 && a->file->refs == 1;
    if (last || object_home(i, index)) {
        void **slot = radix_slot(&i->pages, index);
        if (!last)
            stop("no memory to keep a page of a file that is unmapped");
        frame_remove(addr, 1);
        *slot = NULL;
        i->page_count--;
    }
}

int object_begin_write(struct inode *i, uint64_t index)
{
    i->written = true;
    if (list_empty(&i->maps))
        return 0;
    drop_clean(i, index, false);
    const void *page = radix_get(&i->pages, index);
    if (!page || !object_is_mapped(page) || (frame_rights((uint64_t)page) & PORT_W))
        return 0;
    return frame_protect((uint64_t)page, 1, PORT_R | PORT_W);
}

void object_end_write(struct inode *i, uint64_t index)
{
    const void *page = list_empty(&i->maps) ? NULL : radix_get(&i->pages, index);
    if (!page || !object_is_mapped(page))
        return;
    uint64_t addr = (uint64_t)page;
    list_each(const struct area, a, &i->maps, mapped) {
        uint8_t state = page_state_of(a->space, addr);
        if (!a->shared || address_in(a, index) != addr || !(state & PAGE_OBJECT) ||
            a->space->family->resident != a->space)
            continue;
        frame_protect(addr, 1, state & RIGHTS);
        return;
    }
}

void object_drop(struct inode *i, uint64_t from, uint64_t end)
{
    struct frame_gone gone = {0};
    uint64_t index;
    void *page;
    list_each(const struct area, a, &i->maps, mapped) {
        uint64_t first = a->offset >> PAGE_SHIFT;
        uint64_t at = a->start + (from > first ? (from - first) << PAGE_SHIFT : 0);
        for (; !a->shared && (at = page_next_leaf(a->space, at, a->end)) < a->end;
             at += PAGE_SIZE) {
            if (first + ((at - a->start) >> PAGE_SHIFT) >= end)
                break;
            if (page_state_of(a->space, at) & PAGE_CLEAN)
                page_drop(a->space, at, &gone);
        }
    }
    frame_gone_end(&gone);
    bool whole = !from && end == UINT64_MAX;
    for (; (page = radix_next(&i->pages, from, &index)) && index < end; from = index + 1) {
        if (object_is_mapped(page)) {
            forget_at(i, index, (uint64_t)page);
            frame_remove((uint64_t)page, 1);
        } else {
            page_free(page);
        }
        *radix_slot(&i->pages, index) = NULL;
        i->page_count--;
    }
    if (whole)
        radix_clear(&i->pages, 0, NULL);
}
