// SPDX-License-Identifier: Apache-2.0
// Volumes: the cipher, opening and closing, and a disk that lies.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "tests/unit/volume_model.h"
#include "trusted/volume/crypt.h"
#include "trusted/volume/internal.h"

#define BLOCKS 4096u
#define MEMORY VOLUME_MEMORY_MIN

static const uint8_t key[VOLUME_KEY_SIZE] = "a key for tests, of 32 bytes....";
static const uint8_t other_key[VOLUME_KEY_SIZE] = "another key for tests, 32 bytes.";
static const struct volume_owner root = {0, 0};
static const struct volume_name none;
static uint8_t *memory;

static bool has_avx(void)
{
    return __builtin_cpu_supports("avx") && __builtin_cpu_supports("movbe");
}

static struct volume *open_volume(struct sim *s, int flags)
{
    struct volume *v;
    struct volume_disk d = sim_disk(s);
    assert_int_equal(volume_open(&d, key, flags, memory, MEMORY, &v), 0);
    return v;
}

static struct volume *new_volume(struct sim *s, uint64_t blocks, uint64_t seed)
{
    sim_init(s, blocks, seed);
    struct volume_disk d = sim_disk(s);
    assert_int_equal(volume_create(&d, key, "test", memory, MEMORY), 0);
    return open_volume(s, 0);
}

static uint64_t make_file(struct volume *v, const char *name, const void *data, size_t size)
{
    uint64_t ino;
    assert_int_equal(volume_make(v, VOLUME_ROOT, vname(name), 0100644, root, 0, none, &ino), 0);
    for (size_t at = 0; at < size; at += VOLUME_WRITE_MAX) {
        size_t part = size - at < VOLUME_WRITE_MAX ? size - at : VOLUME_WRITE_MAX;
        assert_int_equal(volume_write(v, ino, at, (const uint8_t *)data + at, part), 0);
    }
    return ino;
}

/* ---- the cipher ---- */

static void by_openssl(const uint8_t *k, const uint8_t *nonce, const uint8_t *aad, int aad_size,
                       const uint8_t *in, uint8_t *out, int size, uint8_t *tag)
{
    int n;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    assert_true(EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, k, nonce));
    assert_true(EVP_EncryptUpdate(c, NULL, &n, aad, aad_size));
    assert_true(EVP_EncryptUpdate(c, out, &n, in, size));
    assert_true(EVP_EncryptFinal_ex(c, out + n, &n));
    assert_true(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, tag));
    EVP_CIPHER_CTX_free(c);
}

/* Every size up to two strides of the assembly, then some; with AVX and without. */
static void test_cipher(void **state)
{
    static uint8_t in[8192], out[8192], want[8192], back[8192];
    static struct crypt_key k;
    uint64_t random = 1;
    for (int avx = 0; avx <= has_avx(); avx++) {
        crypt_init(avx);
        for (size_t n = 0; n < 900; n++) {
            uint8_t secret[32], nonce[12], aad[64], tag[16], want_tag[16];
            size_t size = n < 700 ? n : sim_next(&random) % sizeof(in);
            size_t aad_size = sim_next(&random) % sizeof(aad);
            for (size_t i = 0; i < size; i++)
                in[i] = (uint8_t)sim_next(&random);
            for (size_t i = 0; i < 32; i++)
                secret[i] = (uint8_t)sim_next(&random);
            for (size_t i = 0; i < 12; i++)
                nonce[i] = (uint8_t)sim_next(&random);
            for (size_t i = 0; i < aad_size; i++)
                aad[i] = (uint8_t)sim_next(&random);
            crypt_expand(&k, secret);
            crypt_seal(&k, nonce, aad, aad_size, in, out, size, tag);
            by_openssl(secret, nonce, aad, (int)aad_size, in, want, (int)size, want_tag);
            assert_memory_equal(tag, want_tag, 16);
            if (size)
                assert_memory_equal(out, want, size);
            assert_true(crypt_open(&k, nonce, aad, aad_size, out, back, size, tag));
            if (size)
                assert_memory_equal(back, in, size);
            tag[n % 16] ^= (uint8_t)(1 << n % 8);
            assert_false(crypt_open(&k, nonce, aad, aad_size, out, back, size, tag));
            for (size_t i = 0; i < size; i++)
                assert_int_equal(back[i], 0);
            tag[n % 16] ^= (uint8_t)(1 << n % 8);
            if (size) {
                out[n % size] ^= 0x80;
                assert_false(crypt_open(&k, nonce, aad, aad_size, out, out, size, tag));
            }
        }
    }
    crypt_init(has_avx());
}

static void test_derive(void **state)
{
    uint8_t have[32], want[32], info[14] = "block";
    size_t size = sizeof(want);
    for (unsigned i = 0; i < 8; i++)
        info[6 + i] = (uint8_t)(0x1122334455667788ull >> 8 * i);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
    assert_true(EVP_PKEY_derive_init(c) > 0 && EVP_PKEY_CTX_set_hkdf_md(c, EVP_sha256()) > 0 &&
                EVP_PKEY_CTX_set1_hkdf_key(c, key, 32) > 0 &&
                EVP_PKEY_CTX_add1_hkdf_info(c, info, sizeof(info)) > 0 &&
                EVP_PKEY_derive(c, want, &size) > 0);
    EVP_PKEY_CTX_free(c);
    crypt_derive(have, key, "block", 0x1122334455667788ull);
    assert_memory_equal(have, want, 32);
}

/* ---- opening ---- */

static void test_keys(void **state)
{
    struct sim s;
    struct volume *v = new_volume(&s, BLOCKS, 1);
    struct volume_disk d = sim_disk(&s);
    make_file(v, "file", "text", 4);
    assert_int_equal(volume_close(v, NULL), 0);
    assert_int_equal(volume_open(&d, other_key, 0, memory, MEMORY, &v), -EKEYREJECTED);
    assert_null(v);
    v = open_volume(&s, 0);
    assert_int_equal(volume_rekey(v, other_key), 0);
    assert_int_equal(volume_close(v, NULL), 0);
    /* Neither of the root records opens with the old key. */
    assert_int_equal(volume_open(&d, key, 0, memory, MEMORY, &v), -EKEYREJECTED);
    assert_int_equal(volume_open(&d, other_key, 0, memory, MEMORY, &v), 0);
    uint64_t ino;
    assert_int_equal(volume_lookup(v, VOLUME_ROOT, vname("file"), &ino), 0);
    assert_int_equal(volume_close(v, NULL), 0);
    sim_end(&s);
}

/* The host's clock goes back, stands still, is before 1970 or at its end: only times in the volume
 * follow it. */
static void test_clock(void **state)
{
    static const int64_t clocks[] = {2000000000000000000, 1000000000000000000, 1, -1,
                                     INT64_MIN,           INT64_MAX - 1000000, 0};
    struct sim s;
    struct volume *v = new_volume(&s, BLOCKS, 1);
    size_t count = sizeof(clocks) / sizeof(clocks[0]);
    for (size_t i = 0; i < count; i++) {
        char name[] = {(char)('a' + i), 0};
        s.clock = clocks[i];
        make_file(v, name, name, 1);
        assert_int_equal(volume_sync(v), 0);
        if (i % 2) /* as after a kill, so that the log is replayed at another time */
            volume_abandon(v);
        else
            assert_int_equal(volume_close(v, NULL), 0);
        s.clock = clocks[(i + 3) % count];
        v = open_volume(&s, 0);
        for (size_t k = 0; k <= i; k++) {
            uint64_t ino;
            char known[] = {(char)('a' + k), 0}, text;
            assert_int_equal(volume_lookup(v, VOLUME_ROOT, vname(known), &ino), 0);
            assert_int_equal(volume_read(v, ino, 0, &text, 1), 1);
            assert_int_equal(text, known[0]);
        }
    }
    assert_int_equal(volume_check(v, NULL, NULL), 0);
    assert_int_equal(volume_close(v, NULL), 0);
    sim_end(&s);
}

static void test_nothing_readable(void **state)
{
    struct sim s;
    struct volume *v = new_volume(&s, BLOCKS, 1);
    static const char secret[] = "a text that nobody may read, and a name";
    make_file(v, secret, secret, sizeof(secret));
    assert_int_equal(volume_sync(v), 0);
    assert_int_equal(volume_close(v, NULL), 0);
    assert_null(memmem(s.now, s.blocks * SIM_BLOCK, secret, 8));
    /* And what the volume used of memory is wiped. */
    assert_null(memmem(memory, MEMORY, secret, 8));
    assert_null(memmem(memory, MEMORY, key, 8));
    sim_end(&s);
}

static void test_read_only(void **state)
{
    struct sim s;
    struct volume *v = new_volume(&s, BLOCKS, 1);
    struct volume_disk d = sim_disk(&s);
    uint64_t ino = make_file(v, "file", "text", 4);
    assert_int_equal(volume_sync(v), 0);
    volume_abandon(v);
    assert_int_equal(volume_open(&d, key, VOLUME_READ_ONLY, memory, MEMORY, &v), -EROFS);
    assert_int_equal(volume_close(open_volume(&s, 0), NULL), 0);
    uint64_t writes = s.write_calls;
    char text[8];
    v = open_volume(&s, VOLUME_READ_ONLY);
    assert_int_equal(volume_read(v, ino, 0, text, sizeof(text)), 4);
    assert_int_equal(volume_write(v, ino, 0, "x", 1), -EROFS);
    assert_int_equal(volume_rekey(v, other_key), -EROFS);
    assert_int_equal(volume_close(v, NULL), 0);
    assert_int_equal(s.write_calls, writes);
    sim_end(&s);
}

static int largest; /* the file of a disk of 16 TiB, sparse */

static int largest_read(void *ctx, uint64_t block, void *buf, uint32_t count)
{
    return pread(largest, buf, count * 4096ul, (off_t)block * 4096) == count * 4096l ? 0 : -EIO;
}

static int largest_write(void *ctx, uint64_t block, const void *buf, uint32_t count)
{
    return pwrite(largest, buf, count * 4096ul, (off_t)block * 4096) == count * 4096l ? 0 : -EIO;
}

static int largest_flush(void *ctx)
{
    return 0;
}

/* 16 TiB: the last groups are used as the first are, and so is the map's last part. */
static void test_largest(void **state)
{
    struct sim s;
    struct volume *v;
    struct volume_stat st;
    struct volume_info info;
    static uint8_t buf[VOLUME_WRITE_MAX], back[VOLUME_WRITE_MAX];
    sim_init(&s, 4, 3); /* for its clock and random numbers */
    struct volume_disk d = sim_disk(&s);
    largest = memfd_create("largest", MFD_CLOEXEC);
    assert_int_equal(ftruncate(largest, 16ll << 40), 0);
    d.read_blocks = largest_read;
    d.write_blocks = largest_write;
    d.flush_blocks = largest_flush;
    d.discard_blocks = NULL;
    d.blocks = 1ull << 32;
    uint8_t *all = aligned_alloc(4096, VOLUME_MEMORY);
    assert_int_equal(volume_create(&d, key, "largest", all, VOLUME_MEMORY), 0);
    assert_int_equal(volume_open(&d, key, 0, all, VOLUME_MEMORY, &v), 0);
    volume_info(v, &info);
    assert_true(info.available > (16ull << 40) / 4096 / 1000 * 999);
    uint64_t ino = make_file(v, "file", key, 32);
    memset(buf, 'x', sizeof(buf));
    for (unsigned i = 0; i < 4; i++) {
        v->content_cursor = v->super.blocks - 20; /* some at the end, the rest at the front */
        v->cursor = v->super.blocks - 200000;
        assert_int_equal(volume_write(v, ino, (uint64_t)i << 45, buf, sizeof(buf)), 0);
        assert_int_equal(volume_commit(v), 0);
    }
    assert_int_equal(volume_close(v, NULL), 0);
    assert_int_equal(volume_open(&d, key, 0, all, VOLUME_MEMORY, &v), 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(volume_read(v, ino, (uint64_t)i << 45, back, sizeof(back)), sizeof(back));
        assert_memory_equal(back, buf, sizeof(buf));
    }
    assert_int_equal(volume_stat(v, ino, &st), 0);
    assert_true(st.blocks >= 4 * sizeof(buf) / 4096 && st.blocks < 6 * sizeof(buf) / 4096);
    assert_true(lseek(largest, (off_t)(v->super.blocks - 20) * 4096, SEEK_DATA) >= 0);
    assert_int_equal(volume_check(v, NULL, NULL), 0);
    assert_int_equal(volume_close(v, NULL), 0);
    close(largest);
    free(all);
    sim_end(&s);
}

static void test_sizes(void **state)
{
    struct sim s;
    struct volume *v;
    struct volume_info before, after;
    sim_init(&s, 70000, 3);
    struct volume_disk d = sim_disk(&s);
    d.blocks = VOLUME_BLOCKS_MIN - 1;
    assert_int_equal(volume_create(&d, key, "", memory, MEMORY), -EINVAL);
    d.blocks = 5000;
    assert_int_equal(volume_create(&d, key, "grows", memory, MEMORY), 0);
    d.blocks = 70000;
    assert_int_equal(volume_open(&d, key, 0, memory, MEMORY, &v), 0);
    uint64_t ino = make_file(v, "file", key, 32);
    volume_info(v, &before);
    assert_string_equal(v->super.name, "grows");
    assert_int_equal(volume_close(v, NULL), 0);
    assert_int_equal(volume_start(&d, key, "", 0, memory, MEMORY, &v), 0);
    assert_string_equal(v->super.name, "grows");
    assert_int_equal(v->super.blocks, 70000);
    volume_info(v, &after);
    assert_true(after.free > before.free + 64000);
    static uint8_t buf[VOLUME_WRITE_MAX];
    for (unsigned i = 0; i < 1900; i++) {
        assert_int_equal(volume_write(v, ino, (uint64_t)i * sizeof(buf), buf, sizeof(buf)), 0);
        sim_settle(&s);
    }
    assert_int_equal(volume_check(v, NULL, NULL), 0);
    assert_int_equal(volume_close(v, NULL), 0);
    d.blocks = 69999;
    assert_int_equal(volume_open(&d, key, 0, memory, MEMORY, &v), -EOVERFLOW);
    d.blocks = 70000;
    assert_int_equal(volume_open(&d, key, 0, memory, MEMORY, &v), 0);
    struct volume_stat st;
    assert_int_equal(volume_stat(v, ino, &st), 0);
    assert_int_equal(st.size, 1900 * sizeof(buf));
    assert_int_equal(volume_close(v, NULL), 0);
    sim_end(&s);
}

/* ---- names ---- */

static int count_one(void *arg, struct volume_name name, uint64_t ino, uint32_t mode, uint64_t next)
{
    ++*(unsigned *)arg;
    return 0;
}

static void test_many_names(void **state)
{
    struct sim s;
    struct volume *v = new_volume(&s, 20000, 5);
    const unsigned count = 100000;
    unsigned seen = 0;
    uint64_t ino, first;
    char name[32];
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "name-%u", i);
        assert_int_equal(volume_make(v, VOLUME_ROOT, vname(name), 0100644, root, 0, none, &ino), 0);
        if (!i)
            first = ino;
        sim_settle(&s);
    }
    assert_int_equal(volume_close(v, NULL), 0);
    v = open_volume(&s, 0);
    assert_int_equal(volume_list(v, VOLUME_ROOT, 0, count_one, &seen), 0);
    assert_int_equal(seen, count);
    for (unsigned i = 0; i < count; i += 7) {
        snprintf(name, sizeof(name), "name-%u", i);
        assert_int_equal(volume_lookup(v, VOLUME_ROOT, vname(name), &ino), 0);
        assert_int_equal(ino, first + i);
    }
    snprintf(name, sizeof(name), "name-%u", count);
    assert_int_equal(volume_lookup(v, VOLUME_ROOT, vname(name), &ino), -ENOENT);
    assert_int_equal(volume_check(v, NULL, NULL), 0);
    assert_int_equal(volume_close(v, NULL), 0);
    sim_end(&s);
}

static void test_bad_names(void **state)
{
    struct sim s;
    struct volume *v = new_volume(&s, BLOCKS, 6);
    char name[300];
    uint64_t ino;
    static const char *bad[] = {"", ".", "..", "a/b"};
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(volume_make(v, VOLUME_ROOT, vname(bad[i]), 0100644, root, 0, none, &ino),
                         -EINVAL);
    memset(name, 'x', sizeof(name));
    struct volume_name longest = {name, 255}, too_long = {name, 256};
    assert_int_equal(volume_make(v, VOLUME_ROOT, too_long, 0100644, root, 0, none, &ino),
                     -ENAMETOOLONG);
    assert_int_equal(volume_make(v, VOLUME_ROOT, longest, 0100644, root, 0, none, &ino), 0);
    assert_int_equal(volume_make(v, ino, vname("a"), 0100644, root, 0, none, &ino), -ENOTDIR);
    assert_int_equal(volume_lookup(v, 1u << 20, vname("a"), &ino), -ENOENT);
    assert_int_equal(volume_close(v, NULL), 0);
    sim_end(&s);
}

/* ---- contents ---- */

static void test_sparse(void **state)
{
    struct sim s;
    struct volume *v = new_volume(&s, BLOCKS, 7);
    uint64_t ino = make_file(v, "file", "x", 1), far = 1ull << 46;
    char back[4];
    assert_int_equal(volume_write(v, ino, far, "end", 3), 0);
    assert_int_equal(volume_write(v, ino, 1ull << 47, "end", 3), -EFBIG);
    assert_int_equal(volume_seek(v, ino, 0, false), 0);
    assert_int_equal(volume_seek(v, ino, 0, true), SIM_BLOCK);
    assert_int_equal(volume_seek(v, ino, SIM_BLOCK, false), far);
    assert_int_equal(volume_seek(v, ino, far, true), far + 3);
    assert_int_equal(volume_seek(v, ino, far + 3, true), -ENXIO);
    assert_int_equal(volume_read(v, ino, far, back, 4), 3);
    assert_memory_equal(back, "end", 3);
    assert_int_equal(volume_punch(v, ino, 0, far), 0);
    assert_int_equal(volume_seek(v, ino, 0, false), far);
    struct volume_stat st;
    assert_int_equal(volume_stat(v, ino, &st), 0);
    assert_true(st.blocks < 10);
    assert_int_equal(volume_check(v, NULL, NULL), 0);
    struct volume_change c = {.what = VOLUME_SET_SIZE};
    assert_int_equal(volume_set(v, ino, &c), 0);
    assert_int_equal(volume_stat(v, ino, &st), 0);
    assert_int_equal(st.blocks, 0);
    assert_int_equal(volume_close(v, NULL), 0);
    sim_end(&s);
}

/* What is unlinked while open lasts until it is closed, or the next open. */
static void test_orphans(void **state)
{
    struct sim s;
    struct volume *v = new_volume(&s, BLOCKS, 8);
    struct volume_info before, after;
    char back[8];
    volume_info(v, &before);
    for (int forget = 0; forget < 2; forget++) {
        uint64_t ino = make_file(v, "file", "text", 4), found;
        assert_int_equal(volume_remove(v, VOLUME_ROOT, vname("file")), 0);
        assert_int_equal(volume_lookup(v, VOLUME_ROOT, vname("file"), &found), -ENOENT);
        assert_int_equal(volume_read(v, ino, 0, back, 8), 4);
        assert_int_equal(volume_sync(v), 0);
        assert_int_equal(volume_read(v, ino, 0, back, 8), 4);
        if (forget)
            assert_int_equal(volume_forget(v, ino), 0);
        else
            assert_int_equal(volume_close(v, NULL), 0);
        if (!forget)
            v = open_volume(&s, 0);
        volume_info(v, &after);
        assert_int_equal(after.files, before.files);
        assert_int_equal(volume_check(v, NULL, NULL), 0);
    }
    assert_int_equal(volume_close(v, NULL), 0);
    sim_end(&s);
}

/* Random writes to more than fits in memory: what reaches the disk, and what is found again. */
static void test_random_writes(void **state)
{
    static uint8_t data[SIM_BLOCK], back[SIM_BLOCK];
    const uint64_t blocks = 65536, used = 36000, writes = 30000;
    struct sim s;
    struct volume *v = new_volume(&s, blocks, 30);
    uint64_t random = 31, ino = make_file(v, "file", NULL, 0);
    uint32_t *last = calloc(used, sizeof(*last));
    for (uint64_t i = 0; i < used; i++)
        assert_int_equal(volume_write(v, ino, i * SIM_BLOCK, data, sizeof(data)), 0);
    assert_int_equal(volume_commit(v), 0);
    uint64_t before = s.written;
    for (uint32_t i = 1; i <= writes; i++) {
        uint64_t at = sim_next(&random) % used;
        last[at] = i;
        memcpy(data, &i, sizeof(i));
        assert_int_equal(volume_write(v, ino, at * SIM_BLOCK, data, sizeof(data)), 0);
        if (i % 4096 == 0)
            assert_int_equal(volume_commit(v), 0);
    }
    assert_int_equal(volume_commit(v), 0);
    double each = (double)(s.written - before) / (double)writes;
    print_message("           %.3f blocks for each that is written\n", each);
    assert_true(each < 1.3);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(volume_check(v, NULL, NULL), 0);
        for (uint64_t i = 0; i < used; i++) {
            uint32_t have;
            assert_int_equal(volume_read(v, ino, i * SIM_BLOCK, back, sizeof(back)), SIM_BLOCK);
            memcpy(&have, back, sizeof(have));
            assert_int_equal(have, last[i]);
        }
        assert_int_equal(volume_close(v, NULL), 0);
        v = open_volume(&s, VOLUME_READ_ONLY);
    }
    assert_true(v->super.delta_records && v->delta_live > 100);
    assert_int_equal(volume_close(v, NULL), 0);
    free(last);
    sim_end(&s);
}

/* What this version does not know, it does not touch. */
static void test_versions(void **state)
{
    struct sim s;
    for (int how = 0; how < 2; how++) {
        struct volume *v = new_volume(&s, BLOCKS, 32);
        struct volume_disk d = sim_disk(&s);
        v->super.version += how ? 0 : 1;
        v->super.features = how ? 1 : 0;
        assert_int_equal(volume_close(v, NULL), 0);
        uint64_t written = s.written;
        assert_int_equal(volume_open(&d, key, 0, memory, MEMORY, &v), -EPROTO);
        assert_int_equal(s.written, written);
        sim_end(&s);
    }
}

/* ---- a disk that lies ---- */

static void ignore(void *arg, const char *text)
{
}

struct lied {
    struct sim now, old, other;
    uint64_t hash;
};

/* A volume with all kinds of blocks; an earlier state of it; another volume. */
static void lied_init(struct lied *l)
{
    static uint8_t data[190000];
    uint64_t random = 9, ino;
    int error;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)sim_next(&random);
    struct volume *v = new_volume(&l->other, BLOCKS, 10);
    make_file(v, "large", data, sizeof(data));
    assert_int_equal(volume_close(v, NULL), 0);
    v = new_volume(&l->now, BLOCKS, 11);
    make_file(v, "large", data, sizeof(data));
    assert_int_equal(volume_make(v, VOLUME_ROOT, vname("dir"), 040755, root, 0, none, &ino), 0);
    make_file(v, "small", data, 100);
    assert_int_equal(volume_close(v, NULL), 0);
    sim_init(&l->old, BLOCKS, 1);
    memcpy(l->old.now, l->now.now, BLOCKS * (size_t)SIM_BLOCK);
    v = open_volume(&l->now, 0);
    v->delta_max = v->delta_room; /* as in a large volume */
    for (unsigned i = 0; i < 200; i++) {
        char name[300];
        snprintf(name, sizeof(name), "%0200u", i);
        ino = make_file(v, name, data + i, i);
    }
    assert_int_equal(volume_lookup(v, VOLUME_ROOT, vname("large"), &ino), 0);
    assert_int_equal(volume_write(v, ino, 5000, data, 70000), 0);
    assert_int_equal(volume_xattr_set(v, ino, vname("user.a"), "value", 5, 0), 0);
    assert_int_equal(volume_commit(v), 0);
    assert_true(v->super.delta_records > 10);
    make_file(v, "logged", data, 9000);
    assert_int_equal(volume_sync(v), 0);
    make_file(v, "logged too", data, 1000);
    assert_int_equal(volume_sync(v), 0);
    l->hash = volume_hash(v, VOLUME_ROOT, 1, &error);
    assert_int_equal(error, 0);
    volume_abandon(v);
}

static void lied_end(struct lied *l)
{
    sim_end(&l->now);
    sim_end(&l->old);
    sim_end(&l->other);
}

/* Opens it as it is: an error, or all as it was. `partial`: the log's end may be missing. */
static bool whole_or_error(struct lied *l, bool partial, const char *what, uint64_t block)
{
    struct volume *v;
    struct volume_disk d = sim_disk(&l->now);
    int error;
    if (volume_open(&d, key, 0, memory, MEMORY, &v))
        return false;
    uint64_t have = volume_hash(v, VOLUME_ROOT, 1, &error);
    bool whole = !error && have == l->hash;
    if (!error && !whole && !partial)
        fail_msg("%s block %lu: other data, and no error", what, (unsigned long)block);
    if (whole)
        volume_check(v, ignore, NULL);
    volume_abandon(v);
    return whole;
}

static void test_hostile_blocks(void **state)
{
    static struct lied l;
    static uint8_t saved[SIM_BLOCK];
    unsigned refused = 0, blocks = 0;
    uint64_t random = 12;
    lied_init(&l);
    uint8_t *image = malloc(BLOCKS * (size_t)SIM_BLOCK);
    memcpy(image, l.now.now, BLOCKS * (size_t)SIM_BLOCK);
    for (uint64_t b = 0; b < BLOCKS; b++) {
        uint8_t *at = l.now.now + b * SIM_BLOCK;
        bool empty = true;
        for (unsigned i = 0; i < SIM_BLOCK && empty; i++)
            empty = !image[b * SIM_BLOCK + i];
        if (empty)
            continue;
        blocks++;
        /* The log's end cut off is an earlier state: what the anchor is for. */
        bool partial = b >= LOG_START && b < LOG_START + BLOCKS / 64;
        for (int how = 0; how < 6; how++) {
            uint64_t from = sim_next(&random) % BLOCKS;
            memcpy(saved, at, SIM_BLOCK);
            switch (how) {
            case 0:
                at[sim_next(&random) % SIM_BLOCK] ^= (uint8_t)(1u << sim_next(&random) % 8);
                break;
            case 1:
                memset(at, 0, SIM_BLOCK);
                break;
            case 2:
                memcpy(at, image + from * SIM_BLOCK, SIM_BLOCK);
                break;
            case 3:
                memcpy(at, l.old.now + b * SIM_BLOCK, SIM_BLOCK);
                break;
            case 4:
                memcpy(at, l.other.now + b * SIM_BLOCK, SIM_BLOCK);
                break;
            default:
                memcpy(at, l.old.now + from * SIM_BLOCK, SIM_BLOCK);
            }
            bool changed = memcmp(saved, at, SIM_BLOCK);
            if (!whole_or_error(&l, partial, "changed", b) && changed)
                refused++;
            memcpy(l.now.now, image, BLOCKS * (size_t)SIM_BLOCK);
        }
    }
    print_message("           %u blocks, %u changes refused\n", blocks, refused);
    assert_true(blocks > 200 && refused > 2 * blocks);
    assert_true(whole_or_error(&l, false, "unchanged", 0));
    free(image);
    lied_end(&l);
}

/* A record of the log that a later one proves to have been acknowledged. */
static void test_hostile_log(void **state)
{
    static struct lied l;
    struct volume *v;
    lied_init(&l);
    struct volume_disk d = sim_disk(&l.now);
    uint8_t *log = l.now.now + LOG_START * SIM_BLOCK;
    log[17] ^= 1; /* of the first */
    assert_int_equal(volume_open(&d, key, 0, memory, MEMORY, &v), -EUCLEAN);
    log[17] ^= 1;
    log[3 * SIM_BLOCK + 17] ^= 1; /* the last: nothing proves it but the anchor */
    v = open_volume(&l.now, 0);
    uint64_t ino;
    assert_int_equal(volume_lookup(v, VOLUME_ROOT, vname("logged"), &ino), 0);
    assert_int_equal(volume_lookup(v, VOLUME_ROOT, vname("logged too"), &ino), -ENOENT);
    assert_int_equal(v->found.log_count, 3);
    volume_abandon(v);
    lied_end(&l);
}

/* A block that who has the key wrote, with nonsense in it: an error of whoever uses it. */
static void test_genuine_nonsense(void **state)
{
    struct sim s;
    struct volume *v = new_volume(&s, BLOCKS, 25);
    struct node *n;
    uint64_t ino = make_file(v, "file", "text", 4), other;
    char value[8];
    unsigned seen = 0;
    assert_int_equal(volume_xattr_set(v, ino, vname("user.a"), "value", 5, 0), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(tree_node(v, VOLUME_ROOT, 0, 0, 0, &n), 0);
        static const uint8_t heads[2][2] = {{0xff, 0xff}, {0xf9, 0x0f}};
        memcpy(n->data, heads[i], 2); /* used */
        assert_int_equal(volume_lookup(v, VOLUME_ROOT, vname("file"), &other), -EIO);
        assert_int_equal(volume_list(v, VOLUME_ROOT, 0, count_one, &seen), -EIO);
    }
    assert_int_equal(volume_remove(v, VOLUME_ROOT, vname("file")), -EIO);
    assert_int_equal(tree_xattr(v, ino, 0, &n), 0);
    memcpy(n->data, "\xfd\x0f", 2);
    assert_int_equal(volume_xattr_get(v, ino, vname("user.a"), value, 8), -EIO);
    assert_int_equal(volume_xattr_list(v, ino, value, 8), -EIO);
    assert_int_equal(volume_xattr_set(v, ino, vname("user.a"), NULL, 0, 0), -EIO);
    assert_int_equal(volume_make(v, VOLUME_ROOT, vname("more"), 0100644, root, 0, none, &other),
                     -EIO);
    volume_abandon(v);
    sim_end(&s);
    /* A file that has a name among those that lost theirs: opening comes to an end. */
    v = new_volume(&s, BLOCKS, 26);
    ino = make_file(v, "file", "text", 4);
    assert_int_equal(dir_add(v, INO_ORPHANS, vname("file"), ino, 0100644), 0);
    assert_int_equal(volume_close(v, NULL), 0);
    struct volume_disk d = sim_disk(&s);
    assert_int_equal(volume_open(&d, key, 0, memory, MEMORY, &v), -EIO);
    sim_end(&s);
}

/* Reads that fail, one after the other, and writes and flushes. */
static void test_errors(void **state)
{
    static struct lied l;
    lied_init(&l);
    struct volume_disk d = sim_disk(&l.now);
    uint8_t *image = malloc(BLOCKS * (size_t)SIM_BLOCK);
    memcpy(image, l.now.now, BLOCKS * (size_t)SIM_BLOCK);
    unsigned failed = 0;
    for (int kind = 0; kind < 3; kind++) {
        uint64_t *at = kind == 0   ? &l.now.fail_read_at
                       : kind == 1 ? &l.now.fail_write_at
                                   : &l.now.fail_flush_at;
        uint64_t *calls = kind == 0   ? &l.now.read_calls
                          : kind == 1 ? &l.now.write_calls
                                      : &l.now.flush_calls;
        bool over = false;
        for (uint64_t n = 1; !over && n < 2000; n++) {
            struct volume *v;
            *calls = 0;
            *at = n;
            if (volume_open(&d, key, 0, memory, MEMORY, &v)) {
                failed++;
            } else {
                uint64_t random = n;
                uint64_t ino;
                int r = volume_lookup(v, VOLUME_ROOT, vname("large"), &ino);
                if (!r)
                    r = volume_write(v, ino, sim_next(&random) % 180000, key, 32);
                if (!r)
                    r = volume_rename(v, VOLUME_ROOT, vname("small"), VOLUME_ROOT, vname("tiny"),
                                      false);
                if (!r)
                    r = volume_sync(v);
                if (!r)
                    r = volume_commit(v);
                failed += r != 0;
                over = !r && *calls < n;
                volume_abandon(v);
            }
            /* Whatever failed: what is on the disk opens. */
            *at = 0;
            v = open_volume(&l.now, 0);
            if (n % 8 == 1)
                assert_int_equal(volume_check(v, ignore, NULL), 0);
            volume_abandon(v);
            sim_settle(&l.now);
            memcpy(l.now.now, image, BLOCKS * (size_t)SIM_BLOCK);
        }
        assert_true(over);
    }
    assert_true(failed > 30);
    free(image);
    lied_end(&l);
}

/* A disk that gives a block once as it is and once otherwise. */
static struct sim *two_faced;
static uint64_t face_at, face_reads;
static int two_answers(void *ctx, uint64_t block, void *buf, uint32_t count)
{
    int r = sim_read(ctx, block, buf, count);
    if (++face_reads % 7 == face_at)
        ((uint8_t *)buf)[face_reads % SIM_BLOCK] ^= 4;
    return r;
}

static void test_two_answers(void **state)
{
    static struct lied l;
    unsigned bad = 0;
    lied_init(&l);
    two_faced = &l.now;
    struct volume_disk d = sim_disk(&l.now);
    d.read_blocks = two_answers;
    uint8_t *image = malloc(BLOCKS * (size_t)SIM_BLOCK);
    memcpy(image, l.now.now, BLOCKS * (size_t)SIM_BLOCK);
    for (face_at = 0; face_at < 7; face_at++) {
        struct volume *v;
        int error;
        memcpy(l.now.now, image, BLOCKS * (size_t)SIM_BLOCK);
        if (volume_open(&d, key, 0, memory, MEMORY, &v))
            continue;
        uint64_t have = volume_hash(v, VOLUME_ROOT, 1, &error);
        if (!error)
            assert_true(have == l.hash);
        bad += error != 0;
        volume_abandon(v);
    }
    print_message("           %u of 7 ways refused later than at open\n", bad);
    free(image);
    lied_end(&l);
}

/* The disk shrinks, or ends in the middle. */
static void test_truncated(void **state)
{
    static struct lied l;
    struct volume *v;
    lied_init(&l);
    for (uint64_t blocks = 0; blocks < BLOCKS; blocks += blocks < 80 ? 1 : 97) {
        struct volume_disk d = sim_disk(&l.now);
        l.now.blocks = d.blocks = blocks;
        int r = volume_open(&d, key, 0, memory, MEMORY, &v);
        assert_true(r == -EIO || r == -EOVERFLOW || r == -EKEYREJECTED);
    }
    l.now.blocks = BLOCKS;
    assert_true(whole_or_error(&l, false, "whole", 0));
    lied_end(&l);
}

/* More disk than volume, whatever is in it. */
static void test_extended(void **state)
{
    static struct lied l;
    lied_init(&l);
    uint8_t *larger = malloc(2 * BLOCKS * (size_t)SIM_BLOCK);
    memcpy(larger, l.now.now, BLOCKS * (size_t)SIM_BLOCK);
    memset(larger + BLOCKS * (size_t)SIM_BLOCK, 0xa5, BLOCKS * (size_t)SIM_BLOCK);
    free(l.now.now);
    l.now.now = larger;
    l.now.durable = realloc(l.now.durable, 2 * BLOCKS * (size_t)SIM_BLOCK);
    l.now.touched = realloc(l.now.touched, 2 * BLOCKS * sizeof(*l.now.touched));
    l.now.blocks = 2 * BLOCKS;
    assert_true(whole_or_error(&l, false, "longer", 0));
    struct volume_disk d = sim_disk(&l.now);
    struct volume *v;
    int error;
    assert_int_equal(volume_start(&d, key, "", 0, memory, MEMORY, &v), 0);
    assert_int_equal(v->super.blocks, 2 * BLOCKS);
    assert_true(volume_hash(v, VOLUME_ROOT, 1, &error) == l.hash && !error);
    assert_int_equal(volume_check(v, ignore, NULL), 0);
    assert_int_equal(volume_close(v, NULL), 0);
    lied_end(&l);
}

/* The four places of root records hold any of: what they should, an earlier state's, another
 * volume's, zeros, each other's. Either the volume is as it was, or it says that it is older (and
 * the anchor knows), or it does not open. */
static void test_crossed_roots(void **state)
{
    static const uint64_t places[] = {0, 1, 8, 9};
    static struct lied l;
    static uint8_t roots[6][4][SIM_BLOCK];
    unsigned same = 0, older = 0, refused = 0;
    lied_init(&l);
    struct volume *v = open_volume(&l.now, 0);
    struct volume_state latest;
    volume_state(v, &latest);
    volume_abandon(v);
    uint8_t *image = malloc(BLOCKS * (size_t)SIM_BLOCK);
    memcpy(image, l.now.now, BLOCKS * (size_t)SIM_BLOCK);
    for (unsigned p = 0; p < 4; p++) {
        memcpy(roots[0][p], l.now.now + places[p] * SIM_BLOCK, SIM_BLOCK);
        memcpy(roots[1][p], l.old.now + places[p] * SIM_BLOCK, SIM_BLOCK);
        memcpy(roots[2][p], l.other.now + places[p] * SIM_BLOCK, SIM_BLOCK);
        memcpy(roots[4][p ^ 1], l.now.now + places[p] * SIM_BLOCK, SIM_BLOCK);
        memcpy(roots[5][p], roots[0][p], SIM_BLOCK); /* the head of one, the rest of another */
        memcpy(roots[5][p] + 88, l.old.now + places[p] * SIM_BLOCK + 88, SIM_BLOCK - 88);
    }
    for (unsigned choice = 0; choice < 6 * 6 * 6 * 6; choice += 7) {
        struct volume_disk d = sim_disk(&l.now);
        int error;
        memcpy(l.now.now, image, BLOCKS * (size_t)SIM_BLOCK);
        for (unsigned p = 0, rest = choice; p < 4; p++, rest /= 6)
            memcpy(l.now.now + places[p] * SIM_BLOCK, roots[rest % 6][p], SIM_BLOCK);
        if (volume_open(&d, key, 0, memory, MEMORY, &v)) {
            refused++;
            continue;
        }
        struct volume_state found = v->found;
        uint64_t have = volume_hash(v, VOLUME_ROOT, 1, &error);
        if (found.sequence < latest.sequence - 1)
            older++;
        else if (error || have != l.hash)
            fail_msg("roots %u: sequence %lu, other data", choice, (unsigned long)found.sequence);
        else
            same++;
        volume_abandon(v);
    }
    print_message("           as it was %u, older and says so %u, refused %u\n", same, older,
                  refused);
    assert_true(same > 30 && older + refused > 10);
    free(image);
    lied_end(&l);
}

/* ---- every earlier state ---- */

#define STATES 7u

struct past {
    struct sim disk;
    uint8_t *images[STATES];
    uint64_t hashes[STATES];
};

/* A file that is overwritten, one more, one less, attributes: on the disk by the log, by a commit,
 * by closing it. */
static void change_past(struct past *p, struct volume **v, unsigned n)
{
    static uint8_t data[60000];
    char name[8];
    uint64_t ino;
    int error;
    memset(data, (int)n + 1, sizeof(data));
    if (n)
        assert_int_equal(volume_lookup(*v, VOLUME_ROOT, vname("large"), &ino), 0);
    else
        ino = make_file(*v, "large", data, sizeof(data));
    assert_int_equal(volume_write(*v, ino, n * 5000, data, sizeof(data)), 0);
    assert_int_equal(volume_xattr_set(*v, ino, vname("user.n"), &n, sizeof(n), 0), 0);
    snprintf(name, sizeof(name), "n%u", n);
    make_file(*v, name, data, n * 700);
    snprintf(name, sizeof(name), "n%u", n - 3);
    if (n >= 3)
        assert_int_equal(volume_remove(*v, VOLUME_ROOT, vname(name)), 0);
    p->hashes[n] = volume_hash(*v, VOLUME_ROOT, 1, &error);
    assert_int_equal(error, 0);
    if (n % 3 == 2) {
        assert_int_equal(volume_close(*v, NULL), 0);
        *v = open_volume(&p->disk, 0);
    }
    assert_int_equal(n % 3 == 1 ? volume_commit(*v) : volume_sync(*v), 0);
    p->images[n] = malloc(BLOCKS * (size_t)SIM_BLOCK);
    memcpy(p->images[n], p->disk.now, BLOCKS * (size_t)SIM_BLOCK);
}

/* Opens it: the number of the state that it shows, whole, or -1: an error. */
static int open_past(struct past *p, const char *what, uint64_t block)
{
    struct volume *v;
    struct volume_disk d = sim_disk(&p->disk);
    int error;
    if (volume_open(&d, key, 0, memory, MEMORY, &v))
        return -1;
    uint64_t have = volume_hash(v, VOLUME_ROOT, 1, &error);
    volume_abandon(v);
    for (int n = STATES; !error && n--;) {
        if (have == p->hashes[n])
            return n;
    }
    if (!error)
        fail_msg("%s, block %lu: a state that never was", what, (unsigned long)block);
    return -1;
}

static void copy_blocks(struct past *p, unsigned from, uint64_t block, uint64_t count)
{
    memcpy(p->disk.now + block * SIM_BLOCK, p->images[from] + block * SIM_BLOCK, count * SIM_BLOCK);
}

/* Of each earlier state: one block, the log, the root records, all but the root records, all. */
static void test_earlier_states(void **state)
{
    static struct past p;
    const uint64_t log_end = LOG_START + BLOCKS / 64;
    unsigned replayed = 0, refused = 0;
    struct volume *v = new_volume(&p.disk, BLOCKS, 41);
    v->delta_max = v->delta_room; /* as in a large volume */
    for (unsigned n = 0; n < STATES; n++)
        change_past(&p, &v, n);
    volume_abandon(v);
    const unsigned last = STATES - 1;
    assert_int_equal(open_past(&p, "unchanged", 0), last);
    for (unsigned n = 0; n < last; n++) {
        for (uint64_t b = 0; b < BLOCKS; b++) {
            if (!memcmp(p.images[n] + b * SIM_BLOCK, p.images[last] + b * SIM_BLOCK, SIM_BLOCK))
                continue;
            copy_blocks(&p, last, 0, BLOCKS);
            copy_blocks(&p, n, b, 1);
            int found = open_past(&p, "one block", b);
            /* The log's end cut off is what the anchor is for; nothing else shows what was. */
            if (found >= 0 && found < (b >= LOG_START && b < log_end ? (int)last - 2 : (int)last))
                fail_msg("block %lu of state %u: shows state %d", (unsigned long)b, n, found);
            replayed++;
            refused += found < 0;
        }
        copy_blocks(&p, last, 0, BLOCKS);
        copy_blocks(&p, n, LOG_START, BLOCKS / 64);
        assert_true(open_past(&p, "log", 0) >= (int)last - 2 || n == last);
        copy_blocks(&p, n, 0, BLOCKS);
        copy_blocks(&p, last, 0, 2);
        copy_blocks(&p, last, ROOT_COPY, 2);
        int found = open_past(&p, "all but the root records", 0);
        assert_true(found < 0 || found >= (int)last - 2);
        copy_blocks(&p, last, 0, BLOCKS);
        copy_blocks(&p, n, 0, 2);
        copy_blocks(&p, n, ROOT_COPY, 2);
        found = open_past(&p, "root records", 0); /* and the log that is theirs, if there is one */
        assert_true(found <= (int)n || !memcmp(p.images[n], p.images[found], 2 * SIM_BLOCK));
        copy_blocks(&p, n, 0, BLOCKS); /* genuine: what the anchor is for */
        assert_int_equal(open_past(&p, "all", 0), n);
    }
    print_message("           %u blocks of earlier states, %u refused\n", replayed, refused);
    assert_true(replayed > 100 && refused > 50);
    for (unsigned n = 0; n < STATES; n++)
        free(p.images[n]);
    sim_end(&p.disk);
}

static unsigned short_at, short_reads;

static int short_read(void *ctx, uint64_t block, void *buf, uint32_t count)
{
    uint8_t saved[512];
    memcpy(saved, (uint8_t *)buf + (size_t)count * SIM_BLOCK - sizeof(saved), sizeof(saved));
    int r = sim_read(ctx, block, buf, count);
    if (++short_reads % 5 == short_at)
        memcpy((uint8_t *)buf + (size_t)count * SIM_BLOCK - sizeof(saved), saved, sizeof(saved));
    return r;
}

/* Less arrived than was said. */
static void test_short_reads(void **state)
{
    static struct lied l;
    lied_init(&l);
    uint8_t *image = malloc(BLOCKS * (size_t)SIM_BLOCK);
    memcpy(image, l.now.now, BLOCKS * (size_t)SIM_BLOCK);
    for (short_at = 0; short_at < 5; short_at++) {
        struct volume_disk d = sim_disk(&l.now);
        struct volume *v;
        int error;
        d.read_blocks = short_read;
        memcpy(l.now.now, image, BLOCKS * (size_t)SIM_BLOCK);
        if (volume_open(&d, key, 0, memory, MEMORY, &v))
            continue;
        uint64_t have = volume_hash(v, VOLUME_ROOT, 1, &error);
        assert_true(error || have == l.hash);
        volume_abandon(v);
    }
    free(image);
    lied_end(&l);
}

/* No nonce twice under a key, also when the disk was put back: sessions differ. */
static void test_nonces(void **state)
{
    struct sim s, old;
    struct volume_state a, b;
    struct volume *v = new_volume(&s, BLOCKS, 13);
    make_file(v, "file", "text", 4);
    assert_int_equal(volume_close(v, NULL), 0);
    sim_init(&old, BLOCKS, 99);
    memcpy(old.now, s.now, BLOCKS * (size_t)SIM_BLOCK);
    v = open_volume(&s, 0);
    make_file(v, "one", "1111", 4);
    assert_int_equal(volume_commit(v), 0);
    volume_state(v, &a);
    volume_abandon(v);
    v = open_volume(&old, 0);
    make_file(v, "two", "2222", 4);
    assert_int_equal(volume_commit(v), 0);
    volume_state(v, &b);
    volume_abandon(v);
    assert_int_equal(a.sequence, b.sequence);
    assert_int_not_equal(a.session, b.session);
    assert_memory_not_equal(a.root, b.root, 16);
    /* The blocks of one do not open in the other: each mix of the two is refused or one of them. */
    for (uint64_t block = 0; block < 400; block++) {
        struct volume_disk d = sim_disk(&s);
        uint8_t saved[SIM_BLOCK], *at = s.now + block * SIM_BLOCK;
        uint8_t *image = malloc(BLOCKS * (size_t)SIM_BLOCK);
        uint64_t ino;
        memcpy(image, s.now, BLOCKS * (size_t)SIM_BLOCK);
        memcpy(saved, at, SIM_BLOCK);
        memcpy(at, old.now + block * SIM_BLOCK, SIM_BLOCK);
        if (!volume_open(&d, key, 0, memory, MEMORY, &v)) {
            int one = volume_lookup(v, VOLUME_ROOT, vname("one"), &ino);
            int two = volume_lookup(v, VOLUME_ROOT, vname("two"), &ino);
            assert_false(!one && !two);
            volume_abandon(v);
        }
        memcpy(s.now, image, BLOCKS * (size_t)SIM_BLOCK);
        free(image);
    }
    sim_end(&s);
    sim_end(&old);
}

int main(void)
{
    memory = aligned_alloc(4096, MEMORY);
    crypt_init(has_avx());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cipher),
        cmocka_unit_test(test_derive),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_nothing_readable),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_sparse),
        cmocka_unit_test(test_orphans),
        cmocka_unit_test(test_random_writes),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_hostile_blocks),
        cmocka_unit_test(test_hostile_log),
        cmocka_unit_test(test_genuine_nonsense),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_two_answers),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_nonces),
        cmocka_unit_test(test_extended),
        cmocka_unit_test(test_earlier_states),
        cmocka_unit_test(test_crossed_roots),
        cmocka_unit_test(test_short_reads),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    free(memory);
    return r;
}
