// SPDX-License-Identifier: Apache-2.0
// Certificates, chains to pinned or named roots, CRLs, raw ECDSA: all that OpenSSL is asked for.
#ifndef VERIFIER_BASE_X509_H
#define VERIFIER_BASE_X509_H

#include <shelter/verify.h>

#include "verifier/base/seen.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define SV_CERTS_MAX 24
#define SV_CHAIN_MAX 5
#define SV_ISSUER_TRIES 3 // keys of one name that are tried for one signature

struct sv_certs {
    X509 *cert[SV_CERTS_MAX];
    uint8_t *der[SV_CERTS_MAX]; // as they came, to be told again without parsing
    size_t der_size[SV_CERTS_MAX];
    size_t count;
};

// Appends the certificates of a PEM bundle or of one DER certificate. Bytes after the last PEM
// certificate are ignored (quotes carry a NUL there). A key that no vendor uses is refused unseen.
// Returns 0, -EBADMSG or -E2BIG.
int sv_certs_add(struct sv_certs *certs, const void *data, size_t size);
// The same, but a certificate that is byte for byte among `known` or `seen` (each may be NULL) is
// shared with them.
int sv_certs_add_known(struct sv_certs *certs, const void *data, size_t size,
                       const struct sv_certs *known, struct sv_seen *seen);
void sv_certs_free(struct sv_certs *certs);
// Reads the first certificate of a PEM bundle for `seen` alone, without its key, at a fraction of
// the price: where it is a leaf over P-256 that `issuer` signed. It does nothing in any other case,
// nor with one that is seen already: whoever reads the bundle then finds out.
void sv_certs_learn(struct sv_seen *seen, X509 *issuer, const void *pem, size_t size);
// The key of a leaf, which may have been read so; the caller's. NULL: it has none.
EVP_PKEY *sv_leaf_key(X509 *leaf);

enum sv_root {
    SV_ROOT_NONE,   // no trusted root was reached
    SV_ROOT_PINNED, // its public key is compiled in
    SV_ROOT_NAMED,  // its public key is among the certificates that the caller named as roots
};

enum sv_vendor { SV_INTEL, SV_AMD, SV_AWS, SV_NVIDIA, SV_NVIDIA_RIM };

// A chain, leaf first, each signed by the next, the last by itself. Borrows its certificates.
struct sv_chain {
    X509 *cert[SV_CHAIN_MAX];
    size_t count;
    enum sv_root root;
    bool simulated;                // the root carries Shelter's mark of simulation
    int64_t not_before, not_after; // when all of them are valid
};

// Builds the chain of `leaf` out of `pool` (any order) and `named` (the caller's roots); every
// signature is checked. Certificates must be CAs above the leaf.
// Path lengths, name constraints and unknown critical extensions are judged. Returns 0 when a
// self-signed root was reached (see chain->root), -ENOENT when an issuer is missing, -EKEYREJECTED
// when one with the right name did not sign, or the chain breaks what it says itself.
// `verified` (may be NULL) is a chain whose signatures were checked before: where its first
// certificate is met, the rest is taken from it.
int sv_chain_build(X509 *leaf, const struct sv_certs *pool, const struct sv_certs *named,
                   enum sv_vendor vendor, const struct sv_chain *verified, struct sv_chain *chain);

// The chain of a leaf that the first certificate of `verified` is known to have signed (seen.h). As
// above.
int sv_chain_over(X509 *leaf, const struct sv_certs *named, enum sv_vendor vendor,
                  const struct sv_chain *verified, struct sv_chain *chain);

bool sv_root_pinned(X509 *root, enum sv_vendor vendor);
// Whether it carries SHELTER_SIMULATED_OU.
bool sv_root_simulated(X509 *root);

// PEM, DER or hex of DER. NULL if malformed.
X509_CRL *sv_crl_parse(const void *data, size_t size);

int64_t sv_asn1_time(const ASN1_TIME *t); // INT64_MIN if malformed
// First common name of a subject or issuer; "" if there is none.
void sv_name_cn(const X509_NAME *name, char *out, size_t size);
// The value of the extension with this DER-encoded OID body; NULL if absent.
const ASN1_OCTET_STRING *sv_extension(X509 *cert, const void *oid, size_t oid_size);

// A public key from OpenSSL's parameters, or NULL. The caller's.
EVP_PKEY *sv_public_key(const char *type, OSSL_PARAM *params);
// A point of a curve of 256 bits, big-endian; type "EC" or "SM2", group by OpenSSL's name. NULL if
// it is none.
EVP_PKEY *sv_ec_key(const char *type, const char *group, const uint8_t xy[64]);
// RSA of 2048 bits or more.
EVP_PKEY *sv_rsa_key(const BIGNUM *n, const BIGNUM *e);
// ECDSA with raw signatures r || s, big-endian.
EVP_PKEY *sv_p256_key(const uint8_t xy[64]); // NULL if it is no point of the curve
bool sv_ecdsa_verify(EVP_PKEY *key, const EVP_MD *md, const uint8_t *r, const uint8_t *s,
                     size_t part_size, const void *data, size_t size);
// SHA-256 of two pieces in a row.
void sv_sha256_pair(const void *a, size_t a_size, const void *b, size_t b_size, uint8_t out[32]);
// True for a key over this curve ("prime256v1", "secp384r1").
bool sv_key_is_ec(EVP_PKEY *key, const char *curve);

#endif
