// SPDX-License-Identifier: Apache-2.0
// Tokens of other attestation services that the operator trusts (RFC 7515, 7517, 7519): Trustee's
// EAR, Intel Trust Authority's, anybody's that is a JWT and holds the TEE's key.
//
// What such a token says is its service's word: its image has no reference here, nobody judged its
// launch config, and it is no image to policies. They name its issuer ("tokens": ["NAME"]).
//
// A stranger may send any: the header chooses a key that the operator named, and no other thing.
// What is in it (jwk, jku, x5c) is not looked at; crit is refused.
#ifndef VERIFIER_BROKER_FOREIGN_H
#define VERIFIER_BROKER_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#define SB_ISSUERS_MAX 16
#define SB_ISSUER_KEYS_MAX 16
#define SB_TOKEN_IMAGE "token:" // before the issuer's name, where others have an image's identity

struct sb_issuers;

// The operator's file: {"issuers": [{"name", "iss", "keys", "aud"?, "tee-pubkey"?}]}. `keys` is a
// JWK Set, `tee-pubkey` a JSON pointer to the TEE's key. 0 or -errno with why.
int sb_issuers_parse(const char *text, size_t size, struct sb_issuers **out, char *why,
                     size_t why_size);
void sb_issuers_free(struct sb_issuers *s);

// The payload that our own token would have had, with the foreign one as its member "token". NULL,
// with a sentence in why, for whatever is not in order. `s` may be NULL: nobody is trusted. `now`
// in seconds.
cJSON *sb_foreign_verify(const struct sb_issuers *s, const char *token, int64_t now, char *why,
                         size_t why_size);

// Whether a payload came of a foreign token.
bool sb_is_foreign(const cJSON *payload);

#endif
