// SPDX-License-Identifier: Apache-2.0
// MRENCLAVE, SIGSTRUCT checks and signing; against public SIGSTRUCTs where those are present.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/sgx/sign.h"
#include "lib/bytes.h"
#include "lib/hex.h"
#include "verifier/measure/sgx.h"

/* Builds the measured stream by hand from SDM 38.3 and hashes it in one go. */
static void test_mrenclave_stream(void **state)
{
    static uint8_t stream[3 * 64 + 16 * (64 + 256)];
    static uint8_t page[4096];
    uint8_t want[32], got[32];
    uint8_t *p = stream;
    for (size_t i = 0; i < sizeof(page); i++)
        page[i] = (uint8_t)(i * 7 + (i >> 8));
    memcpy(p, "ECREATE\0\4\0\0\0\0\0\1\0\0\0\0\0", 20); /* SSAFRAMESIZE 4, SIZE 0x10000 */
    p += 64;
    memcpy(p, "EADD\0\0\0\0\0\x30\0\0\0\0\0\0\5\2", 18); /* offset 0x3000, PT_REG, R and X */
    p += 64;
    for (unsigned i = 0; i < 16; i++, p += 256) {
        memcpy(p, "EEXTEND", 8);
        sh_put_le64(p + 8, 0x3000 + i * 256);
        p += 64;
        memcpy(p, page + i * 256, 256);
    }
    memcpy(p, "EADD\0\0\0\0\0\x40\0\0\0\0\0\0\0\1", 18); /* PT_TCS: RWX are measured as zero */
    p += 64;
    assert_ptr_equal(p, stream + sizeof(stream));
    sh_sha256(want, stream, sizeof(stream));

    struct sgx_measure m;
    assert_int_equal(sgx_measure_create(&m, 0x10000, 4), 0);
    assert_int_equal(sgx_measure_add(&m, 0x3000, SGX_SECINFO_PT(SGX_PT_REG) | 5), 0);
    sgx_measure_extend(&m, 0x3000, page);
    assert_int_equal(sgx_measure_add(&m, 0x4000, SGX_SECINFO_PT(SGX_PT_TCS) | 3), 0);
    sgx_measure_final(&m, got);
    assert_memory_equal(got, want, 32);
}

static void test_measure_refuses(void **state)
{
    struct sgx_measure m;
    assert_int_equal(sgx_measure_create(&m, 0x3000, 1), -EINVAL);
    assert_int_equal(sgx_measure_create(&m, 0x1000, 1), -EINVAL);
    assert_int_equal(sgx_measure_create(&m, 0x2000, 0), -EINVAL);
    assert_int_equal(sgx_measure_create(&m, 0x2000, 1), 0);
    assert_int_equal(sgx_measure_add(&m, 0x2000, SGX_SECINFO_PT(SGX_PT_REG) | 1), -EINVAL);
    assert_int_equal(sgx_measure_add(&m, 0x10, SGX_SECINFO_PT(SGX_PT_REG) | 1), -EINVAL);
    assert_int_equal(sgx_measure_add(&m, 0, SGX_SECINFO_PT(SGX_PT_REG) | 2), -EINVAL);
    assert_int_equal(sgx_measure_add(&m, 0, SGX_SECINFO_PT(SGX_PT_SECS) | 1), -EINVAL);
    assert_int_equal(sgx_measure_add(&m, 0, SGX_SECINFO_PT(SGX_PT_REG) | 1 | 1ull << 40), -EINVAL);
}

static struct sgx_sign_params example(void)
{
    struct sgx_sign_params p = {
        .attributes = {SGX_ATTR_MODE64BIT, 3},
        .attribute_mask = {~0ull, ~0xe4ull},
        .miscselect = SGX_MISC_EXINFO,
        .miscmask = ~0u,
        .date = 0x20260101,
        .isv_prod_id = 7,
        .isv_svn = 3,
    };
    memset(p.mrenclave, 0xab, sizeof(p.mrenclave));
    return p;
}

static EVP_PKEY *test_key(void)
{
    static EVP_PKEY *key;
    struct sh_error err = {0};
    if (key == NULL)
        assert_int_equal(sgx_key_generate(&key, &err), 0);
    return key;
}

static void test_sign_and_check(void **state)
{
    struct sgx_sigstruct css, again;
    struct sh_error err = {0};
    struct sgx_sign_params p = example();
    assert_int_equal(sgx_sign(&css, &p, test_key(), &err), 0);
    assert_int_equal(sgx_sign(&again, &p, test_key(), &err), 0);
    assert_memory_equal(&css, &again, sizeof(css)); /* deterministic */
    assert_int_equal(sgx_sigstruct_check_format(&css), SGX_SUCCESS);
    assert_int_equal(sgx_sigstruct_check_signature(&css), SGX_SUCCESS);
    /* Every byte counts: a signed one, the modulus, the exponent, Q1, Q2. */
    for (size_t at = 0; at < sizeof(css); at += 13) {
        struct sgx_sigstruct bad = css;
        ((uint8_t *)&bad)[at] ^= 0x10;
        if (at >= offsetof(struct sgx_sigstruct, reserved4) &&
            at < offsetof(struct sgx_sigstruct, q1)) {
            assert_int_equal(sgx_sigstruct_check_format(&bad), SGX_INVALID_SIG_STRUCT);
            continue;
        }
        assert_int_equal(sgx_sigstruct_check_signature(&bad), SGX_INVALID_SIGNATURE);
    }
    p.date = 0x20261301;
    assert_int_equal(sgx_sign(&css, &p, test_key(), &err), -EINVAL);
}

static void test_format(void **state)
{
    struct sgx_sigstruct css;
    struct sh_error err = {0};
    struct sgx_sign_params p = example();
    assert_int_equal(sgx_sign(&css, &p, test_key(), &err), 0);
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        struct sgx_sigstruct bad = css;                                                            \
        change;                                                                                    \
        assert_int_equal(sgx_sigstruct_check_format(&bad), SGX_INVALID_SIG_STRUCT);                \
    } while (0)
    REFUSED(bad.header[15] = 1);
    REFUSED(bad.header2[0] = 2);
    REFUSED(bad.vendor = 1);
    REFUSED(bad.exponent = 65537);
    REFUSED(bad.reserved1[83] = 1);
    REFUSED(bad.reserved2[0] = 1);
    REFUSED(bad.reserved3[15] = 1);
    REFUSED(bad.reserved4[0] = 1);
    css.vendor = 0x8086;
    assert_int_equal(sgx_sigstruct_check_format(&css), SGX_SUCCESS);
}

static void test_keys(void **state)
{
    char path[] = "/tmp/sgxkey.XXXXXX";
    struct sh_error err = {0};
    EVP_PKEY *key = NULL;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(sgx_key_save(path, test_key(), &err), -EEXIST);
    err = (struct sh_error){0};
    assert_int_equal(sgx_key_load(path, &key, &err), -EINVAL); /* empty */
    unlink(path);
    err = (struct sh_error){0};
    assert_int_equal(sgx_key_load(path, &key, &err), -ENOENT);
    assert_int_equal(sgx_key_save(path, test_key(), &err), 0);
    assert_int_equal(sgx_key_load(path, &key, &err), 0);
    assert_int_equal(EVP_PKEY_eq(key, test_key()), 1);
    EVP_PKEY_free(key);
    unlink(path);
    /* Exponent 65537 and other sizes are refused. */
    key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)3072);
    assert_non_null(key);
    struct sgx_sigstruct css;
    struct sgx_sign_params p = example();
    assert_int_equal(sgx_sign(&css, &p, key, &err), -EINVAL);
    EVP_PKEY_free(key);
}

/* SIGSTRUCTs of other people's signers, with what NOTES.json says of them. */
static void test_public_vectors(void **state)
{
    static const struct {
        const char *file, *mrsigner, *mrenclave;
        unsigned prod_id, svn;
    } cases[] = {
        {"test_enclave.sig", "fb4bab3d6036ac1d730fa83d7366df1dd2dfeac194ef335d6854d8a6c6475542",
         "784acfd7d5096a8f0fbd3265760bff21b120f62407a9a9e5ba31aa3c8ed198fc", 65535, 0},
        {"gramine-test.sig", "f98deebef358e407b9a795eda9fe0c67de306084d735339f9454aefaaaa0f264",
         "f78170fe28e2e8671d83f5056975d25a27eb2c333dc520c2ccaf4de6b3f9c81b", 0, 0},
        {"le_prod_css.bin", "acb77012053e05a63d413b8bbae8fb6c5d73b3f2996d91c43bbbf90959c0f8d4",
         "7881af9f9def547da9908c008f29cde9bd78064e36ac7e14c83c294ca4806150", 32, 7},
        {"sig1.sigstruct.bin", "83d719e77deaca1470f6baf62a4d774303c899db69020f9c70ee1dfc08c7ce9e",
         "c50673624a6cb17c1c6c2a4e6906f47a170c4629b8723781d1017ef376f1a75d", 0, 0},
    };
    const char *dir = getenv("SHELTER_VECTORS") ? getenv("SHELTER_VECTORS") : "../shared/vectors";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[512], hex[65];
        struct sgx_sigstruct css;
        uint8_t digest[32];
        snprintf(path, sizeof(path), "%s/sgx-measure/%s", dir, cases[i].file);
        FILE *f = fopen(path, "rb");
        if (f == NULL)
            skip();
        assert_int_equal(fread(&css, sizeof(css), 1, f), 1);
        fclose(f);
        assert_int_equal(sgx_sigstruct_check_format(&css), SGX_SUCCESS);
        assert_int_equal(sgx_sigstruct_check_signature(&css), SGX_SUCCESS);
        sgx_mrsigner(&css, digest);
        sh_hex(hex, digest, 32);
        assert_string_equal(hex, cases[i].mrsigner);
        sh_hex(hex, css.enclave_hash, 32);
        assert_string_equal(hex, cases[i].mrenclave);
        assert_int_equal(css.isv_prod_id, cases[i].prod_id);
        assert_int_equal(css.isv_svn, cases[i].svn);
        css.enclave_hash[5] ^= 1;
        assert_int_equal(sgx_sigstruct_check_signature(&css), SGX_INVALID_SIGNATURE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mrenclave_stream),
        cmocka_unit_test(test_measure_refuses),
        cmocka_unit_test(test_sign_and_check),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_public_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
