// SPDX-License-Identifier: Apache-2.0
// Requests to the guest on behalf of clients, and their answers.
#include "host/run/sup_requests.h"

#include <errno.h>
#include <string.h>

#include "lib/bytes.h"

#define ANSWER_MS 90000
#define TRACE_WAITING_MAX (4u << 20) /* for a client that does not read */

static void put_answer(struct sup_client *c, uint8_t type, uint32_t error, const void *text,
                       size_t size)
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

static void refuse_request(struct sup_client *c, uint32_t error, const char *why)
{
    put_answer(c, answer_type(c->request_type), error, why, strlen(why));
    c->request_type = 0;
    c->closing = true;
}

void sup_request_take(struct sup_requests *q, struct sup_client *c, const struct sh_frame_view *f,
                      const char *why_not)
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
    if (f->type == SH_FRAME_MAPS && !q->debuggable)
        refuse_request(c, ENOTSUP, "a debugger can look into simulated enclaves only");
    else if (why_not)
        refuse_request(c, EAGAIN, why_not);
}

/* The trace stops when nobody looks at it any more. */
static bool trace_is_idle(const struct sup_requests *q)
{
    FOR_SUP_CLIENTS(c, q->clients)
    if (c->traces || c->request_type == SH_FRAME_TRACE)
        return false;
    return q->traced;
}

static void send_request(struct sup_requests *q, struct sh_fifo *to_guest, uint8_t type,
                         const uint8_t *data, size_t size)
{
    uint8_t payload[sizeof(q->clients->slot[0].request)];
    memcpy(payload, data, size);
    if (!++q->last)
        q->last = 1;
    sh_put_le32(payload, q->last);
    sh_frame_put(to_guest, type, 0, 0, payload, size);
    q->asking = q->last;
    q->asking_by = sh_now_ms() + ANSWER_MS;
}

void sup_requests_pump(struct sup_requests *q, struct sh_fifo *to_guest)
{
    static const uint8_t off[8];
    if (q->asking && sh_now_ms() < q->asking_by)
        return;
    FOR_SUP_CLIENTS(c, q->clients)
    if (q->asking && c->request_type && c->request_sent)
        refuse_request(c, ETIMEDOUT, "the guest does not answer");
    q->asking = 0;
    if (trace_is_idle(q)) {
        q->traced = false;
        send_request(q, to_guest, SH_FRAME_TRACE, off, sizeof(off));
        return;
    }
    FOR_SUP_CLIENTS(c, q->clients)
    {
        if (!c->request_type)
            continue;
        send_request(q, to_guest, c->request_type, c->request, c->request_size);
        c->request_sent = true;
        return;
    }
}

void sup_requests_answer(struct sup_requests *q, const struct sh_frame_view *f)
{
    if (f->size < 8 || !q->asking || sh_frame_u32(f, 0) != q->asking)
        return;
    q->asking = 0;
    FOR_SUP_CLIENTS(c, q->clients)
    {
        if (!c->request_type || !c->request_sent)
            continue;
        uint32_t error = sh_frame_u32(f, 4);
        put_answer(c, answer_type(c->request_type), error, f->data + 8, f->size - 8);
        c->traces = c->request_type == SH_FRAME_TRACE && !error;
        q->traced |= c->traces;
        c->closing = !c->traces;
        c->request_type = 0;
    }
}

void sup_requests_traced(struct sup_requests *q, const struct sh_frame_view *f)
{
    FOR_SUP_CLIENTS(c, q->clients)
    {
        if (!c->traces)
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
