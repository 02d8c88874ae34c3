// SPDX-License-Identifier: Apache-2.0
// Connections: a bounded number, each with one request, one answer and a time limit.
#include "trusted/agent/agent.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 16
#define LIMIT_S 10

struct connection {
    int fd; /* -1: free */
    time_t until;
    size_t have;    /* of the request */
    size_t at, end; /* of the answer, once there is one */
    char request[AGENT_REQUEST_MAX];
    char answer[AGENT_REPLY_MAX + 256];
};

static struct connection connections[CONNECTIONS];

static const char *reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 501:
        return "Not Implemented";
    default:
        return "Service Unavailable";
    }
}

void agent_answer(struct agent_reply *reply, const struct agent_request *r, const char *tee,
                  int tsm_dir)
{
    uint8_t report_data[64] = {0};
    if (strcmp(r->path, "/aa/evidence")) {
        agent_reply_error(reply, 404, "no such resource; this version has /aa/evidence");
        return;
    }
    if (strcmp(r->method, "GET")) {
        agent_reply_error(reply, 405, "only GET");
        return;
    }
    int n = agent_query_get(r, "runtime_data", report_data, sizeof(report_data));
    if (n < 0)
        agent_reply_error(reply, 400,
                          n == -ENOENT  ? "runtime_data is missing"
                          : n == -E2BIG ? "runtime_data is longer than 64 bytes"
                                        : "runtime_data is badly escaped");
    else
        agent_evidence(reply, tee, tsm_dir, report_data);
}

static time_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static void drop(struct connection *c)
{
    close(c->fd);
    c->fd = -1;
}

/* Reads more of the request; makes the answer when it is whole. */
static void take(struct connection *c, const char *tee, int tsm_dir)
{
    static struct agent_reply reply;
    struct agent_request request;
    ssize_t n = recv(c->fd, c->request + c->have, sizeof(c->request) - c->have, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop(c);
        return;
    }
    c->have += (size_t)n;
    int rc = agent_request_parse(&request, c->request, c->have);
    if (!rc)
        return;
    if (rc < 0)
        agent_reply_error(&reply, 400, "this is not a request that can be answered");
    else
        agent_answer(&reply, &request, tee, tsm_dir);
    int head = snprintf(c->answer, sizeof(c->answer),
                        "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                        reply.status, reason(reply.status), reply.size);
    memcpy(c->answer + head, reply.body, reply.size);
    c->at = 0;
    c->end = (size_t)head + reply.size;
}

static void give(struct connection *c)
{
    ssize_t n = send(c->fd, c->answer + c->at, c->end - c->at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        c->at += (size_t)n;
    if (n <= 0 || c->at == c->end)
        drop(c);
}

static void accept_one(int listen_fd)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &connections[i];
        if (c->fd >= 0)
            continue;
        c->fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        c->until = now() + LIMIT_S;
        c->have = c->at = c->end = 0;
        return;
    }
}

int agent_serve(int listen_fd, const char *tee, int tsm_dir)
{
    struct pollfd p[CONNECTIONS + 1];
    for (size_t i = 0; i < CONNECTIONS; i++)
        connections[i].fd = -1;
    for (;;) {
        size_t open = 0;
        for (size_t i = 0; i < CONNECTIONS; i++) {
            struct connection *c = &connections[i];
            if (c->fd >= 0 && now() >= c->until)
                drop(c);
            p[i] = (struct pollfd){.fd = c->fd, .events = c->end ? POLLOUT : POLLIN};
            open += c->fd >= 0;
        }
        p[CONNECTIONS] =
            (struct pollfd){.fd = open < CONNECTIONS ? listen_fd : -1, .events = POLLIN};
        if (poll(p, CONNECTIONS + 1, open ? 1000 : -1) < 0 && errno != EINTR)
            return -errno;
        for (size_t i = 0; i < CONNECTIONS; i++) {
            if (p[i].fd < 0 || !p[i].revents)
                continue;
            if (connections[i].end)
                give(&connections[i]);
            else
                take(&connections[i], tee, tsm_dir);
        }
        if (p[CONNECTIONS].revents & (POLLERR | POLLNVAL))
            return -EIO;
        if (p[CONNECTIONS].revents)
            accept_one(listen_fd);
    }
}
