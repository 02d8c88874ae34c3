// SPDX-License-Identifier: Apache-2.0
// The guest's channel: the host's bytes in pieces, against a workload whose pipes take and give.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/guest_alone.h"
#include "trusted/guest/serve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No process is made here: whatever would be started ends at once with an error. */
int guest_spawn(struct guest *g, struct guest_session *s, const struct guest_run *run,
                struct guest_error *e)
{
    if (run->argv[0][0] == 'x')
        return guest_fail(e, -1, "not here");
    s->state = GUEST_ENDED;
    s->pid = -1;
    return 0;
}

void guest_publish_take(const struct guest *g)
{
}
void guest_attest(struct guest *g, const struct sh_frame *frame, const uint8_t *payload)
{
    if (frame->size < 5 || frame->size > 4 + SH_ATTEST_NONCE_MAX)
        __builtin_trap();
}
bool guest_attest_waits(const struct guest *g)
{
    return false;
}
long guest_attest_left(void)
{
    return -1;
}
void guest_attest_pump(struct guest *g, bool ready)
{
}
int guest_agent_start(struct guest *g)
{
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct guest g;
    static uint8_t drain[262144];
    static struct sh_container containers[] = {
        {"c", {{.arg_count = 1}, "p", "", "/", ""}},
        {"d", {{.arg_count = 1, .env_count = 1}, "x", "A=b", "/", "0"}}};
    int s[2], in[2], out[2];
    signal(SIGPIPE, SIG_IGN);
    if (size < 2)
        return 0;
    memset(&g, 0, sizeof(g));
    g.root = g.signal_fd = g.agent_listen = g.notify_fd = g.agent_fd = g.agent = -1;
    g.config.settings = (struct sh_settings){.requests = sh_le16(data) & SH_POLICY_ALL,
                                             .input_allowed = data[1] & 2,
                                             .output = data[1] & 1,
                                             .signals = data[0],
                                             .stop_signal = SIGTERM,
                                             .workdir = "/",
                                             .containers = containers,
                                             .container_count = data[1] & 4 ? 2 : 0};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) || pipe2(in, O_NONBLOCK) ||
        pipe2(out, O_NONBLOCK))
        abort();
    g.channel.fd = s[0];
    struct guest_session *w = guest_session_new(&g, 0);
    w->in.fd = in[1];
    guest_in_open(&w->in);
    w->in.credit = GUEST_IN_WINDOW;
    w->out[0].fd = out[0];
    w->state = GUEST_RUNNING;
    w->pid = -1;
    for (size_t at = 2; at < size && !g.channel.ended;) {
        size_t n = 1 + data[at] * 16u;
        n = n > size - at ? size - at : n;
        ssize_t done = write(s[1], data + at, n);
        at += done > 0 ? (size_t)done : n;
        guest_channel_fill(&g.channel);
        guest_take_frames(&g);
        if (write(out[1], drain, at % 70000) < 0)
            n = 0;
        for (size_t i = 0; i < SH_SESSION_MAX; i++) {
            bool ready[2] = {true, true};
            struct guest_session *x = &g.sessions[i];
            if (x->state != GUEST_UNUSED)
                guest_session_pump(&g, x, true, ready);
            if (x->state == GUEST_RUNNING &&
                x->in.credit + x->in.held + x->in.freed != GUEST_IN_WINDOW)
                abort();
        }
        guest_channel_flush(&g.channel);
        if (at % 3 && read(s[1], drain, sizeof(drain)) < 0)
            n = 0;
        if (at % 5 && read(in[0], drain, sizeof(drain)) < 0)
            n = 0;
    }
    for (size_t i = 0; i < SH_SESSION_MAX; i++)
        if (g.sessions[i].state != GUEST_UNUSED)
            guest_session_free(&g.sessions[i]);
    close(s[0]);
    close(s[1]);
    close(in[0]);
    close(out[1]);
    return 0;
}
