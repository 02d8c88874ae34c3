// SPDX-License-Identifier: Apache-2.0
// Spaces: where they lie, how they are copied, shared and given up.
//
// Addresses are given by the GiB, and belong to a family until its last member is gone. A new space
// gets a run of them at a random place: mappings of files in the first GiB (rel32 reaches across
// it), the heap behind, others from the top down.
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/mm/sites.h"
#include "trusted/libos/proc/proc.h"

#define GIB (1ul << 30)
#define TRIES 64

static struct radix places; /* by GiB of the user's addresses: struct family */
static uint16_t last_id;

/* ---- addresses ---- */

static uint64_t random_below(uint64_t limit)
{
    uint64_t v;
    if (port_random(&v, sizeof(v)))
        stop("no entropy from the processor");
    return v % limit;
}

/* Places begin at multiples of 1 GiB; below user_start there is nothing. */
static uint64_t place_start(uint64_t index)
{
    return (port_info.user_start & ~(GIB - 1)) + index * GIB;
}

static uint64_t gib_of(uint64_t addr)
{
    return (addr - place_start(0)) / GIB;
}

static uint64_t gib_count(void)
{
    return (port_info.user_end - place_start(0)) / GIB;
}

static bool free_for(const struct family *f, uint64_t first, uint64_t last)
{
    uint64_t index;
    for (uint64_t i = first; i <= last; i = index + 1) {
        const struct family *owner = radix_next(&places, i, &index);
        if (!owner || index > last)
            return true;
        if (owner != f)
            return false;
    }
    return true;
}

bool place_is_free(uint64_t start, uint64_t end)
{
    return free_for(space()->family, gib_of(start), gib_of(end - 1));
}

bool place_is_own(uint64_t start, uint64_t size)
{
    if (start < port_info.user_start || start >= port_info.user_end ||
        size > port_info.user_end - start)
        return false;
    for (uint64_t i = gib_of(start); i <= gib_of(start + size - 1); i++) {
        if (radix_get(&places, i) != space()->family)
            return false;
    }
    return true;
}

static void become_one(struct family *into, struct family *from)
{
    uint64_t index;
    leftovers_end(into);
    leftovers_end(from);
    for (uint64_t i = 0; radix_next(&places, i, &index); i = index + 1) {
        void **slot = radix_slot(&places, index);
        *slot = *slot == from ? into : *slot;
    }
    list_each_safe(struct space, m, &from->members, member) {
        list_remove(&m->member);
        list_append(&into->members, &m->member);
        m->family = into;
        into->count++;
    }
    list_splice(&into->waiting, &from->waiting);
    los_free(from);
}

int place_take(uint64_t start, uint64_t end, bool join)
{
    struct family *f = space()->family;
    uint64_t last = gib_of(end - 1);
    for (uint64_t i = gib_of(start); i <= last; i++) {
        void **slot = radix_slot(&places, i);
        if (!slot)
            return -ENOMEM;
        struct family *other = *slot;
        if (other && !other->count && spare_drop(other)) {
            i--;
            continue;
        }
        if (other && other != f && !join)
            return -EEXIST;
        if (other && other != f) {
            if (other->holder || f->holder)
                return -EAGAIN;
            become_one(f, other);
            residence_hold(space());
            residence_release();
            i = gib_of(start) - 1; /* others may have come meanwhile */
            continue;
        }
        *slot = f;
    }
    return 0;
}

/* `count` GiB in a row that nobody has, at a random place; their first, or -1. */
static int64_t find_run(uint64_t count)
{
    uint64_t total = gib_count();
    if (count > total - 1)
        return -1;
    uint64_t room = total - count; /* the first is for programs that are not position independent */
    for (int i = 0; room && i < TRIES; i++) {
        uint64_t first = 1 + random_below(room);
        if (free_for(NULL, first, first + count - 1))
            return (int64_t)first;
    }
    for (uint64_t first = 1; first + count <= total; first++) {
        if (free_for(NULL, first, first + count - 1))
            return (int64_t)first;
    }
    return -1;
}

/* What a space begins with: an 8192th of all addresses, 2 to 8 GiB. */
static uint64_t slab_gibs(void)
{
    return MIN(MAX(gib_count() / 8192, 2), 8);
}

static bool take_slab(struct space *s, uint64_t gibs)
{
    int64_t first = find_run(gibs);
    if (first < 0)
        return false;
    for (uint64_t i = 0; i < gibs; i++) {
        void **slot = radix_slot(&places, (uint64_t)first + i);
        if (!slot)
            return false;
        *slot = s->family;
    }
    uint64_t low = place_start((uint64_t)first);
    s->slabs[s->slab_count++] = (struct slab){low, low + gibs * GIB};
    return true;
}

bool place_more(uint64_t size)
{
    struct space *s = space();
    uint64_t gibs = size / GIB + 1;
    if (s->slab_count == SLABS_MAX)
        return false;
    return take_slab(s, MAX(gibs, slab_gibs() << s->slab_count)) || take_slab(s, gibs);
}

/* ---- spaces ---- */

static bool id_in_use(uint16_t id)
{
    list_each(const struct process, p, &processes, node) {
        if (p->space && p->space->id == id)
            return true;
    }
    return false;
}

static uint16_t next_id(void)
{
    do
        last_id = last_id + 1u < OWNER_MAX ? last_id + 1 : 1;
    while (id_in_use(last_id));
    return last_id;
}

static struct space *make_blank(struct family *f)
{
    struct space *s = los_alloc(sizeof(*s));
    if (!s)
        return NULL;
    s->refs = 1;
    s->id = next_id();
    s->family = f;
    list_append(&f->members, &s->member);
    f->count++;
    return s;
}

void family_forget(struct family *f)
{
    uint64_t index;
    for (uint64_t i = 0; radix_next(&places, i, &index); i = index + 1) {
        if (radix_get(&places, index) != f)
            continue;
        radix_remove(&places, index);
        frame_forget(place_start(index), place_start(index + 1));
    }
    los_free(f);
}

void leftovers_end(struct family *f)
{
    static struct frame_gone gone;
    const struct space *s = f->count ? container_of(f->members.next, struct space, member) : NULL;
    uint64_t index;
    void *owner;
    for (uint64_t i = 0; f->leftovers && (owner = radix_next(&places, i, &index)); i = index + 1) {
        uint64_t at = place_start(index), end = at + GIB;
        for (; owner == f && (at = frame_next(at, end)) < end; at += PAGE_SIZE) {
            if (!s || !page_state_of(s, at))
                frame_gone_add(&gone, at, 1);
        }
    }
    frame_gone_end(&gone);
    f->leftovers = false;
}

static bool uses_place(const struct space *s, uint64_t low)
{
    if (s->code_start < low + GIB && s->code_end > low)
        return true;
    for (size_t n = 0; n < s->slab_count; n++) {
        if (s->slabs[n].low < low + GIB && s->slabs[n].high > low)
            return true;
    }
    for (size_t n = 0; n < s->count; n++) {
        if (s->areas[n]->start < low + GIB && s->areas[n]->end > low)
            return true;
    }
    return false;
}

static bool place_is_used(const struct family *f, uint64_t low)
{
    list_each(struct space, m, &f->members, member) {
        if (uses_place(m, low))
            return true;
    }
    return false;
}

/* A family may outlive many: the places that only s had are anybody's again. Beyond a slab's end
 * there may be more of it (space_new). */
static void give_places_back(const struct space *s, struct family *f)
{
    for (size_t n = 0; n < s->slab_count; n++) {
        uint64_t low = n ? s->slabs[n].low : s->code_start, size = s->slabs[n].high - low;
        uint64_t last = MIN(gib_of(s->slabs[n].high + size / 4), gib_count() - 1);
        for (uint64_t i = gib_of(low); i <= last; i++) {
            if (radix_get(&places, i) != f || place_is_used(f, place_start(i)))
                continue;
            radix_remove(&places, i);
            frame_forget(place_start(i), place_start(i + 1));
        }
    }
}

static void leave_family(struct space *s, bool stays)
{
    struct family *f = s->family;
    list_remove(&s->member);
    if (f->count > 1)
        give_places_back(s, f);
    if (f->resident == s)
        f->resident = NULL;
    if (--f->count == 0) {
        if (!stays)
            family_forget(f);
    } else if (!list_empty(&f->waiting)) {
        residence_wake(f);
    }
}

void family_change(struct space *s, struct family *f)
{
    leave_family(s, false);
    s->family = f;
    f->resident = s;
    f->count = 1;
    list_append(&f->members, &s->member);
}

struct space *space_new(void)
{
    struct family *f = los_alloc(sizeof(*f));
    if (!f)
        return NULL;
    list_init(&f->members);
    list_init(&f->waiting);
    struct space *s = make_blank(f);
    if (!s) {
        los_free(f);
        return NULL;
    }
    f->resident = s;
    if (!take_slab(s, slab_gibs())) {
        leave_family(s, false);
        los_free(s);
        return NULL;
    }
    s->code_start = s->slabs[0].low;
    s->code_end = s->code_start + GIB;
    /* Where the first mapping comes is chance within the run. */
    s->slabs[0].low = s->code_end;
    s->slabs[0].high -= random_below((s->slabs[0].high - s->slabs[0].low) / 8) & ~(PAGE_SIZE - 1);
    return s;
}

/* Areas go page by page where others may have the same addresses, else in runs. */
static void clear_space(struct space *s)
{
    static struct frame_gone gone;
    for (size_t n = 0; n < s->count; n++) {
        struct area *a = s->areas[n];
        for (uint64_t at = a->start; (at = page_next_leaf(s, at, a->end)) < a->end;
             at += PAGE_SIZE) {
            uint8_t state = page_state_of(s, at);
            if (state & PAGE_OBJECT) {
                object_unmap(a, at, true);
            } else if (state && s->family->count > 1) {
                page_drop(s, at, &gone);
            } else if (state) {
                uint64_t from = at;
                while (at + PAGE_SIZE < a->end && (page_state_of(s, at + PAGE_SIZE) &
                                                   (PAGE_THERE | PAGE_OBJECT)) == PAGE_THERE)
                    at += PAGE_SIZE;
                frame_gone_add(&gone, from, ((at - from) >> PAGE_SHIFT) + 1);
            }
        }
    }
    frame_gone_end(&gone);
    page_leaves_drop(s);
    area_drop_all(s);
}

void space_put(struct space *s)
{
    if (--s->refs)
        return;
    bool kept = spare_keep(s);
    clear_space(s);
    sites_free(s);
    if (!kept)
        leftovers_end(s->family);
    leave_family(s, kept);
    los_free(s);
}

/* ---- fork ---- */

/* Its content is not the child's, which has zeros there, or nothing (a NULL) and may not touch it.
 */
static int keep_page(struct space *parent, struct space *child, uint64_t addr, uint8_t state,
                     const struct area *a)
{
    static const uint8_t zeros[PAGE_SIZE];
    void **aside = page_aside(parent, addr);
    int prot = state & (PORT_R | PORT_W | PORT_X), r = aside ? 0 : -ENOMEM;
    if (!r && !prot)
        r = frame_protect(addr, 1, PORT_R);
    if (r || !(*aside = page_copy((const void *)addr)))
        return r ? r : -ENOMEM;
    if (!a) {
        frame_own(addr, 1, OWNER_NONE);
        return frame_protect(addr, 1, 0);
    }
    r = frame_put(addr, zeros, prot, child->id);
    return r ? r : page_state_set(child, addr, 1, state);
}

/* The content of parent's page goes aside for it; the child has the frame. */
static int split_page(struct space *parent, struct space *child, uint64_t addr, uint8_t state)
{
    const struct area *a = area_find_in(child, addr);
    if (state & PAGE_OBJECT)
        return a ? page_state_set(child, addr, 1, state) : 0;
    if (!a || a->wiped_by_fork)
        return keep_page(parent, child, addr, state, a);
    if (!(state & PORT_W)) {
        frame_own(addr, 1, OWNER_COMMON);
        page_state_set(parent, addr, 1, state | PAGE_COMMON);
        return page_state_set(child, addr, 1, state | PAGE_COMMON);
    }
    void **aside = page_aside(parent, addr);
    if (!aside || !(*aside = page_copy((const void *)addr)))
        return -ENOMEM;
    frame_own(addr, 1, child->id);
    return page_state_set(child, addr, 1, state);
}

/* Whoever forks often forks again: what lies aside meanwhile is kept so long, then goes by and by.
 */
#define KEEP_PAGES 4096u
#define KEEP_NS 2000000000ul
static uint64_t keep_until; /* 0: nothing is kept. Atomic */

void space_tidy(void)
{
    uint64_t until = __atomic_load_n(&keep_until, __ATOMIC_RELAXED);
    if (!los_is_shared())
        spare_tidy();
    if (until && clock_now() >= until && !pages_keep(0))
        __atomic_store_n(&keep_until, 0, __ATOMIC_RELAXED);
}

static int split_pages(struct space *parent, struct space *child)
{
    uint64_t aside = 0;
    uint64_t index;
    struct leaf *leaf;
    for (uint64_t i = 0; (leaf = radix_next(&parent->leaves, i, &index)); i = index + 1) {
        for (unsigned n = 0; n < 512; n++) {
            uint8_t state = leaf->page[n];
            if (!state)
                continue;
            int r = split_page(parent, child, (index << 21) + ((uint64_t)n << PAGE_SHIFT), state);
            if (r)
                return r;
            aside += (state & (PORT_W | PAGE_OBJECT)) == PORT_W;
        }
    }
    if (aside > KEEP_PAGES) {
        pages_keep(aside);
        __atomic_store_n(&keep_until, clock_now() + KEEP_NS, __ATOMIC_RELAXED);
    }
    return 0;
}

/* What a child does not get is the parent's own, before it goes aside. */
static int unshare_unforked(struct space *s)
{
    int r = 0;
    for (size_t i = 0; !r && i < s->count; i++) {
        const struct area *a = s->areas[i];
        uint64_t at = a->not_forked || a->wiped_by_fork ? a->start : a->end;
        for (; !r && (at = page_next_leaf(s, at, a->end)) < a->end; at += PAGE_SIZE) {
            if (page_state_of(s, at) & PAGE_COMMON)
                r = page_unshare(s, at);
        }
    }
    return r;
}

struct space *space_fork(void)
{
    leftovers_end(space()->family);
    struct space *parent = space(), *child = make_blank(parent->family);
    if (!child)
        return NULL;
    int r = residence_hold(child);
    child->brk_start = parent->brk_start;
    child->brk = parent->brk;
    child->brk_limit = parent->brk_limit;
    child->code_start = parent->code_start;
    child->code_end = parent->code_end;
    child->barriers = parent->barriers;
    child->slabs[child->slab_count++] = parent->slabs[parent->slab_count - 1];
    if (!r)
        r = unshare_unforked(parent);
    if (!r)
        r = area_copy_all(child, parent);
    if (!r)
        r = sites_copy(child, parent);
    if (!r)
        r = split_pages(parent, child);
    /* Its own addresses for what it maps from now on: what both had at one place would be swapped.
     */
    take_slab(child, slab_gibs());
    residence_release();
    if (!r)
        return child;
    space_put(child);
    residence_take();
    return NULL;
}
