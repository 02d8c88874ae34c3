// SPDX-License-Identifier: Apache-2.0
// The memory of any space, read and written by the LibOS wherever each page lies now: in its frame,
// aside, or still in its file. The big lock is held exclusively and not given up meanwhile.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/mm/sites.h"

/* Is what stands at addr now what s has there? */
static bool in_frame(const struct space *s, uint64_t addr, uint8_t state)
{
    return frame_rights(addr) >= 0 && ((state & PAGE_COMMON) || frame_owner(addr) == s->id);
}

static void **aside_of(const struct space *s, uint64_t addr)
{
    struct leaf *leaf = page_leaf(s, addr);
    return leaf && leaf->aside ? &leaf->aside->page[page_slot(addr)] : NULL;
}

/* The whole page into `to`. */
static int read_page(const struct space *s, uint64_t addr, void *to)
{
    const struct area *a = area_find_in(s, addr);
    uint8_t state = page_state_of(s, addr);
    if (!a || !a->prot)
        return -EFAULT;
    if (a->file && ((state & PAGE_OBJECT) || !state))
        return file_read_page(a->file, a->offset + (addr - a->start), to) ? -EFAULT : 0;
    void **aside = aside_of(s, addr);
    if (in_frame(s, addr, state)) {
        bool closed = frame_rights(addr) == 0; /* to who is resident now */
        if (closed && frame_protect(addr, 1, PORT_R))
            return -EFAULT;
        memcpy(to, (const void *)addr, PAGE_SIZE);
        if (a->prot & PORT_X)
            sites_restore(a, addr, to);
        return closed && frame_protect(addr, 1, 0) ? -EFAULT : 0;
    }
    if (aside && *aside)
        memcpy(to, *aside, PAGE_SIZE);
    else
        memset(to, 0, PAGE_SIZE);
    return 0;
}

/* Makes s's own page at addr its own, with `right`, in its frame: s is resident. */
static int own_frame(struct space *s, struct area *a, uint64_t addr, uint8_t right)
{
    struct space *mine = current()->space;
    current()->space = s;
    int r = page_state(addr) ? 0 : page_populate(a, addr, 1);
    uint8_t bad = PAGE_COMMON | PAGE_CLEAN;
    if (!r && (!(page_state(addr) & right) || (!right && (page_state(addr) & bad))))
        r = page_own(a, addr);
    if (!r && right && !(page_state(addr) & right))
        r = -EFAULT;
    current()->space = mine;
    return r;
}

/* The same page, changed, where s is not resident: in its frame, aside, or in a new frame, which
 * goes aside if who is resident has an area there. */
static int write_away(struct space *s, const struct area *a, uint64_t to, const void *from,
                      size_t n)
{
    uint64_t addr = page_down(to);
    uint8_t state = (uint8_t)(PAGE_THERE | page_rights(a->prot)), *page = page_alloc();
    int r = page ? read_page(s, addr, page) : -ENOMEM;
    bool common = page_state_of(s, addr) & PAGE_COMMON, in_its_frame = in_frame(s, addr, 0);
    if (!r)
        r = page_state_set(s, addr, 1, state);
    void **slot = r ? NULL : page_aside(s, addr);
    if (!slot) {
        r = r ? r : -ENOMEM;
        if (page)
            page_free(page);
        return r;
    }
    memcpy(page + (to - addr), from, n);
    if (in_its_frame || frame_rights(addr) < 0) {
        r = frame_put(addr, page, state & (PORT_R | PORT_W | PORT_X), s->id);
        page_free(page);
        return r || !s->family->resident
                   ? r
                   : residence_settle(s->family->resident, addr, addr + PAGE_SIZE);
    }
    if (common)
        frame_part(addr);
    page_aside_drop(s, addr);
    *slot = page;
    page_leaf(s, addr)->settled = 0; /* it is to be brought in */
    return 0;
}

/* The same where s may not write: s is resident. */
static int write_anew(struct space *s, struct area *a, uint64_t to, const void *from, size_t n)
{
    uint64_t addr = page_down(to);
    uint8_t *page = page_alloc();
    int r = page ? own_frame(s, a, addr, 0) : -ENOMEM;
    if (!r)
        r = read_page(s, addr, page);
    if (!r) {
        memcpy(page + (to - addr), from, n);
        r = frame_put(addr, page, page_rights(a->prot), s->id);
    }
    if (page)
        page_free(page);
    return r;
}

static int write_part(struct space *s, uint64_t to, const void *from, size_t n, bool force)
{
    struct area *a = area_find_in(s, to);
    if (!a || (!(a->prot & PORT_W) && (!force || !a->prot || a->shared)))
        return -EFAULT;
    if (a->shared) {
        uint64_t offset = a->offset + (to - a->start);
        struct io_vec v;
        struct io io = io_one(&v, (uint64_t)from, n, true);
        return offset + n <= page_up(a->file->inode->size) &&
                       data_write(a->file->inode, &io, offset) == (long)n
                   ? 0
                   : -EFAULT;
    }
    if (s->family->resident != s)
        return write_away(s, a, to, from, n);
    if (!(a->prot & PORT_W))
        return write_anew(s, a, to, from, n);
    int r = own_frame(s, a, page_down(to), PORT_W);
    if (!r)
        memcpy((void *)to, from, n);
    return r;
}

int space_read(struct space *s, void *to, uint64_t from, uint64_t size)
{
    uint8_t *page = page_alloc();
    int r = page ? 0 : -ENOMEM;
    while (!r && size) {
        uint64_t skip = from & (PAGE_SIZE - 1), n = MIN(size, PAGE_SIZE - skip);
        r = read_page(s, from - skip, page);
        if (!r)
            memcpy(to, page + skip, n);
        to = (uint8_t *)to + n;
        from += n;
        size -= n;
    }
    if (page)
        page_free(page);
    return r;
}

static int write_all(struct space *s, uint64_t to, const void *from, uint64_t size, bool force)
{
    int r = 0;
    while (!r && size) {
        uint64_t n = MIN(size, PAGE_SIZE - (to & (PAGE_SIZE - 1)));
        r = write_part(s, to, from, n, force);
        from = (const uint8_t *)from + n;
        to += n;
        size -= n;
    }
    return r;
}

int space_write(struct space *s, uint64_t to, const void *from, uint64_t size)
{
    return write_all(s, to, from, size, false);
}

int space_poke(struct space *s, uint64_t to, const void *from, uint64_t size)
{
    return write_all(s, to, from, size, true);
}
