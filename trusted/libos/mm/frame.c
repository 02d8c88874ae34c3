// SPDX-License-Identifier: Apache-2.0
// Committed pages of all spaces: with which rights, and whose content they have now.
#include "trusted/libos/mm/mm.h"

struct frames {
    uint64_t changes;    /* so far */
    uint8_t rights[512]; /* PAGE_THERE | PORT_*; 0: none */
    uint16_t owner[512];
    uint8_t parted[512]; /* times that one wrote to what it had in common with others */
};

static struct radix all; /* by addr >> 21 */
static struct lock all_lock;

/* Who is alone mostly goes from page to page, and finds the last one's part here. */
static struct {
    uint64_t index;
    struct frames *frames;
} last_part;

static struct frames *frames_of(uint64_t addr)
{
    uint64_t index = addr >> 21;
    if (los_is_shared())
        return radix_get(&all, index);
    if (last_part.index != index || !last_part.frames) {
        last_part.index = index;
        last_part.frames = radix_get(&all, index);
    }
    return last_part.frames;
}

int frame_rights(uint64_t addr)
{
    const struct frames *f = frames_of(addr);
    uint8_t r = f ? f->rights[page_slot(addr)] : 0;
    return r ? r & (PORT_R | PORT_W | PORT_X) : -1;
}

uint16_t frame_owner(uint64_t addr)
{
    const struct frames *f = frames_of(addr);
    return f ? f->owner[page_slot(addr)] : OWNER_NONE;
}

void frame_own(uint64_t addr, uint64_t count, uint16_t owner)
{
    for (; count; count--, addr += PAGE_SIZE) {
        struct frames *f = frames_of(addr);
        f->owner[page_slot(addr)] = owner;
        f->changes++;
    }
}

void frame_part(uint64_t addr)
{
    struct frames *f = frames_of(addr);
    f->parted[page_slot(addr)] += f->parted[page_slot(addr)] < UINT8_MAX;
}

unsigned frame_parted(uint64_t addr)
{
    const struct frames *f = frames_of(addr);
    return f ? f->parted[page_slot(addr)] : 0;
}

uint64_t frame_changes(uint64_t addr)
{
    const struct frames *f = frames_of(addr);
    return f ? f->changes : 0;
}

static int make_room(uint64_t addr, uint64_t count)
{
    int r = 0;
    for (uint64_t i = addr >> 21; !r && i <= (addr + (count << PAGE_SHIFT) - 1) >> 21; i++) {
        if (radix_get(&all, i))
            continue;
        lock_take(&all_lock, RANK_FRAMES);
        void **slot = radix_slot(&all, i);
        bool made = slot && *slot; /* by another thread meanwhile */
        void *item = slot && !made ? los_alloc(sizeof(struct frames)) : NULL;
        if (item)
            radix_put(slot, item);
        else if (!made)
            r = -ENOMEM;
        lock_give(&all_lock);
    }
    return r;
}

static void set_frames(uint64_t addr, uint64_t count, uint8_t rights, uint16_t owner)
{
    for (; count; count--, addr += PAGE_SIZE) {
        struct frames *f = frames_of(addr);
        f->rights[page_slot(addr)] = rights;
        f->owner[page_slot(addr)] = owner;
        f->changes++;
    }
}

int frame_add(uint64_t addr, uint64_t count, int prot, uint16_t owner)
{
    int r = make_room(addr, count);
    if (!r && (r = memory_charge(count)) == 0) {
        r = port_pages_add(addr, count, prot);
        if (r)
            memory_uncharge(count);
        else
            set_frames(addr, count, (uint8_t)(PAGE_THERE | prot), owner);
    }
    return r;
}

int frame_fill(uint64_t addr, const void *const *sources, uint64_t count, int prot, uint16_t owner)
{
    int r = make_room(addr, count);
    if (!r && (r = memory_charge(count)) == 0) {
        r = port_pages_fill(addr, sources, count, prot);
        if (r)
            memory_uncharge(count);
        else
            set_frames(addr, count, (uint8_t)(PAGE_THERE | prot), owner);
    }
    return r;
}

int frame_protect(uint64_t addr, uint64_t count, int prot)
{
    while (count) {
        int old = frame_rights(addr);
        uint64_t n = 1;
        while (n < count && frame_rights(addr + (n << PAGE_SHIFT)) == old)
            n++;
        if (old >= 0 && old != prot) {
            int r = port_pages_protect(addr, n, old, prot);
            if (r)
                return r;
            for (uint64_t i = 0; i < n; i++) {
                struct frames *f = frames_of(addr + (i << PAGE_SHIFT));
                f->rights[page_slot(addr + (i << PAGE_SHIFT))] = (uint8_t)(PAGE_THERE | prot);
                f->changes++;
            }
        }
        addr += n << PAGE_SHIFT;
        count -= n;
    }
    return 0;
}

int frame_put(uint64_t addr, const void *content, int prot, uint16_t owner)
{
    int old = frame_rights(addr);
    if (old < 0)
        return frame_fill(addr, &content, 1, prot, owner);
    int r = old & PORT_W ? 0 : frame_protect(addr, 1, PORT_R | PORT_W);
    if (r)
        return r;
    memcpy((void *)addr, content, PAGE_SIZE);
    frame_own(addr, 1, owner);
    return frame_protect(addr, 1, prot);
}

void frame_remove(uint64_t addr, uint64_t count)
{
    port_pages_remove(&(struct sh_pages){addr, count << PAGE_SHIFT}, 1);
    memory_uncharge(count);
    set_frames(addr, count, 0, OWNER_NONE);
}

void frame_gone_add(struct frame_gone *g, uint64_t addr, uint64_t count)
{
    struct sh_pages *last = g->count ? &g->runs[g->count - 1] : NULL;
    memory_uncharge(count);
    set_frames(addr, count, 0, OWNER_NONE);
    if (last && last->addr + last->size == addr) {
        last->size += count << PAGE_SHIFT;
        return;
    }
    if (g->count == PORT_RUNS_MAX)
        frame_gone_end(g);
    g->runs[g->count++] = (struct sh_pages){addr, count << PAGE_SHIFT};
}

void frame_gone_end(struct frame_gone *g)
{
    if (g->count)
        port_pages_remove(g->runs, g->count);
    g->count = 0;
}

uint64_t frame_next(uint64_t addr, uint64_t end)
{
    while (addr < end) {
        uint64_t index;
        const struct frames *f = radix_next(&all, addr >> 21, &index);
        if (!f)
            return end;
        if (index != addr >> 21)
            addr = index << 21;
        for (; addr < end && addr >> 21 == index; addr += PAGE_SIZE) {
            if (f->rights[page_slot(addr)])
                return addr;
        }
    }
    return end;
}

/* A page that all have in common, or a file's own, is where it should be; another is its owner's.
 */
static bool is_alike(const struct frames *f, unsigned n, uint8_t state, uint16_t id)
{
    const uint8_t rights = PORT_R | PORT_W | PORT_X;
    bool own = (state & (PAGE_COMMON | PAGE_OBJECT)) || f->owner[n] == id;
    return (state & PAGE_THERE) && own && !((state ^ f->rights[n]) & rights);
}

uint64_t frame_next_unlike(uint64_t addr, uint64_t end, const struct leaf *leaf, uint16_t id)
{
    const struct frames *f = frames_of(addr);
    for (; f && addr < end; addr += PAGE_SIZE) {
        unsigned n = page_slot(addr);
        if (f->rights[n] && !is_alike(f, n, leaf ? leaf->page[n] : 0, id))
            return addr;
    }
    return end;
}

void frame_forget(uint64_t start, uint64_t end)
{
    uint64_t index;
    struct frames *f;
    /* Where places do not begin at a multiple of 2 MiB what lies across is another's too. */
    for (uint64_t at = (start + (1ul << 21) - 1) >> 21;
         (f = radix_next(&all, at, &index)) && index < end >> 21; at = index + 1) {
        radix_remove(&all, index);
        los_free(f);
        last_part.frames = NULL;
    }
}
