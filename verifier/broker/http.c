// SPDX-License-Identifier: Apache-2.0
// Requests in, answers out: connections, bodies, limits. Work is done elsewhere (work.h): a request
// that is whole waits suspended until its answer is there.
#include "verifier/broker/http.h"
#include "verifier/broker/routes.h"
#include "lib/number.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COOKIE "kbs-session-id"
#define VERSION_HEADER "Shelter-Resource-Version"
// Pages have one style sheet and forms, all of this address; no script at all.
#define PAGE_POLICY                                                                                \
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "                  \
    "frame-ancestors 'none'"

enum MHD_Result sb_http_admit(void *cls, const struct sockaddr *addr, socklen_t size)
{
    struct sb_face *f = cls;

    return sb_gate_admit(&f->gate, addr, sb_clock_ms()) ? MHD_YES : MHD_NO;
}

void sb_http_connection(void *cls, struct MHD_Connection *c, void **place,
                        enum MHD_ConnectionNotificationCode what)
{
    struct sb_face *f = cls;
    const union MHD_ConnectionInfo *fd, *addr;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*place)
            sb_gate_close(&f->gate, *place);
        *place = NULL;
        return;
    }
    fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    addr = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    *place =
        fd ? sb_gate_open(&f->gate, fd->connect_fd, addr ? addr->client_addr : NULL, sb_clock_ms())
           : NULL;
    if (!*place && fd)
        shutdown(fd->connect_fd, SHUT_RDWR);
}

static void add_header(struct MHD_Response *m, const char *name, const char *value)
{
    if (value && *value)
        MHD_add_response_header(m, name, value);
}

static enum MHD_Result send_answer(struct sb_request *r)
{
    const char *text = r->text ? r->text : "";
    struct MHD_Response *m = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                             MHD_RESPMEM_MUST_COPY);
    enum MHD_Result sent;

    if (!m)
        return MHD_NO;
    add_header(m, "Content-Type", r->type);
    add_header(m, "Cache-Control", "no-store");
    add_header(m, "X-Content-Type-Options", "nosniff");
    add_header(m, "Set-Cookie", r->cookie);
    add_header(m, "Allow", r->allow);
    add_header(m, "WWW-Authenticate", r->www_authenticate);
    add_header(m, "Retry-After", r->retry_after ? "1" : NULL);
    add_header(m, "Location", r->location);
    add_header(m, VERSION_HEADER, r->version);
    add_header(m, "Connection", r->close ? "close" : NULL);
    if (r->page) {
        add_header(m, "Content-Security-Policy", PAGE_POLICY);
        add_header(m, "X-Frame-Options", "DENY");
        add_header(m, "Referrer-Policy", "no-referrer");
        add_header(m, "Cross-Origin-Opener-Policy", "same-origin");
    }
    sb_gate_until(&r->face->gate, r->place, sb_clock_ms() + SB_GATE_SEND_MS);
    if (r->face == &r->server->clients)
        sb_metrics_count(r->server, sb_route_place(r->route), r->status);
    sent = MHD_queue_response(r->connection, (unsigned)r->status, m);
    MHD_destroy_response(m);
    return sent;
}

static void name_peer(struct sb_request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *a = info ? info->client_addr : NULL;

    r->peer_id = sb_peer(a);
    if (a && a->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, r->peer, sizeof(r->peer));
    else if (a && a->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, r->peer, sizeof(r->peer));
}

// The two headers that endpoints look at. False when one is too long.
static bool take_headers(struct sb_request *r)
{
    static const char bearer[] = "Bearer ";
    const char *cookie = MHD_lookup_connection_value(r->connection, MHD_COOKIE_KIND, COOKIE);
    const char *header =
        MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "Authorization");

    if (cookie && strlen(cookie) < sizeof(r->session))
        memcpy(r->session, cookie, strlen(cookie) + 1);
    if (!header || strncmp(header, bearer, sizeof(bearer) - 1))
        return true;
    if (strlen(header) > SB_BEARER_MAX)
        return false;
    r->bearer = strdup(header + sizeof(bearer) - 1);
    return r->bearer;
}

static size_t body_max(const struct sb_request *r)
{
    return r->route->body_max < r->face->body_max ? r->route->body_max : r->face->body_max;
}

// Room for a body of this size, with a NUL behind it. False with a problem set.
static bool grow_body(struct sb_request *r, size_t size)
{
    char *grown;

    if (size < r->body_room)
        return true;
    if (!sb_gate_take(&r->face->gate, r->place, size + 1 - r->body_room)) {
        sb_problem(r, 503, "busy", "too many large requests at once");
        return false;
    }
    grown = realloc(r->body, size + 1);
    if (!grown) {
        sb_gate_give(&r->face->gate, size + 1 - r->body_room);
        sb_problem(r, 503, "busy", "out of memory");
        return false;
    }
    r->body = grown;
    r->body_room = size + 1;
    return true;
}

struct framing {
    unsigned hosts, lengths, codings;
    bool odd;
};

static enum MHD_Result count_framing(void *cls, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    struct framing *f = cls;

    f->hosts += !strcasecmp(name, "Host");
    f->lengths += !strcasecmp(name, "Content-Length");
    f->codings += !strcasecmp(name, "Transfer-Encoding");
    if (strpbrk(name, " \t") ||
        (!strcasecmp(name, "Content-Length") &&
         (!value || !*value || value[strspn(value, "0123456789")])) ||
        (!strcasecmp(name, "Transfer-Encoding") && (!value || strcasecmp(value, "chunked"))))
        f->odd = true;
    return MHD_YES;
}

// Whether everybody in front of us finds the request's end where we do (RFC 9112, 6.3): else what
// follows could be taken for somebody else's request.
static bool is_framing_clear(struct sb_request *r)
{
    struct framing f = {0};

    MHD_get_connection_values(r->connection, MHD_HEADER_KIND, count_framing, &f);
    return !f.odd && f.hosts <= 1 && f.lengths + f.codings <= 1;
}

// Headers are there, the body is not: refuse now what needs no body.
static void judge_head(struct sb_request *r, const char *url, const char *method)
{
    const char *length =
        MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "Content-Length");
    uint64_t size = 0;

    if (!is_framing_clear(r)) {
        r->close = true;
        sb_problem(r, 400, "malformed", "where the request ends can be read in two ways");
        return;
    }
    if (!sb_limit_take(&r->server->limit, r->peer_id, sb_clock_ms())) {
        sb_problem(r, 429, "rate", "this peer asks too often");
        return;
    }
    if (strlen(url) >= sizeof(r->url)) {
        sb_problem(r, 404, "no-such-endpoint", "there is no such endpoint");
        return;
    }
    memcpy(r->url, url, strlen(url) + 1);
    r->route = sb_route_find(r->face->routes, method, r->url, &r->rest, &r->allow);
    if (!r->route)
        sb_problem(r, r->allow ? 405 : 404, r->allow ? "method" : "no-such-endpoint",
                   r->allow ? "this endpoint has another method" : "there is no such endpoint");
    else if (length && sh_parse_number(length, 0, body_max(r), &size))
        sb_problem(r, 413, "too-large", "the request's body is too large for this endpoint");
    else if (!take_headers(r))
        sb_problem(r, 413, "too-large", "the token is too large");
    else if ((!r->route->enter || r->route->enter(r)) && size)
        grow_body(r, size);
}

static enum MHD_Result begin_request(struct sb_face *f, struct MHD_Connection *c, const char *url,
                                     const char *method, void **request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct sb_place *place = info ? info->socket_context : NULL;
    struct sb_request *r = place ? calloc(1, sizeof(*r)) : NULL;

    if (!r)
        return MHD_NO;
    *request = r;
    r->face = f;
    r->server = f->server;
    r->connection = c;
    r->place = place;
    name_peer(r);
    sb_gate_until(&f->gate, place, sb_clock_ms() + SB_GATE_BODY_MS);
    judge_head(r, url, method);
    return r->status ? send_answer(r) : MHD_YES;
}

static void take_body(struct sb_request *r, const char *data, size_t size)
{
    if (size > body_max(r) - r->body_size)
        sb_problem(r, 413, "too-large", "the request's body is too large for this endpoint");
    else if (grow_body(r, r->body_size + size < body_max(r) / 2 ? 2 * (r->body_size + size)
                                                                : r->body_size + size)) {
        memcpy(r->body + r->body_size, data, size);
        r->body_size += size;
        r->body[r->body_size] = 0;
    }
}

// In a thread of the pool.
static void run_item(struct sb_item *item)
{
    struct sb_request *r = (struct sb_request *)item;
    struct MHD_Connection *c = r->connection;

    r->route->act(r, r->rest);
    if (!r->wait || !sb_waiting_add(&r->server->waiting, r))
        MHD_resume_connection(c);
}

static enum MHD_Result start_work(struct sb_request *r)
{
    struct sb_server *s = r->server;

    sb_gate_finished(&r->face->gate, r->place);
    if (r->route->at_once) {
        r->route->act(r, r->rest);
        return send_answer(r);
    }
    r->item =
        (struct sb_item){.peer = r->peer_id,
                         .known = r->face->known || sb_session_of_peer(&s->sessions, r->peer_id),
                         .large = r->route->large,
                         .run = run_item};
    MHD_suspend_connection(r->connection);
    if (!sb_work_put(&s->work, &r->item)) {
        sb_problem(r, 503, "stopping", "the broker stops");
        MHD_resume_connection(r->connection);
    }
    return MHD_YES;
}

enum MHD_Result sb_http_handle(void *cls, struct MHD_Connection *c, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **request)
{
    struct sb_request *r = *request;

    if (!r)
        return begin_request(cls, c, url, method, request);
    if (!*upload_size)
        return r->status ? send_answer(r) : start_work(r);
    if (!r->status)
        take_body(r, upload, *upload_size);
    // Refused: the rest is read and dropped, up to a bound; the gate bounds the time.
    if (r->status && (r->dropped += *upload_size) > 4 * (size_t)SB_BODY_MAX)
        return MHD_NO;
    *upload_size = 0;
    return MHD_YES;
}

void sb_http_completed(void *cls, struct MHD_Connection *c, void **request,
                       enum MHD_RequestTerminationCode why)
{
    struct sb_request *r = *request;

    if (!r)
        return;
    sb_gate_until(&r->face->gate, r->place, sb_clock_ms() + SB_GATE_IDLE_MS);
    if (r->body_room)
        sb_gate_give(&r->face->gate, r->body_room);
    free(r->body);
    free(r->bearer);
    if (r->text && r->secret)
        OPENSSL_cleanse(r->text, strlen(r->text));
    free(r->text);
    free(r);
    *request = NULL;
}
