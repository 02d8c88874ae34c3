// SPDX-License-Identifier: Apache-2.0
// SM2 signatures (GB/T 32918.2) in Hygon's little-endian fields, by OpenSSL.
#include "verifier/quote/csv.h"
#include "verifier/base/x509.h"

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
    uint8_t xy[64];

    reverse_bytes(xy, x, 32);
    reverse_bytes(xy + 32, y, 32);
    return sv_ec_key("SM2", "SM2", xy);
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
