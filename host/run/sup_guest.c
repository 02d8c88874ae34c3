// SPDX-License-Identifier: Apache-2.0
// The supervisor's side of the guest channel.
#include "host/run/sup_guest.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <shelter/network.h>

#include "host/base/child.h"
#include "lib/exec.h"

#define STOP_MS_MAX 86400000u
#define EXEC_MS 60000 /* from EXEC to STARTED */
#define POWER_MS 3000 /* from KILL to the end of a machine that does not obey */
#define CHANNEL_OUT_MAX                                                                            \
    (4u * SH_STREAM_PIECE) /* queued for the guest before we take more stdin                       \
                            */

static void open_session(struct sup_session *session, uint16_t id)
{
    *session = (struct sup_session){
        .open = true,
        .id = id,
        .input = {.stream = SH_STREAM_IN, .session = id},
        .output = {{.stream = SH_STREAM_OUT, .session = id, .window = SH_CREDIT_WINDOW},
                   {.stream = SH_STREAM_ERR, .session = id, .window = SH_CREDIT_WINDOW}},
    };
}

void sup_guest_init(struct sup_guest *g, struct sup_life *life, struct sup_clients *clients,
                    struct sup_requests *requests)
{
    *g = (struct sup_guest){.life = life, .clients = clients, .requests = requests, .fd = -1};
    open_session(&g->sessions[0], 0);
}

struct sup_session *sup_guest_session(struct sup_guest *g, uint16_t id)
{
    for (size_t i = 0; i < SH_SESSION_MAX; i++)
        if (g->sessions[i].open && g->sessions[i].id == id)
            return &g->sessions[i];
    return NULL;
}

/* As much credit as our clients' queues have room. */
static void grant_input(struct sup_guest *g, struct sup_session *session)
{
    if (session->id && !session->started)
        return;
    for (unsigned i = 0; i < 2; i++)
        sh_stream_grant(&session->output[i], sup_clients_queued(g->clients, session->id, i),
                        &g->out);
}

void sup_guest_follow(struct sup_guest *g)
{
    for (size_t i = 0; g->hello && i < SH_SESSION_MAX; i++) {
        struct sup_session *session = &g->sessions[i];
        if (!session->open)
            continue;
        if (session->killed_with_client && !sup_clients_attached(g->clients, session->id)) {
            session->killed_with_client = false;
            sup_guest_signal(g, session, SIGKILL);
        }
        grant_input(g, session);
    }
}

static void report_broken(struct sup_guest *g, const char *what)
{
    sup_life_error(
        g->life, SH_EXIT_FAILURE,
        "the guest broke the rules of its channel (%s) and was stopped; its kernel, init or "
        "memory is damaged, or this is another version's image",
        what);
}

static void end_session(struct sup_guest *g, struct sup_session *session,
                        const struct sh_frame_view *frame)
{
    struct sh_fifo last = {0};
    sh_frame_put(&last, frame->type, 0, 0, frame->data, frame->size);
    uint16_t id = session->id;
    session->open = false;
    sup_clients_end(g->clients, id, &last);
    sh_fifo_free(&last);
}

static void take_data(struct sup_guest *g, struct sup_session *session,
                      const struct sh_frame_view *f)
{
    unsigned i = f->stream - SH_STREAM_OUT;
    if (i > 1 || sh_stream_take(&session->output[i], f->size)) {
        report_broken(g, "data beyond its credit");
        return;
    }
    if (!session->id)
        sh_log_add(&g->life->log, f->stream, f->data, f->size);
    sup_clients_data(g->clients, session->id, i, f->data, f->size);
}

/* What is 10.0.2.2 inside is this host's loopback, and was given as that. */
static void name_host(char *text, size_t text_size)
{
    char behind[1024];
    char *at = strstr(text, SH_NET_HOST_TEXT);
    size_t n = strlen(SH_NET_HOST_TEXT);
    if (!at || (at[n] >= '0' && at[n] <= '9')) /* 10.0.2.20 */
        return;
    snprintf(behind, sizeof(behind), "%s", at + n);
    snprintf(at, text_size - (size_t)(at - text), "127.0.0.1%.900s", behind);
}

static void take_end(struct sup_guest *g, struct sup_session *session,
                     const struct sh_frame_view *f)
{
    if (session->id) {
        end_session(g, session, f);
        return;
    }
    char text[1024];
    sh_frame_text(f, text, sizeof(text));
    if (f->type == SH_FRAME_EXIT) {
        sup_life_exit(g->life, sh_frame_u32(f, 0), sh_frame_u32(f, 4), text);
        return;
    }
    name_host(text, sizeof(text));
    uint32_t status = sh_frame_u32(f, 0);
    bool known = status == SH_EXIT_ATTESTATION || (status >= 125 && status <= 127);
    sup_life_error(g->life, known ? (int)status : SH_EXIT_FAILURE, "%s",
                   text[0] ? text : "the guest could not start the workload and does not say why");
}

/* Programs that were asked for before the workload ran. */
static void start_waiting(struct sup_guest *g)
{
    FOR_SUP_CLIENTS(c, g->clients)
    if (c->exec.size) {
        struct sh_fifo asked = c->exec;
        c->exec = (struct sh_fifo){0};
        sup_guest_exec(g, c, sh_fifo_peek(&asked), asked.size);
        sh_fifo_free(&asked);
    }
}

static void take_frame(struct sup_guest *g, const struct sh_frame_view *f)
{
    if (f->type == SH_FRAME_HELLO) {
        if (g->hello || sh_frame_u32(f, 0) != SH_CHANNEL_VERSION) {
            sup_life_error(g->life, SH_EXIT_FAILURE,
                           "the image's init speaks version %u of the channel, this is version %u: "
                           "build the image again",
                           sh_frame_u32(f, 0), SH_CHANNEL_VERSION);
            return;
        }
        g->hello = true;
        g->bounds = sh_frame_u32(f, 4) & SH_CHANNEL_BOUNDS;
        return;
    }
    /* Init may say why it cannot go on before it can say HELLO. */
    if (!g->hello && f->type != SH_FRAME_ERROR) {
        report_broken(g, "no hello");
        return;
    }
    struct sup_session *session = sup_guest_session(g, f->session);
    if (!session) {
        report_broken(g, "an unknown session");
        return;
    }
    switch (f->type) {
    case SH_FRAME_DATA:
        take_data(g, session, f);
        break;
    case SH_FRAME_EOF:
        if (f->stream == SH_STREAM_OUT || f->stream == SH_STREAM_ERR) {
            session->output[f->stream - SH_STREAM_OUT].ended = true;
            sup_clients_eof(g->clients, session->id, f->stream - SH_STREAM_OUT);
        }
        break;
    case SH_FRAME_CREDIT:
        sh_stream_credit(&session->input, f);
        break;
    case SH_FRAME_STARTED:
        session->started = true;
        session->start_by = 0;
        if (!session->id)
            sup_life_started(g->life);
        sup_clients_started(g->clients, session->id);
        if (!session->id)
            start_waiting(g);
        break;
    case SH_FRAME_EXIT:
    case SH_FRAME_ERROR:
        take_end(g, session, f);
        break;
    case SH_FRAME_REFUSED:
        /* An exec that is refused is over; what else the host tries, it checked before. */
        if (session->id && sh_frame_u32(f, 0) == SH_FRAME_EXEC)
            end_session(g, session, f);
        break;
    case SH_FRAME_ANSWER:
    case SH_FRAME_EVIDENCE:
        sup_requests_answer(g->requests, f);
        break;
    case SH_FRAME_TRACED:
        sup_requests_traced(g->requests, f);
        break;
    default:
        report_broken(g, "an unknown frame");
    }
}

void sup_guest_readable(struct sup_guest *g)
{
    struct sh_frame_view f;
    int r = sh_frames_receive(&g->in, g->fd);
    if (r == -EAGAIN)
        return;
    if (r) {
        close(g->fd);
        g->fd = -1;
        return;
    }
    while (!g->life->ended && (r = sh_frames_next(&g->in, &f)) == 1)
        take_frame(g, &f);
    if (!g->life->ended && r < 0)
        report_broken(g, "a frame too large");
}

/* Moves stdin of one session from the first client that has some; then its end. */
static void pump_stdin(struct sup_guest *g, struct sup_session *session)
{
    FOR_SUP_CLIENTS(c, g->clients)
    {
        if (!c->attached || !c->feeds || c->session != session->id || session->input.ended)
            continue;
        if (sh_stream_pump(&session->input, &c->input_waiting, &g->out, CHANNEL_OUT_MAX) &&
            c->input.ended && session->started)
            sh_stream_end(&session->input, &g->out);
    }
}

void sup_guest_pump(struct sup_guest *g)
{
    if (!g->hello || g->fd < 0)
        return;
    sup_requests_pump(g->requests, &g->out);
    /* Again while all of it goes out: a full queue left stdin waiting, and nothing else would wake
     * us. */
    do {
        for (size_t i = 0; i < SH_SESSION_MAX; i++)
            if (g->sessions[i].open)
                pump_stdin(g, &g->sessions[i]);
        if (!g->out.size)
            return;
    } while (!sh_frames_send(&g->out, g->fd)); /* full; or gone, which reading tells */
}

void sup_guest_signal(struct sup_guest *g, struct sup_session *session, uint32_t signal)
{
    if (!session->id)
        g->life->asked = signal;
    /* Nothing runs yet that could take it: the machine takes its place. */
    if (!session->id && !session->started) {
        if (signal == SIGKILL || signal == SIGINT || signal == SIGTERM || signal == SIGHUP ||
            signal == SIGQUIT)
            sup_life_exit(g->life, 0, signal, NULL);
        return;
    }
    sh_frame_put_u32(&g->out, SH_FRAME_SIGNAL, 0, session->id, signal);
    if (!session->id && signal == SIGKILL && !g->power_at)
        g->power_at = sh_now_ms() + POWER_MS;
}

/* Does it ask for bounds of a container, of a guest that would pass over them? */
static bool is_boundless(const struct sup_guest *g, const uint8_t *payload, size_t size)
{
    struct sh_exec x;
    return !g->bounds && !sh_exec_parse(&x, payload, size) && x.head.kind == SH_EXEC_CONTAINER &&
           *x.workdir;
}

void sup_guest_exec(struct sup_guest *g, struct sup_client *c, const uint8_t *payload, size_t size)
{
    const char *why = NULL;
    struct sup_session *free_one = NULL;
    for (size_t i = 1; i < SH_SESSION_MAX && !free_one; i++)
        if (!g->sessions[i].open)
            free_one = &g->sessions[i];
    if (!g->sessions[0].started) {
        sh_fifo_add(&c->exec, payload, size);
        return;
    }
    if (!free_one)
        why = "too many programs run in this instance; wait until one ends";
    else if (g->last_session == UINT16_MAX)
        why = "this instance has started all the programs it can; start it again";
    else if (is_boundless(g, payload, size))
        why = "the image's base is older than limits and read-only roots of a pod's containers: "
              "build the image again";
    if (why) {
        sh_frame_put_text(&c->last, SH_FRAME_ERROR, 0, SH_EXIT_FAILURE, why);
        return;
    }
    open_session(free_one, ++g->last_session);
    free_one->start_by = sh_now_ms() + EXEC_MS;
    free_one->killed_with_client =
        size > 1 && payload[1] != SH_EXEC_PROGRAM && payload[1] != SH_EXEC_INSIDE;
    sup_client_attach(c, free_one->id, true);
    sh_frame_put(&g->out, SH_FRAME_EXEC, 0, free_one->id, payload, size);
}

bool sup_guest_stopped(const struct sup_guest *g, char *why, size_t why_size)
{
    const char *name = g->life->instance->config.name;
    pid_t pid = g->child ? sh_child_stopped(g->child) : 0;
    if (pid)
        snprintf(why, why_size,
                 "instance %s does not answer: its process %d is stopped; 'kill -CONT %d' lets it "
                 "go on, 'shelter rm -f %s' ends it",
                 name, (int)pid, (int)pid, name);
    return pid != 0;
}

void sup_guest_stop(struct sup_guest *g, uint32_t after_ms)
{
    uint32_t signal = g->life->instance->config.stop_signal;
    if (!g->sessions[0].started)
        signal = SIGKILL;
    sup_guest_signal(g, &g->sessions[0], signal ? signal : SIGTERM);
    int64_t at = sh_now_ms() + (after_ms < STOP_MS_MAX ? after_ms : STOP_MS_MAX);
    if (!g->kill_at || at < g->kill_at)
        g->kill_at = at;
}

int64_t sup_guest_next_timer(const struct sup_guest *g)
{
    int64_t at = g->requests->asking ? g->requests->asking_by : 0;
    if (g->kill_at && (!at || g->kill_at < at))
        at = g->kill_at;
    if (g->power_at && (!at || g->power_at < at))
        at = g->power_at;
    for (size_t i = 1; i < SH_SESSION_MAX; i++) {
        const struct sup_session *s = &g->sessions[i];
        if (s->open && s->start_by && (!at || s->start_by < at))
            at = s->start_by;
    }
    return at;
}

/* Its clients hear it; the session stays, since the inside may still answer. */
static void give_up_start(struct sup_guest *g, struct sup_session *session)
{
    struct sh_fifo last = {0};
    session->start_by = 0;
    sh_frame_put_text(&last, SH_FRAME_ERROR, 0, SH_EXIT_FAILURE,
                      "the inside does not answer: it did not start the program within a minute");
    sup_clients_end(g->clients, session->id, &last);
    sh_fifo_free(&last);
    sup_guest_signal(g, session, SIGKILL);
}

void sup_guest_timers(struct sup_guest *g)
{
    int64_t now = sh_now_ms();
    if (g->kill_at && now >= g->kill_at) {
        g->kill_at = 0;
        sup_guest_signal(g, &g->sessions[0], SIGKILL);
    }
    for (size_t i = 1; i < SH_SESSION_MAX; i++)
        if (g->sessions[i].open && g->sessions[i].start_by && now >= g->sessions[i].start_by)
            give_up_start(g, &g->sessions[i]);
    if (g->power_at && now >= g->power_at)
        sup_life_exit(g->life, 0, SIGKILL, NULL); /* the guest does not obey */
}
