// SPDX-License-Identifier: Apache-2.0
// The agent's core, one source for confidential VM and enclave: proves to the key broker what runs
// here, fetches what the image asks for, answers the local API, makes RA-TLS certificates.
//
// What the two TEEs call. Surroundings are behind trusted/agent/os.h. One thread at a time.
//
// Attacks expected here: the broker's address, the network and whoever answers there are the
// host's; only a pinned key (SH_TAG_BROKER_KEY) makes an answer the owner's. Every length, count
// and time is bounded; a secret leaves only through the functions below; keys are wiped.
#ifndef AGENT_CORE_H
#define AGENT_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/bytes.h"
#include "lib/settings.h"
#include "trusted/agent/os.h"
#include "trusted/volume/anchor.h"

/* One sentence: what failed, why, what to do; no newline, never a secret. */
struct agent_error {
    char text[240];
};

struct agent;
struct agent_volume;

#define AGENT_NONCE_MAX 64u
#define AGENT_SECRET_MAX (1u << 20) /* bytes of one resource */
#define AGENT_SECRETS 64u           /* of one image */
#define AGENT_NAME_MAX 64u

/* From the settings (lib/settings.h) and the launch config's bytes, which a broker gets as
 * init-data (size 0: it gets none); both must outlive the agent. Does nothing yet. NULL: no memory.
 */
struct agent *agent_new(const struct sh_settings *settings, struct sh_view launch);
/* The manifest's SHA-384, for the log of events. */
void agent_set_image(struct agent *a, const uint8_t identity[48]);
/* Measures an event: it stands in all evidence from now on and cannot be taken back. Domain
 * "shelter" is ours. -EINVAL, -ENOSPC. */
int agent_event(struct agent *a, const char *domain, const char *operation, const char *content,
                struct agent_error *e);
/* Wipes. NULL is taken. */
void agent_free(struct agent *a);

/* A secret that the image asks for (SH_TAG_SECRET), fetched. */
struct agent_secret {
    char name[AGENT_NAME_MAX + 1]; /* [A-Za-z_][A-Za-z0-9_.-]*; for env without '.' and '-' */
    bool env;                      /* an environment variable, else a file */
    bool identity;                 /* a file, under SH_IDENTITY_DIR */
    bool renewed; /* a file that is given again when the broker has another version of it */
    int signal;   /* then the workload gets it; 0: none */
    bool volume;  /* no file either: the key of the volume of that name */
    const struct agent_volume *anchored; /* what the broker remembers of it; NULL: none is asked */
    const uint8_t *data;                 /* the core's: gone, wiped, when give returns */
    size_t size;                         /* for env it holds no NUL */
};

/* Before the workload starts: with a broker, attests; then fetches each secret of the image and
 * hands it to give (0, or -errno, which ends this). Without a broker: 0 and nothing done, but
 * -EDESTADDRREQ when the image wants secrets. Any failure: the workload must not start, and the
 * exit status is SH_EXIT_ATTESTATION. Takes at most about two minutes. */
int agent_start(struct agent *a, int (*give)(void *arg, const struct agent_secret *secret),
                void *arg, struct agent_error *e);

/* One resource of the broker, "repository/type/tag"; attests first where there is no valid token.
 * *out is for agent_os_free, after agent_wipe. -EPERM: the broker refuses; -ENOENT. */
int agent_resource(struct agent *a, const char *path, uint8_t **out, size_t *size,
                   struct agent_error *e);

void agent_wipe(void *data, size_t size);

/* --- What is renewed: the identity (docs/broker.md: certificate.pem, key.pem, ca.pem, crl.pem),
 * and secrets that the image wants renewed --- */

/* When agent_renew is to be called, a time of agent_os_now_ms; UINT64_MAX: never. */
uint64_t agent_renew_due(const struct agent *a);
/* Renews what is due, within about 8 s, and gives the files that changed as agent_start does. Bit
 * n: the workload is to get signal n (1, 10 or 12). What fails is logged once, and is due again;
 * the old files stay. */
unsigned agent_renew(struct agent *a, int (*give)(void *arg, const struct agent_secret *secret),
                     void *arg);

/* --- Volumes (docs/broker.md, trusted/volume/anchor.h) --- */

/* One that the broker anchors: opened once, then advanced. Holds the key: wipe it. */
struct agent_volume {
    char path[257]; /* of its key, "repository/type/tag" */
    bool read_only;
    uint8_t key[32];
    char lease[33];
    char state[72]; /* what the broker acknowledged last, as it writes it */
    char asked[72]; /* what it was told since, and did not answer: it may have that */
    enum anchor_step asked_step;
    struct anchor anchor;
    uint64_t writer; /* ours: for struct volume_disk */
};

/* Key, memory and lease. Waits for a holder that is not heard any more (some seconds). -EBUSY:
 * another one holds it, and lives; -ENOSYS: a broker that anchors no volumes; else as
 * agent_resource. */
int agent_volume_open(struct agent *a, const char *path, bool read_only, struct agent_volume *v,
                      struct agent_error *e);
/* The broker has this state when it returns 0. The same state again: it heard us. Takes about five
 * seconds at most. -ESTALE: the volume is no longer ours, or the broker forgot what it had
 * acknowledged; never again. Anything else may pass. */
int agent_volume_advance(struct agent *a, struct agent_volume *v, const struct volume_state *to,
                         enum anchor_step step, struct agent_error *e);

/* --- Local API (CoCo's api-server-rest) --- */

struct agent_reply {
    int status;       /* of HTTP */
    const char *type; /* Content-Type, static */
    uint8_t *body;    /* from agent_os_alloc; may be NULL when size is 0 */
    size_t size;
};

/* What a request's headers say of whoever sent it. A program of ours that is made to ask (a web bug
 * that fetches addresses, a proxy, a browser) chooses the address, hardly the headers. */
#define AGENT_FROM_HERE 1u /* its Host is this loopback's, and nobody handed it on */
#define AGENT_HEADER 2u    /* it has the header "Shelter-Request: 1" */

/* Answers one request: method "GET", path without the query, query without '?' (may be empty), body
 * (may be empty), who: AGENT_FROM_HERE, AGENT_HEADER. Always fills reply (status 503 and no body
 * without memory); give it to agent_reply_free, which wipes. May talk to the broker: up to about 30
 * s. */
void agent_answer(struct agent *a, const char *method, const char *path, struct sh_view query,
                  struct sh_view body, unsigned who, struct agent_reply *reply);
void agent_reply_free(struct agent_reply *reply);
/* May the answer need the broker? If not, agent_answer takes no time, and may be called while
 * another call of the core waits for the broker. */
bool agent_asks_broker(const char *path);

/* --- Evidence --- */

/* Evidence for whoever asks through the host: report_data = SHA-512("shelter-attest-v1" || nonce),
 * so that it can never pass for a broker's or RA-TLS binding. Where events are bound it is
 * SHA-512("shelter-attest-log-v1" || what they replay to || nonce). nonce_size 1..AGENT_NONCE_MAX.
 */
int agent_attest_json(struct agent *a, const uint8_t *nonce, size_t nonce_size, char **out,
                      size_t *size, struct agent_error *e);

/* --- RA-TLS --- */

/* A new P-256 key and a self-signed certificate with evidence over its hash: PEM, key first, NUL-
 * terminated, for agent_wipe and agent_os_free. The format stands in docs/attestation.md. */
int agent_ra_tls(struct agent *a, const uint8_t *nonce, size_t nonce_size, char **pem, size_t *size,
                 struct agent_error *e);

#endif
