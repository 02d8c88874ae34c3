// SPDX-License-Identifier: Apache-2.0
// JWE, flattened: a fresh content key a message, wrapped for the TEE's public key.
#include "verifier/broker/jose.h"
#include "verifier/base/json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#define CEK_SIZE 32
#define IV_SIZE 12
#define TAG_SIZE 16

struct wrapped {
    char header[1024]; // protected header
    uint8_t key[1100]; // encrypted_key
    size_t key_size;
};

static bool rsa_wrap(EVP_PKEY *key, const uint8_t cek[CEK_SIZE], struct wrapped *w)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool ok;

    w->key_size = sizeof(w->key);
    ok = ctx && EVP_PKEY_encrypt_init(ctx) == 1 &&
         EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1 &&
         EVP_PKEY_encrypt(ctx, w->key, &w->key_size, cek, CEK_SIZE) == 1;
    EVP_PKEY_CTX_free(ctx);
    snprintf(w->header, sizeof(w->header), "{\"alg\":\"RSA-OAEP-256\",\"enc\":\"A256GCM\"}");
    return ok;
}

// RFC 7518, 4.6.2: one round, empty PartyUInfo and PartyVInfo, 256 bits.
static bool concat_kdf(const uint8_t *z, size_t size, uint8_t out[32])
{
    static const uint8_t round[4] = {0, 0, 0, 1};
    static const uint8_t info[] = "\0\0\0\x0e"
                                  "ECDH-ES+A256KW\0\0\0\0\0\0\0\0\0\0\x01";
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok =
        ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
        EVP_DigestUpdate(ctx, round, sizeof(round)) == 1 && EVP_DigestUpdate(ctx, z, size) == 1 &&
        // the literal's own NUL is the last byte of the 32-bit 256
        EVP_DigestUpdate(ctx, info, sizeof(info)) == 1 && EVP_DigestFinal_ex(ctx, out, NULL) == 1;

    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool key_wrap(const uint8_t kek[32], const uint8_t cek[CEK_SIZE], struct wrapped *w)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0, m = 0;
    bool ok = false;

    if (ctx) {
        EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
        ok = EVP_EncryptInit_ex(ctx, EVP_aes_256_wrap(), NULL, kek, NULL) == 1 &&
             EVP_EncryptUpdate(ctx, w->key, &n, cek, CEK_SIZE) == 1 &&
             EVP_EncryptFinal_ex(ctx, w->key + n, &m) == 1 && n + m == CEK_SIZE + 8;
    }
    w->key_size = (size_t)(n + m);
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

static bool derive_shared_secret(EVP_PKEY *own, EVP_PKEY *peer, uint8_t *z, size_t *size)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
    // The peer's point was found on its curve when it was read (jose.c), and these curves have no
    // small subgroups: a second check would be a multiplication more.
    bool ok = ctx && EVP_PKEY_derive_init(ctx) == 1 &&
              EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) == 1 && EVP_PKEY_derive(ctx, z, size) == 1;

    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static bool ec_wrap(EVP_PKEY *peer, const char *crv, const uint8_t cek[CEK_SIZE], struct wrapped *w)
{
    EVP_PKEY *own = EVP_EC_gen(crv);
    uint8_t point[1 + 2 * 66], z[66], kek[32];
    size_t size = 0, z_size = sizeof(z);
    char *x = NULL, *y = NULL;
    bool ok = own &&
              EVP_PKEY_get_octet_string_param(own, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point),
                                              &size) == 1 &&
              size % 2 && derive_shared_secret(own, peer, z, &z_size) &&
              concat_kdf(z, z_size, kek) && key_wrap(kek, cek, w);

    if (ok) {
        x = sb_base64url(point + 1, size / 2);
        y = sb_base64url(point + 1 + size / 2, size / 2);
        ok = x && y;
    }
    if (ok)
        snprintf(w->header, sizeof(w->header),
                 "{\"alg\":\"ECDH-ES+A256KW\",\"enc\":\"A256GCM\",\"epk\":{\"crv\":\"%s\","
                 "\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}}",
                 crv, x, y);
    OPENSSL_cleanse(z, sizeof(z));
    OPENSSL_cleanse(kek, sizeof(kek));
    EVP_PKEY_free(own);
    free(x);
    free(y);
    return ok;
}

static bool seal_payload(const uint8_t cek[CEK_SIZE], const uint8_t iv[IV_SIZE], const char *aad,
                         const void *data, size_t size, uint8_t *out, uint8_t tag[TAG_SIZE])
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0;
    bool ok = ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, cek, iv) == 1 &&
              EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)aad, (int)strlen(aad)) == 1 &&
              EVP_EncryptUpdate(ctx, out, &n, data, (int)size) == 1 &&
              EVP_EncryptFinal_ex(ctx, out + n, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, tag) == 1;

    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

static void add_base64url(cJSON *jwe, const char *name, const void *data, size_t size)
{
    char *text = sb_base64url(data, size);

    if (text)
        cJSON_AddStringToObject(jwe, name, text);
    free(text);
}

int sb_jwe_encrypt(const cJSON *jwk, const void *data, size_t size, char **out)
{
    const char *crv = sv_json_string(jwk, "crv");
    EVP_PKEY *key = sb_jwk_parse(jwk);
    struct wrapped w = {.key_size = 0};
    uint8_t cek[CEK_SIZE], iv[IV_SIZE], tag[TAG_SIZE], *sealed = malloc(size + 1);
    char *aad = NULL;
    cJSON *jwe;
    bool ok;

    *out = NULL;
    if (!key) {
        free(sealed);
        return -EINVAL;
    }
    ok = sealed && RAND_bytes(cek, sizeof(cek)) == 1 && RAND_bytes(iv, sizeof(iv)) == 1 &&
         (EVP_PKEY_is_a(key, "RSA") ? rsa_wrap(key, cek, &w) : ec_wrap(key, crv, cek, &w));
    aad = ok ? sb_base64url(w.header, strlen(w.header)) : NULL;
    if (aad && seal_payload(cek, iv, aad, data, size, sealed, tag) &&
        (jwe = cJSON_CreateObject())) {
        cJSON_AddStringToObject(jwe, "protected", aad);
        add_base64url(jwe, "encrypted_key", w.key, w.key_size);
        add_base64url(jwe, "iv", iv, sizeof(iv));
        add_base64url(jwe, "ciphertext", sealed, size);
        add_base64url(jwe, "tag", tag, sizeof(tag));
        if (cJSON_GetArraySize(jwe) == 5)
            *out = cJSON_PrintUnformatted(jwe);
        cJSON_Delete(jwe);
    }
    OPENSSL_cleanse(cek, sizeof(cek));
    EVP_PKEY_free(key);
    free(sealed);
    free(aad);
    return *out ? 0 : -ENOMEM;
}
