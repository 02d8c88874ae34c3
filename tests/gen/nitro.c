// SPDX-License-Identifier: Apache-2.0
// Made-up NitroTPM documents: CBOR by hand, COSE_Sign1, certificates over P-384.
#include "tests/gen/pki.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAS_MAX 10

static void head(struct gen_bytes *o, unsigned major, uint64_t n)
{
    unsigned log = n < 24 ? 0 : n < 256 ? 1 : n < 65536 ? 2 : n < 1ull << 32 ? 3 : 4;
    size_t size = log ? 1u << (log - 1) : 0;
    uint8_t all[9] = {(uint8_t)(major << 5 | (log ? 23 + log : n))};

    for (size_t i = 0; i < size; i++)
        all[1 + i] = (uint8_t)(n >> 8 * (size - 1 - i));
    gen_put(o, all, 1 + size);
}

static void bytes(struct gen_bytes *o, const void *data, size_t size)
{
    head(o, 2, size);
    gen_put(o, data, size);
}

static void text(struct gen_bytes *o, const char *s)
{
    head(o, 3, strlen(s));
    gen_put(o, s, strlen(s));
}

static void cert(struct gen_bytes *o, X509 *x)
{
    uint8_t *der = NULL;
    int size = i2d_X509(x, &der);

    GEN_MUST(size > 0);
    bytes(o, der, (size_t)size);
    OPENSSL_free(der);
}

static void data(struct gen_bytes *o, const char *name, const char *value)
{
    text(o, name);
    if (value)
        bytes(o, value, strlen(value));
    else
        gen_put(o, "\xf6", 1);
}

static void pcrs(const struct gen_nitro_options *o, struct gen_bytes *out)
{
    uint8_t pcr[49];

    text(out, o->enclave ? "pcrs" : "nitrotpm_pcrs");
    head(out, 5, o->no_pcrs ? 0 : 24);
    for (unsigned i = 0; !o->no_pcrs && i < 24; i++) {
        memset(pcr, (int)i, sizeof(pcr));
        head(out, 0, i == 23 && o->pcr_index ? 32 : i == 23 && o->pcr_twice ? 22 : i);
        bytes(out, pcr, i == 5 && o->pcr_size ? 49 : 48);
    }
}

static void document(const struct gen_nitro_options *o, X509 *leaf, X509 *const *cas, size_t count,
                     struct gen_bytes *out)
{
    char long_data[1026];

    memset(long_data, 'x', sizeof(long_data));
    long_data[1025] = 0;
    if (o->definite)
        head(out, 5, 9u + o->twice + o->unknown);
    else
        gen_put(out, "\xbf", 1);
    text(out, "module_id");
    text(out, "i-00000000000000000-tpm0000000000000000");
    text(out, "digest");
    text(out, o->other_digest ? "SHA512" : "SHA384");
    text(out, "timestamp");
    head(out, 0, (uint64_t)(o->made ? o->made : gen_now) * 1000 + 7);
    pcrs(o, out);
    text(out, "certificate");
    cert(out, leaf);
    text(out, "cabundle");
    head(out, 4, o->no_ca ? 0 : count);
    for (size_t i = 0; !o->no_ca && i < count; i++)
        cert(out, cas[i]);
    data(out, "public_key", NULL);
    data(out, "user_data", o->long_data ? long_data : o->user_data);
    data(out, "nonce", o->nonce);
    if (o->twice)
        data(out, "nonce", o->nonce);
    if (o->unknown)
        data(out, "other", NULL);
    if (!o->definite && !o->no_break)
        gen_put(out, "\xff", 1);
    if (o->trailing)
        gen_put(out, "\0", 1);
}

static void sign1(const struct gen_nitro_options *o, const struct gen_bytes *doc, EVP_PKEY *key,
                  struct gen_bytes *out)
{
    struct gen_bytes all = {.size = 0};
    uint8_t sig[96];

    gen_put(&all, "\x84\x6aSignature1\x44\xa1\x01\x38\x22\x40", 18);
    bytes(&all, doc->data, doc->size);
    gen_sign_raw(key, EVP_sha384(), all.data, all.size, sig, sig + 48, 48);
    if (o->tagged)
        gen_put(out, "\xd2", 1);
    gen_put(out, o->algorithm ? "\x84\x44\xa1\x01\x38\x23" : "\x84\x44\xa1\x01\x38\x22", 6);
    if (o->unprotected)
        gen_put(out, "\xa1\x04\x41\x31", 4); // a key's name
    else
        gen_put(out, "\xa0", 1);
    bytes(out, doc->data, doc->size);
    bytes(out, sig, sizeof(sig));
}

void gen_nitro(const struct gen_nitro_options *o, struct gen_nitro *out)
{
    struct gen_bytes doc = {.size = 0}, all = {.size = 0};
    size_t count = 1u + (size_t)(o->cas ? o->cas : 1);
    EVP_PKEY *key[CAS_MAX], *leaf_key = gen_key(o->leaf_p256 ? "P-256" : "P-384"),
                            *foreign = gen_key("P-384");
    struct sh_cert_options c = {.cn = "aws.nitro-enclaves", .ca = true};
    X509 *ca[CAS_MAX], *leaf, *named;
    char cn[48];

    GEN_MUST(count <= CAS_MAX);
    if (o->simulated_root)
        c.ou = "Shelter simulated TEE";
    for (size_t i = 0; i < count; i++) {
        key[i] = gen_key("P-384");
        snprintf(cn, sizeof(cn), "%zu.aws.nitro-enclaves", i);
        ca[i] = gen_cert(&c, key[i], i ? ca[i - 1] : NULL, i ? key[i - 1] : NULL);
        c = (struct sh_cert_options){.cn = cn, .ca = true};
    }
    c = (struct sh_cert_options){.cn = "aws.nitro-enclaves", .ca = true};
    named = gen_cert(&c, foreign, NULL, NULL);
    c = (struct sh_cert_options){.cn = "i-00000000000000000-tpm0000000000000000",
                                 .ca = o->leaf_is_ca,
                                 .from = o->early ? gen_now + 1 : 0,
                                 .to = o->expired ? gen_now - 1 : 0};
    leaf = gen_cert(&c, leaf_key, ca[count - 1], o->foreign_leaf ? foreign : key[count - 1]);
    document(o, leaf, ca, count, &doc);
    sign1(o, &doc, o->not_signed ? foreign : leaf_key, &all);
    *out = (struct gen_nitro){.document = gen_blob(all.data, all.size)};
    out->root = gen_pem(o->foreign_root ? &named : &ca[0], 1);
    for (size_t i = 0; i < count; i++) {
        X509_free(ca[i]);
        EVP_PKEY_free(key[i]);
    }
    X509_free(leaf);
    X509_free(named);
    EVP_PKEY_free(leaf_key);
    EVP_PKEY_free(foreign);
}

void gen_nitro_free(struct gen_nitro *g)
{
    free(g->document.data);
    free(g->root.data);
}
