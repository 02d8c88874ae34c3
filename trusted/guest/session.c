// SPDX-License-Identifier: Apache-2.0
// Sessions: the workload and exec'd programs, their streams, and what the host may do to them.
#include "trusted/guest/serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define PIPE_SIZE 65536u /* what a pipe holds, by default */

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

static void mark_seen(struct guest *g, uint16_t id)
{
    g->ids_seen[id / 8] |= (uint8_t)(1 << id % 8);
}

struct guest_session *guest_session_new(struct guest *g, uint16_t id)
{
    mark_seen(g, id);
    for (size_t i = 0; i < SH_SESSION_MAX; i++) {
        struct guest_session *s = &g->sessions[i];
        if (s->state != GUEST_UNUSED)
            continue;
        *s = (struct guest_session){.state = GUEST_NEW,
                                    .id = id,
                                    .status_fd = -1,
                                    .in_fd = -1,
                                    .out = {{.fd = -1}, {.fd = -1}}};
        return s;
    }
    return NULL;
}

void guest_session_free(struct guest_session *s)
{
    guest_close(&s->status_fd);
    guest_close(&s->in_fd);
    guest_close(&s->out[0].fd);
    guest_close(&s->out[1].fd);
    free(s->in);
    *s = (struct guest_session){.state = GUEST_UNUSED};
}

static void refuse(struct guest *g, const struct sh_frame *frame, const char *why)
{
    uint32_t type = frame->type;
    guest_channel_numbers(&g->channel, SH_FRAME_REFUSED, frame->session, 0, &type, 1, why);
}

static void send_error(struct guest *g, uint16_t id, const struct guest_error *e)
{
    uint32_t status = (uint32_t)e->status;
    guest_channel_numbers(&g->channel, SH_FRAME_ERROR, id, 0, &status, 1, e->text);
}

static void set_size(struct guest_session *s)
{
    struct winsize size = {.ws_row = s->rows, .ws_col = s->columns};
    if (s->tty && s->out[0].fd >= 0)
        ioctl(s->out[0].fd, TIOCSWINSZ, &size);
}

/* To the workload alone, which as the first of its PID namespace gets only what it handles (and
 * KILL), as with docker; to an exec'd program's process group, which it makes for itself. */
void guest_session_signal(struct guest_session *s, uint32_t number)
{
    if (s->pid > 0 && (!s->id || kill(-s->pid, (int)number)))
        kill(s->pid, (int)number);
}

/* --- the host's frames --- */

static int take_data(struct guest *g, struct guest_session *s, const struct sh_frame *frame,
                     const uint8_t *data)
{
    if (g->config.manifest.policy & SH_POLICY_NO_INPUT) {
        refuse(g, frame, "the image takes no input from the host");
        return 0;
    }
    if (frame->size > s->in_credit)
        return -EBADMSG;
    s->in_credit -= frame->size;
    if (s->in_fd < 0 || s->in_eof) { /* nobody reads: taken and dropped */
        s->in_freed += frame->size;
        return 0;
    }
    uint32_t end = (s->in_at + s->in_held) % GUEST_IN_WINDOW;
    uint32_t first = GUEST_IN_WINDOW - end < frame->size ? GUEST_IN_WINDOW - end : frame->size;
    memcpy(s->in + end, data, first);
    memcpy(s->in, data + first, frame->size - first);
    s->in_held += frame->size;
    return 0;
}

/* Turns strings of an EXEC frame into a list. */
static int take_strings(struct guest_strings *list, const char *text, size_t count, bool env)
{
    int rc = 0;
    for (; !rc && count > 0; count--, text += strlen(text) + 1)
        rc = env ? guest_env_set(list, text, strlen(text))
                 : guest_strings_add(list, text, strlen(text));
    return rc;
}

static int run_exec(struct guest *g, struct guest_session *s, const struct guest_exec *x,
                    struct guest_error *e)
{
    struct guest_strings argv = {0}, env = {0};
    struct sh_user user = g->user;
    int rc = take_strings(&argv, x->args, x->head.arg_count, false);
    for (size_t i = 0; !rc && i < g->env.count; i++)
        rc = guest_strings_add(&env, g->env.items[i], strlen(g->env.items[i]));
    if (!rc)
        rc = take_strings(&env, x->env, x->head.env_count, true);
    if (!rc && x->head.tty && !guest_env_get(&env, "TERM"))
        rc = guest_env_set(&env, "TERM=xterm", 10);
    if (rc)
        rc = guest_fail(e, rc, "arguments or environment cannot be used: %s", strerror(-rc));
    if (!rc && *x->user)
        rc = guest_user_find(&user, g->root, x->user, e);
    if (!rc) {
        struct guest_run run = {
            .kind = x->head.kind,
            .tty = x->head.tty && x->head.kind == SH_EXEC_PROGRAM,
            .input = !(g->config.manifest.policy & SH_POLICY_NO_INPUT),
            .output = g->config.settings.output,
            .argv = argv.items,
            .env = env.items,
            .workdir = *x->workdir ? x->workdir : g->config.settings.workdir,
            .user = &user,
            .rows = x->head.rows,
            .columns = x->head.columns,
        };
        rc = guest_spawn(g, s, &run, e);
    }
    guest_strings_free(&argv);
    guest_strings_free(&env);
    return rc;
}

static int take_exec(struct guest *g, const struct sh_frame *frame, const uint8_t *data)
{
    struct guest_exec x;
    struct guest_error e;
    struct guest_session *workload = guest_session_find(g, 0);
    if (guest_session_seen(g, frame->session) || guest_exec_parse(&x, data, frame->size))
        return -EBADMSG;
    mark_seen(g, frame->session);
    if (!(g->config.settings.requests & SH_POLICY_EXEC)) {
        refuse(g, frame, "the image does not allow exec; build it with --allow exec");
        return 0;
    }
    if (!workload || workload->state != GUEST_RUNNING) {
        refuse(g, frame, "the workload is not running");
        return 0;
    }
    struct guest_session *s = guest_session_new(g, frame->session);
    if (!s) {
        refuse(g, frame, "too many sessions are open");
        return 0;
    }
    if (run_exec(g, s, &x, &e)) {
        send_error(g, s->id, &e);
        guest_session_free(s);
    }
    return 0;
}

int guest_frame(struct guest *g, const struct sh_frame *frame, const uint8_t *payload)
{
    if (frame->type == SH_FRAME_BYE) {
        g->bye = g->exit_sent;
        return g->exit_sent && !frame->session ? 0 : -EBADMSG;
    }
    if (frame->type == SH_FRAME_EXEC)
        return take_exec(g, frame, payload);
    if (frame->type == SH_FRAME_STATS || frame->type == SH_FRAME_TRACE) {
        guest_stats(g, frame, payload);
        return 0;
    }
    if (frame->type == SH_FRAME_ATTEST) {
        guest_attest(g, frame, payload);
        return 0;
    }
    if (!guest_session_seen(g, frame->session))
        return -EBADMSG;
    struct guest_session *s = guest_session_find(g, frame->session);
    if (!s) /* it ended, and the host does not know yet */
        return 0;
    switch (frame->type) {
    case SH_FRAME_DATA:
        return take_data(g, s, frame, payload);
    case SH_FRAME_EOF:
        s->in_eof = true;
        return 0;
    case SH_FRAME_CREDIT:
        /* Only the host's own memory is at stake: no bound but that of the counter. */
        s->out[frame->stream - SH_STREAM_OUT].credit += sh_le32(payload);
        return 0;
    case SH_FRAME_WINSIZE:
        s->rows = sh_le16(payload);
        s->columns = sh_le16(payload + 2);
        set_size(s);
        return 0;
    case SH_FRAME_SIGNAL:
        if (!sh_settings_signal(&g->config.settings, sh_le32(payload)))
            refuse(g, frame, "the image does not allow this signal; build it with --allow signal");
        else if (s->state == GUEST_NEW || s->state == GUEST_STARTING)
            s->signal_due = sh_le32(payload);
        else if (s->state == GUEST_RUNNING)
            guest_session_signal(s, sh_le32(payload));
        return 0;
    default:
        return -EBADMSG;
    }
}

/* --- streams --- */

static bool room_for_data(const struct guest_channel *c)
{
    return guest_channel_room(c) >= SH_FRAME_SIZE_MAX + 2 * GUEST_FRAME_HEAD + GUEST_TX_RESERVE;
}

static void pump_in(struct guest *g, struct guest_session *s)
{
    while (s->in_held && s->in_fd >= 0) {
        uint32_t n =
            GUEST_IN_WINDOW - s->in_at < s->in_held ? GUEST_IN_WINDOW - s->in_at : s->in_held;
        ssize_t done = write(s->in_fd, s->in + s->in_at, n);
        if (done < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (done <= 0) { /* no reader is left */
            guest_close(&s->in_fd);
            break;
        }
        s->in_at = (s->in_at + (uint32_t)done) % GUEST_IN_WINDOW;
        s->in_held -= (uint32_t)done;
        s->in_freed += (uint32_t)done;
    }
    if (s->in_fd < 0) {
        s->in_freed += s->in_held;
        s->in_held = 0;
    } else if (s->in_eof && !s->in_held) {
        if (s->tty) {
            /* What a user types to end the input. The terminal itself stays. */
            struct termios t;
            if (!tcgetattr(s->in_fd, &t) && write(s->in_fd, &t.c_cc[VEOF], 1) < 0 &&
                errno == EAGAIN)
                return;
        }
        guest_close(&s->in_fd);
    }
    if (s->in_freed >= GUEST_IN_WINDOW / 4 && !s->in_eof &&
        guest_channel_room(&g->channel) > GUEST_TX_RESERVE) {
        guest_channel_numbers(&g->channel, SH_FRAME_CREDIT, s->id, SH_STREAM_IN, &s->in_freed, 1,
                              NULL);
        s->in_credit += s->in_freed;
        s->in_freed = 0;
    }
}

/* After its leader ended, a stream is over when nothing is in it now: children that run on have
 * lost their terminal or pipe, as they would with docker. */
static bool is_empty(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) <= 0 || !(p.revents & POLLIN);
}

static void pump_out(struct guest *g, struct guest_session *s, unsigned i, bool ready)
{
    struct guest_out *o = &s->out[i];
    uint8_t stream = (uint8_t)(SH_STREAM_OUT + i);
    bool over = false;
    /* Sealed output, or nobody to send it to: read, and dropped. */
    bool drop = g->channel.ended || !g->config.settings.output;
    if (o->fd < 0 || !room_for_data(&g->channel))
        return;
    if ((o->credit || drop) && (ready || s->state == GUEST_ENDED)) {
        size_t max = SH_FRAME_SIZE_MAX;
        if (!drop && o->credit < max)
            max = (size_t)o->credit;
        uint8_t *p = guest_channel_reserve(&g->channel);
        ssize_t n = read(o->fd, p, max);
        if (n > 0) {
            if (!drop) {
                o->credit -= (size_t)n;
                guest_channel_commit(&g->channel, SH_FRAME_DATA, stream, s->id, (size_t)n);
            }
            /* A child that was left behind may write for ever. */
            o->taken += s->state == GUEST_ENDED && s->id ? (size_t)n : 0;
            over = o->taken >= PIPE_SIZE;
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            over = true; /* a terminal without a slave reads as EIO */
        } else {
            over = s->state == GUEST_ENDED && errno == EAGAIN;
        }
    } else if (s->state == GUEST_ENDED && !o->credit) {
        over = is_empty(o->fd);
    }
    if (over) {
        guest_close(&o->fd);
        guest_channel_send(&g->channel, SH_FRAME_EOF, stream, s->id, NULL, 0);
    }
}

static void finish(struct guest *g, struct guest_session *s)
{
    uint32_t numbers[2] = {0, 0};
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
        g->exit_sent = true;
    }
    guest_channel_numbers(&g->channel, SH_FRAME_EXIT, s->id, 0, numbers, 2, NULL);
    guest_session_free(s);
}

void guest_session_pump(struct guest *g, struct guest_session *s, bool in_ready, bool out_ready[2])
{
    if (s->state != GUEST_RUNNING && s->state != GUEST_ENDED)
        return;
    if (s->state == GUEST_ENDED) {
        guest_close(&s->in_fd);
        s->in_eof = true;
    } else if (in_ready || s->in_eof || s->in_freed) {
        pump_in(g, s);
    }
    /* The workload's pipes are over when all its processes are. */
    bool settled = s->state != GUEST_ENDED || s->id != 0 || g->alone;
    for (unsigned i = 0; i < 2; i++)
        if (out_ready[i] || (s->state == GUEST_ENDED && settled))
            pump_out(g, s, i, out_ready[i]);
    if (s->state == GUEST_ENDED && settled)
        finish(g, s);
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
        send_error(g, s->id, &e);
        if (s->id == 0)
            g->exit_sent = g->stopping = true;
        guest_session_free(s);
        return;
    }
    s->state = GUEST_RUNNING;
    if (s->in_fd >= 0) {
        s->in_credit = GUEST_IN_WINDOW;
        guest_channel_numbers(&g->channel, SH_FRAME_CREDIT, s->id, SH_STREAM_IN, &s->in_credit, 1,
                              NULL);
    }
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
