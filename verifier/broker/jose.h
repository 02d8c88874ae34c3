// SPDX-License-Identifier: Apache-2.0
// The little of JOSE that the broker speaks: JWK, JWE, JWS, and canonical JSON.
//
// RFC 7515 (JWS compact, ES256), 7516 (JWE flattened, A256GCM), 7517 (JWK), 7518 (ECDH-ES+A256KW
// with Concat KDF, RSA-OAEP-256), 7638 (key identifiers), 8785 (JCS). Strings returned are
// malloc'd.
#ifndef VERIFIER_BROKER_JOSE_H
#define VERIFIER_BROKER_JOSE_H

#include <stddef.h>

#include <cjson/cJSON.h>
#include <openssl/evp.h>

// Base64url without padding. NULL when out of memory.
char *sb_base64url(const void *data, size_t size);
// Standard base64 with padding.
char *sb_base64(const void *data, size_t size);

// Canonical form (JCS). NULL for what has no single one here: names that are not ASCII or stand
// twice, numbers that are no integers below 2^53; or when out of memory.
char *sb_jcs(const cJSON *value);

// The public key of a JWK: EC on P-256, P-384, P-521 with alg ECDH-ES+A256KW, or RSA of 2048 to
// 8192 bits with alg RSA-OAEP-256. NULL for anything else.
EVP_PKEY *sb_jwk_parse(const cJSON *jwk);
// The same whatever alg it says, or none.
EVP_PKEY *sb_jwk_key(const cJSON *jwk);
// Of a key that sb_jwk_parse takes, the members that make it: what a client adds is not kept.
cJSON *sb_jwk_members(const cJSON *jwk);

// Encrypts to a JWK. The protected header is compact JSON with its names in the order in which
// other implementations write them again (alg, enc, epk; crv, kty, x, y), since some hash their own
// copy. 0, -EINVAL for a key that sb_jwk_parse refuses, -ENOMEM.
int sb_jwe_encrypt(const cJSON *jwk, const void *data, size_t size, char **out);

// The broker's key: P-256. kid is the RFC 7638 thumbprint.
cJSON *sb_jwk_public(EVP_PKEY *key);
char *sb_jws_sign(EVP_PKEY *key, const char *payload);
// Takes only ES256 of this key. The payload, or NULL.
cJSON *sb_jws_verify(EVP_PKEY *key, const char *token);

#endif
