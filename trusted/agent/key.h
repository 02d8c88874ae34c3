// SPDX-License-Identifier: Apache-2.0
// The key that the broker encrypts to: made here, bound in the evidence, never kept.
#ifndef AGENT_KEY_H
#define AGENT_KEY_H

#include "trusted/agent/json.h"
#include "trusted/agent/text.h"

struct agent_key; /* EC P-256 or RSA 2048 */

struct agent_key *agent_key_new(bool rsa);
/* Wipes. */
void agent_key_free(struct agent_key *k);

/* The public half as a JWK in canonical form (RFC 7517, 8785). */
void agent_key_jwk(const struct agent_key *k, struct agent_text *t);
/* The private half as PEM (PKCS #8), for who asks for the token inside. */
int agent_key_pem(const struct agent_key *k, struct agent_text *t);

/* Opens a flattened JWE (RFC 7516): ECDH-ES+A256KW or RSA-OAEP-256 as the key is, A256GCM. The text
 * was checked by agent_json_check. *out is for agent_wipe and agent_os_free. -EBADMSG with the
 * reason; -ENOMEM. */
int agent_jwe_open(const struct agent_key *k, struct agent_json jwe, uint8_t **out, size_t *size,
                   struct agent_error *e);

/* AES key unwrap (RFC 3394) of 40 bytes: 32 bytes, or -EBADMSG. */
int agent_unwrap(const uint8_t kek[32], const uint8_t in[40], uint8_t out[32]);

#endif
