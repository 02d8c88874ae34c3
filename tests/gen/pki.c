// SPDX-License-Identifier: Apache-2.0
// Keys, certificates and CRLs by OpenSSL.
#include "tests/gen/pki.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>

int64_t gen_now = GEN_TIME;

void gen_must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "generator: %s failed\n", what);
        abort();
    }
}

struct gen_blob gen_blob(const void *data, size_t size)
{
    struct gen_blob b = {malloc(size + 1), size};

    GEN_MUST(b.data);
    memcpy(b.data, data, size);
    b.data[size] = 0;
    return b;
}

EVP_PKEY *gen_key(const char *curve)
{
    EVP_PKEY *key = sh_pki_key(curve);

    GEN_MUST(key);
    return key;
}

X509 *gen_cert(const struct sh_cert_options *o, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
    struct sh_cert_options all = *o;
    X509 *cert;

    all.o = o->o ? o->o : "Test";
    all.from = o->from ? o->from : gen_now - 30000000;
    all.to = o->to ? o->to : gen_now + 30000000;
    cert = sh_pki_cert(&all, key, issuer, issuer_key);
    GEN_MUST(cert);
    return cert;
}

X509_CRL *gen_crl(X509 *issuer, EVP_PKEY *issuer_key, int64_t from, int64_t to, X509 *revoked)
{
    X509_CRL *crl = sh_pki_crl(issuer, issuer_key, from ? from : gen_now - 86400,
                               to ? to : gen_now + 86400, revoked, gen_now - 90000);

    GEN_MUST(crl);
    return crl;
}

struct gen_blob gen_pem(X509 *const *certs, size_t count)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct gen_blob out;
    char *data;
    long size;

    for (size_t i = 0; i < count; i++)
        GEN_MUST(PEM_write_bio_X509(bio, certs[i]) == 1);
    size = BIO_get_mem_data(bio, &data);
    out = gen_blob(data, (size_t)size);
    BIO_free(bio);
    return out;
}

struct gen_blob gen_crl_der(X509_CRL *crl)
{
    uint8_t *der = NULL;
    int size = i2d_X509_CRL(crl, &der);
    struct gen_blob out;

    GEN_MUST(size > 0);
    out = gen_blob(der, (size_t)size);
    OPENSSL_free(der);
    return out;
}

void gen_sign_raw(EVP_PKEY *key, const EVP_MD *md, const void *data, size_t size, uint8_t *r,
                  uint8_t *s, size_t part_size)
{
    GEN_MUST(sh_pki_sign_raw(key, md, data, size, r, s, part_size) == 0);
}

void gen_public_xy(EVP_PKEY *key, uint8_t *xy, size_t part_size)
{
    GEN_MUST(sh_pki_public_xy(key, xy, part_size) == 0);
}

void gen_save(const char *folder, const char *name, const void *data, size_t size)
{
    char path[4096];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f)) {
        perror(path);
        exit(1);
    }
}

void gen_put(struct gen_bytes *b, const void *data, size_t size)
{
    GEN_MUST(size <= sizeof(b->data) - b->size);
    memcpy(b->data + b->size, data, size);
    b->size += size;
}
