// SPDX-License-Identifier: Apache-2.0
// Reads certificates: PEM bundles, DER, and leaves without their keys.
#include "verifier/base/bytes.h"
#include "verifier/base/der.h"
#include "verifier/base/x509.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include <openssl/err.h>

static const char pem_begin[] = "-----BEGIN CERTIFICATE-----";
static const char pem_end[] = "-----END CERTIFICATE-----";

static const uint8_t *find_bytes(const uint8_t *data, size_t size, const char *what)
{
    return memmem(data, size, what, strlen(what));
}

static X509 *find_known(const struct sv_certs *known, const uint8_t *der, size_t size)
{
    for (size_t i = 0; known && i < known->count; i++)
        if (known->der_size[i] == size && !memcmp(known->der[i], der, size))
            return known->cert[i];
    return NULL;
}

enum key_kind { KEY_OTHER, KEY_RSA, KEY_P256, KEY_EC };

// Which of the keys that vendors use: EC on the three NIST curves by name, RSA of 2048 to 4096
// bits. Told from the bytes, before the library computes anything on them: others' curves and large
// moduli cost time.
static enum key_kind key_kind(const uint8_t *der, size_t size)
{
    static const uint8_t ec[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
    static const uint8_t p256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    static const uint8_t p384[] = {0x2b, 0x81, 0x04, 0x00, 0x22};
    static const uint8_t p521[] = {0x2b, 0x81, 0x04, 0x00, 0x23};
    static const uint8_t rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
    struct sv_bytes in = {der, size}, cert, tbs, part, spki, alg, oid, curve;

    if (!sv_der_take(&in, SV_DER_SEQUENCE, &cert) || !sv_der_take(&cert, SV_DER_SEQUENCE, &tbs) ||
        !sv_der_take(&tbs, 0xa0, &part) || !sv_der_take(&tbs, SV_DER_INTEGER, &part))
        return KEY_OTHER;
    for (int i = 0; i < 4; i++) // signature algorithm, issuer, validity, subject
        if (!sv_der_take(&tbs, SV_DER_SEQUENCE, &part))
            return KEY_OTHER;
    if (!sv_der_take(&tbs, SV_DER_SEQUENCE, &spki) || spki.size > 600 ||
        !sv_der_take(&spki, SV_DER_SEQUENCE, &alg) || !sv_der_take(&alg, SV_DER_OID, &oid))
        return KEY_OTHER;
    if (oid.size == sizeof(rsa) && !memcmp(oid.data, rsa, oid.size))
        return spki.size > 256 + 16 ? KEY_RSA : KEY_OTHER;
    if (oid.size != sizeof(ec) || memcmp(oid.data, ec, oid.size) ||
        !sv_der_take(&alg, SV_DER_OID, &curve))
        return KEY_OTHER;
    if (curve.size == sizeof(p256) && !memcmp(curve.data, p256, curve.size))
        return KEY_P256;
    return (curve.size == sizeof(p384) && !memcmp(curve.data, p384, curve.size)) ||
                   (curve.size == sizeof(p521) && !memcmp(curve.data, p521, curve.size))
               ? KEY_EC
               : KEY_OTHER;
}

static int add_der(struct sv_certs *certs, const uint8_t *der, size_t size,
                   const struct sv_certs *known, struct sv_seen *seen)
{
    const uint8_t *p = der;
    X509 *cert;

    if (certs->count == SV_CERTS_MAX)
        return -E2BIG;
    cert = find_known(known, der, size);
    if (cert)
        X509_up_ref(cert);
    else
        cert = sv_seen_find(seen, der, size);
    if (cert) {
        certs->cert[certs->count++] = cert;
        return 0;
    }
    cert =
        size > LONG_MAX || key_kind(der, size) == KEY_OTHER ? NULL : d2i_X509(NULL, &p, (long)size);
    if (!cert) {
        ERR_clear_error();
        return -EBADMSG;
    }
    if (X509_get_version(cert) != X509_VERSION_3 || !X509_get0_pubkey(cert)) {
        X509_free(cert);
        ERR_clear_error();
        return -EBADMSG;
    }
    certs->der[certs->count] = malloc(size);
    if (certs->der[certs->count]) {
        memcpy(certs->der[certs->count], der, size);
        certs->der_size[certs->count] = size;
    }
    certs->cert[certs->count++] = cert;
    return 0;
}

// DER certificates one behind the other, as some tools write chains.
static int add_der_row(struct sv_certs *certs, const uint8_t *der, size_t size,
                       const struct sv_certs *known, struct sv_seen *seen)
{
    struct sv_bytes in = {der, size}, body;
    int rc;

    do {
        const uint8_t *from = in.data;

        if (!sv_der_take(&in, SV_DER_SEQUENCE, &body))
            return -EBADMSG;
        rc = add_der(certs, from, (size_t)(in.data - from), known, seen);
    } while (!rc && in.size && in.data[0] == SV_DER_SEQUENCE);
    return rc;
}

// One PEM body: base64 with line ends, bounded. The caller's; NULL where it is none.
static uint8_t *decode_pem_body(const uint8_t *body, size_t size, size_t *der_size)
{
    char text[16384];
    size_t used = 0;

    for (size_t i = 0; i < size; i++) {
        if (body[i] == '\n' || body[i] == '\r' || body[i] == ' ')
            continue;
        if (used + 1 == sizeof(text) || !body[i])
            return NULL;
        text[used++] = (char)body[i];
    }
    text[used] = 0;
    return sv_unbase64_new(text, der_size);
}

static int add_pem_body(struct sv_certs *certs, const uint8_t *body, size_t size,
                        const struct sv_certs *known, struct sv_seen *seen)
{
    size_t der_size;
    uint8_t *der = decode_pem_body(body, size, &der_size);
    int rc = der ? add_der(certs, der, der_size, known, seen) : -EBADMSG;

    free(der);
    return rc;
}

// ECDSA with SHA-256 over the certificate as it came, as both of its algorithms say. (What is
// compared is in one form only.)
static bool is_signed_by(const uint8_t *der, size_t size, EVP_PKEY *key)
{
    static const uint8_t ecdsa[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
    struct sv_bytes in = {der, size}, cert, tbs, whole, inner, outer, sig, part;
    EVP_MD_CTX *ctx;
    bool ok;

    if (!sv_der_take(&in, SV_DER_SEQUENCE, &cert) || in.size)
        return false;
    whole.data = cert.data;
    if (!sv_der_take(&cert, SV_DER_SEQUENCE, &tbs))
        return false;
    whole.size = (size_t)(cert.data - whole.data);
    if (!sv_der_take(&cert, SV_DER_SEQUENCE, &outer) || !sv_der_take(&cert, SV_DER_BITS, &sig) ||
        cert.size || sig.size < 2 || sig.data[0] || !sv_der_take(&tbs, 0xa0, &part) ||
        !sv_der_take(&tbs, SV_DER_INTEGER, &part) || !sv_der_take(&tbs, SV_DER_SEQUENCE, &inner) ||
        outer.size != sizeof(ecdsa) || memcmp(outer.data, ecdsa, sizeof(ecdsa)) ||
        inner.size != sizeof(ecdsa) || memcmp(inner.data, ecdsa, sizeof(ecdsa)))
        return false;
    ctx = EVP_MD_CTX_new();
    ok = ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
         EVP_DigestVerify(ctx, sig.data + 1, sig.size - 1, whole.data, whole.size) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

EVP_PKEY *sv_leaf_key(X509 *leaf)
{
    EVP_PKEY *key = X509_get0_pubkey(leaf);
    const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(leaf);

    ERR_clear_error();
    if (key)
        return EVP_PKEY_up_ref(key) == 1 ? key : NULL;
    return bits && ASN1_STRING_length(bits) == 65 && ASN1_STRING_get0_data(bits)[0] == 4
               ? sv_p256_key(ASN1_STRING_get0_data(bits) + 1)
               : NULL;
}

static void learn(struct sv_seen *seen, X509 *issuer, const uint8_t *der, size_t size)
{
    EVP_PKEY *by = X509_get0_pubkey(issuer);
    const uint8_t *p = der;
    X509 *cert;

    if (!sv_key_is_ec(by, "prime256v1") || key_kind(der, size) != KEY_P256 ||
        !is_signed_by(der, size, by))
        return;
    cert = X509_new_ex(sv_seen_bare(seen), NULL);
    if (cert && d2i_X509(&cert, &p, (long)size) && p == der + size &&
        X509_get_version(cert) == X509_VERSION_3 && !X509_get0_pubkey(cert) &&
        // The first look at the extensions fails for want of a fingerprint, and tells them.
        !(X509_get_extension_flags(cert) & (EXFLAG_CA | EXFLAG_INVALID)) &&
        X509_check_ca(cert) == 0 && X509_check_ca(issuer) == 1 &&
        X509_check_issued(issuer, cert) == X509_V_OK)
        sv_seen_add(seen, cert, der, size);
    X509_free(cert);
}

void sv_certs_learn(struct sv_seen *seen, X509 *issuer, const void *pem, size_t size)
{
    const uint8_t *begin = find_bytes(pem, size, pem_begin), *end, *body;
    const uint8_t *limit = (const uint8_t *)pem + size;
    size_t der_size;
    uint8_t *der;
    X509 *cert;

    body = begin ? begin + strlen(pem_begin) : limit;
    end = find_bytes(body, (size_t)(limit - body), pem_end);
    if (!sv_seen_bare(seen) || !end)
        return;
    der = decode_pem_body(body, (size_t)(end - body), &der_size);
    cert = der ? sv_seen_find(seen, der, der_size) : NULL;
    if (der && !cert && der_size <= LONG_MAX)
        learn(seen, issuer, der, der_size);
    X509_free(cert);
    free(der);
    ERR_clear_error();
}

int sv_certs_add(struct sv_certs *certs, const void *data, size_t size)
{
    return sv_certs_add_known(certs, data, size, NULL, NULL);
}

int sv_certs_add_known(struct sv_certs *certs, const void *data, size_t size,
                       const struct sv_certs *known, struct sv_seen *seen)
{
    const uint8_t *p = data, *begin = size ? find_bytes(data, size, pem_begin) : NULL;

    if (!size)
        return -EBADMSG;
    if (!begin)
        return add_der_row(certs, p, size, known, seen);
    while (begin) {
        const uint8_t *body = begin + strlen(pem_begin);
        const uint8_t *limit = (const uint8_t *)data + size;
        const uint8_t *end = find_bytes(body, (size_t)(limit - body), pem_end);
        int rc;

        if (!end)
            return -EBADMSG;
        rc = add_pem_body(certs, body, (size_t)(end - body), known, seen);
        if (rc)
            return rc;
        p = end + strlen(pem_end);
        begin = find_bytes(p, (size_t)(limit - p), pem_begin);
    }
    return 0;
}

void sv_certs_free(struct sv_certs *certs)
{
    for (size_t i = 0; i < certs->count; i++) {
        X509_free(certs->cert[i]);
        free(certs->der[i]);
    }
    *certs = (struct sv_certs){0};
}
