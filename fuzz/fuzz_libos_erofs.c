// SPDX-License-Identifier: Apache-2.0
// The LibOS's erofs reader on broken images: every inode in reach read, listed and searched.
#include <stdlib.h>

#include "trusted/libos/base/mode.h"
#include "trusted/libos/fs/erofs.h"
#include "trusted/libos/fs/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *image;
static size_t image_bytes;
static uint32_t number; /* the image's */

uint64_t image_size(uint32_t of)
{
    return of == number ? image_bytes : 0;
}

int image_read(uint64_t offset, void *buf, size_t size)
{
    if (offset >> IMAGE_WINDOW != number)
        return -EIO;
    offset &= (1ull << IMAGE_WINDOW) - 1;
    if (offset > image_bytes || size > image_bytes - offset)
        return -EIO;
    memcpy(buf, image + offset, size);
    return 0;
}

void *los_alloc(size_t size)
{
    return calloc(1, size);
}

void los_free(void *p)
{
    free(p);
}

static unsigned budget;

static int visit(uint64_t nid, unsigned depth);

static int each(void *arg, const char *name, uint32_t size, uint64_t nid, uint8_t type)
{
    const struct erofs_node *dir = arg;
    uint64_t found;
    if (!size || size > EROFS_NAME_MAX || memchr(name, '/', size) || memchr(name, 0, size))
        abort();
    erofs_lookup(dir, name, size, &found);
    if (!budget)
        return 1;
    budget--;
    return visit(nid, 1);
}

static int visit(uint64_t nid, unsigned depth)
{
    static uint8_t buf[4096];
    struct erofs_node n;
    if (erofs_node(nid, &n))
        return 0;
    for (uint64_t at = 0; at < n.size && at < 65536; at += sizeof(buf))
        erofs_read(&n, at, buf, MIN(sizeof(buf), n.size - at));
    if (n.size) /* the end: what is said to be there must be readable or an error */
        erofs_read(&n, n.size - 1, buf, 1);
    if (erofs_read(&n, n.size, buf, 1) != -EIO)
        abort();
    if ((n.mode & S_IFMT) == S_IFDIR && depth == 0)
        erofs_list(&n, each, &n);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t root;
    /* At least the superblock's block; magic and block size as they should be. */
    image_bytes = (size + 4096 + 4095) / 4096 * 4096;
    uint8_t *copy = calloc(1, image_bytes);
    memcpy(copy, data, size);
    static const uint8_t magic[4] = {0xe2, 0xe1, 0xf5, 0xe0};
    memcpy(copy + 1024, magic, 4);
    copy[1024 + 12] = 12;
    memset(copy + 1024 + 80, 0, 4);
    image = copy;
    budget = 64;
    number = (uint32_t)(size % IMAGES);
    if (!erofs_open(number, &root)) {
        visit(root, 0);
        for (uint64_t nid = 0; nid < 8; nid++)
            visit((root >> 48 << 48) + (size ? data[0] * nid : nid), 0);
    }
    free(copy);
    return 0;
}
