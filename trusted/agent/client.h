// SPDX-License-Identifier: Apache-2.0
// HTTP requests to the broker, over TLS with a pinned key or plainly; one connection, kept open.
#ifndef AGENT_CLIENT_H
#define AGENT_CLIENT_H

#include "trusted/agent/response.h"

struct agent_tls; /* tls.c */

struct agent_client {
    struct agent_url url;
    struct sh_view pin; /* DER SubjectPublicKeyInfo that the broker must have; size 0: any */
    int stream;         /* -1: not connected */
    struct agent_tls *tls;
    uint64_t deadline; /* of the call that runs */
    uint64_t limit;    /* no call goes on after this time; 0: none */
    int io_error;
};

#ifndef AGENT_REQUEST_MS
#define AGENT_REQUEST_MS 20000u
#endif

struct agent_call {
    const char *method, *path;  /* behind url.path */
    const char *cookie, *token; /* "" or NULL: none */
    const char *body;           /* JSON, or NULL */
    size_t body_size;
};

/* One request and its whole response, within AGENT_REQUEST_MS and before c->limit. 0 with r filled
 * (any status; the caller frees it), -EAGAIN for what another try may mend (no connection, cut,
 * slow), -EPERM for another key than the pinned one, or another -errno. */
int agent_client_call(struct agent_client *c, const struct agent_call *call,
                      struct agent_response *r, struct agent_error *e);
void agent_client_close(struct agent_client *c);
/* Is there time for another try after this pause? Then it has been slept. */
bool agent_client_pause(const struct agent_client *c, uint32_t ms);

/* "https://host:port" for sentences and logs (url.c). */
void agent_client_name(const struct agent_client *c, char out[300]);

/* --- tls.c: over the client's stream --- */

/* Handshake; then the peer has the pinned key. -EPERM when not; -EAGAIN; -EPROTO. */
int agent_tls_open(struct agent_client *c, struct agent_error *e);
void agent_tls_close(struct agent_client *c);
/* As agent_os_read and _write. */
long agent_tls_read(struct agent_client *c, void *out, size_t size);
long agent_tls_write(struct agent_client *c, const void *data, size_t size);

/* --- rng.c: mbedTLS's random callback --- */
int agent_rng(void *unused, unsigned char *out, size_t size);

#endif
