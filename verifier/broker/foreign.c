// SPDX-License-Identifier: Apache-2.0
// Reads the operator's list of issuers, and judges tokens by it.
#include "verifier/broker/foreign.h"
#include "verifier/broker/jose.h"
#include "verifier/broker/pointer.h"
#include "verifier/base/bytes.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "lib/hex.h"
#include "lib/sha2.h"

#define NAME_MAX_SIZE 64
#define TRIES_MAX 8 // keys that are tried where a header names none
#define TOKEN_VALUES_MAX 4096
#define SKEW_SECONDS 60 // that an issuer's clock may be ahead

struct key {
    char *kid, *alg; // "" where the set says nothing
    EVP_PKEY *key;
};

struct issuer {
    char *name, *iss, *aud, *pointer; // the last two may be NULL
    struct key key[SB_ISSUER_KEYS_MAX];
    size_t keys;
};

struct sb_issuers {
    struct issuer v[SB_ISSUERS_MAX];
    size_t count;
};

static const struct algorithm {
    const char *name, *curve; // curve NULL: RSA
    const EVP_MD *(*md)(void);
    bool pss;
} algorithms[] = {
    {"ES256", "P-256", EVP_sha256, false}, {"ES384", "P-384", EVP_sha384, false},
    {"ES512", "P-521", EVP_sha512, false}, {"RS256", NULL, EVP_sha256, false},
    {"RS384", NULL, EVP_sha384, false},    {"RS512", NULL, EVP_sha512, false},
    {"PS256", NULL, EVP_sha256, true},     {"PS384", NULL, EVP_sha384, true},
    {"PS512", NULL, EVP_sha512, true},
};

// Where services of today keep the TEE's key.
static const char *const pointers[] = {
    "/submods/cpu0/ear.veraison.annotated-evidence/runtime_data_claims/tee-pubkey", // EAR
    "/customized_claims/runtime_data/tee-pubkey", // simple tokens of before
    "/tdx/attester_runtime_data/tee-pubkey",      // Intel Trust Authority
    "/attester_runtime_data/tee-pubkey",
    "/tdx/attester_user_data/tee-pubkey",
    "/tee-pubkey",
};

static const struct algorithm *find_algorithm(const char *name)
{
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
        if (!strcmp(algorithms[i].name, name))
            return &algorithms[i];
    return NULL;
}

// --- The operator's file ---

static char *copy_member(const cJSON *o, const char *name)
{
    const char *text = sv_json_string(o, name);

    return text ? strdup(text) : NULL;
}

static int add_key(struct issuer *is, const cJSON *jwk, char *why, size_t why_size)
{
    const char *use = sv_json_text(jwk, "use"), *alg = sv_json_text(jwk, "alg");
    struct key *k = &is->key[is->keys];

    if (*use && strcmp(use, "sig"))
        return 0; // for something else
    if (is->keys == SB_ISSUER_KEYS_MAX) {
        snprintf(why, why_size, "issuer \"%.64s\" has more than %d keys", is->name,
                 SB_ISSUER_KEYS_MAX);
        return -E2BIG;
    }
    k->key = !*alg || find_algorithm(alg) ? sb_jwk_key(jwk) : NULL;
    if (!k->key) {
        snprintf(why, why_size,
                 "a key of issuer \"%.64s\" is none: give EC on P-256, P-384 or P-521, or RSA of "
                 "2048 bits or more",
                 is->name);
        return -EINVAL;
    }
    k->kid = strdup(sv_json_text(jwk, "kid"));
    k->alg = strdup(alg);
    is->keys++;
    return k->kid && k->alg ? 0 : -ENOMEM;
}

static bool name_ok(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    return name && *name && strlen(name) < NAME_MAX_SIZE && strspn(name, letters) == strlen(name);
}

static bool members_ok(const cJSON *o)
{
    static const char *const texts[] = {"name", "iss", "aud", "tee-pubkey"};
    const cJSON *item;

    if (!cJSON_IsObject(o))
        return false;
    cJSON_ArrayForEach(item, o)
    {
        bool known = !strcmp(item->string, "keys") && cJSON_IsObject(item);

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
            known |= !strcmp(item->string, texts[i]) && cJSON_IsString(item) && *item->valuestring;
        if (!known)
            return false;
    }
    return true;
}

static int add_issuer(struct sb_issuers *s, const cJSON *o, char *why, size_t why_size)
{
    struct issuer *is = &s->v[s->count];
    const cJSON *keys = sv_json_get(sv_json_get(o, "keys"), "keys"), *jwk;
    int rc = 0;

    if (s->count == SB_ISSUERS_MAX) {
        snprintf(why, why_size, "there are more than %d issuers", SB_ISSUERS_MAX);
        return -E2BIG;
    }
    if (!members_ok(o) || !name_ok(sv_json_string(o, "name")) || !sv_json_string(o, "iss") ||
        !cJSON_IsArray(keys)) {
        snprintf(
            why, why_size,
            "an issuer has \"name\" (letters, digits, . _ -), \"iss\", \"keys\" (a JWK Set), and "
            "may have \"aud\" and \"tee-pubkey\"");
        return -EINVAL;
    }
    for (size_t i = 0; i < s->count; i++)
        if (!strcmp(s->v[i].name, sv_json_string(o, "name"))) {
            snprintf(why, why_size, "two issuers have the name \"%.64s\"", s->v[i].name);
            return -EEXIST;
        }
    s->count++;
    is->name = copy_member(o, "name");
    is->iss = copy_member(o, "iss");
    is->aud = copy_member(o, "aud");
    is->pointer = copy_member(o, "tee-pubkey");
    if (!is->name || !is->iss)
        return -ENOMEM;
    if (is->pointer && !sb_pointer_ok(is->pointer, false)) {
        snprintf(why, why_size, "\"tee-pubkey\" of issuer \"%.64s\" is not a JSON pointer",
                 is->name);
        return -EINVAL;
    }
    cJSON_ArrayForEach(jwk, keys) if (!rc) rc = add_key(is, jwk, why, why_size);
    if (!rc && !is->keys) {
        snprintf(why, why_size, "issuer \"%.64s\" has no key to sign with", is->name);
        rc = -EINVAL;
    }
    return rc;
}

int sb_issuers_parse(const char *text, size_t size, struct sb_issuers **out, char *why,
                     size_t why_size)
{
    cJSON *root = sv_json_read(text, size, SV_JSON_VALUES_MAX, why, why_size);
    const cJSON *list = sv_json_get(root, "issuers"), *item;
    struct sb_issuers *s = calloc(1, sizeof(*s));
    int rc = s ? 0 : -ENOMEM;

    if (!rc && root && (!cJSON_IsArray(list) || cJSON_GetArraySize(root) != 1))
        snprintf(why, why_size, "it is not {\"issuers\": [...]}");
    if (!rc && (!cJSON_IsArray(list) || cJSON_GetArraySize(root) != 1))
        rc = -EINVAL;
    if (!rc)
        cJSON_ArrayForEach(item, list) if (!rc) rc = add_issuer(s, item, why, why_size);
    cJSON_Delete(root);
    if (rc) {
        sb_issuers_free(s);
        s = NULL;
    }
    *out = s;
    return rc;
}

void sb_issuers_free(struct sb_issuers *s)
{
    for (size_t i = 0; s && i < s->count; i++) {
        struct issuer *is = &s->v[i];

        for (size_t k = 0; k < SB_ISSUER_KEYS_MAX; k++) {
            free(is->key[k].kid);
            free(is->key[k].alg);
            EVP_PKEY_free(is->key[k].key);
        }
        free(is->name);
        free(is->iss);
        free(is->aud);
        free(is->pointer);
    }
    free(s);
}

// --- A token ---

static cJSON *read_part(const char *part, size_t size)
{
    char *text = strndup(part, size);
    size_t n = 0;
    uint8_t *data = text ? sv_unbase64_new(text, &n) : NULL;
    cJSON *o = data ? sv_json_read(data, n, TOKEN_VALUES_MAX, NULL, 0) : NULL;

    free(text);
    free(data);
    if (cJSON_IsObject(o))
        return o;
    cJSON_Delete(o);
    return NULL;
}

// r || s as DER. Its size, or -1.
static int ecdsa_der(const uint8_t *raw, size_t size, uint8_t **der)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, (int)(size / 2), NULL),
           *s = BN_bin2bn(raw + size / 2, (int)(size / 2), NULL);
    int n = -1;

    *der = NULL;
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL;
        n = i2d_ECDSA_SIG(sig, der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return n;
}

static bool fits_key(const struct algorithm *a, EVP_PKEY *key, size_t sig_size)
{
    int bits = EVP_PKEY_get_bits(key);

    if (!a->curve)
        return EVP_PKEY_is_a(key, "RSA") && sig_size == ((size_t)bits + 7) / 8;
    return EVP_PKEY_is_a(key, "EC") && bits == atoi(a->curve + 2) &&
           sig_size == 2 * (((size_t)bits + 7) / 8);
}

static bool signature_holds(const struct algorithm *a, EVP_PKEY *key, const char *text, size_t size,
                            const uint8_t *sig, size_t sig_size)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL;
    uint8_t *der = NULL;
    bool ok = ctx && EVP_DigestVerifyInit(ctx, &options, a->md(), NULL, key) == 1;

    if (ok && a->pss)
        ok = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1;
    if (ok && a->curve) {
        int n = ecdsa_der(sig, sig_size, &der);

        ok = n > 0;
        sig = der;
        sig_size = ok ? (size_t)n : 0;
    }
    ok = ok && EVP_DigestVerify(ctx, sig, sig_size, (const uint8_t *)text, size) == 1;
    OPENSSL_free(der);
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return ok;
}

// Of which of the issuers whose word is `iss` the signature is. Several may have one word: another
// realm of one service has other keys.
static const struct issuer *find_signer(const struct sb_issuers *s, const cJSON *header,
                                        const char *iss, const char *token, size_t signed_size,
                                        const uint8_t *sig, size_t sig_size)
{
    const struct algorithm *a = find_algorithm(sv_json_text(header, "alg"));
    const char *kid = sv_json_string(header, "kid");
    int tries = 0;

    if (!a || sv_json_get(header, "crit"))
        return NULL;
    for (size_t i = 0; i < s->count; i++)
        for (size_t k = 0; !strcmp(s->v[i].iss, iss) && k < s->v[i].keys; k++) {
            const struct key *key = &s->v[i].key[k];

            if ((kid && strcmp(kid, key->kid)) || (*key->alg && strcmp(key->alg, a->name)) ||
                !fits_key(a, key->key, sig_size))
                continue;
            if (tries++ == TRIES_MAX)
                return NULL;
            if (signature_holds(a, key->key, token, signed_size, sig, sig_size))
                return &s->v[i];
        }
    return NULL;
}

static bool has_audience(const cJSON *body, const char *want)
{
    const cJSON *aud = sv_json_get(body, "aud"), *item;

    if (cJSON_IsString(aud))
        return !strcmp(aud->valuestring, want);
    cJSON_ArrayForEach(item, aud) if (cJSON_IsString(item) &&
                                      !strcmp(item->valuestring, want)) return true;
    return false;
}

// NULL, or what is wrong with its times and audience.
static const char *judge_body(const struct issuer *is, const cJSON *body, int64_t now)
{
    const cJSON *exp = sv_json_get(body, "exp"), *nbf = sv_json_get(body, "nbf"),
                *iat = sv_json_get(body, "iat");

    if (!cJSON_IsNumber(exp) || !(exp->valuedouble > (double)now))
        return "the token has expired";
    if ((nbf && (!cJSON_IsNumber(nbf) || nbf->valuedouble > (double)(now + SKEW_SECONDS))) ||
        (iat && (!cJSON_IsNumber(iat) || iat->valuedouble > (double)(now + SKEW_SECONDS))))
        return "the token is not valid yet";
    return is->aud && !has_audience(body, is->aud) ? "the token is for another audience" : NULL;
}

static const cJSON *find_tee_key(const struct issuer *is, const cJSON *body)
{
    const cJSON *jwk = is->pointer ? sb_pointer_get(body, is->pointer) : NULL;

    for (size_t i = 0; !is->pointer && !jwk && i < sizeof(pointers) / sizeof(pointers[0]); i++)
        jwk = sb_pointer_get(body, pointers[i]);
    return jwk;
}

// What an own token would say, where it can be said.
static cJSON *make_payload(const struct issuer *is, const char *token, const cJSON *jwk,
                           cJSON *body)
{
    uint8_t digest[SH_SHA384_SIZE];
    char image[sizeof(SB_TOKEN_IMAGE) + NAME_MAX_SIZE], hex[2 * SH_SHA384_SIZE + 1];
    const char *jti = sv_json_string(body, "jti");
    cJSON *payload = cJSON_CreateObject();

    sh_sha384(digest, token, strlen(token));
    sh_hex(hex, digest, sizeof(digest));
    snprintf(image, sizeof(image), SB_TOKEN_IMAGE "%s", is->name);
    cJSON_AddStringToObject(payload, "jti", jti && strlen(jti) <= 64 ? jti : "");
    cJSON_AddNumberToObject(payload, "exp", sv_json_get(body, "exp")->valuedouble);
    cJSON_AddItemToObject(payload, "tee-pubkey", sb_jwk_members(jwk));
    cJSON_AddStringToObject(payload, "image", image);
    cJSON_AddStringToObject(payload, "evidence-sha384", hex);
    cJSON_AddBoolToObject(payload, "launch_checked", false);
    cJSON_AddItemToObject(payload, "token", body);
    return payload;
}

cJSON *sb_foreign_verify(const struct sb_issuers *s, const char *token, int64_t now, char *why,
                         size_t why_size)
{
    const char *first = strchr(token, '.'), *last = strrchr(token, '.'), *wrong;
    const struct issuer *is = NULL;
    const cJSON *jwk = NULL;
    cJSON *header = NULL, *body = NULL, *payload = NULL;
    uint8_t *sig = NULL;
    size_t sig_size = 0;
    EVP_PKEY *key;

    snprintf(why, why_size,
             "the token is not one of this broker's, nor of an issuer that it trusts");
    if (s && s->count && first && last > first &&
        !memchr(first + 1, '.', (size_t)(last - first - 1))) {
        header = read_part(token, (size_t)(first - token));
        body = read_part(first + 1, (size_t)(last - first - 1));
        sig = sv_unbase64_new(last + 1, &sig_size);
    }
    if (header && body && sig)
        is = find_signer(s, header, sv_json_text(body, "iss"), token, (size_t)(last - token), sig,
                         sig_size);
    if (is) {
        wrong = judge_body(is, body, now);
        jwk = find_tee_key(is, body);
        key = cJSON_IsObject(jwk) && !wrong ? sb_jwk_parse(jwk) : NULL;
        if (!wrong && !key)
            wrong = "the token holds no key of a TEE that can be encrypted to";
        EVP_PKEY_free(key);
        if (wrong) {
            snprintf(why, why_size, "%s", wrong);
        } else {
            payload = make_payload(is, token, jwk, body);
            body = NULL;
        }
    }
    free(sig);
    cJSON_Delete(header);
    cJSON_Delete(body);
    return payload;
}

bool sb_is_foreign(const cJSON *payload)
{
    return !strncmp(sv_json_text(payload, "image"), SB_TOKEN_IMAGE, sizeof(SB_TOKEN_IMAGE) - 1);
}
