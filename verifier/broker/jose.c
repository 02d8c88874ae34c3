// SPDX-License-Identifier: Apache-2.0
// JWK and JWS: keys in, tokens out and in again.
#include "verifier/broker/jose.h"
#include "verifier/base/bytes.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"
#include "lib/base64.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>

static char *encode_new(const void *data, size_t size, enum sh_base64 kind)
{
    char *out = malloc(SH_BASE64_ROOM(size));

    if (out)
        sh_base64(out, data, size, kind);
    return out;
}

char *sb_base64(const void *data, size_t size)
{
    return encode_new(data, size, SH_BASE64);
}

char *sb_base64url(const void *data, size_t size)
{
    return encode_new(data, size, SH_BASE64URL);
}

// Base64url of exactly or at most `size_max` bytes.
static uint8_t *bytes_of(const cJSON *object, const char *name, size_t size_max, size_t *size)
{
    const char *text = sv_json_text(object, name);
    uint8_t *data;

    if (!*text || strlen(text) > size_max * 4 / 3 + 3)
        return NULL;
    data = sv_unbase64_new(text, size);
    if (data && (*size > size_max || !*size)) {
        free(data);
        return NULL;
    }
    return data;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *bld)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *ec_key(const cJSON *jwk)
{
    static const struct {
        const char *crv;
        size_t size;
    } curves[] = {{"P-256", 32}, {"P-384", 48}, {"P-521", 66}};
    uint8_t point[1 + 2 * 66] = {4}, *x, *y;
    size_t i = 0, n = 0, m = 0;
    EVP_PKEY *key = NULL;

    while (i < 3 && strcmp(sv_json_text(jwk, "crv"), curves[i].crv))
        i++;
    if (i == 3)
        return NULL;
    x = bytes_of(jwk, "x", curves[i].size, &n);
    y = bytes_of(jwk, "y", curves[i].size, &m);
    if (x && y && n == curves[i].size && m == n) {
        OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();

        memcpy(point + 1, x, n);
        memcpy(point + 1 + n, y, n);
        if (bld &&
            OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, curves[i].crv, 0) &&
            OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * n))
            key = from_params("EC", bld);
        OSSL_PARAM_BLD_free(bld);
    }
    free(x);
    free(y);
    return key;
}

static EVP_PKEY *rsa_key(const cJSON *jwk)
{
    size_t n_size = 0, e_size = 0;
    uint8_t *n, *e;
    BIGNUM *bn, *be;
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;

    n = bytes_of(jwk, "n", 1024, &n_size);
    e = bytes_of(jwk, "e", 4, &e_size);
    bn = n ? BN_bin2bn(n, (int)n_size, NULL) : NULL;
    be = e ? BN_bin2bn(e, (int)e_size, NULL) : NULL;
    if (bld && bn && be && BN_num_bits(bn) >= 2048 && BN_is_odd(bn) && BN_is_odd(be) &&
        !BN_is_one(be) && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn) &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, be))
        key = from_params("RSA", bld);
    OSSL_PARAM_BLD_free(bld);
    BN_free(bn);
    BN_free(be);
    free(n);
    free(e);
    return key;
}

EVP_PKEY *sb_jwk_key(const cJSON *jwk)
{
    const char *kty = sv_json_text(jwk, "kty");

    if (!strcmp(kty, "EC"))
        return ec_key(jwk);
    return !strcmp(kty, "RSA") ? rsa_key(jwk) : NULL;
}

EVP_PKEY *sb_jwk_parse(const cJSON *jwk)
{
    bool ec = !strcmp(sv_json_text(jwk, "kty"), "EC");

    return strcmp(sv_json_text(jwk, "alg"), ec ? "ECDH-ES+A256KW" : "RSA-OAEP-256")
               ? NULL
               : sb_jwk_key(jwk);
}

cJSON *sb_jwk_members(const cJSON *jwk)
{
    static const char *const names[] = {"alg", "crv", "e", "kty", "n", "x", "y"};
    cJSON *out = cJSON_CreateObject();

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (sv_json_string(jwk, names[i]))
            cJSON_AddStringToObject(out, names[i], sv_json_text(jwk, names[i]));
    return out;
}

cJSON *sb_jwk_public(EVP_PKEY *key)
{
    cJSON *jwk = cJSON_CreateObject();
    uint8_t point[65], digest[32];
    size_t size = 0;
    char *x, *y, *text, *kid;

    if (!jwk ||
        EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point),
                                        &size) != 1 ||
        size != 65) {
        cJSON_Delete(jwk);
        return NULL;
    }
    x = sb_base64url(point + 1, 32);
    y = sb_base64url(point + 33, 32);
    cJSON_AddStringToObject(jwk, "crv", "P-256");
    cJSON_AddStringToObject(jwk, "kty", "EC");
    cJSON_AddStringToObject(jwk, "x", x ? x : "");
    cJSON_AddStringToObject(jwk, "y", y ? y : "");
    text = sb_jcs(jwk); // RFC 7638 hashes just these four
    if (text && EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) == 1) {
        kid = sb_base64url(digest, sizeof(digest));
        cJSON_AddStringToObject(jwk, "kid", kid ? kid : "");
        free(kid);
    }
    cJSON_AddStringToObject(jwk, "alg", "ES256");
    cJSON_AddStringToObject(jwk, "use", "sig");
    free(text);
    free(x);
    free(y);
    return jwk;
}

// ECDSA: DER to r || s and back.
static bool sign_raw(EVP_PKEY *key, const char *text, size_t size, uint8_t out[64])
{
    uint8_t der[80];
    const uint8_t *at = der;
    size_t der_size = sizeof(der);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    ECDSA_SIG *sig = NULL;
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(ctx, der, &der_size, (const uint8_t *)text, size) == 1 &&
              (sig = d2i_ECDSA_SIG(NULL, &at, (long)der_size)) &&
              BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, 32) == 32 &&
              BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + 32, 32) == 32;

    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool verify_raw(EVP_PKEY *key, const char *text, size_t size, const uint8_t raw[64])
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, 32, NULL), *s = BN_bin2bn(raw + 32, 32, NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t *der = NULL;
    int der_size = 0;
    bool ok = sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1;

    if (ok)
        r = s = NULL;
    ok = ok && (der_size = i2d_ECDSA_SIG(sig, &der)) > 0 && ctx &&
         EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
         EVP_DigestVerify(ctx, der, (size_t)der_size, (const uint8_t *)text, size) == 1;
    OPENSSL_free(der);
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(ctx);
    return ok;
}

// base64url({"alg","kid","typ"}) of this key: a token with any other header is not ours.
static char *header_of(EVP_PKEY *key)
{
    cJSON *jwk = sb_jwk_public(key);
    char text[160], *out;

    snprintf(text, sizeof(text), "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"JWT\"}",
             sv_json_text(jwk, "kid"));
    out = sb_base64url(text, strlen(text));
    cJSON_Delete(jwk);
    return out;
}

char *sb_jws_sign(EVP_PKEY *key, const char *payload)
{
    char *header = header_of(key), *body = sb_base64url(payload, strlen(payload)), *out = NULL;
    size_t size = header && body ? strlen(header) + strlen(body) + 100 : 0, n;
    uint8_t raw[64];

    out = size ? malloc(size) : NULL;
    if (out) {
        n = (size_t)snprintf(out, size, "%s.%s", header, body);
        char *sig = sign_raw(key, out, n, raw) ? sb_base64url(raw, sizeof(raw)) : NULL;

        if (sig) {
            snprintf(out + n, size - n, ".%s", sig);
        } else {
            free(out);
            out = NULL;
        }
        free(sig);
    }
    free(header);
    free(body);
    return out;
}

cJSON *sb_jws_verify(EVP_PKEY *key, const char *token)
{
    char *header = header_of(key), *body = NULL;
    const char *first = strchr(token, '.'), *last = strrchr(token, '.');
    uint8_t *raw = NULL, *text = NULL;
    size_t raw_size = 0, size = 0;
    cJSON *payload = NULL;

    if (header && first && last > first && (size_t)(first - token) == strlen(header) &&
        !memcmp(token, header, strlen(header)) && (raw = sv_unbase64_new(last + 1, &raw_size)) &&
        raw_size == 64 && verify_raw(key, token, (size_t)(last - token), raw) &&
        (body = strndup(first + 1, (size_t)(last - first - 1))) &&
        (text = sv_unbase64_new(body, &size)))
        payload = sv_json_read(text, size, SV_JSON_VALUES_MAX, NULL, 0);
    free(header);
    free(body);
    free(raw);
    free(text);
    return payload;
}
