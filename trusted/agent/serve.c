// SPDX-License-Identifier: Apache-2.0
// Local connections, a bounded number, each with one exchange and a time limit; and PID 1's
// requests.
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "trusted/agent/exchange.h"
#include "trusted/agent/linux.h"

#define CONNECTIONS 16
#define LIMIT_MS 10000u

struct connection {
    int fd; /* -1: free */
    uint64_t until;
    bool answering;
    struct agent_exchange x;
};

static struct connection connections[CONNECTIONS];

static void drop_connection(struct connection *c)
{
    close(c->fd);
    c->fd = -1;
    c->answering = false;
    agent_exchange_end(&c->x);
}

/* Reads more of the request; makes the answer when it is whole. */
static void take_bytes(struct connection *c, struct agent *a)
{
    ssize_t n = recv(c->fd, c->x.in + c->x.have, sizeof(c->x.in) - c->x.have, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop_connection(c);
    } else if (agent_exchange_take(&c->x, (size_t)n)) {
        agent_exchange_answer(a, &c->x);
        c->answering = true;
        c->until = agent_os_now_ms() + LIMIT_MS; /* the broker may have taken its time */
    }
}

static void send_reply(struct connection *c)
{
    struct sh_view v = agent_exchange_rest(&c->x);
    ssize_t n = v.size ? send(c->fd, v.data, v.size, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        c->x.sent += (size_t)n;
    if (n <= 0 || !agent_exchange_rest(&c->x).size)
        drop_connection(c);
}

static void accept_one(int listen_fd)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &connections[i];
        if (c->fd >= 0)
            continue;
        c->fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        c->until = agent_os_now_ms() + LIMIT_MS;
        return;
    }
}

/* For poll: connections have a time limit, and certificates are renewed. */
static int wait_limit(const struct agent *a, size_t open)
{
    uint64_t due = agent_identity_due(a), now = agent_os_now_ms();
    if (open)
        return 1000;
    return due == UINT64_MAX ? -1 : due <= now ? 0 : due - now > 60000 ? 60000 : (int)(due - now);
}

int agent_serve(int listen_fd, int control_fd, struct agent *a)
{
    struct pollfd p[CONNECTIONS + 2 + SH_VOLUMES_MAX];
    for (size_t i = 0; i < CONNECTIONS; i++)
        connections[i].fd = -1;
    for (;;) {
        size_t open = 0;
        for (size_t i = 0; i < CONNECTIONS; i++) {
            struct connection *c = &connections[i];
            if (c->fd >= 0 && agent_os_now_ms() >= c->until)
                drop_connection(c);
            p[i] = (struct pollfd){.fd = c->fd, .events = c->answering ? POLLOUT : POLLIN};
            open += c->fd >= 0;
        }
        p[CONNECTIONS] =
            (struct pollfd){.fd = open < CONNECTIONS ? listen_fd : -1, .events = POLLIN};
        p[CONNECTIONS + 1] = (struct pollfd){.fd = control_fd, .events = POLLIN};
        for (size_t i = 0; i < SH_VOLUMES_MAX; i++)
            p[CONNECTIONS + 2 + i] = (struct pollfd){.fd = agent_kept_fd(i), .events = POLLIN};
        if (poll(p, sizeof(p) / sizeof(p[0]), wait_limit(a, open)) < 0 && errno != EINTR)
            return -errno;
        if (agent_os_now_ms() >= agent_identity_due(a)) {
            int rc = agent_control_keep(control_fd, a);
            if (rc)
                return rc;
        }
        if (p[CONNECTIONS + 1].revents) {
            int rc = agent_control(control_fd, a);
            if (rc)
                return rc;
        }
        for (size_t i = 0; i < SH_VOLUMES_MAX; i++)
            if (p[CONNECTIONS + 2 + i].fd >= 0 && p[CONNECTIONS + 2 + i].revents)
                agent_kept_ask(i, a);
        for (size_t i = 0; i < CONNECTIONS; i++) {
            if (p[i].fd < 0 || !p[i].revents)
                continue;
            if (connections[i].answering)
                send_reply(&connections[i]);
            else
                take_bytes(&connections[i], a);
        }
        if (p[CONNECTIONS].revents & (POLLERR | POLLNVAL))
            return -EIO;
        if (p[CONNECTIONS].revents)
            accept_one(listen_fd);
    }
}
