// SPDX-License-Identifier: Apache-2.0
// The one loop of PID 1: children, the channel, every session's streams.
#include "trusted/guest/serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYE_MS 2000   /* for the host to say that it has the exit status */
#define STOP_MS 10000 /* for the workload to stop when the host is gone */

/* A program that asked to be traced has made PID 1 its tracer. Nobody traces it, so it goes on, and
 * the stops that are for a tracer are nothing. */
static void let_go(pid_t pid, int signal)
{
    ptrace(PTRACE_DETACH, pid, 0, signal == SIGTRAP || signal == SIGSTOP ? 0 : signal);
}

static void reap_children(struct guest *g)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;
    while (read(g->signal_fd, &info, sizeof(info)) > 0)
        ;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (WIFSTOPPED(status))
            let_go(pid, WSTOPSIG(status));
        else if (!guest_volume_reaped(g, pid))
            guest_session_reaped(g, pid, status);
    g->alone = pid ? errno == ECHILD : guest_volumes_alone(g);
}

/* The host is gone or broke the protocol: the workload is asked to stop, later it is made to. */
static void lost_channel(struct guest *g)
{
    if (!g->deadline) {
        g->deadline = sh_now_ms() + STOP_MS;
        for (size_t i = 0; i < SH_SESSION_MAX; i++)
            if (g->sessions[i].state != GUEST_UNUSED)
                guest_session_signal(&g->sessions[i], g->config.settings.stop_signal);
    } else if (sh_now_ms() >= g->deadline) {
        g->stopping = true; /* from here on the loop's own rhythm is enough */
    }
}

struct polled {
    struct pollfd fds[5 + SH_VOLUMES_MAX + 4 * SH_SESSION_MAX];
    nfds_t count;
};

/* Adds a descriptor; its place, or -1 where there is nothing to wait for. */
static int add_polled(struct polled *p, int fd, short events)
{
    if (fd < 0 || !events)
        return -1;
    p->fds[p->count] = (struct pollfd){.fd = fd, .events = events};
    return (int)p->count++;
}

/* The shorter time; -1: for ever. */
static long sooner_of(long a, long b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static bool is_ready(const struct polled *p, int place)
{
    return place >= 0 && p->fds[place].revents;
}

static bool wants_output(const struct guest *g, const struct guest_session *s, unsigned i)
{
    return s->state >= GUEST_RUNNING && guest_out_has_room(&g->channel) &&
           (s->out[i].credit || g->channel.ended || !g->config.settings.output);
}

static void one_round(struct guest *g)
{
    static struct polled p;
    int in[SH_SESSION_MAX], out[SH_SESSION_MAX][2], status[SH_SESSION_MAX];
    struct guest_channel *c = &g->channel;
    long wait = -1;

    p.count = 0;
    int signals = add_polled(&p, g->signal_fd, POLLIN);
    short events = 0;
    if (!c->ended) {
        events = c->tx_at < c->tx_end ? POLLOUT : 0;
        if (guest_channel_room(c) > GUEST_TX_RESERVE / 2)
            events |= POLLIN;
    }
    int port = add_polled(&p, c->ended ? -1 : c->fd, events);
    int notify = add_polled(&p, g->notify_fd, POLLIN);
    int attest = add_polled(&p, g->agent_fd, guest_attest_waits(g) ? POLLIN : 0);
    int said[SH_VOLUMES_MAX];
    for (size_t i = 0; i < SH_VOLUMES_MAX; i++)
        said[i] = add_polled(&p, g->volumes[i].pid > 0 ? g->volumes[i].control : -1, POLLIN);
    int agent = -1;
    if (g->agent < 0 && g->agent_listen >= 0 && !g->stopping) {
        long left = g->agent_next - sh_now_ms();
        if (left <= 0)
            agent = add_polled(&p, g->agent_listen, POLLIN);
        else
            wait = sooner_of(wait, left);
    }
    wait = sooner_of(wait, guest_attest_left());
    for (size_t i = 0; i < SH_SESSION_MAX; i++) {
        struct guest_session *s = &g->sessions[i];
        in[i] = out[i][0] = out[i][1] = status[i] = -1;
        if (s->state == GUEST_UNUSED)
            continue;
        if (s->state == GUEST_STARTING)
            status[i] = add_polled(&p, s->status_fd, POLLIN);
        in[i] = add_polled(&p, s->in.held ? s->in.fd : -1, POLLOUT);
        for (unsigned k = 0; k < 2; k++)
            out[i][k] = add_polled(&p, wants_output(g, s, k) ? s->out[k].fd : -1, POLLIN);
        /* What is only waiting for its descriptors to run dry has nothing to be woken by. */
        if (s->state == GUEST_ENDED && (g->alone || s->id))
            wait = sooner_of(wait, 20);
    }
    if (g->deadline && !(g->stopping && c->ended)) {
        long left = g->deadline - sh_now_ms();
        wait = sooner_of(wait, left < 0 ? 0 : left);
    }
    if (g->stopping && !g->alone)
        wait = sooner_of(wait, 100);
    if (poll(p.fds, p.count, (int)wait) < 0 && errno != EINTR)
        return;

    if (is_ready(&p, port) && p.fds[port].revents & (POLLIN | POLLHUP | POLLERR))
        guest_channel_fill(c);
    guest_take_frames(g);
    for (size_t i = 0; i < SH_SESSION_MAX; i++)
        if (is_ready(&p, status[i]) && g->sessions[i].state == GUEST_STARTING)
            guest_session_started(g, &g->sessions[i]);
    for (size_t i = 0; i < SH_VOLUMES_MAX; i++)
        if (is_ready(&p, said[i])) {
            char line[GUEST_LINE];
            guest_session_tell(g, line, guest_volume_said(g, i, line));
        }
    if (is_ready(&p, signals))
        reap_children(g);
    for (size_t i = 0; i < SH_SESSION_MAX; i++) {
        bool out_ready[2] = {is_ready(&p, out[i][0]), is_ready(&p, out[i][1])};
        if (g->sessions[i].state != GUEST_UNUSED)
            guest_session_pump(g, &g->sessions[i], is_ready(&p, in[i]), out_ready);
    }
    if (notify >= 0 && p.fds[notify].revents & POLLIN)
        guest_publish_take(g);
    if (is_ready(&p, agent))
        guest_agent_start(g);
    guest_attest_pump(g, is_ready(&p, attest));
    guest_channel_flush(c);
}

void guest_loop(struct guest *g)
{
    while (!g->bye) {
        one_round(g);
        /* The workload's leader ended: whatever it left behind goes too. */
        if (g->stopping && !g->alone) {
            guest_kill_rest(g);
            reap_children(g);
        }
        if (g->channel.ended && !g->exit_sent)
            lost_channel(g);
        if (!g->exit_sent)
            continue;
        if (g->channel.ended)
            return;
        if (!g->deadline && g->channel.tx_at == g->channel.tx_end)
            g->deadline = sh_now_ms() + BYE_MS;
        if (g->deadline && sh_now_ms() >= g->deadline)
            return;
    }
}
