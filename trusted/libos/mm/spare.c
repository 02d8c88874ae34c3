// SPDX-License-Identifier: Apache-2.0
// What a program leaves for the next one that runs the same file: its addresses and the frames
// there, so that they need not be given back and asked for again.
//
// A frame that is left over is nobody's. Before an area comes to stand there (residence_settle) its
// content is set right: what is read-only and equal is taken as it is, all else is written anew. So
// the next program finds nothing of the last one. A row of programs at the same addresses is short,
// that they are not guessed one by one.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/mm/sites.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/time/time.h"

#define SPARES 4u
#define PAGES_MAX 256u /* of each */
#define RUNS_MAX 16u
#define KEEP_NS 2000000000ul
#define RIGHTS (PORT_R | PORT_W | PORT_X)

static struct spare {
    struct family *family; /* without members; NULL: none */
    uint64_t program, until, code_start, heap, heap_end;
    uint32_t uid, runs;
    struct slab slab;
} spares[SPARES];

/* Files of the image by their number, 0: not kept. Who gets rights by a program shares its
 * addresses with nobody. */
static uint64_t program_of(const struct inode *i)
{
    bool pristine = i->fs == FS_ROOT && i->has_lower && !i->written;
    return pristine && !(i->mode & (S_ISUID | S_ISGID)) ? i->lower.nid : 0;
}

static void drop_spare(struct spare *e)
{
    leftovers_end(e->family);
    family_forget(e->family);
    e->family = NULL;
}

bool spare_drop(const struct family *f)
{
    bool any = false;
    for (unsigned n = 0; n < SPARES; n++) {
        if (!spares[n].family || (f && spares[n].family != f))
            continue;
        drop_spare(&spares[n]);
        any = true;
    }
    return any;
}

void spare_tidy(void)
{
    for (unsigned n = 0; n < SPARES; n++) {
        if (spares[n].family && clock_now() >= spares[n].until)
            drop_spare(&spares[n]);
    }
}

void spare_take(const struct inode *i)
{
    struct space *s = space();
    s->program = program_of(i);
    s->uid = current()->euid;
    for (unsigned n = 0; s->program && !s->count && s->family->count == 1 && n < SPARES; n++) {
        struct spare *e = &spares[n];
        if (!e->family || e->program != s->program || e->uid != s->uid)
            continue;
        family_change(s, e->family);
        e->family = NULL;
        s->family->leftovers = true;
        s->slabs[0] = e->slab;
        s->code_start = e->code_start;
        s->code_end = s->slabs[0].low;
        s->heap = place_is_free(e->heap, e->heap + 1) ? e->heap : 0;
        s->heap_end = e->heap_end;
        s->runs = e->runs;
        return;
    }
}

void spare_note(uint64_t stack_low, bool fixed)
{
    struct space *s = space();
    size_t first = area_index(s->code_start);
    s->stack_low = stack_low;
    s->code_low = first < s->count ? MAX(s->areas[first]->start, s->code_start) : s->code_end;
    if (fixed || s->slab_count > 1)
        s->program = 0;
    spare_grown(s->brk);
}

void spare_grown(uint64_t heap_end)
{
    struct space *s = space();
    if (s->family->leftovers && heap_end >= s->heap_end)
        leftovers_end(s->family);
}

/* What exec mapped, and the heap: where the next one has the same. */
static bool is_kept(const struct space *s, const struct area *a, uint64_t addr, uint8_t state)
{
    bool place = (addr >= s->code_low && addr < s->code_end) ||
                 (addr >= s->stack_low && addr < s->slabs[0].high) ||
                 (addr >= s->brk_start && addr < s->brk);
    return place && !a->shared && !(state & PAGE_OBJECT) && (state & RIGHTS) &&
           (!(state & PORT_X) || (state & PAGE_CLEAN) || sites_are_in(a));
}

/* What only the program knows goes. False: the page is not to stay. */
static bool wipe_page(const struct area *a, uint64_t at, uint8_t state)
{
    if ((state & PAGE_CLEAN) || sites_are_in(a))
        return true;
    if (frame_protect(at, 1, PORT_R | PORT_W))
        return false;
    memset((void *)at, 0, PAGE_SIZE);
    frame_own(at, 1, OWNER_NONE);
    return true;
}

static void leave_pages(struct space *s)
{
    uint64_t count = 0;
    for (size_t n = 0; n < s->count; n++) {
        const struct area *a = s->areas[n];
        for (uint64_t at = a->start; (at = page_next_leaf(s, at, a->end)) < a->end;
             at += PAGE_SIZE) {
            uint8_t state = page_state_of(s, at);
            if (!state || !is_kept(s, a, at, state) || ++count > PAGES_MAX)
                continue;
            frame_own(at, 1, OWNER_COMMON);
            if (wipe_page(a, at, state))
                page_state_set(s, at, 1, 0); /* cannot fail: the leaf is there */
        }
    }
}

bool spare_keep(struct space *s)
{
    struct spare *e = spares;
    if (!s->program || s->family->count > 1 || s->family->resident != s || s->slab_count > 1 ||
        s->runs + 1 >= RUNS_MAX || memory_is_half_full())
        return false;
    for (unsigned n = 1; n < SPARES && e->family; n++) {
        if (!spares[n].family || spares[n].until < e->until)
            e = &spares[n];
    }
    if (e->family)
        drop_spare(e);
    leave_pages(s);
    *e = (struct spare){.family = s->family,
                        .program = s->program,
                        .until = clock_now() + KEEP_NS,
                        .code_start = s->code_start,
                        .heap = s->brk_start,
                        .heap_end = s->brk,
                        .uid = s->uid,
                        .runs = s->runs + 1,
                        .slab = s->slabs[0]};
    s->family->leftovers = true;
    return true;
}
