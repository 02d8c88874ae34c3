// SPDX-License-Identifier: Apache-2.0
// The supervisor's side of the guest channel: sessions, credits, the simulated TD's port. The guest
// may be hostile too: it can end its own instance, and nothing else.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "host/run/sup.h"
#include "lib/bytes.h"

#define CHANNEL_OUT_MAX (4u * SH_STREAM_PIECE) /* queued for the guest before we take more stdin */

struct sup_session *sup_session_find(struct sup *s, uint16_t id)
{
    for (size_t i = 0; i < SH_SESSION_MAX; i++)
        if (s->sessions[i].open && s->sessions[i].id == id)
            return &s->sessions[i];
    return NULL;
}

void sup_session_open(struct sup_session *session, uint16_t id)
{
    *session = (struct sup_session){
        .open = true,
        .id = id,
        .input = {.stream = SH_STREAM_IN, .session = id},
        .output = {{.stream = SH_STREAM_OUT, .session = id, .window = SH_CREDIT_WINDOW},
                   {.stream = SH_STREAM_ERR, .session = id, .window = SH_CREDIT_WINDOW}},
    };
}

void sup_guest_grant(struct sup *s, struct sup_session *session)
{
    if (!s->hello || (session->id && !session->started))
        return;
    for (unsigned i = 0; i < 2; i++) {
        size_t queued = 0;
        for (size_t k = 0; k < SH_CONTROL_CLIENT_MAX; k++) {
            const struct sup_client *c = &s->clients[k];
            if (c->fd >= 0 && c->attached && c->session == session->id &&
                c->stream[i].waiting.size > queued)
                queued = c->stream[i].waiting.size;
        }
        sh_stream_grant(&session->output[i], queued, &s->channel_out);
    }
}

static void broken(struct sup *s, const char *what)
{
    sup_end_error(s, SH_EXIT_FAILURE,
                  "the guest broke the rules of its channel (%s) and was stopped; its kernel, init or "
                  "memory is damaged, or this is another version's image", what);
}

static void session_end(struct sup *s, struct sup_session *session,
                        const struct sh_frame_view *frame)
{
    struct sh_fifo last = {0};
    sh_frame_put(&last, frame->type, 0, 0, frame->data, frame->size);
    uint16_t id = session->id;
    session->open = false;
    sup_clients_end(s, id, &last);
    sh_fifo_free(&last);
}

static void take_data(struct sup *s, struct sup_session *session, const struct sh_frame_view *f)
{
    unsigned i = f->stream - SH_STREAM_OUT;
    if (i > 1 || sh_stream_take(&session->output[i], f->size)) {
        broken(s, "data beyond its credit");
        return;
    }
    if (!session->id)
        sh_log_add(&s->log, f->stream, f->data, f->size);
    sup_clients_data(s, session, i, f->data, f->size);
    sup_guest_grant(s, session);
}

static void take_end(struct sup *s, struct sup_session *session, const struct sh_frame_view *f)
{
    if (session->id) {
        session_end(s, session, f);
        return;
    }
    if (f->type == SH_FRAME_EXIT) {
        sup_end_exit(s, sh_frame_u32(f, 0), sh_frame_u32(f, 4));
        return;
    }
    char text[1024];
    sh_frame_text(f, text, sizeof(text));
    uint32_t status = sh_frame_u32(f, 0);
    bool known = status == SH_EXIT_ATTESTATION || (status >= 125 && status <= 127);
    sup_end_error(s, known ? (int)status : SH_EXIT_FAILURE, "%s",
                  text[0] ? text : "the guest could not start the workload and does not say why");
}

static void take_frame(struct sup *s, const struct sh_frame_view *f)
{
    if (f->type == SH_FRAME_HELLO) {
        if (s->hello || sh_frame_u32(f, 0) != SH_CHANNEL_VERSION) {
            sup_end_error(s, SH_EXIT_FAILURE,
                          "the image's init speaks version %u of the channel, this is version %u: "
                          "build the image again",
                          sh_frame_u32(f, 0), SH_CHANNEL_VERSION);
            return;
        }
        s->hello = true;
        sup_guest_grant(s, &s->sessions[0]);
        return;
    }
    /* Init may say why it cannot go on before it can say HELLO. */
    if (!s->hello && f->type != SH_FRAME_ERROR) {
        broken(s, "no hello");
        return;
    }
    struct sup_session *session = sup_session_find(s, f->session);
    if (!session) {
        broken(s, "an unknown session");
        return;
    }
    switch (f->type) {
    case SH_FRAME_DATA:
        take_data(s, session, f);
        break;
    case SH_FRAME_EOF:
        if (f->stream == SH_STREAM_OUT || f->stream == SH_STREAM_ERR) {
            session->output[f->stream - SH_STREAM_OUT].ended = true;
            sup_clients_eof(s, session, f->stream - SH_STREAM_OUT);
        }
        break;
    case SH_FRAME_CREDIT:
        sh_stream_credit(&session->input, f);
        break;
    case SH_FRAME_STARTED:
        session->started = true;
        if (session->id) {
            sup_guest_grant(s, session);
            sup_clients_started(s, session->id);
        } else if (s->state.state == SH_STATE_STARTING) {
            s->state.state = SH_STATE_RUNNING;
            s->state.started = sup_wall_ns();
            sup_save_state(s);
            sup_clients_started(s, 0);
        }
        break;
    case SH_FRAME_EXIT:
    case SH_FRAME_ERROR:
        take_end(s, session, f);
        break;
    case SH_FRAME_REFUSED:
        /* An exec that is refused is over; what else the host tries, it checked before. */
        if (session->id && sh_frame_u32(f, 0) == SH_FRAME_EXEC)
            session_end(s, session, f);
        break;
    case SH_FRAME_ANSWER:
    case SH_FRAME_EVIDENCE:
        sup_answer(s, f);
        break;
    case SH_FRAME_TRACED:
        sup_traced(s, f);
        break;
    default:
        broken(s, "an unknown frame");
    }
}

void sup_guest_readable(struct sup *s)
{
    struct sh_frame_view f;
    int r = sh_frames_receive(&s->channel_in, s->channel_fd);
    if (r == -EAGAIN)
        return;
    if (r) {
        close(s->channel_fd);
        s->channel_fd = -1;
        return;
    }
    while (!s->ended && (r = sh_frames_next(&s->channel_in, &f)) == 1)
        take_frame(s, &f);
    if (!s->ended && r < 0)
        broken(s, "a frame too large");
}

/* Moves stdin of one session from the first client that has some; then its end. */
static void pump_stdin(struct sup *s, struct sup_session *session)
{
    for (size_t k = 0; k < SH_CONTROL_CLIENT_MAX && !session->input.ended; k++) {
        struct sup_client *c = &s->clients[k];
        if (c->fd < 0 || !c->attached || !c->feeds || c->session != session->id)
            continue;
        if (sh_stream_pump(&session->input, &c->input_waiting, &s->channel_out, CHANNEL_OUT_MAX) &&
            c->input.ended && session->started)
            sh_stream_end(&session->input, &s->channel_out);
    }
}

void sup_guest_pump(struct sup *s)
{
    if (!s->hello || s->channel_fd < 0)
        return;
    sup_requests_pump(s);
    /* Again while all of it goes out: a full queue left stdin waiting, and nothing else would wake us. */
    do {
        for (size_t i = 0; i < SH_SESSION_MAX; i++)
            if (s->sessions[i].open)
                pump_stdin(s, &s->sessions[i]);
        if (!s->channel_out.size)
            return;
    } while (!sh_frames_send(&s->channel_out, s->channel_fd)); /* full; or gone, which reading tells */
}

void sup_guest_signal(struct sup *s, struct sup_session *session, uint32_t signal)
{
    /* Nothing runs yet that could take it: the machine takes its place. */
    if (!session->id && !session->started) {
        if (signal == SIGKILL || signal == SIGINT || signal == SIGTERM || signal == SIGHUP ||
            signal == SIGQUIT)
            sup_end_exit(s, 0, signal);
        return;
    }
    sh_frame_put_u32(&s->channel_out, SH_FRAME_SIGNAL, 0, session->id, signal);
    if (!session->id && signal == SIGKILL && !s->power_at)
        s->power_at = sh_now_ms() + 3000;
}

void sup_guest_exec(struct sup *s, struct sup_client *c, const uint8_t *payload, size_t size)
{
    const char *why = NULL;
    struct sup_session *free_one = NULL;
    for (size_t i = 1; i < SH_SESSION_MAX && !free_one; i++)
        if (!s->sessions[i].open)
            free_one = &s->sessions[i];
    if (!s->sessions[0].started)
        why = "the workload is not running yet; try again in a moment";
    else if (!free_one)
        why = "too many programs run in this instance; wait until one ends";
    else if (s->last_session == UINT16_MAX)
        why = "this instance has started all the programs it can; start it again";
    if (why) {
        sh_frame_put_text(&c->last, SH_FRAME_ERROR, 0, SH_EXIT_FAILURE, why);
        return;
    }
    sup_session_open(free_one, ++s->last_session);
    free_one->killed_with_client = size > 1 && payload[1] != SH_EXEC_PROGRAM;
    sup_client_attach(c, free_one->id, true);
    sh_frame_put(&s->channel_out, SH_FRAME_EXEC, 0, free_one->id, payload, size);
}
