// SPDX-License-Identifier: Apache-2.0
// lib/: digests against FIPS 180-4's examples; manifest and launch config against liars.
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/hex.h"
#include "lib/io.h"
#include "tests/launch_values.h"
#include "lib/manifest.h"
#include "lib/sha2.h"

static void digest_is(const uint8_t *got, const char *want)
{
    char text[2 * SH_SHA512_SIZE + 1];
    sh_hex(text, got, strlen(want) / 2);
    assert_string_equal(text, want);
}

static void test_sha2(void **state)
{
    uint8_t d[SH_SHA512_SIZE];
    sh_sha256(d, "abc", 3);
    digest_is(d, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sh_sha384(d, "abc", 3);
    digest_is(d, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
                 "8086072ba1e7cc2358baeca134c825a7");
    sh_sha512(d, "abc", 3);
    digest_is(d, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                 "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    /* A million 'a' in uneven pieces crosses every buffer boundary. */
    struct sh_sha256 h;
    struct sh_sha512 h5;
    char a[1000];
    memset(a, 'a', sizeof(a));
    sh_sha256_init(&h);
    sh_sha384_init(&h5);
    for (size_t left = 1000000, n = 1; left; left -= n, n = n % 997 + 1) {
        n = n > left ? left : n;
        sh_sha256_update(&h, a, n);
        sh_sha512_update(&h5, a, n);
    }
    sh_sha256_final(&h, d);
    digest_is(d, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    sh_sha512_final(&h5, d);
    digest_is(d, "9d0e1809716474cb086e834e310a4a1ced149e9c00f248527972cec5704c2a5b"
                 "07b8b3dc38ecc4ebae97ddd87f3d8985");
}

/* --- manifest --- */

struct text {
    uint8_t data[SH_MANIFEST_SIZE_MAX + 16];
    size_t size;
};

static void put(struct text *t, uint16_t tag, const void *data, uint32_t size)
{
    sh_put_le16(t->data + t->size, tag);
    sh_put_le16(t->data + t->size + 2, 0);
    sh_put_le32(t->data + t->size + 4, size);
    memcpy(t->data + t->size + 8, data, size);
    t->size += 8 + size;
    sh_put_le32(t->data + 12, (uint32_t)t->size);
}

static void start(struct text *t)
{
    uint8_t hash[32] = {1, 2, 3}, size[8] = {0, 16};
    memcpy(t->data, SH_MANIFEST_MAGIC, 8);
    sh_put_le32(t->data + 8, SH_MANIFEST_VERSION);
    t->size = 16;
    put(t, SH_TAG_ROOT_HASH, hash, 32);
    put(t, SH_TAG_ROOT_SIZE, size, 8);
}

static int parse(const struct text *t, struct sh_manifest *m)
{
    /* An exact heap copy, so that the sanitizer sees a read past the end. */
    uint8_t *copy = malloc(t->size ? t->size : 1);
    struct sh_manifest local;
    memcpy(copy, t->data, t->size);
    int r = sh_manifest_parse(m ? m : &local, copy, t->size);
    if (m)
        m->bytes.data = t->data;
    free(copy);
    return r;
}

static void test_manifest_reads(void **state)
{
    static struct text t;
    struct sh_manifest m;
    uint8_t policy[8] = {SH_POLICY_EXEC};
    start(&t);
    put(&t, SH_TAG_COMMAND, "/bin/md5", 8);
    put(&t, SH_TAG_COMMAND, "", 0);
    put(&t, SH_TAG_ENV, "A=b", 3);
    put(&t, SH_TAG_POLICY, policy, 8);
    assert_int_equal(parse(&t, &m), 0);
    assert_int_equal(m.root_size, 4096);
    assert_int_equal(m.policy, SH_POLICY_EXEC);
    assert_int_equal(sh_manifest_count(&m, SH_TAG_COMMAND), 2);
    assert_memory_equal(sh_manifest_get(&m, SH_TAG_COMMAND, 0).data, "/bin/md5", 8);
    assert_non_null(sh_manifest_get(&m, SH_TAG_COMMAND, 1).data);
    assert_null(sh_manifest_get(&m, SH_TAG_COMMAND, 2).data);
    assert_null(sh_manifest_get(&m, SH_TAG_USER, 0).data);
}

static void test_manifest_refuses(void **state)
{
    static struct text t;
    uint8_t zeros[64] = {0};
    struct {
        uint16_t tag;
        const void *data;
        uint32_t size;
    } bad[] = {
        {99, "x", 1},                   /* unknown tag */
        {SH_TAG_ROOT_SIZE, zeros, 8},   /* twice */
        {SH_TAG_ROOT_HASH, zeros, 32},  /* out of order */
        {SH_TAG_SITES_HASH, zeros, 32}, /* without its size */
        {SH_TAG_ENV, "NOEQUALS", 8},
        {SH_TAG_ENV, "=x", 2},
        {SH_TAG_ENV, "A=b\0c", 5},
        {SH_TAG_COMMAND, "a\0b", 3},
        {SH_TAG_WORKDIR, "relative", 8},
        {SH_TAG_WORKDIR, "", 0},
        {SH_TAG_STOP_SIGNAL, zeros, 4},
        {SH_TAG_MOUNT, zeros, 20},
        {SH_TAG_PORT, zeros, 3},
        {SH_TAG_LIMIT, "\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24},
        {SH_TAG_POLICY, "\0\0\0\0\0\0\0\x80", 8}, /* unknown bit */
        {SH_TAG_POLICY, zeros, 7},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        start(&t);
        put(&t, bad[i].tag, bad[i].data, bad[i].size);
        assert_int_equal(parse(&t, NULL), -EBADMSG);
    }
    start(&t);
    t.data[8] = 2;
    assert_int_equal(parse(&t, NULL), -EPROTO);
    start(&t);
    t.data[18] = 1; /* the zero field */
    assert_int_equal(parse(&t, NULL), -EBADMSG);
    start(&t);
    t.size++; /* a byte behind the end */
    assert_int_equal(parse(&t, NULL), -EBADMSG);
}

/* Torn anywhere, or one bit flipped: an answer, and never a read outside. */
static void test_manifest_torn(void **state)
{
    static struct text t, u;
    start(&t);
    put(&t, SH_TAG_COMMAND, "/bin/md5", 8);
    put(&t, SH_TAG_ENV, "A=b", 3);
    for (size_t size = 0; size < t.size; size++) {
        u = t;
        u.size = size;
        assert_int_equal(parse(&u, NULL), -EBADMSG);
        sh_put_le32(u.data + 12, (uint32_t)size); /* and with a size that agrees */
        assert_true(parse(&u, NULL) <= 0);
    }
    for (size_t bit = 0; bit < t.size * 8; bit++) {
        u = t;
        u.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(parse(&u, NULL) <= 0);
    }
}

/* --- launch config --- */

static int check(const char *body)
{
    char text[1024];
    int n = snprintf(text, sizeof(text), "%s%s%s", SH_LAUNCH_HEAD, body, SH_LAUNCH_TAIL);
    char *copy = malloc((size_t)n);
    memcpy(copy, text, (size_t)n);
    int r = sh_launch_check(copy, (size_t)n);
    free(copy);
    return r;
}

static void test_launch(void **state)
{
    assert_int_equal(check(""), 0);
    assert_int_equal(check("arg /bin/sh\narg -c\narg echo %27hi%27\nenv A=b\ntty 1\n"), 0);
    assert_int_equal(check("arg \n"), 0); /* an empty argument */
    const char *bad[] = {
        "arg",
        "arg x",
        "argx\n",
        "arg%20x\n",
        "env A=b\narg x\n",
        "tty 1\ntty 1\n",
        "arg %0\n",
        "arg %00\n",
        "arg %41\n",
        "arg %e2\n",
        "arg 'x'\n",
        "arg a\tb\n",
        "nonsense 1\n",
        "\n",
        "arg a\n\n",
        "'''\narg a\n",
        "arg \xc3\xa9\n",
        "arg %\n",
        " arg a\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(check(bad[i]), -EBADMSG);

    char text[1024], out[32];
    int n = snprintf(text, sizeof(text), "%s%s%s", SH_LAUNCH_HEAD,
                     "arg a%0Ab\narg c\nenv X=%C3%A9\ncpus 2\n", SH_LAUNCH_TAIL);
    size_t size = (size_t)n;
    assert_int_equal(sh_launch_check(text, size), 0);
    assert_int_equal(sh_launch_count(text, size, SH_LAUNCH_ARG), 2);
    assert_int_equal(sh_launch_get(text, size, SH_LAUNCH_ARG, 0, out, sizeof(out)), 3);
    assert_string_equal(out, "a\nb");
    assert_int_equal(sh_launch_get(text, size, SH_LAUNCH_ENV, 0, out, sizeof(out)), 4);
    assert_string_equal(out, "X=\xc3\xa9");
    assert_int_equal(sh_launch_get(text, size, SH_LAUNCH_ENV, 0, out, 4), -ENAMETOOLONG);
    assert_int_equal(sh_launch_get(text, size, SH_LAUNCH_USER, 0, out, sizeof(out)), -ENOENT);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(sh_launch_check(text, cut), -EBADMSG);
}

static void test_hex(void **state)
{
    uint8_t b[2];
    assert_int_equal(sh_unhex(b, 2, "aB09"), 0);
    assert_int_equal(b[0] << 8 | b[1], 0xab09);
    assert_int_equal(sh_unhex(b, 2, "aB0"), -EINVAL);
    assert_int_equal(sh_unhex(b, 2, "aB091"), -EINVAL);
    assert_int_equal(sh_unhex(b, 2, "aBx9"), -EINVAL);
}

/* Whole transfers: torn in two, too short, by a deadline, with nobody there. */
static void test_io(void **state)
{
    char got[8];
    int p[2];
    assert_int_equal(pipe(p), 0);
    assert_int_equal(sh_write_all(p[1], "abcdefgh", 8), 0);
    assert_int_equal(sh_read_all(p[0], got, 3), 0);
    assert_int_equal(sh_read_up_to(p[0], got, 4), 4);
    assert_memory_equal(got, "defg", 4);
    assert_int_equal(sh_move_by(p[0], got, 2, POLLIN, sh_now_ms() + 20), -ETIMEDOUT);
    assert_int_equal(sh_move_by(p[0], got, 1, POLLIN, sh_now_ms() - 1), -ETIMEDOUT);
    assert_int_equal(sh_write_all(p[1], "xyz", 3), 0);
    close(p[1]);
    assert_int_equal(sh_move_by(p[0], got, 1, POLLIN, sh_now_ms() + 10000), 0);
    assert_int_equal(got[0], 'x');
    assert_int_equal(sh_read_all(p[0], got, 3), -ENODATA);
    assert_int_equal(sh_read_up_to(p[0], got, 3), 0);
    assert_int_equal(sh_move_by(p[0], got, 1, POLLIN, sh_now_ms() + 10000), -EPIPE);
    close(p[0]);
    assert_int_equal(sh_read_up_to(p[0], got, 3), -EBADF);
    assert_int_equal(sh_write_all(p[0], got, 3), -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha2),
        cmocka_unit_test(test_manifest_reads),
        cmocka_unit_test(test_manifest_refuses),
        cmocka_unit_test(test_manifest_torn),
        cmocka_unit_test(test_launch),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_io),
    };
    return cmocka_run_group_tests_name("lib", tests, NULL, NULL);
}
