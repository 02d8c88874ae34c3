// SPDX-License-Identifier: Apache-2.0
// Which pages of a space are there, and with which rights.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/mm/sites.h"

#define FILL_MAX 32u /* pages copied in by one request to the port */

static void free_leaf(void *p)
{
    struct leaf *leaf = p;
    for (unsigned i = 0; leaf->aside && i < 512; i++) {
        if (leaf->aside->page[i])
            page_free(leaf->aside->page[i]);
    }
    los_free(leaf->aside);
    los_free(leaf);
}

/* Who is alone mostly goes from page to page, of one or two spaces in turn. */
#define LAST 2u
static struct last {
    const struct space *space;
    uint64_t index;
    struct leaf *leaf;
} last[LAST];

struct leaf *page_leaf(const struct space *s, uint64_t addr)
{
    uint64_t index = addr >> 21;
    struct last *l = &last[s->id % LAST];
    if (los_is_shared())
        return radix_get(&s->leaves, index);
    if (l->space != s || l->index != index || !l->leaf)
        *l = (struct last){s, index, radix_get(&s->leaves, index)};
    return l->leaf;
}

void page_leaves_drop(struct space *s)
{
    last[s->id % LAST].leaf = NULL;
    radix_clear(&s->leaves, 0, free_leaf);
}

uint8_t page_state_of(const struct space *s, uint64_t addr)
{
    const struct leaf *leaf = page_leaf(s, addr);
    return leaf ? __atomic_load_n(&leaf->page[page_slot(addr)], __ATOMIC_ACQUIRE) : 0;
}

uint8_t page_state(uint64_t addr)
{
    return page_state_of(space(), addr);
}

static struct leaf *new_leaf(struct space *s, uint64_t addr)
{
    lock_take(&s->lock, RANK_FRAMES);
    void **slot = radix_slot(&s->leaves, addr >> 21);
    struct leaf *leaf = slot ? *slot : NULL; /* made by another thread meanwhile */
    if (slot && !leaf && (leaf = los_alloc(sizeof(*leaf))))
        radix_put(slot, leaf);
    lock_give(&s->lock);
    return leaf;
}

int page_state_set(struct space *s, uint64_t addr, uint64_t count, uint8_t state)
{
    for (; count; count--, addr += PAGE_SIZE) {
        struct leaf *leaf = page_leaf(s, addr);
        if (!leaf && !(leaf = new_leaf(s, addr)))
            return -ENOMEM;
        __atomic_store_n(&leaf->page[page_slot(addr)], state, __ATOMIC_RELEASE);
    }
    return 0;
}

void **page_aside(struct space *s, uint64_t addr)
{
    struct leaf *leaf = page_leaf(s, addr);
    if (leaf && !leaf->aside)
        leaf->aside = los_alloc(sizeof(*leaf->aside));
    return leaf && leaf->aside ? &leaf->aside->page[page_slot(addr)] : NULL;
}

void page_aside_drop(struct space *s, uint64_t addr)
{
    struct leaf *leaf = page_leaf(s, addr);
    void **page = leaf && leaf->aside ? &leaf->aside->page[page_slot(addr)] : NULL;
    if (!page || !*page)
        return;
    page_free(*page);
    *page = NULL;
}

void page_aside_end(struct leaf *leaf)
{
    for (unsigned i = 0; leaf->aside && i < ARRAY_COUNT(leaf->aside->page); i++) {
        if (leaf->aside->page[i])
            return;
    }
    los_free(leaf->aside);
    leaf->aside = NULL;
}

uint64_t page_next_leaf(const struct space *s, uint64_t addr, uint64_t end)
{
    uint64_t index;
    if (page_leaf(s, addr))
        return addr;
    return radix_next(&s->leaves, addr >> 21, &index) ? MIN(MAX(index << 21, addr), end) : end;
}

/* The length in pages of the run from addr to end whose pages all have the same state. */
static uint64_t run_length(uint64_t addr, uint64_t end, uint8_t *state)
{
    uint64_t at = addr;
    *state = page_state(addr);
    while (at < end) {
        const struct leaf *leaf = page_leaf(space(), at);
        if (!leaf) {
            if (*state)
                break;
            at = page_next_leaf(space(), at, end);
            continue;
        }
        if (leaf->page[page_slot(at)] != *state)
            break;
        at += PAGE_SIZE;
    }
    return (at - addr) >> PAGE_SHIFT;
}

static int add_zeroed(uint64_t addr, uint64_t count, int prot)
{
    int r = page_state_set(space(), addr, count, 0); /* room for the state first */
    if (!r)
        r = frame_add(addr, count, prot, space()->id);
    return r ? r : page_state_set(space(), addr, count, (uint8_t)(PAGE_THERE | prot));
}

/* A private page that can be written is a copy from the start where the file is as the image has
 * it, which saves a fault; elsewhere it follows the file until it is written. */
uint8_t page_private_state(const struct area *a)
{
    int prot = page_rights(a->prot);
    if (a->file->inode->has_lower && !a->file->inode->written)
        return (uint8_t)(PAGE_THERE | prot | (prot & PORT_W ? 0 : PAGE_CLEAN));
    return (uint8_t)(PAGE_THERE | (prot & ~PORT_W) | PAGE_CLEAN);
}

int page_from_file(struct area *a, uint64_t addr, void *page)
{
    uint64_t offset = a->offset + (addr - a->start);
    int r = object_follow(a->file->inode, offset >> PAGE_SHIFT);
    if (!r)
        r = file_read_page(a->file, offset, page);
    if (!r)
        sites_patch(a, addr, page);
    return r;
}

uint64_t page_use(const struct area *a, uint64_t addr)
{
    const struct inode *i = a->file ? a->file->inode : NULL;
    uint64_t index = (a->offset + (addr - a->start)) >> PAGE_SHIFT;
    bool pristine = i && i->fs == FS_ROOT && i->has_lower && !i->written && !a->shared;
    return pristine && !(index >> SH_USES_SHIFT) ? i->lower.nid << SH_USES_SHIFT | index : 0;
}

static void note_uses(const struct area *a, uint64_t addr, uint64_t count)
{
    uint64_t page = page_use(a, addr);
    for (; page && count; count--)
        port_use(page++);
}

/* Copies pages of the area's file in; a page wholly behind the file's end is -EIO if it is the
 * first, else it is left out. */
static int add_from_file(struct area *a, uint64_t addr, uint64_t count)
{
    void *buf[FILL_MAX];
    uint64_t n = 0;
    uint8_t state = page_private_state(a);
    int r = page_state_set(space(), addr, count, 0);
    for (; !r && n < count; n++) {
        buf[n] = page_alloc();
        r = buf[n] ? page_from_file(a, addr + (n << PAGE_SHIFT), buf[n]) : -ENOMEM;
        if (r) {
            if (buf[n])
                page_free(buf[n]);
            break;
        }
    }
    if (n) {
        r = frame_fill(addr, (const void *const *)buf, n, state & RIGHTS, space()->id);
        if (!r)
            page_state_set(space(), addr, n, state);
        note_uses(a, addr, r ? 0 : n);
    }
    for (uint64_t i = 0; i < n; i++)
        page_free(buf[i]);
    return r;
}

static int add_pages(struct area *a, uint64_t addr, uint64_t count)
{
    if (a->shared)
        return object_map(a, addr, false);
    return a->file ? add_from_file(a, addr, count) : add_zeroed(addr, count, page_rights(a->prot));
}

int page_populate(struct area *a, uint64_t addr, uint64_t count)
{
    uint64_t size = MIN(count << PAGE_SHIFT, a->end - addr);
    if (!a->shared)
        port_pages_expect(&(struct sh_pages){addr, size}, 1);
    return page_bring(a, addr, count);
}

int page_bring(struct area *a, uint64_t addr, uint64_t count)
{
    uint64_t end = MIN(addr + (count << PAGE_SHIFT), a->end);
    while (addr < end) {
        uint8_t state;
        uint64_t n = run_length(addr, end, &state);
        if (!state) {
            n = a->shared ? 1 : a->file ? MIN(n, FILL_MAX) : n;
            int r = add_pages(a, addr, n);
            if (r == -ENOMEM && n > 1) /* it may be enough for one */
                r = add_pages(a, addr, n = 1);
            if (r)
                return r;
        }
        addr += n << PAGE_SHIFT;
    }
    return 0;
}

/* Is the page at addr some other member's too? */
static bool others_have(const struct space *s, uint64_t addr, uint8_t bits)
{
    if (s->family->count < 2)
        return false;
    list_each(const struct space, o, &s->family->members, member) {
        if (o != s && (page_state_of(o, addr) & bits) == bits)
            return true;
    }
    return false;
}

/* The others that have it in common get copies; then it is the caller's alone. */
int page_unshare(struct space *s, uint64_t addr)
{
    list_each(struct space, o, &s->family->members, member) {
        uint8_t state = page_state_of(o, addr);
        if (o == s || !(state & PAGE_COMMON))
            continue;
        if (frame_rights(addr) == 0)
            frame_protect(addr, 1, PORT_R);
        void **aside = page_aside(o, addr);
        if (!aside || !(*aside = page_copy((const void *)addr)))
            return -ENOMEM;
        page_state_set(o, addr, 1, state & (uint8_t)~PAGE_COMMON);
    }
    frame_part(addr);
    frame_own(addr, 1, s->id);
    return page_state_set(s, addr, 1, page_state_of(s, addr) & (uint8_t)~PAGE_COMMON);
}

int page_own(struct area *a, uint64_t addr)
{
    uint8_t state = page_state(addr);
    int r = state & PAGE_COMMON ? page_unshare(space(), addr) : 0;
    if (!r)
        r = frame_protect(addr, 1, page_rights(a->prot));
    return r ? r : page_state_set(space(), addr, 1, (uint8_t)(PAGE_THERE | page_rights(a->prot)));
}

/* New rights of a run of pages with the same state. */
static int protect_run(uint64_t addr, uint64_t count, uint8_t state, int prot)
{
    /* The first write to a page that follows its file makes it a copy. */
    if (state & PAGE_CLEAN)
        prot &= ~PORT_W;
    if (state & PAGE_COMMON) {
        for (uint64_t i = 0; i < count; i++) {
            int r = page_unshare(space(), addr + (i << PAGE_SHIFT));
            if (r)
                return r;
        }
        state &= (uint8_t)~PAGE_COMMON;
    }
    int r = frame_protect(addr, count, prot);
    return r ? r : page_state_set(space(), addr, count, (uint8_t)((state & ~RIGHTS) | prot));
}

int page_protect(uint64_t start, uint64_t end, int prot)
{
    uint64_t count;
    uint8_t state;
    prot = page_rights(prot);
    for (uint64_t at = start; at < end; at += count << PAGE_SHIFT) {
        count = run_length(at, end, &state);
        if (!state || (state & RIGHTS) == prot)
            continue;
        int r = protect_run(at, count, state, prot);
        if (r)
            return r;
    }
    return 0;
}

void page_drop(struct space *s, uint64_t addr, struct frame_gone *gone)
{
    uint8_t state = page_state_of(s, addr);
    uint16_t owner = frame_owner(addr);
    if (!state)
        return;
    page_state_set(s, addr, 1, 0); /* cannot fail: the leaf is there */
    page_aside_drop(s, addr);
    if (others_have(s, addr, PAGE_THERE)) {
        if (owner == s->id)
            frame_own(addr, 1, OWNER_NONE); /* the next resident brings its own */
        return;
    }
    if (owner != OWNER_OBJECT && frame_rights(addr) >= 0)
        frame_gone_add(gone, addr, 1);
}

void page_remove(uint64_t start, uint64_t end)
{
    struct space *s = space();
    struct frame_gone gone = {0};
    uint64_t count;
    uint8_t state;
    for (uint64_t at = start; at < end; at += count << PAGE_SHIFT) {
        count = run_length(at, end, &state);
        if (!state)
            continue;
        if (s->family->count == 1 && !(state & PAGE_OBJECT)) {
            frame_gone_add(&gone, at, count);
            page_state_set(s, at, count, 0);
            continue;
        }
        for (uint64_t i = 0; i < count; i++)
            page_drop(s, at + (i << PAGE_SHIFT), &gone);
    }
    frame_gone_end(&gone);
}

int page_fill(uint64_t addr, const void *page, int prot)
{
    int r = page_state_set(space(), addr, 1, 0);
    if (!r && residence_share(addr, page, prot))
        return 0;
    if (!r)
        r = residence_evict(space()->family, addr);
    if (!r)
        r = frame_put(addr, page, prot, space()->id);
    return r ? r : page_state_set(space(), addr, 1, (uint8_t)(PAGE_THERE | prot));
}

/* Patched text jumps by distance, so that a copy elsewhere would go astray. */
static int move_page(uint64_t from, uint64_t to, int prot)
{
    const struct area *a = area_find(from);
    uint8_t *copy = a && a->file && (prot & PORT_X) ? page_copy((const void *)from) : NULL;
    if (copy)
        sites_restore(a, from, copy);
    int r = frame_put(to, copy ? copy : (const void *)from, prot, space()->id);
    if (copy)
        page_free(copy);
    return r;
}

int page_move(uint64_t from, uint64_t to, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += PAGE_SIZE) {
        uint8_t state = page_state(from + at);
        int prot = state & RIGHTS;
        if (!state || (state & PAGE_OBJECT)) /* the file's own page is found at its new place */
            continue;
        int r = 0;
        if (!prot) /* must be readable to be copied */
            r = protect_run(from + at, 1, state, PORT_R);
        if (!r)
            r = page_state_set(space(), to + at, 1, 0);
        if (!r)
            r = move_page(from + at, to + at, prot);
        if (!r)
            r = page_state_set(space(), to + at, 1, state & (uint8_t)~PAGE_COMMON);
        if (r)
            return r;
    }
    return 0;
}
