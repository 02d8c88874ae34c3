// SPDX-License-Identifier: Apache-2.0
// The servers of volumes ask the broker through the agent, which has attested: here their questions
// are taken, each over a socket of its own.
//
// Attacks expected here: a server that was broken may ask for what it likes of its own volume, and
// of no other.
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <shelter/agent.h>

#include "trusted/agent/core.h"
#include "trusted/agent/linux.h"

static struct kept {
    struct agent_volume session;
    bool open;
} kept[SH_VOLUMES_MAX];

int agent_keep(const struct sh_settings *set, const struct agent_secret *s)
{
    for (size_t i = 0; i < set->volume_count; i++) {
        struct kept *k = &kept[i];
        if (strcmp(set->volumes[i].name, s->name) || k->open)
            continue;
        struct anchor_hello h = {.anchor = s->anchored->anchor, .writer = s->anchored->writer};
        memcpy(h.path, s->anchored->path, sizeof(h.path));
        if (send(SH_AGENT_VOLUME_FD + (int)i, &h, sizeof(h), MSG_NOSIGNAL) != sizeof(h))
            return -EPIPE;
        k->session = *s->anchored;
        agent_wipe(k->session.key, sizeof(k->session.key));
        k->open = true;
        return 0;
    }
    return -EINVAL;
}

int agent_kept_fd(size_t number)
{
    return kept[number].open ? SH_AGENT_VOLUME_FD + (int)number : -1;
}

static void end_kept(struct kept *k, int fd)
{
    close(fd);
    agent_wipe(k, sizeof(*k));
}

void agent_kept_ask(size_t number, struct agent *a)
{
    struct kept *k = &kept[number];
    struct anchor_question q;
    struct anchor_answer answer = {0};
    struct agent_error e;
    int fd = agent_kept_fd(number);
    ssize_t n = recv(fd, &q, sizeof(q), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n != sizeof(q) || q.step > ANCHOR_RELEASE) {
        end_kept(k, fd);
        return;
    }
    answer.error = agent_volume_advance(a, &k->session, &q.state, q.step, &e);
    if (answer.error)
        memcpy(answer.text, e.text, sizeof(answer.text));
    if (send(fd, &answer, sizeof(answer), MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(answer))
        end_kept(k, fd);
}
