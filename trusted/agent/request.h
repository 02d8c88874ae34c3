// SPDX-License-Identifier: Apache-2.0
// The head of a local request.
#ifndef AGENT_REQUEST_H
#define AGENT_REQUEST_H

#include "lib/bytes.h"

#define AGENT_REQUEST_MAX 8192u /* request line, headers and body */

struct agent_request {
    char method[8];
    char path[320];       /* as sent, without the query */
    struct sh_view query; /* in the caller's bytes; may be empty */
    size_t body_size;     /* stated; the body stands behind the head */
};

/* Size of the head once it is whole; 0 while it is not; -EBADMSG for what is not HTTP/1.x with a
 * plain body; -E2BIG when AGENT_REQUEST_MAX bytes do not hold it all. */
int agent_request_parse(struct agent_request *r, const char *data, size_t size);

#endif
