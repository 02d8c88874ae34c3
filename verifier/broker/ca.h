// SPDX-License-Identifier: Apache-2.0
// X.509 certificates for workloads that attested: SPIFFE's X.509-SVID, RFC 5280, RFC 2986.
//
// Attacks expected here: a request is any bytes of one who attested. It gives a public key and
// shows that it has the private one; nothing else in it counts. Names and times are the broker's.
#ifndef VERIFIER_BROKER_CA_H
#define VERIFIER_BROKER_CA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "verifier/broker/store.h"

#define SB_CSR_MAX 4096 // bytes of DER
#define SB_DNS_MAX 16
#define SB_SECONDS_MIN 60
#define SB_SECONDS_MAX 2592000 // of a certificate's life
#define SB_SECONDS_USUAL 3600

// What is kept of an identity, as JSON: {"dns": [NAME...], "seconds": N}.
struct sb_identity {
    char dns[SB_DNS_MAX][254];
    size_t dns_count;
    int64_t seconds;
};
// 0, or -EINVAL with a line in why.
int sb_identity_parse(const char *json, struct sb_identity *out, char *why, size_t why_size);

// The public key of a PKCS #10 request: EC on P-256 or P-384 that signed it. NULL: none such.
EVP_PKEY *sb_csr_key(const uint8_t *der, size_t size);

// An extension of OpenSSL's text form, as "CA:FALSE"; what refers to the issuer takes that one's.
bool sb_add_extension(X509 *cert, X509 *issuer, int nid, const char *value);

// The authority's own certificate (PEM, malloc'd), of all identities of a trust domain. Made by the
// first call, which says the domain; domain NULL: only one that is there. -ENOENT; -EEXIST: it is
// of another domain.
int sb_ca_certificate(struct sb_store *st, const char *domain, char **pem);
// A certificate for a key (PEM, malloc'd). Fills serial, issued and ends of c, whose id is given.
int sb_ca_issue(struct sb_store *st, EVP_PKEY *key, const struct sb_identity *i, int64_t now,
                struct sb_certificate *c, char **pem);
// What is revoked now (PEM, malloc'd).
int sb_ca_crl(struct sb_store *st, int64_t now, char **pem);

#endif
