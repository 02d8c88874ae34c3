// SPDX-License-Identifier: Apache-2.0
// The broker's HTTP client.
#include "trusted/agent/client.h"

#include <asm/errno.h>
#include <string.h>

void agent_client_close(struct agent_client *c)
{
    agent_tls_close(c);
    if (c->stream >= 0)
        agent_os_close(c->stream);
    c->stream = -1;
}

bool agent_client_pause(const struct agent_client *c, uint32_t ms)
{
    if (c->limit && agent_os_now_ms() + ms >= c->limit)
        return false;
    agent_os_sleep_ms(ms);
    return true;
}

static int open_stream(struct agent_client *c, struct agent_error *e)
{
    char name[300];
    agent_client_name(c, name);
    c->io_error = 0;
    c->stream = agent_os_connect(c->url.host, c->url.port, c->deadline);
    if (c->stream < 0) {
        int rc = c->stream;
        c->stream = -1;
        return agent_fail(e, -EAGAIN, "no connection to the key broker at ", name,
                          rc == -ENOENT         ? ": its name is not known"
                          : rc == -ECONNREFUSED ? ": connection refused; is it running?"
                          : rc == -ETIMEDOUT    ? ": it did not answer in time"
                          : rc == -ENETUNREACH  ? ": there is no network"
                                                : "",
                          NULL);
    }
    int rc = c->url.tls ? agent_tls_open(c, e) : 0;
    if (rc)
        agent_client_close(c);
    return rc;
}

static long move_some(struct agent_client *c, bool write, void *data, size_t size)
{
    if (c->url.tls)
        return write ? agent_tls_write(c, data, size) : agent_tls_read(c, data, size);
    return write ? agent_os_write(c->stream, data, size, c->deadline)
                 : agent_os_read(c->stream, data, size, c->deadline);
}

static int send_all(struct agent_client *c, const struct agent_text *t)
{
    for (size_t at = 0; at < t->size;) {
        long n = move_some(c, true, t->data + at, t->size - at);
        if (n <= 0)
            return n ? (int)n : -EPIPE;
        at += (size_t)n;
    }
    return 0;
}

/* 0; -EPIPE when the connection ended before the first byte. */
static int receive_response(struct agent_client *c, struct agent_response *r)
{
    char data[4096];
    bool any = false;
    while (!r->done) {
        long n =
            agent_os_now_ms() >= c->deadline ? -ETIMEDOUT : move_some(c, false, data, sizeof(data));
        int rc = n > 0 ? agent_response_feed(r, data, (size_t)n) : 0;
        agent_wipe(data, sizeof(data));
        if (n < 0)
            return !any && n != -ETIMEDOUT ? -EPIPE : (int)n;
        if (rc)
            return rc;
        if (!n)
            return any && !agent_response_end(r) ? 0 : any ? -ECONNRESET : -EPIPE;
        any = true;
    }
    return 0;
}

static void request_text(const struct agent_client *c, const struct agent_call *call,
                         struct agent_text *t)
{
    agent_text_str(t, call->method);
    agent_text_str(t, " ");
    agent_text_str(t, c->url.path);
    agent_text_str(t, call->path);
    agent_text_str(t, c->url.literal6 ? " HTTP/1.1\r\nHost: [" : " HTTP/1.1\r\nHost: ");
    agent_text_str(t, c->url.host);
    agent_text_str(t, c->url.literal6 ? "]:" : ":");
    agent_text_number(t, c->url.port);
    agent_text_str(t, "\r\nAccept: application/json\r\nUser-Agent: shelter\r\n");
    if (call->cookie && *call->cookie) {
        agent_text_str(t, "Cookie: ");
        agent_text_str(t, call->cookie);
        agent_text_str(t, "\r\n");
    }
    if (call->token && *call->token) {
        agent_text_str(t, "Authorization: Bearer ");
        agent_text_str(t, call->token);
        agent_text_str(t, "\r\n");
    }
    if (call->body) {
        agent_text_str(t, "Content-Type: application/json\r\nContent-Length: ");
        agent_text_number(t, call->body_size);
        agent_text_str(t, "\r\n");
    }
    agent_text_str(t, "\r\n");
    if (call->body)
        agent_text_add(t, call->body, call->body_size);
}

static int report_result(const struct agent_client *c, int rc, struct agent_error *e)
{
    char name[300];
    agent_client_name(c, name);
    switch (rc) {
    case -ETIMEDOUT:
        return agent_fail(e, -EAGAIN, "the key broker at ", name, " did not answer in time", NULL);
    case -EBADMSG:
        return agent_fail(e, -EBADMSG, "what answers at ", name, " speaks no HTTP", NULL);
    case -E2BIG:
        return agent_fail(e, -E2BIG, "the key broker at ", name, " answered too much", NULL);
    case -ENOMEM:
        return agent_fail(e, -ENOMEM, "no memory to talk to the key broker", NULL);
    default:
        return agent_fail(e, -EAGAIN, "the key broker at ", name, " cut the connection", NULL);
    }
}

int agent_client_call(struct agent_client *c, const struct agent_call *call,
                      struct agent_response *r, struct agent_error *e)
{
    struct agent_text t = {0};
    int rc = -EPIPE;
    c->deadline = agent_os_now_ms() + AGENT_REQUEST_MS;
    if (c->limit && c->deadline > c->limit)
        c->deadline = c->limit;
    request_text(c, call, &t);
    if (t.failed) {
        agent_text_free(&t);
        return report_result(c, -ENOMEM, e);
    }
    /* A kept connection may have been closed meanwhile: once more, on a new one. */
    for (bool kept = c->stream >= 0; rc == -EPIPE; kept = false) {
        *r = (struct agent_response){0};
        if (c->stream < 0 && (rc = open_stream(c, e))) {
            agent_text_free(&t);
            return rc;
        }
        rc = send_all(c, &t);
        if (!rc || rc == -EPIPE || rc == -ECONNRESET)
            rc = receive_response(c, r);
        if (rc || r->close)
            agent_client_close(c);
        if (rc)
            agent_response_free(r);
        if (!kept)
            break;
    }
    agent_text_free(&t);
    return rc ? report_result(c, rc, e) : 0;
}
