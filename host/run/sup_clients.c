// SPDX-License-Identifier: Apache-2.0
// The supervisor's clients: requests, stdin from them, output to them within their credit.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "host/run/sup.h"
#include "host/run/allowed.h"

#define OUT_MAX (4u * SH_STREAM_PIECE) /* framed for a client's socket before we frame more */

void sup_client_drop(struct sup *s, struct sup_client *c)
{
    uint16_t id = c->session;
    bool attached = c->attached;
    close(c->fd);
    sh_frames_free(&c->in);
    sh_fifo_free(&c->out);
    sh_fifo_free(&c->last);
    sh_fifo_free(&c->input_waiting);
    for (unsigned i = 0; i < 2; i++)
        sh_fifo_free(&c->stream[i].waiting);
    *c = (struct sup_client){.fd = -1};
    struct sup_session *session = attached ? sup_session_find(s, id) : NULL;
    if (!session)
        return;
    if (session->killed_with_client)
        sup_guest_signal(s, session, SIGKILL);
    sup_guest_grant(s, session); /* the slowest may have been this one */
}

/* Lets the client send more stdin as its queue here empties. */
static void grant_input(struct sup_client *c)
{
    if (c->attached && c->feeds)
        sh_stream_grant(&c->input, c->input_waiting.size, &c->out);
}

void sup_client_attach(struct sup_client *c, uint16_t session, bool input)
{
    c->attached = true;
    c->feeds = input;
    c->session = session;
}

void sup_client_add(struct sup *s, int fd, bool first, bool attached, bool input)
{
    for (size_t i = 0; i < SH_CONTROL_CLIENT_MAX; i++) {
        struct sup_client *c = &s->clients[i];
        if (c->fd >= 0)
            continue;
        *c = (struct sup_client){
            .fd = fd,
            .first = first,
            .stream = {{.out.stream = SH_STREAM_OUT}, {.out.stream = SH_STREAM_ERR}},
            .input = {.stream = SH_STREAM_IN, .window = SH_CONTROL_CREDIT},
        };
        if (first && attached)
            sup_client_attach(c, 0, input);
        else
            c->waits = first;
        grant_input(c);
        return;
    }
    close(fd);
}

void sup_clients_accept(struct sup *s)
{
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        sup_client_add(s, fd, false, false, false);
}

static void answer_signal(struct sup *s, struct sup_client *c, uint32_t signal)
{
    struct sh_error why = {0};
    if (sh_policy_signal(&s->instance->config, signal, &why)) {
        sh_frame_put_text(&c->out, SH_FRAME_REFUSED, 0, SH_FRAME_SIGNAL, why.text);
        return;
    }
    struct sup_session *session = sup_session_find(s, c->attached ? c->session : 0);
    if (session)
        sup_guest_signal(s, session, signal);
    if (!c->attached)
        sh_frame_put(&c->out, SH_CONTROL_DONE, 0, 0, NULL, 0);
}

void sup_begin_stop(struct sup *s, uint32_t after_ms)
{
    uint32_t signal = s->instance->config.stop_signal ? s->instance->config.stop_signal : SIGTERM;
    sup_guest_signal(s, &s->sessions[0], s->sessions[0].started ? signal : SIGKILL);
    int64_t at = sh_now_ms() + (after_ms < 86400000 ? after_ms : 86400000);
    if (!s->kill_at || at < s->kill_at)
        s->kill_at = at;
}

static void take_input(struct sup *s, struct sup_client *c, const struct sh_frame_view *f)
{
    if (sh_stream_take(&c->input, f->size)) /* one that does not feed has no credit */
        c->closing = true;
    else
        sh_fifo_add(&c->input_waiting, f->data, f->size);
}

static void take_frame(struct sup *s, struct sup_client *c, const struct sh_frame_view *f)
{
    struct sup_session *session = c->attached ? sup_session_find(s, c->session) : NULL;
    switch (f->type) {
    case SH_FRAME_DATA:
        take_input(s, c, f);
        break;
    case SH_FRAME_EOF:
        c->input.ended = true;
        break;
    case SH_FRAME_CREDIT:
        if (f->stream == SH_STREAM_OUT || f->stream == SH_STREAM_ERR)
            sh_stream_credit(&c->stream[f->stream - SH_STREAM_OUT].out, f);
        break;
    case SH_FRAME_WINSIZE:
        if (session && f->size == 4)
            sh_frame_put(&s->channel_out, SH_FRAME_WINSIZE, 0, session->id, f->data, f->size);
        break;
    case SH_FRAME_SIGNAL:
        answer_signal(s, c, sh_frame_u32(f, 0));
        break;
    case SH_FRAME_EXEC:
        if (!c->attached && !c->waits)
            sup_guest_exec(s, c, f->data, f->size);
        break;
    case SH_FRAME_STATS:
    case SH_FRAME_TRACE:
    case SH_FRAME_ATTEST:
    case SH_FRAME_MAPS:
        sup_request(s, c, f);
        break;
    case SH_CONTROL_ATTACH:
        if (!c->attached && !c->waits)
            sup_client_attach(c, 0, f->size && f->data[0]);
        break;
    case SH_CONTROL_WAIT:
        c->waits = true;
        break;
    case SH_CONTROL_STOP:
        c->waits = true;
        sup_begin_stop(s, sh_frame_u32(f, 0));
        break;
    default:
        c->closing = true;
    }
}

void sup_client_readable(struct sup *s, struct sup_client *c)
{
    struct sh_frame_view f;
    int r = sh_frames_receive(&c->in, c->fd);
    if (r == -EAGAIN)
        return;
    if (r) {
        sup_client_drop(s, c);
        return;
    }
    while (!c->closing && (r = sh_frames_next(&c->in, &f)) == 1)
        if (!s->ended)
            take_frame(s, c, &f);
        else if (f.type == SH_FRAME_CREDIT) /* all that still matters: its output */
            take_frame(s, c, &f);
    if (r < 0)
        c->closing = true;
}

/* Frames what the client's credit allows; true when nothing of this stream is left. */
static bool pump_stream(struct sup_client *c, unsigned i)
{
    struct sup_stream *t = &c->stream[i];
    if (!sh_stream_pump(&t->out, &t->waiting, &c->out, OUT_MAX))
        return false;
    if (t->eof)
        sh_stream_end(&t->out, &c->out);
    return true;
}

void sup_client_pump(struct sup *s, struct sup_client *c)
{
    grant_input(c);
    bool done = pump_stream(c, 0) & pump_stream(c, 1);
    if (done && c->last.size && !c->closing) {
        sh_fifo_add(&c->out, sh_fifo_peek(&c->last), c->last.size);
        sh_fifo_drop(&c->last, c->last.size);
        c->closing = true;
    }
    int r = sh_frames_send(&c->out, c->fd);
    if ((r && r != -EAGAIN) || (c->closing && !c->out.size)) {
        sup_client_drop(s, c);
        return;
    }
    if (c->attached) {
        struct sup_session *session = sup_session_find(s, c->session);
        if (session)
            sup_guest_grant(s, session);
    }
}

void sup_clients_data(struct sup *s, struct sup_session *session, unsigned i, const void *data,
                      size_t size)
{
    for (size_t k = 0; k < SH_CONTROL_CLIENT_MAX; k++) {
        struct sup_client *c = &s->clients[k];
        if (c->fd >= 0 && c->attached && c->session == session->id)
            sh_fifo_add(&c->stream[i].waiting, data, size);
    }
}

void sup_clients_eof(struct sup *s, struct sup_session *session, unsigned i)
{
    for (size_t k = 0; k < SH_CONTROL_CLIENT_MAX; k++) {
        struct sup_client *c = &s->clients[k];
        if (c->fd >= 0 && c->attached && c->session == session->id)
            c->stream[i].eof = true;
    }
}

void sup_clients_end(struct sup *s, uint16_t session, const struct sh_fifo *last)
{
    for (size_t k = 0; k < SH_CONTROL_CLIENT_MAX; k++) {
        struct sup_client *c = &s->clients[k];
        if (c->fd < 0 || c->last.size || c->closing)
            continue;
        if (c->attached ? c->session == session : !session && c->waits)
            sh_fifo_add(&c->last, sh_fifo_peek(last), last->size);
    }
}

void sup_clients_started(struct sup *s, uint16_t session)
{
    for (size_t k = 0; k < SH_CONTROL_CLIENT_MAX; k++) {
        struct sup_client *c = &s->clients[k];
        if (c->fd >= 0 && (session ? c->attached && c->session == session : c->first))
            sh_frame_put(&c->out, SH_FRAME_STARTED, 0, 0, NULL, 0);
    }
}
