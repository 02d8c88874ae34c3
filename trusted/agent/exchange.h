// SPDX-License-Identifier: Apache-2.0
// One exchange of the local API: an HTTP/1.x request comes in pieces, its answer goes in pieces.
//
// Whoever has the connection (serve.c in the VM, the LibOS's serve.c in the enclave) moves the
// bytes and keeps the time:
//
//   read into in + have -> agent_exchange_take -> agent_exchange_answer -> write
//   agent_exchange_rest
//
// request.c needs nothing of the core; exchange.c is part of it.
#ifndef AGENT_EXCHANGE_H
#define AGENT_EXCHANGE_H

#include "trusted/agent/core.h"

#define AGENT_REQUEST_MAX 8192u /* request line, headers and body */

struct agent_request {
    char method[8];
    char path[320];       /* as sent, without the query */
    struct sh_view query; /* in the caller's bytes; may be empty */
    size_t body_size;     /* stated; the body stands behind the head */
    unsigned who;         /* AGENT_FROM_HERE, AGENT_HEADER: what its headers say of the sender */
};

/* Size of the head once it is whole; 0 while it is not; -EBADMSG for what is not HTTP/1.x with a
 * plain body; -E2BIG when AGENT_REQUEST_MAX bytes do not hold it all. */
int agent_request_parse(struct agent_request *r, const char *data, size_t size);

/* Zero-initialise. */
struct agent_exchange {
    char in[AGENT_REQUEST_MAX];
    size_t have;
    int parsed; /* size of the request's head, or -errno */
    struct agent_request request;
    char head[256]; /* of the answer */
    size_t head_size, sent;
    struct agent_reply reply;
};

/* `size` bytes came to in + have. True when it is time for the answer, to a whole request or to
 * what cannot become one. */
bool agent_exchange_take(struct agent_exchange *x, size_t size);
/* Makes the answer (agent_answer; what is no request gets its status). */
void agent_exchange_answer(struct agent *a, struct agent_exchange *x);
/* What is still to be sent: size 0 at the end. The caller adds what went to x->sent. */
struct sh_view agent_exchange_rest(const struct agent_exchange *x);
/* Wipes the whole; it may be used anew. */
void agent_exchange_end(struct agent_exchange *x);

#endif
