// SPDX-License-Identifier: Apache-2.0
// What endpoints share: the body of a request, who asks, what they may have, and the log of it.
#ifndef VERIFIER_BROKER_ADMIT_H
#define VERIFIER_BROKER_ADMIT_H

#include "verifier/broker/answer.h"

// The body as a JSON object and nothing behind it, or NULL with a problem set.
cJSON *sb_body_json(struct sb_request *r, unsigned values_max);

// The payload of what the client shows: a bearer token or a session. foreign: a token of an issuer
// that the operator trusts is good too (foreign.h). NULL, with the reason in out.
cJSON *sb_check_token(struct sb_request *r, bool foreign, struct sb_judgement *out);
// What the log wants to know of who attested.
void sb_describe_attested(struct sb_judgement *out, const cJSON *payload);
// Whether this payload may have what stands under this path. Fills out.
bool sb_is_permitted(struct sb_request *r, const char *path, const cJSON *payload,
                     struct sb_judgement *out);

// Whether a policy says that what stands under this path is given one time.
bool sb_is_once(struct sb_store *st, const char *path);

// The resource for one who is permitted. Where a policy says "once" it is deleted by that.
int sb_give_resource(struct sb_store *st, const char *path, uint8_t **data, size_t *size);

// In the chain what was granted, in a ring what was not. session: the token's id.
void sb_log_attempt(struct sb_request *r, const char *event, const struct sb_judgement *out,
                    const char *session, const char *resource);
// The same of an attestation that was accepted, together with what other processes are to know.
void sb_log_session(struct sb_request *r, const struct sb_judgement *out, const char *session,
                    const struct sb_session_row *row);

#endif
