// SPDX-License-Identifier: Apache-2.0
// What earlier runs used of the image's files comes together, before each page costs a fault of its
// own. The host remembers it (struct sh_uses). It learns nothing by that, since it adds each page;
// and its list decides nothing but which pages of a mapped file come early.
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
    struct sh_pages runs[PORT_RUNS_MAX];
    unsigned count;
};

static void bring_expected(struct expected *e)
{
    if (e->count)
        port_pages_expect(e->runs, e->count);
    for (unsigned i = 0; i < e->count; i++) {
        struct area *a = area_find(e->runs[i].addr);
        if (!a || page_bring(a, e->runs[i].addr, e->runs[i].size >> PAGE_SHIFT))
            break; /* whoever needs one asks for it */
    }
    e->count = 0;
}

/* A run is one area's. */
static void expect_pages(struct expected *e, const struct area *a, uint64_t addr, uint64_t end)
{
    struct sh_pages *last = e->count ? &e->runs[e->count - 1] : NULL;
    if (last && last->addr + last->size == addr && addr != a->start) {
        last->size += end - addr;
        return;
    }
    if (e->count == PORT_RUNS_MAX)
        bring_expected(e);
    e->runs[e->count++] = (struct sh_pages){addr, end - addr};
}

static void expect_known(struct expected *e, const struct area *a, uint64_t start, uint64_t end)
{
    uint64_t first = page_use(a, start), page, count = (end - start) >> PAGE_SHIFT;
    for (uint32_t n = find_known(first); first && (page = port_known_use(n)) - first < count; n++) {
        uint64_t addr = start + ((page - first) << PAGE_SHIFT);
        if (!page_state(addr))
            expect_pages(e, a, addr, addr + PAGE_SIZE);
    }
}

void uses_bring(struct area *a, uint64_t start, uint64_t end)
{
    struct expected e = {0};
    /* Memory that a program may miss is not for guesses of the host's. */
    if (!memory_is_half_full())
        expect_known(&e, a, start, end);
    bring_expected(&e);
}

/* Of zeroed data, and of a stack from its end down: what first faults would bring. */
#define ZEROS_SIZE (4 * PAGE_SIZE)
#define STACK_SIZE (3 * PAGE_SIZE)

static void expect_area(struct expected *e, const struct area *a)
{
    bool stack = a->name;
    uint64_t start = stack ? a->end - STACK_SIZE : a->start;
    if (a->file && !area_is_data(a))
        expect_known(e, a, start, a->end);
    else if ((a->prot & PORT_W) && !page_state(start))
        expect_pages(e, a, start, a->file ? a->end : MIN(a->end, start + ZEROS_SIZE));
}

void uses_bring_program(void)
{
    const struct space *s = space();
    struct expected e = {0};
    if (s->family->count > 1 || memory_is_half_full())
        return;
    for (size_t i = 0; i < s->count; i++)
        expect_area(&e, s->areas[i]);
    bring_expected(&e);
}
