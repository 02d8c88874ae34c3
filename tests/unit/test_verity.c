// SPDX-License-Identifier: Apache-2.0
// dm-verity: our tree is veritysetup's; a changed byte is found; no index leaves the tree.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/store/sink.h"
#include "lib/bytes.h"
#include "lib/hex.h"
#include "lib/sha2.h"

/* The block that holds the digest, on this level, above data block `block`. */
static uint64_t hash_block_of(const struct sh_verity *v, unsigned level, uint64_t block)
{
    for (unsigned i = 0; i <= level; i++)
        block /= SH_VERITY_FANOUT;
    return v->level_start[level] + block;
}

/* One data block against the root; path[i] is block hash_block_of(v, i, block) of each level. */
static int check_block(const struct sh_verity *v, const uint8_t root[SH_VERITY_DIGEST],
                       uint64_t block, const uint8_t *data, const uint8_t *const path[])
{
    uint8_t digest[SH_VERITY_DIGEST];
    if (block >= v->data_blocks)
        return -EBADMSG;
    sh_sha256(digest, data, SH_VERITY_BLOCK);
    for (unsigned i = 0; i < v->level_count; i++) {
        const uint8_t *want = path[i] + block % SH_VERITY_FANOUT * SH_VERITY_DIGEST;
        if (!sh_equal_ct(digest, want, sizeof(digest)))
            return -EBADMSG;
        sh_sha256(digest, path[i], SH_VERITY_BLOCK);
        block /= SH_VERITY_FANOUT;
    }
    return sh_equal_ct(digest, root, sizeof(digest)) ? 0 : -EBADMSG;
}

static void test_layout(void **state)
{
    static const struct {
        uint64_t data;
        unsigned levels;
        uint64_t total;
    } cases[] = {{1, 0, 1},         {2, 1, 3},         {128, 1, 129},
                 {129, 2, 132},     {16384, 2, 16513}, {16385, 3, 16385 + 129 + 2 + 1},
                 {1ull << 32, 5, 0}};
    struct sh_verity v;
    assert_int_equal(sh_verity_init(&v, 0), -EINVAL);
    assert_int_equal(sh_verity_init(&v, (1ull << 32) + 1), -EINVAL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(sh_verity_init(&v, cases[i].data), 0);
        assert_int_equal(v.level_count, cases[i].levels);
        if (cases[i].total)
            assert_int_equal(v.total_blocks, cases[i].total);
        /* The first and the last block's digests stand inside their level. */
        for (unsigned l = 0; l < v.level_count; l++) {
            assert_int_equal(hash_block_of(&v, l, 0), v.level_start[l]);
            assert_int_equal(hash_block_of(&v, l, cases[i].data - 1),
                             v.level_start[l] + v.level_blocks[l] - 1);
        }
    }
}

static FILE *write_image(uint64_t blocks, bool hole, uint8_t root[32])
{
    struct sh_error err = {0};
    struct sh_sink s;
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_int_equal(sh_sink_open(&s, fileno(f), blocks, &err), 0);
    for (uint64_t i = 0; i < blocks; i++) {
        uint8_t block[SH_VERITY_BLOCK];
        for (size_t k = 0; k < sizeof(block); k++)
            block[k] = (uint8_t)(i * 31 + k * 7 + (k >> 8));
        if (hole && i == 10) {
            uint64_t n = blocks - 20;
            assert_int_equal(sh_sink_zero(&s, n * SH_VERITY_BLOCK, &err), 0);
            i += n - 1;
            continue;
        }
        /* In uneven pieces. */
        assert_int_equal(sh_sink_add(&s, block, 1000, &err), 0);
        assert_int_equal(sh_sink_add(&s, block + 1000, sizeof(block) - 1000, &err), 0);
    }
    assert_int_equal(sh_sink_finish(&s, &err), 0);
    memcpy(root, s.root, 32);
    sh_sink_close(&s);
    return f;
}

static void veritysetup_agrees(FILE *f, uint64_t blocks, const uint8_t root[32])
{
    char command[512], line[256], text[65], data[] = "/tmp/verity-data.XXXXXX",
                                            tree[] = "/tmp/verity-tree.XXXXXX";
    bool found = false;
    int fd = mkstemp(data), tree_fd = mkstemp(tree);
    uint8_t block[SH_VERITY_BLOCK], other[SH_VERITY_BLOCK];
    for (uint64_t i = 0; i < blocks; i++) {
        assert_int_equal(sh_pread_all(fileno(f), block, sizeof(block), (off_t)(i * 4096)), 0);
        assert_int_equal(sh_write_all(fd, block, sizeof(block)), 0);
    }
    snprintf(command, sizeof(command),
             "PATH=$PATH:/sbin:/usr/sbin veritysetup format --no-superblock --salt - --hash sha256 "
             "--data-block-size 4096 --hash-block-size 4096 --format 1 %s %s 2>/dev/null",
             data, tree);
    FILE *p = popen(command, "r");
    sh_hex(text, root, 32);
    while (fgets(line, sizeof(line), p))
        found |= strstr(line, "Root hash") && strstr(line, text);
    assert_int_equal(pclose(p), 0);
    assert_true(found);
    struct sh_verity v;
    sh_verity_init(&v, blocks);
    for (uint64_t i = blocks; i < v.total_blocks; i++) {
        assert_int_equal(sh_pread_all(fileno(f), block, 4096, (off_t)(i * 4096)), 0);
        assert_int_equal(sh_pread_all(tree_fd, other, 4096, (off_t)((i - blocks) * 4096)), 0);
        assert_memory_equal(block, other, 4096);
    }
    close(fd);
    close(tree_fd);
    unlink(data);
    unlink(tree);
}

static void test_veritysetup(void **state)
{
    static const uint64_t sizes[] = {2, 127, 128, 129, 300, 16384, 16385};
    if (system("PATH=$PATH:/sbin:/usr/sbin veritysetup --version >/dev/null 2>&1"))
        skip();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int hole = 0; hole < 2; hole++) {
            uint8_t root[32];
            if (hole && sizes[i] < 100)
                continue;
            FILE *f = write_image(sizes[i], hole, root);
            veritysetup_agrees(f, sizes[i], root);
            fclose(f);
        }
    }
}

static int check(FILE *f, const struct sh_verity *v, const uint8_t root[32], uint64_t block,
                 long flip)
{
    uint8_t data[SH_VERITY_BLOCK] = {0}, path[SH_VERITY_LEVELS_MAX][SH_VERITY_BLOCK];
    const uint8_t *p[SH_VERITY_LEVELS_MAX];
    assert_int_equal(sh_pread_all(fileno(f), data, 4096, (off_t)(block * 4096)), 0);
    for (unsigned i = 0; i < v->level_count; i++) {
        uint64_t at = hash_block_of(v, i, block);
        assert_int_equal(sh_pread_all(fileno(f), path[i], 4096, (off_t)(at * 4096)), 0);
        p[i] = path[i];
    }
    if (flip >= 0 && flip < 4096)
        data[flip] ^= 1;
    else if (flip >= 0)
        path[flip / 4096 - 1][flip % 4096] ^= 0x80;
    return check_block(v, root, block, data, p);
}

static void test_check(void **state)
{
    uint8_t root[32], got[32];
    struct sh_verity v;
    struct sh_error err = {0};
    FILE *f = write_image(300, false, root);
    sh_verity_init(&v, 300);
    assert_int_equal(v.level_count, 2);
    for (uint64_t b = 0; b < 300; b += 13)
        assert_int_equal(check(f, &v, root, b, -1), 0);
    /* Any byte of data, of the digests' blocks at both levels (also of neighbours' digests). */
    for (long flip = 0; flip < 3 * 4096; flip += 97)
        assert_int_equal(check(f, &v, root, 200, flip), -EBADMSG);
    root[5] ^= 1;
    assert_int_equal(check(f, &v, root, 200, -1), -EBADMSG);
    root[5] ^= 1;
    /* A good block in another's place, and one that is not there. */
    uint8_t data[4096], path[2][4096];
    const uint8_t *p[2] = {path[0], path[1]};
    sh_pread_all(fileno(f), data, 4096, 7 * 4096);
    for (unsigned i = 0; i < 2; i++)
        sh_pread_all(fileno(f), path[i], 4096, (off_t)(hash_block_of(&v, i, 8) * 4096));
    assert_int_equal(check_block(&v, root, 8, data, p), -EBADMSG);
    assert_int_equal(check_block(&v, root, 7, data, p), 0);
    assert_int_equal(check_block(&v, root, 300, data, p), -EBADMSG);

    /* The whole file. */
    assert_int_equal(sh_verity_file(fileno(f), 300, true, got, &err), 0);
    assert_memory_equal(got, root, 32);
    for (uint64_t at = 299; at < v.total_blocks; at++) {
        uint8_t byte;
        off_t where = (off_t)(at * 4096 + 4000);
        sh_pread_all(fileno(f), &byte, 1, where);
        byte ^= 4;
        sh_pwrite_all(fileno(f), &byte, 1, where);
        assert_int_equal(sh_verity_file(fileno(f), 300, true, got, &err), -EBADMSG);
        byte ^= 4;
        sh_pwrite_all(fileno(f), &byte, 1, where);
    }
    assert_int_equal(ftruncate(fileno(f), (off_t)(v.total_blocks * 4096 - 1)), 0);
    assert_int_equal(sh_verity_file(fileno(f), 300, true, got, &err), -EBADMSG);
    fclose(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_veritysetup),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests_name("verity", tests, NULL, NULL);
}
