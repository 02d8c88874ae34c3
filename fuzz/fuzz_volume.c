// SPDX-License-Identifier: Apache-2.0
// Volumes whose blocks pass for genuine whatever they hold: a cipher that accepts everything stands
// in for the real one. What is then read as root record, node, inode, directory or log must not
// make the code leave its memory or run for ever; wrong answers are allowed.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/no_cipher.h"
#include "host/store/volume_owner.h"
#include "trusted/volume/internal.h"

#define BLOCKS 4096u
#define BLOCK 4096u
#define MEMORY VOLUME_MEMORY_MIN
#define STEPS 3000u /* calls of the disk in one run */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *base, *disk, *memory;
static unsigned steps;
static uint64_t random_state;

static int read_blocks(void *ctx, uint64_t block, void *buf, uint32_t count)
{
    if (++steps > STEPS || block + count > BLOCKS)
        return -EIO;
    memcpy(buf, disk + block * BLOCK, (size_t)count * BLOCK);
    return 0;
}

static int write_blocks(void *ctx, uint64_t block, const void *buf, uint32_t count)
{
    if (++steps > STEPS || block + count > BLOCKS)
        return -EIO;
    memcpy(disk + block * BLOCK, buf, (size_t)count * BLOCK);
    return 0;
}

static int flush_blocks(void *ctx)
{
    return ++steps > STEPS ? -EIO : 0;
}

static int random_bytes(void *ctx, void *buf, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)buf)[i] = (uint8_t)(random_state = random_state * 6364136223846793005u + 1);
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
static const struct volume_owner owner;
static const struct volume_name none;

static struct volume_name name_of(const char *text)
{
    return (struct volume_name){text, strlen(text)};
}

/* A volume with some of everything, the last of it in the log. */
static void make_base(void)
{
    struct volume *v;
    uint64_t ino, dir;
    char name[] = "name-00";
    static uint8_t text[70000];
    memory = aligned_alloc(BLOCK, MEMORY);
    disk = calloc(BLOCKS, BLOCK);
    base = calloc(BLOCKS, BLOCK);
    if (volume_create(&table, key, "", memory, MEMORY) ||
        volume_open(&table, key, 0, memory, MEMORY, &v))
        abort();
    if (volume_make(v, VOLUME_ROOT, name_of("dir"), 040755, owner, 0, none, &dir))
        abort();
    for (unsigned i = 0; i < 60; i++) {
        name[5] = (char)('0' + i / 10);
        name[6] = (char)('0' + i % 10);
        if (volume_make(v, i % 2 ? dir : VOLUME_ROOT, name_of(name), 0100644, owner, 0, none, &ino))
            abort();
    }
    if (volume_write(v, ino, 600000, text, sizeof(text)) ||
        volume_xattr_set(v, ino, name_of("user.a"), "value", 5, 0) || volume_commit(v))
        abort();
    v->delta_max = 8;
    if (volume_write(v, ino, 600000, text, 9000) || volume_commit(v) || !v->super.delta_records ||
        volume_write(v, ino, 10, "logged", 6) || volume_sync(v))
        abort();
    memcpy(base, disk, (size_t)BLOCKS * BLOCK);
    volume_abandon(v);
}

static int visit_name(void *arg, struct volume_name name, uint64_t ino, uint32_t mode,
                      uint64_t next)
{
    return ++*(unsigned *)arg > 200;
}

static void ignore(void *arg, const char *text)
{
}

static void use(struct volume *v)
{
    static uint8_t buf[20000];
    struct volume_stat st;
    struct volume_change c = {.what = VOLUME_SET_SIZE, .size = 5000};
    for (uint64_t ino = 1; ino < 70; ino += 3) {
        unsigned count = 0;
        volume_stat(v, ino, &st);
        volume_read(v, ino, 599000, buf, sizeof(buf));
        volume_list(v, ino, ino * 0x30000001u, visit_name, &count);
        volume_xattr_get(v, ino, name_of("user.a"), buf, sizeof(buf));
        volume_xattr_list(v, ino, (char *)buf, sizeof(buf));
        volume_seek(v, ino, 0, true);
        volume_write(v, ino, 100, "text", 4);
    }
    uint64_t ino = 3;
    volume_lookup(v, VOLUME_ROOT, name_of("name-10"), &ino);
    volume_set(v, ino, &c);
    volume_make(v, VOLUME_ROOT, name_of("new"), 0100600, owner, 0, none, &ino);
    volume_rename(v, VOLUME_ROOT, name_of("new"), 3, name_of("name-11"), false);
    volume_unlink(v, VOLUME_ROOT, name_of("name-12"));
    volume_rmdir(v, VOLUME_ROOT, name_of("dir"));
    volume_sync(v);
    volume_commit(v);
    volume_check(v, ignore, NULL);
}

/* The input: patches, each block 2, offset 2, size 1, bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct volume *v;
    steps = 0;
    if (!base)
        make_base();
    memcpy(disk, base, (size_t)BLOCKS * BLOCK);
    while (size > 5) {
        /* Near the front, where the blocks are. */
        size_t block = (data[0] | data[1] << 8) % 256, at = (data[2] | data[3] << 8) % BLOCK;
        size_t n = data[4] % 64;
        data += 5;
        size -= 5;
        n = n < size ? n : size;
        n = n < BLOCK - at ? n : BLOCK - at;
        memcpy(disk + block * BLOCK + at, data, n);
        data += n;
        size -= n;
    }
    steps = 0;
    if (volume_open(&table, key, 0, memory, MEMORY, &v))
        return 0;
    v->delta_max = 8;
    use(v);
    volume_abandon(v);
    return 0;
}
