// SPDX-License-Identifier: Apache-2.0
// CoCo's local API on the enclave's own loopback: never a socket of the host.
//
// The first connection to the port that finds nobody makes the listener and a thread of the LibOS
// that serves it, one connection and one request at a time; before that nothing of it exists. The
// program's own listener on the port comes first, always.
#include <asm/poll.h>
#include <linux/in.h>
#include <linux/in6.h>

#include "trusted/agent/core.h"
#include "trusted/agent/request.h"
#include "trusted/libos/agent/agent.h"
#include "trusted/libos/net/sock.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/time/time.h"

#define PATIENCE_NS (10 * NS) /* for a client that sends or takes nothing */
#define BACKLOG 16u
#define MSG_NOSIGNAL_ 0x4000

static struct sock *listeners[2]; /* of IPv4 and IPv6; NULL: none */
static struct wait_queue changed; /* a listener came */
static struct thread *server;

/* ---- one connection ---- */

struct exchange {
    struct file *file;
    struct sock *sock;
    uint64_t until;
    char request[AGENT_REQUEST_MAX];
    size_t have;
};

/* Time left, as a socket's timeout. */
static int set_timeout(uint64_t *timeout, uint64_t until)
{
    uint64_t now = clock_now();
    *timeout = until - MIN(now, until);
    return *timeout ? 0 : -ETIMEDOUT;
}

static long take(struct exchange *x)
{
    struct io_vec v;
    struct io io =
        io_one(&v, (uint64_t)x->request + x->have, sizeof(x->request) - x->have, true);
    struct addr from;
    uint32_t files = 0;
    bool cut;
    int r = set_timeout(&x->sock->receive_timeout, x->until);
    return r ? r : inside_receive(x->file, x->sock, &io, 0, &from, NULL, &files, &cut);
}

static int give(struct exchange *x, const void *data, size_t size)
{
    struct io_vec v;
    struct io io = io_one(&v, (uint64_t)data, size, true);
    x->until = clock_now() + PATIENCE_NS;
    while (io.left) {
        int r = set_timeout(&x->sock->send_timeout, x->until);
        long n = r ? r : inside_send(x->file, x->sock, x->sock->peer, &io, MSG_NOSIGNAL_, NULL, 0);
        if (n < 0)
            return (int)n;
    }
    return 0;
}

/* Reads until the request is whole: the size of its head, or -errno. */
static int take_request(struct exchange *x, struct agent_request *r)
{
    for (;;) {
        int head = agent_request_parse(r, x->request, x->have);
        if (head < 0 || (head && x->have >= (size_t)head + r->body_size))
            return head;
        if (x->have == sizeof(x->request))
            return -E2BIG;
        long n = take(x);
        if (n <= 0)
            return n ? (int)n : -ECONNRESET;
        x->have += (size_t)n;
    }
}

struct question {
    const struct agent_request *request;
    struct sh_view body;
    struct agent_reply reply;
};

static long answer(void *arg)
{
    struct question *q = arg;
    struct agent *a = agent_state();
    if (!a)
        return -ENOMEM;
    agent_answer(a, q->request->method, q->request->path, q->request->query, q->body, &q->reply);
    return 0;
}

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {{200, "OK"},           {400, "Bad Request"},        {403, "Forbidden"},
                   {404, "Not Found"},    {405, "Method Not Allowed"}, {413, "Content Too Large"},
                   {501, "Not Implemented"}};
    for (size_t i = 0; i < ARRAY_COUNT(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].text;
    }
    return "Service Unavailable";
}

static void reply(struct exchange *x, const struct agent_reply *r)
{
    char head[256];
    int n = fmt(head, sizeof(head),
                "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %lu\r\n"
                "Connection: close\r\n\r\n",
                r->status, reason(r->status), r->type ? r->type : "text/plain", r->size);
    if (!give(x, head, MIN((size_t)n, sizeof(head) - 1)) && r->size)
        give(x, r->body, r->size);
}

static long wipe_reply(void *arg)
{
    agent_reply_free(arg);
    return 0;
}

static void exchange(struct exchange *x)
{
    struct agent_request r;
    int head = take_request(x, &r);
    if (head < 0) {
        if (head == -EBADMSG || head == -E2BIG)
            reply(x, &(struct agent_reply){.status = head == -E2BIG ? 413 : 400});
        return;
    }
    struct question q = {.request = &r,
                         .body = {(const uint8_t *)x->request + head, r.body_size},
                         .reply = {.status = 503}};
    bool answered = agent_call(answer, &q) == 0;
    reply(x, &q.reply);
    if (answered)
        agent_call(wipe_reply, &q.reply);
}

static void serve_one(struct sock *s)
{
    struct exchange *x = los_alloc(sizeof(*x));
    struct file *f = sock_file(s, 0); /* takes the socket, also when it fails */
    if (x && f) {
        x->file = f;
        x->sock = s;
        x->until = clock_now() + PATIENCE_NS;
        exchange(x);
    }
    if (f)
        file_put(f);
    if (x)
        memset(x, 0, sizeof(*x));
    los_free(x);
}

/* ---- the listener ---- */

static struct sock *next_connection(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(listeners); i++) {
        struct sock *l = listeners[i];
        if (!l || !l->pending_count)
            continue;
        struct sock *s = container_of(l->pending.next, struct sock, pend_node);
        list_remove(&s->pend_node);
        l->pending_count--;
        return s;
    }
    return NULL;
}

static void wait_for_one(void)
{
    struct waiter w[ARRAY_COUNT(listeners)], c;
    struct sock *held[ARRAY_COUNT(listeners)];
    wait_begin(&c, &changed);
    for (size_t i = 0; i < ARRAY_COUNT(listeners); i++) {
        held[i] = listeners[i];
        if (!held[i])
            continue;
        sock_get(held[i]); /* it may be closed meanwhile */
        wait_begin(&w[i], &held[i]->wait);
    }
    wait_sleep(NO_DEADLINE);
    for (size_t i = 0; i < ARRAY_COUNT(listeners); i++) {
        if (!held[i])
            continue;
        wait_end(&w[i]);
        sock_put(held[i]);
    }
    wait_end(&c);
}

static void serve(struct thread *t)
{
    for (;;) {
        struct sock *s = next_connection();
        if (s)
            serve_one(s);
        else
            wait_for_one();
    }
}

static struct sock *make_listener(uint16_t family)
{
    struct sock *s = sock_new(family, SOCK_STREAM);
    struct addr a = {.size = family == AF_INET ? sizeof(struct sockaddr_in)
                                               : sizeof(struct sockaddr_in6)};
    if (!s)
        return NULL;
    a.family = family;
    addr_set_port(&a, AGENT_PORT);
    if (family == AF_INET) {
        a.bytes[4] = 127;
        a.bytes[7] = 1;
    } else {
        a.bytes[23] = 1;
        s->v6_only = true;
    }
    if (name_bind(s, &a)) {
        sock_put(s);
        return NULL;
    }
    s->backlog = BACKLOG;
    s->state = SOCK_LISTENING;
    return s;
}

static size_t place(uint16_t family)
{
    return family == AF_INET6;
}

void agent_wanted(uint16_t family, uint16_t port)
{
    if (port != AGENT_PORT || (family != AF_INET && family != AF_INET6) || agent_replaced())
        return;
    if (listeners[place(family)] || !(listeners[place(family)] = make_listener(family)))
        return;
    if (server) {
        wait_wake_all(&changed);
        return;
    }
    wait_queue_init(&changed);
    server = thread_service(serve);
    if (!server) /* no thread, no service: refused as if there were none */
        agent_give_way(port);
}

void agent_give_way(uint16_t port)
{
    for (size_t i = 0; port == AGENT_PORT && i < ARRAY_COUNT(listeners); i++) {
        struct sock *s = listeners[i];
        listeners[i] = NULL;
        if (!s)
            continue;
        inside_close(s);
        sock_put(s);
    }
}
