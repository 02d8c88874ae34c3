// SPDX-License-Identifier: Apache-2.0
// The supervisor's clients as connections.
#include "host/run/sup_clients.h"

#include <errno.h>
#include <sys/socket.h>

#define OUT_MAX (4u * SH_STREAM_PIECE) /* framed for a client's socket before we frame more */

void sup_clients_init(struct sup_clients *s)
{
    s->listen_fd = -1;
    for (size_t i = 0; i < SH_CONTROL_CLIENT_MAX; i++)
        s->slot[i] = (struct sup_client){.fd = -1};
}

void sup_client_drop(struct sup_client *c)
{
    close(c->fd);
    sh_frames_free(&c->in);
    sh_fifo_free(&c->out);
    sh_fifo_free(&c->last);
    sh_fifo_free(&c->exec);
    sh_fifo_free(&c->input_waiting);
    for (unsigned i = 0; i < 2; i++)
        sh_fifo_free(&c->output[i].waiting);
    *c = (struct sup_client){.fd = -1};
}

void sup_client_attach(struct sup_client *c, uint16_t session, bool feeds)
{
    c->attached = true;
    c->feeds = feeds;
    c->session = session;
}

struct sup_client *sup_clients_add(struct sup_clients *s, int fd)
{
    for (size_t i = 0; i < SH_CONTROL_CLIENT_MAX; i++) {
        struct sup_client *c = &s->slot[i];
        if (c->fd >= 0)
            continue;
        *c = (struct sup_client){
            .fd = fd,
            .output = {{.out.stream = SH_STREAM_OUT}, {.out.stream = SH_STREAM_ERR}},
            .input = {.stream = SH_STREAM_IN, .window = SH_CONTROL_CREDIT},
        };
        return c;
    }
    close(fd);
    return NULL;
}

void sup_clients_accept(struct sup_clients *s)
{
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        (void)sup_clients_add(s, fd);
}

/* Frames what the client's credit allows; true when nothing of this stream is left. */
static bool pump_output(struct sup_client *c, struct sup_output *o)
{
    if (!sh_stream_pump(&o->out, &o->waiting, &c->out, OUT_MAX))
        return false;
    if (o->eof)
        sh_stream_end(&o->out, &c->out);
    return true;
}

void sup_client_pump(struct sup_client *c)
{
    if (c->attached && c->feeds)
        sh_stream_grant(&c->input, c->input_waiting.size, &c->out);
    bool out = pump_output(c, &c->output[0]), err = pump_output(c, &c->output[1]);
    if (out && err && c->last.size && !c->closing) {
        sh_fifo_add(&c->out, sh_fifo_peek(&c->last), c->last.size);
        sh_fifo_drop(&c->last, c->last.size);
        c->closing = true;
    }
    int r = sh_frames_send(&c->out, c->fd);
    if ((r && r != -EAGAIN) || (c->closing && !c->out.size))
        sup_client_drop(c);
}

static bool is_of(const struct sup_client *c, uint16_t session)
{
    return c->fd >= 0 && c->attached && c->session == session;
}

bool sup_clients_attached(const struct sup_clients *s, uint16_t session)
{
    for (size_t i = 0; i < SH_CONTROL_CLIENT_MAX; i++)
        if (is_of(&s->slot[i], session))
            return true;
    return false;
}

size_t sup_clients_queued(const struct sup_clients *s, uint16_t session, unsigned i)
{
    size_t most = 0;
    for (size_t k = 0; k < SH_CONTROL_CLIENT_MAX; k++) {
        const struct sup_client *c = &s->slot[k];
        if (is_of(c, session) && c->output[i].waiting.size > most)
            most = c->output[i].waiting.size;
    }
    return most;
}

void sup_clients_data(struct sup_clients *s, uint16_t session, unsigned i, const void *data,
                      size_t size)
{
    FOR_SUP_CLIENTS(c, s)
    if (is_of(c, session))
        sh_fifo_add(&c->output[i].waiting, data, size);
}

void sup_clients_eof(struct sup_clients *s, uint16_t session, unsigned i)
{
    FOR_SUP_CLIENTS(c, s)
    if (is_of(c, session))
        c->output[i].eof = true;
}

void sup_clients_end(struct sup_clients *s, uint16_t session, const struct sh_fifo *last)
{
    FOR_SUP_CLIENTS(c, s)
    if (!c->last.size && !c->closing &&
        (c->attached ? c->session == session : !session && (c->waits || c->exec.size)))
        sh_fifo_add(&c->last, sh_fifo_peek(last), last->size);
}

void sup_clients_started(struct sup_clients *s, uint16_t session)
{
    FOR_SUP_CLIENTS(c, s)
    if (session ? is_of(c, session) : c->first)
        sh_frame_put(&c->out, SH_FRAME_STARTED, 0, 0, NULL, 0);
}
