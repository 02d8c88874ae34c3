// SPDX-License-Identifier: Apache-2.0
// Reads blocks of the root image, checks them against the hash tree, keeps them.
#include "trusted/libos/fs/image.h"

#include "lib/bytes.h"
#include "trusted/libos/base/digest.h"
#include "trusted/libos/base/radix.h"

#define HASHES 128u /* in a block */
#define LEVELS_MAX 10u

static struct {
    uint64_t size, blocks;
    unsigned levels;
    uint64_t level_start[LEVELS_MAX]; /* block number; 0 is the level nearest the data */
    uint8_t root_hash[32];
    struct radix cache; /* by block number of root.img, hash blocks too */
    struct list ring;
    uint64_t cached, cached_max;
} image;

int image_open(uint64_t root_size, const uint8_t root_hash[32], uint64_t cache_pages)
{
    if (!root_size || root_size % PAGE_SIZE || root_size >> 50)
        return -EINVAL;
    memset(&image, 0, sizeof(image));
    image.size = root_size;
    image.blocks = root_size >> PAGE_SHIFT;
    memcpy(image.root_hash, root_hash, 32);
    list_init(&image.ring);
    image.cached_max = MAX(cache_pages, 64);
    uint64_t count[LEVELS_MAX], n = image.blocks;
    while (n > 1) {
        n = (n + HASHES - 1) / HASHES;
        count[image.levels++] = n;
    }
    uint64_t at = image.blocks;
    for (unsigned i = image.levels; i-- > 0;) {
        image.level_start[i] = at;
        at += count[i];
    }
    return 0;
}

uint64_t image_size(void)
{
    return image.size;
}

/* Makes room: the first unpinned block that was not used since the hand came by. */
static void evict(void)
{
    for (uint64_t tries = 2 * image.cached; image.cached >= image.cached_max && tries; tries--) {
        struct image_block *b = container_of(image.ring.next, struct image_block, node);
        list_remove(&b->node);
        if (b->pins || b->used) {
            b->used = false;
            list_append(&image.ring, &b->node);
            continue;
        }
        *radix_slot(&image.cache, b->index) = NULL;
        image.cached--;
        page_free(b->data);
        los_free(b);
    }
}

static int get(uint64_t index, unsigned level, struct image_block **out);

/* What the block's digest must be: from its parent in the tree, or the manifest. `level` is 0 for
 * data, n+1 for blocks of level n. */
static int expected(uint64_t index, unsigned level, uint8_t hash[32])
{
    if (level == image.levels) {
        memcpy(hash, image.root_hash, 32);
        return 0;
    }
    uint64_t place = level ? index - image.level_start[level - 1] : index;
    struct image_block *parent;
    int r = get(image.level_start[level] + place / HASHES, level + 1, &parent);
    if (r)
        return r;
    memcpy(hash, parent->data + place % HASHES * 32, 32);
    image_put(parent);
    return 0;
}

static int fetch(uint64_t index, unsigned level, uint8_t *data)
{
    uint8_t want[32], have[32];
    int r = expected(index, level, want);
    if (r)
        return r;
    stats.root_blocks++;
    if (port_root_read(index << PAGE_SHIFT, data, PAGE_SIZE))
        return -EIO;
    digest_sha256(have, data, PAGE_SIZE);
    if (sh_equal_ct(want, have, 32))
        return 0;
    log_line("shelter: block %lu of the root image is not what was built; refused", index);
    return -EIO;
}

static int get(uint64_t index, unsigned level, struct image_block **out)
{
    struct image_block *b = radix_get(&image.cache, index);
    if (b) {
        stats.cache_hits++;
    } else {
        evict();
        b = los_alloc(sizeof(*b));
        uint8_t *data = page_alloc();
        int r = b && data ? fetch(index, level, data) : -ENOMEM;
        void **slot = r ? NULL : radix_slot(&image.cache, index);
        if (!slot) {
            if (data)
                page_free(data);
            los_free(b);
            return r ? r : -ENOMEM;
        }
        b->index = index;
        b->data = data;
        list_append(&image.ring, &b->node);
        image.cached++;
        *slot = b;
    }
    b->pins++;
    b->used = true;
    *out = b;
    return 0;
}

int image_get(uint64_t index, struct image_block **out)
{
    return index < image.blocks ? get(index, 0, out) : -EIO;
}

void image_put(struct image_block *b)
{
    b->pins--;
}

int image_read(uint64_t offset, void *buf, size_t size)
{
    if (offset > image.size || size > image.size - offset)
        return -EIO;
    for (uint8_t *to = buf; size;) {
        size_t at = offset % PAGE_SIZE, n = MIN(size, PAGE_SIZE - at);
        uint64_t index = offset >> PAGE_SHIFT;
        struct image_block *b;
        int r;
        if (n == PAGE_SIZE && !radix_get(&image.cache, index)) {
            r = fetch(index, 0, to);
        } else if (!(r = image_get(index, &b))) {
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
