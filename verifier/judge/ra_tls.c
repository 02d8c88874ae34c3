// SPDX-License-Identifier: Apache-2.0
// RA-TLS: certificates that carry evidence of the TEE that made their key.
//
//   extension 2.23.133.5.4.9:  TAG([ evidence, claims ])      TAG 60000: Intel, 1733892: SNP
//   claims:                    { "pubkey-hash": bstr([ alg, hash(SPKI) ]), ? "nonce": bstr }
//   report_data:               SHA-256(claims), then zeros
#include "verifier/judge/policy.h"
#include "verifier/base/cbor.h"

#include <errno.h>
#include <time.h>

#include <openssl/crypto.h>

#define TAG_INTEL 60000u
#define TAG_SNP 1733892u
#define CERTIFICATE_SIZE_MAX SHELTER_EVIDENCE_SIZE_MAX
#define CLAIMS_MAX 8u // members of the map

static const uint8_t dice_oid[] = {0x67, 0x81, 0x05, 0x05, 0x04, 0x09};

// All of it lies in the certificate.
struct parts {
    enum shelter_evidence_type type; // AUTO: SGX or TDX, which the quote tells
    struct sv_bytes evidence, claims;
    uint64_t hash_alg;
    struct sv_bytes hash, nonce, log;
};

static bool take_extension(X509 *cert, struct parts *p)
{
    const ASN1_OCTET_STRING *ext = sv_extension(cert, dice_oid, sizeof(dice_oid));
    struct sv_bytes in;
    uint64_t tag, count;

    if (!ext)
        return false;
    in = (struct sv_bytes){ASN1_STRING_get0_data(ext), (size_t)ASN1_STRING_length(ext)};
    if (!sv_cbor_head(&in, SV_CBOR_TAG, &tag) || (tag != TAG_INTEL && tag != TAG_SNP) ||
        !sv_cbor_head(&in, SV_CBOR_ARRAY, &count) || count != 2 ||
        !sv_cbor_string(&in, SV_CBOR_BYTES, &p->evidence) ||
        !sv_cbor_string(&in, SV_CBOR_BYTES, &p->claims) || in.size)
        return false;
    p->type = tag == TAG_SNP ? SHELTER_EVIDENCE_SNP : SHELTER_EVIDENCE_AUTO;
    return true;
}

static bool is_key(const struct sv_bytes *key, const char *name)
{
    return key->size == strlen(name) && !memcmp(key->data, name, key->size);
}

// Members that are not known are passed over as long as they are strings: all are bound alike.
static bool take_claims(struct parts *p)
{
    struct sv_bytes in = p->claims, entry = {0};
    uint64_t count;

    if (!sv_cbor_head(&in, SV_CBOR_MAP, &count) || count > CLAIMS_MAX)
        return false;
    while (count--) {
        struct sv_bytes key, value;

        if (!sv_cbor_string(&in, SV_CBOR_TEXT, &key) || !sv_cbor_string(&in, SV_CBOR_BYTES, &value))
            return false;
        if (is_key(&key, "pubkey-hash")) {
            if (entry.data)
                return false;
            entry = value;
        } else if (is_key(&key, "nonce")) {
            if (p->nonce.data)
                return false;
            p->nonce = value;
        } else if (is_key(&key, "measured-log")) {
            if (p->log.data)
                return false;
            p->log = value;
        }
    }
    return !in.size && entry.data && sv_cbor_head(&entry, SV_CBOR_ARRAY, &count) && count == 2 &&
           sv_cbor_head(&entry, SV_CBOR_UINT, &p->hash_alg) &&
           sv_cbor_string(&entry, SV_CBOR_BYTES, &p->hash) && !entry.size;
}

// The claims' hash is of this certificate's SubjectPublicKeyInfo.
static bool key_is_bound(X509 *cert, const struct parts *p)
{
    const EVP_MD *md = p->hash_alg == 1   ? EVP_sha256()
                       : p->hash_alg == 7 ? EVP_sha384()
                       : p->hash_alg == 8 ? EVP_sha512()
                                          : NULL;
    uint8_t *spki = NULL, digest[64];
    unsigned size = 0;
    int spki_size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);
    bool ok = md && spki_size > 0 &&
              EVP_Digest(spki, (size_t)spki_size, digest, &size, md, NULL) == 1 &&
              size == p->hash.size && !CRYPTO_memcmp(digest, p->hash.data, size);

    OPENSSL_free(spki);
    return ok;
}

static X509 *parse_certificate(const void *der, size_t der_size)
{
    const uint8_t *at = der;
    X509 *cert = der_size <= CERTIFICATE_SIZE_MAX ? d2i_X509(NULL, &at, (long)der_size) : NULL;

    if (cert && at != (const uint8_t *)der + der_size) {
        X509_free(cert);
        cert = NULL;
    }
    return cert;
}

static void judge_certificate(X509 *cert, const struct shelter_verify_request *rq,
                              struct shelter_verdict *v)
{
    struct parts p = {0};
    struct shelter_verify_request inner = *rq;
    uint8_t digest[32];

    if (!take_extension(cert, &p)) {
        sv_refuse(v, SHELTER_R_RA_TLS_CERT, NULL);
        return;
    }
    if (!take_claims(&p)) {
        sv_refuse(v, SHELTER_R_RA_TLS_CLAIMS, NULL);
        return;
    }
    if (X509_verify(cert, X509_get0_pubkey(cert)) != 1)
        sv_refuse(v, SHELTER_R_RA_TLS_SELF, NULL);
    if (!key_is_bound(cert, &p))
        sv_refuse(v, SHELTER_R_RA_TLS_KEY, NULL);
    if (rq->nonce && (p.nonce.size != rq->nonce_size ||
                      (rq->nonce_size && CRYPTO_memcmp(p.nonce.data, rq->nonce, rq->nonce_size))))
        sv_refuse(v, SHELTER_R_RA_TLS_NONCE, p.nonce.data ? NULL : "it carries none");
    if (EVP_Digest(p.claims.data, p.claims.size, digest, NULL, EVP_sha256(), NULL) != 1) {
        sv_refuse(v, SHELTER_R_INTERNAL, NULL);
        return;
    }
    inner.evidence = p.evidence.data;
    inner.evidence_size = p.evidence.size;
    inner.type = p.type;
    inner.measured_log = p.log.data; // bound by the claims
    inner.measured_log_size = p.log.size;
    inner.nonce = NULL;
    inner.nonce_size = 0;
    inner.report_data = digest;
    inner.report_data_size = sizeof(digest);
    if (!inner.device_data) { // devices sign what the TEE binds
        inner.device_data = digest;
        inner.device_data_size = sizeof(digest);
    }
    sv_verify(&inner, v);
    if (p.type == SHELTER_EVIDENCE_AUTO && v->type != SHELTER_EVIDENCE_SGX &&
        v->type != SHELTER_EVIDENCE_TDX)
        sv_refuse(v, SHELTER_R_RA_TLS_CERT, "its tag is for SGX and TDX quotes");
    if (p.nonce.data && p.nonce.size <= 256)
        sv_claim_hex(v, "ra_tls_nonce", p.nonce.data, p.nonce.size);
}

int shelter_verify_certificate(const void *der, size_t der_size,
                               const struct shelter_verify_request *rq,
                               struct shelter_verdict **out)
{
    struct shelter_verify_request own;
    X509 *cert;

    *out = NULL;
    if (!der || !rq || sv_request_take(rq, &own))
        return -EINVAL;
    *out = sv_verdict_new(own.time);
    if (!*out)
        return -ENOMEM;
    cert = parse_certificate(der, der_size);
    if (cert)
        judge_certificate(cert, &own, *out);
    else
        sv_refuse(*out, SHELTER_R_CERT_PARSE, NULL);
    X509_free(cert);
    if (!(*out)->have_report_data)
        (*out)->signatures_valid = false;
    return 0;
}

int shelter_certificate_evidence(const void *der, size_t der_size, const void **evidence,
                                 size_t *evidence_size)
{
    X509 *cert = parse_certificate(der, der_size);
    struct parts p = {0};
    const void *found = cert && take_extension(cert, &p)
                            ? memmem(der, der_size, p.evidence.data, p.evidence.size)
                            : NULL;

    X509_free(cert);
    *evidence = found;
    *evidence_size = found ? p.evidence.size : 0;
    return found ? 0 : -EBADMSG;
}

int shelter_ra_tls_callback(struct x509_store_ctx_st *ctx, void *arg)
{
    const struct shelter_ra_tls *ra = arg;
    X509 *cert = X509_STORE_CTX_get0_cert(ctx);
    struct shelter_verdict *v = NULL;
    uint8_t *der = NULL;
    int size = cert ? i2d_X509(cert, &der) : -1;
    struct shelter_verify_request rq;
    const void *evidence = NULL;
    size_t evidence_size = 0;
    int ok = size > 0 && !sv_request_take(&ra->request, &rq);

    if (ok && !rq.time)
        rq.time = (int64_t)time(NULL);
    if (ok && ra->prepare) {
        shelter_certificate_evidence(der, (size_t)size, &evidence, &evidence_size);
        ok = ra->prepare(ra->arg, &rq, evidence, evidence_size);
    }
    ok = ok && !shelter_verify_certificate(der, (size_t)size, &rq, &v) &&
         shelter_verdict_accepted(v);

    if (v && ra->decide && !ra->decide(ra->arg, v))
        ok = 0;
    shelter_verdict_free(v);
    OPENSSL_free(der);
    X509_STORE_CTX_set_error(ctx, ok ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION);
    return ok;
}
