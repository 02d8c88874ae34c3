// SPDX-License-Identifier: Apache-2.0
// Keys, certificates and CRLs by OpenSSL.
#include "host/attest/pki.h"

#include <stdio.h>
#include <string.h>

#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

EVP_PKEY *sh_pki_key(const char *kind)
{
    if (!strcmp(kind, "SM2"))
        return EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
    if (!strcmp(kind, "RSA"))
        return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    return EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
}

static bool set_name(X509_NAME *name, const struct sh_cert_options *o)
{
    const char *const parts[][2] = {{"CN", o->cn}, {"OU", o->ou}, {"O", o->o},
                                    {"L", o->l},   {"ST", o->st}, {"C", o->c}};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (parts[i][1] &&
            !X509_NAME_add_entry_by_txt(name, parts[i][0], MBSTRING_ASC,
                                        (const unsigned char *)parts[i][1], -1, -1, 0))
            return false;
    return true;
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = ext && X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    return ok;
}

static bool add_raw_extension(X509 *cert, const uint8_t *oid, size_t oid_size, const uint8_t *value,
                              size_t value_size)
{
    uint8_t der[64] = {0x06, (uint8_t)oid_size};
    const uint8_t *p = der;
    if (oid_size > sizeof(der) - 2)
        return false;
    memcpy(der + 2, oid, oid_size);
    ASN1_OBJECT *object = d2i_ASN1_OBJECT(NULL, &p, (long)oid_size + 2);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    X509_EXTENSION *ext = NULL;
    bool ok = object && octets && ASN1_OCTET_STRING_set(octets, value, (int)value_size) &&
              (ext = X509_EXTENSION_create_by_OBJ(NULL, object, 0, octets)) &&
              X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(object);
    return ok;
}

static bool sign_cert(X509 *cert, EVP_PKEY *key, bool pss)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx;
    const EVP_MD *md =
        EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_get_bits(key) == 384 ? EVP_sha384() : EVP_sha256();
    bool ok = ctx && EVP_DigestSignInit(ctx, &pctx, md, NULL, key) == 1;
    if (ok && pss)
        ok = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, 48) == 1;
    ok = ok && X509_sign_ctx(cert, ctx) > 0;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool set_serial(X509 *cert)
{
    uint8_t serial[16];
    if (RAND_bytes(serial, sizeof(serial)) != 1)
        return false;
    serial[0] = 0x40 | (serial[0] & 0x3f); /* positive, and always as long */
    BIGNUM *bn = BN_bin2bn(serial, sizeof(serial), NULL);
    bool ok = bn && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert));
    BN_free(bn);
    return ok;
}

/* What it is for; RFC 5280, 4.2.1: identifiers of both keys (the own one first, since the other may
 * be it), and where the CRL is. */
static bool add_usual_extensions(const struct sh_cert_options *o, X509 *cert, X509 *by)
{
    char value[256];
    if (!add_extension(cert, by, NID_basic_constraints,
                       o->ca ? "critical,CA:TRUE" : "critical,CA:FALSE") ||
        !add_extension(cert, by, NID_key_usage,
                       o->ca ? "critical,keyCertSign,cRLSign"
                             : "critical,digitalSignature,nonRepudiation") ||
        !add_extension(cert, by, NID_subject_key_identifier, "hash") ||
        (X509_get0_subject_key_id(by) &&
         !add_extension(cert, by, NID_authority_key_identifier, "keyid")))
        return false;
    return !o->crl_url ||
           (snprintf(value, sizeof(value), "URI:%s", o->crl_url) < (int)sizeof(value) &&
            add_extension(cert, by, NID_crl_distribution_points, value));
}

X509 *sh_pki_cert(const struct sh_cert_options *o, EVP_PKEY *key, X509 *issuer,
                  EVP_PKEY *issuer_key)
{
    X509 *cert = X509_new();
    X509 *by = issuer ? issuer : cert;
    bool ok = cert && set_serial(cert) && X509_set_version(cert, X509_VERSION_3) &&
              set_name(X509_get_subject_name(cert), o) &&
              X509_set_issuer_name(cert, X509_get_subject_name(by)) &&
              ASN1_TIME_set(X509_getm_notBefore(cert), o->from) &&
              ASN1_TIME_set(X509_getm_notAfter(cert), o->to) && X509_set_pubkey(cert, key) &&
              (o->bare || add_usual_extensions(o, cert, by));
    for (size_t i = 0; ok && i < o->extension_count; i++)
        ok = add_raw_extension(cert, o->extension[i].oid, o->extension[i].oid_size,
                               o->extension[i].value, o->extension[i].value_size);
    if (ok && sign_cert(cert, issuer ? issuer_key : key, o->pss))
        return cert;
    X509_free(cert);
    return NULL;
}

static bool add_revoked(X509_CRL *crl, X509 *cert, ASN1_TIME *at)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    if (entry && X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(cert)) &&
        X509_REVOKED_set_revocationDate(entry, at) && X509_CRL_add0_revoked(crl, entry))
        return true;
    X509_REVOKED_free(entry);
    return false;
}

static bool identify_crl(X509_CRL *crl, X509 *issuer, int64_t number)
{
    const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(issuer);
    AUTHORITY_KEYID *by = AUTHORITY_KEYID_new();
    ASN1_INTEGER *n = ASN1_INTEGER_new();
    bool ok = by && n && ASN1_INTEGER_set_int64(n, number);
    if (ok && id)
        ok = (by->keyid = ASN1_OCTET_STRING_dup(id)) &&
             X509_CRL_add1_ext_i2d(crl, NID_authority_key_identifier, by, 0, 0) == 1;
    ok = ok && X509_CRL_add1_ext_i2d(crl, NID_crl_number, n, 0, 0) == 1;
    ASN1_INTEGER_free(n);
    AUTHORITY_KEYID_free(by);
    return ok;
}

X509_CRL *sh_pki_crl(X509 *issuer, EVP_PKEY *issuer_key, int64_t from, int64_t to, X509 *revoked,
                     int64_t revoked_at)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *t = ASN1_TIME_new();
    bool ok = crl && t && X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
              X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer)) &&
              X509_CRL_set1_lastUpdate(crl, ASN1_TIME_set(t, from)) &&
              X509_CRL_set1_nextUpdate(crl, ASN1_TIME_set(t, to));
    if (ok && revoked)
        ok = add_revoked(crl, revoked, ASN1_TIME_set(t, revoked_at));
    ok = ok && identify_crl(crl, issuer, from) && X509_CRL_sort(crl) &&
         X509_CRL_sign(crl, issuer_key, EVP_sha256()) > 0;
    ASN1_TIME_free(t);
    if (ok)
        return crl;
    X509_CRL_free(crl);
    return NULL;
}
