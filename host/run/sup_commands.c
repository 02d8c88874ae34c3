// SPDX-License-Identifier: Apache-2.0
// What a client asks for.
#include "host/run/sup_commands.h"

#include <errno.h>
#include <signal.h>

#include "host/run/allowed.h"

/* What the inside would have to answer, while it cannot: the client hears so. */
static bool refuse_stopped(const struct sup_guest *g, struct sup_client *c,
                           const struct sh_frame_view *f)
{
    char why[512];
    if (!sup_guest_stopped(g, why, sizeof(why)))
        return false;
    if (f->type == SH_CONTROL_ATTACH || f->type == SH_FRAME_EXEC)
        sh_frame_put_text(&c->last, SH_FRAME_ERROR, 0, SH_EXIT_FAILURE, why);
    else
        sh_frame_put_text(&c->out, SH_FRAME_REFUSED, 0, f->type, why);
    return true;
}

static void take_signal(struct sup_guest *g, struct sup_client *c, const struct sh_frame_view *f)
{
    struct sh_error why = {0};
    uint32_t signal = sh_frame_u32(f, 0);
    if (c->exec.size) { /* for its program, which has not begun */
        sh_fifo_free(&c->exec);
        sh_frame_put_exit(&c->last, 0, 0, signal, NULL);
        return;
    }
    if (!c->attached && signal != SIGKILL && refuse_stopped(g, c, f))
        return;
    if (sh_signal_need(&g->life->instance->config, signal, &why)) {
        sh_frame_put_text(&c->out, SH_FRAME_REFUSED, 0, SH_FRAME_SIGNAL, why.text);
        return;
    }
    struct sup_session *session = sup_guest_session(g, c->attached ? c->session : 0);
    if (session)
        sup_guest_signal(g, session, signal);
    if (!c->attached)
        sh_frame_put(&c->out, SH_CONTROL_DONE, 0, 0, NULL, 0);
}

static void take_input(struct sup_client *c, const struct sh_frame_view *f)
{
    if (sh_stream_take(&c->input, f->size)) /* one that does not feed has no credit */
        c->closing = true;
    else
        sh_fifo_add(&c->input_waiting, f->data, f->size);
}

static void take_credit(struct sup_client *c, const struct sh_frame_view *f)
{
    if (f->stream == SH_STREAM_OUT || f->stream == SH_STREAM_ERR)
        sh_stream_credit(&c->output[f->stream - SH_STREAM_OUT].out, f);
}

static void take_size(struct sup_guest *g, struct sup_client *c, const struct sh_frame_view *f)
{
    if (c->attached && sup_guest_session(g, c->session) && f->size == 4)
        sh_frame_put(&g->out, SH_FRAME_WINSIZE, 0, c->session, f->data, f->size);
}

/* Why no request can be answered; NULL: it can. */
static const char *why_silent(const struct sup_guest *g, char *why, size_t why_size)
{
    if (!g->sessions[0].started)
        return "the workload is not running yet; try again in a moment";
    return sup_guest_stopped(g, why, why_size) ? why : NULL;
}

static void take_frame(struct sup_guest *g, struct sup_client *c, const struct sh_frame_view *f)
{
    char why[512];
    switch (f->type) {
    case SH_FRAME_DATA:
        take_input(c, f);
        break;
    case SH_FRAME_EOF:
        c->input.ended = true;
        break;
    case SH_FRAME_CREDIT:
        take_credit(c, f);
        break;
    case SH_FRAME_WINSIZE:
        take_size(g, c, f);
        break;
    case SH_FRAME_SIGNAL:
        take_signal(g, c, f);
        break;
    case SH_FRAME_EXEC:
        if (!c->attached && !c->waits && !c->exec.size && !refuse_stopped(g, c, f))
            sup_guest_exec(g, c, f->data, f->size);
        break;
    case SH_FRAME_STATS:
    case SH_FRAME_TRACE:
    case SH_FRAME_ATTEST:
    case SH_FRAME_MAPS:
        sup_request_take(g->requests, c, f, why_silent(g, why, sizeof(why)));
        break;
    case SH_CONTROL_ATTACH:
        if (!c->attached && !c->waits && !refuse_stopped(g, c, f))
            sup_client_attach(c, 0, f->size && f->data[0]);
        break;
    case SH_CONTROL_PING:
        if (!c->attached || !refuse_stopped(g, c, f))
            sh_frame_put(&c->out, SH_CONTROL_DONE, 0, 0, NULL, 0);
        break;
    case SH_CONTROL_WAIT:
        c->waits = true;
        break;
    case SH_CONTROL_STOP:
        c->waits = true;
        sup_guest_stop(g, sh_frame_u32(f, 0));
        break;
    default:
        c->closing = true;
    }
}

void sup_commands_readable(struct sup_guest *g, struct sup_client *c)
{
    struct sh_frame_view f;
    int r = sh_frames_receive(&c->in, c->fd);
    if (r == -EAGAIN)
        return;
    if (r) {
        sup_client_drop(c);
        return;
    }
    while (!c->closing && (r = sh_frames_next(&c->in, &f)) == 1)
        if (!g->life->ended)
            take_frame(g, c, &f);
        else if (f.type == SH_FRAME_CREDIT) /* all that still matters: its output */
            take_credit(c, &f);
    if (r < 0)
        c->closing = true;
}
