// SPDX-License-Identifier: Apache-2.0
// Chains: what certificates demand of each other, and how much work a stranger's can cause.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/x509v3.h>

#include "tests/gen/pki.h"
#include "verifier/base/bytes.h"
#include "verifier/base/x509.h"

static EVP_PKEY *key[4];

static int make_keys(void **state)
{
    for (int i = 0; i < 4; i++)
        key[i] = gen_key("P-256");
    return 0;
}

static int free_keys(void **state)
{
    for (int i = 0; i < 4; i++)
        EVP_PKEY_free(key[i]);
    return 0;
}

// A certificate with one extension more (nid 0: none; critical OID of nobody's: -1).
static X509 *make(const char *cn, bool ca, int n, X509 *issuer, int by, int nid, const char *value)
{
    struct sh_cert_options c = {.cn = cn, .ca = ca};
    X509 *cert = gen_cert(&c, key[n], issuer, key[by]);
    X509_EXTENSION *ext = NULL;

    if (nid == NID_basic_constraints)
        X509_EXTENSION_free(
            X509_delete_ext(cert, X509_get_ext_by_NID(cert, NID_basic_constraints, -1)));
    if (nid > 0)
        ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    if (nid < 0) {
        ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1);
        ASN1_OCTET_STRING *text = ASN1_OCTET_STRING_new();

        ASN1_OCTET_STRING_set(text, (const unsigned char *)"\x05\0", 2);
        ext = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, text);
        ASN1_OBJECT_free(oid);
        ASN1_OCTET_STRING_free(text);
    }
    if (nid) {
        uint8_t *der = NULL;
        const uint8_t *at;
        int size;

        assert_non_null(ext);
        assert_int_equal(X509_add_ext(cert, ext, -1), 1);
        X509_EXTENSION_free(ext);
        assert_true(X509_sign(cert, key[by], EVP_sha256()) > 0);
        size = i2d_X509(cert, &der); // again from the bytes, without what was cached
        at = der;
        X509_free(cert);
        cert = d2i_X509(NULL, &at, size);
        OPENSSL_free(der);
    }
    assert_non_null(cert);
    return cert;
}

static int build(int nid, const char *root_value, const char *ca_value, const char *leaf_value,
                 bool two)
{
    X509 *root = make("R", true, 0, NULL, 0, root_value ? nid : 0, root_value);
    X509 *ca = make("A", true, 1, root, 0, ca_value ? nid : 0, ca_value);
    X509 *low = two ? make("B", true, 3, ca, 1, 0, NULL) : NULL;
    X509 *leaf = make("leaf.example", false, 2, low ? low : ca, low ? 3 : 1, leaf_value ? nid : 0,
                      leaf_value);
    struct sv_certs pool = {.cert = {root, ca, low}, .count = two ? 3 : 2};
    struct sv_chain chain;
    int rc = sv_chain_build(leaf, &pool, NULL, SV_INTEL, NULL, &chain);

    X509_free(root);
    X509_free(ca);
    X509_free(low);
    X509_free(leaf);
    return rc;
}

static void demands(void **state)
{
    static const char one[] = "critical,CA:TRUE,pathlen:1", none[] = "critical,CA:TRUE,pathlen:0";

    assert_int_equal(build(0, NULL, NULL, NULL, false), 0);
    assert_int_equal(build(0, NULL, NULL, NULL, true), 0);
    assert_int_equal(build(NID_basic_constraints, one, none, NULL, false), 0);
    assert_int_equal(build(NID_basic_constraints, none, NULL, NULL, false), -EKEYREJECTED);
    assert_int_equal(build(NID_basic_constraints, NULL, none, NULL, true), -EKEYREJECTED);
    assert_int_equal(build(NID_basic_constraints, one, NULL, NULL, true), -EKEYREJECTED);
    assert_int_equal(build(-1, "x", NULL, NULL, false), -EKEYREJECTED);
    assert_int_equal(build(-1, NULL, "x", NULL, false), -EKEYREJECTED);
    assert_int_equal(build(-1, NULL, NULL, "x", false), -EKEYREJECTED);
    assert_int_equal(
        build(NID_name_constraints, NULL, "critical,permitted;DNS:example", NULL, false), 0);
    assert_int_equal(build(NID_name_constraints, "critical,permitted;DNS:other", NULL, NULL, false),
                     -EKEYREJECTED);
    assert_int_equal(
        build(NID_name_constraints, NULL, "critical,excluded;DNS:example", NULL, false),
        -EKEYREJECTED);
}

static int add(EVP_PKEY *k, struct sv_certs *certs)
{
    struct sh_cert_options c = {.cn = "key"};
    X509 *cert = gen_cert(&c, k, NULL, k);
    uint8_t *der = NULL;
    int size = i2d_X509(cert, &der), rc = sv_certs_add(certs, der, (size_t)size);

    OPENSSL_free(der);
    X509_free(cert);
    return rc;
}

static EVP_PKEY *rsa(unsigned bits)
{
    EVP_PKEY *k = EVP_RSA_gen(bits);

    assert_non_null(k);
    return k;
}

// Kinds and sizes that cost time are refused before anything is computed on them.
static void keys_of_others(void **state)
{
    static const char *const good[] = {"P-256", "P-384", "P-521"};
    static const char *const bad[] = {"sect571r1", "sect283k1", "brainpoolP512r1", "P-224"};
    struct sv_certs certs = {0};

    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY *k = EVP_EC_gen(good[i]);

        assert_int_equal(add(k, &certs), 0);
        EVP_PKEY_free(k);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        EVP_PKEY *k = EVP_EC_gen(bad[i]);

        assert_non_null(k);
        assert_int_equal(add(k, &certs), -EBADMSG);
        EVP_PKEY_free(k);
    }
    EVP_PKEY *k = rsa(2048);

    assert_int_equal(add(k, &certs), 0);
    EVP_PKEY_free(k);
    k = rsa(1024);
    assert_int_equal(add(k, &certs), -EBADMSG);
    EVP_PKEY_free(k);
    k = rsa(5120);
    assert_int_equal(add(k, &certs), -EBADMSG);
    EVP_PKEY_free(k);
    sv_certs_free(&certs);
}

// 22 CAs of the right name, none of which signed: few are tried.
static void many_issuers(void **state)
{
    X509 *root = make("R", true, 0, NULL, 0, 0, NULL),
         *leaf = make("L", false, 2, root, 0, 0, NULL);
    struct sh_cert_options c = {.cn = "R", .ca = true};
    struct sv_certs pool = {.count = 0};
    struct sv_chain chain;
    EVP_PKEY *k[22];

    for (int i = 0; i < 22; i++) {
        k[i] = gen_key("P-256");
        pool.cert[pool.count++] = gen_cert(&c, k[i], NULL, k[i]);
    }
    pool.cert[pool.count++] = root; // the right one, behind them: not reached
    assert_int_equal(sv_chain_build(leaf, &pool, NULL, SV_INTEL, NULL, &chain), -EKEYREJECTED);
    // The same key many times is one.
    struct sv_certs same = {.count = 0};

    for (int i = 0; i < 10; i++)
        same.cert[same.count++] = pool.cert[0];
    same.cert[same.count++] = root;
    assert_int_equal(sv_chain_build(leaf, &same, NULL, SV_INTEL, NULL, &chain), 0);
    for (int i = 0; i < 22; i++) {
        X509_free(pool.cert[i]);
        EVP_PKEY_free(k[i]);
    }
    X509_free(root);
    X509_free(leaf);
}

// Chains as certificates in DER, one behind the other.
static void der_chain(void **state)
{
    X509 *root = make("R", true, 0, NULL, 0, 0, NULL),
         *leaf = make("L", false, 2, root, 0, 0, NULL);
    struct sv_certs certs = {.count = 0};
    uint8_t both[8192], *at = both;

    i2d_X509(leaf, &at);
    i2d_X509(root, &at);
    assert_int_equal(sv_certs_add(&certs, both, (size_t)(at - both)), 0);
    assert_int_equal(certs.count, 2);
    sv_certs_free(&certs);
    assert_int_equal(sv_certs_add(&certs, both, (size_t)(at - both) - 1), -EBADMSG);
    sv_certs_free(&certs);
    X509_free(root);
    X509_free(leaf);
}

static void dates(void **state)
{
    static const char *const good[] = {"2028-02-29T00:00:00Z", "2030-12-31T23:59:60Z"};
    static const char *const bad[] = {"2030-02-30T00:00:00Z", "2027-02-29T00:00:00Z",
                                      "2100-02-29T00:00:00Z", "2030-04-31T00:00:00Z",
                                      "2030-13-01T00:00:00Z", "2030-00-01T00:00:00Z"};
    int64_t when;

    for (size_t i = 0; i < 2; i++)
        assert_true(sv_time_parse(good[i], &when));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(sv_time_parse(bad[i], &when));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(demands), cmocka_unit_test(keys_of_others),
                                       cmocka_unit_test(many_issuers), cmocka_unit_test(der_chain),
                                       cmocka_unit_test(dates)};

    gen_now = (int64_t)time(NULL);
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
