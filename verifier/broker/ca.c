// SPDX-License-Identifier: Apache-2.0
// Certificates for workloads, by OpenSSL.
#include "verifier/broker/ca.h"
#include "verifier/base/json_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "lib/hex.h"

#define EARLY 300         // clocks differ: a certificate holds from before it was made
#define CRL_SECONDS 86400 // how long a list may be believed where the broker cannot be asked
#define CA_SECONDS (3650ll * 86400)

// --- What is kept of an identity ---

static bool dns_ok(const char *name)
{
    size_t label = 0;

    if (strlen(name) > 253)
        return false;
    for (const char *p = name; *p; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9');

        if (*p == '.' ? !label || p[-1] == '-' : !letter && (*p != '-' || !label))
            return false;
        label = *p == '.' ? 0 : label + 1;
        if (label > 63)
            return false;
    }
    return label && name[strlen(name) - 1] != '-';
}

static int refuse_identity(char *why, size_t why_size, const char *what)
{
    snprintf(why, why_size, "%s", what);
    return -EINVAL;
}

static int take_dns(const cJSON *list, struct sb_identity *out, char *why, size_t why_size)
{
    const cJSON *name;

    if (list && !cJSON_IsArray(list))
        return refuse_identity(why, why_size, "\"dns\" is not a list");
    cJSON_ArrayForEach(name, list)
    {
        if (out->dns_count == SB_DNS_MAX)
            return refuse_identity(why, why_size, "an identity has at most 16 DNS names");
        if (!cJSON_IsString(name) || !dns_ok(name->valuestring))
            return refuse_identity(why, why_size,
                                   "a DNS name is letters (small), digits, '-' and '.'");
        snprintf(out->dns[out->dns_count++], sizeof(out->dns[0]), "%s", name->valuestring);
    }
    return 0;
}

int sb_identity_parse(const char *json, struct sb_identity *out, char *why, size_t why_size)
{
    cJSON *o = sv_json_read_text(json, why, why_size);
    const cJSON *seconds = cJSON_GetObjectItemCaseSensitive(o, "seconds");
    int rc = cJSON_IsObject(o) ? 0 : -EINVAL;

    memset(out, 0, sizeof(*out));
    out->seconds = cJSON_IsNumber(seconds) ? (int64_t)seconds->valuedouble : SB_SECONDS_USUAL;
    if (!rc)
        rc = take_dns(cJSON_GetObjectItemCaseSensitive(o, "dns"), out, why, why_size);
    if (!rc && (out->seconds < SB_SECONDS_MIN || out->seconds > SB_SECONDS_MAX))
        rc = refuse_identity(why, why_size, "a certificate is valid for 60 seconds to 30 days");
    cJSON_Delete(o);
    return rc;
}

// --- Requests ---

// Only cheap keys: what it costs to look at one is known.
static bool key_ok(EVP_PKEY *key)
{
    char group[32];
    size_t n;

    return key && EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_group_name(key, group, sizeof(group), &n) == 1 &&
           (!strcmp(group, "prime256v1") || !strcmp(group, "secp384r1"));
}

EVP_PKEY *sb_csr_key(const uint8_t *der, size_t size)
{
    const uint8_t *at = der;
    X509_REQ *request = size <= SB_CSR_MAX ? d2i_X509_REQ(NULL, &at, (long)size) : NULL;
    EVP_PKEY *key = NULL;

    if (request && at == der + size && key_ok(X509_REQ_get0_pubkey(request)) &&
        X509_REQ_verify(request, X509_REQ_get0_pubkey(request)) == 1)
        key = X509_REQ_get_pubkey(request);
    X509_REQ_free(request);
    return key;
}

// --- Certificates ---

static char *take_text(BIO *bio)
{
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);

    return size > 0 ? strndup(data, (size_t)size) : NULL;
}

bool sb_add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;
    bool ok;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = ext && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

// Names are put in as values, never parsed: nothing in them has a meaning.
static bool add_name(GENERAL_NAMES *names, int type, const char *text)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *value = ASN1_IA5STRING_new();

    if (name && value && ASN1_STRING_set(value, text, -1)) {
        GENERAL_NAME_set0_value(name, type, value);
        if (sk_GENERAL_NAME_push(names, name))
            return true;
        value = NULL;
    }
    ASN1_IA5STRING_free(value);
    GENERAL_NAME_free(name);
    return false;
}

static bool add_names(X509 *cert, const char *uri, const struct sb_identity *i)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    bool ok = names && add_name(names, GEN_URI, uri);

    for (size_t n = 0; ok && i && n < i->dns_count; n++)
        ok = add_name(names, GEN_DNS, i->dns[n]);
    ok = ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1;
    GENERAL_NAMES_free(names);
    return ok;
}

// Common to both kinds: serial number, times, names, key.
static bool fill_cert(X509 *cert, const uint8_t serial[16], const char *cn, EVP_PKEY *key,
                      X509 *issuer, int64_t from, int64_t to)
{
    X509_NAME *name = X509_NAME_new();
    BIGNUM *bn = BN_bin2bn(serial, 16, NULL);
    bool ok = name && bn && X509_set_version(cert, X509_VERSION_3) &&
              BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) &&
              X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1,
                                         -1, 0) &&
              X509_set_subject_name(cert, name) &&
              X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : name) &&
              ASN1_TIME_set(X509_getm_notBefore(cert), from) &&
              ASN1_TIME_set(X509_getm_notAfter(cert), to) && X509_set_pubkey(cert, key);

    BN_free(bn);
    X509_NAME_free(name);
    return ok;
}

static bool new_serial(uint8_t serial[16])
{
    if (RAND_bytes(serial, 16) != 1)
        return false;
    serial[0] = 0x40 | (serial[0] & 0x3f); // positive, and always as long
    return true;
}

static X509 *read_cert(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

    BIO_free(bio);
    return cert;
}

static char *make_authority(EVP_PKEY *key, const char *domain)
{
    char cn[64], uri[SB_IDENTITY_MAX + 1], *text = NULL;
    int64_t now = time(NULL);
    X509 *cert = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    uint8_t serial[16];

    snprintf(cn, sizeof(cn), "identities of %.45s", domain);
    snprintf(uri, sizeof(uri), "spiffe://%s", domain);
    if (cert && bio && new_serial(serial) &&
        fill_cert(cert, serial, cn, key, NULL, now - EARLY, now + CA_SECONDS) &&
        sb_add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        sb_add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
        sb_add_extension(cert, cert, NID_subject_key_identifier, "hash") &&
        add_names(cert, uri, NULL) && X509_sign(cert, key, EVP_sha256()) &&
        PEM_write_bio_X509(bio, cert))
        text = take_text(bio);
    BIO_free(bio);
    X509_free(cert);
    return text;
}

int sb_ca_certificate(struct sb_store *st, const char *domain, char **pem)
{
    char *known = NULL;
    int rc = sb_store_value_get(st, "trust-domain", &known);

    *pem = NULL;
    if (!rc)
        rc = domain && strcmp(known, domain) ? -EEXIST
                                             : sb_store_value_get(st, "ca-certificate", pem);
    free(known);
    if (rc != -ENOENT || !domain)
        return rc;
    *pem = make_authority(st ? sb_store_ca_key(st) : NULL, domain);
    rc = *pem ? sb_store_value_put(st, "ca-certificate", *pem) : -ENOMEM;
    return rc ? rc : sb_store_value_put(st, "trust-domain", domain);
}

// Programs that know no URI names look at the common name: the first DNS name, else the path's end.
static void common_name(const char *id, const struct sb_identity *i, char out[65])
{
    const char *last = strrchr(id, '/') + 1;

    snprintf(out, 65, "%.64s", i->dns_count && strlen(i->dns[0]) <= 64 ? i->dns[0] : last);
}

int sb_ca_issue(struct sb_store *st, EVP_PKEY *key, const struct sb_identity *i, int64_t now,
                struct sb_certificate *c, char **pem)
{
    char cn[65], *own = NULL;
    int rc = sb_ca_certificate(st, NULL, &own);
    X509 *issuer = rc ? NULL : read_cert(own), *cert = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    uint8_t serial[16];

    *pem = NULL;
    free(own);
    common_name(c->id, i, cn);
    c->issued = now;
    c->ends = now + i->seconds;
    if (issuer && cert && bio && new_serial(serial) &&
        fill_cert(cert, serial, cn, key, issuer, now - EARLY, c->ends) &&
        sb_add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
        sb_add_extension(cert, issuer, NID_key_usage, "critical,digitalSignature") &&
        sb_add_extension(cert, issuer, NID_ext_key_usage, "serverAuth,clientAuth") &&
        sb_add_extension(cert, issuer, NID_subject_key_identifier, "hash") &&
        sb_add_extension(cert, issuer, NID_authority_key_identifier, "keyid") &&
        add_names(cert, c->id, i) && X509_sign(cert, sb_store_ca_key(st), EVP_sha256()) &&
        PEM_write_bio_X509(bio, cert)) {
        sh_hex(c->serial, serial, sizeof(serial));
        *pem = take_text(bio);
    }
    BIO_free(bio);
    X509_free(cert);
    X509_free(issuer);
    return *pem ? 0 : rc ? rc : -ENOMEM;
}

// --- Revocation ---

struct listing {
    X509_CRL *crl;
    bool failed;
};

static void list_revoked(const char *serial, int64_t revoked, void *arg)
{
    struct listing *l = arg;
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    ASN1_TIME *at = ASN1_TIME_set(NULL, revoked);
    BIGNUM *bn = NULL;

    if (entry && number && at && BN_hex2bn(&bn, serial) && BN_to_ASN1_INTEGER(bn, number) &&
        X509_REVOKED_set_serialNumber(entry, number) &&
        X509_REVOKED_set_revocationDate(entry, at) && X509_CRL_add0_revoked(l->crl, entry))
        entry = NULL;
    else
        l->failed = true;
    X509_REVOKED_free(entry);
    ASN1_INTEGER_free(number);
    ASN1_TIME_free(at);
    BN_free(bn);
}

static bool identify_crl(X509_CRL *crl, X509 *issuer, int64_t now)
{
    AUTHORITY_KEYID *by = AUTHORITY_KEYID_new();
    ASN1_INTEGER *n = ASN1_INTEGER_new();
    const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(issuer);
    bool ok = by && n && id && ASN1_INTEGER_set_int64(n, now) &&
              (by->keyid = ASN1_OCTET_STRING_dup(id)) &&
              X509_CRL_add1_ext_i2d(crl, NID_authority_key_identifier, by, 0, 0) == 1 &&
              X509_CRL_add1_ext_i2d(crl, NID_crl_number, n, 0, 0) == 1;

    ASN1_INTEGER_free(n);
    AUTHORITY_KEYID_free(by);
    return ok;
}

int sb_ca_crl(struct sb_store *st, int64_t now, char **pem)
{
    struct listing l = {.crl = X509_CRL_new()};
    ASN1_TIME *from = ASN1_TIME_set(NULL, now), *to = ASN1_TIME_set(NULL, now + CRL_SECONDS);
    BIO *bio = BIO_new(BIO_s_mem());
    char *own = NULL;
    int rc = sb_ca_certificate(st, NULL, &own);
    X509 *issuer = rc ? NULL : read_cert(own);

    *pem = NULL;
    free(own);
    if (!rc && l.crl)
        rc = sb_certificate_revoked(st, now, list_revoked, &l);
    if (!rc && issuer && l.crl && from && to && bio && !l.failed &&
        X509_CRL_set_version(l.crl, X509_CRL_VERSION_2) &&
        X509_CRL_set_issuer_name(l.crl, X509_get_subject_name(issuer)) &&
        X509_CRL_set1_lastUpdate(l.crl, from) && X509_CRL_set1_nextUpdate(l.crl, to) &&
        identify_crl(l.crl, issuer, now) && X509_CRL_sort(l.crl) &&
        X509_CRL_sign(l.crl, sb_store_ca_key(st), EVP_sha256()) > 0 &&
        PEM_write_bio_X509_CRL(bio, l.crl))
        *pem = take_text(bio);
    X509_free(issuer);
    X509_CRL_free(l.crl);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    BIO_free(bio);
    return *pem ? 0 : rc ? rc : -ENOMEM;
}
