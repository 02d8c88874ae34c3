// SPDX-License-Identifier: Apache-2.0
// What has to be proved and fetched before the workload starts: the agent does it, as nobody's
// user; here its report is read and the secrets are put in their places.
//
// Attacks expected here: the host lets the broker's answer take for ever (bounded), or asks to stop
// meanwhile (obeyed); the agent, should it be broken, can hand over wrong secrets, but reach
// nothing else: names and sizes are checked again, and later only files change that were there at
// the start.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <shelter/agent.h>

#include "trusted/guest/serve.h"
#include "trusted/guest/volume/server.h"

#define LIMIT_MS 150000 /* the agent gives up before */
#define SECRETS_MAX 64u
#define TOTAL_MAX (16u << 20)

struct secrets {
    struct guest *g;
    struct guest_error *e;
    long deadline;
    size_t count, total;
    uint8_t keys[SH_VOLUMES_MAX][SH_VOLUME_KEY_SIZE];
    bool has_key[SH_VOLUMES_MAX];
};

/* The host may ask to stop while the broker is slow. */
static int look_at_host(struct secrets *s)
{
    struct guest_session *workload = guest_session_find(s->g, 0);
    guest_channel_fill(&s->g->channel);
    guest_take_frames(s->g);
    guest_channel_flush(&s->g->channel);
    uint32_t signal = workload ? workload->signal_due : 0;
    if (s->g->channel.ended)
        return guest_fail(s->e, -EPIPE, "the host is gone");
    if (signal == SIGINT || signal == SIGTERM || signal == SIGKILL ||
        signal == s->g->config.settings.stop_signal)
        return guest_fail(s->e, -EINTR, "stopped while it waited for the key broker");
    return 0;
}

static int receive_bytes(struct secrets *s, int fd, void *out, size_t size)
{
    for (size_t at = 0; at < size;) {
        struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
                              {.fd = s->g->channel.fd, .events = POLLIN}};
        long left = s->deadline - sh_now_ms();
        if (left <= 0)
            return guest_fail(s->e, -ETIMEDOUT,
                              "what must be there before the start did not come in time");
        if (poll(p, 2, (int)left) < 0 && errno != EINTR)
            return guest_fail(s->e, -errno, "cannot wait for the agent");
        int rc = p[1].revents ? look_at_host(s) : 0;
        if (rc)
            return rc;
        if (!p[0].revents)
            continue;
        ssize_t n = recv(fd, (char *)out + at, size - at, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            return guest_fail(s->e, -EPIPE, "the agent or a volume's server ended without a word");
        at += (size_t)n;
    }
    return 0;
}

static int set_secret(struct secrets *s, const char *name, const uint8_t *data, size_t size)
{
    size_t n = strlen(name);
    char *text = malloc(n + size + 2);
    if (!text)
        return -ENOMEM;
    memcpy(text, name, n);
    text[n] = '=';
    memcpy(text + n + 1, data, size);
    text[n + 1 + size] = 0;
    int rc = memchr(data, 0, size) ? -EINVAL : guest_env_set(&s->g->env, text, n + 1 + size);
    explicit_bzero(text, n + size + 2);
    free(text);
    return rc;
}

static int take_secret(struct secrets *s, bool env, const char *name, const uint8_t *data,
                       size_t size)
{
    s->total += size;
    if (++s->count > SECRETS_MAX || s->total > TOTAL_MAX)
        return guest_fail(s->e, -E2BIG,
                          "the secrets are more than 64, or larger than 16 MiB together");
    int rc = env ? set_secret(s, name, data, size) : guest_secret_put(s->g, name, data, size);
    if (!rc)
        return 0;
    return guest_fail(s->e, rc, "secret '%s' cannot be put in place: %s", name, strerror(-rc));
}

/* The key of a volume waits until the agent has said all. */
static int take_key(struct secrets *s, const char *name, const uint8_t *data, size_t size)
{
    const struct sh_settings *settings = &s->g->config.settings;
    for (size_t i = 0; i < settings->volume_count; i++) {
        if (strcmp(settings->volumes[i].name, name) || s->has_key[i])
            continue;
        if (size == SH_VOLUME_KEY_SIZE) {
            memcpy(s->keys[i], data, size);
            s->has_key[i] = true;
            return 0;
        }
        return guest_fail(s->e, -EINVAL, "the key of volume %s has %zu bytes, not %u", name, size,
                          SH_VOLUME_KEY_SIZE);
    }
    return guest_fail(s->e, -EBADMSG, "the agent's report is malformed");
}

static int open_volume(struct secrets *s, size_t number)
{
    struct server_answer answer;
    int fd = guest_volume_begin(s->g, number, s->keys[number], s->e);
    int rc = fd < 0 ? fd : receive_bytes(s, fd, &answer, sizeof(answer));
    if (rc || !answer.error)
        return rc;
    answer.text[sizeof(answer.text) - 1] = 0;
    return guest_fail(s->e, answer.error, "volume %s: %s",
                      s->g->config.settings.volumes[number].name, answer.text);
}

/* Each must be there before the workload is. */
static int open_volumes(struct secrets *s)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < s->g->config.settings.volume_count; i++)
        rc = s->has_key[i] ? open_volume(s, i)
                           : guest_fail(s->e, -ENOKEY, "the agent gave no key for a volume");
    return rc;
}

/* Lines of the agent go to the kernel's log, which only a debug console shows. */
static void log_line(const char *text)
{
    char line[400];
    int n = snprintf(line, sizeof(line), "agent: %s\n", text);
    GUEST_AUTOCLOSE int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1) < 0)
        errno = 0; /* then it is not seen */
}

/* One record: 0, 1 after the last one, -errno. data has room for SH_AGENT_DATA_MAX and a NUL. */
static int take_record(struct secrets *s, uint8_t *data)
{
    uint8_t head[SH_AGENT_HEAD_SIZE];
    char name[SH_AGENT_NAME_MAX + 1] = "";
    int rc = receive_bytes(s, s->g->agent_fd, head, sizeof(head));
    if (rc)
        return rc;
    size_t name_size = sh_le16(head + 2), size = sh_le32(head + 4);
    if (name_size > SH_AGENT_NAME_MAX || size > SH_AGENT_DATA_MAX)
        return guest_fail(s->e, -EBADMSG, "the agent's report is malformed");
    rc = receive_bytes(s, s->g->agent_fd, name, name_size);
    if (!rc)
        rc = receive_bytes(s, s->g->agent_fd, data, size);
    if (rc)
        return rc;
    data[size] = 0;
    bool env = head[0] == SH_AGENT_SECRET_ENV;
    switch (head[0]) {
    case SH_AGENT_LOG:
        log_line((char *)data);
        return 0;
    case SH_AGENT_DONE:
        return 1;
    case SH_AGENT_ERROR:
        return guest_fail(s->e, -EPERM, "%s", (char *)data);
    case SH_AGENT_SECRET_FILE:
    case SH_AGENT_SECRET_ENV:
        if (guest_secret_name_ok(name, name_size, env))
            return take_secret(s, env, name, data, size);
        break;
    case SH_AGENT_IDENTITY:
        rc = guest_identity_put(s->g, name, data, size);
        return rc ? guest_fail(s->e, rc, "the identity cannot be put in place") : 0;
    case SH_AGENT_SECRET_VOLUME:
        return take_key(s, name, data, size);
    }
    return guest_fail(s->e, -EBADMSG, "the agent's report is malformed");
}

static int take_report(struct secrets *s)
{
    uint8_t *data = malloc(SH_AGENT_DATA_MAX + 1);
    int rc = data ? 0 : guest_fail(s->e, -ENOMEM, "no memory for secrets");
    while (!rc)
        rc = take_record(s, data);
    if (data)
        explicit_bzero(data, SH_AGENT_DATA_MAX + 1);
    free(data);
    return rc < 0 ? rc : 0;
}

int guest_secrets(struct guest *g, struct guest_error *e)
{
    struct secrets s = {.g = g, .e = e, .deadline = sh_now_ms() + LIMIT_MS};
    if (!*g->config.settings.broker && !g->config.settings.secrets.count &&
        !g->config.settings.volume_count)
        return 0;
    int rc = guest_agent_start(g);
    if (!rc)
        rc = guest_agent_ask(g, SH_AGENT_START, NULL, 0);
    rc = rc ? guest_fail(e, rc, "cannot start the agent") : take_report(&s);
    if (!rc)
        rc = open_volumes(&s);
    explicit_bzero(s.keys, sizeof(s.keys));
    if (rc) {
        e->status = SH_EXIT_ATTESTATION;
        guest_agent_end(g);
    }
    return rc;
}
