// SPDX-License-Identifier: Apache-2.0
// SM2 signatures (GB/T 32918.2) in Hygon's little-endian fields, by OpenSSL.
#include "verifier/quote/csv.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>

static void reverse_bytes(uint8_t *out, const uint8_t *in, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = in[size - 1 - i];
}

static EVP_PKEY *sm2_key(const uint8_t *x, const uint8_t *y)
{
    uint8_t point[65] = {4};
    char group[] = "SM2";
    OSSL_PARAM params[3];
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "SM2", NULL);
    EVP_PKEY *key = NULL;

    reverse_bytes(point + 1, x, 32);
    reverse_bytes(point + 33, y, 32);
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point));
    params[2] = OSSL_PARAM_construct_end();
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

bool sv_sm2_verify(const uint8_t *x, const uint8_t *y, const uint8_t *id, size_t id_size,
                   const uint8_t *r, const uint8_t *s, const void *data, size_t size)
{
    uint8_t be[64], *der = NULL;
    EVP_PKEY *key = sm2_key(x, y);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = key ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *br, *bs;
    int der_size = -1;
    bool ok = false;

    reverse_bytes(be, r, 32);
    reverse_bytes(be + 32, s, 32);
    br = BN_bin2bn(be, 32, NULL);
    bs = BN_bin2bn(be + 32, 32, NULL);
    if (sig && br && bs && ECDSA_SIG_set0(sig, br, bs) == 1) {
        br = bs = NULL;
        der_size = i2d_ECDSA_SIG(sig, &der);
    }
    if (md && pctx && der_size > 0 && EVP_PKEY_CTX_set1_id(pctx, id, id_size) == 1) {
        EVP_MD_CTX_set_pkey_ctx(md, pctx);
        ok = EVP_DigestVerifyInit(md, NULL, EVP_sm3(), NULL, key) == 1 &&
             EVP_DigestVerify(md, der, (size_t)der_size, data, size) == 1;
    }
    OPENSSL_free(der);
    BN_free(br);
    BN_free(bs);
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(md);
    EVP_PKEY_CTX_free(pctx);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return ok;
}
