// SPDX-License-Identifier: Apache-2.0
// The answer to a local request, with its head.
#include "trusted/agent/exchange.h"

#include <asm/errno.h>
#include <string.h>

#include "trusted/agent/text.h"

static const char *status_reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {{200, "OK"},
                   {400, "Bad Request"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {413, "Content Too Large"},
                   {501, "Not Implemented"}};
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Service Unavailable";
}

static void write_head(struct agent_exchange *x)
{
    char status[21], size[21];
    const char *type = x->reply.type ? x->reply.type : "text/plain";
    const char *parts[] = {"HTTP/1.1 ",
                           agent_number(status, (uint64_t)x->reply.status),
                           " ",
                           status_reason(x->reply.status),
                           "\r\nContent-Type: ",
                           type,
                           "\r\nContent-Length: ",
                           agent_number(size, x->reply.size),
                           "\r\nConnection: close\r\n\r\n"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        size_t n = strlen(parts[i]);
        if (n > sizeof(x->head) - x->head_size)
            return; /* no type is as long as that */
        memcpy(x->head + x->head_size, parts[i], n);
        x->head_size += n;
    }
}

void agent_exchange_answer(struct agent *a, struct agent_exchange *x)
{
    const struct agent_request *r = &x->request;
    struct sh_view body = {(const uint8_t *)x->in + x->parsed, r->body_size};
    if (x->parsed > 0) {
        agent_answer(a, r->method, r->path, r->query, body, r->who, &x->reply);
    } else { /* no request: its status, with the API's own words */
        body = (struct sh_view){NULL, 0};
        agent_answer(a, "GET", "", body, body, AGENT_FROM_HERE, &x->reply);
        x->reply.status = x->parsed == -E2BIG ? 413 : 400;
    }
    write_head(x);
}

void agent_exchange_end(struct agent_exchange *x)
{
    agent_reply_free(&x->reply);
    agent_wipe(x, sizeof(*x));
}
