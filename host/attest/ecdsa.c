// SPDX-License-Identifier: Apache-2.0
// ECDSA as quotes carry it: raw numbers instead of DER.
#include "host/attest/pki.h"

#include <errno.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>

int sh_pki_sign_raw(EVP_PKEY *key, const EVP_MD *md, const void *data, size_t size, uint8_t *r,
                    uint8_t *s, size_t part_size)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t der[256];
    const uint8_t *p = der;
    size_t der_size = sizeof(der);
    ECDSA_SIG *sig = NULL;
    int part = (int)part_size;
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, md, NULL, key) == 1 &&
              EVP_DigestSign(ctx, der, &der_size, data, size) == 1 &&
              (sig = d2i_ECDSA_SIG(NULL, &p, (long)der_size)) &&
              BN_bn2binpad(ECDSA_SIG_get0_r(sig), r, part) == part &&
              BN_bn2binpad(ECDSA_SIG_get0_s(sig), s, part) == part;
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(ctx);
    return ok ? 0 : -EIO;
}

int sh_pki_public_xy(EVP_PKEY *key, uint8_t *xy, size_t part_size)
{
    BIGNUM *x = NULL, *y = NULL;
    int part = (int)part_size;
    bool ok = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
              EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
              BN_bn2binpad(x, xy, part) == part && BN_bn2binpad(y, xy + part_size, part) == part;
    BN_free(x);
    BN_free(y);
    return ok ? 0 : -EIO;
}
