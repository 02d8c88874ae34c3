// SPDX-License-Identifier: Apache-2.0
// Patched call sites: see sites.h.
//
// Slots are never given back while the program runs: copies of patched text may live on, and jump
// there. A file that comes back to the same place finds its slots again.
#include "trusted/libos/mm/sites.h"

#include "lib/bytes.h"
#include "lib/sites.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/image.h"

#define SLOT 32u      /* bytes of a trampoline */
#define CALL_SIZE 15u /* of lea and jmp in it */
#define REACH (1ul << 30)
#define PLACES_MAX 1024u
#define SLOT_PAGES_MAX 8192u /* of all places */

/* A file's list, read once; count 0: it has none. */
struct site_list {
    uint32_t count;
    bool moves; /* some are executed elsewhere */
    struct sh_site *sites;
};

/* A file mapped so that its byte 0 would stand at `base`. */
struct site_place {
    uint64_t nid;
    uint64_t base;
    const struct site_list *list;
    uint64_t slots; /* address of slot 0; 0: out of reach, only `cpuid` is, to `ud2` */
    bool filled[SH_SITES_OF_FILE_MAX * SLOT / PAGE_SIZE];
};

static struct sh_sites sites;
static struct radix lists; /* by nid */

/* Of a space. */
struct site_set {
    struct site_place *places[PLACES_MAX];
    uint32_t place_count, slot_pages;
};
static const char slots_name[] = "[sites]";
static const uint8_t ud2[] = {0x0f, 0x0b};

static int read_sites(void *arg, uint64_t offset, void *buf, size_t size)
{
    return image_sites_read(offset, buf, size);
}

static void free_list(void *item)
{
    struct site_list *l = item;
    los_free(l->sites);
    los_free(l);
}

int sites_open(uint64_t size, const uint8_t root_hash[32])
{
    radix_clear(&lists, 0, free_list);
    int r = image_sites_open(size, root_hash);
    return r ? r : sh_sites_open(&sites, size, read_sites, NULL);
}

/* ---- what is known of a file ---- */

/* A malformed list counts as empty: calls then are exceptions. Wrong bytes end the run. */
static int load_list(struct site_list *l, uint64_t nid)
{
    uint32_t first, count;
    int r = sh_sites_find(&sites, nid, &first, &count);
    if (!r) {
        l->sites = los_alloc(count * sizeof(*l->sites));
        r = l->sites ? sh_sites_get(&sites, first, count, l->sites) : -ENOMEM;
    }
    if (r == -EIO)
        stop("sites.bin of the image is not what was built");
    if (r) {
        los_free(l->sites);
        l->sites = NULL;
        return r == -ENOMEM ? r : 0;
    }
    l->count = count;
    for (uint32_t i = 0; i < count; i++)
        l->moves = l->moves || sh_site_moves(&l->sites[i]);
    return 0;
}

static const struct site_list *list_of(uint64_t nid)
{
    struct site_list *l = radix_get(&lists, nid);
    void **slot = l ? NULL : radix_slot(&lists, nid);
    if (l || !slot || !(l = los_alloc(sizeof(*l))))
        return l;
    if (load_list(l, nid)) {
        los_free(l);
        return NULL;
    }
    *slot = l;
    return l;
}

/* Only what was measured is patched: not a file that was written to. */
static const struct inode *pristine_inode(const struct area *a)
{
    if (!sites.file_count || !a->file || a->shared || a->file->ops != &regular_ops)
        return NULL;
    const struct inode *i = a->file->inode;
    bool same =
        i && i->fs == FS_ROOT && i->has_lower && !i->written && i->lower_size == i->lower.size;
    return same ? i : NULL;
}

/* ---- where it is mapped ---- */

static struct site_place *place_find(uint64_t nid, uint64_t base)
{
    const struct site_set *set = space()->sites;
    for (uint32_t n = 0; set && n < set->place_count; n++) {
        if (set->places[n]->nid == nid && set->places[n]->base == base)
            return set->places[n];
    }
    return NULL;
}

bool sites_are_in(const struct area *a)
{
    return a->name == slots_name && !(a->prot & PORT_W);
}

/* Below the file, so that a heap behind a program can grow; else above, a little away. */
static uint64_t find_room(const struct area *a, uint64_t size)
{
    uint64_t low = MAX(port_info.user_start, a->start - MIN(a->start, REACH));
    uint64_t at = a->start > low ? area_find_gap(size, low, a->start) : 0;
    uint64_t high = MIN(port_info.user_end, a->end + REACH);
    return at || a->end - a->start > REACH ? at : area_find_gap(size, a->end, high);
}

static uint64_t new_slots(struct site_set *set, const struct area *a, uint32_t count)
{
    uint64_t size = page_up((uint64_t)count * SLOT), at = find_room(a, size);
    struct area slots = {
        .start = at, .end = at + size, .prot = PORT_R | PORT_X, .name = slots_name};
    if (!at || set->slot_pages + (size >> PAGE_SHIFT) > SLOT_PAGES_MAX ||
        place_take(at, at + size, false) || area_add(slots))
        return 0;
    set->slot_pages += (uint32_t)(size >> PAGE_SHIFT);
    return at;
}

static struct site_set *set_of(struct space *s)
{
    if (!s->sites)
        s->sites = los_alloc(sizeof(*s->sites));
    return s->sites;
}

/* The first site that ends behind this offset. */
static uint32_t site_index(const struct site_list *l, uint64_t offset)
{
    uint32_t low = 0, high = l->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (l->sites[mid].offset + (uint64_t)l->sites[mid].size > offset)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* ---- slots ---- */

static uint64_t slot_at(const struct site_place *p, uint32_t index)
{
    return p->slots + (uint64_t)index * SLOT;
}

static unsigned trailing_size(const struct sh_site *s)
{
    return s->size - s->at - 2u;
}

static void put_jump(uint8_t *at, uint64_t from, uint64_t to)
{
    at[0] = 0xe9;
    sh_put_le32(at + 1, (uint32_t)(to - from - 5));
}

static void make_slot(const struct site_place *p, uint32_t index, uint8_t *out)
{
    const struct sh_site *s = &p->list->sites[index];
    uint64_t slot = slot_at(p, index), after = p->base + s->offset + s->size;
    uint64_t next = trailing_size(s) ? slot + s->at + CALL_SIZE : after;
    uint8_t *code = out + s->at;
    memset(out, 0xcc, SLOT);
    bool cpuid = s->kind == SH_SITE_CPUID;
    if (!sh_site_moves(s))
        return;
    memcpy(out, s->bytes, s->at);
    /* lea next(%rip), %rcx, which a call overwrites anyway, or %rdx, which cpuid does */
    memcpy(code, cpuid ? "\x48\x8d\x15" : "\x48\x8d\x0d", 3);
    sh_put_le32(code + 3, (uint32_t)(next - (slot + s->at + 7)));
    memcpy(code + 7, "\x65\xff\x24\x25", 4); /* jmp *%gs:fast */
    sh_put_le32(code + 11,
                cpuid ? offsetof(struct thread, fast_cpuid) : offsetof(struct thread, fast));
    if (!trailing_size(s))
        return;
    memcpy(code + CALL_SIZE, s->bytes + s->at + 2, trailing_size(s));
    put_jump(code + CALL_SIZE + trailing_size(s), next + trailing_size(s), after);
}

/* Fills the page of slots that holds this one. False: the site stays as it is. */
static bool slot_ready(struct site_place *p, uint32_t index)
{
    uint64_t at = page_down(slot_at(p, index));
    uint32_t number = (uint32_t)((at - p->slots) >> PAGE_SHIFT);
    const struct area *a = p->slots ? area_find(at) : NULL;
    if (!a || a->name != slots_name)
        return false;
    if (page_state(at))
        return p->filled[number];
    uint8_t *page = page_alloc();
    if (!page)
        return false;
    const uint32_t each = PAGE_SIZE / SLOT;
    for (uint32_t n = number * each; n < MIN((number + 1) * each, p->list->count); n++)
        make_slot(p, n, page + (n % each) * SLOT);
    p->filled[number] = !page_fill(at, page, PORT_R | PORT_X);
    page_free(page);
    return p->filled[number];
}

/* Where the program before left frames they hold slots from the start: nothing else settles them.
 */
static void settle_slots(struct site_place *p)
{
    const uint32_t each = PAGE_SIZE / SLOT;
    for (uint32_t n = 0; p->slots && n < p->list->count; n += each) {
        uint64_t at = slot_at(p, n);
        if (frame_rights(at) >= 0 && !slot_ready(p, n) && !residence_evict(space()->family, at) &&
            frame_rights(at) >= 0)
            frame_remove(at, 1);
    }
}

static struct site_place *place_of(const struct inode *i, const struct area *a)
{
    uint64_t base = a->start - a->offset;
    struct site_place *p = place_find(i->lower.nid, base);
    const struct site_list *l = p ? NULL : list_of(i->lower.nid);
    struct site_set *set = l && l->count ? set_of(space()) : NULL;
    if (p || !set || set->place_count == PLACES_MAX || !(p = los_alloc(sizeof(*p))))
        return p;
    *p = (struct site_place){.nid = i->lower.nid, .base = base, .list = l};
    p->slots = l->moves ? new_slots(set, a, l->count) : 0;
    set->places[set->place_count++] = p;
    settle_slots(p);
    return p;
}

static bool jump_reaches(uint64_t from, uint64_t to)
{
    return to - from + (1ul << 31) - 64 < (1ul << 32) - 128;
}

/* ---- patching ---- */

void sites_patch(struct area *a, uint64_t addr, uint8_t *page)
{
    const struct inode *i = (a->prot & PORT_X) && !(a->prot & PORT_W) ? pristine_inode(a) : NULL;
    struct site_place *p = i ? place_of(i, a) : NULL;
    if (!p)
        return;
    uint64_t offset = addr - p->base;
    for (uint32_t n = site_index(p->list, offset); n < p->list->count; n++) {
        const struct sh_site *s = &p->list->sites[n];
        uint64_t at = s->offset - offset;
        if (s->offset < offset || at >= PAGE_SIZE)
            break;
        if (at + s->size > PAGE_SIZE || memcmp(page + at, s->bytes, s->size))
            continue;
        if (s->kind == SH_SITE_CPUID)
            memcpy(page + at + s->at, ud2, sizeof(ud2));
        if (sh_site_moves(s) && jump_reaches(addr + at, slot_at(p, n)) && slot_ready(p, n))
            put_jump(page + at, addr + at, slot_at(p, n));
    }
}

static bool is_patched(const struct site_place *p, uint32_t index, const uint8_t *bytes)
{
    const struct sh_site *s = &p->list->sites[index];
    uint8_t jump[SH_SITE_JUMP];
    put_jump(jump, p->base + s->offset, slot_at(p, index));
    return sh_site_moves(s) && p->slots && !memcmp(bytes, jump, sizeof(jump));
}

void sites_restore(const struct area *a, uint64_t addr, uint8_t *page)
{
    const struct inode *i = pristine_inode(a);
    const struct site_place *p = i ? place_find(i->lower.nid, a->start - a->offset) : NULL;
    if (!p)
        return;
    uint64_t offset = addr - p->base;
    for (uint32_t n = site_index(p->list, offset); n < p->list->count; n++) {
        const struct sh_site *s = &p->list->sites[n];
        uint64_t at = s->offset - offset;
        if (s->offset < offset || at + s->size > PAGE_SIZE)
            break;
        if (!is_patched(p, n, page + at))
            continue;
        memcpy(page + at, s->bytes, SH_SITE_JUMP);
        if (s->kind == SH_SITE_CPUID)
            memcpy(page + at + s->at, ud2, sizeof(ud2));
    }
}

/* ---- addresses ---- */

uint64_t sites_virtual(uint64_t rip)
{
    const struct site_set *set = space()->sites;
    for (uint32_t n = 0; set && n < set->place_count; n++) {
        const struct site_place *p = set->places[n];
        if (!p->slots || rip - p->slots >= (uint64_t)p->list->count * SLOT)
            continue;
        const struct sh_site *s = &p->list->sites[(rip - p->slots) / SLOT];
        uint64_t site = p->base + s->offset, k = (rip - p->slots) % SLOT;
        if (!sh_site_moves(s))
            return rip;
        if (k <= s->at)
            return site + k;
        if (k < s->at + CALL_SIZE)
            return site + s->at; /* the instruction itself is still to come */
        return site + MIN(k - CALL_SIZE + 2, s->size);
    }
    return rip;
}

uint64_t sites_real(uint64_t rip)
{
    const struct site_set *set = space()->sites;
    for (uint32_t n = 0; set && n < set->place_count; n++) {
        const struct site_place *p = set->places[n];
        uint64_t offset = rip - p->base;
        uint32_t index = p->slots ? site_index(p->list, offset) : p->list->count;
        if (index == p->list->count)
            continue;
        const struct sh_site *s = &p->list->sites[index];
        if (offset <= s->offset || !sh_site_moves(s))
            continue;
        uint64_t k = offset - s->offset;
        uint8_t bytes[SH_SITE_JUMP];
        if (user_read(bytes, p->base + s->offset, sizeof(bytes)) || !is_patched(p, index, bytes))
            return rip;
        if (k <= s->at)
            return slot_at(p, index) + k;
        return k >= s->at + 2u ? slot_at(p, index) + k - 2 + CALL_SIZE : rip;
    }
    return rip;
}

bool sites_is_cpuid(uint64_t rip)
{
    const struct area *a = area_find(rip);
    const struct inode *i = a ? pristine_inode(a) : NULL;
    const struct site_list *l = i ? list_of(i->lower.nid) : NULL;
    uint64_t offset = a ? rip - a->start + a->offset : 0;
    uint32_t n = l ? site_index(l, offset) : 0;
    return l && n < l->count && l->sites[n].kind == SH_SITE_CPUID &&
           l->sites[n].offset + l->sites[n].at == offset;
}

int sites_copy(struct space *to, const struct space *from)
{
    struct site_set *set = from->sites ? set_of(to) : NULL;
    if (!set)
        return from->sites ? -ENOMEM : 0;
    set->slot_pages = from->sites->slot_pages;
    for (; set->place_count < from->sites->place_count; set->place_count++) {
        struct site_place *p = los_alloc(sizeof(*p));
        if (!p)
            return -ENOMEM;
        *p = *from->sites->places[set->place_count];
        set->places[set->place_count] = p;
    }
    return 0;
}

void sites_free(struct space *s)
{
    while (s->sites && s->sites->place_count)
        los_free(s->sites->places[--s->sites->place_count]);
    los_free(s->sites);
    s->sites = NULL;
}
