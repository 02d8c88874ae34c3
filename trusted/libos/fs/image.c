// SPDX-License-Identifier: Apache-2.0
// Reads blocks of the root image and of sites.bin, checks them by their hash trees, keeps them.
#include "trusted/libos/fs/image.h"

#include "lib/bytes.h"
#include "trusted/libos/base/digest.h"
#include "trusted/libos/base/radix.h"

#define HASHES 128u /* in a block */
#define LEVELS_MAX 10u

static struct image {
    uint32_t number; /* the port's: of the root image, the data, sites.bin */
    uint64_t size, blocks;
    unsigned levels;
    uint64_t level_start[LEVELS_MAX]; /* block number; 0 is the level nearest the data */
    uint8_t root_hash[32];
    struct radix cache; /* by block number of root.img, hash blocks too */
    struct lock lock;   /* of who adds to it */
    struct list ring;
    uint64_t cached, cached_max;
} images[IMAGES], sites;

static int open_one(struct image *m, uint64_t size, const uint8_t root_hash[32],
                    uint64_t cache_pages)
{
    if (!size || size % PAGE_SIZE || size >> IMAGE_WINDOW)
        return -EINVAL;
    memset(m, 0, sizeof(*m));
    m->size = size;
    m->blocks = size >> PAGE_SHIFT;
    memcpy(m->root_hash, root_hash, 32);
    list_init(&m->ring);
    m->cached_max = MAX(cache_pages, 64);
    uint64_t count[LEVELS_MAX], n = m->blocks;
    while (n > 1) {
        n = (n + HASHES - 1) / HASHES;
        count[m->levels++] = n;
    }
    uint64_t at = m->blocks;
    for (unsigned i = m->levels; i-- > 0;) {
        m->level_start[i] = at;
        at += count[i];
    }
    return 0;
}

int image_open(uint32_t number, uint64_t size, const uint8_t root_hash[32], uint64_t cache_pages)
{
    int r = open_one(&images[number], size, root_hash, cache_pages);
    images[number].number = number;
    return r;
}

int image_sites_open(uint64_t size, const uint8_t root_hash[32])
{
    return open_one(&sites, size, root_hash, 0);
}

uint64_t image_size(uint32_t number)
{
    return number < IMAGES ? images[number].size : 0;
}

/* Makes room: the first unpinned block that was not used since the hand came by. */
static void evict_block(struct image *m)
{
    for (uint64_t tries = 2 * m->cached; m->cached >= m->cached_max && tries; tries--) {
        struct image_block *b = container_of(m->ring.next, struct image_block, node);
        list_remove(&b->node);
        if (b->pins || b->used) {
            b->used = false;
            list_append(&m->ring, &b->node);
            continue;
        }
        *radix_slot(&m->cache, b->index) = NULL;
        m->cached--;
        page_free(b->data);
        los_free(b);
    }
}

static int get_block(struct image *m, uint64_t index, unsigned level, struct image_block **out);

/* What the block's digest must be: from its parent in the tree, or the manifest. `level` is 0 for
 * data, n+1 for blocks of level n. */
static int expected_hash(struct image *m, uint64_t index, unsigned level, uint8_t hash[32])
{
    if (level == m->levels) {
        memcpy(hash, m->root_hash, 32);
        return 0;
    }
    uint64_t place = level ? index - m->level_start[level - 1] : index;
    struct image_block *parent;
    int r = get_block(m, m->level_start[level] + place / HASHES, level + 1, &parent);
    if (r)
        return r;
    memcpy(hash, parent->data + place % HASHES * 32, 32);
    image_put(parent);
    return 0;
}

static int fetch_block(struct image *m, uint64_t index, unsigned level, uint8_t *data)
{
    uint8_t want[32], have[32];
    int r = expected_hash(m, index, level, want);
    if (r)
        return r;
    stats_count(root_blocks);
    uint64_t at = index << PAGE_SHIFT;
    if (m == &sites ? port_sites_read(at, data, PAGE_SIZE)
                    : port_image_read(m->number, at, data, PAGE_SIZE))
        return -EIO;
    digest_sha256(have, data, PAGE_SIZE);
    if (sh_equal_ct(want, have, 32))
        return 0;
    if (m == &images[0])
        log_line("shelter: block %lu of the root image is not what was built; refused", index);
    else if (m != &sites) /* of which its user says it */
        log_line("shelter: block %lu of the image's data is not what was built; refused", index);
    return -EIO;
}

/* Adds what was checked, unless another did so meanwhile: the block that is there now, or NULL. */
static struct image_block *keep_block(struct image *m, uint64_t index, uint8_t *data)
{
    struct image_block *b = los_alloc(sizeof(*b)), *there = NULL;
    lock_take(&m->lock, RANK_IMAGE);
    void **slot = b ? radix_slot(&m->cache, index) : NULL;
    if (slot && !(there = *slot)) {
        *b = (struct image_block){.index = index, .data = data};
        list_append(&m->ring, &b->node);
        m->cached++;
        radix_put(slot, b);
        there = b;
    }
    lock_give(&m->lock);
    if (there != b)
        los_free(b);
    return there;
}

/* Which whole blocks were read before, as far as can be told by few words: what is read again is
 * worth a place in the cache (programs that are executed often). */
#define SEEN 1024u
static uint32_t seen_blocks[SEEN];

static bool was_read(const struct image *m, uint64_t index)
{
    uint64_t key = index * (IMAGES + 1) + m->number + 1;
    uint32_t *at = &seen_blocks[key % SEEN];
    bool seen = __atomic_load_n(at, __ATOMIC_RELAXED) == (uint32_t)key;
    if (!seen)
        __atomic_store_n(at, (uint32_t)key, __ATOMIC_RELAXED);
    return seen;
}

/* Reading and hashing hold no lock that others need. */
static int bring_block(struct image *m, uint64_t index, unsigned level, struct image_block **out)
{
    if (!los_is_shared())
        evict_block(m);
    uint8_t *data = page_alloc();
    int r = data ? fetch_block(m, index, level, data) : -ENOMEM;
    *out = r ? NULL : keep_block(m, index, data);
    if (data && (!*out || (*out)->data != data))
        page_free(data);
    return !r && !*out ? -ENOMEM : r;
}

static int get_block(struct image *m, uint64_t index, unsigned level, struct image_block **out)
{
    struct image_block *b = radix_get(&m->cache, index);
    if (b) {
        stats_count(cache_hits);
    } else {
        int r = bring_block(m, index, level, &b);
        if (r)
            return r;
    }
    if (!los_is_shared())
        b->pins++;
    if (!__atomic_load_n(&b->used, __ATOMIC_RELAXED))
        __atomic_store_n(&b->used, true, __ATOMIC_RELAXED);
    *out = b;
    return 0;
}

bool image_trim_is_due(void)
{
    bool due = false;
    for (uint32_t i = 0; i < IMAGES; i++)
        due = due || __atomic_load_n(&images[i].cached, __ATOMIC_RELAXED) > images[i].cached_max;
    return due;
}

void image_trim(void)
{
    for (uint32_t i = 0; i < IMAGES; i++)
        if (images[i].cached > images[i].cached_max)
            evict_block(&images[i]);
}

int image_get(uint64_t index, struct image_block **out)
{
    uint64_t number = index >> (IMAGE_WINDOW - PAGE_SHIFT);
    index &= (1ull << (IMAGE_WINDOW - PAGE_SHIFT)) - 1;
    return number < IMAGES && index < images[number].blocks
               ? get_block(&images[number], index, 0, out)
               : -EIO;
}

void image_put(struct image_block *b)
{
    if (!los_is_shared())
        b->pins--;
}

static int read_bytes(struct image *m, uint64_t offset, void *buf, size_t size)
{
    if (offset > m->size || size > m->size - offset)
        return -EIO;
    for (uint8_t *to = buf; size;) {
        size_t at = offset % PAGE_SIZE, n = MIN(size, PAGE_SIZE - at);
        uint64_t index = offset >> PAGE_SHIFT;
        struct image_block *b;
        int r;
        if (n == PAGE_SIZE && !radix_get(&m->cache, index) && !was_read(m, index)) {
            r = fetch_block(m, index, 0, to);
        } else if (!(r = get_block(m, index, 0, &b))) {
            memcpy(to, b->data + at, n);
            image_put(b);
        }
        if (r)
            return r;
        to += n;
        offset += n;
        size -= n;
    }
    return 0;
}

int image_read(uint64_t offset, void *buf, size_t size)
{
    uint64_t number = offset >> IMAGE_WINDOW;
    return number < IMAGES
               ? read_bytes(&images[number], offset & ((1ull << IMAGE_WINDOW) - 1), buf, size)
               : -EIO;
}

int image_sites_read(uint64_t offset, void *buf, size_t size)
{
    return read_bytes(&sites, offset, buf, size);
}
