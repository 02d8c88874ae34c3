// SPDX-License-Identifier: Apache-2.0
// The agent's state, for the core's own files.
#ifndef AGENT_STATE_H
#define AGENT_STATE_H

#include "trusted/agent/client.h"
#include "trusted/agent/key.h"

struct agent {
    const struct sh_settings *settings;
    struct sh_view launch;
    bool has_broker, bad_url;
    struct agent_client client;
    struct agent_key *key; /* of the last handshake */
    char cookie[AGENT_COOKIE_MAX + 1];
    struct agent_text token; /* size 0: not attested */
    bool old;                /* the broker speaks 0.2.0 only */
    bool rsa;                /* ... and wants an RSA key */
};

/* Handshake; then there are token, key and cookie. */
int agent_attest(struct agent *a, struct agent_error *e);

/* Evidence JSON of this TEE into t; for wire use. */
int agent_evidence_text(struct agent_text *t, const uint8_t report_data[64], struct agent_error *e);

/* "tdx" for tdx and tdx-sim alike, as the protocol names it. */
void agent_tee_word(char out[8]);

#endif
