// SPDX-License-Identifier: Apache-2.0
// What earlier runs used of the image's files comes together, before each page costs a fault of its
// own. The host remembers it (struct sh_uses). It learns nothing by that, since it adds each page;
// and its list decides nothing but which pages of a mapped file come early.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"

/* The first one known from `page` on, if they ascend. */
static uint32_t find_known(uint64_t page)
{
    uint32_t low = 0, high = port_known_count();
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (port_known_use(mid) < page)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct expected {
    struct area *area;
    struct sh_pages runs[PORT_RUNS_MAX];
    unsigned count;
};

static void bring_expected(struct expected *e)
{
    if (e->count)
        port_pages_expect(e->runs, e->count);
    for (unsigned i = 0; i < e->count; i++) {
        if (page_bring(e->area, e->runs[i].addr, e->runs[i].size >> PAGE_SHIFT))
            break; /* whoever needs one asks for it */
    }
    e->count = 0;
}

static void expect_page(struct expected *e, uint64_t addr)
{
    struct sh_pages *last = e->count ? &e->runs[e->count - 1] : NULL;
    if (last && last->addr + last->size == addr) {
        last->size += PAGE_SIZE;
        return;
    }
    if (e->count == PORT_RUNS_MAX)
        bring_expected(e);
    e->runs[e->count++] = (struct sh_pages){addr, PAGE_SIZE};
}

void uses_bring(struct area *a, uint64_t start, uint64_t end)
{
    struct expected e = {.area = a};
    uint64_t first = page_use(a, start), page, count = (end - start) >> PAGE_SHIFT;
    /* Memory that a program may miss is not for guesses of the host's. */
    if (!first || memory_is_half_full())
        return;
    for (uint32_t n = find_known(first); (page = port_known_use(n)) - first < count; n++) {
        uint64_t addr = start + ((page - first) << PAGE_SHIFT);
        if (!page_state(addr))
            expect_page(&e, addr);
    }
    bring_expected(&e);
}
