// SPDX-License-Identifier: Apache-2.0
// The agent's state, for the core's own files.
#ifndef AGENT_STATE_H
#define AGENT_STATE_H

#include "trusted/agent/client.h"
#include "trusted/agent/key.h"

/* events.c */
#define AGENT_EVENTS_MAX 49152u /* bytes of the log */
struct agent_events {
    struct agent_text log; /* size 0: nothing happened */
    uint8_t mr[48];        /* what it replays to */
    bool in_register;      /* RTMR3 has it too: the quote shows it */
    bool broken; /* log and register may differ: nothing is measured or attested any more */
};
void agent_events_free(struct agent_events *x);
/* What is bound into report data: not empty, and no register has it. */
static inline bool agent_events_bound(const struct agent_events *x)
{
    return x->log.size && !x->in_register;
}

#define AGENT_RENEWED_MAX 65000u /* bytes of a secret that is renewed: one record for PID 1 */
struct agent_renewals {
    struct agent_renewed {
        const char *record; /* of the image */
        uint64_t version;   /* the broker's number of what was given last; 0: it said none */
    } of[AGENT_SECRETS];
    size_t count;
    uint64_t look; /* when, by agent_os_now_ms */
    bool troubled;
};

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
    bool takes_log;          /* ... and knows a measured log as additional evidence */
    uint8_t image[48];       /* the manifest's digest */
    struct agent_events events;
    uint64_t version; /* of the resource that came last, likewise */
    struct agent_renewals renewals;
    struct agent_identity *identity; /* NULL: the image has none, or it was not asked for yet */
};

/* identity.c. Is a record of the secrets an identity? */
bool agent_is_identity(const char *record);
/* Makes the key, asks for the certificate, gives all files. */
int agent_identity_begin(struct agent *a, const char *record,
                         int (*give)(void *arg, const struct agent_secret *secret), void *arg,
                         struct agent_error *e);
void agent_identity_free(struct agent_identity *i);
/* When agent_identity_keep is to be called; UINT64_MAX: never. */
uint64_t agent_identity_due(const struct agent *a);
/* 1: files changed; 0: none; -errno (logged): the old ones stay, and it is due again. */
int agent_identity_keep(struct agent *a, int (*give)(void *arg, const struct agent_secret *secret),
                        void *arg);
/* The signal by which the workload reads its files anew; 0: none. */
int agent_identity_signal(const struct agent *a);

/* secret.c. NAME=kbs:///REPOSITORY/TYPE/TAG and :file, :env, :volume or :renew[:SIGNAL]. 0 or
 * -EINVAL. */
int agent_secret_parse(const char *text, struct agent_secret *s, char path[257]);

/* renew.c. The secret was given, and is looked at from now on. */
int agent_renewals_add(struct agent *a, const char *record, size_t size, struct agent_error *e);

/* Handshake; then there are token, key and cookie. */
int agent_attest(struct agent *a, struct agent_error *e);

/* A request by the session that has attested: attests first where there is none, and again where
 * it has expired. 0 with r filled, any status but 401; the caller frees it. */
int agent_ask(struct agent *a, const struct agent_call *call, struct agent_response *r,
              struct agent_error *e);
/* The sentence for an answer that is not 200. -EAGAIN where another try may help. */
int agent_refused(struct agent *a, const struct agent_response *r, const char *what,
                  struct agent_error *e);
/* The body as JSON: 0 or an error. */
int agent_body(struct agent *a, const struct agent_response *r, struct agent_json *o,
               struct agent_error *e);
/* May something be fetched from there: an address that is one, a pinned key, a path. */
int agent_may_ask(struct agent *a, const char *path, struct agent_error *e);

/* hsm.c. "sign/REPO/TYPE/TAG" or "unwrap/...": the broker's JSON for the one, the bytes for the
 * other, as agent_resource gives them. -EINVAL: the broker does not understand the body. */
int agent_hsm(struct agent *a, const char *path, struct sh_view body, uint8_t **out, size_t *size,
              struct agent_error *e);

/* Evidence JSON of this TEE into t; for wire use. The events of a register stand behind its log,
 * those of none in the member "measured_log" (`with_log`: only where report_data binds them). */
int agent_evidence_text(struct agent_text *t, const uint8_t report_data[64],
                        const struct agent_events *events, bool with_log, struct agent_error *e);

/* "tdx" for tdx and tdx-sim alike, as the protocol names it. */
void agent_tee_word(char out[8]);

#endif
