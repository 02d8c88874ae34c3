// SPDX-License-Identifier: Apache-2.0
// Volumes whose blocks pass for genuine whatever they hold: a cipher that accepts everything stands
// in for the real one. What is then read as root record, node, inode, directory or log must not
// make the code leave its memory or run for ever; wrong answers are allowed. The first byte says
// what is spoilt: any blocks, the log's records, or a directory's blocks. Each node has memory of
// its own here, so that its end is seen.
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
static bool changed[BLOCKS]; /* of the disk, since it was the base */
static unsigned steps;
static uint64_t random_state;
static uint64_t folder, folder_places[2]; /* a directory, two of its blocks */

int __real_node_init(struct volume *v, uint8_t *at, size_t size);
int __wrap_node_init(struct volume *v, uint8_t *at, size_t size);

int __wrap_node_init(struct volume *v, uint8_t *at, size_t size)
{
    static uint8_t *own[MEMORY / BLOCK];
    int r = __real_node_init(v, at, size);
    for (uint32_t i = 0; !r && i < v->node_count; i++) {
        if (!own[i])
            own[i] = malloc(BLOCK);
        v->nodes[i].data = own[i];
    }
    return r;
}

static int read_blocks(void *ctx, uint64_t block, void *buf, uint32_t count)
{
    if (++steps > STEPS || block + count > BLOCKS)
        return -EIO;
    memcpy(buf, disk + block * BLOCK, (size_t)count * BLOCK);
    return 0;
}

static uint8_t *change_block(uint64_t block)
{
    changed[block] = true;
    return disk + block * BLOCK;
}

static void restore_disk(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        if (changed[i])
            memcpy(disk + i * BLOCK, base + i * BLOCK, BLOCK);
    }
    memset(changed, 0, sizeof(changed));
}

static int write_blocks(void *ctx, uint64_t block, const void *buf, uint32_t count)
{
    if (++steps > STEPS || block + count > BLOCKS)
        return -EIO;
    memcpy(change_block(block), buf, (size_t)count * BLOCK);
    memset(changed + block, true, count);
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

static uint64_t place_of(struct volume *v, uint64_t ino, uint64_t index)
{
    struct node *n;
    v->step++;
    if (tree_node(v, ino, 0, index, 0, &n))
        abort();
    return node_slot(v, n)->place;
}

/* A directory of several blocks. */
static void fill_folder(struct volume *v)
{
    char name[] = "folder-000-0123456789012345678901234567890123456789";
    uint64_t ino;
    if (volume_make(v, VOLUME_ROOT, name_of("folder"), 040755, owner, 0, none, &folder))
        abort();
    for (unsigned i = 0; i < 100; i++) {
        name[7] = (char)('0' + i / 100);
        name[8] = (char)('0' + i / 10 % 10);
        name[9] = (char)('0' + i % 10);
        if (volume_make(v, folder, name_of(name), 0100644, owner, 0, none, &ino))
            abort();
    }
    if (volume_commit(v))
        abort();
    folder_places[0] = place_of(v, folder, 1);
    folder_places[1] = place_of(v, folder, 2);
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
    if (volume_start(&table, key, "", 0, memory, MEMORY, &v))
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
    fill_folder(v);
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

static void use_folder(struct volume *v)
{
    char name[] = "folder-000-0123456789012345678901234567890123456789";
    uint64_t ino;
    unsigned count = 0;
    volume_list(v, folder, 0, visit_name, &count);
    for (unsigned i = 0; i < 200; i += 7) {
        name[7] = (char)('0' + i / 100);
        name[8] = (char)('0' + i / 10 % 10);
        name[9] = (char)('0' + i % 10);
        volume_lookup(v, folder, name_of(name), &ino);
        if (i % 3)
            volume_make(v, folder, name_of(name), 0100644, owner, 0, none, &ino);
        else
            volume_remove(v, folder, name_of(name));
        name[0]++;
        volume_make(v, folder, name_of(name), 0100644, owner, 0, none, &ino);
        name[0]--;
    }
    volume_rename(v, folder, name_of(name), VOLUME_ROOT, name_of("name-20"), true);
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
    use_folder(v);
    volume_set(v, ino, &c);
    volume_make(v, VOLUME_ROOT, name_of("new"), 0100600, owner, 0, none, &ino);
    volume_rename(v, VOLUME_ROOT, name_of("new"), 3, name_of("name-11"), false);
    volume_remove(v, VOLUME_ROOT, name_of("name-12"));
    volume_remove(v, VOLUME_ROOT, name_of("dir"));
    volume_sync(v);
    volume_commit(v);
    volume_check(v, ignore, NULL);
}

/* Patches, each block 2, offset 2, size 1, bytes. */
static void patch_blocks(const uint8_t *data, size_t size)
{
    while (size > 5) {
        /* Near the front, where the blocks are. */
        size_t block = (data[0] | data[1] << 8) % 256, at = (data[2] | data[3] << 8) % BLOCK;
        size_t n = data[4] % 64;
        data += 5;
        size -= 5;
        n = n < size ? n : size;
        n = n < BLOCK - at ? n : BLOCK - at;
        memcpy(change_block(block) + at, data, n);
        data += n;
        size -= n;
    }
}

/* Half a number that means something, half any. */
static uint64_t number_of(const uint8_t *p)
{
    static const uint64_t some[] = {0,          1,          2,      3,        4095,
                                    4096,       600000,     7000,   1u << 20, 1ull << 32,
                                    1ull << 47, UINT64_MAX, 131072, 64};
    return p[0] & 1 ? some[p[1] % (sizeof(some) / sizeof(some[0]))] : (uint64_t)(p[0] >> 1) % 80;
}

/* One operation of `data` in the log, at most `room` bytes; how many. */
static size_t log_operation(const uint8_t **data, size_t *size, uint8_t *out, size_t room)
{
    const uint8_t *d = *data;
    char name[] = "name-00", to[] = "name-00";
    name[6] = (char)('0' + d[1] % 10);
    name[5] = to[5] = (char)('0' + d[1] % 7);
    to[6] = (char)('0' + d[2] % 10);
    struct op op = {.type = d[0] % 12, .now = d[3], .size = d[3] % 64};
    op.name = (struct volume_name){name, d[2] & 64 ? d[2] % 8u : 7};
    op.new_name = (struct volume_name){to, op.type == OP_RENAME ? 7 : 0};
    for (unsigned i = 0; i < 7; i++)
        op.a[i] = number_of(d + 4 + 2 * i);
    if (op.type == OP_MAKE && d[0] & 128)
        op.a[1] = d[0] & 64 ? 040755 : 0120777;
    op.size = op.size < *size - 18 ? op.size : (uint32_t)(*size - 18);
    op.data = d + 18;
    if (op_size(&op) > room)
        return 0;
    op_encode(&op, out);
    *data += 18 + op.size;
    *size -= 18 + op.size;
    return op_size(&op);
}

/* Records of the log: bytes as they come, or operations. */
static void write_log_records(const uint8_t *data, size_t size, bool raw)
{
    for (unsigned at = 0; at < 20 && size > 18; at++) {
        struct log_block b = {.record = at, .flags = LOG_FIRST | LOG_LAST, .tag = {1}};
        size_t used = 0, n;
        if (raw) {
            b.flags = data[0] & 3 ? LOG_FIRST | LOG_LAST : data[0] >> 2;
            used = size - 1 < LOG_DATA ? size - 1 : LOG_DATA;
            memcpy(b.data, data + 1, used);
            data += used + 1;
            size -= used + 1;
        }
        while (!raw && size > 18 &&
               (n = log_operation(&data, &size, b.data + used, LOG_DATA - used)))
            used += n;
        b.used = (uint16_t)used;
        memcpy(change_block(LOG_START + at), &b, BLOCK);
    }
}

/* Patches of one of a directory's blocks: which and offset 2, size 1, bytes. */
static void patch_folder(const uint8_t *data, size_t size)
{
    while (size > 3) {
        size_t at = (data[0] | data[1] << 8) % BLOCK, n = data[2];
        uint8_t *block = change_block(folder_places[(data[1] >> 4) % 2]);
        data += 3;
        size -= 3;
        n = n < size ? n : size;
        n = n < BLOCK - at ? n : BLOCK - at;
        memcpy(block + at, data, n);
        data += n;
        size -= n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct volume *v;
    steps = 0;
    if (!base)
        make_base();
    if (!size)
        return 0;
    restore_disk();
    switch (data[0] % 4) {
    case 0:
        patch_blocks(data + 1, size - 1);
        break;
    case 1:
        patch_folder(data + 1, size - 1);
        break;
    default:
        write_log_records(data + 1, size - 1, data[0] % 4 == 2);
    }
    steps = 0;
    if (volume_open(&table, key, 0, memory, MEMORY, &v))
        return 0;
    v->delta_max = 8;
    use(v);
    volume_abandon(v);
    return 0;
}
