// SPDX-License-Identifier: Apache-2.0
// Checks a SIGSTRUCT as EINIT does (SDM 35.13 and 38.3, EINIT).
#include "verifier/measure/sgx.h"

#include <errno.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>

static const uint8_t header1[16] = {6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1};
static const uint8_t header2[16] = {1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1};

void sgx_mrsigner(const struct sgx_sigstruct *css, uint8_t mrsigner[32])
{
    sh_sha256(mrsigner, css->modulus, sizeof(css->modulus));
}

void sgx_sigstruct_signed(const struct sgx_sigstruct *css, uint8_t out[SGX_SIGNED_SIZE])
{
    memcpy(out, css, 128);
    memcpy(out + 128, (const uint8_t *)css + offsetof(struct sgx_sigstruct, miscselect), 128);
}

static int all_zero(const uint8_t *p, size_t size)
{
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++)
        any |= p[i];
    return any == 0;
}

enum sgx_error sgx_sigstruct_check_format(const struct sgx_sigstruct *css)
{
    if (memcmp(css->header, header1, sizeof(header1)) != 0 ||
        memcmp(css->header2, header2, sizeof(header2)) != 0)
        return SGX_INVALID_SIG_STRUCT;
    if (css->vendor != 0 && css->vendor != 0x8086)
        return SGX_INVALID_SIG_STRUCT;
    if (css->exponent != 3)
        return SGX_INVALID_SIG_STRUCT;
    if (!all_zero(css->reserved1, sizeof(css->reserved1)) ||
        !all_zero(css->reserved2, sizeof(css->reserved2)) ||
        !all_zero(css->reserved3, sizeof(css->reserved3)) ||
        !all_zero(css->reserved4, sizeof(css->reserved4)))
        return SGX_INVALID_SIG_STRUCT;
    return SGX_SUCCESS;
}

/* The numbers of one check; bn_close() frees whatever bn_open() made. */
struct numbers {
    BN_CTX *ctx;
    BIGNUM *m, *s, *square, *r, *q1, *q2, *cube;
};

static void bn_close(struct numbers *n)
{
    if (n->ctx != NULL) {
        BN_CTX_end(n->ctx);
        BN_CTX_free(n->ctx);
    }
}

/* Computes Q1 = S^2 / M, Q2 = S * (S^2 mod M) / M, and S^3 mod M on the way, as EINIT's recipe
 * does. */
static int bn_open(struct numbers *n, const struct sgx_sigstruct *css)
{
    *n = (struct numbers){.ctx = BN_CTX_new()};
    if (n->ctx == NULL)
        return -ENOMEM;
    BN_CTX_start(n->ctx);
    n->m = BN_CTX_get(n->ctx);
    n->s = BN_CTX_get(n->ctx);
    n->square = BN_CTX_get(n->ctx);
    n->r = BN_CTX_get(n->ctx);
    n->q1 = BN_CTX_get(n->ctx);
    n->q2 = BN_CTX_get(n->ctx);
    n->cube = BN_CTX_get(n->ctx);
    if (n->cube == NULL || BN_lebin2bn(css->modulus, SGX_RSA_SIZE, n->m) == NULL ||
        BN_lebin2bn(css->signature, SGX_RSA_SIZE, n->s) == NULL)
        return -ENOMEM;
    /* 3072 bits exactly, or the padding does not fill it; and a signature is smaller than M. */
    if (BN_num_bits(n->m) != SGX_RSA_SIZE * 8 || !BN_is_odd(n->m) || BN_cmp(n->s, n->m) >= 0)
        return -EINVAL;
    if (!BN_sqr(n->square, n->s, n->ctx) || !BN_div(n->q1, n->r, n->square, n->m, n->ctx) ||
        !BN_mul(n->square, n->r, n->s, n->ctx) || !BN_div(n->q2, n->cube, n->square, n->m, n->ctx))
        return -ENOMEM;
    return 0;
}

int sgx_sigstruct_quotients(const struct sgx_sigstruct *css, uint8_t q1[SGX_RSA_SIZE],
                            uint8_t q2[SGX_RSA_SIZE])
{
    struct numbers n;
    int ret = bn_open(&n, css);
    if (ret == 0 &&
        (BN_bn2lebinpad(n.q1, q1, SGX_RSA_SIZE) < 0 || BN_bn2lebinpad(n.q2, q2, SGX_RSA_SIZE) < 0))
        ret = -EINVAL;
    bn_close(&n);
    return ret;
}

/* PKCS #1 v1.5 (RFC 8017, 9.2): 00 01 ff… 00 DigestInfo(SHA-256) hash, big-endian. */
static void expected_padding(const struct sgx_sigstruct *css, uint8_t out[SGX_RSA_SIZE])
{
    static const uint8_t digest_info[19] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60,
                                            0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
                                            0x01, 0x05, 0x00, 0x04, 0x20};
    uint8_t covered[SGX_SIGNED_SIZE];
    sgx_sigstruct_signed(css, covered);
    memset(out, 0xff, SGX_RSA_SIZE);
    out[0] = 0;
    out[1] = 1;
    out[SGX_RSA_SIZE - 32 - sizeof(digest_info) - 1] = 0;
    memcpy(out + SGX_RSA_SIZE - 32 - sizeof(digest_info), digest_info, sizeof(digest_info));
    sh_sha256(out + SGX_RSA_SIZE - 32, covered, sizeof(covered));
}

enum sgx_error sgx_sigstruct_check_signature(const struct sgx_sigstruct *css)
{
    uint8_t want[SGX_RSA_SIZE], got[SGX_RSA_SIZE], q1[SGX_RSA_SIZE], q2[SGX_RSA_SIZE];
    struct numbers n;
    enum sgx_error ret = SGX_INVALID_SIGNATURE;
    if (css->exponent != 3)
        return ret;
    expected_padding(css, want);
    if (bn_open(&n, css) == 0 && BN_bn2binpad(n.cube, got, SGX_RSA_SIZE) >= 0 &&
        BN_bn2lebinpad(n.q1, q1, SGX_RSA_SIZE) >= 0 &&
        BN_bn2lebinpad(n.q2, q2, SGX_RSA_SIZE) >= 0 && memcmp(got, want, sizeof(got)) == 0 &&
        memcmp(q1, css->q1, sizeof(q1)) == 0 && memcmp(q2, css->q2, sizeof(q2)) == 0)
        ret = SGX_SUCCESS;
    bn_close(&n);
    return ret;
}
