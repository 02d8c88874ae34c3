// SPDX-License-Identifier: Apache-2.0
// Requests to the guest on behalf of clients (counts, traces, evidence), one at a time, and their
// answers. The guest may answer late, twice or never: only the answer that is waited for counts.
#include <errno.h>
#include <string.h>

#include "host/run/sup.h"
#include "lib/bytes.h"

#define ANSWER_MS 90000
#define TRACE_WAITING_MAX (4u << 20) /* for a client that does not read */

static bool is_asking(const struct sup_client *c)
{
    return c->fd >= 0 && c->request_type;
}

static void tell(struct sup_client *c, uint8_t type, uint32_t error, const void *text, size_t size)
{
    uint8_t payload[SH_FRAME_SIZE_MAX];
    sh_put_le32(payload, 0);
    sh_put_le32(payload + 4, error);
    if (size > sizeof(payload) - 8)
        size = sizeof(payload) - 8;
    memcpy(payload + 8, text, size);
    sh_frame_put(&c->out, type, 0, 0, payload, 8 + size);
}

static uint8_t answer_type(uint8_t request_type)
{
    return request_type == SH_FRAME_ATTEST ? SH_FRAME_EVIDENCE : SH_FRAME_ANSWER;
}

static void fail(struct sup_client *c, uint32_t error, const char *why)
{
    tell(c, answer_type(c->request_type), error, why, strlen(why));
    c->request_type = 0;
    c->closing = true;
}

void sup_request(struct sup *s, struct sup_client *c, const struct sh_frame_view *f)
{
    if (c->attached || c->waits || c->request_type || c->traces || f->size < 4 ||
        f->size > sizeof(c->request)) {
        c->closing = true;
        return;
    }
    c->request_type = f->type;
    c->request_size = f->size;
    c->request_sent = false;
    memcpy(c->request, f->data, f->size);
    if (f->type == SH_FRAME_MAPS && !s->plan->spec->backend->debuggable)
        fail(c, ENOTSUP, "a debugger can look into enclaves only");
    else if (!s->sessions[0].started)
        fail(c, EAGAIN, "the workload is not running yet; try again in a moment");
}

/* The trace stops when nobody looks at it any more. */
static bool trace_is_idle(const struct sup *s)
{
    for (size_t i = 0; i < SH_CONTROL_CLIENT_MAX; i++) {
        const struct sup_client *c = &s->clients[i];
        if (c->fd >= 0 && (c->traces || c->request_type == SH_FRAME_TRACE))
            return false;
    }
    return s->traced;
}

static void ask(struct sup *s, uint8_t type, const uint8_t *data, size_t size)
{
    uint8_t payload[sizeof(s->clients[0].request)];
    memcpy(payload, data, size);
    if (!++s->last_request)
        s->last_request = 1;
    sh_put_le32(payload, s->last_request);
    sh_frame_put(&s->channel_out, type, 0, 0, payload, size);
    s->asking = s->last_request;
    s->asking_by = sh_now_ms() + ANSWER_MS;
}

void sup_requests_pump(struct sup *s)
{
    static const uint8_t off[8];
    if (s->asking && sh_now_ms() < s->asking_by)
        return;
    for (size_t i = 0; i < SH_CONTROL_CLIENT_MAX; i++)
        if (s->asking && is_asking(&s->clients[i]) && s->clients[i].request_sent)
            fail(&s->clients[i], ETIMEDOUT, "the guest does not answer");
    s->asking = 0;
    if (trace_is_idle(s)) {
        s->traced = false;
        ask(s, SH_FRAME_TRACE, off, sizeof(off));
        return;
    }
    for (size_t i = 0; i < SH_CONTROL_CLIENT_MAX; i++) {
        struct sup_client *c = &s->clients[i];
        if (!is_asking(c))
            continue;
        ask(s, c->request_type, c->request, c->request_size);
        c->request_sent = true;
        return;
    }
}

void sup_answer(struct sup *s, const struct sh_frame_view *f)
{
    if (f->size < 8 || !s->asking || sh_frame_u32(f, 0) != s->asking)
        return;
    s->asking = 0;
    for (size_t i = 0; i < SH_CONTROL_CLIENT_MAX; i++) {
        struct sup_client *c = &s->clients[i];
        if (!is_asking(c) || !c->request_sent)
            continue;
        uint32_t error = sh_frame_u32(f, 4);
        tell(c, answer_type(c->request_type), error, f->data + 8, f->size - 8);
        c->traces = c->request_type == SH_FRAME_TRACE && !error;
        s->traced |= c->traces;
        c->closing = !c->traces;
        c->request_type = 0;
    }
}

void sup_traced(struct sup *s, const struct sh_frame_view *f)
{
    for (size_t i = 0; i < SH_CONTROL_CLIENT_MAX; i++) {
        struct sup_client *c = &s->clients[i];
        if (c->fd < 0 || !c->traces)
            continue;
        if (c->out.size > TRACE_WAITING_MAX) {
            c->trace_lost = true;
            continue;
        }
        if (c->trace_lost)
            sh_frame_put(&c->out, SH_FRAME_TRACED, 0, 0, "... lost ...\n", 13);
        c->trace_lost = false;
        sh_frame_put(&c->out, SH_FRAME_TRACED, 0, 0, f->data, f->size);
    }
}
