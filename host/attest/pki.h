// SPDX-License-Identifier: Apache-2.0
// Keys, certificates and CRLs: what the simulated TEEs' authority and made-up evidence are built
// of. Functions return NULL or -EIO when the crypto library fails; what they return is the
// caller's.
#ifndef HOST_ATTEST_PKI_H
#define HOST_ATTEST_PKI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

/* "P-256", "P-384", "SM2", or "RSA" (2048 bits). */
EVP_PKEY *sh_pki_key(const char *kind);

struct sh_cert_options {
    const char *cn, *ou, *o; /* of the subject; ou may be NULL */
    const char *l, *st, *c;  /* the rest of its name; may be NULL */
    bool ca, pss;
    bool bare;           /* no extensions but those below, as AMD's endorsement keys */
    const char *crl_url; /* of the CRL that would list it; may be NULL */
    int64_t from, to;    /* seconds since 1970 */
    struct {
        const uint8_t *oid; /* DER body */
        size_t oid_size;
        const uint8_t *value;
        size_t value_size;
    } extension[13];
    size_t extension_count;
};

/* Signed by issuer_key; issuer NULL: self-signed. A random serial number. */
X509 *sh_pki_cert(const struct sh_cert_options *o, EVP_PKEY *key, X509 *issuer,
                  EVP_PKEY *issuer_key);

/* `revoked` may be NULL; its entry is dated revoked_at. */
/* With its issuer's key identifier and a number, which is the time it is from. */
X509_CRL *sh_pki_crl(X509 *issuer, EVP_PKEY *issuer_key, int64_t from, int64_t to, X509 *revoked,
                     int64_t revoked_at);

/* --- ecdsa.c --- */

/* r and s, big-endian, part_size bytes each. */
int sh_pki_sign_raw(EVP_PKEY *key, const EVP_MD *md, const void *data, size_t size, uint8_t *r,
                    uint8_t *s, size_t part_size);
/* x || y of an EC key, big-endian, part_size bytes each. */
int sh_pki_public_xy(EVP_PKEY *key, uint8_t *xy, size_t part_size);

#endif
