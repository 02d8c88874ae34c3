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
    bool whole, answering; /* the request is there; so is the answer */
    struct agent_exchange x;
};

static struct connection connections[CONNECTIONS];
static struct agent *serving;
static int listening;

static void drop_connection(struct connection *c)
{
    close(c->fd);
    c->fd = -1;
    c->whole = c->answering = false;
    agent_exchange_end(&c->x);
}

/* Reads more of the request. */
static void take_bytes(struct connection *c)
{
    ssize_t n = recv(c->fd, c->x.in + c->x.have, sizeof(c->x.in) - c->x.have, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop_connection(c);
    } else {
        c->whole = agent_exchange_take(&c->x, (size_t)n);
    }
}

static void make_answer(struct connection *c)
{
    agent_exchange_answer(serving, &c->x);
    c->answering = true;
    c->until = agent_os_now_ms() + LIMIT_MS; /* the broker may have taken its time */
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

static void accept_one(void)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &connections[i];
        if (c->fd >= 0)
            continue;
        c->fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        c->until = agent_os_now_ms() + LIMIT_MS;
        return;
    }
}

/* For poll: connections have a time limit, and certificates are renewed. */
static int wait_limit(const struct agent *a, size_t open)
{
    uint64_t due = agent_renew_due(a), now = agent_os_now_ms();
    if (open)
        return 1000;
    return due == UINT64_MAX ? -1 : due <= now ? 0 : due - now > 60000 ? 60000 : (int)(due - now);
}

#define POLLED (CONNECTIONS + 1)

/* Connections and whoever makes them, to be polled: how many are open. */
static size_t watch_connections(struct pollfd p[POLLED])
{
    size_t open = 0;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &connections[i];
        bool waits = c->whole && !c->answering;
        if (c->fd >= 0 && agent_os_now_ms() >= c->until && !waits)
            drop_connection(c);
        p[i] = (struct pollfd){.fd = waits ? -1 : c->fd, .events = c->answering ? POLLOUT : POLLIN};
        open += c->fd >= 0;
    }
    p[CONNECTIONS] = (struct pollfd){.fd = open < CONNECTIONS ? listening : -1, .events = POLLIN};
    return open;
}

/* busy: the broker is being waited for. */
static int serve_connections(const struct pollfd p[POLLED], bool busy)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &connections[i];
        if (p[i].fd >= 0 && p[i].revents && c->answering)
            send_reply(c);
        else if (p[i].fd >= 0 && p[i].revents)
            take_bytes(c);
        if (c->whole && !c->answering &&
            !(busy && c->x.parsed > 0 && agent_asks_broker(c->x.request.path)))
            make_answer(c);
    }
    if (p[CONNECTIONS].revents & (POLLERR | POLLNVAL))
        return -EIO;
    if (p[CONNECTIONS].revents)
        accept_one();
    return 0;
}

static int serve_meanwhile(int fd, short events, int limit_ms)
{
    struct pollfd p[POLLED + 1];
    watch_connections(p);
    p[POLLED] = (struct pollfd){.fd = fd, .events = events};
    int rc = poll(p, POLLED + 1, limit_ms);
    if (rc > 0)
        (void)serve_connections(p, true);
    return rc > 0 ? p[POLLED].revents != 0 : rc;
}

/* Whose request came while the broker was waited for, and who needs it. */
static bool has_waiting(void)
{
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (connections[i].whole && !connections[i].answering)
            return true;
    return false;
}

int agent_serve(int listen_fd, int control_fd, struct agent *a)
{
    struct pollfd p[POLLED + 1 + SH_VOLUMES_MAX];
    for (size_t i = 0; i < CONNECTIONS; i++)
        connections[i].fd = -1;
    serving = a;
    listening = listen_fd;
    agent_wait = serve_meanwhile;
    for (;;) {
        size_t open = watch_connections(p);
        p[POLLED] = (struct pollfd){.fd = control_fd, .events = POLLIN};
        for (size_t i = 0; i < SH_VOLUMES_MAX; i++)
            p[POLLED + 1 + i] = (struct pollfd){.fd = agent_kept_fd(i), .events = POLLIN};
        if (poll(p, sizeof(p) / sizeof(p[0]), has_waiting() ? 0 : wait_limit(a, open)) < 0 &&
            errno != EINTR)
            return -errno;
        int rc = 0;
        if (agent_os_now_ms() >= agent_renew_due(a))
            rc = agent_control_keep(control_fd, a);
        if (!rc && p[POLLED].revents)
            rc = agent_control(control_fd, a);
        if (rc)
            return rc;
        rc = serve_connections(p, false);
        if (rc)
            return rc;
        for (size_t i = 0; i < SH_VOLUMES_MAX; i++)
            if (p[POLLED + 1 + i].fd >= 0 && p[POLLED + 1 + i].revents)
                agent_kept_ask(i, a);
    }
}
