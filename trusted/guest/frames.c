// SPDX-License-Identifier: Apache-2.0
// What the host may ask: each frame, judged by the image's settings.
#include "trusted/guest/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lib/exec.h"

static void refuse_frame(struct guest *g, const struct sh_frame *frame, const char *why)
{
    uint32_t type = frame->type;
    guest_channel_numbers(&g->channel, SH_FRAME_REFUSED, frame->session, 0, &type, 1, why);
}

static void set_size(struct guest_session *s)
{
    struct winsize size = {.ws_row = s->rows, .ws_col = s->columns};
    if (s->tty && s->out[0].fd >= 0)
        ioctl(s->out[0].fd, TIOCSWINSZ, &size);
}

static int take_data(struct guest *g, struct guest_session *s, const struct sh_frame *frame,
                     const uint8_t *data)
{
    if (!g->config.settings.input_allowed) {
        refuse_frame(g, frame, "the image accepts no input from the host");
        return 0;
    }
    return guest_in_take(&s->in, data, frame->size);
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

/* --- containers of a pod in one machine --- */

static const struct sh_container *find_container(const struct guest *g, const char *name)
{
    const struct sh_settings *s = &g->config.settings;
    for (size_t i = 0; i < s->container_count; i++)
        if (!strcmp(s->containers[i].name, name))
            return &s->containers[i];
    return NULL;
}

/* The session that a container began with, until it ended. */
static struct guest_session *find_lead(struct guest *g, const struct sh_container *c)
{
    for (size_t i = 0; i < SH_SESSION_MAX; i++)
        if (g->sessions[i].state != GUEST_UNUSED && g->sessions[i].leads &&
            g->sessions[i].container == c)
            return &g->sessions[i];
    return NULL;
}

/* What /container is told before the program: s begins its container, or joins that of `lead`. */
static int tell_container(const struct guest *g, const struct guest_session *s,
                          const struct guest_session *lead, const struct sh_exec *x,
                          struct guest_strings *argv)
{
    const struct sh_exec *own = &s->container->run;
    const char *verb = x->head.kind == SH_EXEC_COUNT ? "count" : "join";
    char number[16];
    const char *const words[] = {"container",
                                 lead ? verb : "begin",
                                 lead ? NULL : s->container->name,
                                 number,
                                 lead ? NULL : x->workdir, /* bounds */
                                 lead && *x->user ? x->user : own->user,
                                 lead && *x->workdir ? x->workdir : own->workdir};
    int rc = 0;
    snprintf(number, sizeof(number), "%d", lead ? (int)lead->pid : (int)guest_share(g));
    for (size_t i = 0; !rc && i < sizeof(words) / sizeof(*words); i++)
        if (words[i])
            rc = guest_strings_add(argv, words[i], strlen(words[i]));
    return rc;
}

static int run_exec(struct guest *g, struct guest_session *s, struct guest_session *lead,
                    const struct sh_exec *x, struct guest_error *e)
{
    struct guest_strings argv = {0}, env = {0};
    struct sh_user user = g->user;
    const struct sh_container *c = s->container;
    const struct sh_exec *what = s->leads ? &c->run : x; /* of a container: as it was built */
    int rc = c ? tell_container(g, s, lead, x, &argv) : 0;
    size_t skip = c && !s->leads; /* its name */
    if (!rc)
        rc = take_strings(&argv, what->args + (skip ? strlen(what->args) + 1 : 0),
                          what->head.arg_count - skip, false);
    for (size_t i = 0; !rc && i < g->env.count; i++)
        if (!c || strncmp(g->env.items[i], "HOME=", 5))
            rc = guest_strings_add(&env, g->env.items[i], strlen(g->env.items[i]));
    if (!rc && c)
        rc = take_strings(&env, c->run.env, c->run.head.env_count, true);
    if (!rc && !s->leads)
        rc = take_strings(&env, x->env, x->head.env_count, true);
    if (!rc && x->head.tty && !guest_env_get(&env, "TERM"))
        rc = guest_env_set(&env, "TERM=xterm", 10);
    if (rc)
        rc = guest_fail(e, rc, "arguments or environment cannot be used: %s", strerror(-rc));
    if (!rc && *x->user && !c)
        rc = guest_user_find(&user, g->root, x->user, e);
    if (!rc) {
        struct guest_run run = {
            .kind = x->head.kind,
            .tty = x->head.tty && (c || x->head.kind == SH_EXEC_PROGRAM),
            .input = g->config.settings.input_allowed,
            .output = g->config.settings.output,
            .argv = argv.items,
            .env = env.items,
            .workdir = *x->workdir ? x->workdir : g->config.settings.workdir,
            .user = &user,
            .rows = x->head.rows,
            .columns = x->head.columns,
            .pid_ns = c ? &(lead ? lead : s)->pid_ns : &g->pid_ns,
            .starter = c,
        };
        rc = guest_spawn(g, s, &run, e);
    }
    guest_strings_free(&argv);
    guest_strings_free(&env);
    return rc;
}

/* Why this is not started; NULL: it may be. */
static const char *judge_exec(struct guest *g, const struct sh_exec *x,
                              const struct sh_container **c, struct guest_session **lead)
{
    bool start = x->head.kind == SH_EXEC_CONTAINER, of = x->head.kind >= SH_EXEC_CONTAINER;
    bool count = x->head.kind == SH_EXEC_COUNT;
    struct guest_session *workload = guest_session_find(g, 0);
    if (!start && !(g->config.settings.requests & (count ? SH_POLICY_STATS : SH_POLICY_EXEC)))
        return count ? "the image does not allow stats; build it with --allow stats"
                     : "the image does not allow exec; build it with --allow exec";
    if (!workload || workload->state != GUEST_RUNNING)
        return "the workload is not running";
    if (of && !(*c = find_container(g, x->args)))
        return "the image has no container of this name";
    *lead = of ? find_lead(g, *c) : NULL;
    if (start && *lead)
        return SH_CONTAINER_RUNS;
    return of && !start && (!*lead || (*lead)->state != GUEST_RUNNING)
               ? "the container is not running"
               : NULL;
}

static int take_exec(struct guest *g, const struct sh_frame *frame, const uint8_t *data)
{
    struct sh_exec x;
    struct guest_error e;
    const struct sh_container *c = NULL;
    struct guest_session *lead = NULL, *s = NULL;
    if (guest_session_seen(g, frame->session) || sh_exec_parse(&x, data, frame->size))
        return -EBADMSG;
    guest_session_mark(g, frame->session);
    const char *why = judge_exec(g, &x, &c, &lead);
    if (!why && !(s = guest_session_new(g, frame->session)))
        why = "too many sessions are open";
    if (why) {
        refuse_frame(g, frame, why);
        return 0;
    }
    s->container = c;
    s->leads = x.head.kind == SH_EXEC_CONTAINER;
    if (run_exec(g, s, lead, &x, &e)) {
        guest_session_error(g, s->id, &e);
        guest_session_free(s);
    }
    return 0;
}

static int take_frame(struct guest *g, const struct sh_frame *frame, const uint8_t *payload)
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
        s->in.eof = true;
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
            refuse_frame(g, frame,
                         "the image does not allow this signal; build it with --allow signal");
        else if (s->state == GUEST_NEW || s->state == GUEST_STARTING)
            s->signal_due = sh_le32(payload);
        else if (s->state == GUEST_RUNNING)
            guest_session_signal(s, sh_le32(payload));
        if (s->state == GUEST_RUNNING && !s->id && sh_le32(payload) == SIGKILL)
            guest_volumes_hurry(g); /* it dies when its calls are answered */
        return 0;
    default:
        return -EBADMSG;
    }
}

void guest_take_frames(struct guest *g)
{
    struct guest_channel *c = &g->channel;
    struct sh_frame frame;
    const uint8_t *payload;
    int rc = 0;
    /* An answer needs room: without it the host has to wait. */
    while (!c->ended && guest_channel_room(c) > GUEST_TX_RESERVE / 2 &&
           (rc = guest_channel_next(c, &frame, &payload)) > 0)
        if ((rc = take_frame(g, &frame, payload)) < 0)
            break;
    if (rc < 0)
        c->ended = true;
}
