// SPDX-License-Identifier: Apache-2.0
// RA-TLS certificates over made-up Intel evidence.
#include "tests/gen/pki.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>

struct writer {
    uint8_t data[65536];
    size_t size;
    bool long_head; // one byte more than needed
};

static void head(struct writer *w, unsigned major, uint64_t value)
{
    unsigned bytes = value < 24 ? 0 : value < 256 ? 1 : value < 65536 ? 2 : 4;

    if (w->long_head)
        bytes = bytes ? 2 * bytes : 1;
    w->data[w->size++] = (uint8_t)(major << 5 | (bytes == 0   ? value
                                                 : bytes == 1 ? 24
                                                 : bytes == 2 ? 25
                                                 : bytes == 4 ? 26
                                                              : 27));
    for (unsigned i = bytes; i-- > 0;)
        w->data[w->size++] = (uint8_t)(value >> (8 * i));
}

static void string(struct writer *w, unsigned major, const void *data, size_t size)
{
    head(w, major, size);
    memcpy(w->data + w->size, data, size);
    w->size += size;
}

static void put_hash(struct writer *w, const struct gen_ra_tls_options *o, EVP_PKEY *key)
{
    const EVP_MD *md = o->alg == 7 ? EVP_sha384() : o->alg == 8 ? EVP_sha512() : EVP_sha256();
    struct writer *entry = calloc(1, sizeof(*entry));
    uint8_t *spki = NULL, digest[64];
    int size = i2d_PUBKEY(key, &spki);
    unsigned n;

    GEN_MUST(entry && size > 0 && EVP_Digest(spki, (size_t)size, digest, &n, md, NULL) == 1);
    head(entry, 4, 2);
    head(entry, 0, o->alg ? o->alg : 1);
    string(entry, 2, digest, n);
    string(w, 3, "pubkey-hash", 11);
    string(w, 2, entry->data, entry->size);
    OPENSSL_free(spki);
    free(entry);
}

static void put_claims(struct writer *w, const struct gen_ra_tls_options *o, EVP_PKEY *key)
{
    head(w, 5, 1u + (o->nonce != NULL) + o->twice + o->unknown_claim);
    for (int i = 0; i < 2; i++) {
        if (i == o->nonce_first)
            put_hash(w, o, key);
        else if (o->nonce) {
            string(w, 3, "nonce", 5);
            string(w, 2, o->nonce, strlen(o->nonce));
        }
    }
    if (o->twice)
        put_hash(w, o, key);
    if (o->unknown_claim) {
        string(w, 3, "else", 4);
        string(w, 2, "x", 1);
    }
}

void gen_ra_tls(const struct gen_ra_tls_options *o, struct gen_ra_tls *out)
{
    static const uint8_t oid[] = {0x67, 0x81, 0x05, 0x05, 0x04, 0x09};
    struct gen_intel_options intel = o->intel;
    struct writer *claims = calloc(1, sizeof(*claims)), *ext = calloc(1, sizeof(*ext));
    EVP_PKEY *key = gen_key("P-256"), *other = gen_key("P-256");
    struct sh_cert_options c = {.cn = "shelter", .extension_count = !o->no_extension};
    BIO *bio = BIO_new(BIO_s_mem());
    X509 *cert;
    uint8_t *der = NULL;
    char *text;

    GEN_MUST(claims && ext && bio);
    claims->long_head = ext->long_head = o->long_head;
    put_claims(claims, o, o->other_key ? other : key);
    memset(intel.report_data, 0, 64);
    GEN_MUST(EVP_Digest(claims->data, claims->size, intel.report_data, NULL, EVP_sha256(), NULL) ==
             1);
    gen_intel(&intel, &out->intel);
    if (o->claims_changed)
        claims->data[claims->size - 1] ^= 1;
    head(ext, 6, o->tag ? o->tag : 60000);
    head(ext, 4, 2);
    string(ext, 2, out->intel.quote.data, out->intel.quote.size);
    string(ext, 2, claims->data, claims->size);
    out->claims = gen_blob(claims->data, claims->size);
    ext->size += o->trailing;
    c.extension[0].oid = oid;
    c.extension[0].oid_size = sizeof(oid);
    c.extension[0].value = ext->data;
    c.extension[0].value_size = ext->size;
    // Signed by `other` under its own name, where the signer is to be a foreign one.
    cert = gen_cert(&c, key, NULL, NULL);
    if (o->foreign_signer)
        GEN_MUST(X509_sign(cert, other, EVP_sha256()) > 0);
    int size = i2d_X509(cert, &der);
    out->cert = gen_blob(der, (size_t)size);
    GEN_MUST(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
             PEM_write_bio_X509(bio, cert) == 1);
    size = (int)BIO_get_mem_data(bio, &text);
    out->pem = gen_blob(text, (size_t)size);
    OPENSSL_free(der);
    X509_free(cert);
    BIO_free(bio);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    free(claims);
    free(ext);
}

void gen_ra_tls_free(struct gen_ra_tls *g)
{
    gen_intel_free(&g->intel);
    free(g->claims.data);
    free(g->cert.data);
    free(g->pem.data);
    *g = (struct gen_ra_tls){0};
}
