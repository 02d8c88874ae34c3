// SPDX-License-Identifier: Apache-2.0
// Made-up CSV evidence: HRK, HSK, CEK, PEK, report; SM2 all through.
#include "tests/gen/pki.h"
#include "verifier/quote/csv.h"

#include <stdlib.h>

#include <openssl/ec.h>
#include <openssl/hmac.h>

static void sm2_sign(EVP_PKEY *key, const char *id, const void *data, size_t size, uint8_t *rs)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    uint8_t der[256], be[64];
    const uint8_t *p = der;
    size_t der_size = sizeof(der);
    ECDSA_SIG *sig;

    GEN_MUST(EVP_PKEY_CTX_set1_id(ctx, id, strlen(id)) == 1);
    EVP_MD_CTX_set_pkey_ctx(md, ctx);
    GEN_MUST(EVP_DigestSignInit(md, NULL, EVP_sm3(), NULL, key) == 1 &&
             EVP_DigestSign(md, der, &der_size, data, size) == 1);
    sig = d2i_ECDSA_SIG(NULL, &p, (long)der_size);
    GEN_MUST(sig);
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), be, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), be + 32, 32);
    for (int i = 0; i < 32; i++) {
        rs[i] = be[31 - i];
        rs[72 + i] = be[63 - i];
    }
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(md);
    EVP_PKEY_CTX_free(ctx);
}

static void put_key(uint8_t *x, uint8_t *y, uint8_t *uid, EVP_PKEY *key, const char *id)
{
    uint8_t be[64];

    gen_public_xy(key, be, 32);
    for (int i = 0; i < 32; i++) {
        x[i] = be[31 - i];
        y[i] = be[63 - i];
    }
    sh_put_le16(uid, (uint16_t)strlen(id));
    memcpy(uid + 2, id, strlen(id));
}

static void root_cert(uint8_t *c, uint32_t usage, EVP_PKEY *key, const char *id, EVP_PKEY *signer,
                      const char *signer_id)
{
    sh_put_le32(c, 1);
    sh_put_le32(c + 36, usage);
    sh_put_le32(c + 64, 3);
    put_key(c + 68, c + 140, c + 212, key, id);
    sm2_sign(signer, signer_id, c, 576, c + 576);
}

static void csv_cert(uint8_t *c, uint32_t usage, EVP_PKEY *key, const char *id, uint32_t by,
                     EVP_PKEY *signer, const char *signer_id)
{
    sh_put_le32(c, 1);
    c[4] = 1;
    c[5] = 3;
    sh_put_le32(c + 8, usage);
    sh_put_le32(c + 12, 4);
    sh_put_le32(c + 16, 3);
    put_key(c + 20, c + 92, c + 164, key, id);
    sh_put_le32(c + 1044, by);
    sh_put_le32(c + 1048, 4);
    sm2_sign(signer, signer_id, c, 1044, c + 1052);
    sh_put_le32(c + 1564, 0x1000);
}

void gen_csv(const struct gen_csv_options *o, struct gen_csv *out)
{
    uint8_t page[SV_CSV_PAGE_SIZE] = {0}, chain[2916] = {0}, root[832] = {0}, pek[2084] = {0};
    uint8_t anonce[4] = {0x26, 0xd7, 0xc7, 0x5d}, mnonce[16], *signer;
    EVP_PKEY *hrk = gen_key("SM2"), *hsk = gen_key("SM2"), *cek = gen_key("SM2"),
             *pek_key = gen_key("SM2"), *foreign = gen_key("SM2");
    bool v1 = o->version == 1;
    unsigned n;

    root_cert(root, 0, hrk, "TEST-HRK", hrk, "TEST-HRK");
    root_cert(chain, 0x13, hsk, "TEST-HSK", o->foreign_hsk ? foreign : hrk, "TEST-HRK");
    csv_cert(chain + 832, o->usage_cek ? 0x1003 : 0x1004, cek, "TEST-CEK", 0x13,
             o->foreign_cek ? foreign : hsk, "TEST-HSK");
    csv_cert(pek, 0x1002, pek_key, "TEST-PEK", 0x1004, o->foreign_pek ? foreign : cek, "TEST-CEK");
    memset(mnonce, 0x5c, sizeof(mnonce));
    memset(page + 64, 0x21, 64);
    memcpy(page + 128, mnonce, 16);
    memset(page + 144, 0x34, 32);
    sh_put_le32(page + 176, (o->debug ? 0 : 1) | (o->no_es ? 0 : 4));
    signer = page + (v1 ? 336 : 1168);
    memcpy(signer, pek, sizeof(pek));
    memcpy(signer + 2084, "TEST0001", 8);
    for (size_t i = 0; v1 && i < 180; i++)
        page[i] ^= anonce[i % 4];
    for (size_t i = 0; v1 && i < 2084 + 64 + 32; i++)
        signer[i] ^= anonce[i % 4];
    if (v1)
        memcpy(page + 188, anonce, 4);
    sm2_sign(o->foreign_report ? foreign : pek_key, "TEST-PEK", page, v1 ? 180 : 1024,
             page + (v1 ? 192 : 1024));
    GEN_MUST(HMAC(EVP_sm3(), mnonce, 16, signer, 2180, signer + 2180, &n));
    if (o->mac)
        signer[2090] ^= 1; // the serial number
    *out = (struct gen_csv){gen_blob(page, sizeof(page)), gen_blob(chain, sizeof(chain)),
                            gen_blob(root, sizeof(root))};
    EVP_PKEY_free(hrk);
    EVP_PKEY_free(hsk);
    EVP_PKEY_free(cek);
    EVP_PKEY_free(pek_key);
    EVP_PKEY_free(foreign);
}

void gen_csv_free(struct gen_csv *g)
{
    free(g->report.data);
    free(g->chain.data);
    free(g->root.data);
}
