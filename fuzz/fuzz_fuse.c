// SPDX-License-Identifier: Apache-2.0
// The VM's server of volumes: requests of any kind, in any order, on a small volume.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/no_cipher.h"
#include "trusted/guest/volume/server.h"

#define BLOCKS 4096u
#define BLOCK 4096u
#define REQUESTS 60u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *base, *disk, *memory, *answer;

static int read_blocks(void *ctx, uint64_t block, void *buf, uint32_t count)
{
    if (block + count > BLOCKS)
        return -EIO;
    memcpy(buf, disk + block * BLOCK, (size_t)count * BLOCK);
    return 0;
}

static int write_blocks(void *ctx, uint64_t block, const void *buf, uint32_t count)
{
    if (block + count > BLOCKS)
        return -EIO;
    memcpy(disk + block * BLOCK, buf, (size_t)count * BLOCK);
    return 0;
}

static int flush_blocks(void *ctx)
{
    return 0;
}

static int random_bytes(void *ctx, void *buf, size_t size)
{
    memset(buf, 7, size);
    return 0;
}

static int64_t now_ns(void *ctx)
{
    return 1;
}

static const struct volume_disk table = {.read_blocks = read_blocks,
                                         .write_blocks = write_blocks,
                                         .flush_blocks = flush_blocks,
                                         .random_bytes = random_bytes,
                                         .now_ns = now_ns,
                                         .blocks = BLOCKS};
static const uint8_t key[VOLUME_KEY_SIZE];

static void make_base(void)
{
    disk = calloc(BLOCKS, BLOCK);
    base = calloc(BLOCKS, BLOCK);
    memory = aligned_alloc(BLOCK, VOLUME_MEMORY_MIN);
    answer = malloc(SERVER_DATA_MAX);
    struct volume *v;
    if (volume_start(&table, key, "", 0, memory, VOLUME_MEMORY_MIN, &v) || volume_close(v, NULL))
        abort();
    memcpy(base, disk, (size_t)BLOCKS * BLOCK);
}

static void one_request(struct server *s, uint32_t opcode, uint64_t node, const uint8_t *data,
                        size_t size)
{
    uint64_t *copy = malloc(size + 8); /* aligned, and its end is seen */
    memcpy(copy, data, size);
    struct request q = {
        .opcode = opcode, .node = node, .arg = (uint8_t *)copy, .size = size, .out = answer};
    /* The flush is a thread's. */
    if (opcode != FUSE_FSYNC && opcode != FUSE_FSYNCDIR && opcode != FUSE_SYNCFS)
        handle_request(s, &q);
    else
        volume_sync(s->v);
    free(copy);
}

/* The input: requests, each opcode 1, node 1, size 1, argument. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct server s = {.fuse_fd = -1, .flush_fd = -1};
    if (!base)
        make_base();
    memcpy(disk, base, (size_t)BLOCKS * BLOCK);
    if (volume_open(&table, key, 0, memory, VOLUME_MEMORY_MIN, &s.v))
        abort();
    for (unsigned i = 0; i < REQUESTS && size > 3; i++) {
        size_t n = data[2] < size - 3 ? data[2] : size - 3;
        one_request(&s, data[0] % 56u, data[1] % 24u, data + 3, n);
        data += 3 + n;
        size -= 3 + n;
    }
    for (size_t i = 0; i < s.known_pages; i++)
        free(s.known[i]);
    free(s.known);
    volume_abandon(s.v);
    return 0;
}
