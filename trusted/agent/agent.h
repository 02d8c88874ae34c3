// SPDX-License-Identifier: Apache-2.0
// The attestation agent: a small HTTP server for the programs beside it, and the evidence drivers.
//
// Attacks expected here: any local program may send any bytes, slowly, on many connections; the
// host may answer a quote request with anything (the verifier judges quotes; here they are
// bounded).
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- http.c (pure) --- */

#define AGENT_REQUEST_MAX 8192u /* request line and headers */
#define AGENT_VALUE_MAX 1024u

struct agent_request {
    char method[8];
    char path[256];    /* as sent, without the query */
    const char *query; /* in the caller's bytes; may be empty */
    size_t query_size;
};

/* Size of the head once it is whole; 0 while it is not; -EBADMSG for what is not HTTP/1.x without a
 * body; -E2BIG when AGENT_REQUEST_MAX bytes hold no whole head. */
int agent_request_parse(struct agent_request *r, const char *data, size_t size);

/* The first parameter of this name, percent-decoded. Its size; -ENOENT; -EINVAL for bad escapes;
 * -E2BIG when it is longer than out_size. It may hold any byte. */
int agent_query_get(const struct agent_request *r, const char *name, uint8_t *out, size_t out_size);

/* --- evidence.c --- */

#define AGENT_QUOTE_MAX 32768u /* configfs-tsm gives no more */
#define AGENT_REPLY_MAX (AGENT_QUOTE_MAX * 4 / 3 + 512)

struct agent_reply {
    int status; /* of HTTP */
    size_t size;
    char body[AGENT_REPLY_MAX];
};

/* {"error": "..."} with this status. */
void agent_reply_error(struct agent_reply *reply, int status, const char *text);

/* Evidence of this TEE over report_data. tsm_dir: descriptor of a configfs-tsm entry, or -1. */
void agent_evidence(struct agent_reply *reply, const char *tee, int tsm_dir,
                    const uint8_t report_data[64]);

/* Base64 with padding (RFC 4648); out takes 4 * ((size + 2) / 3) + 1 bytes. Returns its length. */
size_t agent_base64(char *out, const uint8_t *data, size_t size);

/* --- serve.c --- */

/* What a whole request gets. */
void agent_answer(struct agent_reply *reply, const struct agent_request *r, const char *tee,
                  int tsm_dir);

/* Serves connections of a listening socket until it fails. */
int agent_serve(int listen_fd, const char *tee, int tsm_dir);

#endif
