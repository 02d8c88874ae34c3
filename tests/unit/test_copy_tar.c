// SPDX-License-Identifier: Apache-2.0
// The tar headers of cp: written and read back, read by tar's rules, torn and wrong.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "trusted/copy/tar.h"

static struct tar_entry sample(char type)
{
    struct tar_entry e = {
        .type = type, .mode = 04755, .uid = 1000, .gid = 1001, .mtime = 1234567890};
    strcpy(e.name, "dir/file");
    if (type == '2')
        strcpy(e.link, "../target");
    if (type == '0')
        e.size = 12345;
    return e;
}

/* Reads a header that tar_write made, as the unpacker does. */
static void read_back(const uint8_t *data, size_t size, struct tar_entry *e)
{
    static struct tar_extra x;
    memset(&x, 0, sizeof(x));
    assert_int_equal(tar_read(e, data), 0);
    if (e->type == 'x') {
        size_t padded = (e->size + 511) / 512 * 512;
        assert_int_equal(size, padded + 1024);
        assert_int_equal(tar_pax(&x, data + 512, e->size), 0);
        assert_int_equal(tar_read(e, data + 512 + padded), 0);
    } else {
        assert_int_equal(size, 512);
    }
    tar_apply(e, &x);
}

static void same(const struct tar_entry *a, const struct tar_entry *b)
{
    assert_int_equal(a->type, b->type);
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->link, b->link);
    assert_true(a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->size == b->size &&
                a->mtime == b->mtime && a->major == b->major && a->minor == b->minor);
    assert_int_equal(a->capability_size, b->capability_size);
    assert_memory_equal(a->capability, b->capability, a->capability_size);
}

static void test_round_trip(void **state)
{
    static uint8_t out[COPY_TAR_HEAD_MAX];
    static struct tar_entry e, back;
    for (const char *type = "0123456"; *type; type++) {
        e = sample(*type);
        e.major = *type == '3' ? 10 : 0;
        read_back(out, tar_write(out, &e), &back);
        same(&e, &back);
    }
    /* Every length of name and link, and numbers that ustar cannot hold. */
    for (size_t n = 1; n < TAR_NAME_MAX; n += n < 300 ? 1 : 97) {
        e = sample('2');
        memset(e.name, 'n', n);
        e.name[n] = 0;
        memset(e.link, 'l', TAR_NAME_MAX - n);
        e.link[TAR_NAME_MAX - n - (n == 1)] = 0;
        size_t size = tar_write(out, &e);
        assert_true(size <= sizeof(out) && size % 512 == 0);
        read_back(out, size, &back);
        same(&e, &back);
    }
    e = sample('0');
    e.size = 1ull << 40;
    e.uid = 4000000000u;
    e.gid = 1u << 21;
    e.mtime = -5;
    memcpy(e.capability, "\1\0\0\2\n= \0", 8);
    e.capability_size = 8;
    read_back(out, tar_write(out, &e), &back);
    same(&e, &back);
}

/* libarchive reads what we write. */
static void test_libarchive(void **state)
{
    static uint8_t out[COPY_TAR_HEAD_MAX + 1024];
    static struct tar_entry e;
    e = sample('2');
    memset(e.name, 'n', 2000);
    memset(e.link, 'l', 3000);
    e.uid = 4000000000u;
    e.mtime = -5;
    size_t size = tar_write(out, &e);
    memset(out + size, 0, 1024);
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    archive_read_support_format_tar(a);
    assert_int_equal(archive_read_open_memory(a, out, size + 1024), ARCHIVE_OK);
    assert_int_equal(archive_read_next_header(a, &entry), ARCHIVE_OK);
    assert_string_equal(archive_entry_pathname(entry), e.name);
    assert_string_equal(archive_entry_symlink(entry), e.link);
    assert_true(archive_entry_uid(entry) == 4000000000u && archive_entry_mtime(entry) == -5);
    assert_int_equal(archive_entry_perm(entry), 04755);
    assert_int_equal(archive_read_next_header(a, &entry), ARCHIVE_EOF);
    archive_read_free(a);
}

static void fix_sum(uint8_t *block)
{
    unsigned sum = 0;
    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++)
        sum += block[i];
    snprintf((char *)block + 148, 8, "%06o", sum);
}

static void test_headers(void **state)
{
    static uint8_t out[COPY_TAR_HEAD_MAX], bad[512];
    static struct tar_entry e;
    e = sample('0');
    tar_write(out, &e);
    for (size_t i = 0; i < 512; i++) { /* the sum covers every byte */
        memcpy(bad, out, 512);
        bad[i] ^= 1;
        int rc = tar_read(&e, bad);
        assert_true(rc == -EBADMSG || (i == 155 && rc == 0));
    }
    /* Good sums over bad fields. */
    static const struct {
        size_t at;
        const char *text;
    } fields[] = {{100, "00007x5"}, {124, "9"},
                  {124, "\xff"},    {124, "\x80\1\1\1\1\1\1\1\1\1\1\1"},
                  {136, "-1"},      {108, "\x80\0\0\x7f\1\1\1\1"}};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        memcpy(bad, out, 512);
        memcpy(bad + fields[i].at, fields[i].text, strlen(fields[i].text) + (i == 5 ? 6 : 0));
        if (i == 5)
            memcpy(bad + 108, "\x80\0\0\x7f\1\1\1\1", 8);
        fix_sum(bad);
        assert_int_equal(tar_read(&e, bad), -EBADMSG);
    }
    /* Names that fill their fields without a NUL; a prefix; base 256; old types. */
    memcpy(bad, out, 512);
    memset(bad, 'a', 100);
    memset(bad + 345, 'p', 155);
    memset(bad + 157, 'l', 100);
    memcpy(bad + 124, "\x80\0\0\0\0\0\0\1\0\0\0\0", 12);
    bad[156] = 0;
    fix_sum(bad);
    assert_int_equal(tar_read(&e, bad), 0);
    assert_int_equal(strlen(e.name), 256);
    assert_int_equal(strlen(e.link), 100);
    assert_true(e.size == 1ull << 32 && e.type == '0');
    memset(bad, 0, 512);
    assert_int_equal(tar_read(&e, bad), 0);
    assert_int_equal(e.type, 0);
}

static int pax(struct tar_extra *x, const char *text, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, text, size);
    memset(x, 0, sizeof(*x));
    int rc = tar_pax(x, copy, size);
    free(copy);
    return rc;
}

static void test_pax(void **state)
{
    static struct tar_extra x;
    static const char good[] =
        "12 path=a=b\n20 mtime=12.3456789\n11 size=10\n9 foo=ba\n14 uid=123456\n";
    assert_int_equal(pax(&x, good, sizeof(good) - 1), 0);
    assert_string_equal(x.e.name, "a=b");
    assert_true(x.e.mtime == 12 && x.e.size == 10 && x.e.uid == 123456 && !x.has_gid);
    size_t whole[] = {0, 12, 32, 43, 52, 66}, next = 0;
    for (size_t n = 0; n < sizeof(good) - 1; n++) { /* torn anywhere but between records */
        bool edge = n == whole[next];
        assert_int_equal(pax(&x, good, n), edge ? 0 : -EBADMSG);
        next += edge;
    }
    static const char *const bad[] = {"x",
                                      "5",
                                      "0 a=b\n",
                                      "1 a=b\n",
                                      "99 a=b\n",
                                      "6 a=b ",
                                      "5 a=b\n",
                                      "7 a=b\n",
                                      " 6 a=b\n",
                                      "4 a\n",
                                      "5 ab\n",
                                      "-6 a=b\n",
                                      "10 uid=-1\n",
                                      "18 uid=4294967296\n",
                                      "10 size=x\n",
                                      "7 uid=\n",
                                      "12 size=-10\n",
                                      "999999999999999999999999 a=b\n",
                                      "29 size=99999999999999999999\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(pax(&x, bad[i], strlen(bad[i])), -EBADMSG);
    assert_int_equal(pax(&x, "12 path=a\0b\n", 12), -EBADMSG);
    char *big = malloc(6000);
    memset(big, 'p', 6000);
    memcpy(big, "6000 path=", 10);
    big[5999] = '\n';
    assert_int_equal(pax(&x, big, 6000), -EBADMSG);
    free(big);
    char xattr[256];
    int n = snprintf(xattr, sizeof(xattr), "%d SCHILY.xattr.security.capability=", 37 + 65 + 1);
    memset(xattr + n, 'c', 65);
    xattr[n + 65] = '\n';
    assert_int_equal(pax(&x, xattr, (size_t)n + 66), -EBADMSG); /* 65 bytes: too long */
}

static void test_clean(void **state)
{
    static const struct {
        const char *name, *want;
    } cases[] = {{"a/b", "a/b"},  {"./a//b/./c/", "a/b/c"},
                 {"/abs", "abs"}, {"///", ""},
                 {".", ""},       {"..", NULL},
                 {"a/..", NULL},  {"a/../b", NULL},
                 {"/..", NULL},   {"..a/b..", "..a/b.."},
                 {"...", "..."},  {"", ""}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char name[32];
        strcpy(name, cases[i].name);
        assert_int_equal(tar_clean(name), cases[i].want ? 0 : -EBADMSG);
        if (cases[i].want)
            assert_string_equal(name, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_libarchive),
        cmocka_unit_test(test_headers),    cmocka_unit_test(test_pax),
        cmocka_unit_test(test_clean),
    };
    return cmocka_run_group_tests_name("copy tar", tests, NULL, NULL);
}
