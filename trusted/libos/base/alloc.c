// SPDX-License-Identifier: Apache-2.0
// Memory of the LibOS itself: buddies of up to 2 MiB in the zone, size classes above them. Free
// objects stand in caches, one for the threads of a share (base/lock.c), and move between cache and
// zone by the batch: so threads seldom meet.
//
// The zone is committed as it grows: by at most half of what it is, an eighth while it is smaller
// than a chunk (2 MiB): a page too many costs as much as two calls out. Of chunks that are free it
// keeps a few; more are given back several at a time, and are the first to come again. `meta` says
// of each page what begins there; it lies in front of the zone's pages and grows with them.
#include "lib/settings.h"
#include "trusted/libos/libos.h"

#if defined(LIBOS_UNIT) && !defined(__SANITIZE_THREAD__)
#define OBJECTS_OF_LIBC /* so that the address sanitizer sees each object */
#include <stdlib.h>
#endif

#define ORDER_MAX 9u /* 2 MiB */
#define CHUNK_PAGES (1ul << ORDER_MAX)
#define ZONE_PAGES_MAX (1ul << 18) /* 1 GiB */

#define META_NONE 0x00u
#define META_FREE 0x40u  /* | order: a free buddy begins here */
#define META_USED 0x80u  /* | order */
#define META_LARGE 0xc0u /* more than a chunk; the owner knows the count */
#define META_SLAB 0x20u  /* | class */
#define META_GONE 0x10u  /* a chunk that was given back */

#define GROW_MIN 4u /* order: 64 KiB */
#define GROW_FIRST 5u
#define ROW_ORDER 6u    /* 256 KiB of small objects at once, in a zone */
#define ROWS_FROM 2048u /* of more than 8 MiB */
#define KEPT_MAX 8u     /* free chunks; above it all but KEPT_MIN go */
#define KEPT_MIN 4u

static uint8_t *meta;
static uint64_t meta_used;                         /* bytes committed */
static uint64_t zone_start, zone_pages, zone_used; /* used: up to the last committed page */
static uint64_t zone_free;                         /* pages of free buddies */
static uint64_t chunks_free, chunks_gone;          /* chunks that are free; that were given back */
static uint64_t chunks_kept;                       /* more than KEPT_*: pages_keep */
static struct list free_lists[ORDER_MAX + 1];
static struct lock lock; /* of all this */

static uint64_t page_index(const void *p)
{
    return ((uint64_t)p - zone_start) >> PAGE_SHIFT;
}

static void *page_at(uint64_t index)
{
    return (void *)(zone_start + (index << PAGE_SHIFT));
}

void page_init(uint64_t start, uint64_t end)
{
    zone_pages = MIN((end - start) / (PAGE_SIZE + 1), ZONE_PAGES_MAX);
    meta = (uint8_t *)start;
    zone_start = page_up(start + zone_pages);
    zone_used = meta_used = zone_free = chunks_free = chunks_gone = 0;
    for (unsigned i = 0; i <= ORDER_MAX; i++)
        list_init(&free_lists[i]);
}

static uint64_t ahead;

uint64_t memory_ahead(uint64_t pages)
{
    ahead = pages ? ahead + pages : 0; /* who shares the lock may see it late */
    return ahead;
}

static int charge_pages(uint64_t pages)
{
    uint64_t size = pages << PAGE_SHIFT;
    uint64_t now = __atomic_add_fetch(&stats.committed, size, __ATOMIC_RELAXED);
    if (settings.memory && now > settings.memory + (ahead << PAGE_SHIFT)) {
        memory_uncharge(pages);
        return -ENOMEM;
    }
    uint64_t peak = __atomic_load_n(&stats.committed_peak, __ATOMIC_RELAXED);
    while (now > peak && !__atomic_compare_exchange_n(&stats.committed_peak, &peak, now, false,
                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
    return 0;
}

bool memory_is_half_full(void)
{
    uint64_t now = __atomic_load_n(&stats.committed, __ATOMIC_RELAXED);
    return settings.memory && now > settings.memory / 2;
}

int memory_charge(uint64_t pages)
{
    int r = charge_pages(pages);
    while (r && pages_keep(0))
        r = charge_pages(pages);
    return r;
}

void memory_uncharge(uint64_t pages)
{
    __atomic_fetch_sub(&stats.committed, pages << PAGE_SHIFT, __ATOMIC_RELAXED);
}

#define RESERVE_PART 16u
#define RESERVE_MAX (64ul << 20)

uint64_t memory_for_files(void)
{
    lock_take(&lock, RANK_ALLOC);
    uint64_t room = zone_pages - MIN(zone_pages, zone_used) + chunks_gone * CHUNK_PAGES,
             size = settings.memory, free = room;
    uint64_t zone_free_now = zone_free;
    lock_give(&lock);
    if (size) {
        uint64_t kept = MIN(size / RESERVE_PART, RESERVE_MAX);
        uint64_t used = __atomic_load_n(&stats.committed, __ATOMIC_RELAXED) + kept;
        if (used > size) { /* some of the reserve is in use: free pages make up for it first */
            uint64_t lack = (used - size) >> PAGE_SHIFT;
            return zone_free_now - MIN(zone_free_now, lack);
        }
        free = MIN(room, (size - used) >> PAGE_SHIFT);
    }
    return free + zone_free_now;
}

static int commit_pages(uint64_t addr, uint64_t count)
{
    int r = charge_pages(count);
    if (!r)
        port_pages_expect(&(struct sh_pages){addr, count << PAGE_SHIFT}, 1);
    if (!r && (r = port_pages_add(addr, count, PORT_R | PORT_W)))
        memory_uncharge(count);
    if (!r)
        stats.zone_pages += count;
    return r;
}

/* Commits `count` new pages in a row, the first one's index a multiple of `align`; it, or -ENOMEM.
 */
static int64_t zone_grow(uint64_t count, uint64_t align)
{
    uint64_t first = (zone_used + align - 1) & ~(align - 1);
    if (first > zone_pages || count > zone_pages - first)
        return -ENOMEM;
    while (meta_used < first + count) {
        if (commit_pages((uint64_t)meta + meta_used, 1))
            return -ENOMEM;
        meta_used += PAGE_SIZE;
    }
    if (commit_pages((uint64_t)page_at(first), count))
        return -ENOMEM;
    __atomic_store_n(&zone_used, first + count, __ATOMIC_RELAXED);
    return (int64_t)first;
}

static void put_free(uint64_t index, unsigned order)
{
    meta[index] = (uint8_t)(META_FREE | order);
    chunks_free += order == ORDER_MAX;
    list_append(&free_lists[order], page_at(index));
}

static void buddy_free(uint64_t index, unsigned order)
{
    for (; order < ORDER_MAX; order++) {
        uint64_t buddy = index ^ (1ul << order);
        if (meta[buddy] != (META_FREE | order))
            break;
        list_remove(page_at(buddy));
        meta[MAX(index, buddy)] = META_NONE;
        index = MIN(index, buddy);
    }
    put_free(index, order);
}

/* The smallest order from this one on that has a free block; ORDER_MAX + 1: none. */
static unsigned order_with_block(unsigned order)
{
    while (order <= ORDER_MAX && list_empty(&free_lists[order]))
        order++;
    return order;
}

/* The first chunk stays: with it the zone begins. */
static void give_chunks_back(uint64_t above)
{
    struct list *node = free_lists[ORDER_MAX].next;
    if (chunks_free <= above)
        return;
    while (chunks_free > KEPT_MIN + chunks_kept && node != &free_lists[ORDER_MAX]) {
        struct list *next = node->next;
        uint64_t index = page_index(node);
        if (index) {
            list_remove(node);
            port_pages_remove(&(struct sh_pages){(uint64_t)node, CHUNK_PAGES << PAGE_SHIFT}, 1);
            memory_uncharge(CHUNK_PAGES);
            meta[index] = META_GONE;
            stats.zone_pages -= CHUNK_PAGES;
            zone_free -= CHUNK_PAGES;
            chunks_free--;
            chunks_gone++;
        }
        node = next;
    }
}

bool pages_keep(uint64_t pages)
{
    lock_take(&lock, RANK_ALLOC);
    bool kept = chunks_kept;
    if (pages) {
        chunks_kept = MAX(chunks_kept, pages / CHUNK_PAGES);
    } else if (kept) {
        chunks_kept = MIN(chunks_kept - 1, chunks_free);
        give_chunks_back(KEPT_MIN + chunks_kept);
    }
    lock_give(&lock);
    return kept;
}

/* One that was given back; false: there is none, or no memory for it. */
static bool take_chunk_again(void)
{
    uint64_t index = 0;
    while (chunks_gone && index < zone_used && meta[index] != META_GONE)
        index += CHUNK_PAGES;
    if (!chunks_gone || index >= zone_used || commit_pages((uint64_t)page_at(index), CHUNK_PAGES))
        return false;
    chunks_gone--;
    zone_free += CHUNK_PAGES;
    put_free(index, ORDER_MAX);
    return true;
}

/* New blocks: as much as suits the zone's size, else what is needed. */
static int grow_for(unsigned order)
{
    unsigned by = zone_used ? GROW_MIN : GROW_FIRST, part = zone_used < CHUNK_PAGES ? 4 : 2;
    if (take_chunk_again())
        return 0;
    while (by < ORDER_MAX && zone_used >> (by + part) && !(zone_used >> by & 1))
        by++;
    by = MAX(by, order);
    int64_t index = zone_grow(1ul << by, 1ul << by);
    if (index < 0) {
        by = order;
        index = zone_grow(1ul << by, 1ul << by);
    }
    if (index < 0)
        return -ENOMEM;
    zone_free += 1ul << by;
    buddy_free((uint64_t)index, by);
    return 0;
}

static void *buddy_alloc(unsigned order)
{
    unsigned o = order_with_block(order);
    if (o > ORDER_MAX) {
        if (grow_for(order))
            return NULL;
        o = order_with_block(order);
    }
    struct list *node = free_lists[o].prev;
    list_remove(node);
    chunks_free -= o == ORDER_MAX;
    uint64_t index = page_index(node);
    while (o > order) {
        o--;
        put_free(index + (1ul << o), o);
    }
    meta[index] = (uint8_t)(META_USED | order);
    zone_free -= 1ul << order;
    return node;
}

static unsigned order_of(uint64_t count)
{
    unsigned order = 0;
    while ((1ul << order) < count)
        order++;
    return order;
}

static void free_locked(void *p, uint64_t count)
{
    uint64_t index = page_index(p);
    if (index >= zone_used || !count)
        stop("pages_free: %p is not in the zone", p);
    if (meta[index] == META_LARGE && count > CHUNK_PAGES) {
        for (uint64_t i = 0; i < count; i += CHUNK_PAGES)
            put_free(index + i, ORDER_MAX);
        zone_free += (count + CHUNK_PAGES - 1) & ~(CHUNK_PAGES - 1);
        give_chunks_back(KEPT_MAX + chunks_kept);
        return;
    }
    unsigned order = order_of(count);
    if (meta[index] != (META_USED | order))
        stop("pages_free: %p was not allocated so", p);
    zone_free += 1ul << order;
    buddy_free(index, order);
    give_chunks_back(KEPT_MAX + chunks_kept);
}

/* ---- caches ---- */

/* Size classes 32, 48, 64, 96, 128, ... 2048; the last are pages. */
#define CLASS_COUNT 13u
#define CLASS_SIZE_MAX 2048u
#define CLASS_PAGE CLASS_COUNT

struct object {
    struct object *next;
};
/* Free ones of each size. */
struct pool {
    struct object *first;
    uint32_t count;
};
static struct pool zone_pools[CLASS_COUNT]; /* with `lock` */
static struct cache {
    _Alignas(64) struct lock lock;
    struct pool pools[CLASS_COUNT + 1];
} caches[SHARES];

static void pool_put(struct pool *p, void *object)
{
    struct object *o = object;
    o->next = p->first;
    p->first = o;
    p->count++;
}

static void *pool_take(struct pool *p)
{
    struct object *o = p->first;
    if (o) {
        p->first = o->next;
        p->count--;
    }
    return o;
}

static size_t class_size(unsigned class)
{
    size_t base = 32ul << (class / 2);
    return class & 1 ? base + base / 2 : base;
}

/* How many move at once between cache and zone: at most a page full. */
static unsigned batch_of(unsigned class)
{
    return class == CLASS_PAGE ? 4 : MIN(16, PAGE_SIZE / class_size(class));
}

/* A page for small objects, which stays one. In a large zone they stand together, so that they do
 * not keep the chunks around them. */
static char *slab_page(void)
{
    static char *row;
    static uint64_t left;
    if (!left) {
        unsigned order = zone_used > ROWS_FROM ? ROW_ORDER : 0;
        row = buddy_alloc(order);
        if (!row && order)
            row = buddy_alloc(order = 0);
        if (!row)
            return NULL;
        left = 1ul << order;
    }
    left--;
    row += PAGE_SIZE;
    return row - PAGE_SIZE;
}

static void carve_page(unsigned class)
{
    char *page = slab_page();
    size_t size = class_size(class);
    if (!page)
        return;
    meta[page_index(page)] = (uint8_t)(META_SLAB | class);
    for (size_t at = 0; at + size <= PAGE_SIZE; at += size)
        pool_put(&zone_pools[class], page + at);
}

static void *zone_take(unsigned class)
{
    if (class == CLASS_PAGE)
        return buddy_alloc(0);
    if (!zone_pools[class].first)
        carve_page(class);
    return pool_take(&zone_pools[class]);
}

static struct cache *own_cache(void)
{
    return &caches[self()->share % SHARES];
}

static void *cache_take(unsigned class, size_t size)
{
    struct cache *c = own_cache();
    struct pool *pool = &c->pools[class];
    void *p;
    lock_take(&c->lock, RANK_CACHE);
    if (!pool->first) {
        lock_take(&lock, RANK_ALLOC);
        for (unsigned n = 0; n < batch_of(class) && (p = zone_take(class)); n++)
            pool_put(pool, p);
        lock_give(&lock);
    }
    p = pool_take(pool);
    lock_give(&c->lock);
    if (p)
        memset(p, 0, size);
    return p;
}

static void cache_put(unsigned class, void *p)
{
    struct cache *c = own_cache();
    struct pool *pool = &c->pools[class];
    lock_take(&c->lock, RANK_CACHE);
    pool_put(pool, p);
    if (pool->count > 2 * batch_of(class)) {
        lock_take(&lock, RANK_ALLOC);
        for (unsigned n = 0; n < batch_of(class); n++) {
            if (class == CLASS_PAGE)
                free_locked(pool_take(pool), 1);
            else
                pool_put(&zone_pools[class], pool_take(pool));
        }
        lock_give(&lock);
    }
    lock_give(&c->lock);
}

static uint8_t meta_of(const void *p)
{
    uint64_t index = page_index(p);
    return index < __atomic_load_n(&zone_used, __ATOMIC_RELAXED) ? meta[index] : META_NONE;
}

void *page_alloc(void)
{
    return cache_take(CLASS_PAGE, PAGE_SIZE);
}

void *page_copy(const void *content)
{
    void *p = cache_take(CLASS_PAGE, 0);
    return p ? memcpy(p, content, PAGE_SIZE) : NULL;
}

void page_free(void *page)
{
    if (meta_of(page) != META_USED)
        stop("page_free: %p was not allocated so", page);
    cache_put(CLASS_PAGE, page);
}

void *pages_alloc(uint64_t count)
{
    void *p;
    if (count == 1)
        return page_alloc();
    lock_take(&lock, RANK_ALLOC);
    if (count <= CHUNK_PAGES) {
        p = buddy_alloc(order_of(count));
    } else {
        uint64_t chunks = (count + CHUNK_PAGES - 1) / CHUNK_PAGES;
        int64_t index = zone_grow(chunks * CHUNK_PAGES, CHUNK_PAGES);
        p = index < 0 ? NULL : page_at((uint64_t)index);
        if (p)
            meta[index] = META_LARGE;
    }
    lock_give(&lock);
    if (p)
        memset(p, 0, count << PAGE_SHIFT);
    return p;
}

void pages_free(void *p, uint64_t count)
{
    if (count == 1) {
        page_free(p);
        return;
    }
    lock_take(&lock, RANK_ALLOC);
    free_locked(p, count);
    lock_give(&lock);
}

/* From the zone's end down. */
void *pages_guarded(uint64_t count)
{
    void *p = NULL;
    lock_take(&lock, RANK_ALLOC);
    if (zone_pages - zone_used > count &&
        !commit_pages((uint64_t)page_at(zone_pages - count), count)) {
        zone_pages -= count + 1;
        p = page_at(zone_pages + 1);
    }
    lock_give(&lock);
    return p;
}

#ifdef OBJECTS_OF_LIBC

void *los_alloc(size_t size)
{
    return calloc(1, size ? size : 1);
}

void *los_realloc(void *p, size_t size)
{
    return realloc(p, size);
}

void los_free(void *p)
{
    free(p);
}

#else

static unsigned class_of(size_t size)
{
    unsigned class = 0;
    while (class_size(class) < size)
        class ++;
    return class;
}

void *los_alloc(size_t size)
{
    if (size > CHUNK_PAGES << PAGE_SHIFT)
        return NULL;
    if (size > CLASS_SIZE_MAX)
        return pages_alloc((size + PAGE_SIZE - 1) >> PAGE_SHIFT);
    unsigned class = class_of(size);
    return cache_take(class, class_size(class));
}

/* Bytes usable at p. */
static size_t usable_size(const void *p)
{
    uint8_t m = meta_of(p);
    if ((m & 0xe0) == META_SLAB)
        return class_size(m & 0x1f);
    if ((m & 0xf0) == META_USED)
        return PAGE_SIZE << (m & 0x0f);
    stop("los_free: %p was not allocated", p);
}

void los_free(void *p)
{
    if (!p)
        return;
    size_t size = usable_size(p);
    if (size >= PAGE_SIZE)
        pages_free(p, size >> PAGE_SHIFT);
    else
        cache_put(class_of(size), p);
}

void *los_realloc(void *p, size_t size)
{
    if (p && usable_size(p) >= size)
        return p;
    void *q = los_alloc(size);
    if (q && p) {
        memcpy(q, p, usable_size(p));
        los_free(p);
    }
    return q;
}

#endif

char *los_strdup(const char *s)
{
    size_t size = strlen(s) + 1;
    char *p = los_alloc(size);
    if (p)
        memcpy(p, s, size);
    return p;
}
