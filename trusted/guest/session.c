// SPDX-License-Identifier: Apache-2.0
// Sessions: the workload and exec'd programs, from their start to the end of their output.
#include "trusted/guest/serve.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct guest_session *guest_session_find(struct guest *g, uint16_t id)
{
    for (size_t i = 0; i < SH_SESSION_MAX; i++)
        if (g->sessions[i].state != GUEST_UNUSED && g->sessions[i].id == id)
            return &g->sessions[i];
    return NULL;
}

bool guest_session_seen(const struct guest *g, uint16_t id)
{
    return g->ids_seen[id / 8] >> id % 8 & 1;
}

void guest_session_mark(struct guest *g, uint16_t id)
{
    g->ids_seen[id / 8] |= (uint8_t)(1 << id % 8);
}

struct guest_session *guest_session_new(struct guest *g, uint16_t id)
{
    guest_session_mark(g, id);
    for (size_t i = 0; i < SH_SESSION_MAX; i++) {
        struct guest_session *s = &g->sessions[i];
        if (s->state != GUEST_UNUSED)
            continue;
        *s = (struct guest_session){.state = GUEST_NEW,
                                    .id = id,
                                    .leads = !id,
                                    .pid_ns = -1,
                                    .status_fd = -1,
                                    .in = {.fd = -1},
                                    .out = {{.fd = -1}, {.fd = -1}}};
        return s;
    }
    return NULL;
}

void guest_session_free(struct guest_session *s)
{
    guest_close(&s->status_fd);
    guest_close(&s->pid_ns);
    guest_in_close(&s->in);
    guest_close(&s->out[0].fd);
    guest_close(&s->out[1].fd);
    *s = (struct guest_session){.state = GUEST_UNUSED};
}

void guest_session_error(struct guest *g, uint16_t id, const struct guest_error *e)
{
    uint32_t status = (uint32_t)e->status;
    guest_channel_numbers(&g->channel, SH_FRAME_ERROR, id, 0, &status, 1, e->text);
}

/* To the workload or a container alone, which as the first of its PID namespace gets only what it
 * handles (and KILL), as with docker; to an exec'd program's process group, which it makes. */
void guest_session_signal(struct guest_session *s, uint32_t number)
{
    if (s->pid > 0 && (s->leads || kill(-s->pid, (int)number)))
        kill(s->pid, (int)number);
}

/* --- its life --- */

static void finish_session(struct guest *g, struct guest_session *s)
{
    uint32_t numbers[2] = {0, 0};
    const char *why = NULL;
    if (s->out[0].fd >= 0 || s->out[1].fd >= 0 ||
        guest_channel_room(&g->channel) < GUEST_TX_RESERVE / 2)
        return;
    if (s->id == 0) /* the workload's end is told last */
        for (size_t i = 0; i < SH_SESSION_MAX; i++)
            if (g->sessions[i].state != GUEST_UNUSED && g->sessions[i].id != 0)
                return;
    if (WIFSIGNALED(s->wait_status)) {
        numbers[1] = (uint32_t)WTERMSIG(s->wait_status);
        numbers[0] = 128 + numbers[1];
    } else {
        numbers[0] = (uint32_t)WEXITSTATUS(s->wait_status);
    }
    if (s->id == 0) {
        sync();
        if (guest_volumes_close(g)) {
            why = "a volume could not be closed in order";
            numbers[0] = numbers[0] ? numbers[0] : GUEST_EXIT_OWN;
        }
        g->exit_sent = true;
    }
    guest_channel_numbers(&g->channel, SH_FRAME_EXIT, s->id, 0, numbers, 2, why);
    guest_session_free(s);
}

void guest_session_pump(struct guest *g, struct guest_session *s, bool in_ready, bool out_ready[2])
{
    if (s->state != GUEST_RUNNING && s->state != GUEST_ENDED)
        return;
    if (s->state == GUEST_ENDED) {
        guest_close(&s->in.fd);
        s->in.eof = true;
    } else if (in_ready || s->in.eof || s->in.freed) {
        guest_in_pump(&s->in, &g->channel, s->id, s->tty);
    }
    /* The workload's pipes are over when all its processes are. */
    bool settled = s->state != GUEST_ENDED || s->id != 0 || g->alone;
    bool drop = g->channel.ended || !g->config.settings.output;
    enum guest_out_mode mode = s->state != GUEST_ENDED ? GUEST_OUT_RUNNING
                               : s->id                 ? GUEST_OUT_LEFT
                                                       : GUEST_OUT_LAST;
    for (unsigned i = 0; i < 2; i++)
        if (out_ready[i] || (s->state == GUEST_ENDED && settled))
            guest_out_pump(&s->out[i], &g->channel, s->id, (uint8_t)(SH_STREAM_OUT + i), mode,
                           out_ready[i], drop);
    if (s->state == GUEST_ENDED && settled)
        finish_session(g, s);
}

void guest_session_started(struct guest *g, struct guest_session *s)
{
    struct guest_error e;
    ssize_t n = read(s->status_fd, &e, sizeof(e));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    guest_close(&s->status_fd);
    if (n == sizeof(e)) { /* exec failed, and the child said why */
        e.text[sizeof(e.text) - 1] = 0;
        guest_session_error(g, s->id, &e);
        if (s->id == 0)
            g->exit_sent = g->stopping = true;
        guest_session_free(s);
        return;
    }
    s->state = GUEST_RUNNING;
    if (s->in.fd >= 0)
        guest_in_begin(&s->in, &g->channel, s->id);
    guest_channel_send(&g->channel, SH_FRAME_STARTED, 0, s->id, NULL, 0);
    if (s->signal_due)
        guest_session_signal(s, s->signal_due);
    s->signal_due = 0;
}

void guest_session_reaped(struct guest *g, pid_t pid, int wait_status)
{
    for (size_t i = 0; i < SH_SESSION_MAX; i++) {
        struct guest_session *s = &g->sessions[i];
        if (s->state == GUEST_UNUSED || s->pid != pid)
            continue;
        if (s->state == GUEST_STARTING)
            guest_session_started(g, s);
        if (s->state == GUEST_UNUSED)
            return;
        s->pid = -1;
        s->wait_status = wait_status;
        s->state = GUEST_ENDED;
        if (s->id == 0)
            g->stopping = true;
        return;
    }
    if (pid == g->agent)
        g->agent = -1;
}

void guest_session_tell(struct guest *g, const char *line, size_t size)
{
    struct guest_session *s = guest_session_find(g, 0);
    unsigned i = s && s->tty ? 0 : 1;
    if (!size || !s || s->out[i].fd < 0 || s->out[i].credit < size || !g->config.settings.output ||
        !guest_out_has_room(&g->channel))
        return;
    s->out[i].credit -= size;
    guest_channel_send(&g->channel, SH_FRAME_DATA, (uint8_t)(SH_STREAM_OUT + i), 0, line, size);
}
