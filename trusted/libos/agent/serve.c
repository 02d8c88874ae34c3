// SPDX-License-Identifier: Apache-2.0
// CoCo's local API on the enclave's own loopback: never a socket of the host.
//
// The first connection to the port that finds nobody makes the listener and a thread of the LibOS
// that serves it, one connection and one request at a time; before that nothing of it exists. What
// the broker is asked for another thread answers, so that nobody else waits for it. The program's
// own listener on the port comes first, always.
#include <linux/in.h>
#include <linux/in6.h>

#include "trusted/agent/exchange.h"
#include "trusted/libos/agent/agent.h"
#include "trusted/libos/net/sock.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/time/time.h"

#define PATIENCE_NS (10 * NS) /* for a client that sends or takes nothing */
#define BACKLOG 16u

static struct sock *listeners[2]; /* of IPv4 and IPv6; NULL: none */
static struct wait_queue changed; /* a listener came */
static struct thread *server;

/* Those whose request is for the broker, in a row. */
static struct exchange *waiting;
static uint32_t waiting_count;
static struct wait_queue came;
static struct thread *asker;

/* ---- one connection ---- */

struct exchange {
    struct exchange *next;
    struct file *file;
    struct sock *sock;
    uint64_t until;
    bool may_ask; /* the broker */
    struct agent_exchange x;
};

/* Time left, as a socket's timeout. */
static int set_timeout(uint64_t *timeout, uint64_t until)
{
    uint64_t now = clock_now();
    *timeout = until - MIN(now, until);
    return *timeout ? 0 : -ETIMEDOUT;
}

static long take_request(struct exchange *e)
{
    struct io_vec v;
    struct io io = io_one(&v, (uint64_t)e->x.in + e->x.have, sizeof(e->x.in) - e->x.have, true);
    struct letter l;
    int r = set_timeout(&e->sock->receive_timeout, e->until);
    return r ? r
             : sock_receive(e->file, e->sock, &io, 0, &l, false,
                            sock_deadline(e->sock->receive_timeout));
}

/* Some of what is left to be sent. */
static long give_response(struct exchange *e, struct sh_view rest)
{
    struct io_vec v;
    struct io io = io_one(&v, (uint64_t)rest.data, rest.size, true);
    int r = set_timeout(&e->sock->send_timeout, e->until);
    struct letter l = {0};
    return r ? r : sock_send(e->file, e->sock, &io, MSG_NOSIGNAL_, NULL, &l);
}

static long answer_request(void *arg)
{
    struct exchange *e = arg;
    struct agent *a = agent_state();
    if (!a)
        return -ENOMEM;
    if (!e->may_ask && e->x.parsed > 0 && agent_asks_broker(e->x.request.path))
        return 1;
    agent_exchange_answer(a, &e->x);
    return 0;
}

static long wipe_exchange(void *arg)
{
    struct exchange *e = arg;
    agent_exchange_end(&e->x);
    return 0;
}

static void end_exchange(struct exchange *e)
{
    file_put(e->file);
    memset(e, 0, sizeof(*e));
    los_free(e);
}

/* error: why there is no answer. */
static void give_answer(struct exchange *e, long error)
{
    static const char none[] = "HTTP/1.1 503 Service Unavailable\r\n"
                               "Content-Length: 0\r\nConnection: close\r\n\r\n";
    long n = 1;
    e->until = clock_now() + PATIENCE_NS; /* the broker may have taken its time */
    if (error)
        give_response(e, (struct sh_view){(const uint8_t *)none, sizeof(none) - 1});
    while (!error && n > 0 && agent_exchange_rest(&e->x).size) {
        n = give_response(e, agent_exchange_rest(&e->x));
        e->x.sent += n > 0 ? (size_t)n : 0;
    }
    if (!error)
        agent_call(AGENT_ASKS_NOBODY, wipe_exchange, e);
    end_exchange(e);
}

static void serve_waiting(struct thread *t)
{
    for (;;) {
        struct exchange *e = waiting;
        if (!e) {
            wait_on(&came, NO_DEADLINE);
            continue;
        }
        waiting = e->next;
        waiting_count--;
        e->may_ask = true;
        give_answer(e, agent_call(AGENT_ASKS_BROKER, answer_request, e));
    }
}

static void hand_over(struct exchange *e)
{
    struct exchange **last = &waiting;
    if (!asker) {
        wait_queue_init(&came);
        asker = thread_service(serve_waiting);
    }
    if (!asker || waiting_count == BACKLOG) {
        give_answer(e, -EAGAIN);
        return;
    }
    while (*last)
        last = &(*last)->next;
    *last = e;
    waiting_count++;
    wait_wake_all(&came);
}

static void run_exchange(struct exchange *e)
{
    long n;
    e->until = clock_now() + PATIENCE_NS;
    do {
        n = take_request(e);
    } while (n > 0 && !agent_exchange_take(&e->x, (size_t)n));
    if (n <= 0) {
        end_exchange(e);
        return;
    }
    n = agent_call(AGENT_ASKS_NOBODY, answer_request, e);
    if (n > 0)
        hand_over(e);
    else
        give_answer(e, n);
}

static void serve_one(struct sock *s)
{
    struct exchange *e = los_alloc(sizeof(*e));
    struct file *f = sock_file(s, 0); /* takes the socket, also when it fails */
    if (!e || !f) {
        if (f)
            file_put(f);
        los_free(e);
        return;
    }
    memset(e, 0, sizeof(*e));
    e->file = f;
    e->sock = s;
    run_exchange(e);
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

static void serve_clients(struct thread *t)
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
    addr_set_port(&a, SH_AGENT_PORT);
    if (family == AF_INET) {
        a.bytes[4] = 127;
        a.bytes[7] = 1;
    } else {
        a.bytes[23] = 1;
        s->options[OPT_V6ONLY] = 1;
    }
    if (name_bind(s, &a)) {
        sock_put(s);
        return NULL;
    }
    s->backlog = BACKLOG;
    s->state = SOCK_LISTENING;
    return s;
}

static size_t listener_index(uint16_t family)
{
    return family == AF_INET6;
}

void agent_wanted(uint16_t family, uint16_t port)
{
    if (port != SH_AGENT_PORT || (family != AF_INET && family != AF_INET6) || agent_replaced())
        return;
    if (listeners[listener_index(family)] ||
        !(listeners[listener_index(family)] = make_listener(family)))
        return;
    if (server) {
        wait_wake_all(&changed);
        return;
    }
    wait_queue_init(&changed);
    server = thread_service(serve_clients);
    if (!server) /* no thread, no service: refused as if there were none */
        agent_give_way(port);
}

void agent_give_way(uint16_t port)
{
    for (size_t i = 0; port == SH_AGENT_PORT && i < ARRAY_COUNT(listeners); i++) {
        struct sock *s = listeners[i];
        listeners[i] = NULL;
        if (!s)
            continue;
        inside_close(s);
        sock_put(s);
    }
}
