// SPDX-License-Identifier: Apache-2.0
// Which pages of a program are there, and with which rights.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/mm/sites.h"

#define FILL_MAX 32u /* pages copied in by one request to the port */

static uint8_t *state_of(uint64_t addr)
{
    struct leaf *leaf = radix_get(&space()->leaves, addr >> 21);
    return leaf ? &leaf->page[(addr >> PAGE_SHIFT) & 511] : NULL;
}

uint8_t page_state(uint64_t addr)
{
    uint8_t *s = state_of(addr);
    return s ? *s : 0;
}

static int state_set(uint64_t addr, uint64_t count, uint8_t state)
{
    for (; count; count--, addr += PAGE_SIZE) {
        void **slot = radix_slot(&space()->leaves, addr >> 21);
        if (!slot || (!*slot && !(*slot = los_alloc(sizeof(struct leaf)))))
            return -ENOMEM;
        ((struct leaf *)*slot)->page[(addr >> PAGE_SHIFT) & 511] = state;
    }
    return 0;
}

/* The processor knows no write-only or execute-only pages. */
static int rights(int prot)
{
    return prot ? prot | PORT_R : 0;
}

/* The length in pages of the run from addr to end whose pages all have the same state. */
static uint64_t run(uint64_t addr, uint64_t end, uint8_t *state)
{
    uint64_t at = addr;
    *state = page_state(addr);
    while (at < end) {
        struct leaf *leaf = radix_get(&space()->leaves, at >> 21);
        if (!leaf) {
            if (*state)
                break;
            at = MIN((at | ((1ul << 21) - 1)) + 1, end);
            continue;
        }
        if (leaf->page[(at >> PAGE_SHIFT) & 511] != *state)
            break;
        at += PAGE_SIZE;
    }
    return (at - addr) >> PAGE_SHIFT;
}

uint64_t page_count(uint64_t start, uint64_t end)
{
    uint64_t total = 0, count;
    uint8_t state;
    for (uint64_t at = start; at < end; at += count << PAGE_SHIFT) {
        count = run(at, end, &state);
        total += state ? count : 0;
    }
    return total;
}

static int add_zeroed(uint64_t addr, uint64_t count, int prot)
{
    int r = port_pages_add(addr, count, prot);
    return r ? r : state_set(addr, count, (uint8_t)(PAGE_THERE | prot));
}

/* Copies pages of the area's file in; a page wholly behind the file's end is -EIO if it is the
 * first, else it is left out. Shared pages come without the right to write: a first write marks
 * them as changed. */
static int add_from_file(struct area *a, uint64_t addr, uint64_t count, int prot)
{
    void *buf[FILL_MAX];
    uint64_t n = 0;
    int r = 0;
    for (; n < count; n++) {
        buf[n] = page_alloc();
        r = buf[n]
                ? file_read_page(a->file, a->offset + (addr - a->start) + (n << PAGE_SHIFT), buf[n])
                : -ENOMEM;
        if (r) {
            if (buf[n])
                page_free(buf[n]);
            break;
        }
        sites_patch(a, addr + (n << PAGE_SHIFT), buf[n]);
    }
    if (n) {
        r = port_pages_fill(addr, (const void *const *)buf, n, prot);
        if (!r)
            r = state_set(addr, n, (uint8_t)(PAGE_THERE | prot));
    }
    for (uint64_t i = 0; i < n; i++)
        page_free(buf[i]);
    memory_uncharge(r ? count : count - n);
    return r;
}

int page_populate(struct area *a, uint64_t addr, uint64_t count)
{
    uint64_t end = MIN(addr + (count << PAGE_SHIFT), a->end);
    int prot = rights(a->prot);
    while (addr < end) {
        uint8_t state;
        uint64_t n = run(addr, end, &state);
        if (!state) {
            if (a->file)
                n = MIN(n, FILL_MAX);
            int r = memory_charge(n);
            if (r && n > 1 && !memory_charge(1)) {
                n = 1;
                r = 0;
            }
            if (r)
                return r;
            if (a->file)
                r = add_from_file(a, addr, n, a->shared ? prot & ~PORT_W : prot);
            else
                r = add_zeroed(addr, n, prot);
            if (r)
                return r;
        }
        addr += n << PAGE_SHIFT;
    }
    return 0;
}

int page_protect(uint64_t start, uint64_t end, int prot)
{
    uint64_t count;
    uint8_t state;
    prot = rights(prot);
    for (uint64_t at = start; at < end; at += count << PAGE_SHIFT) {
        count = run(at, end, &state);
        int old = state & (PORT_R | PORT_W | PORT_X);
        if (!state || old == prot)
            continue;
        int r = port_pages_protect(at, count, old, prot);
        if (!r)
            r = state_set(at, count, (uint8_t)(PAGE_THERE | prot));
        if (r)
            return r;
    }
    return 0;
}

void page_remove(uint64_t start, uint64_t end)
{
    uint64_t count;
    uint8_t state;
    for (uint64_t at = start; at < end; at += count << PAGE_SHIFT) {
        count = run(at, end, &state);
        if (!state)
            continue;
        port_pages_remove(at, count);
        memory_uncharge(count);
        state_set(at, count, 0); /* cannot fail: the leaves are there */
    }
}

int page_fill(uint64_t addr, const void *page, int prot)
{
    int r = memory_charge(1);
    if (r)
        return r;
    r = port_pages_fill(addr, &page, 1, prot);
    if (!r)
        r = state_set(addr, 1, (uint8_t)(PAGE_THERE | prot));
    if (r)
        memory_uncharge(1);
    return r;
}

/* Patched text jumps by distance, so that a copy elsewhere would go astray. */
static int move_page(uint64_t from, uint64_t to, int prot)
{
    const struct area *a = area_find(from);
    uint8_t *copy = a && a->file && (prot & PORT_X) ? page_alloc() : NULL;
    if (copy) {
        memcpy(copy, (const void *)from, PAGE_SIZE);
        sites_restore(a, from, copy);
    }
    const void *source = copy ? copy : (const void *)from;
    int r = port_pages_fill(to, &source, 1, prot);
    if (copy)
        page_free(copy);
    return r;
}

int page_move(uint64_t from, uint64_t to, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += PAGE_SIZE) {
        uint8_t state = page_state(from + at);
        int prot = state & (PORT_R | PORT_W | PORT_X);
        if (!state)
            continue;
        if (!prot) /* must be readable to be copied */
            port_pages_protect(from + at, 1, 0, PORT_R);
        int r = memory_charge(1);
        if (!r)
            r = move_page(from + at, to + at, prot);
        if (!r)
            r = state_set(to + at, 1, state);
        if (r)
            return r;
    }
    page_remove(from, from + size);
    return 0;
}

int area_write_back(struct area *a, uint64_t start, uint64_t end)
{
    if (!a->shared || !a->file)
        return 0;
    for (uint64_t at = MAX(start, a->start); at < MIN(end, a->end); at += PAGE_SIZE) {
        if (!(page_state(at) & PORT_W))
            continue;
        int r = file_write_page(a->file, a->offset + (at - a->start), (const void *)at);
        if (r)
            return r;
        /* Changes after this mark it again. */
        r = page_protect(at, at + PAGE_SIZE, a->prot & ~PORT_W);
        if (r)
            return r;
    }
    return 0;
}
