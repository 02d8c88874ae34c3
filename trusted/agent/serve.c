// SPDX-License-Identifier: Apache-2.0
// Local connections: a bounded number, each with one request, one answer and a time limit.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "trusted/agent/linux.h"
#include "trusted/agent/request.h"

#define CONNECTIONS 16
#define LIMIT_MS 10000u

struct connection {
    int fd; /* -1: free */
    uint64_t until;
    size_t have; /* of the request */
    char request[AGENT_REQUEST_MAX];
    bool answering;
    char head[256]; /* of the answer */
    size_t head_size, at;
    struct agent_reply reply;
};

static struct connection connections[CONNECTIONS];

static const char *reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
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

static void drop(struct connection *c)
{
    close(c->fd);
    c->fd = -1;
    agent_reply_free(&c->reply);
    agent_wipe(c->request, sizeof(c->request));
    c->have = c->head_size = c->at = 0;
    c->answering = false;
}

static void answer(struct connection *c, const struct agent_request *r, size_t head,
                   struct agent *a)
{
    struct sh_view none = {NULL, 0};
    struct sh_view body = {(const uint8_t *)c->request + head, r ? r->body_size : 0};
    if (r)
        agent_answer(a, r->method, r->path, r->query, body, &c->reply);
    else /* the parser's refusal, in the API's own words */
        agent_answer(a, "GET", "", none, none, &c->reply);
    if (!r)
        c->reply.status = 400;
    int n = snprintf(c->head, sizeof(c->head),
                     "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                     "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
                     c->reply.status, reason(c->reply.status),
                     c->reply.type ? c->reply.type : "text/plain", c->reply.size);
    c->head_size = (size_t)n;
    c->answering = true;
    c->until = agent_os_now_ms() + LIMIT_MS; /* the broker may have taken its time */
}

/* Reads more of the request; makes the answer when it is whole. */
static void take(struct connection *c, struct agent *a)
{
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
    if (rc < 0)
        answer(c, NULL, 0, a);
    else if (rc && c->have >= (size_t)rc + request.body_size)
        answer(c, &request, (size_t)rc, a);
}

static void give(struct connection *c)
{
    bool head = c->at < c->head_size;
    const char *from = head ? c->head + c->at : (char *)c->reply.body + (c->at - c->head_size);
    size_t size = head ? c->head_size - c->at : c->head_size + c->reply.size - c->at;
    ssize_t n = size ? send(c->fd, from, size, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        c->at += (size_t)n;
    if (n <= 0 || c->at == c->head_size + c->reply.size)
        drop(c);
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

int agent_serve(int listen_fd, struct agent *a)
{
    struct pollfd p[CONNECTIONS + 1];
    for (size_t i = 0; i < CONNECTIONS; i++)
        connections[i].fd = -1;
    for (;;) {
        size_t open = 0;
        for (size_t i = 0; i < CONNECTIONS; i++) {
            struct connection *c = &connections[i];
            if (c->fd >= 0 && agent_os_now_ms() >= c->until)
                drop(c);
            p[i] = (struct pollfd){.fd = c->fd, .events = c->answering ? POLLOUT : POLLIN};
            open += c->fd >= 0;
        }
        p[CONNECTIONS] =
            (struct pollfd){.fd = open < CONNECTIONS ? listen_fd : -1, .events = POLLIN};
        if (poll(p, CONNECTIONS + 1, open ? 1000 : -1) < 0 && errno != EINTR)
            return -errno;
        for (size_t i = 0; i < CONNECTIONS; i++) {
            if (p[i].fd < 0 || !p[i].revents)
                continue;
            if (connections[i].answering)
                give(&connections[i]);
            else
                take(&connections[i], a);
        }
        if (p[CONNECTIONS].revents & (POLLERR | POLLNVAL))
            return -EIO;
        if (p[CONNECTIONS].revents)
            accept_one(listen_fd);
    }
}
