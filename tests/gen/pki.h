// SPDX-License-Identifier: Apache-2.0
// Keys, certificates and CRLs for made-up evidence.
#ifndef TESTS_GEN_PKI_H
#define TESTS_GEN_PKI_H

#include "host/attest/pki.h"
#include "tests/gen/evidence.h"

EVP_PKEY *gen_key(const char *curve);
// As sh_pki_cert: from and to 0 are a year around GEN_TIME, o is "Test".
X509 *gen_cert(const struct sh_cert_options *o, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key);
X509_CRL *gen_crl(X509 *issuer, EVP_PKEY *issuer_key, int64_t from, int64_t to, X509 *revoked);
struct gen_blob gen_pem(X509 *const *certs, size_t count);
struct gen_blob gen_crl_der(X509_CRL *crl);
// r || s, big-endian, part_size each.
void gen_sign_raw(EVP_PKEY *key, const EVP_MD *md, const void *data, size_t size, uint8_t *r,
                  uint8_t *s, size_t part_size);
void gen_public_xy(EVP_PKEY *key, uint8_t *xy, size_t part_size);
struct gen_blob gen_blob(const void *data, size_t size);
void gen_must(bool ok, const char *what);
// Bytes that are put one behind the other; zeroed is empty.
struct gen_bytes {
    uint8_t data[16384];
    size_t size;
};
void gen_put(struct gen_bytes *b, const void *data, size_t size);
#define GEN_MUST(x) gen_must((x), #x)

#endif
