// SPDX-License-Identifier: Apache-2.0
// HTTP responses to the agent: the pieces they come in make no difference; and the broker's
// address.
#include <stdlib.h>
#include <string.h>

#include "trusted/agent/response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed(struct agent_response *r, const char *data, size_t size, size_t piece)
{
    int rc = 0;
    for (size_t at = 0; !rc && at < size; at += piece)
        rc = agent_response_feed(r, data + at, size - at < piece ? size - at : piece);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agent_response a = {0}, b = {0};
    struct agent_url url;
    if (!size)
        return 0;
    size_t piece = data[0] % 32 + 1u;
    const char *text = (const char *)data + 1;
    size--;
    agent_url_parse(&url, text, size);
    int rc = feed(&a, text, size, size ? size : 1), other = feed(&b, text, size, piece);
    if (rc != other || a.done != b.done ||
        (!rc && (a.status != b.status || a.body.size != b.body.size)))
        abort();
    if (!rc && a.body.size && memcmp(a.body.data, b.body.data, a.body.size))
        abort();
    if (a.body.size > AGENT_BODY_MAX || strlen(a.cookie) > AGENT_COOKIE_MAX)
        abort();
    agent_response_end(&a);
    agent_response_free(&a);
    agent_response_free(&b);
    return 0;
}
