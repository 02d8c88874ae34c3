// SPDX-License-Identifier: Apache-2.0
// Keys, certificates and CRLs by OpenSSL.
#include "tests/gen/pki.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

int64_t gen_now = GEN_TIME;

void gen_must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "generator: %s failed\n", what);
        abort();
    }
}

struct gen_blob gen_blob(const void *data, size_t size)
{
    struct gen_blob b = {malloc(size + 1), size};

    GEN_MUST(b.data);
    memcpy(b.data, data, size);
    b.data[size] = 0;
    return b;
}

EVP_PKEY *gen_key(const char *curve)
{
    EVP_PKEY *key;

    if (!strcmp(curve, "SM2"))
        key = EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
    else if (!strcmp(curve, "RSA"))
        key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    else
        key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
    GEN_MUST(key);
    return key;
}

static void set_name(X509_NAME *name, const char *cn, const char *ou)
{
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0);
    if (ou)
        X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_ASC, (const uint8_t *)ou, -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const uint8_t *)"Test", -1, -1, 0);
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    GEN_MUST(ext && X509_add_ext(cert, ext, -1));
    X509_EXTENSION_free(ext);
}

static void add_raw_extension(X509 *cert, const uint8_t *oid, size_t oid_size, const uint8_t *value,
                              size_t value_size)
{
    uint8_t der[64] = {0x06, (uint8_t)oid_size};
    const uint8_t *p = der;
    ASN1_OBJECT *object;
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    X509_EXTENSION *ext;

    memcpy(der + 2, oid, oid_size);
    object = d2i_ASN1_OBJECT(NULL, &p, (long)oid_size + 2);
    ASN1_OCTET_STRING_set(octets, value, (int)value_size);
    ext = X509_EXTENSION_create_by_OBJ(NULL, object, 0, octets);
    GEN_MUST(ext && X509_add_ext(cert, ext, -1));
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(object);
}

static void sign_cert(X509 *cert, EVP_PKEY *key, bool pss)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx;
    const EVP_MD *md =
        EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_get_bits(key) == 384 ? EVP_sha384() : EVP_sha256();

    GEN_MUST(EVP_DigestSignInit(ctx, &pctx, md, NULL, key) == 1);
    if (pss) {
        EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, 48);
    }
    GEN_MUST(X509_sign_ctx(cert, ctx) > 0);
    EVP_MD_CTX_free(ctx);
}

X509 *gen_cert(const struct gen_cert_options *o, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
    X509 *cert = X509_new();
    uint8_t serial[16];
    BIGNUM *bn;

    GEN_MUST(cert && RAND_bytes(serial, sizeof(serial)) == 1);
    serial[0] = 0x40 | (serial[0] & 0x3f);
    bn = BN_bin2bn(serial, sizeof(serial), NULL);
    BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert));
    BN_free(bn);
    X509_set_version(cert, X509_VERSION_3);
    set_name(X509_get_subject_name(cert), o->cn, o->ou);
    X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert));
    ASN1_TIME_set(X509_getm_notBefore(cert), o->from ? o->from : gen_now - 30000000);
    ASN1_TIME_set(X509_getm_notAfter(cert), o->to ? o->to : gen_now + 30000000);
    X509_set_pubkey(cert, key);
    add_extension(cert, issuer ? issuer : cert, NID_basic_constraints,
                  o->ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_extension(cert, issuer ? issuer : cert, NID_key_usage,
                  o->ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
    for (size_t i = 0; i < o->extension_count; i++)
        add_raw_extension(cert, o->extension[i].oid, o->extension[i].oid_size,
                          o->extension[i].value, o->extension[i].value_size);
    sign_cert(cert, issuer ? issuer_key : key, o->pss);
    return cert;
}

X509_CRL *gen_crl(X509 *issuer, EVP_PKEY *issuer_key, int64_t from, int64_t to, X509 *revoked)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *t = ASN1_TIME_new();

    GEN_MUST(crl && t);
    X509_CRL_set_version(crl, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer));
    X509_CRL_set1_lastUpdate(crl, ASN1_TIME_set(t, from ? from : gen_now - 86400));
    X509_CRL_set1_nextUpdate(crl, ASN1_TIME_set(t, to ? to : gen_now + 86400));
    if (revoked) {
        X509_REVOKED *entry = X509_REVOKED_new();

        X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked));
        X509_REVOKED_set_revocationDate(entry, ASN1_TIME_set(t, gen_now - 90000));
        X509_CRL_add0_revoked(crl, entry);
    }
    X509_CRL_sort(crl);
    GEN_MUST(X509_CRL_sign(crl, issuer_key, EVP_sha256()) > 0);
    ASN1_TIME_free(t);
    return crl;
}

struct gen_blob gen_pem(X509 *const *certs, size_t count)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct gen_blob out;
    char *data;
    long size;

    for (size_t i = 0; i < count; i++)
        GEN_MUST(PEM_write_bio_X509(bio, certs[i]) == 1);
    size = BIO_get_mem_data(bio, &data);
    out = gen_blob(data, (size_t)size);
    BIO_free(bio);
    return out;
}

struct gen_blob gen_crl_der(X509_CRL *crl)
{
    uint8_t *der = NULL;
    int size = i2d_X509_CRL(crl, &der);
    struct gen_blob out;

    GEN_MUST(size > 0);
    out = gen_blob(der, (size_t)size);
    OPENSSL_free(der);
    return out;
}

void gen_sign_raw(EVP_PKEY *key, const EVP_MD *md, const void *data, size_t size, uint8_t *r,
                  uint8_t *s, size_t part_size)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t der[256];
    const uint8_t *p = der;
    size_t der_size = sizeof(der);
    ECDSA_SIG *sig;

    GEN_MUST(EVP_DigestSignInit(ctx, NULL, md, NULL, key) == 1 &&
             EVP_DigestSign(ctx, der, &der_size, data, size) == 1);
    sig = d2i_ECDSA_SIG(NULL, &p, (long)der_size);
    GEN_MUST(sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), r, (int)part_size) > 0 &&
             BN_bn2binpad(ECDSA_SIG_get0_s(sig), s, (int)part_size) > 0);
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(ctx);
}

void gen_public_xy(EVP_PKEY *key, uint8_t *xy, size_t part_size)
{
    BIGNUM *x = NULL, *y = NULL;

    GEN_MUST(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
             EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1);
    BN_bn2binpad(x, xy, (int)part_size);
    BN_bn2binpad(y, xy + part_size, (int)part_size);
    BN_free(x);
    BN_free(y);
}
