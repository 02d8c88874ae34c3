// SPDX-License-Identifier: Apache-2.0
// Certificates and CRLs by OpenSSL: chains, names, raw ECDSA signatures.
#include "verifier/base/x509.h"
#include "verifier/base/bytes.h"
#include "verifier/base/der.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

int64_t sv_asn1_time(const ASN1_TIME *t)
{
    struct tm tm;

    if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
        return INT64_MIN;
    return (int64_t)timegm(&tm);
}

static bool same_key(X509 *a, X509 *b)
{
    return EVP_PKEY_eq(X509_get0_pubkey(a), X509_get0_pubkey(b)) == 1;
}

// Adds a certificate that has been checked to the chain and narrows its validity.
static bool chain_push(struct sv_chain *chain, X509 *cert)
{
    int64_t before = sv_asn1_time(X509_get0_notBefore(cert));
    int64_t after = sv_asn1_time(X509_get0_notAfter(cert));

    if (chain->count == SV_CHAIN_MAX || before == INT64_MIN || after == INT64_MIN)
        return false;
    if (chain->count == 0 || before > chain->not_before)
        chain->not_before = before;
    if (chain->count == 0 || after < chain->not_after)
        chain->not_after = after;
    chain->cert[chain->count++] = cert;
    return true;
}

// Whether an earlier candidate of this name has the same key: it was tried.
static bool key_was_tried(const struct sv_certs *certs, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (!X509_NAME_cmp(X509_get_subject_name(certs->cert[i]),
                           X509_get_subject_name(certs->cert[at])) &&
            X509_check_ca(certs->cert[i]) == 1 && same_key(certs->cert[i], certs->cert[at]))
            return true;
    return false;
}

// Finds who signed `cert` among `certs`. *named is set when one with the right name did not. A key
// is tried once, and few keys of one name: whoever sends many certificates makes us compute no
// more.
static X509 *issuer_of(X509 *cert, const struct sv_certs *certs, bool *named)
{
    int tries = 0;

    for (size_t i = 0; certs && i < certs->count && tries < SV_ISSUER_TRIES; i++) {
        X509 *candidate = certs->cert[i];

        if (X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(candidate)))
            continue;
        *named = true;
        if (key_was_tried(certs, i))
            continue;
        tries++;
        if (X509_check_ca(candidate) != 1 || X509_check_issued(candidate, cert) != X509_V_OK)
            continue;
        if (X509_verify(cert, X509_get0_pubkey(candidate)) == 1)
            return candidate;
        ERR_clear_error();
    }
    return NULL;
}

static bool self_issued(X509 *cert)
{
    return !X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(cert));
}

static bool obeys_names(X509 *cert, X509 *ca)
{
    NAME_CONSTRAINTS *nc = X509_get_ext_d2i(ca, NID_name_constraints, NULL, NULL);
    bool good = !nc || (NAME_CONSTRAINTS_check(cert, nc) == X509_V_OK &&
                        (X509_check_ca(cert) || NAME_CONSTRAINTS_check_CN(cert, nc) == X509_V_OK));

    NAME_CONSTRAINTS_free(nc);
    return good;
}

// What the certificates of a whole chain demand of each other (RFC 5280, 4.2 and 6.1.4): critical
// extensions that are known, path lengths, name constraints.
static bool is_chain_proper(const struct sv_chain *chain)
{
    for (size_t i = 0; i < chain->count; i++) {
        uint32_t flags = X509_get_extension_flags(chain->cert[i]);
        long length = X509_get_pathlen(chain->cert[i]);

        if (flags & (EXFLAG_CRITICAL | EXFLAG_INVALID))
            return false;
        if (i && length >= 0 && (size_t)length < i - 1)
            return false;
        for (size_t below = 0; below < i; below++)
            if (!obeys_names(chain->cert[below], chain->cert[i]))
                return false;
    }
    return true;
}

// Takes the rest of a chain that was checked before. False if it does not fit.
static bool chain_take(struct sv_chain *chain, const struct sv_chain *verified)
{
    for (size_t i = 1; i < verified->count; i++)
        if (!chain_push(chain, verified->cert[i]))
            return false;
    return true;
}

static void judge_root(X509 *root, const struct sv_certs *named, enum sv_vendor vendor,
                       const struct sv_chain *verified, struct sv_chain *chain)
{
    bool known = verified && verified->count && verified->cert[verified->count - 1] == root;

    chain->simulated = known ? verified->simulated : sv_root_simulated(root);
    if (known ? verified->root == SV_ROOT_PINNED : sv_root_pinned(root, vendor))
        chain->root = SV_ROOT_PINNED;
    for (size_t i = 0; chain->root == SV_ROOT_NONE && named && i < named->count; i++)
        if (self_issued(named->cert[i]) && same_key(named->cert[i], root))
            chain->root = SV_ROOT_NAMED;
}

int sv_chain_over(X509 *leaf, const struct sv_certs *named, enum sv_vendor vendor,
                  const struct sv_chain *verified, struct sv_chain *chain)
{
    *chain = (struct sv_chain){0};
    if (!verified->count || !chain_push(chain, leaf) || !chain_push(chain, verified->cert[0]) ||
        !chain_take(chain, verified))
        return -EKEYREJECTED;
    judge_root(chain->cert[chain->count - 1], named, vendor, verified, chain);
    return is_chain_proper(chain) ? 0 : -EKEYREJECTED;
}

int sv_chain_build(X509 *leaf, const struct sv_certs *pool, const struct sv_certs *named,
                   enum sv_vendor vendor, const struct sv_chain *verified, struct sv_chain *chain)
{
    X509 *at = leaf;

    *chain = (struct sv_chain){0};
    if (!chain_push(chain, leaf))
        return -EKEYREJECTED;
    while (!self_issued(at)) {
        bool seen = false;
        X509 *issuer = issuer_of(at, pool, &seen);

        if (!issuer)
            issuer = issuer_of(at, named, &seen);
        if (!issuer)
            return seen ? -EKEYREJECTED : -ENOENT;
        if (!chain_push(chain, issuer))
            return -EKEYREJECTED;
        at = issuer;
        if (verified && verified->count && verified->root != SV_ROOT_NONE &&
            at == verified->cert[0]) {
            if (!chain_take(chain, verified))
                return -EKEYREJECTED;
            judge_root(chain->cert[chain->count - 1], named, vendor, verified, chain);
            return is_chain_proper(chain) ? 0 : -EKEYREJECTED;
        }
    }
    if (X509_verify(at, X509_get0_pubkey(at)) != 1) {
        ERR_clear_error();
        return -EKEYREJECTED;
    }
    judge_root(at, named, vendor, NULL, chain);
    return is_chain_proper(chain) ? 0 : -EKEYREJECTED;
}

bool sv_root_simulated(X509 *root)
{
    const X509_NAME *name = X509_get_subject_name(root);
    int at = X509_NAME_get_index_by_NID(name, NID_organizationalUnitName, -1);
    const ASN1_STRING *ou;

    if (at < 0)
        return false;
    ou = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
    return ASN1_STRING_length(ou) == (int)strlen(SHELTER_SIMULATED_OU) &&
           !memcmp(ASN1_STRING_get0_data(ou), SHELTER_SIMULATED_OU, strlen(SHELTER_SIMULATED_OU));
}

X509_CRL *sv_crl_parse(const void *data, size_t size)
{
    static const char begin[] = "-----BEGIN X509 CRL-----";
    const uint8_t *p = data;
    X509_CRL *crl = NULL;

    if (!size || size > SHELTER_COLLATERAL_SIZE_MAX)
        return NULL;
    if (memmem(data, size, begin, strlen(begin))) {
        BIO *bio = BIO_new_mem_buf(data, (int)size);

        crl = bio ? PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL) : NULL;
        BIO_free(bio);
    } else if (p[0] == 0x30 && size > 1 && p[1] >= 0x80) {
        crl = d2i_X509_CRL(NULL, &p, (long)size);
    } else {
        char *text = strndup(data, size);
        size_t der_size = 0, length = text ? strcspn(text, "\r\n ") : 0;
        uint8_t *der = NULL;

        if (text) {
            text[length] = 0;
            der = sv_unhex_new(text, &der_size);
        }
        p = der;
        crl = der ? d2i_X509_CRL(NULL, &p, (long)der_size) : NULL;
        free(der);
        free(text);
    }
    ERR_clear_error();
    return crl;
}

void sv_name_cn(const X509_NAME *name, char *out, size_t size)
{
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    const ASN1_STRING *cn;
    size_t length;

    out[0] = 0;
    if (at < 0)
        return;
    cn = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
    length = (size_t)ASN1_STRING_length(cn);
    if (length >= size)
        length = size - 1;
    for (size_t i = 0; i < length; i++) {
        char c = (char)ASN1_STRING_get0_data(cn)[i];

        out[i] = c >= 0x20 && c < 0x7f ? c : '?';
    }
    out[length] = 0;
}

const ASN1_OCTET_STRING *sv_extension(X509 *cert, const void *oid, size_t oid_size)
{
    int count = X509_get_ext_count(cert);

    for (int i = 0; i < count; i++) {
        X509_EXTENSION *ext = X509_get_ext(cert, i);
        const ASN1_OBJECT *obj = X509_EXTENSION_get_object(ext);

        if (OBJ_length(obj) == oid_size && !memcmp(OBJ_get0_data(obj), oid, oid_size))
            return X509_EXTENSION_get_data(ext);
    }
    return NULL;
}

EVP_PKEY *sv_public_key(const char *type, OSSL_PARAM *params)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return key;
}

EVP_PKEY *sv_ec_key(const char *type, const char *group, const uint8_t xy[64])
{
    uint8_t point[65] = {4};
    char name[16];
    OSSL_PARAM params[3];

    memcpy(point + 1, xy, 64);
    snprintf(name, sizeof(name), "%s", group);
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point));
    params[2] = OSSL_PARAM_construct_end();
    return sv_public_key(type, params);
}

EVP_PKEY *sv_rsa_key(const BIGNUM *n, const BIGNUM *e)
{
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;

    if (bld && BN_num_bits(n) >= 2048 && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e))
        params = OSSL_PARAM_BLD_to_param(bld);
    if (params)
        key = sv_public_key("RSA", params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    return key;
}

EVP_PKEY *sv_p256_key(const uint8_t xy[64])
{
    return sv_ec_key("EC", "prime256v1", xy);
}

bool sv_ecdsa_verify(EVP_PKEY *key, const EVP_MD *md, const uint8_t *r, const uint8_t *s,
                     size_t part_size, const void *data, size_t size)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *br = BN_bin2bn(r, (int)part_size, NULL), *bs = BN_bin2bn(s, (int)part_size, NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t *der = NULL;
    int der_size = -1;
    bool ok = false;

    if (sig && br && bs && ECDSA_SIG_set0(sig, br, bs) == 1) {
        br = bs = NULL;
        der_size = i2d_ECDSA_SIG(sig, &der);
    }
    if (ctx && der_size > 0)
        ok = EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
             EVP_DigestVerify(ctx, der, (size_t)der_size, data, size) == 1;
    OPENSSL_free(der);
    BN_free(br);
    BN_free(bs);
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return ok;
}

bool sv_key_is_ec(EVP_PKEY *key, const char *curve)
{
    char name[32] = "";
    size_t size = 0;

    return key && EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_group_name(key, name, sizeof(name), &size) == 1 && !strcmp(name, curve);
}

void sv_sha256_pair(const void *a, size_t a_size, const void *b, size_t b_size, uint8_t out[32])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    // A failure leaves a digest that nothing matches.
    if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(ctx, a, a_size) != 1 || EVP_DigestUpdate(ctx, b, b_size) != 1 ||
        EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        memset(out, 0xff, 32);
    EVP_MD_CTX_free(ctx);
}
