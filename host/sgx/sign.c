// SPDX-License-Identifier: Apache-2.0
// Signs enclaves: fills and signs a SIGSTRUCT (SDM 35.13).
#include "host/sgx/sign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "host/sgx/image.h"
#include "verifier/measure/sgx.h"

#define SIGN_DATE 0x20260101u
#define ATTRIBUTES_PINNED                                                                          \
    (SGX_ATTR_INIT | SGX_ATTR_DEBUG | SGX_ATTR_MODE64BIT | SGX_ATTR_PROVISIONKEY |                 \
     SGX_ATTR_EINITTOKENKEY | SGX_ATTR_CET | SGX_ATTR_KSS | SGX_ATTR_AEXNOTIFY)

static int key_number(EVP_PKEY *key, const char *name, uint8_t out[SGX_RSA_SIZE])
{
    BIGNUM *n = NULL;
    int ok = EVP_PKEY_get_bn_param(key, name, &n) == 1 && BN_bn2lebinpad(n, out, SGX_RSA_SIZE) >= 0;
    BN_free(n);
    return ok ? 0 : -EINVAL;
}

static int key_fits(EVP_PKEY *key)
{
    uint8_t e[SGX_RSA_SIZE], three[SGX_RSA_SIZE] = {3};
    return EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) == SGX_RSA_SIZE * 8 &&
           key_number(key, OSSL_PKEY_PARAM_RSA_E, e) == 0 && memcmp(e, three, sizeof(e)) == 0;
}

/* An encrypted key is refused, not asked for: builds have no terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *arg)
{
    return -1;
}

int sgx_key_load(const char *path, EVP_PKEY **key, struct sh_error *err)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return sh_fail_errno(err, -errno, "cannot read the enclave signing key %s", path);
    *key = PEM_read_PrivateKey(f, NULL, no_passphrase, NULL);
    fclose(f);
    if (*key == NULL)
        return sh_fail(err, -EINVAL, "%s holds no unencrypted PEM private key", path);
    if (!key_fits(*key)) {
        EVP_PKEY_free(*key);
        *key = NULL;
        return sh_fail(
            err, -EINVAL,
            "%s is not an RSA key of 3072 bits with exponent 3, which SGX requires; make "
            "one with `openssl genrsa -3 3072`",
            path);
    }
    return 0;
}

int sgx_key_generate(EVP_PKEY **key, struct sh_error *err)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    BIGNUM *e = BN_new();
    *key = NULL;
    int ok = ctx != NULL && e != NULL && BN_set_word(e, 3) && EVP_PKEY_keygen_init(ctx) == 1 &&
             EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, SGX_RSA_SIZE * 8) == 1 &&
             EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e) == 1 && EVP_PKEY_generate(ctx, key) == 1;
    BN_free(e);
    EVP_PKEY_CTX_free(ctx);
    return ok ? 0 : sh_fail(err, -EIO, "cannot generate an enclave signing key");
}

int sgx_key_save(const char *path, EVP_PKEY *key, struct sh_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return sh_fail_errno(err, -errno, "cannot create the enclave signing key %s", path);
    FILE *f = fdopen(fd, "w");
    int ok = f != NULL && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1;
    if (f != NULL)
        ok &= fclose(f) == 0;
    else
        close(fd);
    if (ok)
        return 0;
    unlink(path);
    return sh_fail(err, -EIO, "cannot write the enclave signing key %s", path);
}

/* RSA PKCS #1 v1.5 over SHA-256, turned to little-endian. */
static int rsa_sign(struct sgx_sigstruct *css, EVP_PKEY *key)
{
    uint8_t covered[SGX_SIGNED_SIZE], big[SGX_RSA_SIZE];
    size_t size = sizeof(big);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    sgx_sigstruct_signed(css, covered);
    int ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
             EVP_DigestSign(ctx, big, &size, covered, sizeof(covered)) == 1 && size == sizeof(big);
    EVP_MD_CTX_free(ctx);
    for (size_t i = 0; ok && i < sizeof(big); i++)
        css->signature[i] = big[sizeof(big) - 1 - i];
    return ok ? 0 : -EIO;
}

/* 0xyyyymmdd, each digit a decimal one, month and day possible. */
static int date_is_good(uint32_t date)
{
    for (uint32_t d = date; d != 0; d >>= 4) {
        if ((d & 15) > 9)
            return 0;
    }
    uint32_t month = (date >> 12 & 15) * 10 + (date >> 8 & 15);
    uint32_t day = (date >> 4 & 15) * 10 + (date & 15);
    return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

int sgx_sign(struct sgx_sigstruct *css, const struct sgx_sign_params *p, EVP_PKEY *key,
             struct sh_error *err)
{
    static const uint8_t header[16] = {6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1};
    static const uint8_t header2[16] = {1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1};
    memset(css, 0, sizeof(*css));
    memcpy(css->header, header, sizeof(header));
    memcpy(css->header2, header2, sizeof(header2));
    css->date = p->date;
    css->exponent = 3;
    css->miscselect = p->miscselect;
    css->miscmask = p->miscmask;
    css->attributes = p->attributes;
    css->attribute_mask = p->attribute_mask;
    memcpy(css->enclave_hash, p->mrenclave, sizeof(css->enclave_hash));
    memcpy(css->isv_family_id, p->isv_family_id, sizeof(css->isv_family_id));
    memcpy(css->isv_ext_prod_id, p->isv_ext_prod_id, sizeof(css->isv_ext_prod_id));
    css->isv_prod_id = p->isv_prod_id;
    css->isv_svn = p->isv_svn;
    if (!date_is_good(p->date))
        return sh_fail(err, -EINVAL, "the enclave's signing date %08x is not a date", p->date);
    if (!key_fits(key))
        return sh_fail(err, -EINVAL, "an enclave is signed with RSA-3072 and exponent 3 only");
    if (key_number(key, OSSL_PKEY_PARAM_RSA_N, css->modulus) != 0 || rsa_sign(css, key) != 0 ||
        sgx_sigstruct_quotients(css, css->q1, css->q2) != 0)
        return sh_fail(err, -EIO, "cannot sign the enclave");
    return 0;
}

int sgx_image_sign(struct sgx_sigstruct *css, const uint8_t mrenclave[32], uint64_t attributes,
                   const char *key_path, struct sh_error *err)
{
    struct sgx_secs secs;
    EVP_PKEY *key = NULL;
    sgx_image_secs(&secs, SGX_XFRM_LEGACY, attributes);
    struct sgx_sign_params p = {
        .attributes = secs.attributes,
        .attribute_mask = {ATTRIBUTES_PINNED, SGX_XFRM_LEGACY},
        .miscselect = secs.miscselect,
        .miscmask = UINT32_MAX,
        .date = SIGN_DATE,
        .isv_prod_id = SGX_ISV_PROD_ID,
        .isv_svn = SGX_ISV_SVN,
    };
    memcpy(p.mrenclave, mrenclave, sizeof(p.mrenclave));
    int r = 0;
    if (access(key_path, F_OK) && errno == ENOENT) {
        r = sgx_key_generate(&key, err);
        if (!r) {
            struct sh_error made = {0};
            r = sgx_key_save(key_path, key, &made);
            EVP_PKEY_free(key);
            key = NULL;
            if (r == -EEXIST || (r && !access(key_path, F_OK)))
                r = 0; /* somebody was faster */
            else if (r)
                return sh_fail(err, r, "%s", made.text);
        }
    }
    if (!r)
        r = sgx_key_load(key_path, &key, err);
    if (!r)
        r = sgx_sign(css, &p, key, err);
    EVP_PKEY_free(key);
    return r;
}
