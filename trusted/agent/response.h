// SPDX-License-Identifier: Apache-2.0
// An HTTP/1.1 response (RFC 9112) as it comes in pieces, and the address it comes from. Pure.
#ifndef AGENT_RESPONSE_H
#define AGENT_RESPONSE_H

#include "trusted/agent/text.h"

#define AGENT_HEAD_MAX 16384u
#define AGENT_COOKIE_MAX 256u
#define AGENT_BODY_MAX (2u << 20)

struct agent_response {
    int status;
    bool close;                        /* the connection ends with this response */
    bool done;                         /* whole */
    char cookie[AGENT_COOKIE_MAX + 1]; /* kbs-session-id=VALUE, or "" */
    uint64_t version;                  /* Shelter-Resource-Version; 0: there is none */
    struct agent_text body;

    uint8_t state;
    bool chunked, has_length;
    size_t left;
    struct agent_text head; /* a line of head, chunk size or trailer until it is whole */
    size_t line_bytes;      /* of all such lines */
};

/* Zero-initialise; free when done. Takes bytes of the stream; what is behind the response is an
 * error, since nothing was asked yet. 0, -EBADMSG, -E2BIG or -ENOMEM. */
int agent_response_feed(struct agent_response *r, const char *data, size_t size);
/* The stream ended. 0 when that ends the response, else -EBADMSG. */
int agent_response_end(struct agent_response *r);
void agent_response_free(struct agent_response *r);

struct agent_url {
    char host[256]; /* without brackets */
    uint16_t port;
    bool tls, literal6;
    char path[128]; /* in front of /kbs/v0, without a slash at its end */
};

/* http(s)://host[:port][/path]: 0 or -EINVAL. */
int agent_url_parse(struct agent_url *u, const char *text, size_t size);

#endif
